//! Latencies of the agent's turns, for the CDR.
//!
//! A turn of the agent begins with the first audio of a response. Its clock began at the caller's end of speech
//! (`speech_stopped`); turns nobody asked for by voice (greeting, check-in) have no latency.

use crate::observe::cdr::TurnRecord;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Records kept; a call with more turns than that keeps the first ones.
const KEPT: usize = 2_000;
/// Caller turns whose begin is remembered.
const CALLER_TURNS: usize = 32;
/// A noise that counted as speech may never be answered.
const LONGEST: Duration = Duration::from_secs(15);

/// See the module's map.
#[derive(Debug, Default)]
pub(super) struct Turns {
    records: Vec<TurnRecord>,
    /// The caller's turn ended and no audio has answered it.
    stopped: Option<Instant>,
    /// As `stopped`, for what was asked by other means (greeting, digits, tool results).
    asked: Option<Instant>,
    began: VecDeque<(u64, Instant)>,
    /// The next audio begins a turn.
    fresh: bool,
    /// Of the running turn: where its clock began, and whether its first packet is still to come.
    clock: Option<Instant>,
    unsent: bool,
}

fn ms(from: Option<Instant>, to: Instant) -> Option<u64> {
    from.map(|t| to.saturating_duration_since(t).as_millis() as u64)
}

impl Turns {
    pub fn caller_starts(&mut self, now: Instant, turn: u64) {
        (self.stopped, self.asked) = (None, None);
        if self.began.len() == CALLER_TURNS {
            self.began.pop_front();
        }
        self.began.push_back((turn, now));
    }
    /// When a turn of the caller began: its transcript may come much later.
    pub fn caller_began(&self, turn: u64) -> Option<Instant> {
        self.began.iter().rev().find(|(t, _)| *t == turn).map(|(_, at)| *at)
    }
    /// The agent was asked to speak, though not by voice.
    pub fn expect_answer(&mut self, now: Instant) {
        self.asked = Some(now);
    }
    pub fn caller_stops(&mut self, now: Instant) {
        self.stopped = Some(now);
    }
    pub fn response_started(&mut self) {
        self.fresh = true;
    }
    /// Whether the agent was asked and nothing has answered yet. After [`LONGEST`] no answer is expected any more.
    pub fn is_awaited(&self, now: Instant) -> bool {
        self.stopped.max(self.asked).is_some_and(|at| now < at + LONGEST)
    }

    /// Audio of a segment came.
    pub fn audio(&mut self, now: Instant) {
        self.asked = None;
        if !self.fresh && self.stopped.is_none() {
            return;
        }
        (self.fresh, self.unsent) = (false, true);
        self.clock = self.stopped.take();
        if self.records.len() < KEPT {
            self.records.push(TurnRecord { first_delta_ms: ms(self.clock, now), ..TurnRecord::default() });
        }
    }

    /// A packet with speech went out; at the first of a turn, its latency.
    pub fn packet(&mut self, now: Instant) -> Option<Option<u64>> {
        if !std::mem::take(&mut self.unsent) {
            return None;
        }
        let latency = ms(self.clock, now);
        if let Some(record) = self.records.last_mut() {
            record.first_rtp_ms = latency;
        }
        Some(latency)
    }

    pub fn interrupted(&mut self, heard_ms: u32, stop: Duration) {
        self.unsent = false;
        if let Some(record) = self.records.last_mut() {
            record.interrupted_at_ms = Some(heard_ms);
            record.barge_in_stop_ms = Some(stop.as_millis() as u64);
        }
    }

    /// Turns that have nothing to tell (a greeting heard to its end, an echo) are left out.
    pub fn into_records(mut self) -> Vec<TurnRecord> {
        self.records.retain(|record| *record != TurnRecord::default());
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    #[test]
    fn latency_counts_from_the_end_of_speech() {
        let start = clock::now();
        let at = |n| start + Duration::from_millis(n);
        let mut turns = Turns::default();
        turns.response_started();
        turns.audio(at(0));
        assert_eq!(turns.packet(at(20)), Some(None), "a greeting has no latency");
        turns.caller_starts(at(500), 1);
        turns.caller_stops(at(1000));
        turns.response_started();
        turns.audio(at(1400));
        turns.audio(at(1410));
        assert_eq!(turns.packet(at(1420)), Some(Some(420)));
        assert_eq!(turns.packet(at(1440)), None);
        turns.interrupted(100, Duration::from_millis(12));
        let records = turns.into_records();
        assert_eq!(records.len(), 1, "the greeting has nothing to tell");
        assert_eq!((records[0].first_delta_ms, records[0].first_rtp_ms), (Some(400), Some(420)));
        assert_eq!((records[0].interrupted_at_ms, records[0].barge_in_stop_ms), (Some(100), Some(12)));
    }

    /// Nobody asked and nobody cut: no record, however much was spoken. Cut, it has one.
    #[test]
    fn a_turn_in_which_nothing_happened_is_not_recorded() {
        let start = clock::now();
        let spoken = || {
            let mut turns = Turns::default();
            for n in 0..3 {
                turns.response_started();
                turns.audio(start + Duration::from_secs(n));
                turns.packet(start + Duration::from_secs(n));
            }
            turns
        };
        assert!(spoken().into_records().is_empty());
        let mut cut = spoken();
        cut.interrupted(0, Duration::ZERO);
        assert_eq!(cut.into_records().len(), 1);
    }

    /// A tool call between question and answer does not stop the clock.
    #[test]
    fn silent_responses_belong_to_the_turn() {
        let start = clock::now();
        let mut turns = Turns::default();
        turns.caller_stops(start);
        turns.response_started();
        turns.response_started();
        turns.audio(start + Duration::from_millis(900));
        assert_eq!(turns.into_records()[0].first_delta_ms, Some(900));
    }
}
