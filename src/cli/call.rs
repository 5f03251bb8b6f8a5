//! `voxtrunk call`: the built-in test phone on the command line.

use super::exit;
use crate::audio::pcm::Rate;
use crate::audio::wav;
use crate::config::secret::SecretRef;
use crate::observe::pii::Pii;
use crate::phone::{CallOptions, Heard, PhoneEvent, Report, Step, place_call};
use crate::sip::digest::Credentials;
use crate::sip::offer_answer::Codec;
use crate::trunk::{SrtpPolicy, TlsPolicy};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long a polite caller waits for the agent to finish before speaking all the same.
const POLITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the agent must have been quiet before a polite caller speaks.
const POLITE_MS: u32 = 700;
/// How long the call goes on after the script, waiting for the other side to hang up.
const AFTER_SCRIPT: Duration = Duration::from_secs(15);

/// Arguments of `call`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  voxtrunk call sip:+15551230001@127.0.0.1:5060 --record call.wav
  voxtrunk call 'sip:100@127.0.0.1:5060;transport=tcp' --play question.wav --dtmf 12# --hangup-after 30
  voxtrunk call 'sip:100@sip.example.com;transport=tls' --ca-file ca.pem --user alice --password env:SIP_PASSWORD
  voxtrunk call sip:100@127.0.0.1:5060 --play hello.wav --hold-after 3 --hold-for 2 --json report.json

The recording is stereo: the caller left, the agent right, on one clock that starts at the answer.")]
pub struct Args {
    /// Whom to call: sip:NUMBER@HOST[:PORT][;transport=tcp|tls]. A name is looked up as SIP does it (NAPTR, SRV, A, AAAA).
    pub uri: String,
    /// TLS: PEM file with the authority that must have signed the server's certificate (default: the public ones).
    #[arg(long, value_name = "PEM")]
    pub ca_file: Option<PathBuf>,
    /// TLS: the name the server's certificate must have (default: the host of the URI).
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// TLS: our own certificate, for a server that asks for one.
    #[arg(long, value_name = "PEM", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// TLS: the key of --certificate.
    #[arg(long, value_name = "PEM", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// User name for a server that challenges (digest).
    #[arg(long, value_name = "NAME", requires = "password")]
    pub user: Option<String>,
    /// Where its password is: env:NAME or file:PATH.
    #[arg(long, value_name = "SECRET", requires = "user")]
    pub password: Option<String>,
    /// DNS server to ask instead of the system's.
    #[arg(long, value_name = "IP:PORT")]
    pub dns_server: Option<SocketAddr>,
    /// WAV file to say (any rate, mono or stereo); may be given more than once.
    #[arg(long, value_name = "WAV")]
    pub play: Vec<PathBuf>,
    /// Speak at once, also while the agent speaks (default: wait until the agent has finished).
    #[arg(long)]
    pub talk_over: bool,
    /// Where to record both sides (stereo WAV).
    #[arg(long, value_name = "WAV")]
    pub record: Option<PathBuf>,
    /// Keys to press after everything was said: 0-9 * # A-D.
    #[arg(long, value_name = "DIGITS")]
    pub dtmf: Option<String>,
    /// Put the call on hold this many seconds after everything was said and pressed.
    #[arg(long, value_name = "SECS")]
    pub hold_after: Option<f32>,
    /// How long to hold, seconds.
    #[arg(long, value_name = "SECS", default_value_t = 2.0)]
    pub hold_for: f32,
    /// Hang up this many seconds after the answer (default: when the other side does, or 15 s after the last step).
    #[arg(long, value_name = "SECS")]
    pub hangup_after: Option<f32>,
    /// Give up when nobody has answered after this many seconds.
    #[arg(long, value_name = "SECS", default_value_t = 60.0)]
    pub answer_timeout: f32,
    /// The caller's own SIP URI.
    #[arg(long, value_name = "URI")]
    pub from: Option<String>,
    /// Codecs to offer, best first: pcmu, pcma, g722. The recording is at 16 kHz with g722, else at 8.
    #[arg(long, value_delimiter = ',', default_value = "pcmu,pcma", value_name = "LIST")]
    pub codecs: Vec<CodecName>,
    /// Packet length, ms: 10, 20, 30, 40 or 60.
    #[arg(long, default_value_t = 20, value_name = "MS")]
    pub ptime: u32,
    /// SRTP with keys in SDP: off, prefer (the server may answer with plain RTP) or require. Without it: prefer over TLS, else off.
    /// Over UDP and TCP the keys can be read on the way: for tests only.
    #[arg(long, value_name = "POLICY")]
    pub srtp: Option<SrtpChoice>,
    /// Extra INVITE header, `Name: value`; may be given more than once.
    #[arg(long, value_name = "HEADER")]
    pub header: Vec<String>,
    /// Write the JSON report to a file as well as to standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Clips are kept for the widest codec.
const CLIP_RATE: Rate = Rate::Hz16000;

/// Codec names of the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum CodecName {
    Pcmu,
    Pcma,
    G722,
}

