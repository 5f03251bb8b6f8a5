//! The play-out queue of the agent's voice and the ledger of what was really sent (invariant 6: heard means sent).
//!
//! In: audio of one segment after the other at the line's rate, faster than real time. Out: one frame per packet interval.
//! The ledger counts, per segment, samples received and samples sent; barge-in, transcripts and "goodbye finished" read it.
//!
//! Segments play in the order of their first push. One that is still open but has nothing left keeps its turn for 500 ms,
//! then those behind it go first: a segment whose end never comes cannot silence the rest of the call.
//! Bounds: 180 s of audio and 64 segments in all; what is above is refused and counted. Buffers are reused: no allocation
//! per frame in steady state.

use std::collections::VecDeque;

use super::pcm::Rate;
use super::resample;
use super::standing::Standing;

/// A segment of agent speech. The engine's number, never a provider id.
pub type Segment = u64;

/// What one frame carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// The segment whose samples are in the frame (the later one if two meet in it); `None` = silence.
    pub segment: Option<Segment>,
    /// How many samples of the frame were speech.
    pub samples: usize,
    /// A segment whose first sample is in this frame.
    pub started: Option<Segment>,
    /// A segment (ended by [`Playout::end`]) whose last sample is in this frame, or which had none left.
    /// Every segment that is ended and not flushed is reported once, in order, one a frame: a second one in the same frame waits for the next.
    pub finished: Option<Segment>,
}

/// What the caller has heard of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub segment: Segment,
    /// Milliseconds put on RTP, with what was skipped between them ([`Playout::skipped_samples`]): the place in the segment. Rounded down, never
    /// above `received_ms`.
    pub heard_ms: u32,
    pub received_ms: u32,
}

/// Longest queue.
const MAX_QUEUED_MS: usize = 180_000;
/// Ledger entries kept, live ones and old ones together.
const MAX_SEGMENTS: usize = 64;
/// Silence an open segment without audio may keep the next one waiting.
const MAX_WAIT_MS: usize = 500;
/// A segment's buffer above this capacity (8 s at 8 kHz) shrinks before reuse, so that one long reply does not hold memory for the whole call.
const SPARE_CAPACITY: usize = 64_000;
/// Longest frame: 60 ms.
const MAX_FRAME_MS: usize = 60;
/// What may wait of audio that comes in real time: the jitter of the service and of our own tick.
const KEPT_MS: usize = 40;
/// Buffers kept for reuse: the playing segment's and the next one's.
const MAX_SPARE: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More audio may come.
    Open,
    /// No more audio comes; what is queued plays.
    Ended,
    /// All was played, or was flushed: in the ledger only; later pushes are refused.
    Closed,
}

struct Entry {
    segment: Segment,
    state: State,
    received: usize,
    sent: usize,
    /// Taken out of what waited, as it only kept the rest waiting: neither sent nor waiting.
    skipped: usize,
    queued: VecDeque<i16>,
}

impl Entry {
    fn heard(&self, rate: Rate) -> Heard {
        let ms = |samples: usize| (samples / rate.per_ms()) as u32;
        Heard { segment: self.segment, heard_ms: ms(self.sent + self.skipped), received_ms: ms(self.received) }
    }
}

/// The last frame, for [`Playout::unsend`].
#[derive(Default)]
struct LastFrame {
    samples: Vec<i16>,
    /// Whose they are, in order: segment and how many. One frame meets at most two segments.
    pieces: [Option<(Segment, usize)>; 2],
    finished: Option<Segment>,
    waited: usize,
    /// Silence in front of its speech.
    before: usize,
    /// As [`Playout::dry`] was before it.
    dry: bool,
}

/// The queue. Bounded to 180 s of audio; what does not fit is refused and counted.
pub struct Playout {
    rate: Rate,
    /// In the order of their first push or end.
    ledger: VecDeque<Entry>,
    /// Segments that are not closed, in the order they play.
    order: VecDeque<Segment>,
    /// Closed by playing to the end, but not reported yet.
    finished: VecDeque<Segment>,
    queued: usize,
    refused: u64,
    /// Silence given while the segment in front was open and empty and another one had audio.
    waited: usize,
    /// The last frame was not full: what comes now begins.
    dry: bool,
    last: LastFrame,
    standing: Standing,
    skipped: u64,
    spare: Vec<VecDeque<i16>>,
}

