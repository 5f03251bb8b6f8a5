//! One call, pure: joins SIP events, RTP, the Realtime session and the tools of one caller.
//!
//! In: [`Input`]. Out: [`Output`], drained down to `Timeout` after each input.
//!
//! | file | concern |
//! |---|---|
//! | `machine` | the struct, `handle`, `poll_output` |
//! | `clocks` | what runs when, the timers |
//! | `packets` | what leaves by the RTP and RTCP ports |
//! | `link` | the Realtime connection and the session on it |
//! | `signalling` | SIP events: answer, ACK, re-INVITE, hold, BYE |
//! | `media` | what offer/answer agreed on, as receiver + uplink + downlink |
//! | `uplink` | caller → model, on the clock of the wall (stall clock) |
//! | `downlink` | model → caller, one frame per absolute deadline, heard-ledger |
//! | `agent` | events of the Realtime session, barge-in |
//! | `segments`, `turn` | what is being said, what of it was heard; latencies |
//! | `digits`, `keys`, `collect` | keys that come, keys that go, an entry the model asked for |
//! | `tools`, `transfer` | what the model may do |
//! | `leg`, `attended`, `bridge`, `relay` | a second leg: called, asked, joined with the caller here |
//! | `moved` | the caller's side becomes another dialog (Replaces, inbound REFER) |
//! | `caller_data` | what the model may know of the caller |
//! | `limits`, `silence`, `filler` | clocks |
//! | `one_way` | why one side does not hear the other |
//! | `fallback`, `farewell`, `end`, `record` | how it ends, who and why, what stays |
//!
//! State: Ringing → Talking → Ending → Ended; Talking → Bridged → Ended.

mod agent;
mod attended;
mod bridge;
mod caller_data;
mod clocks;
mod collect;
mod digits;
mod downlink;
pub mod end;
mod fallback;
mod farewell;
mod filler;
mod keys;
mod leg;
mod limits;
mod link;
mod machine;
mod media;
mod moved;
mod one_way;
mod packets;
mod record;
mod relay;
mod segments;
mod signalling;
mod silence;
mod tools;
mod transfer;
mod turn;
mod uplink;

use crate::cidr::Network;
use crate::config::dialplan::Dialplan;
use crate::observe::cdr::Cdr;
use crate::observe::pii::Pii;
use crate::realtime::Endpoint;
use crate::realtime::session::SessionFault;
use crate::rtp::receiver::SourcePolicy;
use crate::sip::offer_answer::{LocalMedia, Negotiation};
use crate::sip::uri::Uri;
use crate::sip::user_agent::{SessionId, UaCommand, UaEvent};
use crate::sip::{Flow, TrunkId};
use crate::tools::ToolAction;
use crate::tools::http::ToolResult;
use crate::trunk::{CallerInfo, Trunk};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use end::CallEnd;
pub use machine::Call;

/// Everything a call is made of. Built by `server` after trunk match, admission and lookup.
pub struct CallParams {
    /// The record as it was begun: our id of the call, who calls whom by which trunk and plan, when it began. The call finishes it.
    pub record: Cdr,
    pub session: SessionId,
    pub plan: Arc<Dialplan>,
    /// With the dialplan's model put in.
    pub endpoint: Endpoint,
    pub connect_timeout: Duration,
    pub ready_timeout: Duration,
    /// What the trunk says of the caller. Given to the model only as data with limits, and only what the dialplan lists (AUT-14).
    pub caller_info: CallerInfo,
    /// The trunk of the call: what it trusts and allows. `None`: nothing.
    pub trunk: Option<Arc<Trunk>>,
    /// Signalling source.
    pub source: SocketAddr,
    /// Our end of the stream, port allocated.
    pub negotiation: Negotiation,
    /// SDP of the INVITE; `None` = late offer.
    pub offer: Option<Bytes>,
    pub media: MediaPolicy,
    /// The WAV of `Fallback::Apology` as 8 kHz mono, read by the owner; `None` = the built-in clip.
    pub apology: Option<Arc<[i16]>>,
    /// Seed of SSRC, sequence and timestamp.
    pub seed: u64,
}

/// From the settings.
#[derive(Clone, Debug)]
pub struct MediaPolicy {
    pub source: SourcePolicy,
    /// Networks media may come from besides SDP and signalling source.
    pub allowed: Vec<Network>,
    pub reorder_wait: Duration,
    /// Caller audio is batched to this many ms per append (20–100).
    pub append_ms: u32,
}

