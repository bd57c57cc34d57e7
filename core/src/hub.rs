//! One says it, all are told: rooms and broadcasts.
//!
//! A hub keeps the last messages in one ring, encoded once; each member has a place in it. Nobody waits for another: a
//! member that does not keep up finds that what it missed is gone, and how much that was.
//!
//! ```text
//! publish -> | oldest ... | ... | newest |
//!                  ^ a slow member    ^ the others
//! ```
//!
//! What differs between hosts is an argument: the ring's bytes, the members' seats and the lock
//! around both. On a microcontroller these are arrays and a `RefCell`.
//!
//! ```
//! use core::cell::RefCell;
//! use netloom_core::hub::{Hub, Room, Seat};
//!
//! # async fn example() -> Result<(), netloom_core::hub::Lagged> {
//! let hub = Hub::new(RefCell::new(Room::new([0; 512], [const { Seat::EMPTY }; 4])));
//! hub.publish(b"before").expect("it fits");
//! let mut member = hub.join(20).expect("a seat is free"); // is told of up to 20 messages from before
//! hub.publish(b"behind").expect("it fits");
//! member.ready().await?;
//! let mut heard = Vec::new();
//! member.read(|message| heard.push(message.to_vec()))?;
//! assert_eq!(heard, [b"before", b"behind"]);
//! # Ok(())
//! # }
//! ```

use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker, ready};

use crate::buffer::Outbox;
use crate::error::{Code, Error, Fault, Result};

/// Bytes before each message in the ring: its length.
const HEADER: usize = 2;
/// In place of a length: the next message is at the ring's beginning.
const WRAPPED: u16 = u16::MAX;

/// The last messages, and who waits for the next.
#[derive(Debug)]
pub struct Room<B, S> {
    ring: B,
    seats: S,
    oldest: Place,
    next: Place,
}

/// A message's place in a [`Room`]: its number, and where it lies in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    number: u32,
    at: u32,
}

/// Where a member waits.
#[derive(Debug)]
pub struct Seat {
    taken: bool,
    waits: bool,
    waker: Option<Waker>,
}

impl Place {
    /// The message's number: from 0 on, modulo 2^32.
    pub const fn number(self) -> u32 {
        self.number
    }
}

impl Seat {
    /// Nobody's.
    pub const EMPTY: Self = Self { taken: false, waits: false, waker: None };
}

/// Seats for members: an array of them, or something that grows.
pub trait Seats {
    /// All there are.
    fn seats(&mut self) -> &mut [Seat];

    /// Makes more of them. Whether it could.
    fn grow(&mut self) -> bool {
        false
    }
}

impl<const N: usize> Seats for [Seat; N] {
    fn seats(&mut self) -> &mut [Seat] {
        self
    }
}

/// A [`Room`] that many share: behind a `RefCell` where there is one thread, behind a mutex where there are more.
pub trait Shared {
    /// The ring's bytes.
    type Bytes: AsMut<[u8]>;
    /// The members' seats.
    type Seats: Seats;
    /// Has `f` work on the room. Not from within another `f`.
    fn with<R>(&self, f: impl FnOnce(&mut Room<Self::Bytes, Self::Seats>) -> R) -> R;

    /// Has `take` take what a member at `place` has not been told, in batches of at most `max` bytes but for a longer
    /// message, and moves `place` behind each that it took: see [`Member::poll_batches`]. By default each message is a
    /// batch, lent from within [`with`](Self::with); where a lock would be held meanwhile, or where many are told the
    /// same, a [copy](Room::copy_batch) may serve them better.
    ///
    /// # Errors
    /// As for [`Member::poll_each`].
    fn poll_batches<E>(
        &self,
        place: &mut Place,
        max: usize,
        mut take: impl FnMut(Batch<'_>) -> Poll<Result<(), E>>,
    ) -> Poll<Result<Result<(), E>, Lagged>> {
        let _ = max;
        self.with(|room| room.poll_each(place, |bytes| take(Batch { bytes, messages: 1 })))
    }
}

/// Messages one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Their bytes.
    pub bytes: &'a [u8],
    /// How many they are.
    pub messages: u32,
}

