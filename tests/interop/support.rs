//! The programs under test and the peers, as child processes that end with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a program may take to come up (a loaded machine starts slowly).
const START: Duration = Duration::from_secs(30);

/// Whether a missing peer is a failure.
pub fn mandatory() -> bool {
    std::env::var_os("VOXTRUNK_INTEROP").is_some_and(|v| !v.is_empty())
}

/// The program under test: the one just built, or an optimised one named by `VOXTRUNK_INTEROP_SERVER`.
pub fn server_program() -> PathBuf {
    let given = std::env::var_os("VOXTRUNK_INTEROP_SERVER").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_voxtrunk").into())
}

/// `program` with a real-time priority, where that is allowed (root, CAP_SYS_NICE; PJSIP's scripts take it themselves): peers and server are judged in real time, and a machine that
/// also compiles takes the processor from them for longer than a jitter buffer holds.
pub fn real_time(program: &Path) -> Command {
    if !may_be_real_time() {
        return Command::new(program);
    }
    let mut command = Command::new("chrt");
    command.args(["-r", "3"]).arg(program);
    command
}

/// The same for the thread that calls; the programs have 3.
pub fn prioritise_thread(priority: u8) {
    if may_be_real_time() {
        let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
        let _ = Command::new("chrt").args(["-r", "-p", &priority.to_string(), &thread]).status();
    }
}

fn may_be_real_time() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let mut probe = Command::new("chrt");
        probe.args(["-r", "1", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}

/// A program of the path, or `None` after a line that says it is missing.
pub fn program(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file()));
    missing(found, name)
}

/// The Python that has `pjsua2` and `pesq`.
pub fn peer_python() -> Option<PathBuf> {
    let python = std::env::var_os("VOXTRUNK_INTEROP_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let works = Command::new(&python)
        .args(["-c", "import pjsua2, pesq"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    missing(works.then_some(python), "python with pjsua2 and pesq (set VOXTRUNK_INTEROP_PYTHON)")
}

fn missing(found: Option<PathBuf>, what: &str) -> Option<PathBuf> {
    if found.is_none() {
        assert!(!mandatory(), "{what} is missing and VOXTRUNK_INTEROP is set; .ci/run shows how to install it");
        eprintln!("skipped: {what} is missing");
    }
    found
}

/// A file of this test's folder.
pub fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(file)
}

/// A child that is killed with its owner.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a voxtrunk command and waits for a line with an address behind `marker`.
fn start(args: &[&str], dir: &Path, marker: &str) -> (Running, SocketAddr) {
    let mut child = real_time(&server_program())
        .args(args)
        .current_dir(dir)
        .env("VOXTRUNK_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the built binary starts");
    let (lines, found) = mpsc::channel();
    for stream in [
        Box::new(child.stdout.take().expect("piped")) as Box<dyn Read + Send>,
        Box::new(child.stderr.take().expect("piped")),
    ] {
        let lines = lines.clone();
        // Drains the pipe for as long as the child lives, so that it never blocks on a full one.
        std::thread::Builder::new()
            .spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = lines.send(line);
                }
            })
            .expect("a thread");
    }
    let running = Running(child);
    let deadline = Instant::now() + START;
    let mut seen = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match found.recv_timeout(left) {
            Ok(line) => {
                let address = line.split(marker).nth(1).map(|rest| {
                    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
                    rest[..end].trim_end_matches(['.', ':']).to_owned()
                });
                if let Some(Ok(address)) = address.map(|text| text.parse::<SocketAddr>()) {
                    return (running, address);
                }
                seen.push(line);
            }
            Err(_) => panic!("no line with {marker:?} from voxtrunk {args:?}; it said:\n{}", seen.join("\n")),
        }
    }
}

/// The embedded Realtime server as a program of its own, and its URL. `scenario`: text of a scenario file; `None` = echo mode.
pub fn realtime(dir: &Path, scenario: Option<&str>) -> (Running, String) {
    let mut args = vec!["realtime-sim", "--listen", "127.0.0.1:0"];
    match scenario {
        None => args.push("--echo"),
        Some(text) => {
            std::fs::write(dir.join("scenario.toml"), text).expect("written");
            args.extend(["--scenario", "scenario.toml"]);
        }
    }
    let (sim, at) = start(&args, dir, "ws://");
    (sim, format!("ws://{at}/v1/realtime"))
}

