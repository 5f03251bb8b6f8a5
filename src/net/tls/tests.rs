//! Handshakes between both sides over loopback, with certificates made for the test.

use super::*;
use crate::net::listen::{TlsListener, bind_sip_all};
use crate::net::socket;
use crate::trunk::TlsPolicy;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);
const LOCAL: &str = "127.0.0.1:0";

/// An authority with a folder for what it signs.
struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub ca: PathBuf,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { directory, issuer: Issuer::new(params, key), ca }
    }

    /// Files of a certificate for `name` that ends in `year`.
    fn sign(&self, file: &str, name: &str, year: i32) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let files =
            (self.directory.path().join(format!("{file}.pem")), self.directory.path().join(format!("{file}.key")));
        std::fs::write(&files.0, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    fn server(&self, file: &str, name: &str, year: i32) -> ServerFiles {
        let (certificate, key) = self.sign(file, name, year);
        ServerFiles { certificate, key, client_ca: None, require_client_certificate: false, alpn: false }
    }

    fn policy(&self) -> TlsPolicy {
        TlsPolicy { ca_file: Some(self.ca.clone()), ..TlsPolicy::default() }
    }
}

type Outcome = Result<Vec<String>, String>;

/// One handshake and one byte each way: what the server and the client say.
async fn meet(server: &TlsServer, name: &str, policy: &TlsPolicy) -> (Outcome, Outcome) {
    let TlsListener { tcp, addr } =
        bind_sip_all(&[LOCAL.parse().unwrap()], &[LOCAL.parse().unwrap()]).unwrap().tls.remove(0);
    let listener = tokio::net::TcpListener::from_std(tcp).unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut stream, names) = server.accept(stream).await?;
        stream.write_all(b"!").await.map_err(|e| e.to_string())?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|e| e.to_string())?;
        Ok(names)
    };
    let client = TlsClient::default();
    let calling = async {
        let stream = socket::tcp(addr).await.unwrap();
        let (mut stream, names) = client.connect(stream, name, policy).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|e| e.to_string())?;
        stream.write_all(b"!").await.map_err(|e| e.to_string())?;
        Ok(names)
    };
    timeout(LONG, async { tokio::join!(serving, calling) }).await.expect("a handshake in time")
}

/// TRN-07: a private authority's certificate of the right name is taken, whatever name DNS gave; one of another name, an expired
/// one, one that nobody we trust has signed are not, and each refusal says what to do.
#[tokio::test]
async fn the_peer_must_be_who_was_configured() {
    let authority = Authority::new();
    let good = TlsServer::load(authority.server("good", "sip.example.com", 2090)).unwrap();
    let expired = TlsServer::load(authority.server("expired", "sip.example.com", 2021)).unwrap();
    let policy = authority.policy();
    let (there, here) = meet(&good, "sip.example.com", &policy).await;
    assert_eq!((there, here), (Ok(Vec::new()), Ok(vec!["sip.example.com".to_owned()])));
    let renamed = TlsPolicy { server_name: Some("sip.example.com".into()), ..policy.clone() };
    assert!(meet(&good, "192.0.2.1", &renamed).await.1.is_ok(), "the configured name counts");
    for (server, name, policy, expected) in [
        (&good, "other.example.com", &policy, "server_name"),
        (&good, "127.0.0.1", &policy, "server_name"),
        (&expired, "sip.example.com", &policy, "expired"),
        (&good, "sip.example.com", &TlsPolicy::default(), "ca_file"),
        (&good, "no name", &policy, "server_name"),
    ] {
        let why = meet(server, name, policy).await.1.unwrap_err();
        assert!(why.contains(expected), "{name}: {why}");
    }
}

