//! The engine of a session: it decodes, writes, reads and waits, whichever can go on.
//!
//! [`Sender::poll_event`] is all of it. `receive` is that function over the receive queue, and a held event's
//! `receive` is the same function over what lies behind the event.

use core::task::{Context, Poll, ready};

use super::SHORT_WAYS;
use super::ending::{CloseReason, State};
use super::sender::{Sender, kib};
use super::timing::Wait;
use crate::buffer::{Inbox, Outbox, Room};
use crate::codec::{Codec, Step};
use crate::error::{Code, Error, Fault, Result};
use crate::platform::{Clock, Platform, Transport};

/// An event: how many bytes from the front, and what was found in them.
type Located<F> = (usize, F);

impl<P: Platform, C: Codec> Sender<P, C> {
    /// The next event in `rx` if all of it is here and no reply needs room: the short way for messages that
    /// came together. Whatever else it finds, [`poll_event`](Self::poll_event) goes on with.
    #[inline]
    pub(super) fn event_already(&mut self, rx: &mut Inbox<P::Storage>) -> Option<Located<C::Found>> {
        while C::REPLY_MAX == 0 && self.state == State::Open && !rx.is_empty() {
            match self.codec.decode(rx.filled(), &mut Outbox::new(&mut [], &mut 0)) {
                Ok(Step::NeedInput) => break,
                step => {
                    if let Some(located) = self.settle(rx, step) {
                        return Some(located);
                    }
                }
            }
        }
        None
    }

    /// Does what a step of the codec says. The event, if it is one.
    #[inline(always)]
    fn settle(
        &mut self,
        rx: &mut Inbox<P::Storage>,
        step: Result<Step<C::Found>>,
    ) -> Option<Located<C::Found>> {
        match step {
            Ok(Step::Event(n, found)) => {
                self.progress(n, n > 0 || !self.stood_still);
                self.stood_still = n == 0;
                self.received.messages += 1;
                self.timing.moved();
                return Some((n, found));
            }
            Ok(Step::Quiet(n)) => {
                assert!(n > 0, "{} makes no progress", core::any::type_name::<C>());
                self.stood_still = false;
                if !self.codec.under_way() {
                    self.timing.unit_ended();
                }
                rx.consume(n);
            }
            Ok(Step::Alive(n, since)) => {
                assert!(n > 0, "{} makes no progress", core::any::type_name::<C>());
                self.stood_still = false;
                self.round_trip = (self.clock.now().as_micros() as u32).wrapping_sub(since).max(1);
                if !self.codec.under_way() {
                    self.timing.unit_ended();
                }
                rx.consume(n);
            }
            Ok(Step::Goodbye(n)) => {
                rx.consume(n);
                self.close_with(CloseReason::Peer);
            }
            Ok(Step::NeedInput) => {}
            Err(error) => self.fail(error),
        }
        None
    }

