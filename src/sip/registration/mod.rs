//! One registration of ours (RFC 3261 §10.2, RFC 5626 §4.4–4.5, RFC 3327, RFC 3608): a pure machine in virtual time.
//!
//! In: [`Registration::start`], the ends of its requests, a lost flow, pongs, time, [`Registration::stop`]. Out, drained down to
//! `Timeout`: requests (the owner puts in where they go; the user agent answers challenges and goes on to the next flow), pings,
//! Service-Route, changes of state.
//!
//! `binding`: what a 2xx says. `keepalive`: pings and pongs on the flow.

mod binding;
mod keepalive;

use super::headers::Name;
use super::message::{Message, Method};
use super::random::Random;
use super::uri::Uri;
use super::user_agent::{NewRequest, RequestId};
use super::{Flow, TrunkId};
use binding::Binding;
use keepalive::{Alarm, Keepalive};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// RFC 5626 §4.5: the wait after n failures is between a half and the whole of `min(MAX, BASE * 2^n)`: 30 s to 30 min.
const BASE: Duration = Duration::from_secs(30);
const MAX: Duration = Duration::from_secs(1800);
/// After a refusal that only a change of settings will end (401, 403, 404 …): peers lock out who keeps knocking.
const REFUSED: Duration = Duration::from_secs(300);
/// A lost flow is made anew after this long, at random, so that the users of a registrar do not all come at once.
const FLOW_LOST_MS: (u64, u64) = (1_000, 5_000);
/// Most 423 in a row, and the longest registration that one may ask for.
const MOST_BRIEF: u8 = 3;
const LONGEST_SECS: u32 = 86_400;
/// CSeq numbers that the user agent may use up in one request (challenges, further targets).
const CSEQ_GAP: u32 = 64;

/// What is registered.
#[derive(Clone, Debug)]
pub struct RegistrationConfig {
    /// Of all its requests; one is under way at a time.
    pub id: RequestId,
    pub trunk: TrunkId,
    /// Address of record; its host is the registrar's domain, the Request-URI.
    pub aor: Uri,
    /// User part of our Contact ([`super::user_agent::UaTrunk::contact_user`]); random, so that it names the trunk (AUT-06).
    pub contact_user: String,
    /// Asked for.
    pub expires: Duration,
    pub keepalive: bool,
    pub seed: u64,
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not started.
    Off,
    /// The first one is under way.
    Registering,
    /// The registrar has our binding; a refresh that fails changes nothing until it expires.
    Registered,
    /// No binding; tried again at [`RegistrationStatus::next_at`].
    Failed,
    /// Stopping: the binding is being removed.
    Leaving,
    /// Stopped; nothing follows.
    Gone,
}

impl RegistrationState {
    /// For logs, metrics and tables.
    pub fn label(self) -> &'static str {
        match self {
            RegistrationState::Off => "off",
            RegistrationState::Registering => "registering",
            RegistrationState::Registered => "registered",
            RegistrationState::Failed => "failed",
            RegistrationState::Leaving => "leaving",
            RegistrationState::Gone => "gone",
        }
    }
}

/// What an operator wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationStatus {
    pub state: RegistrationState,
    /// Since when.
    pub since: Instant,
    /// When the binding ends if it is not refreshed.
    pub until: Option<Instant>,
    /// When the next request goes out.
    pub next_at: Option<Instant>,
    /// Of the last final response; 408 and 503 also stand for none.
    pub last_status: Option<u16>,
    /// Failures in a row.
    pub failures: u32,
    /// What went wrong last and what to do; `None` after a success.
    pub trouble: Option<String>,
    /// The flow that the last 2xx came by: where calls come from.
    pub flow: Option<Flow>,
    /// Path of the last 2xx (RFC 3327).
    pub path: Vec<String>,
}

