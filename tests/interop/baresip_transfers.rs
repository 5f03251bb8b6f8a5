//! Hold and transfers with baresip at both ends, told what to do by its control port (module `ctrl_tcp`).
//!
//! In: a caller and a target, each with a folder, a port and a WAV of its own. Out: what they recorded, and our record.

use super::baresip::configuration;
use super::support::{Running, Server, free_port, program};
use super::transfers::{CALLER_HZ, PLAN, TALKS, TARGET_HZ, TRANSFERS, plan, purity};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use voxtrunk::audio::wav;

/// Longest wait for anything of baresip.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running baresip.
struct Phone {
    dir: PathBuf,
    port: u16,
    control: TcpStream,
    running: Running,
    /// What came on the control port.
    said: String,
}

impl Phone {
    /// Says these samples at 8 kHz in each call, takes calls at once.
    fn start(baresip: &Path, dir: &Path, name: &str, samples: &[i16]) -> Phone {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).expect("a folder");
        wav::write(&dir.join("said.wav"), 8000, &[samples]).expect("written");
        let folder = configuration(&dir, "PCMU", 20);
        let (port, control) = (free_port(), free_port());
        let config = std::fs::read_to_string(folder.join("config")).expect("written before");
        let config = config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
        let control = format!("127.0.0.1:{control}");
        let config = format!("{config}module_app ctrl_tcp.so\nctrl_tcp_listen {control}\n");
        std::fs::write(folder.join("config"), config).expect("written");
        let account = format!("<sip:{name}@127.0.0.1>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1;ptime=20\n");
        std::fs::write(folder.join("accounts"), account).expect("written");
        let log = std::fs::File::create(dir.join("log")).expect("a file");
        let child = Command::new(baresip)
            .current_dir(&dir)
            .args(["-4", "-s", "-f"])
            .arg(&folder)
            .args(["-t", "120"])
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file"))
            .stdout(log)
            .spawn();
        let running = Running(child.expect("baresip starts"));
        let deadline = Instant::now() + PATIENCE;
        let control = loop {
            if let Ok(stream) = TcpStream::connect(&control) {
                break stream;
            }
            assert!(Instant::now() < deadline, "no control port: {}", log_of(&dir));
            std::thread::park_timeout(Duration::from_millis(20));
        };
        control.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
        Phone { dir, port, control, running, said: String::new() }
    }

    fn command(&mut self, command: &str, parameters: &str) {
        let json = serde_json::json!({ "command": command, "params": parameters }).to_string();
        write!(self.control, "{}:{json},", json.len()).expect("a control port");
    }

    /// Reads the control port until it has said this, or until `limit`.
    fn listen(&mut self, word: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut bytes = [0; 4096];
        while !self.said.contains(word) {
            if Instant::now() > deadline {
                return false;
            }
            match self.control.read(&mut bytes) {
                Ok(0) => return false,
                Ok(read) => self.said.push_str(&String::from_utf8_lossy(bytes.get(..read).unwrap_or_default())),
                Err(_) => {}
            }
        }
        true
    }

    fn until(&mut self, word: &str) {
        assert!(self.listen(word, PATIENCE), "no {word}: {}\n{}", self.said, log_of(&self.dir));
    }

    /// Goes on for so long.
    fn talk(&mut self, seconds: u64) {
        assert!(!self.listen("nothing says this", Duration::from_secs(seconds)));
    }

    /// Lets it hang up and quit; what it heard, one recording a call.
    fn heard(mut self) -> Vec<Vec<i16>> {
        self.command("quit", "");
        let deadline = Instant::now() + PATIENCE;
        while self.running.0.try_wait().expect("a child of ours").is_none() {
            assert!(Instant::now() < deadline, "baresip does not quit: {}", log_of(&self.dir));
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let files = std::fs::read_dir(&self.dir).expect("our folder").flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).collect();
        files.sort();
        files.iter().map(|file| wav::read_8k_mono(file).expect("baresip's recording")).collect()
    }
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

fn quiet(seconds: usize) -> Vec<i16> {
    vec![0; seconds * 8000]
}

/// Three seconds of nothing, then a tone; longer than any call here.
fn tone(hertz: f64) -> Vec<i16> {
    let step = std::f64::consts::TAU * hertz / 8000.0;
    let loud = (0..40 * 8000).map(|n| ((f64::from(n) * step).sin() * 8000.0) as i16);
    quiet(3).into_iter().chain(loud).collect()
}

fn clip() -> Vec<i16> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech/caller/book_appointment.wav");
    wav::read_8k_mono(&file).expect("a clip of ours")
}

