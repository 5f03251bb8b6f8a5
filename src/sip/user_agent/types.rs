//! What goes in and out of a [`super::UserAgent`]: configuration, commands, events, outputs.

use crate::cidr::Network;
pub use crate::sip::dialog::DialogRecord;
use crate::sip::digest::Credentials;
use crate::sip::headers::{Name, Reason};
use crate::sip::message::{Message, Method};
use crate::sip::session_timer::TimerPolicy;
use crate::sip::uri::Uri;
use crate::sip::{Flow, Transport, TrunkId};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The user agent's handle of one INVITE session (either role). Never reused in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// The user agent's handle of a request of ours outside of a dialog (REGISTER, OPTIONS). Given by the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What a user agent is told once.
#[derive(Clone, Debug)]
pub struct UaConfig {
    /// Seed of branches, tags, Call-IDs and back-offs (from the OS in production).
    pub seed: u64,
    /// By [`TrunkId`]; never empty.
    pub trunks: Vec<UaTrunk>,
    /// Most sessions at once; an INVITE beyond gets 503 with Retry-After.
    pub max_sessions: usize,
    /// Most transactions at once; a request beyond is dropped and counted.
    pub max_transactions: usize,
}

/// What the user agent knows of a trunk.
#[derive(Clone, Debug)]
pub struct UaTrunk {
    /// The peers' networks: the hosts of one may speak for one another in a dialog (A12).
    pub networks: Vec<Network>,
    /// Advertised `host:port` per transport, for Via sent-by and Contact. A transport that is not listed is not used.
    pub advertised: Vec<(Transport, SocketAddr)>,
    /// A name instead of the address in Contact and Via, for peers that want one (Teams).
    pub advertised_host: Option<String>,
    /// User part of our Contact; random for a registering trunk (AUT-06).
    pub contact_user: String,
    /// Methods we take from it; INVITE, ACK, CANCEL and BYE always are. Anything else is 405 with this Allow.
    pub methods: Vec<Method>,
    pub timer: TimerPolicy,
    pub reliable: Reliable,
    pub while_draining: WhileDraining,
    /// For challenges to requests that we sent to this trunk, and to nobody else (AUT-03, AUT-04).
    pub credentials: Vec<Credentials>,
    /// 3xx to our INVITEs (XFR-08).
    pub redirects: Redirects,
    /// INVITE with Replaces may take over a dialog of the same trunk (XFR-07); else it is 403 (A15).
    pub replaces: bool,
    /// Whether the owner is asked about an inbound REFER ([`UaEvent::ReferRequested`]); else it is 603 (XFR-06).
    pub refer: bool,
    /// Added to each INVITE of ours.
    pub headers: Vec<(Name, String)>,
}

impl UaTrunk {
    /// A trunk with every default: no session timer but when asked for, no credentials, no redirects.
    pub fn new(networks: Vec<Network>, advertised: Vec<(Transport, SocketAddr)>, contact_user: &str) -> UaTrunk {
        UaTrunk {
            networks,
            advertised,
            advertised_host: None,
            contact_user: contact_user.to_owned(),
            methods: vec![Method::Options, Method::Info, Method::Update, Method::Refer, Method::Notify],
            timer: TimerPolicy::default(),
            reliable: Reliable::default(),
            while_draining: WhileDraining::default(),
            credentials: Vec::new(),
            redirects: Redirects::default(),
            replaces: false,
            refer: false,
            headers: Vec::new(),
        }
    }
}

/// Reliable provisional responses, 100rel (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliable {
    /// `Require: 100rel` is 420.
    Off,
    /// Done when the peer requires it; offered in our INVITEs (default).
    #[default]
    Supported,
    /// Done whenever the peer supports it.
    Preferred,
}

/// How OPTIONS is answered while draining or full (DLG-12): some peers take a whole trunk out on a 503.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhileDraining {
    #[default]
    Unavailable,
    Silent,
    Ok,
}

/// Whether a 3xx to our INVITE is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// A 3xx is a refusal.
    #[default]
    Never,
    /// Contacts whose host is one of these (or whose user, for `tel:`) are followed: depth 3, no loop.
    Hosts(Vec<String>),
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
    IncomingCall {
        session: SessionId,
        trunk: TrunkId,
        flow: Flow,
        invite: Message,
        /// The session whose dialog this call takes over (Replaces, RFC 3891), found and allowed. On `Accept` of the new one
        /// the old gets its BYE; its owner should hand the conversation over.
        replaces: Option<SessionId>,
    },
    /// A new call that was refused here for its form (416, 420, 415, 406, 400 …) or for want of room (503): answered already, without
    /// a session. Told once for the copies of one INVITE (the last 2048 are remembered); a merged copy (482) is not told.
    Refused { trunk: TrunkId, flow: Flow, invite: Message, status: u16 },
    /// UAC: a provisional response above 100.
    Progress { session: SessionId, status: u16, sdp: Option<Bytes> },
    /// UAC: 2xx; the ACK has been queued. When our INVITE had no SDP and `sdp` is the peer's offer, the ACK waits for
    /// [`UaCommand::AnswerInAck`].
    Answered { session: SessionId, sdp: Option<Bytes>, response: Message },
    /// UAS: the ACK came; `sdp` is the answer when our 2xx, or a reliable provisional response before it, carried the offer.
    Established { session: SessionId, sdp: Option<Bytes> },
    /// The peer's re-INVITE or UPDATE with or without offer; answer with [`UaCommand::AnswerReinvite`]. It may come before the 2xx: an
    /// UPDATE or PRACK with an offer, once a reliable provisional response has answered that of the INVITE. For a re-INVITE
    /// without SDP the answer carries our offer, and the ACK's answer comes as `ReinviteAck`.
    Reinvite { session: SessionId, offer: Option<Bytes> },
    /// The ACK of a re-INVITE answered by our offer.
    ReinviteAck { session: SessionId, sdp: Option<Bytes> },
    /// Our re-INVITE ended: 2xx with the answer, or the refusing status (491 is retried inside, DLG-10). It may come unasked, with 2xx:
    /// a refresh of the session timer that the peer answered with other SDP than before.
    ReinviteDone { session: SessionId, status: u16, sdp: Option<Bytes> },
    /// INFO in the dialog (already answered 200).
    Info { session: SessionId, content_type: String, body: Bytes },
    /// An inbound REFER of a trunk that may send them; answer with [`UaCommand::AnswerRefer`].
    ReferRequested { session: SessionId, refer_to: Uri, referred_by: Option<String> },
    /// P-Asserted-Identity (or Remote-Party-ID) of a re-INVITE or UPDATE named somebody else (XFR-09). The request is answered.
    IdentityChanged { session: SessionId, request: Message },
    /// A request of ours outside of dialogs ended: the final response, or `None` with 408 (time-out) or 503 (transport).
    /// Digest challenges have been answered inside.
    Response { id: RequestId, flow: Flow, status: u16, message: Option<Message> },
    /// Progress of our REFER.
    Refer { session: SessionId, outcome: ReferOutcome },
    /// The session is over; nothing follows for it. Exactly once per session, refused ones included.
    Ended { session: SessionId, end: SessionEnd },
}

