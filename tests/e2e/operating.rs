//! Drain, reload and signals.

use crate::caller::{Caller, header};
use crate::world::{World, own_ip, plan, records};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use voxtrunk::config::book::Book;

/// OVL-04, P3: a drain refuses new calls and lets the running one end by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_the_last_call() {
    let world = World::simple().await;
    let sip = world.sip();
    let mut caller = Caller::udp(sip).await;
    assert_eq!(caller.call("1000").await, 200);
    let (left, ()) = tokio::join!(world.server.drain(Duration::from_secs(20)), async {
        // Not every call finds the drain begun; once begun, it stays.
        while Caller::udp(sip).await.call("0").await != 503 {}
        assert_eq!(caller.bye().await, 200);
    });
    assert_eq!(left, 0);
    let records = world.stop().await;
    assert_eq!(records.iter().filter(|r| r["cause"] == "draining").count(), 1);
}

/// DLG-12, OVL-04: OPTIONS is 200, and 503 with Retry-After while the last call of a drain goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_shows_in_options() {
    let world = World::simple().await;
    let mut pbx = Caller::udp(world.sip()).await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    let open = pbx.options().await;
    assert!(open.starts_with("SIP/2.0 200 ") && header(&open, "Allow").is_some(), "{open}");
    world.server.refuse_calls().await;
    let draining = pbx.options().await;
    assert!(draining.starts_with("SIP/2.0 503 ") && header(&draining, "Retry-After").is_some(), "{draining}");
    assert_eq!(caller.bye().await, 200);
    world.stop().await;
}

/// OVL-04: at the limit the caller gets BYE with a Reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_at_its_limit_hangs_up() {
    let world = World::simple().await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    let (left, bye) = tokio::join!(world.server.drain(Duration::ZERO), caller.wait_for_bye(true));
    assert_eq!(left, 1);
    assert!(header(&bye, "Reason").is_some(), "{bye}");
    let records = world.stop().await;
    assert_eq!((records[0]["cause"].as_str(), records[0]["ended_by"].as_str()), (Some("shutdown"), Some("operator")));
}

/// OVL-07: new calls find the new book, the running one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_book_is_for_new_calls() {
    let world = World::simple().await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    world.server.set_book(Book::from_plans(vec![plan("2000", "")])).await.unwrap();
    assert_eq!(Caller::udp(world.sip()).await.call("1000").await, 404);
    let mut new = Caller::udp(world.sip()).await;
    assert_eq!(new.call("2000").await, 200);
    assert_eq!(caller.listen(Duration::from_secs(5), |h| h.packets > 10).await.packets, 11);
    assert_eq!((caller.bye().await, new.bye().await), (200, 200));
    assert_eq!(world.stop().await.len(), 3);
}

/// P4: a bad file changes nothing, is named with line, column and field, and is counted; the running call keeps its plan.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_reload_changes_nothing_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.toml");
    let good = "numbers = [\"1000\"]\ninstructions = \"Be short.\"\ngreeting = \"none\"\n";
    std::fs::write(&file, good).unwrap();
    let plans = directory.path().to_owned();
    let world = World::new(vec![plan("1000", "")], |s| s.dialplans = plans).await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);

    std::fs::write(&file, good.replace("numbers = [\"1000\"]", "numbers = [\"2000\"]\nvoice = 7")).unwrap();
    let problems = world.server.reload().await.unwrap_err();
    assert_eq!(
        problems,
        [format!("{}:2:9: voice: expected a string (in quotes), but this is an integer", file.display())]
    );
    assert_eq!(Caller::udp(world.sip()).await.call("2000").await, 404);
    let page = world.server.metrics().encode();
    assert!(page.contains("voxtrunk_config_reloads_total{result=\"failed\"} 1"), "{page}");

    std::fs::write(&file, good.replace("1000", "2000")).unwrap();
    assert_eq!(world.server.reload().await, Ok(1));
    let mut new = Caller::udp(world.sip()).await;
    assert_eq!(new.call("2000").await, 200);
    assert!(world.server.metrics().encode().contains("voxtrunk_config_reloads_total{result=\"ok\"} 1"));
    assert_eq!((caller.bye().await, new.bye().await), (200, 200));
    assert_eq!(world.stop().await.len(), 3);
}

pub async fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

