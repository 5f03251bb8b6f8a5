use super::*;
use crate::observe::pii::Pii;
use crate::sip::digest::client::{Answered, Asked, Client};
use crate::sip::message::{Builder, Method};
use crate::sip::random::Random;

const URI: &str = "sip:4711@192.0.2.10";

fn users() -> Vec<Credentials> {
    ["alice", "b\"ob"]
        .map(|user| Credentials { realm: None, user: user.into(), password: Pii(format!("{user}-secret")) })
        .into()
}

struct Bench {
    server: DigestServer,
    client: Client,
    random: Random,
    now: Instant,
    source: IpAddr,
    requests: u32,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            server: DigestServer::new([7; 32], "vox\"trunk"),
            client: Client::default(),
            random: Random::new(1),
            now: crate::net::clock::now(),
            source: "192.0.2.20".parse().expect("an address"),
            requests: 0,
        }
    }

    fn later(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }

    fn challenge(&mut self) -> Vec<(Name, String)> {
        self.server.challenge(self.now, self.source, false)
    }

    /// Authorization of the client for a challenge.
    fn answer(&mut self, challenge: &[(Name, String)], user: &str, password: &str, uri: &str) -> String {
        let own = Credentials { realm: None, user: user.into(), password: Pii(password.into()) };
        let refusal = challenge
            .iter()
            .fold(Builder::response(&self.request("", uri), 401, "", None), |r, (name, value)| {
                r.header(name.clone(), value)
            })
            .build();
        let asked = Asked { method: "INVITE", uri, body: b"" };
        let lines = self.client.answer(&mut Answered::default(), &[own], &refusal, asked, &mut self.random);
        lines.expect("an answer").remove(0).1
    }

    /// A request with a branch of its own.
    fn request(&mut self, authorization: &str, uri: &str) -> Message {
        self.requests += 1;
        let mut request = Builder::request(&Method::Invite, uri)
            .header(Name::Via, format!("SIP/2.0/UDP 192.0.2.20;branch=z9hG4bK{}", self.requests));
        if !authorization.is_empty() {
            request = request.header(Name::Authorization, authorization);
        }
        request.build()
    }

    fn verify(&mut self, request: &Message) -> Result<usize, Denied> {
        self.server.verify(self.now, self.source, request, &users())
    }

    /// A whole request with a fresh nonce.
    fn attempt(&mut self, user: &str, password: &str) -> Result<usize, Denied> {
        let challenge = self.challenge();
        let answer = self.answer(&challenge, user, password, URI);
        let request = self.request(&answer, URI);
        self.verify(&request)
    }
}

const REFUSED: Result<usize, Denied> = Err(Denied::Challenge { stale: false });
const STALE: Result<usize, Denied> = Err(Denied::Challenge { stale: true });

