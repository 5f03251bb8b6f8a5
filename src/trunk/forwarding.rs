//! History-Info (RFC 7044) and Diversion (RFC 5806): who was dialled first, who forwarded the call, and why.
//!
//! In: an INVITE. Out: URIs and a word for the reason. A peer may send anything: entries that cannot be read are left out.

use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::Uri;

const MAX_ENTRIES: usize = 32;
const MAX_INDEX: usize = 16;

/// One forwarding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The number that was dialled at first; `None` if it wants to stay private.
    pub from: Option<Uri>,
    /// `unconditional`, `user-busy`, `no-answer` … (the words of Diversion).
    pub reason: Option<String>,
}

/// One History-Info value.
#[derive(Clone, Debug)]
struct Entry {
    uri: Uri,
    /// `1.2.1` as numbers.
    index: Vec<u32>,
    /// The entry that this one was made of (`mp`, `rc`; RFC 7044 §5.1).
    made_of: Option<Vec<u32>>,
    /// Of the `cause` parameter (RFC 4458) or of Reason in the URI.
    cause: Option<u16>,
    private: bool,
}

/// The first number of History-Info: the entry that the first retargeting names, else the one with the lowest index (AUT-09).
pub fn history_first(invite: &Message) -> Option<Uri> {
    first(&entries(invite)).map(|entry| entry.uri.clone())
}

/// The last Diversion value: the party that diverted first (RFC 5806 §4.1).
pub fn diversion_first(invite: &Message) -> Option<Uri> {
    diversion(invite).map(|value| value.uri)
}

/// Whether and by whom the call was forwarded at first (AUT-10): Diversion, else History-Info with a retargeting in it.
pub fn forwarded(invite: &Message) -> Option<Forwarded> {
    if let Some(value) = diversion(invite) {
        let reason = value.param("reason").flatten().map(word);
        let private = value.param("privacy").flatten().is_some_and(|p| !p.eq_ignore_ascii_case("off"));
        return Some(Forwarded { from: (!private).then_some(value.uri), reason });
    }
    let entries = entries(invite);
    let from = first(&entries)?;
    // The entry that the retargeting made tells why.
    let why = entries.iter().find(|entry| entry.made_of.as_ref() == Some(&from.index) || entry.cause.is_some())?;
    let cause = why.cause.or_else(|| entries.iter().find_map(|entry| entry.cause));
    let private = from.private || invite.values(&Name::Privacy).iter().any(|v| has_word(v, "history"));
    let reason = cause.map(|cause| reason_of(cause).to_owned());
    Some(Forwarded { from: (!private).then(|| from.uri.clone()), reason })
}

fn diversion(invite: &Message) -> Option<NameAddr> {
    invite.values(&Name::Diversion).iter().rev().take(MAX_ENTRIES).find_map(|value| NameAddr::parse(value).ok())
}

fn entries(invite: &Message) -> Vec<Entry> {
    let mut entries: Vec<Entry> =
        invite.values(&Name::HistoryInfo).iter().take(MAX_ENTRIES).filter_map(|value| entry(value)).collect();
    entries.sort_by(|a, b| a.index.cmp(&b.index));
    entries
}

fn first(entries: &[Entry]) -> Option<&Entry> {
    let named = entries.iter().find_map(|entry| entry.made_of.as_ref());
    named.and_then(|index| entries.iter().find(|entry| entry.index == *index)).or_else(|| entries.first())
}

fn entry(value: &str) -> Option<Entry> {
    let address = NameAddr::parse(value).ok()?;
    let index = index(address.param("index").flatten().unwrap_or("1"))?;
    let made_of = ["mp", "rc"].iter().find_map(|name| address.param(name).flatten()).and_then(self::index);
    let headers = decoded(address.uri.headers().unwrap_or_default());
    let cause =
        address.uri.param("cause").flatten().and_then(|cause| cause.parse().ok()).or_else(|| cause_in(&headers));
    let private = has_word(headers.split('&').find_map(|h| h.strip_prefix("Privacy=")).unwrap_or_default(), "history");
    Some(Entry { uri: address.uri, index, made_of, cause, private })
}

fn index(text: &str) -> Option<Vec<u32>> {
    let numbers: Vec<u32> =
        text.split('.').take(MAX_INDEX + 1).map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    (numbers.len() <= MAX_INDEX).then_some(numbers)
}

/// `Reason=SIP;cause=302;text="…"` of the embedded headers.
fn cause_in(headers: &str) -> Option<u16> {
    let reason = headers.split('&').find_map(|header| header.strip_prefix("Reason="))?;
    let digits = reason.split(';').find_map(|part| part.trim().strip_prefix("cause="))?;
    digits.trim().parse().ok()
}

/// %-escapes of the embedded headers; what is no escape stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn has_word(list: &str, word: &str) -> bool {
    list.split([';', ',']).any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// Causes of RFC 4458 and RFC 7044 in the words of RFC 5806.
fn reason_of(cause: u16) -> &'static str {
    match cause {
        302 => "unconditional",
        486 => "user-busy",
        408 => "no-answer",
        480 | 487 => "deflection",
        503 => "unavailable",
        404 => "unknown",
        _ => "other",
    }
}

fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect::<String>().to_ascii_lowercase()
}
