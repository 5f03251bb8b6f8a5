//! The play-out queue of the agent's voice and the ledger of what was really sent (invariant 6: heard means sent).
//!
//! In: 8 kHz audio of one segment after the other, faster than real time. Out: one frame per packet interval.
//! The ledger counts, per segment, samples received and samples sent; barge-in, transcripts and "goodbye finished" read it.

use std::ops::Range;

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
    pub finished: Option<Segment>,
}

/// What the caller has heard of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub segment: Segment,
    /// Milliseconds put on RTP, rounded down, never above `received_ms`.
    pub heard_ms: u32,
    pub received_ms: u32,
}

/// The queue. Bounded to 180 s of audio; what does not fit is refused and counted.
pub struct Playout {
    _frame: Range<usize>,
}

impl Playout {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Playout {
        todo!()
    }
    /// Queues audio of a segment; segments play in the order of their first push. Returns the samples that were taken.
    pub fn push(&mut self, segment: Segment, samples: &[i16]) -> usize {
        let _ = (segment, samples);
        todo!()
    }
    /// No more audio comes for the segment.
    pub fn end(&mut self, segment: Segment) {
        let _ = segment;
        todo!()
    }
    /// Fills `frame` completely (speech, then silence) and books it as sent.
    pub fn next_frame(&mut self, frame: &mut [i16]) -> Played {
        let _ = frame;
        todo!()
    }
    /// The last frame was not sent after all (an RFC 4733 event took its place, or hold): takes the booking back and puts the samples back.
    pub fn unsend(&mut self) {
        todo!()
    }
    /// Drops everything queued and quarantines the segments concerned: later pushes to them are ignored.
    /// Returns what was heard of each segment that was cut before its end, playing one first.
    pub fn flush(&mut self) -> Vec<Heard> {
        todo!()
    }
    /// Whether speech waits or a segment is open.
    pub fn is_idle(&self) -> bool {
        todo!()
    }
    /// Milliseconds of speech waiting.
    pub fn queued_ms(&self) -> u32 {
        todo!()
    }
    /// Ledger entry of a segment that is playing or was (the last 32 are kept).
    pub fn heard(&self, segment: Segment) -> Option<Heard> {
        let _ = segment;
        todo!()
    }
}
