//! Session descriptions (RFC 8866), as far as one audio stream needs them. The only door to sdp-types.
//!
//! In: an SDP body. Out: [`Description`], or the reverse. Lenient on the wire: lines we have no use for (`i= u= e= p= b= t= r= z= k=`)
//! never fail a body, `s=`, `t=` and `o=` may be missing, lines may end in LF, spaces may repeat. Limits come first:
//! [`MAX_LINES`], [`MAX_MEDIA`], [`MAX_FORMATS`].

use super::offer_answer::Direction;
use super::uri::parse_ip;
use sdp_types::{Connection, Media, Origin, Session, Time};
use std::fmt;
use std::net::IpAddr;

/// Most media of a description.
pub const MAX_MEDIA: usize = 32;
/// Most lines of a description; browsers behind gateways write about 200.
pub const MAX_LINES: usize = 1024;
/// Most formats of one medium; there are 128 payload types.
pub const MAX_FORMATS: usize = 128;
/// Most keys that are taken over from the session level.
const MAX_SESSION_KEYS: usize = 16;
/// Key of SDES (RFC 4568).
pub(super) const CRYPTO: &str = "crypto";

/// Where a peer wants its media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Ip(IpAddr),
    /// A name we do not look up.
    Name,
}

/// One `m=` block with what it takes from the session level. Attributes may be keys: it does not print.
#[derive(Clone)]
pub(super) struct Stream {
    /// `audio`, `video`, `image` … lower case.
    pub(super) kind: String,
    /// As written, for the answer.
    pub(super) kind_as_written: String,
    pub(super) port: u16,
    pub(super) proto: String,
    pub(super) formats: Vec<String>,
    pub(super) host: Option<Host>,
    /// From the peer's side.
    pub(super) direction: Direction,
    pub(super) ptime_ms: Option<u32>,
    pub(super) maxptime_ms: Option<u32>,
    /// RTCP may share RTP's port (RFC 5761).
    pub(super) rtcp_mux: bool,
    attributes: Vec<(String, String)>,
}

impl Stream {
    /// Values of an attribute that has some, in order.
    pub(super) fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Port and, if it is not that of the media, address of `a=rtcp` (RFC 3605 §2.1). Port 0 and what cannot be read do not count.
    pub(super) fn rtcp(&self) -> Option<(u16, Option<IpAddr>)> {
        let mut fields = self.attributes("rtcp").next()?.split_whitespace();
        let port = fields.next()?.parse().ok().filter(|port| *port != 0)?;
        let ip = match fields.nth(2) {
            None => None,
            Some(address) => Some(parse_ip(address)?.to_canonical()),
        };
        Some((port, ip))
    }
}

/// What a body says.
#[derive(Clone)]
pub(super) struct Description {
    /// The value of `o=` as written: identity and version in one.
    pub(super) origin: Option<String>,
    pub(super) streams: Vec<Stream>,
}

impl Description {
    pub(super) fn parse(body: &[u8]) -> Result<Description, &'static str> {
        let mut origin = None;
        let clean = clean_lines(body, &mut origin)?;
        let session = Session::parse(&clean).map_err(|_| "SDP with an m= line that cannot be read")?;
        let level = Level::read(&session.attributes);
        let host = session.connection.as_ref().map(host);
        let keys = session_keys(&session.attributes);
        let streams = session.medias.into_iter().map(|media| stream(media, host.as_ref(), &level, &keys)).collect();
        Ok(Description { origin, streams })
    }
}

/// The lines that matter, as sdp-types wants them: `v=0` first, one session `c=`, single spaces.
fn clean_lines(body: &[u8], origin: &mut Option<String>) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(body.len().min(super::lexer::MAX_MESSAGE) + 8);
    out.extend_from_slice(b"v=0\r\n");
    let (mut version, mut media, mut session_host) = (false, 0, false);
    for (number, line) in body.split(|b| *b == b'\n').enumerate() {
        if number == MAX_LINES {
            return Err("SDP of more than 1024 lines");
        }
        let [key, b'=', value @ ..] = super::lexer::trim(line) else { continue };
        let value = String::from_utf8_lossy(value).replace(['\r', '\0'], " ");
        match key {
            b'v' if value.trim() == "0" => version = true,
            b'o' if media == 0 && origin.is_none() => *origin = Some(value.trim().to_owned()),
            b'm' => {
                media += 1;
                if media > MAX_MEDIA {
                    return Err("SDP of more than 32 media");
                }
                push_line(&mut out, 'm', &single_spaces(&value, usize::MAX));
            }
            b'c' if value.split_whitespace().nth(2).is_some() && (media > 0 || !session_host) => {
                session_host |= media == 0;
                push_line(&mut out, 'c', &single_spaces(&value, 3));
            }
            b'a' => push_line(&mut out, 'a', value.trim()),
            _ => {}
        }
    }
    if version { Ok(out) } else { Err("SDP without v=0") }
}

