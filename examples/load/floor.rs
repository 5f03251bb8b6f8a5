//! What the kernel alone costs on this machine in this hour: the sockets, sizes and ticks of a call, and nothing done with the bytes.
//!
//! Two threads: the worker moves each caller's datagram into a TCP message as long as an append, and each message as long as a delta into a
//! datagram; the far one is all callers and the service. The worker's CPU is the floor under every figure of the bench.

use super::{Args, child};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use voxtrunk::net::clock;
use voxtrunk::net::epoll::{self, Epoll};

const TICK: Duration = Duration::from_millis(5);
/// A call is served in one tick of these.
const PHASES: usize = 4;
const PACKET: usize = 172;
/// Of 20 ms.
const APPEND: usize = 1_335;
const DELTA: usize = 1_443;
/// Between two looks of the far side.
const NAP: Duration = Duration::from_micros(500);

/// One side of a call.
struct Side {
    rtp: UdpSocket,
    service: TcpStream,
    peer: SocketAddr,
    /// Bytes of a message that have come.
    came: usize,
}

/// CPU of the worker, ms a call-second.
pub fn run(args: &Args) -> Result<f64, String> {
    let explain = |e: std::io::Error| e.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(explain)?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..args.calls {
        let udp = || UdpSocket::bind("127.0.0.1:0").map_err(explain);
        let (a, b) = (udp()?, udp()?);
        let tcp = TcpStream::connect(listener.local_addr().map_err(explain)?).map_err(explain)?;
        let (other, _) = listener.accept().map_err(explain)?;
        let (at_a, at_b) = (a.local_addr().map_err(explain)?, b.local_addr().map_err(explain)?);
        for (rtp, service, peer, sides) in [(a, tcp, at_b, &mut near), (b, other, at_a, &mut far)] {
            rtp.set_nonblocking(true).map_err(explain)?;
            service.set_nonblocking(true).map_err(explain)?;
            service.set_nodelay(true).map_err(explain)?;
            sides.push(Side { rtp, service, peer, came: 0 });
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let far = std::thread::spawn(move || callers_and_service(far, &stopped));
    let (pin, seconds) = (args.pin, args.seconds);
    let near = std::thread::spawn(move || {
        if pin {
            child::pin(0..1)?;
        }
        worker(near, seconds)
    });
    let spent = near.join().map_err(|_| "the worker panicked")?;
    stop.store(true, Ordering::Relaxed);
    far.join().map_err(|_| "the far side panicked")??;
    Ok(spent?.as_secs_f64() * 1e3 / args.seconds as f64 / args.calls as f64)
}

fn watch(sides: &[Side]) -> Result<Epoll, String> {
    let epoll = Epoll::new(epoll::create().map_err(|e| e.to_string())?);
    for (index, side) in sides.iter().enumerate() {
        epoll.add(&side.rtp, 2 * index as u64).map_err(|e| e.to_string())?;
        epoll.add(&side.service, 2 * index as u64 + 1).map_err(|e| e.to_string())?;
    }
    Ok(epoll)
}

fn worker(mut sides: Vec<Side>, seconds: u64) -> Result<Duration, String> {
    let mut epoll = watch(&sides)?;
    let (mut tokens, mut buffer, message) = (Vec::new(), vec![0; 16 << 10], [b'a'; APPEND]);
    let mut next = clock::now();
    let mut before = Duration::ZERO;
    let warm_up = 200;
    for tick in 0..warm_up + 200 * seconds as usize {
        if tick == warm_up {
            before = clock::thread_cpu();
        }
        next += TICK;
        clock::sleep_until(next);
        epoll.ready(&mut tokens).map_err(|e| e.to_string())?;
        for &token in &tokens {
            let side = &mut sides[token as usize / 2];
            if token % 2 == 0 {
                if side.rtp.recv_from(&mut buffer).is_ok() {
                    let _ = side.service.write(&message);
                }
            } else {
                let _ = side.service.read(&mut buffer);
            }
        }
        for side in sides.iter().skip(tick % PHASES).step_by(PHASES) {
            let _ = side.rtp.send_to(&buffer[..PACKET], side.peer);
        }
    }
    Ok(clock::thread_cpu().saturating_sub(before))
}

fn callers_and_service(mut sides: Vec<Side>, stop: &AtomicBool) -> Result<(), String> {
    let mut epoll = watch(&sides)?;
    let (mut tokens, mut buffer, message) = (Vec::new(), vec![0; 16 << 10], [b'd'; DELTA]);
    let (mut next, mut phase) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(NAP);
        if Instant::now() >= next {
            next += TICK;
            phase = (phase + 1) % PHASES;
            for side in sides.iter().skip(phase).step_by(PHASES) {
                let _ = side.rtp.send_to(&message[..PACKET], side.peer);
            }
        }
        epoll.ready(&mut tokens).map_err(|e| e.to_string())?;
        for &token in &tokens {
            let side = &mut sides[token as usize / 2];
            if token % 2 == 0 {
                let _ = side.rtp.recv_from(&mut buffer);
                continue;
            }
            match side.service.read(&mut buffer) {
                Ok(n) => side.came += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // The worker is done and gone.
                Err(_) => return Ok(()),
            }
            while side.came >= APPEND {
                side.came -= APPEND;
                let _ = side.service.write(&message);
            }
        }
    }
    Ok(())
}
