//! Kamailio as dispatcher in front of two servers, as a proxy that forwards to itself, and as registrar.

use super::sipp::scenario_at;
use super::support::{Server, free_port, here, program, realtime, run};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const PLAN: &str = "instructions = \"Answer.\"\ngreeting = { say = \"Hello\" }\n";
/// Kamailio pings each second and gives an answer two.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Kamailio, with the lines that its configuration marks.
struct Kamailio {
    child: Child,
    at: SocketAddr,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Kamailio {
    /// `None` after a line that says it is missing. `values` replace `@NAME@` in the configuration.
    fn start(dir: &Path, configuration: &str, port: u16, values: &[(&str, &str)]) -> Option<Kamailio> {
        let kamailio = program("kamailio")
            .or_else(|| Some("/usr/sbin/kamailio".into()).filter(|p: &std::path::PathBuf| p.is_file()))?;
        let modules = ["/usr/lib/x86_64-linux-gnu/kamailio/modules/", "/usr/lib/aarch64-linux-gnu/kamailio/modules/"];
        let modules = modules.into_iter().find(|path| Path::new(path).is_dir()).expect("Kamailio's modules");
        let mut text = std::fs::read_to_string(here(&format!("kamailio/{configuration}"))).expect("a file of ours");
        let port_text = port.to_string();
        let common = [("PORT", port_text.as_str()), ("MODULES", modules), ("DIR", dir.to_str().expect("UTF-8 path"))];
        for (name, value) in common.iter().chain(values) {
            text = text.replace(&format!("@{name}@"), value);
        }
        let file = dir.join("kamailio.cfg");
        std::fs::write(&file, text).expect("written");
        let mut child = Command::new(kamailio)
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f"])
            .arg(&file)
            .arg("-Y")
            .arg(dir)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("Kamailio starts");
        let (sender, lines) = mpsc::channel();
        let errors = child.stderr.take().expect("piped");
        std::thread::Builder::new()
            .spawn(move || {
                for line in BufReader::new(errors).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            })
            .expect("a thread");
        let mut kamailio = Kamailio { child, at: ([127, 0, 0, 1], port).into(), lines, seen: Vec::new() };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(kamailio.at).is_err() {
            assert!(Instant::now() < deadline, "Kamailio does not come up:\n{}", kamailio.log());
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Some(kamailio)
    }

    fn log(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// Waits for a line with this mark that was not waited for yet.
    #[track_caller]
    fn until(&mut self, mark: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(mark) {
                        return line;
                    }
                }
                Err(_) => panic!("no {mark:?} from Kamailio:\n{}", self.log()),
            }
        }
    }

