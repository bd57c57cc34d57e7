//! Why a request has no response.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use ::http::Uri;
use netloom_core::{Code, Error, Fault};

pub(super) type Source = Box<dyn StdError + Send + Sync>;

/// Why a request has no response, or a response no end: netloom's [`Error`], the URL, and what is behind it.
#[derive(Debug)]
pub struct ClientError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    error: Error,
    url: String,
    text: Cow<'static, str>,
    source: Option<Source>,
}

impl ClientError {
    pub(super) fn new(
        error: impl Into<Error>,
        url: impl ToString,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let parts = Parts { error: error.into(), url: url.to_string(), text: text.into(), source: None };
        Self(Box::new(parts))
    }

    /// What ended a session.
    pub(super) fn of_session(error: Error, url: &Uri) -> Self {
        Self::new(error, url, error.code().text())
    }

    /// A mistake in the request itself.
    pub(super) fn misuse(code: Code, url: impl ToString, text: impl Into<Cow<'static, str>>) -> Self {
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

    /// What was asked for.
    pub fn url(&self) -> &str {
        &self.0.url
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { error, url, text, source } = &*self.0;
        write!(f, "{} ({}): {url}: {text}", error.code().name(), error.number())?;
        match source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for ClientError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        error.error()
    }
}
