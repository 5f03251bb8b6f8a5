//! The server: signalling task, media workers, admission, shutdown. The only place that spawns.
//!
//! | file | role |
//! |---|---|
//! | `signalling/` | the task that owns the user agent, the SIP sockets and the routes to the workers |
//! | `media_worker/` | plain threads with a 5 ms tick that own the calls |
//! | `gate`, `bucket` | what may be parsed at all |
//! | `trunks` | the trunks as the parts use them |
//! | `targets`, `probe` | where requests of ours go, and who is there |
//! | `load`, `refusals` | whether this machine keeps up; one record an INVITE, even in a flood |
//! | `admission` | whether a new call may come in |
//! | `outbound` | where calls of ours go, and as whom |
//! | `parties` | number and caller of an INVITE |
//! | `numbers` | the book with what its plans need from the disk |
//! | `providers` | Realtime services, ready to use; the embedded one |
//! | `journal/` | dialogs on disk, so that the next process ends what a crash leaves behind |
//! | `notes` | happenings → log lines and metrics |
//! | `tls` | certificates: read, reloaded, watched |
//! | `quota` | Realtime services that refuse sessions for their rate |
//! | `shutdown` | drain and stop |
//!
//! In: [`Settings`] and [`Book`]. Out: a running [`Server`], which owns every task and thread.

pub mod admission;
mod bucket;
mod gate;
mod journal;
mod load;
mod media_worker;
mod notes;
mod numbers;
mod outbound;
mod parties;
mod probe;
mod providers;
mod quota;
mod refusals;
mod shutdown;
mod signalling;
mod targets;
mod tls;
mod trunks;

use crate::config::book::Book;
use crate::config::settings::Settings;
use crate::net::dns::Dns;
use crate::net::listen::{SipSockets, bind_http, bind_sip_all};
use crate::net::rtp_port::RtpPorts;
use crate::net::tls::SipTlsSides;
use crate::net::{clock, entropy};
use crate::observe::http::{self, Health};
use crate::observe::metrics::Metrics;
use crate::observe::records::{RecordSender, records};
use crate::observe::trunks::{TrunkBoard, TrunkState};
use crate::realtime_sim::Sim;
use crate::sip::Transport;
use crate::sip::user_agent::{UaConfig, UaCounts, UserAgent};
use crate::tools::http::HttpRunner;
use media_worker::{Worker, WorkerParams, WorkerStats};
use notes::Notes;
pub use notes::Tap;
use numbers::Numbers;
use providers::Providers;
use rand::Rng;
use signalling::{Parts, Request, Signalling, SignallingCounts, SipTransport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use trunks::{Listening, Trunks};

/// Reports of all workers that may wait; beyond, they wait in the workers.
const REPORTS: usize = 4096;
const REQUESTS: usize = 16;
/// INVITE sessions beyond `max_calls` that may be there while they are refused or end.
const SPARE_SESSIONS: usize = 1024;
/// Server transactions live up to 32 s after their answer.
const MAX_TRANSACTIONS: usize = 65_536;

/// A running server. Dropping it stops everything at once; [`Server::stop`] is the polite way.
pub struct Server {
    sip: SocketAddr,
    listening: Listening,
    tls: SipTlsSides,
    metrics_addr: Option<SocketAddr>,
    metrics: Metrics,
    health: Health,
    board: TrunkBoard,
    settings: Arc<Settings>,
    requests: mpsc::Sender<Request>,
    calls: watch::Receiver<usize>,
    stats: Vec<Arc<WorkerStats>>,
    /// Ends by itself when told.
    tasks: JoinSet<()>,
    /// Run until they are dropped.
    services: JoinSet<()>,
    threads: Vec<JoinHandle<()>>,
    sim: Option<Sim>,
}

/// Everything that could leak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub calls: usize,
    /// SIP sessions with a call or an end to come.
    pub routes: usize,
    pub ports_in_use: usize,
    pub ports_quarantined: usize,
    /// SIP stream connections.
    pub connections: usize,
    /// WebSocket set-ups and tool calls that run.
    pub jobs: usize,
    /// Realtime WebSockets, closing ones included.
    pub sockets: usize,
    /// Sessions open in the embedded Realtime server.
    pub realtime_sessions: usize,
    pub user_agent: UaCounts,
    /// Registrations of ours that are not over.
    pub registrations: usize,
    /// Datagrams and connections dropped because of their source.
    pub foreign: u64,
    /// Calls (or ticks) that panicked.
    pub panics: u64,
    pub rtp_send_errors: u64,
}

/// What a program that embeds the server may add.
#[derive(Clone, Default)]
pub struct ServerOptions {
    pub tap: Option<Tap>,
}

impl Server {
    /// Binds, starts threads and tasks. The error is a sentence for the operator.
    pub async fn start(settings: Settings, book: Book) -> Result<Server, String> {
        Server::start_with(settings, book, ServerOptions::default()).await
    }

