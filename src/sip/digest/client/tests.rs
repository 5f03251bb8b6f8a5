use super::*;
use crate::observe::pii::Pii;
use crate::sip::digest::challenge::Params;
use crate::sip::digest::hash::Algorithm;
use crate::sip::message::Builder;

const ASKED: Asked<'_> = Asked { method: "REGISTER", uri: "sip:example.com;transport=UDP", body: b"body" };

fn own(realm: Option<&str>, user: &str) -> Credentials {
    Credentials { realm: realm.map(Into::into), user: user.into(), password: Pii("secret".into()) }
}

fn refusal(lines: &[(Name, &str)]) -> Message {
    let request = Builder::request(&crate::sip::message::Method::Register, "sip:example.com").build();
    let response = Builder::response(&request, 401, "", None);
    lines.iter().fold(response, |r, (name, value)| r.header(name.clone(), value)).build()
}

fn www(line: &str) -> Message {
    refusal(&[(Name::WwwAuthenticate, line)])
}

struct Bench {
    client: Client,
    random: Random,
    credentials: Vec<Credentials>,
    answered: Answered,
}

impl Bench {
    fn new(credentials: Vec<Credentials>) -> Bench {
        let (client, random) = (Client::default(), Random::new(1));
        Bench { client, random, credentials, answered: Answered::default() }
    }
    fn lines(&mut self, response: &Message) -> Option<Vec<(Name, String)>> {
        self.client.answer(&mut self.answered, &self.credentials, response, ASKED, &mut self.random)
    }
    fn one(&mut self, response: &Message) -> Params {
        let lines = self.lines(response).expect("an answer");
        assert_eq!(lines.len(), 1);
        digests(lines[0].1.as_bytes()).remove(0)
    }
}

fn check(params: &Params, algorithm: Algorithm, body: Option<&[u8]>) {
    let get = |name| params.get(name).unwrap_or_default();
    let qop = params.get("qop").map(|_| Qop { nc: get("nc"), body });
    let digested = Digested {
        user: get("username"),
        realm: get("realm"),
        password: "secret",
        method: "REGISTER",
        uri: ASKED.uri,
        nonce: get("nonce"),
        qop,
        cnonce: get("cnonce"),
    };
    assert_eq!(get("response"), digested.response(algorithm));
    assert_eq!(get("uri"), ASKED.uri);
}

