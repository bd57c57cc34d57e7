//! embassy's clock.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};

use embassy_time::Timer;
use netloom_core::{Clock, Instant};

/// embassy's clock. It has no state: the timer is part of the task that waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        Instant::from_micros(embassy_time::Instant::now().as_micros())
    }

    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.now() >= at {
            return Poll::Ready(());
        }
        if at != Instant::NEVER {
            // Asks the driver to wake the task; a timer that is dropped is not called back.
            let timer = Timer::at(embassy_time::Instant::from_micros(at.as_micros()));
            if pin!(timer).poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
