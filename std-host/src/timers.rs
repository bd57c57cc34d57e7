//! A worker's timers: when which session wants to be woken.
//!
//! One ordered map and one alarm for all sessions, instead of a timer each: a session's wait touches the map
//! only if it must be woken earlier than it is already to be. Waking too early is harmless, it asks again; that is
//! what makes the map rarely touched: time-outs mostly move away while a session is busy.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use netloom_core::Instant;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant as TokioInstant};

use crate::alarm::Alarm;
use crate::ticks::Ticks;

pub(crate) struct Timers {
    epoch: TokioInstant,
    waiting: RefCell<BTreeMap<(Instant, u64), Waker>>,
    /// Everything due by then has been woken.
    reached: Cell<Instant>,
    numbers: Cell<u64>,
    /// When the alarm goes off. Too early is harmless, so it is set anew only to go off sooner.
    alarm: Cell<Instant>,
    /// Something is due before the alarm goes off.
    sooner: Notify,
    /// Since the epoch.
    ticks: Ticks,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            epoch: TokioInstant::now(),
            ticks: Ticks::new(),
            waiting: RefCell::default(),
            reached: Cell::default(),
            numbers: Cell::default(),
            alarm: Cell::new(Instant::NEVER),
            sooner: Notify::new(),
        }
    }

    /// A number that no other timer has.
    fn number(&self) -> u64 {
        self.numbers.replace(self.numbers.get() + 1)
    }

    /// The time, exactly.
    pub(crate) fn now(&self) -> Instant {
        let elapsed = self.epoch.elapsed();
        Instant::from_micros(elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros()))
    }

    /// The time as of the system's last tick, some milliseconds ago at most: cheaper.
    #[inline]
    pub(crate) fn recently(&self) -> Instant {
        Instant::from_micros(self.ticks.micros())
    }

    /// Wakes whoever is due, for ever.
    pub(crate) async fn run(&self) {
        let alarm = Alarm::new();
        loop {
            let first = self.waiting.borrow().first_key_value().map(|((at, _), _)| *at);
            self.alarm.set(first.unwrap_or(Instant::NEVER));
            let Some(first) = first else {
                self.sooner.notified().await;
                continue;
            };
            // Ours are rounded down, tokio's timers have steps of a millisecond.
            let at = self.epoch + Duration::from_micros(first.as_micros() + 1);
            tokio::select! {
                () = alarm.until(at) => self.wake_due(),
                () = self.sooner.notified() => {}
            }
        }
    }

    fn wake_due(&self) {
        let now = self.now();
        self.reached.set(now);
        let later = self.waiting.borrow_mut().split_off(&(now, u64::MAX));
        let due = self.waiting.replace(later);
        due.into_values().for_each(Waker::wake);
    }
}

/// One session's timer, in the timers of its worker `W`.
pub(crate) struct Timer<W: AsRef<Timers>> {
    worker: Rc<W>,
    number: u64,
    /// When it is in the map for; `NEVER` if it is not.
    armed: Cell<Instant>,
    /// Whom it wakes: only compared, never followed.
    waker: Cell<*const ()>,
}

impl<W: AsRef<Timers>> Timer<W> {
    pub(crate) fn new(worker: Rc<W>) -> Self {
        let number = (*worker).as_ref().number();
        Self { worker, number, armed: Cell::new(Instant::NEVER), waker: Cell::new(std::ptr::null()) }
    }

    pub(crate) fn worker(&self) -> &Rc<W> {
        &self.worker
    }

    fn timers(&self) -> &Timers {
        (*self.worker).as_ref()
    }

    pub(crate) fn now(&self) -> Instant {
        self.timers().now()
    }

    #[inline]
    pub(crate) fn recently(&self) -> Instant {
        self.timers().recently()
    }

