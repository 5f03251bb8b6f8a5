//! The `a=crypto` attribute (RFC 4568 §9.1): suite and master key of what its writer sends.
//!
//! In: an attribute's value. Out: [`CryptoLine`], or why it is of no use here; and the reverse. A line that asks for anything we would not
//! do to every packet (another key by MKI, re-derivation, no encryption) is of no use, however well it is formed. Keys never print.

use crate::base64;
use crate::srtp_key::{LONGEST, MasterKey, Suite};

/// Longest text of a key that is looked at: the longest key in base64, and room for odd padding.
const MAX_KEY_TEXT: usize = LONGEST * 2;

/// A usable line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CryptoLine {
    /// Names the line in the answer (RFC 4568 §4.1).
    pub tag: u32,
    pub suite: Suite,
    pub key: MasterKey,
}

impl CryptoLine {
    /// The error completes "no usable a=crypto line: ".
    pub fn parse(value: &str) -> Result<CryptoLine, &'static str> {
        let mut words = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(key)) = (words.next(), words.next(), words.next()) else {
            return Err("it needs a tag, a suite and a key");
        };
        let digits = (1..=9).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_digit());
        let tag = tag.parse().ok().filter(|_| digits).ok_or("its tag is not a number")?;
        let suite = Suite::from_name(suite).ok_or("its suite is not known here")?;
        let key = master_key(suite, key)?;
        words.try_for_each(session_parameter)?;
        Ok(CryptoLine { tag, suite, key })
    }

    /// The attribute's value. No lifetime: that of the suite holds (RFC 3711 §9.2).
    pub fn value(&self) -> String {
        let mut value = format!("{} {} inline:", self.tag, self.suite.name());
        base64::encode_append(self.key.key_and_salt(), &mut value);
        value
    }
}

/// `inline:KEY||SALT["|" lifetime]["|" MKI ":" length]` (RFC 4568 §6.1).
fn master_key(suite: Suite, text: &str) -> Result<MasterKey, &'static str> {
    if text.contains(';') {
        return Err("it has several keys");
    }
    let (method, info) = text.split_once(':').ok_or("its key is not \"inline:\"")?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err("its key is not \"inline:\"");
    }
    let mut parts = info.split('|');
    let key = parts.next().unwrap_or_default();
    for part in parts {
        if part.contains(':') {
            return Err("an MKI is not supported");
        }
        lifetime(part)?;
    }
    let mut octets = Vec::with_capacity(MAX_KEY_TEXT);
    let decoded = (key.len() <= MAX_KEY_TEXT).then(|| base64::decode_append(key, &mut octets)).flatten();
    decoded.and_then(|()| MasterKey::new(suite, &octets)).ok_or("its key is not as long as its suite wants")
}

/// `2^20` or `1048576` packets: the peer's own bound for its key, which it keeps by a new offer. Zero and more than SRTP allows
/// (2^48) are no lifetimes.
fn lifetime(text: &str) -> Result<(), &'static str> {
    let good = match text.strip_prefix("2^") {
        Some(power) => power.parse::<u8>().is_ok_and(|power| power <= 48),
        None => text.parse::<u64>().is_ok_and(|packets| (1..=1 << 48).contains(&packets)),
    };
    if good { Ok(()) } else { Err("its lifetime cannot be read") }
}

/// Parameters without "-" must be understood (RFC 4568 §6.3.7). The window hint binds nobody (§6.3.6); all others would change
/// what is done to a packet.
fn session_parameter(parameter: &str) -> Result<(), &'static str> {
    let name = parameter.split('=').next().unwrap_or_default();
    if name.starts_with('-') || name.eq_ignore_ascii_case("WSH") {
        return Ok(());
    }
    Err(match name.to_ascii_uppercase().as_str() {
        "UNENCRYPTED_SRTP" | "UNENCRYPTED_SRTCP" => "packets without encryption are not supported",
        "UNAUTHENTICATED_SRTP" => "packets without authentication are not supported",
        "KDR" => "a key derivation rate is not supported",
        _ => "it has a session parameter that is not known here",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    fn parse(value: &str) -> Result<CryptoLine, &'static str> {
        CryptoLine::parse(value)
    }

    /// SRT-01: RFC 4568 §4, §6.1 and RFC 7714 §14.2: what is read, and written again.
    #[test]
    fn lines_of_the_rfcs() {
        let line = parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20 WSH=64")).expect("usable");
        assert_eq!((line.tag, line.suite), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(line.key.key(), b"wDfvg&T+)xG7@fb5");
        assert_eq!(line.key.salt(), b"jU,RaA}\\|p0%*#");
        assert_eq!(line.value(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
        for suite in Suite::ALL {
            let octets: Vec<u8> = (0..(suite.key_len() + suite.salt_len()) as u8).collect();
            let line = CryptoLine { tag: 7, suite, key: MasterKey::new(suite, &octets).expect("right length") };
            assert_eq!(parse(&line.value()), Ok(line.clone()), "{suite:?}");
            // Some peers leave the padding out.
            assert_eq!(parse(line.value().trim_end_matches('=')), Ok(line), "{suite:?}");
        }
    }

    /// SRT-01: whatever asks for something else than we do is of no use, and says why.
    #[test]
    fn lines_of_no_use() {
        let good = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        for fine in ["", "|2^31", "|2^48", "|1048576", " WSH=128", " -X_NEW=1", "|2^31 wsh=64 -kdr=1"] {
            assert!(parse(&format!("{good}{fine}")).is_ok(), "{fine}");
        }
        let rows = [
            ("|2^20|1:4", "MKI"),
            ("|1:4", "MKI"),
            ("|2^49", "lifetime"),
            ("|0", "lifetime"),
            ("|", "lifetime"),
            ("|2^", "lifetime"),
            (" UNENCRYPTED_SRTP", "without encryption"),
            (" unencrypted_srtcp", "without encryption"),
            (" UNAUTHENTICATED_SRTP", "without authentication"),
            (" KDR=1", "derivation"),
            (" FEC_ORDER=SRTP_FEC", "session parameter"),
            (&format!(";inline:{KEY}|2^20|1:4"), "several keys"),
        ];
        for (more, why) in rows {
            let refused = parse(&format!("{good}{more}")).expect_err(more);
            assert!(refused.contains(why), "{more}: {refused}");
        }
        for bad in [
            "",
            "1",
            "1 AES_CM_128_HMAC_SHA1_80",
            &format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            &format!("-1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            &format!("+1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            &format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            &format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            &format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"),
            &format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}"),
            &format!("1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:",
            "1 AES_CM_128_HMAC_SHA1_80 inline:####",
            &format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", "A".repeat(100_000)),
        ] {
            assert!(parse(bad).is_err(), "{}", bad.get(..60).unwrap_or(bad));
        }
    }

    /// SRT-01: no key stands in any log.
    #[test]
    fn a_key_never_prints() {
        let line = parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).expect("usable");
        assert!(!format!("{line:?}").contains(&KEY[..6]));
    }
}
