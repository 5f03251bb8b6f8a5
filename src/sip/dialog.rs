//! One dialog (RFC 3261 §12): identifiers, CSeq numbers, route set, remote target, and the next hop that follows from them.
//!
//! In: the INVITE and the response (or request) that made or refreshed it. Out: the parts of an in-dialog request.

mod record;

pub use record::DialogRecord;

use super::headers::{Name, NameAddr};
use super::message::Message;
use super::uri::Uri;
use super::{Flow, Transport, TrunkId};
use crate::cidr::Network;
use std::net::{IpAddr, SocketAddr};

/// A request lower than (or equal to) the last one: 500 (§12.2.2).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

/// One Route value: the text as it came, and what it says.
#[derive(Clone, Debug)]
struct Hop {
    text: String,
    uri: Uri,
}

#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub trunk: TrunkId,
    pub call_id: String,
    pub local_tag: String,
    /// Empty for an RFC 2543 peer without tags.
    pub remote_tag: String,
    /// From of our requests, without tag.
    local: String,
    /// To of our requests, without tag.
    remote: String,
    pub local_cseq: u32,
    pub remote_cseq: Option<u32>,
    remote_target: Uri,
    routes: Vec<Hop>,
    /// Where the peer's last target refresh (or our INVITE's response) came from.
    pub flow: Flow,
    /// Where the INVITE (or the 2xx to ours) came from.
    set_up_by: IpAddr,
    /// The peer's Contact cannot be reached as written: it sits behind a NAT.
    behind_nat: bool,
    /// The stream connection of `flow` is gone.
    flow_lost: bool,
    /// We made the Call-ID (back-off of §14.1).
    pub owns_call_id: bool,
    /// Counts the changes of target and flow.
    changes: u32,
}

/// Where an in-dialog request goes and which headers bring it there (§12.2.1.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub request_uri: String,
    pub routes: Vec<String>,
    pub flow: Flow,
}

impl Dialog {
    /// The dialog of an INVITE we answer (§12.1.1). `None`: Contact or Record-Route cannot be read. An RFC 2543 peer without
    /// Contact is reached at its From.
    pub fn callee(trunk: TrunkId, invite: &Message, local_tag: String, first_cseq: u32, flow: Flow) -> Option<Dialog> {
        let remote = invite.from()?.ok()?;
        let local = invite.to()?.ok()?;
        let contact = match invite.contact() {
            Some(contact) => contact.ok()?.uri,
            None => remote.uri.clone(),
        };
        Some(Dialog {
            trunk,
            call_id: invite.call_id()?,
            local_tag,
            remote_tag: remote.tag().unwrap_or_default().to_owned(),
            local: without_tag(&local),
            remote: without_tag(&remote),
            local_cseq: first_cseq,
            remote_cseq: Some(invite.cseq()?.ok()?.number),
            behind_nat: behind_nat(&contact, invite, flow),
            remote_target: contact,
            routes: hops(invite)?,
            flow,
            set_up_by: flow.remote.ip(),
            flow_lost: false,
            owns_call_id: false,
            changes: 0,
        })
    }

    /// The dialog of a 2xx to our INVITE (§12.1.2). A 2xx without usable Contact leaves the INVITE's Request-URI as target.
    pub fn caller(trunk: TrunkId, invite: &Message, response: &Message, flow: Flow) -> Option<Dialog> {
        let local = invite.from()?.ok()?;
        // Of the response's To only the tag counts: the rest is what we wrote (§8.2.6.2).
        let remote = invite.to()?.ok()?;
        let contact = match response.contact() {
            Some(Ok(contact)) => contact.uri,
            _ => invite.request_uri()?.ok()?,
        };
        let mut routes = hops(response)?;
        routes.reverse();
        Some(Dialog {
            trunk,
            call_id: invite.call_id()?,
            local_tag: local.tag()?.to_owned(),
            remote_tag: peer_tag(response).unwrap_or_default(),
            local: without_tag(&local),
            remote: without_tag(&remote),
            local_cseq: invite.cseq()?.ok()?.number,
            remote_cseq: None,
            behind_nat: behind_nat(&contact, response, flow),
            remote_target: contact,
            routes,
            flow,
            set_up_by: flow.remote.ip(),
            flow_lost: false,
            owns_call_id: true,
            changes: 0,
        })
    }

    /// Whether a request from `source` may belong to the dialog (A12): it is where the dialog was set up or last refreshed from,
    /// a host that the dialog names (Contact, Record-Route), or in one network with the host that set it up.
    pub fn may_speak(&self, source: IpAddr, trunks: &[Network]) -> bool {
        let same = |ip: IpAddr| ip.to_canonical() == source.to_canonical();
        let named = || self.routes.iter().map(|hop| &hop.uri).chain([&self.remote_target]).filter_map(Uri::host_ip);
        same(self.set_up_by)
            || same(self.flow.remote.ip())
            || named().any(same)
            || trunks.iter().any(|trunk| trunk.contains(source) && trunk.contains(self.set_up_by))
    }

    /// From value of our requests.
    pub fn from(&self) -> String {
        format!("{};tag={}", self.local, self.local_tag)
    }

    /// To value of our requests.
    pub fn to(&self) -> String {
        match self.remote_tag.as_str() {
            "" => self.remote.clone(),
            tag => format!("{};tag={tag}", self.remote),
        }
    }

    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// Takes the CSeq of a new request; gaps are fine (§12.2.2).
    pub fn take_cseq(&mut self, number: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(number);
        Ok(())
    }

