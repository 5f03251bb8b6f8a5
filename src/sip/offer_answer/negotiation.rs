//! The state of one call's offer/answer (RFC 3264) and its decisions.
//!
//! In: the peer's descriptions. Out: ours, and what was agreed on; a description that is refused changes nothing (DLG-11).

use super::audio_line::Audio;
use super::security::{self, OfferedKeys, Profile, Secured};
use super::{Answer, Codec, Direction, LocalMedia, MediaParams, Refusal};
use crate::sip::audio_formats::{AudioFormats, packet_length_ms};
use crate::sip::sdp::{self, Description, Host, Line, Stream};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Offer/answer state of one call. A refused offer or answer leaves the state as it was (DLG-11).
#[derive(Clone, Debug)]
pub struct Negotiation {
    local: LocalMedia,
    hold: bool,
    /// Version and lines of what we sent last; the version grows only when the lines change (SDP-09).
    sent: Option<(u64, Vec<Line>)>,
    /// Our offer that waits for its answer.
    pending: Option<Offered>,
    /// The `m=` lines of the session, which every later description repeats in order (RFC 3264 §8).
    slots: Vec<Slot>,
    current: Option<MediaParams>,
    /// `o=` of the peer's last description that was taken.
    peer_origin: Option<String>,
}

/// What we said in an offer.
#[derive(Clone, Debug)]
struct Offered {
    codecs: Vec<(u8, Codec)>,
    dtmf: Option<u8>,
    direction: Direction,
    audio_slot: usize,
    keys: OfferedKeys,
}

/// One `m=` line of the session.
#[derive(Clone, Debug)]
enum Slot {
    /// Ours, with its profile.
    Audio(String),
    Refused {
        kind: String,
        proto: String,
        format: String,
    },
}

/// The one stream of an offer that is taken.
struct Taken {
    index: usize,
    formats: AudioFormats,
    codec: Codec,
    send_payload_type: u8,
    remote: Remote,
    /// `None`: plain RTP.
    secured: Option<Secured>,
}

/// Where media goes, and whether the peer forbids it by its address alone.
struct Remote {
    addr: Option<SocketAddr>,
    /// `c=0.0.0.0` or `c=::` (RFC 3264 §8.4).
    held: bool,
}

impl Negotiation {
    pub fn new(local: LocalMedia) -> Negotiation {
        Negotiation {
            local,
            hold: false,
            sent: None,
            pending: None,
            slots: Vec::new(),
            current: None,
            peer_origin: None,
        }
    }
    pub fn local(&self) -> &LocalMedia {
        &self.local
    }
    /// What both sides agreed on last.
    pub fn current(&self) -> Option<&MediaParams> {
        self.current.as_ref()
    }
    /// Holds or resumes from our side; takes effect with the next offer, or the next answer.
    pub fn set_hold(&mut self, hold: bool) {
        self.hold = hold;
    }
    /// What we want: everything, or to be heard only.
    fn wish(&self) -> Direction {
        if self.hold { Direction::SendOnly } else { Direction::SendRecv }
    }

    /// Why [`Negotiation::offer`] would offer nothing of use: SRTP is a must, and its keys may not travel.
    pub fn no_offer(&self) -> Option<Refusal> {
        security::no_offer(self.local.srtp.as_ref()?)
    }

    /// Our full offer with the current hold state (initial INVITE, late offer, answer to an empty re-INVITE).
    pub fn offer(&mut self) -> Bytes {
        let direction = self.wish();
        let codecs: Vec<_> = self.local.codecs.iter().map(|codec| (codec.static_payload_type(), *codec)).collect();
        let dtmf = self.local.dtmf.then(|| self.dtmf_payload_type());
        if !self.slots.iter().any(|slot| matches!(slot, Slot::Audio(_))) {
            self.slots.push(Slot::Audio(security::first_profile(self.local.srtp.as_ref()).to_owned()));
        }
        let audio_slot = self.slots.iter().position(|slot| matches!(slot, Slot::Audio(_))).unwrap_or_default();
        let keys = OfferedKeys::new(self.local.srtp.as_ref(), self.current.as_ref());
        let ptime_ms = self.local.ptime_ms;
        let audio =
            Audio { codecs: &codecs, dtmf, flash: true, ptime_ms, direction, crypto: keys.lines(), rtcp_mux: false };
        let lines = self.lines(&self.slots, &audio, self.local.port);
        self.pending = Some(Offered { codecs, dtmf, direction, audio_slot, keys });
        self.send(lines)
    }

