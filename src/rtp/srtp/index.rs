//! Packet indices: the roll-over counter guessed from a sequence number (RFC 3711 §3.3.1) and the replay window (§3.3.2).

/// Indices below the highest one that are still taken, once each.
pub(super) const WINDOW: u64 = 128;
/// An RTP index has 48 bits, and a master key protects no more packets (RFC 3711 §9.2).
pub(super) const RTP_INDICES: u64 = 1 << 48;
/// An SRTCP index has 31 bits.
pub(super) const RTCP_INDICES: u64 = 1 << 31;

/// Half the sequence space.
const HALF: u64 = 1 << 15;

/// The highest index that was authentic, and which of those right below it were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// For RTP: roll-over counter, then the 16 bits of `s_l`.
    top: Option<u64>,
    /// Bit `n`: `top - n` was taken.
    taken: u128,
}

/// What the window says of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    /// Taken before.
    Taken,
    /// Below the window: taken or not, nobody knows.
    Old,
}

impl Window {
    pub fn top(&self) -> Option<u64> {
        self.top
    }

    #[cfg(test)]
    pub fn at(top: u64) -> Window {
        Window { top: Some(top), taken: 1 }
    }

    pub fn place(&self, index: u64) -> Place {
        let Some(top) = self.top else { return Place::Free };
        match top.checked_sub(index) {
            None => Place::Free,
            Some(back) if back >= WINDOW => Place::Old,
            Some(back) if self.taken >> back & 1 == 1 => Place::Taken,
            Some(_) => Place::Free,
        }
    }

    /// Takes an index whose packet was authentic.
    pub fn take(&mut self, index: u64) {
        let top = self.top.unwrap_or(index);
        if index >= top {
            self.taken = u32::try_from(index - top).ok().and_then(|on| self.taken.checked_shl(on)).unwrap_or(0) | 1;
            self.top = Some(index);
        } else if top - index < WINDOW {
            self.taken |= 1 << (top - index);
        }
    }
}

/// The index that `sequence` most likely has, less than half the sequence space from `top` (RFC 3711 appendix A).
/// `None`: before the stream's first roll, where there is none.
pub(super) fn guess(top: u64, sequence: u16) -> Option<u64> {
    let (roc, last, sequence) = (top >> 16, top & 0xFFFF, u64::from(sequence));
    let roc = if last < HALF && sequence > last + HALF {
        roc.checked_sub(1)?
    } else if last >= HALF && sequence < last - HALF {
        roc + 1
    } else {
        roc
    };
    Some(roc << 16 | sequence)
}

/// Indices worth an authentication, most likely first.
pub(super) type Candidates = [Option<u64>; 3];

/// What index a packet may have. The error: it was taken before.
///
/// * One that would be below the window cannot be used, so what is left is the next roll: more than half the sequence space was lost.
/// * At the start the counter is 0, but for two cases: the packets before a roll were lost, so that the first one to come has 1; or
///   `former`, the highest index under the key before, goes on (RFC 3711 §3.3.1 says so, RFC 4568 §7.1.4 says 0; peers do either).
pub(super) fn candidates(window: &Window, former: Option<u64>, sequence: u16) -> Result<Candidates, ()> {
    let Some(top) = window.top() else {
        let low = u64::from(sequence);
        let rolled = (low < HALF).then_some(1 << 16 | low);
        let carried =
            former.and_then(|top| guess(top, sequence)).filter(|index| *index != low && Some(*index) != rolled);
        return Ok([Some(low), rolled, carried]);
    };
    let index = guess(top, sequence);
    match index.map_or(Place::Old, |index| window.place(index)) {
        Place::Free => Ok([index, None, None]),
        Place::Taken => Err(()),
        Place::Old => Ok([Some(index.map_or(u64::from(sequence), |index| index + (1 << 16))), None, None]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 appendix A, at its edges.
    #[test]
    fn a_guess_is_the_nearest_index() {
        const ROLL: u64 = 1 << 16;
        for (top, sequence, expected) in [
            (0, 1, Some(1)),
            (65_535, 0, Some(ROLL)),
            (65_535, 32_766, Some(ROLL + 32_766)),
            (65_535, 32_767, Some(32_767)),
            (ROLL, 65_535, Some(65_535)),
            (0, 32_768, Some(32_768)),
            (0, 32_769, None),
            (ROLL, 32_769, Some(32_769)),
            (5 * ROLL + 40_000, 7_231, Some(6 * ROLL + 7_231)),
            (5 * ROLL + 40_000, 7_232, Some(5 * ROLL + 7_232)),
        ] {
            assert_eq!(guess(top, sequence), expected, "{sequence} after {top}");
        }
    }

    /// SRT-04: the window is 128 wide; what is in it is taken once, what is below it never.
    #[test]
    fn an_index_is_taken_once() {
        let mut window = Window::default();
        assert_eq!(window.place(7), Place::Free);
        window.take(1_000);
        for index in 873..1_000 {
            assert_eq!(window.place(index), Place::Free, "{index}");
            window.take(index);
        }
        assert_eq!(window.top(), Some(1_000));
        assert!((873..=1_000).all(|index| window.place(index) == Place::Taken));
        assert_eq!((window.place(872), window.place(0)), (Place::Old, Place::Old));
        window.take(1_127);
        assert_eq!(
            (window.place(1_000), window.place(999), window.place(1_001)),
            (Place::Taken, Place::Old, Place::Free)
        );
        // Further than the window is wide, and than a shift can be.
        for far in [1_300, 1 << 40] {
            window.take(far);
            assert_eq!((window.place(far), window.place(far - 1)), (Place::Taken, Place::Free));
        }
    }

    #[test]
    fn a_packet_below_the_window_may_be_of_the_next_roll() {
        let window = Window::at(3 << 16 | 40_000);
        assert_eq!(candidates(&window, None, 20_000), Ok([Some(4 << 16 | 20_000), None, None]));
        assert_eq!(candidates(&window, None, 40_000), Err(()));
        assert_eq!(candidates(&window, None, 39_999), Ok([Some(3 << 16 | 39_999), None, None]));
        assert_eq!(candidates(&Window::at(3), None, 60_000), Ok([Some(60_000), None, None]));
        assert_eq!(candidates(&Window::default(), None, 40_000), Ok([Some(40_000), None, None]));
        let former = Some(7 << 16 | 3);
        assert_eq!(candidates(&Window::default(), former, 4), Ok([Some(4), Some(1 << 16 | 4), Some(7 << 16 | 4)]));
    }
}
