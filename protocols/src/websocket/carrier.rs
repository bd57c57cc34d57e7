//! What a [`Socket`](super::Socket) is on: a request that was upgraded, or a session of its own.

use core::ops::Range;
use core::task::{Context, Poll};

use netloom_core::{Error, Instant, Link, Outlet, Platform, Result, Sender, Session, Stats};

use super::compression::{Deflate, Inflate, Never};
use super::frames::{Found, Frame, Frames, Role};
use crate::http1::{self, Http1, Message};

/// A session that speaks frames, whatever else it is.
pub trait Carrier {
    /// The sending half.
    type Speaker<'a>: Speaker
    where
        Self: 'a;
    /// What compresses: a host whose clients are `Send` says so here; [`Never`] where nothing does.
    type Deflate<'a>: Deflate + ?Sized
    where
        Self: 'a;

    /// The frame at hand, if it is here already.
    fn found_already(&mut self) -> Option<Found>;
    /// The next frame; `None` when the session has ended in order.
    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Found>>>;
    /// Keeps a part of the frame last found behind what is kept already.
    fn keep(&mut self, part: Range<usize>);
    /// Nothing is kept any more.
    fn let_go(&mut self);
    /// What is kept, the frame last found, the sending half and what compresses: things that do not overlap.
    fn parts(&mut self) -> Parts<'_, Self::Speaker<'_>, Self::Deflate<'_>>;
}

/// The parts of a [`Carrier`].
pub struct Parts<'a, S, D: ?Sized> {
    /// What is kept.
    pub held: &'a mut [u8],
    /// The frame last found, with its header.
    pub unit: &'a mut [u8],
    /// The sending half.
    pub speaker: S,
    /// What takes compression off, if the handshake has agreed on any.
    pub inflate: Option<&'a mut dyn Inflate>,
    /// What compresses, if the handshake has agreed on it.
    pub deflate: Option<&'a mut D>,
}

/// The sending half of a [`Carrier`].
pub trait Speaker {
    /// Queues `frame` if there is room for it.
    fn queued_already(&mut self, frame: &Frame<'_>) -> bool;
    /// Queues `frame`. `rest`, which is `None` at first, keeps what is left of one that is too large to be queued.
    fn poll_send<'m>(
        &mut self,
        frame: &Frame<'m>,
        rest: &mut Option<&'m [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>>;
    /// Sends everything queued.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
    /// Lets time pass while output leaves.
    fn poll_pause(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<bool>;
    /// Closes, or fails if something went wrong.
    fn end(&mut self, why: Option<Error>);
    /// The session's time.
    fn now(&self) -> Instant;
    /// What the session has done.
    fn stats(&self) -> Stats;
    /// Most bytes of one message.
    fn message_max(&self) -> usize;
    /// Most bytes of payload of one frame of ours.
    fn payload_max(&self) -> usize;
    /// [`Frames::closed_with`].
    fn closed_with(&self) -> Option<u16>;
    /// [`Frames::unbounded`].
    fn unbounded(&mut self);
}

/// A request that was upgraded: a server's connection.
pub struct Upgraded<'a> {
    pub(super) link: &'a mut (dyn Link<Http1> + 'a),
    #[cfg(feature = "deflate")]
    pub(super) compression: Option<&'a mut (dyn super::Compression + 'a)>,
}

fn frame(found: http1::Found) -> Option<Found> {
    match found {
        http1::Found::Frame(found) => Some(found),
        _ => None,
    }
}

