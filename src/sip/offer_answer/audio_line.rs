//! What stands in our audio line: formats and attributes.

use super::{Codec, Direction};
use crate::sip::crypto_attribute::CryptoLine;
use crate::sip::sdp::{CRYPTO, Line};

/// What our audio line says.
pub(super) struct Audio<'a> {
    pub codecs: &'a [(u8, Codec)],
    pub dtmf: Option<u8>,
    /// Event 16 is listed too.
    pub flash: bool,
    pub ptime_ms: u32,
    pub direction: Direction,
    /// Our keys; none: plain RTP.
    pub crypto: &'a [CryptoLine],
    /// RTCP shares the port, as the peer offered (RFC 5761 §5.1.1).
    pub rtcp_mux: bool,
}

impl Audio<'_> {
    pub const NONE: Audio<'static> = Audio {
        codecs: &[],
        dtmf: None,
        flash: false,
        ptime_ms: 20,
        direction: Direction::Inactive,
        crypto: &[],
        rtcp_mux: false,
    };

    pub fn line(&self, profile: &str, port: u16) -> Line {
        let mut formats: Vec<String> = self.codecs.iter().map(|(n, _)| n.to_string()).collect();
        let rtpmap = |(n, codec): &(u8, Codec)| ("rtpmap", Some(format!("{n} {}/8000", codec.name())));
        let mut attributes: Vec<_> = self.codecs.iter().map(rtpmap).collect();
        if let Some(n) = self.dtmf {
            formats.push(n.to_string());
            attributes.push(("rtpmap", Some(format!("{n} telephone-event/8000"))));
            attributes.push(("fmtp", Some(format!("{n} {}", if self.flash { "0-16" } else { "0-15" }))));
        }
        attributes.extend(self.crypto.iter().map(|line| (CRYPTO, Some(line.value()))));
        attributes.push(("ptime", Some(self.ptime_ms.to_string())));
        attributes.push((self.direction.attribute(), None));
        if self.rtcp_mux {
            attributes.push(("rtcp-mux", None));
        }
        Line { kind: "audio".to_owned(), port, proto: profile.to_owned(), formats: formats.join(" "), attributes }
    }
}
