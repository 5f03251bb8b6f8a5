//! `voxtrunk check`: settings, dialplans and everything they name, every problem at once.

use super::exit;
use super::table::Table;
use crate::audio::wav;
use crate::config::ConfigError;
use crate::config::book::Book;
use crate::config::dialplan::{Dialplan, Fallback, HeaderValue, ToolKind};
use crate::config::secret::SecretRef;
use crate::config::settings::{Network, Provider, Settings};
use crate::realtime::{DialectKind, ProviderKind, TurnDetection};
use crate::sip::Transport;
use crate::trunk::{SrtpPolicy, Trunk};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every problem is printed as file:line:column: field: what is wrong and what to do; then the exit code is 2.
Secrets are not needed: one that is missing here is a warning.

Examples:
  voxtrunk check
  voxtrunk check --config /etc/voxtrunk/voxtrunk.toml
  voxtrunk check --dialplans ./dialplans          before a reload (kill -HUP)")]
pub struct Args {
    #[command(flatten)]
    pub files: Files,
}

/// Which files a command looks at; the same for `check` and `explain`.
#[derive(Debug, Default, clap::Args)]
pub struct Files {
    /// Settings file. Without one: the defaults (loopback, embedded Realtime server, ./dialplans).
    #[arg(long, short, env = "VOXTRUNK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Dialplan directory, instead of the one in the settings.
    #[arg(long, short, value_name = "DIR")]
    pub dialplans: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: Args) -> ExitCode {
    match report(&args.files) {
        Ok(text) => {
            print!("{text}");
            exit::code(exit::OK)
        }
        Err(problems) => {
            eprint!("{}", problem_text(&problems));
            exit::code(exit::USAGE)
        }
    }
}

/// Settings and book, or every problem of both.
pub fn load(files: &Files) -> Result<(Settings, Book), Vec<ConfigError>> {
    let settings = Settings::load(files.config.as_deref());
    // With broken settings the dialplans are still read, against the defaults, so that one run shows all there is.
    let (mut settings, mut problems) = match settings {
        Ok(settings) => (settings, Vec::new()),
        Err(problems) => (Settings::defaults(), problems),
    };
    let broken = !problems.is_empty();
    if let Some(directory) = &files.dialplans {
        settings.dialplans = directory.clone();
    }
    let book = Book::load(&settings.dialplans, &settings).and_then(|book| {
        let problems: Vec<ConfigError> = book.plans().iter().filter_map(|plan| unusable_apology(plan)).collect();
        if problems.is_empty() { Ok(book) } else { Err(problems) }
    });
    match book {
        Ok(book) if !broken => Ok((settings, book)),
        Ok(_) => Err(problems),
        Err(found) => {
            // Which providers there are is not known while the settings are broken.
            problems.extend(found.into_iter().filter(|problem| !broken || problem.field != "provider"));
            Err(problems)
        }
    }
}

/// An apology that is there, but is no WAV file the server could play.
fn unusable_apology(plan: &Dialplan) -> Option<ConfigError> {
    let Fallback::Apology { wav: Some(path) } = &plan.fallback else { return None };
    let error = wav::read_8k_mono(path).err()?;
    let message = format!("{error}. Record it as WAV, 16 bit, any rate");
    Some(ConfigError { file: shown(&plan.file), line: 0, column: 0, field: "fallback.wav".into(), message })
}

/// One problem a line, and how many.
pub fn problem_text(problems: &[ConfigError]) -> String {
    let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    let count = problems.len();
    format!("{lines}{count} problem{}\n", if count == 1 { "" } else { "s" })
}

/// The summary of files that are all right: what is served by what, and warnings.
pub fn report(files: &Files) -> Result<String, Vec<ConfigError>> {
    let (settings, book) = load(files)?;
    let mut numbers = Table::new(&["NUMBER", "FILE", "PROVIDER", "MODEL", "TOOLS"]);
    for plan in book.plans() {
        let provider = settings.provider(plan.provider.as_deref());
        let tools: Vec<&str> = plan.tools.iter().map(|tool| tool.name.as_str()).collect();
        let model = plan.model.as_deref().or(provider.map(|provider| provider.endpoint.model.as_str())).unwrap_or("");
        for pattern in &plan.numbers {
            numbers.row(&[
                &pattern.to_string(),
                &plan.file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default(),
                provider.map_or("", |provider| provider.name.as_str()),
                model,
                &if tools.is_empty() { "-".to_owned() } else { tools.join(", ") },
            ]);
        }
    }
    let mut text = numbers.text();
    let warnings = warnings(&settings, &book);
    if !warnings.is_empty() {
        text.push('\n');
        for warning in &warnings {
            text.push_str(&format!("warning: {warning}\n"));
        }
    }
    let source =
        files.config.as_deref().map_or("no settings file (defaults)".to_owned(), |path| path.display().to_string());
    let count = book.plans().len();
    let plural = if count == 1 { "" } else { "s" };
    text.push_str(&format!("\nok: {source}, {count} dialplan{plural} in {}\n", settings.dialplans.display()));
    Ok(text)
}

