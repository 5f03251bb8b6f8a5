//! Payload types of an audio stream: which codec each one is (RFC 3551 table 4, RFC 8866 §6.6, RFC 4733), and packet lengths.

use super::offer_answer::Codec;
use super::sdp::{MAX_FORMATS, Stream};

/// What a stream offers that we understand, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AudioFormats {
    pub(super) codecs: Vec<(u8, Codec)>,
    /// telephone-event at 8000 Hz.
    pub(super) dtmf: Option<u8>,
    /// Its fmtp lists event 16 (flash).
    pub(super) dtmf_flash: bool,
    pub(super) comfort_noise: bool,
}

impl AudioFormats {
    /// A payload type that stands for two things is an error (SDP-06).
    pub(super) fn read(stream: &Stream) -> Result<AudioFormats, &'static str> {
        if stream.formats.len() > MAX_FORMATS {
            return Err("more than 128 formats");
        }
        let mut names: [Option<&str>; 128] = [None; 128];
        for value in stream.attributes("rtpmap") {
            let Some((payload_type, name)) = value.trim().split_once(char::is_whitespace) else { continue };
            let Some(slot) = payload_type.parse().ok().and_then(|n: usize| names.get_mut(n)) else { continue };
            let name = name.trim();
            if slot.is_some_and(|before| !before.eq_ignore_ascii_case(name)) {
                return Err("a payload type with two rtpmaps");
            }
            *slot = Some(name);
        }
        let mut read = AudioFormats::default();
        let mut seen = [false; 128];
        for format in &stream.formats {
            let Some(payload_type) = format.parse::<u8>().ok().filter(|n| *n < 128) else { continue };
            let index = usize::from(payload_type);
            let (Some(seen), Some(name)) = (seen.get_mut(index), names.get(index)) else { continue };
            if std::mem::replace(seen, true) {
                return Err("a payload type used twice");
            }
            match encoding(payload_type, *name) {
                Some(Encoding::Codec(codec)) => read.codecs.push((payload_type, codec)),
                Some(Encoding::TelephoneEvent) if read.dtmf.is_none() => read.dtmf = Some(payload_type),
                Some(Encoding::ComfortNoise) => read.comfort_noise = true,
                _ => {}
            }
        }
        if let Some(dtmf) = read.dtmf {
            read.dtmf_flash = stream.attributes("fmtp").any(|value| lists_flash(value, dtmf));
        }
        Ok(read)
    }

    pub(super) fn payload_type(&self, codec: Codec) -> Option<u8> {
        self.codecs.iter().find(|(_, c)| *c == codec).map(|(payload_type, _)| *payload_type)
    }
}

enum Encoding {
    Codec(Codec),
    TelephoneEvent,
    ComfortNoise,
}

/// By the rtpmap if there is one, else by the static table: SDP-04.
fn encoding(payload_type: u8, rtpmap: Option<&str>) -> Option<Encoding> {
    let Some(rtpmap) = rtpmap else {
        return match payload_type {
            0 => Some(Encoding::Codec(Codec::Pcmu)),
            8 => Some(Encoding::Codec(Codec::Pcma)),
            9 => Some(Encoding::Codec(Codec::G722)),
            13 => Some(Encoding::ComfortNoise),
            _ => None,
        };
    };
    let mut fields = rtpmap.split('/').map(str::trim);
    let (name, rate, channels) = (fields.next()?, fields.next()?, fields.next().unwrap_or("1"));
    if rate != "8000" || channels != "1" {
        return None;
    }
    match name.to_ascii_lowercase().as_str() {
        "pcmu" => Some(Encoding::Codec(Codec::Pcmu)),
        "pcma" => Some(Encoding::Codec(Codec::Pcma)),
        "g722" => Some(Encoding::Codec(Codec::G722)),
        "telephone-event" => Some(Encoding::TelephoneEvent),
        "cn" => Some(Encoding::ComfortNoise),
        _ => None,
    }
}

/// `101 0-16` and `101 0-15,16` list event 16; `101 0-15` does not.
fn lists_flash(fmtp: &str, payload_type: u8) -> bool {
    let Some((number, events)) = fmtp.trim().split_once(char::is_whitespace) else { return false };
    number.parse() == Ok(payload_type)
        && events.split(',').any(|range| {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            matches!((low.trim().parse::<u8>(), high.trim().parse::<u8>()), (Ok(low), Ok(high)) if (low..=high).contains(&16))
        })
}

/// Packet lengths we send.
const PACKET_LENGTHS_MS: [u32; 5] = [10, 20, 30, 40, 60];

