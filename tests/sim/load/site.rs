//! The far side: callers at five sites, what each of them does, and what breaks.

use crate::net::{End, WEATHER, flow, site_addr};
use crate::server::media_of;
use crate::world::{Due, World};
use bytes::Bytes;
use rand::Rng;
use std::time::Duration;
use voxtrunk::rtp::packet::{self, Packet};
use voxtrunk::sip::TrunkId;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::offer_answer::{Codec, LocalMedia, Negotiation};
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{NewInvite, SessionEnd, SessionId, UaCommand, UaEvent};

/// What a caller does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// BYE, or CANCEL before the answer.
    HangUp,
    Hold(bool),
    EmptyReinvite,
    Info,
    /// A key, as RFC 4733.
    Key(u8),
    /// Nothing of it is heard or heard by it any more.
    Vanish,
}

/// One call as its caller sees it.
pub struct Caller {
    pub number: u32,
    negotiation: Negotiation,
    answered: bool,
    /// Sends audio.
    speaks: bool,
    /// Our empty re-INVITE is out: its answer is an offer.
    asked_offer: bool,
    sequence: u16,
}

const KNOWN: &str = "sip:4711@192.0.2.10";

impl World {
    pub fn next_call(&mut self) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.placed += 1;
        self.place(self.placed);
        // Bursts now and then.
        let gap = if (self.now - self.t0).as_secs() % 30 >= 27 { 4 } else { 20 };
        self.soon(gap, Due::Call);
    }

    fn place(&mut self, number: u32) {
        let site = self.rng.random_range(0..self.sites.len());
        let session = self.sites[site].agent.ua.new_session_id();
        let media = media_of(number, site);
        let mut negotiation = Negotiation::new(LocalMedia {
            addr: media.ip(),
            port: media.port(),
            codecs: if self.rng.random() { vec![Codec::Pcma, Codec::Pcmu] } else { vec![Codec::Pcmu] },
            prefer_local_order: false,
            dtmf: self.rng.random_bool(0.8),
            ptime_ms: if self.rng.random_bool(0.9) { 20 } else { 30 },
            session_id: number.into(),
            ..LocalMedia::default()
        });
        let (mut target, mut headers, mut sdp) = (KNOWN, Vec::new(), Some(negotiation.offer()));
        match self.rng.random_range(0..100) {
            0..4 => target = "sip:4712@192.0.2.10",
            4..9 => sdp = None,
            9..11 => sdp = Some(Bytes::from_static(b"v=0\r\no=- 1 1 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n")),
            11..13 => headers.push((Name::ContentEncoding, "gzip".to_owned())),
            _ => {}
        }
        match (&sdp, headers.is_empty()) {
            (None, _) => self.count("late offers"),
            (_, false) => self.count("bad content"),
            (Some(sdp), _) if sdp.ends_with(b"AVP 18\r\n") => self.count("no codec"),
            _ => {}
        }
        let speaks = self.rng.random_bool(0.1);
        let caller = Caller { number, negotiation, answered: false, speaks, asked_offer: false, sequence: 1 };
        self.sites[site].callers.insert(session, caller);
        self.early_acts(site, session);
        let invite = NewInvite {
            session,
            trunk: TrunkId(0),
            flows: vec![flow(End::Site(site), site, self.sites[site].conn)],
            target: Uri::parse(target).expect("a URI of the test"),
            from: format!("<sip:c{number}@{}>", site_addr(site).ip()),
            sdp,
            headers,
            ring_limit: Duration::from_secs(60),
        };
        self.command(End::Site(site), UaCommand::Invite(Box::new(invite)));
    }

    fn early_acts(&mut self, site: usize, session: SessionId) {
        let act = |act| Due::Act { site, session, act };
        match self.rng.random_range(0..100) {
            0..9 => self.soon(1_500, act(Act::HangUp)),
            9..14 => self.soon(5_000, act(Act::Vanish)),
            _ => {}
        }
        // Nobody lets it ring for ever.
        self.after(90_000, act(Act::HangUp));
    }

    /// What a caller does in a call that stands.
    fn later_acts(&mut self, site: usize, session: SessionId) {
        let act = |act| Due::Act { site, session, act };
        for _ in 0..self.rng.random_range(0..3) {
            let deed = match self.rng.random_range(0..12) {
                0..3 => Act::Hold(true),
                3..5 => Act::Hold(false),
                5..7 => Act::EmptyReinvite,
                7..9 => Act::Info,
                _ => Act::Key(self.rng.random_range(0..17)),
            };
            self.soon(3_000, act(deed));
        }
        // Some leave it to the agent or to the limits.
        let talk = match self.rng.random_range(0..100) {
            0 => 120_000,
            1..6 => 12_000,
            _ => 2_500,
        };
        self.soon(talk, act(Act::HangUp));
        if self.sites[site].callers[&session].speaks {
            self.after(20, Due::Rtp { site, session });
        }
    }

    pub fn act(&mut self, site: usize, session: SessionId, act: Act) {
        let Some(caller) = self.sites[site].callers.get_mut(&session) else { return };
        let number = caller.number;
        let command = match act {
            Act::HangUp => {
                let what = if caller.answered { "hung up" } else { "cancelled" };
                self.count(what);
                UaCommand::Hangup { session, reason: None }
            }
            Act::Hold(hold) => {
                caller.negotiation.set_hold(hold);
                let sdp = Some(caller.negotiation.offer());
                self.count("held");
                UaCommand::Reinvite { session, sdp }
            }
            Act::EmptyReinvite => {
                caller.asked_offer = true;
                self.count("empty re-INVITEs");
                UaCommand::Reinvite { session, sdp: None }
            }
            Act::Info => {
                self.count("INFO");
                let (content_type, body) = self.info();
                UaCommand::Info { session, content_type, body }
            }
            Act::Key(event) => return self.presses(site, session, event),
            Act::Vanish => {
                self.vanished.insert(number);
                return self.count("vanished");
            }
        };
        self.tell_site(site, command);
    }

    /// A DTMF body, more often than not one that is none.
    fn info(&mut self) -> (String, Vec<u8>) {
        let types =
            ["application/dtmf-relay", "application/dtmf", "Application/DTMF-relay; x=1", "text/plain", "application/"];
        let content_type = types[self.rng.random_range(0..types.len())].to_owned();
        let mut body = b"Signal=5\r\nDuration=160\r\n".to_vec();
        for _ in 0..self.rng.random_range(0..4) {
            let at = self.rng.random_range(0..body.len());
            match self.rng.random_range(0..3) {
                0 => body[at] = self.rng.random(),
                1 => body.truncate(at.max(1)),
                _ => body.extend_from_within(at..),
            }
        }
        (content_type, body)
    }

    pub fn tell_site(&mut self, site: usize, command: UaCommand) {
        self.command(End::Site(site), command);
    }

    /// Within the drain of the site's user agent.
    fn soon_at_site(&mut self, site: usize, most: u64, command: UaCommand) {
        self.soon(most, Due::Do { site, command: Box::new(command) });
    }

    pub fn site_hears(&mut self, site: usize, event: UaEvent) {
        let Some(session) = event.session() else { panic!("{}: {event:?}", self.told()) };
        let told = self.told();
        let now = self.now;
        let Some(caller) = self.sites[site].callers.get_mut(&session) else {
            panic!("{told}: {event:?} after the end")
        };
        match event {
            UaEvent::Answered { sdp, .. } => {
                assert!(!std::mem::replace(&mut caller.answered, true), "{told}: answered twice");
                if let Some(sdp) = &sdp {
                    match caller.negotiation.receive_answer(sdp) {
                        Ok(_) => {}
                        // It was a late offer.
                        Err(_) => {
                            let answer =
                                caller.negotiation.receive_offer(sdp).unwrap_or_else(|e| panic!("{told}: {}", e.why));
                            self.sites[site].agent.ua.command(now, UaCommand::AnswerInAck { session, sdp: answer.sdp });
                        }
                    }
                }
                self.count("answered");
                self.later_acts(site, session);
            }
            UaEvent::Reinvite { offer, .. } => {
                let answer = match &offer {
                    Some(offer) => caller.negotiation.receive_offer(offer).map(|a| a.sdp).map_err(|e| e.status),
                    None => Ok(caller.negotiation.offer()),
                };
                self.soon_at_site(site, 300, UaCommand::AnswerReinvite { session, answer });
            }
            UaEvent::ReinviteAck { sdp: Some(sdp), .. } => _ = caller.negotiation.receive_answer(&sdp),
            UaEvent::ReinviteDone { sdp: Some(sdp), .. } => {
                if std::mem::take(&mut caller.asked_offer) {
                    let answer = caller.negotiation.receive_offer(&sdp).unwrap_or_else(|e| panic!("{told}: {}", e.why));
                    self.soon_at_site(site, 100, UaCommand::AnswerInAck { session, sdp: answer.sdp });
                } else {
                    let taken = caller.negotiation.receive_answer(&sdp);
                    assert!(taken.is_ok() || caller.asked_offer, "{told}: {taken:?}");
                }
            }
            UaEvent::ReferRequested { .. } => {
                self.count("transfers");
                let status = if self.rng.random_bool(0.8) { 202 } else { 603 };
                self.sites[site].agent.ua.command(now, UaCommand::AnswerRefer { session, status });
                if status == 202 && self.rng.random_bool(0.9) {
                    let end = if self.rng.random_bool(0.7) { 200 } else { 486 };
                    self.soon_at_site(site, 4_000, UaCommand::NotifyRefer { session, status: end });
                }
            }
            UaEvent::Ended { end, .. } => {
                let what = match end {
                    SessionEnd::PeerBye { .. } => "site ended: peer bye",
                    SessionEnd::Local => "site ended: local",
                    SessionEnd::Failed { status: 408 | 503, .. } => "site ended: timeout or no room",
                    SessionEnd::Failed { .. } => "site ended: 486 and the like",
                    SessionEnd::PeerCancel { .. } | SessionEnd::NoAck => panic!("{told}: {end:?} at a caller"),
                };
                self.sites[site].callers.remove(&session);
                self.count(what);
            }
            UaEvent::IncomingCall { .. } | UaEvent::Established { .. } => panic!("{told}: nobody calls a site"),
            _ => {}
        }
    }

    fn presses(&mut self, site: usize, session: SessionId, event: u8) {
        for (end, duration) in [(0u8, 160u16), (0, 320), (0x80, 480), (0x80, 480)] {
            let [high, low] = duration.to_be_bytes();
            self.sends(site, session, 101, &[event, end | 10, high, low]);
        }
        self.count("keys");
    }

    /// 20 ms of a caller's audio, and the next.
    pub fn caller_speaks(&mut self, site: usize, session: SessionId) {
        if self.sends(site, session, 0, &[0xff; 160]) {
            self.after(20, Due::Rtp { site, session });
        }
    }

    fn sends(&mut self, site: usize, session: SessionId, payload_type: u8, payload: &[u8]) -> bool {
        let Some(caller) = self.sites[site].callers.get_mut(&session) else { return false };
        caller.sequence = caller.sequence.wrapping_add(1);
        let (number, sequence) = (caller.number, caller.sequence);
        let timestamp = if payload_type == 101 { 7 } else { u32::from(sequence) * 160 };
        let mut out = Vec::new();
        packet::write(&Packet { payload_type, marker: false, sequence, timestamp, ssrc: number, payload }, &mut out);
        if !self.vanished.contains(&number) && !self.rng.random_bool(WEATHER[site].loss) {
            self.media_arrives(number, media_of(number, site), &out);
        }
        true
    }

    /// A connection breaks, or a whole site forgets what it knew.
    pub fn fault(&mut self) {
        let site = self.rng.random_range(0..self.sites.len());
        if self.rng.random_bool(0.3) {
            self.count("crashes");
            self.site_crashes(site);
        } else if WEATHER[site].transport.is_reliable() {
            self.count("connections broken");
            self.connection_breaks(site);
        }
        if self.left > 0 {
            self.soon(2_500, Due::Fault);
        }
    }
}