/// What an operator sees of one call, and what a load balancer sees of a drain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_health_tell_of_a_call_and_a_drain() {
    let world =
        World::new(vec![plan("1000", "")], |s| s.observe.listen = Some(SocketAddr::new(s.sip.listen.ip(), 0))).await;
    let http = world.server.metrics_addr().unwrap();
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);
    let page = get(http, "/metrics").await;
    assert!(page.contains("voxtrunk_calls_active 1") && page.contains("voxtrunk_realtime_sessions 1"), "{page}");
    assert_eq!(caller.bye().await, 200);
    assert_eq!(Caller::udp(world.sip()).await.call("404").await, 404);
    world.until("all over", |c| c.calls == 0 && c.sockets == 0).await;
    let page = get(http, "/metrics").await;
    for line in [
        "voxtrunk_calls_active 0",
        "voxtrunk_realtime_sessions 0",
        "voxtrunk_invites_total{result=\"accepted\"} 1",
        "voxtrunk_invites_total{result=\"no_number\"} 1",
        "voxtrunk_calls_total{cause=\"caller_bye\"} 1",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    assert!(get(http, "/healthz").await.starts_with("HTTP/1.1 200"));
    world.server.refuse_calls().await;
    assert!(get(http, "/healthz").await.starts_with("HTTP/1.1 503"));
    world.stop().await;
}

/// A `voxtrunk serve` and its output.
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub fn start(directory: &std::path::Path, config: &str) -> Process {
        Process::start_logging(directory, config, "warn")
    }

    /// `level` in the words of `VOXTRUNK_LOG`.
    pub fn start_logging(directory: &std::path::Path, config: &str, level: &str) -> Process {
        Process::start_with(directory, config, level, &[])
    }

    /// The same with these variables in its environment.
    pub fn start_with(
        directory: &std::path::Path,
        config: &str,
        level: &str,
        variables: &[(&str, &std::path::Path)],
    ) -> Process {
        std::fs::write(directory.join("voxtrunk.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_voxtrunk"))
            .args(["serve", "--config", "voxtrunk.toml"])
            .current_dir(directory)
            .env("RUST_LOG", "warn")
            .envs((level != "warn").then_some(("VOXTRUNK_LOG", level)))
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        for reader in [Box::new(out) as Box<dyn std::io::Read + Send>, Box::new(err)] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Process { child, lines }
    }

    pub fn line_with(&self, what: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(20)) {
            if line.contains(what) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with {what:?} in {seen:#?}")
    }

    /// Ends the program and gives the rest of its output.
    pub fn finish(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        self.signal(Signal::TERM);
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_secs(5)).ok()).collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// OVL-04, OVL-07: SIGHUP with a bad file changes nothing, with a good one it counts; SIGTERM ends the program with 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_reload_and_end_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let ip = own_ip();
    let plans = directory.path().join("dialplans");
    std::fs::create_dir(&plans).unwrap();
    let good = "numbers = [\"1000\"]\ninstructions = \"Be short.\"\ngreeting = \"none\"\n";
    std::fs::write(plans.join("a.toml"), good).unwrap();
    let config = format!(
        "dialplans = \"dialplans\"\n[sip]\nlisten = \"{ip}:0\"\npeers = [\"{ip}\"]\n[observe]\nlisten = \"{ip}:0\"\ncdr = \"cdr.jsonl\"\n"
    );
    let process = Process::start(directory.path(), &config);
    let line = process.line_with("SIP on ");
    let sip: SocketAddr = line.split("SIP on ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut caller = Caller::udp(sip).await;
    assert_eq!(caller.call("1000").await, 200);

    std::fs::write(plans.join("b.toml"), "numbers = [\"2000\"]\n").unwrap();
    process.signal(Signal::HUP);
    process.line_with("stay as they were");
    assert_eq!(Caller::udp(sip).await.call("2000").await, 404);
    std::fs::write(plans.join("b.toml"), good.replace("1000", "2000")).unwrap();
    process.signal(Signal::HUP);
    process.line_with("2 dialplans");
    let mut second = Caller::udp(sip).await;
    assert_eq!(second.call("2000").await, 200);

    process.signal(Signal::TERM);
    process.line_with("no new calls");
    assert_eq!(Caller::udp(sip).await.call("1000").await, 503);
    assert_eq!(second.bye().await, 200);
    // The first call goes on until the second signal.
    assert!(caller.listen(Duration::from_secs(2), |h| h.packets > 10).await.packets > 10);
    process.signal(Signal::TERM);
    caller.wait_for_bye(true).await;
    let mut process = process;
    let status = tokio::task::spawn_blocking(move || process.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(records(directory.path()).len(), 4, "one record an INVITE");
}
