//! Messages of every kind, as fast as asked for, from one address.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub struct Storm {
    running: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Storm {
    /// Goes on until it is stopped.
    pub fn start(source: [u8; 4], server: SocketAddr, rate: u32) -> Result<Storm, String> {
        let socket = UdpSocket::bind(SocketAddr::from((source, 0))).map_err(|e| format!("{source:?}: {e}"))?;
        socket.set_nonblocking(true).map_err(|e| e.to_string())?;
        let running = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&running);
        let thread = std::thread::spawn(move || blow(&socket, server, rate, &goes_on));
        Ok(Storm { running, thread })
    }

    /// How many messages were sent.
    pub fn stop(self) -> u64 {
        self.running.store(false, Ordering::Relaxed);
        self.thread.join().unwrap_or(0)
    }
}

fn blow(socket: &UdpSocket, server: SocketAddr, rate: u32, goes_on: &AtomicBool) -> u64 {
    let start = Instant::now();
    let mut sent = 0u64;
    while goes_on.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while sent < due {
            let _ = socket.send_to(message(sent, server).as_bytes(), server);
            sent += 1;
            // What comes back is read and thrown away, as a scanner would.
            if sent.is_multiple_of(16) {
                while socket.recv_from(&mut [0; 2048]).is_ok() {}
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    sent
}

/// New calls, OPTIONS, REGISTER, junk, and requests that look as if they were of a call.
fn message(n: u64, server: SocketAddr) -> String {
    let (method, tag) = match n % 8 {
        0..=3 => ("INVITE", ""),
        4 => ("OPTIONS", ""),
        5 => ("REGISTER", ""),
        6 => ("BYE", ";tag=guess"),
        _ => return format!("\u{1}junk {n} {}", "x".repeat(200)),
    };
    format!(
        "{method} sip:{n}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.66:5999;branch=z9hG4bKf{n};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:scan@127.0.0.66>;tag=s{n}\r\nTo: <sip:{n}@{server}>{tag}\r\nCall-ID: flood-{n}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:scan@127.0.0.66:5999>\r\nContent-Length: 0\r\n\r\n"
    )
}
