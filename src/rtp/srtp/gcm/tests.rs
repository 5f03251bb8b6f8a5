//! RFC 7714's own vectors, by section, and those of libsrtp, which go through the key derivation, too.

use super::super::hex;
use super::super::transform::RtpHeader;
use super::*;
use crate::srtp_key::Suite;

const RTP: &str = include_str!("../../../../tests/data/rfc7714/rtp-vectors.txt");
const RTCP: &str = include_str!("../../../../tests/data/rfc7714/rtcp-vectors.txt");

/// The octets below `title` in the section that `heading` opens.
fn octets(text: &str, heading: &str, title: &str) -> Vec<u8> {
    let section = text.split(heading).nth(1).unwrap_or_else(|| panic!("{heading} is in the file"));
    let block = section.split(title).nth(1).unwrap_or_else(|| panic!("{title} is below {heading}"));
    let is_hex = |line: &&str| !line.trim().is_empty() && line.chars().all(|c| c == ' ' || c.is_ascii_hexdigit());
    let lines: Vec<&str> = block.lines().skip(1).skip_while(|line| line.trim().is_empty()).take_while(is_hex).collect();
    assert!(!lines.is_empty(), "{title} below {heading}");
    hex(&lines.concat())
}

fn half(key_len: u8) -> Half {
    let key: Vec<u8> = (0..key_len).collect();
    Half::new(&key, *b"Quid pro quo").expect("a key")
}

fn keys(key_len: u8) -> Gcm {
    Gcm::of(half(key_len), half(key_len))
}

/// SRT-06: RFC 7714 §16.1.1, §16.1.2, §16.2.1, §16.2.2.
#[test]
fn rfc_7714_rtp() {
    for (key_len, encryption, decryption) in [(16, "16.1.1.", "16.1.2."), (32, "16.2.1.", "16.2.2.")] {
        let gcm = keys(key_len);
        let plain = octets(RTP, encryption, "Encrypting the following packet:");
        let protected = octets(RTP, encryption, "Encrypted and tagged packet:");
        let header = RtpHeader::parse(&plain).expect("RTP");
        assert_eq!((header.len, header.ssrc, header.sequence), (12, 0x5501_a0b2, 0xf17b));
        let mut packet = plain.clone();
        assert!(gcm.seal_rtp(header, 0xf17b, &mut packet));
        assert_eq!(packet, protected);
        assert_eq!(octets(RTP, decryption, "Decrypting the following packet:"), protected);
        let mut out = Vec::new();
        assert!(gcm.open_rtp(header, 0xf17b, &protected, &mut out));
        assert_eq!(out, plain);
        assert_eq!(out[12..], octets(RTP, decryption, "Verified and tagged packet:"));
        assert!(!gcm.open_rtp(header, 0x1_f17b, &protected, &mut out), "another counter is another nonce");
    }
}

/// SRT-06: RFC 7714 §16.1.3, §16.2.3: a tag over the header alone, as far as the primitive goes (SRTP by SDES is always encrypted).
#[test]
fn rfc_7714_tags() {
    for (key_len, section) in [(16, "16.1.3."), (32, "16.2.3.")] {
        let (half, all) = (half(key_len), octets(RTP, section, "Tagging the following packet:"));
        let tag = half.aead.seal(half.nonce(0x5501_a0b2, 0xf17b), &all, &mut []).expect("a tag");
        assert_eq!([all.as_slice(), &tag].concat(), octets(RTP, section, "Tagged packet:"));
    }
}

/// SRT-05, SRT-06: RFC 7714 §17.
#[test]
fn rfc_7714_rtcp() {
    const INDEX: u32 = 0x5d4;
    let plain = octets(RTCP, "17.1.", "Encrypting the following packet:");
    for (key_len, protected) in [
        (16, octets(RTCP, "17.1.", "Encrypted and tagged packet:")),
        (32, octets(RTCP, "17.2.", "Decrypting the following packet:")),
    ] {
        let (gcm, mut packet, mut out) = (keys(key_len), plain.clone(), Vec::new());
        assert!(gcm.seal_rtcp(0x4d61_7273, INDEX, &mut packet));
        assert_eq!(packet, protected);
        let word = Gcm::rtcp_word(&protected).expect("a word");
        assert_eq!(word, INDEX | ENCRYPTED);
        assert!(gcm.open_rtcp(0x4d61_7273, word, &protected, &mut out));
        assert_eq!(out, plain);
        assert!(!gcm.open_rtcp(0x4d61_7273, word & !ENCRYPTED, &protected, &mut out));
    }
    for (key_len, tagged, verified) in [
        (16, octets(RTCP, "17.3.", "Tagged packet:"), octets(RTCP, "17.3.", "Tagging the following packet:")),
        (32, octets(RTCP, "17.4.", "Verifying the following packet:"), octets(RTCP, "17.4.", "Verified packet:")),
    ] {
        let (gcm, mut out) = (keys(key_len), Vec::new());
        assert_eq!(Gcm::rtcp_word(&tagged), Some(INDEX));
        assert!(gcm.open_rtcp(0x4d61_7273, INDEX, &tagged, &mut out));
        assert_eq!(out, verified);
    }
}

/// SRT-06: what libsrtp makes of a master key of its own tests.
#[test]
fn libsrtp_gcm() {
    let master = hex("000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab");
    let gcm = Gcm::derive(&MasterKey::new(Suite::AeadAes128Gcm, &master).expect("a key")).expect("derived");
    let mut rtp = [hex("800f1234decafbadcafebabe"), vec![0xab; 16]].concat();
    assert!(gcm.seal_rtp(RtpHeader::parse(&rtp).expect("RTP"), 0x1234, &mut rtp));
    let expected = "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392";
    assert_eq!(rtp, hex(expected));
    let mut rtcp = [hex("81c8000bcafebabe"), vec![0xab; 16]].concat();
    assert!(gcm.seal_rtcp(0xcafe_babe, 1, &mut rtcp));
    let expected = "81c8000bcafebabe c98b8b5df0392a55852b6c21ac8e7025 c52c6fbea2b3b446ea31123ba88ce61e 80000001";
    assert_eq!(rtcp, hex(expected));
}
