//! An answer, given once: [`Reply`] is consumed, and only sending it makes the [`Sent`] a handler owes.

use core::fmt::{self, Display};
use core::future::poll_fn;
use core::task::{Context, Poll};

use netloom_core::{Code, Duration, Error, Outbox, Outlet, Result};

use super::problem::Problem;
use super::request::Request;
use super::server::{Http1, Message, ResponseHead};
use super::status::reason;
use super::to_fields::{ToFields, With, put_decimal};
use super::write::{Content, Fill};

/// Proof that a request was answered.
#[derive(Debug)]
#[must_use = "a handler returns it"]
pub struct Sent(());

impl Sent {
    pub(super) const fn proof() -> Self {
        Self(())
    }
}

/// Encodes the content of answers: compression, which a host brings.
///
/// Told each answer's head first, it decides whether it takes part. What it makes lies in it until it is asked again.
pub trait Coder {
    /// Takes a whole answer.
    ///
    /// # Errors
    /// What the head's fields or `content` fail with.
    fn whole(&mut self, head: &ResponseHead<'_>, content: Content<'_>) -> Result<Coding>;

    /// Takes the head of an answer whose content follows in pieces, of that length together if it is known.
    ///
    /// # Errors
    /// What the head's fields fail with.
    fn begin(&mut self, head: &ResponseHead<'_>, length: Option<u64>) -> Result<Coding>;

    /// Encodes a piece; `flush` if a reader must be able to decode all of it now, `end` if it is the last.
    ///
    /// # Errors
    /// [`Code::InvalidSession`] for more or less than the length that was announced.
    fn piece(&mut self, piece: &[u8], flush: bool, end: bool) -> Result<()>;

    /// The fields that take the place of the head's.
    fn fields(&self) -> &dyn ToFields;

    /// What `whole` or `piece` has made.
    fn encoded(&self) -> &[u8];

    /// What compresses the messages of a WebSocket that the request becomes, if this brings it: nothing, unless said
    /// otherwise.
    #[cfg(feature = "deflate")]
    fn websocket(&mut self) -> Option<&mut dyn crate::websocket::Compression> {
        None
    }

    /// Sends a whole answer as `whole` has it. Not for coders to write; here, because an image without any does not
    /// link it.
    #[doc(hidden)]
    fn poll_whole(
        &mut self,
        outlet: &mut dyn Outlet<Http1>,
        head: &ResponseHead<'_>,
        content: Content<'_>,
        sending: &mut Sending,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let coding = match sending.coding {
            Some(coding) => coding,
            None => *sending.coding.insert(self.whole(head, content)?),
        };
        let fields = if coding == Coding::Verbatim { head.fields } else { self.fields() };
        let content = if coding == Coding::Encoded { Content::Bytes(self.encoded()) } else { content };
        let mut rest = match content {
            Content::Bytes(bytes) => sending.left.and_then(|left| bytes.get(bytes.len() - left..)),
            Content::Fill(_) => None,
        };
        let sent =
            outlet.poll_message(&Message::Whole(ResponseHead { fields, ..*head }, content), &mut rest, cx);
        sending.left = rest.map(<[u8]>::len);
        sent
    }
}

/// How far an answer has come that a coder was told of.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Sending {
    coding: Option<Coding>,
    /// Bytes of a large one that go out from where they lie.
    left: Option<usize>,
}

/// What becomes of an answer that a [`Coder`] was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// It is sent as it is.
    Verbatim,
    /// Only its fields are the coder's: another client would have got it encoded.
    Fields,
    /// Fields and content are the coder's.
    Encoded,
}

/// An answer: a status, fields, then one of the ways to give it a body.
///
/// | body | call |
/// |---|---|
/// | none | [`empty`](Self::empty), [`redirect`](Self::redirect) |
/// | in one piece | [`text`](Self::text), [`html`](Self::html), [`bytes`](Self::bytes), [`format`](Self::format), [`json`](Self::json), [`problem`](Self::problem) |
/// | in pieces | [`stream`](Self::stream), [`stream_sized`](Self::stream_sized), [`events`](Self::events) |
///
/// Head and a small body leave in one write.
pub struct Reply<'a, F = ()> {
    outlet: &'a mut (dyn Outlet<Http1> + 'a),
    status: u16,
    close: bool,
    reads_on: bool,
    fields: F,
    outer: &'a (dyn ToFields + 'a),
    coder: Option<&'a mut (dyn Coder + 'a)>,
}

impl<'a> Reply<'a> {
    pub(super) fn new(
        outlet: &'a mut (dyn Outlet<Http1> + 'a),
        outer: &'a (dyn ToFields + 'a),
        coder: Option<&'a mut (dyn Coder + 'a)>,
    ) -> Self {
        // A host that stops closes its connections, and says so where it can.
        let close = outlet.stopping();
        Self { outlet, status: 200, close, reads_on: false, fields: (), outer, coder }
    }
}

