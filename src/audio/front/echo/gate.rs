//! What is echo alone, and what has the caller in it.
//!
//! In: levels of 5 ms: what came, what was sent and may come back now, what the canceller left. Out: whether to pass it. Two kinds of
//! evidence for a caller: more came than the line's echo can be; or the canceller explains a part, and more is left than it ever leaves.

use super::canceller::{LATER, Powers};
use super::fade::Fade;

/// Levels of a piece: power per sample.
pub struct Heard {
    pub near: f32,
    /// The loudest that was sent and may come back now.
    pub sent: f32,
    /// What came, what the canceller left of it, and what it took for echo, pre-emphasised: there speech is flat, and low tones, which the
    /// filter takes out badly, do not hide all others.
    pub flat: Powers,
    pub cancels: bool,
}

/// What follows of a piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    /// The echo's delay is worth a search.
    pub search: bool,
    /// Nothing but echo for a while.
    pub good: bool,
    /// The filter makes it worse: the path is another.
    pub lost: bool,
    /// Opens on the filter's word alone, or the filter fails: the path may have moved.
    pub ask: bool,
    /// About to open on the filter's word alone: is what it leaves a copy of what was sent?
    pub copy: bool,
    /// Something came, and whether the line has an echo is not known: is it another voice?
    pub stranger: bool,
}

/// Agent speech louder than this may be heard as echo: -50 dBFS.
const ACTIVE: f32 = 10_000.0;
/// An unknown line returns a quarter (6 dB).
const UNKNOWN: f32 = 0.25;
/// Nothing below is evidence: -57 dBFS.
const LEAST: f32 = 2_000.0;
/// Pieces of agent speech after which a silent line is believed: 600 ms.
const BELIEVE: u32 = 120;
/// Pieces (0.6 s) of which the quietest is remembered, and those before them; the quietest of noise is so far below its power.
const QUIETEST: u32 = 120;
const ABOVE: f32 = 1.8;
/// Louder is no noise: -44 dBFS.
const NOISE: f32 = 40_000.0;
/// Pieces (200 ms) the filter waits in doubt.
const DOUBT: u32 = 40;
/// Pieces of agent speech over which the loudest echo is remembered, twice: 1 s.
const PEAK: u32 = 200;
/// The filter's word is doubted anew after so many pieces: 20 ms.
const ASK: u32 = 4;
/// Pieces of nothing but echo after which the filter is kept: 160 ms.
const KEEP: u32 = 32;
/// What a piece counts of the filter's agreement with what came; the last 50 ms or so.
const AGREES: f32 = 0.1;
/// Pieces of echo a filter must have taken out before its word counts: 0.5 s.
const SETTLED: u32 = 100;
/// Evidence for the caller that opens, and most that counts.
const OPEN: u32 = 3;
/// On the filter's word alone.
const SURE: u32 = 10;
/// From here on the filter's word is asked after (30 ms).
const EARLY: u32 = 6;
/// The same while it is open on that word, after so many pieces (20, 40 and 60 ms).
const AGAIN: [u32; 3] = [4, 8, 12];
/// Share of a copy in what the filter leaves that tells an echo, and another voice.
const COPY: f32 = 0.5;
const OTHER: f32 = 0.35;
/// Pieces (30 ms) for which a copy is learned from.
const EXCUSED: u32 = 6;
/// Less of a copy than this is another voice, on a line nobody knows: echoes gave 0.48 and more.
/// The first time it must be sure.
const STRANGER: f32 = 0.3;
const STRANGER_FIRST: f32 = 0.2;
/// So much more than a line can return is no echo, known or not (3 dB over a line without loss).
const SHOUTS: f32 = 4.0;
/// Pieces (300 ms) for which another voice passes: its pauses, and the time to the next look.
const HEARS: u32 = 60;
/// Pieces louder than the noise that a look needs (60 ms), and pieces between two looks, while shut, while open, and while sure.
const VOICED: u32 = 12;
const LOOK: u32 = 3;
const LOOK_OPEN: u32 = 10;
const LOOK_SURE: u32 = 40;
/// Looks that count.
const STRANGE: u32 = 12;
/// From here on the other voice may pause for 0.8 s.
const FAMILIAR: u32 = 4;
const PAUSES: u32 = 160;
/// So much of a copy is no chance.
const SURELY: f32 = 0.8;
/// A line whose filter is not settled may return this much more, at some tones, than was seen of it (3 dB).
const NEW: f32 = 2.0;
/// Pieces (150 ms) after a move.
const WARY: u32 = 30;
/// What a few taps at the right place leave, at most, of what the filter leaves at a wrong one: echoes behind a path that moved gave 0.3 to 0.5, callers
/// over an echo 0.7 to 1. Below the second no caller was seen; for so many pieces (60 ms) the new place is looked for.
const ELSEWHERE: f32 = 0.6;
const FAR_OFF: f32 = 0.45;
const LOST: u32 = 12;
/// The caller is at least this share of what came (6 dB below it).
const QUITE: f32 = 0.25;
const MOST: u32 = 24;
/// What is left counts from this share of the loudest echo on (17 dB below; more, while the filter is poor): low tones are taken out badly.
const COUNTS: f32 = 0.03;

