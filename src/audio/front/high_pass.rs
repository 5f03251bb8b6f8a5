//! Hum and DC off: a Chebyshev filter of the second kind, order 4, 32 dB down at 60 Hz and below, -3 dB at 100 Hz.

use crate::audio::pcm::f64_to_i16;
use std::f64::consts::PI;

const EDGE_HZ: f64 = 60.0;
const DOWN_DB: f64 = 32.0;

/// One second-order part, in its transposed second form.
#[derive(Clone, Copy, Debug, Default)]
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    z: [f64; 2],
}

impl Biquad {
    fn step(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.z[0];
        // In this order only the last product waits for `y`.
        self.z[0] = (self.b[1] * x + self.z[1]) - self.a[0] * y;
        self.z[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

/// See the module's map.
pub struct HighPass {
    parts: [Biquad; 2],
}

impl HighPass {
    pub fn new(hz: u32) -> HighPass {
        // The analogue low-pass has zeros j/cos θ and poles 1/p, with p of the first kind; s -> 1/s makes it a high-pass
        // with zeros jΩ cos θ and poles Ωp.
        let rate = f64::from(hz);
        let edge = 2.0 * rate * (PI * EDGE_HZ / rate).tan();
        let ripple = 1.0 / (10f64.powf(DOWN_DB / 10.0) - 1.0).sqrt();
        let v = (1.0 / ripple).asinh() / 4.0;
        let part = |k: f64| {
            let theta = (2.0 * k - 1.0) * PI / 8.0;
            let zero = edge * theta.cos();
            let (re, im) = (-edge * v.sinh() * theta.sin(), edge * v.cosh() * theta.cos());
            // (s² + zero²) / (s² - 2 re s + re² + im²), s = 2 rate (1 - z⁻¹)/(1 + z⁻¹).
            let c = 2.0 * rate;
            let (square, size) = (zero * zero, re * re + im * im);
            let a0 = c * c - 2.0 * re * c + size;
            let b0 = (c * c + square) / a0;
            let b1 = 2.0 * (square - c * c) / a0;
            Biquad { b: [b0, b1, b0], a: [2.0 * (size - c * c) / a0, (c * c + 2.0 * re * c + size) / a0], z: [0.0; 2] }
        };
        HighPass { parts: [part(1.0), part(2.0)] }
    }

    pub fn process(&mut self, frame: &mut [i16]) {
        let [mut first, mut second] = self.parts;
        for sample in frame {
            *sample = f64_to_i16(second.step(first.step(f64::from(*sample))));
        }
        // What fades away must not become a number too small to be fast.
        for part in [&mut first, &mut second] {
            for z in &mut part.z {
                if z.abs() < 1e-9 {
                    *z = 0.0;
                }
            }
        }
        self.parts = [first, second];
    }
}
