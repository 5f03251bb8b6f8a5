//! `voxtrunk explain NUMBER`: which file serves a number and why, and what the model is given. `--trunk NAME`: what a trunk
//! resolves to (`trunk`). `--invite FILE`: what becomes of an INVITE (`invite`).

pub mod invite;
pub mod trunk;

use super::check::{Files, load, problem_text};
use super::exit;
use crate::audio::front::EchoMode;
use crate::config::ConfigError;
use crate::config::book::{Match, normalise};
use crate::config::dialplan::{AnswerPolicy, AudioChoice, Dialplan, Fallback, HeaderValue, HttpTool, ToolKind};
use crate::config::settings::{Provider, Settings};
use crate::realtime::{DialectKind, Greeting, KeyHeader, ProviderKind, TurnDetection, handshake};
use crate::tools::policy::definitions;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

/// Lines of the instructions that are shown.
const SHOWN_LINES: usize = 12;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  voxtrunk explain +15551230001
  voxtrunk explain 610 --config /etc/voxtrunk/voxtrunk.toml
  voxtrunk explain 610 --full                     with the whole instructions
  voxtrunk explain --trunk carrier                what a trunk resolves to, and the lines for the other side
  voxtrunk explain --invite call.sip --from 192.0.2.20")]
pub struct Args {
    /// The number as it is dialled: E.164, an extension, or the user part of the URI.
    #[arg(required_unless_present_any = ["trunk", "invite"], conflicts_with_all = ["trunk", "invite"])]
    pub number: Option<String>,
    /// Show what a trunk resolves to: every setting with where it comes from, and the lines for the other side.
    #[arg(long, value_name = "NAME", conflicts_with = "invite")]
    pub trunk: Option<String>,
    /// Show which trunk, number, caller and dialplan an INVITE gets; the file is the message as a capture shows it.
    #[arg(long, value_name = "FILE")]
    pub invite: Option<PathBuf>,
    /// With --invite: where it came from. Default: the address in its top Via.
    #[arg(long, value_name = "IP[:PORT]", requires = "invite", value_parser = source)]
    pub from: Option<SocketAddr>,
    /// With --invite: the user of our Contact on registering trunks.
    #[arg(long, value_name = "USER", requires = "invite")]
    pub contact_user: Option<String>,
    /// With --invite: a name in the TLS certificate that the sender showed. May be given several times.
    #[arg(long, value_name = "HOST", requires = "invite")]
    pub certificate_name: Vec<String>,
    /// Show the whole instructions.
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub files: Files,
}

fn source(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 5060)));
    address.map_err(|_| "write an address, like 192.0.2.20 or 192.0.2.20:5060".to_owned())
}

/// Runs it.
pub fn run(args: Args) -> ExitCode {
    let answer = match (&args.trunk, &args.invite) {
        (Some(name), _) => load(&args.files).map(|(settings, _)| trunk::report(name, &settings)),
        (None, Some(file)) => {
            let sender = invite::Sender {
                from: args.from,
                contact_user: args.contact_user.clone().unwrap_or_default(),
                certificate_names: args.certificate_name.clone(),
            };
            load(&args.files).map(|(settings, book)| invite::report(file, &settings, &book, &sender))
        }
        (None, None) => {
            let number = args.number.as_deref().unwrap_or_default();
            report(number, &args.files, args.full).map(|text| text.ok_or_else(|| nobodys(number)))
        }
    };
    match answer {
        Ok(Ok(text)) => {
            print!("{text}");
            exit::code(exit::OK)
        }
        Ok(Err(message)) => {
            println!("{message}");
            exit::code(exit::FAILURE)
        }
        Err(problems) => {
            eprint!("{}", problem_text(&problems));
            exit::code(exit::USAGE)
        }
    }
}

fn nobodys(number: &str) -> String {
    match normalise(number) {
        Some(number) => format!(
            "{number}: no dialplan serves it; the caller gets 404 Not Found.\n\
             Add a file with numbers = [\"{number}\"], or a default.toml that serves all others."
        ),
        None => format!(
            "{}: not a number or name that can be dialled (letters, digits, + - . _ * #); the caller gets 404 Not Found.",
            number.escape_debug()
        ),
    }
}

/// The whole text; `None` if no file serves the number. Errors are problems of the files.
pub fn report(number: &str, files: &Files, full: bool) -> Result<Option<String>, Vec<ConfigError>> {
    let (settings, book) = load(files)?;
    let Some((plan, reason)) = book.find(number) else { return Ok(None) };
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write_report(&mut text, number, &plan, &reason, &settings, full);
    Ok(Some(text))
}

