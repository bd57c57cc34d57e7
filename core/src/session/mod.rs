//! One connection, whatever the protocol, whatever the host.
//!
//! A session is a codec on a transport, with a queue each way, a clock and time-outs. The application calls
//! [`receive`](Session::receive) and gets two things that do not overlap: an event, which is a view of the
//! receive queue, and the [`Sender`]; so it answers while it still reads the question.
//!
//! | file | its idea |
//! |---|---|
//! | `engine.rs` | decodes, writes, reads and waits: where all progress is made |
//! | `sender.rs` | the sending half |
//! | `link.rs` | a session with its platform erased, for applications that name none |
//! | `timing.rs` | when to act if nothing happens |
//! | `ending.rs` | every state, what leads where, and how the end is gone through |
//! | `stats.rs` | what a session has done |

mod ending;
mod engine;
mod link;
mod sender;
mod stats;
mod timing;

use core::future::{Future, poll_fn};
use core::task::{Context, Poll, ready};

pub use ending::CloseReason;
pub use link::{Link, LinkParts, Outlet};
pub use sender::Sender;
pub use stats::{Stats, Traffic};

use crate::buffer::{Inbox, Queue, Storage};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::platform::{Clock, Platform, Transport};
use crate::time::{Duration, Instant};

/// Whether what is already there is dealt with by code of its own, which is faster and does nothing else that the
/// engine does not do: on a board it would only cost flash.
const SHORT_WAYS: bool = cfg!(target_pointer_width = "64");

/// One connection: a transport, a codec and two queues.
///
/// | to | call |
/// |---|---|
/// | wait for the peer | [`receive`](Self::receive) |
/// | keep an event while later ones arrive behind it | [`find`](Self::find), [`hold`](Self::hold), [`keep`](Self::keep) |
/// | speak | [`send`](Self::send), [`try_send`](Self::try_send), [`flush`](Self::flush), or those of the [`Sender`] that `receive` lends |
/// | await something else | [`during`](Self::during) |
/// | change the protocol | [`switch`](Self::switch) |
/// | end | [`close`](Self::close); dropping a session drops its connection without a goodbye |
///
/// Every method may be dropped at any await and nothing is lost, but for a message that does not fit the empty
/// send queue ([`send`](Self::send) says more).
pub struct Session<P: Platform, C> {
    rx: Inbox<P::Storage>,
    /// Bytes of the event last lent out, behind what is held; given up by the next call.
    lent: u32,
    sender: Sender<P, C>,
}

impl<P: Platform, C: Codec> Session<P, C> {
    /// A session on a connection that is already made. `rx` and `tx` are where its queues live; a unit of
    /// the protocol must fit `rx`.
    ///
    /// # Panics
    /// If `tx` is smaller than [`Codec::REPLY_MAX`] or [`Codec::GOODBYE_MAX`].
    pub fn open(
        transport: P::Transport,
        codec: C,
        (rx, tx): (P::Storage, P::Storage),
        clock: P::Clock,
        options: Options,
    ) -> Self {
        let unit = rx.limit();
        Self {
            rx: Inbox::new(Queue::new(rx)),
            lent: 0,
            sender: Sender::open(transport, codec, tx, clock, options, unit),
        }
    }

    /// The next event, with the means to answer it. `None` once the session has ended in order;
    /// [`reason`](Self::reason) says how. Queued output leaves before this waits. Cancel-safe.
    ///
    /// # Errors
    /// What ended the session: the peer's fault, a failed transport, a time-out. The goodbye was sent by
    /// then, if one could be.
    pub async fn receive(&mut self) -> Result<Option<(C::Event<'_>, &mut Sender<P, C>)>> {
        let Some(found) = self.find().await? else { return Ok(None) };
        match C::view(found, &self.rx.filled()[..self.lent as usize]) {
            Ok(event) => Ok(Some((event, &mut self.sender))),
            Err(error) => {
                self.sender.fail(error);
                Err(error)
            }
        }
    }

