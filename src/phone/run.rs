//! The shell of the phone: resolves the target, opens the sockets, moves datagrams, keeps the time.

use super::machine::{Phone, PhoneConfig, PhoneEvent, PhoneOutput};
use super::report::Report;
use super::script::Step;
use super::tracks::Tracks;
use crate::cidr::Network;
use crate::net::{clock, entropy, socket};
use crate::sip::framing::{Frame, StreamCutter};
use crate::sip::message::{Framing, Message};
use crate::sip::offer_answer::{Codec, LocalMedia};
use crate::sip::uri::Uri;
use crate::sip::user_agent::{UaConfig, UaTrunk};
use crate::sip::{Flow, Transport};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Most sessions of a phone: its own call and a few stray ones to refuse.
const MAX_SESSIONS: usize = 8;
/// A deadline that is never reached, for a timer that is off.
const FAR: Duration = Duration::from_secs(3600);

/// How to place a call.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// `sip:user@host[:port][;transport=tcp]`.
    pub target: String,
    /// `sip:` URI of the caller; default `sip:phone@<local address>`.
    pub from: Option<String>,
    pub steps: Vec<Step>,
    pub codecs: Vec<Codec>,
    pub ptime_ms: u32,
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
            from: None,
            steps: Vec::new(),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            ptime_ms: 20,
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
    let transport = match target.param("transport").flatten() {
        None | Some("udp" | "UDP") => Transport::Udp,
        Some("tcp" | "TCP") => Transport::Tcp,
        Some(other) => return Err(format!("transport={other} is not supported by the phone; use udp or tcp")),
    };
    let remote = resolve(&target).await?;
    let local_ip = socket::local_ip_towards(remote).await.map_err(|e| format!("no way to {remote}: {e}"))?;
    let mut wire = Wire::open(transport, local_ip, remote).await.map_err(|e| format!("{transport:?} {remote}: {e}"))?;
    let rtp = socket::udp_even(local_ip).await.map_err(|e| format!("RTP socket on {local_ip}: {e}"))?;
    let rtp_port = rtp.local_addr().map_err(|e| format!("RTP socket: {e}"))?.port();

    let seed = entropy::seed();
    let local = wire.flow.local;
    let config = PhoneConfig {
        ua: UaConfig {
            seed: seed ^ 0x5150_5150,
            trunks: vec![UaTrunk::new(anybody(), vec![(transport, local)], "phone")],
            max_sessions: MAX_SESSIONS,
            max_transactions: 8 * MAX_SESSIONS,
        },
        flow: wire.flow,
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
        },
        steps: options.steps,
        seed,
        hangup_after: options.hangup_after,
    };
    let start = clock::now();
    let mut phone = Phone::new(start, config);
    let mut answer_deadline = Some(start + options.answer_timeout);
    let mut datagram = vec![0u8; 65_536];
    tokio::pin!(stop);
    let mut stopping = false;
    loop {
        let timer = match pump(&mut phone, &mut wire, &rtp, start, &mut answer_deadline, &mut heard).await {
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
            received = rtp.recv_from(&mut datagram) => {
                if let Ok((length, from)) = received {
                    phone.handle_rtp(clock::now(), from, &datagram[..length]);
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
    rtp: &UdpSocket,
    start: Instant,
    answer_deadline: &mut Option<Instant>,
    heard: &mut impl FnMut(Heard),
) -> Pumped {
    loop {
        let now = clock::now();
        match phone.poll_output(now) {
            PhoneOutput::Sip { flow, bytes } => {
                if wire.send(&bytes).await.is_err() {
                    phone.handle_transport_error(now, flow);
                }
            }
            PhoneOutput::Rtp { to, bytes } => {
                // A lost packet is a lost packet: the far end conceals it.
                let _ = rtp.try_send_to(&bytes, to);
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

/// Host and port of the URI; A/AAAA through the system resolver.
async fn resolve(target: &Uri) -> Result<SocketAddr, String> {
    let port = target.port().unwrap_or(5060);
    if let Some(ip) = target.host_ip() {
        return Ok(SocketAddr::new(ip, port));
    }
    let host = target.host().ok_or_else(|| format!("{target}: no host; write it as sip:NUMBER@HOST:PORT"))?;
    let mut found = tokio::net::lookup_host((host, port)).await.map_err(|e| format!("{host}: {e}"))?;
    found.next().ok_or_else(|| format!("{host}: no address found"))
}

/// The SIP side: one UDP socket or one TCP connection.
struct Wire {
    flow: Flow,
    kind: Kind,
}

enum Kind {
    Udp { socket: UdpSocket, buffer: Vec<u8> },
    Tcp { stream: TcpStream, cutter: StreamCutter, closed: bool },
}

impl Wire {
    async fn open(transport: Transport, local_ip: IpAddr, remote: SocketAddr) -> io::Result<Wire> {
        let (local, kind, conn) = if transport == Transport::Udp {
            let socket = socket::udp(SocketAddr::new(local_ip, 0)).await?;
            (socket.local_addr()?, Kind::Udp { socket, buffer: vec![0; 65_536] }, 0)
        } else {
            let stream = socket::tcp(remote).await?;
            (stream.local_addr()?, Kind::Tcp { stream, cutter: StreamCutter::new(), closed: false }, 1)
        };
        Ok(Wire { flow: Flow { transport, local, remote, conn }, kind })
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Udp { socket, .. } => socket.send_to(bytes, self.flow.remote).await.map(|_| ()),
            Kind::Tcp { stream, .. } => stream.write_all(bytes).await,
        }
    }

    /// Messages that came; cancel-safe. A closed stream is an error once and silent after.
    async fn receive(&mut self) -> io::Result<Vec<(Flow, Bytes, Framing)>> {
        match &mut self.kind {
            Kind::Udp { socket, buffer } => {
                let (length, from) = socket.recv_from(buffer).await?;
                let flow = Flow { remote: from, ..self.flow };
                Ok(vec![(flow, Bytes::copy_from_slice(&buffer[..length]), Framing::Datagram)])
            }
            Kind::Tcp { closed: true, .. } => std::future::pending().await,
            Kind::Tcp { stream, cutter, closed } => {
                let mut buffer = [0u8; 16_384];
                let length = stream.read(&mut buffer).await?;
                if length == 0 {
                    *closed = true;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                cutter.push(&buffer[..length]);
                let mut messages = Vec::new();
                while let Some(item) = cutter.next_frame() {
                    match item {
                        Ok(Frame::Message(bytes)) => messages.push((self.flow, bytes, Framing::Stream)),
                        Ok(Frame::Ping) => {}
                        Err(_) => {
                            *closed = true;
                            return Err(io::ErrorKind::InvalidData.into());
                        }
                    }
                }
                Ok(messages)
            }
        }
    }
}
