//! RFC 4733 telephone-events: the payload, the table of digits, and the receiving side.
//!
//! In: event payloads with their SSRC and timestamp, in any order and with losses. Out: one digit per (SSRC, timestamp, event).

/// `event` of a digit (`0`-`9`, `*`, `#`, `A`-`D`, either case): RFC 4733 §3.2, table 3.
pub fn event_of(digit: char) -> Option<u8> {
    match digit {
        '0'..='9' => Some(digit as u8 - b'0'),
        '*' => Some(10),
        '#' => Some(11),
        'A'..='D' => Some(digit as u8 - b'A' + 12),
        'a'..='d' => Some(digit as u8 - b'a' + 12),
        _ => None,
    }
}

/// Digit of an `event` (0-15).
pub fn digit_of(event: u8) -> Option<char> {
    "0123456789*#ABCD".chars().nth(usize::from(event))
}

/// The payload (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPayload {
    pub event: u8,
    pub end: bool,
    /// -dBm0, 0-63.
    pub volume: u8,
    /// In timestamp units.
    pub duration: u16,
}

impl EventPayload {
    /// Reads the first event block; `None` if shorter than four bytes.
    pub fn parse(payload: &[u8]) -> Option<EventPayload> {
        let [event, flags, high, low] = *payload.first_chunk::<4>()?;
        Some(EventPayload {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3F,
            duration: u16::from_be_bytes([high, low]),
        })
    }
    pub fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume & 0x3F, high, low]
    }
}

/// Events remembered against repeats. Digits come at most every ~80 ms, so this covers more than a second of reordering.
const REMEMBERED: usize = 16;

#[derive(Clone, Copy)]
struct Known {
    ssrc: u32,
    timestamp: u32,
    event: u8,
    ended: bool,
}

/// The receiving side. A digit is told at its first packet, whichever of them that is: lost starts, markers and ends do not matter.
#[derive(Default)]
pub struct EventReceiver {
    known: [Option<Known>; REMEMBERED],
    next: usize,
}

impl EventReceiver {
    pub fn new() -> EventReceiver {
        EventReceiver::default()
    }

    /// Takes one event packet; the digit if it is new. Events above 15 (flash, tones) are not digits and are ignored.
    pub fn handle(&mut self, ssrc: u32, timestamp: u32, marker: bool, payload: EventPayload) -> Option<EventPayload> {
        if payload.event > 15 {
            return None;
        }
        let same = |known: &&mut Known| known.ssrc == ssrc && known.event == payload.event;
        if let Some(known) = self.known.iter_mut().flatten().filter(same).find(|known| known.timestamp == timestamp) {
            known.ended |= payload.end;
            return None;
        }
        // §2.5.1.3: an event above 0xFFFF units goes on as a new segment, begun where the last one ended, unmarked.
        let goes_on = !marker
            && self
                .known
                .iter_mut()
                .flatten()
                .filter(same)
                .any(|known| !known.ended && timestamp.wrapping_sub(known.timestamp) == u32::from(u16::MAX));
        self.known[self.next] = Some(Known { ssrc, timestamp, event: payload.event, ended: payload.end });
        self.next = (self.next + 1) % REMEMBERED;
        (!goes_on).then_some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DTM-03: the table of RFC 4733 §3.2, both ways.
    #[test]
    fn digits_and_events_are_the_table_of_the_rfc() {
        for (event, digit) in "0123456789*#ABCD".chars().enumerate() {
            assert_eq!(event_of(digit), Some(event as u8));
            assert_eq!(digit_of(event as u8), Some(digit));
            assert_eq!(event_of(digit.to_ascii_lowercase()), Some(event as u8));
        }
        assert_eq!((event_of('E'), event_of(','), digit_of(16), digit_of(255)), (None, None, None, None));
    }

    /// DTM-03: the payload's bits.
    #[test]
    fn a_payload_survives_writing_and_reading() {
        let payload = EventPayload { event: 11, end: true, volume: 63, duration: 0x1234 };
        assert_eq!(payload.to_bytes(), [11, 0xBF, 0x12, 0x34]);
        assert_eq!(EventPayload::parse(&payload.to_bytes()), Some(payload));
        // The reserved bit is ignored, so is a second event.
        assert_eq!(EventPayload::parse(&[1, 0x4A, 0, 160, 2, 0, 0, 0]).map(|p| (p.end, p.volume)), Some((false, 10)));
        assert_eq!(EventPayload::parse(&[1, 2, 3]), None);
    }

    /// DTM-02: one digit per (SSRC, timestamp, event).
    #[test]
    fn one_digit_per_ssrc_timestamp_and_event() {
        let mut receiver = EventReceiver::new();
        let payload = EventPayload { event: 1, end: false, volume: 0, duration: 160 };
        let mut told = |ssrc, timestamp, event| {
            receiver.handle(ssrc, timestamp, false, EventPayload { event, ..payload }).is_some()
        };
        assert!(told(1, 100, 1));
        assert!(!told(1, 100, 1));
        assert!(told(2, 100, 1));
        assert!(told(1, 100, 2));
        assert!(told(1, 101, 1));
        assert!(!told(1, 100, 1));
        assert!(!told(1, 5000, 16));
    }
}
