//! Why there is no connection, and what to do.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use netloom_core::{Code, Error, Fault};

type Source = Box<dyn StdError + Send + Sync>;

/// Why a WebSocket was not connected: netloom's [`Error`], the URL, and what may help.
#[derive(Debug)]
pub struct ConnectError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    error: Error,
    url: String,
    text: Cow<'static, str>,
    source: Option<Source>,
}

impl ConnectError {
    pub(super) fn new(
        error: impl Into<Error>,
        url: impl fmt::Display,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts { error: error.into(), url: url.to_string(), text: text.into(), source: None }))
    }

    /// What the caller must change.
    pub(super) fn misuse(code: Code, url: impl fmt::Display, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Error::new(code).blame(Fault::Local), url, text)
    }

    pub(super) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong and who is at fault, as everywhere in netloom.
    pub fn error(&self) -> Error {
        self.0.error
    }

    /// What was to be connected to; behind a redirect, what that led to.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The status that the server refused with; 101 if it agreed, but not as RFC 6455 says.
    pub fn status(&self) -> Option<u16> {
        (self.0.error == Code::HandshakeFailed).then(|| self.0.error.wire())
    }
}

/// What a person may do about a refusal.
pub(super) fn way_out(status: u16) -> &'static str {
    match status {
        101 => "; it does not show that it knows WebSocket, or agrees on what was not asked for",
        200..300 => "; is there a WebSocket at that path?",
        401 => "; a field Authorization carries credentials",
        403 => "; does it want another Origin?",
        404 => "; is the path right?",
        426 => "; does it speak WebSocket of version 13 at that path?",
        _ => "",
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { error, url, text, source } = &*self.0;
        write!(f, "{} ({}): {url}: {text}", error.code().name(), error.number())?;
        match source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        error.error()
    }
}
