//! DNS for SIP: the door of hickory-resolver. What to ask and what to make of it is `sip::resolve`'s; nothing is kept here,
//! the cache is there too.
//!
//! In: a [`Query`]. Out: its [`Answer`] within [`TIMEOUT`], or why there is none.

use crate::sip::resolve::{Answer, DnsFailure, Query, Record};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// For one question, repetitions included.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// One try; UDP loses one now and then.
const TRY: Duration = Duration::from_millis(900);
/// How long "there is no such record" counts when the answer does not say (RFC 2308 §5 leaves it to us).
const NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// Records of one answer that are looked at; `sip::resolve` has caps of its own (A25).
const MAX_RECORDS: usize = 256;

/// Asks the servers of the settings, or of the system. Cheap to clone.
#[derive(Clone)]
pub struct Dns(TokioResolver);

impl Dns {
    /// `server`: ask only this one; `None`: those of /etc/resolv.conf. /etc/hosts counts in both cases. The error is a sentence for
    /// the operator. Needs a tokio runtime.
    pub fn new(server: Option<SocketAddr>) -> Result<Dns, String> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = match server {
            Some(server) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                let server = NameServerConfig::new(server.ip(), true, connections);
                TokioResolver::builder_with_config(ResolverConfig::from_parts(None, Vec::new(), vec![server]), provider)
            }
            None => TokioResolver::builder(provider)
                .map_err(|e| format!("/etc/resolv.conf: {e}; mend it, or name a server with sip.dns_server"))?,
        };
        let options = builder.options_mut();
        options.timeout = TRY;
        options.attempts = 1;
        options.cache_size = 0;
        options.preserve_intermediates = false;
        builder.build().map(Dns).map_err(|e| format!("DNS: {e}"))
    }

    /// Asks. An empty answer means that there is no such record; a failure, that nobody knows.
    pub async fn lookup(&self, query: Query) -> Result<Answer, DnsFailure> {
        let asked = timeout(TIMEOUT, async {
            match &query {
                Query::Naptr(name) => self.ask(name, RecordType::NAPTR).await,
                Query::Srv(name) => self.ask(name, RecordType::SRV).await,
                Query::Address(name) => {
                    // One family alone will do.
                    match tokio::join!(self.ask(name, RecordType::AAAA), self.ask(name, RecordType::A)) {
                        (Ok(six), Ok(four)) => Ok(both(six, four)),
                        (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.records.is_empty() => Ok(one),
                        (Err(why), _) | (_, Err(why)) => Err(why),
                    }
                }
            }
        });
        asked.await.unwrap_or_else(|_| Err(DnsFailure("no answer in time".into())))
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Answer, DnsFailure> {
        let mut asked = Name::from_utf8(name).map_err(|e| DnsFailure(format!("{name:?} is no name: {e}")))?;
        // A bare host name may be one of the local domain (resolv.conf `search`); with a dot it is what it is.
        asked.set_fqdn(name.contains('.'));
        match self.0.lookup(asked, kind).await {
            Ok(lookup) => {
                let mut ttl = None;
                let mut records = Vec::new();
                for record in lookup.answers().iter().filter(|r| r.record_type() == kind).take(MAX_RECORDS) {
                    records.extend(read(&record.data));
                    ttl = Some(ttl.unwrap_or(u32::MAX).min(record.ttl));
                }
                Ok(Answer { records, ttl: ttl.map_or(NEGATIVE_TTL, |secs| Duration::from_secs(secs.into())) })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                let ttl = none.negative_ttl.map_or(NEGATIVE_TTL, |secs| Duration::from_secs(secs.into()));
                Ok(Answer { records: Vec::new(), ttl })
            }
            Err(error) => Err(DnsFailure(error.to_string())),
        }
    }
}

fn both(mut six: Answer, four: Answer) -> Answer {
    // An empty answer says nothing about how long the other's addresses live.
    six.ttl = match (six.records.is_empty(), four.records.is_empty()) {
        (true, false) => four.ttl,
        (false, true) => six.ttl,
        _ => six.ttl.min(four.ttl),
    };
    six.records.extend(four.records);
    six
}

fn read(data: &RData) -> Option<Record> {
    Some(match data {
        RData::A(four) => Record::Address(four.0.into()),
        RData::AAAA(six) => Record::Address(six.0.into()),
        RData::SRV(srv) => {
            Record::Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: text(&srv.target) }
        }
        RData::NAPTR(naptr) => Record::Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
            service: String::from_utf8_lossy(&naptr.services).into_owned(),
            replacement: text(&naptr.replacement),
        },
        _ => return None,
    })
}

/// In lower case, without the final dot; the root is empty.
fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
