//! Certificates and keys in PEM files; what we read of a certificate ourselves: its DNS names, the end of its validity.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt::Display;
use std::path::Path;

/// Warn this long before the end.
const WARN_DAYS: i64 = 14;
const DAY: i64 = 86_400;

/// A certificate with those it is signed by, and its key. The error is a sentence for the operator.
pub(super) fn chain_and_key(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| {
        explain(key, &e, "put the unencrypted private key there (PEM, BEGIN PRIVATE KEY) and let this user read it")
    })?;
    Ok((chain, key))
}

/// The certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let advice = "put the certificate there, then those that signed it (PEM, BEGIN CERTIFICATE)";
    let found = CertificateDer::pem_file_iter(path).map_err(|e| explain(path, &e, advice))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|e| explain(path, &e, advice))?;
    if found.is_empty() { Err(explain(path, &"no certificate in it", advice)) } else { Ok(found) }
}

/// The authorities of a PEM file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| explain(path, &e, "put the authority's own certificate there (PEM)"))?;
    }
    Ok(roots)
}

pub(super) fn explain(path: &Path, error: &dyn Display, advice: &str) -> String {
    format!("{}: {error}; {advice}", path.display())
}

/// The DNS names (SAN) of a peer's certificate that has been verified; RFC 5922 §7.2 has no use for the subject's CN.
pub(super) fn dns_names(chain: Option<&[CertificateDer<'_>]>) -> Vec<String> {
    let Some(certificate) = chain.and_then(<[_]>::first) else { return Vec::new() };
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    certificate.valid_dns_names().map(str::to_ascii_lowercase).collect()
}

/// What to say of a certificate that ends (Unix seconds) within [`WARN_DAYS`]; `None` while there is time.
pub(super) fn expiry_warning(path: &Path, not_after: i64, now: i64) -> Option<String> {
    let left = not_after - now;
    let advice = "renew it, then send SIGHUP: running calls go on";
    if left > WARN_DAYS * DAY {
        None
    } else if left <= 0 {
        Some(format!("the certificate {} has expired and peers refuse it: {advice}", path.display()))
    } else {
        Some(format!("the certificate {} expires in {} day(s): {advice}", path.display(), left / DAY))
    }
}

/// The end of validity, Unix seconds (RFC 5280 §4.1.2.5). `None`: not a certificate that we can read.
pub fn not_after(certificate: &[u8]) -> Option<i64> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut to_be_signed, _) = element(certificate)? else { return None };
    let (tag, _, rest) = element(to_be_signed)?;
    if tag == VERSION {
        to_be_signed = rest;
    }
    // serialNumber, signature, issuer.
    for _ in 0..3 {
        to_be_signed = element(to_be_signed)?.2;
    }
    let (SEQUENCE, validity, _) = element(to_be_signed)? else { return None };
    let (tag, value, _) = element(element(validity)?.2)?;
    unix_time(tag, std::str::from_utf8(value).ok()?)
}

const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`.
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first DER element: tag, contents, what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        // The long form: so many bytes of length follow; four are more than any certificate has.
        let bytes = length - 0x80;
        if bytes > 4 {
            return None;
        }
        let (length_bytes, after) = rest.split_at_checked(bytes)?;
        length = length_bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        rest = after;
    }
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn unix_time(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest) = match tag {
        UTC_TIME if digits.len() == 12 => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME if digits.len() == 14 => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |n: usize| rest.get(2 * n..2 * n + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(1)?);
    Some(days_since_1970(year, month, day) * DAY + part(2)? * 3600 + part(3)? * 60 + part(4)?)
}

/// Of the Gregorian calendar; the year is taken to begin in March, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day
        - 1
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000229120001Z", Some(951_825_601)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (UTC_TIME, "20500101000000Z", None),
            (UTC_TIME, "7001010000+1Z", None),
            (GENERALIZED_TIME, "2050010100000", None),
            (0x02, "700101000000Z", None),
        ] {
            assert_eq!(unix_time(tag, text), expected, "{text}");
        }
    }

    #[test]
    fn the_end_of_validity_is_found() {
        let mut params = rcgen::CertificateParams::new(vec!["sip.example.com".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 5, 17);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(not_after(der), Some(1_936_742_400));
        // Cut anywhere or changed anywhere, it is never more than wrong.
        for n in 0..der.len() {
            not_after(&der[..n]);
            let mut changed = der.to_vec();
            changed[n] ^= 0xFF;
            not_after(&changed);
        }
        assert_eq!(not_after(b""), None);
        assert_eq!(dns_names(Some(std::slice::from_ref(der))), ["sip.example.com"]);
    }

    /// S12: nothing to say while there are more than two weeks; then the days that are left, and what to do.
    #[test]
    fn an_end_that_nears_is_told() {
        let path = Path::new("sip.pem");
        assert_eq!(expiry_warning(path, 15 * DAY, 0), None);
        assert!(expiry_warning(path, 7 * DAY + 5, 0).unwrap().contains("sip.pem expires in 7 day(s): renew"));
        assert!(expiry_warning(path, 100, 100).unwrap().contains("has expired"));
    }
}
