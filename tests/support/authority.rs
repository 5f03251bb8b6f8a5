//! A certificate authority made for one test; nothing of it is checked in. Shared by the unit tests of `net::tls`, e2e and interop.
#![allow(dead_code, reason = "not each of them needs all of it")]

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};

/// The year in which a certificate ends whose end does not matter.
const LATE: i32 = 2090;

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
        // OpenSSL takes a certificate whose subject is its issuer for one that signed itself.
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

    /// Files of a certificate and its key for `name`; the same `file` again replaces them.
    pub fn sign(&self, file: &str, name: &str) -> (PathBuf, PathBuf) {
        self.sign_until(file, name, LATE)
    }

    /// The same, with the year in which it ends.
    pub fn sign_until(&self, file: &str, name: &str, year: i32) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let at = |ending| self.directory.path().join(format!("{file}.{ending}"));
        std::fs::write(at("pem"), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(at("key"), key.serialize_pem()).unwrap();
        (at("pem"), at("key"))
    }
}
