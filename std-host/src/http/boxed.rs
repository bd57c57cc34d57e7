//! What answering a request takes, allocated only while one is answered.

use netloom_core::Result;

use super::{Request, Sent};

/// The application, its future on the heap while it answers.
///
/// A connection's future has room for the largest handler and every layer around it, also while it waits for the next
/// request; each layer adds some hundred bytes. With this around the outermost layer it has room for a pointer, for one
/// allocation per request.
pub fn boxed(
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    async move |request: Request<'_>| Box::pin(app(request)).await
}