/// What comes out of the machine.
#[derive(Clone, Debug)]
pub enum RegistrationOutput {
    /// Send it with [`super::user_agent::UaCommand::Request`]. `flows` holds the flow in use, or nothing: the owner adds those of
    /// the trunk's targets behind it. When there are none, say so with [`Registration::unreachable`].
    Request(Box<NewRequest>),
    /// Bytes for the flow, outside of any message.
    Ping { flow: Flow, bytes: &'static [u8] },
    /// No pong came: the connection is dead, close it.
    Close { flow: Flow },
    /// Preloaded Route of the trunk's requests from now on (RFC 3608); may be empty.
    ServiceRoute(Vec<String>),
    /// [`Registration::status`] has another state.
    Changed(RegistrationState),
    /// Nothing more to do until then (or until the next input).
    Timeout(Option<Instant>),
}

/// The machine. See the module's map.
#[derive(Debug)]
pub struct Registration {
    config: RegistrationConfig,
    random: Random,
    call_id: String,
    cseq: u32,
    /// Asked for, raised by 423.
    expires: u32,
    brief: u8,
    in_flight: bool,
    /// [`Registration::stop`] was called.
    leaving: bool,
    /// The flow was lost or found dead while a request was under way.
    renew: bool,
    keepalive: Keepalive,
    status: RegistrationStatus,
    out: VecDeque<RegistrationOutput>,
}

impl Registration {
    pub fn new(now: Instant, config: RegistrationConfig) -> Registration {
        let mut random = Random::new(config.seed);
        let (call_id, cseq) = (random.token() + &random.token(), random.cseq());
        let expires = u32::try_from(config.expires.as_secs()).unwrap_or(LONGEST_SECS).clamp(1, LONGEST_SECS);
        let status = RegistrationStatus {
            state: RegistrationState::Off,
            since: now,
            until: None,
            next_at: None,
            last_status: None,
            failures: 0,
            trouble: None,
            flow: None,
            path: Vec::new(),
        };
        Registration {
            keepalive: Keepalive::new(config.keepalive),
            config,
            random,
            call_id,
            cseq,
            expires,
            brief: 0,
            in_flight: false,
            leaving: false,
            renew: false,
            status,
            out: VecDeque::new(),
        }
    }

    pub fn id(&self) -> RequestId {
        self.config.id
    }
    pub fn status(&self) -> &RegistrationStatus {
        &self.status
    }

    /// Registers now. Nothing happens the second time.
    pub fn start(&mut self, now: Instant) {
        if self.status.state == RegistrationState::Off {
            self.enter(now, RegistrationState::Registering);
            self.send(self.expires);
        }
    }

    /// Removes the binding, if there is one; ends in [`RegistrationState::Gone`].
    pub fn stop(&mut self, now: Instant) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        self.keepalive.stop();
        self.status.next_at = None;
        if self.in_flight {
            // Its end decides whether there is something to remove.
            return;
        }
        self.leave(now);
    }

    fn leave(&mut self, now: Instant) {
        if self.status.until.is_some_and(|until| until > now) {
            self.enter(now, RegistrationState::Leaving);
            self.send(0);
        } else {
            self.gone(now);
        }
    }

    fn gone(&mut self, now: Instant) {
        self.status.until = None;
        self.status.flow = None;
        self.enter(now, RegistrationState::Gone);
    }

    /// The end of a request of ours: what [`super::user_agent::UaEvent::Response`] told.
    pub fn response(&mut self, now: Instant, flow: Flow, status: u16, message: Option<&Message>) {
        if !self.in_flight {
            return;
        }
        self.in_flight = false;
        self.status.last_status = Some(status);
        match message.and_then(Message::cseq) {
            Some(Ok(cseq)) => self.cseq = self.cseq.max(cseq.number),
            _ => self.cseq += CSEQ_GAP,
        }
        if self.status.state == RegistrationState::Leaving {
            return self.gone(now);
        }
        match (status, message) {
            (200..=299, Some(message)) => self.registered(now, flow, message),
            (423, Some(message)) if self.is_raised(message) && !self.leaving => self.send(self.expires),
            _ => {
                let after = message.and_then(|m| m.seconds(&Name::RetryAfter)).and_then(Result::ok);
                self.failed(now, status, after.map(|secs| Duration::from_secs(secs.into())), refusal(status));
            }
        }
        if self.leaving && !self.in_flight {
            self.leave(now);
        }
    }