/// What happens to a call.
#[derive(Debug)]
pub enum Input<'a> {
    Timeout,
    /// An event of this call's SIP session.
    Sip(UaEvent),
    Rtp {
        from: SocketAddr,
        datagram: &'a [u8],
    },
    /// The second leg has a session, a way and a port: the call sends its INVITE.
    LegReady(LegReady),
    /// It cannot be placed (no way, no port, a limit): as if the INVITE had got this status.
    LegFailed {
        status: u16,
    },
    /// A datagram on the second leg's port.
    LegRtp {
        from: SocketAddr,
        datagram: &'a [u8],
    },
    /// A datagram on the RTCP port.
    Rtcp {
        from: SocketAddr,
        datagram: &'a [u8],
    },
    /// A datagram on the second leg's RTCP port.
    LegRtcp {
        from: SocketAddr,
        datagram: &'a [u8],
    },
    /// The WebSocket opened.
    RealtimeOpen,
    /// It could not be opened.
    RealtimeFailed(SessionFault),
    RealtimeText(&'a str),
    RealtimeClosed {
        code: Option<u16>,
        reason: &'a str,
    },
    Tool {
        id: u64,
        result: ToolResult,
    },
    /// Operator's wish: shutdown, or a panic elsewhere in the call's worker.
    Close(CallEnd),
}

/// What a call wants.
#[derive(Debug)]
pub enum Output {
    /// One datagram to send now; its bytes are [`Call::rtp_bytes`] until the next `poll_output`.
    Rtp {
        to: SocketAddr,
    },
    Sip(UaCommand),
    /// Place a second leg (attended transfer, bridge); answer with LegReady or LegFailed. One at a time.
    OpenLeg(LegRequest),
    /// One datagram of the second leg's stream; its bytes are [`Call::rtp_bytes`].
    LegRtp {
        to: SocketAddr,
    },
    /// One RTCP packet, by the RTCP port; its bytes are [`Call::rtp_bytes`].
    Rtcp {
        to: SocketAddr,
    },
    /// The same of the second leg.
    LegRtcp {
        to: SocketAddr,
    },
    /// The second leg's stream becomes the call's own and the other way round, ports included.
    SwapLegs,
    /// The second leg is over for the call: release its port. Its SIP commands were queued before.
    CloseLeg,
    /// Open the WebSocket to [`CallParams::endpoint`]; answer with RealtimeOpen or RealtimeFailed.
    OpenRealtime,
    RealtimeText(String),
    CloseRealtime,
    /// Run it outside; answer with `Tool`. Only `Http` actions come here.
    StartTool {
        id: u64,
        action: ToolAction,
        timeout: Duration,
    },
    /// Something worth a log line, a metric or a line of the demo's timeline.
    Note(CallEvent),
    /// The call is over: SIP commands were queued before; release port, socket, everything. Exactly once, last.
    Ended(Box<CallRecord>),
    Timeout(Option<Instant>),
}

/// A second leg that the call wants. The URI was taken from the number's own list.
#[derive(Clone, Debug)]
pub struct LegRequest {
    pub uri: Uri,
    /// Name of the trunk; `None`: that of the caller.
    pub trunk: Option<String>,
}

/// What the server found for a second leg. SIP events of `session` come as [`Input::Sip`] like those of the call's own.
#[derive(Clone, Debug)]
pub struct LegReady {
    pub session: SessionId,
    pub trunk: TrunkId,
    pub flows: Vec<Flow>,
    /// Our end of its stream, port allocated.
    pub local: LocalMedia,
    /// From value for its INVITE.
    pub from: String,
    /// Max-Forwards of the caller's INVITE minus one (DLG-16).
    pub max_forwards: u32,
    /// Whether the leg's trunk takes REFER with Replaces; else the legs are bridged here.
    pub refer: bool,
}

/// What stays of a call.
#[derive(Debug)]
pub struct CallRecord {
    pub end: CallEnd,
    pub cdr: Cdr,
    /// `(unix_ms, who, text)`, when the number keeps transcripts.
    pub transcript: Vec<(u64, &'static str, Pii<String>)>,
}

/// What happened, for logs, metrics and the timeline.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent {
    Ringing,
    Answered {
        codec: &'static str,
    },
    RealtimeReady {
        ms: u64,
    },
    CallerSpeaks,
    CallerStops,
    CallerSaid(Pii<String>),
    AgentSpeaks {
        latency_ms: Option<u64>,
    },
    AgentSaid(Pii<String>),
    AgentStops,
    /// The caller cut in; `heard_ms` of the segment had been sent; `stop_ms` from `speech_started` to the end of the audio
    /// in the last packet with speech.
    BargeIn {
        heard_ms: u32,
        stop_ms: u64,
    },
    Digit,
    ToolStarted {
        name: String,
    },
    ToolDone {
        name: String,
        ok: bool,
        ms: u64,
    },
    Transfer {
        target: String,
        outcome: &'static str,
    },
    Hold(bool),
    /// The caller's side is another dialog now; how.
    Moved(&'static str),
    /// The caller's side says that somebody else is on the line.
    CallerChanged(Pii<String>),
    CheckIn,
    Fallback(&'static str),
    Goodbye,
    /// Something odd: label for the counter, detail for the debug log.
    Warning {
        label: &'static str,
        detail: String,
    },
    /// Media goes there from now on. `moved`: it went, or was to go, elsewhere before.
    MediaSource {
        addr: SocketAddr,
        moved: bool,
    },
    /// Media came from an address that may not send: the first packet, of at most four addresses a call.
    SourceRefused {
        addr: SocketAddr,
    },
    /// One side does not hear the other: the likely cause, and what to do, in a sentence.
    OneWayAudio {
        cause: &'static str,
        why: String,
    },
}
