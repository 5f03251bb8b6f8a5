//! Prometheus metrics (door of crate prometheus-client).
//!
//! In: one typed method an event. Out: the text of `/metrics` (OpenMetrics 1.0). Cloning is cheap and shares the counters.
//! Labels come from fixed sets (`&'static str`) or from the dialplans (tool names), never from callers, so the number of
//! series has a bound.

use super::cdr::Cdr;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

type Label = [(&'static str, &'static str); 1];
/// For words that come out of a record or a file.
type OwnedLabel = [(&'static str, String); 1];
type ToolLabels = [(&'static str, String); 2];
/// Trunks and targets are names of the settings.
type TrunkLabel = [(&'static str, String); 1];
type TrunkLabels = [(&'static str, String); 2];
type HistogramFamily<L> = Family<L, Histogram, fn() -> Histogram>;

/// Seconds. Turn-taking is felt between 0.3 and 3 s.
const TURN_BUCKETS: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];
/// Seconds. The agent is to be silent within 60 ms.
const STOP_BUCKETS: [f64; 9] = [0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.25, 0.5];
/// Seconds. A tick is 5 ms.
const LAG_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];
/// Seconds. Tools run up to a minute.
const TOOL_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0];
/// MOS, finest where callers begin to complain.
const MOS_BUCKETS: [f64; 10] = [1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.2, 4.4];
/// Share of packets. Concealment hides 1 %, nothing hides 10 %.
const LOSS_BUCKETS: [f64; 9] = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// Seconds. Jitter and round trip of a network.
const NETWORK_BUCKETS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 0.6, 1.2];
/// Seconds. Calls last from a wrong number to hours.
const CALL_BUCKETS: [f64; 9] = [1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0];

/// Everything that is counted.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    calls_active: Gauge,
    calls: Family<OwnedLabel, Counter>,
    call_seconds: Histogram,
    invites: Family<Label, Counter>,
    dropped: Family<Label, Counter>,
    realtime_sessions: Gauge,
    realtime_failures: Family<Label, Counter>,
    realtime_ready: Histogram,
    turn_latency: Histogram,
    barge_in_stop: Histogram,
    tool_seconds: HistogramFamily<ToolLabels>,
    tokens: Family<Label, Counter>,
    rtp_packets: Family<Label, Counter>,
    warnings: Family<Label, Counter>,
    transfers: Family<Label, Counter>,
    fallbacks: Family<Label, Counter>,
    tick_lag: Histogram,
    records: Family<Label, Counter>,
    config_reloads: Family<Label, Counter>,
    trunk_calls: Family<TrunkLabel, Gauge>,
    trunk_invites: Family<TrunkLabels, Counter>,
    trunk_registered: Family<TrunkLabel, Gauge>,
    trunk_target_up: Family<TrunkLabels, Gauge>,
    mos: HistogramFamily<TrunkLabels>,
    loss: HistogramFamily<TrunkLabels>,
    jitter: HistogramFamily<TrunkLabels>,
    round_trip: HistogramFamily<TrunkLabel>,
    one_way: Family<TrunkLabels, Counter>,
    source_changed: Family<TrunkLabel, Counter>,
    source_refused: Family<TrunkLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let histogram = |buckets: &[f64]| Histogram::new(buckets.iter().copied());
        let mut metrics = Metrics {
            registry: Arc::default(),
            calls_active: Gauge::default(),
            calls: Family::default(),
            call_seconds: histogram(&CALL_BUCKETS),
            invites: Family::default(),
            dropped: Family::default(),
            realtime_sessions: Gauge::default(),
            realtime_failures: Family::default(),
            realtime_ready: histogram(&TURN_BUCKETS),
            turn_latency: histogram(&TURN_BUCKETS),
            barge_in_stop: histogram(&STOP_BUCKETS),
            tool_seconds: Family::new_with_constructor(|| Histogram::new(TOOL_BUCKETS)),
            tokens: Family::default(),
            rtp_packets: Family::default(),
            warnings: Family::default(),
            transfers: Family::default(),
            fallbacks: Family::default(),
            tick_lag: histogram(&LAG_BUCKETS),
            records: Family::default(),
            config_reloads: Family::default(),
            trunk_calls: Family::default(),
            trunk_invites: Family::default(),
            trunk_registered: Family::default(),
            trunk_target_up: Family::default(),
            mos: Family::new_with_constructor(|| Histogram::new(MOS_BUCKETS)),
            loss: Family::new_with_constructor(|| Histogram::new(LOSS_BUCKETS)),
            jitter: Family::new_with_constructor(|| Histogram::new(NETWORK_BUCKETS)),
            round_trip: Family::new_with_constructor(|| Histogram::new(NETWORK_BUCKETS)),
            one_way: Family::default(),
            source_changed: Family::default(),
            source_refused: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    fn register(&self) -> Registry {
        let mut r = Registry::with_prefix("voxtrunk");
        let s = || Unit::Seconds;
        r.register("calls_active", "Calls that have not ended", self.calls_active.clone());
        r.register("calls", "Calls that ended, by cause", self.calls.clone());
        r.register_with_unit("call_duration", "From answer to end", s(), self.call_seconds.clone());
        r.register("invites", "INVITEs received, by result", self.invites.clone());
        r.register("sip_dropped", "SIP datagrams dropped without an answer, by reason", self.dropped.clone());
        r.register("realtime_sessions", "Open Realtime sessions", self.realtime_sessions.clone());
        r.register("realtime_failures", "Realtime sessions that failed, by kind", self.realtime_failures.clone());
        r.register_with_unit("realtime_ready", "From connecting to session.updated", s(), self.realtime_ready.clone());
        let help = "From the caller's end of speech to the first RTP packet with the agent's speech";
        r.register_with_unit("turn_latency", help, s(), self.turn_latency.clone());
        let help = "From speech_started to the last RTP packet with the agent's speech";
        r.register_with_unit("barge_in_stop", help, s(), self.barge_in_stop.clone());
        r.register_with_unit("tool_duration", "Tool calls, by tool and outcome", s(), self.tool_seconds.clone());
        r.register("realtime_tokens", "Tokens, by kind", self.tokens.clone());
        r.register("rtp_packets", "RTP packets, by what became of them", self.rtp_packets.clone());
        r.register("warnings", "Odd things that harmed nothing, by label", self.warnings.clone());
        r.register("transfers", "Transfers, by outcome", self.transfers.clone());
        r.register("fallbacks", "Calls that went another way because the Realtime side failed", self.fallbacks.clone());
        r.register_with_unit("tick_lag", "How late media ticks began", s(), self.tick_lag.clone());
        r.register("records", "Call records and transcripts, by what became of them", self.records.clone());
        r.register("config_reloads", "Reloads of dialplans and certificates, by result", self.config_reloads.clone());
        r.register("trunk_calls_active", "Calls that have not ended, by trunk", self.trunk_calls.clone());
        r.register("trunk_invites", "INVITEs received, by trunk and result", self.trunk_invites.clone());
        r.register("trunk_registered", "1 while our registration is good", self.trunk_registered.clone());
        r.register("trunk_target_up", "1 while a target answers OPTIONS", self.trunk_target_up.clone());
        r.register(
            "mos",
            "Estimated MOS of a call, by who hears: agent or caller (G.107; G.722 by G.107.1)",
            self.mos.clone(),
        );
        let help = "Share of a call's packets that never came or came too late, by who hears";
        r.register_with_unit("rtp_loss", help, Unit::Ratios, self.loss.clone());
        r.register_with_unit("rtp_jitter", "Interarrival jitter of a call, by who hears", s(), self.jitter.clone());
        r.register_with_unit("rtp_round_trip", "Round trip of a call by RTCP", s(), self.round_trip.clone());
        let help = "Calls in which one side did not hear the other, by likely cause";
        r.register("one_way_audio", help, self.one_way.clone());
        r.register("rtp_source_changed", "Streams that went on from another address", self.source_changed.clone());
        r.register("rtp_source_refused", "Addresses whose media was refused", self.source_refused.clone());
        r
    }

    /// The text of `/metrics`.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing into a string does not fail; half a page would only mislead.
            Err(std::fmt::Error) => String::from("# EOF\n"),
        }
    }

    /// An INVITE came in and was handled thus (`accepted`, `no_number`, `too_many_calls` …).
    pub fn invite(&self, result: &'static str) {
        self.invites.get_or_create(&[("result", result)]).inc();
    }
    /// A datagram was dropped without an answer (`foreign_source`, `malformed` …).
    pub fn sip_dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&[("reason", reason)]).inc();
    }
    /// Files were read again; `false`: something was wrong, and the old set is in force (P4).
    pub fn reloaded(&self, good: bool) {
        self.config_reloads.get_or_create(&[("result", if good { "ok" } else { "failed" })]).inc();
    }
    /// A call exists; [`Metrics::call_gone`] is its counterpart. Refused INVITEs are neither.
    pub fn call_started(&self) {
        self.calls_active.inc();
    }
    pub fn call_gone(&self) {
        self.calls_active.dec();
    }
    pub fn calls_active(&self) -> i64 {
        self.calls_active.get()
    }
    /// The one record of an INVITE, refused or answered: cause, length, RTP and tokens are counted from it.
    pub fn ended(&self, cdr: &Cdr) {
        self.calls.get_or_create(&[("cause", cdr.cause.clone())]).inc();
        if cdr.answered_unix_ms.is_some() {
            self.call_seconds.observe(seconds(cdr.talk_ms));
        }
        for (result, count) in [
            ("sent", cdr.rtp_sent),
            ("received", cdr.rtp.received),
            ("lost", cdr.rtp.lost),
            ("late", cdr.rtp.late),
            ("duplicate", cdr.rtp.duplicate),
            ("refused_source", cdr.rtp.refused_source),
            ("srtp_failed", cdr.rtp.srtp_failed),
            ("srtp_replayed", cdr.rtp.srtp_replayed),
        ] {
            self.rtp_packets.get_or_create(&[("result", result)]).inc_by(count);
        }
        self.quality(cdr);
        for (kind, count) in [
            ("input_text", cdr.tokens.input_text),
            ("input_audio", cdr.tokens.input_audio),
            ("cached", cdr.tokens.cached),
            ("output_text", cdr.tokens.output_text),
            ("output_audio", cdr.tokens.output_audio),
        ] {
            self.tokens.get_or_create(&[("kind", kind)]).inc_by(count);
        }
    }

    fn quality(&self, cdr: &Cdr) {
        let trunk = || cdr.trunk.clone().unwrap_or_default();
        let quality = &cdr.quality;
        let agent_jitter = (cdr.rtp.received > 0).then_some(cdr.rtp.jitter_ms);
        for (hears, mos, loss, jitter) in [
            ("agent", quality.mos, quality.loss_percent, agent_jitter),
            ("caller", quality.remote_mos, quality.remote_loss_percent, quality.remote_jitter_ms),
        ] {
            let labels = [("trunk", trunk()), ("heard_by", hears.to_owned())];
            for (family, value) in [
                (&self.mos, mos.map(f64::from)),
                (&self.loss, loss.map(|percent| f64::from(percent) / 100.0)),
                (&self.jitter, jitter.map(|ms| f64::from(ms) / 1000.0)),
            ] {
                if let Some(value) = value {
                    family.get_or_create(&labels).observe(value);
                }
            }
        }
        if let Some(ms) = quality.round_trip_ms {
            self.round_trip.get_or_create(&[("trunk", trunk())]).observe(f64::from(ms) / 1000.0);
        }
    }
    /// One side of a call of `trunk` does not hear the other; `cause` is that of [`super::cdr::MediaVerdict`].
    pub fn one_way_audio(&self, trunk: &str, cause: &'static str) {
        self.one_way.get_or_create(&[("trunk", trunk.to_owned()), ("cause", cause.to_owned())]).inc();
    }
    pub fn source_changed(&self, trunk: &str) {
        self.source_changed.get_or_create(&[("trunk", trunk.to_owned())]).inc();
    }
    pub fn source_refused(&self, trunk: &str) {
        self.source_refused.get_or_create(&[("trunk", trunk.to_owned())]).inc();
    }

    pub fn realtime_opened(&self) {
        self.realtime_sessions.inc();
    }
    pub fn realtime_closed(&self) {
        self.realtime_sessions.dec();
    }
    /// `label` is [`crate::realtime::session::SessionFault::label`].
    pub fn realtime_failed(&self, label: &'static str) {
        self.realtime_failures.get_or_create(&[("kind", label)]).inc();
    }
    pub fn realtime_ready(&self, ms: u64) {
        self.realtime_ready.observe(seconds(ms));
    }
    pub fn turn_latency(&self, ms: u64) {
        self.turn_latency.observe(seconds(ms));
    }
    pub fn barge_in_stop(&self, ms: u64) {
        self.barge_in_stop.observe(seconds(ms));
    }
    /// `name` is a tool of a dialplan, or `unknown` for what a model made up.
    pub fn tool(&self, name: &str, ok: bool, ms: u64) {
        let labels = [("tool", name.to_owned()), ("ok", ok.to_string())];
        self.tool_seconds.get_or_create(&labels).observe(seconds(ms));
    }
    pub fn transfer(&self, outcome: &'static str) {
        self.transfers.get_or_create(&[("outcome", outcome)]).inc();
    }
    pub fn fallback(&self, action: &'static str) {
        self.fallbacks.get_or_create(&[("action", action)]).inc();
    }
    pub fn warning(&self, label: &'static str) {
        self.warnings.get_or_create(&[("label", label)]).inc();
    }
    /// A media worker's tick began this much after its time.
    pub fn tick_lag(&self, lag: Duration) {
        self.tick_lag.observe(lag.as_secs_f64());
    }
    /// Calls of a trunk that have not ended.
    pub fn trunk_calls(&self, trunk: &str, calls: usize) {
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        self.trunk_calls.get_or_create(&[("trunk", trunk.to_owned())]).set(calls);
    }
    /// As [`Metrics::invite`], by trunk.
    pub fn trunk_invite(&self, trunk: &str, result: &str) {
        self.trunk_invites.get_or_create(&[("trunk", trunk.to_owned()), ("result", result.to_owned())]).inc();
    }
    pub fn trunk_registered(&self, trunk: &str, registered: bool) {
        self.trunk_registered.get_or_create(&[("trunk", trunk.to_owned())]).set(registered.into());
    }
    pub fn trunk_target_up(&self, trunk: &str, target: &str, up: bool) {
        let labels = [("trunk", trunk.to_owned()), ("target", target.to_owned())];
        self.trunk_target_up.get_or_create(&labels).set(up.into());
    }
    /// `written`, `delayed` (kept and tried again), `spilled` (into the log instead of the file).
    pub fn record(&self, result: &'static str) {
        self.records.get_or_create(&[("result", result)]).inc();
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RTP-18, S3, S5: quality, one-way audio and moved sources, by trunk, among the rest.
    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.call_started();
        metrics.clone().call_started();
        metrics.call_gone();
        metrics.invite("accepted");
        metrics.tool("look_up", true, 120);
        metrics.turn_latency(640);
        metrics.barge_in_stop(18);
        let mut cdr = Cdr { cause: "caller_bye".into(), answered_unix_ms: Some(1), talk_ms: 42_000, ..Cdr::default() };
        (cdr.rtp.lost, cdr.tokens.output_audio) = (1, 56);
        cdr.trunk = Some("pbx".into());
        (cdr.quality.mos, cdr.quality.remote_loss_percent, cdr.quality.round_trip_ms) =
            (Some(4.33), Some(2.0), Some(48.0));
        metrics.one_way_audio("pbx", "no_packet");
        metrics.source_changed("pbx");
        metrics.source_refused("pbx");
        metrics.ended(&cdr);
        metrics.ended(&Cdr { cause: "no_number".into(), ..Cdr::default() });
        let text = metrics.encode();
        for line in [
            "voxtrunk_calls_active 1",
            "voxtrunk_calls_total{cause=\"caller_bye\"} 1",
            "voxtrunk_calls_total{cause=\"no_number\"} 1",
            "voxtrunk_invites_total{result=\"accepted\"} 1",
            "voxtrunk_call_duration_seconds_count 1",
            "voxtrunk_tool_duration_seconds_bucket{le=\"0.25\",tool=\"look_up\",ok=\"true\"} 1",
            "voxtrunk_turn_latency_seconds_bucket{le=\"0.7\"} 1",
            "voxtrunk_barge_in_stop_seconds_bucket{le=\"0.02\"} 1",
            "voxtrunk_realtime_tokens_total{kind=\"output_audio\"} 56",
            "voxtrunk_rtp_packets_total{result=\"lost\"} 1",
            "voxtrunk_mos_bucket{le=\"4.2\",trunk=\"pbx\",heard_by=\"agent\"} 0",
            "voxtrunk_mos_bucket{le=\"4.4\",trunk=\"pbx\",heard_by=\"agent\"} 1",
            "voxtrunk_rtp_loss_ratios_bucket{le=\"0.02\",trunk=\"pbx\",heard_by=\"caller\"} 1",
            "voxtrunk_rtp_round_trip_seconds_bucket{le=\"0.05\",trunk=\"pbx\"} 1",
            "voxtrunk_one_way_audio_total{trunk=\"pbx\",cause=\"no_packet\"} 1",
            "voxtrunk_rtp_source_changed_total{trunk=\"pbx\"} 1",
            "voxtrunk_rtp_source_refused_total{trunk=\"pbx\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
