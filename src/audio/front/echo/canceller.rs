//! The linear part: a normalised LMS filter over 24 ms of what was sent, around the delay that was found.
//!
//! Both streams come pre-emphasised, which makes speech flat enough to learn from. Four samples are filtered at a time, and one or two of
//! them are learned from: a line's echo path stands still, and learning is as dear as filtering. An error far above the usual is the
//! caller's rather than the filter's, and is learned from as if it were the usual one (after Gänsler's robust echo canceller).

/// Taps: a hybrid's 20 ms and what the delay may be off.
pub const TAPS: usize = 192;
/// Taps before the delay that was found.
pub const LEAD: usize = 48;
/// Longest piece.
pub const PIECE: usize = 40;
/// Pieces (15 ms) after which one is learned from: the caller is noticed until then.
pub const LATER: usize = 3;
/// Samples after those of a piece that are read, and not used.
pub const MORE: usize = 20;
/// Samples that are filtered at a time.
const BLOCK: usize = 4;
/// Every so many samples are enough to watch.
const SPARSE: usize = 5;
const WIDE: usize = 8;
/// Taps that are looked at together, and how far off the strongest may be: 1 ms, 2 ms.
const NEAR: usize = 8;
const OFF: usize = 16;
const STEP: f32 = 0.6;
/// From less than this (power per sample) little is learned.
const QUIET: f32 = 5_000.0;
/// An error this many times the usual one is not learned from in full.
const USUAL: f32 = 2.0;
/// How fast the usual error follows: tenfold in half a second.
const FOLLOW: f32 = 0.002;

/// See the module's map.
pub struct Canceller {
    taps: [f32; TAPS],
    /// The usual error, as a share of what was sent (amplitude).
    usual: f32,
    /// Where [`Canceller::moved`] found the most last.
    place: usize,
}

/// Power per sample.
#[derive(Clone, Copy, Debug, Default)]
pub struct Powers {
    pub near: f32,
    pub left: f32,
    pub echo: f32,
}

impl Canceller {
    pub fn new() -> Canceller {
        Canceller { taps: [0.0; TAPS], usual: 1.0, place: MOVE }
    }
    pub fn clear(&mut self) {
        *self = Canceller::new();
    }
    /// Brings the strongest tap to its place in front of [`LEAD`] of them, where it went off by far: by how much the delay is later.
    pub fn centre(&mut self) -> i32 {
        let power =
            |n: usize| self.taps.get(n..n + NEAR).map_or(0.0, |taps| taps.iter().map(|tap| tap * tap).sum::<f32>());
        let (at, _) = (0..=TAPS - NEAR).map(|n| (n, power(n))).fold((0, 0.0), |a, b| if b.1 > a.1 { b } else { a });
        let by = (TAPS - 1 - LEAD) as i32 - (at + NEAR / 2) as i32;
        if by.unsigned_abs() as usize <= OFF {
            return 0;
        }
        let old = self.taps;
        for (n, tap) in self.taps.iter_mut().enumerate() {
            *tap = usize::try_from(n as i32 - by).ok().and_then(|n| old.get(n)).copied().unwrap_or(0.0);
        }
        by
    }

    /// `sent`: `TAPS - 1` samples before the piece, then its own (and some more that are not used). `near` becomes what is left of it; the
    /// echo goes to `echo`.
    pub fn run(&self, sent: &[f32], near: &mut [f32], echo: &mut [f32]) {
        for (n, (near, echo)) in near.chunks_mut(BLOCK).zip(echo.chunks_mut(BLOCK)).enumerate() {
            let sums = sent.get(n * BLOCK..).map_or([0.0; BLOCK], |sent| four::<1>(&self.taps, sent));
            for ((near, echo), sum) in near.iter_mut().zip(echo).zip(sums) {
                *echo = sum;
                *near -= sum;
            }
        }
    }

    /// As [`Canceller::run`], of every fifth sample only: what came, what is left, the echo.
    pub fn watch(&self, sent: &[f32], near: &[f32]) -> Powers {
        let mut powers = Powers::default();
        let mut count = 0.0f32;
        for n in [0, 4 * SPARSE] {
            let Some(sent) = sent.get(n..) else { break };
            let sums = four::<SPARSE>(&self.taps, sent);
            for (echo, near) in sums.iter().zip(near.iter().skip(n).step_by(SPARSE)) {
                powers.near += near * near;
                powers.left += (near - echo) * (near - echo);
                powers.echo += echo * echo;
                count += 1.0;
            }
        }
        let share = 1.0 / count.max(1.0);
        Powers { near: powers.near * share, left: powers.left * share, echo: powers.echo * share }
    }