    /// Like [`receive`](Self::receive), but tells only where the event lies in [`unit`](Self::unit).
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub async fn find(&mut self) -> Result<Option<C::Found>> {
        match self.found_already() {
            Some(found) => Ok(Some(found)),
            None => poll_fn(|cx| self.poll_found(cx)).await,
        }
    }

    /// The bytes of the event last received or found.
    pub fn unit(&mut self) -> &mut [u8] {
        &mut self.rx.filled()[..self.lent as usize]
    }

    /// Keeps the event last received until it is [let go](Self::let_go): a request's head while its body streams.
    /// What comes later comes behind it, and must fit the rest of the queue piece by piece; a queue that can grow
    /// does.
    pub fn hold(&mut self) {
        self.keep(0..self.lent as usize);
    }

    /// Keeps a part of the event last received, joined to what is held already: a body gathers in one piece.
    ///
    /// # Panics
    /// If the event has no such part.
    #[inline]
    pub fn keep(&mut self, part: core::ops::Range<usize>) {
        self.rx.keep(part, core::mem::take(&mut self.lent) as usize);
    }

    /// The bytes that are held.
    pub fn held(&mut self) -> &mut [u8] {
        self.rx.parts().0
    }

    /// Nothing is held any more.
    #[inline]
    pub fn let_go(&mut self) {
        self.give_up();
        self.rx.let_go();
    }

    /// [`Sender::send`], outside an event. While it waits for room it also reads, as far as the receive
    /// queue may grow, so that two peers that both send before they receive do not stop each other.
    ///
    /// # Errors
    /// As for [`Sender::send`].
    pub async fn send(&mut self, message: C::Message<'_>) -> Result<()> {
        self.give_up();
        if self.sender.queued_already(&message) {
            return Ok(());
        }
        let mut rest = None;
        poll_fn(|cx| {
            let sent = self.sender.poll_send(&message, &mut rest, cx);
            self.read_meanwhile(sent.is_pending(), cx);
            sent
        })
        .await
    }

    /// [`Sender::try_send`], outside an event.
    ///
    /// # Errors
    /// As for [`Sender::try_send`].
    pub fn try_send(&mut self, message: C::Message<'_>) -> Result<()> {
        self.sender.try_send(message)
    }

    /// [`Sender::flush`], outside an event. Like [`send`](Self::send) it also reads while it waits.
    ///
    /// # Errors
    /// As for [`Sender::flush`].
    pub async fn flush(&mut self) -> Result<()> {
        self.give_up();
        if self.sender.is_over() {
            return self.sender.flush().await;
        }
        poll_fn(|cx| {
            let flushed = self.sender.poll_flush(cx);
            self.read_meanwhile(flushed.is_pending(), cx);
            flushed
        })
        .await
    }

    /// [`Sender::during`], outside an event.
    pub async fn during<F: Future>(&mut self, future: F) -> F::Output {
        self.give_up();
        self.rx.release_if_empty();
        self.sender.during(future).await
    }

    /// [`Sender::pause`], outside an event.
    pub async fn pause(&mut self, duration: Duration) -> bool {
        self.give_up();
        self.rx.release_if_empty();
        self.sender.pause(duration).await
    }

    /// Another protocol from here on. Bytes already received are the new codec's; queued output still
    /// leaves first.
    ///
    /// # Panics
    /// If the send queue is too small for the new codec's replies.
    pub fn switch<D: Codec>(mut self, codec: D) -> Session<P, D> {
        self.let_go();
        let unit = self.rx.limit();
        Session { rx: self.rx, lent: 0, sender: self.sender.switch(codec, unit) }
    }

