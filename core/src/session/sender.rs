//! The sending half of a session.
//!
//! Everything under it that waits is a poll function, so nothing is lost when a future above it is dropped.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, ready};

use super::ending::{CloseReason, State};
use super::stats::{Stats, Traffic};
use super::timing::{Due, Spans, Timing, Wait};
use crate::buffer::{Queue, Room, Storage};
use crate::codec::{Codec, Limits};
use crate::error::{Code, Error, Fault, Result};
use crate::options::Options;
use crate::platform::{Clock, Platform, Transport};
use crate::time::{Duration, Instant};

/// The sending half of a [`Session`](super::Session). An event borrows the other half, so a reply can be
/// written while the question is still held.
pub struct Sender<P: Platform, C> {
    pub(super) tx: Queue<P::Storage>,
    pub(super) codec: C,
    pub(super) transport: P::Transport,
    pub(super) clock: P::Clock,
    pub(super) state: State,
    /// [`Options::message_max`], as far as it can be told in four bytes.
    pub(super) message_max: u32,
    pub(super) spans: Spans,
    /// [`Options::lingers`](crate::Options::lingers).
    pub(super) lingers: bool,
    pub(super) timing: Timing,
    pub(super) received: Traffic,
    pub(super) sent: Traffic,
    pub(super) opened_at: Instant,
    /// The peer has ended its stream.
    pub(super) peer_finished: bool,
    /// The last step was an event of no bytes.
    pub(super) stood_still: bool,
    /// The transport was asked whether it is readable, and has woken us since or will.
    pub(super) asked: bool,
    /// While open, KiB that were there to be decoded when there last was not enough and more came, less the large bodies
    /// sent since. At the end, how much was read and thrown away.
    pub(super) ahead_or_lingered: u16,
    /// [`Stats::round_trip`], in microseconds; zero before it is known.
    pub(super) round_trip: u32,
}

/// What [`Sender::queue`] could not queue.
pub(super) enum Left<'m> {
    /// There is no room now.
    NoRoom,
    /// There are no bytes to queue it in now; that many are needed.
    Exhausted(usize),
    /// Larger than the queue, which is full of its beginning: this goes out behind it.
    Direct(&'m [u8]),
}

/// Bodies of so many bytes are written at once, from where they lie, if the transport takes what is queued with them:
/// a queue would gather no second one.
const LARGE: usize = 32 * 1024;
/// The same for several messages at once: what could be gathered is.
const LARGE_BATCH: usize = 4 * 1024;

/// Whole KiB of so many bytes.
pub(super) fn kib(bytes: usize) -> u16 {
    u16::try_from(bytes / 1024).unwrap_or(u16::MAX)
}

impl<P: Platform, C: Codec> Sender<P, C> {
    pub(super) fn open(
        transport: P::Transport,
        mut codec: C,
        tx: P::Storage,
        clock: P::Clock,
        options: Options,
        unit: usize,
    ) -> Self {
        assert!(
            tx.limit() >= C::REPLY_MAX.max(C::GOODBYE_MAX).max(1),
            "the tx queue is too small for the codec's replies"
        );
        codec.limit(Limits { message: options.message_max, unit, queue: tx.limit() });
        let now = clock.now();
        Self {
            tx: Queue::new(tx),
            codec,
            transport,
            clock,
            state: State::Open,
            message_max: u32::try_from(options.message_max).unwrap_or(u32::MAX),
            spans: options.timeouts.into(),
            lingers: options.lingers,
            timing: Timing::new(now),
            received: Traffic::default(),
            sent: Traffic::default(),
            opened_at: now,
            peer_finished: false,
            stood_still: false,
            asked: false,
            ahead_or_lingered: 0,
            round_trip: 0,
        }
    }

    pub(super) fn switch<D: Codec>(self, mut codec: D, unit: usize) -> Sender<P, D> {
        assert!(
            self.tx.limit() >= D::REPLY_MAX.max(D::GOODBYE_MAX).max(1),
            "the tx queue is too small for the codec's replies"
        );
        codec.limit(Limits { message: self.message_max as usize, unit, queue: self.tx.limit() });
        Sender {
            tx: self.tx,
            codec,
            transport: self.transport,
            clock: self.clock,
            state: self.state,
            message_max: self.message_max,
            spans: self.spans,
            lingers: self.lingers,
            timing: self.timing,
            received: self.received,
            sent: self.sent,
            opened_at: self.opened_at,
            peer_finished: self.peer_finished,
            stood_still: false,
            asked: false,
            ahead_or_lingered: self.ahead_or_lingered,
            round_trip: self.round_trip,
        }
    }

