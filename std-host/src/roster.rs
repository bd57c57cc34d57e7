//! Who is to be woken when a worker stops: one waker per session.

use std::cell::RefCell;
use std::rc::Rc;
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

/// A place on the roster, given up when dropped.
pub(crate) struct Seat {
    roster: Rc<Roster>,
    number: u32,
}

impl Roster {
    pub(crate) fn sit(self: &Rc<Self>, waker: &Waker) -> Seat {
        let mut seats = self.seats.borrow_mut();
        let number = match seats.free.pop() {
            Some(number) => number,
            None => {
                seats.wakers.push(None);
                seats.wakers.len() as u32 - 1
            }
        };
        seats.wakers[number as usize] = Some(waker.clone());
        Seat { roster: self.clone(), number }
    }

    pub(crate) fn wake_all(&self) {
        for waker in self.seats.borrow().wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.roster.seats.borrow_mut();
        seats.wakers[self.number as usize] = None;
        seats.free.push(self.number);
        if seats.free.len() == seats.wakers.len() {
            *seats = Seats::default();
        }
    }
}
