//! Reads the values of WWW-Authenticate, Proxy-Authenticate, Authorization (RFC 7616 §3.3, §3.4, RFC 3261 §20.7, §20.44).
//!
//! In: header lines; one may hold several challenges, as HTTP allows and some proxies do. Out: parameters as they stand between
//! the quotes, escapes kept: the hash is over those (`unq` of RFC 7616 §1.2), and they go back byte for byte.

use super::hash::Algorithm;
use crate::sip::lexer;

/// Most challenges of one line, and most parameters of one.
const MOST: usize = 16;
/// Longest realm, nonce or opaque: more is no challenge of an honest server.
const LONGEST: usize = 2048;

/// One `Digest` challenge or answer: its parameters by lower-case name.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// The `Digest` entries of one header line; other schemes are left out.
pub(super) fn digests(line: &[u8]) -> Vec<Params> {
    let mut found: Vec<(bool, Params)> = Vec::new();
    for piece in lexer::Split::new(line, b',') {
        let mut piece = lexer::trim(piece);
        if let Some((scheme, rest)) = scheme(piece) {
            if found.len() == MOST {
                break;
            }
            found.push((scheme.eq_ignore_ascii_case(b"Digest"), Params(Vec::new())));
            piece = rest;
        }
        if let (Some((name, value)), Some((_, params))) = (lexer::cut(piece, b'='), found.last_mut())
            && params.0.len() < MOST
        {
            let name = lexer::text(name).to_ascii_lowercase();
            params.0.push((name, unquoted(value)));
        }
    }
    found.into_iter().filter(|(digest, _)| *digest).map(|(_, params)| params).collect()
}

/// `Digest realm="x"` → the scheme and the rest; `realm = "x"` begins with none.
fn scheme(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = piece.iter().position(|b| !lexer::is_token_byte(*b)).unwrap_or(piece.len());
    let (token, rest) = piece.split_at(end);
    let after = lexer::trim_start(rest);
    let follows = rest.is_empty() || (after.len() < rest.len() && after.first() != Some(&b'='));
    (follows && lexer::is_token(token)).then_some((token, after))
}

/// Without the quotes, with the escapes.
fn unquoted(value: &[u8]) -> String {
    let value = lexer::text(value);
    let inner = value.strip_prefix('"').map(|inner| inner.strip_suffix('"').unwrap_or(inner));
    inner.map_or_else(|| value.clone(), str::to_owned)
}

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// From Proxy-Authenticate.
    pub proxy: bool,
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    /// The parameter as written, if it was there.
    pub written: Option<String>,
    pub qop: Offered,
    pub stale: bool,
}

/// What the challenge offers as qop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// No parameter: the form of RFC 2069.
    Absent,
    Auth,
    /// Nothing else that we have.
    AuthInt,
}

impl Challenge {
    /// `None`: an algorithm or qop that we do not have, or no realm or nonce.
    pub fn of(proxy: bool, params: &Params) -> Option<Challenge> {
        let written = params.get("algorithm").map(str::to_owned);
        let algorithm = written.as_deref().map_or(Some(Algorithm::MD5), Algorithm::parse)?;
        let qop = match params.get("qop") {
            None => Offered::Absent,
            Some(list) => {
                let has = |token: &str| list.split(',').any(|t| t.trim().eq_ignore_ascii_case(token));
                match (has("auth"), has("auth-int")) {
                    (true, _) => Offered::Auth,
                    (false, true) => Offered::AuthInt,
                    (false, false) => return None,
                }
            }
        };
        let short = |name: &str| params.get(name).filter(|value| value.len() <= LONGEST).map(str::to_owned);
        Some(Challenge {
            proxy,
            realm: short("realm")?,
            nonce: short("nonce")?,
            opaque: short("opaque"),
            algorithm,
            written,
            qop,
            stale: params.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<Challenge> {
        digests(line.as_bytes()).iter().filter_map(|params| Challenge::of(false, params)).collect()
    }

    /// AUT-03: spacing, order, quoted commas and escapes, an algorithm in quotes, the qop forms.
    #[test]
    fn challenges() {
        let odd = r#"digest  realm = "a, \"b\"" ,nonce="n==",  qop="auth-int, auth",STALE=TRUE , opaque="" ,algorithm="sha-256""#;
        let read_one = &read(odd)[0];
        assert_eq!((read_one.realm.as_str(), read_one.nonce.as_str()), (r#"a, \"b\""#, "n=="));
        assert_eq!((read_one.qop, read_one.stale, read_one.opaque.as_deref()), (Offered::Auth, true, Some("")));
        assert_eq!(read_one.algorithm, Algorithm::SHA256);
        let plain = &read(r#"Digest nonce=abc,realm=x"#)[0];
        assert_eq!((plain.qop, plain.algorithm, plain.written.as_deref()), (Offered::Absent, Algorithm::MD5, None));
        assert_eq!(read(r#"Digest realm="x",nonce="y",qop="auth-int""#)[0].qop, Offered::AuthInt);
    }

    /// Several challenges in one line, other schemes between them.
    #[test]
    fn a_list_of_challenges() {
        let line = r#"Basic realm="x", Digest realm="a", nonce="1", NTLM, Digest realm="b", nonce="2", algorithm=MD5"#;
        let realms: Vec<_> = read(line).into_iter().map(|c| (c.realm, c.nonce)).collect();
        assert_eq!(realms, [("a".into(), "1".into()), ("b".into(), "2".into())]);
    }

    #[test]
    fn what_is_no_challenge() {
        let long = "x".repeat(LONGEST + 1);
        for line in [
            "",
            "Digest",
            r#"Digest realm="x""#,
            r#"Digest nonce="x""#,
            r#"Digest realm="x",nonce="y",algorithm=SHA-1"#,
            r#"Digest realm="x",nonce="y",qop="token""#,
            r#"Basic realm="x",nonce="y""#,
            &format!(r#"Digest realm="x",nonce="{long}""#),
        ] {
            assert_eq!(read(line), [], "{line}");
        }
        assert!(digests(&b"Digest a=b,".repeat(600)).len() <= MOST);
    }
}
