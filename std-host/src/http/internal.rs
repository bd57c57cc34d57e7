//! `?` on errors that are not the client's business.

use std::error::Error as StdError;

use netloom_core::Error;

use super::status;

/// What a handler returns for an error of its own: the log gets `error` with all its causes, the client a 500 that
/// says no more than that.
///
/// ```
/// use netloom::Result;
/// use netloom::http::{self, Request, Sent};
///
/// async fn motd(request: Request<'_>) -> Result<Sent> {
///     let text = std::fs::read_to_string("/etc/motd").map_err(http::internal)?;
///     request.reply().text(&text).await
/// }
/// ```
#[cold]
pub fn internal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    let error = error.into();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    tracing::error!(target: "netloom::http", error = %text, "a handler failed");
    status::error(500)
}
