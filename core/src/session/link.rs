//! A session with its platform erased, for applications that name none: an HTTP handler is an `async fn` without type
//! parameters, compiled once.
//!
//! Everything below is polled, so the traits are object safe; what waits is on `dyn Link` and `dyn Outlet`.

use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::ops::Range;
use core::pin::pin;
use core::task::{Context, Poll};

use super::{SHORT_WAYS, Sender, Session, Stats};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::platform::{Clock, Platform, Secured, Transport};
use crate::time::{Duration, Instant};

/// A [`Session`], whatever its platform. Its methods are the session's; those that wait are polled here, and awaited
/// by those of `dyn Link`.
pub trait Link<C: Codec> {
    /// The event at hand, if it is here already: see [`Session::find`].
    fn found_already(&mut self) -> Option<C::Found>;
    /// [`Session::find`].
    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<C::Found>>>;
    /// [`Session::keep`].
    fn keep(&mut self, part: Range<usize>);
    /// What is held, the event last found, and the sending half: three things that do not overlap.
    fn parts(&mut self) -> LinkParts<'_, C>;
    /// The sending half alone.
    fn outlet(&mut self) -> &mut (dyn Outlet<C> + '_);
    /// [`Session::let_go`].
    fn let_go(&mut self);
}

/// The parts of a [`Link`].
pub struct LinkParts<'a, C: Codec> {
    /// What is held.
    pub held: &'a mut [u8],
    /// The event last found.
    pub unit: &'a mut [u8],
    /// The sending half.
    pub outlet: &'a mut (dyn Outlet<C> + 'a),
}

/// A [`Sender`], whatever its platform.
pub trait Outlet<C: Codec> {
    /// Queues `message` if there is room for it.
    fn queued_already(&mut self, message: &C::Message<'_>) -> bool;
    /// Queues `message`. `rest`, which is `None` at first, keeps what is left of one that is too large to be queued.
    fn poll_send<'m>(
        &mut self,
        message: &C::Message<'m>,
        rest: &mut Option<&'m [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>>;
    /// [`Sender::flush`].
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
    /// Lets time pass while output leaves: see [`Sender::pause`] and, with a moment that is never reached,
    /// [`Sender::during`].
    fn poll_pause(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<bool>;
    /// [`Sender::close`], or [`Sender::fail`] if something went wrong.
    fn end(&mut self, why: Option<Error>);
    /// Fills in [`Sender::stats`], which are at their defaults: so what no transport of an image measures takes no flash.
    fn tell_stats(&self, stats: &mut Stats);
    /// [`Sender::codec`].
    fn codec(&mut self) -> &mut C;
    /// The codec, to look at.
    fn state(&self) -> &C;
    /// [`Transport::peer`].
    fn peer(&self) -> Option<SocketAddr>;
    /// [`Transport::secured`].
    fn secured(&self) -> Option<Secured<'_>>;
    /// [`Clock::now`].
    fn now(&self) -> Instant;
    /// [`Clock::stopping`].
    fn stopping(&self) -> bool;
}

impl<C: Codec> dyn Link<C> + '_ {
    /// [`Session::find`].
    ///
    /// # Errors
    /// As there.
    pub async fn find(&mut self) -> Result<Option<C::Found>> {
        if SHORT_WAYS && let Some(found) = self.found_already() {
            return Ok(Some(found));
        }
        poll_fn(|cx| self.poll_find(cx)).await
    }
}

impl<C: Codec> dyn Outlet<C> + '_ {
    /// [`Sender::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send(&mut self, message: C::Message<'_>) -> impl Future<Output = Result<()>> {
        let mut rest = None;
        poll_fn(move |cx| self.poll_message(&message, &mut rest, cx))
    }

    /// `send`, polled: `rest`, which is `None` at first, belongs to the message.
    #[inline]
    pub fn poll_message<'m>(
        &mut self,
        message: &C::Message<'m>,
        rest: &mut Option<&'m [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        match SHORT_WAYS && rest.is_none() && self.queued_already(message) {
            true => Poll::Ready(Ok(())),
            false => self.poll_send(message, rest, cx),
        }
    }

    /// [`Sender::flush`].
    ///
    /// # Errors
    /// As there.
    pub fn flush(&mut self) -> impl Future<Output = Result<()>> {
        poll_fn(|cx| self.poll_flush(cx))
    }

    /// [`Sender::stats`].
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.tell_stats(&mut stats);
        stats
    }

    /// [`Sender::pause`].
    pub async fn pause(&mut self, duration: Duration) -> bool {
        let until = self.now() + duration;
        poll_fn(|cx| self.poll_pause(until, cx)).await
    }

    /// [`Sender::during`].
    pub async fn during<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _ = self.poll_pause(Instant::NEVER, cx); // it goes on by itself
            future.as_mut().poll(cx)
        })
        .await
    }
}

impl<P: Platform, C: Codec> Link<C> for Session<P, C> {
    fn found_already(&mut self) -> Option<C::Found> {
        self.found_already()
    }
    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<C::Found>>> {
        self.poll_found(cx)
    }
    fn keep(&mut self, part: Range<usize>) {
        self.keep(part);
    }
    fn parts(&mut self) -> LinkParts<'_, C> {
        let (held, unit, outlet) = self.halves();
        LinkParts { held, unit, outlet }
    }
    fn outlet(&mut self) -> &mut (dyn Outlet<C> + '_) {
        &mut self.sender
    }
    fn let_go(&mut self) {
        self.let_go();
    }
}

impl<P: Platform, C: Codec> Outlet<C> for Sender<P, C> {
    fn queued_already(&mut self, message: &C::Message<'_>) -> bool {
        self.queued_already(message)
    }
    fn poll_send<'m>(
        &mut self,
        message: &C::Message<'m>,
        rest: &mut Option<&'m [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        self.poll_send(message, rest, cx)
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush_open(cx)
    }
    fn poll_pause(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<bool> {
        self.poll_pause(until, cx)
    }
    fn end(&mut self, why: Option<Error>) {
        match why {
            Some(error) => self.fail(error),
            None => self.close(),
        }
    }
    fn tell_stats(&self, stats: &mut Stats) {
        self.tell_stats(stats);
    }
    fn codec(&mut self) -> &mut C {
        &mut self.codec
    }
    fn state(&self) -> &C {
        &self.codec
    }
    fn peer(&self) -> Option<SocketAddr> {
        self.transport.peer()
    }
    fn secured(&self) -> Option<Secured<'_>> {
        self.transport.secured()
    }
    fn now(&self) -> Instant {
        self.clock.now()
    }
    fn stopping(&self) -> bool {
        self.clock.stopping()
    }
}
