//! Logging set-up (door of crate tracing-subscriber).

use crate::config::settings::LogFormat;
use tracing_subscriber::EnvFilter;

/// The variable that chooses levels, in `tracing`'s filter syntax: `debug`, `voxtrunk::call=debug,info` …
pub const FILTER_VARIABLE: &str = "VOXTRUNK_LOG";

/// Starts logging to standard error. `default_filter` applies where the environment says nothing. The error says what is
/// wrong with the filter, or that logging was started before.
pub fn init(format: LogFormat, default_filter: &str) -> Result<(), String> {
    let wanted = std::env::var(FILTER_VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let text = wanted.as_deref().unwrap_or(default_filter);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        format!("{FILTER_VARIABLE}=\"{text}\" is not a log filter ({error}): write \"debug\" or \"voxtrunk::sip=debug,info\"")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            builder.with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|error| format!("logging: {error}"))
}