fn push_line(out: &mut Vec<u8>, key: char, value: &str) {
    out.extend_from_slice(format!("{key}={value}\r\n").as_bytes());
}

fn single_spaces(value: &str, fields: usize) -> String {
    let mut out = String::with_capacity(value.len());
    for field in value.split_whitespace().take(fields) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(field);
    }
    out
}

/// What may stand at session and at media level.
#[derive(Default)]
struct Level {
    direction: Option<Direction>,
    ptime_ms: Option<u32>,
    maxptime_ms: Option<u32>,
}

impl Level {
    fn read(attributes: &[sdp_types::Attribute]) -> Level {
        let mut level = Level::default();
        for attribute in attributes {
            let ms = || milliseconds(attribute.value.as_deref()?);
            match attribute.attribute.trim().to_ascii_lowercase().as_str() {
                "sendrecv" => level.direction = Some(Direction::SendRecv),
                "sendonly" => level.direction = Some(Direction::SendOnly),
                "recvonly" => level.direction = Some(Direction::RecvOnly),
                "inactive" => level.direction = Some(Direction::Inactive),
                "ptime" => level.ptime_ms = ms(),
                "maxptime" => level.maxptime_ms = ms(),
                _ => {}
            }
        }
        level
    }
}

/// `20` and `20.5` are seen; zero and what is no number do not count.
fn milliseconds(value: &str) -> Option<u32> {
    let whole = value.trim().split('.').next()?;
    whole.parse().ok().filter(|ms| *ms > 0)
}

/// A TTL or a number of addresses after `/` does not matter to us.
fn host(connection: &Connection) -> Host {
    let address = connection.connection_address.split('/').next().unwrap_or_default();
    parse_ip(address).map_or(Host::Name, |ip| Host::Ip(ip.to_canonical()))
}

/// `a=crypto` of the session level, where RFC 4568 §5.1 does not put it but some peers do: counts for media without any of
/// their own.
fn session_keys(attributes: &[sdp_types::Attribute]) -> Vec<(String, String)> {
    let lines = attributes.iter().filter(|a| a.attribute.eq_ignore_ascii_case(CRYPTO)).take(MAX_SESSION_KEYS);
    lines.filter_map(|a| Some((CRYPTO.to_owned(), a.value.clone()?))).collect()
}

fn stream(media: Media, session_host: Option<&Host>, session: &Level, session_keys: &[(String, String)]) -> Stream {
    let level = Level::read(&media.attributes);
    let rtcp_mux = media.attributes.iter().any(|a| a.attribute.trim().eq_ignore_ascii_case("rtcp-mux"));
    let mut attributes: Vec<(String, String)> =
        media.attributes.into_iter().filter_map(|a| Some((a.attribute, a.value?))).collect();
    if !attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case(CRYPTO)) {
        attributes.extend_from_slice(session_keys);
    }
    Stream {
        kind: media.media.to_ascii_lowercase(),
        port: media.port,
        formats: media.fmt.split_whitespace().take(MAX_FORMATS + 1).map(str::to_owned).collect(),
        host: media.connections.first().map(host).or_else(|| session_host.cloned()),
        direction: level.direction.or(session.direction).unwrap_or(Direction::SendRecv),
        ptime_ms: level.ptime_ms.or(session.ptime_ms),
        maxptime_ms: level.maxptime_ms.or(session.maxptime_ms),
        kind_as_written: media.media,
        proto: media.proto,
        rtcp_mux,
        attributes,
    }
}

/// What stands in one of our `m=` lines.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: String,
    /// 0 refuses the stream.
    pub(super) port: u16,
    pub(super) proto: String,
    pub(super) formats: String,
    /// Name and value, in order.
    pub(super) attributes: Vec<(&'static str, Option<String>)>,
}

/// Without the attributes, which may be keys.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {} {}", self.kind, self.port, self.proto, self.formats)
    }
}

/// Writes our description; `addr` stands in `o=` and `c=`.
pub(super) fn write(addr: IpAddr, session_id: u64, version: u64, lines: &[Line]) -> Vec<u8> {
    let mut session = Session::new(Origin::with_ip_addr(session_id, version, addr), "-");
    session.set_connection(addr);
    session.add_time(Time::new(0, 0));
    for line in lines {
        let mut media = Media {
            media: line.kind.clone(),
            port: line.port,
            num_ports: None,
            proto: line.proto.clone(),
            fmt: line.formats.clone(),
            media_title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes: Vec::new(),
        };
        for (name, value) in &line.attributes {
            match value {
                Some(value) => media.add_attribute_with_value(name, value),
                None => media.add_attribute_from_str(name),
            }
        }
        session.add_media(media);
    }
    let mut out = Vec::with_capacity(512);
    // Writing into a Vec cannot fail; an empty body would be seen at once.
    let _ = session.write(&mut out);
    out
}
