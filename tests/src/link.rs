//! Byte links with faults.
//!
//! A link is two directions; a [`Pipe`] is one end. It behaves as TCP does: bytes keep their order, an
//! orderly end arrives behind them, a reset destroys what was not read. Dropping an end resets the
//! connection if bytes it was sent are unread, or as soon as more are sent; otherwise it ends in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use netloom_core::{Clock, Code, Error, Instant, Result, Transport};

use crate::faults::Faults;
use crate::world::{VirtualClock, World, micros};

/// Two ends of a new connection.
pub fn link(world: &World, faults: Faults) -> (Pipe, Pipe) {
    assert!(faults.capacity > 0, "a link that holds no byte delivers none");
    let port = 1024 + (world.next_id() % 60_000) as u16;
    let address = |host| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port);
    let wire = Rc::new(RefCell::new(Wire { faults, ways: <[Way; 2]>::default(), written: 0, reset: None }));
    let end = |side, host| Pipe {
        world: world.clone(),
        wire: Rc::clone(&wire),
        side,
        peer: address(host),
        arrivals: world.clock(),
        departures: world.clock(),
        counts: Counts::default(),
        was_spurious: [false; 2],
    };
    (end(0, 2), end(1, 1))
}

struct Wire {
    faults: Faults,
    /// Way 0 leads from side 0 to side 1.
    ways: [Way; 2],
    written: u64,
    reset: Option<Error>,
}

#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    /// When how many of them arrive.
    arriving: VecDeque<(u64, usize)>,
    /// Bytes at the front that have arrived.
    arrived: usize,
    last_arrival: u64,
    written: u64,
    /// Until when the stall lasts, once it began.
    stalled_until: Option<u64>,
    /// When the end of the stream arrives.
    ends_at: Option<u64>,
    /// The reading end was dropped.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Way {
    fn arrive(&mut self, now: u64) {
        while let Some((_, n)) = self.arriving.pop_front_if(|(at, _)| *at <= now) {
            self.arrived += n;
        }
    }

    /// When something that can be read arrives next.
    fn next_arrival(&self) -> Option<u64> {
        self.arriving.front().map(|(at, _)| *at).or(self.ends_at)
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Wire {
    fn reset(&mut self, why: Error) {
        if self.reset.is_none() {
            self.reset = Some(why);
            for way in &mut self.ways {
                way.bytes.clear();
                way.arriving.clear();
                way.arrived = 0;
                way.wake();
            }
        }
    }

    /// When what leaves now arrives.
    fn arrival(&self, world: &World, way: usize) -> u64 {
        let mut at = micros(world.elapsed())
            .saturating_add(micros(self.faults.latency))
            .saturating_add(micros(world.up_to(self.faults.jitter)));
        if let Some((from, lasts)) = self.faults.partition {
            let end = micros(from).saturating_add(micros(lasts));
            if (micros(from)..end).contains(&at) {
                at = end;
            }
        }
        at.max(self.ways[way].last_arrival)
    }
}

/// What an end was asked to do, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads that gave bytes.
    pub reads: u64,
    /// Bytes they gave.
    pub bytes_read: u64,
    /// Writes that took bytes.
    pub writes: u64,
    /// Bytes they took.
    pub bytes_written: u64,
    /// Flushes.
    pub flushes: u64,
}

/// One end of a [`link`].
pub struct Pipe {
    world: World,
    wire: Rc<RefCell<Wire>>,
    side: usize,
    peer: SocketAddr,
    arrivals: VirtualClock,
    departures: VirtualClock,
    counts: Counts,
    /// For reading and for writing.
    was_spurious: [bool; 2],
}

impl Pipe {
    /// What it was asked to do, and did.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Why the connection was reset, if it was: what [`abort`](Transport::abort) was given, or
    /// `ConnectionClosed`.
    pub fn reset_by(&self) -> Option<Error> {
        self.wire.borrow().reset
    }

    /// Bytes that were sent to this end and not read by it, arrived or not.
    pub fn unread(&self) -> usize {
        self.wire.borrow().ways[1 - self.side].bytes.len()
    }

    /// Sometimes, a wait for nothing, but in no direction two after each other.
    fn spurious(&mut self, writing: bool, cx: &Context<'_>) -> bool {
        let was_spurious = &mut self.was_spurious[usize::from(writing)];
        let spurious = !*was_spurious && self.world.chance(self.wire.borrow().faults.spurious);
        if spurious {
            cx.waker().wake_by_ref();
        }
        *was_spurious = spurious;
        spurious
    }

    /// Ready when there are bytes to read, how many, or the end, with none.
    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let mut wire = self.wire.borrow_mut();
        if wire.reset.is_some() {
            return Poll::Ready(Err(Code::ConnectionClosed.into()));
        }
        let now = micros(self.world.elapsed());
        let way = &mut wire.ways[1 - self.side];
        way.arrive(now);
        if way.arrived > 0 {
            return Poll::Ready(Ok(way.arrived));
        }
        way.reader = Some(cx.waker().clone());
        let Some(at) = way.next_arrival() else { return Poll::Pending };
        drop(wire);
        // Nothing has arrived, so that what does arrive next is the end if that moment is past.
        self.arrivals.poll_until(Instant::from_micros(at), cx).map(|()| Ok(0))
    }
}

