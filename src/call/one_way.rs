//! One-way audio: seen within seconds, with its likely cause and what to do about it (S3, S5).
//!
//! In: what came and was not used, what the SDP said, what the peer reports. Out: a [`Verdict`] for log, CDR and metrics, and after
//! [`PROMPT`] without any audio from the beginning on, the agent says that it cannot hear the caller. RTP-10 ends such a call later.

use super::machine::{Call, Phase};
use super::{CallEvent, MediaPolicy};
use crate::realtime::Intent;
use crate::rtp::receiver::SourcePolicy;
use crate::rtp::rtcp::ReportStats;
use crate::rtp::session::Refused;
use crate::rtp::strangers::Stranger;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Silence after the answer, or the resume, that is not normal; and silence in the middle of a call.
const START: Duration = Duration::from_secs(3);
const LATER: Duration = Duration::from_secs(8);
/// The caller is told after this (S3).
const PROMPT: Duration = Duration::from_secs(8);
/// The peer has had this many packets, and has reported that it got none so often.
const PACKETS: u64 = 150;
const DEAF_REPORTS: u32 = 2;
/// Verdicts a call.
const MOST: u32 = 4;
const CANNOT_HEAR: &str = "Nothing has been received from the caller since the call began; the line may work in one \
    direction only. In one short sentence, in the language of this call, say that you cannot hear the caller.";

/// What a call remembers of it.
#[derive(Debug, Default)]
pub(super) struct OneWay {
    /// The silence that was judged last, by its beginning.
    judged: Option<Instant>,
    unheard: bool,
    prompted: bool,
    verdicts: u32,
}

/// Why one side does not hear the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub cause: &'static str,
    pub why: String,
}

/// What is known when it is judged.
pub(super) struct Facts<'a> {
    /// The peer's media address by its SDP, ours by ours, and where its signalling comes from.
    pub sdp: Option<SocketAddr>,
    pub local: SocketAddr,
    pub signalling: IpAddr,
    pub policy: SourcePolicy,
    /// Name of the trunk, if the call has one.
    pub trunk: Option<&'a str>,
    /// The one that was agreed on.
    pub codec: &'static str,
    /// The peer's keys came.
    pub keys: bool,
    pub refused: &'a Refused,
    pub srtp_failed: u64,
    pub reports: &'a ReportStats,
    pub sent: u64,
}

