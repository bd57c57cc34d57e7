//! Storage of a client: bytes of its own, so that the client is `Send`.

use std::task::Context;

use netloom_core::Storage;

/// Bytes on the heap, taken when first needed and grown up to a limit. What grew past the first size is
/// given back when the queue is empty.
#[derive(Debug)]
pub struct Heap {
    bytes: Box<[u8]>,
    first: usize,
    limit: usize,
}

impl Heap {
    /// Storage of `first` bytes to begin with, and `limit` at most.
    pub fn new(first: usize, limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize); // of a queue
        Self { bytes: Box::default(), first: first.min(limit), limit }
    }
}

impl Storage for Heap {
    const LENT: bool = false;

    fn limit(&self) -> usize {
        self.limit
    }

    #[inline]
    fn hold(&mut self, least: usize) -> bool {
        if least > self.limit {
            return false;
        }
        if self.bytes.is_empty() || least > self.bytes.len() {
            let doubled = self.bytes.len().saturating_mul(2).min(self.limit);
            let mut bytes = vec![0; least.max(doubled).max(self.first)];
            bytes[..self.bytes.len()].copy_from_slice(&self.bytes);
            self.bytes = bytes.into_boxed_slice();
        }
        true
    }

    fn wait(&mut self, _: &mut Context<'_>) {}

    #[inline]
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    #[inline]
    fn release(&mut self) {
        if self.bytes.len() > self.first {
            self.bytes = Box::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_limit_and_shrinks_when_empty() {
        let mut heap = Heap::new(10, 35);
        assert!(heap.bytes().is_empty() && heap.hold(1));
        heap.bytes()[9] = 9;
        assert!(heap.hold(11));
        assert_eq!((heap.bytes().len(), heap.bytes()[9]), (20, 9));
        assert!(heap.hold(21) && !heap.hold(36));
        assert_eq!(heap.bytes().len(), 35);
        heap.release();
        assert!(heap.hold(1));
        assert_eq!(heap.bytes().len(), 10);
    }
}
