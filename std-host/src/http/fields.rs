//! The same fields in every answer: security headers.

use netloom_core::Result;

use super::{Request, Sent, ToFields};

/// Adds `fields` to every answer, also to those that errors of `app` become.
///
/// ```
/// # use netloom::http::{self, Request, Sent};
/// # use netloom::Result;
/// # async fn app(request: Request<'_>) -> Result<Sent> { request.reply().empty().await }
/// let fields = [
///     ("x-content-type-options", "nosniff"),
///     ("content-security-policy", "default-src 'self'"),
///     ("referrer-policy", "no-referrer"),
/// ];
/// let app = http::with_fields(fields, app);
/// # let _ = app;
/// ```
pub fn with_fields(
    fields: impl ToFields + Clone,
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    async move |mut request: Request<'_>| {
        let fields = request.and(&fields);
        match app(request.with(&fields)).await {
            Err(error) => request.with(&fields).refuse(error).await,
            sent => sent,
        }
    }
}