/// The same, with a recording of what each session hears in `dir`/session-N.wav.
pub fn recording(dir: &Path, scenario: &str) -> (Running, String) {
    std::fs::write(dir.join("scenario.toml"), scenario).expect("written");
    let folder = dir.to_str().expect("UTF-8 path");
    let args = ["realtime-sim", "--listen", "127.0.0.1:0", "--scenario", "scenario.toml", "--record", folder];
    let (sim, at) = start(&args, dir, "ws://");
    (sim, format!("ws://{at}/v1/realtime"))
}

/// A port that nobody has, for UDP and TCP on loopback.
pub fn free_port() -> u16 {
    loop {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = udp.local_addr().expect("bound").port();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server with its own folder: settings, dialplans, CDR.
pub struct Server {
    pub sip: SocketAddr,
    pub dir: TempDir,
    pub running: Vec<Running>,
}

impl Server {
    /// `plans`: file name and text. `scenario`: text of a scenario file for the embedded Realtime server; `None` = echo mode.
    pub fn start(plans: &[(&str, &str)], scenario: Option<&str>) -> Server {
        let dir = tempfile::tempdir().expect("a folder");
        let (sim, url) = realtime(dir.path(), scenario);
        let mut server = Server::with_provider(dir, plans, &url);
        server.running.push(sim);
        server
    }

    /// A server whose Realtime server is at `url`.
    pub fn with_provider(dir: TempDir, plans: &[(&str, &str)], url: &str) -> Server {
        Server::configured(dir, plans, url, "127.0.0.1:0", "")
    }

    /// A server that listens at `listen`, with more lines at the end of its settings.
    pub fn configured(dir: TempDir, plans: &[(&str, &str)], url: &str, listen: &str, more: &str) -> Server {
        let plan_dir = dir.path().join("plans");
        std::fs::create_dir_all(&plan_dir).expect("a folder");
        for (file, text) in plans {
            std::fs::write(plan_dir.join(file), text).expect("written");
        }
        let settings = format!(
            "dialplans = \"plans\"\n\n[sip]\nlisten = \"{listen}\"\n\n[media]\nport_min = 30000\nport_max = 49999\n\n\
             [observe]\nlisten = \"off\"\ncdr = \"cdr.jsonl\"\n\n\
             [[provider]]\nname = \"peer\"\nkind = \"compatible\"\nurl = \"{url}\"\nmodel = \"test\"\n\n{more}"
        );
        std::fs::write(dir.path().join("voxtrunk.toml"), settings).expect("written");
        let (running, sip) = start(&["serve", "--config", "voxtrunk.toml"], dir.path(), "SIP on ");
        Server { sip, dir, running: vec![running] }
    }

    /// Asks the server to stop (SIGTERM), and waits until it has.
    pub fn stop(&mut self) {
        let Some(Running(child)) = self.running.first_mut() else { return };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("our child");
        }
        let deadline = Instant::now() + START;
        while child.try_wait().expect("a child of ours").is_none() {
            assert!(Instant::now() < deadline, "SIGTERM does not end the server");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Waits until the CDR file has `count` records (they are written when a call is really over).
    pub fn cdrs(&self, count: usize) -> Vec<serde_json::Value> {
        let file = self.dir.path().join("cdr.jsonl");
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let records: Vec<_> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if records.len() >= count {
                return records;
            }
            assert!(Instant::now() < deadline, "{} of {count} CDRs after 10 s: {text}", records.len());
            std::thread::yield_now();
        }
    }
}

/// Runs a peer to its end, at most `limit`; output and success.
pub fn run(command: &mut Command, limit: Duration) -> (bool, String) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut running = Running(child.unwrap_or_else(|e| panic!("{command:?}: {e}")));
    let mut readers = Vec::new();
    for stream in [
        Box::new(running.0.stdout.take().expect("piped")) as Box<dyn Read + Send>,
        Box::new(running.0.stderr.take().expect("piped")),
    ] {
        let reader = std::thread::Builder::new().spawn(move || {
            let (mut stream, mut text) = (stream, Vec::new());
            let _ = stream.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        readers.push(reader.expect("a thread"));
    }
    let deadline = Instant::now() + limit;
    let status = loop {
        match running.0.try_wait().expect("a child of ours") {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::park_timeout(Duration::from_millis(20)),
        }
    };
    if status.is_none() {
        let _ = running.0.kill();
    }
    let output: String = readers.into_iter().filter_map(|reader| reader.join().ok()).collect::<Vec<_>>().join("\n");
    (status.is_some_and(|status| status.success()), output)
}
