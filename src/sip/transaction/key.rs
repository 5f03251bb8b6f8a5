//! Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3), and where a response goes (§18.2.2, RFC 3581 §4).

use crate::sip::headers::Via;
use crate::sip::message::{Message, Method};
use crate::sip::random::BRANCH_COOKIE;
use crate::sip::{Flow, Transport};
use std::net::SocketAddr;

/// Key of a server transaction. ACK has the key of its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServerKey {
    /// Branch with the cookie: branch, sent-by, method.
    Branch { branch: String, host: String, port: u16, method: Method },
    /// Any other branch, a missing one, and one that is the bare cookie: the fields RFC 2543 clients keep constant.
    Rfc2543 { uri: String, from_tag: String, to_tag: String, call_id: String, cseq: u32, via: String, method: Method },
}

impl ServerKey {
    /// `None` when a header it needs cannot be read.
    pub fn of(request: &Message) -> Option<ServerKey> {
        let method = match request.method() {
            Method::Ack => Method::Invite,
            other => other,
        };
        let via = request.top_via()?.ok()?;
        match cookie_branch(&via) {
            Some(branch) => Some(ServerKey::Branch {
                branch,
                host: via.host.to_ascii_lowercase(),
                port: sent_by_port(&via),
                method,
            }),
            None => ServerKey::rfc2543(request, via, method),
        }
    }

    /// The key of the INVITE that a CANCEL wants to end (§9.2).
    pub fn cancelled(&self) -> ServerKey {
        let mut key = self.clone();
        match &mut key {
            ServerKey::Branch { method, .. } | ServerKey::Rfc2543 { method, .. } => *method = Method::Invite,
        }
        key
    }

    fn rfc2543(request: &Message, via: Via, method: Method) -> Option<ServerKey> {
        let to_tag = match method {
            // The ACK carries our tag, its INVITE did not; CANCEL has the To of the INVITE.
            Method::Invite | Method::Cancel => String::new(),
            _ => tag(request.to()),
        };
        Some(ServerKey::Rfc2543 {
            uri: request.request_uri()?.ok()?.to_string(),
            from_tag: tag(request.from()),
            to_tag,
            call_id: request.call_id()?,
            cseq: request.cseq()?.ok()?.number,
            via: via_identity(&via),
            method,
        })
    }
}

fn tag<E>(address: Option<Result<crate::sip::headers::NameAddr, E>>) -> String {
    address.and_then(Result::ok).and_then(|a| a.tag().map(str::to_owned)).unwrap_or_default()
}

/// The branch if it is an RFC 3261 one.
fn cookie_branch(via: &Via) -> Option<String> {
    let branch = via.branch.as_deref()?.to_ascii_lowercase();
    let rest = branch.strip_prefix(&BRANCH_COOKIE.to_ascii_lowercase())?;
    (!rest.is_empty()).then_some(branch)
}

/// The Via without what we add to it (`received`, `rport`).
fn via_identity(via: &Via) -> String {
    let branch = via.branch.as_deref().unwrap_or_default();
    format!("{} {}:{};{branch}", via.transport, via.host, sent_by_port(via)).to_ascii_lowercase()
}

fn sent_by_port(via: &Via) -> u16 {
    via.port.unwrap_or(if via.transport.eq_ignore_ascii_case("TLS") { 5061 } else { 5060 })
}

/// Where the responses of a request go: the same connection, or for UDP the address it came from with the port of
/// `rport` (the source's) or of sent-by.
pub(crate) fn reply_flow(flow: Flow, request: &Message) -> Flow {
    if flow.transport != Transport::Udp {
        return flow;
    }
    match request.top_via() {
        Some(Ok(via)) if via.rport.is_none() => {
            // §18.2.2: 5060 without a port, whatever transport a Via claims that came by UDP.
            Flow { remote: SocketAddr::new(flow.remote.ip(), via.port.unwrap_or(5060)), ..flow }
        }
        _ => flow,
    }
}