impl<B: AsMut<[u8]>, S: Seats> Shared for RefCell<Room<B, S>> {
    type Bytes = B;
    type Seats = S;

    fn with<R>(&self, f: impl FnOnce(&mut Room<B, S>) -> R) -> R {
        f(&mut self.borrow_mut())
    }
}

/// What was missed by who did not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged {
    /// Messages that are gone.
    pub missed: u32,
}

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages were missed", self.missed)
    }
}

impl core::error::Error for Lagged {}

/// Too slow a peer; a WebSocket is closed with 1013 (try again later).
impl From<Lagged> for Error {
    fn from(_: Lagged) -> Self {
        Self::new(Code::WriteStalled).on_wire(1013)
    }
}

impl<B: AsMut<[u8]>, S: Seats> Room<B, S> {
    /// Empty. Of the ring's bytes as many messages are kept as fit, with two bytes for each; past 4 GiB no more are
    /// used.
    pub const fn new(ring: B, seats: S) -> Self {
        Self { ring, seats, oldest: Place { number: 0, at: 0 }, next: Place { number: 0, at: 0 } }
    }

    /// Appends a message of at most `max` bytes, which `write` writes; the oldest ones make room.
    fn append(&mut self, max: usize, write: impl FnOnce(&mut Outbox<'_>) -> Result<()>) -> Result<()> {
        let at = self.make_room(max)?;
        let ring = self.ring.as_mut();
        let mut end = at + HEADER;
        let room = ring.get_mut(..end + max).unwrap_or_default();
        write(&mut Outbox::new(room, &mut end))?;
        let len = (end - at - HEADER) as u16; // `make_room` has refused what does not fit
        ring[at..at + HEADER].copy_from_slice(&len.to_be_bytes());
        self.next = Place { number: self.next.number.wrapping_add(1), at: end as u32 };
        for seat in self.seats.seats() {
            if let (true, Some(waker)) = (core::mem::take(&mut seat.waits), &seat.waker) {
                waker.wake_by_ref();
            }
        }
        Ok(())
    }

    /// Where a message of `max` bytes and its header are free, in one piece.
    fn make_room(&mut self, max: usize) -> Result<usize> {
        let size = self.ring.as_mut().len().min(u32::MAX as usize); // places tell no more
        if max >= usize::from(WRAPPED) || HEADER + max > size {
            return Err(Error::new(Code::MessageTooLarge).blame(Fault::Local));
        }
        let need = HEADER + max;
        loop {
            let (oldest, next) = (self.oldest.at as usize, self.next.at as usize);
            if self.oldest.number == self.next.number {
                // Who has read all will find the message by its number: it is the oldest.
                (self.oldest.at, self.next.at) = (0, 0);
                return Ok(0);
            }
            match next > oldest {
                true if size - next >= need => return Ok(next),
                true if oldest >= need => {
                    if let Some(mark) = self.ring.as_mut().get_mut(next..next + HEADER) {
                        mark.copy_from_slice(&WRAPPED.to_be_bytes());
                    }
                    return Ok(0);
                }
                false if oldest - next >= need => return Ok(next),
                _ => {}
            }
            self.oldest = match self.message(self.oldest) {
                Some((_, behind)) => behind,
                None => self.next,
            };
        }
    }

    /// The message at `place`, and the place behind it; nothing if it is the next one.
    fn message(&mut self, place: Place) -> Option<(&[u8], Place)> {
        if place.number == self.next.number {
            return None;
        }
        let place = if place.number == self.oldest.number { self.oldest } else { place };
        let ring = &*self.ring.as_mut();
        let length = |at: usize| Some(u16::from_be_bytes(*ring.get(at..)?.first_chunk()?));
        let (at, len) = match length(place.at as usize) {
            None | Some(WRAPPED) => (0, length(0)?),
            Some(len) => (place.at as usize, len),
        };
        let (start, end) = (at + HEADER, at + HEADER + usize::from(len));
        let behind = Place { number: place.number.wrapping_add(1), at: end as u32 };
        Some((ring.get(start..end)?, behind))
    }

    /// Has `take` take message by message what a member at `place` has not been told.
    fn poll_each<E>(
        &mut self,
        place: &mut Place,
        mut take: impl FnMut(&[u8]) -> Poll<Result<(), E>>,
    ) -> Poll<Result<Result<(), E>, Lagged>> {
        self.check(*place)?;
        while let Some((message, behind)) = self.message(*place) {
            if let Err(error) = ready!(take(message)) {
                return Poll::Ready(Ok(Err(error)));
            }
            *place = behind;
        }
        Poll::Ready(Ok(Ok(())))
    }

    /// Has `put` copy the next messages that a member at `place` has not been told, as many as come to at most `max` bytes
    /// together, or one that is longer. The place behind them, and how many they are: none if there are none.
    ///
    /// # Errors
    /// [`Lagged`] if messages are gone that were not read.
    pub fn copy_batch(
        &mut self,
        mut place: Place,
        max: usize,
        mut put: impl FnMut(&[u8]),
    ) -> Result<(Place, u32), Lagged> {
        self.check(place)?;
        let (mut left, mut messages) = (max, 0);
        while let Some((message, behind)) = self.message(place) {
            if messages > 0 && message.len() > left {
                break;
            }
            put(message);
            (place, left, messages) = (behind, left.saturating_sub(message.len()), messages + 1);
        }
        Ok((place, messages))
    }

    /// How many messages were published, modulo 2^32: the [number](Place::number) of the next.
    pub fn published(&self) -> u32 {
        self.next.number
    }

    /// The place of a member that is to be told of the last `history` messages.
    fn place(&mut self, history: u32) -> Place {
        let mut place = self.oldest;
        while self.next.number.wrapping_sub(place.number) > history {
            match self.message(place) {
                Some((_, behind)) => place = behind,
                None => break,
            }
        }
        place
    }

    /// Whether all that a member at `place` has not read is kept.
    fn check(&self, place: Place) -> Result<(), Lagged> {
        let kept = self.next.number.wrapping_sub(self.oldest.number);
        match self.next.number.wrapping_sub(place.number).saturating_sub(kept) {
            0 => Ok(()),
            missed => Err(Lagged { missed }),
        }
    }

    fn sit(&mut self) -> Option<usize> {
        loop {
            if let Some(free) = self.seats.seats().iter().position(|seat| !seat.taken) {
                self.seats.seats()[free] = Seat { taken: true, ..Seat::EMPTY };
                return Some(free);
            }
            if !self.seats.grow() {
                return None;
            }
        }
    }
}

/// A room, shared by its members and who publishes.
#[derive(Debug, Default)]
pub struct Hub<L>(L);

impl<L: Shared> Hub<L> {
    /// Around a room behind its lock.
    pub const fn new(room: L) -> Self {
        Self(room)
    }