impl<'a, F: ToFields> Reply<'a, F> {
    /// The status; 200 unless said.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// One more field. What the codec says itself is not to be said here: `Date`; and `Content-Length`,
    /// `Transfer-Encoding` and `Connection`, which are refused. To close the connection: [`close`](Self::close).
    #[must_use]
    pub fn field<V: Display>(self, name: &'static str, value: V) -> Reply<'a, With<F, (&'static str, V)>> {
        self.fields((name, value))
    }

    /// More fields.
    #[must_use]
    pub fn fields<G: ToFields>(self, more: G) -> Reply<'a, With<F, G>> {
        Reply {
            outlet: self.outlet,
            status: self.status,
            close: self.close,
            reads_on: self.reads_on,
            fields: With(self.fields, more),
            outer: self.outer,
            coder: self.coder,
        }
    }

    /// Closes the connection behind this answer.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The content is sent as it is, whatever the client accepts.
    #[must_use]
    pub fn uncoded(mut self) -> Self {
        self.coder = None;
        self
    }

    /// `text/plain`.
    ///
    /// # Errors
    /// What ended the session; [`Code::InvalidText`] if a field cannot be said.
    pub fn text(self, text: &str) -> impl Future<Output = Result<Sent>> {
        self.bytes("text/plain; charset=utf-8", text.as_bytes())
    }

    /// `text/html`.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub fn html(self, text: &str) -> impl Future<Output = Result<Sent>> {
        self.bytes("text/html; charset=utf-8", text.as_bytes())
    }

    /// Bytes of that type.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub fn bytes(self, content_type: &str, body: &[u8]) -> impl Future<Output = Result<Sent>> {
        self.whole(content_type, Content::Bytes(body))
    }

    /// No body.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub fn empty(self) -> impl Future<Output = Result<Sent>> {
        self.whole("", Content::Bytes(&[]))
    }

    /// `text/plain` by `format_args!`, written straight into the send queue.
    ///
    /// # Errors
    /// As for [`text`](Self::text); [`Code::MessageTooLarge`] if it does not fit the empty queue.
    pub async fn format(self, text: fmt::Arguments<'_>) -> Result<Sent> {
        self.display("text/plain; charset=utf-8", &text).await
    }

    /// Whatever displays itself, written straight into the send queue.
    ///
    /// # Errors
    /// As for [`format`](Self::format).
    pub async fn display(self, content_type: &str, text: &dyn Display) -> Result<Sent> {
        self.whole(content_type, Content::Fill(&Displayed(text))).await
    }

    /// A redirection, 303 unless the status is another 3xx: `GET` that instead.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub async fn redirect(mut self, location: &str) -> Result<Sent> {
        if !matches!(self.status, 300..400) {
            self.status = 303;
        }
        self.fields([("location", location)]).empty().await
    }

    /// What is wrong, as problem details (RFC 9457).
    ///
    /// # Errors
    /// As for [`format`](Self::format).
    pub async fn problem(self, problem: &Problem<'_>) -> Result<Sent> {
        self.status(problem.status).display("application/problem+json", problem).await
    }

    /// Problem details that say no more than the error's status, 500 if it has none.
    pub(super) async fn refuse(self, error: Error) -> Result<Sent> {
        let fields = With(self.fields, self.outer);
        poll_fn(|cx| poll_bare(self.outlet, status_of(error), &fields, cx)).await
    }

    /// The serialized value, written straight into the send queue.
    ///
    /// # Errors
    /// As for [`format`](Self::format).
    pub async fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<Sent> {
        self.whole("application/json", Content::Fill(&Json(value))).await
    }

    /// Whatever is written by `content`.
    ///
    /// # Errors
    /// As for [`format`](Self::format).
    #[expect(clippy::manual_async_fn, reason = "an async fn would keep its arguments twice")]
    pub fn whole(self, content_type: &str, content: Content<'_>) -> impl Future<Output = Result<Sent>> {
        async move {
            let Self { outlet, status, close, reads_on, fields, outer, coder } = self;
            let fields = With(fields, outer);
            let head = ResponseHead { status, content_type, fields: &fields, close, reads_on, events: false };
            let mut whole = Whole { outlet, coder, head, content, sending: Sending::default(), rest: None };
            poll_fn(|cx| whole.poll(cx)).await?;
            Ok(Sent::proof())
        }
    }

    /// Begins a body of unknown length: in chunks, or for HTTP/1.0 until the connection closes.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub async fn stream(self, content_type: &str) -> Result<Stream<'a>> {
        self.begun(content_type, None).await
    }

    /// Begins a body of `length` bytes. Exactly so many must be sent.
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub async fn stream_sized(self, content_type: &str, length: u64) -> Result<Stream<'a>> {
        self.begun(content_type, Some(length)).await
    }

    /// Begins a stream of server-sent events (HTML Living Standard, 9.2).
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub async fn events(mut self) -> Result<super::Events<'a>> {
        self.coder = None;
        let Self { outlet, status, close, reads_on, fields, outer, .. } = self;
        let fields = With(With(fields, outer), [("cache-control", "no-store"), ("x-accel-buffering", "no")]);
        let head = ResponseHead {
            status,
            content_type: "text/event-stream",
            fields: &fields,
            close,
            reads_on,
            events: true,
        };
        outlet.codec().streaming();
        outlet.send(Message::Head(head, None)).await?;
        outlet.flush().await?;
        Ok(super::Events::new(Stream { outlet, coder: None }))
    }

    async fn begun(mut self, content_type: &str, length: Option<u64>) -> Result<Stream<'a>> {
        let coded = self.begin(content_type, length).await?;
        Ok(Stream { outlet: self.outlet, coder: if coded { self.coder } else { None } })
    }

    /// Sends the head; whether what follows is encoded.
    pub(super) async fn begin(&mut self, content_type: &str, length: Option<u64>) -> Result<bool> {
        let Self { outlet, status, close, reads_on, fields, outer, coder } = self;
        let fields = With(&*fields, *outer);
        let (status, close, reads_on) = (*status, *close, *reads_on);
        let head = ResponseHead { status, content_type, fields: &fields, close, reads_on, events: false };
        let coding = coder.as_mut().map_or(Ok(Coding::Verbatim), |coder| coder.begin(&head, length))?;
        let fields = match (coding, coder) {
            (Coding::Verbatim, _) | (_, None) => head.fields,
            (_, Some(coder)) => coder.fields(),
        };
        let length = if coding == Coding::Encoded { None } else { length };
        outlet.codec().streaming();
        outlet.send(Message::Head(ResponseHead { fields, ..head }, length)).await?;
        Ok(coding == Coding::Encoded)
    }

    /// The request's body will still be read.
    pub(super) fn reads_on(&mut self) {
        self.reads_on = true;
    }
}

