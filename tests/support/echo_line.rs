//! A telephone line with an echo: a hybrid behind a delay, noise, G.711 both ways. Of examples/echo and tests/sim/call/echo_lines.

use voxtrunk::audio::g711::Law;

/// See the module's map.
pub struct Line {
    pub delay_ms: usize,
    /// Length of the hybrid's impulse response.
    pub ringing_ms: usize,
    /// The delay jumps within ±20 ms every seven seconds, as a gateway's jitter buffer does.
    pub jumps: bool,
    /// White noise, dBFS.
    pub noise_db: f64,
}

/// Delays of 10 to 300 ms, with jumps and without.
pub const LINES: [Line; 6] = [
    Line { delay_ms: 10, ringing_ms: 5, jumps: false, noise_db: -70.0 },
    Line { delay_ms: 40, ringing_ms: 20, jumps: false, noise_db: -60.0 },
    Line { delay_ms: 60, ringing_ms: 10, jumps: false, noise_db: -100.0 },
    Line { delay_ms: 80, ringing_ms: 10, jumps: true, noise_db: -65.0 },
    Line { delay_ms: 150, ringing_ms: 12, jumps: true, noise_db: -50.0 },
    Line { delay_ms: 300, ringing_ms: 20, jumps: false, noise_db: -65.0 },
];

/// Amplitude of a level.
pub fn decibels(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

fn coded(samples: &[i16]) -> Vec<i16> {
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    Law::Mu.encode(samples, &mut payload);
    Law::Mu.decode(&payload, &mut out);
    out
}

fn rms(samples: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), s| (sum + s * s, count + 1.0));
    (sum / f64::max(count, 1.0)).sqrt()
}

impl Line {
    /// What comes back of what was sent.
    pub fn echo(&self, sent: &[i16], loss_db: f64, seed: u64) -> Vec<f64> {
        let mut random = Random::new(seed * 31 + 5);
        let length = self.ringing_ms * 8;
        let response: Vec<f64> =
            (0..length).map(|n| random.normal() * (-(n as f64) / (length as f64 / 4.0)).exp()).collect();
        let sent: Vec<f64> = coded(sent).into_iter().map(f64::from).collect();
        let back: Vec<f64> =
            (0..sent.len()).map(|t| response.iter().zip(sent[..=t].iter().rev()).map(|(h, x)| h * x).sum()).collect();
        let spoken = |wave: &[f64]| rms(wave.iter().zip(&sent).filter(|(_, sent)| sent.abs() > 0.0).map(|(s, _)| *s));
        let scale = decibels(-loss_db) * spoken(&sent) / spoken(&back).max(1e-9);
        let mut delay = self.delay_ms * 8;
        let late = |t: usize, delay: usize| t.checked_sub(delay).and_then(|t| back.get(t)).copied().unwrap_or(0.0);
        (0..sent.len())
            .map(|t| {
                if self.jumps && t % 56_000 == 55_999 {
                    delay = (self.delay_ms * 8 + (random.share() * 320.0) as usize).saturating_sub(160).max(40);
                }
                late(t, delay) * scale
            })
            .collect()
    }

    /// Echo, the caller's words and the line's noise, as they arrive.
    pub fn carry(&self, echo: &[f64], words: &[i16], seed: u64) -> Vec<i16> {
        let mut random = Random::new(seed * 77 + 3);
        let noise = 32_768.0 * decibels(self.noise_db) * 1.41;
        let words = words.iter().copied().map(f64::from).chain(std::iter::repeat(0.0));
        let sum: Vec<i16> = echo
            .iter()
            .zip(words)
            .map(|(echo, word)| (echo + word + random.normal() * noise).clamp(-32_000.0, 32_000.0) as i16)
            .collect();
        coded(&sum)
    }
}

/// xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    /// 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as f64 / f64::from(1u32 << 31)
    }
    /// About normal, deviation 0.7.
    pub fn normal(&mut self) -> f64 {
        (0..6).map(|_| self.share()).sum::<f64>() - 3.0
    }
}