    pub(crate) fn poll_until(&self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let reached = self.timers().reached.get();
        let armed = self.armed.get();
        if armed <= at && armed > reached && self.waker.get() == cx.waker().data() {
            return Poll::Pending;
        }
        if at <= reached || at <= self.timers().now() {
            return Poll::Ready(());
        }
        // A century is never, and later than that tokio's instants overflow.
        const CENTURY: Instant = Instant::from_micros(100 * 365 * 86_400 * 1_000_000);
        self.disarm();
        let (at, timers) = (at.min(CENTURY), self.timers());
        self.armed.set(at);
        self.waker.set(cx.waker().data());
        timers.waiting.borrow_mut().insert((at, self.number), cx.waker().clone());
        if at < timers.alarm.get() {
            timers.sooner.notify_one();
        }
        Poll::Pending
    }

    fn disarm(&self) {
        let armed = self.armed.replace(Instant::NEVER);
        if armed != Instant::NEVER {
            self.timers().waiting.borrow_mut().remove(&(armed, self.number));
        }
    }
}

impl<W: AsRef<Timers>> Drop for Timer<W> {
    fn drop(&mut self) {
        self.disarm();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    impl AsRef<Self> for Timers {
        fn as_ref(&self) -> &Self {
            self
        }
    }

    /// Runs `test` beside the timers, on tokio's paused clock.
    fn run<F: Future>(test: impl FnOnce(Rc<Timers>) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let timers = Rc::new(Timers::new());
            tokio::select! {
                () = timers.run() => unreachable!("timers run for ever"),
                _ = test(timers.clone()) => {}
            }
        });
    }

    async fn until(timer: &Timer<Timers>, seconds: u64) {
        let at = Instant::from_micros(seconds * 1_000_000);
        poll_fn(|cx| timer.poll_until(at, cx)).await;
        assert!((at..at + Duration::from_millis(3)).contains(&timer.now()), "{at:?} {:?}", timer.now());
    }

    #[test]
    fn timers_fire_in_order_and_leave_nothing() {
        run(|timers| async move {
            let wakers = std::array::from_fn(|_| Timer::new(timers.clone()));
            let [a, b, c] = &wakers;
            tokio::join!(until(a, 3), until(b, 1), until(c, 2));
            tokio::join!(until(a, 3), until(b, 4));
            drop(wakers);
            assert!(timers.waiting.borrow().is_empty());
        });
    }

    #[test]
    fn a_timer_set_earlier_fires_earlier_and_one_set_later_fires_later() {
        run(|timers| async move {
            let timer = Timer::new(timers.clone());
            let later = Instant::from_micros(60_000_000);
            for seconds in [5, 1, 9] {
                let mut cx = Context::from_waker(Waker::noop());
                let base = timer.now();
                assert!(timer.poll_until(later, &mut cx).is_pending());
                assert_eq!(timers.waiting.borrow().len(), 1);
                until(&timer, base.as_micros() / 1_000_000 + seconds).await;
            }
        });
    }

    #[test]
    fn what_is_due_after_the_alarm_leaves_it_alone_and_is_woken_all_the_same() {
        run(|timers| async move {
            let (first, second) = (Timer::new(timers.clone()), Timer::new(timers.clone()));
            let (sooner, later) = (Instant::from_micros(1_000_000), Instant::from_micros(5_000_000));
            let mut cx = Context::from_waker(Waker::noop());
            // However the two tasks take turns.
            let alarm = async || {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                timers.alarm.get()
            };
            assert!(first.poll_until(sooner, &mut cx).is_pending());
            assert_eq!(alarm().await, sooner);
            first.disarm();
            assert!(second.poll_until(later, &mut cx).is_pending());
            assert_eq!(alarm().await, sooner);
            until(&second, 5).await;
            assert_eq!(timers.alarm.get(), Instant::NEVER);
        });
    }

    #[test]
    fn another_waker_takes_the_timer_over() {
        run(|timers| async move {
            let timer = Timer::new(timers.clone());
            let at = Instant::from_micros(1_000_000);
            assert!(timer.poll_until(at, &mut Context::from_waker(Waker::noop())).is_pending());
            until(&timer, 1).await;
        });
    }
}
