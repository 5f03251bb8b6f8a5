//! name-addr and addr-spec with header parameters (RFC 3261 §20.10, §25.1).
//!
//! In: one value of From, To, Contact, Route … Out: [`NameAddr`], or a borrowed view for checks without copies.
//! Without angle brackets everything past the first `;` is a header parameter, and `?` and `,` are refused.

use super::headers::{NameAddr, Quoted};
use super::lexer::{self, is_lws, trim};
use super::uri::{self, Uri};

/// The pieces of a value, as written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces<'a> {
    /// Trimmed, still quoted; empty when absent.
    pub(crate) display: &'a [u8],
    pub(crate) uri: &'a [u8],
    /// From the first `;`, or empty.
    pub(crate) params: &'a [u8],
}

/// Finds the pieces of one value.
pub(crate) fn pieces(value: &[u8]) -> Result<Pieces<'_>, &'static str> {
    let value = trim(value);
    let (display, rest) = if value.first() == Some(&b'"') {
        let end = lexer::quoted_end(value).ok_or("a quoted string that does not end")?;
        let (display, rest) = value.split_at(end);
        let rest = lexer::trim_start(rest);
        if rest.first() != Some(&b'<') {
            return Err("a display name without an address in angle brackets");
        }
        (display, rest)
    } else {
        match value.iter().position(|b| matches!(b, b'<' | b';')) {
            Some(at) if value.get(at) == Some(&b'<') => {
                let (display, rest) = value.split_at(at);
                (trim(display), rest)
            }
            at => return addr_spec(value, at.unwrap_or(value.len())),
        }
    };
    if display.first() != Some(&b'"') && display.iter().any(|b| matches!(b, b',' | b'"' | b'>')) {
        return Err("a display name with a character that must be quoted");
    }
    let inner = rest.strip_prefix(b"<").unwrap_or(rest);
    let (uri, rest) = lexer::cut(inner, b'>').ok_or("an angle bracket that does not close")?;
    if uri.iter().any(|b| is_lws(*b)) {
        return Err("white space inside angle brackets");
    }
    let params = trim(rest);
    if !matches!(params.first(), None | Some(b';')) {
        return Err("junk after an address");
    }
    Ok(Pieces { display, uri, params })
}

fn addr_spec(value: &[u8], end: usize) -> Result<Pieces<'_>, &'static str> {
    let (uri, params) = value.split_at(end);
    let uri = trim(uri);
    if uri.iter().any(|b| matches!(b, b',' | b'?')) {
        return Err("a URI with , or ? outside angle brackets");
    }
    Ok(Pieces { display: b"", uri, params })
}

/// Checks a value as [`NameAddr::from_value`] reads it, without copying it.
pub(crate) fn check(value: &[u8]) -> Result<(), &'static str> {
    let pieces = pieces(value)?;
    uri::check(&String::from_utf8_lossy(pieces.uri)).map_err(|e| e.0)?;
    check_params(pieces.params)
}

/// Most parameters of one value.
const MAX_PARAMS: usize = 256;

pub(crate) fn check_params(params: &[u8]) -> Result<(), &'static str> {
    checked(params).try_for_each(|param| param.map(|_| ()))
}

/// The parameters, each judged; an error in place of the 257th.
fn checked(params: &[u8]) -> impl Iterator<Item = Result<(&[u8], Option<&[u8]>), &'static str>> {
    lexer::params(params).take(MAX_PARAMS + 1).enumerate().map(|(number, (name, value))| {
        if number == MAX_PARAMS {
            return Err("more than 256 parameters");
        }
        check_param(name, value).map(|()| (name, value))
    })
}

fn check_param(name: &[u8], value: Option<&[u8]>) -> Result<(), &'static str> {
    if name.is_empty() || name.iter().any(|b| is_lws(*b) || matches!(b, b'"' | b'<' | b'>' | b',')) {
        return Err("a parameter name that is none");
    }
    if let Some(value) = value.filter(|v| v.first() == Some(&b'"'))
        && lexer::quoted_end(value) != Some(value.len())
    {
        return Err("a quoted parameter that does not end");
    }
    Ok(())
}

