//! The network between the server and the sites: who is where, and how bad the way is.

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use voxtrunk::sip::{Flow, Transport};

/// One end of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Server,
    Site(usize),
}

#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub transport: Transport,
    pub loss: f64,
    pub duplication: f64,
    pub most_delay_ms: u64,
}

/// One site each: clear, lossy, duplicating and reordering, TCP, TLS.
pub const WEATHER: [Weather; 5] = [
    Weather { transport: Transport::Udp, loss: 0.0, duplication: 0.0, most_delay_ms: 20 },
    Weather { transport: Transport::Udp, loss: 0.08, duplication: 0.02, most_delay_ms: 60 },
    Weather { transport: Transport::Udp, loss: 0.0, duplication: 0.2, most_delay_ms: 700 },
    Weather { transport: Transport::Tcp, loss: 0.0, duplication: 0.0, most_delay_ms: 40 },
    Weather { transport: Transport::Tls, loss: 0.0, duplication: 0.0, most_delay_ms: 80 },
];

pub fn server_addr() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 5060)
}

pub fn site_addr(site: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20 + site as u8)), 5060)
}

/// The site an address of the server's side of a flow is of.
pub fn site_of(addr: SocketAddr) -> usize {
    (0..WEATHER.len()).find(|&site| site_addr(site).ip() == addr.ip()).expect("an address of a site")
}

/// The flow between the server and a site as one end sees it; `conn` counts the site's connections.
pub fn flow(end: End, site: usize, conn: u64) -> Flow {
    let transport = WEATHER[site].transport;
    let (server, mut far) = (server_addr(), site_addr(site));
    if transport == Transport::Udp {
        return match end {
            End::Server => Flow { transport, local: server, remote: far, conn: 0 },
            End::Site(_) => Flow { transport, local: far, remote: server, conn: 0 },
        };
    }
    far.set_port(40_000);
    match end {
        End::Server => Flow { transport, local: server, remote: far, conn },
        End::Site(_) => Flow { transport, local: far, remote: server, conn },
    }
}

/// When the copies of a message arrive; none when it is lost.
pub fn delays(rng: &mut StdRng, weather: Weather) -> Vec<Duration> {
    let mut out = Vec::with_capacity(2);
    let copies = if rng.random_bool(weather.duplication) { 2 } else { 1 };
    for _ in 0..copies {
        if !rng.random_bool(weather.loss) {
            out.push(Duration::from_millis(rng.random_range(1..=weather.most_delay_ms)));
        }
    }
    out
}

/// The number of the simulated call a message belongs to: every one of them has `sip:c<number>@` in From or To.
pub fn call_number(bytes: &Bytes) -> Option<u32> {
    let head = bytes.get(..bytes.len().min(4_000))?;
    let at = head.windows(6).position(|w| w == b"<sip:c")?;
    let digits: Vec<u8> = head.get(at + 6..)?.iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}
