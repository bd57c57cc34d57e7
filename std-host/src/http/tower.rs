//! A `tower::Service` as an application: an axum `Router` runs unchanged.
//!
//! ```text
//! client -> request.receive -> | one piece | -> ServiceBody, which the service polls
//! client <- session's queue <- frame by frame <- the response's body
//! ```
//!
//! The invariant: nothing is read from the client that the service has not asked for, and nothing is asked of the
//! response's body before what it gave has been queued. Both go on at the same time, in one future on the worker's
//! thread; the [`ServiceBody`] itself may be polled on any.

use std::error::Error as StdError;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use netloom_core::{Code, Error, Result};
use tower_service::Service;

use super::{
    Exchange, FieldWriter, Fields, Head, Method, Request, RequestId, Sent, Stream, ToFields, Version,
    internal, status,
};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Most bytes that are queued at a time while the request's body still comes: few enough to fit the empty queue, so
/// that looking at the other direction meanwhile loses nothing.
const SLICE: usize = 32 * 1024;

/// Serves a `tower::Service`: an axum `Router`, or whatever takes an `http::Request<ServiceBody>`.
///
/// Bodies are streamed both ways, with back-pressure, also at the same time. A client that waits for `100 (Continue)`
/// gets it when the service first polls the body, or answers while it keeps it. A response whose length is known gets
/// `Content-Length`, others are chunked, with their trailers. `Date`, `Connection` and framing are this server's. An
/// error of the service becomes a 500 and is logged, see [`internal`]; one of the response's body cuts the connection,
/// so that the client can tell.
///
/// A request's extensions hold the client's [`SocketAddr`], and the [`RequestId`]'s text as a `RequestName` if there is
/// one. Upgrades are not supported here: use [`Request::upgrade`]. The service's futures need not be `Send`. Each request
/// gets a clone of the service.
///
/// ```
/// use axum::{Router, routing::get};
/// use netloom::http::{self, Http1};
/// use netloom::{Server, ServerSession};
///
/// let app = http::tower(Router::new().route("/", get(async || "Hello, World!")));
/// let connection = async move |session: &mut ServerSession<Http1>| http::serve(session, &app).await;
/// let server = Server::builder().tcp("127.0.0.1:0").workers(1).start(Http1::new, connection)?;
/// # Ok::<(), netloom::StartError>(())
/// ```
pub fn tower<S, B>(service: S) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone
where
    S: Service<::http::Request<ServiceBody>, Response = ::http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    // On the heap, so that a connection that waits for a request has no room for this.
    async move |request: Request<'_>| Box::pin(serve(service.clone(), request)).await
}

async fn serve<S, B>(mut service: S, mut request: Request<'_>) -> Result<Sent>
where
    S: Service<::http::Request<ServiceBody>, Response = ::http::Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    let (body, mut feed) = ServiceBody::of(&mut request);
    let asked = translate(&mut request, body)?;
    let ready = poll_fn(|cx| service.poll_ready(cx));
    request.during(ready).await.map_err(internal)?;
    let answer = pin!(service.call(asked));
    let response = feed.during(&mut request, answer).await.map_err(internal)?;
    respond(request, feed, response).await
}

/// The request as the `http` crate has it. Its parts are copied: the service may keep them.
fn translate(request: &mut Request<'_>, body: ServiceBody) -> Result<::http::Request<ServiceBody>> {
    let peer = request.peer();
    let head = request.head();
    let malformed = || Error::new(Code::ProtocolViolation).on_wire(400);
    let mut asked = ::http::Request::new(body);
    *asked.method_mut() = method(head)?;
    *asked.uri_mut() = head.target().parse::<Uri>().map_err(|_| malformed())?;
    *asked.version_mut() = match head.version() {
        Version::Http10 => ::http::Version::HTTP_10,
        Version::Http11 => ::http::Version::HTTP_11,
    };
    copy_fields(head.fields(), asked.headers_mut()).ok_or_else(malformed)?;
    if let Some(peer) = peer {
        asked.extensions_mut().insert::<SocketAddr>(peer);
    }
    if let Some(id) = RequestId::current() {
        asked.extensions_mut().insert(RequestName(id.to_string()));
    }
    Ok(asked)
}

