//! Keys the caller presses, collected into one message for the model (DTM-04, DTM-05, DTM-07).
//!
//! In: RFC 4733 events and INFO bodies. Out: the digits in one go, after `#` or a pause. Never logged, only counted.

use crate::observe::pii::Pii;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A pause that ends an entry.
const GAP: Duration = Duration::from_millis(1_200);
/// The same key by another way within this is one key (DTM-04).
const SAME_KEY: Duration = Duration::from_millis(800);
/// Keys remembered against their other ways: nobody presses more within that time.
const REMEMBERED: usize = 16;
/// Digits that wait; a longer entry is sent in parts.
const MOST: usize = 64;
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// The way a key came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Rtp,
    Info,
    /// A tone in the audio.
    Tone,
}

/// See the module's map.
#[derive(Debug, Default)]
pub(super) struct Digits {
    entry: Pii<String>,
    /// When the last key was pressed.
    last: Option<Instant>,
    /// Keys that counted, and the ways they came by since: each way brings a key once.
    known: VecDeque<(Instant, Pii<char>, [bool; 3])>,
    count: u32,
}

/// The key of an RFC 4733 event, 0–15.
pub(super) fn key_of_event(event: u8) -> Option<char> {
    KEYS.get(usize::from(event)).map(|k| char::from(*k))
}

/// The key of an INFO body: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`).
pub(super) fn key_of_info(content_type: &str, body: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(body.get(..256.min(body.len()))?).ok()?;
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let value = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
        })?
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        text.trim()
    } else {
        return None;
    };
    // Some senders write the event number of the keys above 9.
    match value {
        "10" => Some('*'),
        "11" => Some('#'),
        _ => {
            let mut letters = value.chars();
            let key = letters.next()?.to_ascii_uppercase();
            (letters.next().is_none() && KEYS.contains(&(key as u32).try_into().ok()?)).then_some(key)
        }
    }
}

impl Digits {
    /// A key that goes into the entry. `false`: another way of a key that was counted.
    pub fn press(&mut self, now: Instant, way: Way, key: char) -> bool {
        let new = self.count_key(now, way, key);
        if new {
            self.enter(key);
        }
        new
    }

    /// The same of a key that goes elsewhere.
    pub fn count_key(&mut self, now: Instant, way: Way, key: char) -> bool {
        while self.known.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) >= SAME_KEY) {
            self.known.pop_front();
        }
        // Keys may cross: that of the slower way belongs to the oldest it has not brought yet.
        let slot = way as usize;
        if let Some((_, _, ways)) = self.known.iter_mut().find(|(_, known, ways)| known.0 == key && !ways[slot]) {
            ways[slot] = true;
            return false;
        }
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        let mut ways = [false; 3];
        ways[slot] = true;
        self.known.push_back((now, Pii(key), ways));
        self.last = Some(now);
        self.count += 1;
        true
    }

    pub fn enter(&mut self, key: char) {
        if self.entry.0.len() < MOST {
            self.entry.0.push(key);
        }
    }

    /// What was pressed and not told yet.
    pub fn take_pending(&mut self) -> Pii<String> {
        std::mem::take(&mut self.entry)
    }

    /// The entry, when it is complete.
    pub fn take(&mut self, now: Instant) -> Option<String> {
        let complete = self.entry.0.ends_with('#') || self.entry.0.len() >= MOST || self.timeout()? <= now;
        (complete && !self.entry.0.is_empty()).then(|| std::mem::take(&mut self.entry.0))
    }

    pub fn timeout(&self) -> Option<Instant> {
        let at = self.last?;
        (!self.entry.0.is_empty()).then(|| at + GAP)
    }

    /// Digits received in the call.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    /// DTM-07: no digit lost, one message for an entry.
    #[test]
    fn a_pause_or_hash_completes_an_entry() {
        let start = clock::now();
        let at = |n| start + Duration::from_millis(n);
        let mut digits = Digits::default();
        for (n, key) in "1234".chars().enumerate() {
            assert!(digits.press(at(n as u64 * 300), Way::Rtp, key));
        }
        assert_eq!(digits.take(at(2_000)), None);
        assert_eq!(digits.take(at(2_100)).as_deref(), Some("1234"));
        assert_eq!(digits.take(at(9_000)), None);
        digits.press(at(9_000), Way::Rtp, '7');
        digits.press(at(9_100), Way::Rtp, '#');
        assert_eq!(digits.take(at(9_100)).as_deref(), Some("7#"));
        assert_eq!(digits.count(), 6);
    }

    /// DTM-04: the same key by RTP and INFO counts once; the same key twice by one way counts twice.
    #[test]
    fn same_key_by_both_ways_counts_once() {
        let start = clock::now();
        let mut digits = Digits::default();
        assert!(digits.press(start, Way::Rtp, '5'));
        assert!(!digits.press(start + Duration::from_millis(90), Way::Info, '5'));
        assert!(digits.press(start + Duration::from_millis(300), Way::Rtp, '5'));
        assert_eq!(digits.count(), 2);
    }

    /// DTM-04: the slower way may be keys behind, and a third way counts as little.
    #[test]
    fn ways_may_cross() {
        let start = clock::now();
        let mut digits = Digits::default();
        let mut press = |ms, way, key| digits.press(start + Duration::from_millis(ms), way, key);
        assert!(press(0, Way::Rtp, '1') && press(160, Way::Rtp, '1') && press(320, Way::Rtp, '2'));
        assert!(!press(340, Way::Info, '1') && !press(500, Way::Info, '1') && !press(660, Way::Info, '2'));
        assert!(!press(80, Way::Tone, '1') && !press(240, Way::Tone, '1') && !press(400, Way::Tone, '2'));
        assert!(press(700, Way::Info, '2'), "a fourth key");
        assert_eq!(digits.count(), 4);
    }

    /// DTM-04: both INFO bodies, and nothing else.
    #[test]
    fn info_bodies() {
        assert_eq!(key_of_info("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(key_of_info("Application/DTMF-Relay; x=1", b"Duration= 160\r\nsignal = #"), Some('#'));
        assert_eq!(key_of_info("application/dtmf", b"11"), Some('#'));
        assert_eq!(key_of_info("application/dtmf", b"d\r\n"), Some('D'));
        for bad in [&b""[..], b"Signal=", b"Signal=55", b"Signal=\xff", "Signal=é".as_bytes(), b"x"] {
            assert_eq!(key_of_info("application/dtmf-relay", bad), None, "{bad:?}");
        }
        assert_eq!(key_of_info("text/plain", b"5"), None);
    }

    /// DTM-05: what is printed holds no digit.
    #[test]
    fn digits_do_not_print() {
        let mut digits = Digits::default();
        digits.press(clock::now(), Way::Rtp, '8');
        let shown = format!("{:?} {:?}", digits.entry, digits.known.front().map(|(_, key, _)| key));
        assert!(!shown.contains('8'), "{shown}");
    }
}
