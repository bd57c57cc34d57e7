//! What can go wrong on a link.

use netloom_core::Duration;

/// How a [`link`](crate::link()) behaves. Probabilities are percentages; both directions have the same.
///
/// ```
/// use netloom_core::Duration;
/// use netloom_lab::Faults;
///
/// let faults = Faults::rough().capacity(64).reset_after(1000);
/// assert_eq!(faults.reset_after, Some(1000));
/// let stalls = Faults { stall: Some((500, Duration::MAX)), ..Faults::none() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Bytes a direction holds before its writer waits, on their way and unread.
    pub capacity: usize,
    /// How often a read or a write takes less than it could, cut at any byte.
    pub short: u32,
    /// How often an operation that could go on waits once more, as a reactor's
    /// budget makes it.
    pub spurious: u32,
    /// How often `poll_readable` says yes although there is nothing to read.
    pub false_alarm: u32,
    /// How long every byte takes.
    pub latency: Duration,
    /// How much longer it may take, drawn for each write. Bytes never overtake each other.
    pub jitter: Duration,
    /// Once this many bytes, both directions together, were written, the next write breaks the connection:
    /// both ends see `ConnectionClosed`, unread bytes are lost.
    pub reset_after: Option<u64>,
    /// After this many bytes a direction takes none for that long; `Duration::MAX` is for ever.
    pub stall: Option<(u64, Duration)>,
    /// From this moment on nothing arrives for that long; what was sent arrives afterwards.
    pub partition: Option<(Duration, Duration)>,
}

impl Faults {
    /// A link without faults, without delay, of 64 KiB each way.
    pub const fn none() -> Self {
        Self {
            capacity: 64 * 1024,
            short: 0,
            spurious: 0,
            false_alarm: 0,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            reset_after: None,
            stall: None,
            partition: None,
        }
    }

    /// Everything is delivered, in the worst of ways: 100 bytes each way, cut anywhere, delayed, with waits
    /// and readiness that mean nothing.
    pub const fn rough() -> Self {
        Self {
            capacity: 100,
            short: 70,
            spurious: 20,
            false_alarm: 20,
            latency: Duration::from_micros(500),
            jitter: Duration::from_millis(4),
            ..Self::none()
        }
    }

    /// A long way: 50 ms each way, 10 ms more or less, 8 KiB on their way.
    pub const fn distant() -> Self {
        Self {
            capacity: 8 * 1024,
            short: 20,
            latency: Duration::from_millis(45),
            jitter: Duration::from_millis(10),
            ..Self::none()
        }
    }

    /// The same with room for `bytes` each way.
    pub const fn capacity(self, bytes: usize) -> Self {
        Self { capacity: bytes, ..self }
    }

    /// The same, breaking after `bytes`.
    pub const fn reset_after(self, bytes: u64) -> Self {
        Self { reset_after: Some(bytes), ..self }
    }

    /// The same, where each direction stops taking after `bytes`, for as long as `lasts`.
    pub const fn stall(self, bytes: u64, lasts: Duration) -> Self {
        Self { stall: Some((bytes, lasts)), ..self }
    }

    /// The same, where nothing arrives for as long as `lasts`, `from` the beginning of the world on.
    pub const fn partition(self, from: Duration, lasts: Duration) -> Self {
        Self { partition: Some((from, lasts)), ..self }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}