/// An answer's body, in pieces. It must be [ended](Self::end): dropped, it leaves the answer incomplete, and the
/// connection is closed so that the client can tell.
pub struct Stream<'a> {
    outlet: &'a mut (dyn Outlet<Http1> + 'a),
    coder: Option<&'a mut (dyn Coder + 'a)>,
}

impl Stream<'_> {
    /// Sends a piece. It leaves when the queue is full, or the handler waits for something of this session's, or on
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// What ended the session; [`Code::InvalidSession`] for more than the announced length.
    pub async fn send(&mut self, piece: &[u8]) -> Result<()> {
        let piece = match &mut self.coder {
            Some(coder) => {
                coder.piece(piece, false, false)?;
                coder.encoded()
            }
            None => piece,
        };
        self.outlet.send(Message::Piece(piece)).await
    }

    /// Sends a piece by `format_args!`, through a buffer of 256 bytes at a time.
    ///
    /// # Errors
    /// As for [`send`](Self::send); [`Code::MessageTooLarge`] if it is longer than the buffer.
    pub async fn format(&mut self, text: fmt::Arguments<'_>) -> Result<()> {
        let mut buffer = [0; 256];
        let n = Displayed(&text).fill(&mut buffer).map_err(|_| Code::MessageTooLarge)?;
        self.send(&buffer[..n]).await
    }

    /// Sends what is queued now, decodable as far as it goes.
    ///
    /// # Errors
    /// What ended the session.
    pub async fn flush(&mut self) -> Result<()> {
        if let Some(coder) = &mut self.coder {
            coder.piece(&[], true, false)?;
            self.outlet.send(Message::Piece(coder.encoded())).await?;
        }
        self.outlet.flush().await
    }

    /// Lets time pass while what was sent leaves. `false`, at once, when the session has ended or the host is stopping:
    /// then end the body.
    pub async fn pause(&mut self, duration: Duration) -> bool {
        self.outlet.pause(duration).await
    }

    /// Awaits something else while what was sent leaves.
    pub async fn during<F: Future>(&mut self, future: F) -> F::Output {
        self.outlet.during(future).await
    }

    /// Ends the body.
    ///
    /// # Errors
    /// What ended the session; [`Code::InvalidSession`] for less than the announced length.
    pub async fn end(self) -> Result<Sent> {
        self.end_with(()).await
    }

    /// Ends the body with trailer fields, which only chunked bodies carry (RFC 9110, 6.5).
    ///
    /// # Errors
    /// As for [`end`](Self::end).
    pub async fn end_with(mut self, trailers: impl ToFields) -> Result<Sent> {
        if let Some(coder) = &mut self.coder {
            coder.piece(&[], false, true)?;
            self.outlet.send(Message::Piece(coder.encoded())).await?;
        }
        self.outlet.send(Message::End(&trailers)).await?;
        Ok(Sent::proof())
    }
}

