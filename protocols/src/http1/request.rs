//! A request, lent to its handler where it was received.

use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::ops::Range;
use core::str::FromStr;
use core::task::{Context, Poll, ready};

use netloom_core::{Code, Duration, Error, Instant, Link, Platform, Result, Secured, Session};

use super::fields::Fields;
use super::head::{RequestHead, Version};
use super::method::Method;
use super::reply::{Coder, Exchange, Reply, poll_bare, status_of};
use super::server::{DRAIN_MAX, Found, Http1, Message};
use super::status;
use super::to_fields::ToFields;

/// The slowest rate, in bytes per second, at which a body may come, once [`BODY_GRACE`] has passed: who sends a byte
/// now and then would otherwise hold a connection and its buffers for ever. Once an answer has begun it is a dialogue
/// ([`Request::stream`]), as slow as the session's time-outs let it be.
pub const BODY_RATE_MIN: u64 = 240;

/// For how long a body may come as slowly as it likes.
pub const BODY_GRACE: Duration = Duration::from_secs(10);

/// What every layer knows of a request, which each has one of: it sees to it that a body is neither too long nor too slow,
/// and knows what the request is taken for.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Since when the body is waited for; `NEVER` while it need not be.
    since: Instant,
    /// Microseconds for which it was, and the bytes that came.
    waited: u64,
    came: u64,
    /// Most bytes of body that may come: see [`Request::limit_body`].
    max: u64,
    /// The route's.
    pattern: &'static str,
    /// Where in the head the path lies that routes go by: behind what a [mount](crate::routes) has matched.
    route: (u16, u16),
    method: Method,
}

impl Watch {
    /// Of no request yet.
    pub const fn new() -> Self {
        Self {
            since: Instant::NEVER,
            waited: 0,
            came: 0,
            max: u64::MAX,
            pattern: "",
            route: (0, 0),
            method: Method::Get,
        }
    }

    /// Whether `more` bytes behind those that came are within the limit.
    fn check_length(&self, more: u64) -> Result<()> {
        match self.came.saturating_add(more) > self.max {
            true => Err(Error::new(Code::MessageTooLarge).on_wire(413)),
            false => Ok(()),
        }
    }

    fn is_too_slow(&self) -> bool {
        let seconds = self.waited / 1_000_000;
        seconds > BODY_GRACE.as_secs() && self.came / seconds < BODY_RATE_MIN
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

/// A request, and the one chance to answer it.
///
/// | to | call |
/// |---|---|
/// | look at it | [`head`](Self::head) |
/// | answer without its body | [`reply`](Self::reply), or [`split`](Self::split) to go on reading the head meanwhile |
/// | take its body whole | [`body`](Self::body), [`body_within`](Self::body_within) |
/// | take its body as it comes | [`receive`](Self::receive), then `reply` |
/// | answer while it comes | [`stream`](Self::stream) |
/// | speak another protocol | [`upgrade`](Self::upgrade), [`websocket::accept`](crate::websocket::accept) |
///
/// A body that is not taken is received and thrown away, or the connection closed if it is long.
pub struct Request<'a> {
    link: &'a mut (dyn Link<Http1> + 'a),
    watch: &'a mut Watch,
    /// Fields that every answer gets.
    fields: &'a (dyn ToFields + 'a),
    coder: Option<&'a mut (dyn Coder + 'a)>,
}

/// What is left of a [`Request`] while it becomes a WebSocket.
pub(crate) struct Handshaking<'a> {
    link: &'a mut (dyn Link<Http1> + 'a),
    watch: &'a mut Watch,
    fields: &'a (dyn ToFields + 'a),
}

impl<'a> Handshaking<'a> {
    /// The request.
    pub(crate) fn request(&mut self) -> Request<'_> {
        Request { link: &mut *self.link, watch: &mut *self.watch, fields: self.fields, coder: None }
    }

    /// What the WebSocket is on.
    pub(crate) fn into_link(self) -> (&'a mut (dyn Link<Http1> + 'a), super::Sent) {
        (self.link, super::Sent::proof())
    }
}

/// A body taken whole, and what goes with it.
pub struct Whole<'a> {
    /// The request's head.
    pub head: Head<'a>,
    /// The body, to be parsed in place if you like.
    pub body: &'a mut [u8],
    /// The answer.
    pub reply: Reply<'a>,
}

