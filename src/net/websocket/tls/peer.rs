//! The other end of a TLS connection in the tests: a rustls server in memory, or its keys alone, which seal what no good server sends.

use super::TlsConfig;
use super::record::{FRONT, Half};
use super::session::{Ended, Session};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, SupportedCipherSuite};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::Path;
use std::sync::Arc;

pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");

/// The ciphers that our certificate can be used with.
pub const SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];
pub const TLS13: SupportedCipherSuite = SUITES[0];
pub const TLS12: SupportedCipherSuite = SUITES[3];

/// A server that has these ciphers alone.
pub fn serving(suites: &[SupportedCipherSuite]) -> Arc<ServerConfig> {
    let mut provider = default_provider();
    provider.cipher_suites.retain(|suite| suites.contains(suite));
    let versions: Vec<_> = rustls::ALL_VERSIONS
        .iter()
        .filter(|version| suites.iter().any(|suite| suite.version() == **version))
        .copied()
        .collect();
    let certificates =
        CertificateDer::pem_file_iter(format!("{DATA}/server.pem")).unwrap().map(std::result::Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(format!("{DATA}/server.key")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    config.enable_secret_extraction = true;
    Arc::new(config)
}

/// Our side, which trusts that server.
pub fn trusting() -> TlsConfig {
    TlsConfig::new(Some(&Path::new(DATA).join("ca.pem"))).unwrap()
}

pub struct Peer {
    pub server: ServerConnection,
    /// What it heard.
    pub heard: Vec<u8>,
    /// Why it hears nothing more.
    pub broken: Option<rustls::Error>,
}

impl Peer {
    pub fn new(config: Arc<ServerConfig>) -> Peer {
        let mut server = ServerConnection::new(config).unwrap();
        server.set_buffer_limit(None);
        Peer { server, heard: Vec::new(), broken: None }
    }

    /// What it sends.
    pub fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut records).unwrap();
        }
        records
    }

    pub fn say(&mut self, payload: &[u8]) -> Vec<u8> {
        self.server.writer().write_all(payload).unwrap();
        self.records()
    }

    /// Its keys alone, once it has nothing more to send.
    pub fn raw(self) -> Raw {
        let tls13 = self.server.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let secrets = self.server.dangerous_extract_secrets().unwrap();
        Raw { send: Half::new(tls13, secrets.tx).unwrap(), receive: Half::new(tls13, secrets.rx).unwrap() }
    }
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.server.write_tls(&mut &mut *buffer)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut left = bytes;
        while !left.is_empty() {
            self.server.read_tls(&mut left)?;
            let state = self.server.process_new_packets().map_err(|e| {
                self.broken = Some(e.clone());
                Error::new(ErrorKind::InvalidData, e)
            })?;
            let mut heard = vec![0; state.plaintext_bytes_to_read()];
            self.server.reader().read_exact(&mut heard)?;
            self.heard.append(&mut heard);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

pub struct Raw {
    pub send: Half,
    receive: Half,
}

impl Raw {
    pub fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut buffer = [&[0; FRONT], content].concat();
        let begin = self.send.seal(kind, FRONT, &mut buffer).unwrap();
        buffer.split_off(begin)
    }

    /// Kind and content of the first record of `bytes`.
    pub fn opened(&mut self, bytes: &[u8]) -> (u8, Vec<u8>) {
        let mut record = bytes[..super::record::first(bytes).unwrap().unwrap()].to_vec();
        let (kind, length) = self.receive.open(&mut record, 0).unwrap();
        (kind, record[..length].to_vec())
    }
}

/// Both ends of a connection that has shaken hands; tickets are read.
pub fn connected(suite: SupportedCipherSuite) -> (Session, Peer) {
    let mut peer = Peer::new(serving(&[suite]));
    let (mut session, early) = trusting().session("localhost", &mut peer).unwrap();
    assert!(early.is_empty());
    let tickets = peer.records();
    assert_eq!(receive(&mut session, &tickets, usize::MAX), (Vec::new(), None));
    (session, peer)
}

/// What the session makes of these bytes when they come in pieces of this length.
pub fn receive(session: &mut Session, bytes: &[u8], piece: usize) -> (Vec<u8>, Option<Ended>) {
    let mut heard = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut bytes = [session.rest(), piece].concat();
        let opened = session.open(&mut bytes);
        heard.extend_from_slice(&bytes[..opened.payload]);
        session.keep(&bytes[opened.taken..]);
        if opened.ended.is_some() {
            return (heard, opened.ended);
        }
    }
    (heard, None)
}

/// The records of a payload.
pub fn send(session: &mut Session, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [&[0; FRONT], payload].concat();
    let begin = session.seal(FRONT, &mut buffer).unwrap();
    buffer.split_off(begin)
}
