//! Caller turns: the provider's item ids to our turn numbers, and whether the server is about to answer by itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Turns remembered for late transcripts.
const REMEMBERED: usize = 64;
/// From `speech_stopped` to the `response.created` of the server's VAD.
const VAD_RESPONSE: Duration = Duration::from_millis(1500);
/// Longest wait for the end of one stretch of speech: `speech_stopped` may be lost.
const LONGEST_SPEECH: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Turn {
    item: String,
    number: u64,
    transcribed: bool,
}

pub(super) struct Turns {
    list: VecDeque<Turn>,
    current: u64,
    speaking_since: Option<Instant>,
    response_until: Option<Instant>,
}

impl Turns {
    pub fn new() -> Turns {
        Turns { list: VecDeque::new(), current: 0, speaking_since: None, response_until: None }
    }

    /// The number of the last turn; 0 before the first.
    pub fn current(&self) -> u64 {
        self.current
    }

    pub fn speaking(&self) -> bool {
        self.speaking_since.is_some()
    }

    fn begin(&mut self, item: &str) -> u64 {
        self.current += 1;
        if !item.is_empty() {
            if self.list.len() == REMEMBERED {
                self.list.pop_front();
            }
            self.list.push_back(Turn { item: item.to_owned(), number: self.current, transcribed: false });
        }
        self.current
    }

    fn find(&mut self, item: &str) -> Option<&mut Turn> {
        self.list.iter_mut().rfind(|t| !item.is_empty() && t.item == item)
    }

    /// `speech_started`; the new turn, or `None` for a repetition.
    pub fn started(&mut self, now: Instant, item: &str) -> Option<u64> {
        if self.find(item).is_some() {
            return None;
        }
        self.speaking_since = Some(now);
        self.response_until = None;
        Some(self.begin(item))
    }

    /// `speech_stopped`; `None` for a repetition or a turn that is past.
    pub fn stopped(&mut self, now: Instant, item: &str) -> Option<u64> {
        let current = self.current;
        let number = self.find(item).map_or(current, |t| t.number);
        if number != current || self.speaking_since.take().is_none() {
            return None;
        }
        self.response_until = Some(now + VAD_RESPONSE);
        Some(number)
    }

    /// `committed`: a turn without `speech_started` (manual commit, idle timeout) gets its number here, and a commit
    /// ends speech whose `speech_stopped` is missing.
    pub fn committed(&mut self, item: &str) {
        match self.find(item).map(|t| t.number) {
            Some(number) if number == self.current => self.speaking_since = None,
            None if !item.is_empty() => {
                self.begin(item);
            }
            Some(_) | None => {}
        }
    }

    /// The turn of a transcript, which may be late; `None` for a repetition.
    pub fn transcribed(&mut self, item: &str) -> Option<u64> {
        match self.find(item) {
            Some(turn) => (!std::mem::replace(&mut turn.transcribed, true)).then_some(turn.number),
            None if item.is_empty() => Some(self.current),
            None => {
                let number = self.begin(item);
                if let Some(turn) = self.find(item) {
                    turn.transcribed = true;
                }
                Some(number)
            }
        }
    }

    /// A response began: the server is not about to begin one.
    pub fn answered(&mut self) {
        self.response_until = None;
    }

    /// Until when the server is expected to begin a response by itself.
    pub fn server_creates_until(&self) -> Option<Instant> {
        self.speaking_since.map(|since| since + LONGEST_SPEECH).or(self.response_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    #[test]
    fn transcripts_find_their_turn_even_when_late_and_count_once() {
        let (now, mut turns) = (clock::now(), Turns::new());
        assert_eq!(turns.started(now, "a"), Some(1));
        assert_eq!(turns.started(now, "a"), None);
        assert_eq!(turns.stopped(now, "a"), Some(1));
        assert_eq!(turns.stopped(now, "a"), None);
        assert_eq!(turns.started(now, "b"), Some(2));
        assert_eq!(turns.transcribed("a"), Some(1));
        assert_eq!(turns.transcribed("a"), None);
        assert_eq!(turns.stopped(now, "a"), None, "a past turn");
        assert!(turns.speaking());
        turns.committed("b");
        assert!(!turns.speaking());
        assert_eq!(turns.transcribed("b"), Some(2));
    }

    #[test]
    fn a_turn_without_speech_started_gets_a_number_at_commit_or_transcript() {
        let mut turns = Turns::new();
        turns.committed("idle");
        assert_eq!(turns.transcribed("idle"), Some(1));
        assert_eq!(turns.transcribed("other"), Some(2));
        assert_eq!(turns.transcribed("other"), None);
    }

    #[test]
    fn missing_item_ids_still_number_the_turns() {
        let (now, mut turns) = (clock::now(), Turns::new());
        assert_eq!(turns.started(now, ""), Some(1));
        assert_eq!(turns.stopped(now, ""), Some(1));
        assert_eq!(turns.started(now, ""), Some(2));
        assert_eq!(turns.transcribed(""), Some(2));
    }

    #[test]
    fn memory_is_bounded() {
        let (now, mut turns) = (clock::now(), Turns::new());
        for n in 0..1000 {
            turns.started(now, &n.to_string());
        }
        assert_eq!(turns.list.len(), REMEMBERED);
    }
}
