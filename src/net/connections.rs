//! The table of SIP stream connections: numbers, caps, write queues, certificate names. Owned by the signalling task.
//!
//! In: accepted or wanted connections. Out: a [`Flow`] with its number and the queue its task reads. Caps are checked
//! before anything is set up for a connection (TRN-09). A connection that has not brought a message yet may have to make
//! room for a newer one, so that those who open connections and say nothing do not keep the others out (A9).

use crate::sip::{Flow, Transport};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
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
    /// Accepted ones that have not brought a message; the oldest of them goes when there is one more.
    pub unproven: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits { total: 4096, per_ip: 256, unproven: 1024 }
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

/// What one connection can be used for again: a TLS connection that was opened for one name is none for another (RFC 5923 §8).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    transport: Transport,
    remote: SocketAddr,
    name: Option<Arc<str>>,
}

struct Connection {
    flow: Flow,
    key: Key,
    writes: mpsc::Sender<Bytes>,
    /// DNS names of the peer's certificate.
    names: Arc<[String]>,
    proven: bool,
    /// Flow numbers asked for that this connection stands in for.
    aliases: Vec<u64>,
}

/// What to set up for a connection: its flow, the queue to write from, and the one that had to make room for it.
#[derive(Debug)]
pub struct Admitted {
    pub flow: Flow,
    pub queue: mpsc::Receiver<Bytes>,
    pub evicted: Option<Flow>,
}

/// The table.
pub struct Connections {
    limits: ConnectionLimits,
    /// Numbers begin at 1 and are never reused; 0 is "not open".
    last: u64,
    table: HashMap<u64, Connection>,
    per_ip: HashMap<IpAddr, usize>,
    /// The newest connection of its kind.
    newest: HashMap<Key, u64>,
    /// Accepted connections in their order; those that are proven or gone are skipped.
    young: VecDeque<u64>,
    unproven: usize,
}

impl Connections {
    pub fn new(limits: ConnectionLimits) -> Connections {
        Connections {
            limits,
            last: 0,
            table: HashMap::new(),
            per_ip: HashMap::new(),
            newest: HashMap::new(),
            young: VecDeque::new(),
            unproven: 0,
        }
    }

    /// Enters a connection that was accepted at `local`. One that has to make room is out of the table already.
    pub fn accept(&mut self, transport: Transport, local: SocketAddr, remote: SocketAddr) -> Result<Admitted, TooMany> {
        let key = Key { transport, remote, name: None };
        let mut evicted = None;
        if self.unproven >= self.limits.unproven {
            evicted = self.oldest_young().and_then(|conn| self.table.get(&conn)).map(|c| c.flow);
            if let Some(flow) = evicted {
                self.remove(flow);
            }
        }
        let (flow, queue) = self.enter(key, local, false)?;
        self.young.push_back(flow.conn);
        self.unproven += 1;
        Ok(Admitted { flow, queue, evicted })
    }

    /// Enters a connection that is about to be opened, by TLS to the peer of this name.
    pub fn dial(&mut self, wanted: Flow, name: Option<&str>) -> Result<(Flow, mpsc::Receiver<Bytes>), TooMany> {
        self.enter(key(wanted, name), wanted.local, true)
    }

    fn enter(&mut self, key: Key, local: SocketAddr, proven: bool) -> Result<(Flow, mpsc::Receiver<Bytes>), TooMany> {
        let ip = key.remote.ip();
        let from_ip = self.per_ip.get(&ip).copied().unwrap_or(0);
        if self.table.len() >= self.limits.total || from_ip >= self.limits.per_ip {
            return Err(TooMany);
        }
        self.last += 1;
        let flow = Flow { transport: key.transport, local, remote: key.remote, conn: self.last };
        let (writes, queue) = mpsc::channel(WRITE_QUEUE);
        *self.per_ip.entry(ip).or_insert(0) += 1;
        self.newest.insert(key.clone(), flow.conn);
        let names = Arc::default();
        self.table.insert(flow.conn, Connection { flow, key, writes, names, proven, aliases: Vec::new() });
        Ok((flow, queue))
    }

    fn oldest_young(&mut self) -> Option<u64> {
        while let Some(conn) = self.young.pop_front() {
            if self.table.get(&conn).is_some_and(|c| !c.proven) {
                return Some(conn);
            }
        }
        None
    }

    /// The handshake is done: these are the names of the peer's certificate.
    pub fn secured(&mut self, flow: Flow, names: Vec<String>) {
        if let Some(connection) = self.table.get_mut(&flow.conn) {
            connection.names = names.into();
        }
    }

    /// A message came by this connection; returns the names of the peer's certificate. `None`: it is not in the table any more.
    pub fn heard(&mut self, flow: Flow) -> Option<Arc<[String]>> {
        let connection = self.table.get_mut(&flow.conn)?;
        if !std::mem::replace(&mut connection.proven, true) {
            self.unproven -= 1;
        }
        Some(Arc::clone(&connection.names))
    }