/// What is allowed, but perhaps not meant.
pub fn warnings(settings: &Settings, book: &Book) -> Vec<String> {
    let mut warnings = Vec::new();
    for provider in &settings.providers {
        if let Some(Err(error)) = provider.key.as_ref().map(SecretRef::resolve) {
            warnings.push(format!("provider \"{}\": key: {error}", provider.name));
        }
        if provider.endpoint.dialect == DialectKind::Preview && provider.endpoint.kind == ProviderKind::OpenAi {
            let why = "OpenAI switched the preview dialect off on 2026-05-12: use dialect = \"ga\"";
            warnings.push(format!("provider \"{}\": {why}", provider.name));
        }
    }
    warnings.extend(settings.missing_secrets.iter().cloned());
    warnings.extend(trunk_warnings(settings));
    for plan in book.plans() {
        let provider = settings.provider(plan.provider.as_deref());
        warnings.extend(
            plan_warnings(plan, provider).into_iter().map(|warning| format!("{}: {warning}", shown(&plan.file))),
        );
    }
    warnings
}

/// Rules that hide one another, and trunks that can only half work.
fn trunk_warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    for (later, trunk) in settings.trunks.iter().enumerate() {
        for earlier in settings.trunks.iter().take(later).filter(|earlier| overlap(earlier, trunk)) {
            warnings.push(format!(
                "trunk \"{}\": shares sources with \"{}\", which comes first and gets what both could take",
                trunk.name, earlier.name
            ));
        }
        if trunk.transports.contains(&Transport::Tls) && settings.sip.tls.is_none() {
            let why = "there is no [sip.tls]: we reach it by TLS, but it cannot open a connection to us";
            warnings.push(format!("trunk \"{}\": {why}", trunk.name));
        }
        let srtp = trunk.media.srtp.unwrap_or(settings.media.srtp) != SrtpPolicy::Off;
        let clear = trunk.transports.iter().any(|transport| *transport != Transport::Tls);
        if srtp && clear && trunk.media.srtp_without_tls {
            let why = "srtp_without_tls: whoever can read its SIP can read its SRTP keys and so listen to its calls";
            warnings.push(format!("trunk \"{}\": {why}", trunk.name));
        }
    }
    warnings
}

/// Whether one request could be of both, by what `sources`, ports and transports say.
fn overlap(one: &Trunk, other: &Trunk) -> bool {
    let (a, b) = (&one.identify, &other.identify);
    let networks = |a: &[Network], b: &[Network]| {
        a.iter().any(|a| b.iter().any(|b| a.contains(b.addr) && a.prefix <= b.prefix || b.contains(a.addr)))
    };
    let ports = a.ports.is_empty() || b.ports.is_empty() || a.ports.iter().any(|port| b.ports.contains(port));
    let transports = one.transports.iter().any(|transport| other.transports.contains(transport));
    let told_apart = one.registers() && other.registers();
    let names = a.certificate_names.is_empty() && b.certificate_names.is_empty();
    networks(&a.sources, &b.sources) && ports && transports && names && !told_apart
}

fn plan_warnings(plan: &Dialplan, provider: Option<&Provider>) -> Vec<String> {
    let mut warnings = Vec::new();
    let ga = provider.is_some_and(|provider| provider.endpoint.dialect == DialectKind::Ga);
    if ga && plan.temperature.is_some() {
        warnings.push("temperature: the ga dialect has no such setting; it is not sent".to_owned());
    }
    let (TurnDetection::ServerVad { create_response, .. } | TurnDetection::SemanticVad { create_response, .. }) =
        plan.turn_detection;
    if !create_response {
        warnings
            .push("turn_detection.create_response: the agent will not answer when the caller has spoken".to_owned());
    }
    if !plan.tools.iter().any(|tool| tool.kind == ToolKind::Hangup) {
        warnings.push("tool: there is none of kind \"hangup\"; the agent cannot end the call".to_owned());
    }
    for tool in &plan.tools {
        let ToolKind::Http(http) = &tool.kind else { continue };
        for (header, value) in &http.headers {
            if let HeaderValue::Secret { secret, .. } = value
                && let Err(error) = secret.resolve()
            {
                warnings.push(format!("tool \"{}\": header {header}: {error}", tool.name));
            }
        }
    }
    warnings
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
