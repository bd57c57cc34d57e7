//! One request and its response on one connection, both ways at once.
//!
//! There is no task behind it: whoever waits for the response also sends what is left of the request. So a request
//! and a response that are both long do not wait for each other, and what is dropped is over.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use ::http::{HeaderMap, Uri};
use bytes::{Buf, Bytes};
use netloom_core::{Code, Duration, Error, Fault};
use netloom_protocols::http1::{
    ClientFound, ClientMessage, Content, FieldWriter, RequestOut, ResponseHead, ToFields,
};
use tokio::time::{Instant, Sleep, sleep};

use super::error::ClientError;
use super::payload::{RequestBody, Stream};
use super::pool::Connection;

/// Content up to this long leaves with its head, in one write.
const WHOLE_MAX: usize = 8 * 1024;
/// Most bytes of a piece: with its framing it fits the send queue as it is at first.
const PIECE_MAX: usize = 16 * 1024 - 64;
/// How long a server has to say whether it wants the body: RFC 9110, 10.1.1 wants no one to wait for ever.
const PERMISSION_WAIT: Duration = Duration::from_secs(1);

/// How long an exchange waits in silence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// For the head of the response, from the end of the request.
    pub(super) head: Duration,
    /// For the next piece of its body.
    pub(super) body: Duration,
}

pub(super) struct Exchange {
    connection: Connection,
    url: Uri,
    upload: Option<Upload>,
    silence: Silence,
    timer: Option<Pin<Box<Sleep>>>,
    /// The timer runs.
    is_silent: bool,
    has_head: bool,
    /// The server has said that it does not want the request.
    is_refused: bool,
    /// Bytes that the connection had received before.
    received_before: u64,
}

/// What is left of the request.
struct Upload {
    body: Stream,
    piece: Bytes,
    trailers: HeaderMap,
    source_ended: bool,
    /// How long the server's permission is still waited for.
    permission: Option<Pin<Box<Sleep>>>,
}

/// What came of the request's body.
enum Uploaded {
    /// Something was queued.
    Some,
    /// Nothing can be.
    Nothing,
}

/// The parts of a request's head.
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) expect_continue: bool,
}

impl Exchange {
    /// Begins: the request's head, and its body if that is short, are queued.
    pub(super) fn begin(
        mut connection: Connection,
        ask: &Ask<'_>,
        body: RequestBody,
        silence: Silence,
    ) -> Result<Self, ClientError> {
        let url = ask.url.clone();
        let target = target_of(&url);
        let host = match ask.headers.get(::http::header::HOST) {
            // What is no text is no host, and the codec says so.
            Some(host) => host.to_str().unwrap_or(" "),
            None => host_of(&url),
        };
        let close = has_close(ask.headers);
        let head =
            RequestOut { fields: &Headers(ask.headers), close, ..RequestOut::new(ask.method, &target, host) };
        let queued = match body {
            RequestBody::Bytes(bytes)
                if bytes.len() <= WHOLE_MAX && !ask.expect_continue || bytes.is_empty() =>
            {
                connection.try_send(ClientMessage::Whole(head, Content::Bytes(&bytes))).map(|()| None)
            }
            body => {
                let head = RequestOut { expect_continue: ask.expect_continue, ..head };
                let length = body.length().or_else(|| announced(ask.headers));
                connection
                    .try_send(ClientMessage::Head(head, length))
                    .map(|()| Some(Upload::new(body, ask.expect_continue)))
            }
        };
        let upload = queued.map_err(|error| {
            let text = match error.code() {
                Code::InvalidText => "a field, the method or the target cannot be written",
                _ => error.code().text(),
            };
            ClientError::new(error, &url, text)
        })?;
        let received_before = connection.stats().received.bytes;
        Ok(Self {
            connection,
            url,
            upload,
            silence,
            timer: None,
            is_silent: false,
            has_head: false,
            is_refused: false,
            received_before,
        })
    }

    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    /// Whether the server has not said anything.
    pub(super) fn is_unheard(&self) -> bool {
        self.connection.stats().received.bytes == self.received_before
    }

