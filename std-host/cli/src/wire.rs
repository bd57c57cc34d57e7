//! Sending without waiting, whatever the size.
//!
//! A client that must go on receiving while it sends cannot await a send: its answers may be what the peer
//! waits to get rid of before it reads on. So it sends pieces that [`Session::try_send`] takes or refuses at
//! once, and a piece is any part of the stream of bytes, not a message.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use netloom::core::{Limits, Outbox, Step};
use netloom::{CloseReason, Codec, Instant, Platform, Result, Session};

/// `C`, but what is sent are bytes that are encoded already.
#[derive(Debug)]
pub(crate) struct Wire<C>(pub(crate) C);

impl<C: Codec> Codec for Wire<C> {
    type Found = C::Found;
    type Event<'a> = C::Event<'a>;
    type Message<'a> = &'a [u8];
    const REPLY_MAX: usize = C::REPLY_MAX;
    const GOODBYE_MAX: usize = C::GOODBYE_MAX;

    fn limit(&mut self, limits: Limits) {
        self.0.limit(limits);
    }

    #[inline]
    fn decode(&mut self, input: &mut [u8], out: &mut Outbox<'_>) -> Result<Step<Self::Found>> {
        self.0.decode(input, out)
    }

    #[inline]
    fn view(found: Self::Found, unit: &[u8]) -> Result<Self::Event<'_>> {
        C::view(found, unit)
    }

    #[inline]
    fn encode<'m>(&mut self, bytes: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        out.put(bytes)?;
        Ok(&[])
    }

    fn under_way(&self) -> bool {
        self.0.under_way()
    }

    fn finished(&mut self) -> bool {
        self.0.finished()
    }

    fn goes_on(&self) -> bool {
        self.0.goes_on()
    }

    fn close(&mut self, why: CloseReason, out: &mut Outbox<'_>) {
        self.0.close(why, out);
    }

    fn keeps_alive(&self) -> bool {
        self.0.keeps_alive()
    }

    fn keep_alive(&mut self, now: Instant, out: &mut Outbox<'_>) {
        self.0.keep_alive(now, out);
    }
}

/// A piece: a fraction of a send queue, so that the queue is topped up before it runs empty.
const PIECE: usize = 4096;

/// Queues as many of `bytes` as there is room for now, and says how many. None too if the session has ended,
/// which the next `receive` tells.
#[inline]
pub(crate) fn push<P: Platform, C: Codec>(session: &mut Session<P, Wire<C>>, bytes: &[u8]) -> usize {
    let mut pushed = 0;
    for piece in bytes.chunks(PIECE) {
        if session.try_send(piece).is_err() {
            break;
        }
        pushed += piece.len();
    }
    pushed
}

/// What went on.
pub(crate) enum Moved<T> {
    /// An event, and what was made of it.
    Received(T),
    /// So many bytes were queued.
    Pushed(usize),
    /// The session has ended in order.
    Ended,
}

/// Receives an event or queues some of `bytes`, whichever can go on; what is queued leaves meanwhile.
/// Cancel-safe.
#[inline]
pub(crate) async fn exchange<P, C, T>(
    session: &mut Session<P, Wire<C>>,
    bytes: &[u8],
    mut take: impl FnMut(C::Event<'_>) -> T,
) -> Result<Moved<T>>
where
    P: Platform,
    C: Codec,
{
    poll_fn(|cx| {
        match pin!(session.receive()).poll(cx) {
            Poll::Ready(Ok(Some((event, _)))) => return Poll::Ready(Ok(Moved::Received(take(event)))),
            Poll::Ready(Ok(None)) => return Poll::Ready(Ok(Moved::Ended)),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
        // If the queue is still full the transport takes nothing, and wakes the task when it does again.
        match push(session, bytes) {
            0 => Poll::Pending,
            pushed => Poll::Ready(Ok(Moved::Pushed(pushed))),
        }
    })
    .await
}
