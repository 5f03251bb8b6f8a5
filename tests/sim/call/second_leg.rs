//! The second leg of a call, as its owner and its far end see it.

use crate::peer::{Peer, Voice};
use crate::world::{World, local_media, ms, offer, peer_addr};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use voxtrunk::call::{CallEvent, Input, LegReady, LegRequest};
use voxtrunk::codec::Codec;
use voxtrunk::sip::message::{Framing, Message};
use voxtrunk::sip::offer_answer::LocalMedia;
use voxtrunk::sip::user_agent::{SessionEnd, SessionId, UaEvent};
use voxtrunk::sip::{Flow, Transport, TrunkId};

/// The second leg as the owner of the call sees it.
pub struct SecondLeg {
    /// Asked for and not given yet.
    pub wanted: bool,
    /// It has a port.
    pub port: bool,
    pub requests: Vec<LegRequest>,
    pub peer: Peer,
    /// It became the call's own stream.
    pub swapped: bool,
    sessions: u64,
    /// Sessions that the far end ended.
    pub ended: Vec<SessionId>,
}

impl Default for SecondLeg {
    fn default() -> SecondLeg {
        SecondLeg {
            wanted: false,
            port: false,
            requests: Vec::new(),
            peer: Peer::new(Codec::Pcmu),
            swapped: false,
            sessions: 100,
            ended: Vec::new(),
        }
    }
}

pub fn leg_addr() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20)), 4000)
}

pub fn sip_addr(host: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), 5060)
}

impl World {
    pub fn caller_addr(&self) -> SocketAddr {
        self.moved.unwrap_or(if self.leg.swapped { leg_addr() } else { peer_addr() })
    }

    /// The session of the second leg.
    pub fn leg_session(&self) -> SessionId {
        SessionId(self.leg.sessions)
    }

    /// The owner found a way; the INVITE goes out.
    pub fn leg_ready(&mut self, refer: bool) -> &mut World {
        assert!(std::mem::take(&mut self.leg.wanted), "no leg is wanted\n{self}");
        self.leg.sessions += 1;
        self.leg.port = true;
        let local = LocalMedia { port: 20_010, session_id: 43, ..local_media() };
        let flow = Flow { transport: Transport::Udp, local: sip_addr(1), remote: sip_addr(20), conn: 0 };
        let (session, from) = (self.leg_session(), "<sip:+15551230001@198.51.100.1>".to_owned());
        let trunk = TrunkId(0);
        self.input(Input::LegReady(LegReady {
            session,
            trunk,
            flows: vec![flow],
            local,
            from,
            max_forwards: 69,
            refer,
        }));
        self
    }

    pub fn leg_fails(&mut self, status: u16) -> &mut World {
        assert!(std::mem::take(&mut self.leg.wanted), "no leg is wanted\n{self}");
        self.input(Input::LegFailed { status });
        self
    }

    pub fn leg_event(&mut self, event: impl FnOnce(SessionId) -> UaEvent) -> &mut World {
        let event = event(self.leg_session());
        self.input(Input::Sip(event));
        self
    }

    /// The target answers, and its telephone sends silence.
    pub fn leg_answers(&mut self) -> &mut World {
        self.leg_answers_with("0 101")
    }

    /// The same with these payload types.
    pub fn leg_answers_with(&mut self, payload_types: &str) -> &mut World {
        self.leg.peer.voice = Voice::Silent;
        self.leg.peer.next = self.now + ms(20);
        let sdp = String::from_utf8_lossy(&offer(payload_types, 1, "sendrecv")).replace("192.0.2.10", "192.0.2.20");
        let sdp = if payload_types.contains("101") {
            sdp
        } else {
            sdp.lines().filter(|line| !line.contains(":101 ")).map(|line| format!("{line}\r\n")).collect()
        };
        let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
            To: <sip:201@pbx.example>;tag=2\r\nCall-ID: leg\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
        let response = Message::parse(Bytes::from_static(text.as_bytes()), Framing::Datagram);
        let response = response.expect("a response");
        self.leg_event(|session| UaEvent::Answered { session, sdp: Some(sdp.into()), response })
    }

    pub fn leg_ends(&mut self, end: SessionEnd) -> &mut World {
        self.leg.ended.push(self.leg_session());
        self.leg_event(|session| UaEvent::Ended { session, end })
    }

    pub fn leg_presses(&mut self, key: u8) -> &mut World {
        for packet in self.leg.peer.key(key) {
            self.input(Input::LegRtp { from: leg_addr(), datagram: &packet });
            self.run(ms(20));
        }
        self
    }

    pub fn transfer_outcomes(&self) -> Vec<&'static str> {
        let notes = self.notes.iter();
        notes
            .filter_map(|(_, e)| if let CallEvent::Transfer { outcome, .. } = e { Some(*outcome) } else { None })
            .collect()
    }

    /// The last tool result the model was given.
    pub fn told(&self) -> Option<String> {
        let mut items = self.service.sent("conversation.item.create").into_iter();
        let output = items.rfind(|e| e["item"]["type"] == "function_call_output")?;
        Some(output["item"]["output"].as_str()?.to_owned())
    }
}