    /// The next event in `rx`. `None` when the session has ended in order. This is the whole engine: it decodes,
    /// writes, reads, waits and ends.
    pub(super) fn poll_event(
        &mut self,
        rx: &mut Inbox<P::Storage>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Located<C::Found>>>> {
        if SHORT_WAYS && self.was_woken_to_read(rx) {
            self.asked = false;
            // Nothing to be read after all: the long way asks again.
            if let Poll::Ready(Err(error)) = self.poll_read(rx, cx) {
                return Poll::Ready(Err(error));
            }
        }
        loop {
            match self.state {
                State::Open => {}
                State::Torn => return Poll::Ready(Err(self.cut(Code::InvalidSession.into()))),
                State::Ended(reason) => {
                    rx.clear();
                    return Poll::Ready(reason.error().map_or(Ok(None), Err));
                }
                _ => {
                    ready!(self.poll_end(rx, cx));
                    continue;
                }
            }
            match ready!(self.poll_decode(rx, cx))? {
                Ok(Step::NeedInput) => {
                    ready!(self.poll_starved(rx, cx))?;
                    if SHORT_WAYS {
                        self.ahead_or_lingered = kib(rx.filled().len());
                    }
                }
                step => {
                    if let Some(located) = self.settle(rx, step) {
                        return Poll::Ready(Ok(Some(located)));
                    }
                }
            }
        }
    }

    /// Whether it waited for input with nothing else to do, as it mostly does.
    #[inline]
    fn was_woken_to_read(&self, rx: &Inbox<P::Storage>) -> bool {
        self.asked
            && self.state == State::Open
            && rx.is_empty()
            && self.tx.is_empty()
            && !self.peer_finished
            && !self.codec.under_way()
    }

    #[inline]
    fn progress(&mut self, n: usize, allowed: bool) {
        assert!(allowed, "{} makes no progress", core::any::type_name::<C>());
        if n > 0 {
            self.stood_still = false;
            if !self.codec.goes_on() {
                self.timing.unit_ended();
            }
        }
    }

    /// One step of the codec, with room for its reply.
    #[inline]
    fn poll_decode(
        &mut self,
        rx: &mut Inbox<P::Storage>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Step<C::Found>>>> {
        if rx.is_empty() && !self.codec.under_way() {
            return Poll::Ready(Ok(Ok(Step::NeedInput)));
        }
        loop {
            if C::REPLY_MAX == 0 {
                let step = self.codec.decode(rx.filled(), &mut Outbox::new(&mut [], &mut 0));
                return Poll::Ready(Ok(step));
            }
            match self.tx.make_room(C::REPLY_MAX) {
                Room::Made => {
                    let before = self.tx.len();
                    match self.tx.write(|out| self.codec.decode(rx.filled(), out)) {
                        Err(error) if error == Code::BufferFull && before > 0 => self.tx.truncate(before),
                        step => return Poll::Ready(Ok(step)),
                    }
                }
                Room::Exhausted => {
                    ready!(self.poll_storage(C::REPLY_MAX, cx))?;
                    continue;
                }
                Room::Short => {}
            }
            match self.tx.is_empty() {
                // What is held is too small; the next round asks for enough.
                true => self.tx.release_if_empty(),
                false => ready!(self.poll_flush(cx))?,
            }
        }
    }

    /// Writes what is queued and reads what there is, whichever can go on. Ready when there is more to
    /// decode, or when the state has changed.
    fn poll_starved(&mut self, rx: &mut Inbox<P::Storage>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // Output does not hold up input: a peer that writes before it reads is read from.
        let stalled = match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            drained => drained.is_pending(),
        };
        let waiting = !rx.is_empty();
        let partial = waiting || self.codec.under_way();
        if self.peer_finished {
            match partial {
                false => self.close_with(CloseReason::Peer),
                true if !waiting && self.codec.finished() => {}
                true => self.fail(Error::new(Code::ReceiveFailed).blame(Fault::Peer)),
            }
            return Poll::Ready(Ok(()));
        }
        if !waiting {
            rx.release_if_empty();
            // Asked before storage is held; but once it was asked and woke us, reading tells as much.
            if rx.is_lent() && !core::mem::take(&mut self.asked) {
                match self.transport.poll_readable(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.cut(error))),
                    Poll::Pending => {
                        self.asked = true;
                        self.timing.fed(); // no storage is wanted
                        return self.poll_idle(partial, stalled, cx);
                    }
                }
            }
        }
        match self.poll_read(rx, cx) {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending if self.timing.is_starved() => {
                let partial = self.is_midway(partial);
                self.poll_wait(Wait::Receive { partial }, stalled, cx)
            }
            Poll::Pending => {
                rx.release_if_empty();
                self.poll_idle(partial, stalled, cx)
            }
        }
    }

    /// Nothing can be read now.
    fn poll_idle(&mut self, partial: bool, stalled: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let partial = self.is_midway(partial);
        if self.clock.stopping() && !partial && !stalled && self.state == State::Open {
            self.close_with(CloseReason::Shutdown);
            return Poll::Ready(Ok(()));
        }
        self.poll_wait(Wait::Receive { partial }, stalled, cx)
    }

    /// Whether part of a unit has arrived here, as `partial` says, or below.
    #[inline]
    fn is_midway(&mut self, partial: bool) -> bool {
        match self.transport.is_midway() {
            Some(true) => return true,
            // What was midway below may have come to nothing that a codec sees.
            Some(false) if !partial => self.timing.unit_ended(),
            _ => {}
        }
        partial
    }

    /// Reads once into the room of `rx`.
    pub(super) fn poll_read(&mut self, rx: &mut Inbox<P::Storage>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Poll::Ready(room) = rx.poll_room(cx) else {
            self.timing.starved(|| self.clock.now()); // the wait that follows watches it
            return Poll::Pending;
        };
        self.timing.fed();
        if room.is_empty() {
            self.fail(Code::MessageTooLarge.into());
            return Poll::Ready(Ok(()));
        }
        match ready!(self.transport.poll_read(cx, room)) {
            Ok(0) => self.peer_finished = true,
            Ok(n) => {
                rx.fill(n);
                self.received.bytes += n as u64;
                self.timing.heard();
            }
            Err(error) => return Poll::Ready(Err(self.cut(error))),
        }
        Poll::Ready(Ok(()))
    }

    /// Whether there is reason to read while waiting to write.
    pub(super) fn may_read(&self) -> bool {
        matches!(self.state, State::Open | State::Torn) && !self.peer_finished
    }
}
