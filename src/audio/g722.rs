//! G.722 at 64 kbit/s: two bands of ADPCM behind a 24-tap filter pair (ITU-T G.722, mode 1; RFC 3551 §4.5.2).
//!
//! In: 16 kHz samples, or octets. Out: the other, appended: two samples an octet, 22 samples later through both. Every octet is valid,
//! so decoding cannot fail. No allocation. Names of blocks and tables are those of the Recommendation (§6.2); 16-bit samples, of which it
//! carries 14. Ours and not a crate: README, "Why our own G.722".

/// Coefficients of the transmit and receive filters (table 4).
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// Decision levels of the lower band (Q6, table 14).
const Q6: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Lower-band codes by interval, below and above zero (ILN, ILP, table 15).
const ILN: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
];
const ILP: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34,
    33, 32,
];
/// Inverse quantizers: lower band by 6 and by 4 bits, higher band (QQ6, QQ4, QQ2 with signs; tables 16 to 18).
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const QM4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// What a code adds to the logarithmic scale factor (WL by RL42, WH by RH2).
const WL: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const WH: [i32; 4] = [798, -214, 798, -214];
/// 2^(n/32) · 2048 (ILB, table 21).
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// Decision level of the higher band (Q2).
const Q2: i32 = 564;
/// Upper limits of the logarithmic scale factors, and the shifts to the linear ones.
const LOWER: Scale = Scale { max: 18_432, shift: 8 };
const HIGHER: Scale = Scale { max: 22_528, shift: 10 };

struct Scale {
    max: i32,
    shift: i32,
}

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// The predictor and the scale factor of one band: both sides run the same.
#[derive(Clone)]
struct Band {
    /// Prediction, and the part of the zeros in it (SL, SZL).
    s: i32,
    sz: i32,
    /// Last reconstructed and partially reconstructed samples (RLT, PLT).
    r: i32,
    p: [i32; 2],
    /// Pole coefficients (AL).
    a: [i32; 2],
    /// Last differences and the zero coefficients (DLT, BL).
    d: [i32; 6],
    b: [i32; 6],
    /// Logarithmic and linear scale factor (NBL, DETL).
    nb: i32,
    det: i32,
}

impl Band {
    fn new(det: i32) -> Band {
        Band { s: 0, sz: 0, r: 0, p: [0; 2], a: [0; 2], d: [0; 6], b: [0; 6], nb: 0, det }
    }

    /// The scale factor after a code that adds `weight` (LOGSCL, SCALEL).
    fn rescale(&mut self, weight: i32, scale: &Scale) {
        self.nb = (((self.nb * 127) >> 7) + weight).clamp(0, scale.max);
        let mantissa = ILB[(self.nb >> 6 & 31) as usize];
        let shift = scale.shift - (self.nb >> 11);
        self.det = (if shift < 0 { mantissa << -shift } else { mantissa >> shift }) << 2;
    }

    /// The predictor after a difference `d` (block 4).
    fn adapt(&mut self, d: i32) {
        let same = |x: i32, y: i32| (x ^ y) >= 0;
        let (r, p) = (saturate(self.s + d), saturate(self.sz + d));
        let [a1, a2] = self.a;
        let [p1, p2] = self.p;
        // UPPOL2, UPPOL1
        let slope = saturate(a1 << 2);
        let slope = if same(p, p1) { -slope } else { slope }.min(32_767) >> 7;
        let a2 = (slope + if same(p, p2) { 128 } else { -128 } + ((a2 * 32_512) >> 15)).clamp(-12_288, 12_288);
        let limit = saturate(15_360 - a2);
        let a1 = saturate(if same(p, p1) { 192 } else { -192 } + ((a1 * 32_640) >> 15)).clamp(-limit, limit);
        // UPZERO
        let step = if d == 0 { 0 } else { 128 };
        for (b, before) in self.b.iter_mut().zip(&self.d) {
            *b = saturate(if same(d, *before) { step } else { -step } + ((*b * 32_640) >> 15));
        }
        // DELAYA
        self.d.copy_within(0..5, 1);
        self.d[0] = d;
        let r2 = std::mem::replace(&mut self.r, r);
        (self.p, self.a) = ([p, p1], [a1, a2]);
        // FILTEP, FILTEZ, PREDIC
        let poles = saturate(((a1 * saturate(r << 1)) >> 15) + ((a2 * saturate(r2 << 1)) >> 15));
        self.sz = saturate(self.b.iter().zip(&self.d).map(|(b, d)| (b * saturate(d << 1)) >> 15).sum());
        self.s = saturate(poles + self.sz);
    }

