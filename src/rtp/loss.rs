//! How losses are spread: bursts and gaps (RFC 3611 §4.7.2), and the length of runs, which the E-model wants (G.107 §7.2, BurstR).
//!
//! In: packets lost and received, in order. A burst begins and ends with a loss and has fewer than [`GMIN`] received packets in a row in it;
//! a loss that stands alone belongs to the gap around it.

/// Received packets in a row that end a burst (RFC 3611 §4.7.2).
const GMIN: u32 = 16;

/// The running count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    received: u64,
    lost: u64,
    runs: u64,
    /// Received since the last loss, if there was one.
    since_loss: u32,
    /// Losses of the present cluster, and its packets from its first loss to its last.
    cluster_lost: u32,
    cluster_packets: u32,
    bursts: u64,
    burst_lost: u64,
    burst_packets: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossPattern {
    pub received: u64,
    /// Never came, or came too late.
    pub lost: u64,
    /// Mean length of a run of losses, packets; 0 without losses.
    pub mean_run: f32,
    pub bursts: u64,
    /// Mean length of a burst, packets.
    pub burst_length: f32,
    /// Losses within bursts and within gaps, 0-1.
    pub burst_density: f32,
    pub gap_density: f32,
}

impl Losses {
    pub fn received(&mut self) {
        self.received += 1;
        self.since_loss = self.since_loss.saturating_add(1);
    }

    /// `run` packets in a row are lost.
    pub fn lost(&mut self, run: u32) {
        if run == 0 {
            return;
        }
        self.lost += u64::from(run);
        self.runs += 1;
        if self.cluster_lost > 0 && self.since_loss < GMIN {
            self.cluster_packets = self.cluster_packets.saturating_add(self.since_loss);
        } else {
            self.close();
        }
        self.cluster_lost = self.cluster_lost.saturating_add(run);
        self.cluster_packets = self.cluster_packets.saturating_add(run);
        self.since_loss = 0;
    }

    fn close(&mut self) {
        if self.cluster_lost > 1 {
            self.bursts += 1;
            self.burst_lost += u64::from(self.cluster_lost);
            self.burst_packets += u64::from(self.cluster_packets);
        }
        (self.cluster_lost, self.cluster_packets) = (0, 0);
    }

    pub fn pattern(&self) -> LossPattern {
        let mut all = *self;
        all.close();
        let ratio = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f32 / whole as f32 };
        LossPattern {
            received: all.received,
            lost: all.lost,
            mean_run: ratio(all.lost, all.runs),
            bursts: all.bursts,
            burst_length: ratio(all.burst_packets, all.bursts),
            burst_density: ratio(all.burst_lost, all.burst_packets),
            gap_density: ratio(all.lost - all.burst_lost, all.received + all.lost - all.burst_packets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `.` came, `x` did not.
    fn pattern(packets: &str) -> LossPattern {
        let mut losses = Losses::default();
        let mut run = 0;
        for packet in packets.chars() {
            match packet {
                'x' => run += 1,
                _ => {
                    losses.lost(std::mem::take(&mut run));
                    losses.received();
                }
            }
        }
        losses.pattern()
    }

    /// RTP-18: a loss alone is part of the gap; losses with fewer than 16 packets between are one burst.
    #[test]
    fn bursts_and_gaps() {
        let gap = ".".repeat(20);
        assert_eq!(pattern(&gap), LossPattern { received: 20, ..LossPattern::default() });
        let alone = pattern(&format!("{gap}x{gap}x{gap}"));
        assert_eq!((alone.bursts, alone.lost, alone.mean_run), (0, 2, 1.0));
        assert!((alone.gap_density - 2.0 / 62.0).abs() < 1e-6);
        let burst = pattern(&format!("{gap}xx...x..x{gap}x{gap}"));
        assert_eq!((burst.bursts, burst.lost, burst.burst_length), (1, 5, 9.0));
        assert!((burst.burst_density - 4.0 / 9.0).abs() < 1e-6, "{burst:?}");
        assert!((burst.gap_density - 1.0 / 61.0).abs() < 1e-6, "{burst:?}");
        assert!((burst.mean_run - 5.0 / 4.0).abs() < 1e-6);
    }
}
