//! Estimated quality of a call: the E-model (ITU-T G.107), its wideband version (G.107.1) for wideband codecs, with the default values but
//! for delay and loss.
//!
//! In: one-way delay, loss and how it is bunched, the codec's robustness. Out: the rating factor R and the MOS that goes with it (Annex B of
//! the one, Annex A of the other). The two scales are not one: R reaches 93.2 or 129, and MOS-CQEN is what narrow-band listeners would say,
//! MOS-CQEW what listeners would who know wideband, so that G.711 without loss has 4.41 on the one and would have 3.7 on the other.
//!
//! What is left out: room noise, loudness and hybrids other than the defaults' (nobody can measure them from packets). Delay costs as much on
//! either scale, bursts of loss weigh as G.107 says (G.107.1 knows random loss alone).

use crate::codec;

/// Ro - Is with all default values (G.107 §7.7: R = 93.2 without delay, loss and codec).
const RO: f64 = 94.77;
const BEST: f64 = 93.2;
/// Default talker echo loudness rating and weighted echo path loss, dB.
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;

/// Which listeners a rating speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// G.107: 300 to 3400 Hz.
    Narrowband,
    /// G.107.1: 50 to 7000 Hz.
    Wideband,
}

impl Scale {
    /// R without delay, loss and codec.
    pub const fn best(self) -> f64 {
        match self {
            Scale::Narrowband => BEST,
            Scale::Wideband => 129.0,
        }
    }
    pub const fn name(self) -> &'static str {
        match self {
            Scale::Narrowband => "narrowband",
            Scale::Wideband => "wideband",
        }
    }
}

/// Robustness of a codec with its concealment against random loss, and the scale that it was measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codec {
    pub scale: Scale,
    /// Equipment impairment without loss.
    pub ie: f64,
    /// Packet-loss robustness.
    pub bpl: f64,
}

/// G.711 with concealment as of its Appendix I (G.113 Appendix I).
pub const G711_PLC: Codec = Codec { scale: Scale::Narrowband, ie: 0.0, bpl: 25.1 };

/// G.722 at 64 kbit/s. Ie,WB is that of G.113 Appendix IV. No Bpl is published for it: this one is fitted to PESQ-WB (P.862.2) of our decoder
/// and concealment, at 0 to 10 % of random loss, with four voices: 4.8 to 6.3. The same fit gives G.711 24 to 35 where G.113 says 25.1, and
/// G.722.2, the nearest codec that has one, has 4.3 to 4.9.
pub const G722_PLC: Codec = Codec { scale: Scale::Wideband, ie: 13.0, bpl: 5.4 };

impl From<codec::Codec> for Codec {
    fn from(codec: codec::Codec) -> Codec {
        match codec {
            codec::Codec::Pcmu | codec::Codec::Pcma => G711_PLC,
            codec::Codec::G722 => G722_PLC,
        }
    }
}

/// What one direction was like.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Mouth to ear, ms.
    pub delay_ms: f64,
    /// Packets lost or late, 0-1.
    pub loss: f64,
    /// Mean length of a run of losses, packets; 0 or 1 when they are random.
    pub mean_run: f64,
    pub codec: Codec,
}

/// The rating factor R: 0 to the best of the codec's scale.
pub fn rating(path: &Path) -> f64 {
    let best = path.codec.scale.best();
    (best - delay(path.delay_ms) - equipment(path)).clamp(0.0, best)
}

