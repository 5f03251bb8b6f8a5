//! What a datagram on an RTP port is, by its first octets (RFC 7983 §7, RFC 5761 §4).

/// Kinds that may share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stun,
    Zrtp,
    Dtls,
    Turn,
    Rtp,
    Rtcp,
    Unknown,
}

impl Kind {
    /// The second octet parts RTCP (types 192-223) from RTP, whose payload types 64-95 are not used with a marker for that reason.
    pub fn of(datagram: &[u8]) -> Kind {
        match datagram {
            [0..=3, ..] => Kind::Stun,
            [16..=19, ..] => Kind::Zrtp,
            [20..=63, ..] => Kind::Dtls,
            [64..=79, ..] => Kind::Turn,
            [128..=191, 192..=223, ..] => Kind::Rtcp,
            [128..=191, ..] => Kind::Rtp,
            _ => Kind::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RTP-14: the whole table of RFC 7983, and RTCP's types.
    #[test]
    fn every_first_octet_has_its_kind() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => Kind::Stun,
                16..=19 => Kind::Zrtp,
                20..=63 => Kind::Dtls,
                64..=79 => Kind::Turn,
                128..=191 => Kind::Rtp,
                _ => Kind::Unknown,
            };
            assert_eq!(Kind::of(&[first, 0]), expected, "{first}");
        }
        for second in 0..=255u8 {
            let expected = if (192..=223).contains(&second) { Kind::Rtcp } else { Kind::Rtp };
            assert_eq!(Kind::of(&[0x80, second]), expected, "{second}");
        }
        assert_eq!(Kind::of(&[]), Kind::Unknown);
        assert_eq!(Kind::of(&[0x80]), Kind::Rtp, "too short, which the receiver counts");
    }
}
