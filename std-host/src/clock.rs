//! tokio's clock, with one timer per session.

use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_core::{Clock, Instant};
use tokio::time::{Duration, Instant as TokioInstant, Sleep, sleep_until};

/// tokio's clock. Its timer is made when the session first waits, and re-armed only when it fires or must
/// fire earlier: a session that is busy never touches the timer wheel.
#[derive(Debug)]
pub struct TokioClock {
    epoch: TokioInstant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl TokioClock {
    /// A clock that counts from `epoch`.
    pub fn new(epoch: TokioInstant) -> Self {
        Self { epoch, sleep: None }
    }
}

impl Clock for TokioClock {
    #[inline]
    fn now(&self) -> Instant {
        let elapsed = self.epoch.elapsed();
        Instant::from_micros(elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros()))
    }

    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        // A century is never; later than that tokio's instants overflow. (+1: ours are rounded down.)
        let century = Instant::from_micros(100 * 365 * 86_400 * 1_000_000);
        let at = self.epoch + Duration::from_micros(at.min(century).as_micros() + 1);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        // Too early is harmless, it is re-armed when it fires; too late is not.
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}
