//! Blocks of bytes, lent by a worker to its sessions while they have something to hold.
//!
//! Blocks come in classes, each four times the last, up to the longest message. All blocks lent together
//! stay under a cap. Reading may use three quarters of it, the rest is for answers: otherwise sessions that
//! all hold a question could wait for each other's blocks to answer in.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Waker};

use netloom_core::Storage;

/// The smallest block: what one read takes at most of a busy connection.
///
/// A message of 64 KiB and its header fit, and eight of 8 KB leave in one write. It is less what an allocator keeps with
/// it: with those 16 bytes a receive and a send block would lie 16 bytes apart in the low 12 bits of their addresses, and
/// an echo's next read would wait for its last write, which the processor takes for the same place: 17 ns a message
/// instead of 10.
pub(crate) const BLOCK: usize = 68 * 1024 - MARGIN;

const MARGIN: usize = 16;

/// Most bytes that a queue holds beside its longest message: what frames it, and a control frame before its end.
pub(crate) const FRAMING: usize = 192;

/// Longest queue.
const QUEUE_MAX: usize = u32::MAX as usize;

/// Free bytes that are kept in each class rather than given back to the system.
const KEPT: usize = 4 * 1024 * 1024;

/// Blocks are taken for speed alone only while so small a part of what may be lent is.
const WIDE_PART: usize = 4;

pub(crate) struct Pool {
    classes: Vec<Class>,
    /// Bytes lent now.
    lent: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
    somebody_waits: Cell<bool>,
}

/// The pool, for one purpose: as far as its bytes may be lent for it.
pub(crate) struct Lender {
    pool: Rc<Pool>,
    cap: usize,
    /// The block that came back last, for who asks next: it is the one in the cache. Empty if there is none.
    last: Cell<Box<[u8]>>,
}

struct Class {
    size: usize,
    /// Free blocks that are kept.
    kept: usize,
    free: RefCell<Vec<Box<[u8]>>>,
}

impl Pool {
    /// Blocks of up to `largest` bytes, together at most `cap`, but at least four of the largest. One lender is for
    /// reading, one for writing.
    pub(crate) fn lenders(largest: usize, cap: usize) -> (Rc<Lender>, Rc<Lender>) {
        let largest = largest.clamp(BLOCK, QUEUE_MAX);
        let sizes = std::iter::successors(Some(BLOCK), |size| {
            (size + MARGIN).checked_mul(4).map(|size| size - MARGIN)
        });
        let sizes = sizes.take_while(|size| *size < largest).chain([largest]);
        let classes =
            sizes.map(|size| Class { size, kept: (KEPT / size).max(1), free: RefCell::default() }).collect();
        let cap = cap.max(largest.saturating_mul(4));
        let pool = Rc::new(Self {
            classes,
            lent: Cell::new(0),
            waiting: RefCell::default(),
            somebody_waits: Cell::new(false),
        });
        let lender = |cap| Rc::new(Lender { pool: pool.clone(), cap, last: Cell::default() });
        (lender(cap / 4 * 3), lender(cap))
    }

    fn largest(&self) -> usize {
        self.classes.last().map_or(0, |class| class.size)
    }

    #[inline]
    fn class(&self, size: usize) -> Option<&Class> {
        self.classes.iter().find(|class| class.size >= size)
    }

    #[inline]
    fn take(&self, least: usize, instead_of: usize, cap: usize) -> Option<Box<[u8]>> {
        let class = self.class(least)?;
        let lent = self.lent.get() + class.size;
        if lent - instead_of > cap {
            return None;
        }
        self.lent.set(lent);
        let block = class.free.borrow_mut().pop();
        Some(block.unwrap_or_else(|| vec![0; class.size].into_boxed_slice()))
    }

    fn keep(&self, block: Box<[u8]>) {
        if let Some(class) = self.class(block.len()) {
            let mut free = class.free.borrow_mut();
            if free.len() < class.kept {
                free.push(block);
            }
        }
    }

