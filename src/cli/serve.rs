//! `voxtrunk serve`: settings, book, then a [`Server`] until a signal ends it.
//!
//! SIGTERM or SIGINT: drain (no new calls, running ones may end up to `limits.drain`); a second one: at once.
//! SIGHUP: read the dialplans again.

use super::exit;
use crate::config::ConfigError;
use crate::config::book::Book;
use crate::config::dialplan::Dialplan;
use crate::config::settings::Settings;
use crate::observe::log;
use crate::server::Server;
use crate::sip::Transport;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Settings file. Without one: loopback only, the embedded Realtime server, the dialplans of ./dialplans.
    #[arg(long, short, env = "VOXTRUNK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What answers when there is neither a settings file nor a dialplan directory.
const BUILT_IN: &str = r#"
instructions = "You are a friendly telephone assistant. Keep every answer to one or two short sentences."
greeting = { say = "Hello, this is voxtrunk. How can I help you?" }
"#;

/// The name makes it the plan of every number; a file of the book has its directory before it.
const BUILT_IN_FILE: &str = "default.toml";

/// Runs it.
pub fn run(args: Args) -> ExitCode {
    let (settings, book) = match load(&args) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return exit::code(exit::USAGE);
        }
    };
    if let Err(error) = log::init(settings.observe.log_format, "info") {
        eprintln!("voxtrunk: {error}");
        return exit::code(exit::USAGE);
    }
    exit::block_on("serve", async {
        match serve(settings, book).await {
            Ok(()) => exit::code(exit::OK),
            Err(error) => {
                eprintln!("voxtrunk: {error}");
                exit::code(exit::FAILURE)
            }
        }
    })
}

fn load(args: &Args) -> Result<(Settings, Book), Vec<ConfigError>> {
    let settings = Settings::load(args.config.as_deref())?;
    if settings.is_default && !settings.dialplans.exists() {
        println!(
            "voxtrunk: no directory {}: every number is answered by a built-in agent; make one to have your own",
            settings.dialplans.display()
        );
        return Ok((settings, Book::from_plans(vec![Dialplan::parse(Path::new(BUILT_IN_FILE), BUILT_IN)?])));
    }
    let book = Book::load(&settings.dialplans, &settings)?;
    Ok((settings, book))
}

async fn serve(settings: Settings, book: Book) -> Result<(), String> {
    let signals = |kind| signal(kind).map_err(|e| format!("cannot watch for signals: {e}"));
    let (mut term, mut int, mut hup) =
        (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?, signals(SignalKind::hangup())?);
    let hello = hello(&settings, &book);
    let drain = settings.limits.drain;
    let server = Server::start(settings, book).await?;
    let metrics = server.metrics_addr().map_or("off".into(), |addr| format!("http://{addr}/metrics"));
    println!("voxtrunk: SIP on {}; {hello}; metrics: {metrics}", addresses(server.listening()));
    loop {
        tokio::select! {
            () = end(&mut term, &mut int) => break,
            _ = hup.recv() => reload(&server).await,
        }
    }
    server.refuse_calls().await;
    println!("voxtrunk: no new calls; running ones may go on for {} s; a second signal ends them now", drain.as_secs());
    tokio::select! {
        left = server.drain(drain) => if left > 0 {
            println!("voxtrunk: {left} calls were ended by the drain limit");
        },
        () = end(&mut term, &mut int) => println!("voxtrunk: ending all calls now"),
    }
    server.stop().await;
    Ok(())
}

async fn end(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

async fn reload(server: &Server) {
    match server.reload().await {
        Ok(plans) => {
            println!("voxtrunk: {plans} dialplans and the TLS certificates read again; running calls keep theirs")
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            // Dialplans and certificates are two sets: one can be new while the other is not.
            eprintln!("voxtrunk: those stay as they were");
        }
    }
}

/// The addresses of SIP: UDP and TCP share theirs, TLS has its own.
fn addresses(listening: &[(Transport, SocketAddr)]) -> String {
    let of = |wanted| listening.iter().filter(move |(transport, _)| *transport == wanted).map(|(_, at)| at.to_string());
    let plain = of(Transport::Tcp).map(|at| format!("{at} (UDP and TCP)"));
    plain.chain(of(Transport::Tls).map(|at| format!("{at} (TLS)"))).collect::<Vec<_>>().join(", ")
}

/// What the one line at the start says after the address.
fn hello(settings: &Settings, book: &Book) -> String {
    let provider = settings.provider(None).map_or("none", |p| p.name.as_str());
    let plans = match book.plans() {
        [only] if only.file == Path::new(BUILT_IN_FILE) => "built-in agent".to_owned(),
        plans => format!("{} dialplan(s) from {}", plans.len(), settings.dialplans.display()),
    };
    let defaults =
        if settings.is_default { " (no settings file: loopback only; see voxtrunk.example.toml)" } else { "" };
    format!("{plans}; Realtime: {provider}{defaults}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_told() {
        let at = |transport, text: &str| (transport, text.parse().unwrap());
        let listening = [
            at(Transport::Udp, "192.0.2.1:5060"),
            at(Transport::Tcp, "192.0.2.1:5060"),
            at(Transport::Tls, "[2001:db8::1]:5061"),
        ];
        assert_eq!(addresses(&listening), "192.0.2.1:5060 (UDP and TCP), [2001:db8::1]:5061 (TLS)");
    }

    #[test]
    fn the_built_in_agent_answers_every_number() {
        let plan = Dialplan::parse(Path::new(BUILT_IN_FILE), BUILT_IN).unwrap();
        assert!(Book::from_plans(vec![plan]).lookup("+15551230001").is_some());
    }
}