/// MOS of a rating on its scale: MOS-CQEN (G.107 Annex B) or MOS-CQEW (G.107.1 Annex A), 1-4.5.
pub fn mos(rating: f64, scale: Scale) -> f64 {
    let r = match scale {
        Scale::Narrowband => rating,
        Scale::Wideband => rating / 1.29,
    };
    if r <= 0.0 {
        return 1.0;
    }
    let r = r.min(100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// Id: talker echo, listener echo, and delay as such (G.107 §7.4), echo cancelled as the defaults say.
fn delay(ta: f64) -> f64 {
    let ta = ta.clamp(0.0, 5_000.0);
    let terv = TELR - 40.0 * ((1.0 + ta / 10.0) / (1.0 + ta / 150.0)).log10() + 6.0 * (-0.3 * ta * ta).exp();
    let re = 80.0 + 2.5 * (terv - 14.0);
    let half = (RO - re) / 2.0;
    let talker = (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - (-ta).exp());
    let rle = 10.5 * (WEPL + 7.0) * (2.0 * ta + 1.0).powf(-0.25);
    let half = (RO - rle) / 2.0;
    let listener = half + (half * half + 169.0).sqrt();
    let absolute = if ta > 100.0 {
        let x = (ta / 100.0).log2();
        25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
    } else {
        0.0
    };
    // The listener's share without delay is part of the 93.2.
    let at_once = {
        let half = (RO - 10.5 * (WEPL + 7.0)) / 2.0;
        half + (half * half + 169.0).sqrt()
    };
    talker + (listener - at_once) + absolute
}

/// Ie,eff (G.107 §7.5): loss weighs more when it comes in runs.
fn equipment(path: &Path) -> f64 {
    let Codec { ie, bpl, .. } = path.codec;
    let percent = path.loss.clamp(0.0, 1.0) * 100.0;
    if percent == 0.0 {
        return ie;
    }
    // Random losses of that probability come in runs of 1/(1-p).
    let random_run = 1.0 / (1.0 - path.loss.clamp(0.0, 0.99));
    let burst = (path.mean_run / random_run).clamp(1.0, 8.0);
    ie + (95.0 - ie) * percent / (percent / burst + bpl)
}

#[cfg(test)]
mod tests {
    use super::Scale::{Narrowband, Wideband};
    use super::*;

    fn path(delay_ms: f64, loss: f64, mean_run: f64) -> Path {
        Path { delay_ms, loss, mean_run, codec: G711_PLC }
    }

    /// RTP-18: the fixed points of G.107: R 93.2 and MOS 4.41 at best, Annex B's table, and delay as its figures show it.
    #[test]
    fn known_points() {
        let best = rating(&path(0.0, 0.0, 0.0));
        assert!((best - 93.2).abs() < 0.05, "{best}");
        assert!((mos(best, Narrowband) - 4.41).abs() < 0.01, "{}", mos(best, Narrowband));
        // Annex B, table B.1: R 90, 80, 70, 60, 50 → MOS 4.34, 4.03, 3.60, 3.10, 2.58.
        for (r, expected) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((mos(r, Narrowband) - expected).abs() < 0.01, "R {r}: {}", mos(r, Narrowband));
        }
        assert_eq!((mos(-3.0, Narrowband), mos(0.0, Wideband)), (1.0, 1.0));
        // G.114: fine to 150 ms, bad from 400 ms on. The straight-line fit of Cole and Rosenbluth is the judge in between.
        for ms in (0..=400).step_by(50) {
            let d = f64::from(ms);
            let fit = 93.2 - 0.024 * d - if d > 177.3 { 0.11 * (d - 177.3) } else { 0.0 };
            let r = rating(&path(d, 0.0, 0.0));
            assert!((r - fit).abs() < 4.0, "{ms} ms: R {r:.1}, fit {fit:.1}");
        }
    }

    /// Loss: G.113's formula by hand; bursts are worse; nothing gets better by more of either.
    #[test]
    fn loss_and_bursts() {
        let r = rating(&path(0.0, 0.02, 1.0));
        assert!((93.2 - r - 95.0 * 2.0 / (2.0 + 25.1)).abs() < 0.1, "{r}");
        assert!(rating(&path(0.0, 0.02, 4.0)) < r);
        let mut before = f64::INFINITY;
        for percent in 0..=100 {
            let r = rating(&path(80.0, f64::from(percent) / 100.0, 1.0));
            assert!(r <= before && r >= 0.0, "{percent} %: {r}");
            before = r;
        }
    }

    /// RTP-18: G.722 on the wideband scale: the fixed points of G.107.1, what the codec costs, and loss with the factor it was fitted with.
    #[test]
    fn wideband_has_its_own_scale() {
        let g722 = |delay_ms, loss| Path { codec: codec::Codec::G722.into(), ..path(delay_ms, loss, 1.0) };
        let clean = rating(&g722(0.0, 0.0));
        assert!((clean - 116.0).abs() < 0.05, "{clean}");
        assert_eq!((mos(129.0, Wideband), mos(200.0, Wideband)), (4.5, 4.5));
        assert!((mos(clean, Wideband) - 4.34).abs() < 0.01, "{}", mos(clean, Wideband));
        // G.711 costs 36 there (G.113 Appendix IV): listeners who know wideband call it fair.
        let g711 = Path { codec: Codec { scale: Wideband, ie: 36.0, bpl: 25.1 }, ..path(0.0, 0.0, 1.0) };
        assert!((mos(rating(&g711), Wideband) - 3.7).abs() < 0.05);
        // PESQ-WB, as R, lost 14 of 103 at 1 % and 37 at 4.8 % where the E-model begins at 116.
        let lost = |loss| clean - rating(&g722(0.0, loss));
        assert!(
            (lost(0.0101) - 14.2).abs() < 2.0 && (lost(0.0483) - 37.5).abs() < 2.0,
            "{}, {}",
            lost(0.0101),
            lost(0.0483)
        );
        let same = rating(&path(0.0, 0.0, 1.0)) - rating(&path(150.0, 0.0, 1.0));
        assert!((clean - rating(&g722(150.0, 0.0)) - same).abs() < 0.01, "delay costs the same");
        for codec in [codec::Codec::Pcmu, codec::Codec::Pcma] {
            assert_eq!(Codec::from(codec), G711_PLC);
        }
    }
}
