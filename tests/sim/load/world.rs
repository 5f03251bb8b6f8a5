//! The clock, the network and the two sides; what is due is handed to whom it concerns.

use crate::agenda::Agenda;
use crate::net::{End, WEATHER, call_number, delays, flow, server_addr, site_addr, site_of};
use crate::server::{Live, Ports, plan};
use crate::site::{Act, Caller};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use voxtrunk::call::Input;
use voxtrunk::cidr::Network;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::{Framing, Message, Method};
use voxtrunk::sip::session_timer::{Refresher, TimerMode, TimerPolicy};
use voxtrunk::sip::user_agent::{Reliable, SessionId, UaCommand, UaConfig, UaOutput, UaTrunk, UserAgent};
use voxtrunk::sip::{Flow, Transport, TrunkId};
use voxtrunk::trunk::TrunkLimits;

/// What is due.
pub enum Due {
    /// The next call.
    Call,
    Message {
        to: End,
        conn: u64,
        site: usize,
        bytes: Bytes,
    },
    Timer(End),
    /// A deadline of a call of the server.
    Tick(SessionId),
    /// The Realtime socket opens, or fails.
    Socket(SessionId),
    /// The service has something to say.
    Text(SessionId),
    SocketBreaks(SessionId),
    Tool(SessionId, u64),
    Act {
        site: usize,
        session: SessionId,
        act: Act,
    },
    Do {
        site: usize,
        command: Box<UaCommand>,
    },
    /// A packet of a caller's stream; the next one follows.
    Rtp {
        site: usize,
        session: SessionId,
    },
    /// Something breaks at a site.
    Fault,
}

/// The server's trunk of a site.
pub fn trunk_of(site: usize) -> TrunkId {
    TrunkId(site as u16)
}

/// A user agent with the time it was last put on the agenda for.
pub struct Agent {
    pub ua: UserAgent,
    due: Option<Instant>,
}

pub struct Site {
    pub agent: Agent,
    /// Number of the present connection; grows when it breaks.
    pub conn: u64,
    pub callers: BTreeMap<SessionId, Caller>,
    /// When the last message arrived, each way: a stream keeps its order.
    arrived: [Instant; 2],
}

pub struct World {
    pub seed: u64,
    pub rng: StdRng,
    pub t0: Instant,
    pub now: Instant,
    pub agenda: Agenda<Due>,
    pub server: Agent,
    pub admission: voxtrunk::server::admission::Admission,
    /// PCM16, G.711.
    pub plans: [Arc<Dialplan>; 2],
    pub calls: BTreeMap<SessionId, Live>,
    pub ports: Ports,
    pub sites: Vec<Site>,
    /// Calls that are not placed yet.
    pub left: u32,
    pub placed: u32,
    /// Numbers of calls whose caller is gone without a word.
    pub vanished: BTreeSet<u32>,
    /// Records by call number and CSeq of each INVITE that reached the server.
    pub invites: BTreeMap<(u32, u32), u32>,
    /// How often each thing happened.
    pub totals: BTreeMap<String, u64>,
    pub steps: u64,
}

fn advertised(at: SocketAddr) -> Vec<(Transport, SocketAddr)> {
    [Transport::Udp, Transport::Tcp, Transport::Tls].map(|transport| (transport, at)).to_vec()
}

fn agent(seed: u64, trunks: Vec<UaTrunk>) -> Agent {
    Agent { ua: UserAgent::new(UaConfig { seed, trunks, max_sessions: 5_000, max_transactions: 50_000 }), due: None }
}

/// The server: one trunk a site, each with habits of its own.
fn server(seed: u64) -> Agent {
    let trunk = |site: usize| {
        let network = Network::parse(&site_addr(site).ip().to_string()).expect("a network of one host");
        let mut trunk = UaTrunk::new(vec![network], advertised(server_addr()), "agent");
        trunk.timer = timer(site, Refresher::Us);
        trunk.reliable = if site == 1 { Reliable::Preferred } else { Reliable::Supported };
        trunk
    };
    agent(seed, (0..WEATHER.len()).map(trunk).collect())
}

/// A site: it takes REFER, and has session timers unless its server refuses.
fn pbx(seed: u64, site: usize) -> Agent {
    let mut trunk = UaTrunk::new(Vec::new(), advertised(site_addr(site)), "pbx");
    trunk.refer = true;
    trunk.timer = timer(site + 1, Refresher::Peer);
    agent(seed, vec![trunk])
}