/// The [`RequestId`] of a request, in the extensions that a `tower` service gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestName(pub String);

fn method(head: Head<'_>) -> Result<::http::Method> {
    Ok(match head.method() {
        Method::Get => ::http::Method::GET,
        Method::Post => ::http::Method::POST,
        Method::Head => ::http::Method::HEAD,
        _ => ::http::Method::from_bytes(head.method_name().as_bytes()).map_err(|_| status::error(501))?,
    })
}

/// All values lie in one block, which they share.
fn copy_fields(fields: Fields<'_>, headers: &mut HeaderMap) -> Option<()> {
    let mut values = BytesMut::with_capacity(fields.iter().map(|(_, value)| value.len()).sum());
    fields.iter().for_each(|(_, value)| values.extend_from_slice(value));
    let mut values = values.freeze();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(values.split_to(value.len())).ok()?;
        headers.try_append(name, value).ok()?;
    }
    Some(())
}

async fn respond<B>(request: Request<'_>, mut feed: Feed, response: ::http::Response<B>) -> Result<Sent>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    let mut request = request;
    let (parts, body) = response.into_parts();
    let mut body = pin!(body);
    let is_head = request.head().method() == Method::Head;
    let length = length(&parts.headers, body.size_hint().exact(), is_head);
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (code, content_type) = (parts.status.as_u16(), content_type.unwrap_or_default());
    let (fields, closes) = (Headers(&parts.headers), says_close(&parts.headers));
    if code < 200 {
        return Err(internal("a service has answered with an interim status"));
    }
    if feed.is_wanted(&mut request) {
        let exchange = request.stream_with(content_type, length, |reply| {
            let reply = reply.status(code).fields(fields);
            if closes { reply.close() } else { reply }
        });
        let mut exchange = exchange.await?;
        if is_head {
            return exchange.end().await;
        }
        let trailers = feed.exchange(&mut exchange, body).await?;
        return exchange.answer().end_with(trailers.as_ref().map(Headers)).await;
    }
    drop(feed);
    let mut reply = request.reply().status(code).fields(fields);
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        reply = reply.uncoded();
    }
    if closes {
        reply = reply.close();
    }
    let mut stream = match length {
        Some(length) => reply.stream_sized(content_type, length).await?,
        None => reply.stream(content_type).await?,
    };
    if is_head {
        return stream.end().await;
    }
    let trailers = send_all(&mut stream, &mut body).await?;
    stream.end_with(trailers.as_ref().map(Headers)).await
}

/// How long the body will be. An answer to HEAD has none, and says what GET's would have.
fn length(headers: &HeaderMap, exact: Option<u64>, is_head: bool) -> Option<u64> {
    let said = || headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    match is_head {
        true => said(),
        false => exact.or_else(said),
    }
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Sends the whole body; its trailers.
async fn send_all<B>(stream: &mut Stream<'_>, body: &mut Pin<&mut B>) -> Result<Option<HeaderMap>>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    loop {
        let frame = stream.during(poll_fn(|cx| body.as_mut().poll_frame(cx))).await;
        match part(frame)? {
            Part::Data(mut data) => {
                while data.has_remaining() {
                    let chunk = data.chunk();
                    let n = chunk.len();
                    stream.send(chunk).await?;
                    data.advance(n);
                }
            }
            Part::End(trailers) => return Ok(trailers),
        }
    }
}

/// What a body gives.
enum Part<D> {
    Data(D),
    End(Option<HeaderMap>),
}

fn part<D, E: Into<BoxError>>(frame: Option<Result<Frame<D>, E>>) -> Result<Part<D>> {
    let Some(frame) = frame else { return Ok(Part::End(None)) };
    Ok(match frame.map_err(internal)?.into_data() {
        Ok(data) => Part::Data(data),
        Err(frame) => Part::End(frame.into_trailers().ok()),
    })
}