/// See the module's map.
pub struct Gate {
    pub fade: Fade,
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
    quietest: f32,
    quietest_before: [f32; 2],
    quiet_pieces: u32,
    /// What the canceller leaves of the echo alone.
    rest: f32,
    recent_echo: f32,
    loudest_echo: f32,
    score: u32,
    loud: u32,
    hold: u32,
    open: bool,
    /// Pieces since it opened.
    since: u32,
    /// Pieces in which more was left than the canceller leaves.
    doubt: u32,
    asked: u32,
    /// Pieces in which the filter was good, since the path was found.
    settled: u32,
    /// Product of what came and the filter's echo, and the echo's power, of late: alike when the filter is right, whoever else speaks.
    product: f32,
    power: f32,
    came: f32,
    good: u32,
    /// Pieces of echo and nothing else in a row.
    clean: u32,
    /// Pieces in which the filter's word does not count, for the path has just moved.
    wary: u32,
    bad: u32,
    known: bool,
    /// Pieces in which what the filter leaves is known to be a copy of what was sent.
    excused: u32,
    /// Pieces louder than the noise, of late.
    voiced: u32,
    /// Pieces until the next look, and how often of late another voice was heard.
    look: u32,
    strange: u32,
    active: bool,
}

impl Gate {
    pub fn new() -> Gate {
        Gate {
            fade: Fade::new(),
            gain: UNKNOWN,
            seen: 0,
            peak: 0.0,
            peak_before: 0.0,
            peak_pieces: 0,
            floor: 64.0,
            quietest: NOISE,
            quietest_before: [64.0; 2],
            quiet_pieces: 0,
            rest: 1.0,
            recent_echo: 0.0,
            loudest_echo: 0.0,
            score: 0,
            loud: 0,
            hold: 0,
            open: false,
            since: 0,
            doubt: 0,
            asked: 0,
            settled: 0,
            product: 0.0,
            power: 0.0,
            came: 0.0,
            good: 0,
            clean: 0,
            wary: 0,
            bad: 0,
            known: false,
            excused: 0,
            voiced: 0,
            look: 0,
            strange: 0,
            active: false,
        }
    }
    pub fn gain(&self) -> f32 {
        self.gain
    }
    pub fn floor(&self) -> f32 {
        self.floor
    }
    /// Of noise that is white, pre-emphasised.
    fn flat_floor(&self) -> f32 {
        self.floor * 1.5
    }
    /// The filter takes most of the echo out.
    pub fn trusts_filter(&self) -> bool {
        self.rest < 0.35
    }
    /// The delay was found: what came until now may have been echo.
    pub fn found(&mut self) {
        self.known = true;
        self.gain = self.gain.max(UNKNOWN);
        self.shut();
        (self.rest, self.settled) = (1.0, 0);
    }
    /// The echo path moved; the filter is right again.
    pub fn moved(&mut self) {
        self.shut();
        (self.product, self.power, self.came, self.doubt) = (0.0, 0.0, 0.0, 0);
        self.wary = WARY;
    }
    /// What the filter leaves would pass, if `share` of it is a copy of what was sent.
    pub fn opens_at(&self, share: f32) -> bool {
        share < OTHER || share <= COPY && self.score >= SURE
    }
    /// Whether the filter is at a wrong place: a few taps anywhere around it leave no more than `share` of what it leaves. Then its word is asked
    /// after again at the next piece; and it counts for nothing for a while where there is no doubt.
    pub fn elsewhere(&mut self, share: f32) -> bool {
        if share < FAR_OFF {
            self.wary = self.wary.max(LOST);
            (self.open, self.hold) = (false, 0);
        }
        if share < ELSEWHERE && !self.open {
            self.score = EARLY - 1;
            return true;
        }
        false
    }
    /// `share`: so much of what the filter leaves is a copy of what was sent. A copy is learned from; what is none opens at once; in between the
    /// evidence goes on.
    pub fn copies(&mut self, share: f32) {
        if share > COPY {
            (self.score, self.doubt, self.excused) = (0, 0, EXCUSED);
            (self.open, self.hold) = (false, 0);
        } else if self.opens_at(share) {
            self.hold = (8 + self.score).min(32);
            self.open();
        }
    }
    /// Of a line not known to have an echo: `copy` of the last 100 ms is a copy of what was sent, and so much came for what was sent.
    pub fn stranger(&mut self, copy: f32, ratio: f32) {
        let limit = if self.strange == 0 { STRANGER_FIRST } else { STRANGER };
        self.look = match (self.open, self.strange) {
            (_, STRANGE) => LOOK_SURE,
            (true, _) => LOOK_OPEN,
            (false, _) => LOOK,
        };
        if copy < limit {
            self.strange = (self.strange + if copy < 0.5 * STRANGER { 2 } else { 1 }).min(STRANGE);
            self.open();
            self.hold = self.hold.max(if self.strange >= FAMILIAR { PAUSES } else { HEARS });
            self.bound(2.0 * copy * ratio);
        } else if !self.open && self.loud >= OPEN {
            if copy > COPY {
                self.loud = OPEN - 1;
            } else {
                self.hold = 8 + self.score;
                self.open();
            }
        } else if copy > COPY {
            self.strange = self.strange.saturating_sub(if copy > SURELY { 4 } else { 1 });
            if self.strange == 0 && self.loud < OPEN {
                (self.open, self.hold) = (false, 0);
            }
        }
    }
    fn open(&mut self) {
        self.open = true;
        self.fade.open();
    }
    fn shut(&mut self) {
        (self.score, self.loud, self.hold, self.open, self.asked, self.good) = (0, 0, 0, false, 0, 0);
        self.clean = 0;
    }
    /// How much the canceller learns of the piece [`LATER`] before this one: from each n-th sample.
    pub fn stride(&self) -> Option<usize> {
        let stride = match self.rest {
            rest if rest > 0.1 => 2,
            rest if rest > 0.02 => 4,
            _ => 10,
        };
        (self.clean > LATER as u32).then_some(stride)
    }