impl NameAddr {
    /// Reads one value, as it stands in a header.
    pub fn parse(value: &str) -> Result<NameAddr, &'static str> {
        NameAddr::from_value(value.as_bytes())
    }

    pub(crate) fn from_value(value: &[u8]) -> Result<NameAddr, &'static str> {
        let pieces = pieces(value)?;
        let uri = Uri::parse(&String::from_utf8_lossy(pieces.uri)).map_err(|e| e.0)?;
        let display = (!pieces.display.is_empty()).then(|| lexer::unquoted(pieces.display));
        let owned = |(name, value): (&[u8], Option<&[u8]>)| (lexer::text(name), value.map(lexer::unquoted));
        let params = checked(pieces.params).map(|param| param.map(owned)).collect::<Result<_, _>>()?;
        Ok(NameAddr { display, uri, params })
    }
}

/// The header value: display name quoted, URI in angle brackets, parameters quoted where they are no token.
impl std::fmt::Display for NameAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", Quoted(display))?;
        }
        write!(f, "<{}>", self.uri)?;
        for (name, value) in &self.params {
            match value {
                None => write!(f, ";{name}")?,
                Some(v) if is_plain(v) => write!(f, ";{name}={v}")?,
                Some(v) => write!(f, ";{name}={}", Quoted(v))?,
            }
        }
        Ok(())
    }
}

/// A token or host: what a parameter value may be without quotes.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| lexer::is_token_byte(b) || b"[]:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> NameAddr {
        NameAddr::parse(value).unwrap_or_else(|e| panic!("{value}: {e}"))
    }

    /// PAR-01: RFC 4475 §3.3.12-13, a parameter belongs to the header or to the URI by the angle brackets.
    #[test]
    fn parameters_belong_by_angle_brackets() {
        let bare = read("sip:+19725552222@gw1.example.net;unknownparam");
        assert_eq!((bare.param("unknownparam"), bare.uri.param("unknownparam")), (Some(None), None));
        let inside = read("<sip:+19725552222@gw1.example.net;unknownparam>");
        assert_eq!((inside.param("unknownparam"), inside.uri.param("unknownparam")), (None, Some(None)));
    }

    /// PAR-04: odd spacing, folds, quoted names with escapes.
    #[test]
    fn odd_spacing_and_escapes() {
        let from = read("\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8");
        assert_eq!(from.display.as_deref(), Some("J Rosenberg \\\""));
        assert_eq!(from.tag(), Some("98asjd8"));
        let token = read("token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam=\"x;y\";TAG=z");
        assert_eq!(token.display.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
        assert_eq!((token.param("FROMPARAM"), token.tag()), (Some(Some("x;y")), Some("z")));
        assert_eq!(read("caller<sip:caller@example.com>;tag=323").display.as_deref(), Some("caller"));
        assert_eq!(
            read("<sip:a@h>;+sip.instance=\"<urn:uuid:0;x,y>\"").param("+sip.instance"),
            Some(Some("<urn:uuid:0;x,y>"))
        );
    }

    /// PAR-07, A10: the parameters of a value are counted before they are kept.
    #[test]
    fn parameters_are_capped() {
        let value = |n: usize| format!("<sip:a@h>{}", ";p=1".repeat(n));
        assert_eq!(read(&value(256)).params.len(), 256);
        assert_eq!(NameAddr::parse(&value(257)), Err("more than 256 parameters"));
        assert!(check(value(9_000).as_bytes()).is_err());
    }

    #[test]
    fn refused_addresses() {
        for value in [
            "",
            "\"Mr. J. User <sip:j.user@example.com>",
            "Bell, Alexander <sip:a@h>",
            "\"W\" < sip:t@h >",
            "sip:u@h?Route=%3Csip:h%3E",
            "<sip:a@h",
            "<sip:a@h> x",
            "\"x\" sip:a@h",
            "sip:a@h,sip:b@h",
            "<sip:a@h>;x=\"y",
            "*",
            "<>",
            "<sip:a@h>, <sip:b@h>",
        ] {
            assert!(NameAddr::parse(value).is_err(), "{value:?}");
            assert!(check(value.as_bytes()).is_err(), "{value:?}");
        }
    }

    #[test]
    fn display_reads_back() {
        let mut address = read("<sip:a@h;lr>;tag=1");
        address.display = Some("Eve \"\\\r\nX: y".into());
        address.params.push(("note".into(), Some("a;b \"c\"".into())));
        let again = read(&address.to_string());
        assert_eq!(again.display.as_deref(), Some("Eve \"\\  X: y"));
        assert_eq!((again.uri, again.params), (address.uri, address.params));
    }
}
