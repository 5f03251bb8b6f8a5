//! A cryptographic context (RFC 3711 §3.2): one master key in one direction, its session keys, and the indices of each SSRC under it.
//!
//! In: packets. Out: packets of the other kind, or why not. Nothing of a packet is kept before its tag was checked, so packets of a
//! stranger neither move a window nor push an SSRC out.

use super::Failure;
use super::index::{Place, RTCP_INDICES, RTP_INDICES, Window, candidates, guess};
use super::transform::{ENCRYPTED, RtpHeader, SessionKeys, rtcp_ssrc};
use crate::srtp_key::{MasterKey, Suite};

/// SSRCs remembered. A peer has one at a time and takes another one at a transfer or a restart; the one unheard for longest makes room.
pub(super) const STREAMS: usize = 16;

/// What is known of one SSRC.
#[derive(Clone, Copy)]
struct Stream {
    ssrc: u32,
    rtp: Window,
    rtcp: Window,
    /// Highest RTP index under the key before this one.
    former: Option<u64>,
}

/// The machine of one direction.
pub(super) struct Context {
    suite: Suite,
    master: MasterKey,
    keys: SessionKeys,
    /// The last one used comes first.
    streams: Vec<Stream>,
    /// SRTCP packets protected, whatever their SSRC.
    rtcp_sent: u64,
}

impl Context {
    /// `None`: `master` is of another suite.
    pub fn new(suite: Suite, master: &MasterKey) -> Option<Context> {
        Some(Context {
            suite,
            master: master.clone(),
            keys: SessionKeys::derive(suite, master)?,
            streams: Vec::new(),
            rtcp_sent: 0,
        })
    }

    /// A new key for the streams of `before`, whose roll-over counters may go on.
    pub fn succeeding(suite: Suite, master: &MasterKey, before: &Context) -> Option<Context> {
        let next = |stream: &Stream| Stream {
            former: stream.rtp.top().or(stream.former),
            rtp: Window::default(),
            rtcp: Window::default(),
            ..*stream
        };
        let streams = before.streams.iter().map(next).collect();
        Some(Context { streams, ..Context::new(suite, master)? })
    }

    pub fn is(&self, suite: Suite, master: &MasterKey) -> bool {
        self.suite == suite && self.master == *master
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Makes an RTP packet SRTP, in place. Sequence numbers have to go up; an index is never used twice.
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), Failure> {
        let header = RtpHeader::parse(packet).ok_or(Failure::Malformed)?;
        let stream = self.stream(header.ssrc);
        let index = match stream.rtp.top() {
            None => u64::from(header.sequence),
            Some(top) => guess(top, header.sequence).filter(|index| *index > top).ok_or(Failure::Replayed)?,
        };
        if index >= RTP_INDICES {
            return Err(Failure::KeyWornOut);
        }
        if !self.keys.seal_rtp(header, index, packet) {
            return Err(Failure::Malformed);
        }
        self.commit(stream, |stream| stream.rtp.take(index));
        Ok(())
    }

    /// Makes an SRTP packet RTP again, in `out`, which means nothing after a failure.
    pub fn unprotect_rtp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let header = RtpHeader::parse(packet).ok_or(Failure::Malformed)?;
        if packet.len() < header.len + self.keys.rtp_overhead() {
            return Err(Failure::Malformed);
        }
        let stream = self.stream(header.ssrc);
        let indices = candidates(&stream.rtp, stream.former, header.sequence).map_err(|()| Failure::Replayed)?;
        for index in indices.into_iter().flatten().filter(|index| *index < RTP_INDICES) {
            if self.keys.open_rtp(header, index, packet, out) {
                self.commit(stream, |stream| stream.rtp.take(index));
                return Ok(());
            }
        }
        Err(Failure::NotAuthentic)
    }

    /// Makes an RTCP packet SRTCP, in place.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Failure> {
        let ssrc = rtcp_ssrc(packet).ok_or(Failure::Malformed)?;
        let index = u32::try_from(self.rtcp_sent).ok().filter(|index| u64::from(*index) < RTCP_INDICES);
        if !self.keys.seal_rtcp(ssrc, index.ok_or(Failure::KeyWornOut)?, packet) {
            return Err(Failure::Malformed);
        }
        self.rtcp_sent += 1;
        Ok(())
    }

    /// Makes an SRTCP packet RTCP again, as [`Self::unprotect_rtp`] does.
    pub fn unprotect_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let ssrc = rtcp_ssrc(packet).ok_or(Failure::Malformed)?;
        let word = self.keys.rtcp_word(packet).ok_or(Failure::Malformed)?;
        let index = u64::from(word & !ENCRYPTED);
        let stream = self.stream(ssrc);
        if stream.rtcp.place(index) != Place::Free {
            return Err(Failure::Replayed);
        }
        if !self.keys.open_rtcp(ssrc, word, packet, out) {
            return Err(Failure::NotAuthentic);
        }
        self.commit(stream, |stream| stream.rtcp.take(index));
        Ok(())
    }

    /// What is known of an SSRC; of a new one, nothing.
    fn stream(&self, ssrc: u32) -> Stream {
        let known = self.streams.iter().find(|stream| stream.ssrc == ssrc);
        known.copied().unwrap_or(Stream { ssrc, rtp: Window::default(), rtcp: Window::default(), former: None })
    }

    /// Keeps what an authentic packet tells.
    fn commit(&mut self, mut stream: Stream, take: impl FnOnce(&mut Stream)) {
        take(&mut stream);
        match self.streams.iter().position(|known| known.ssrc == stream.ssrc) {
            Some(at) => self.streams.get_mut(..=at).into_iter().for_each(|used| used.rotate_right(1)),
            None if self.streams.len() < STREAMS => self.streams.insert(0, stream),
            None => self.streams.rotate_right(1),
        }
        if let Some(first) = self.streams.first_mut() {
            *first = stream;
        }
    }

    #[cfg(test)]
    pub fn wear(&mut self, ssrc: u32, index: u64, rtcp_sent: u64) {
        let stream = Stream { ssrc, rtp: Window::at(index), rtcp: Window::default(), former: None };
        self.commit(stream, |_| {});
        self.rtcp_sent = rtcp_sent;
    }
}
