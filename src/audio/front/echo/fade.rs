//! The gate's leaf: what is kept back is replaced by the line's own noise, without a click.
//!
//! In: whether a piece passes, and the noise's power. Out: the samples of that piece.

/// The noise in place of what is kept back is at least G.711's own: its smallest step.
const COMFORT: f32 = 8.0;

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    All,
    Part,
    Nothing,
}

/// See the module's map.
pub struct Fade {
    /// Share that passes at the begin of a piece, and at its end.
    from: f32,
    to: f32,
    comfort: f32,
    random: u32,
}

impl Fade {
    pub fn new() -> Fade {
        Fade { from: 1.0, to: 1.0, comfort: 0.0, random: 1 }
    }

    /// All passes.
    pub fn rest(&mut self) {
        (self.from, self.to) = (1.0, 1.0);
    }

    /// Opens within this piece, whatever was said of it before.
    pub fn open(&mut self) {
        self.to = 1.0;
    }

    /// The next piece passes, or does not. `floor`: power of the line's noise.
    pub fn level(&mut self, open: bool, floor: f32) {
        let target = if open { 1.0 } else { 0.0 };
        self.from = self.to;
        // Opens at once, closes over two pieces.
        self.to = if target < self.to && self.to > 0.5 { (0.3 * self.to).max(target) } else { target };
        self.comfort = (floor * 3.0).sqrt().max(COMFORT);
    }

    /// Of the piece: as it came, kept back, or on the way from the one to the other.
    pub fn passes(&self) -> Passes {
        match (self.from, self.to) {
            (1.0, 1.0) => Passes::All,
            (0.0, 0.0) => Passes::Nothing,
            _ => Passes::Part,
        }
    }

    /// The line's noise, in place of a piece.
    pub fn comfort(&mut self, piece: &mut [i16]) {
        for sample in piece {
            *sample = (self.noise() * self.comfort) as i16;
        }
    }

    /// One sample of a piece through the gate; the line's noise takes the place of what is kept back.
    pub fn pass(&mut self, sample: f32, n: usize, length: usize) -> i16 {
        let gain = self.from + (self.to - self.from) * (n + 1) as f32 / length as f32;
        let out = sample * gain + (1.0 - gain) * self.comfort * self.noise();
        out.clamp(-32_768.0, 32_767.0) as i16
    }

    fn noise(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}