    /// Learns from a piece that was echo and nothing else. `sent` as in [`Canceller::run`], `near` as it came. `noise`: power per sample of
    /// what was sent whose echo is as loud as the line's noise. `stride`: from each n-th sample.
    pub fn learn(&mut self, sent: &[f32], near: &[f32], noise: f32, stride: usize) {
        let mut power = sent.first_chunk::<TAPS>().map_or(0.0, |window| one(window, window));
        let quiet = (noise + QUIET) * TAPS as f32;
        for (n, near) in near.iter().enumerate().step_by(stride.max(1)) {
            let Some(window) = sent.get(n..).and_then(|sent| sent.first_chunk::<TAPS>()) else { return };
            let error = near - one(&self.taps, window);
            let scale = power + quiet;
            let share = error.abs() * (TAPS as f32 / scale).sqrt();
            let most = USUAL * self.usual;
            self.usual += FOLLOW * (share.min(2.0 * most) - self.usual);
            let step = STEP * error * (most / share.max(1e-9)).min(1.0) / scale;
            for (tap, x) in self.taps.iter_mut().zip(window) {
                *tap += step * x;
            }
            let gone: f32 = sent.iter().skip(n).take(stride).map(|x| x * x).sum();
            power = (power + sent.iter().skip(n + TAPS).take(stride).map(|x| x * x).sum::<f32>() - gone).max(0.0);
        }
    }
}

/// Longest move of the path that is found at once, and what is compared: 40 ms, 25 ms.
pub const MOVE: usize = 320;
pub const SEEN: usize = 200;
/// What [`Canceller::moved`] needs of what was sent.
pub const AROUND: usize = TAPS + SEEN + 2 * MOVE;
/// What the filter leaves at its new place, at most: of what came (and the same when the place was seen just before), and of what it leaves
/// at the old one.
const EXPLAINED: f32 = 0.35;
const AGAIN: f32 = 0.6;
const BETTER: f32 = 0.6;

impl Canceller {
    /// Whether what came is the echo the filter knows, but at another time: by how many samples later (or earlier, below zero).
    /// `sent`: [`AROUND`] samples, those of `near` in the middle.
    pub fn moved(&mut self, sent: &[f32; AROUND], near: &[f32; SEEN]) -> Option<i32> {
        let mut echo = [0.0f32; SEEN + 2 * MOVE];
        for (n, echo) in echo.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            *echo = sent.get(n * BLOCK..).map_or([0.0; BLOCK], |sent| four::<1>(&self.taps, sent));
        }
        let power: f32 = near.iter().map(|y| y * y).sum();
        // What is left with the echo of each place; at an earlier place of the filter's output it comes later.
        let left = |place: usize| {
            echo.get(place..place + SEEN).map_or(f32::MAX, |echo| {
                let mut sums = [0.0f32; WIDE];
                let (echo, near) = (echo.as_chunks::<WIDE>().0, near.as_chunks::<WIDE>().0);
                for (echo, near) in echo.iter().zip(near) {
                    for ((sum, echo), near) in sums.iter_mut().zip(echo).zip(near) {
                        *sum += (near - echo) * (near - echo);
                    }
                }
                sums.iter().sum::<f32>()
            })
        };
        let here = left(MOVE);
        let (place, least) =
            (0..=2 * MOVE).map(|place| (place, left(place))).fold((MOVE, here), |a, b| if b.1 < a.1 { b } else { a });
        let before = std::mem::replace(&mut self.place, place);
        let most = if before.abs_diff(place) <= 1 { AGAIN } else { EXPLAINED };
        (least < most * power && least < BETTER * here).then_some(MOVE as i32 - place as i32)
    }
}

/// The filter's output at one sample.
fn one(taps: &[f32; TAPS], window: &[f32; TAPS]) -> f32 {
    let mut sums = [0.0f32; 4 * WIDE];
    for (taps, window) in taps.as_chunks::<{ 4 * WIDE }>().0.iter().zip(window.as_chunks::<{ 4 * WIDE }>().0) {
        for n in 0..4 * WIDE {
            sums[n] += taps[n] * window[n];
        }
    }
    sums.iter().sum()
}

/// The filter's output at four samples, `APART`: many sums side by side, so that it becomes vector code that does not wait for itself.
fn four<const APART: usize>(taps: &[f32; TAPS], sent: &[f32]) -> [f32; BLOCK] {
    let late = |late: usize| sent.get(late * APART..).unwrap_or_default().as_chunks::<WIDE>().0;
    let (mut a, mut b, mut c, mut d) = ([0.0f32; WIDE], [0.0f32; WIDE], [0.0f32; WIDE], [0.0f32; WIDE]);
    let taps = taps.as_chunks::<WIDE>().0;
    for ((((taps, w), x), y), z) in taps.iter().zip(late(0)).zip(late(1)).zip(late(2)).zip(late(3)) {
        for n in 0..WIDE {
            a[n] += taps[n] * w[n];
            b[n] += taps[n] * x[n];
            c[n] += taps[n] * y[n];
            d[n] += taps[n] * z[n];
        }
    }
    [a, b, c, d].map(|sums| sums.iter().sum())
}