/// AUT-02: SHA-256 first, then MD5, qop=auth; either is taken, and says which user it is.
#[test]
fn challenge_and_answers() {
    let mut bench = Bench::new();
    let challenge = bench.challenge();
    assert_eq!(challenge.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["WWW-Authenticate"; 2]);
    for ((_, line), algorithm) in challenge.iter().zip(["SHA-256", "MD5"]) {
        assert!(line.starts_with(r#"Digest realm="vox\"trunk", nonce=""#), "{line}");
        assert!(line.ends_with(&format!(r#"algorithm={algorithm}, qop="auth""#)), "{line}");
    }
    assert_ne!(bench.challenge(), challenge, "a nonce is not given twice");
    let request = bench.request("", URI);
    assert_eq!(bench.verify(&request), REFUSED);
    assert_eq!(bench.attempt("b\"ob", "b\"ob-secret"), Ok(1));
    let md5 = [bench.challenge().remove(1)];
    let answer = bench.answer(&md5, "alice", "alice-secret", URI);
    let request = bench.request(&answer, URI);
    assert_eq!(bench.verify(&request), Ok(0));
}

/// AUT-02, A2: nc must rise; the same line in another request is a replay; a copy of the request passes for as long as its
/// transaction surely lives.
#[test]
fn replays() {
    let mut bench = Bench::new();
    let challenge = bench.challenge();
    let lines: Vec<String> = (0..3).map(|_| bench.answer(&challenge, "alice", "alice-secret", URI)).collect();
    let second = bench.request(&lines[1], URI);
    assert_eq!(bench.verify(&second), Ok(0));
    let replay = bench.request(&lines[1], URI);
    assert_eq!(bench.verify(&replay), STALE, "another branch");
    let first = bench.request(&lines[0], URI);
    assert_eq!(bench.verify(&first), STALE, "a lower count");
    bench.later(4);
    assert_eq!(bench.verify(&second), Ok(0), "a copy");
    bench.later(2);
    assert_eq!(bench.verify(&second), STALE, "a late copy");
    let third = bench.request(&lines[2], URI);
    assert_eq!(bench.verify(&third), Ok(0));
}

/// AUT-02: an old nonce with the right password is stale, with a wrong one it is wrong; one of another source or another secret
/// asks again.
#[test]
fn age_and_source() {
    let mut bench = Bench::new();
    let challenge = bench.challenge();
    let right = bench.answer(&challenge, "alice", "alice-secret", URI);
    let wrong = bench.answer(&challenge, "alice", "guess", URI);
    let (right, wrong) = (bench.request(&right, URI), bench.request(&wrong, URI));
    bench.source = "192.0.2.21".parse().expect("an address");
    assert_eq!(bench.verify(&right), STALE, "captured elsewhere");
    bench.source = "192.0.2.20".parse().expect("an address");
    bench.later(299);
    assert_eq!(bench.verify(&wrong), REFUSED);
    bench.later(2);
    assert_eq!((bench.verify(&right), bench.verify(&wrong)), (STALE, REFUSED));
    let stale = bench.server.challenge(bench.now, bench.source, true);
    assert!(stale.iter().all(|(_, line)| line.ends_with(", stale=true")));
    bench.server.secret = [8; 32];
    let answer = bench.answer(&stale, "alice", "alice-secret", URI);
    let request = bench.request(&answer, URI);
    assert_eq!(bench.verify(&request), STALE, "we were restarted");
}

/// AUT-02: the uri parameter is that of the request.
#[test]
fn uri_is_checked() {
    let mut bench = Bench::new();
    let challenge = bench.challenge();
    let answer = bench.answer(&challenge, "alice", "alice-secret", URI);
    let other = bench.request(&answer, "sip:0900@192.0.2.10");
    assert_eq!(bench.verify(&other), REFUSED);
    let equal = bench.request(&answer, "sip:4711@192.0.2.10;x=1");
    assert_eq!(bench.verify(&equal), Ok(0), "equivalent by RFC 3261 section 19.1.4");
}

/// AUT-02, A1: an unknown user and a bad password get the same answer, and count the same.
#[test]
fn unknown_users_look_like_bad_passwords() {
    let mut bench = Bench::new();
    for _ in 0..4 {
        assert_eq!((bench.attempt("nobody", "x"), bench.attempt("alice", "x")), (REFUSED, REFUSED));
    }
    assert_eq!(bench.attempt("alice", "alice-secret"), Ok(0), "eight failures are forgiven by a success");
    for n in 1..=10 {
        let denied = bench.attempt("nobody", "x");
        assert_eq!(denied, if n < 10 { REFUSED } else { Err(Denied::LockedOut) });
    }
}

/// A2: a thousand guesses: locked out after ten, the right password too, for ten minutes; others are not.
#[test]
fn brute_force_is_locked_out() {
    let mut bench = Bench::new();
    let challenge = bench.challenge();
    let mut tried = 0;
    for n in 0..1000 {
        let guess = bench.answer(&challenge, "alice", &format!("guess{n}"), URI);
        let request = bench.request(&guess, URI);
        tried += usize::from(bench.verify(&request) == REFUSED);
    }
    assert_eq!(tried, 9);
    assert_eq!(bench.attempt("alice", "alice-secret"), Err(Denied::LockedOut));
    assert_eq!(bench.server.counts(bench.now).0, 1);
    bench.source = "192.0.2.99".parse().expect("an address");
    assert_eq!(bench.attempt("alice", "alice-secret"), Ok(0));
    bench.source = "192.0.2.20".parse().expect("an address");
    bench.later(599);
    assert_eq!(bench.attempt("alice", "alice-secret"), Err(Denied::LockedOut));
    bench.later(2);
    assert_eq!(bench.attempt("alice", "alice-secret"), Ok(0));
}

/// A2: who cannot receive our challenge cannot lock anybody out; a /64 is one source; the tables stay bounded.
#[test]
fn spoofed_failures_and_full_tables() {
    let mut bench = Bench::new();
    for n in 0..100 {
        let forged = format!(
            "Digest username=\"alice\", realm=\"vox\\\"trunk\", nonce=\"{n:056x}\", uri=\"{URI}\", response=\"{n:032x}\""
        );
        let request = bench.request(&forged, URI);
        assert_eq!(bench.verify(&request), STALE);
    }
    assert_eq!(bench.attempt("alice", "alice-secret"), Ok(0));
    for n in 0..20u128 {
        bench.source = IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) + n));
        let expected = if n < 9 { REFUSED } else { Err(Denied::LockedOut) };
        assert_eq!(bench.attempt("alice", "guess"), expected, "{n}");
    }
    for n in 0..2 * MOST_SOURCES as u32 {
        bench.source = IpAddr::V4((0x0a00_0000 + n).into());
        assert_eq!(bench.attempt("alice", "guess"), REFUSED);
    }
    assert_eq!(bench.server.failures.len(), MOST_SOURCES);
    bench.source = IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96));
    assert_eq!(bench.attempt("alice", "alice-secret"), Err(Denied::LockedOut), "who is locked out stays so");
}