impl Facts<'_> {
    /// Nothing usable comes.
    pub fn nothing_received(&self) -> Verdict {
        let ports = "the UDP ports of [media] port_min to port_max";
        let local = self.local;
        if let Some(stranger) = self.refused.strangers.loudest() {
            return Verdict { cause: "source_refused", why: self.stranger(&stranger) };
        }
        if let (Some(from), true) = (self.refused.unauthentic, self.srtp_failed > 0) {
            let why = format!(
                "{} packets, the last from {from}, fail SRTP authentication: the sender uses other keys than its SDP gives, or none; \
                 look for a B2BUA or SBC on the way that passes a=crypto on without using it",
                self.srtp_failed
            );
            return Verdict { cause: "srtp_keys", why };
        }
        if let Some(number) = self.refused.payload_type {
            let why = format!(
                "packets come with payload type {number}{}, which was not agreed on: make the peer send {}",
                name_of(number),
                self.codec
            );
            return Verdict { cause: "payload_type", why };
        }
        if self.keys {
            let why = "keys (telephone-events) come from the peer, audio does not: its microphone is muted, or a gateway on the way drops \
                       its audio; packets do reach us, so look there and not at the firewall";
            return Verdict { cause: "only_keys", why: why.to_owned() };
        }
        if self.refused.webrtc > 0 {
            let why = "STUN or DTLS comes where RTP should: the peer expects WebRTC (ICE, DTLS-SRTP), which is not spoken here; make its \
                       gateway send plain RTP or SRTP with keys in SDP";
            return Verdict { cause: "webrtc", why: why.to_owned() };
        }
        let stranger = self.refused.strangers.iter().find(|stranger| stranger.rtcp > 0);
        if self.reports.received > 0 || self.refused.unasked_mux > 0 || stranger.is_some() {
            let from = stranger.map_or(String::new(), |stranger| format!(" from {}", stranger.addr));
            let why = format!(
                "RTCP comes{from}, RTP does not: the peer sends no audio (muted, or on hold without saying so), or a firewall lets only \
                 one port through; open {ports} towards it"
            );
            return Verdict { cause: "only_rtcp", why };
        }
        let from = self.sdp.map_or("the peer".to_owned(), |sdp| sdp.ip().to_string());
        let why = if is_private(self.local.ip()) && !is_private(self.signalling) {
            format!(
                "no packet came at all: we told the peer to send to {local}, a private address, while its signalling comes from {}: \
                 set sip.advertise to our public address, and open {ports} from {from} in the firewall",
                self.signalling
            )
        } else {
            format!(
                "no packet came at all: we told the peer to send to {local}; open {ports} from {from} in the firewall, and check that the \
                 peer can reach that address (sip.advertise)"
            )
        };
        Verdict { cause: "no_packet", why }
    }

    fn stranger(&self, stranger: &Stranger) -> String {
        let (from, ip) = (stranger.addr, stranger.addr.ip().to_canonical());
        let (table, of) = match self.trunk {
            Some(trunk) => ("[trunk.media]", format!(" of trunk \"{trunk}\"")),
            None => ("[media]", String::new()),
        };
        let says = match self.sdp {
            Some(sdp) if is_private(sdp.ip()) && !is_private(ip) => {
                format!("the peer's SDP says {sdp}, a private address, its packets come from {from}")
            }
            Some(sdp) => format!("the peer's SDP says {sdp}, packets come from {from}"),
            None => format!("packets come from {from}"),
        };
        let same_host = self.sdp.is_some_and(|sdp| sdp.ip().to_canonical() == ip);
        let remedy = match self.policy {
            SourcePolicy::Strict if same_host => format!("set source_policy = \"latch\" in {table}{of}"),
            SourcePolicy::Nat => {
                format!("add \"{ip}\" to networks in {table}{of}, if that is where its media comes from")
            }
            SourcePolicy::Strict | SourcePolicy::Latch => {
                format!("set source_policy = \"nat\" in {table}{of}, or \"latch\" and add \"{ip}\" to its networks")
            }
        };
        format!("{says} and {} were refused: {remedy}", count(stranger.rtp))
    }

    /// The peer says that it gets nothing.
    fn unheard(&self) -> Option<Verdict> {
        if self.sent < PACKETS || self.reports.deaf_reports < DEAF_REPORTS {
            return None;
        }
        let Facts { local, sent, .. } = self;
        let to = self.sdp.map_or("its address".to_owned(), |sdp| sdp.to_string());
        let hint = match self.sdp {
            Some(sdp) if is_private(sdp.ip()) && !is_private(self.signalling) => {
                "that address is private: make the peer give its public one, or set source_policy = \"nat\", which answers where its \
                 packets come from"
            }
            _ => "let UDP from there through the peer's firewall, and check that its SDP says where it listens",
        };
        let why = format!("the peer reports that none of our {sent} packets from {local} to {to} arrives: {hint}");
        Some(Verdict { cause: "unheard", why })
    }
}

fn count(packets: u32) -> String {
    if packets == 1 { "1 packet".to_owned() } else { format!("{packets} packets") }
}

/// The codec of a static payload type that PBXs like to use (RFC 3551 table 4).
fn name_of(payload_type: u8) -> &'static str {
    match payload_type {
        0 => " (PCMU)",
        3 => " (GSM)",
        4 => " (G.723)",
        8 => " (PCMA)",
        9 => " (G.722)",
        15 => " (G.728)",
        18 => " (G.729)",
        13 | 19 => " (comfort noise)",
        _ => "",
    }
}

