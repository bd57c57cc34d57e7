//! Sending without waiting, whatever the size.
//!
//! A client that must go on receiving while it sends cannot await a send: its answers may be what the peer
//! waits to get rid of before it reads on. So it sends pieces that [`Session::try_send`] takes or refuses at
//! once, and a piece is any part of the stream of bytes, not a message.

use std::future::poll_fn;
use std::task::Poll;

use netloom::core::{Limits, Outbox, Step};
use netloom::{Codec, Error, Platform, Result, Session};

/// `C`, but what is sent are bytes that are encoded already.
#[derive(Debug)]
pub(crate) struct Wire<C>(pub(crate) C);

impl<C: Codec> Codec for Wire<C> {
    type Found = C::Found;
    type Event<'a> = C::Event<'a>;
    type Message<'a> = &'a [u8];
    const REPLY_MAX: usize = C::REPLY_MAX;
    const KEEP_ALIVE: bool = C::KEEP_ALIVE;

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
    fn encode<'m>(&mut self, bytes: &'m [u8], out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        out.put(bytes)?;
        Ok(&[])
    }

    fn close(&mut self, why: Option<Error>, out: &mut Outbox<'_>) {
        self.0.close(why, out);
    }

    fn keep_alive(&mut self, out: &mut Outbox<'_>) {
        self.0.keep_alive(out);
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

/// Ready once the task has been woken. Beside [`Session::receive`], which writes what is queued whenever it
/// is polled, this is when it is worth trying [`push`] again.
pub(crate) async fn woken() {
    let mut before = true;
    poll_fn(|_| if std::mem::take(&mut before) { Poll::Pending } else { Poll::Ready(()) }).await;
}
