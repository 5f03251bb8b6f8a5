//! What stays of a call: the CDR and the transcript.

use super::media::Media;
use super::{CallEnd, CallRecord};
use crate::observe::cdr::{Cdr, EchoRecord, LegRecord, MediaVerdict, ToolRecord};
use crate::observe::pii::Pii;
use crate::sip::headers::Reason;
use crate::srtp_key::Suite;
use std::time::{Duration, Instant};

/// Records of tools and second legs, and transcript lines kept.
const MOST_TOOLS: usize = 500;
const MOST_LEGS: usize = 16;
const MOST_LINES: usize = 10_000;

/// The record while it is being written.
pub(super) struct Record {
    pub cdr: Cdr,
    began: Instant,
    unix_ms: u64,
    answered: Option<Instant>,
    keep_transcript: bool,
    lines: Vec<(u64, &'static str, Pii<String>)>,
}

impl Record {
    /// `begun`: see [`CallParams::record`](super::CallParams::record). Its wall clock is that of `now`.
    pub fn new(now: Instant, begun: Cdr, keep_transcript: bool) -> Record {
        let unix_ms = begun.started_unix_ms;
        Record { cdr: begun, began: now, unix_ms, answered: None, keep_transcript, lines: Vec::new() }
    }

    pub fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Wall clock of an instant, by the monotonic clock since the INVITE (P7).
    fn unix(&self, at: Instant) -> u64 {
        self.unix_ms + self.since_start(at).as_millis() as u64
    }

    pub fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
        self.cdr.sip_status = 200;
        self.cdr.answered_unix_ms = Some(self.unix(now));
        self.cdr.setup_ms = Some(self.since_start(now).as_millis() as u64);
    }

    /// The counters of a stream that is over, added to those of the streams before it.
    pub fn left(&mut self, media: &Media) {
        let cdr = &mut self.cdr;
        cdr.rtp = media.rtp_record().after(cdr.rtp);
        cdr.rtp_sent += media.downlink.packets();
        cdr.echo = media.uplink.echo().map(EchoRecord::from).or(cdr.echo);
        cdr.quality = media.quality().after(cdr.quality);
    }

    /// A second leg that was answered is over.
    pub fn leg(&mut self, now: Instant, answered: Instant, media: &Media) {
        if self.cdr.legs.len() < MOST_LEGS {
            self.cdr.legs.push(LegRecord {
                codec: media.params.codec.name(),
                srtp: media.rtp.suite().map(Suite::name),
                answered_ms: self.since_answer(answered),
                talk_ms: now.saturating_duration_since(answered).as_millis() as u64,
                rtp_sent: media.downlink.packets(),
                rtp: media.rtp_record(),
                quality: media.quality(),
            });
        }
    }

    /// One side does not hear the other.
    pub fn judged(&mut self, now: Instant, cause: &'static str, why: String) {
        let at_ms = self.since_answer(now);
        self.cdr.media_verdict = Some(MediaVerdict { cause, why, at_ms, audio_after_ms: None });
    }

    /// The caller is heard after all.
    pub fn heard(&mut self, now: Instant) {
        let at_ms = self.since_answer(now);
        if let Some(verdict) = self.cdr.media_verdict.as_mut().filter(|verdict| verdict.cause != "unheard") {
            verdict.audio_after_ms.get_or_insert(at_ms);
        }
    }

    fn since_answer(&self, now: Instant) -> u64 {
        self.answered.map_or(0, |answered| now.saturating_duration_since(answered).as_millis() as u64)
    }

    pub fn tool(&mut self, name: String, ok: bool, ms: u64) {
        if self.cdr.tools.len() < MOST_TOOLS {
            self.cdr.tools.push(ToolRecord { name, ok, ms });
        }
    }

    pub fn said(&mut self, at: Instant, who: &'static str, text: &str) {
        if self.keep_transcript && self.lines.len() < MOST_LINES {
            self.lines.push((self.unix(at), who, Pii(text.to_owned())));
        }
    }

    /// What the peer's Reason says (RFC 3326, DLG-18): protocol and cause, not its text, which may be anything.
    pub fn ended_for(&mut self, reasons: &[Reason]) {
        let named = reasons.iter().find(|reason| reason.cause.is_some()).or(reasons.first());
        self.cdr.peer_reason = named.map(|reason| {
            let protocol: String =
                reason.protocol.chars().filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).take(16).collect();
            reason.cause.map_or(protocol.clone(), |cause| format!("{protocol};cause={cause}"))
        });
    }

    pub fn finish(mut self, now: Instant, end: CallEnd) -> CallRecord {
        self.cdr.ended_unix_ms = self.unix(now);
        self.cdr.talk_ms = self.since_answer(now);
        self.cdr.ended(end.by, end.cause.label());
        // The caller's words come late, the agent's once they were heard: the order is that of speaking.
        self.lines.sort_by_key(|line| line.0);
        CallRecord { end, cdr: self.cdr, transcript: self.lines }
    }
}
