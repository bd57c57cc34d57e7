//! The system's clocks as of its last tick, which is ten milliseconds ago at most, on Linux: for a quarter of the price.
//! Elsewhere they are asked exactly.

#[cfg(target_os = "linux")]
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Time since a moment.
pub(crate) struct Ticks {
    #[cfg(target_os = "linux")]
    start: u64,
    #[cfg(not(target_os = "linux"))]
    start: std::time::Instant,
}

#[cfg(target_os = "linux")]
impl Ticks {
    /// Since now.
    pub(crate) fn new() -> Self {
        Self { start: micros(clock_gettime(ClockId::Monotonic)) }
    }

    /// Microseconds since then, as of the last tick.
    #[inline]
    pub(crate) fn micros(&self) -> u64 {
        micros(clock_gettime(ClockId::MonotonicCoarse)).saturating_sub(self.start)
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn micros(time: Timespec) -> u64 {
    // Since the system was booted: neither is negative.
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

#[cfg(not(target_os = "linux"))]
impl Ticks {
    pub(crate) fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }

    pub(crate) fn micros(&self) -> u64 {
        let elapsed = self.start.elapsed();
        elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros())
    }
}

/// Whole seconds since the beginning of 1970.
#[cfg(target_os = "linux")]
#[inline]
pub(crate) fn unix_seconds() -> Option<u64> {
    u64::try_from(clock_gettime(ClockId::RealtimeCoarse).tv_sec).ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unix_seconds() -> Option<u64> {
    use std::time::{SystemTime, UNIX_EPOCH};
    Some(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_last_tick_was_a_moment_ago_and_never_ahead() {
        let before = Instant::now();
        let ticks = Ticks::new();
        std::thread::sleep(Duration::from_millis(30));
        let told = Duration::from_micros(ticks.micros());
        assert!(told <= before.elapsed(), "{told:?}");
        assert!(told > Duration::from_millis(15), "{told:?}");
    }

    #[test]
    fn seconds_are_those_of_the_systems_clock() {
        let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let before = seconds();
        let told = unix_seconds().unwrap();
        assert!((before - 1..=seconds()).contains(&told));
    }
}
