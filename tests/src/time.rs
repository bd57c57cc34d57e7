//! embassy-time's driver on the virtual clock.
//!
//! It tells the time of the thread's world: the one made or run last on this thread. So tests run in
//! parallel threads, each in a world of its own.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::task::Waker;

use crate::world::{Inner, World};

thread_local! {
    static CURRENT: RefCell<Weak<Inner>> = const { RefCell::new(Weak::new()) };
}

pub(crate) fn enter(world: &World) {
    CURRENT.with_borrow_mut(|current| *current = Rc::downgrade(&world.0));
}

fn current() -> Option<World> {
    CURRENT.with_borrow(Weak::upgrade).map(World)
}

struct VirtualTime;

impl embassy_time_driver::Driver for VirtualTime {
    fn now(&self) -> u64 {
        current().map_or(0, |world| world.now().as_micros())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let world = current().expect("a timer of embassy-time needs a world on this thread");
        world.wake_at(at, waker);
    }
}

const _: () = assert!(embassy_time_driver::TICK_HZ == 1_000_000, "the virtual clock counts microseconds");

#[allow(unsafe_code, reason = "the macro exports the driver's two functions by name")]
mod driver {
    use super::VirtualTime;

    embassy_time_driver::time_driver_impl!(static DRIVER: VirtualTime = VirtualTime);
}
