//! What a call of the phone was like: outcome, times, RTP, and the turns read from the recording.

use super::activity::stretches;
use super::tracks::Tracks;
use crate::audio::pcm::Rate;
use crate::rtp::quality::Quality;
use crate::rtp::receiver::ReceiverStats;
use crate::sip::offer_answer::MediaParams;
use serde::Serialize;
use std::time::Instant;

/// Pauses between words that belong to one stretch of speech.
const BRIDGE_MS: u32 = 400;
/// Inter-arrival times kept for the percentiles (one hour at 20 ms).
const MAX_ARRIVALS: usize = 180_000;

/// How a call ended, as the phone saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    HungUp,
    PeerHungUp,
    Refused(u16),
}

/// What is noted while the call runs.
#[derive(Clone, Debug)]
pub struct Measured {
    placed: Instant,
    ringing: Option<Instant>,
    answered: Option<Instant>,
    ended: Option<Instant>,
    pub outcome: Option<Outcome>,
    pub trouble: Option<&'static str>,
    pub digits: String,
    last_arrival: Option<Instant>,
    inter_arrival_us: Vec<u32>,
}

impl Measured {
    pub fn new(now: Instant) -> Measured {
        Measured {
            placed: now,
            ringing: None,
            answered: None,
            ended: None,
            outcome: None,
            trouble: None,
            digits: String::new(),
            last_arrival: None,
            inter_arrival_us: Vec::new(),
        }
    }

    pub fn progress(&mut self, now: Instant, status: u16) {
        if status >= 180 {
            self.ringing.get_or_insert(now);
        }
    }

    pub fn answered(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
    }

    pub fn ended(&mut self, now: Instant, outcome: Outcome) {
        self.ended.get_or_insert(now);
        self.outcome.get_or_insert(outcome);
    }

    pub fn arrival(&mut self, now: Instant) {
        if let Some(last) = self.last_arrival.replace(now)
            && self.inter_arrival_us.len() < MAX_ARRIVALS
        {
            self.inter_arrival_us.push(u32::try_from((now - last).as_micros()).unwrap_or(u32::MAX));
        }
    }

    fn since_placed(&self, at: Option<Instant>) -> Option<u64> {
        at.map(|at| (at - self.placed).as_millis() as u64)
    }
}

/// A stretch of speech on the common clock, ms after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    pub start_ms: u32,
    pub end_ms: u32,
}

/// One exchange, from the caller's side of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// When the caller had finished speaking.
    pub caller_end_ms: u32,
    /// Silence from there to the agent's first sound.
    pub answer_after_ms: Option<u32>,
    /// The caller began while the agent spoke: the agent fell silent this long after.
    pub agent_stopped_after_ms: Option<u32>,
}

/// The JSON report of one call.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `hung_up`, `peer_hung_up`, `refused`.
    pub outcome: &'static str,
    /// Final status of the INVITE.
    pub sip_status: u16,
    pub trouble: Option<&'static str>,
    pub ringing_ms: Option<u64>,
    pub answered_ms: Option<u64>,
    pub talk_ms: u64,
    pub codec: Option<&'static str>,
    /// What protected the media; none: plain RTP.
    pub srtp: Option<&'static str>,
    /// Packets that SRTP did not let through.
    pub srtp_refused: u64,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    pub packets_late: u64,
    pub jitter_ms: f32,
    /// Loss, round trip and MOS, both ways: what the phone heard, and what the other side says of the phone's packets.
    pub quality: Quality,
    pub inter_arrival_p50_ms: f32,
    pub inter_arrival_p99_ms: f32,
    pub inter_arrival_max_ms: f32,
    pub agent_speech: Vec<Stretch>,
    pub caller_speech: Vec<Stretch>,
    pub turns: Vec<Turn>,
    /// Keys the other side pressed.
    pub digits_received: String,
}