fn timer(n: usize, refresher: Refresher) -> TimerPolicy {
    let mode = [TimerMode::Accept, TimerMode::Offer, TimerMode::Offer, TimerMode::Off, TimerMode::Accept][n % 5];
    TimerPolicy { mode, expires: Duration::from_secs(90), refresher, ..TimerPolicy::default() }
}

/// What the trunk of a site lets in.
fn limits(site: usize) -> TrunkLimits {
    match site {
        1 => TrunkLimits { max_calls: Some(60), refusal: 486, ..TrunkLimits::default() },
        2 => TrunkLimits { calls_per_second: Some(25), ..TrunkLimits::default() },
        _ => TrunkLimits::default(),
    }
}

impl World {
    pub fn new(seed: u64, calls: u32) -> World {
        let t0 = voxtrunk::net::clock::now();
        let site = |n: usize| Site {
            agent: pbx(seed * 100 + n as u64, n),
            conn: 1,
            callers: BTreeMap::new(),
            arrived: [t0; 2],
        };
        let mut world = World {
            seed,
            rng: StdRng::seed_from_u64(seed),
            t0,
            now: t0,
            agenda: Agenda::new(),
            server: server(seed * 100 + 99),
            admission: voxtrunk::server::admission::Admission::new(t0, 400, 150, &[0, 1, 2, 3, 4].map(limits)),
            plans: [plan("pcm16"), plan("g711")],
            calls: BTreeMap::new(),
            ports: Ports::new(380),
            sites: (0..WEATHER.len()).map(site).collect(),
            left: calls,
            placed: 0,
            vanished: BTreeSet::new(),
            invites: BTreeMap::new(),
            totals: BTreeMap::new(),
            steps: 0,
        };
        world.after(1, Due::Call);
        world.after(2_000, Due::Fault);
        world
    }

    /// What a failure begins with.
    pub fn told(&self) -> String {
        format!("VOXTRUNK_SIM_SEED={} at {:?}", self.seed, self.now - self.t0)
    }

    pub fn count(&mut self, what: &str) {
        match self.totals.get_mut(what) {
            Some(n) => *n += 1,
            None => _ = self.totals.insert(what.to_owned(), 1),
        }
    }

    pub fn after(&mut self, ms: u64, due: Due) {
        self.agenda.add(self.now + Duration::from_millis(ms), due);
    }

    /// Up to `most` ms from now.
    pub fn soon(&mut self, most: u64, due: Due) {
        let ms = self.rng.random_range(0..=most);
        self.after(ms, due);
    }

