//! Where the phone's target is: `sip::resolve` with the answers of `net::dns`.

use crate::net::dns::Dns;
use crate::net::{clock, entropy};
use crate::sip::Transport;
use crate::sip::resolve::{Hop, Resolver, Step};
use crate::sip::uri::Uri;
use futures_util::future::join_all;
use std::net::SocketAddr;

/// What the phone can do; the first counts where neither URI nor DNS decides.
const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// The addresses of the target, best first, never empty. `dns_server`: ask this one instead of the system's.
pub async fn resolve(target: &Uri, dns_server: Option<SocketAddr>) -> Result<Vec<Hop>, String> {
    let mut resolver = Resolver::new(entropy::seed());
    let mut lookup = resolver.start(clock::now(), target, &TRANSPORTS).map_err(|e| e.to_string())?;
    let mut dns = None;
    loop {
        match resolver.step(clock::now(), &mut lookup) {
            Step::Done { hops, .. } => return Ok(hops),
            Step::Failed(error) => return Err(error.to_string()),
            Step::Ask(queries) => {
                let dns = match &dns {
                    Some(dns) => dns,
                    // Made when it is needed: an address is called without any DNS.
                    None => dns.insert(Dns::new(dns_server)?),
                };
                let answers = join_all(queries.iter().map(|query| dns.lookup(query.clone()))).await;
                for (query, answer) in queries.into_iter().zip(answers) {
                    resolver.answer(clock::now(), query, answer);
                }
            }
        }
    }
}
