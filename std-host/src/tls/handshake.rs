//! The handshake, and what it can fail with.

use std::fmt;
use std::future::poll_fn;

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
pub(super) async fn handshake<T: Transport, S: Storage>(
    mut tls: Tls<T, S>,
) -> Result<Tls<T, S>, HandshakeError> {
    match poll_fn(|cx| tls.poll_handshake(cx)).await {
        Ok(()) => Ok(tls),
        Err(error) => {
            let source = tls.reason();
            // The peer learns why: the alert leaves before the stream ends. It is read no more.
            let _ = poll_fn(|cx| tls.poll_finish(cx)).await;
            Err(HandshakeError { error, source })
        }
    }
}