    /// Runs until nothing is due any more.
    pub fn run(&mut self) {
        while let Some((at, due)) = self.agenda.next() {
            self.now = self.now.max(at);
            self.steps += 1;
            self.happens(due);
        }
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Call => self.next_call(),
            Due::Message { to, conn, site, bytes } => self.arrives(to, conn, site, bytes),
            Due::Timer(end) => {
                let now = self.now;
                let agent = self.agent(end);
                if agent.due != Some(now) {
                    return;
                }
                agent.due = None;
                agent.ua.handle_timeout(now);
                self.drain(end);
                let next = self.agent(end).due;
                assert!(next.is_none_or(|at| at > now), "{}: a timer in the past stays", self.told());
            }
            Due::Tick(session) => self.tick(session),
            Due::Socket(session) => self.socket_opens(session),
            Due::Text(session) => self.service_speaks(session),
            Due::SocketBreaks(session) => self.socket_breaks(session),
            Due::Tool(session, id) => self.tool_answers(session, id),
            Due::Act { site, session, act } => self.act(site, session, act),
            Due::Do { site, command } => self.tell_site(site, *command),
            Due::Rtp { site, session } => self.caller_speaks(site, session),
            Due::Fault => self.fault(),
        }
    }

    fn agent(&mut self, end: End) -> &mut Agent {
        match end {
            End::Server => &mut self.server,
            End::Site(site) => &mut self.sites[site].agent,
        }
    }

    /// Carries a message over the network to the other end.
    fn transmit(&mut self, from: End, flow: Flow, bytes: Bytes) {
        let (site, to, way) = match from {
            End::Server => (site_of(flow.remote), 0, 0),
            End::Site(site) => (site, 1, 1),
        };
        let to = if to == 0 { End::Site(site) } else { End::Server };
        let weather = WEATHER[site];
        for delay in delays(&mut self.rng, weather) {
            let Site { arrived, conn, .. } = &mut self.sites[site];
            let mut at = self.now + delay;
            if weather.transport.is_reliable() {
                at = at.max(arrived[way] + Duration::from_micros(1));
                arrived[way] = at;
            }
            let due = Due::Message { to, conn: *conn, site, bytes: bytes.clone() };
            self.agenda.add(at, due);
        }
    }

    fn arrives(&mut self, to: End, conn: u64, site: usize, bytes: Bytes) {
        // What was on its way when its connection broke is lost; so is what concerns a caller who is gone.
        let stream = WEATHER[site].transport.is_reliable();
        let number = call_number(&bytes);
        if stream && conn != self.sites[site].conn || number.is_some_and(|n| self.vanished.contains(&n)) {
            return;
        }
        let framing = if stream { Framing::Stream } else { Framing::Datagram };
        let message = Message::parse(bytes, framing);
        let message = message.unwrap_or_else(|e| panic!("{}: {e:?}", self.told()));
        if to == End::Server && message.is_request() && message.method() == Method::Invite {
            let new = matches!(message.to(), Some(Ok(to)) if to.tag().is_none());
            let cseq = message.cseq().and_then(Result::ok).map_or(0, |c| c.number);
            if let Some(number) = number.filter(|_| new) {
                self.invites.entry((number, cseq)).or_insert(0);
            }
            if new && !self.admitted(site, conn, &message) {
                return;
            }
        }
        self.count(if message.value(&Name::CSeq).is_some() { "messages" } else { "others" });
        let (now, flow) = (self.now, flow(to, site, conn));
        let trunk = if to == End::Server { trunk_of(site) } else { TrunkId(0) };
        self.agent(to).ua.handle_message(now, flow, Some(trunk), Ok(message));
        self.drain(to);
    }

    /// As the server does it: admission before there is a session; a refusal leaves no state.
    fn admitted(&mut self, site: usize, conn: u64, invite: &Message) -> bool {
        let (now, flow, trunk) = (self.now, flow(End::Server, site, conn), trunk_of(site));
        if self.server.ua.knows(invite, flow.remote) {
            return true;
        }
        if self.server.ua.refuse_again(flow, invite) {
            self.drain(End::Server);
            return false;
        }
        let Err((status, why)) = self.admission.admit(now, trunk, None, None) else { return true };
        let retry_after = why.retry_after().to_string();
        self.server.ua.refuse(trunk, flow, invite, status, &[(Name::RetryAfter, &retry_after)]);
        self.drain(End::Server);
        false
    }

    /// Both ends of a connection learn that it is gone.
    pub fn connection_breaks(&mut self, site: usize) {
        let conn = self.sites[site].conn;
        self.sites[site].conn += 1;
        for end in [End::Server, End::Site(site)] {
            let now = self.now;
            self.agent(end).ua.handle_transport_error(now, flow(end, site, conn));
            self.drain(end);
        }
    }

    /// A site loses everything it knew.
    pub fn site_crashes(&mut self, site: usize) {
        let seed = self.rng.random();
        self.sites[site].agent = pbx(seed, site);
        self.sites[site].callers.clear();
        if WEATHER[site].transport.is_reliable() {
            self.connection_breaks(site);
        }
    }

    pub fn command(&mut self, end: End, command: UaCommand) {
        let now = self.now;
        self.agent(end).ua.command(now, command);
        self.drain(end);
    }

    /// Takes what a user agent has to say down to its deadline.
    pub fn drain(&mut self, end: End) {
        for _ in 0..10_000 {
            match self.agent(end).ua.poll_output() {
                UaOutput::Transmit { flow, bytes } => self.transmit(end, flow, bytes),
                UaOutput::Event(event) => match end {
                    End::Server => self.server_hears(event),
                    End::Site(site) => self.site_hears(site, event),
                },
                UaOutput::Timeout(at) => {
                    let agent = self.agent(end);
                    if agent.due != at {
                        agent.due = at;
                        if let Some(at) = at {
                            self.agenda.add(at, Due::Timer(end));
                        }
                    }
                    return;
                }
            }
        }
        panic!("{}: no end of outputs", self.told());
    }

    /// Hands something to a call and takes what it wants, of the user agent too.
    pub fn input(&mut self, session: SessionId, input: Input<'_>) {
        self.input_within(session, input);
        self.drain(End::Server);
    }

    /// The same from within the drain of the server's user agent.
    pub fn input_within(&mut self, session: SessionId, input: Input<'_>) {
        let now = self.now;
        let Some(live) = self.calls.get_mut(&session) else { return };
        live.call.handle(now, input);
        self.drain_call(session);
    }
}