impl Playout {
    pub fn new(rate: Rate) -> Playout {
        Playout {
            rate,
            ledger: VecDeque::with_capacity(MAX_SEGMENTS),
            order: VecDeque::with_capacity(MAX_SEGMENTS),
            finished: VecDeque::with_capacity(MAX_SEGMENTS),
            queued: 0,
            refused: 0,
            waited: 0,
            dry: true,
            last: LastFrame { samples: Vec::with_capacity(rate.samples(MAX_FRAME_MS)), ..LastFrame::default() },
            standing: Standing::new(rate, KEPT_MS),
            skipped: 0,
            spare: Vec::with_capacity(MAX_SPARE),
        }
    }

    /// Goes on at another rate: what waits is converted, and the ledger counts on in the new samples. Allocates; between two frames,
    /// after which there is nothing to [`Self::unsend`].
    pub fn set_rate(&mut self, rate: Rate) {
        if rate == self.rate {
            return;
        }
        let scaled = |samples: usize| samples * rate.per_ms() / self.rate.per_ms();
        // The end of the last frame before what follows it, so that the filter does not begin with a step.
        let mut before = Some(std::mem::take(&mut self.last.samples));
        for entry in &mut self.ledger {
            let (waits, unsent) = (entry.queued.len(), entry.received - entry.sent - entry.skipped);
            (entry.sent, entry.skipped) = (scaled(entry.sent), scaled(entry.skipped));
            if waits > 0 {
                let mut samples = before.take().unwrap_or_default();
                let lead = scaled(samples.len());
                samples.extend(&entry.queued);
                let converted = resample::convert(&samples, self.rate.hz(), rate.hz()).unwrap_or_default();
                entry.queued.clear();
                entry.queued.extend(converted.get(lead..).unwrap_or_default());
            }
            // Flushed before it was sent: never queued any more, but received.
            entry.received = entry.sent + entry.skipped + if waits > 0 { entry.queued.len() } else { scaled(unsent) };
        }
        self.queued = self.ledger.iter().map(|entry| entry.queued.len()).sum();
        self.waited = scaled(self.waited);
        self.standing = Standing::new(rate, KEPT_MS);
        self.last = LastFrame { samples: Vec::with_capacity(rate.samples(MAX_FRAME_MS)), ..LastFrame::default() };
        self.rate = rate;
    }

    /// Queues audio of a segment; segments play in the order of their first push. Returns the samples that were taken.
    pub fn push(&mut self, segment: Segment, samples: &[i16]) -> usize {
        let taken = samples.len().min(self.rate.samples(MAX_QUEUED_MS).saturating_sub(self.queued));
        let taken = match self.open(segment) {
            Some(entry) if entry.state == State::Open => {
                entry.queued.extend(&samples[..taken]);
                entry.received += taken;
                taken
            }
            _ => 0,
        };
        self.queued += taken;
        self.standing.pushed(taken);
        self.refused += (samples.len() - taken) as u64;
        taken
    }

    /// No more audio comes for the segment.
    pub fn end(&mut self, segment: Segment) {
        if let Some(entry) = self.open(segment)
            && entry.state == State::Open
        {
            entry.state = State::Ended;
        }
    }

    /// Refuses all audio of a segment from now on, as [`Self::flush`] does for those it knows: for one that was cancelled before its first push.
    pub fn refuse(&mut self, segment: Segment) {
        let Some(entry) = self.open(segment) else { return };
        entry.state = State::Closed;
        let buffer = std::mem::take(&mut entry.queued);
        self.queued -= buffer.len();
        self.recycle(buffer);
        self.order.retain(|open| *open != segment);
        self.last = LastFrame { samples: std::mem::take(&mut self.last.samples), ..LastFrame::default() };
    }

