//! A response's body, as it comes or whole.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::Uri;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use netloom_core::{Code, Error, Fault};
use netloom_protocols::http1::ClientFound;
use serde::de::DeserializeOwned;
use tokio::time::Sleep;

#[cfg(feature = "compression")]
use super::super::decode::{Decoded, Decoder};
use super::error::ClientError;
use super::exchange::Exchange;
use super::pool::{Origin, Pool};

/// A response's body. It is received while it is asked for; dropped before its end it takes its connection along.
///
/// What is left of a streamed request goes out meanwhile: ask on even if you only care for the head.
pub struct Body {
    url: Uri,
    /// What comes; `None` when all has come.
    exchange: Option<Exchange>,
    home: Option<(Arc<Pool>, Origin)>,
    #[cfg(feature = "compression")]
    decoder: Option<Decoder>,
    /// Bytes still to come, if that is known.
    left: Option<u64>,
    /// When all of it must be here.
    by: Option<Pin<Box<Sleep>>>,
    /// Most bytes that are gathered without being asked how many.
    max: usize,
    /// What has ended it too early.
    failed: Option<Error>,
}

impl Body {
    pub(super) fn new(exchange: Exchange, left: Option<u64>, max: usize, home: (Arc<Pool>, Origin)) -> Self {
        let mut body = Self {
            url: exchange.url().clone(),
            exchange: Some(exchange),
            home: Some(home),
            #[cfg(feature = "compression")]
            decoder: None,
            left,
            by: None,
            max,
            failed: None,
        };
        body.end_if_over();
        body
    }

    #[cfg(feature = "compression")]
    pub(super) fn decoded_by(&mut self, decoder: Decoder) {
        (self.decoder, self.left) = (Some(decoder), None);
    }

    /// Whether nothing is to come.
    #[cfg(feature = "compression")]
    pub(super) fn is_over(&mut self) -> bool {
        self.exchange.as_mut().is_none_or(Exchange::response_is_over)
    }

    pub(super) fn within(&mut self, by: Option<Pin<Box<Sleep>>>) {
        self.by = by;
    }