    /// Target refresh by re-INVITE, UPDATE or their 2xx (§12.2.1.2, §12.2.2); the route set stays.
    pub fn refresh(&mut self, message: &Message, flow: Flow) {
        self.set_flow(flow);
        if let Some(Ok(contact)) = message.contact() {
            let other = contact.uri.as_str() != self.remote_target.as_str();
            self.changes = self.changes.wrapping_add(other.into());
            self.behind_nat = behind_nat(&contact.uri, message, flow);
            self.remote_target = contact.uri;
        }
    }

    /// A stream request came by another connection: the old one is probably dead.
    pub fn seen_on(&mut self, flow: Flow) {
        if flow.transport.is_reliable() {
            self.set_flow(flow);
        }
    }

    fn set_flow(&mut self, flow: Flow) {
        self.changes = self.changes.wrapping_add((flow != self.flow).into());
        self.flow = flow;
        self.flow_lost = false;
    }

    /// The connection is gone: further requests try the Contact (TRN-04).
    pub fn lost(&mut self, flow: Flow) {
        self.flow_lost |= self.flow.transport.is_reliable() && self.flow == flow;
    }

    /// Request-URI, Route and next hop, with loose and strict routing.
    pub fn target(&self) -> Target {
        let texts = || self.routes.iter().map(|hop| hop.text.clone());
        let flow = self.next_hop();
        match self.routes.first() {
            None => Target { request_uri: plain(&self.remote_target), routes: Vec::new(), flow },
            Some(first) if first.uri.param("lr").is_some() => {
                Target { request_uri: plain(&self.remote_target), routes: texts().collect(), flow }
            }
            Some(strict) => {
                let last = format!("<{}>", self.remote_target);
                Target { request_uri: plain(&strict.uri), routes: texts().skip(1).chain([last]).collect(), flow }
            }
        }
    }

    fn next_hop(&self) -> Flow {
        let hop = self.routes.first().map_or(&self.remote_target, |hop| &hop.uri);
        let reachable = !(self.behind_nat && self.routes.is_empty());
        let use_address = match self.flow.transport {
            Transport::Udp => reachable,
            Transport::Tcp | Transport::Tls => self.flow_lost,
        };
        match address(hop, self.flow.transport) {
            Some(remote) if use_address && remote.is_ipv4() == self.flow.remote.is_ipv4() => {
                Flow { remote, conn: 0, ..self.flow }
            }
            _ => self.flow,
        }
    }
}

/// To-tag of a response, if it is one that may be written into our requests.
pub(crate) fn peer_tag(response: &Message) -> Option<String> {
    let to = response.to()?.ok()?;
    to.tag().filter(|tag| is_token(tag)).map(str::to_owned)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c))
}

/// The socket address of a URI whose host is an IP literal and whose transport is the dialog's.
fn address(uri: &Uri, transport: Transport) -> Option<SocketAddr> {
    let secure = transport == Transport::Tls;
    let named = uri.param("transport").flatten().unwrap_or(transport.via_token());
    // RFC 5630 §3.1.4: `transport=tcp` is also said of TLS.
    let same = named.eq_ignore_ascii_case(transport.via_token()) || (secure && named.eq_ignore_ascii_case("tcp"));
    if !same {
        return None;
    }
    if uri.scheme() == "sips" && !secure {
        return None;
    }
    Some(SocketAddr::new(uri.host_ip()?, uri.port().unwrap_or(if secure { 5061 } else { 5060 })))
}

/// A private Contact of a peer whose packets come from elsewhere. Two Vias with a truthful first one are a proxy, no NAT:
/// it may have left the path, then the Contact is right.
fn behind_nat(contact: &Uri, message: &Message, flow: Flow) -> bool {
    let Some(host) = contact.host_ip() else { return false };
    if !is_private(host) || host == flow.remote.ip() {
        return false;
    }
    let by_proxy = message.is_request()
        && message.vias().is_ok_and(|vias| {
            vias.len() > 1 && vias.first().and_then(|v| v.host.parse::<IpAddr>().ok()) == Some(flow.remote.ip())
        });
    !by_proxy
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64; // RFC 6598
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn hops(message: &Message) -> Option<Vec<Hop>> {
    let texts = message.values(&Name::RecordRoute);
    let parsed = message.addresses(&Name::RecordRoute).ok()?;
    (texts.len() == parsed.len())
        .then(|| texts.into_iter().zip(parsed).map(|(text, address)| Hop { text, uri: address.uri }).collect())
}

/// A Request-URI has no headers part (§19.1.5).
fn plain(uri: &Uri) -> String {
    uri.as_str().split('?').next().unwrap_or_default().to_owned()
}

/// Our or the peer's address as a name-addr with its parameters, except the tag.
fn without_tag(address: &NameAddr) -> String {
    let mut text = String::new();
    if let Some(display) = &address.display {
        text.push('"');
        for c in display.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("\" ");
    }
    text.push('<');
    text.push_str(address.uri.as_str());
    text.push('>');
    for (name, value) in address.params.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("tag")) {
        text.push(';');
        text.push_str(name);
        if let Some(value) = value {
            text.push('=');
            match is_token(value) {
                true => text.push_str(value),
                false => text.push_str(&format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))),
            }
        }
    }
    text
}
