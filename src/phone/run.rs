//! The shell of the phone: moves datagrams between machine and sockets, keeps the time.

use super::machine::{Phone, PhoneConfig, PhoneEvent, PhoneOutput};
use super::report::Report;
use super::route;
use super::script::Step;
use super::tracks::Tracks;
use super::wire::Wire;
use crate::audio::pcm::Rate;
use crate::cidr::Network;
use crate::net::{clock, entropy, socket};
use crate::sip::Transport;
use crate::sip::digest::Credentials;
use crate::sip::message::Message;
use crate::sip::offer_answer::{Codec, LocalMedia, LocalSrtp};
use crate::sip::uri::Uri;
use crate::sip::user_agent::{UaConfig, UaTrunk};
use crate::srtp_key::Suite;
use crate::trunk::{SrtpPolicy, TlsPolicy};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Most sessions of a phone: its own call and a few stray ones to refuse.
const MAX_SESSIONS: usize = 8;
/// A deadline that is never reached, for a timer that is off.
const FAR: Duration = Duration::from_secs(3600);

/// How to place a call.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// `sip:user@host[:port][;transport=tcp|tls]`; names are looked up by RFC 3263.
    pub target: String,
    /// Name and authority that the server's certificate must have, and our own certificate.
    pub tls: TlsPolicy,
    /// For a server that challenges.
    pub credentials: Option<Credentials>,
    /// Ask this one instead of the system's.
    pub dns_server: Option<SocketAddr>,
    /// `sip:` URI of the caller; default `sip:phone@<local address>`.
    pub from: Option<String>,
    pub steps: Vec<Step>,
    /// Rate of the steps' clips.
    pub clip_rate: Rate,
    pub codecs: Vec<Codec>,
    pub ptime_ms: u32,
    /// Keys in SDP (RFC 4568); default: preferred where the signalling is TLS, else off.
    pub srtp: Option<SrtpPolicy>,
    /// Extra headers of the INVITE.
    pub headers: Vec<(String, String)>,
    /// Give up when nobody has answered by then.
    pub answer_timeout: Duration,
    /// Hang up this long after the answer.
    pub hangup_after: Option<Duration>,
}

impl CallOptions {
    /// PCMU and PCMA, 20 ms, 60 s to answer, nothing said.
    pub fn new(target: impl Into<String>) -> CallOptions {
        CallOptions {
            target: target.into(),
            tls: TlsPolicy::default(),
            credentials: None,
            dns_server: None,
            from: None,
            steps: Vec::new(),
            clip_rate: Rate::Hz8000,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            ptime_ms: 20,
            srtp: None,
            headers: Vec::new(),
            answer_timeout: Duration::from_secs(60),
            hangup_after: None,
        }
    }
}

/// Whoever calls itself part of the dialog is believed: a test phone has no list of peers.
fn anybody() -> Vec<Network> {
    vec![
        Network { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 },
        Network { addr: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 },
    ]
}

/// What to offer, with fresh keys. Whoever asks for it by name gets it on any transport: this is a test phone.
fn local_srtp(policy: Option<SrtpPolicy>, transport: Transport) -> Option<LocalSrtp> {
    let by_transport = if transport == Transport::Tls { SrtpPolicy::Prefer } else { SrtpPolicy::Off };
    let require = match policy.unwrap_or(by_transport) {
        SrtpPolicy::Off => return None,
        SrtpPolicy::Prefer => false,
        SrtpPolicy::Require => true,
    };
    Some(LocalSrtp::new(require, &Suite::ALL, entropy::secret()))
}

/// Something that happened, with the time since the INVITE.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub at: Duration,
    pub event: PhoneEvent,
}