fn write_report(
    out: &mut String,
    number: &str,
    plan: &Dialplan,
    reason: &Match,
    settings: &Settings,
    full: bool,
) -> std::fmt::Result {
    let number = normalise(number).unwrap_or_default();
    let why = match reason {
        Match::Exact(listed) if *listed == number => "the number is listed there".to_owned(),
        Match::Exact(listed) => format!("it lists {listed}, which is this number written otherwise"),
        Match::Prefix(prefix) => {
            format!("{prefix}* is the longest prefix that fits, and no file lists the number itself")
        }
        Match::Default => "no file lists the number or a prefix of it".to_owned(),
    };
    writeln!(out, "{number} is served by {}: {why}.", plan.file.display())?;
    provider(out, plan, settings.provider(plan.provider.as_deref()))?;
    call(out, plan)?;
    instructions(out, plan, full)?;
    tools(out, plan)
}

fn provider(out: &mut String, plan: &Dialplan, provider: Option<&Provider>) -> std::fmt::Result {
    let Some(provider) = provider else { return writeln!(out, "\nProvider: unknown") };
    let by = if plan.provider.is_some() { "named in the file" } else { "the default one" };
    writeln!(out, "\nProvider {} ({by})", provider.name)?;
    let mut endpoint = provider.endpoint.clone();
    if let Some(model) = &plan.model {
        endpoint.model = model.clone();
    }
    if endpoint.kind == ProviderKind::Embedded {
        endpoint.url = "ws://127.0.0.1:PORT/v1/realtime".to_owned();
    }
    let request = handshake(&endpoint);
    let dialect = if endpoint.dialect == DialectKind::Ga { "ga" } else { "preview" };
    writeln!(out, "  connects to    {}", request.url)?;
    for (name, value) in &request.headers {
        writeln!(out, "  header         {name}: {value}")?;
    }
    let header = match request.key {
        KeyHeader::Bearer => "Authorization: Bearer",
        KeyHeader::ApiKey => "api-key:",
        KeyHeader::None => "",
    };
    match &provider.key {
        Some(key) => writeln!(out, "  key            {header} *** (from {key})")?,
        None => writeln!(out, "  key            none")?,
    }
    writeln!(out, "  dialect        {dialect}; model {}", endpoint.model)
}

fn call(out: &mut String, plan: &Dialplan) -> std::fmt::Result {
    let answer = match plan.answer {
        AnswerPolicy::WhenReady => "when the Realtime session is ready (the caller hears ringing until then)",
        AnswerPolicy::AtOnce => "at once (the caller may wait in silence until the session is ready)",
    };
    let greeting = match &plan.greeting {
        Greeting::Say(text) => format!("says \"{text}\""),
        Greeting::Instructions(text) => format!("the model greets: {text}"),
        Greeting::None => "none; the caller speaks first".to_owned(),
    };
    let turns = match &plan.turn_detection {
        TurnDetection::ServerVad { threshold, prefix_padding_ms, silence_duration_ms, interrupt_response, .. } => {
            format!(
                "server_vad, threshold {threshold}, padding {prefix_padding_ms} ms, silence {silence_duration_ms} ms{}",
                if *interrupt_response { "" } else { ", no barge-in by the service" }
            )
        }
        TurnDetection::SemanticVad { eagerness, .. } => {
            format!("semantic_vad, eagerness {}", format!("{eagerness:?}").to_lowercase())
        }
    };
    let audio = match plan.audio {
        AudioChoice::Pcm16 => "24 kHz PCM16 (converted from and to G.711)",
        AudioChoice::G711 => "G.711 as it is on the line",
    };
    let transcription = match &plan.transcription {
        Some(t) => format!("{}{}", t.model, t.language.as_ref().map(|l| format!(", language {l}")).unwrap_or_default()),
        None => "off".to_owned(),
    };
    let fallback = match &plan.fallback {
        Fallback::Reject => "refuse before the answer, apologise and hang up after it".to_owned(),
        Fallback::Transfer { target } => format!("transfer to \"{target}\""),
        Fallback::Apology { wav: Some(wav) } => format!("answer, play {}, hang up", wav.display()),
        Fallback::Apology { wav: None } => "answer, play the built-in apology, hang up".to_owned(),
    };
    let silence = plan.limits.caller_silence.map_or("off".to_owned(), |limit| format!("after {} s", limit.as_secs()));
    writeln!(out, "\nThe call")?;
    writeln!(out, "  answered       {answer}")?;
    writeln!(out, "  greeting       {greeting}")?;
    writeln!(out, "  voice          {}", plan.voice.as_deref().unwrap_or("the service's default"))?;
    writeln!(out, "  turns          {turns}")?;
    writeln!(out, "  audio          {audio}")?;
    let noise =
        plan.level.comfort_noise.map_or("digital silence".to_owned(), |level| format!("noise at -{level} dBov"));
    writeln!(out, "  agent's audio  {:+} dB, {noise} between its words", plan.level.volume_db)?;
    let front = plan.front;
    let yes = |on: bool| if on { "on" } else { "off" };
    let guard = if front.echo_guard == EchoMode::Auto { "auto" } else { "off" };
    let (high_pass, gain) = (yes(front.high_pass), yes(front.gain_control));
    writeln!(out, "  caller's audio high-pass {high_pass}, gain control {gain}, echo guard {guard}")?;
    writeln!(
        out,
        "  transcription  {transcription}; transcripts kept: {}",
        if plan.transcript { "yes" } else { "no" }
    )?;
    writeln!(out, "  longest call   {} min", plan.limits.max_call.as_secs() / 60)?;
    let (start, later) = (plan.limits.no_media_start.as_secs(), plan.limits.no_media.as_secs());
    writeln!(
        out,
        "  silence        check-in {silence}; without any RTP it ends after {start} s at first, {later} s later"
    )?;
    writeln!(out, "  if it fails    {fallback}")
}

