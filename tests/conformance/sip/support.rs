//! Shared by the modules: the corpora, an ordinary INVITE, a small seeded generator.

use bytes::Bytes;
use std::path::Path;
use voxtrunk::sip::message::{Framing, Message, ParseFailure};

/// The files of a corpus under tests/data, sorted, as (name without `.dat`, bytes).
pub fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&path).expect("the corpus is in the repository") {
        let path = entry.expect("a directory entry").path();
        if path.extension().is_some_and(|e| e == "dat") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).expect("a readable file");
            files.push((name, bytes));
        }
    }
    files.sort();
    files
}

/// RFC 5118's archive has bare LF: CRLF is what its text shows.
pub fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

pub fn datagram(bytes: &[u8]) -> Result<Message, ParseFailure> {
    Message::parse(Bytes::copy_from_slice(bytes), Framing::Datagram)
}

/// Parses text that must be good.
pub fn good(text: &str) -> Message {
    datagram(text.as_bytes()).unwrap_or_else(|e| panic!("{}: {text}", e.why))
}

/// The status a datagram is refused with.
pub fn refused(text: &str) -> u16 {
    match datagram(text.as_bytes()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(failure) => failure.status,
    }
}

pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// An ordinary INVITE; `headers` are added before Content-Length.
pub fn invite(headers: &str, body: &str) -> String {
    format!(
        "INVITE sip:+4930123456@pbx.example.com;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKabc;rport\r\n\
         Max-Forwards: 70\r\n\
         From: \"Alice\" <sip:+4989765@example.net>;tag=f1\r\n\
         To: <sip:+4930123456@pbx.example.com>\r\n\
         Call-ID: 1@192.0.2.7\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:alice@192.0.2.7>\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// splitmix64: enough for tests, and the same on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The seed of this run: `SIP_SEED`, or a fixed one.
pub fn seed() -> u64 {
    std::env::var("SIP_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122)
}

/// Reads everything a message offers; the sum keeps it from being optimised away.
pub fn read_all(message: &Message) -> usize {
    use voxtrunk::sip::headers::Name;
    let mut sum = message.body().len() + message.body_bytes().len() + message.as_bytes().len();
    sum += usize::from(message.is_request()) + message.method().as_str().len();
    sum += message.status().map_or(0, usize::from) + message.reason_phrase().map_or(0, |r| r.len());
    let uris = message.request_uri().and_then(Result::ok).into_iter();
    let mut names: Vec<Name> = message.headers().map(|(name, _)| Name::parse(&name)).collect();
    names.dedup();
    names.truncate(40);
    let mut addresses = Vec::new();
    for name in &names {
        sum += message.lines(name).len() + message.values(name).len() + message.value(name).map_or(0, |v| v.len());
        sum += message.seconds(name).is_some() as usize + message.address(name).is_some() as usize;
        addresses.extend(message.addresses(name).unwrap_or_default());
    }
    for uri in uris.chain(addresses.into_iter().map(|a| a.uri)) {
        sum +=
            uri.user().map_or(0, str::len) + uri.user_decoded().map_or(0, |u| u.len()) + uri.host().map_or(0, str::len);
        sum += uri.number().map_or(0, |n| n.len())
            + usize::from(uri.port().unwrap_or(0))
            + uri.headers().map_or(0, str::len);
        sum += uri.param("x").is_some() as usize + uri.number_param("isub").is_some() as usize;
        sum += usize::from(uri.equivalent(&uri)) + uri.host_ip().is_some() as usize + uri.scheme().len();
    }
    sum += message.vias().map_or(0, |v| v.len()) + message.top_via().is_some() as usize;
    sum += message.from().is_some() as usize + message.to().is_some() as usize + message.contact().is_some() as usize;
    sum += message.cseq().is_some() as usize + message.call_id().map_or(0, |c| c.len()) + message.reasons().len();
    sum += message.max_forwards().is_some() as usize + message.content_type().map_or(0, |c| c.len());
    sum += message.sdp().map_or(0, |s| s.len()) + message.unsupported_required_part().map_or(0, |p| p.len());
    sum += message.subscription_state().is_some() as usize;
    sum
}