    /// There is nowhere to send the request to: no address, no transport. `why` says so to the operator.
    pub fn unreachable(&mut self, now: Instant, why: &str) {
        if !std::mem::take(&mut self.in_flight) {
            return;
        }
        if self.status.state == RegistrationState::Leaving {
            return self.gone(now);
        }
        self.failed(now, 503, None, why.to_owned());
        if self.leaving {
            self.leave(now);
        }
    }

    /// A connection was closed, or a send on it failed. Another flow than ours is no news.
    pub fn flow_lost(&mut self, now: Instant, flow: Flow) {
        let own = self.status.flow.is_some_and(|own| same_flow(own, flow));
        if !own || self.leaving {
            return;
        }
        self.keepalive.stop();
        self.status.flow = None;
        self.status.trouble = Some("the connection to the registrar was lost".into());
        if self.in_flight {
            self.renew = true;
        } else {
            let (from, to) = FLOW_LOST_MS;
            let soon = now + self.random.back_off(from, to);
            self.status.next_at = Some(self.status.next_at.map_or(soon, |at| at.min(soon)));
        }
    }

    /// A pong came by `flow`.
    pub fn pong(&mut self, flow: Flow) {
        if self.status.flow.is_some_and(|own| same_flow(own, flow)) {
            self.keepalive.pong();
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(flow) = self.status.flow {
            match self.keepalive.timeout(now, flow.transport, &mut self.random) {
                Some(Alarm::Ping) => {
                    self.out.push_back(RegistrationOutput::Ping { flow, bytes: keepalive::PING });
                }
                Some(Alarm::Dead) => {
                    self.out.push_back(RegistrationOutput::Close { flow });
                    self.flow_lost(now, flow);
                }
                // The peer may not know pings: a request will tell.
                Some(Alarm::Doubt) if !self.in_flight && !self.leaving => self.status.next_at = Some(now),
                Some(Alarm::Doubt) | None => {}
            }
        }
        if self.status.until.is_some_and(|until| until <= now) && self.status.state == RegistrationState::Registered {
            self.status.until = None;
            self.enter(now, RegistrationState::Failed);
        }
        if !self.in_flight && !self.leaving && self.status.next_at.is_some_and(|at| at <= now) {
            self.status.next_at = None;
            self.send(self.expires);
        }
    }

    pub fn poll_output(&mut self) -> RegistrationOutput {
        self.out.pop_front().unwrap_or_else(|| {
            let expiry = self.status.until.filter(|_| self.status.state == RegistrationState::Registered);
            let timers = [self.status.next_at, expiry, self.keepalive.next()];
            RegistrationOutput::Timeout(timers.into_iter().flatten().min())
        })
    }

    fn registered(&mut self, now: Instant, flow: Flow, message: &Message) {
        let binding = Binding::read(message, &self.config.contact_user, self.expires);
        self.out.push_back(RegistrationOutput::ServiceRoute(binding.service_route));
        if binding.expires == 0 {
            self.status.until = None;
            let why = "the registrar took the registration but keeps no binding: check the account's limit of devices";
            return self.failed(now, 200, None, why.into());
        }
        let granted = Duration::from_secs(binding.expires.into());
        self.brief = 0;
        self.status.failures = 0;
        self.status.trouble = None;
        self.status.path = binding.path;
        self.status.until = Some(now + granted);
        self.status.flow = Some(flow);
        if self.leaving {
            return;
        }
        // 80 %, and early enough for one time-out of a refresh (64*T1) and another try.
        let margin = (granted / 5).max(Duration::from_secs(35)).min(granted / 2);
        self.status.next_at = Some(now + granted - margin);
        self.keepalive.start(now, flow, binding.flow_timer, binding.outbound, &mut self.random);
        if std::mem::take(&mut self.renew) && flow.transport.is_reliable() {
            // It came by a connection that is gone by now.
            return self.flow_lost(now, flow);
        }
        self.enter(now, RegistrationState::Registered);
    }

    /// 423: asks for what the registrar wants, if it is more than before.
    fn is_raised(&mut self, message: &Message) -> bool {
        let Some(Ok(least)) = message.seconds(&Name::MinExpires) else { return false };
        let raised = least > self.expires && least <= LONGEST_SECS && self.brief < MOST_BRIEF;
        if raised {
            self.expires = least;
            self.brief += 1;
        }
        raised
    }

    fn failed(&mut self, now: Instant, status: u16, retry_after: Option<Duration>, trouble: String) {
        self.renew = false;
        self.brief = 0;
        self.status.failures = self.status.failures.saturating_add(1);
        self.status.trouble = Some(trouble);
        if self.leaving {
            return;
        }
        let most = (BASE * 2u32.saturating_pow(self.status.failures.min(16))).min(MAX);
        let most = if is_refusal(status) { most.max(2 * REFUSED) } else { most };
        let ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let jittered = self.random.back_off(ms / 2, ms);
        let mut wait = retry_after.map_or(jittered, |after| after.clamp(Duration::from_secs(1), MAX));
        match self.status.until.filter(|until| *until > now) {
            // One failed refresh is not the end: there is time for another before the binding ends. Without its flow it is.
            Some(until) if self.status.state == RegistrationState::Registered && self.status.flow.is_some() => {
                if retry_after.is_none() {
                    wait = wait.min(((until - now) / 2).max(Duration::from_secs(5)));
                }
            }
            _ => self.enter(now, RegistrationState::Failed),
        }
        self.status.next_at = Some(now + wait);
    }

    fn enter(&mut self, now: Instant, state: RegistrationState) {
        if self.status.state != state {
            self.status.state = state;
            self.status.since = now;
            self.out.push_back(RegistrationOutput::Changed(state));
        }
    }

    fn send(&mut self, expires: u32) {
        self.in_flight = true;
        self.cseq += 1;
        let aor = &self.config.aor;
        let scheme = aor.scheme();
        let host = match aor.host_ip() {
            Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => aor.host().unwrap_or_default().to_owned(),
        };
        let port = aor.port().map(|port| format!(":{port}")).unwrap_or_default();
        // The host of a URI that was read makes a URI.
        let request_uri = Uri::parse(&format!("{scheme}:{host}{port}")).unwrap_or_else(|_| aor.clone());
        self.out.push_back(RegistrationOutput::Request(Box::new(NewRequest {
            id: self.config.id,
            trunk: self.config.trunk,
            flows: self.status.flow.into_iter().collect(),
            method: Method::Register,
            request_uri,
            from: format!("<{aor}>"),
            to: format!("<{aor}>"),
            call_id: Some(self.call_id.clone()),
            cseq: Some(self.cseq),
            headers: vec![(Name::Expires, expires.to_string()), (Name::Supported, "path".into())],
            body: None,
        })));
    }
}

fn same_flow(own: Flow, other: Flow) -> bool {
    let conn = !own.transport.is_reliable() || own.conn == other.conn;
    own.transport == other.transport && own.remote == other.remote && conn
}

/// Final for these settings: only a person can help.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=407 | 410..=422 | 424..=479 | 484..=499 | 603 | 604 | 606)
}

fn refusal(status: u16) -> String {
    let hint = match status {
        401 | 407 => "user name or password is wrong, or the credentials' realm is not the registrar's",
        403 => "the registrar refuses the account: check user name, password and that the account is active",
        404 => "the registrar does not know the address of record: check aor",
        408 => "the registrar does not answer: check its address, the transport and the firewall",
        423 => "the registrar wants a longer registration than there may be: raise expires",
        503 => "the registrar cannot be reached, or is overloaded",
        _ => "see the registrar's log",
    };
    format!("REGISTER got {status}: {hint}")
}