    /// [`Server::start`] with more than a plain server has.
    pub async fn start_with(settings: Settings, book: Book, options: ServerOptions) -> Result<Server, String> {
        let numbers = Numbers::new(book).map_err(|problems| problems.join("\n"))?;
        if !settings.missing_secrets.is_empty() {
            return Err(settings.missing_secrets.join("\n"));
        }
        let tls = tls::sides(&settings)?;
        let sockets = bind_sip_all(&settings.sip.listeners().collect::<Vec<_>>(), &tls::listen(&settings))?;
        let sip = sockets.plain.first().map(|plain| plain.addr).ok_or("no address to listen on")?;
        let listening = listening(&sockets);
        let settings = Arc::new(settings);
        let mut random = entropy::rng();
        let metrics = Metrics::new();
        let notes = Notes::new(options.tap, metrics.clone());
        let (providers, sim) = Providers::start(&settings).await?;
        let (records, records_thread) = start_records(&settings, metrics.clone())?;
        let journal = journal::start(settings.observe.journal.as_deref(), metrics.clone())?;
        let mut threads = vec![records_thread];
        threads.extend(journal.thread);
        let mut tasks = JoinSet::new();
        let health = Health::default();
        let mut services = JoinSet::new();
        let board = TrunkBoard::default();
        let metrics_addr = start_http(&settings, &metrics, &health, &board, &mut services)?;
        services.spawn(tls::watch_expiry(tls.clone()));
        let trunks = Trunks::new(&settings, reachable(&listening), &mut random);
        let (reports_in, reports) = mpsc::channel(REPORTS);
        let tools = HttpRunner::new()?;
        let mut workers = Vec::new();
        for n in 0..settings.media.workers.max(1) {
            let (worker, thread) = Worker::start(WorkerParams {
                name: format!("media-{n}"),
                reports: reports_in.clone(),
                tools: tools.clone(),
                runtime: Handle::current(),
                notes: notes.clone(),
            })?;
            workers.push(worker);
            threads.push(thread);
        }
        let stats = workers.iter().map(|w| Arc::clone(w.stats())).collect();
        let (requests, requests_out) = mpsc::channel(REQUESTS);
        let (calls_in, calls) = watch::channel(0);
        let parts = Parts {
            user_agent: user_agent(&settings, &trunks, random.random()),
            trunks,
            dns: dns(&settings)?,
            board: board.clone(),
            ports: ports(&settings, sip, random.random()),
            transport: transport(sockets, tls.clone(), &notes)?,
            numbers: Arc::new(numbers),
            providers,
            workers,
            records,
            journal: journal.journal,
            orphans: journal.orphans,
            notes,
            reports,
            requests: requests_out,
            calls: calls_in,
            random,
            settings: Arc::clone(&settings),
        };
        tasks.spawn(Signalling::new(clock::now(), parts).run());
        Ok(Server {
            sip,
            listening,
            tls,
            metrics_addr,
            metrics,
            health,
            board,
            settings,
            requests,
            calls,
            stats,
            tasks,
            services,
            threads,
            sim,
        })
    }

    /// The address of SIP over UDP and TCP.
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip
    }

    /// The address of SIP over TLS, if it is on.
    pub fn sip_tls_addr(&self) -> Option<SocketAddr> {
        self.listening.iter().find(|(transport, _)| *transport == Transport::Tls).map(|(_, at)| *at)
    }

    /// Every address that SIP listens on, as it is bound.
    pub fn listening(&self) -> &[(Transport, SocketAddr)] {
        &self.listening
    }

    /// The address of metrics and health, if they are on.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Reads the dialplans again and returns how many there are; a bad set changes nothing (OVL-07). TLS certificates are read
    /// again too, for new handshakes; the error names what could not be read, the rest is done.
    pub async fn reload(&self) -> Result<usize, Vec<String>> {
        let certificates = self.tls.reload();
        let plans = self.reload_dialplans().await;
        self.metrics.reloaded(certificates.is_ok() && plans.is_ok());
        match (certificates, plans) {
            (Ok(()), plans) => plans,
            (Err(problems), Ok(_)) => Err(problems),
            (Err(mut problems), Err(more)) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }

    async fn reload_dialplans(&self) -> Result<usize, Vec<String>> {
        let book = Book::load(&self.settings.dialplans, &self.settings)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let plans = book.plans().len();
        self.set_book(book).await?;
        Ok(plans)
    }

    /// New calls find their number in this book; running calls keep theirs.
    pub async fn set_book(&self, book: Book) -> Result<(), Vec<String>> {
        let numbers = Numbers::new(book)?;
        let _ = self.requests.send(Request::Numbers(Arc::new(numbers))).await;
        // A request behind it is answered after it: from here on every new call finds the new book.
        let _ = self.counts().await;
        Ok(())
    }

    /// What is there now; zeros when the signalling task is gone.
    pub async fn counts(&self) -> Counts {
        let (answer, counts) = oneshot::channel();
        let _ = self.requests.send(Request::Counts(answer)).await;
        let signalling: SignallingCounts = counts.await.unwrap_or_default();
        let sum = |pick: fn(&WorkerStats) -> u64| self.stats.iter().map(|s| pick(s)).sum::<u64>();
        Counts {
            calls: signalling.calls,
            routes: signalling.routes,
            ports_in_use: signalling.ports_in_use,
            ports_quarantined: signalling.ports_quarantined,
            connections: signalling.connections,
            jobs: sum(|s| s.jobs.load(Ordering::Relaxed) as u64) as usize,
            sockets: sum(|s| s.sockets.load(Ordering::Relaxed) as u64) as usize,
            realtime_sessions: self.sim.as_ref().map_or(0, Sim::sessions),
            user_agent: signalling.user_agent,
            registrations: signalling.registrations,
            foreign: signalling.foreign,
            panics: sum(|s| s.panics.load(Ordering::Relaxed)),
            rtp_send_errors: sum(|s| s.rtp_send_errors.load(Ordering::Relaxed)),
        }
    }

    /// What the trunks are doing, as of about a second ago.
    pub fn trunks(&self) -> Vec<TrunkState> {
        self.board.read()
    }

    /// The embedded Realtime server, if a provider uses it.
    pub fn sim(&self) -> Option<&Sim> {
        self.sim.as_ref()
    }
}