    /// A number once used for telephone-event keeps its meaning (RFC 3264 §8.3.2).
    fn dtmf_payload_type(&self) -> u8 {
        let current = self.current.as_ref();
        let taken = |n: &u8| current.is_some_and(|media| media.receive.iter().any(|(used, _)| used == n));
        let kept = current.and_then(|media| media.dtmf_receive);
        kept.or_else(|| std::iter::once(101).chain(96..=127).find(|n| !taken(n))).unwrap_or(101)
    }

    /// Answers an offer. On `Err` nothing has changed.
    pub fn receive_offer(&mut self, sdp: &[u8]) -> Result<Answer, Refusal> {
        let offer = Description::parse(sdp).map_err(|why| refusal(400, why))?;
        let taken = match self.take_stream(&offer.streams) {
            Ok(taken) => taken,
            Err(refused) => return self.answer_disabled(&offer).ok_or(refused),
        };
        let Some(stream) = offer.streams.get(taken.index) else { return Err(refusal(488, "no audio stream")) };
        let direction = self.wish().and(seen_from_here(stream, taken.remote.held));
        let dtmf = taken.formats.dtmf.filter(|_| self.local.dtmf);
        let ptime_ms = packet_length_ms(stream.ptime_ms, stream.maxptime_ms, self.local.ptime_ms);
        let slots = slots(&offer.streams, Some(taken.index), taken.secured.is_some());
        // One codec and telephone-event, by the offer's own numbers (SDP-05, SDP-06).
        let codecs = [(taken.send_payload_type, taken.codec)];
        let crypto = taken.secured.as_ref().map_or(&[][..], |secured| std::slice::from_ref(&secured.line));
        let audio = Audio {
            codecs: &codecs,
            dtmf,
            flash: taken.formats.dtmf_flash,
            ptime_ms,
            direction,
            crypto,
            rtcp_mux: stream.rtcp_mux,
        };
        let lines = self.lines(&slots, &audio, self.local.port);
        let media = MediaParams {
            remote: taken.remote.addr,
            codec: taken.codec,
            send_payload_type: taken.send_payload_type,
            receive: codecs.to_vec(),
            dtmf_send: dtmf,
            dtmf_receive: dtmf,
            comfort_noise: taken.formats.comfort_noise,
            ptime_ms,
            direction,
            srtp: taken.secured.as_ref().map(|secured| secured.keys.clone()),
            rtcp_mux: stream.rtcp_mux,
            remote_rtcp: taken.remote.addr.and_then(|rtp| remote_rtcp(stream, rtp, stream.rtcp_mux)),
        };
        if let Some(secured) = taken.secured {
            self.local.srtp = Some(secured.local);
        }
        Ok(self.accept(&offer, slots, lines, media))
    }

    fn accept(&mut self, offer: &Description, slots: Vec<Slot>, lines: Vec<Line>, media: MediaParams) -> Answer {
        // Some peers change media without a new version: only what is equal in effect is a refresh (SDP-09).
        let same_version = offer.origin.is_some() && offer.origin == self.peer_origin;
        let refresh = same_version && self.current.as_ref() == Some(&media);
        self.peer_origin.clone_from(&offer.origin);
        self.slots = slots;
        self.current = Some(media.clone());
        Answer { sdp: self.send(lines), media, refresh }
    }

    /// An offer in mid-call that switches every stream off: media pauses, the call goes on.
    fn answer_disabled(&mut self, offer: &Description) -> Option<Answer> {
        let is_audio = |stream: &Stream| stream.kind == "audio";
        if offer.streams.iter().any(|stream| stream.port != 0) {
            return None;
        }
        let index = offer.streams.iter().position(is_audio)?;
        let media = MediaParams { remote: None, direction: Direction::Inactive, ..self.current.clone()? };
        let secure = media.srtp.is_some();
        let refused = self.lines(&slots(&offer.streams, None, secure), &Audio::NONE, 0);
        Some(self.accept(offer, slots(&offer.streams, Some(index), secure), refused, media))
    }