impl<'a> Request<'a> {
    /// Of the head that is held.
    #[inline]
    pub(super) fn new<P: Platform>(session: &'a mut Session<P, Http1>, watch: &'a mut Watch) -> Self {
        let head = *session.codec().request();
        let route = head.path_range(session.held());
        *watch = Watch { route, method: head.method, ..Watch::new() };
        Self { link: session, watch, fields: &(), coder: None }
    }

    /// The head, to look at.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn head(&mut self) -> Head<'_> {
        let parts = self.link.parts();
        let head = *parts.outlet.state().request();
        Head { head, unit: parts.held, pattern: self.watch.pattern, route: self.watch.route }
    }

    /// The answer. What is not received of the body is thrown away.
    pub fn reply(self) -> Reply<'a> {
        Reply::new(self.link.outlet(), self.fields, self.coder)
    }

    /// The head and the answer.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn split(self) -> (Head<'a>, Reply<'a>) {
        let parts = self.link.parts();
        let head = *parts.outlet.state().request();
        let unit = &*parts.held.split_at_mut(head.size()).0;
        let head = Head { head, unit, pattern: self.watch.pattern, route: self.watch.route };
        (head, Reply::new(parts.outlet, self.fields, self.coder))
    }

    /// The whole body, in one piece. It must fit the receive queue behind the head; on desktops that grows, up to the
    /// server's `message_max`.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`] (413), and as for [`receive`](Self::receive).
    pub async fn body(self) -> Result<Whole<'a>> {
        self.body_within(usize::MAX).await
    }

    /// The whole body, of at most `max` bytes. A longer one is refused as soon as its length is known.
    ///
    /// # Errors
    /// As for [`body`](Self::body).
    pub async fn body_within(mut self, max: usize) -> Result<Whole<'a>> {
        self.limit_body(max as u64)?;
        while let Some(piece) = self.next_piece().await? {
            self.link.keep(piece);
        }
        let parts = self.link.parts();
        let head = *parts.outlet.state().request();
        let (unit, body) = parts.held.split_at_mut(head.size());
        let head = Head { head, unit, pattern: self.watch.pattern, route: self.watch.route };
        Ok(Whole { head, body, reply: Reply::new(parts.outlet, self.fields, self.coder) })
    }

    /// The next piece of the body; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// What ended the session, and [`Code::MessageTimeout`] (408) if the body comes too slowly: [`BODY_RATE_MIN`].
    pub async fn receive(&mut self) -> Result<Option<&[u8]>> {
        let Some(piece) = self.next_piece().await? else { return Ok(None) };
        Ok(Some(&self.link.parts().unit[piece]))
    }

    /// The next piece of the body, to be changed in place.
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub async fn receive_mut(&mut self) -> Result<Option<&mut [u8]>> {
        let Some(piece) = self.next_piece().await? else { return Ok(None) };
        Ok(Some(&mut self.link.parts().unit[piece]))
    }

    /// Begins an answer that is streamed while the body still comes. Its length is not known: it goes out in chunks.
    ///
    /// # Errors
    /// What ended the session.
    pub async fn stream(self, content_type: &str) -> Result<Exchange<'a>> {
        self.stream_with(content_type, None, |reply| reply).await
    }

    /// Begins an answer that is streamed while the body still comes, of `length` bytes if that is known, with the
    /// status and the fields that `head` gives it.
    ///
    /// ```
    /// use netloom_core::Result;
    /// use netloom_protocols::http1::{Request, Sent};
    ///
    /// async fn echo(mut request: Request<'_>) -> Result<Sent> {
    ///     let length = request.body_left();
    ///     let mut exchange = request.stream_with("", length, |reply| reply.status(201).field("x-kind", "echo")).await?;
    ///     while let Some((piece, mut answer)) = exchange.receive().await? {
    ///         answer.send(piece).await?;
    ///     }
    ///     exchange.end().await
    /// }
    /// ```
    ///
    /// # Errors
    /// What ended the session; [`Code::InvalidText`] if a field cannot be said.
    pub async fn stream_with<F: ToFields>(
        mut self,
        content_type: &str,
        length: Option<u64>,
        head: impl FnOnce(Reply<'_>) -> Reply<'_, F>,
    ) -> Result<Exchange<'a>> {
        poll_fn(|cx| self.poll_permit(cx)).await?;
        let mut reply = head(Reply::new(self.link.outlet(), self.fields, None));
        reply.reads_on();
        reply.begin(content_type, length).await?;
        Ok(Exchange::new(self))
    }

    /// Answers 101 with `fields`, which name the protocol. From here on the connection is that protocol's: who runs it
    /// sees [`Http1::is_upgraded`] behind [`answer`](super::answer), and goes on by
    /// [`Session::switch`](netloom_core::Session::switch), which keeps what was received behind the request.
    ///
    /// For WebSocket there is [`websocket::accept`](crate::websocket::accept), which goes on within the handler.
    ///
    /// # Errors
    /// 400 if the client offers no other protocol, 413 if the request has a long body, and what ended the session.
    pub async fn upgrade(mut self, fields: impl ToFields) -> Result<super::Sent> {
        poll_fn(|cx| self.poll_drain(cx)).await?;
        self.link.outlet().codec().streaming();
        self.switch(&fields).await.map(|()| super::Sent::proof())
    }

    /// Answers 101, and goes on in WebSocket frames. Polled, so that a handler keeps no room for it.
    pub(crate) fn poll_become_frames(
        &mut self,
        fields: &dyn ToFields,
        deflate: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        if self.link.outlet().codec().frames().is_none() {
            ready!(self.poll_drain(cx))?;
            self.link.outlet().codec().becomes_frames(deflate);
        }
        let answer = super::With(self.fields, fields);
        ready!(self.link.outlet().poll_send(&Message::Upgrade(&answer), &mut None, cx))?;
        self.link.let_go();
        Poll::Ready(Ok(()))
    }

    /// What it takes to go on in WebSocket frames.
    pub(crate) fn begin_handshake(self) -> Handshaking<'a> {
        Handshaking { link: self.link, watch: self.watch, fields: self.fields }
    }

    /// Answers 101.
    async fn switch(&mut self, fields: &dyn ToFields) -> Result<()> {
        self.link.outlet().send(Message::Upgrade(&super::With(self.fields, fields))).await
    }

    /// The other protocol begins behind the request, all of it.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // RFC 9110, 7.8: a server must not switch to what was not offered.
        if !self.link.outlet().state().request().upgrade() {
            return Poll::Ready(Err(status::error(400)));
        }
        while ready!(self.poll_piece(cx))?.is_some() {
            if self.watch.came > DRAIN_MAX {
                return Poll::Ready(Err(Error::new(Code::MessageTooLarge).on_wire(413)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Where the request comes from, if the transport has addresses.
    pub fn peer(&mut self) -> Option<SocketAddr> {
        self.link.outlet().peer()
    }

    /// What is known of the client if the connection is secured: its certificate, the name it asked for.
    pub fn secured(&mut self) -> Option<Secured<'_>> {
        self.link.outlet().secured()
    }

    /// How long the host's clock has been running, which begins with the host.
    pub fn uptime(&mut self) -> Duration {
        self.link.outlet().now() - Instant::default()
    }

    /// Awaits something else while output leaves.
    pub async fn during<F: Future>(&mut self, future: F) -> F::Output {
        self.link.outlet().during(future).await
    }

    /// The same request with further fields in every answer: for middleware, which lends it to the next handler.
    ///
    /// ```
    /// use netloom_protocols::http1::{Request, Sent};
    /// use netloom_core::Result;
    ///
    /// async fn numbered(mut request: Request<'_>, next: impl AsyncFn(Request<'_>) -> Result<Sent>) -> Result<Sent> {
    ///     let fields = request.and(("x-request-id", 7));
    ///     next(request.with(&fields)).await
    /// }
    /// ```
    pub fn with<'b>(&'b mut self, fields: &'b dyn ToFields) -> Request<'b> {
        Request {
            link: &mut *self.link,
            watch: &mut *self.watch,
            fields,
            coder: match &mut self.coder {
                Some(coder) => Some(&mut **coder),
                None => None,
            },
        }
    }

    /// The same request, lent: for middleware that has something to do behind the answer.
    pub fn lend(&mut self) -> Request<'_> {
        let fields = self.fields;
        self.with(fields)
    }

    /// Whether the request has not been answered, nor begun to be. For middleware.
    pub fn is_owed(&mut self) -> bool {
        self.link.outlet().state().owes()
    }

    /// The status it was answered with, zero for none, and the bytes of body sent. For logs.
    pub fn answered(&mut self) -> (u16, u64) {
        self.link.outlet().state().answered()
    }

    /// Bytes of the body that are still to come, if that is known: none when it is over.
    pub fn body_left(&mut self) -> Option<u64> {
        self.link.outlet().state().body_left()
    }

    /// Takes no more than `max` bytes of body, or what was set before if that is less. One that is longer is refused
    /// now if its length is known, else where it becomes so.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`] (413).
    pub fn limit_body(&mut self, max: u64) -> Result<()> {
        self.watch.max = self.watch.max.min(max);
        self.watch.check_length(self.link.outlet().state().body_left().unwrap_or(0))
    }

    /// Answers what a handler failed with, as [`serve`](super::serve) does: the error's status, or 500, as problem
    /// details that say no more.
    ///
    /// # Errors
    /// `error` itself if an answer was begun already, so that none can be given.
    pub fn refuse(mut self, error: Error) -> impl Future<Output = Result<super::Sent>> + use<'a> {
        let is_owed = self.is_owed();
        // Nothing is kept but this: the future of every layer and of every connection has room for it.
        let Self { link, fields, .. } = self;
        async move {
            match is_owed {
                true => poll_fn(|cx| poll_bare(link.parts().outlet, status_of(error), fields, cx)).await,
                false => Err(error),
            }
        }
    }

    /// `fields` behind those that answers get already; see [`with`](Self::with).
    pub fn and<F: ToFields>(&self, fields: F) -> super::With<&'a (dyn ToFields + 'a), F> {
        super::With(self.fields, fields)
    }

    /// The same request, its answers to be encoded by `coder` as far as the coder likes.
    #[must_use]
    pub fn coded<'b>(self, coder: &'b mut (dyn Coder + 'b)) -> Request<'b>
    where
        'a: 'b,
    {
        let Self { link, watch, fields, .. } = self;
        Request { link, watch, fields, coder: Some(coder) }
    }

    /// What compresses the messages of the WebSocket that this becomes, if middleware has brought it.
    #[cfg(feature = "deflate")]
    pub(crate) fn compression(&mut self) -> Option<&'a mut (dyn crate::websocket::Compression + 'a)> {
        self.coder.take()?.websocket()
    }

    /// The path behind what was mounted, and the method: what routes go by.
    #[doc(hidden)]
    pub fn asked(&mut self) -> (&[u8], Method) {
        let (start, end) = self.watch.route;
        let path = self.link.parts().held.get(start.into()..end.into());
        (path.filter(|path| !path.is_empty()).unwrap_or(b"/"), self.watch.method)
    }

    #[doc(hidden)]
    #[must_use]
    pub fn matched(self, pattern: &'static str) -> Self {
        self.watch.pattern = pattern;
        self
    }

    /// Routes are matched behind so many bytes of the path from here on.
    #[doc(hidden)]
    #[must_use]
    pub fn mounted(self, prefix: usize) -> Self {
        self.watch.route.0 += prefix as u16;
        self
    }

    /// Where in the unit of the event last found the next piece lies.
    pub(super) fn next_piece(&mut self) -> impl Future<Output = Result<Option<Range<usize>>>> {
        poll_fn(|cx| self.poll_piece(cx))
    }

    /// [`next_piece`](Self::next_piece), polled: what it must remember while it waits is in the watch, so boards have it
    /// once and not in each handler.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Range<usize>>>> {
        if self.link.outlet().state().body_is_over() {
            return Poll::Ready(Ok(None));
        }
        ready!(self.poll_permit(cx))?;
        let found = match self.link.found_already() {
            Some(found) => found,
            None => ready!(self.poll_wait(cx))?,
        };
        let Found::Piece(span) = found else { return Poll::Ready(Ok(None)) };
        let watch = &mut *self.watch;
        watch.came += span.range().len() as u64;
        watch.check_length(0)?;
        let codec = self.link.outlet().codec();
        if watch.is_too_slow() && codec.owes() {
            // What is still to come would come as slowly.
            codec.end_after_this();
            return Poll::Ready(Err(Error::new(Code::MessageTimeout).on_wire(408)));
        }
        Poll::Ready(Ok(Some(span.range())))
    }

    /// What comes next of the body, when it comes. Only this time is the client's: a handler may take its own.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<Found>> {
        if self.watch.since == Instant::NEVER {
            self.watch.since = self.link.outlet().now();
        }
        let found = ready!(self.link.poll_find(cx))?;
        let now = self.link.outlet().now();
        let since = core::mem::replace(&mut self.watch.since, Instant::NEVER);
        self.watch.waited += now.as_micros().saturating_sub(since.as_micros());
        // The session has ended in order inside a body: only this end can have closed it.
        Poll::Ready(found.ok_or(Code::ConnectionClosed.into()))
    }

    /// Tells a client that waits for permission to go on; it leaves when the session waits.
    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let outlet = self.link.outlet();
        if !outlet.state().permission_is_due() {
            return Poll::Ready(Ok(()));
        }
        outlet.codec().streaming();
        outlet.poll_send(&Message::Interim(100, &()), &mut None, cx)
    }

    pub(super) fn link(&mut self) -> &mut (dyn Link<Http1> + 'a) {
        self.link
    }
}

