//! What is echo alone, and what has the caller in it.
//!
//! In: levels of 5 ms: what came, what was sent and may come back now, what the canceller left. Out: whether to pass it. Two kinds of
//! evidence for a caller: more came than the line's echo can be; or the canceller explains a part, and more is left than it ever leaves.

/// Levels of a piece: power per sample.
pub struct Heard {
    pub near: f32,
    /// The loudest that was sent and may come back now.
    pub sent: f32,
    /// What the canceller left of it, and what it took for echo.
    pub left: f32,
    pub echo: f32,
    pub cancels: bool,
}

/// What follows of a piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    /// The echo's delay is worth a search.
    pub search: bool,
    /// The filter is as good as it was.
    pub good: bool,
    /// The filter makes it worse.
    pub worse: bool,
    /// Opened on the filter's word alone: the path may have moved.
    pub ask: bool,
}

/// Agent speech louder than this may be heard as echo: -50 dBFS.
const ACTIVE: f32 = 10_000.0;
/// An unknown line returns a quarter (6 dB).
const UNKNOWN: f32 = 0.25;
/// Nothing below is evidence: -57 dBFS.
const LEAST: f32 = 2_000.0;
/// Pieces of agent speech after which a silent line is believed: 600 ms.
const BELIEVE: u32 = 120;
/// Louder is no noise: -44 dBFS.
const NOISE: f32 = 40_000.0;
/// Pieces (200 ms) the filter waits in doubt.
const DOUBT: u32 = 40;
/// Pieces of agent speech over which the loudest echo is remembered, twice: 1 s.
const PEAK: u32 = 200;
/// Pieces after opening in which the filter's word is still doubted: 30 ms.
const ASK: u32 = 6;
/// Pieces of echo a filter must have taken out before its word counts: 0.5 s.
const SETTLED: u32 = 100;
/// Evidence for the caller that opens, and most that counts.
const OPEN: u32 = 3;
const MOST: u32 = 24;
/// What is left counts from this share of the loudest echo on (13 dB below): low tones are taken out badly.
const COUNTS: f32 = 0.05;
/// The noise in place of what is kept back is at least G.711's own: its smallest step.
const COMFORT: f32 = 8.0;

/// See the module's map.
pub struct Gate {
    /// Echo for power sent: the highest seen, slowly forgotten.
    gain: f32,
    /// Pieces of agent speech so far, up to [`BELIEVE`].
    seen: u32,
    /// The highest of this second and of the one before.
    peak: f32,
    peak_before: f32,
    peak_pieces: u32,
    /// Power of the line's noise.
    floor: f32,
    /// What the canceller leaves of the echo alone.
    rest: f32,
    recent_echo: f32,
    score: u32,
    hold: u32,
    open: bool,
    /// Pieces in which more was left than the canceller leaves.
    doubt: u32,
    asked: u32,
    /// Pieces in which the filter was good, since the path was found.
    settled: u32,
    best: f32,
    bad: u32,
    from: f32,
    to: f32,
    comfort: f32,
    random: u32,
    known: bool,
    active: bool,
}

impl Gate {
    pub fn new() -> Gate {
        Gate {
            gain: UNKNOWN,
            seen: 0,
            peak: 0.0,
            peak_before: 0.0,
            peak_pieces: 0,
            floor: 64.0,
            rest: 1.0,
            recent_echo: 0.0,
            score: 0,
            hold: 0,
            open: false,
            doubt: 0,
            asked: 0,
            settled: 0,
            best: 1.0,
            bad: 0,
            from: 1.0,
            to: 1.0,
            comfort: 0.0,
            random: 1,
            known: false,
            active: false,
        }
    }
    pub fn gain(&self) -> f32 {
        self.gain
    }
    pub fn floor(&self) -> f32 {
        self.floor
    }
    /// The filter takes most of the echo out.
    pub fn trusts_filter(&self) -> bool {
        self.rest < 0.35
    }
    /// The delay was found: what came until now may have been echo.
    pub fn found(&mut self) {
        self.known = true;
        self.gain = self.gain.max(UNKNOWN);
        (self.score, self.hold, self.open) = (0, 0, false);
        (self.rest, self.best, self.settled) = (1.0, 1.0, 0);
    }
    /// The echo path moved.
    pub fn moved(&mut self) {
        (self.score, self.hold, self.open) = (0, 0, false);
        self.rest = 1.0;
    }
    /// How often the canceller learns now: from each n-th sample; 0 = not.
    pub fn stride(&self) -> usize {
        match () {
            () if self.open || self.score > 0 || !self.active || self.waits() => 0,
            () if self.rest > 0.05 => 2,
            () => 4,
        }
    }

    fn waits(&self) -> bool {
        (1..DOUBT).contains(&self.doubt)
    }

    /// Nothing was sent for long: the line's noise is learned, all passes.
    pub fn rest(&mut self, frame: &[i16]) {
        (self.from, self.to, self.open, self.score, self.hold) = (1.0, 1.0, false, 0, 0);
        for piece in frame.chunks(40) {
            let power = piece.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / piece.len().max(1) as f32;
            self.learn_floor(power);
        }
    }

