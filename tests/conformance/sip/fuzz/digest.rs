//! Digest: any Authorization towards our server, any challenge towards our requests.

use super::Fuzz;
use crate::support::{datagram, invite};
use std::net::SocketAddr;
use voxtrunk::net::clock;
use voxtrunk::observe::pii::Pii;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::digest::server::DigestServer;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::{Builder, Message, Method};
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{NewRequest, RequestId, UaCommand, UaConfig, UaOutput, UaTrunk, UserAgent};
use voxtrunk::sip::{Flow, Transport, TrunkId};

fn credentials(password: &str) -> Vec<Credentials> {
    vec![Credentials { realm: None, user: "alice".into(), password: Pii(password.into()) }]
}

/// AUT-02, A2, A10: no text is let in by a server whose password it was not made with, and none stops it.
#[test]
fn authorizations() {
    let now = clock::now();
    let source = "192.0.2.7".parse().expect("an address");
    let mut server = DigestServer::new([1; 32], "pbx");
    let nonce = server.challenge(now, source, false).remove(0).1;
    let nonce = nonce.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce").to_owned();
    let uri = "sip:+4930123456@pbx.example.com;user=phone";
    let (short, long) = ("8ca523f5e9506fed4657c9700eebdbec", "7".repeat(64));
    let line = |algorithm: &str, response: &str, rest: &str| {
        format!(
            "Digest username=\"alice\", realm=\"pbx\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm={algorithm}{rest}"
        )
        .into_bytes()
    };
    let corpus = vec![
        line("MD5", short, ""),
        line("SHA-256", &long, ", qop=auth, nc=00000001, cnonce=\"c\", opaque=\"\""),
        line("MD5-sess", short, ", qop=auth-int, nc=ffffffff, cnonce=\"c\\\"\""),
    ];
    let read = Fuzz::new("authorizations", corpus, 20_000).each(|bytes| {
        let text = invite("", "");
        let (before, after) = text.split_once("Content-Length").expect("it is there");
        let message = [before.as_bytes(), b"Authorization: ", bytes, b"\r\nContent-Length", after.as_bytes()].concat();
        let Ok(message) = datagram(&message) else { return false };
        // A server of its own each time: the first failures lock a source out.
        let mut server = DigestServer::new([1; 32], "pbx");
        server.challenge(now, source, false);
        assert!(server.verify(now, source, &message, &credentials("secret")).is_err());
        true
    });
    assert!(read > 1_000, "{read}");
}

fn request(ua: &mut UserAgent, flow: Flow) -> Option<Message> {
    let mut last = None;
    loop {
        match ua.poll_output() {
            UaOutput::Transmit { bytes, flow: to } => {
                assert_eq!(to.remote, flow.remote);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let message = datagram(&bytes).unwrap_or_else(|e| panic!("we wrote {}: {text}", e.why));
                assert!(message.value(&Name::Other("Evil".into())).is_none(), "{text}");
                last = Some(message);
            }
            UaOutput::Event(_) => {}
            UaOutput::Timeout(_) => return last,
        }
    }
}

/// AUT-03, PAR-11, A10: no challenge makes us write what is no message, or a header that the server chose.
#[test]
fn challenges() {
    let now = clock::now();
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let flow = Flow { transport: Transport::Udp, local: at("192.0.2.10:5060"), remote: at("192.0.2.20:5060"), conn: 0 };
    let mut trunk = UaTrunk::new(Vec::new(), vec![(Transport::Udp, flow.local)], "agent");
    trunk.credentials = credentials("secret");
    let corpus = [
        r#"Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="o\"\\", stale=true"#,
        r#"Digest realm=r, nonce=n, algorithm="MD5-sess", domain="sip:x", charset=UTF-8, userhash=true"#,
        "Basic realm=\"x\", Digest nonce=\"\", realm=\"\", Digest realm=\"a\\\r\n\", nonce=\"Evil: x\"",
    ];
    let corpus = corpus.map(|line| line.as_bytes().to_vec()).to_vec();
    let answered = Fuzz::new("challenges", corpus, 10_000).each(|bytes| {
        let config = UaConfig { seed: 1, trunks: vec![trunk.clone()], max_sessions: 1, max_transactions: 10 };
        let mut ua = UserAgent::new(config);
        let new = NewRequest {
            id: RequestId(1),
            trunk: TrunkId(0),
            flows: vec![flow],
            method: Method::Register,
            request_uri: Uri::parse("sip:example.com").expect("a URI"),
            from: "<sip:a@example.com>".into(),
            to: "<sip:a@example.com>".into(),
            call_id: None,
            cseq: None,
            headers: Vec::new(),
            body: None,
        };
        ua.command(now, UaCommand::Request(Box::new(new)));
        let sent = request(&mut ua, flow).expect("a REGISTER");
        let refusal = Builder::response(&sent, 401, "", Some("x")).build();
        let text = String::from_utf8_lossy(refusal.as_bytes()).into_owned();
        let (before, after) = text.split_once("Content-Length").expect("it is there");
        let refusal =
            [before.as_bytes(), b"WWW-Authenticate: ", bytes, b"\r\nContent-Length", after.as_bytes()].concat();
        let Ok(refusal) = datagram(&refusal) else { return false };
        ua.handle_message(now, flow, Some(TrunkId(0)), Ok(refusal));
        request(&mut ua, flow).is_some_and(|again| !again.lines(&Name::Authorization).is_empty())
    });
    assert!(answered > 1_000, "{answered}");
}
