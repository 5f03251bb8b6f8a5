//! The program dies in a call (kill -9) and is started again.

use crate::caller::{Caller, header, status};
use crate::operating::Process;
use crate::world::{self, own_ip};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// A port that is free by UDP and TCP on an address that nobody else has.
fn free_port(ip: IpAddr) -> SocketAddr {
    let tcp = std::net::TcpListener::bind((ip, 0)).unwrap();
    let address = tcp.local_addr().unwrap();
    std::net::UdpSocket::bind(address).unwrap();
    address
}

fn start(directory: &Path, config: &str) -> Process {
    let process = Process::start(directory, config);
    process.line_with("SIP on ");
    process
}

/// The call's lines, without the head.
fn journal(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join("calls.journal")).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Waits until the journal is as wanted.
async fn until(directory: &Path, what: &str, wanted: impl Fn(&[String]) -> bool) {
    world::until(what, async || journal(directory), |lines| wanted(lines)).await;
}

fn tag<'m>(message: &'m str, name: &str) -> &'m str {
    header(message, name).unwrap().split(";tag=").nth(1).unwrap()
}

fn cseq(message: &str) -> u32 {
    header(message, "CSeq").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// OVL-06, P2: after kill -9 the next process ends the dialogs of its journal with BYE and a Reason, answers 481 to requests in others,
/// and the one after that has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_ends_the_calls() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let sip = free_port(own_ip());
    std::fs::create_dir(at.join("dialplans")).unwrap();
    let plan = "numbers = [\"1000\"]\ninstructions = \"Be short.\"\ngreeting = \"none\"\n";
    std::fs::write(at.join("dialplans/a.toml"), plan).unwrap();
    let ip = sip.ip();
    let config = format!(
        "dialplans = \"dialplans\"\n[sip]\nlisten = \"{sip}\"\npeers = [\"{ip}\"]\n[limits]\nmax_cpu_percent = 100\n\
         [observe]\nlisten = \"off\"\n"
    );
    let first = start(at, &config);
    let (mut caller, mut over) = (Caller::udp(sip).await, Caller::udp(sip).await);
    caller.invite("1000").await;
    let (code, ok) = caller.answer().await;
    assert_eq!((code, over.call("1000").await), (200, 200));
    assert_eq!(over.bye().await, 200);
    until(at, "one call of two", |lines| lines.iter().any(|line| line.contains("\"op\":\"-\""))).await;
    assert_eq!(journal(at).len(), 3, "two calls and one end");
    drop(first);

    let second = start(at, &config);
    let bye = caller.wait_for_bye(false).await;
    assert_eq!(header(&bye, "Call-ID"), header(&ok, "Call-ID"));
    assert_eq!((tag(&bye, "From"), tag(&bye, "To")), (tag(&ok, "To"), tag(&ok, "From")));
    assert!(cseq(&bye) > 1_000, "{bye}");
    assert_eq!(header(&bye, "Reason"), Some("SIP;cause=503;text=\"Restarted\""));
    assert_eq!(over.bye().await, 481, "a dialog that is in no journal");
    until(at, "an empty journal", <[String]>::is_empty).await;
    assert_eq!(Caller::udp(sip).await.call("1000").await, 200, "it takes calls as ever");
    until(at, "a call in the journal", |lines| lines.len() == 1).await;
    let before = journal(at);
    assert!(before[0].contains("\"trunk\":\"peers\""), "{before:?}");
    drop(second);

    // A third one, whose settings do not know the trunk any more: no BYE, a warning.
    let other = config.replace(&format!("peers = [\"{ip}\"]"), "peers = []")
        + &format!("[[trunk]]\nname = \"new\"\nsources = [\"{ip}\"]\n");
    let third = Process::start(at, &other);
    third.line_with("no trunk of its name any more");
    until(at, "an empty journal", <[String]>::is_empty).await;
    drop(third);

    let _fourth = start(at, &config);
    let mut probe = Caller::udp(sip).await;
    assert_eq!(status(&probe.options().await), 200);
    assert_eq!(caller.next(Duration::from_millis(300)).await, None, "there is nothing left to end");
}

/// OVL-06: two servers do not share a journal; the second says what to do and does not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_do_not_share_a_journal() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("dialplans")).unwrap();
    let plan = "numbers = [\"1000\"]\ninstructions = \"Be short.\"\ngreeting = \"none\"\n";
    std::fs::write(directory.path().join("dialplans/a.toml"), plan).unwrap();
    let config = |ip: IpAddr| format!("[sip]\nlisten = \"{ip}:0\"\npeers = [\"{ip}\"]\n[observe]\nlisten = \"off\"\n");
    let _first = start(directory.path(), &config(own_ip()));
    let line = Process::start(directory.path(), &config(own_ip())).line_with("in use by another voxtrunk");
    assert!(line.contains("observe.journal"), "{line}");
}
