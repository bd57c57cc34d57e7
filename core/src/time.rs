//! Time as data. The core never asks what time it is; the host tells it.

mod date;

use core::ops::{Add, Sub};

pub use core::time::Duration;
pub use date::Date;

/// A moment on the host's monotonic clock, in microseconds since an epoch of the host's choosing.
///
/// Invariant: a host never tells a moment earlier than one it has already told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// A moment that is never reached: 584,000 years after the epoch.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a time-out too far away to represent never fires.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn add(self, rhs: Duration) -> Self {
        // Not `as_micros`: its 128 bits cost a board code and time.
        let micros = rhs.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(rhs.subsec_micros()));
        Self(self.0.saturating_add(micros))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Saturates at zero.
    fn sub(self, rhs: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(rhs.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(Instant::from_micros(5) + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::NEVER + Duration::from_micros(1), Instant::NEVER);
        assert_eq!(Instant::from_micros(1) - Instant::from_micros(2), Duration::ZERO);
        let later = Instant::from_micros(7) + Duration::new(2, 3_999);
        assert_eq!(later.as_micros(), 2_000_010);
    }
}