fn is_loud(samples: &[i16]) -> bool {
    samples.iter().any(|s| s.unsigned_abs() > 1000)
}

/// Most of this tone in half a second of any recording.
fn share(recordings: &[Vec<i16>], hertz: f64) -> f64 {
    recordings.iter().flat_map(|r| r.chunks_exact(4000)).map(|part| purity(part, hertz)).fold(0.0, f64::max)
}

/// SDP-08: baresip holds and resumes, and hears its echo again
#[test]
fn hold_and_resume() {
    let Some(baresip) = program("baresip") else { return };
    let server = Server::start(&[("100.toml", &PLAN.replace("{ say = \"Hello\" }", "\"none\""))], None);
    let said: Vec<i16> = std::iter::repeat_n([clip(), quiet(1)].concat(), 10).flatten().collect();
    let mut phone = Phone::start(&baresip, server.dir.path(), "caller", &said);
    phone.command("dial", &format!("sip:100@{}", server.sip));
    phone.until("CALL_ESTABLISHED");
    phone.talk(2);
    phone.command("hold", "");
    phone.talk(2);
    phone.command("resume", "");
    phone.talk(5);
    assert!(!phone.said.contains("CALL_CLOSED"), "{}", phone.said);
    let dir = phone.dir.clone();
    let heard = phone.heard().concat();
    assert!(is_loud(heard.get(heard.len().saturating_sub(4 * 8000)..).unwrap_or_default()), "nothing after resume");
    let log = log_of(&dir);
    let held = log.find("a=sendonly").or_else(|| log.find("a=inactive")).unwrap_or_else(|| panic!("no hold: {log}"));
    assert!(log[held..].contains("a=sendrecv"), "no resume: {log}");
    let record = &server.cdrs(1)[0];
    assert_eq!(record["cause"], "caller_bye", "{record}");
    assert!(record["talk_ms"].as_u64().is_some_and(|ms| ms > 7_000), "{record}");
}

/// XFR-01, XFR-02: we refer baresip to another baresip: it calls, says so by NOTIFY, and the two hear each other
#[test]
fn referred_to_another() {
    let Some(baresip) = program("baresip") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let target = Phone::start(&baresip, dir.path(), "target", &tone(TARGET_HZ));
    let server = Server::start(&[("100.toml", &plan(target.port, "mode = \"blind\""))], Some(TRANSFERS));
    let mut caller = Phone::start(&baresip, dir.path(), "caller", &tone(CALLER_HZ));
    caller.command("dial", &format!("sip:100@{}", server.sip));
    caller.until("CALL_ESTABLISHED");
    let record = &server.cdrs(1)[0];
    assert_eq!(record["cause"], "transferred", "{record} {}", log_of(&caller.dir));
    caller.talk(6);
    let (caller, target) = (caller.heard(), target.heard());
    let tones = [share(&caller, TARGET_HZ), share(&target, CALLER_HZ)];
    println!("tone heard by caller, target: {tones:?}");
    assert!(tones.iter().all(|share| *share > 0.9), "{tones:?}");
}

/// XFR-06: baresip refers us to another baresip that the trunk lists: the agent goes on there, in one call of ours
#[test]
fn refers_us_to_another() {
    let Some(baresip) = program("baresip") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let said = [quiet(2), clip(), quiet(40)].concat();
    let mut target = Phone::start(&baresip, dir.path(), "target", &said);
    let to = format!("sip:target@127.0.0.1:{}", target.port);
    let folder = tempfile::tempdir().expect("a folder");
    let (_sim, url) = super::support::realtime(folder.path(), Some(TALKS));
    let trunk = format!("[[trunk]]\nname = \"pbx\"\nsources = [\"127.0.0.1\"]\nrefer_to = [\"{to}\"]\n");
    let server = Server::configured(folder, &[("100.toml", PLAN)], &url, "127.0.0.1:0", &trunk);
    let mut caller = Phone::start(&baresip, dir.path(), "caller", &quiet(40));
    caller.command("dial", &format!("sip:100@{}", server.sip));
    caller.until("CALL_ESTABLISHED");
    caller.talk(2);
    caller.command("transfer", &to);
    caller.until("CALL_CLOSED");
    target.talk(9);
    let target_dir = target.dir.clone();
    let heard = target.heard();
    assert!(heard.iter().any(|heard| is_loud(heard)), "the target hears the agent: {}", log_of(&target_dir));
    let record = &server.cdrs(1)[0];
    assert_eq!((&record["moves"], &record["cause"]), (&1.into(), &"caller_bye".into()), "{record}");
}
