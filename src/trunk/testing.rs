//! Messages for the unit tests of this layer.

use crate::sip::message::{Framing, Message};

/// An INVITE with this Request-URI and these header lines beside the mandatory ones (To and From unless they are given).
pub fn invite(uri: &str, headers: &[&str]) -> Message {
    request("INVITE", uri, headers)
}

pub fn request(method: &str, uri: &str, headers: &[&str]) -> Message {
    let mut text = format!("{method} {uri} SIP/2.0\r\n");
    let defaults = [
        "Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKtrunk1",
        "From: <sip:+15550100001@192.0.2.20>;tag=a1",
        "To: <sip:+15550100200@192.0.2.10>",
        "Call-ID: trunk-1@192.0.2.20",
        &format!("CSeq: 1 {method}"),
        "Contact: <sip:192.0.2.20:5060>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ];
    let name = |line: &str| line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    for line in defaults.iter().filter(|line| !headers.iter().any(|given| name(given) == name(line))).chain(headers) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    Message::parse(text.clone().into(), Framing::Datagram).unwrap_or_else(|failure| panic!("{}\n{text}", failure.why))
}
