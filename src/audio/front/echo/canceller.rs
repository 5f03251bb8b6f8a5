//! The linear part: a normalised LMS filter over 24 ms of what was sent, around the delay that was found.
//!
//! Both streams come pre-emphasised, which makes speech flat enough to learn from. The filter learns from every `stride`-th
//! sample only: a line's echo path stands still, and learning is as dear as filtering.

/// Taps: a hybrid's 20 ms and what the delay may be off.
pub const TAPS: usize = 192;
/// Taps before the delay that was found.
pub const LEAD: usize = 48;
/// Longest piece.
pub const PIECE: usize = 40;
/// What comes back of this is below the noise of G.711.
const SILENT: f32 = 16.0;
const WIDE: usize = 16;
const STEP: f32 = 0.6;
/// From less than this (power per sample) little is learned.
const QUIET: f32 = 5_000.0;

/// See the module's map.
pub struct Canceller {
    taps: [f32; TAPS],
    /// As they were when they last proved good.
    kept: [f32; TAPS],
    phase: usize,
}

impl Canceller {
    pub fn new() -> Canceller {
        Canceller { taps: [0.0; TAPS], kept: [0.0; TAPS], phase: 0 }
    }
    pub fn clear(&mut self) {
        (self.taps, self.kept) = ([0.0; TAPS], [0.0; TAPS]);
    }
    pub fn keep(&mut self) {
        self.kept = self.taps;
    }
    pub fn go_back(&mut self) {
        self.taps = self.kept;
    }

    /// `sent`: `TAPS - 1` samples before the piece, then its own. `near` becomes what is left of it; the echo goes to `echo`.
    /// `floor`: power of the line's noise, per sample. `stride` 0 learns nothing.
    pub fn run(&mut self, sent: &[f32], near: &mut [f32], echo: &mut [f32], floor: f32, stride: usize) {
        // Energy of the first window; then it slides.
        let mut energy: f32 = sent.iter().take(TAPS).map(|x| x * x).sum();
        if sent.iter().all(|x| x.abs() < SILENT) {
            return echo.fill(0.0);
        }
        for (n, (near, echo)) in near.iter_mut().zip(echo.iter_mut()).enumerate() {
            let Some(window) = sent.get(n..n + TAPS) else { return };
            *echo = dot(&self.taps, window);
            *near -= *echo;
            self.phase += 1;
            if stride > 0 && self.phase >= stride {
                self.phase = 0;
                let step = STEP * *near / (energy + (floor + QUIET) * TAPS as f32);
                for (tap, x) in self.taps.iter_mut().zip(window) {
                    *tap += step * x;
                }
            }
            if let Some(new) = sent.get(n + TAPS) {
                energy = (energy + new * new - window[0] * window[0]).max(0.0);
            }
        }
    }
}

/// Longest move of the path that is found at once, and what is compared: 20 ms, 30 ms.
pub const MOVE: usize = 160;
pub const SEEN: usize = 240;
/// What [`Canceller::moved`] needs of what was sent.
pub const AROUND: usize = TAPS - 1 + SEEN + 2 * MOVE;

impl Canceller {
    /// Whether what came is the echo the filter knows, but at another time: by how many samples later (or earlier, below zero).
    /// `sent`: [`AROUND`] samples, those of `near` in the middle.
    pub fn moved(&self, sent: &[f32; AROUND], near: &[f32; SEEN]) -> Option<i32> {
        let mut echo = [0.0f32; SEEN + 2 * MOVE];
        for (n, echo) in echo.iter_mut().enumerate() {
            *echo = sent.get(n..n + TAPS).map_or(0.0, |window| dot(&self.taps, window));
        }
        let near_power: f32 = near.iter().map(|y| y * y).sum();
        // Share of what came that the echo at this place is.
        let share = |place: usize| {
            let Some(echo) = echo.get(place..place + SEEN) else { return 0.0 };
            let (mut product, mut power) = (0.0f32, 0.0f32);
            for (echo, near) in echo.iter().zip(near) {
                product += echo * near;
                power += echo * echo;
            }
            if product > 0.0 { product * product / (power * near_power).max(1.0) } else { 0.0 }
        };
        let here = share(MOVE);
        let (place, most) =
            (0..=2 * MOVE).map(|place| (place, share(place))).fold((MOVE, 0.0), |a, b| if b.1 > a.1 { b } else { a });
        // An echo at an earlier place of the filter's output comes later.
        (most > 0.4 && most > here + 0.2).then_some(MOVE as i32 - place as i32)
    }
}

/// Many sums side by side, so that it becomes vector code that does not wait for itself.
fn dot(a: &[f32; TAPS], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; WIDE];
    let (a, b) = (a.as_chunks::<WIDE>().0, b.as_chunks::<WIDE>().0);
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