impl Report {
    pub fn new(
        measured: &Measured,
        stats: ReceiverStats,
        packets_sent: u64,
        media: Option<&MediaParams>,
        tracks: &Tracks,
    ) -> Report {
        let agent = speech(&tracks.agent, tracks.rate);
        let caller = speech(&tracks.caller, tracks.rate);
        let (outcome, sip_status) = match measured.outcome {
            Some(Outcome::Refused(status)) => ("refused", status),
            Some(Outcome::PeerHungUp) => ("peer_hung_up", 200),
            _ => ("hung_up", if measured.answered.is_some() { 200 } else { 487 }),
        };
        let mut sorted = measured.inter_arrival_us.clone();
        sorted.sort_unstable();
        let talk = measured.answered.zip(measured.ended).map_or(0, |(a, e)| (e - a).as_millis() as u64);
        Report {
            outcome,
            sip_status,
            trouble: measured.trouble,
            ringing_ms: measured.since_placed(measured.ringing),
            answered_ms: measured.since_placed(measured.answered),
            talk_ms: talk,
            codec: media.map(|m| m.codec.name()),
            srtp: None,
            srtp_refused: 0,
            packets_sent,
            packets_received: stats.packets,
            packets_lost: stats.lost,
            packets_late: stats.late,
            jitter_ms: stats.jitter_ms,
            quality: Quality::default(),
            inter_arrival_p50_ms: percentile_ms(&sorted, 50),
            inter_arrival_p99_ms: percentile_ms(&sorted, 99),
            inter_arrival_max_ms: percentile_ms(&sorted, 100),
            turns: turns(&caller, &agent),
            agent_speech: agent,
            caller_speech: caller,
            digits_received: measured.digits.clone(),
        }
    }
}

fn speech(track: &[i16], rate: Rate) -> Vec<Stretch> {
    stretches(track, rate.per_ms(), BRIDGE_MS)
        .into_iter()
        .map(|(start_ms, end_ms)| Stretch { start_ms, end_ms })
        .collect()
}

fn percentile_ms(sorted_us: &[u32], percent: usize) -> f32 {
    let index = (sorted_us.len() * percent).div_ceil(100).saturating_sub(1);
    sorted_us.get(index).map_or(0.0, |us| *us as f32 / 1000.0)
}

/// What the agent did at each stretch of the caller's speech.
fn turns(caller: &[Stretch], agent: &[Stretch]) -> Vec<Turn> {
    caller
        .iter()
        .enumerate()
        .map(|(index, said)| {
            let next = caller.get(index + 1).map_or(u32::MAX, |next| next.start_ms);
            let cut = agent.iter().find(|a| a.start_ms < said.start_ms && a.end_ms > said.start_ms);
            let answer = agent.iter().find(|a| a.start_ms >= said.end_ms && a.start_ms < next);
            Turn {
                caller_end_ms: said.end_ms,
                answer_after_ms: answer.map(|a| a.start_ms - said.end_ms),
                agent_stopped_after_ms: cut.map(|a| a.end_ms - said.start_ms),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(start_ms: u32, end_ms: u32) -> Stretch {
        Stretch { start_ms, end_ms }
    }

    #[test]
    fn turns_name_answers_and_interruptions() {
        let agent = [stretch(100, 3000), stretch(5000, 9300), stretch(11_000, 12_000)];
        let caller = [stretch(3500, 4500), stretch(9000, 10_000), stretch(13_000, 14_000)];
        assert_eq!(
            turns(&caller, &agent),
            vec![
                Turn { caller_end_ms: 4500, answer_after_ms: Some(500), agent_stopped_after_ms: None },
                Turn { caller_end_ms: 10_000, answer_after_ms: Some(1000), agent_stopped_after_ms: Some(300) },
                Turn { caller_end_ms: 14_000, answer_after_ms: None, agent_stopped_after_ms: None },
            ]
        );
    }

    #[test]
    fn percentiles_of_nothing_and_of_something() {
        assert_eq!(percentile_ms(&[], 99), 0.0);
        let sorted: Vec<u32> = (1..=100).map(|n| n * 1000).collect();
        assert_eq!(percentile_ms(&sorted, 50), 50.0);
        assert_eq!(percentile_ms(&sorted, 99), 99.0);
        assert_eq!(percentile_ms(&sorted, 100), 100.0);
    }
}