    /// Fills `frame` completely (speech, then silence) and books it as sent. Of what has just begun and comes in real time there may be less than
    /// a frame: then the silence is before it ([`Self::before`]), as after it would be a hole in a word.
    /// Believe the result only once the frame is sent: [`Self::unsend`] takes back its reports too.
    pub fn next_frame(&mut self, frame: &mut [i16]) -> Played {
        let mut played = Played::default();
        self.last.samples.clear();
        self.last.pieces = [None, None];
        self.last.waited = self.waited;
        self.trim();
        loop {
            let pieces_full = self.last.pieces[1].is_some();
            let Some(entry) = self.front() else { break };
            if entry.queued.is_empty() {
                if entry.state == State::Open {
                    break;
                }
                self.close_front();
                continue;
            }
            let rest = &mut frame[played.samples..];
            let starts = entry.sent == 0;
            // A frame reports one start and can be taken back for two segments; a third waits for the next frame.
            if rest.is_empty() || (starts && played.started.is_some()) || pieces_full {
                break;
            }
            let (segment, count) = (entry.segment, rest.len().min(entry.queued.len()));
            let (front, back) = entry.queued.as_slices();
            let split = count.min(front.len());
            rest[..split].copy_from_slice(&front[..split]);
            rest[split..count].copy_from_slice(&back[..count - split]);
            entry.queued.drain(..count);
            entry.sent += count;
            if starts {
                played.started = Some(segment);
            }
            self.last.pieces[usize::from(played.samples > 0)] = Some((segment, count));
            self.queued -= count;
            played.samples += count;
            played.segment = Some(segment);
        }
        self.last.samples.extend_from_slice(&frame[..played.samples]);
        frame[played.samples..].fill(0);
        self.last.dry = std::mem::replace(&mut self.dry, played.samples < frame.len());
        let goes_on = self.front().is_some_and(|entry| entry.state == State::Open && entry.queued.is_empty());
        let begins = self.last.dry && played.samples > 0 && goes_on;
        self.last.before = if begins { frame.len() - played.samples } else { 0 };
        frame.rotate_right(self.last.before);
        if played.samples > 0 {
            self.waited = 0;
        }
        self.standing.played(frame.len(), played.samples, self.queued);
        self.count_wait(frame.len() - played.samples);
        played.finished = self.finished.pop_front();
        self.last.finished = played.finished;
        played
    }

    /// The last frame was not sent after all (an RFC 4733 event took its place, or hold): takes the booking back and puts the samples back.
    /// What the frame reported as started or finished is reported again. Once per frame; nothing after a [`Self::flush`].
    pub fn unsend(&mut self) {
        self.waited = self.last.waited;
        self.dry = self.last.dry;
        if let Some(segment) = self.last.finished.take() {
            self.finished.push_front(segment);
        }
        let mut end = self.last.samples.len();
        // Backwards, so that the samples of the first piece end up in front.
        for index in (0..self.last.pieces.len()).rev() {
            let Some((segment, count)) = self.last.pieces[index].take() else { continue };
            let samples = end - count..end;
            end -= count;
            let Some(position) = self.position(segment) else { continue };
            if self.ledger[position].state == State::Closed {
                self.reopen(position);
            }
            let entry = &mut self.ledger[position];
            for sample in self.last.samples[samples].iter().rev() {
                entry.queued.push_front(*sample);
            }
            entry.sent -= count;
            self.queued += count;
        }
        self.last.samples.clear();
    }

    /// Drops everything queued and quarantines the segments concerned: later pushes to them are ignored.
    /// Returns what was heard of each segment that was cut before its end, playing one first.
    /// An open segment counts as cut even if all that came of it was played.
    pub fn flush(&mut self) -> Vec<Heard> {
        let mut cut = Vec::with_capacity(self.order.len());
        let rate = self.rate;
        while let Some(entry) = self.front() {
            if entry.state == State::Open || !entry.queued.is_empty() {
                cut.push(entry.heard(rate));
                entry.state = State::Closed;
                let buffer = std::mem::take(&mut entry.queued);
                self.recycle(buffer);
                self.order.pop_front();
            } else {
                self.close_front();
            }
        }
        self.queued = 0;
        self.waited = 0;
        self.dry = true;
        self.standing.reset();
        self.last = LastFrame { samples: std::mem::take(&mut self.last.samples), ..LastFrame::default() };
        self.last.samples.clear();
        cut
    }

