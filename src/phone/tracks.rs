//! Both sides of a call on one clock, at the line's rate: what the phone sent and what it received.
//!
//! The caller's side grows by one frame an interval. The agent's side is laid down by RTP timestamp, so that the tick of
//! this phone leaves no trace in the recording; a jump of more than two seconds is anchored anew at its arrival.

use crate::audio::pcm::{PER_MS_8K, Rate};

/// Longest recording: two hours.
const MAX_MS: usize = 2 * 3600 * 1000;
/// A position further off its arrival than this is anchored anew.
const REANCHOR_MS: usize = 2000;

/// The two tracks.
#[derive(Clone, Debug)]
pub struct Tracks {
    pub rate: Rate,
    pub caller: Vec<i16>,
    pub agent: Vec<i16>,
    /// RTP timestamp that stands at sample 0 of the agent's track.
    anchor: Option<u32>,
}

impl Tracks {
    pub fn new(rate: Rate) -> Tracks {
        Tracks { rate, caller: Vec::new(), agent: Vec::new(), anchor: None }
    }

    /// One frame that was sent.
    pub fn sent(&mut self, frame: &[i16]) {
        if self.caller.len() + frame.len() <= self.rate.samples(MAX_MS) {
            self.caller.extend_from_slice(frame);
        }
    }

    /// A payload with its RTP timestamp (in 1/8000 s), received when the clock of the tracks stood at `elapsed` samples.
    pub fn received(&mut self, timestamp: u32, elapsed: usize, samples: &[i16]) {
        let arrival = elapsed as i64;
        let scale = (self.rate.per_ms() / PER_MS_8K) as i64;
        let position = match self.anchor {
            Some(anchor) => i64::from(timestamp.wrapping_sub(anchor) as i32) * scale,
            None => i64::MIN,
        };
        let position = if self.anchor.is_none() || (position - arrival).abs() > self.rate.samples(REANCHOR_MS) as i64 {
            self.anchor = Some(timestamp.wrapping_sub((arrival / scale) as u32));
            arrival
        } else {
            position
        };
        let Ok(start) = usize::try_from(position) else { return };
        let end = start + samples.len();
        if end > self.rate.samples(MAX_MS) {
            return;
        }
        if self.agent.len() < end {
            self.agent.resize(end, 0);
        }
        self.agent[start..end].copy_from_slice(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_of_arrival_leaves_no_trace() {
        let mut tracks = Tracks::new(Rate::Hz8000);
        tracks.received(u32::MAX - 100, 400, &[1; 160]);
        tracks.received((u32::MAX - 100).wrapping_add(160), 700, &[2; 160]);
        tracks.received((u32::MAX - 100).wrapping_add(320), 705, &[3; 160]);
        let expected: Vec<i16> = [vec![0; 400], vec![1; 160], vec![2; 160], vec![3; 160]].concat();
        assert_eq!(tracks.agent, expected);
    }

    #[test]
    fn a_new_stream_is_anchored_at_its_arrival() {
        let mut tracks = Tracks::new(Rate::Hz8000);
        tracks.received(0, 0, &[1; 160]);
        tracks.received(4_000_000, 800, &[2; 160]);
        assert_eq!(tracks.agent.len(), 960);
        assert_eq!(tracks.agent[800], 2);
        tracks.received(4_000_160, 900, &[3; 160]);
        assert_eq!(tracks.agent[960], 3);
    }
}
