//! Puts the packets of one stream in order (RFC 3550 A.1 in spirit, with a bounded wait for holes).
//!
//! In: checked packets of one SSRC. Out: the same in order of sequence number; one that is in order passes at once. A hole is
//! waited for as long as the owner says, then it is declared lost. Late, duplicate, wrapped and restarted sequence numbers are told apart.
//! Bounds: 64 packets ahead, each in a buffer that is used again.

use std::time::{Duration, Instant};

use super::packet::Packet;

/// Packets that may wait behind a hole; a packet further ahead ends the wait for all before it.
const WINDOW: usize = 64;
/// Holes that are remembered after they were declared lost.
const HOLES: usize = 8;
/// A forward jump up to this is loss (RFC 3550 A.1 MAX_DROPOUT); above it is a restart.
const MAX_DROPOUT: u16 = 3000;
/// A packet further back than this is a restart, not a late one (RFC 3550 A.1 MAX_MISORDER).
const MAX_MISORDER: u16 = 100;
/// Packets in order, outside of the expected range, that prove a restart.
const RESTART: u32 = 2;
/// The same for packets that look like late ones (near sequence numbers, older timestamps).
const RESTART_NEAR: u32 = 4;
/// While packets come in range, one out of range is believed only after none came for this long: whoever guesses sequence numbers has to
/// outlast the stream (A6).
const RUNNING: Duration = Duration::from_millis(40);
/// Oldest timestamp a late packet may have, behind the last one given out: 100 packets of 60 ms.
const MAX_AGE: u32 = 100 * 480;

/// A packet that was stored.
#[derive(Default)]
pub(super) struct Stored {
    pub payload_type: u8,
    pub marker: bool,
    pub timestamp: u32,
    pub payload: Vec<u8>,
    pub arrived: Option<Instant>,
}

impl Stored {
    fn set(&mut self, now: Instant, packet: &Packet<'_>) {
        self.payload_type = packet.payload_type;
        self.marker = packet.marker;
        self.timestamp = packet.timestamp;
        self.arrived = Some(now);
        self.payload.clear();
        self.payload.extend_from_slice(packet.payload);
    }
}

/// What [`Reorder::push`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    pub taken: Taken,
    /// Packets that are lost by it (a jump beyond the window).
    pub lost: u64,
    /// Packets that waited and had to make way, the oldest ones.
    pub overflow: u64,
    /// How long after the first packet that overtook it.
    pub late_by: Option<Duration>,
}

impl From<Taken> for Pushed {
    fn from(taken: Taken) -> Pushed {
        Pushed { taken, lost: 0, overflow: 0, late_by: None }
    }
}

/// A hole that was declared lost: its first number, its length, and when the first packet behind it came.
#[derive(Clone, Copy)]
struct Hole {
    first: u16,
    length: u16,
    since: Instant,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    InOrder,
    /// Stored behind a hole.
    Ahead,
    /// It fills a hole.
    Reordered,
    /// Its place was declared lost or given out.
    Late,
    Duplicate,
    /// Out of range; dropped, but may be the beginning of a restarted sequence, or of what follows a long loss.
    Probation,
    /// Taken; what lies between it and the one before is lost.
    Jumped,
    /// Taken as the first packet of a restarted sequence.
    Restarted,
}

/// In this order in memory: what a packet in order touches comes first, the ring only where packets wait.
#[repr(C)]
pub(super) struct Reorder {
    /// In the ring.
    waiting: usize,
    /// Sequence number that is due. `None` before the first packet.
    next: Option<u16>,
    /// Highest sequence number seen.
    highest: u16,
    /// Timestamp of the last packet given out.
    last_timestamp: u32,
    /// `current` came in order while nothing waited, and is to be given out next: it never was in the ring.
    at_once: bool,
    /// Next sequence number of a possible restart, and how many in order.
    restart: Option<(u16, u32)>,
    /// Number that was due when the sequence restarted or jumped: if it goes on there after all, the restart was somebody's guess.
    left: Option<u16>,
    /// When the last packet was stored.
    stored_at: Option<Instant>,
    /// Bit `n`: the packet `n + 1` before `next` was received.
    history: u128,
    /// The packet given out last (or [`Self::at_once`]), and buffers to use again.
    current: Stored,
    spare: Vec<Stored>,
    /// The last holes that were declared lost, to tell how late their packets come.
    holes: [Option<Hole>; HOLES],
    next_hole: usize,
    ring: [Option<Stored>; WINDOW],
}

impl Reorder {
    pub fn new() -> Reorder {
        Reorder {
            waiting: 0,
            next: None,
            highest: 0,
            last_timestamp: 0,
            at_once: false,
            restart: None,
            left: None,
            stored_at: None,
            history: 0,
            current: Stored::default(),
            spare: Vec::with_capacity(WINDOW),
            holes: [None; HOLES],
            next_hole: 0,
            ring: [const { None }; WINDOW],
        }
    }