    /// The first audio stream that can be taken, one with SRTP before one without; else why the first one cannot.
    fn take_stream(&self, streams: &[Stream]) -> Result<Taken, Refusal> {
        let (mut first_plain, mut first_refusal) = (None, None);
        for (index, stream) in streams.iter().enumerate().filter(|(_, stream)| stream.kind == "audio") {
            match self.try_stream(index, stream) {
                Ok(taken) if taken.secured.is_some() => return Ok(taken),
                Ok(taken) => first_plain = first_plain.or(Some(taken)),
                Err(refused) => first_refusal = first_refusal.or(Some(refused)),
            }
        }
        if let Some(taken) = first_plain {
            return Ok(taken);
        }
        let only_fax = streams.iter().any(|stream| stream.kind == "image");
        let why = if only_fax { "T.38 fax without audio is not supported" } else { "no audio stream" };
        Err(first_refusal.unwrap_or_else(|| refusal(488, why)))
    }

    fn try_stream(&self, index: usize, stream: &Stream) -> Result<Taken, Refusal> {
        if stream.port == 0 {
            return Err(refusal(488, "the audio stream is switched off"));
        }
        let profile = Profile::of(stream)?;
        let formats = AudioFormats::read(stream).map_err(|why| refusal(488, why))?;
        let remote = self.remote(stream)?;
        let secured = Secured::new(profile, stream, remote.addr, self.local.srtp.as_ref(), self.current.as_ref())?;
        let ours = |codec: &Codec| self.local.codecs.contains(codec);
        let by_offer = || formats.codecs.iter().map(|(_, codec)| *codec).find(ours);
        let by_us = || self.local.codecs.iter().copied().find(|codec| formats.payload_type(*codec).is_some());
        let codec = if self.local.prefer_local_order { by_us() } else { by_offer() };
        let no_codec = || {
            let ours: Vec<&str> = self.local.codecs.iter().map(|codec| codec.name()).collect();
            refusal(488, &format!("no codec in common: this side takes {} as configured", ours.join(", ")))
        };
        let codec = codec.ok_or_else(no_codec)?;
        let send_payload_type = formats.payload_type(codec).ok_or_else(no_codec)?;
        Ok(Taken { index, formats, codec, send_payload_type, remote, secured })
    }

    fn remote(&self, stream: &Stream) -> Result<Remote, Refusal> {
        match stream.host {
            None => Err(refusal(488, "no c= line for the audio stream")),
            Some(Host::Name) => Ok(Remote { addr: None, held: false }),
            Some(Host::Ip(ip)) if ip.is_unspecified() => Ok(Remote { addr: None, held: true }),
            Some(Host::Ip(ip)) if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => {
                Err(refusal(488, "a c= address that is not of one host"))
            }
            Some(Host::Ip(ip)) if ip.is_ipv4() != self.local.addr.to_canonical().is_ipv4() => {
                Err(refusal(488, "a c= address of the other IP version"))
            }
            Some(Host::Ip(ip)) => Ok(Remote { addr: Some(SocketAddr::new(ip, stream.port)), held: false }),
        }
    }