/// An answer that is streamed while the request's body still comes.
pub struct Exchange<'a>(Request<'a>);

impl<'a> Exchange<'a> {
    pub(super) fn new(request: Request<'a>) -> Self {
        Self(request)
    }

    /// The next piece of the request's body, and where the answer goes on; `None` at the body's end.
    ///
    /// # Errors
    /// As for [`Request::receive`], but the body may come as slowly as the session's time-outs let it.
    pub async fn receive(&mut self) -> Result<Option<(&mut [u8], Stream<'_>)>> {
        let Some(piece) = self.0.next_piece().await? else { return Ok(None) };
        let parts = self.0.link().parts();
        Ok(Some((&mut parts.unit[piece], Stream { outlet: parts.outlet, coder: None })))
    }

    /// The answer, outside a piece.
    pub fn answer(&mut self) -> Stream<'_> {
        Stream { outlet: self.0.link().outlet(), coder: None }
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// As for [`Stream::end`].
    pub async fn end(mut self) -> Result<Sent> {
        self.answer().end().await
    }
}

/// The status that answers an error: its own, 500 if it has none.
pub(super) const fn status_of(error: Error) -> u16 {
    match error.wire() {
        status @ 400..600 => status,
        _ => 500,
    }
}

/// A whole answer on its way: once for all kinds of fields, which makes boards smaller.
struct Whole<'w, 'a, 'm> {
    outlet: &'w mut (dyn Outlet<Http1> + 'a),
    coder: Option<&'w mut (dyn Coder + 'a)>,
    head: ResponseHead<'m>,
    content: Content<'m>,
    sending: Sending,
    rest: Option<&'m [u8]>,
}

impl Whole<'_, '_, '_> {
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { outlet, coder, head, content, sending, rest } = self;
        match coder {
            Some(coder) => coder.poll_whole(*outlet, head, *content, sending, cx),
            None => outlet.poll_message(&Message::Whole(*head, *content), rest, cx),
        }
    }
}

/// Sends problem details that say no more than the status; with 204 not even that.
pub(super) fn poll_bare(
    outlet: &mut dyn Outlet<Http1>,
    status: u16,
    fields: &dyn ToFields,
    cx: &mut Context<'_>,
) -> Poll<Result<Sent>> {
    let content_type = if status == 204 { "" } else { "application/problem+json" };
    // RFC 9110, 15.5.22, and RFC 6455, 4.4: what to upgrade to.
    let websocket = (status == 426).then_some([("upgrade", "websocket"), ("sec-websocket-version", "13")]);
    let fields: &dyn ToFields = &With(fields, websocket);
    let head = ResponseHead { content_type, fields, ..ResponseHead::new(status) };
    let content = Content::Fill(&Bare(status));
    // It is written in place, so there is no rest.
    outlet.poll_send(&Message::Whole(head, content), &mut None, cx).map_ok(|()| Sent::proof())
}

/// The least a [`Problem`] says, without what formatting costs a board.
struct Bare(u16);

impl Fill for Bare {
    fn fill(&self, room: &mut [u8]) -> Result<usize> {
        let mut n = 0;
        let mut out = Outbox::new(room, &mut n);
        for part in ["{\"title\":\"", reason(self.0), "\",\"status\":"] {
            out.put(part.as_bytes())?;
        }
        put_decimal(self.0.into(), &mut out)?;
        out.put(b"}")?;
        Ok(n)
    }
}

pub(super) struct Json<'a, T: ?Sized>(pub(super) &'a T);

impl<T: serde::Serialize + ?Sized> Fill for Json<'_, T> {
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn fill(&self, room: &mut [u8]) -> Result<usize> {
        serde_json_core::to_slice(self.0, room).map_err(|error| match error {
            serde_json_core::ser::Error::BufferFull => Code::BufferFull.into(),
            _ => Error::new(Code::Unsupported).on_wire(500),
        })
    }
}

struct Displayed<'a>(&'a dyn Display);

impl Fill for Displayed<'_> {
    fn fill(&self, room: &mut [u8]) -> Result<usize> {
        struct Cursor<'r>(&'r mut [u8], usize);
        impl fmt::Write for Cursor<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                let end = self.1 + text.len();
                let room = self.0.get_mut(self.1..end).ok_or(fmt::Error)?;
                room.copy_from_slice(text.as_bytes());
                self.1 = end;
                Ok(())
            }
        }
        let mut cursor = Cursor(room, 0);
        fmt::write(&mut cursor, format_args!("{}", self.0)).map_err(|_| Code::BufferFull)?;
        Ok(cursor.1)
    }
}