    /// Samples of silence in front of the speech of the last frame.
    pub fn before(&self) -> usize {
        self.last.before
    }

    /// Whether nothing waits: no speech, no open segment, no [`Played::finished`] still to be reported.
    pub fn is_idle(&self) -> bool {
        self.order.is_empty() && self.finished.is_empty()
    }
    /// Milliseconds of speech waiting.
    pub fn queued_ms(&self) -> u32 {
        (self.queued / self.rate.per_ms()) as u32
    }
    /// Ledger entry of a segment that is playing or was (the last 32 are kept).
    pub fn heard(&self, segment: Segment) -> Option<Heard> {
        self.position(segment).map(|position| self.ledger[position].heard(self.rate))
    }
    /// Samples that [`Self::push`] did not take: over the bound, or of a segment that was ended, flushed or refused.
    pub fn refused_samples(&self) -> u64 {
        self.refused
    }

    /// Samples that were taken out of the queue, because they only kept what was behind them waiting: silence, and single pitch periods.
    pub fn skipped_samples(&self) -> u64 {
        self.skipped
    }

    /// Audio that comes in real time (an echo, a service that streams) does not keep the delay that a stall has left it.
    fn trim(&mut self) {
        let Some(position) = self.order.front().and_then(|segment| self.position(*segment)) else { return };
        let Some(entry) = self.ledger.get_mut(position) else { return };
        let taken = self.standing.trim(&mut entry.queued);
        entry.skipped += taken;
        self.queued -= taken;
        self.skipped += taken as u64;
    }

    fn position(&self, segment: Segment) -> Option<usize> {
        self.ledger.iter().rposition(|entry| entry.segment == segment)
    }

    fn front(&mut self) -> Option<&mut Entry> {
        let position = self.position(*self.order.front()?)?;
        self.ledger.get_mut(position)
    }

    /// The segment's entry; a new one at the end of the order if it was never seen. `None` = 64 segments wait.
    fn open(&mut self, segment: Segment) -> Option<&mut Entry> {
        let position = match self.position(segment) {
            Some(position) => position,
            None => {
                if self.ledger.len() == MAX_SEGMENTS {
                    let oldest = self.ledger.iter().position(|entry| entry.state == State::Closed)?;
                    self.ledger.remove(oldest);
                }
                let queued = self.spare.pop().unwrap_or_default();
                self.ledger.push_back(Entry { segment, state: State::Open, received: 0, sent: 0, skipped: 0, queued });
                self.order.push_back(segment);
                self.ledger.len() - 1
            }
        };
        self.ledger.get_mut(position)
    }

    /// The segment in front has played to its end.
    fn close_front(&mut self) {
        let Some(entry) = self.front() else { return };
        entry.state = State::Closed;
        let segment = entry.segment;
        let buffer = std::mem::take(&mut entry.queued);
        self.recycle(buffer);
        self.order.pop_front();
        self.waited = 0;
        self.finished.push_back(segment);
    }

    /// Undoes [`Self::close_front`]: its last samples come back.
    fn reopen(&mut self, position: usize) {
        let queued = self.spare.pop().unwrap_or_default();
        let entry = &mut self.ledger[position];
        entry.state = State::Ended;
        entry.queued = queued;
        let segment = entry.segment;
        self.order.push_front(segment);
        self.finished.retain(|finished| *finished != segment);
    }

    fn recycle(&mut self, mut buffer: VecDeque<i16>) {
        if self.spare.len() < MAX_SPARE {
            buffer.clear();
            buffer.shrink_to(SPARE_CAPACITY);
            self.spare.push(buffer);
        }
    }

    /// Counts silence that an open, empty segment in front causes to those behind it; when it is too long, the next one goes first.
    fn count_wait(&mut self, silence: usize) {
        let others = self.queued > 0;
        match self.front() {
            Some(entry) if others && entry.queued.is_empty() && entry.state == State::Open => self.waited += silence,
            _ => self.waited = 0,
        }
        if self.waited >= self.rate.samples(MAX_WAIT_MS) {
            self.waited = 0;
            self.order.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests;
