//! Between the line's rate and the session's, when the line's may change in mid-call (another codec by re-INVITE or by packet).
//!
//! In: samples at the one rate. Out: the same time at the other, appended. Equal rates are a copy. The session is at 24 kHz (PCM16) or 8 kHz (G.711).
//! A change takes over from the filter before it: primed with the audio just heard, so that it neither clicks nor loses a sample's time.
//! Only a change allocates.

use super::pcm::Rate;
use super::resample::{Downsampler, Upsampler};

/// Past audio a filter is primed with: whole blocks, longer than its memory.
const MEMORY_MS: usize = 20;

/// Caller → model.
pub struct FromLine {
    line: Rate,
    up: Option<Upsampler>,
    /// For the rate before this one, which may come back with the next packet.
    spare: Option<Upsampler>,
    /// When the session is at 8 kHz and the line is not.
    down: Option<Downsampler>,
    session: Rate,
    wide: Vec<i16>,
}

impl FromLine {
    /// `session` is 24 or 8 kHz.
    pub fn new(line: Rate, session: Rate) -> FromLine {
        let mut from_line = FromLine { line, up: None, spare: None, down: None, session, wide: Vec::new() };
        from_line.set_filters();
        from_line
    }
    pub fn line(&self) -> Rate {
        self.line
    }
    /// Appends what `samples` are at the session's rate, less what waits for its block (< 5 ms).
    pub fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        match (&mut self.up, &mut self.down) {
            (None, None) => out.extend_from_slice(samples),
            (Some(up), None) => up.process(samples, out),
            (None, Some(down)) => down.process(samples, out),
            (Some(up), Some(down)) => {
                self.wide.clear();
                up.process(samples, &mut self.wide);
                down.process(&self.wide, out);
            }
        }
    }
    /// From now on at `line`. `recent`: the audio before, at the new rate, at least 25 ms of it.
    /// What still waited at the old rate comes out with the next samples (at 24 kHz, which needs no filter, those 8 ms are skipped).
    pub fn set_line(&mut self, line: Rate, recent: &[i16]) {
        if line == self.line {
            return;
        }
        let waiting = self.up.as_ref().map_or(0, Upsampler::waiting) * line.per_ms() / self.line.per_ms();
        self.line = line;
        let before = self.up.take();
        self.up = self.spare.take().filter(|spare| spare.line() == line);
        self.spare = before;
        self.set_filters();
        if let Some(up) = &mut self.up {
            let from = recent.len().saturating_sub(line.samples(MEMORY_MS) + waiting);
            up.reset();
            self.wide.clear();
            up.process(&recent[from..], &mut self.wide);
        }
    }

    fn set_filters(&mut self) {
        if self.line == self.session {
            (self.up, self.down) = (None, None);
            return;
        }
        match self.line {
            Rate::Hz24000 => self.up = None,
            line => self.up = self.up.take().or_else(|| Some(Upsampler::new(line))),
        }
        self.down = match self.session {
            Rate::Hz24000 => None,
            session => self.down.take().or_else(|| Some(Downsampler::new(session))),
        };
    }
}

/// Model → caller, in segments: one of `n` samples at the session's rate has the same time at the line's, rounded up to whole samples.
pub struct ToLine {
    session: Rate,
    line: Rate,
    up: Option<Upsampler>,
    down: Option<Downsampler>,
    wide: Vec<i16>,
    /// Samples of the segment taken in at the session's rate, and given out at the line's.
    taken: usize,
    given: usize,
    /// Delay of `up` still to be dropped.
    lead: usize,
}

/// Delay of an [`Upsampler`], in samples at 24 kHz.
const LEAD: usize = 60;

impl ToLine {
    /// `session` is 24 or 8 kHz.
    pub fn new(session: Rate, line: Rate) -> ToLine {
        let mut to_line =
            ToLine { session, line, up: None, down: None, wide: Vec::new(), taken: 0, given: 0, lead: LEAD };
        to_line.set_filters();
        to_line
    }
    /// Appends the time of `samples`, less what waits (< 7.5 ms; 15 ms through both filters).
    pub fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        let from = out.len();
        self.taken += samples.len();
        let samples = match &mut self.up {
            Some(up) => {
                self.wide.clear();
                up.process(samples, &mut self.wide);
                let lead = self.lead.min(self.wide.len());
                self.wide.drain(..lead);
                self.lead -= lead;
                &self.wide
            }
            None => samples,
        };
        match &mut self.down {
            Some(down) => down.process(samples, out),
            None => out.extend_from_slice(samples),
        }
        self.given += out.len() - from;
    }
    /// The end of a segment: appends what waited. The next sample begins a new one.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        let from = out.len();
        if let Some(up) = &mut self.up {
            self.wide.clear();
            up.flush(&mut self.wide);
            match &mut self.down {
                Some(down) => down.process(&self.wide, out),
                None => out.extend_from_slice(&self.wide),
            }
        }
        if let Some(down) = &mut self.down {
            down.flush(out);
        }
        // Exactly the segment's time: the silence that pushed the last samples out is no part of it.
        let due = (self.taken * self.line.per_ms()).div_ceil(self.session.per_ms()).saturating_sub(self.given);
        out.resize(from + due, 0);
        self.reset();
    }
    /// Forgets everything (barge-in).
    pub fn reset(&mut self) {
        if let Some(up) = &mut self.up {
            up.reset();
        }
        if let Some(down) = &mut self.down {
            down.reset();
        }
        (self.taken, self.given, self.lead) = (0, 0, LEAD);
    }
    /// From now on at `line`, also in the middle of a segment; what still waits comes out at the new rate.
    pub fn set_line(&mut self, line: Rate) {
        if line == self.line {
            return;
        }
        self.given = self.given * line.per_ms() / self.line.per_ms();
        self.line = line;
        self.set_filters();
    }

    fn set_filters(&mut self) {
        self.up = match self.session {
            Rate::Hz24000 => None,
            session if session == self.line => None,
            session => self.up.take().or_else(|| Some(Upsampler::new(session))),
        };
        self.down = match self.line {
            Rate::Hz24000 => None,
            line if line == self.session => None,
            line => {
                let mut down = self.down.take().unwrap_or_else(|| Downsampler::new(line));
                down.set_line(line);
                Some(down)
            }
        };
    }
}

#[cfg(test)]
mod tests;