/// A service's fields, but for those that are this server's.
struct Headers<'a>(&'a HeaderMap);

impl ToFields for Headers<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        self.0.iter().try_for_each(|(name, value)| match *name {
            header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::CONNECTION
            | header::UPGRADE
            | header::CONTENT_TYPE
            | header::DATE => Ok(()),
            _ if name == "keep-alive" => Ok(()),
            _ => out.field(name.as_str(), value.as_bytes()),
        })
    }
}

/// A request's body, as it comes. It is read only as far as it is polled; dropped, the rest is thrown away.
#[derive(Debug)]
pub struct ServiceBody {
    /// None if there is nothing to come.
    slot: Option<Arc<Mutex<Slot>>>,
    left: Option<u64>,
}

/// The adaptor's end of a [`ServiceBody`].
struct Feed {
    slot: Option<Arc<Mutex<Slot>>>,
}

/// Where a piece is handed over.
#[derive(Debug)]
struct Slot {
    state: State,
    /// Who waits for a piece.
    reader: Option<Waker>,
    /// Who waits for one to be wanted.
    feeder: Option<Waker>,
    /// Nobody feeds it any more.
    is_closed: bool,
}

#[derive(Debug)]
enum State {
    Idle,
    Wanted,
    Piece(Bytes),
    /// There is no more; or only an error.
    Over(Option<Error>),
    /// The body was dropped.
    Dropped,
}

fn lock(slot: &Arc<Mutex<Slot>>) -> MutexGuard<'_, Slot> {
    // What is in it is whole between any two statements.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ServiceBody {
    fn of(request: &mut Request<'_>) -> (Self, Feed) {
        let left = request.body_left();
        let slot = match left {
            Some(0) => None,
            _ => Some(Arc::new(Mutex::new(Slot {
                state: State::Idle,
                reader: None,
                feeder: None,
                is_closed: false,
            }))),
        };
        (Self { slot: slot.clone(), left }, Feed { slot })
    }
}

impl http_body::Body for ServiceBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(shared) = &self.slot else { return Poll::Ready(None) };
        let mut slot = lock(shared);
        match std::mem::replace(&mut slot.state, State::Wanted) {
            State::Piece(piece) => {
                slot.state = State::Idle;
                drop(slot);
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            State::Over(error) => {
                drop(slot);
                self.slot = None;
                self.left = Some(0);
                Poll::Ready(error.map(Err))
            }
            _ if self.left == Some(0) => Poll::Ready(None),
            _ if slot.is_closed => Poll::Ready(Some(Err(Code::ConnectionClosed.into()))),
            State::Idle | State::Wanted | State::Dropped => {
                if !slot.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                    slot.reader = Some(cx.waker().clone());
                }
                if let Some(feeder) = slot.feeder.take_if(|feeder| !feeder.will_wake(cx.waker())) {
                    drop(slot);
                    feeder.wake();
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.slot.is_none() || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.slot, self.left) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(left)) => SizeHint::with_exact(left),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

impl Drop for ServiceBody {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            lock(slot).state = State::Dropped;
        }
    }
}

/// The service's future has ended, or was given up: a body that is still held elsewhere says so.
impl Drop for Feed {
    fn drop(&mut self) {
        let Some(shared) = &self.slot else { return };
        let mut slot = lock(shared);
        slot.is_closed = true;
        if let Some(reader) = slot.reader.take() {
            drop(slot);
            reader.wake();
        }
    }
}

impl Feed {
    /// Hands over a piece or an end, to somebody who has asked. Who polls the service next need not be woken for it.
    fn give(&self, state: State, cx: &mut Context<'_>) {
        let Some(shared) = &self.slot else { return };
        let mut slot = lock(shared);
        if !matches!(slot.state, State::Wanted) {
            return;
        }
        slot.state = state;
        if let Some(reader) = slot.reader.take().filter(|reader| !reader.will_wake(cx.waker())) {
            drop(slot);
            reader.wake();
        }
    }