/// A request's head: a view of the received bytes, `Copy`.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    head: RequestHead,
    unit: &'a [u8],
    pattern: &'a str,
    route: (u16, u16),
}

impl<'a> Head<'a> {
    /// The method.
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// The method as it was sent: also one that [`Method`] does not name.
    pub fn method_name(&self) -> &'a str {
        self.head.method_name(self.unit)
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The target as it was sent.
    pub fn target(&self) -> &'a str {
        self.head.target(self.unit)
    }

    /// The target's path as it was sent: with its escapes, and never empty. `*` for `OPTIONS *`.
    pub fn path(&self) -> &'a str {
        self.head.path(self.unit)
    }

    /// The target's query as it was sent, without the question mark; empty if there is none.
    pub fn query_text(&self) -> &'a str {
        self.head.query(self.unit).unwrap_or_default()
    }

    /// The host and port the request is for, as sent: of the target if that is absolute, else of `Host`.
    pub fn host(&self) -> &'a str {
        self.head.host(self.unit)
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'a> {
        self.head.fields(self.unit)
    }

    /// The first field of that name, in whatever case, if it is text.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        core::str::from_utf8(self.fields().get(name)?).ok()
    }

    /// The part of the path named `{name}` or `{*name}` in the route's pattern, as it was sent: [`Escaped`](super::Escaped) decodes it.
    pub fn param_text(&self, name: &str) -> Option<&'a str> {
        super::router::param(self.pattern, self.route(), name)
    }

    /// The part of the path named `{name}` in the route's pattern, decoded and parsed: a number, a `String`.
    ///
    /// # Errors
    /// 404 if it cannot be parsed, or has escapes and more than 64 bytes: there is no such thing.
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T> {
        let found = self.param_text(name).and_then(|text| super::Escaped::new(text).parse().ok());
        found.ok_or(status::error(404))
    }

    /// The path's first `N` segments, padded with empty ones: for a `match`.
    pub fn segments<const N: usize>(&self) -> [&'a str; N] {
        let path = self.route();
        let mut all = path.strip_prefix('/').unwrap_or(path).split('/');
        core::array::from_fn(|_| all.next().unwrap_or_default())
    }

    /// Whether the server as a whole is asked: the asterisk-form, also as it is written for a proxy.
    pub(super) fn is_for_server(&self) -> bool {
        self.head.is_for_server(self.unit)
    }

    /// The path behind what was mounted.
    pub(super) fn route(&self) -> &'a str {
        let path = self.unit.get(self.route.0.into()..self.route.1.into()).unwrap_or_default();
        match core::str::from_utf8(path) {
            Err(_) | Ok("") => "/",
            Ok(path) => path,
        }
    }

    /// The pattern of the route that matched; for logs and metrics, whose cardinality it bounds.
    pub fn pattern(&self) -> &'a str {
        self.pattern
    }
}

impl core::fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", self.method_name(), self.target())
    }
}
