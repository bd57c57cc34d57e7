//! Rooms and broadcasts over all workers: [`netloom_core::hub`] behind a mutex, with as many seats as members come.

use std::sync::{Mutex, PoisonError};

pub use netloom_core::hub::{Lagged, Room, Seat, Seats, Shared};

/// A room for all workers of a process.
///
/// ```
/// let hub = netloom::hub::of(64 * 1024);
/// let mut member = hub.join(20).expect("seats grow");
/// hub.publish(b"hello").expect("it fits");
/// member.read(|message| assert_eq!(message, b"hello"))?;
/// # Ok::<(), netloom::hub::Lagged>(())
/// ```
pub type Hub = netloom_core::hub::Hub<Locked>;

/// Who is told what is published in a [`Hub`].
pub type Member<'a> = netloom_core::hub::Member<'a, Locked>;

/// A hub that keeps the last `bytes` bytes of messages.
pub fn of(bytes: usize) -> Hub {
    Hub::new(Locked(Mutex::new(Room::new(vec![0; bytes].into_boxed_slice(), Growing(Vec::new())))))
}

/// A room behind a mutex.
#[derive(Debug)]
pub struct Locked(Mutex<Room<Box<[u8]>, Growing>>);

impl Shared for Locked {
    type Bytes = Box<[u8]>;
    type Seats = Growing;

    fn with<R>(&self, f: impl FnOnce(&mut Room<Box<[u8]>, Growing>) -> R) -> R {
        // What a panic leaves is in order: a message is told of only when it is complete.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Seats on the heap.
#[derive(Debug)]
pub struct Growing(Vec<Seat>);

impl Seats for Growing {
    fn seats(&mut self) -> &mut [Seat] {
        &mut self.0
    }

    fn grow(&mut self) -> bool {
        self.0.resize_with((self.0.len() * 2).max(8), || Seat::EMPTY);
        true
    }
}
