//! One Ethernet frame each way, staged between a controller's FIFO and the network stack.
//!
//! The FIFOs are read and written in 32-bit words, so the staging buffers are words too. `embassy-net` asks for a
//! received frame and a place for its answer at the same time: one buffer would not do, and a second pair would buy
//! nothing, because the controllers queue frames in their own memory.

/// The largest frame without its checksum: 14 bytes of header and 1,500 of payload (IEEE 802.3, 3.2.7).
pub const MAX_FRAME: usize = 1514;

/// The smallest frame without its checksum; controllers pad what is shorter (IEEE 802.3, 4.2.3.3).
pub const MIN_FRAME: usize = 60;

/// Words for a frame and the two bytes that some controllers put before it.
const WORDS: usize = (MAX_FRAME + 2).div_ceil(4);

/// A driver's staging memory: 3,032 bytes, part of a board's RAM budget.
pub struct Buffers {
    pub(crate) rx: Staging,
    pub(crate) tx: Staging,
}

impl Buffers {
    /// Empty buffers, for a `static`.
    pub const fn new() -> Self {
        Self { rx: Staging([0; WORDS]), tx: Staging([0; WORDS]) }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// One frame, word by word for the FIFO and byte by byte for the stack.
pub(crate) struct Staging(pub(crate) [u32; WORDS]);

impl Staging {
    /// The bytes from `start`, `len` of them.
    ///
    /// # Panics
    /// When that is more than the buffer holds: a driver lets no such length through.
    pub(crate) fn bytes(&mut self, start: usize, len: usize) -> &mut [u8] {
        // SAFETY: a u32 array is 4 * WORDS initialized bytes, a u8 has no alignment, every byte pattern is a valid
        // u32, and the borrow of `self` lives as long as the slice.
        let all = unsafe { core::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast::<u8>(), 4 * WORDS) };
        &mut all[start..start + len]
    }

    /// Takes `words` words out of a FIFO. Those past the buffer are read as well, since the FIFO only moves by reading.
    pub(crate) fn fill(&mut self, words: usize, mut pop: impl FnMut() -> u32) {
        for index in 0..words {
            let word = pop();
            if let Some(place) = self.0.get_mut(index) {
                *place = word;
            }
        }
    }
}
