//! Bytes that wait, in storage the host lends.
//!
//! ```text
//! storage  | consumed | filled | room |
//!          0        head     tail     len
//! ```
//!
//! A queue is the only thing that knows `head` and `tail`. Its one invariant: filled bytes are never lost
//! and never move while somebody has borrowed them.

use core::ops::Range;
use core::task::{Context, Poll};

use crate::error::{Code, Error, Result};

/// Where a queue's bytes live. An array always has them; a pool lends them while they are needed.
pub trait Storage {
    /// Whether an empty queue gives its bytes back. `false` spares a session one wait per read.
    const LENT: bool;

    /// The most bytes it can ever hold: less than 4 GiB, as a queue keeps its places in four bytes each.
    fn limit(&self) -> usize;

    /// Tries to hold at least `least` bytes (at most [`limit`](Self::limit)), keeping the content of those
    /// it already holds. `false` if that cannot be had now; what was held still is.
    fn hold(&mut self, least: usize) -> bool;

    /// More is coming than the bytes held can take at once: may hold more of them, with those `filled` at their front, if
    /// there are plenty. Whether it does; if not, nothing has changed.
    fn widen(&mut self, filled: Range<usize>) -> bool {
        let _ = filled;
        false
    }

    /// After `hold` said no: wakes the task when it is worth another try.
    fn wait(&mut self, cx: &mut Context<'_>);

    /// The bytes held; none if none are.
    fn bytes(&mut self) -> &mut [u8];

    /// Nothing is in the queue: the bytes may go.
    fn release(&mut self);
}

impl<const N: usize> Storage for [u8; N] {
    const LENT: bool = false;

    fn limit(&self) -> usize {
        N
    }
    fn hold(&mut self, least: usize) -> bool {
        least <= N
    }
    fn wait(&mut self, _: &mut Context<'_>) {}
    fn bytes(&mut self) -> &mut [u8] {
        self
    }
    fn release(&mut self) {}
}

impl Storage for &mut [u8] {
    const LENT: bool = false;

    fn limit(&self) -> usize {
        self.len()
    }
    fn hold(&mut self, least: usize) -> bool {
        least <= self.len()
    }
    fn wait(&mut self, _: &mut Context<'_>) {}
    fn bytes(&mut self) -> &mut [u8] {
        self
    }
    fn release(&mut self) {}
}

/// Bytes in order, in lent storage: of a session, or of a transport that must gather what it makes or takes apart.
#[derive(Debug)]
pub struct Queue<S> {
    storage: S,
    head: u32,
    tail: u32,
}

impl<S: Storage> Queue<S> {
    /// An empty queue in `storage`.
    pub const fn new(storage: S) -> Self {
        Self { storage, head: 0, tail: 0 }
    }

    /// Bytes filled.
    pub fn len(&self) -> usize {
        (self.tail - self.head) as usize
    }

    /// Whether nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// The most bytes its storage can hold.
    pub fn limit(&self) -> usize {
        self.storage.limit()
    }

    /// What is filled.
    #[inline]
    pub fn filled(&mut self) -> &mut [u8] {
        &mut self.storage.bytes()[self.head as usize..self.tail as usize]
    }

    /// The storage back.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// Gives up the first `n` filled bytes.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "more was consumed than was there");
        self.head += n as u32; // as much is there
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
        }
    }

    /// Gives the bytes back if none is filled.
    pub fn release_if_empty(&mut self) {
        if self.is_empty() {
            self.storage.release();
        }
    }

    /// Says that `n` bytes of the room are filled now.
    pub fn fill(&mut self, n: usize) {
        self.ends_at(self.tail as usize + n);
    }

    fn ends_at(&mut self, tail: usize) {
        debug_assert!(tail <= self.storage.bytes().len());
        self.tail = tail as u32; // storage is smaller than that
    }

    /// Takes back everything filled after the queue was `len` long.
    pub fn truncate(&mut self, len: usize) {
        debug_assert!(len <= self.len());
        self.ends_at(self.head as usize + len);
    }

    /// Room for at least one byte, after moving the filled bytes to the front and growing if need be: as much as the storage
    /// likes if what came last filled it, and a part of that is dealt with.
    /// Ready with an empty room if the storage is at its limit.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<&mut [u8]> {
        if self.head > 0 {
            self.move_to_front();
        }
        let tail = self.tail as usize;
        if tail == self.storage.bytes().len() {
            let least = (tail + 1).min(self.storage.limit());
            if !self.storage.hold(least) {
                self.storage.wait(cx);
                return Poll::Pending;
            }
        }
        Poll::Ready(&mut self.storage.bytes()[tail..])
    }

