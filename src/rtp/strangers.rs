//! Who sends to our ports without being allowed to: the first few addresses, for the one who has to find out why nothing is heard.

use std::net::SocketAddr;

/// Addresses remembered; later ones are only counted by the receiver.
const MOST: usize = 4;

/// One address whose packets were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    pub addr: SocketAddr,
    pub rtp: u32,
    pub rtcp: u32,
}

/// See the module's map.
#[derive(Clone, Debug, Default)]
pub struct Strangers {
    /// How many there are in the list.
    count: usize,
    list: [Option<Stranger>; MOST],
}

impl Strangers {
    /// A packet from `addr` was refused. `true`: the first one from there that is remembered.
    pub(super) fn saw(&mut self, addr: SocketAddr, is_rtcp: bool) -> bool {
        let known = |slot: &&mut Option<Stranger>| slot.is_none_or(|stranger| stranger.addr == addr);
        let Some(slot) = self.list.iter_mut().find(known) else { return false };
        let new = slot.is_none();
        let stranger = slot.get_or_insert(Stranger { addr, rtp: 0, rtcp: 0 });
        let count = if is_rtcp { &mut stranger.rtcp } else { &mut stranger.rtp };
        *count = count.saturating_add(1);
        self.count += usize::from(new);
        new
    }

    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn iter(&self) -> impl Iterator<Item = &Stranger> {
        self.list.iter().flatten()
    }

    /// The one with most RTP packets.
    pub fn loudest(&self) -> Option<Stranger> {
        self.iter().copied().filter(|stranger| stranger.rtp > 0).max_by_key(|stranger| stranger.rtp)
    }
}
