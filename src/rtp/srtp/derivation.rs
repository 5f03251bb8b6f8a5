//! Session keys from a master key (RFC 3711 §4.3, RFC 6188 §3, RFC 7714 §11), at a key derivation rate of 0: once.

use super::cipher::Keystream;
use crate::srtp_key::MasterKey;

/// Octets of the salt as the derivation sees it, 112 bits; a shorter one (AES-GCM has 96 bits) is filled up with zeros at its end.
const SALT: usize = 14;

/// What a key is derived for (RFC 3711 §4.3.1, §4.3.2).
#[derive(Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Fills `out`, at most 1 MiB of it, with the key for `label`. `None`: a master key of no suite.
pub(super) fn derive(master: &MasterKey, label: Label, out: &mut [u8]) -> Option<()> {
    let mut iv = [0; 16];
    iv.iter_mut().take(SALT).zip(master.salt()).for_each(|(to, from)| *to = *from);
    // key_id = label || r with r = 0 of 48 bits, right-aligned with the salt.
    iv[SALT - 7] ^= label as u8;
    out.fill(0);
    Keystream::new(master.key())?.apply(&iv, out);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;
    use crate::srtp_key::Suite;

    fn check(suite: Suite, master: &str, rows: [(Label, &str); 3]) {
        let master = MasterKey::new(suite, &hex(master)).expect("as long as the suite wants");
        for (label, expected) in rows {
            let expected = hex(expected);
            let mut key = vec![0xFF; expected.len()];
            derive(&master, label, &mut key).expect("a key");
            assert_eq!(key, expected, "{suite:?}");
        }
    }

    /// SRT-01: RFC 3711 B.3.
    #[test]
    fn session_keys_of_aes_128() {
        check(
            Suite::AesCm128HmacSha1_80,
            "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6",
            [
                (Label::RtpEncryption, "C61E7A93744F39EE10734AFE3FF7A087"),
                (Label::RtpSalt, "30CBBC08863D8C85D49DB34A9AE1"),
                (
                    Label::RtpAuthentication,
                    "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098
                     6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2",
                ),
            ],
        );
    }

    /// SRT-06: RFC 6188 §7.3.
    #[test]
    fn session_keys_of_aes_256() {
        check(
            Suite::AesCm256HmacSha1_80,
            "f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6 3b04803de51ee7c96423ab5b78d2",
            [
                (Label::RtpEncryption, "5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4"),
                (Label::RtpSalt, "fa31791685ca444a9e07c6c64e93"),
                (Label::RtpAuthentication, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"),
            ],
        );
    }
}
