//! What goes in and out of a [`super::UserAgent`]: configuration, commands, events, outputs.

use crate::cidr::Network;
use crate::sip::headers::{Name, Reason};
use crate::sip::message::Message;
use crate::sip::uri::Uri;
use crate::sip::{Flow, Transport};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Instant;

/// The user agent's handle of one INVITE session (either role). Never reused in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What a user agent is told once.
#[derive(Clone, Debug)]
pub struct UaConfig {
    /// Seed of branches, tags, Call-IDs and back-offs (from the OS in production).
    pub seed: u64,
    /// Advertised `host:port` per transport, for Via sent-by and Contact. A transport that is not listed is not used.
    pub advertised: Vec<(Transport, SocketAddr)>,
    /// The peers' networks, each one trunk: its hosts may speak for one another in a dialog (A12).
    pub trunks: Vec<Network>,
    /// User part of our Contact.
    pub contact_user: String,
    /// Most sessions at once; an INVITE beyond gets 503 with Retry-After.
    pub max_sessions: usize,
    /// Most transactions at once; a request beyond is dropped and counted.
    pub max_transactions: usize,
}

/// Why and by whom a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The peer sent BYE.
    PeerBye { reason: Vec<Reason> },
    /// The caller sent CANCEL before the final response.
    PeerCancel { reason: Vec<Reason> },
    /// We hung up ([`UaCommand::Hangup`]) or refused.
    Local,
    /// No ACK to our 2xx within 64*T1.
    NoAck,
    /// Our INVITE (or an in-dialog request that ends the dialog) was refused or timed out; 408 and 503 stand for
    /// time-out and transport failure (RFC 3261 §8.1.3.1).
    Failed { status: u16, reason: Vec<Reason> },
}

/// How a REFER of ours goes on (RFC 3515).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferOutcome {
    /// 202: the peer tries. Not success (XFR-02).
    Accepted,
    /// NOTIFY with a 1xx status line.
    Progress(u16),
    /// NOTIFY with a final status line: 2xx is success.
    Final(u16),
    /// The REFER itself was refused, or timed out (408).
    Refused(u16),
    /// No final NOTIFY in time, or the session ended first.
    Unknown,
}

/// What the user agent tells its owner.
#[derive(Clone, Debug)]
pub enum UaEvent {
    /// A new call. 100 Trying has been queued already. Answer with Ring/Progress/Accept/Reject.
    IncomingCall { session: SessionId, flow: Flow, invite: Message },
    /// A new call that was refused here for its form (416, 420, 415, 406, 400 …) or for want of room (503): answered already, without
    /// a session. Told once for the copies of one INVITE (the last 256 are remembered); a merged copy (482) is not told.
    Refused { flow: Flow, invite: Message, status: u16 },
    /// UAC: a provisional response above 100.
    Progress { session: SessionId, status: u16, sdp: Option<Bytes> },
    /// UAC: 2xx; the ACK has been queued. When our INVITE had no SDP and `sdp` is the peer's offer, the ACK waits for
    /// [`UaCommand::AnswerInAck`].
    Answered { session: SessionId, sdp: Option<Bytes>, response: Message },
    /// UAS: the ACK came; `sdp` is the answer when our 2xx carried the offer.
    Established { session: SessionId, sdp: Option<Bytes> },
    /// The peer's re-INVITE or UPDATE with or without offer; answer with [`UaCommand::AnswerReinvite`]. For a re-INVITE
    /// without SDP the answer carries our offer, and the ACK's answer comes as `ReinviteAck`.
    Reinvite { session: SessionId, offer: Option<Bytes> },
    /// The ACK of a re-INVITE answered by our offer.
    ReinviteAck { session: SessionId, sdp: Option<Bytes> },
    /// Our re-INVITE ended: 2xx with the answer, or the refusing status (491 is retried inside, DLG-10).
    ReinviteDone { session: SessionId, status: u16, sdp: Option<Bytes> },
    /// INFO in the dialog (already answered 200).
    Info { session: SessionId, content_type: String, body: Bytes },
    /// Progress of our REFER.
    Refer { session: SessionId, outcome: ReferOutcome },
    /// The session is over; nothing follows for it. Exactly once per session, refused ones included.
    Ended { session: SessionId, end: SessionEnd },
}

impl UaEvent {
    /// The session an event belongs to; `None` for a call that was refused without one.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            UaEvent::Refused { .. } => None,
            UaEvent::IncomingCall { session, .. }
            | UaEvent::Progress { session, .. }
            | UaEvent::Answered { session, .. }
            | UaEvent::Established { session, .. }
            | UaEvent::Reinvite { session, .. }
            | UaEvent::ReinviteAck { session, .. }
            | UaEvent::ReinviteDone { session, .. }
            | UaEvent::Info { session, .. }
            | UaEvent::Refer { session, .. }
            | UaEvent::Ended { session, .. } => Some(*session),
        }
    }
}

/// What the owner asks of the user agent. A command for a session that is gone is ignored.
#[derive(Clone, Debug)]
pub enum UaCommand {
    /// 180 Ringing; repeated each 60 s (DLG-15).
    Ring {
        session: SessionId,
    },
    /// Another provisional response, with SDP = early media.
    Progress {
        session: SessionId,
        status: u16,
        sdp: Option<Bytes>,
    },
    /// 200 OK with our answer (or our offer, if the INVITE had none).
    Accept {
        session: SessionId,
        sdp: Bytes,
    },
    /// Final refusal.
    Reject {
        session: SessionId,
        status: u16,
        headers: Vec<(Name, String)>,
    },
    /// 200 with `sdp`, or the refusing status.
    AnswerReinvite {
        session: SessionId,
        answer: Result<Bytes, u16>,
    },
    /// BYE, CANCEL or a refusal, as the state asks; queued until ACK as callee (DLG-09).
    Hangup {
        session: SessionId,
        reason: Option<Reason>,
    },
    /// Places a call; how long it may ring is the owner's to bound. `session` is from [`UserAgent::new_session_id`]. `flow.conn` 0 opens a stream.
    Invite {
        session: SessionId,
        flow: Flow,
        target: Uri,
        from: String,
        sdp: Option<Bytes>,
        headers: Vec<(Name, String)>,
    },
    /// The answer for the ACK of a 2xx that carried the offer.
    AnswerInAck {
        session: SessionId,
        sdp: Bytes,
    },
    Reinvite {
        session: SessionId,
        sdp: Option<Bytes>,
    },
    /// Blind REFER; `refer_to` was taken from the number's own list.
    Refer {
        session: SessionId,
        refer_to: Uri,
        referred_by: Option<String>,
    },
    Info {
        session: SessionId,
        content_type: String,
        body: Vec<u8>,
    },
}

/// What comes out of the machine.
#[derive(Clone, Debug)]
pub enum UaOutput {
    Transmit {
        flow: Flow,
        bytes: Bytes,
    },
    Event(UaEvent),
    /// Nothing more to do until then (or until the next input).
    Timeout(Option<Instant>),
}

/// Counts for metrics and for the leak test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UaCounts {
    /// Sessions whose `Ended` has not been told yet.
    pub sessions: usize,
    pub client_transactions: usize,
    pub server_transactions: usize,
    pub timers: usize,
    /// Sessions and what is left of ended ones until the answers to their last requests came or timed out.
    pub dialogs: usize,
}
