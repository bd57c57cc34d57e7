//! Who is to be woken when a worker stops, one waker per session, and where it came from.

use std::cell::RefCell;
use std::net::IpAddr;
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
    /// Here rather than in each session's task, whose size goes in steps of 128 bytes.
    addresses: Vec<Option<IpAddr>>,
    free: Vec<Seat>,
}

impl Roster {
    /// Takes a free seat for who came from `address`.
    pub(crate) fn take(&self, address: Option<IpAddr>) -> Seat {
        let mut seats = self.seats.borrow_mut();
        let seat = match seats.free.pop() {
            Some(seat) => seat,
            None => {
                seats.wakers.push(None);
                seats.addresses.push(None);
                // There are fewer seats than file descriptors.
                Seat(NonZeroU32::MIN.saturating_add(seats.wakers.len() as u32 - 1))
            }
        };
        seats.addresses[seat.place()] = address;
        seat
    }

    /// Who has that seat wakes by `waker`.
    pub(crate) fn sit(&self, seat: Seat, waker: &Waker) {
        self.seats.borrow_mut().wakers[seat.place()] = Some(waker.clone());
    }

    /// Gives a seat up: where who had it came from.
    pub(crate) fn leave(&self, seat: Seat) -> Option<IpAddr> {
        let mut seats = self.seats.borrow_mut();
        seats.wakers[seat.place()] = None;
        let address = seats.addresses[seat.place()].take();
        seats.free.push(seat);
        if seats.free.len() == seats.wakers.len() {
            *seats = Seats::default();
        }
        address
    }

    pub(crate) fn wake_all(&self) {
        for waker in self.seats.borrow().wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}
