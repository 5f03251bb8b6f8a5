//! Media workers: plain threads with a 5 ms tick that own their calls' sockets and machines (invariant 9).
//!
//! `run`: the loop. `slot`: one call and its sockets. `jobs`: what a call has run elsewhere (WebSocket set-up, tools).
//! `closing`: WebSockets that wait for the peer's close frame. `unfinished`: records of calls that could not finish theirs. `work`: how busy
//! it is.
//!
//! In: [`Command`]s by a bounded channel. Out: [`Report`]s to signalling, never dropped: what finds the channel full
//! waits in the worker. A panic in a call ends that call only, with BYE and CDR (OVL-05).

mod closing;
mod jobs;
mod run;
mod slot;
mod unfinished;
mod work;

use crate::call::{Call, CallEnd, CallRecord, LegReady, LegRequest, Output};
use crate::net::rtp_port::RtpPort;
use crate::net::websocket::connect::Target;
use crate::observe::cdr::Cdr;
use crate::server::notes::Notes;
use crate::sip::user_agent::{SessionId, UaCommand, UaEvent};
use crate::tools::http::HttpRunner;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// One tick.
pub const TICK: Duration = Duration::from_millis(5);
/// Commands one worker may have waiting; signalling keeps what is beyond.
const COMMANDS: usize = 1024;

/// A call on its way to a worker.
pub struct NewCall {
    pub call: Call,
    pub session: SessionId,
    pub rtp: RtpPort,
    /// Where the call's Realtime session is.
    pub target: Target,
    /// What the call wanted before it came here.
    pub outputs: Vec<Output>,
    pub deadline: Option<Instant>,
    /// The record as far as it is known, in case the call panics.
    pub record: Cdr,
}

/// A second leg on its way to its call.
pub struct NewLeg {
    pub ready: LegReady,
    pub rtp: RtpPort,
}

/// What a worker is told.
pub enum Command {
    Add(Box<NewCall>),
    /// An event for this call: of its own session, or of its second leg's.
    Sip(SessionId, UaEvent),
    /// The second leg that this call asked for, with its port; or the status that stands for it.
    Leg(SessionId, Result<Box<NewLeg>, u16>),
    /// Ends every call.
    CloseAll(CallEnd),
}

/// What a worker tells signalling.
#[derive(Debug)]
pub enum Report {
    Sip(Box<UaCommand>),
    /// A call wants a second leg.
    OpenLeg {
        call: SessionId,
        request: LegRequest,
    },
    /// A second leg is over for its call, its sockets are closed.
    LegClosed {
        leg: SessionId,
        port: u16,
    },
    /// The call is over, its sockets are closed.
    Ended {
        session: SessionId,
        port: u16,
        record: Box<CallRecord>,
    },
}

/// What others may read of a worker at any time.
#[derive(Debug, Default)]
pub struct WorkerStats {
    pub calls: AtomicUsize,
    /// WebSocket set-ups and tool calls that run now.
    pub jobs: AtomicUsize,
    /// WebSockets, closing ones included.
    pub sockets: AtomicUsize,
    /// How many of the last 1,000 ticks were more than [`LATE`] late.
    pub late_permille: AtomicU64,
    pub rtp_send_errors: AtomicU64,
    /// Datagrams and bytes are counted by the calls; this is how many reads the worker made.
    pub rtp_reads: AtomicU64,
    pub panics: AtomicU64,
}

/// A tick later than this is heard as jitter.
pub const LATE: Duration = Duration::from_millis(20);

/// Signalling's end of one worker.
pub struct Worker {
    commands: SyncSender<Command>,
    /// Commands that found the channel full, in order.
    waiting: VecDeque<Command>,
    stats: Arc<WorkerStats>,
    /// Calls given to it and not ended.
    calls: usize,
}

/// What a worker is made of.
pub struct WorkerParams {
    pub name: String,
    pub reports: mpsc::Sender<Report>,
    pub tools: HttpRunner,
    /// Where WebSocket set-up and tools run.
    pub runtime: Handle,
    pub notes: Notes,
}

impl Worker {
    /// Starts the thread. It ends when the `Worker` is dropped and every call is closed.
    pub fn start(params: WorkerParams) -> Result<(Worker, std::thread::JoinHandle<()>), String> {
        let (commands, receiver): (_, Receiver<Command>) = sync_channel(COMMANDS);
        let stats = Arc::new(WorkerStats::default());
        let name = params.name.clone();
        let epoll = crate::net::epoll::create().map_err(|e| format!("media worker {name}: {e}"))?;
        let shown = Arc::clone(&stats);
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || run::Machine::new(params, epoll, receiver, shown).run())
            .map_err(|e| format!("media worker {name}: {e}"))?;
        Ok((Worker { commands, waiting: VecDeque::new(), stats, calls: 0 }, thread))
    }

    pub fn send(&mut self, command: Command) {
        self.calls += usize::from(matches!(command, Command::Add(_)));
        self.waiting.push_back(command);
        self.flush();
    }

    /// A [`Report::Ended`] of this worker came.
    pub fn ended(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// Hands on what waits. `false` = some still waits, try again soon.
    pub fn flush(&mut self) -> bool {
        while let Some(command) = self.waiting.pop_front() {
            match self.commands.try_send(command) {
                Ok(()) => {}
                Err(TrySendError::Full(command)) => {
                    self.waiting.push_front(command);
                    return false;
                }
                // The thread is gone, which it never is before us.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
        true
    }

    pub fn stats(&self) -> &Arc<WorkerStats> {
        &self.stats
    }

    /// Calls it has or is about to have.
    pub fn load(&self) -> usize {
        self.calls
    }
}
