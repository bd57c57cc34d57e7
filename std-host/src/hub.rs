//! Rooms and broadcasts over all workers: [`netloom_core::hub`] behind a mutex, with as many seats as members come.
//!
//! Each thread keeps a copy of what it has told last, of 32 KiB or a longer message: the first of its members takes it
//! out of the room, the others need not lock it.

use std::cell::RefCell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, ready};

pub use netloom_core::hub::{Batch, Lagged, Place, Room, Seat, Seats, Shared};

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
    static HUBS: AtomicU64 = AtomicU64::new(0);
    let room = Room::new(vec![0; bytes].into_boxed_slice(), Growing(Vec::new()));
    Hub::new(Locked {
        room: Mutex::new(room),
        published: AtomicU32::new(0),
        number: HUBS.fetch_add(1, Relaxed) + 1,
    })
}

/// A room behind a mutex.
#[derive(Debug)]
pub struct Locked {
    room: Mutex<Room<Box<[u8]>, Growing>>,
    /// [`Room::published`].
    published: AtomicU32,
    /// This room's among all of the process, from 1 on.
    number: u64,
}

/// The next messages of a room for who is at `from`, copied.
#[derive(Debug, Default)]
struct Copied {
    /// The room's number, or 0 for none.
    room: u64,
    from: Place,
    to: Place,
    messages: u32,
    bytes: Vec<u8>,
    /// There were more.
    is_cut: bool,
}

thread_local! {
    /// What a member on this thread was told last.
    static TOLD: RefCell<Copied> = RefCell::default();
}

impl Shared for Locked {
    type Bytes = Box<[u8]>;
    type Seats = Growing;

    fn with<R>(&self, f: impl FnOnce(&mut Room<Box<[u8]>, Growing>) -> R) -> R {
        // What a panic leaves is in order: a message is told of only when it is complete, and by the next who comes here.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut room);
        if room.published() != self.published.load(Relaxed) {
            self.published.store(room.published(), Release);
        }
        result
    }

