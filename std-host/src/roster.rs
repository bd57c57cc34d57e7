//! Who is to be woken when a worker stops: one waker per session.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::task::Waker;

/// A seat's number, from one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat(NonZeroU32);

impl Seat {
    /// Its place among the wakers.
    fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Default)]
pub(crate) struct Roster {
    seats: RefCell<Seats>,
}

#[derive(Default)]
struct Seats {
    wakers: Vec<Option<Waker>>,
    free: Vec<Seat>,
}

impl Roster {
    /// Takes a free seat for who wakes by `waker`.
    pub(crate) fn sit(&self, waker: &Waker) -> Seat {
        let mut seats = self.seats.borrow_mut();
        let seat = match seats.free.pop() {
            Some(seat) => seat,
            None => {
                seats.wakers.push(None);
                // There are fewer seats than file descriptors.
                Seat(NonZeroU32::MIN.saturating_add(seats.wakers.len() as u32 - 1))
            }
        };
        seats.wakers[seat.place()] = Some(waker.clone());
        seat
    }

    /// Gives a seat up.
    pub(crate) fn leave(&self, seat: Seat) {
        let mut seats = self.seats.borrow_mut();
        seats.wakers[seat.place()] = None;
        seats.free.push(seat);
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