    /// Tells all members, and those who join later as long as it is kept. Never waits: a task with much to say lets others
    /// run in between (`yield_now` of its runtime), or the ring is overwritten before members who keep up can read it.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`] if it does not fit the ring, or has 64 KiB.
    pub fn publish(&self, message: &[u8]) -> Result<()> {
        self.publish_with(message.len(), |out| out.put(message))
    }

    /// Like [`publish`](Self::publish), of a message that `write` writes, of at most `max` bytes: encoded here once,
    /// and sent so to all. If `write` fails, nobody is told.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish), and what `write` fails with.
    pub fn publish_with(&self, max: usize, write: impl FnOnce(&mut Outbox<'_>) -> Result<()>) -> Result<()> {
        self.0.with(|room| room.append(max, write))
    }

    /// A new member, who is told of the last `history` messages first, as far as they are kept. `None` if no seat is
    /// free.
    pub fn join(&self, history: u32) -> Option<Member<'_, L>> {
        self.0.with(|room| {
            let seat = room.sit()?;
            Some(Member { hub: self, seat, place: room.place(history) })
        })
    }

    /// How many members there are now.
    pub fn members(&self) -> usize {
        self.0.with(|room| room.seats.seats().iter().filter(|seat| seat.taken).count())
    }
}

/// Who is told what is published. Leaves when dropped.
#[derive(Debug)]
pub struct Member<'a, L: Shared> {
    hub: &'a Hub<L>,
    seat: usize,
    place: Place,
}

