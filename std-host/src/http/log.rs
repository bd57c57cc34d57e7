//! The access log.

use std::time::Instant;

use netloom_core::Result;
use tracing::{Level, enabled, event};

use super::{Request, RequestId, Sent};

const TARGET: &str = "netloom::http";

/// Tells `tracing` of every answer: one event of the target `netloom::http`, at INFO, at WARN for a status of 500 and
/// above.
///
/// | field | what |
/// |---|---|
/// | `method`, `path` | as they were sent; the query is left out, which may hold secrets |
/// | `status` | of the answer; 0 if there was none |
/// | `bytes` | of body that were queued |
/// | `micros` | until the handler had ended |
/// | `peer` | the client's address |
/// | `id` | the request's, if [`request_id`](super::request_id) is outside of this |
/// | `error` | what kept an answer from its end |
///
/// While nobody listens at that level it does nothing.
pub fn log(
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    async move |mut request: Request<'_>| {
        if !enabled!(target: TARGET, Level::WARN) {
            return app(request).await;
        }
        let begun = Instant::now();
        // Another protocol takes the head's bytes.
        let upgraded = match request.head() {
            head if head.fields().get("upgrade").is_some() => Some(head.path().to_owned()),
            _ => None,
        };
        let result = match app(request.lend()).await {
            Err(error) => request.lend().refuse(error).await,
            sent => sent,
        };
        tell(request, begun, upgraded.as_deref(), result.as_ref().err());
        result
    }
}

fn tell(mut request: Request<'_>, begun: Instant, path: Option<&str>, error: Option<&netloom_core::Error>) {
    let (status, bytes) = request.answered();
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let bad = status >= 500 || error.is_some();
    if !bad && !enabled!(target: TARGET, Level::INFO) {
        return;
    }
    let peer = request.peer().map(tracing::field::display);
    let id = RequestId::current().map(tracing::field::display);
    let error = error.map(tracing::field::display);
    let head = request.head();
    let (method, path) = (head.method_name(), path.unwrap_or_else(|| head.path()));
    match bad {
        true => event!(target: TARGET, Level::WARN, method, path, status, bytes, micros, peer, id, error),
        false => event!(target: TARGET, Level::INFO, method, path, status, bytes, micros, peer, id),
    }
}
