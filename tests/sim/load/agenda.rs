//! What is due when, in virtual time: a heap that breaks ties by order of entry, so that a seed gives one run.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

struct Entry<T> {
    at: Instant,
    serial: u64,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}

pub struct Agenda<T> {
    heap: BinaryHeap<Entry<T>>,
    serial: u64,
}

impl<T> Agenda<T> {
    pub fn new() -> Agenda<T> {
        Agenda { heap: BinaryHeap::new(), serial: 0 }
    }

    pub fn add(&mut self, at: Instant, what: T) {
        self.serial += 1;
        self.heap.push(Entry { at, serial: self.serial, what });
    }

    pub fn next(&mut self) -> Option<(Instant, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }
}
