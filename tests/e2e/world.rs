//! One server with what a test needs around it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use voxtrunk::config::book::Book;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::config::settings::{Network, Provider, Settings};
use voxtrunk::realtime::{DialectKind, Endpoint, ProviderKind};
use voxtrunk::server::{Counts, Server, ServerOptions};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A loopback address that no other test and no other copy of this program uses.
pub fn own_ip() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    IpAddr::from([127, 64 + (process / 250 % 128) as u8, (process % 250) as u8 + 1, (n % 250) as u8 + 1])
}

/// `number` answered by a plan of this text (instructions and greeting are there already).
pub fn plan(number: &str, text: &str) -> Dialplan {
    let numbers = format!("numbers = [\"{number}\"]\n");
    let text = format!("{numbers}instructions = \"Be short.\"\ngreeting = {{ say = \"Hello and welcome.\" }}\n{text}");
    Dialplan::parse(Path::new("e2e.toml"), &text).unwrap_or_else(|e| panic!("{e:?}"))
}

/// A Realtime service at this URL.
pub fn provider(url: &str) -> Provider {
    Provider {
        name: "test".into(),
        endpoint: Endpoint {
            kind: ProviderKind::Compatible,
            dialect: DialectKind::Ga,
            url: url.into(),
            model: "gpt-realtime".into(),
            api_version: None,
        },
        key: None,
        connect_timeout: Duration::from_secs(3),
        ready_timeout: Duration::from_secs(3),
        ca_file: None,
    }
}

pub struct World {
    pub server: Server,
    directory: TempDir,
}

impl World {
    /// The number 1000 with a greeting from the embedded server.
    pub async fn simple() -> World {
        World::new(vec![plan("1000", "")], |_| {}).await
    }

    pub async fn new(plans: Vec<Dialplan>, change: impl FnOnce(&mut Settings)) -> World {
        World::with(plans, change, ServerOptions::default()).await
    }

    pub async fn with(plans: Vec<Dialplan>, change: impl FnOnce(&mut Settings), options: ServerOptions) -> World {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(own_ip(), directory.path());
        change(&mut settings);
        let server = Server::start_with(settings, Book::from_plans(plans), options).await.unwrap();
        World { server, directory }
    }

    pub fn sip(&self) -> SocketAddr {
        self.server.sip_addr()
    }

    /// Where TLS listens, after `Authority::listen`.
    pub fn sip_tls(&self) -> SocketAddr {
        self.server.sip_tls_addr().unwrap()
    }

    /// Waits until the counts are as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Counts) -> bool) -> Counts {
        until(what, async || self.server.counts().await, wanted).await
    }

    /// Stops the server and returns its call records.
    pub async fn stop(self) -> Vec<serde_json::Value> {
        assert_eq!(self.server.counts().await.panics, 0);
        self.stop_after_panic().await
    }

    pub async fn stop_after_panic(self) -> Vec<serde_json::Value> {
        let counts = self.server.stop().await;
        assert_eq!((counts.calls, counts.ports_in_use, counts.jobs), (0, 0, 0), "{counts:?}");
        records(self.directory.path())
    }
}

pub fn settings(ip: IpAddr, directory: &Path) -> Settings {
    let mut settings = Settings::defaults();
    settings.sip.listen = SocketAddr::new(ip, 0);
    settings.sip.peers = vec![Network { addr: ip, prefix: 32 }];
    settings.observe.cdr = Some(directory.join("cdr.jsonl"));
    settings.observe.journal = None;
    settings.observe.transcripts = directory.join("transcripts");
    settings.observe.listen = None;
    settings.limits.calls_per_second = 1000;
    // The callers of a test use the same process.
    settings.limits.max_cpu_percent = 100;
    settings.media.workers = 2;
    settings
}

pub fn records(directory: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(directory.join("cdr.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Looks until what it sees is as wanted, at most [`PATIENCE`], and returns that.
pub async fn until<T: std::fmt::Debug>(what: &str, look: impl AsyncFn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let seen = look().await;
        if wanted(&seen) {
            return seen;
        }
        assert!(tokio::time::Instant::now() < deadline, "not {what} in {PATIENCE:?}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