    /// The response's head is read: from here on the body is waited for.
    pub(super) fn head_came(&mut self, status: u16) {
        self.has_head = true;
        self.is_refused = status >= 300;
        // RFC 9110, 10.1.1: what is refused before it is sent is not sent. The connection ends with that.
        if status >= 300 && self.upload.as_ref().is_some_and(|upload| upload.permission.is_some()) {
            self.upload = None;
        }
    }

    /// Whether all of the response is here.
    pub(super) fn response_is_over(&mut self) -> bool {
        self.connection.codec().response_is_over()
    }

    /// Whether something of the request has not left that the server, which has answered, still wants: RFC 9112, 9.5
    /// has a client stop only for an error.
    pub(super) fn is_sending(&mut self) -> bool {
        if self.is_refused || self.connection.reason().is_some() {
            return false;
        }
        let mut cx = Context::from_waker(Waker::noop());
        self.upload.is_some() || pin!(self.connection.flush()).poll(&mut cx).is_pending()
    }

    /// Sends what is left of the request behind the end of its response. That the server takes no more of it is no error,
    /// because it has said all it had to say.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        while self.upload.is_some() && self.connection.reason().is_none() {
            let before = self.poll_upload(cx)?;
            let (is_over, is_waiting) = (self.upload.is_none(), matches!(before, Uploaded::Nothing));
            if is_over || pin!(self.connection.find()).poll(cx).is_ready() {
                break;
            }
            // Waiting may have made room.
            if is_waiting && matches!(self.poll_upload(cx)?, Uploaded::Nothing) {
                return Poll::Pending;
            }
        }
        if self.upload.is_none() {
            // If it fails, the connection has a reason not to be used again.
            let _ = ready!(pin!(self.connection.flush()).poll(cx));
        }
        Poll::Ready(Ok(()))
    }

    /// The bytes of the event last found.
    pub(super) fn unit(&mut self) -> &[u8] {
        self.connection.unit()
    }

    /// The connection, if it can be used again.
    pub(super) fn into_idle(mut self) -> Option<Connection> {
        let is_idle = self.upload.is_none() && self.connection.codec().is_idle();
        (is_idle && self.connection.reason().is_none()).then_some(self.connection)
    }

    /// The next event of the response. Meanwhile the request goes on.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<ClientFound, ClientError>> {
        loop {
            self.poll_upload(cx)?;
            let polled = pin!(self.connection.find()).poll(cx);
            if let Poll::Ready(found) = polled {
                self.is_silent = false;
                return Poll::Ready(match found {
                    Ok(Some(found)) => Ok(found),
                    Ok(None) => Err(self.ended_by(Code::ConnectionClosed.into())),
                    Err(error) => Err(self.ended_by(error)),
                });
            }
            // Waiting has written what was queued, and so made room.
            if matches!(self.poll_upload(cx)?, Uploaded::Nothing) {
                break;
            }
        }
        if self.upload.is_none() {
            ready!(self.poll_silence(cx));
            let what = if self.has_head { "the body goes on" } else { "a response" };
            let (limit, error) = (self.limit(), Error::new(Code::MessageTimeout).blame(Fault::Peer));
            return Poll::Ready(Err(ClientError::new(
                error,
                &self.url,
                format!("not within {limit:?}: {what}"),
            )));
        }
        Poll::Pending
    }

    fn ended_by(&self, error: Error) -> ClientError {
        if matches!(error.code(), Code::ConnectionClosed | Code::ReceiveFailed) && self.is_unheard() {
            return ClientError::new(error, &self.url, "the connection ended before there was an answer");
        }
        ClientError::of_session(error, &self.url)
    }

    /// The head of the response, and the interim heads in front of it passed over.
    pub(super) async fn head(&mut self) -> Result<ResponseHead, ClientError> {
        loop {
            match std::future::poll_fn(|cx| self.poll_event(cx)).await? {
                ClientFound::Head(head) => return Ok(head),
                ClientFound::Interim(_) => {}
                ClientFound::Piece(..) | ClientFound::End => {
                    return Err(ClientError::of_session(Code::ProtocolViolation.into(), &self.url));
                }
            }
        }
    }

    fn limit(&self) -> Duration {
        if self.has_head { self.silence.body } else { self.silence.head }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !std::mem::replace(&mut self.is_silent, true) {
            // A century is never, and does not overflow the clock.
            let century = Duration::from_secs(100 * 365 * 86_400);
            timer.as_mut().reset(Instant::now() + limit.min(century));
        }
        timer.as_mut().poll(cx)
    }

    /// Queues what there is of the request's body, as far as there is room.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<Uploaded, ClientError> {
        let mut uploaded = Uploaded::Nothing;
        while let Some(upload) = &mut self.upload {
            if self.connection.reason().is_some() || !upload.may_go(&mut self.connection, cx) {
                break;
            }
            let sent = match upload.poll_piece(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(source)) => {
                    let text = "the request's body failed";
                    return Err(ClientError::misuse(Code::SendFailed, &self.url, text).with_source(source));
                }
                Poll::Ready(Ok(())) if upload.piece.is_empty() => {
                    self.connection.try_send(ClientMessage::End(&Headers(&upload.trailers)))
                }
                Poll::Ready(Ok(())) => {
                    let n = upload.piece.len().min(PIECE_MAX);
                    self.connection
                        .try_send(ClientMessage::Piece(&upload.piece[..n]))
                        .map(|()| upload.piece.advance(n))
                }
            };
            match sent {
                Ok(()) => uploaded = Uploaded::Some,
                Err(error) if error == Code::BufferFull => break,
                // The response, if there is one, is told first.
                Err(_) if self.connection.reason().is_some() => break,
                Err(error) if error == Code::InvalidSession => {
                    let text = "the request's body is not as long as was said";
                    return Err(ClientError::misuse(Code::SendFailed, &self.url, text));
                }
                Err(error) => return Err(ClientError::of_session(error, &self.url)),
            }
            if self.connection.codec().request_is_over() {
                self.upload = None;
            }
        }
        Ok(uploaded)
    }
}