    /// Forgets the stream; the next packet begins a new one. Returns how many packets were still waiting.
    pub fn restart(&mut self) -> usize {
        let dropped = self.waiting + usize::from(std::mem::take(&mut self.at_once));
        if self.waiting > 0 {
            for slot in &mut self.ring {
                self.spare.extend(slot.take());
            }
        }
        self.waiting = 0;
        self.next = None;
        self.history = 0;
        self.holes = [None; HOLES];
        self.restart = None;
        self.left = None;
        dropped
    }

    /// When the last packet in range came.
    pub fn stored_at(&self) -> Option<Instant> {
        self.stored_at
    }

    /// The sequence number that is due; `None` before the first packet.
    pub fn due(&self) -> Option<u16> {
        self.next
    }

    /// Goes on, after [`Self::restart`], where a stream was left: with `first`, if it may be of that stream.
    pub fn expect(&mut self, due: u16, first: u16) {
        let next = if usize::from(first.wrapping_sub(due)) < WINDOW { first } else { due };
        (self.next, self.highest) = (Some(next), next.wrapping_sub(1));
    }

    /// Takes a packet. `in_doubt`: nobody looked for a while, and what came meanwhile is still being read; whether the stream is running is not
    /// known, and it is taken to be.
    pub fn push(&mut self, now: Instant, packet: &Packet<'_>, in_doubt: bool) -> Pushed {
        self.line_up();
        let sequence = packet.sequence;
        let next = *self.next.get_or_insert_with(|| {
            (self.highest, self.last_timestamp) = (sequence.wrapping_sub(1), packet.timestamp);
            sequence
        });
        let ahead = sequence.wrapping_sub(next);
        let behind = next.wrapping_sub(sequence);
        if ahead == 0 && self.waiting == 0 {
            self.restart = None;
            return self.pass(now, packet).into();
        }
        if usize::from(ahead) < WINDOW {
            if self.slot(sequence).is_some() {
                return Taken::Duplicate.into();
            }
            self.restart = None;
            let late_by = self.overtaken_at(sequence).map(|at| now.saturating_duration_since(at));
            return Pushed { late_by, ..self.store(now, packet, ahead).into() };
        }
        if self.left.is_some_and(|due| usize::from(sequence.wrapping_sub(due)) < WINDOW) {
            self.restart();
            return self.begin(now, packet, Taken::Restarted).into();
        }
        let running = in_doubt || self.stored_at.is_some_and(|at| now.saturating_duration_since(at) < RUNNING);
        let goes_on = usize::from(sequence.wrapping_sub(self.highest)) < WINDOW;
        if ahead < MAX_DROPOUT && (goes_on || !running) {
            return self.make_room(now, packet, next, ahead);
        }
        let run = match self.restart {
            Some((expected, run)) if expected == sequence => run + 1,
            _ => 1,
        };
        // A late packet or a copy is a little older than the last one given out; anything else is a sequence that was started again.
        let age = self.last_timestamp.wrapping_sub(packet.timestamp);
        let near = behind <= MAX_MISORDER && age <= MAX_AGE;
        if !running && run >= if near { RESTART_NEAR } else { RESTART } {
            self.restart();
            self.left = Some(next);
            return self.begin(now, packet, Taken::Restarted).into();
        }
        self.restart = Some((sequence.wrapping_add(1), run));
        if near {
            let bit = 1 << (behind - 1);
            let received = self.history & bit != 0;
            self.history |= bit;
            if received {
                return Taken::Duplicate.into();
            }
            let hole =
                self.holes.iter().flatten().find(|hole| sequence.wrapping_sub(hole.first) < hole.length).copied();
            let late_by = hole.map(|hole| now.saturating_duration_since(hole.since));
            return Pushed { late_by, ..Taken::Late.into() };
        }
        Taken::Probation.into()
    }

    /// A packet beyond the window: the oldest ones make way for it, and so do holes before them. Where nothing is left to wait for it is due
    /// at once.
    fn make_room(&mut self, now: Instant, packet: &Packet<'_>, next: u16, ahead: u16) -> Pushed {
        let passed = ahead - (WINDOW as u16 - 1);
        let mut overflow = 0;
        for n in 0..passed.min(WINDOW as u16) {
            if let Some(old) = self.slot(next.wrapping_add(n)).take() {
                self.spare.push(old);
                self.waiting -= 1;
                overflow += 1;
            }
        }
        if self.waiting == 0 {
            self.restart();
            self.left = Some(next);
            let lost = u64::from(ahead) - overflow;
            return Pushed { lost, overflow, ..self.begin(now, packet, Taken::Jumped).into() };
        }
        self.restart = None;
        self.history = self.history.checked_shl(u32::from(passed)).unwrap_or(0);
        self.next = Some(next.wrapping_add(passed));
        let taken = self.store(now, packet, WINDOW as u16 - 1);
        Pushed { lost: u64::from(passed) - overflow, overflow, ..taken.into() }
    }

