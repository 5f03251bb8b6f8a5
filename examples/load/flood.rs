//! A stranger who sends as much as he can to the RTP port of one call (A8), giants among it; the figures are of the other calls.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(1);
const PACKET: usize = 172;
const GIANT: usize = 9_000;
/// One of so many is a giant.
const GIANTS: usize = 8;

/// Sends until it is stopped.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
    begin: Instant,
}

impl Flood {
    pub fn start(target: SocketAddr, per_second: usize) -> Result<Flood, String> {
        let socket = UdpSocket::bind("127.9.9.9:0").map_err(|e| format!("the flood's socket: {e}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut packet = [0xFF; GIANT];
            packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0x0B, 0xAD, 0, 0]);
            let (mut sent, mut tick) = (0u64, Instant::now());
            while !told.load(Ordering::Relaxed) {
                tick += TICK;
                match tick.checked_duration_since(Instant::now()) {
                    Some(wait) => std::thread::sleep(wait),
                    // It can't send so many: as many as it can.
                    None => tick = Instant::now(),
                }
                for n in 0..per_second / 1_000 {
                    packet[2..4].copy_from_slice(&(sent as u16).to_be_bytes());
                    let length = if n % GIANTS == 0 { GIANT } else { PACKET };
                    sent += u64::from(socket.send_to(&packet[..length], target).is_ok());
                }
            }
            sent
        });
        Ok(Flood { stop, thread, begin: Instant::now() })
    }

    /// Packets a second that it sent.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let seconds = self.begin.elapsed().as_secs_f64();
        (self.thread.join().unwrap_or(0) as f64 / seconds) as u64
    }
}
