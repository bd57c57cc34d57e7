//! What wakes a worker when the first of its timers is due.
//!
//! On Linux it is a timer of the kernel's own among the worker's file descriptors. A timer of tokio's would have
//! tokio ask for the time, and reckon how long to sleep, before every sleep of the worker; so that is only for
//! other systems, and for when descriptors have run out.

use tokio::time::{Instant, sleep_until};

/// One alarm, set anew by each wait.
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<linux::Timer>,
}

impl Alarm {
    /// To be made on a runtime.
    pub(crate) fn new() -> Self {
        Self {
            // tests run on tokio's paused clock
            #[cfg(target_os = "linux")]
            timer: if cfg!(test) { None } else { linux::Timer::new().ok() },
        }
    }

    /// Waits until `at` has passed.
    pub(crate) async fn until(&self, at: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && timer.until(at).await.is_ok()
        {
            return;
        }
        sleep_until(at).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{ErrorKind, Result};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;
    use tokio::time::{Duration, Instant};

    /// The kernel's timer, read as a pipe is: eight bytes come when it goes off.
    pub(super) struct Timer(Receiver);

    impl Timer {
        pub(super) fn new() -> Result<Self> {
            let timer =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Receiver::from_owned_fd_unchecked(timer).map(Self)
        }

        pub(super) async fn until(&self, at: Instant) -> Result<()> {
            // No time at all would disarm it.
            let left = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec::try_from(left).map_err(std::io::Error::other)?,
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            loop {
                self.0.readable().await?;
                match self.0.try_read(&mut [0; 8]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    read => return read.map(drop),
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[tokio::test]
        async fn an_alarm_goes_off_when_it_was_last_set_to_and_not_before() {
            let timer = Timer::new().unwrap();
            let begun = Instant::now();
            let late = tokio::time::timeout(Duration::from_millis(5), timer.until(begun + Duration::MAX / 4));
            assert!(late.await.is_err());
            for millis in [30, 20, 0] {
                let at = begun + Duration::from_millis(millis);
                timer.until(at).await.unwrap();
                assert!(Instant::now() >= at);
            }
        }
    }
}
