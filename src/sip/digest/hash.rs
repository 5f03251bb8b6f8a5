//! The digest of RFC 7616 §3.4 over MD5, SHA-256 and SHA-512-256, and the HMAC of our nonces. The door of the hash crates.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

/// An algorithm of the `algorithm` parameter (RFC 7616 §3.3, RFC 8760 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Algorithm {
    hash: Hash,
    /// HA1 is bound to nonce and cnonce.
    pub session: bool,
}

impl Algorithm {
    pub const MD5: Algorithm = Algorithm { hash: Hash::Md5, session: false };
    #[cfg(test)]
    pub const SHA256: Algorithm = Algorithm { hash: Hash::Sha256, session: false };

    /// `None`: one that we do not have.
    pub fn parse(token: &str) -> Option<Algorithm> {
        let token = token.to_ascii_uppercase();
        let (name, session) = token.strip_suffix("-SESS").map_or((token.as_str(), false), |name| (name, true));
        let hash = match name {
            "MD5" => Hash::Md5,
            "SHA-256" => Hash::Sha256,
            "SHA-512-256" => Hash::Sha512_256,
            _ => return None,
        };
        Some(Algorithm { hash, session })
    }

    /// Higher is better; the two of the SHA-2 family are equals.
    pub fn strength(self) -> u8 {
        match self.hash {
            Hash::Md5 => 0,
            Hash::Sha256 | Hash::Sha512_256 => 1,
        }
    }

    fn hex(self, text: &[u8]) -> String {
        match self.hash {
            Hash::Md5 => hex(&Md5::digest(text)),
            Hash::Sha256 => hex(&Sha256::digest(text)),
            Hash::Sha512_256 => hex(&Sha512_256::digest(text)),
        }
    }
}

/// Everything a response is made of. Texts are as they stand between the quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digested<'a> {
    pub user: &'a str,
    pub realm: &'a str,
    pub password: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    pub nonce: &'a str,
    pub qop: Option<Qop<'a>>,
    /// Also used by the `-sess` algorithms without qop.
    pub cnonce: &'a str,
}

/// Quality of protection, with what it adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qop<'a> {
    /// 8 hex digits as written.
    pub nc: &'a str,
    /// `auth-int`: the body is part of it.
    pub body: Option<&'a [u8]>,
}

impl Qop<'_> {
    pub fn token(&self) -> &'static str {
        if self.body.is_some() { "auth-int" } else { "auth" }
    }
}

impl Digested<'_> {
    /// The `response` parameter: lower-case hex digits (RFC 7616 §3.4.1–3).
    pub fn response(&self, algorithm: Algorithm) -> String {
        let h = |text: &str| algorithm.hex(text.as_bytes());
        let Digested { user, realm, password, method, uri, nonce, cnonce, .. } = self;
        let mut ha1 = h(&format!("{user}:{realm}:{password}"));
        if algorithm.session {
            ha1 = h(&format!("{ha1}:{nonce}:{cnonce}"));
        }
        let ha2 = match self.qop.and_then(|qop| qop.body) {
            Some(body) => h(&format!("{method}:{uri}:{}", algorithm.hex(body))),
            None => h(&format!("{method}:{uri}")),
        };
        match self.qop {
            Some(qop) => h(&format!("{ha1}:{nonce}:{}:{cnonce}:{}:{ha2}", qop.nc, qop.token())),
            None => h(&format!("{ha1}:{nonce}:{ha2}")),
        }
    }
}

/// The first 128 bits of an HMAC-SHA-256 over the parts, as 32 hex digits. Parts are told apart by their lengths.
pub(super) fn keyed(secret: &[u8; 32], parts: &[&[u8]]) -> String {
    let mut text = hex(&hmac_sha256(secret, parts));
    text.truncate(32);
    text
}

/// HMAC-SHA-256 (RFC 2104) over the parts, which are told apart by their lengths.
pub(in crate::sip) fn hmac_sha256(secret: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than the block is filled up with zeros (RFC 2104 §2).
    let mut block = [0; 64];
    block[..secret.len()].copy_from_slice(secret);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether two texts are the same, in a time that depends on the length of the first only.
pub(super) fn same(expected: &str, given: &str) -> bool {
    let given = given.as_bytes();
    let differ = expected.bytes().enumerate().fold(expected.len() ^ given.len(), |differ, (i, b)| {
        differ | usize::from(b ^ given.get(i).copied().unwrap_or(!b))
    });
    std::hint::black_box(differ) == 0
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUT-03: RFC 7616 §3.9.1 (MD5 and SHA-256) and §3.9.2 (SHA-512-256, with the values of erratum 4897).
    #[test]
    fn vectors_of_rfc_7616() {
        let mufasa = Digested {
            user: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop: Some(Qop { nc: "00000001", body: None }),
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        };
        assert_eq!(mufasa.response(Algorithm::MD5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            mufasa.response(Algorithm::SHA256),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
        let doe = Digested {
            user: "Jäsøn Doe",
            realm: "api@example.org",
            password: "Secret, or not?",
            method: "GET",
            uri: "/doe.json",
            nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            qop: Some(Qop { nc: "00000001", body: None }),
            cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        };
        let sha_512_256 = Algorithm::parse("sha-512-256").expect("known");
        assert_eq!(doe.response(sha_512_256), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
    }

    /// AUT-03: RFC 2617 §3.5 and the form without qop (RFC 2069), and RFC 8760's algorithms by name.
    #[test]
    fn older_forms() {
        let mut mufasa = Digested {
            user: "Mufasa",
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: Some(Qop { nc: "00000001", body: None }),
            cnonce: "0a4f113b",
        };
        assert_eq!(mufasa.response(Algorithm::MD5), "6629fae49393a05397450978507c4ef1");
        mufasa.qop = None;
        assert_eq!(mufasa.response(Algorithm::MD5), "670fd8c2df070c60b045671b8b24ff02");
        assert_eq!(Algorithm::parse("md5-SESS"), Some(Algorithm { hash: Hash::Md5, session: true }));
        assert_eq!(Algorithm::parse("SHA-1"), None);
        let session = Algorithm::parse("MD5-sess").expect("known");
        assert_ne!(mufasa.response(session), mufasa.response(Algorithm::MD5));
    }

    #[test]
    fn comparison() {
        assert!(same("abc", "abc") && same("", ""));
        for (a, b) in [("abc", "abd"), ("abc", "ab"), ("abc", "abcd"), ("", "a"), ("a", "")] {
            assert!(!same(a, b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn keyed_parts_are_told_apart() {
        let secret = [7; 32];
        assert_eq!(keyed(&secret, &[b"ab", b"c"]).len(), 32);
        assert_ne!(keyed(&secret, &[b"ab", b"c"]), keyed(&secret, &[b"a", b"bc"]));
        assert_ne!(keyed(&secret, &[b"ab"]), keyed(&[8; 32], &[b"ab"]));
    }
}
