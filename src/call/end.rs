//! Who ended a call and why; from it follow SIP status, Reason header, CDR cause, metric label and log level.

use crate::observe::cdr::EndedBy;
use crate::realtime::session::SessionFault;
use crate::sip::headers::Reason;
use crate::sip::offer_answer::Refusal;

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
    /// Caller and callee spoke to each other here, and one of them hung up.
    Bridged,
    MaxCall,
    CallerSilent,
    NoMedia,
    NoAck,
    NoCodec,
    /// SRTP is a must for one side and none for the other, or there is no key both can use.
    NoSrtp,
    SipFailed(u16),
    Realtime(SessionFault),
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
            Cause::Bridged => "bridged",
            Cause::MaxCall => "max_call",
            Cause::CallerSilent => "caller_silent",
            Cause::NoMedia => "no_media",
            Cause::NoAck => "no_ack",
            Cause::NoCodec => "no_codec",
            Cause::NoSrtp => "no_srtp",
            Cause::SipFailed(_) => "sip_failed",
            Cause::Realtime(fault) => fault.label(),
            Cause::Shutdown => "shutdown",
            Cause::Panic => "panic",
        }
    }

    /// The status of the INVITE when the call ends unanswered.
    ///
    /// A fault that stays until somebody edits this number's configuration is a 480: peers take a trunk out of service
    /// on 503, and every other number of it works (DLG-14).
    pub fn status(&self) -> u16 {
        use SessionFault as F;
        match self {
            Cause::CallerCancel | Cause::CallerBye => 487,
            Cause::NoCodec | Cause::NoSrtp => 488,
            Cause::SipFailed(status) => *status,
            Cause::Panic => 500,
            Cause::Realtime(F::Unauthorised(_) | F::NotFound(_) | F::BadConfiguration(_) | F::WrongDialect(_)) => 480,
            _ => 503,
        }
    }

    /// Q.850 cause for the BYE (RFC 3326).
    fn q850(&self) -> u16 {
        match self {
            Cause::AgentHangup | Cause::Transferred | Cause::Bridged | Cause::MaxCall | Cause::CallerSilent => 16,
            // Towards the second leg.
            Cause::CallerBye | Cause::CallerCancel => 16,
            Cause::NoCodec | Cause::NoSrtp => 88,
            // Temporary failure.
            _ => 41,
        }
    }
}

impl From<&Refusal> for Cause {
    fn from(refusal: &Refusal) -> Cause {
        if refusal.about_srtp { Cause::NoSrtp } else { Cause::NoCodec }
    }
}

impl CallEnd {
    pub fn new(by: EndedBy, cause: Cause) -> CallEnd {
        CallEnd { by, cause }
    }

    /// The Reason header of our BYE.
    pub fn reason(&self) -> Reason {
        Reason {
            protocol: "Q.850".to_owned(),
            cause: Some(self.cause.q850()),
            text: Some(self.cause.label().replace('_', " ")),
        }
    }
}