    /// The next piece; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// A body that was cut, that came too slowly, that is malformed: never a short one without an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// All of it, up to the client's [`body_max`](super::ClientBuilder::body_max).
    ///
    /// # Errors
    /// As for [`chunk`](Self::chunk); [`Code::MessageTooLarge`].
    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        let max = self.max;
        self.bytes_within(max).await
    }

    /// All of it, if that is not more than `max` bytes.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes).
    pub async fn bytes_within(mut self, max: usize) -> Result<Bytes, ClientError> {
        let too_large = |url: &Uri| {
            let error = Error::new(Code::MessageTooLarge).blame(Fault::Peer).on_wire(502);
            ClientError::new(error, url, format!("the body is longer than {max} bytes"))
        };
        if self.left.is_some_and(|left| left > max as u64) {
            return Err(too_large(&self.url));
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > max {
            return Err(too_large(&self.url));
        }
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let known = self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(0);
        let mut all = Vec::with_capacity(first.len() + second.len() + known.min(max));
        all.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if piece.len() > max - all.len() {
                return Err(too_large(&self.url));
            }
            all.extend_from_slice(&piece);
            next = self.chunk().await?;
        }
        Ok(all.into())
    }

    /// All of it as text, which must be UTF-8.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes); [`Code::InvalidText`].
    pub async fn text(self) -> Result<String, ClientError> {
        let url = self.url.clone();
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            ClientError::new(Code::InvalidText, &url, Code::InvalidText.text()).with_source(error)
        })
    }

    /// All of it, from JSON.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes); [`Code::ProtocolViolation`] if it is no JSON, or not that of a `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let url = self.url.clone();
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            ClientError::new(Code::ProtocolViolation, &url, "the body is not the expected JSON")
                .with_source(error)
        })
    }

    /// Where it comes from: behind redirects, the last URL.
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// Receives and throws away at most `max` bytes, so that the connection can be used again.
    pub(super) async fn drain(mut self, mut max: usize) {
        #[cfg(feature = "compression")]
        {
            self.decoder = None;
        }
        if self.left.is_some_and(|left| left > max as u64) {
            return;
        }
        while let Ok(Some(piece)) = self.chunk().await {
            let Some(left) = max.checked_sub(piece.len()) else { return };
            max = left;
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientError>> {
        if let Some(error) = self.failed {
            return Poll::Ready(Err(ClientError::of_session(error, &self.url)));
        }
        let mut polled = self.poll_piece(cx);
        if let (Poll::Pending, Some(by)) = (&polled, &mut self.by) {
            ready!(by.as_mut().poll(cx));
            polled = Poll::Ready(Err(late(&self.url)));
        }
        if let Poll::Ready(Err(error)) = &polled {
            self.failed = Some(error.error());
            self.exchange = None;
        }
        polled
    }

    #[cfg(feature = "compression")]
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientError>> {
        let Some(mut decoder) = self.decoder.take() else { return self.poll_received(cx) };
        let polled = loop {
            match decoder.next() {
                Ok(Decoded::Piece(piece)) => break Poll::Ready(Ok(Some(piece))),
                Ok(Decoded::NeedInput) => match self.poll_received(cx) {
                    Poll::Ready(Ok(Some(piece))) => decoder.feed(piece),
                    Poll::Ready(Ok(None)) => decoder.end(),
                    other => break other,
                },
                // What follows the coded content is not looked at, but must come for the next exchange.
                Ok(Decoded::End) => match self.poll_received(cx) {
                    Poll::Ready(Ok(Some(_))) => {}
                    other => break other,
                },
                Err((error, source)) => {
                    let error = error.blame(Fault::Peer).on_wire(502);
                    let text = "the content cannot be decoded";
                    break Poll::Ready(Err(ClientError::new(error, &self.url, text).with_source(source)));
                }
            }
        };
        self.decoder = Some(decoder);
        polled
    }

    #[cfg(not(feature = "compression"))]
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientError>> {
        self.poll_received(cx)
    }

    /// The next piece as it is sent.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientError>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(Ok(None)) };
        if exchange.response_is_over() {
            ready!(exchange.poll_rest(cx))?;
            self.go_home();
            return Poll::Ready(Ok(None));
        }
        let piece = match ready!(exchange.poll_event(cx))? {
            ClientFound::Piece(start, end) => {
                let piece = exchange.unit().get(start as usize..end as usize).unwrap_or_default();
                Some(Bytes::copy_from_slice(piece))
            }
            ClientFound::End => None,
            ClientFound::Head(_) | ClientFound::Interim(_) => {
                return Poll::Ready(Err(ClientError::of_session(Code::ProtocolViolation.into(), &self.url)));
            }
        };
        if let (Some(left), Some(piece)) = (&mut self.left, &piece) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        self.end_if_over();
        Poll::Ready(Ok(piece))
    }

    /// At the end of both, request and response, the connection goes home.
    fn end_if_over(&mut self) {
        if let Some(exchange) = &mut self.exchange
            && exchange.response_is_over()
            && !exchange.is_sending()
        {
            self.go_home();
        }
    }

    fn go_home(&mut self) {
        let connection = self.exchange.take().and_then(Exchange::into_idle);
        if let (Some((pool, origin)), Some(connection)) = (self.home.take(), connection) {
            pool.put(origin, connection);
        }
    }
}

/// The whole took too long.
pub(super) fn late(url: &Uri) -> ClientError {
    let error = Error::new(Code::MessageTimeout).blame(Fault::Peer);
    ClientError::new(error, url, "the exchange took longer than it may in all")
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        self.poll_chunk(cx).map(|chunk| chunk.transpose().map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left {
            Some(left) => write!(f, "Body({left} bytes to come)"),
            None => f.write_str("Body"),
        }
    }
}
