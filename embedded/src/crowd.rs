//! Who waits for a session makes others end theirs.

use core::cell::Cell;
use core::task::{Context, Poll};

use netloom_core::{Clock, Duration, Instant};

use crate::clock::EmbassyClock;

/// Whether clients wait for a session. The acceptor says so, the sessions' clocks look at it.
pub(crate) struct Crowd {
    /// How long a session may have been there before it must make room, in milliseconds; zero while nobody waits.
    after: Cell<u32>,
}

impl Crowd {
    pub(crate) const fn new() -> Self {
        Self { after: Cell::new(0) }
    }

    /// Clients wait, and sessions that are older must make room.
    pub(crate) fn waits(&self, after: Duration) {
        let millis = after.as_secs().saturating_mul(1000).saturating_add(after.subsec_millis().into());
        self.after.set(u32::try_from(millis).unwrap_or(u32::MAX).max(1));
    }

    /// Nobody waits.
    pub(crate) fn is_gone(&self) {
        self.after.set(0);
    }
}

/// A board session's clock: embassy's, and it knows when others wait.
#[derive(Clone, Copy)]
pub struct BoardClock<'d> {
    crowd: Option<&'d Crowd>,
    opened_at: Instant,
}

impl<'d> BoardClock<'d> {
    pub(crate) fn new(crowd: Option<&'d Crowd>) -> Self {
        Self { crowd, opened_at: EmbassyClock.now() }
    }
}

impl Clock for BoardClock<'_> {
    fn now(&self) -> Instant {
        EmbassyClock.now()
    }

    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        EmbassyClock.poll_until(at, cx)
    }

    fn stopping(&self) -> bool {
        let after = self.crowd.map_or(0, |crowd| crowd.after.get());
        after > 0 && self.now() >= Instant::from_micros(self.opened_at.as_micros() + u64::from(after) * 1000)
    }
}
