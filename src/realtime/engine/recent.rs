//! A bounded memory of ids: the oldest is forgotten.

use std::collections::VecDeque;

/// Ids remembered; far more than a service interleaves.
const CAPACITY: usize = 64;

/// The last [`CAPACITY`] ids.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<String>);

impl Recent {
    /// Remembers `id`; `false` if it was there. The empty id is never remembered.
    pub fn insert(&mut self, id: &str) -> bool {
        if self.contains(id) {
            return false;
        }
        if !id.is_empty() {
            if self.0.len() == CAPACITY {
                self.0.pop_front();
            }
            self.0.push_back(id.to_owned());
        }
        true
    }

    pub fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|known| known == id)
    }
}