    /// Whether it can hold no byte more.
    pub fn is_at_limit(&self) -> bool {
        self.len() == self.storage.limit()
    }

    /// Makes room for `least` bytes if the storage can be held and, once compacted, has it.
    #[inline]
    pub fn make_room(&mut self, least: usize) -> Room {
        let size = self.storage.bytes().len();
        if size > 0 && size - self.tail as usize >= least {
            return Room::Made;
        }
        if size == 0 && !self.storage.hold(least.min(self.storage.limit()).max(1)) {
            return Room::Exhausted;
        }
        self.compact();
        match self.storage.bytes().len() - self.tail as usize >= least {
            true => Room::Made,
            false => Room::Short,
        }
    }

    /// Bytes of the storage held.
    pub fn size(&mut self) -> usize {
        self.storage.bytes().len()
    }

    /// A storage of at least `least` bytes. Short if there is none so large.
    pub fn grow(&mut self, least: usize) -> Room {
        match least <= self.storage.limit() {
            false => Room::Short,
            true if self.storage.hold(least) => Room::Made,
            true => Room::Exhausted,
        }
    }

    /// Wakes the task when it is worth another try to hold more.
    pub fn wait(&mut self, cx: &mut Context<'_>) {
        self.storage.wait(cx);
    }

    /// The room behind what is filled; [`fill`](Self::fill) says how much of it was used.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.storage.bytes()[self.tail as usize..]
    }

    /// Has something written into the room there is.
    #[inline]
    pub fn write<T>(&mut self, write: impl FnOnce(&mut Outbox<'_>) -> T) -> T {
        let mut tail = self.tail as usize;
        let written = write(&mut Outbox::new(self.storage.bytes(), &mut tail));
        self.ends_at(tail);
        written
    }

    /// Moves the filled bytes to the front: of a larger storage, if they reach the end of this one and there is one.
    #[cold]
    fn move_to_front(&mut self) {
        let filled = self.head as usize..self.tail as usize;
        if filled.end < self.storage.bytes().len() || !self.storage.widen(filled) {
            self.compact();
            return;
        }
        (self.head, self.tail) = (0, self.tail - self.head);
    }

    /// Moves the filled bytes to the front. Whether that made room.
    pub fn compact(&mut self) -> bool {
        let moved = self.head > 0;
        if moved {
            let filled = self.head as usize..self.tail as usize;
            self.storage.bytes().copy_within(filled, 0);
            (self.head, self.tail) = (0, self.tail - self.head);
        }
        moved
    }
}

/// What came of asking for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is there.
    Made,
    /// The storage is held and too full.
    Short,
    /// There are no bytes to be had now.
    Exhausted,
}

/// Where received bytes gather: a queue, and the bytes at its front that are held while others come and go behind.
///
/// ```text
/// | held | given up | filled | room |
/// 0     held     held + gap
/// ```
pub(crate) struct Inbox<S> {
    queue: Queue<S>,
    held: u32,
    /// Bytes behind those that are held, given up already. None if none are held.
    gap: u32,
}

impl<S: Storage> Inbox<S> {
    pub(crate) const fn new(queue: Queue<S>) -> Self {
        Self { queue, held: 0, gap: 0 }
    }

    /// Whether the storage can be given back while nothing is filled.
    #[inline]
    pub(crate) fn is_lent(&self) -> bool {
        S::LENT && self.held == 0
    }

    pub(crate) fn limit(&self) -> usize {
        self.queue.limit()
    }

    pub(crate) fn is_at_limit(&self) -> bool {
        self.queue.is_at_limit()
    }