    /// When the first of the waiting packets came that were sent after this one.
    fn overtaken_at(&self, sequence: u16) -> Option<Instant> {
        if self.waiting == 0 {
            return None;
        }
        let later = (1..WINDOW as u16)
            .map(|n| sequence.wrapping_add(n))
            .take_while(|n| n.wrapping_sub(self.highest) as i16 <= 0);
        later.filter_map(|n| self.ring[usize::from(n) % WINDOW].as_ref()?.arrived).min()
    }

    /// Takes out the packet that is due, or, when the wait for a hole is over, the first one behind it; it is then [`Self::current`].
    /// Returns how many packets were declared lost right before it.
    pub fn pop(&mut self, now: Instant, wait: Duration) -> Option<u16> {
        let next = self.next?;
        if std::mem::take(&mut self.at_once) {
            self.gave_out(next, 0);
            return Some(0);
        }
        if self.waiting == 0 {
            return None;
        }
        let mut lost = 0;
        if self.slot(next).is_none() {
            if self.oldest().is_some_and(|oldest| now < oldest + wait) {
                return None;
            }
            lost = (1..WINDOW as u16).find(|n| self.slot(next.wrapping_add(*n)).is_some())?;
            if let Some(since) = self.oldest() {
                self.holes[self.next_hole] = Some(Hole { first: next, length: lost, since });
                self.next_hole = (self.next_hole + 1) % HOLES;
            }
        }
        let sequence = next.wrapping_add(lost);
        let stored = self.slot(sequence).take()?;
        self.waiting -= 1;
        let before = std::mem::replace(&mut self.current, stored);
        self.spare.push(before);
        self.gave_out(sequence, lost);
        Some(lost)
    }

    /// [`Self::current`] is what has this sequence number, after so many that were lost.
    fn gave_out(&mut self, sequence: u16, lost: u16) {
        self.next = Some(sequence.wrapping_add(1));
        self.history = self.history.checked_shl(u32::from(lost) + 1).unwrap_or(0) | 1;
        self.last_timestamp = self.current.timestamp;
    }

    /// The packet given out last; its buffer is used again after the next [`Self::pop`].
    pub fn current(&self) -> &Stored {
        &self.current
    }

    /// When the wait for the hole ends.
    pub fn timeout(&self, wait: Duration) -> Option<Instant> {
        if self.at_once {
            return self.current.arrived.map(|arrived| arrived + wait);
        }
        if self.waiting == 0 {
            return None;
        }
        self.oldest().map(|oldest| oldest + wait)
    }

    fn begin(&mut self, now: Instant, packet: &Packet<'_>, taken: Taken) -> Taken {
        self.next = Some(packet.sequence);
        self.highest = packet.sequence.wrapping_sub(1);
        self.store(now, packet, 0);
        taken
    }

    fn store(&mut self, now: Instant, packet: &Packet<'_>, ahead: u16) -> Taken {
        let mut stored = self.spare.pop().unwrap_or_default();
        stored.set(now, packet);
        self.stored_at = Some(now);
        *self.slot(packet.sequence) = Some(stored);
        self.waiting += 1;
        let newest = (packet.sequence.wrapping_sub(self.highest) as i16) > 0;
        if newest {
            self.highest = packet.sequence;
        }
        match (newest, ahead) {
            (false, _) => Taken::Reordered,
            (true, 0) => Taken::InOrder,
            (true, _) => Taken::Ahead,
        }
    }

    /// A packet that is due, with none waiting: it goes to its place at once.
    fn pass(&mut self, now: Instant, packet: &Packet<'_>) -> Taken {
        self.current.set(now, packet);
        (self.at_once, self.stored_at) = (true, Some(now));
        let newest = (packet.sequence.wrapping_sub(self.highest) as i16) > 0;
        if newest {
            self.highest = packet.sequence;
        }
        if newest { Taken::InOrder } else { Taken::Reordered }
    }

    /// Another packet comes before the one that was to pass at once was given out: they wait together.
    fn line_up(&mut self) {
        let (true, Some(next)) = (std::mem::take(&mut self.at_once), self.next) else { return };
        let spare = self.spare.pop().unwrap_or_default();
        let due = std::mem::replace(&mut self.current, spare);
        *self.slot(next) = Some(due);
        self.waiting += 1;
    }

    fn slot(&mut self, sequence: u16) -> &mut Option<Stored> {
        &mut self.ring[usize::from(sequence) % WINDOW]
    }

    fn oldest(&self) -> Option<Instant> {
        self.ring.iter().flatten().filter_map(|stored| stored.arrived).min()
    }
}