    /// Whether the body waits for a piece. If not, `cx` is told when it does.
    fn is_asked(&self, cx: &mut Context<'_>) -> bool {
        let Some(shared) = &self.slot else { return false };
        let mut slot = lock(shared);
        if !matches!(slot.state, State::Wanted) {
            slot.feeder = Some(cx.waker().clone());
            return false;
        }
        true
    }

    /// Whether the service still has the body, and more of it may come.
    fn is_wanted(&self, request: &mut Request<'_>) -> bool {
        let Some(shared) = &self.slot else { return false };
        let is_here = matches!(lock(shared).state, State::Idle | State::Wanted | State::Piece(_));
        is_here && request.body_left() != Some(0)
    }

    /// Takes what came of asking for a piece.
    fn took(&self, piece: Result<Option<&[u8]>>, cx: &mut Context<'_>) {
        let state = match piece {
            Ok(Some(piece)) => State::Piece(Bytes::copy_from_slice(piece)),
            Ok(None) => State::Over(None),
            Err(error) => State::Over(Some(error)),
        };
        self.give(state, cx);
    }

    /// Awaits the service's answer, and gives it the body as it asks for it.
    async fn during<F: Future>(&mut self, request: &mut Request<'_>, mut answer: Pin<&mut F>) -> F::Output {
        if self.slot.is_none() {
            return request.during(answer).await;
        }
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                    return Poll::Ready(response);
                }
                if !self.is_asked(cx) {
                    // Queued output leaves.
                    let _ = pin!(request.during(pending::<()>())).poll(cx);
                    return Poll::Pending;
                }
                // Dropped while it waits, it loses nothing.
                match pin!(request.receive()).poll(cx) {
                    Poll::Ready(piece) => self.took(piece, cx),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Sends the response's body while the request's still comes; its trailers.
    async fn exchange<B>(
        &mut self,
        exchange: &mut Exchange<'_>,
        mut body: Pin<&mut B>,
    ) -> Result<Option<HeaderMap>>
    where
        B: http_body::Body,
        B::Error: Into<BoxError>,
    {
        let mut data: Option<B::Data> = None;
        poll_fn(|cx| {
            loop {
                let waits_to_send = data.as_ref().is_some_and(Buf::has_remaining);
                let mut moved = false;
                if waits_to_send {
                    if let Poll::Ready(n) = poll_slice(exchange, &data, cx)
                        && let Some(data) = &mut data
                    {
                        data.advance(n?);
                        moved = true;
                    }
                } else if let Poll::Ready(frame) = body.as_mut().poll_frame(cx) {
                    match part(frame)? {
                        Part::Data(more) => data = Some(more),
                        Part::End(trailers) => return Poll::Ready(Ok(trailers)),
                    }
                    moved = true;
                }
                // Last: what it waits for is all that is waited for, output included.
                if self.is_asked(cx) {
                    match pin!(exchange.receive()).poll(cx) {
                        Poll::Ready(piece) => {
                            self.took(piece.map(|piece| piece.map(|(piece, _)| &*piece)), cx);
                        }
                        Poll::Pending if moved => {}
                        Poll::Pending => return Poll::Pending,
                    }
                } else if !moved {
                    if !waits_to_send {
                        let _ = pin!(exchange.answer().during(pending::<()>())).poll(cx);
                    }
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Queues some of `data`: how much.
fn poll_slice(
    exchange: &mut Exchange<'_>,
    data: &Option<impl Buf>,
    cx: &mut Context<'_>,
) -> Poll<Result<usize>> {
    let chunk = data.as_ref().map(Buf::chunk).unwrap_or_default();
    let slice = &chunk[..chunk.len().min(SLICE)];
    pin!(exchange.answer().send(slice)).poll(cx).map_ok(|()| slice.len())
}
