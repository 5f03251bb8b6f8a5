//! The send side of one stream: continuous SSRC, sequence and timestamps; marker rules; RFC 4733 events.

/// The machine. One `frame` call per packet interval, silence included; nothing is sent between.
pub struct Sender {}

impl Sender {
    /// Random SSRC, first sequence number and timestamp from the owner's RNG (RFC 3550 §5.1).
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Sender {
        let _ = (ssrc, sequence, timestamp);
        todo!()
    }
    /// Payload types and packet length from offer/answer; SSRC, sequence and timestamps go on (SDP-10).
    pub fn set_format(&mut self, audio_payload_type: u8, dtmf_payload_type: Option<u8>, samples_per_packet: u32) {
        let _ = (audio_payload_type, dtmf_payload_type, samples_per_packet);
        todo!()
    }
    /// Writes the packet of this interval into `out` (cleared first): `payload` as audio, or the running RFC 4733 event in its place.
    /// `true` = audio was written, `false` = an event packet took its place (the audio was not sent).
    /// At the end of an event two more end packets are due: call [`Sender::extra`] until `false`.
    pub fn frame(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let _ = (payload, out);
        todo!()
    }
    /// A further packet due at once (repeated event end), if any.
    pub fn extra(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        todo!()
    }
    /// An interval passed in which nothing was sent (missed deadline, hold): the timestamp goes on, the next packet is marked.
    pub fn skip(&mut self, samples: u32) {
        let _ = samples;
        todo!()
    }
    /// Queues digits (`0-9*#A-Da-d`, `,` = 1 s pause… others are ignored): 100 ms tone, 60 ms gap (DTM-01). At most 64 wait; the rest is refused.
    /// `false` when no telephone-event was negotiated or the queue is full.
    pub fn send_digits(&mut self, digits: &str) -> bool {
        let _ = digits;
        todo!()
    }
    /// Whether digits are still going out.
    pub fn is_sending_digits(&self) -> bool {
        todo!()
    }
    pub fn packets(&self) -> u64 {
        todo!()
    }
    pub fn octets(&self) -> u64 {
        todo!()
    }
    pub fn ssrc(&self) -> u32 {
        todo!()
    }
}
