//! The session's clock against the wall's: how long to wait for what is late, what to fill in, what came too late, which way it drifts.
//!
//! In: packets with their length and what is missing before them, and `now`. Out: how much silence or concealment goes before a packet,
//! whether it is too late, how much the stall clock must fill, how much to take out or put in at the next good seam. Arithmetic only.
//!
//! There is no loudspeaker behind us, so nothing is ever held back: audio goes on as it comes, and "waiting" means that the stall clock
//! does not fill yet. How long that is (the *margin*) follows the network: it carries what the last 8 s needed, 80 to 200 ms (RTP-04).
//! All lengths are in ticks of 1/8000 s.

use crate::codec::TICKS_PER_MS;
use std::time::{Duration, Instant};

const PER_MS: i64 = TICKS_PER_MS as i64;

/// Lateness that is carried at most; what is later is dropped, and its place is silence (RTP-04).
const BOUND: i64 = 200 * PER_MS;
/// The margin of a network that has shown nothing. It costs nothing but that a turn ends so much later when packets stop without a word.
const SHORTEST_MARGIN: i64 = 80 * PER_MS;
/// During a pause that the peer announced (RFC 3389) nothing is waited for.
const PAUSE_MARGIN: i64 = 40 * PER_MS;
/// Beside the wait for a hole and a packet: the tick, and a packet that is a little late itself.
const SLACK: i64 = 10 * PER_MS;
/// The stall clock fills so much at once.
pub(super) const FRAME: i64 = 20 * PER_MS;
/// Longest stall of the process that is filled; time beyond is skipped (a burst disturbs a VAD more than a shorter pause).
const MAX_FILL: i64 = 100 * PER_MS;
/// A tick that is late by more than this was not late because of the network: what waits in the socket comes first.
const OVERSLEPT: i64 = 15 * PER_MS;
const GRACE: Duration = Duration::from_millis(5);
/// The earliest packets may be ahead of the wall by this, or behind it, before anything is done: in a pause, and in speech.
const AHEAD_IN_PAUSE: i64 = 20 * PER_MS;
const AHEAD_IN_SPEECH: i64 = 80 * PER_MS;
const FAR_AHEAD: i64 = 160 * PER_MS;
const BEHIND_IN_PAUSE: i64 = 20 * PER_MS;
const BEHIND_IN_SPEECH: i64 = 40 * PER_MS;
/// Between two changes within speech.
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);
/// Packets that are too late for so long, and come as time passes, are late for good: the way has become longer, or the peer's clock stood still.
const FOR_GOOD: i64 = 60 * PER_MS;
/// The memory of lateness and alignment: four slots of 2 s.
const SLOT: Duration = Duration::from_secs(2);
const SLOTS: usize = 4;

/// What a packet is to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its place was filled long ago. `first`: the one before it was not too late.
    TooLate { first: bool },
    /// It goes on, after so much concealment and so much silence. `was_lost`: what the stall clock filled of the loss before it.
    /// `with_late`: all that was too late before it, which is so much, goes on with it.
    Goes { conceal: i64, silence: i64, was_lost: i64, with_late: i64 },
}

/// What would bring the session's clock back to the wall's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Correction {
    None,
    /// Take out at most so much, and whether speech may be touched, and at any price.
    Shorten {
        most: i64,
        speech: bool,
        any: bool,
    },
    /// Put in at most so much, and whether speech may be touched.
    Lengthen {
        most: i64,
        speech: bool,
    },
}

/// What the stall clock must do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fill {
    pub fill: i64,
    /// Time that is given up.
    pub skip: i64,
}

#[derive(Clone, Copy)]
struct Slot {
    /// The most that a packet needed the stall clock to wait.
    need: i64,
    /// How far the earliest packet left the session ahead of the wall.
    ahead: Option<i64>,
}

const EMPTY: Slot = Slot { need: 0, ahead: None };