    /// The answer to our last [`Negotiation::offer`]. On `Err` the session is as it was before the offer.
    pub fn receive_answer(&mut self, sdp: &[u8]) -> Result<MediaParams, Refusal> {
        let answer = Description::parse(sdp).map_err(|why| refusal(400, why))?;
        let offered = self.pending.as_ref().ok_or_else(|| refusal(400, "an answer without an offer"))?;
        let by_slot = answer.streams.get(offered.audio_slot).filter(|stream| stream.kind == "audio");
        let stream = by_slot.or_else(|| answer.streams.iter().find(|stream| stream.kind == "audio"));
        let stream = stream.ok_or_else(|| refusal(488, "an answer without audio"))?;
        if stream.port == 0 {
            return Err(refusal(488, "the answer refuses the audio stream"));
        }
        let profile = Profile::of(stream)?;
        let formats = AudioFormats::read(stream).map_err(|why| refusal(488, why))?;
        let remote = self.remote(stream)?;
        let agreed = offered.keys.agreed(profile, stream, self.local.srtp.as_ref())?;
        // The answerer's order; its numbers towards it, ours towards us (SDP-06).
        let was_offered = |codec: &Codec| offered.codecs.iter().any(|(_, c)| c == codec);
        let chosen = formats.codecs.iter().find(|(_, codec)| was_offered(codec));
        let (send_payload_type, codec) =
            *chosen.ok_or_else(|| refusal(488, "an answer without a codec of the offer"))?;
        let dtmf_send = formats.dtmf.filter(|_| offered.dtmf.is_some());
        let media = MediaParams {
            remote: remote.addr,
            codec,
            send_payload_type,
            receive: offered.codecs.clone(),
            dtmf_send,
            dtmf_receive: offered.dtmf.filter(|_| dtmf_send.is_some()),
            comfort_noise: formats.comfort_noise,
            ptime_ms: packet_length_ms(stream.ptime_ms, stream.maxptime_ms, self.local.ptime_ms),
            direction: offered.direction.and(seen_from_here(stream, remote.held)),
            srtp: agreed.as_ref().map(|agreed| agreed.keys.clone()),
            // Never offered, so it cannot be answered (RFC 5761 §5.1.1).
            rtcp_mux: false,
            remote_rtcp: remote.addr.and_then(|rtp| remote_rtcp(stream, rtp, false)),
        };
        if let Some(agreed) = agreed {
            self.local.srtp = Some(agreed.local);
        }
        self.pending = None;
        self.peer_origin = answer.origin;
        self.current = Some(media.clone());
        Ok(media)
    }

    /// Our `m=` lines for these slots.
    fn lines(&self, slots: &[Slot], audio: &Audio<'_>, port: u16) -> Vec<Line> {
        let line = |slot: &Slot| match slot {
            Slot::Audio(profile) => audio.line(profile, port),
            Slot::Refused { kind, proto, format } => Line {
                kind: kind.clone(),
                port: 0,
                proto: proto.clone(),
                formats: format.clone(),
                attributes: Vec::new(),
            },
        };
        slots.iter().map(line).collect()
    }

    fn send(&mut self, lines: Vec<Line>) -> Bytes {
        let version = match &self.sent {
            Some((version, before)) if *before == lines => *version,
            Some((version, _)) => version + 1,
            None => 1,
        };
        let sdp = sdp::write(self.local.addr, self.local.session_id, version, &lines);
        self.sent = Some((version, lines));
        sdp.into()
    }
}

fn refusal(status: u16, why: &str) -> Refusal {
    Refusal { status, why: why.to_owned(), about_srtp: false }
}

/// The peer's direction turned round; an address of zero only forbids us to send.
fn seen_from_here(stream: &Stream, held: bool) -> Direction {
    let reversed = stream.direction.reversed();
    if held { reversed.and(Direction::RecvOnly) } else { reversed }
}

/// Where the peer's RTCP is: with mux at its RTP port, else as `a=rtcp` says, else at the next port (RFC 3550 §11, RFC 3605, RFC 5761).
fn remote_rtcp(stream: &Stream, rtp: SocketAddr, mux: bool) -> Option<SocketAddr> {
    if mux {
        return Some(rtp);
    }
    match stream.rtcp() {
        None => rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port)),
        // Not an address of one host, or of the other IP version: no reports rather than reports to nowhere.
        Some((_, Some(ip))) if ip.is_unspecified() || ip.is_multicast() || ip.is_ipv4() != rtp.ip().is_ipv4() => None,
        Some((port, ip)) => Some(SocketAddr::new(ip.unwrap_or(rtp.ip()), port)),
    }
}

/// The slots of a peer's offer, of which at most one is taken (SDP-03), with SRTP or without.
fn slots(streams: &[Stream], taken: Option<usize>, secure: bool) -> Vec<Slot> {
    let slot = |(index, stream): (usize, &Stream)| {
        if Some(index) == taken {
            return Slot::Audio(security::kept_profile(stream, secure).to_owned());
        }
        let format = stream.formats.first().map_or("0", String::as_str);
        Slot::Refused { kind: stream.kind_as_written.clone(), proto: stream.proto.clone(), format: format.to_owned() }
    };
    streams.iter().enumerate().map(slot).collect()
}
