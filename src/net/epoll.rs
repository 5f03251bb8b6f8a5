//! Level-triggered readiness for the media worker (door of `rustix::event`, epoll(7)).
//!
//! In: sockets with a token. Out: the tokens that are readable now. What is left unread is reported again at the next
//! tick, so one read an event is enough and no read ends in `EAGAIN`.

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use std::io;

/// Most events of one wait; more are reported by the next.
const MAX_EVENTS: usize = 4096;

/// One epoll set with its event buffer.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

/// Makes the set; it becomes an [`Epoll`] on the thread that uses it (the event buffer may not move between threads).
pub fn create() -> io::Result<OwnedFd> {
    Ok(epoll::create(epoll::CreateFlags::CLOEXEC)?)
}

impl Epoll {
    pub fn new(fd: OwnedFd) -> Epoll {
        Epoll { fd, events: Vec::with_capacity(MAX_EVENTS) }
    }

    /// Watches a socket for reading. The socket leaves the set by [`Epoll::remove`] or when it is closed.
    pub fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.fd, socket, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, socket)?)
    }

    /// Puts the tokens of all readable sockets into `tokens` (cleared first); never waits.
    pub fn ready(&mut self, tokens: &mut Vec<u64>) -> io::Result<()> {
        tokens.clear();
        self.events.clear();
        match epoll::wait(&self.fd, spare_capacity(&mut self.events), Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        tokens.extend(self.events.iter().map(|event| {
            let data = event.data;
            data.u64()
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::listen::bind_udp;

    #[test]
    fn a_socket_is_reported_until_it_is_read() {
        let receiver = bind_udp("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let sender = bind_udp("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let mut epoll = Epoll::new(create().unwrap());
        let mut tokens = Vec::new();
        epoll.add(&receiver, 7).unwrap();
        epoll.ready(&mut tokens).unwrap();
        assert!(tokens.is_empty());
        sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
        for _ in 0..2 {
            epoll.ready(&mut tokens).unwrap();
            assert_eq!(tokens, [7], "level-triggered: unread data is reported again");
        }
        receiver.recv_from(&mut [0; 8]).unwrap();
        epoll.ready(&mut tokens).unwrap();
        assert!(tokens.is_empty());
        epoll.remove(&receiver).unwrap();
        sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
        epoll.ready(&mut tokens).unwrap();
        assert!(tokens.is_empty());
    }
}
