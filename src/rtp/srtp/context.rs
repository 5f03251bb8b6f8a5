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
#[derive(Clone, Copy, Default)]
struct Stream {
    rtp: Window,
    ssrc: u32,
    /// Highest RTP index under the key before this one.
    former: Option<u64>,
    rtcp: Window,
}

/// The machine of one direction. What each packet needs stands first and together: a call's memory is cold when its packet comes.
#[repr(C)]
pub(super) struct Context {
    keys: SessionKeys,
    /// The stream that was used last.
    current: Option<Stream>,
    /// Those before it, the last one first.
    others: Vec<Stream>,
    suite: Suite,
    master: MasterKey,
    /// SRTCP packets protected, whatever their SSRC.
    rtcp_sent: u64,
}

impl Context {
    /// `None`: `master` is of another suite.
    pub fn new(suite: Suite, master: &MasterKey) -> Option<Context> {
        Some(Context {
            keys: SessionKeys::derive(suite, master)?,
            current: None,
            others: Vec::new(),
            suite,
            master: master.clone(),
            rtcp_sent: 0,
        })
    }

    /// A new key for the streams of `before`, whose roll-over counters may go on.
    pub fn succeeding(suite: Suite, master: &MasterKey, before: &Context) -> Option<Context> {
        let next = |stream: &Stream| Stream {
            ssrc: stream.ssrc,
            former: stream.rtp.top().or(stream.former),
            ..Stream::default()
        };
        let (current, others) = (before.current.as_ref().map(next), before.others.iter().map(next).collect());
        Some(Context { current, others, ..Context::new(suite, master)? })
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
        let top = self.stream(header.ssrc).and_then(|stream| stream.rtp.top());
        let index = match top {
            None => u64::from(header.sequence),
            Some(top) => guess(top, header.sequence).filter(|index| *index > top).ok_or(Failure::Replayed)?,
        };
        if index >= RTP_INDICES {
            return Err(Failure::KeyWornOut);
        }
        if !self.keys.seal_rtp(header, index, packet) {
            return Err(Failure::Malformed);
        }
        self.commit(header.ssrc, |stream| stream.rtp.take(index));
        Ok(())
    }

    /// Makes an SRTP packet RTP again, in `out`, which means nothing after a failure.
    pub fn unprotect_rtp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let header = RtpHeader::parse(packet).ok_or(Failure::Malformed)?;
        if packet.len() < header.len + self.keys.rtp_overhead() {
            return Err(Failure::Malformed);
        }
        let (window, former) = self.stream(header.ssrc).map_or_else(Default::default, |s| (s.rtp, s.former));
        let indices = candidates(&window, former, header.sequence).map_err(|()| Failure::Replayed)?;
        for index in indices.into_iter().flatten().filter(|index| *index < RTP_INDICES) {
            if self.keys.open_rtp(header, index, packet, out) {
                self.commit(header.ssrc, |stream| stream.rtp.take(index));
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
        if self.stream(ssrc).is_some_and(|stream| stream.rtcp.place(index) != Place::Free) {
            return Err(Failure::Replayed);
        }
        if !self.keys.open_rtcp(ssrc, word, packet, out) {
            return Err(Failure::NotAuthentic);
        }
        self.commit(ssrc, |stream| stream.rtcp.take(index));
        Ok(())
    }

    /// What is known of an SSRC.
    fn stream(&self, ssrc: u32) -> Option<&Stream> {
        self.current.iter().chain(&self.others).find(|stream| stream.ssrc == ssrc)
    }

    /// Keeps what an authentic packet tells.
    fn commit(&mut self, ssrc: u32, take: impl FnOnce(&mut Stream)) {
        if self.current.as_ref().is_none_or(|stream| stream.ssrc != ssrc) {
            self.turn_to(ssrc);
        }
        if let Some(current) = &mut self.current {
            take(current);
        }
    }

    /// Makes this SSRC the current one.
    #[cold]
    fn turn_to(&mut self, ssrc: u32) {
        let known = self.others.iter().position(|stream| stream.ssrc == ssrc);
        let next = known.map_or(Stream { ssrc, ..Stream::default() }, |at| self.others.remove(at));
        if let Some(last) = self.current.replace(next) {
            self.others.truncate(STREAMS - 2);
            self.others.insert(0, last);
        }
    }

    #[cfg(test)]
    pub fn wear(&mut self, ssrc: u32, index: u64, rtcp_sent: u64) {
        let worn = Stream { ssrc, rtp: Window::at(index), ..Stream::default() };
        self.commit(ssrc, |stream| *stream = worn);
        self.rtcp_sent = rtcp_sent;
    }
}