    fn has(&mut self, mark: &str) -> bool {
        self.log().contains(mark)
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its workers are in its process group.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A server at `port`: 100 is answered, 101 is answered and hung up by the agent.
fn server(port: u16, echo: &str, ender: &str) -> Server {
    let plans = [
        ("100.toml", format!("numbers = [\"100\"]\n{PLAN}")),
        (
            "101.toml",
            format!(
                "numbers = [\"101\"]\nprovider = \"ender\"\n{PLAN}[[tool]]\nkind = \"hangup\"\nname = \"hang_up\"\n"
            ),
        ),
    ];
    let plans: Vec<(&str, &str)> = plans.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let more = format!("[[provider]]\nname = \"ender\"\nkind = \"compatible\"\nurl = \"{ender}\"\nmodel = \"test\"\n");
    let dir = tempfile::tempdir().expect("a folder");
    Server::configured(dir, &plans, echo, &format!("127.0.0.1:{port}"), &more)
}

/// DLG-02, DLG-03, DLG-12: behind a dispatcher that record-routes on both sides (TCP in, UDP out), calls are set up and hung up by
/// either side; OPTIONS pings see a server go and come back, and calls go to the other one meanwhile
#[test]
fn dispatcher_in_front_of_two_servers() {
    if program("sipp").is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (_echo, echo) = realtime(dir.path(), None);
    let (_ender, ender) =
        realtime(dir.path(), Some("name = \"ender\"\n[[greeting]]\ncall = \"hang_up\"\narguments = {}\n"));
    let (first, second, port) = (free_port(), free_port(), free_port());
    let list = format!("1 sip:127.0.0.1:{first};transport=udp 0 20\n1 sip:127.0.0.1:{second};transport=udp 0 10\n");
    std::fs::write(dir.path().join("dispatcher.list"), list).expect("written");
    let servers = [server(first, &echo, &ender), server(second, &echo, &ender)];
    let Some(mut kamailio) = Kamailio::start(dir.path(), "dispatcher.cfg", port, &[]) else { return };

    scenario_at(dir.path(), kamailio.at, "routed", "100", "t1");
    assert_eq!(servers[0].cdrs(1)[0]["cause"], "caller_bye");
    kamailio.until("MARK routed ACK");
    kamailio.until("MARK routed BYE");
    scenario_at(dir.path(), kamailio.at, "routed_bye", "101", "t1");
    assert_eq!(servers[0].cdrs(2)[1]["cause"], "agent_hangup");
    kamailio.until("MARK routed BYE");

    // Stopped without a word: the next call finds out, or the pings have.
    let [gone, there] = servers;
    drop(gone);
    scenario_at(dir.path(), kamailio.at, "routed", "100", "t1");
    assert_eq!(there.cdrs(1)[0]["cause"], "caller_bye");
    if !kamailio.has(&format!("MARK down sip:127.0.0.1:{first}")) {
        kamailio.until(&format!("MARK down sip:127.0.0.1:{first}"));
    }
    let back = server(first, &echo, &ender);
    kamailio.until(&format!("MARK up sip:127.0.0.1:{first}"));
    scenario_at(dir.path(), kamailio.at, "routed", "100", "t1");
    assert_eq!(back.cdrs(1)[0]["cause"], "caller_bye");
    assert!(!kamailio.has(&format!("MARK down sip:127.0.0.1:{second}")), "{}", kamailio.log());
}

/// DLG-16: a proxy that forwards to itself uses up Max-Forwards: our call ends with 483
#[test]
fn a_loop_ends_with_483() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("dispatcher.list"), "1 sip:127.0.0.1:9\n").expect("written");
    let Some(kamailio) = Kamailio::start(dir.path(), "dispatcher.cfg", free_port(), &[]) else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_voxtrunk"));
    command.current_dir(dir.path()).args(["call", &format!("sip:loop@{}", kamailio.at), "--answer-timeout", "20"]);
    let (ok, output) = run(&mut command, Duration::from_secs(60));
    assert!(!ok && output.contains("483"), "{output}");
}

/// A server with a `register` trunk at `registrar`, by a transport.
fn registering_server(registrar: SocketAddr, transport: &str, realtime: &str) -> Server {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = dir.path().join("password");
    std::fs::write(&secret, "s3cret\n").expect("written");
    let more = format!(
        "[[trunk]]\nname = \"carrier\"\nkind = \"register\"\ntargets = [\"sip:{registrar};transport={transport}\"]\n\
         dialled_from = [\"to\"]\n\n[trunk.register]\naor = \"sip:4930123456@trunk.example\"\nexpires_secs = 60\n\n\
         [trunk.credentials]\npassword = \"file:{}\"\n",
        secret.display()
    );
    let plan = format!("numbers = [\"4930123456\"]\n{PLAN}");
    Server::configured(dir, &[("number.toml", &plan)], realtime, "127.0.0.1:0", &more)
}

/// Registered with a password, called by the registered Contact, refreshed with a new nonce, unregistered at the end.
fn registers(transport: &str, algorithm: &str) {
    if program("sipp").is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (_sim, realtime) = realtime(dir.path(), None);
    let Some(mut kamailio) = Kamailio::start(dir.path(), "registrar.cfg", free_port(), &[("ALGORITHM", algorithm)])
    else {
        return;
    };
    let mut server = registering_server(kamailio.at, transport, &realtime);
    kamailio.until("MARK challenged REGISTER");
    kamailio.until("MARK registered 4930123456");
    scenario_at(dir.path(), kamailio.at, "routed_once", "4930123456", "u1");
    let record = &server.cdrs(1)[0];
    assert_eq!((&record["trunk"], &record["cause"]), (&"carrier".into(), &"caller_bye".into()), "{record}");
    // 8 s are granted at most, and a nonce lives for 5 s.
    kamailio.until("MARK challenged REGISTER");
    kamailio.until("MARK registered 4930123456");
    server.stop();
    let last = kamailio.until("expires 0");
    assert!(last.contains("MARK registered"), "{last}");
}

/// AUT-03, AUT-05, AUT-06: over UDP, digest with MD5
#[test]
fn registers_over_udp_with_md5() {
    registers("udp", "MD5");
}

/// AUT-03, AUT-05, AUT-06: over TCP, digest with SHA-256; the call comes back on the connection that we opened
#[test]
fn registers_over_tcp_with_sha_256() {
    registers("tcp", "SHA-256");
}
