//! The other end of our own requests: a registrar, or a PBX that is asked with OPTIONS. SIP as text over UDP, by hand.

use crate::caller::header;
use crate::world::PATIENCE;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

pub struct Peer {
    pub socket: UdpSocket,
    seen: Seen,
}

/// Requests that came, by transaction, each with what it was answered ("" = not yet): over UDP, a busy machine makes the other side send
/// some of them again, and a test counts transactions.
#[derive(Default)]
pub struct Seen(Mutex<HashMap<String, String>>);

impl Seen {
    fn transaction(request: &str) -> String {
        format!("{:?} {:?}", header(request, "Via"), header(request, "CSeq"))
    }

    /// For a request that was here before: what it was answered.
    pub fn again(&self, request: &str) -> Option<String> {
        let mut seen = self.0.lock().unwrap();
        let before = seen.get(&Seen::transaction(request)).cloned();
        before.or_else(|| seen.insert(Seen::transaction(request), String::new()))
    }

    pub fn answered(&self, request: &str, answer: &str) {
        self.0.lock().unwrap().insert(Seen::transaction(request), answer.to_owned());
    }
}

impl Peer {
    pub async fn at(ip: IpAddr) -> Peer {
        Peer { socket: UdpSocket::bind((ip, 0)).await.unwrap(), seen: Seen::default() }
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

    /// The next message that is new; one that is sent again gets its answer again.
    pub async fn next(&self, wait: Duration) -> Option<(String, SocketAddr)> {
        let deadline = Instant::now() + wait;
        let mut buffer = vec![0; 8192];
        loop {
            let (n, from) = timeout_at(deadline, self.socket.recv_from(&mut buffer)).await.ok()?.unwrap();
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            match self.seen.again(&text) {
                None => return Some((text, from)),
                Some(answer) if answer.is_empty() => {}
                Some(answer) => drop(self.socket.send_to(answer.as_bytes(), from).await.unwrap()),
            }
        }
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
        self.seen.answered(request, &text);
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