impl Upload {
    fn new(body: RequestBody, expect_continue: bool) -> Self {
        let (body, piece) = match body {
            RequestBody::Bytes(bytes) => (None, bytes),
            RequestBody::Stream(stream) => (Some(stream), Bytes::new()),
        };
        Self {
            source_ended: body.is_none(),
            body: body.unwrap_or_else(RequestBody::nothing),
            piece,
            trailers: HeaderMap::new(),
            permission: expect_continue.then(|| Box::pin(sleep(PERMISSION_WAIT))),
        }
    }

    /// Whether the server wants the body, or has been waited for long enough.
    fn may_go(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> bool {
        let Some(wait) = &mut self.permission else { return true };
        let codec = connection.codec();
        if codec.waits_for_permission() && wait.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.permission = None;
        true
    }

    /// Has a piece, or at the source's end none.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn StdError + Send + Sync>>> {
        while self.piece.is_empty() && !self.source_ended {
            match ready!(self.body.as_mut().poll_frame(cx)) {
                None => self.source_ended = true,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.piece = piece,
                    Err(frame) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Header fields but for those that are the codec's.
struct Headers<'a>(&'a HeaderMap);

impl ToFields for Headers<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> netloom_core::Result<()> {
        for (name, value) in self.0 {
            if !is_codecs(name.as_str()) {
                out.field(name.as_str(), value.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Framing, and fields of one hop (RFC 9110, 7.6.1).
fn is_codecs(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-length"
            | "transfer-encoding"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "expect"
            | "upgrade"
            | "te"
            | "trailer"
    )
}

fn has_close(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(::http::header::CONNECTION).into_iter();
    options.any(|option| option.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// The length that the caller gave a body that does not know it.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(::http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Host and port, without the port that goes without saying (RFC 9110, 4.2.1).
pub(crate) fn host_of(url: &Uri) -> &str {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    match url.scheme_str() {
        Some("http") => authority.strip_suffix(":80").unwrap_or(authority),
        Some("https") => authority.strip_suffix(":443").unwrap_or(authority),
        _ => authority,
    }
}
/// Path and query of a URL; an empty path is "/" (RFC 9110, 4.2.3).
fn target_of(url: &Uri) -> Cow<'_, str> {
    match url.path_and_query().map_or("/", |target| target.as_str()) {
        target if target.starts_with('?') => format!("/{target}").into(),
        target => target.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_is_the_root() {
        for (url, target) in [("http://a", "/"), ("http://a?q", "/?q"), ("http://a/b?q", "/b?q")] {
            assert_eq!(target_of(&url.parse().unwrap()), target);
        }
    }
}