    /// Queues a message on the flow's own connection, or on the newest open one to the same remote address (RFC 5923), by TLS to
    /// the same name.
    pub fn send(&mut self, flow: Flow, name: Option<&str>, bytes: Bytes) -> Result<(), SendError> {
        let conn = if self.table.contains_key(&flow.conn) {
            Some(flow.conn)
        } else {
            self.newest.get(&key(flow, name)).copied()
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
        let ip = connection.flow.remote.ip();
        if let Some(n) = self.per_ip.get_mut(&ip) {
            *n -= 1;
            if *n == 0 {
                self.per_ip.remove(&ip);
            }
        }
        if self.newest.get(&connection.key) == Some(&flow.conn) {
            self.newest.remove(&connection.key);
        }
        if !connection.proven {
            self.unproven -= 1;
        }
        // What was proven or removed leaves its number behind; they are swept when they are the most.
        if self.young.len() > 2 * self.unproven + WRITE_QUEUE {
            self.young.retain(|conn| self.table.get(conn).is_some_and(|c| !c.proven));
        }
        std::iter::once(flow.conn).chain(connection.aliases).map(|conn| Flow { conn, ..connection.flow }).collect()
    }

    /// Whether the flow's own connection is in the table.
    pub fn is_open(&self, flow: Flow) -> bool {
        self.table.contains_key(&flow.conn)
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

fn key(flow: Flow, name: Option<&str>) -> Key {
    Key { transport: flow.transport, remote: flow.remote, name: name.map(Into::into) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], port))
    }

    fn accept(table: &mut Connections, remote: SocketAddr) -> Result<Admitted, TooMany> {
        table.accept(Transport::Tcp, addr(1, 5060), remote)
    }

    fn wanted(transport: Transport) -> Flow {
        Flow { transport, local: addr(1, 5060), remote: addr(2, 9), conn: 0 }
    }

    /// TRN-09: caps in all and per address, given back when a connection goes.
    #[test]
    fn caps_hold() {
        let mut table = Connections::new(ConnectionLimits { total: 3, per_ip: 2, unproven: 9 });
        let a = accept(&mut table, addr(2, 1)).unwrap().flow;
        accept(&mut table, addr(2, 2)).unwrap();
        assert_eq!(accept(&mut table, addr(2, 3)).err(), Some(TooMany));
        accept(&mut table, addr(3, 1)).unwrap();
        assert_eq!(accept(&mut table, addr(4, 1)).err(), Some(TooMany));
        assert_eq!(table.remove(a), [a]);
        assert!(accept(&mut table, addr(2, 3)).is_ok());
        assert_eq!(table.len(), 3);
    }

    /// A9: whoever opens connections and says nothing loses the oldest of them; those that brought a message stay.
    #[tokio::test]
    async fn silent_connections_make_room() {
        let mut table = Connections::new(ConnectionLimits { total: 100, per_ip: 100, unproven: 2 });
        let kept = accept(&mut table, addr(2, 1)).unwrap().flow;
        assert!(table.heard(kept).is_some());
        let mut first = accept(&mut table, addr(3, 1)).unwrap();
        let second = accept(&mut table, addr(3, 2)).unwrap();
        assert_eq!(second.evicted, None);
        let third = accept(&mut table, addr(4, 1)).unwrap();
        assert_eq!(third.evicted, Some(first.flow));
        assert!(first.queue.recv().await.is_none(), "its task is told by the end of its queue");
        assert!(table.heard(first.flow).is_none());
        assert_eq!(accept(&mut table, addr(4, 2)).unwrap().evicted, Some(second.flow));
        assert_eq!(table.len(), 3);
        for n in 0..1000 {
            let flow = accept(&mut table, addr(5, n)).unwrap().flow;
            table.heard(flow).unwrap();
            table.remove(flow);
        }
        assert!(table.young.len() < 100, "what is gone is forgotten: {}", table.young.len());
    }

    /// TRN-04: a flow without an open connection reuses the one to the same address, and fails with it.
    #[tokio::test]
    async fn a_lost_flow_takes_the_open_connection() {
        let mut table = Connections::new(ConnectionLimits::default());
        let wanted = wanted(Transport::Tcp);
        assert_eq!(table.send(wanted, None, Bytes::from_static(b"x")), Err(SendError::Unknown));
        let (flow, mut queue) = table.dial(wanted, None).unwrap();
        table.send(wanted, None, Bytes::from_static(b"x")).unwrap();
        assert_eq!(queue.recv().await.unwrap(), "x");
        assert_eq!(table.remove(flow), [flow, wanted]);
        assert!(queue.recv().await.is_none());
    }

    /// TRN-07: what was opened by TCP, or by TLS to somebody else, is never used for a TLS peer.
    #[test]
    fn a_connection_to_another_name_is_another_connection() {
        let mut table = Connections::new(ConnectionLimits::default());
        let tls = wanted(Transport::Tls);
        let _tcp = table.dial(wanted(Transport::Tcp), None).unwrap();
        let _other = table.dial(tls, Some("other.example.com")).unwrap();
        let _theirs = table.accept(Transport::Tls, tls.local, tls.remote).unwrap();
        let sent = |table: &mut Connections| table.send(tls, Some("sip.example.com"), Bytes::new());
        assert_eq!(sent(&mut table), Err(SendError::Unknown));
        let _queue = table.dial(tls, Some("sip.example.com")).unwrap();
        assert_eq!(sent(&mut table), Ok(()));
    }

    #[test]
    fn a_full_queue_is_told() {
        let mut table = Connections::new(ConnectionLimits::default());
        let (flow, _queue) = table.dial(wanted(Transport::Tcp), None).unwrap();
        for _ in 0..WRITE_QUEUE {
            table.send(flow, None, Bytes::new()).unwrap();
        }
        assert_eq!(table.send(flow, None, Bytes::new()), Err(SendError::Stuck));
    }
}
