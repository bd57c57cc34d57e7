//! Where a piece of a body lies.

use core::ops::Range;

/// From one offset to another, both below 4 GiB. One number, which goes through a register from who finds the piece to who
/// reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(u64);

impl Span {
    #[inline]
    pub(super) const fn new(start: usize, end: usize) -> Self {
        Self((start as u32 as u64) << 32 | end as u32 as u64)
    }

    /// The offsets.
    #[inline]
    pub const fn range(self) -> Range<usize> {
        (self.0 >> 32) as usize..self.0 as u32 as usize
    }
}