/// TRN-08: client certificates are asked for, required or not; their names are told. ALPN is a matter of both.
#[tokio::test]
async fn client_certificates_and_alpn() {
    let authority = Authority::new();
    let asking = |require, alpn| {
        let files = authority.server("server", "sip.example.com", 2090);
        let client_ca = Some(authority.ca.clone());
        TlsServer::load(ServerFiles { client_ca, require_client_certificate: require, alpn, ..files }).unwrap()
    };
    let own = TlsPolicy { certificate: Some(authority.sign("pbx", "pbx.example.com", 2090)), ..authority.policy() };
    let names = Ok(vec!["pbx.example.com".to_owned()]);
    let name = "sip.example.com";
    assert_eq!(meet(&asking(true, false), name, &own).await.0, names);
    assert_eq!(meet(&asking(false, false), name, &own).await.0, names);
    assert_eq!(meet(&asking(false, false), name, &authority.policy()).await.0, Ok(Vec::new()));
    let (there, here) = meet(&asking(true, false), name, &authority.policy()).await;
    assert!(there.is_err() && here.is_err(), "{there:?} {here:?}");
    // A certificate of somebody else's authority is no better than none, and not taken for none.
    let foreign = Authority::new().sign("pbx", "pbx.example.com", 2090);
    let foreign = TlsPolicy { certificate: Some(foreign), ..authority.policy() };
    assert!(meet(&asking(false, false), name, &foreign).await.0.is_err());
    for (there, here) in [(false, false), (false, true), (true, false), (true, true)] {
        let policy = TlsPolicy { alpn: here, ..authority.policy() };
        assert!(meet(&asking(false, there), name, &policy).await.1.is_ok(), "ALPN {there} {here}");
    }
}

/// TRN-08, S12: new files count for new handshakes; files that are no good leave the old ones in use and say so.
#[tokio::test]
async fn certificates_are_reloaded() {
    let authority = Authority::new();
    let server = TlsServer::load(authority.server("s", "old.example.com", 2090)).unwrap();
    let sides = SipTlsSides { server: Some(server.clone()), client: TlsClient::default() };
    sides.client.prepare(&authority.policy()).unwrap();
    assert!(meet(&server, "old.example.com", &authority.policy()).await.1.is_ok());
    let (certificate, key) = authority.sign("s", "new.example.com", 2090);
    sides.reload().unwrap();
    assert!(meet(&server, "new.example.com", &authority.policy()).await.1.is_ok());
    let (_, other_key) = authority.sign("other", "new.example.com", 2090);
    let own_key = std::fs::read(&key).unwrap();
    std::fs::copy(other_key, &key).unwrap();
    let problems = sides.reload().unwrap_err();
    assert!(problems[0].contains("the key must be the one") && problems[0].contains("stays in use"), "{problems:?}");
    std::fs::write(&key, "no key").unwrap();
    assert!(sides.reload().unwrap_err()[0].contains("s.key"));
    std::fs::write(&key, own_key).unwrap();
    std::fs::remove_file(&certificate).unwrap();
    std::fs::write(&authority.ca, "").unwrap();
    assert_eq!(sides.reload().unwrap_err().len(), 2);
    let kept = TlsPolicy { ca_file: Some(authority.directory.path().join("none.pem")), ..authority.policy() };
    assert!(sides.client.prepare(&kept).unwrap_err().contains("none.pem"));
    assert!(sides.client.prepare(&authority.policy()).is_ok(), "what was read before is still there");
}

/// S12: the warning of the certificate that is in use.
#[test]
fn our_certificate_is_watched() {
    let authority = Authority::new();
    let server = TlsServer::load(authority.server("s", "sip.example.com", 2030)).unwrap();
    let at = |unix_secs: u64| server.expiry_warning(unix_secs * 1000);
    let end = 1_893_456_000;
    assert_eq!(at(end - 20 * 86_400), None);
    assert!(at(end - 3 * 86_400).unwrap().contains("3 day(s)"));
    assert!(at(end + 1).unwrap().contains("has expired"));
    assert_eq!(SipTlsSides::default().expiry_warning(end * 1000), None);
}
