//! Estimated quality of a call: the E-model (ITU-T G.107) with its default values but for delay and loss.
//!
//! In: one-way delay, loss and how it is bunched, the codec's robustness. Out: the rating factor R and the MOS that goes with it (Annex B).
//!
//! What is left out: room noise, loudness and hybrids other than the defaults' (nobody can measure them from packets). A wideband codec is
//! rated on this narrow-band scale as if it were G.711 with the same loss: the figure judges the way, not the wider band.

/// Ro - Is with all default values (G.107 §7.7: R = 93.2 without delay, loss and codec).
const RO: f64 = 94.77;
const BEST: f64 = 93.2;
/// Default talker echo loudness rating and weighted echo path loss, dB.
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;

/// Robustness of a codec with its concealment against random loss (G.113 Appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codec {
    /// Equipment impairment without loss.
    pub ie: f64,
    /// Packet-loss robustness.
    pub bpl: f64,
}

/// G.711 with concealment as of its Appendix I.
pub const G711_PLC: Codec = Codec { ie: 0.0, bpl: 25.1 };

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

/// The rating factor R, 0-93.2.
pub fn rating(path: &Path) -> f64 {
    (BEST - delay(path.delay_ms) - equipment(path)).clamp(0.0, 100.0)
}

/// MOS-CQE of a rating (G.107 Annex B), 1-4.5.
pub fn mos(rating: f64) -> f64 {
    if rating <= 0.0 {
        return 1.0;
    }
    let r = rating.min(100.0);
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
    let Codec { ie, bpl } = path.codec;
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
    use super::*;

    fn path(delay_ms: f64, loss: f64, mean_run: f64) -> Path {
        Path { delay_ms, loss, mean_run, codec: G711_PLC }
    }

    /// RTP-18: the fixed points of G.107: R 93.2 and MOS 4.41 at best, Annex B's table, and delay as its figures show it.
    #[test]
    fn known_points() {
        let best = rating(&path(0.0, 0.0, 0.0));
        assert!((best - 93.2).abs() < 0.05, "{best}");
        assert!((mos(best) - 4.41).abs() < 0.01, "{}", mos(best));
        // Annex B, table B.1: R 90, 80, 70, 60, 50 → MOS 4.34, 4.03, 3.60, 3.10, 2.58.
        for (r, expected) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((mos(r) - expected).abs() < 0.01, "R {r}: {}", mos(r));
        }
        assert_eq!((mos(-3.0), mos(0.0)), (1.0, 1.0));
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
}