fn instructions(out: &mut String, plan: &Dialplan, full: bool) -> std::fmt::Result {
    let lines: Vec<&str> = plan.instructions.trim_end().lines().collect();
    let shown = if full { lines.len() } else { SHOWN_LINES.min(lines.len()) };
    writeln!(out, "\nInstructions ({} characters)", plan.instructions.chars().count())?;
    for line in lines.iter().take(shown) {
        writeln!(out, "  | {line}")?;
    }
    if shown < lines.len() {
        writeln!(out, "  … {} more lines; --full shows them", lines.len() - shown)?;
    }
    Ok(())
}

fn tools(out: &mut String, plan: &Dialplan) -> std::fmt::Result {
    writeln!(out, "\nTools: {}", if plan.tools.is_empty() { "none".to_owned() } else { plan.tools.len().to_string() })?;
    for (tool, definition) in plan.tools.iter().zip(definitions(&plan.tools)) {
        writeln!(out, "\n  {}", tool.name)?;
        for line in definition.description.lines() {
            writeln!(out, "    | {line}")?;
        }
        writeln!(out, "    arguments  {}", definition.parameters)?;
        match &tool.kind {
            ToolKind::Hangup => writeln!(out, "    does       BYE, once the goodbye was heard")?,
            ToolKind::Transfer { targets } => {
                for target in targets {
                    let how = match &target.leg {
                        None => "REFER",
                        Some(leg) if leg.refer => "calls first, then REFER with Replaces or a bridge:",
                        Some(_) => "calls first, then bridges:",
                    };
                    writeln!(out, "    does       {how} \"{}\" to {}", target.name, target.uri)?;
                    if let Some(fallback) = &target.fallback {
                        writeln!(out, "    else       \"{fallback}\"")?;
                    }
                }
            }
            ToolKind::SendDtmf { max_digits } => writeln!(out, "    does       sends at most {max_digits} keys")?,
            ToolKind::CollectDigits(entry) => {
                let finish = entry.finish.map_or("no key".to_owned(), |key| format!("\"{key}\""));
                let (first, next) = (entry.first_key.as_secs(), entry.next_key.as_secs());
                writeln!(
                    out,
                    "    does       takes at most {} keys; {finish} ends it, or {first} s without a first and {next} s without a next",
                    entry.most
                )?;
            }
            ToolKind::Http(http) => request(out, http)?,
        }
    }
    Ok(())
}

fn request(out: &mut String, http: &HttpTool) -> std::fmt::Result {
    let method = format!("{:?}", http.method).to_uppercase();
    writeln!(out, "    does       {method} {}", http.url)?;
    for (name, value) in &http.headers {
        match value {
            HeaderValue::Literal(text) => writeln!(out, "    header     {name}: {text}")?,
            HeaderValue::Secret { prefix, secret } => {
                writeln!(out, "    header     {name}: {prefix}*** (from {secret})")?
            }
        }
    }
    let private = if http.allow_private { ", private addresses allowed" } else { "" };
    writeln!(out, "    limits     {} ms, {} bytes of the answer{private}", http.timeout.as_millis(), http.max_bytes)
}