impl Carrier for Upgraded<'_> {
    type Speaker<'b>
        = &'b mut (dyn Outlet<Http1> + 'b)
    where
        Self: 'b;
    type Deflate<'b>
        = dyn Deflate + 'b
    where
        Self: 'b;

    #[inline]
    fn found_already(&mut self) -> Option<Found> {
        self.link.found_already().and_then(frame)
    }
    #[inline]
    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Found>>> {
        self.link.poll_find(cx).map_ok(|found| found.and_then(frame))
    }
    fn keep(&mut self, part: Range<usize>) {
        self.link.keep(part);
    }
    fn let_go(&mut self) {
        self.link.let_go();
    }
    #[inline]
    fn parts(&mut self) -> Parts<'_, Self::Speaker<'_>, Self::Deflate<'_>> {
        let netloom_core::LinkParts { held, unit, outlet } = self.link.parts();
        #[cfg(feature = "deflate")]
        if let Some(compression) = &mut self.compression {
            let (inflate, deflate) = compression.halves();
            return Parts { held, unit, speaker: outlet, inflate: Some(inflate), deflate: Some(deflate) };
        }
        Parts { held, unit, speaker: outlet, inflate: None, deflate: None }
    }
}

impl Speaker for &mut (dyn Outlet<Http1> + '_) {
    #[inline]
    fn queued_already(&mut self, frame: &Frame<'_>) -> bool {
        (**self).queued_already(&Message::Frame(*frame))
    }
    fn poll_send<'m>(
        &mut self,
        frame: &Frame<'m>,
        rest: &mut Option<&'m [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        (**self).poll_send(&Message::Frame(*frame), rest, cx)
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        (**self).poll_flush(cx)
    }
    fn poll_pause(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<bool> {
        (**self).poll_pause(until, cx)
    }
    fn end(&mut self, why: Option<Error>) {
        (**self).end(why);
    }
    fn now(&self) -> Instant {
        (**self).now()
    }
    fn stats(&self) -> Stats {
        (**self).stats()
    }
    fn message_max(&self) -> usize {
        self.state().frames().map_or(0, Frames::limit_of_messages)
    }
    fn payload_max(&self) -> usize {
        usize::MAX
    }
    fn closed_with(&self) -> Option<u16> {
        self.state().frames().and_then(Frames::closed_with)
    }
    fn unbounded(&mut self) {
        self.codec().frames_mut().unbounded();
    }
}

impl<P: Platform, R: Role> Carrier for Session<P, Frames<R>> {
    type Speaker<'b>
        = &'b mut Sender<P, Frames<R>>
    where
        Self: 'b;
    type Deflate<'b>
        = Never
    where
        Self: 'b;

    #[inline]
    fn found_already(&mut self) -> Option<Found> {
        Link::found_already(self)
    }
    #[inline]
    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Found>>> {
        Link::poll_find(self, cx)
    }
    fn keep(&mut self, part: Range<usize>) {
        self.keep(part);
    }
    fn let_go(&mut self) {
        self.let_go();
    }
    #[inline]
    fn parts(&mut self) -> Parts<'_, Self::Speaker<'_>, Self::Deflate<'_>> {
        let (held, unit, speaker) = self.halves();
        Parts { held, unit, speaker, inflate: None, deflate: None }
    }
}

impl<P: Platform, R: Role> Speaker for &mut Sender<P, Frames<R>> {
    #[inline]
    fn queued_already(&mut self, frame: &Frame<'_>) -> bool {
        Outlet::queued_already(*self, frame)
    }
    fn poll_send<'m>(
        &mut self,
        frame: &Frame<'m>,
        rest: &mut Option<&'m [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        Outlet::poll_send(*self, frame, rest, cx)
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Outlet::poll_flush(*self, cx)
    }
    fn poll_pause(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<bool> {
        Outlet::poll_pause(*self, until, cx)
    }
    fn end(&mut self, why: Option<Error>) {
        Outlet::end(*self, why);
    }
    fn now(&self) -> Instant {
        Sender::now(self)
    }
    fn stats(&self) -> Stats {
        Sender::stats(self)
    }
    fn message_max(&self) -> usize {
        Outlet::state(*self).limit_of_messages()
    }
    fn payload_max(&self) -> usize {
        Outlet::state(*self).payload_max()
    }
    fn closed_with(&self) -> Option<u16> {
        Outlet::state(*self).closed_with()
    }
    fn unbounded(&mut self) {
        Sender::codec(self).unbounded();
    }
}