/// AUT-03: of several algorithms for a realm the strongest that we have; nc of 8 hex digits rises with each use of a nonce.
#[test]
fn strongest_algorithm_and_rising_count() {
    let offers = refusal(&[
        (Name::WwwAuthenticate, r#"Digest realm="r", nonce="n1", algorithm=MD5, qop="auth""#),
        (
            Name::WwwAuthenticate,
            r#"Digest realm="r", nonce="n2", algorithm=SHA-256, qop="auth,auth-int", opaque="o\"p""#,
        ),
        (Name::WwwAuthenticate, r#"Digest realm="r", nonce="n3", algorithm=SHA-512-256, qop="auth""#),
        (Name::WwwAuthenticate, r#"Digest realm="r", nonce="n4", algorithm=SHA-1024, qop="auth""#),
    ]);
    let mut bench = Bench::new(vec![own(None, "bob")]);
    let first = bench.one(&offers);
    check(&first, Algorithm::SHA256, None);
    assert_eq!((first.get("nc"), first.get("nonce"), first.get("qop")), (Some("00000001"), Some("n2"), Some("auth")));
    assert_eq!((first.get("opaque"), first.get("algorithm")), (Some(r#"o\"p"#), Some("SHA-256")));
    bench.answered = Answered::default();
    let second = bench.one(&offers);
    check(&second, Algorithm::SHA256, None);
    assert_eq!(second.get("nc"), Some("00000002"));
    assert_ne!(second.get("cnonce"), first.get("cnonce"));
}

/// AUT-03: the form without qop keeps no nc and no cnonce, and no algorithm that was not there; auth-int only where there is
/// nothing else.
#[test]
fn forms_of_qop() {
    let mut bench = Bench::new(vec![own(None, "b\"o\\b")]);
    let line = bench.lines(&www(r#"Digest realm="r", nonce="n""#)).expect("an answer").remove(0).1;
    assert!(line.starts_with(r#"Digest username="b\"o\\b", realm="r", nonce="n", uri=""#), "{line}");
    for absent in ["qop", "nc=", "cnonce", "algorithm", "opaque"] {
        assert!(!line.contains(absent), "{line}");
    }
    let mut bench = Bench::new(vec![own(None, "bob")]);
    check(&bench.one(&www(r#"Digest realm="q", nonce="n", qop="auth-int""#)), Algorithm::MD5, Some(b"body"));
    let both = refusal(&[
        (Name::WwwAuthenticate, r#"Digest realm="s", nonce="1", algorithm=SHA-256, qop="auth-int""#),
        (Name::WwwAuthenticate, r#"Digest realm="s", nonce="2", algorithm=MD5, qop="auth""#),
    ]);
    let mut bench = Bench::new(vec![own(None, "bob")]);
    assert_eq!(bench.one(&both).get("nonce"), Some("2"));
    let mut bench = Bench::new(vec![own(None, "bob")]);
    let session = bench.one(&www(r#"Digest realm="r", nonce="n", algorithm=MD5-sess"#));
    check(&session, Algorithm::parse("MD5-sess").expect("known"), None);
    assert!(session.get("cnonce").is_some());
}

/// AUT-03: one retry a challenge; `stale=true` with a new nonce is another challenge, but not for ever.
#[test]
fn one_retry_and_stale() {
    let mut bench = Bench::new(vec![own(None, "bob")]);
    assert!(bench.lines(&www(r#"Digest realm="r", nonce="1""#)).is_some());
    assert!(bench.lines(&www(r#"Digest realm="r", nonce="2""#)).is_none(), "the password is wrong");
    assert!(bench.lines(&www(r#"Digest realm="r", nonce="1", stale=true"#)).is_none(), "the same nonce");
    assert_eq!(bench.one(&www(r#"Digest realm="r", nonce="2", stale=true"#)).get("nonce"), Some("2"));
    assert!(bench.lines(&www(r#"Digest realm="r", nonce="3", stale=TRUE"#)).is_some());
    assert!(bench.lines(&www(r#"Digest realm="r", nonce="4", stale=true"#)).is_none(), "no end of it");
}

/// AUT-03: several realms in one request: the proxy's answer stays when the registrar asks too.
#[test]
fn several_realms() {
    let mut bench = Bench::new(vec![own(Some("edge"), "line1"), own(Some("core"), "bob")]);
    let first = bench.lines(&refusal(&[(Name::ProxyAuthenticate, r#"Digest realm="edge", nonce="e", qop="auth""#)]));
    assert_eq!(first.expect("an answer")[0].0, Name::ProxyAuthorization);
    let both = bench.lines(&www(r#"Digest realm="core", nonce="c", qop="auth""#)).expect("an answer");
    let told: Vec<_> = both
        .iter()
        .map(|(name, line)| {
            let params = digests(line.as_bytes()).remove(0);
            let get = |p: &str| params.get(p).unwrap_or_default().to_owned();
            (name.as_str(), get("username"), get("nc"))
        })
        .collect();
    let expected = [
        ("Proxy-Authorization", "line1".to_owned(), "00000002".to_owned()),
        ("Authorization", "bob".to_owned(), "00000001".to_owned()),
    ];
    assert_eq!(told, expected);
}

/// AUT-04: credentials of one realm are for that realm; the same realm's own go first.
#[test]
fn realms_decide() {
    let mut bench = Bench::new(vec![own(Some("core"), "bob")]);
    assert!(bench.lines(&www(r#"Digest realm="evil", nonce="1""#)).is_none());
    assert!(bench.lines(&www(r#"Digest realm="CORE", nonce="1""#)).is_none(), "a realm is case-sensitive");
    let mut bench = Bench::new(vec![own(None, "any"), own(Some(r#"a "b""#), "named")]);
    assert_eq!(bench.one(&www(r#"Digest realm="a \"b\"", nonce="1""#)).get("username"), Some("named"));
    let mut bench = Bench::new(Vec::new());
    assert!(bench.lines(&www(r#"Digest realm="x", nonce="1""#)).is_none());
}

/// The table of counts is bounded.
#[test]
fn counts_are_bounded() {
    let mut bench = Bench::new(vec![own(None, "bob")]);
    for n in 0..1000 {
        bench.answered = Answered::default();
        assert!(bench.lines(&www(&format!(r#"Digest realm="r", nonce="{n}", qop="auth""#))).is_some());
    }
    assert_eq!(bench.client.used.len(), MOST_NONCES);
}