    /// The lower band after its code, of which the upper four bits count (INVQAL).
    fn lower(&mut self, code: u8) {
        let index = usize::from(code >> 2 & 15);
        let d = (self.det * QM4[index]) >> 15;
        self.rescale(WL[index], &LOWER);
        self.adapt(d);
    }

    /// The higher band after its code; its difference.
    fn higher(&mut self, code: u8) -> i32 {
        let index = usize::from(code & 3);
        let d = (self.det * QM2[index]) >> 15;
        self.rescale(WH[index], &HIGHER);
        self.adapt(d);
        d
    }
}

/// The delay line of a filter pair: every second sample in each half, newest last.
#[derive(Clone)]
struct Filter {
    a: [i32; 12],
    b: [i32; 12],
}

impl Filter {
    /// Takes two samples in; the sums of both halves.
    fn step(&mut self, a: i32, b: i32) -> (i32, i32) {
        self.a.copy_within(1.., 0);
        self.b.copy_within(1.., 0);
        (self.a[11], self.b[11]) = (a, b);
        let sum_a = self.a.iter().zip(&QMF).map(|(x, c)| x * c).sum();
        let sum_b = self.b.iter().zip(QMF.iter().rev()).map(|(x, c)| x * c).sum();
        (sum_a, sum_b)
    }
}

/// Both bands and the filter of one direction.
#[derive(Clone)]
struct State {
    filter: Filter,
    lower: Band,
    higher: Band,
}

impl State {
    fn new() -> State {
        State { filter: Filter { a: [0; 12], b: [0; 12] }, lower: Band::new(32), higher: Band::new(8) }
    }
}

/// Samples → octets.
pub struct Encoder {
    state: State,
}

impl Encoder {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Encoder {
        Encoder { state: State::new() }
    }
    /// Appends one octet for every two samples; a last odd one is dropped.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        let (pairs, _) = samples.as_chunks::<2>();
        out.extend(pairs.iter().map(|[a, b]| self.octet(i32::from(*a), i32::from(*b))));
    }

    fn octet(&mut self, a: i32, b: i32) -> u8 {
        let (odd, even) = self.state.filter.step(a, b);
        self.bands((even + odd) >> 14, (even - odd) >> 14)
    }

    /// One sample of each band.
    fn bands(&mut self, low: i32, high: i32) -> u8 {
        let State { lower, higher, .. } = &mut self.state;
        let magnitude = |e: i32| if e < 0 { !e } else { e };
        // QUANTL: the interval the difference lies in.
        let e = saturate(low - lower.s);
        let size = magnitude(e);
        let interval = 1 + Q6[1..].iter().take_while(|level| size >= (*level * lower.det) >> 12).count();
        let low_code = if e < 0 { ILN[interval] } else { ILP[interval] };
        lower.lower(low_code);
        // QUANTH
        let e = saturate(high - higher.s);
        let outer = magnitude(e) >= (Q2 * higher.det) >> 12;
        let high_code = match (e < 0, outer) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        higher.higher(high_code);
        high_code << 6 | low_code
    }
}

/// Octets → samples.
pub struct Decoder {
    state: State,
}

impl Decoder {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Decoder {
        Decoder { state: State::new() }
    }
    /// Appends two samples for every octet.
    pub fn decode(&mut self, octets: &[u8], out: &mut Vec<i16>) {
        for octet in octets {
            let (low, high) = self.bands(*octet);
            let (b, a) = self.state.filter.step(low + high, low - high);
            out.extend([saturate(a >> 11) as i16, saturate(b >> 11) as i16]);
        }
    }

    /// One sample of each band, limited to 15 bits (LIMIT).
    fn bands(&mut self, octet: u8) -> (i32, i32) {
        let limit = |r: i32| r.clamp(-16_384, 16_383);
        let State { lower, higher, .. } = &mut self.state;
        let low = limit(lower.s + ((lower.det * QM6[usize::from(octet & 63)]) >> 15));
        lower.lower(octet & 63);
        let prediction = higher.s;
        let high = limit(prediction + higher.higher(octet >> 6));
        (low, high)
    }
}

#[cfg(test)]
mod tests;
