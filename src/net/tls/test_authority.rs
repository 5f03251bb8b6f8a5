//! Certificates made for tests; nothing of them is checked in.

use super::ServerFiles;
use crate::trunk::TlsPolicy;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};

/// An authority with a folder for what it signs.
pub struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub ca: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { directory, issuer: Issuer::new(params, key), ca }
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Files of a certificate for `name` that ends in `year`.
    pub fn sign(&self, file: &str, name: &str, year: i32) -> (PathBuf, PathBuf) {
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

    pub fn server(&self, file: &str, name: &str, year: i32) -> ServerFiles {
        let (certificate, key) = self.sign(file, name, year);
        ServerFiles { certificate, key, client_ca: None, require_client_certificate: false, alpn: false }
    }

    pub fn policy(&self) -> TlsPolicy {
        TlsPolicy { ca_file: Some(self.ca.clone()), ..TlsPolicy::default() }
    }
}
