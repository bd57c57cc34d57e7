//! The handshake, and what it can fail with.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use netloom_core::{Code, Error, Result, Storage, Transport};

use super::error::code_of;
use super::stream::Tls;

/// Why a connection could not be secured.
#[derive(Debug)]
pub struct HandshakeError {
    error: Error,
    source: Option<rustls::Error>,
}

impl HandshakeError {
    pub(super) fn new(source: rustls::Error) -> Self {
        Self { error: code_of(&source), source: Some(source) }
    }

    pub(crate) fn late() -> Self {
        Self { error: Code::ConnectionTimeout.into(), source: None }
    }

    pub(super) fn no_name() -> Self {
        Self { error: Code::InvalidAddress.into(), source: None }
    }

    /// What went wrong, as everywhere in netloom.
    pub fn error(&self) -> Error {
        self.error
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}"),
            None if self.error == Code::ConnectionTimeout => f.write_str("the TLS handshake took too long"),
            None => f.write_str(self.error.code().text()),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        error.error
    }
}

/// Shakes hands.
pub(super) async fn handshake<T: Transport, S: Storage>(tls: Tls<T, S>) -> Result<Tls<T, S>, HandshakeError> {
    match attempt(tls).await {
        Ok(tls) => Ok(tls),
        Err((error, mut io)) => {
            // What has come is read, without waiting for more.
            let _ = poll_fn(|cx| Poll::Ready(poll_unheard(&mut io, &mut 0, cx))).await;
            Err(error)
        }
    }
}

/// Shakes hands; or why not, and the stream below, on which all is said that is to be said.
pub(super) async fn attempt<T: Transport, S: Storage>(
    mut tls: Tls<T, S>,
) -> Result<Tls<T, S>, (HandshakeError, T)> {
    match poll_fn(|cx| tls.poll_handshake(cx)).await {
        Ok(()) => Ok(tls),
        Err(error) => {
            let source = tls.reason();
            // The peer learns why: the alert leaves before the stream ends.
            let _ = poll_fn(|cx| tls.poll_finish(cx)).await;
            Err((HandshakeError { error, source }, tls.into_io()))
        }
    }
}

/// Most bytes that a peer is listened to which it says behind a handshake that has failed: two of the longest flights.
const UNHEARD_MAX: usize = 64 * 1024;

/// Reads what nobody wants to know, until the stream ends or that is enough; `heard` counts the bytes. A stream that is
/// closed over bytes that were not read is reset, and the reset may overtake the alert.
pub(crate) fn poll_unheard<T: Transport>(io: &mut T, heard: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    let mut bytes = [0; 2048];
    while *heard < UNHEARD_MAX {
        match ready!(io.poll_read(cx, &mut bytes)) {
            Ok(n @ 1..) => *heard += n,
            Ok(0) | Err(_) => break,
        }
    }
    Poll::Ready(())
}
