//! The clock: an `embassy-time` driver on SysTick, the timer that every Cortex-M has.
//!
//! SysTick counts down once per millisecond and interrupts at each end, which counts the milliseconds and serves the
//! tasks that wait for one; what SysTick has counted since then gives the microseconds. Timers therefore fire on the
//! next millisecond, and [`embassy_time::Instant::now`] is exact to the microsecond.
//!
//! Invariant: time never runs backwards. Should the interrupt be kept out for two milliseconds then a millisecond is
//! lost, and the clock stands still for as long rather than jump.
//!
//! The steady interrupt is also the heartbeat that QEMU's user networking needs: its own timers run only when the guest
//! does something.

use core::cell::{Cell, RefCell};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;
use core::task::Waker;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};
use embassy_time_queue_utils::Queue;

/// Microseconds in a tick of SysTick.
const MICROS: u32 = 1_000;

/// `ICSR`, bit 26: SysTick has reached zero and its interrupt has not run yet.
const PENDSTSET: u32 = 1 << 26;

const _: () = assert!(TICK_HZ == 1_000_000, "this driver counts microseconds");

time_driver_impl!(static CLOCK: Clock = Clock {
    micros: Mutex::new(Cell::new(0)),
    latest: Mutex::new(Cell::new(0)),
    alarm: Mutex::new(Cell::new(u64::MAX)),
    queue: Mutex::new(RefCell::new(Queue::new())),
    period: AtomicU32::new(1),
});

/// The fastest processor for which a millisecond's cycles, times [`MICROS`], fit 32 bits; SysTick's own 24 bits would
/// do for more.
const MAX_FREQUENCY: u32 = u32::MAX / MICROS * 1_000;

/// Starts the clock. `frequency` is the processor's, in hertz: a multiple of 1,000, or the clock is off by the rest.
///
/// # Panics
/// When the frequency is less than 1 MHz or more than 4.29 GHz.
pub fn start(mut timer: SYST, frequency: u32) {
    assert!((1_000_000..=MAX_FREQUENCY).contains(&frequency), "a frequency SysTick cannot use");
    timer.set_clock_source(SystClkSource::Core);
    let period = frequency / 1_000;
    CLOCK.period.store(period, Relaxed);
    timer.set_reload(period - 1);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

struct Clock {
    /// Whole milliseconds since the start, in microseconds.
    micros: Mutex<Cell<u64>>,
    /// The latest time that was told.
    latest: Mutex<Cell<u64>>,
    /// When the next task wants to be woken.
    alarm: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
    /// Cycles in a tick of SysTick. The timer knows it too, but its registers are slower than memory.
    period: AtomicU32,
}

impl Clock {
    fn time(&self, section: CriticalSection<'_>) -> u64 {
        let mut micros = self.micros.borrow(section).get();
        let mut left = SYST::get_current();
        // SAFETY: reading ICSR has no effect.
        if unsafe { (*SCB::PTR).icsr.read() } & PENDSTSET != 0 {
            micros += u64::from(MICROS);
            // It may have been read before the counter started over.
            left = SYST::get_current();
        }
        let period = self.period.load(Relaxed);
        let passed = (period - 1 - left.min(period - 1)) * MICROS / period;
        let latest = self.latest.borrow(section);
        latest.set(latest.get().max(micros + u64::from(passed)));
        latest.get()
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|section| self.time(section))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let mut queue = self.queue.borrow_ref_mut(section);
            if queue.schedule_wake(at, waker) {
                let now = self.time(section);
                self.alarm.borrow(section).set(queue.next_expiration(now));
            }
        });
    }
}

#[exception]
fn SysTick() {
    critical_section::with(|section| {
        let micros = CLOCK.micros.borrow(section);
        micros.set(micros.get() + u64::from(MICROS));
        let now = CLOCK.time(section);
        let alarm = CLOCK.alarm.borrow(section);
        if now >= alarm.get() {
            alarm.set(CLOCK.queue.borrow_ref_mut(section).next_expiration(now));
        }
    });
}