    fn learn_floor(&mut self, power: f32) {
        let floor = if power < self.floor { 0.9 * self.floor + 0.1 * power } else { (self.floor * 1.003).min(NOISE) };
        self.floor = floor.max(1.0);
    }

    pub fn judge(&mut self, heard: &Heard) -> Verdict {
        self.active = heard.sent > ACTIVE;
        if !self.active {
            self.learn_floor(heard.near);
            self.score = self.score.saturating_sub(1);
            self.hold = 0;
            self.open = false;
            self.level(1.0);
            return Verdict::default();
        }
        if heard.near < self.floor {
            self.learn_floor(heard.near);
        }
        self.seen = (self.seen + 1).min(BELIEVE);
        let expected = self.gain * heard.sent;
        // Of what came, what the canceller does not explain.
        let unknown = heard.near * (heard.left / heard.near.max(1.0)).min(1.0);
        let more = unknown / (expected * 2.0 + self.floor * 4.0 + LEAST);
        // What the canceller just took out rings on a little.
        self.recent_echo = heard.echo.max(self.recent_echo * 0.7);
        let converged = heard.cancels && self.rest < 0.35 && self.settled >= SETTLED;
        let unexplained = heard.left
            / (self.recent_echo * (self.rest * 8.0).min(1.0) + self.floor * 6.0 + LEAST * 0.2 + expected * COUNTS);
        let by_filter = converged && unexplained > 1.0 && heard.left < 0.8 * heard.near;
        let evidence = more > 1.0 || by_filter;
        if evidence {
            self.score = (self.score + if more > 4.0 { 2 } else { 1 }).min(MOST);
        } else {
            self.score = self.score.saturating_sub(1);
        }
        let mut ask = false;
        if self.score >= OPEN {
            ask = by_filter && more < 1.0 && (!self.open || self.asked > 0);
            self.asked = if self.open { self.asked.saturating_sub(1) } else { ASK };
            self.open = true;
            self.hold = (8 + self.score).min(32);
        } else if self.hold > 0 {
            self.hold -= 1;
        } else {
            self.open = false;
        }
        // More is left than before: the caller, or the path moved. The filter waits a little for which it is.
        let doubt = converged && unexplained > 1.0;
        self.doubt = if doubt { self.doubt + 1 } else { self.doubt.saturating_sub(4) };
        if !self.open && !evidence && !self.waits() {
            self.learn_line(heard);
        }
        self.level(if self.open { 1.0 } else { 0.0 });
        let bad = heard.cancels && heard.left > 1.2 * heard.near;
        self.bad = if bad { self.bad + 1 } else { self.bad.saturating_sub(1) };
        let worse = self.bad > 12;
        if worse {
            self.bad = 0;
            self.rest = 1.0;
        }
        let good = heard.cancels && !self.open && self.rest < 0.25 && self.rest < self.best * 1.05;
        if good {
            self.best = self.rest;
        }
        let audible = heard.near > self.floor * 4.0 + LEAST * 0.5;
        Verdict { search: audible && !(converged && self.rest < 0.25), good, worse, ask }
    }

    fn learn_line(&mut self, heard: &Heard) {
        let ratio = (heard.near - self.floor).max(0.0) / heard.sent;
        // What a good filter explains is echo; the rest may be the caller, and counts for little.
        let explained = self.rest < 0.3 && heard.left < 0.3 * heard.near;
        let most = self.gain * if explained { 1.01 } else { 1.003 };
        self.peak = self.peak.max(ratio.min(most));
        self.peak_pieces += 1;
        if self.peak_pieces == PEAK {
            self.peak_pieces = 0;
            self.peak_before = std::mem::take(&mut self.peak);
        }
        let peak = self.peak.max(self.peak_before);
        if ratio > self.gain {
            self.gain = most.min(1.0);
        } else if self.seen >= BELIEVE {
            // 6 dB a second where an echo is known; faster where none showed.
            self.gain = (self.gain * if self.known { 0.993 } else { 0.985 }).max(peak).max(1e-6).min(self.gain);
        }
        if heard.cancels && heard.near > self.floor * 4.0 + 100.0 {
            let rest = (heard.left / heard.near).min(1.0);
            self.rest += 0.05 * (rest - self.rest);
            if self.rest < 0.35 {
                self.settled = (self.settled + 1).min(SETTLED);
            }
        }
    }

    fn level(&mut self, target: f32) {
        self.from = self.to;
        // Opens at once, closes over two pieces.
        self.to =
            if target > self.to { target } else { if self.to > 0.5 { (0.3 * self.to).max(target) } else { target } };
        self.comfort = (self.floor * 3.0).sqrt().max(COMFORT);
    }

    /// One sample of a piece through the gate; the line's noise takes the place of what is kept back.
    pub fn pass(&mut self, sample: f32, n: usize, length: usize) -> i16 {
        let gain = self.from + (self.to - self.from) * (n + 1) as f32 / length as f32;
        let mut out = sample * gain;
        if gain < 0.99 {
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (self.random >> 8) as f32 / (1 << 23) as f32 - 1.0;
            out += (1.0 - gain) * self.comfort * noise;
        }
        out.clamp(-32_768.0, 32_767.0) as i16
    }
}