impl Transport for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        assert!(!buf.is_empty(), "a read into no room cannot be told from the end");
        if self.spurious(false, cx) {
            return Poll::Pending;
        }
        let n = match self.poll_arrived(cx) {
            Poll::Ready(Ok(n @ 1..)) => n.min(buf.len()),
            other => return other,
        };
        let mut wire = self.wire.borrow_mut();
        let n = if self.world.chance(wire.faults.short) { self.world.length(n) } else { n };
        let way = &mut wire.ways[1 - self.side];
        let (front, back) = way.bytes.as_slices();
        let first = n.min(front.len());
        buf[..first].copy_from_slice(&front[..first]);
        buf[first..n].copy_from_slice(&back[..n - first]);
        way.bytes.drain(..n);
        way.arrived -= n;
        if let Some(writer) = way.writer.take() {
            writer.wake();
        }
        self.counts.reads += 1;
        self.counts.bytes_read += n as u64;
        self.world.note(n as u64);
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        assert!(!buf.is_empty(), "a write of nothing");
        if self.spurious(true, cx) {
            return Poll::Pending;
        }
        let mut wire = self.wire.borrow_mut();
        if wire.ways[self.side].abandoned {
            wire.reset(Code::ConnectionClosed.into());
        }
        if wire.reset.is_some() {
            return Poll::Ready(Err(Code::ConnectionClosed.into()));
        }
        let (faults, written) = (wire.faults, wire.written);
        let now = micros(self.world.elapsed());
        let way = &mut wire.ways[self.side];
        assert!(way.ends_at.is_none(), "a write after the end");
        let mut most = buf.len().min(faults.capacity - way.bytes.len());
        if let Some((after, lasts)) = faults.stall {
            if way.written == after {
                // A stall begins when the last byte is taken, one before the first byte when that is tried.
                let until = *way.stalled_until.get_or_insert(now.saturating_add(micros(lasts)));
                if until > now {
                    way.writer = Some(cx.waker().clone());
                    drop(wire);
                    return self.departures.poll_until(Instant::from_micros(until), cx).map(|()| Ok(0));
                }
            }
            if way.written < after {
                most = most.min(usize::try_from(after - way.written).unwrap_or(usize::MAX));
            }
        }
        if most == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut n = if self.world.chance(faults.short) { self.world.length(most) } else { most };
        if let Some(reset_after) = faults.reset_after {
            n = n.min(usize::try_from(reset_after - written).unwrap_or(usize::MAX));
            if n == 0 {
                wire.reset(Code::ConnectionClosed.into());
                return Poll::Ready(Err(Code::ConnectionClosed.into()));
            }
        }
        let at = wire.arrival(&self.world, self.side);
        wire.written += n as u64;
        let way = &mut wire.ways[self.side];
        way.bytes.extend(&buf[..n]);
        way.arriving.push_back((at, n));
        (way.last_arrival, way.written) = (at, way.written + n as u64);
        if let Some((_, lasts)) = faults.stall.filter(|(after, _)| *after == way.written) {
            way.stalled_until = Some(now.saturating_add(micros(lasts)));
        }
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
        self.counts.writes += 1;
        self.counts.bytes_written += n as u64;
        self.world.note(at ^ n as u64);
        Poll::Ready(Ok(n))
    }

    fn writes_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: [&[u8]; 2]) -> Poll<Result<usize>> {
        assert!(bufs.iter().all(|buf| !buf.is_empty()), "a write of nothing");
        self.poll_write(cx, &bufs.concat())
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.poll_arrived(cx) {
            Poll::Ready(arrived) => Poll::Ready(arrived.map(|_| ())),
            Poll::Pending if self.world.chance(self.wire.borrow().faults.false_alarm) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.counts.flushes += 1;
        match self.wire.borrow().reset {
            Some(_) => Poll::Ready(Err(Code::ConnectionClosed.into())),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.spurious(true, cx) {
            return Poll::Pending;
        }
        let mut wire = self.wire.borrow_mut();
        if wire.reset.is_some() {
            return Poll::Ready(Err(Code::ConnectionClosed.into()));
        }
        if wire.ways[self.side].ends_at.is_none() {
            let at = wire.arrival(&self.world, self.side);
            let way = &mut wire.ways[self.side];
            (way.ends_at, way.last_arrival) = (Some(at), at);
            way.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self, why: Error) {
        self.world.note(u64::from(why.number().unsigned_abs()));
        self.wire.borrow_mut().reset(why);
    }

    fn peer(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut wire = self.wire.borrow_mut();
        if wire.reset.is_some() {
            return;
        }
        let way = &mut wire.ways[1 - self.side];
        way.abandoned = true;
        if !way.bytes.is_empty() {
            wire.reset(Code::ConnectionClosed.into());
            return;
        }
        way.wake();
        if wire.ways[self.side].ends_at.is_none() {
            let at = wire.arrival(&self.world, self.side);
            let way = &mut wire.ways[self.side];
            (way.ends_at, way.last_arrival) = (Some(at), at);
            way.wake();
        }
    }
}
