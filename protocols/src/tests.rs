//! What tests of several protocols share: bytes that nobody chose. A seed reproduces a run.

extern crate std;

use std::vec::Vec;

/// A generator by xorshift.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    /// Some bytes in `storage`: mostly pieces of a grammar, put together at random.
    pub(crate) fn text<'a>(&mut self, pieces: &[&str], storage: &'a mut [u8]) -> &'a [u8] {
        let mut len = 0;
        for _ in 0..self.below(14) {
            let any = [self.below(256) as u8];
            let piece = match self.below(12) {
                0 => &any[..],
                _ => pieces[self.below(pieces.len())].as_bytes(),
            };
            let Some(room) = storage.get_mut(len..len + piece.len()) else { break };
            room.copy_from_slice(piece);
            len += piece.len();
        }
        &storage[..len]
    }

    /// `bytes` with some of them changed, gone, doubled or new.
    pub(crate) fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(9)).min(bytes.len());
            match self.below(5) {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                2 => bytes.insert(at, [0, 0x3f, 0x40, 0x80, 0xff][self.below(5)]),
                3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ => bytes.truncate(end),
            }
        }
        bytes
    }
}
