//! The main loop: run the tasks that are ready, then sleep until an interrupt.
//!
//! It sleeps with WFI where embassy-executor's own loop for Cortex-M uses WFE: QEMU treats WFE as a mere yield, so an
//! idle guest would keep a core of its host busy. On silicon the two cost the same.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::{asm, interrupt};
use embassy_executor::Spawner;
use embassy_executor::raw::Executor;
use static_cell::StaticCell;

/// Whether a task has become ready since the executor last looked.
static READY: AtomicBool = AtomicBool::new(true);

/// The executor calls this, by name, when a task becomes ready: from a task or from an interrupt.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    READY.store(true, Ordering::Release);
}

/// Calls `start` to spawn the first tasks and then runs what is spawned, forever.
///
/// # Panics
/// When it is called a second time.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    let executor: &'static Executor = EXECUTOR.init(Executor::new(null_mut()));
    start(executor.spawner());
    loop {
        READY.store(false, Ordering::Relaxed);
        // SAFETY: this executor is polled here only, and `__pender` does not poll it.
        unsafe { executor.poll() };
        sleep();
    }
}

/// Sleeps until an interrupt unless a task is ready. With interrupts masked a pending one still ends WFI, so none can
/// slip in between the look and the sleep.
fn sleep() {
    interrupt::disable();
    if !READY.load(Ordering::Acquire) {
        asm::dsb();
        asm::wfi();
    }
    // SAFETY: they were enabled when this function began, which is called outside of critical sections only.
    unsafe { interrupt::enable() };
}
