//! One event = one log line + one metric. Caller data stays masked ([`super::pii::Pii`]).

use super::cdr::Cdr;
use super::metrics::Metrics;
use crate::call::CallEvent;
use tracing::{debug, info, warn};

/// Writes down what happened in the call of this record.
pub fn note(record: &Cdr, event: &CallEvent, metrics: &Metrics) {
    let (call, trunk) = (record.call.as_str(), record.trunk.as_deref().unwrap_or_default());
    match event {
        CallEvent::Ringing => info!(call, "ringing"),
        CallEvent::Answered { codec } => info!(call, codec, "answered"),
        CallEvent::RealtimeReady { ms } => {
            metrics.realtime_ready(*ms);
            info!(call, ms, "realtime session ready");
        }
        CallEvent::CallerSpeaks => debug!(call, "caller speaks"),
        CallEvent::CallerStops => debug!(call, "caller stops"),
        CallEvent::CallerSaid(text) => debug!(call, %text, characters = text.expose().chars().count(), "caller said"),
        CallEvent::AgentSpeaks { latency_ms } => {
            if let Some(ms) = latency_ms {
                metrics.turn_latency(*ms);
            }
            debug!(call, latency_ms, "agent speaks");
        }
        CallEvent::AgentSaid(text) => debug!(call, %text, characters = text.expose().chars().count(), "agent said"),
        CallEvent::AgentStops => debug!(call, "agent stops"),
        CallEvent::BargeIn { heard_ms, stop_ms } => {
            metrics.barge_in_stop(*stop_ms);
            info!(call, heard_ms, stop_ms, "caller cut in");
        }
        // Never which one: it may be part of a PIN.
        CallEvent::Digit => debug!(call, "digit"),
        CallEvent::ToolStarted { name } => info!(call, tool = name, "tool started"),
        CallEvent::ToolDone { name, ok, ms } => {
            metrics.tool(name, *ok, *ms);
            info!(call, tool = name, ok, ms, "tool done");
        }
        CallEvent::Transfer { target, outcome } => {
            metrics.transfer(outcome);
            info!(call, target, outcome, "transfer");
        }
        CallEvent::Hold(on) => info!(call, on, "hold"),
        CallEvent::Moved(how) => info!(call, how, "caller moved to another dialog"),
        CallEvent::CallerChanged(number) => info!(call, %number, "caller changed"),
        CallEvent::CheckIn => info!(call, "caller is silent: check-in"),
        CallEvent::Fallback(action) => {
            metrics.fallback(action);
            warn!(call, action, "realtime side failed: fallback");
        }
        CallEvent::Goodbye => info!(call, "goodbye"),
        CallEvent::Warning { label, detail } => {
            metrics.warning(label);
            debug!(call, label, detail, "warning");
        }
        CallEvent::MediaSource { addr, moved } => {
            if *moved {
                metrics.source_changed(trunk);
            }
            info!(call, %addr, moved, "media source");
        }
        CallEvent::SourceRefused { addr } => {
            metrics.source_refused(trunk);
            info!(call, %addr, "media from an address that may not send");
        }
        CallEvent::OneWayAudio { cause, why } => {
            metrics.one_way_audio(trunk, cause);
            warn!(call, trunk, cause, why, "one-way audio");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::pii::Pii;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A22: what the caller says and who they are is in no log line; what happened is.
    #[test]
    fn an_event_is_a_log_line_and_a_metric_without_the_callers_words() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let metrics = Metrics::new();
        let record = Cdr { call: "c1".into(), ..Cdr::default() };
        tracing::subscriber::with_default(subscriber, || {
            note(&record, &CallEvent::CallerSaid(Pii("my card is canary 4111".into())), &metrics);
            note(&record, &CallEvent::BargeIn { heard_ms: 1340, stop_ms: 20 }, &metrics);
            note(&record, &CallEvent::ToolDone { name: "look_up".into(), ok: false, ms: 7 }, &metrics);
            note(&record, &CallEvent::Warning { label: "unknown_event", detail: "x".into() }, &metrics);
        });
        let log = String::from_utf8(sink.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert!(!log.contains("canary") && !log.contains("4111"), "{log}");
        assert!(log.contains("<pii>") && log.contains("caller cut in call=\"c1\" heard_ms=1340 stop_ms=20"), "{log}");
        let text = metrics.encode();
        assert!(text.contains("voxtrunk_barge_in_stop_seconds_count 1"), "{text}");
        assert!(text.contains("voxtrunk_warnings_total{label=\"unknown_event\"} 1"), "{text}");
    }
}
