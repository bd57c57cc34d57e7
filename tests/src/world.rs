//! One world: a seed, a virtual time, and who waits until when.
//!
//! Invariant: everything that happens in a world follows from its seed. No wall clock, no thread, no hash of
//! an address takes part.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use netloom_core::{Clock, Duration, Instant};

use crate::random::Random;
use crate::tasks::Tasks;

/// A seed and a virtual clock. Cheap to clone; all clones are the same world.
///
/// ```
/// use netloom_core::Duration;
/// use netloom_lab::World;
///
/// let world = World::new(1);
/// let mut lab = world.tasks();
/// lab.spawn("sleeper", async { world.sleep(Duration::from_secs(3600)).await });
/// let report = lab.run(Duration::from_secs(3601));
/// report.assert_done();
/// assert_eq!(report.elapsed, Duration::from_secs(3600)); // and no time at all on the wall
/// ```
#[derive(Clone)]
pub struct World(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) seed: u64,
    random: RefCell<Random>,
    pub(crate) now: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    next_id: Cell<u64>,
    stopping: Cell<bool>,
    trace: Cell<u64>,
}

impl World {
    /// A world at time zero.
    pub fn new(seed: u64) -> Self {
        let world = Self(Rc::new(Inner {
            seed,
            random: RefCell::new(Random::new(seed)),
            now: Cell::new(0),
            timers: RefCell::default(),
            next_id: Cell::new(0),
            stopping: Cell::new(false),
            trace: Cell::new(0xcbf2_9ce4_8422_2325),
        }));
        world.enter();
        world
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// A number below `n`, which is not zero.
    pub fn below(&self, n: u64) -> u64 {
        self.0.random.borrow_mut().below(n)
    }

    /// A length from 1 to `most`, which is not zero.
    pub fn length(&self, most: usize) -> usize {
        self.0.random.borrow_mut().length(most)
    }

    /// True `percent` times in a hundred.
    pub fn chance(&self, percent: u32) -> bool {
        self.0.random.borrow_mut().chance(percent)
    }

    /// A random duration from zero to `most`.
    pub fn up_to(&self, most: Duration) -> Duration {
        match micros(most) {
            0 => Duration::ZERO,
            most => Duration::from_micros(self.below(most.saturating_add(1).max(1))),
        }
    }

    /// Randomness of its own, which draws no more from the world's.
    pub fn fork(&self) -> Random {
        self.0.random.borrow_mut().fork()
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.0.now.get())
    }

    /// Virtual time since the world began.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.now.get())
    }

    /// A clock for one session or one timer.
    pub fn clock(&self) -> VirtualClock {
        VirtualClock { world: self.clone(), id: self.next_id(), armed: None, elsewhere: false }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        let (mut clock, at) = (self.clock(), self.now() + duration);
        poll_fn(|cx| clock.poll_until(at, cx)).await;
    }

    /// What `future` gives, or `None` if it has not given it within `duration`. It is then dropped.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        let (mut clock, at) = (self.clock(), self.now() + duration);
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => clock.poll_until(at, cx).map(|()| None),
        })
        .await
    }

    /// Says to every session that the host is coming to its end, and wakes everything that waits.
    pub fn stop(&self) {
        self.0.stopping.set(true);
        self.wake_timers(u64::MAX);
    }

    /// Tasks to run in this world. They may borrow from the test.
    pub fn tasks<'a>(&self) -> Tasks<'a> {
        Tasks::new(self.clone())
    }

    /// A number that everything noted so far determines: which task was polled when, and what the links did.
    /// Two runs from one seed have the same.
    pub fn trace(&self) -> u64 {
        self.0.trace.get()
    }

    /// Adds to the [`trace`](Self::trace).
    pub fn note(&self, what: u64) {
        let mixed = (self.0.trace.get() ^ what).wrapping_mul(0x0100_0000_01b3);
        self.0.trace.set(mixed ^ (mixed >> 29));
    }

    pub(crate) fn next_id(&self) -> u64 {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        id
    }

    /// Jumps to the next timer that ends by `limit`, and wakes all that end then. `false` if there is none.
    pub(crate) fn jump(&self, limit: u64) -> bool {
        let next = self.0.timers.borrow().first_key_value().map(|((at, _), _)| *at);
        match next {
            Some(at) if at <= limit => {
                self.0.now.set(self.0.now.get().max(at));
                self.wake_timers(at);
                true
            }
            _ => false,
        }
    }

    /// Jumps to `limit` if anybody waits for a later moment; if nobody does, all is stuck now.
    pub(crate) fn pass(&self, limit: u64) {
        let waits = self.0.timers.borrow().keys().any(|(at, _)| *at < u64::MAX);
        if waits {
            self.0.now.set(self.0.now.get().max(limit));
        }
    }

    fn wake_timers(&self, until: u64) {
        loop {
            let mut timers = self.0.timers.borrow_mut();
            match timers.first_entry() {
                Some(first) if first.key().0 <= until => {
                    let waker = first.remove();
                    drop(timers);
                    waker.wake();
                }
                _ => return,
            }
        }
    }

    /// Wakes `waker` at `at`, without a clock of its own.
    #[cfg(feature = "embassy")]
    pub(crate) fn wake_at(&self, at: u64, waker: &Waker) {
        if at <= self.0.now.get() {
            waker.wake_by_ref();
            return;
        }
        let mut timers = self.0.timers.borrow_mut();
        if !timers.range((at, 0)..=(at, u64::MAX)).any(|(_, known)| known.will_wake(waker)) {
            timers.insert((at, self.next_id()), waker.clone());
        }
    }

    /// Makes this the thread's world; see [`time`](crate::time).
    pub(crate) fn enter(&self) {
        #[cfg(feature = "embassy")]
        crate::time::enter(self);
    }
}

/// A world's clock for one session or one timer.
pub struct VirtualClock {
    world: World,
    id: u64,
    armed: Option<u64>,
    elsewhere: bool,
}

impl VirtualClock {
    /// The clock of a session on another host, which goes on when the world's [stops](World::stop).
    pub fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    fn disarm(&mut self) {
        if let Some(at) = self.armed.take() {
            self.world.0.timers.borrow_mut().remove(&(at, self.id));
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.world.now()
    }

    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.disarm();
        if self.world.now() >= at {
            return Poll::Ready(());
        }
        let at = at.as_micros();
        self.armed = Some(at);
        self.world.0.timers.borrow_mut().insert((at, self.id), cx.waker().clone());
        Poll::Pending
    }

    fn stopping(&self) -> bool {
        !self.elsewhere && self.world.0.stopping.get()
    }
}

impl Drop for VirtualClock {
    fn drop(&mut self) {
        self.disarm();
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
