//! The table of SIP stream connections: numbers, caps, write queues. Owned by the signalling task.
//!
//! In: accepted or wanted connections. Out: a [`Flow`] with its number and the queue its task reads. Caps are checked
//! before anything is set up for a connection (TRN-09).

use crate::sip::{Flow, Transport};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use tokio::sync::mpsc;

/// Messages that may wait for a slow reader; one more and the connection is closed.
const WRITE_QUEUE: usize = 64;
/// Flow numbers that one connection may stand in for (0, and numbers of connections that are gone).
const MAX_ALIASES: usize = 16;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    pub total: usize,
    pub per_ip: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits { total: 4096, per_ip: 256 }
    }
}

/// A cap was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Why a message could not be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No such connection (any more).
    Unknown,
    /// Its queue is full: the peer does not read. The caller should drop the connection.
    Stuck,
}

struct Connection {
    remote: SocketAddr,
    writes: mpsc::Sender<Bytes>,
    /// Flow numbers asked for that this connection stands in for.
    aliases: Vec<u64>,
}

/// The table.
pub struct Connections {
    limits: ConnectionLimits,
    local: SocketAddr,
    /// Numbers begin at 1 and are never reused; 0 is "not open".
    last: u64,
    table: HashMap<u64, Connection>,
    per_ip: HashMap<IpAddr, usize>,
    /// The newest connection to a remote address.
    by_remote: HashMap<SocketAddr, u64>,
}

impl Connections {
    pub fn new(local: SocketAddr, limits: ConnectionLimits) -> Connections {
        Connections { limits, local, last: 0, table: HashMap::new(), per_ip: HashMap::new(), by_remote: HashMap::new() }
    }

    /// Enters a connection that was accepted or is about to be opened.
    pub fn admit(&mut self, remote: SocketAddr) -> Result<(Flow, mpsc::Receiver<Bytes>), TooMany> {
        let from_ip = self.per_ip.get(&remote.ip()).copied().unwrap_or(0);
        if self.table.len() >= self.limits.total || from_ip >= self.limits.per_ip {
            return Err(TooMany);
        }
        self.last += 1;
        let (writes, queue) = mpsc::channel(WRITE_QUEUE);
        *self.per_ip.entry(remote.ip()).or_insert(0) += 1;
        self.by_remote.insert(remote, self.last);
        self.table.insert(self.last, Connection { remote, writes, aliases: Vec::new() });
        Ok((Flow { transport: Transport::Tcp, local: self.local, remote, conn: self.last }, queue))
    }

    /// Queues a message on the flow's own connection, or on the newest open one to the same remote address (RFC 5923).
    pub fn send(&mut self, flow: Flow, bytes: Bytes) -> Result<(), SendError> {
        let conn = if self.table.contains_key(&flow.conn) {
            Some(flow.conn)
        } else {
            self.by_remote.get(&flow.remote).copied()
        };
        let connection = conn.and_then(|c| self.table.get_mut(&c)).ok_or(SendError::Unknown)?;
        if Some(flow.conn) != conn && connection.aliases.len() < MAX_ALIASES && !connection.aliases.contains(&flow.conn)
        {
            connection.aliases.push(flow.conn);
        }
        connection.writes.try_send(bytes).map_err(|_| SendError::Stuck)
    }

    /// Takes a connection out; its task ends when its queue is empty. Returns every flow that failed with it.
    pub fn remove(&mut self, flow: Flow) -> Vec<Flow> {
        let Some(connection) = self.table.remove(&flow.conn) else { return Vec::new() };
        if let Some(n) = self.per_ip.get_mut(&connection.remote.ip()) {
            *n -= 1;
            if *n == 0 {
                self.per_ip.remove(&connection.remote.ip());
            }
        }
        if self.by_remote.get(&connection.remote) == Some(&flow.conn) {
            self.by_remote.remove(&connection.remote);
        }
        std::iter::once(flow.conn).chain(connection.aliases).map(|conn| Flow { conn, ..flow }).collect()
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], port))
    }

    /// TRN-09: caps in all and per address, given back when a connection goes.
    #[test]
    fn caps_hold() {
        let mut table = Connections::new(addr(1, 5060), ConnectionLimits { total: 3, per_ip: 2 });
        let (a, _qa) = table.admit(addr(2, 1)).unwrap();
        let (_b, _qb) = table.admit(addr(2, 2)).unwrap();
        assert_eq!(table.admit(addr(2, 3)).err(), Some(TooMany));
        let (_c, _qc) = table.admit(addr(3, 1)).unwrap();
        assert_eq!(table.admit(addr(4, 1)).err(), Some(TooMany));
        assert_eq!(table.remove(a), [a]);
        assert!(table.admit(addr(2, 3)).is_ok());
        assert_eq!(table.len(), 3);
    }

    /// TRN-04: a flow without an open connection reuses the one to the same address, and fails with it.
    #[tokio::test]
    async fn a_lost_flow_takes_the_open_connection() {
        let mut table = Connections::new(addr(1, 5060), ConnectionLimits::default());
        let wanted = Flow { transport: Transport::Tcp, local: addr(1, 5060), remote: addr(2, 9), conn: 0 };
        assert_eq!(table.send(wanted, Bytes::from_static(b"x")), Err(SendError::Unknown));
        let (flow, mut queue) = table.admit(addr(2, 9)).unwrap();
        table.send(wanted, Bytes::from_static(b"x")).unwrap();
        assert_eq!(queue.recv().await.unwrap(), "x");
        assert_eq!(table.remove(flow), [flow, wanted]);
        assert!(queue.recv().await.is_none());
    }

    #[test]
    fn a_full_queue_is_told() {
        let mut table = Connections::new(addr(1, 5060), ConnectionLimits::default());
        let (flow, _queue) = table.admit(addr(2, 9)).unwrap();
        for _ in 0..WRITE_QUEUE {
            table.send(flow, Bytes::new()).unwrap();
        }
        assert_eq!(table.send(flow, Bytes::new()), Err(SendError::Stuck));
    }
}