/// Policies of the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum SrtpChoice {
    Off,
    Prefer,
    Require,
}

/// Runs it: events on standard error, the JSON report on standard output.
pub fn run(args: Args) -> ExitCode {
    let options = match options(&args) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("voxtrunk call: {why}");
            return exit::code(exit::USAGE);
        }
    };
    exit::block_on("call", call(args, options))
}

async fn call(args: Args, options: CallOptions) -> ExitCode {
    let interrupted = async {
        // Without a signal handler Ctrl-C just ends the process; then there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let result = place_call(options, interrupted, |heard| eprintln!("{}", line(&heard))).await;
    let (report, tracks) = match result {
        Ok(done) => done,
        Err(why) => {
            eprintln!("voxtrunk call: {why}");
            return exit::code(exit::CALL_FAILED);
        }
    };
    let mut files_written = true;
    if let Some(path) = &args.record
        && let Err(why) = wav::write(path, tracks.rate.hz(), &[&tracks.caller, &tracks.agent])
    {
        eprintln!("voxtrunk call: {why}");
        files_written = false;
    }
    let json = serde_json::to_string_pretty(&report).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
    println!("{json}");
    eprintln!("{}", summary(&report));
    if let Some(path) = &args.json
        && let Err(e) = std::fs::write(path, json + "\n")
    {
        eprintln!("voxtrunk call: {}: {e}", path.display());
        files_written = false;
    }
    exit::code(verdict(&report, files_written))
}

/// The end in one line; for a failed call, what to look at.
fn summary(report: &Report) -> String {
    let advice = match report.sip_status {
        _ if report.outcome != "refused" => {
            return match report.trouble {
                Some(trouble) => format!("call failed: {trouble}"),
                None => ended(report),
            };
        }
        401 | 407 => "the server wants a user: give --user and --password, or mend them",
        404 => "no dialplan serves this number; `voxtrunk explain NUMBER` shows what does",
        408 => {
            "no answer at all: is the address right, and does `sip.peers` or a trunk of the server name this machine and this transport?"
        }
        480 | 503 => "the server cannot take the call: its log and its last CDR name the cause",
        488 => "no codec in common (see --codecs), or one side wants SRTP and the other does not (see --srtp)",
        _ => "the server's log and its last CDR name the cause",
    };
    format!("call failed: {}: {advice}", report.sip_status)
}

/// How it ended, and how good the line was as far as it is known.
fn ended(report: &Report) -> String {
    let mut text = format!("{} after {:.1} s", report.outcome.replace('_', " "), report.talk_ms as f32 / 1000.0);
    let quality = &report.quality;
    for (what, value) in
        [("MOS here", quality.mos), ("MOS there", quality.remote_mos), ("round trip, ms:", quality.round_trip_ms)]
    {
        if let Some(value) = value {
            text.push_str(&format!(", {what} {value:.1}"));
        }
    }
    text
}

fn verdict(report: &Report, files_written: bool) -> u8 {
    match (report.outcome, files_written) {
        ("refused", _) => exit::CALL_FAILED,
        _ if report.answered_ms.is_none() || report.trouble.is_some() => exit::CALL_FAILED,
        (_, false) => exit::FAILURE,
        _ => exit::OK,
    }
}

/// The script that the options describe.
fn options(args: &Args) -> Result<CallOptions, String> {
    if ![10, 20, 30, 40, 60].contains(&args.ptime) {
        return Err(format!("--ptime {}: use 10, 20, 30, 40 or 60", args.ptime));
    }
    let mut steps = Vec::new();
    for file in &args.play {
        if !args.talk_over {
            steps.push(Step::AwaitAgentSilence { ms: POLITE_MS, timeout: POLITE_TIMEOUT });
        }
        let samples: Arc<[i16]> = wav::read_mono(file, CLIP_RATE)?.into();
        steps.push(Step::Play { name: file_name(file), samples });
    }
    if let Some(digits) = &args.dtmf {
        if let Some(bad) = digits.chars().find(|c| !c.is_ascii_digit() && !"*#,ABCDabcd".contains(*c)) {
            return Err(format!("--dtmf {digits}: {bad:?} is no key; use 0-9 * # A-D and , for a pause"));
        }
        steps.push(Step::Digits(digits.clone()));
    }
    if let Some(after) = args.hold_after {
        steps.push(Step::Wait(seconds("--hold-after", after)?));
        steps.push(Step::Hold(seconds("--hold-for", args.hold_for)?));
    }
    let hangup_after = args.hangup_after.map(|s| seconds("--hangup-after", s)).transpose()?;
    if hangup_after.is_none() {
        steps.push(Step::AwaitBye(AFTER_SCRIPT));
    }
    let headers = args.header.iter().map(|header| split_header(header)).collect::<Result<_, _>>()?;
    let codecs = args.codecs.iter().map(|name| match name {
        CodecName::Pcmu => Codec::Pcmu,
        CodecName::Pcma => Codec::Pcma,
        CodecName::G722 => Codec::G722,
    });
    Ok(CallOptions {
        tls: TlsPolicy {
            server_name: args.server_name.clone(),
            ca_file: args.ca_file.clone(),
            certificate: args.certificate.clone().zip(args.key.clone()),
            alpn: false,
        },
        credentials: credentials(args)?,
        dns_server: args.dns_server,
        from: args.from.clone(),
        steps,
        clip_rate: CLIP_RATE,
        codecs: codecs.collect(),
        ptime_ms: args.ptime,
        srtp: args.srtp.map(|choice| match choice {
            SrtpChoice::Off => SrtpPolicy::Off,
            SrtpChoice::Prefer => SrtpPolicy::Prefer,
            SrtpChoice::Require => SrtpPolicy::Require,
        }),
        headers,
        answer_timeout: seconds("--answer-timeout", args.answer_timeout)?,
        hangup_after,
        ..CallOptions::new(&args.uri)
    })
}

fn credentials(args: &Args) -> Result<Option<Credentials>, String> {
    let (Some(user), Some(password)) = (&args.user, &args.password) else { return Ok(None) };
    let secret =
        SecretRef::parse(password).and_then(|secret| secret.resolve()).map_err(|e| format!("--password: {e}"))?;
    Ok(Some(Credentials { realm: None, user: user.clone(), password: Pii(secret.expose().to_owned()) }))
}

fn seconds(option: &str, value: f32) -> Result<Duration, String> {
    Duration::try_from_secs_f32(value).map_err(|_| format!("{option} {value}: give a number of seconds, 0 or more"))
}

fn split_header(header: &str) -> Result<(String, String), String> {
    let (name, value) =
        header.split_once(':').ok_or_else(|| format!("--header {header:?}: write it as \"Name: value\""))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// One event as a line for a person.
pub fn line(heard: &Heard) -> String {
    let what = match &heard.event {
        PhoneEvent::Progress(status) => format!("{status} from the other side"),
        PhoneEvent::Answered => "answered".into(),
        PhoneEvent::CallerSpeaks(name) => format!("caller says {name}"),
        PhoneEvent::CallerStops => "caller is done".into(),
        PhoneEvent::AgentSpeaks => "agent speaks".into(),
        PhoneEvent::AgentStops => "agent is quiet".into(),
        PhoneEvent::Digits(digits) => format!("caller presses {digits}"),
        PhoneEvent::DigitReceived(digit) => format!("agent presses {digit}"),
        PhoneEvent::Held(true) => "caller holds".into(),
        PhoneEvent::Held(false) => "caller resumes".into(),
        PhoneEvent::ScriptNote(note) => (*note).into(),
    };
    format!("{:8.3} s  {what}", heard.at.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Args {
        Line::parse_from([&["call"], words].concat()).args
    }

    #[test]
    fn steps_follow_the_options() {
        let args = parse(&["sip:1@127.0.0.1", "--dtmf", "12#", "--hold-after", "1", "--hold-for", "0.5"]);
        let options = options(&args).expect("good options");
        assert_eq!(
            options.steps,
            vec![
                Step::Digits("12#".into()),
                Step::Wait(Duration::from_secs(1)),
                Step::Hold(Duration::from_millis(500)),
                Step::AwaitBye(AFTER_SCRIPT),
            ]
        );
    }

    #[test]
    fn bad_options_say_what_to_do() {
        for (words, expected) in [
            (vec!["sip:1@h", "--ptime", "25"], "use 10, 20, 30, 40 or 60"),
            (vec!["sip:1@h", "--dtmf", "1x"], "is no key"),
            (vec!["sip:1@h", "--header", "nonsense"], "Name: value"),
            (vec!["sip:1@h", "--hangup-after=-1"], "0 or more"),
            (vec!["sip:1@h", "--user", "a", "--password", "swordfish"], "--password: a secret is never written here"),
        ] {
            let error = options(&parse(&words)).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
    }
}