impl UaEvent {
    /// The session an event belongs to; `None` for a call that was refused without one.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            UaEvent::Refused { .. } | UaEvent::Response { .. } => None,
            UaEvent::IncomingCall { session, .. }
            | UaEvent::Progress { session, .. }
            | UaEvent::Answered { session, .. }
            | UaEvent::Established { session, .. }
            | UaEvent::Reinvite { session, .. }
            | UaEvent::ReinviteAck { session, .. }
            | UaEvent::ReinviteDone { session, .. }
            | UaEvent::Info { session, .. }
            | UaEvent::ReferRequested { session, .. }
            | UaEvent::IdentityChanged { session, .. }
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
    /// Takes up a dialog of an earlier process, to be hung up ([`UaCommand::Hangup`]); `session` is from
    /// [`super::UserAgent::new_session_id`]. A record that cannot be used ends at once with 481.
    Resume {
        session: SessionId,
        trunk: TrunkId,
        record: Box<DialogRecord>,
    },
    /// Places a call.
    Invite(Box<NewInvite>),
    /// A request outside of dialogs; ends in [`UaEvent::Response`].
    Request(Box<NewRequest>),
    /// The answer for the ACK of a 2xx that carried the offer.
    AnswerInAck {
        session: SessionId,
        sdp: Bytes,
    },
    Reinvite {
        session: SessionId,
        sdp: Option<Bytes>,
    },
    /// Blind REFER; `refer_to` was taken from the number's own list. With `replaces` it is an attended one: Refer-To gets the
    /// Replaces of that session's dialog, URI-escaped (RFC 5589 §7); a session without a dialog makes it `Refused(481)`.
    Refer {
        session: SessionId,
        refer_to: Uri,
        referred_by: Option<String>,
        replaces: Option<SessionId>,
    },
    /// The owner's answer to [`UaEvent::ReferRequested`]: 202, or a refusal.
    AnswerRefer {
        session: SessionId,
        status: u16,
    },
    /// NOTIFY of an accepted inbound REFER; 2xx and above end its subscription.
    NotifyRefer {
        session: SessionId,
        status: u16,
    },
    /// What a registration got: preloaded Route of further requests of the trunk (RFC 3608). Replaces what was there.
    ServiceRoute {
        trunk: TrunkId,
        routes: Vec<String>,
    },
    Info {
        session: SessionId,
        content_type: String,
        body: Vec<u8>,
    },
}

/// A call to place.
#[derive(Clone, Debug)]
pub struct NewInvite {
    /// From [`super::UserAgent::new_session_id`].
    pub session: SessionId,
    pub trunk: TrunkId,
    /// Where to send it, best first (RFC 3263 §4.3): the next one is tried, with a new branch, after a time-out, a transport error
    /// or a 503. `conn` 0 opens a stream. Never empty.
    pub flows: Vec<Flow>,
    /// Request-URI and To.
    pub target: Uri,
    /// From, without tag.
    pub from: String,
    pub sdp: Option<Bytes>,
    /// Further headers; a Max-Forwards here replaces 70 (DLG-16), a Replaces makes it an attended transfer's last step.
    pub headers: Vec<(Name, String)>,
    /// CANCEL after this long without a final response.
    pub ring_limit: Duration,
}

/// A request outside of dialogs to send.
#[derive(Clone, Debug)]
pub struct NewRequest {
    pub id: RequestId,
    pub trunk: TrunkId,
    /// As in [`NewInvite`].
    pub flows: Vec<Flow>,
    pub method: Method,
    pub request_uri: Uri,
    /// From and To values, without tag.
    pub from: String,
    pub to: String,
    /// `None`: a new one.
    pub call_id: Option<String>,
    pub cseq: Option<u32>,
    pub headers: Vec<(Name, String)>,
    pub body: Option<(String, Vec<u8>)>,
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
    /// Requests outside of dialogs whose [`UaEvent::Response`] has not been told yet.
    pub requests: usize,
}
