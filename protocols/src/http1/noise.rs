//! Pseudo-random bytes for tests: a seed reproduces a run.

/// A generator by xorshift.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    /// Some bytes in `storage`: mostly pieces of a grammar, put together at random.
    pub(super) fn text<'a>(&mut self, pieces: &[&str], storage: &'a mut [u8]) -> &'a [u8] {
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
}