    /// Sends what is queued, says goodbye, and reads on until the peer has ended too or the closing time-out
    /// has passed; TCP would otherwise throw the goodbye away. What the peer still sends is thrown away.
    /// On an ended session it does nothing. Cancel-safe: the next call goes on.
    ///
    /// # Errors
    /// If what was queued could not be delivered, or the session had failed before.
    pub fn close(&mut self) -> impl Future<Output = Result<()>> {
        // Not an async fn, which would keep its argument twice.
        poll_fn(|cx| {
            self.let_go();
            self.sender.close();
            ready!(self.sender.poll_end(&mut self.rx, cx));
            self.rx.clear();
            Poll::Ready(self.reason().and_then(CloseReason::error).map_or(Ok(()), Err))
        })
    }

    /// Ends the session at once. Unless all had been said already, the connection is cut, and the peer sees
    /// that; returns whether it was.
    pub fn abort(&mut self, why: Error) -> bool {
        self.let_go();
        self.rx.clear();
        self.sender.abort(why)
    }

    /// The transport and the storage of the queues back, receive queue first. What was queued or received
    /// is thrown away.
    pub fn into_parts(self) -> (P::Transport, (P::Storage, P::Storage)) {
        let Sender { tx, transport, .. } = self.sender;
        (transport, (self.rx.into_queue().into_storage(), tx.into_storage()))
    }

    /// What is held, the event last found, and the sending half: three things that do not overlap.
    pub fn halves(&mut self) -> (&mut [u8], &mut [u8], &mut Sender<P, C>) {
        let (held, rest) = self.rx.parts();
        (held, &mut rest[..self.lent as usize], &mut self.sender)
    }

    /// The sending half, outside an event.
    pub fn sender(&mut self) -> &mut Sender<P, C> {
        &mut self.sender
    }

    /// The codec, to ask it about the connection.
    pub fn codec(&mut self) -> &mut C {
        &mut self.sender.codec
    }

    /// The transport, to ask it about addresses or certificates.
    pub fn transport(&self) -> &P::Transport {
        &self.sender.transport
    }

    /// The peer's address, if the transport has one.
    pub fn peer(&self) -> Option<core::net::SocketAddr> {
        self.sender.transport.peer()
    }

    /// The time on the session's clock.
    pub fn now(&self) -> Instant {
        self.sender.now()
    }

    /// Why the session ended or is about to; `None` while it is open.
    pub fn reason(&self) -> Option<CloseReason> {
        self.sender.reason()
    }

    /// Whether the host is coming to its end.
    pub fn is_stopping(&self) -> bool {
        self.sender.clock.stopping()
    }

    /// What the session has done so far.
    pub fn stats(&self) -> Stats {
        self.sender.stats()
    }

    /// Ends the session as failed with `error`; [`close`](Self::close) or the next
    /// [`receive`](Self::receive) sees to it.
    pub fn fail(&mut self, error: Error) {
        self.sender.fail(error);
    }

    /// The next event if all of it is here: the short way for messages that came together.
    #[inline]
    fn found_already(&mut self) -> Option<C::Found> {
        self.give_up();
        if !SHORT_WAYS {
            return None;
        }
        let (n, found) = self.sender.event_already(&mut self.rx)?;
        self.lent = n as u32; // as many are in the queue
        Some(found)
    }

    #[inline]
    fn give_up(&mut self) {
        self.rx.consume(core::mem::take(&mut self.lent) as usize);
    }

    fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<C::Found>>> {
        self.give_up();
        self.sender.poll_event(&mut self.rx, cx).map_ok(|event| {
            event.map(|(n, found)| {
                self.lent = n as u32; // as many are in the queue
                found
            })
        })
    }

    /// Reads once, as far as the receive queue may grow.
    fn read_meanwhile(&mut self, waiting: bool, cx: &mut Context<'_>) {
        if !waiting || !self.sender.may_read() {
            return;
        }
        // Bytes are held only once there is something to read.
        if !self.rx.is_at_limit() && self.sender.transport.poll_readable(cx).is_ready() {
            match self.sender.poll_read(&mut self.rx, cx) {
                Poll::Ready(_) => cx.waker().wake_by_ref(),
                Poll::Pending => self.rx.release_if_empty(),
            }
        }
    }
}