/// The packet length to send: the one nearest to what the peer asks for, or to ours, that its maxptime allows (SDP-11).
pub(super) fn packet_length_ms(peer: Option<u32>, peer_max: Option<u32>, ours: u32) -> u32 {
    let wanted = peer.unwrap_or(ours);
    let allowed = PACKET_LENGTHS_MS.into_iter().filter(|ms| *ms <= peer_max.unwrap_or(u32::MAX));
    allowed.min_by_key(|ms| ms.abs_diff(wanted)).unwrap_or(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::sdp::Description;

    fn read(formats: &str, attributes: &str) -> Result<AudioFormats, &'static str> {
        let body = format!("v=0\nm=audio 4000 RTP/AVP {formats}\n{attributes}");
        let description = Description::parse(body.as_bytes()).expect("readable SDP");
        AudioFormats::read(&description.streams[0])
    }

    /// SDP-04: 0, 8 and 13 without rtpmap, names in any case, `/1`.
    #[test]
    fn payload_types() {
        use Codec::{G722, Pcma, Pcmu};
        let rows = [
            ("0 8 13", "", vec![(0, Pcmu), (8, Pcma)], None, true),
            ("8 0", "a=rtpmap:8 pcma/8000\na=rtpmap:0 Pcmu/8000/1\n", vec![(8, Pcma), (0, Pcmu)], None, false),
            ("96 97", "a=rtpmap:96 PCMU/8000\na=rtpmap:97 TELEPHONE-EVENT/8000\n", vec![(96, Pcmu)], Some(97), false),
            (
                "0 100 101",
                "a=rtpmap:100 telephone-event/48000\na=rtpmap:101 telephone-event/8000\n",
                vec![(0, Pcmu)],
                Some(101),
                false,
            ),
            ("9 0", "", vec![(9, G722), (0, Pcmu)], None, false),
            ("96 9", "a=rtpmap:96 g722/8000\na=rtpmap:9 G722/16000\n", vec![(96, G722)], None, false),
            ("0", "a=rtpmap:0 OPUS/48000/2\n", vec![], None, false),
            ("8", "a=rtpmap:8 PCMA/16000\n", vec![], None, false),
            ("8", "a=rtpmap:8 PCMA/8000/2\n", vec![], None, false),
            ("x 300 8", "a=rtpmap:999 x/1\na=rtpmap:\na=rtpmap\n", vec![(8, Pcma)], None, false),
        ];
        for (formats, attributes, codecs, dtmf, comfort_noise) in rows {
            let read = read(formats, attributes).expect(formats);
            assert_eq!(
                (read.codecs, read.dtmf, read.comfort_noise),
                (codecs, dtmf, comfort_noise),
                "{formats} {attributes}"
            );
        }
    }

    /// SDP-06: a payload type used twice is refused.
    #[test]
    fn a_payload_type_used_twice() {
        assert!(read("0 8 0", "").is_err());
        assert!(read("96 8", "a=rtpmap:96 PCMU/8000\na=rtpmap:96 telephone-event/8000\n").is_err());
        assert!(read("96 8", "a=rtpmap:96 PCMU/8000\na=rtpmap:96 pcmu/8000\n").is_ok());
    }

    /// DTM-03: fmtp 0-15 and 0-16.
    #[test]
    fn dtmf_events() {
        let map = "a=rtpmap:101 telephone-event/8000\n";
        for (fmtp, flash) in [
            ("", false),
            ("a=fmtp:101 0-15\n", false),
            ("a=fmtp:101 0-16\n", true),
            ("a=fmtp:101 0-11, 16\n", true),
            ("a=fmtp:102 0-16\n", false),
        ] {
            assert_eq!(read("0 101", &format!("{map}{fmtp}")).expect(fmtp).dtmf_flash, flash, "{fmtp}");
        }
    }

    /// SDP-11: ptime and maxptime are honoured.
    #[test]
    fn packet_lengths() {
        let rows = [
            ((None, None, 20), 20),
            ((Some(30), None, 20), 30),
            ((Some(10), None, 20), 10),
            ((Some(60), Some(150), 20), 60),
            ((Some(60), Some(40), 20), 40),
            ((Some(50), None, 20), 40),
            ((Some(200), Some(200), 20), 60),
            ((None, Some(10), 20), 10),
            ((None, Some(5), 20), 10),
        ];
        for ((peer, max, ours), expected) in rows {
            assert_eq!(packet_length_ms(peer, max, ours), expected, "{peer:?} {max:?} {ours}");
        }
    }
}
