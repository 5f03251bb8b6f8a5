//! HMAC-SHA1 against RFC 2202 and the library's; a suite's own vectors are with the suites.

use super::super::hex;
use super::*;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// RFC 2202 §3, the cases whose key has SRTP's length.
#[test]
fn tags_of_rfc_2202() {
    for (key, data, expected) in [
        ([0x0B; HMAC_LEN], b"Hi There".to_vec(), "b617318655057264e28bc0b6fb378c8ef146be00"),
        ([0xAA; HMAC_LEN], vec![0xDD; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        ([0x0C; HMAC_LEN], b"Test With Truncation".to_vec(), "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
    ] {
        let tag = Authenticator::new(&key).tag_alone(&data);
        assert_eq!(tag.to_vec(), hex(expected));
        assert!((1..=HMAC_LEN).all(|length| is_tag(&tag, &tag[..length])));
        assert!(!is_tag(&tag, &[]) && !is_tag(&tag, &[&tag[..], &[0]].concat()));
        for bit in 0..8 * HMAC_LEN {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_tag(&tag, &wrong), "bit {bit}");
        }
    }
}

/// A packet of any length, so wherever its end falls in a block.
#[test]
fn tags_are_the_librarys_for_every_length() {
    let (key, more) = ([0x5A; HMAC_LEN], [1, 2, 3, 4]);
    let ours = Authenticator::new(&key);
    let octets: Vec<u8> = (0..1500u32).map(|n| (n * 7) as u8).collect();
    let theirs = |parts: &[&[u8]]| -> [u8; HMAC_LEN] {
        let mut mac = <Hmac<Sha1> as hmac::KeyInit>::new_from_slice(&key).expect("keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    for length in (0..=260).chain([1450, 1499, 1500]) {
        let octets = &octets[..length];
        assert_eq!(ours.tag(octets, more), theirs(&[octets, &more]), "{length}");
        assert_eq!(ours.tag_alone(octets), theirs(&[octets]), "{length}");
    }
}