/// Places one call and follows it to its end. `stop` resolving hangs up. The error says what could not be opened.
pub async fn place_call(
    options: CallOptions,
    stop: impl Future<Output = ()>,
    mut heard: impl FnMut(Heard),
) -> Result<(Report, Tracks), String> {
    let target = Uri::parse(&options.target)
        .map_err(|e| format!("{}: {e}; write it as sip:NUMBER@HOST:PORT", options.target))?;
    let hops = route::resolve(&target, options.dns_server).await?;
    let (mut wire, further) = Wire::open(&hops, options.tls).await?;
    let (flow, local) = (wire.flow, wire.flow.local);
    let local_ip = local.ip();
    let ports = socket::udp_pair(local_ip).await.map_err(|e| format!("RTP sockets on {local_ip}: {e}"))?;
    let rtp_port = ports.0.local_addr().map_err(|e| format!("RTP socket: {e}"))?.port();

    let seed = entropy::seed();
    let mut trunk = UaTrunk::new(anybody(), vec![(flow.transport, local)], "phone");
    trunk.credentials.extend(options.credentials);
    let config = PhoneConfig {
        ua: UaConfig {
            seed: seed ^ 0x5150_5150,
            trunks: vec![trunk],
            max_sessions: MAX_SESSIONS,
            max_transactions: 8 * MAX_SESSIONS,
        },
        flow,
        further,
        target,
        from: format!("<{}>", options.from.unwrap_or_else(|| format!("sip:phone@{local}"))),
        headers: options.headers.into_iter().map(|(n, v)| (crate::sip::headers::Name::Other(n.into()), v)).collect(),
        media: LocalMedia {
            addr: local_ip,
            port: rtp_port,
            codecs: options.codecs,
            prefer_local_order: false,
            dtmf: true,
            ptime_ms: options.ptime_ms,
            session_id: seed >> 1,
            srtp: local_srtp(options.srtp, flow.transport),
        },
        steps: options.steps,
        clip_rate: options.clip_rate,
        seed,
        unix_ms: clock::unix_ms(),
        hangup_after: options.hangup_after,
    };
    let start = clock::now();
    let mut phone = Phone::new(start, config);
    let mut answer_deadline = Some(start + options.answer_timeout);
    let (mut datagram, mut report) = (vec![0u8; 65_536], vec![0u8; 2_048]);
    tokio::pin!(stop);
    let mut stopping = false;
    loop {
        let timer = match pump(&mut phone, &mut wire, &ports, start, &mut answer_deadline, &mut heard).await {
            Pumped::Wait(timer) => timer,
            Pumped::Done(report) => return Ok((*report, phone.tracks().clone())),
        };
        let now = clock::now();
        let wake = [timer, answer_deadline].into_iter().flatten().min().unwrap_or(now + FAR);
        tokio::select! {
            biased;
            () = &mut stop, if !stopping => {
                stopping = true;
                phone.hang_up(clock::now());
            }
            received = ports.0.recv_from(&mut datagram) => {
                if let Ok((length, from)) = received {
                    phone.handle_rtp(clock::now(), from, &datagram[..length]);
                }
            }
            received = ports.1.recv_from(&mut report) => {
                if let Ok((length, from)) = received {
                    phone.handle_rtcp(clock::now(), from, &report[..length]);
                }
            }
            event = wire.receive() => {
                let now = clock::now();
                match event {
                    Ok(messages) => {
                        for (flow, bytes, framing) in messages {
                            phone.handle_sip(now, flow, Message::parse(bytes, framing));
                        }
                    }
                    Err(_) => phone.handle_transport_error(now, wire.flow),
                }
            }
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        let now = clock::now();
        if answer_deadline.is_some_and(|deadline| deadline <= now) {
            answer_deadline = None;
            phone.hang_up(now);
        }
        phone.handle_timeout(now);
    }
}

enum Pumped {
    Wait(Option<Instant>),
    Done(Box<Report>),
}

/// Drains the machine into the sockets.
async fn pump(
    phone: &mut Phone,
    wire: &mut Wire,
    (rtp, rtcp): &(UdpSocket, UdpSocket),
    start: Instant,
    answer_deadline: &mut Option<Instant>,
    heard: &mut impl FnMut(Heard),
) -> Pumped {
    loop {
        let now = clock::now();
        match phone.poll_output(now) {
            PhoneOutput::Sip { flow, bytes } => {
                if wire.send(flow, &bytes).await.is_err() {
                    phone.handle_transport_error(now, flow);
                }
            }
            PhoneOutput::Rtp { to, bytes } => {
                // A lost packet is a lost packet: the far end conceals it.
                let _ = rtp.try_send_to(&bytes, to);
            }
            PhoneOutput::Rtcp { to, bytes } => {
                let _ = rtcp.try_send_to(&bytes, to);
            }
            PhoneOutput::Event(event) => {
                if event == PhoneEvent::Answered {
                    *answer_deadline = None;
                }
                heard(Heard { at: now.saturating_duration_since(start), event });
            }
            PhoneOutput::Done(report) => return Pumped::Done(report),
            PhoneOutput::Timeout(timer) => return Pumped::Wait(timer),
        }
    }
}