/// Not reachable from the internet (RFC 1918, 3927, 4193, 6598).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

impl Call {
    /// The caller's silence: its beginning, when it is to be judged, whether it comes after audio. `None`: no audio is owed (hold).
    fn silence_to_judge(&self) -> Option<(Instant, Instant, bool)> {
        if !matches!(self.phase, Phase::Talking | Phase::Bridged { .. }) {
            return None;
        }
        let from = self.limits.as_ref()?.media_from()?;
        let last = self.media.as_ref()?.rtp.receiver.last_heard().filter(|last| *last >= from);
        Some(last.map_or((from, from + START, false), |last| (last, last + LATER, true)))
    }

    pub(super) fn one_way_clock(&mut self, now: Instant) {
        if let Some((since, at, heard)) = self.silence_to_judge() {
            if self.one_way.judged.is_some_and(|judged| judged != since) {
                self.one_way.judged = None;
                if let Some(record) = self.record.as_mut().filter(|_| heard) {
                    record.heard(since);
                }
            }
            if now >= at && self.one_way.judged.is_none() {
                self.one_way.judged = Some(since);
                let verdict = self.facts().map(|facts| facts.nothing_received());
                self.judge(now, verdict);
            }
        }
        // The cheap question first: this runs with each packet.
        let deaf = self.media.as_ref().is_some_and(|media| media.rtp.reports().deaf_reports >= DEAF_REPORTS);
        if deaf && !self.one_way.unheard && matches!(self.phase, Phase::Talking | Phase::Bridged { .. }) {
            let verdict = self.facts().and_then(|facts| facts.unheard());
            self.one_way.unheard = verdict.is_some();
            self.judge(now, verdict);
        }
        self.say_not_heard(now);
    }

    fn judge(&mut self, now: Instant, verdict: Option<Verdict>) {
        let Some(Verdict { cause, why }) = verdict else { return };
        if self.one_way.verdicts == MOST {
            return;
        }
        self.one_way.verdicts += 1;
        if let Some(record) = &mut self.record {
            record.judged(now, cause, why.clone());
        }
        self.note(CallEvent::OneWayAudio { cause, why });
    }

    /// S3: once, when there was no audio at all from the beginning on.
    fn say_not_heard(&mut self, now: Instant) {
        if self.one_way.prompted || self.answered.is_none_or(|answered| now < answered + PROMPT) {
            return;
        }
        let media = self.media.as_ref();
        if media.is_none_or(|media| media.rtp.receiver.last_heard().is_some() || !media.hears_caller()) {
            // Heard before, or on hold: from now on this is for the other clocks.
            self.one_way.prompted = true;
            return;
        }
        if self.is_talking() && self.ready && self.greeted && self.transfer.is_none() && !self.agent_busy(now) {
            self.one_way.prompted = true;
            self.intent(now, Intent::Say(CANNOT_HEAR.to_owned()));
        }
    }

    pub(super) fn one_way_timeout(&self) -> Option<Instant> {
        let (since, at, _) = self.silence_to_judge()?;
        (self.one_way.judged != Some(since)).then_some(at)
    }

    fn facts(&self) -> Option<Facts<'_>> {
        let media = self.media.as_ref()?;
        let local = self.negotiation.local();
        let srtp = media.rtp.srtp_stats();
        let MediaPolicy { source, .. } = &self.policy;
        Some(Facts {
            sdp: media.params.remote,
            local: SocketAddr::new(local.addr, local.port),
            signalling: self.source.ip(),
            policy: *source,
            trunk: self.trunk.as_ref().map(|trunk| trunk.name.as_str()),
            codec: media.params.codec.name(),
            keys: media.rtp.receiver.last_packet().is_some() && media.rtp.receiver.last_heard().is_none(),
            refused: media.rtp.refused(),
            srtp_failed: srtp.failed + srtp.malformed,
            reports: media.rtp.reports(),
            sent: media.downlink.packets(),
        })
    }
}

#[cfg(test)]
mod tests;
