//! Buffers of the thread for what lives no longer than one packet.
//!
//! A buffer of its own in every call would be out of the cache when its packet comes, and come in for nothing: it is overwritten. These
//! are lent last in, first out, so the same few KiB serve all calls of a thread. Purely a matter of speed: a buffer is lent empty.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers kept, and the longest of them, in elements: a long reply that came in one delta does not stay.
const MOST: usize = 8;
const LONGEST: usize = 32 << 10;

thread_local! {
    static SAMPLES: RefCell<Vec<Vec<i16>>> = const { RefCell::new(Vec::new()) };
    static BYTES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An element there are buffers of.
pub trait Element: Sized + 'static {
    /// Does something with the thread's free buffers; `None` when the thread is ending.
    fn with<R>(work: impl FnOnce(&mut Vec<Vec<Self>>) -> R) -> Option<R>;
}

impl Element for i16 {
    fn with<R>(work: impl FnOnce(&mut Vec<Vec<i16>>) -> R) -> Option<R> {
        SAMPLES.try_with(|free| work(&mut free.borrow_mut())).ok()
    }
}

impl Element for u8 {
    fn with<R>(work: impl FnOnce(&mut Vec<Vec<u8>>) -> R) -> Option<R> {
        BYTES.try_with(|free| work(&mut free.borrow_mut())).ok()
    }
}

/// A buffer on loan; dropped, it goes back.
pub struct Lent<T: Element>(Vec<T>);

/// An empty buffer.
pub fn lend<T: Element>() -> Lent<T> {
    Lent(T::with(Vec::pop).flatten().unwrap_or_default())
}

impl<T: Element> Deref for Lent<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Element> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T: Element> Drop for Lent<T> {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        T::with(|free| {
            if free.len() < MOST && (1..=LONGEST).contains(&buffer.capacity()) {
                free.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_comes_back_first_and_empty() {
        let (mut a, mut b) = (lend::<i16>(), lend::<i16>());
        a.extend([1, 2, 3]);
        b.extend([4; 500]);
        let (first, second) = (a.as_ptr(), b.as_ptr());
        drop(a);
        drop(b);
        let (b, a) = (lend::<i16>(), lend::<i16>());
        assert_eq!((b.as_ptr(), a.as_ptr()), (second, first));
        assert!(a.is_empty() && b.is_empty());
    }

    #[test]
    fn neither_many_nor_long_ones_are_kept() {
        let mut lent: Vec<Lent<u8>> = (0..3 * MOST).map(|_| lend()).collect();
        lent.iter_mut().for_each(|buffer| buffer.push(1));
        drop(lent);
        assert_eq!(u8::with(|free| free.len()), Some(MOST));
        u8::with(Vec::clear);
        lend::<u8>().resize(LONGEST + 1, 0);
        drop(lend::<u8>());
        assert_eq!(u8::with(|free| free.len()), Some(0));
    }
}