    /// Queues `message`; waits only while there is no room for it.
    ///
    /// What is queued leaves in one write when the session next waits, when the queue is full, or on
    /// [`flush`](Self::flush). A message that does not fit the empty queue (68 KiB in a desktop's server, 16 KiB in its
    /// client; its storage on boards) is written from where it lies, without a
    /// copy, unless its codec must copy it (a line and its ending).
    ///
    /// Cancel-safe, all or nothing, but for such a message: when its `send` is dropped half way, the stream
    /// cannot be continued, and the session ends with [`Code::InvalidSession`] at its next use.
    /// [`try_send`](Self::try_send) has no such exception.
    ///
    /// # Errors
    /// [`Code::ConnectionClosed`], [`Code::SessionExpired`], [`Code::ShuttingDown`] or [`Code::InvalidSession`] on
    /// an ended session, [`Code::WriteStalled`], [`Code::BuffersExhausted`],
    /// [`Code::SendFailed`], [`Code::MessageTooLarge`] if the codec cannot express it.
    pub async fn send(&mut self, message: C::Message<'_>) -> Result<()> {
        if self.queued_already(&message) {
            return Ok(());
        }
        let mut rest = None;
        poll_fn(|cx| self.poll_send(&message, &mut rest, cx)).await
    }

    /// Queues `message`, and waits while there is no room. `rest`, which is `None` at first, keeps what is left of a
    /// message that goes out directly.
    pub(super) fn poll_send<'m>(
        &mut self,
        message: &C::Message<'m>,
        rest: &mut Option<&'m [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        loop {
            if let Some(body) = rest {
                return self.poll_direct(body, cx);
            }
            match self.queue(message, Some(cx))? {
                None => return Poll::Ready(Ok(())),
                Some(Left::NoRoom) => ready!(self.poll_flush(cx))?,
                Some(Left::Exhausted(least)) => ready!(self.poll_storage(least, cx))?,
                Some(Left::Direct(body)) => *rest = Some(body),
            }
        }
    }

    /// Queues `message` now or fails; never waits, and leaves nothing behind when it fails. The empty queue
    /// grows for it if need be, up to its limit (the longest message on desktops).
    ///
    /// # Errors
    /// [`Code::BufferFull`] if there is no room now, [`Code::MessageTooLarge`] if there never will be, and
    /// what [`send`](Self::send) fails with on an ended session.
    pub fn try_send(&mut self, message: C::Message<'_>) -> Result<()> {
        match self.queue(&message, None)? {
            None => Ok(()),
            Some(_) => {
                self.tx.release_if_empty();
                Err(Code::BufferFull.into())
            }
        }
    }

    /// Sends everything queued. Does not wait for the peer to have received it. Cancel-safe.
    ///
    /// # Errors
    /// [`Code::WriteStalled`] or what the transport failed with.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_flush_open(cx)).await
    }

    pub(super) fn poll_flush_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.state {
            State::Ended(reason) => Poll::Ready(reason.error().map_or(Ok(()), Err)),
            State::Torn => Poll::Ready(Err(self.cut(Code::InvalidSession.into()))),
            _ => self.poll_flush(cx),
        }
    }

    /// Awaits something else while queued output leaves and keep-alives go out. For a handler that waits on
    /// another task, a timer or another connection while it holds an event.
    ///
    /// A transport that fails meanwhile is reported by the next `send` or `receive`.
    pub async fn during<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _ = self.poll_attend(Instant::NEVER, cx); // it goes on by itself
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Says goodbye once what is queued has left. The next `receive` sees to it and returns `None`.
    pub fn close(&mut self) {
        self.close_with(CloseReason::Local);
    }

    /// Ends the session as failed with `error`, which the codec tells the peer in its goodbye.
    pub fn fail(&mut self, error: Error) {
        self.close_with(CloseReason::Failed(error));
    }

    /// The codec, to ask it about the connection.
    pub fn codec(&mut self) -> &mut C {
        &mut self.codec
    }

    /// The transport, to ask it about addresses or certificates.
    pub fn transport(&self) -> &P::Transport {
        &self.transport
    }

    /// The time on the session's clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Why the session ended or is about to; `None` while it is open.
    pub fn reason(&self) -> Option<CloseReason> {
        self.state.reason()
    }

    /// What the session has done so far.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.tell_stats(&mut stats);
        stats
    }

    /// Says so in `stats`, which are at their defaults.
    #[inline]
    pub(super) fn tell_stats(&self, stats: &mut Stats) {
        (stats.received, stats.sent, stats.opened_at) = (self.received, self.sent, self.opened_at);
        stats.progress_at = self.timing.quiet_since(|| self.clock.now());
        if let Some(path) = self.transport.path() {
            (stats.path, stats.round_trip) = (Some(path), Some(path.round_trip));
        }
        if self.round_trip > 0 {
            stats.round_trip = Some(Duration::from_micros(self.round_trip.into()));
        }
    }

    /// Whether it has ended, or can only be cut.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Torn)
    }

    pub(super) fn close_with(&mut self, reason: CloseReason) {
        match self.state {
            State::Open => {
                self.state = State::Closing(reason);
                self.timing.unit_ended(); // there is only the end to be timed from here on
            }
            State::Torn => _ = self.cut(Code::InvalidSession.into()),
            _ => {}
        }
    }

    /// Ends at once. Whether something was cut off: not if only the peer's end was still waited for.
    pub(super) fn abort(&mut self, why: Error) -> bool {
        match self.state {
            State::Lingering(reason) => self.state = State::Ended(reason),
            State::Ended(_) => {}
            _ => {
                self.cut(why);
                return true;
            }
        }
        false
    }

    /// Nothing more can be said: cuts the connection.
    pub(super) fn cut(&mut self, error: Error) -> Error {
        self.tx.consume(self.tx.len());
        self.tx.release_if_empty();
        if !matches!(self.state, State::Ended(_)) {
            self.transport.abort(error);
            self.state = State::Ended(CloseReason::Failed(error));
        }
        error
    }

    fn ended_error(reason: CloseReason) -> Error {
        match reason {
            CloseReason::Idle => Code::SessionExpired.into(),
            CloseReason::Failed(error) => error,
            CloseReason::Shutdown => Code::ShuttingDown.into(),
            CloseReason::Local | CloseReason::Peer => Code::ConnectionClosed.into(),
        }
    }

    /// Queues `message` if it fits the room at hand: the short way.
    #[inline]
    pub(super) fn queued_already(&mut self, message: &C::Message<'_>) -> bool {
        // Without room to begin with nothing need be tried.
        if !super::SHORT_WAYS || self.state != State::Open || self.tx.make_room(1) != Room::Made {
            return false;
        }
        let before = self.tx.len();
        let is_queued = self.tx.write(|out| match self.codec.encode(message, out) {
            Ok(body) => body.len() < LARGE && out.put(body).is_ok(),
            Err(_) => false,
        });
        match is_queued {
            true => self.queued(message),
            false => self.tx.truncate(before),
        }
        is_queued
    }

    /// Queues `message`. One that does not fit the empty queue goes out directly behind its beginning; without a context
    /// to write in, the queue grows for it, up to its limit.
    fn queue<'m>(
        &mut self,
        message: &C::Message<'m>,
        mut cx: Option<&mut Context<'_>>,
    ) -> Result<Option<Left<'m>>> {
        match self.state {
            State::Open => {}
            State::Torn => return Err(self.cut(Code::InvalidSession.into())),
            _ => return Err(self.state.reason().map_or(Code::ConnectionClosed.into(), Self::ended_error)),
        }
        let (before, is_batch) = (self.tx.len(), C::messages(message) > 1);
        if self.tx.make_room(1) == Room::Exhausted {
            return Ok(Some(Left::Exhausted(1)));
        }
        loop {
            let (encoded, lacking) = self.tx.write(|out| (self.codec.encode(message, out), out.lacking()));
            match encoded {
                Ok(body) => {
                    if let Some(cx) = &mut cx
                        && body.len() >= LARGE_BATCH
                        && self.transport.writes_vectored()
                        && self.writes_at_once(is_batch, before, body.len())
                    {
                        return self.write_large(message, before, body, cx);
                    }
                    if self.tx.write(|out| out.put(body)).is_ok() {
                        self.queued(message);
                        return Ok(None);
                    }
                    if before == 0 {
                        if cx.is_some() && !is_batch {
                            return self.tear(message, body);
                        }
                        let least = self.tx.len() + body.len();
                        match self.grow_empty(least)? {
                            None => continue,
                            left => return Ok(left),
                        }
                    }
                }
                Err(error) if error != Code::BufferFull => {
                    self.tx.truncate(before);
                    self.tx.release_if_empty();
                    return Err(error);
                }
                Err(_) => {
                    if before == 0 {
                        let least = self.tx.size() + lacking;
                        match self.grow_empty(least)? {
                            None => continue,
                            left => return Ok(left),
                        }
                    }
                }
            }
            self.tx.truncate(before);
            if !self.tx.compact() {
                return Ok(Some(Left::NoRoom));
            }
        }
    }

    /// Whether a body is written at once: what was gathered before, if a queue could keep what the transport does not take,
    /// and a large one, but for the first of two, if as much again is at hand to be answered. Two writes would cost more
    /// than the copy, and wake the peer twice.
    fn writes_at_once(&mut self, is_batch: bool, before: usize, body: usize) -> bool {
        if is_batch || body < LARGE {
            return is_batch && self.tx.room().len() >= body;
        }
        self.ahead_or_lingered = self.ahead_or_lingered.saturating_sub(kib(body));
        before >= LARGE || self.ahead_or_lingered < kib(body) || self.tx.room().len() < body
    }

    /// Writes what is queued, which the head of `message` ends `before` bytes behind its front, and `body`, of which
    /// nothing is queued. What the transport does not take of the body is queued, so that all of it is sent even if
    /// nobody asks again, unless it is longer than the queue.
    fn write_large<'m>(
        &mut self,
        message: &C::Message<'m>,
        before: usize,
        body: &'m [u8],
        cx: &mut Context<'_>,
    ) -> Result<Option<Left<'m>>> {
        let queued = self.tx.len();
        let written = match queued {
            0 => self.transport.poll_write(cx, body),
            _ => self.transport.poll_write_vectored(cx, [self.tx.filled(), body]),
        };
        let n = match written {
            Poll::Pending => 0,
            Poll::Ready(Ok(0)) => return Err(self.cut(Code::SendFailed.into())),
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(error)) => return Err(self.cut(error)),
        };
        if n > 0 {
            self.sent.bytes += n as u64;
            self.timing.unstalled();
        }
        self.tx.consume(n.min(queued));
        let rest = &body[n.saturating_sub(queued)..];
        self.tx.compact();
        if self.tx.write(|out| out.put(rest)).is_ok() {
            self.queued(message);
            return Ok(None);
        }
        if n < before {
            self.tx.truncate(before - n);
            return Ok(Some(Left::NoRoom));
        }
        self.tear(message, rest)
    }

    /// Queues as much as fits of `body`, whose message does not fit the empty queue: it leaves with the head, in one write.
    fn tear<'m>(&mut self, message: &C::Message<'m>, body: &'m [u8]) -> Result<Option<Left<'m>>> {
        let rest = self.tx.write(|out| {
            let (first, rest) = body.split_at(out.room());
            out.put(first).map(|()| rest)
        })?;
        self.state = State::Torn;
        self.queued(message);
        Ok(Some(Left::Direct(rest)))
    }

    /// Undoes what was encoded into the empty queue, and gives it at least `least` bytes. `None` if that was done.
    fn grow_empty<'m>(&mut self, least: usize) -> Result<Option<Left<'m>>> {
        self.tx.truncate(0);
        match self.tx.grow(least) {
            Room::Made => Ok(None),
            Room::Exhausted => Ok(Some(Left::Exhausted(least))),
            Room::Short => {
                self.tx.release_if_empty();
                Err(Error::new(Code::MessageTooLarge).blame(Fault::Local))
            }
        }
    }

    #[inline]
    fn queued(&mut self, message: &C::Message<'_>) {
        self.sent.messages += u64::from(C::messages(message));
        self.codec.accepted(message);
        self.timing.moved();
    }

    /// Writes what is queued; pending while some is. Says nothing of time-outs.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.tx.is_empty() {
            let n = ready!(self.poll_write_some(None, cx))?;
            self.tx.consume(n);
        }
        self.tx.release_if_empty();
        ready!(self.transport.poll_flush(cx)).map_err(|error| self.cut(error))?;
        self.timing.unstalled();
        Poll::Ready(Ok(()))
    }

    /// Writes some of `bytes`, or of tx.
    fn poll_write_some(&mut self, bytes: Option<&[u8]>, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => self.tx.filled(),
        };
        match ready!(self.transport.poll_write(cx, bytes)) {
            Ok(n @ 1..) => {
                self.sent.bytes += n as u64;
                self.timing.unstalled();
                Poll::Ready(Ok(n))
            }
            Ok(0) => Poll::Ready(Err(self.cut(Code::SendFailed.into()))),
            Err(error) => Poll::Ready(Err(self.cut(error))),
        }
    }

    /// Writes what is queued, for at most the write-stall time-out without progress.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.poll_drain(cx) {
            Poll::Pending => self.poll_wait(Wait::Send, true, cx),
            ready => ready,
        }
    }

    /// Waits for bytes to queue in.
    pub(super) fn poll_storage(&mut self, least: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // A block that is too small is better used by another session meanwhile.
        self.tx.release_if_empty();
        if self.tx.grow(least) != Room::Exhausted {
            self.timing.fed();
            return Poll::Ready(Ok(()));
        }
        self.tx.wait(cx);
        self.poll_exhausted(cx)
    }

    /// All buffers are lent out: for the write-stall time-out that is waited for, then the session ends.
    pub(super) fn poll_exhausted(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let since = self.timing.starved(|| self.clock.now());
        ready!(self.clock.poll_until(since + self.spans.write_stall, cx));
        Poll::Ready(Err(self.cut(Code::BuffersExhausted.into())))
    }

    /// Writes the rest of a message whose beginning is in tx.
    pub(super) fn poll_direct(&mut self, body: &mut &[u8], cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let State::Ended(reason) = self.state {
            return Poll::Ready(Err(Self::ended_error(reason)));
        }
        while !self.tx.is_empty() {
            ready!(self.poll_flush(cx))?;
        }
        while !body.is_empty() {
            match self.poll_write_some(Some(body), cx) {
                Poll::Ready(n) => *body = &body[n?..],
                Poll::Pending => ready!(self.poll_wait(Wait::Send, true, cx))?,
            }
        }
        self.state = State::Open;
        Poll::Ready(Ok(()))
    }

    /// Lets time pass while output leaves and keep-alives go out. `false`, at once, when there is nothing to wait for any
    /// more: the session has ended, or the host is stopping.
    pub async fn pause(&mut self, duration: Duration) -> bool {
        let until = self.clock.now() + duration;
        poll_fn(|cx| self.poll_pause(until, cx)).await
    }

    pub(super) fn poll_pause(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<bool> {
        let reached = self.poll_attend(until, cx).is_ready();
        match self.state {
            State::Open if self.clock.stopping() => Poll::Ready(false),
            State::Open if reached => Poll::Ready(true),
            State::Open => Poll::Pending,
            _ => Poll::Ready(false),
        }
    }

    /// Lets output leave and keep-alives go out while the application waits elsewhere, or until then.
    pub(super) fn poll_attend(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        while self.state == State::Open {
            let stalled = match self.poll_drain(cx) {
                Poll::Ready(Err(_)) => break, // the state says why
                drained => drained.is_pending(),
            };
            let keeps_alive = self.codec.keeps_alive();
            let (due, _) = self.timing.next(Wait::During, stalled, keeps_alive, &self.spans, &self.clock);
            if until <= due && until != Instant::NEVER {
                return self.clock.poll_until(until, cx);
            }
            ready!(self.poll_wait(Wait::During, stalled, cx)).unwrap_or_default();
        }
        Poll::Ready(())
    }

    /// Ready when a time-out has passed and was dealt with. `stalled`: output waits for the transport.
    pub(super) fn poll_wait(&mut self, wait: Wait, stalled: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let (at, due) = self.timing.next(wait, stalled, self.codec.keeps_alive(), &self.spans, &self.clock);
        ready!(self.clock.poll_until(at, cx));
        if self.timing.first_time(at) {
            // The application looked away meanwhile, or so it may be: the transport is asked once more.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match due {
            Due::WriteStalled => return Poll::Ready(Err(self.cut(Code::WriteStalled.into()))),
            Due::MessageTimeout => self.fail(Code::MessageTimeout.into()),
            Due::Idle => self.close_with(CloseReason::Idle),
            Due::BuffersExhausted => return Poll::Ready(Err(self.cut(Code::BuffersExhausted.into()))),
            Due::KeepAlive => {
                let now = self.clock.now();
                self.timing.kept_alive(now);
                // Without room much is on its way already, and the write-stall time-out watches that.
                if self.tx.make_room(C::GOODBYE_MAX) == Room::Made {
                    self.tx.write(|out| self.codec.keep_alive(now, out));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
