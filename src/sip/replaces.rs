//! Replaces (RFC 3891): the dialog that a new call takes over; and how it stands in a Refer-To (RFC 5589 §7).

use super::headers::{HeaderError, Name};
use super::lexer;
use super::message::Message;
use super::uri::Uri;

/// A dialog as the receiver of the header knows it: `to_tag` is the receiver's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
    pub to_tag: String,
    pub from_tag: String,
    /// Only while it has not been answered.
    pub early_only: bool,
}

impl Replaces {
    fn from_value(value: &[u8]) -> Result<Replaces, &'static str> {
        let mut pieces = lexer::params(value);
        let Some((call_id, None)) = pieces.next() else { return Err("no Call-ID") };
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for (name, value) in pieces {
            let tag = value.map(lexer::text).filter(|tag| !tag.is_empty());
            if name.eq_ignore_ascii_case(b"to-tag") {
                to_tag = Some(tag.filter(|_| to_tag.is_none()).ok_or("a to-tag too many, or empty")?);
            } else if name.eq_ignore_ascii_case(b"from-tag") {
                from_tag = Some(tag.filter(|_| from_tag.is_none()).ok_or("a from-tag too many, or empty")?);
            } else if name.eq_ignore_ascii_case(b"early-only") {
                early_only = true;
            }
        }
        let (Some(to_tag), Some(from_tag)) = (to_tag, from_tag) else { return Err("a tag is missing") };
        if call_id.is_empty() {
            return Err("no Call-ID");
        }
        Ok(Replaces { call_id: lexer::text(call_id), to_tag, from_tag, early_only })
    }

    /// Refer-To of an attended transfer: whoever calls `target` takes this dialog over.
    pub fn refer_to(&self, target: &Uri) -> String {
        let target = target.as_str();
        let joint = if target.contains('?') { '&' } else { '?' };
        format!("<{target}{joint}Replaces={}>", escaped(&self.to_string()))
    }
}

impl std::fmt::Display for Replaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only {
            f.write_str(";early-only")?;
        }
        Ok(())
    }
}

impl Message {
    pub fn replaces(&self) -> Option<Result<Replaces, HeaderError>> {
        let value = self.raw_lines(&Name::Replaces).next()?;
        Some(Replaces::from_value(value).map_err(|why| HeaderError::new(&Name::Replaces, why)))
    }
}

/// A header's value as it stands in a URI: all but unreserved characters escaped (RFC 3261 §25.1 hvalue).
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XFR-07: read leniently, but both tags must be there, once.
    #[test]
    fn values() {
        let read = Replaces::from_value(b"98732@sip.example.com ; From-Tag=r33th4x0r;to-tag=ff87ff ; early-only;x=y");
        let read = read.expect("a dialog");
        assert_eq!((read.call_id.as_str(), read.to_tag.as_str()), ("98732@sip.example.com", "ff87ff"));
        assert_eq!((read.from_tag.as_str(), read.early_only), ("r33th4x0r", true));
        assert_eq!(read.to_string(), "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only");
        for wrong in ["", "c", "c;to-tag=a", "c;from-tag=a", "c;to-tag;from-tag=a", ";to-tag=a;from-tag=b"] {
            assert!(Replaces::from_value(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Replaces::from_value(b"c;to-tag=a;to-tag=b;from-tag=c").is_err());
    }

    /// XFR-05: escaped exactly; headers that the target has already stay.
    #[test]
    fn refer_to() {
        let replaces =
            Replaces { call_id: "a%b@h:1".into(), to_tag: "t+1".into(), from_tag: "f".into(), early_only: false };
        let uri = |text| Uri::parse(text).expect("a URI");
        assert_eq!(
            replaces.refer_to(&uri("sip:bob@192.0.2.9;transport=tcp")),
            "<sip:bob@192.0.2.9;transport=tcp?Replaces=a%25b%40h%3A1%3Bto-tag%3Dt%2B1%3Bfrom-tag%3Df>"
        );
        assert!(replaces.refer_to(&uri("sip:b@h?Subject=x")).starts_with("<sip:b@h?Subject=x&Replaces=a%25b"));
    }
}
