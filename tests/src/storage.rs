//! Storage that is lent, counted and capped, as a desktop worker's pool lends it.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Waker};

use netloom_core::Storage;

/// A task that asks so often for a block that it does not get, without waiting for one, spins.
const REFUSALS_MAX: u64 = 10_000;

/// What a new block is filled with, so that a read of what was never written shows.
const POISON: u8 = 0xa5;

/// Blocks of several sizes, each with a cap. Cheap to clone; all clones lend from the same blocks.
///
/// ```
/// use netloom_core::Storage;
/// use netloom_lab::Blocks;
///
/// let blocks = Blocks::new(&[(64, 2), (1024, 1)]);
/// let mut storage = blocks.storage();
/// assert!(storage.hold(65) && storage.bytes().len() == 1024);
/// assert_eq!(blocks.lent(), 1);
/// storage.release();
/// blocks.assert_idle("after release");
/// ```
#[derive(Clone)]
pub struct Blocks(Rc<RefCell<Pool>>);

struct Pool {
    sizes: Vec<Size>,
    widens: bool,
    waiting: Vec<Waker>,
    peak: usize,
    lendings: u64,
    refusals: u64,
    refused_in_a_row: u64,
}

struct Size {
    bytes: usize,
    cap: usize,
    lent: usize,
    spare: Vec<Box<[u8]>>,
}

impl Blocks {
    /// Blocks of these sizes, each with how many there are; sizes rise.
    pub fn new(sizes: &[(usize, usize)]) -> Self {
        assert!(!sizes.is_empty() && sizes.is_sorted_by(|a, b| a.0 < b.0), "sizes must rise");
        let size = |&(bytes, cap): &(usize, usize)| Size { bytes, cap, lent: 0, spare: Vec::new() };
        Self(Rc::new(RefCell::new(Pool {
            sizes: sizes.iter().map(size).collect(),
            widens: false,
            waiting: Vec::new(),
            peak: 0,
            lendings: 0,
            refusals: 0,
            refused_in_a_row: 0,
        })))
    }

    /// As many blocks of `bytes` as are asked for.
    pub fn plenty(bytes: usize) -> Self {
        Self::new(&[(bytes, usize::MAX)])
    }

    /// The same, whose queues get larger blocks when more is coming than fits.
    #[must_use]
    pub fn widening(self) -> Self {
        self.0.borrow_mut().widens = true;
        self
    }

    /// Storage for one queue, up to the largest size.
    pub fn storage(&self) -> Block {
        let limit = self.0.borrow().sizes.last().map_or(0, |size| size.bytes);
        Block { blocks: self.clone(), held: None, limit }
    }

    /// Blocks lent now.
    pub fn lent(&self) -> usize {
        self.0.borrow().sizes.iter().map(|size| size.lent).sum()
    }

    /// Bytes lent now.
    pub fn lent_bytes(&self) -> usize {
        self.0.borrow().sizes.iter().map(|size| size.lent * size.bytes).sum()
    }

    /// Most blocks lent at once.
    pub fn peak(&self) -> usize {
        self.0.borrow().peak
    }

    /// How often a block was lent.
    pub fn lendings(&self) -> u64 {
        self.0.borrow().lendings
    }

    /// How often none was to be had.
    pub fn refusals(&self) -> u64 {
        self.0.borrow().refusals
    }

    /// # Panics
    /// If a block is lent: nobody does anything, or all is over.
    #[track_caller]
    pub fn assert_idle(&self, when: &str) {
        assert_eq!(self.lent(), 0, "blocks are lent {when}");
    }
}

/// Storage of one queue, lent by [`Blocks`].
pub struct Block {
    blocks: Blocks,
    held: Option<(usize, Box<[u8]>)>,
    limit: usize,
}

impl Storage for Block {
    const LENT: bool = true;

    fn limit(&self) -> usize {
        self.limit
    }

    fn hold(&mut self, least: usize) -> bool {
        assert!(least <= self.limit, "{least} bytes were asked for, {} is the limit", self.limit);
        if self.held.as_ref().is_some_and(|(_, bytes)| bytes.len() >= least) {
            return true;
        }
        let mut pool = self.blocks.0.borrow_mut();
        let Some(index) = pool.sizes.iter().position(|size| size.bytes >= least) else { return false };
        if pool.sizes[index].lent >= pool.sizes[index].cap {
            pool.refusals += 1;
            pool.refused_in_a_row += 1;
            assert!(
                pool.refused_in_a_row < REFUSALS_MAX,
                "a task asks for a block again and again, unwaiting"
            );
            return false;
        }
        let size = &mut pool.sizes[index];
        size.lent += 1;
        let mut bytes = size.spare.pop().unwrap_or_else(|| vec![POISON; size.bytes].into());
        bytes.fill(POISON);
        pool.lendings += 1;
        pool.refused_in_a_row = 0;
        drop(pool);
        if let Some((_, old)) = &self.held {
            bytes[..old.len()].copy_from_slice(old);
        }
        self.release();
        self.held = Some((index, bytes));
        let lent = self.blocks.lent();
        let mut pool = self.blocks.0.borrow_mut();
        pool.peak = pool.peak.max(lent);
        true
    }

    fn widen(&mut self, filled: Range<usize>) -> bool {
        let size = self.held.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let is_there = {
            let pool = self.blocks.0.borrow();
            let wider = pool.sizes.iter().find(|other| other.bytes > size);
            pool.widens && wider.is_some_and(|wider| wider.lent < wider.cap)
        };
        let widened = is_there && self.hold(size + 1);
        if let (true, Some((_, bytes))) = (widened, &mut self.held) {
            bytes.copy_within(filled, 0);
        }
        widened
    }

    fn wait(&mut self, cx: &mut Context<'_>) {
        let mut pool = self.blocks.0.borrow_mut();
        pool.refused_in_a_row = 0;
        if !pool.waiting.iter().any(|known| known.will_wake(cx.waker())) {
            pool.waiting.push(cx.waker().clone());
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.held.as_mut().map(|(_, bytes)| &mut bytes[..]).unwrap_or_default()
    }

    fn release(&mut self) {
        let Some((index, bytes)) = self.held.take() else { return };
        let mut pool = self.blocks.0.borrow_mut();
        pool.sizes[index].lent -= 1;
        pool.sizes[index].spare.push(bytes);
        // Who waits may want another size: each finds out.
        for waker in std::mem::take(&mut pool.waiting) {
            waker.wake();
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.release();
    }
}
