//! Who is to be woken when a worker stops: one waker per session.

use std::cell::RefCell;
use std::task::Waker;

#[derive(Default)]
pub(crate) struct Roster {
    seats: RefCell<Seats>,
}

#[derive(Default)]
struct Seats {
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

impl Roster {
    /// Takes a free seat for who wakes by `waker`.
    pub(crate) fn sit(&self, waker: &Waker) -> u32 {
        let mut seats = self.seats.borrow_mut();
        let number = match seats.free.pop() {
            Some(number) => number,
            None => {
                seats.wakers.push(None);
                seats.wakers.len() as u32 - 1
            }
        };
        seats.wakers[number as usize] = Some(waker.clone());
        number
    }

    /// Gives a seat up.
    pub(crate) fn leave(&self, number: u32) {
        let mut seats = self.seats.borrow_mut();
        seats.wakers[number as usize] = None;
        seats.free.push(number);
        if seats.free.len() == seats.wakers.len() {
            *seats = Seats::default();
        }
    }

    pub(crate) fn wake_all(&self) {
        for waker in self.seats.borrow().wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}
