//! %-decoding and comparison of URIs (RFC 3261 §19.1.4, RFC 3966 §4). Linear in their length: the work that is not is capped
//! by [`MAX_COMPARED`].

use super::uri::Uri;
use std::collections::BTreeMap;

/// Most parameters and headers of a URI that are compared one by one; URIs with more are the same only in the same text.
const MAX_COMPARED: usize = 64;

/// Decodes %-escapes; one that is none stays as it is. Lossy UTF-8.
pub(super) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = escapes(text).map(|(byte, _)| byte).collect::<Vec<u8>>();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The bytes of a text, escapes decoded; the flag tells which were escaped.
fn escapes(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let hex = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        if let [b'%', high, low, tail @ ..] = rest
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            rest = tail;
            return Some((high << 4 | low, true));
        }
        let (first, tail) = rest.split_first()?;
        rest = tail;
        Some((*first, false))
    })
}

/// A form in which equal texts are equal bytes: an escaped unreserved character is the character itself, an escaped
/// reserved one is not (RFC 3261 §19.1.4).
fn normal(text: &str, fold_case: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (byte, escaped) in escapes(text) {
        if escaped && !(byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(if fold_case { byte.to_ascii_lowercase() } else { byte });
        }
    }
    out
}

pub(super) fn equivalent(a: &Uri, b: &Uri) -> bool {
    if a.as_str() == b.as_str() {
        return true;
    }
    if has_too_many(a) || has_too_many(b) {
        return false;
    }
    if !a.scheme().eq_ignore_ascii_case(b.scheme()) {
        return false;
    }
    match a.scheme() {
        "sip" | "sips" => sip(a, b),
        "tel" => tel(a, b),
        _ => a.as_str().split_once(':').map(|(_, rest)| rest) == b.as_str().split_once(':').map(|(_, rest)| rest),
    }
}

fn has_too_many(uri: &Uri) -> bool {
    let headers = uri.headers().unwrap_or_default().split('&');
    uri.params().nth(MAX_COMPARED).is_some() || headers.into_iter().nth(MAX_COMPARED).is_some()
}

fn sip(a: &Uri, b: &Uri) -> bool {
    let user = |u: &Uri| u.userinfo().map(|t| normal(t, false));
    let host = |u: &Uri| u.host().map(str::to_ascii_lowercase);
    let same_host = match (a.host_ip(), b.host_ip()) {
        (Some(a), Some(b)) => a == b,
        _ => host(a) == host(b),
    };
    if user(a) != user(b) || !same_host || a.port() != b.port() || headers(a) != headers(b) {
        return false;
    }
    let (a, b) = (params(a), params(b));
    // These five must be in both or in neither; any other counts only where both have it.
    let strict = |name: &[u8]| matches!(name, b"user" | b"ttl" | b"method" | b"maddr" | b"transport");
    let agrees =
        |x: &Params, y: &Params| x.iter().all(|(name, value)| y.get(name).map_or(!strict(name), |v| v == value));
    agrees(&a, &b) && agrees(&b, &a)
}

fn tel(a: &Uri, b: &Uri) -> bool {
    let number = |u: &Uri| {
        let text = decode(u.user().unwrap_or_default()).to_ascii_lowercase();
        text.chars().filter(|c| !"-.()".contains(*c)).collect::<String>()
    };
    number(a) == number(b) && params(a) == params(b)
}

type Params = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn params(uri: &Uri) -> Params {
    uri.params().map(|(name, value)| (normal(name, true), value.map(|v| normal(v, true)))).collect()
}

/// The header part as a sorted list: order does not matter, number and values do.
fn headers(uri: &Uri) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = uri.headers().unwrap_or_default().split('&').filter(|h| !h.is_empty());
    let mut all: Vec<_> = pairs
        .map(|h| h.split_once('=').unwrap_or((h, "")))
        .map(|(name, value)| (normal(name, true), normal(value, false)))
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A10: more parameters than anybody has are not compared one by one.
    #[test]
    fn many_parameters_are_the_same_only_as_text() {
        let uri = |n: usize, tail: &str| Uri::parse(&format!("sip:a@b{}{tail}", ";x=1".repeat(n))).expect("a URI");
        assert!(uri(60, ";Y=2").equivalent(&uri(60, ";y=2")));
        assert!(!uri(64, ";Y=2").equivalent(&uri(64, ";y=2")));
        assert!(uri(64, ";y=2").equivalent(&uri(64, ";y=2")));
    }

    /// PAR-12: the comparisons of RFC 3261 §19.1.4.
    #[test]
    fn comparison_of_the_rfc() {
        let rows = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
                true,
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
                true,
            ),
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false),
            ("sip:a%3Bb@h", "sip:a;b@h", false),
            ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0::1]", true),
            ("sips:a@h", "sip:a@h", false),
            ("tel:+1-201-555-0123", "TEL:+1(201)5550123", true),
            ("tel:123;phone-context=a.com", "tel:123;phone-context=b.com", false),
            ("urn:x:Y", "URN:x:Y", true),
        ];
        for (a, b, same) in rows {
            let (a, b) = (Uri::parse(a).expect(a), Uri::parse(b).expect(b));
            assert_eq!(a.equivalent(&b), same, "{a} {b}");
            assert_eq!(b.equivalent(&a), same, "{b} {a}");
        }
    }
}
