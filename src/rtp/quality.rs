//! How good a stream was, both ways, in the figures that telephone engineers use: loss, jitter, round trip, R factor and MOS.
//!
//! In: an [`RtpSession`] and what its owner knows (length of packets, codec). Out: [`Quality`], which the CDR, the metrics and the
//! report of the test phone share. Rates by `e_model`; what it assumes is said there, and the delay below.

use super::e_model::{self, Path};
use super::session::RtpSession;
use crate::codec::Codec;
use serde::Serialize;
use std::time::Duration;

/// Mouth to ear besides half of the round trip, ms: a packet of 20 ms, a jitter buffer of 40 ms at the ear.
const SYSTEM_DELAY_MS: f64 = 60.0;
/// Fewer packets say nothing: 1 s.
const LEAST_PACKETS: u64 = 50;

/// Figures of one stream; what is not known is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    /// What we received: estimated MOS (1-4.5) and R factor by loss, its bursts, and delay; and the scale of these and of `remote_mos`:
    /// `narrowband` (G.107, R to 93.2), or `wideband` for G.722 (G.107.1, R to 129).
    pub mos: Option<f32>,
    pub r_factor: Option<f32>,
    pub mos_scale: Option<&'static str>,
    /// Packets that never came or came too late.
    pub loss_percent: Option<f32>,
    /// Bursts (RFC 3611: losses with fewer than 16 good packets between), their mean length, and the loss in them and outside of them.
    pub bursts: u64,
    pub burst_ms: f32,
    pub burst_loss_percent: f32,
    pub gap_loss_percent: f32,
    /// Concealed audio among all that was played.
    pub concealed_percent: Option<f32>,
    /// What the peer received, by its RTCP: estimated MOS, packets lost, jitter; and its own figure (RFC 3611), if it gives one.
    pub remote_mos: Option<f32>,
    pub remote_loss_percent: Option<f32>,
    pub remote_jitter_ms: Option<f32>,
    pub remote_reported_mos: Option<f32>,
    /// Round trip, the last one and the longest one.
    pub round_trip_ms: Option<f32>,
    pub longest_round_trip_ms: Option<f32>,
    pub rtcp_sent: u64,
    pub rtcp_received: u64,
}

impl Quality {
    /// Of the session so far. `codec`: the one agreed on; `packet_ms`: length of the peer's packets.
    pub fn of(session: &RtpSession, codec: Codec, packet_ms: f32) -> Quality {
        let codec = e_model::Codec::from(codec);
        let (reports, pattern) = (session.reports(), session.receiver.loss_pattern());
        let expected = pattern.received + pattern.lost;
        let enough = expected >= LEAST_PACKETS;
        let loss = pattern.lost as f32 / expected.max(1) as f32;
        let half_way = reports.round_trip.map_or(0.0, |round_trip| round_trip.as_secs_f64() * 500.0);
        let path = |loss: f32, mean_run: f32| Path {
            delay_ms: half_way + SYSTEM_DELAY_MS,
            loss: f64::from(loss),
            mean_run: f64::from(mean_run),
            codec,
        };
        let r = enough.then(|| e_model::rating(&path(loss, pattern.mean_run)));
        // Its reports do not tell how its losses are spread.
        let remote_loss = session.remote_loss();
        let ms = |time: Duration| time.as_secs_f32() * 1000.0;
        Quality {
            mos: r.map(|r| round(e_model::mos(r, codec.scale) as f32)),
            r_factor: r.map(|r| round(r as f32)),
            mos_scale: (r.is_some() || remote_loss.is_some()).then(|| codec.scale.name()),
            loss_percent: enough.then_some(round(loss * 100.0)),
            bursts: pattern.bursts,
            burst_ms: round(pattern.burst_length * packet_ms),
            burst_loss_percent: round(pattern.burst_density * 100.0),
            gap_loss_percent: round(pattern.gap_density * 100.0),
            concealed_percent: None,
            remote_mos: remote_loss
                .map(|loss| round(e_model::mos(e_model::rating(&path(loss, 0.0)), codec.scale) as f32)),
            remote_loss_percent: remote_loss.map(|loss| round(loss * 100.0)),
            remote_jitter_ms: session.remote_jitter_ms().map(round),
            remote_reported_mos: reports.remote_mos,
            round_trip_ms: reports.round_trip.map(|time| round(ms(time))),
            longest_round_trip_ms: reports.longest_round_trip.map(|time| round(ms(time))),
            rtcp_sent: reports.sent,
            rtcp_received: reports.received,
        }
    }

    /// This one, of the stream after `before`: the counts of both, the figures of this one where it has some.
    #[must_use]
    pub fn after(self, before: Quality) -> Quality {
        Quality {
            mos: self.mos.or(before.mos),
            r_factor: self.r_factor.or(before.r_factor),
            mos_scale: self.mos_scale.or(before.mos_scale),
            loss_percent: self.loss_percent.or(before.loss_percent),
            bursts: self.bursts + before.bursts,
            concealed_percent: self.concealed_percent.or(before.concealed_percent),
            remote_mos: self.remote_mos.or(before.remote_mos),
            remote_loss_percent: self.remote_loss_percent.or(before.remote_loss_percent),
            remote_jitter_ms: self.remote_jitter_ms.or(before.remote_jitter_ms),
            remote_reported_mos: self.remote_reported_mos.or(before.remote_reported_mos),
            round_trip_ms: self.round_trip_ms.or(before.round_trip_ms),
            longest_round_trip_ms: match (self.longest_round_trip_ms, before.longest_round_trip_ms) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            },
            rtcp_sent: self.rtcp_sent + before.rtcp_sent,
            rtcp_received: self.rtcp_received + before.rtcp_received,
            ..self
        }
    }
}

/// Two digits after the point: more would be pretence.
fn round(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}