    /// What is held, and what lies behind.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut [u8], &mut [u8]) {
        let (held, rest) = self.queue.filled().split_at_mut(self.held as usize);
        (held, &mut rest[self.gap as usize..])
    }

    /// Whether nothing is filled.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.len() == self.given_up()
    }

    #[inline]
    pub(crate) fn filled(&mut self) -> &mut [u8] {
        let start = self.given_up();
        &mut self.queue.filled()[start..]
    }

    /// Bytes before those that are filled.
    #[inline]
    fn given_up(&self) -> usize {
        (self.held + self.gap) as usize
    }

    /// Gives up the first `n` filled bytes.
    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        match self.held {
            0 => self.queue.consume(n),
            _ => {
                assert!(self.given_up() + n <= self.queue.len(), "more was consumed than was there");
                self.gap += n as u32;
            }
        }
    }

    /// Holds `part` of the first `n` filled bytes, behind what is held already, and gives up the rest of them.
    #[inline]
    pub(crate) fn keep(&mut self, part: Range<usize>, n: usize) {
        assert!(part.start <= part.end && part.end <= n, "the event is shorter than that");
        let (start, held, len) = (self.given_up(), self.held as usize, part.len());
        if start + part.start > held {
            self.queue.filled().copy_within(start + part.start..start + part.end, held);
        }
        self.held += len as u32; // as many are in the queue
        match self.held {
            0 => self.queue.consume(n),
            _ => self.gap += (n - len) as u32,
        }
    }

    /// Nothing is held any more.
    #[inline]
    pub(crate) fn let_go(&mut self) {
        let gone = self.given_up();
        (self.held, self.gap) = (0, 0);
        self.queue.consume(gone);
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<&mut [u8]> {
        let (held, gap) = (self.held, core::mem::take(&mut self.gap));
        if gap > 0 {
            self.queue.filled().copy_within((held + gap) as usize.., held as usize);
            self.queue.tail -= gap;
        }
        self.queue.poll_room(cx)
    }

    pub(crate) fn fill(&mut self, n: usize) {
        self.queue.fill(n);
    }

    pub(crate) fn release_if_empty(&mut self) {
        self.queue.release_if_empty();
    }

    /// Gives up everything filled.
    pub(crate) fn clear(&mut self) {
        let n = self.filled().len();
        self.consume(n);
        self.release_if_empty();
    }

    pub(crate) fn into_queue(self) -> Queue<S> {
        self.queue
    }
}

/// Where outgoing bytes are written. Each write happens whole or not at all.
///
/// ```
/// # use netloom_core::{Code, Outbox};
/// let (mut bytes, mut tail) = ([0; 4], 0);
/// let mut out = Outbox::new(&mut bytes, &mut tail);
/// out.put(b"abc")?;
/// assert_eq!(out.put(b"de").unwrap_err().code(), Code::BufferFull);
/// assert_eq!((out.room(), tail), (1, 3));
/// # Ok::<(), netloom_core::Error>(())
/// ```
pub struct Outbox<'a> {
    bytes: &'a mut [u8],
    tail: &'a mut usize,
    /// Bytes of room that were missing when something did not fit.
    lacking: usize,
}

impl<'a> Outbox<'a> {
    /// Writes to `bytes` behind `tail`, and moves `tail`. For tests of codecs; a session brings its own.
    pub fn new(bytes: &'a mut [u8], tail: &'a mut usize) -> Self {
        assert!(*tail <= bytes.len(), "the tail lies outside the bytes");
        Self { bytes, tail, lacking: 0 }
    }

    /// How many bytes of room were missing last; at least one.
    pub(crate) fn lacking(&self) -> usize {
        self.lacking.max(1)
    }

    /// Bytes that can still be written.
    pub fn room(&self) -> usize {
        self.bytes.len() - *self.tail
    }

    /// Writes all of `bytes`, or fails with [`Code::BufferFull`].
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.take(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes all of `parts`, one behind the other, or none of them: cheaper than one by one.
    ///
    /// # Errors
    /// [`Code::BufferFull`].
    #[inline]
    pub fn put_all<const N: usize>(&mut self, parts: [&[u8]; N]) -> Result<()> {
        let mut room = self.take(parts.iter().map(|part| part.len()).sum())?;
        for part in parts {
            let (to, rest) = room.split_at_mut(part.len());
            to.copy_from_slice(part);
            room = rest;
        }
        Ok(())
    }

    /// The next `n` bytes to write in place, or [`Code::BufferFull`]. Their content is arbitrary.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&mut [u8]> {
        if n > self.room() {
            self.lacking = n - self.room();
            return Err(Error::new(Code::BufferFull));
        }
        let start = *self.tail;
        *self.tail += n;
        Ok(&mut self.bytes[start..start + n])
    }