/// The clock of one session.
pub(super) struct Timeline {
    start: Option<Instant>,
    /// Given to the session, and skipped.
    fed: i64,
    /// Filled in (and skipped) since the last packet.
    filled: i64,
    /// Length of the last packet.
    packet: i64,
    /// The receiver's wait for a hole.
    reorder_wait: i64,
    /// The next packet says where the stream is: there was none before, or nobody listened to it.
    anew: bool,
    /// The peer said that it is silent.
    paused: bool,
    /// Since when all packets were too late, and how much audio that was.
    late: Option<(Instant, i64)>,
    slots: [Slot; SLOTS],
    slot: usize,
    slot_since: Option<Instant>,
    overslept: Option<Instant>,
    changed: Option<Instant>,
}

impl Timeline {
    pub fn new(reorder_wait: Duration) -> Timeline {
        Timeline {
            start: None,
            fed: 0,
            filled: 0,
            packet: FRAME,
            reorder_wait: ticks(reorder_wait),
            anew: true,
            paused: false,
            late: None,
            slots: [EMPTY; SLOTS],
            slot: 0,
            slot_since: None,
            overslept: None,
            changed: None,
        }
    }

    /// The session takes audio from now on.
    pub fn start(&mut self, now: Instant) {
        if self.start.is_none() {
            self.start = Some(now);
            self.fed = 0;
            self.ignore();
        }
    }
    pub fn stop(&mut self) {
        (self.start, self.overslept) = (None, None);
    }
    pub fn is_running(&self) -> bool {
        self.start.is_some()
    }

    /// The receiver waits so long for a hole at present.
    pub fn set_reorder_wait(&mut self, wait: Duration) {
        self.reorder_wait = ticks(wait);
    }

    /// The peer is silent until its next packet (RFC 3389).
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// A packet that nobody is to hear: what follows it is measured anew.
    pub fn ignore(&mut self) {
        (self.filled, self.anew, self.paused, self.late) = (0, true, false, None);
    }

    /// What is to become of a packet of `length`, with so much lost and so much left out by the sender right before it.
    pub fn packet(&mut self, now: Instant, length: i64, lost: i64, left_out: i64) -> Fate {
        let Some(wall) = self.wall(now) else { return Fate::TooLate { first: true } };
        self.remember(now);
        self.overslept = None;
        self.packet = length.min(BOUND);
        let filled = std::mem::take(&mut self.filled);
        let gap = lost + left_out;
        let lag = wall - self.fed;
        // How long after the end of the audio before it this packet's own end came: what the margin would have had to be.
        let need = lag + filled - gap;
        let place_is_filled = filled - gap >= length;
        let too_late = place_is_filled && need - length > BOUND;
        let late = self.late;
        let for_good = too_late && self.is_late_for_good(now, length);
        if std::mem::take(&mut self.anew) || std::mem::take(&mut self.paused) || for_good {
            // Whatever was filled: from here on the session is level with the wall.
            (self.paused, self.late) = (false, None);
            self.slots.iter_mut().for_each(|slot| slot.ahead = None);
            let with_late = late.filter(|_| for_good).map_or(0, |(_, late)| late);
            let silence = (lag - length - with_late).clamp(0, BOUND);
            return Fate::Goes { conceal: 0, silence, was_lost: 0, with_late };
        }
        if too_late {
            self.filled = filled - length;
            return Fate::TooLate { first: late.is_none() };
        }
        self.late = None;
        if left_out == 0 && need <= BOUND + length {
            let slot = &mut self.slots[self.slot];
            slot.need = slot.need.max(need);
        }
        // The stall clock has filled a part of the gap; never more than what keeps the session within its bound.
        let missing = (gap - filled).clamp(0, (lag + BOUND - length).max(0));
        let was_lost = filled.min(lost);
        let conceal = missing.min(lost - was_lost).min(MAX_FILL);
        let silence = if left_out > 0 { (missing - conceal).min(BOUND) } else { 0 };
        Fate::Goes { conceal, silence, was_lost, with_late: 0 }
    }

    /// Whether packets stay too late; those of a burst, which catches up, come faster than time passes.
    fn is_late_for_good(&mut self, now: Instant, length: i64) -> bool {
        let (since, dropped) = self.late.get_or_insert((now, 0));
        let passed = ticks(now.saturating_duration_since(*since));
        let for_good = passed >= FOR_GOOD && *dropped <= passed * 5 / 4;
        *dropped += length;
        for_good
    }

    /// So much was given to the session.
    pub fn fed(&mut self, length: i64) {
        self.fed += length;
    }

