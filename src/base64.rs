//! The door of `base64-simd`: audio and keys as text.

/// Bytes of text for `bytes` bytes of data, padding included.
pub fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

/// Appends the encoding of `bytes`; no allocation when `out` has the room.
pub fn encode_append(bytes: &[u8], out: &mut String) {
    base64_simd::STANDARD.encode_append(bytes, out);
}

/// Appends what `text` decodes to. Padding may be missing and white space may be in it, as some servers send it.
/// `None`: not base64, `out` unchanged.
pub fn decode_append(text: &str, out: &mut Vec<u8>) -> Option<()> {
    if base64_simd::STANDARD.decode_append(text, out).is_ok() {
        return Some(());
    }
    let decoded = base64_simd::forgiving_decode_to_vec(text.as_bytes()).ok()?;
    out.extend_from_slice(&decoded);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_of_every_remainder() {
        for len in 0..50_usize {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37) as u8).collect();
            let mut text = String::new();
            encode_append(&bytes, &mut text);
            assert_eq!(text.len(), encoded_len(len));
            let mut back = vec![7];
            assert_eq!(decode_append(&text, &mut back), Some(()));
            assert_eq!(back[1..], bytes);
        }
    }

    #[test]
    fn missing_padding_is_accepted_and_rubbish_leaves_the_buffer_alone() {
        let mut out = vec![1];
        assert_eq!(decode_append("AQI", &mut out), Some(()));
        assert_eq!(out, [1, 1, 2]);
        for bad in ["A", "####", "AQI\u{e9}", "AQ=A"] {
            assert_eq!(decode_append(bad, &mut out), None, "{bad}");
            assert_eq!(out, [1, 1, 2]);
        }
    }
}