    /// The room, to be written from its front; then [`advance`](Self::advance) says how far.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[*self.tail..]
    }

    /// The first `n` bytes of the room are written.
    ///
    /// # Panics
    /// If there is less room.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.room(), "more was written than there was room for");
        *self.tail += n;
    }

    /// The last `n` bytes that were written here, to be corrected.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn last(&mut self, n: usize) -> &mut [u8] {
        &mut self.bytes[*self.tail - n..*self.tail]
    }

    /// Takes back the last `n` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn take_back(&mut self, n: usize) {
        *self.tail -= n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::Waker;

    #[test]
    fn a_queue_moves_what_is_left_to_the_front_and_says_when_it_is_full() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut queue = Queue::new([0u8; 8]);
        let Poll::Ready(room) = queue.poll_room(&mut cx) else { panic!("an array never waits") };
        room.copy_from_slice(b"abcdefgh");
        queue.fill(8);
        queue.consume(6);
        let Poll::Ready(room) = queue.poll_room(&mut cx) else { panic!("an array never waits") };
        assert_eq!(room.len(), 6);
        room.copy_from_slice(b"ijklmn");
        queue.fill(6);
        assert_eq!(queue.filled(), b"ghijklmn");
        let Poll::Ready(room) = queue.poll_room(&mut cx) else { panic!("an array never waits") };
        assert!(room.is_empty());
    }

    /// Four bytes; eight once they are too few, or when asked to be wide.
    #[derive(Default)]
    struct Widening([u8; 8], usize);

    impl Storage for Widening {
        const LENT: bool = true;

        fn limit(&self) -> usize {
            8
        }
        fn hold(&mut self, least: usize) -> bool {
            self.1 = if least <= 4 { self.1.max(4) } else { 8 };
            true
        }
        fn widen(&mut self, filled: Range<usize>) -> bool {
            let widens = self.1 < 8;
            if widens {
                self.0.copy_within(filled, 0);
                self.1 = 8;
            }
            widens
        }
        fn wait(&mut self, _: &mut Context<'_>) {}
        fn bytes(&mut self) -> &mut [u8] {
            &mut self.0[..self.1]
        }
        fn release(&mut self) {
            self.1 = 0;
        }
    }

    #[test]
    fn what_filled_all_the_room_and_is_dealt_with_in_part_is_followed_by_more_at_once() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut queue = Queue::new(Widening::default());
        let mut come = |queue: &mut Queue<Widening>, bytes: &[u8]| {
            let Poll::Ready(room) = queue.poll_room(&mut cx) else { panic!("it never waits") };
            let size = room.len();
            room[..bytes.len()].copy_from_slice(bytes);
            queue.fill(bytes.len());
            size
        };
        assert_eq!(come(&mut queue, b"abc"), 4);
        queue.consume(2);
        assert_eq!(come(&mut queue, b"def"), 3, "there was room left");
        queue.consume(4);
        queue.release_if_empty();
        assert_eq!(come(&mut queue, b"ghij"), 4);
        queue.consume(3);
        assert_eq!(come(&mut queue, b"klmnopq"), 7);
        assert_eq!(queue.filled(), b"jklmnopq");
        queue.consume(7);
        assert_eq!(come(&mut queue, b"r"), 7, "it is as wide as it gets");
        assert_eq!(queue.filled(), b"qr");
    }

    #[test]
    fn behind_what_is_held_bytes_come_and_go_and_it_stays() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut queue = Queue::new([0u8; 8]);
        queue.storage.copy_from_slice(b"xxHHabcd");
        queue.fill(8);
        queue.consume(2);
        let mut inbox = Inbox::new(queue);
        inbox.keep(0..2, 2);
        assert_eq!(inbox.filled(), b"abcd");
        inbox.consume(3);
        assert_eq!(inbox.filled(), b"d");
        let Poll::Ready(room) = inbox.poll_room(&mut cx) else { panic!("never waits") };
        assert_eq!(room.len(), 5);
        room[..3].copy_from_slice(b"efg");
        inbox.fill(3);
        assert_eq!(inbox.filled(), b"defg");
        inbox.consume(2);
        let (held, rest) = inbox.parts();
        assert_eq!((&*held, &*rest), (&b"HH"[..], &b"fg"[..]));
        inbox.keep(1..2, 2);
        let (held, rest) = inbox.parts();
        assert_eq!((&*held, &*rest), (&b"HHg"[..], &b""[..]));
        inbox.let_go();
        assert_eq!(inbox.into_queue().len(), 0);
    }

    #[test]
    fn what_is_kept_of_nothing_is_given_up() {
        let mut queue = Queue::new([0u8; 8]);
        queue.fill(4);
        let mut inbox = Inbox::new(queue);
        inbox.keep(1..1, 3);
        assert_eq!((inbox.parts().0.len(), inbox.filled().len()), (0, 1));
    }
}
