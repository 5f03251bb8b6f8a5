//! What the tests of TLS want of a certificate authority.

#[path = "../../../tests/support/authority.rs"]
mod authority;

use super::ServerFiles;
use crate::trunk::TlsPolicy;
pub use authority::Authority;

impl Authority {
    /// Files of a server's certificate for `name` that ends in `year`.
    pub fn server(&self, file: &str, name: &str, year: i32) -> ServerFiles {
        let (certificate, key) = self.sign_until(file, name, year);
        ServerFiles { certificate, key, client_ca: None, require_client_certificate: false, alpn: false }
    }

    pub fn policy(&self) -> TlsPolicy {
        TlsPolicy { ca_file: Some(self.ca.clone()), ..TlsPolicy::default() }
    }
}
