//! Randomness from a seed: SplitMix64.

/// A stream of numbers that its seed determines.
///
/// ```
/// use netloom_lab::Random;
///
/// let (mut a, mut b) = (Random::new(7), Random::new(7));
/// assert_eq!(a.next(), b.next());
/// assert!(a.below(10) < 10);
/// ```
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not zero.
    pub const fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A length from 1 to `most`, which is not zero.
    pub const fn length(&mut self, most: usize) -> usize {
        1 + self.below(most as u64) as usize
    }

    /// True `percent` times in a hundred.
    pub const fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.below(100) < percent as u64
    }

    /// A stream of its own, which draws no more from this one.
    pub const fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
