//! The server under test: this program again, with a role. It prints its address and ends when stdin closes.

use super::Args;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;
use voxtrunk::audio::front::{EchoMode, FrontParams};
use voxtrunk::cidr::Network;
use voxtrunk::config::book::Book;
use voxtrunk::config::dialplan::{AnswerPolicy, AudioChoice, Dialplan, Limits, NumberPattern};
use voxtrunk::config::settings::{Provider, Settings};
use voxtrunk::realtime::{DialectKind, Endpoint, ProviderKind};
use voxtrunk::server::Server;
use voxtrunk::trunk::{Identify, SrtpPolicy, Trunk, TrunkMedia};

/// A child process and where it listens.
pub struct Child {
    process: std::process::Child,
    /// Closing it asks the child to end.
    stdin: Option<ChildStdin>,
    pub address: String,
}

impl Child {
    pub fn start(args: &Args, url: &str) -> Result<Child, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(program);
        let role = "server";
        command.args(["--role", role, "--url", url, "--audio", &args.audio, "--calls", &args.calls.to_string()]);
        command.args(["--workers", &args.workers.to_string(), "--cps", &args.cps.to_string()]);
        command.args(["--append-ms", &args.append_ms.to_string()]);
        for (wanted, name) in
            [(args.pin, "--pin"), (args.tls, "--tls"), (args.srtp, "--srtp"), (args.when_ready, "--when-ready")]
        {
            if wanted {
                command.arg(name);
            }
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {role}: {e}"))?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().ok_or("no stdout")?;
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address).map_err(|e| format!("{role}: {e}"))?;
        if address.trim().is_empty() {
            let _ = process.kill();
            return Err(format!("{role} did not start"));
        }
        Ok(Child { process, stdin, address: address.trim().to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn stop(mut self) -> Result<(), String> {
        drop(self.stdin.take());
        for _ in 0..500 {
            if self.process.try_wait().map_err(|e| e.to_string())?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("a child did not end within 5 s".into())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts this thread, and those it starts, on these cores.
pub fn pin(cores: std::ops::Range<usize>) -> Result<(), String> {
    let mut set = rustix::thread::CpuSet::new();
    cores.clone().for_each(|core| set.set(core));
    rustix::thread::sched_setaffinity(None, &set).map_err(|e| format!("cores {cores:?}: {e}"))
}

pub fn until_told<F: Future<Output = Result<(), String>>>(threads: usize, work: F) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(work)
}

pub async fn stdin_closed() {
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
}

pub fn server(args: &Args) -> Result<(), String> {
    if args.pin {
        pin(0..args.workers)?;
    }
    until_told(1, async {
        let server = Server::start(settings(args), Book::from_plans(vec![plan(args)])).await?;
        println!("{}", server.sip_addr());
        stdin_closed().await;
        let left = server.stop().await;
        if left.calls + left.ports_in_use + left.sockets + left.jobs > 0 {
            return Err(format!("left over: {left:?}"));
        }
        Ok(())
    })
}

pub fn settings(args: &Args) -> Settings {
    let mut settings = Settings::defaults();
    settings.sip.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    settings.limits.max_calls = args.calls + 8;
    settings.limits.calls_per_second = args.cps * 2 + 10;
    // What is measured is the cost, not where it ends.
    settings.limits.max_cpu_percent = 100;
    settings.media.workers = args.workers;
    settings.media.append_ms = args.append_ms;
    settings.observe.listen = None;
    settings.observe.cdr = None;
    settings.observe.journal = None;
    settings.providers = vec![Provider {
        name: "echo".into(),
        endpoint: Endpoint {
            kind: ProviderKind::Compatible,
            dialect: DialectKind::Ga,
            url: args.url.clone(),
            model: "echo".into(),
            api_version: None,
        },
        key: None,
        connect_timeout: Duration::from_secs(5),
        ready_timeout: Duration::from_secs(5),
        ca_file: args.tls.then(super::service::ca_file),
    }];
    settings.default_provider = "echo".into();
    let local = Network::parse("127.0.0.0/8").into_iter().collect();
    let (srtp, srtp_without_tls) = (Some(if args.srtp { SrtpPolicy::Require } else { SrtpPolicy::Off }), true);
    settings.trunks = vec![Trunk {
        identify: Identify { sources: local, ..Identify::default() },
        media: TrunkMedia { srtp, srtp_without_tls, ..TrunkMedia::default() },
        ..Trunk::new("load")
    }];
    settings
}

pub fn plan(args: &Args) -> Dialplan {
    Dialplan {
        numbers: vec![NumberPattern::Default],
        // The echo mode gives the caller's own voice back, which no line does: the guard's cost is in docs/echo.md.
        front: FrontParams { echo_guard: EchoMode::Off, ..FrontParams::default() },
        audio: if args.audio == "g711" { AudioChoice::G711 } else { AudioChoice::Pcm16 },
        answer: if args.when_ready { AnswerPolicy::WhenReady } else { AnswerPolicy::AtOnce },
        limits: Limits {
            max_call: Duration::from_secs(3600),
            no_media: Duration::from_secs(30),
            caller_silence: None,
            ..Limits::default()
        },
        ..Dialplan::new("load", "Echo.")
    }
}