    /// After a packet was given on: where the session is, and what would mend that.
    pub fn align(&mut self, now: Instant) {
        let Some(wall) = self.wall(now) else { return };
        let ahead = self.fed - wall;
        let slot = &mut self.slots[self.slot];
        slot.ahead = Some(slot.ahead.map_or(ahead, |before| before.max(ahead)));
    }

    /// What is to be done to a packet that is about to be given on. `length`: its own.
    pub fn correction(&self, now: Instant, length: i64) -> Correction {
        let Some(wall) = self.wall(now) else { return Correction::None };
        let ahead = self.fed + length - wall;
        // Two slots at least: 2 to 4 s must have shown that all packets are behind, not a late one.
        let known = self.slots.iter().filter(|slot| slot.ahead.is_some()).count();
        let earliest = self.slots.iter().filter_map(|slot| slot.ahead).max().unwrap_or(ahead).max(ahead);
        let rested = self.changed.is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_CHANGES);
        if earliest > AHEAD_IN_PAUSE {
            let speech = earliest > AHEAD_IN_SPEECH && rested;
            return Correction::Shorten { most: earliest, speech, any: ahead > FAR_AHEAD };
        }
        if earliest < -BEHIND_IN_PAUSE && known >= 2 {
            let speech = earliest < -BEHIND_IN_SPEECH && rested;
            return Correction::Lengthen { most: -earliest, speech };
        }
        Correction::None
    }

    /// A packet was made shorter (below zero) or longer by so much.
    pub fn corrected(&mut self, now: Instant, by: i64) {
        for ahead in self.slots.iter_mut().filter_map(|slot| slot.ahead.as_mut()) {
            *ahead += by;
        }
        self.changed = Some(now);
    }

    /// Whether the session would run too far ahead with so much more: a peer that sends faster than time passes.
    pub fn is_too_much(&self, now: Instant, length: i64) -> bool {
        self.wall(now).is_some_and(|wall| self.fed + length - wall > BOUND.max(length + FRAME))
    }

    /// What the stall clock must fill now.
    pub fn due(&mut self, now: Instant) -> Fill {
        let Some(wall) = self.wall(now) else { return Fill::default() };
        let due = wall - self.margin() - self.fed;
        if due < FRAME {
            self.overslept = None;
            return Fill::default();
        }
        if due >= FRAME + OVERSLEPT {
            let since = *self.overslept.get_or_insert(now);
            if now < since + GRACE {
                return Fill::default();
            }
        }
        self.overslept = None;
        let skip = (due - MAX_FILL).max(0);
        let fill = (due - skip) / FRAME * FRAME;
        self.fed += skip;
        self.filled += skip + fill;
        Fill { fill, skip }
    }

    /// When the stall clock must run next.
    pub fn timeout(&self) -> Option<Instant> {
        if let Some(since) = self.overslept {
            return Some(since + GRACE);
        }
        let at = (self.fed + self.margin() + FRAME).max(0);
        // 125 µs a tick; rounded up so that the clock finds it due.
        self.start.map(|start| start + Duration::from_micros(at as u64 * 125))
    }

    /// How far the session may lag behind the wall before the stall clock fills.
    fn margin(&self) -> i64 {
        if self.paused {
            return PAUSE_MARGIN;
        }
        let need = self.slots.iter().map(|slot| slot.need).max().unwrap_or_default();
        let least = (self.reorder_wait + self.packet + SLACK).max(SHORTEST_MARGIN);
        need.max(least).min(BOUND + self.packet)
    }

    fn wall(&self, now: Instant) -> Option<i64> {
        let start = self.start?;
        Some(ticks(now.saturating_duration_since(start)))
    }

    fn remember(&mut self, now: Instant) {
        let since = self.slot_since.get_or_insert(now);
        for _ in 0..SLOTS {
            if now.saturating_duration_since(*since) < SLOT {
                return;
            }
            *since += SLOT;
            self.slot = (self.slot + 1) % SLOTS;
            self.slots[self.slot] = EMPTY;
        }
        self.slot_since = Some(now);
    }
}

fn ticks(time: Duration) -> i64 {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).min(i64::MAX / PER_MS / 4_000);
    seconds * 1_000 * PER_MS + i64::from(time.subsec_nanos() / 125_000)
}