    #[cold]
    fn wake_waiting(&self) {
        self.somebody_waits.set(false);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Lender {
    #[inline]
    fn take(&self, least: usize, instead_of: usize) -> Option<Box<[u8]>> {
        let pool = &*self.pool;
        let last = self.last.take();
        if last.len() >= least && !last.is_empty() && pool.lent.get() + last.len() - instead_of <= self.cap {
            pool.lent.set(pool.lent.get() + last.len());
            return Some(last);
        }
        self.last.set(last);
        pool.take(least, instead_of, self.cap)
    }

    #[inline]
    fn give_back(&self, block: Box<[u8]>) {
        let pool = &*self.pool;
        pool.lent.set(pool.lent.get() - block.len());
        let last = match block.len() {
            BLOCK => self.last.replace(block),
            _ => block,
        };
        if !last.is_empty() {
            pool.keep(last);
        }
        if pool.somebody_waits.get() {
            pool.wake_waiting();
        }
    }

    pub(crate) fn lend(self: &Rc<Self>) -> Lent {
        Lent { lender: self.clone(), block: Box::default() }
    }
}

/// Storage for one queue: a block of the worker's pool while there is something in it.
pub struct Lent {
    lender: Rc<Lender>,
    /// Empty while nothing is lent.
    block: Box<[u8]>,
}

impl Storage for Lent {
    const LENT: bool = true;

    fn limit(&self) -> usize {
        self.lender.pool.largest()
    }

    #[inline]
    fn hold(&mut self, least: usize) -> bool {
        if !self.block.is_empty() && self.block.len() >= least {
            return true;
        }
        let Some(block) = self.lender.take(least, self.block.len()) else { return false };
        let held = std::mem::replace(&mut self.block, block);
        if !held.is_empty() {
            self.block[..held.len()].copy_from_slice(&held);
            self.lender.give_back(held);
        }
        true
    }

    fn widen(&mut self, filled: Range<usize>) -> bool {
        let (held, pool) = (self.block.len(), &*self.lender.pool);
        let Some(block) =
            (held == BLOCK).then(|| pool.take(BLOCK + 1, held, self.lender.cap / WIDE_PART)).flatten()
        else {
            return false;
        };
        let held = std::mem::replace(&mut self.block, block);
        self.block[..filled.len()].copy_from_slice(&held[filled]);
        self.lender.give_back(held);
        true
    }

    fn wait(&mut self, cx: &mut Context<'_>) {
        self.lender.pool.somebody_waits.set(true);
        let mut waiting = self.lender.pool.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    #[inline]
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.block
    }

    #[inline]
    fn release(&mut self) {
        if !self.block.is_empty() {
            self.lender.give_back(std::mem::take(&mut self.block));
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_grows_through_the_classes_and_keeps_its_content() {
        let (lender, _) = Pool::lenders(400_000, 0);
        let mut lent = lender.lend();
        assert!(lent.hold(1));
        assert_eq!(lent.bytes().len(), BLOCK);
        lent.bytes()[BLOCK - 1] = 7;
        assert!(lent.hold(BLOCK + 1));
        assert_eq!((lent.bytes().len(), lent.bytes()[BLOCK - 1]), (278_512, 7));
        assert!(lent.hold(278_513));
        assert_eq!((lent.bytes().len(), lender.pool.lent.get()), (400_000, 400_000));
        assert!(!lent.hold(400_001));
        drop(lent);
        assert_eq!(lender.pool.lent.get(), 0);
    }

    #[test]
    fn a_block_is_widened_once_and_only_while_most_of_the_pool_is_there() {
        let (lender, _) = Pool::lenders(400_000, 4_000_000); // 3,000,000 for reading
        let mut lent = lender.lend();
        assert!(lent.hold(1));
        lent.bytes()[BLOCK - 2..].copy_from_slice(&[6, 7]);
        assert!(lent.widen(BLOCK - 2..BLOCK) && !lent.widen(0..2));
        assert_eq!((lent.bytes().len(), &lent.bytes()[..2]), (278_512, &[6, 7][..]));
        assert_eq!(lender.pool.lent.get(), 278_512);
        let mut another = lender.lend();
        assert!(another.hold(1) && another.widen(0..0));
        let mut third = lender.lend();
        assert!(third.hold(1) && !third.widen(0..0), "a quarter is lent");
        assert_eq!((third.bytes().len(), lender.pool.lent.get()), (BLOCK, BLOCK + 2 * 278_512));
        let (lender, _) = Pool::lenders(BLOCK, 4_000_000);
        let mut lent = lender.lend();
        assert!(lent.hold(1) && !lent.widen(0..1), "there are none so large");
    }

    #[test]
    fn no_queue_is_longer_than_its_places_can_tell() {
        let (lender, _) = Pool::lenders(usize::MAX, 0);
        assert_eq!(lender.lend().limit(), u32::MAX as usize);
    }

    #[test]
    fn reading_leaves_a_quarter_for_answers_and_a_returned_block_wakes_who_waits() {
        let (reading, writing) = Pool::lenders(BLOCK, 4 * BLOCK);
        let mut readers: Vec<_> = (0..4).map(|_| reading.lend()).collect();
        let held: Vec<_> = readers.iter_mut().map(|reader| reader.hold(1)).collect();
        assert_eq!(held, [true, true, true, false]);
        let (mut writer, mut another) = (writing.lend(), writing.lend());
        assert!(writer.hold(1) && !another.hold(1));

        let woken = std::sync::Arc::new(Flag::default());
        let waker = Waker::from(woken.clone());
        another.wait(&mut Context::from_waker(&waker));
        writer.release();
        assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed) && another.hold(1));
    }

    #[derive(Default)]
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
