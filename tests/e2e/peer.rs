//! The other end of our own requests: a registrar, or a PBX that is asked with OPTIONS. SIP as text over UDP, by hand.

use crate::caller::header;
use crate::world::PATIENCE;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

pub struct Peer {
    pub socket: UdpSocket,
}

impl Peer {
    pub async fn at(ip: IpAddr) -> Peer {
        Peer { socket: UdpSocket::bind((ip, 0)).await.unwrap() }
    }

    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next request of this method; others are passed over.
    pub async fn request(&self, method: &str) -> (String, SocketAddr) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some((text, from)) = self.next(Duration::from_millis(500)).await
                && text.starts_with(&format!("{method} "))
            {
                return (text, from);
            }
        }
        panic!("no {method} in {PATIENCE:?}")
    }

    pub async fn next(&self, wait: Duration) -> Option<(String, SocketAddr)> {
        let mut buffer = vec![0; 8192];
        let (n, from) = timeout(wait, self.socket.recv_from(&mut buffer)).await.ok()?.unwrap();
        Some((String::from_utf8_lossy(&buffer[..n]).into_owned(), from))
    }

    /// Answers a request; `headers` are whole lines.
    pub async fn answer(&self, request: &str, to: SocketAddr, status: &str, headers: &str) {
        let keep = |name: &str| {
            request.lines().filter(|l| l.starts_with(name)).map(|l| format!("{l}\r\n")).collect::<String>()
        };
        let line = keep("To:").trim_end().to_owned();
        let tag = if line.contains(";tag=") { "" } else { ";tag=peer" };
        let text = format!(
            "SIP/2.0 {status}\r\n{}{}{line}{tag}\r\n{}{}{headers}Content-Length: 0\r\n\r\n",
            keep("Via:"),
            keep("From:"),
            keep("Call-ID:"),
            keep("CSeq:")
        );
        self.socket.send_to(text.as_bytes(), to).await.unwrap();
    }

    /// Takes a REGISTER as a registrar does, and says for how long.
    pub async fn register(&self, expires: u32) -> String {
        let (request, from) = self.request("REGISTER").await;
        self.grant(&request, from, expires).await;
        request
    }

    pub async fn grant(&self, request: &str, to: SocketAddr, expires: u32) {
        let contact = header(request, "Contact").unwrap().to_owned();
        let headers = if contact == "*" || expires == 0 {
            String::new()
        } else {
            format!("Contact: {};expires={expires}\r\n", contact.split(";expires").next().unwrap())
        };
        self.answer(request, to, "200 OK", &headers).await;
    }
}
