//! The worst inputs of a given size for each parser (A10), shared with `benches/parse.rs`.
//!
//! In: a size in bytes. Out: [`Worst`] inputs; [`run`] does with one what the server does with a message of that kind.

use bytes::Bytes;
use voxtrunk::sip::framing::StreamCutter;
use voxtrunk::sip::headers::{Name, NameAddr, Via};
use voxtrunk::sip::message::{Builder, Framing, Message, fill_received};
use voxtrunk::sip::offer_answer::{Codec, LocalMedia, Negotiation};
use voxtrunk::sip::refer::sipfrag_status;
use voxtrunk::sip::uri::Uri;

/// Which parser an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// Parse one datagram, or find that it is none.
    Message,
    /// Parse it, fill in the Via, read what the user agent reads, build the 400.
    Request,
    /// Parse it and look for its SDP part.
    Multipart,
    /// Read the description as an offer.
    Sdp,
    Uri,
    Address,
    Via,
    /// Cut a stream that comes in pieces of one byte.
    Stream,
    /// The status line in a NOTIFY.
    Sipfrag,
    /// Trunk, dialled number, caller and forwarding of an INVITE, with every header believed.
    Trunk,
    /// The credentials of a request, by the server that asked for them.
    Digest,
}

pub struct Worst {
    pub parser: Parser,
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

const HEAD: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n";

/// Header lines near 8 KiB of `prefix`, as many `unit` as fit, and `suffix`; `size` bytes in all.
fn lines(prefix: &str, unit: &str, suffix: &str, size: usize) -> Vec<u8> {
    let mut text = HEAD.to_owned();
    while text.len() + 120 < size {
        let room = (size - text.len() - 100).min(8_100).saturating_sub(prefix.len() + suffix.len());
        if room < unit.len() {
            break;
        }
        text += &format!("{prefix}{}{suffix}\r\n", unit.repeat(room / unit.len()));
    }
    (text + "\r\n").into_bytes()
}

/// `head`, as many `unit` as fit into `size`, `tail`.
fn fill(head: &str, unit: &str, tail: &str, size: usize) -> Vec<u8> {
    let room = size.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", unit.repeat(room / unit.len())).into_bytes()
}

fn body(content_type: &str, unit: &str, size: usize) -> Vec<u8> {
    fill(&format!("{HEAD}Content-Type: {content_type}\r\n\r\n"), unit, "", size)
}

/// Three levels of multipart, the innermost full of what looks like a delimiter of any of them.
fn nested(size: usize) -> Vec<u8> {
    let head = format!(
        "{HEAD}Content-Type: multipart/mixed;boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed;boundary=aa\r\n\r\n--aa\r\n\
         Content-Type: multipart/mixed;boundary=aaa\r\n\r\n--aaa\r\nContent-Type: application/sdp;handling=required\r\n\r\n"
    );
    fill(&head, "--aaaa\r\n", "\r\n--aaa--\r\n--aa--\r\n--a--\r\n", size)
}

/// Every attack, each of about `size` bytes and never more than 64 KiB.
pub fn inputs(size: usize) -> Vec<Worst> {
    let size = size.min(64 * 1024 - 64);
    let mut all = Vec::new();
    let mut add = |parser, name, bytes| all.push(Worst { parser, name, bytes });
    let near = "-".repeat(70);
    for parser in [Parser::Message, Parser::Request] {
        add(parser, "URI parameters", lines("Contact: <sip:a@b", ";a", ">", size));
        add(parser, "URI parameters, escaped", lines("Contact: <sip:a@b", ";a=%41", ">", size));
        add(parser, "header parameters", lines("Contact: <sip:a@b>", ";a=\"\\\"\"", "", size));
        let most = format!(",<sip:a@b>{}", ";a=\"b\"".repeat(250));
        add(parser, "addresses with 250 parameters", lines("Contact: <sip:a@b>", &most, "", size));
        add(parser, "addresses in a list", lines("Contact: <sip:a@b>", ",<sip:a@b>", "", size));
        add(parser, "empty values", lines("Contact: <sip:a@b>", ",", "", size));
        add(parser, "Record-Routes", lines("Record-Route: <sip:a@b>", ",<sip:a;lr>", "", size));
        add(parser, "open quotes", lines("Subject: ", "\"", "", size));
        add(parser, "open angles", lines("Contact: ", "<", "", size));
        add(parser, "escaped quotes", lines("Contact: \"", "\\\"", "", size));
        add(parser, "folds", lines("Contact: <sip:a@b>", "\r\n ;b", "", size));
        add(parser, "blank folds", lines("Subject: a", "\r\n ", "", size));
        add(parser, "white space", lines("Subject:", " ", "b", size));
        add(parser, "Via parameters", lines("Via: SIP/2.0/UDP h", ";a=1", "", size));
        add(parser, "Vias", lines("Via: SIP/2.0/UDP h", ",SIP/2.0/UDP h", "", size));
        add(parser, "Reasons", lines("Reason: a", ",SIP;cause=1", "", size));
        add(parser, "short header lines", lines("x:", "y", "", size.min(600)));
        add(parser, "line ends first", fill("", "\r\n", "", size));
        add(parser, "one line without an end", fill(HEAD, "a", "", size));
        add(parser, "colons", fill(HEAD, ":\r\n", "\r\n", size));
        add(parser, "no ASCII", lines("Contact: \"", "\u{e9}", "\" <sip:a@b>", size));
    }
    add(Parser::Multipart, "parts", body("multipart/mixed;boundary=x", "--x\r\n", size));
    add(Parser::Multipart, "near boundaries", body(&format!("multipart/mixed;boundary={near}"), "-", size));
    let near_lines = format!("-{near}\n");
    add(
        Parser::Multipart,
        "near delimiter lines",
        body(&format!("multipart/mixed;boundary={near}"), &near_lines, size),
    );
    add(Parser::Multipart, "empty lines", body("multipart/mixed;boundary=x", "\n", size));
    add(Parser::Multipart, "nested", nested(size));
    add(Parser::Multipart, "header lines in a part", body("multipart/mixed;boundary=x", "--x\r\na:b\r\n c\r\n", size));
    add(
        Parser::Multipart,
        "folds in a part",
        fill(&format!("{HEAD}c: multipart/mixed;boundary=x\r\n\r\n--x\r\nc: a"), "\r\n b", "", size),
    );
    let sdp = |line: &str, unit: &str| fill(&format!("{SDP}{line}"), unit, "\r\n", size);
    add(Parser::Sdp, "formats", sdp("m=audio 4000 RTP/AVP", " 0"));
    add(Parser::Sdp, "rtpmaps", sdp("m=audio 4000 RTP/AVP 0 8", "\r\na=rtpmap:0 PCMU/8000"));
    add(
        Parser::Sdp,
        "fmtp",
        sdp("m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 ", "1,"),
    );
    add(Parser::Sdp, "attributes", sdp("m=audio 4000 RTP/AVP 0", "\r\na=x"));
    add(Parser::Sdp, "long attributes", sdp("m=audio 4000 RTP/AVP 0", &format!("\r\na={}", "x".repeat(60))));
    add(Parser::Sdp, "media", sdp("m=audio 4000 RTP/AVP 0", "\r\nm=audio 4000 RTP/AVP 0"));
    add(Parser::Sdp, "empty lines", sdp("m=audio 4000 RTP/AVP 0", "\n"));
    add(Parser::Sdp, "spaces", sdp("m=audio", " "));
    add(Parser::Sdp, "origin", sdp("o=", "- "));
    add(Parser::Sdp, "connections", sdp("m=audio 4000 RTP/AVP 0", "\r\nc=IN IP4 192.0.2.1"));
    add(Parser::Sdp, "no text", fill(SDP, "a=\u{e9}\u{e9}\u{e9}", "\r\n", size));
    add(Parser::Uri, "parameters", fill("sip:a@b", ";a", "", size));
    add(Parser::Uri, "different parameters", fill("sip:a@b", ";a=%00;b=%01;c;d", "", size));
    add(Parser::Uri, "escapes in the user", fill("sip:", "%41", "@b", size));
    add(Parser::Uri, "visual separators", fill("tel:+1", "-.()", "1", size));
    add(Parser::Uri, "headers", fill("sip:a@b?", "a=b&", "", size));
    add(Parser::Uri, "colons", fill("sip:[", ":", "]", size));
    add(Parser::Uri, "number parameters", fill("sip:+1", ";x", "@b;user=phone", size));
    add(Parser::Address, "parameters", fill("<sip:a@b>", ";a=\"b\"", "", size));
    add(Parser::Address, "escaped display name", fill("\"", "\\\"", "\" <sip:a@b>", size));
    add(Parser::Address, "open quote", fill("\"", "a", "", size));
    add(Parser::Address, "open angle", fill("<", "<", "", size));
    add(Parser::Address, "folds", fill("<sip:a@b>", ";a\r\n ", "", size));
    add(Parser::Via, "parameters", fill("SIP/2.0/UDP h", ";branch=1", "", size));
    add(Parser::Via, "white space", fill("SIP / 2.0 / UDP h", " ", ": 5060", size));
    add(Parser::Via, "slashes", fill("SIP/2.0/UDP ", "/", "", size));
    add(Parser::Stream, "header lines", lines("Subject: ", "a", "", size));
    add(Parser::Stream, "line ends", fill("", "\r\n", "", size));
    add(Parser::Stream, "half line ends", fill("OPTIONS sip:a@b SIP/2.0\r\n", "a\n\r", "", size));
    add(Parser::Trunk, "Diversions", lines("Diversion: <sip:+1@b>", ",<sip:+1@b>;reason=x", "", size));
    add(Parser::Trunk, "History-Infos", lines("History-Info: <sip:+1@b>;index=1", ",<sip:+1@b>;index=1.1", "", size));
    add(Parser::Trunk, "asserted identities", lines("P-Asserted-Identity: <sip:+1@b>", ",<tel:+1>", "", size));
    add(Parser::Trunk, "a long name", lines("P-Asserted-Identity: \"", "\\a", "\" <sip:+1@b>", size));
    add(Parser::Trunk, "user to user", lines("User-to-User: ", "a%41", ";encoding=hex", size));
    add(Parser::Trunk, "Replaces", lines("Replaces: a", ";to-tag=1", "", size));
    add(Parser::Trunk, "Session-Expires", lines("Session-Expires: 90", ";refresher=uas", "", size));
    add(Parser::Digest, "parameters", lines("Authorization: Digest realm=\"r\"", ",a=\"\\b\"", "", size));
    add(Parser::Digest, "commas", lines("Authorization: Digest realm=\"r\"", ",", "", size));
    add(Parser::Digest, "schemes", lines("Authorization: Digest ", "realm=\"r\",Digest ", "", size));
    add(Parser::Digest, "open quotes", lines("Authorization: Digest realm=", "\"\\\"", "", size));
    add(Parser::Sipfrag, "line ends", fill("", "\r\n", "SIP/2.0 200 OK", size));
    add(Parser::Sipfrag, "spaces", fill("SIP/2.0", " ", "", size));
    all
}

/// Reads `bytes` as the server would. The sum keeps the work from being optimised away.
pub fn run(parser: Parser, bytes: &Bytes) -> usize {
    let text = || std::str::from_utf8(bytes).unwrap_or_default();
    match parser {
        Parser::Message => Message::parse(bytes.clone(), Framing::Datagram).is_ok().into(),
        Parser::Request => request(bytes),
        Parser::Multipart => match Message::parse(bytes.clone(), Framing::Datagram) {
            Ok(m) => m.sdp().map_or(0, |s| s.len()) + m.unsupported_required_part().map_or(0, |p| p.len()),
            Err(_) => 0,
        },
        Parser::Sdp => Negotiation::new(local()).receive_offer(bytes).is_ok().into(),
        Parser::Uri => Uri::parse(text()).map_or(0, |uri| {
            let same = Uri::parse(&text().replacen('b', "B", 1)).is_ok_and(|other| uri.equivalent(&other));
            let number = uri.number().map_or(0, |n| n.len()) + uri.user_decoded().map_or(0, |u| u.len());
            number + usize::from(same) + usize::from(uri.param("zz").is_some() || uri.number_param("zz").is_some())
        }),
        Parser::Address => NameAddr::parse(text()).map_or(0, |a| a.params.len() + usize::from(a.tag().is_some())),
        Parser::Via => Via::parse(text()).map_or(0, |v| v.raw.len()),
        Parser::Stream => {
            let mut cutter = StreamCutter::new();
            let mut frames = 0;
            for byte in bytes.iter() {
                cutter.push(std::slice::from_ref(byte));
                frames += usize::from(cutter.next_frame().is_some());
            }
            frames
        }
        Parser::Sipfrag => sipfrag_status(bytes).map_or(0, usize::from),
        Parser::Trunk => whole(bytes).map_or(0, |m| of_a_trunk(&m)),
        Parser::Digest => whole(bytes).map_or(0, |m| digest(&m)),
    }
}

/// What comes of a request before anything is decided: parsed, its Via filled in, read, refused.
fn request(bytes: &Bytes) -> usize {
    let source = "192.0.2.7:5060".parse().expect("an address");
    let (message, status) = match Message::parse(bytes.clone(), Framing::Datagram) {
        Ok(message) => (message, 404),
        Err(failure) => match failure.partial {
            Some(partial) => (partial, failure.status),
            None => return 0,
        },
    };
    let message = fill_received(&message, source);
    let mut sum = message.from().is_some() as usize + message.to().is_some() as usize;
    sum +=
        message.top_via().is_some() as usize + message.cseq().is_some() as usize + message.contact().is_some() as usize;
    sum += message.call_id().map_or(0, |c| c.len()) + message.reasons().len();
    sum += message.has_token(&Name::Require, "100rel") as usize + message.sdp().map_or(0, |s| s.len());
    sum += message.addresses(&Name::RecordRoute).map_or(0, |r| r.len());
    sum += message.addresses(&Name::PAssertedIdentity).map_or(0, |r| r.len());
    sum + Builder::response(&message, status, "", Some("t")).build().as_bytes().len()
}

fn whole(bytes: &Bytes) -> Option<Message> {
    Message::parse(bytes.clone(), Framing::Datagram).map_or_else(|failure| failure.partial, Some)
}

/// What `server` asks of a request of a trunk, and the user agent of its headers.
pub fn of_a_trunk(message: &Message) -> usize {
    use voxtrunk::trunk::{DialledFrom, IdentityHeader, Trunk, caller, dialled};
    let from = [DialledFrom::PCalledPartyId, DialledFrom::HistoryInfo, DialledFrom::Diversion, DialledFrom::To];
    let trusted = vec![IdentityHeader::PAssertedIdentity, IdentityHeader::RemotePartyId];
    let trunk = Trunk { trusted, dialled: from.to_vec(), headers_in: vec!["User-to-User".into()], ..Trunk::new("t") };
    let caller = caller::caller(&trunk, message);
    let dialled = dialled::dialled(&trunk, "voxtrunk", message);
    let blocked = caller::is_blocked(&trunk, &caller);
    let replaces = message.replaces().is_some_and(|r| r.is_ok());
    let expires = message.session_expires().is_some_and(|e| e.is_ok());
    std::hint::black_box(&dialled);
    usize::from(blocked) + usize::from(replaces) + usize::from(expires)
}

/// What the digest server makes of a request.
pub fn digest(message: &Message) -> usize {
    use voxtrunk::observe::pii::Pii;
    use voxtrunk::sip::digest::{Credentials, server::DigestServer};
    let users = [Credentials { realm: None, user: "u".into(), password: Pii("p".into()) }];
    let mut server = DigestServer::new([7; 32], "r");
    server.verify(voxtrunk::net::clock::now(), std::net::IpAddr::from([192, 0, 2, 7]), message, &users).is_ok().into()
}

fn local() -> LocalMedia {
    LocalMedia {
        addr: "192.0.2.9".parse().expect("an address"),
        port: 4000,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        prefer_local_order: false,
        dtmf: true,
        ptime_ms: 20,
        session_id: 1,
        ..LocalMedia::default()
    }
}

/// The least CPU time of this thread for one [`run`] in `runs` of them: what other threads and processes do hardly shows.
pub fn least_time(parser: Parser, bytes: &Bytes, runs: usize) -> std::time::Duration {
    let once = || {
        let start = voxtrunk::net::clock::thread_cpu();
        std::hint::black_box(run(parser, std::hint::black_box(bytes)));
        voxtrunk::net::clock::thread_cpu().saturating_sub(start)
    };
    (0..runs).map(|_| once()).min().unwrap_or_default()
}