impl<L: Shared> Member<'_, L> {
    /// Waits until there is a message. Cancel-safe.
    ///
    /// # Errors
    /// [`Lagged`] if messages are gone that were not read.
    pub async fn ready(&mut self) -> Result<(), Lagged> {
        poll_fn(|cx| self.poll_ready(cx)).await
    }

    /// [`ready`](Self::ready), polled.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lagged>> {
        let (seat, place) = (self.seat, self.place);
        self.hub.0.with(|room| {
            if place.number != room.next.number {
                return Poll::Ready(room.check(place));
            }
            if let Some(seat) = room.seats.seats().get_mut(seat) {
                seat.waits = true;
                match &mut seat.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    waker => *waker = Some(cx.waker().clone()),
                }
            }
            Poll::Pending
        })
    }

    /// Takes what there is, message by message. The room is locked meanwhile.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub fn read(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), Lagged> {
        let read = self.poll_each(|message| {
            take(message);
            Poll::Ready(Ok::<(), core::convert::Infallible>(()))
        });
        match read {
            Poll::Ready(Ok(Ok(()))) | Poll::Pending => Ok(()),
            Poll::Ready(Err(lagged)) => Err(lagged),
        }
    }

    /// Has `take` take message by message, until there is none or it cannot go on; what it has not taken is the next
    /// one still. The room is locked meanwhile.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready); inside, what `take` fails with.
    pub fn poll_each<E>(
        &mut self,
        take: impl FnMut(&[u8]) -> Poll<Result<(), E>>,
    ) -> Poll<Result<Result<(), E>, Lagged>> {
        self.hub.0.with(|room| room.poll_each(&mut self.place, take))
    }

    /// Like [`poll_each`](Self::poll_each), for who sends on what it is told: `take` may be given several messages at once,
    /// of at most `max` bytes together, and takes all of a batch or nothing. The room need not be locked meanwhile.
    ///
    /// # Errors
    /// As for [`poll_each`](Self::poll_each).
    pub fn poll_batches<E>(
        &mut self,
        max: usize,
        take: impl FnMut(Batch<'_>) -> Poll<Result<(), E>>,
    ) -> Poll<Result<Result<(), E>, Lagged>> {
        self.hub.0.poll_batches(&mut self.place, max, take)
    }

    /// Goes on with the oldest message that is kept, behind those that were missed.
    pub fn catch_up(&mut self) {
        self.place = self.hub.0.with(|room| room.oldest);
    }
}