    fn poll_batches<E>(
        &self,
        place: &mut Place,
        max: usize,
        mut take: impl FnMut(Batch<'_>) -> Poll<Result<(), E>>,
    ) -> Poll<Result<Result<(), E>, Lagged>> {
        // Taken out meanwhile: `take` may come here again, for another room.
        let mut told = TOLD.take();
        let taken = self.poll_copied(place, max, &mut told, &mut take);
        TOLD.set(told);
        taken
    }
}

impl Locked {
    fn poll_copied<E>(
        &self,
        place: &mut Place,
        max: usize,
        told: &mut Copied,
        take: &mut impl FnMut(Batch<'_>) -> Poll<Result<(), E>>,
    ) -> Poll<Result<Result<(), E>, Lagged>> {
        while place.number() != self.published.load(Acquire) {
            if !self.is_next(told, *place, max) {
                self.copy(told, *place, max)?;
            }
            if let Err(error) = ready!(take(Batch { bytes: &told.bytes, messages: told.messages })) {
                return Poll::Ready(Ok(Err(error)));
            }
            *place = told.to;
        }
        Poll::Ready(Ok(Ok(())))
    }

    /// Whether a copy would be what `told` is.
    fn is_next(&self, told: &Copied, place: Place, max: usize) -> bool {
        (told.room, told.from.number()) == (self.number, place.number())
            && (told.is_cut || told.to.number() == self.published.load(Acquire))
            && (told.messages == 1 || told.bytes.len() <= max)
    }

    fn copy(&self, told: &mut Copied, place: Place, max: usize) -> Result<(), Lagged> {
        told.room = 0; // until it is whole
        told.bytes.clear();
        self.with(|room| {
            let put = |message: &[u8]| told.bytes.extend_from_slice(message);
            (told.to, told.messages) = room.copy_batch(place, max, put)?;
            told.is_cut = told.to.number() != room.published();
            Ok(())
        })?;
        (told.room, told.from) = (self.number, place);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The batches that `member` is told, of at most `max` bytes each.
    fn batches(member: &mut Member<'_>, max: usize) -> Vec<(Vec<u8>, u32)> {
        let mut batches = Vec::new();
        let told = member.poll_batches(max, |batch| {
            batches.push((batch.bytes.to_vec(), batch.messages));
            Poll::Ready(Ok::<(), ()>(()))
        });
        assert_eq!(told, Poll::Ready(Ok(Ok(()))));
        batches
    }

    #[test]
    fn what_came_together_is_told_together_to_each_from_where_it_is() {
        let hub = of(1024);
        let (mut one, mut two, mut three) =
            (hub.join(0).unwrap(), hub.join(0).unwrap(), hub.join(0).unwrap());
        hub.publish(b"a").unwrap();
        hub.publish(b"bc").unwrap();
        assert_eq!(batches(&mut one, 100), [(b"abc".to_vec(), 2)]);
        assert_eq!(batches(&mut two, 100), [(b"abc".to_vec(), 2)]);
        hub.publish(b"d").unwrap();
        assert_eq!(batches(&mut three, 100), [(b"abcd".to_vec(), 3)]);
        assert_eq!(batches(&mut one, 100), [(b"d".to_vec(), 1)]);
        assert_eq!(batches(&mut one, 100), []);
    }

    #[test]
    fn a_batch_is_cut_between_messages_and_has_one_at_least() {
        let hub = of(1024);
        let mut members = [(); 2].map(|()| hub.join(0).unwrap());
        for message in [&b"aa"[..], b"bb", b"a long one", b"c", b""] {
            hub.publish(message).unwrap();
        }
        for member in &mut members {
            let expected = [(&b"aabb"[..], 2), (b"a long one", 1), (b"c", 2)];
            assert_eq!(batches(member, 5), expected.map(|(bytes, messages)| (bytes.to_vec(), messages)));
        }
        let mut late = hub.join(3).unwrap();
        assert_eq!(batches(&mut late, 0), [(b"a long one".to_vec(), 1), (b"c".to_vec(), 2)]);
    }

    #[test]
    fn what_is_not_taken_is_told_again() {
        let hub = of(1024);
        let mut member = hub.join(0).unwrap();
        hub.publish(b"a").unwrap();
        assert!(member.poll_batches(9, |_| Poll::<Result<(), ()>>::Pending).is_pending());
        assert_eq!(member.poll_batches(9, |_| Poll::Ready(Err("no"))), Poll::Ready(Ok(Err("no"))));
        hub.publish(b"b").unwrap();
        assert_eq!(batches(&mut member, 9), [(b"ab".to_vec(), 2)]);
    }

    #[test]
    fn who_does_not_keep_up_learns_how_much_it_missed() {
        let hub = of(16);
        let mut slow = hub.join(0).unwrap();
        (0..10).for_each(|i| hub.publish(&[i, i]).unwrap());
        let told = slow.poll_batches(100, |_| -> Poll<Result<(), ()>> { panic!("it lies behind a gap") });
        assert_eq!(told, Poll::Ready(Err(Lagged { missed: 6 })));
        slow.catch_up();
        assert_eq!(batches(&mut slow, 100), [(vec![6, 6, 7, 7, 8, 8, 9, 9], 4)]);
    }

    /// Its task panics when it is woken.
    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("woken");
        }
    }

    #[test]
    fn who_panics_when_it_is_told_keeps_nobody_from_being_told() {
        let hub = of(1024);
        let (mut bad, mut good) = (hub.join(0).unwrap(), hub.join(0).unwrap());
        let waker = std::sync::Arc::new(Panics).into();
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(bad.poll_ready(&mut cx).is_pending());
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hub.publish(b"a")));
        assert!(told.is_err());
        assert!(good.poll_ready(&mut cx).is_ready());
        assert_eq!(batches(&mut good, 9), [(b"a".to_vec(), 1)]);
    }

    #[test]
    fn members_on_many_threads_are_told_the_same_in_the_same_order() {
        let hub = of(1 << 20);
        let said: Vec<u8> = (0..200u8).collect();
        let heard: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let listen = |mut members: [Member<'_>; 2]| {
                let mut heard = [Vec::new(), Vec::new()];
                while heard.iter().any(|heard| heard.len() < said.len()) {
                    for (member, heard) in members.iter_mut().zip(&mut heard) {
                        heard.extend(batches(member, 7).into_iter().flat_map(|(bytes, _)| bytes));
                    }
                    std::thread::yield_now();
                }
                heard
            };
            let join = || [(); 2].map(|()| hub.join(0).unwrap());
            let threads = [join(), join(), join()].map(|members| scope.spawn(move || listen(members)));
            said.iter().for_each(|byte| hub.publish(&[*byte]).unwrap());
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(heard, vec![said.clone(); 6]);
    }
}