    /// What the canceller may leave when nobody speaks.
    fn explained(&self, echo: f32) -> f32 {
        self.recent_echo.max(echo) * (self.rest * 8.0).clamp(0.1, 1.0)
            + self.loudest_echo.max(echo) * (4.0 * self.rest * self.rest).max(COUNTS)
            + self.flat_floor() * 6.0
            + LEAST * 0.1
    }
    /// Whether every sample of a piece must be filtered, from what some of them say.
    pub fn looks_closely(&self, some: &Powers) -> bool {
        self.open || self.score > 0 || self.doubt > 0 || some.left > 0.3 * self.explained(some.echo)
    }

    fn waits(&self) -> bool {
        (1..DOUBT).contains(&self.doubt)
    }

    /// Nothing was sent for long: the line's noise is learned, all passes.
    pub fn rest(&mut self, frame: &[i16]) {
        self.fade.rest();
        self.shut();
        for piece in frame.chunks(40) {
            let power = piece.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / piece.len().max(1) as f32;
            self.learn_floor(power);
        }
    }

    /// Whoever speaks, there are pieces without a voice in every second or two: the quietest tell the noise.
    fn learn_floor(&mut self, power: f32) {
        self.quietest = self.quietest.min(power);
        self.quiet_pieces += 1;
        if self.quiet_pieces == QUIETEST {
            self.quiet_pieces = 0;
            let [one, two] = self.quietest_before;
            self.quietest_before = [two, self.quietest];
            self.floor = (one.min(two).min(self.quietest) * ABOVE).clamp(1.0, NOISE);
            self.quietest = NOISE;
        } else if self.quietest * ABOVE < self.floor {
            self.floor = (self.quietest * ABOVE).max(1.0);
        }
    }

    /// The line echoes no more than this, whoever speaks.
    pub fn bound(&mut self, gain: f32) {
        let gain = gain.max(1e-6);
        self.gain = self.gain.min(gain);
        self.peak = self.peak.min(gain);
        self.peak_before = self.peak_before.min(gain);
    }

