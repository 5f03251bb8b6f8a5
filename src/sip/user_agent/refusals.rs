//! INVITEs that were refused without a session, remembered for their copies (OVL-08): each of them gets the same bytes, whatever has
//! become possible since, and its owner is told once.
//!
//! In: the stateless tag of an INVITE. Out: the response it got. Bounded: the oldest is forgotten first.

use bytes::Bytes;
use std::collections::{HashMap, VecDeque};

/// Most that are remembered. Copies come within 32 s (timer B), nearly all of them within 4 s.
const MOST: usize = 2048;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Keyed by a hash with our secret, so that no peer can choose it.
    responses: HashMap<u64, Bytes>,
    order: VecDeque<u64>,
}

impl Refusals {
    pub(super) fn response(&self, tag: u64) -> Option<Bytes> {
        self.responses.get(&tag).cloned()
    }

    /// `false`: it was known.
    pub(super) fn remember(&mut self, tag: u64, response: Bytes) -> bool {
        if self.responses.contains_key(&tag) {
            return false;
        }
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.responses.remove(&oldest);
        }
        self.order.push_back(tag);
        self.responses.insert(tag, response);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A4, OVL-08: told once, and a flood of refusals costs a fixed amount of memory.
    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut refusals = Refusals::default();
        for tag in 0..3_000u64 {
            assert!(refusals.remember(tag, Bytes::from_static(b"503")));
            assert!(!refusals.remember(tag, Bytes::from_static(b"486")));
        }
        assert_eq!((refusals.responses.len(), refusals.order.len()), (MOST, MOST));
        assert_eq!(refusals.response(3_000 - MOST as u64 - 1), None);
        assert_eq!(refusals.response(2_999).as_deref(), Some(&b"503"[..]));
    }
}
