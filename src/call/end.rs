//! Who ended a call and why; from it follow SIP status, Reason header, CDR cause, metric label and log level.

use crate::observe::cdr::EndedBy;

/// One end, one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    pub by: EndedBy,
    pub cause: Cause,
}

/// The causes. The label of each is stable: it is in CDRs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    CallerBye,
    CallerCancel,
    AgentHangup,
    Transferred,
    MaxCall,
    CallerSilent,
    NoMedia,
    NoAck,
    NoCodec,
    SipFailed(u16),
    Realtime(crate::realtime::session::SessionFault),
    Shutdown,
    Panic,
}

impl Cause {
    /// Stable label.
    pub fn label(&self) -> &'static str {
        match self {
            Cause::CallerBye => "caller_bye",
            Cause::CallerCancel => "caller_cancel",
            Cause::AgentHangup => "agent_hangup",
            Cause::Transferred => "transferred",
            Cause::MaxCall => "max_call",
            Cause::CallerSilent => "caller_silent",
            Cause::NoMedia => "no_media",
            Cause::NoAck => "no_ack",
            Cause::NoCodec => "no_codec",
            Cause::SipFailed(_) => "sip_failed",
            Cause::Realtime(fault) => fault.label(),
            Cause::Shutdown => "shutdown",
            Cause::Panic => "panic",
        }
    }
}