/// The addresses of all sockets, as they are bound.
fn listening(sockets: &SipSockets) -> Listening {
    let plain = sockets.plain.iter().flat_map(|both| [(Transport::Udp, both.addr), (Transport::Tcp, both.addr)]);
    plain.chain(sockets.tls.iter().map(|tls| (Transport::Tls, tls.addr))).collect()
}

/// What requests of ours may leave by: without a TLS listener TLS connections are opened all the same, from the plain addresses.
fn reachable(listening: &Listening) -> Listening {
    let mut all = listening.clone();
    if !all.iter().any(|(transport, _)| *transport == Transport::Tls) {
        let plain = listening.iter().filter(|(transport, _)| *transport == Transport::Tcp);
        all.extend(plain.map(|(_, at)| (Transport::Tls, *at)));
    }
    all
}

/// Without any server there is still /etc/hosts, and targets may be addresses.
fn dns(settings: &Settings) -> Result<Dns, String> {
    Dns::new(settings.sip.dns_server).or_else(|why| {
        tracing::warn!(why, "no DNS");
        Dns::new(Some(SocketAddr::from(([127, 0, 0, 1], 53))))
    })
}

fn user_agent(settings: &Settings, trunks: &Trunks, seed: u64) -> UserAgent {
    UserAgent::new(UaConfig {
        seed,
        trunks: trunks.user_agent(),
        max_sessions: settings.limits.max_calls.saturating_add(SPARE_SESSIONS),
        max_transactions: MAX_TRANSACTIONS,
    })
}

fn ports(settings: &Settings, sip: SocketAddr, seed: u64) -> RtpPorts {
    let media = &settings.media;
    let ip = media.listen.unwrap_or_else(|| sip.ip());
    RtpPorts::new(ip, media.port_min, media.port_max, media.port_quarantine, seed)
}

fn transport(sockets: SipSockets, tls: SipTlsSides, notes: &Notes) -> Result<SipTransport, String> {
    SipTransport::new(sockets, tls, notes.clone()).map_err(|e| format!("SIP sockets: {e}"))
}

/// The thread that writes call records; it ends when signalling has dropped the sender.
fn start_records(settings: &Settings, metrics: Metrics) -> Result<(RecordSender, JoinHandle<()>), String> {
    let (sender, writer) = records(&settings.observe, metrics)?;
    let thread = std::thread::Builder::new().name("records".into()).spawn(move || writer.run());
    Ok((sender, thread.map_err(|e| format!("records thread: {e}"))?))
}

/// Metrics and health, if they are on.
fn start_http(
    settings: &Settings,
    metrics: &Metrics,
    health: &Health,
    trunks: &TrunkBoard,
    tasks: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, String> {
    let Some(listen) = settings.observe.listen else { return Ok(None) };
    let listener = bind_http(listen)?;
    let addr = listener.local_addr().map_err(|e| e.to_string())?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| e.to_string())?;
    let (metrics, health, trunks) = (metrics.clone(), health.clone(), trunks.clone());
    tasks.spawn(async move {
        if let Err(error) = http::serve(listener, metrics, health, trunks).await {
            tracing::error!(%error, "metrics and health are gone");
        }
    });
    Ok(Some(addr))
}