/// A2: a nonce that was pushed out of the full table is not good again.
#[test]
fn forgotten_nonces_stay_used() {
    let mut bench = Bench::new();
    let challenge = bench.challenge();
    let first = bench.answer(&challenge, "alice", "alice-secret", URI);
    let request = bench.request(&first, URI);
    assert_eq!(bench.verify(&request), Ok(0));
    for _ in 0..MOST_NONCES {
        assert_eq!(bench.attempt("alice", "alice-secret"), Ok(0));
    }
    assert_eq!(bench.server.counts(bench.now).1, MOST_NONCES);
    let replay = bench.request(&first, URI);
    assert_eq!(bench.verify(&replay), STALE);
    bench.later(301);
    assert_eq!(bench.attempt("alice", "alice-secret"), Ok(0));
    assert_eq!(bench.server.counts(bench.now).1, 1, "old ones go");
}

/// Without qop (RFC 2069) a nonce is good once. What was not offered is not taken.
#[test]
fn forms_of_answers() {
    let mut bench = Bench::new();
    let without: Vec<_> = bench.challenge().drain(1..).map(|(n, v)| (n, v.replace(", qop=\"auth\"", ""))).collect();
    let answer = bench.answer(&without, "alice", "alice-secret", URI);
    let (request, again) = (bench.request(&answer, URI), bench.request(&answer, URI));
    assert_eq!((bench.verify(&request), bench.verify(&again)), (Ok(0), STALE));
    let challenge = bench.challenge();
    let good = bench.answer(&challenge, "alice", "alice-secret", URI);
    for (from, to) in [
        ("algorithm=SHA-256", "algorithm=SHA-256-sess"),
        ("algorithm=SHA-256", "algorithm=none"),
        ("qop=auth", "qop=auth-int"),
        ("nc=0000000", "nc=0"),
        ("uri=", "url="),
        ("cnonce=", "c="),
        ("Digest", "Basic"),
        ("realm=\"vox", "realm=\"fox"),
    ] {
        assert!(good.contains(from), "{good}");
        let request = bench.request(&good.replace(from, to), URI);
        assert_eq!(bench.verify(&request), REFUSED, "{to}");
    }
    let request = bench.request(&good, URI);
    assert_eq!(bench.verify(&request), Ok(0));
}