impl<L: Shared> Drop for Member<'_, L> {
    fn drop(&mut self) {
        self.hub.0.with(|room| {
            if let Some(seat) = room.seats.seats().get_mut(self.seat) {
                *seat = Seat::EMPTY;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    fn hub<const N: usize>() -> Hub<RefCell<Room<[u8; N], [Seat; 2]>>> {
        Hub::new(RefCell::new(Room::new([0; N], [const { Seat::EMPTY }; 2])))
    }

    fn heard<L: Shared>(member: &mut Member<'_, L>) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        member.read(|message| heard.push(message.to_vec())).expect("nothing was missed");
        heard
    }

    #[test]
    fn a_late_joiner_is_told_of_the_last_messages_only() {
        let hub = hub::<64>();
        for message in [&b"one"[..], b"two", b"three"] {
            hub.publish(message).unwrap();
        }
        assert_eq!(heard(&mut hub.join(2).unwrap()), [&b"two"[..], b"three"]);
        assert_eq!(heard(&mut hub.join(9).unwrap()), [&b"one"[..], b"two", b"three"]);
        assert!(heard(&mut hub.join(0).unwrap()).is_empty());
    }

    #[test]
    fn who_does_not_keep_up_learns_how_much_it_missed_and_may_go_on() {
        let hub = hub::<16>();
        let mut slow = hub.join(0).unwrap();
        for i in 0..10u8 {
            hub.publish(&[i, i]).unwrap();
        }
        assert_eq!(slow.read(|_| panic!("it lies behind a gap")), Err(Lagged { missed: 6 }));
        slow.catch_up();
        assert_eq!(heard(&mut slow), [[6, 6], [7, 7], [8, 8], [9, 9]]);
    }

    #[test]
    fn seats_are_limited_and_given_back() {
        let hub = hub::<16>();
        let (first, _second) = (hub.join(0).unwrap(), hub.join(0).unwrap());
        assert!(hub.join(0).is_none() && hub.members() == 2);
        drop(first);
        assert_eq!(hub.members(), 1);
        assert!(hub.join(0).is_some());
    }

    #[test]
    fn what_cannot_be_kept_is_refused_and_changes_nothing() {
        let hub = hub::<16>();
        let mut member = hub.join(0).unwrap();
        hub.publish(&[1; 5]).unwrap();
        assert_eq!(hub.publish(&[0; 15]).unwrap_err().number(), -642);
        assert!(hub.publish_with(4, |out| out.put(&[0; 5])).is_err());
        hub.publish_with(4, |out| out.put(&[2])).unwrap();
        assert_eq!(heard(&mut member), [&[1; 5][..], &[2]]);
        hub.publish(&[3; 14]).unwrap();
        assert_eq!(heard(&mut member), [[3; 14]]);
    }

    #[test]
    fn the_longest_message_that_may_be_asked_for_is_refused_as_any_that_does_not_fit() {
        for max in [usize::MAX, usize::MAX - HEADER, usize::from(WRAPPED)] {
            let refused = hub::<16>().publish_with(max, |out| out.put(b"a")).unwrap_err();
            assert_eq!(refused.number(), -642, "{max}");
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn of_a_ring_longer_than_places_can_tell_the_rest_is_not_used() {
        let ring = std::vec![0; u32::MAX as usize + 1000]; // of which next to nothing is touched
        let mut room = Room::new(ring, [const { Seat::EMPTY }; 2]);
        room.append(100, |out| out.put(&[1; 100])).unwrap();
        room.next.at = u32::MAX - 8;
        let hub = Hub::new(RefCell::new(room));
        let mut member = hub.join(1).unwrap();
        hub.publish(&[2; 20]).unwrap();
        hub.publish(&[3; 20]).unwrap();
        assert_eq!(member.read(|message| assert_eq!(message, [1; 100])), Err(Lagged { missed: 1 }));
        member.catch_up();
        assert_eq!(heard(&mut member), [[2; 20], [3; 20]]);
    }

    #[test]
    fn a_member_that_cannot_go_on_reads_the_same_message_again() {
        let hub = hub::<32>();
        let mut member = hub.join(0).unwrap();
        hub.publish(b"a").unwrap();
        hub.publish(b"b").unwrap();
        let mut left = 1;
        let stopped = member.poll_each(|_| match left {
            0 => Poll::<Result<(), ()>>::Pending,
            _ => {
                left -= 1;
                Poll::Ready(Ok(()))
            }
        });
        assert!(stopped.is_pending());
        assert_eq!(heard(&mut member), [b"b"]);
    }

    #[test]
    fn the_ring_keeps_what_a_queue_would_whatever_the_lengths() {
        let mut seed = 1u32;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % below
        };
        for _ in 0..200 {
            let hub = hub::<61>();
            let mut member = hub.join(0).unwrap();
            let mut unread = VecDeque::new();
            let mut sent = 0u8;
            for _ in 0..400 {
                match random(3) {
                    0 => {
                        match member.read(|message| assert_eq!(unread.pop_front().as_deref(), Some(message)))
                        {
                            Ok(()) => assert!(unread.is_empty()),
                            Err(Lagged { missed }) => {
                                assert!(missed as usize <= unread.len());
                                unread.drain(..missed as usize);
                                member.catch_up();
                            }
                        }
                    }
                    _ => {
                        let message = std::vec![sent; random(40) as usize];
                        sent = sent.wrapping_add(1);
                        hub.publish(&message).unwrap();
                        unread.push_back(message);
                    }
                }
                // What is kept is at least what fits whatever the gaps.
                let mut late = hub.join(1).unwrap();
                late.read(|message| {
                    assert!(unread.is_empty() || unread.back().is_some_and(|last| last == message));
                })
                .unwrap();
            }
        }
    }
}
