//! The vectors of RFC 3711 B.2 and RFC 6188 §7.1, and those of libsrtp for whole packets.

use super::super::hex;
use super::super::transform::RtpHeader;
use super::*;

/// SRT-01, SRT-06: the key stream at its start and, where the RFC has it, up to the end of the block counter.
#[test]
fn key_streams() {
    let iv = |block: u16| {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
        iv[14..].copy_from_slice(&block.to_be_bytes());
        iv
    };
    let aes_128 = Keystream::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).expect("a key");
    let aes_256 = Keystream::new(&hex("57f82fe3613fd170a85ec93c40b1f092 2ec4cb0dc025b58272147cc438944a98"));
    let aes_256 = aes_256.expect("a key");
    for (key, block, expected) in [
        (
            &aes_128,
            0,
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0",
        ),
        (
            &aes_128,
            0xFEFF,
            "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44",
        ),
        (
            &aes_256,
            0,
            "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac 63c4868b7096d88421b563b8c94c9a31",
        ),
    ] {
        let mut stream = [0; 48];
        key.apply(&iv(block), &mut stream);
        assert_eq!(stream.to_vec(), hex(expected));
    }
}

const AES_128: &str = "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6";
const AES_256: &str = "f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6 3b04803de51ee7c96423ab5b78d2";

fn keys(suite: Suite, master: &str) -> CounterMode {
    let master = MasterKey::new(suite, &hex(master)).expect("as long as the suite wants");
    CounterMode::derive(suite, &master).expect("derived")
}

/// SRT-01, SRT-05, SRT-06: what libsrtp makes of the same packets.
#[test]
fn libsrtp_packets() {
    let plain = [hex("800f1234decafbadcafebabe"), vec![0xab; 16]].concat();
    for (suite, master, expected) in [
        (
            Suite::AesCm128HmacSha1_80,
            AES_128,
            "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
        ),
        (Suite::AesCm128HmacSha1_32, AES_128, "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc"),
        (
            Suite::AesCm256HmacSha1_80,
            AES_256,
            "800f1234decafbadcafebabe f1d9de17ff251ff1aa007774b0b4b40d a08d9d9a5b3a55d8873b",
        ),
        (Suite::AesCm256HmacSha1_32, AES_256, "800f1234decafbadcafebabe f1d9de17ff251ff1aa007774b0b4b40d a08d9d9a"),
    ] {
        let (keys, expected) = (keys(suite, master), hex(expected));
        let header = RtpHeader::parse(&plain).expect("RTP");
        let (mut packet, mut out) = (plain.clone(), Vec::new());
        assert!(keys.seal_rtp(header, 0x1234, &mut packet));
        assert_eq!(packet, expected, "{suite:?}");
        assert!(keys.open_rtp(header, 0x1234, &packet, &mut out));
        assert_eq!(out, plain);
        assert!(!keys.open_rtp(header, 0x1_1234, &packet, &mut out), "the counter is authenticated");
    }
    let plain = [hex("81c8000bcafebabe"), vec![0xab; 16]].concat();
    let expected = hex("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798");
    // The long tag, with the short one for RTP, too.
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32] {
        let (keys, mut packet, mut out) = (keys(suite, AES_128), plain.clone(), Vec::new());
        assert!(keys.seal_rtcp(0xcafe_babe, 1, &mut packet));
        assert_eq!(packet, expected);
        assert_eq!(CounterMode::rtcp_word(&packet), Some(1 | ENCRYPTED));
        assert!(keys.open_rtcp(0xcafe_babe, 1 | ENCRYPTED, &packet, &mut out));
        assert_eq!(out, plain);
    }
}