    pub fn judge(&mut self, heard: &Heard) -> Verdict {
        self.active = heard.sent > ACTIVE;
        self.learn_floor(heard.near);
        if !self.active {
            self.score = self.score.saturating_sub(1);
            self.clean = 0;
            (self.hold, self.open, self.loud) = (0, false, 0);
            self.fade.level(true, self.floor);
            return Verdict::default();
        }
        self.seen = (self.seen + 1).min(BELIEVE);
        let expected = self.gain * heard.sent * if self.known && self.settled < SETTLED { NEW } else { 1.0 };
        // Of what came, what the canceller does not explain.
        let unknown = heard.near * (heard.flat.left / heard.flat.near.max(1.0)).min(1.0);
        let more = unknown / (expected * 2.0 + self.floor * 4.0 + LEAST);
        // What the canceller just took out rings on a little.
        self.recent_echo = heard.flat.echo.max(self.recent_echo * 0.7);
        self.loudest_echo = heard.flat.echo.max(self.loudest_echo * 0.97);
        // What is left is what came, less twice the product, and the echo's power.
        self.product += (heard.flat.near - heard.flat.left + heard.flat.echo) * 0.5 - AGREES * self.product;
        self.power += heard.flat.echo - AGREES * self.power;
        let right = self.product > 0.5 * self.power;
        let converged = heard.cancels && self.rest < 0.35 && self.settled >= SETTLED;
        let unexplained = heard.flat.left / self.explained(0.0);
        self.wary = self.wary.saturating_sub(1);
        let by_filter = converged
            && self.wary == 0
            && self.excused == 0
            && unexplained > 1.0
            && right
            && heard.flat.left > QUITE * heard.flat.near;
        let evidence = more > 1.0 || by_filter;
        self.excused = self.excused.saturating_sub(1);
        if evidence {
            self.score = (self.score + if more > 4.0 { 2 } else { 1 }).min(MOST);
            if more > 1.0 {
                self.loud = (self.loud + 1).min(OPEN);
            }
        } else {
            self.score = self.score.saturating_sub(1);
            self.loud = self.loud.saturating_sub(1);
        }
        self.since = if self.open { self.since.saturating_add(1) } else { 0 };
        // Asked again while it is open: a path that moves within what is compared is found out only when that has gone by.
        let due = if self.open { AGAIN.contains(&self.since) } else { self.score >= EARLY };
        let copy = due && by_filter && self.loud < OPEN;
        // On a line nobody knows yet, an echo may be louder than was thought: is it another voice?
        let louder = !self.known && !self.open && self.loud >= OPEN && more < SHOUTS;
        if louder {
            self.hold = 0;
        } else if (self.open && self.score >= OPEN) || self.loud >= OPEN {
            self.open = true;
            let familiar = !self.known && self.strange >= FAMILIAR;
            self.hold = if familiar { PAUSES } else { (8 + self.score).min(32) };
        } else if self.hold > 0 {
            self.hold -= 1;
        } else {
            (self.open, self.hold) = (false, 0);
        }
        // More is left than before: the caller, or the path moved. The filter waits a little for which it is.
        let doubt = converged && self.excused == 0 && unexplained > 1.0;
        self.doubt = if doubt { self.doubt + 1 } else { self.doubt.saturating_sub(4) };
        self.asked = self.asked.saturating_sub(1);
        let ask = doubt && more < 1.0 && (copy || self.asked == 0 && self.doubt >= OPEN);
        if ask {
            self.asked = ASK;
        }
        let learns = !self.open && !evidence && !self.waits();
        self.clean = if learns && heard.cancels { self.clean + 1 } else { 0 };
        if learns {
            self.learn_line(heard);
        }
        self.fade.level(self.open, self.floor);
        self.good = if learns && converged { self.good + 1 } else { self.good };
        let good = self.good >= KEEP;
        if good {
            self.good = 0;
        }
        // More is left of late than came.
        self.came += heard.flat.near - AGREES * self.came;
        let bad = heard.cancels && self.power - 2.0 * self.product > 0.2 * self.came;
        self.bad = if bad { self.bad + 1 } else { self.bad.saturating_sub(1) };
        let lost = self.bad > DOUBT;
        if lost {
            (self.bad, self.rest, self.settled) = (0, 1.0, 0);
        }
        self.voiced =
            if heard.near > self.floor * 8.0 + NOISE { self.voiced + 1 } else { self.voiced.saturating_sub(1) };
        self.voiced = self.voiced.min(2 * VOICED);
        self.look = self.look.saturating_sub(1);
        // What is louder than the line's echo can be needs no look, which is dear.
        let stranger = louder || !self.known && self.voiced >= VOICED && self.look == 0 && self.loud < OPEN;
        let audible = heard.near > self.floor * 4.0 + LEAST * 0.5;
        Verdict { search: audible && !(converged && self.rest < 0.25), good, lost, ask, copy, stranger }
    }

    fn learn_line(&mut self, heard: &Heard) {
        let ratio = (heard.near - self.floor).max(0.0) / heard.sent;
        // What a good filter explains is echo; the rest may be the caller, and counts for little.
        let explained = self.rest < 0.3 && heard.flat.left < 0.3 * heard.flat.near;
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
        let floor = self.flat_floor();
        if heard.cancels && heard.flat.near > floor * 4.0 + 100.0 {
            // Rises slowly: what is left may be the caller.
            let rest = ((heard.flat.left - floor).max(0.0) / (heard.flat.near - floor)).min(1.0);
            self.rest += if rest > self.rest {
                0.02 * (rest.min(3.0 * self.rest) - self.rest)
            } else {
                0.05 * (rest - self.rest)
            };
            if self.rest < 0.35 {
                self.settled = (self.settled + 1).min(SETTLED);
            }
        }
    }
}
