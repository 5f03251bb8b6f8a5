//! Where a request goes (RFC 3263 §4, RFC 2782): a pure machine that asks for DNS records and gives addresses in order.

use super::Transport;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One DNS question. Names are without the final dot, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Query {
    Naptr(String),
    Srv(String),
    /// A and AAAA.
    Address(String),
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Naptr { order: u16, preference: u16, flags: String, service: String, replacement: String },
    Srv { priority: u16, weight: u16, port: u16, target: String },
    Address(IpAddr),
}

/// An answer; no records = the name exists without such records, or does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub records: Vec<Record>,
    /// The shortest of the records.
    pub ttl: Duration,
}

/// The servers did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsFailure(pub String);

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    pub transport: Transport,
    pub addr: SocketAddr,
    /// The name that was configured, for SNI and the certificate (never one that DNS gave, RFC 5922 §4).
    pub name: String,
}
