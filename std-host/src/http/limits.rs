//! How much at a time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use netloom_core::{Code, Error, Fault, Result};

use super::{Request, Sent};

/// Answers at most `max` requests at a time, and refuses one more: 503 with `Retry-After`.
///
/// Each copy of the application counts for itself, and so each worker.
pub fn concurrency(
    max: usize,
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    let present = Count::default();
    async move |mut request: Request<'_>| match present.enter(max) {
        Some(_guard) => app(request).await,
        None => {
            let fields = request.and([("retry-after", "1")]);
            request.with(&fields).refuse(FULL).await
        }
    }
}

const FULL: Error = Error::new(Code::Rejected).blame(Fault::Local).on_wire(503);

/// Refuses bodies of more than `max` bytes, with 413: at once if `Content-Length` says so, else when the handler has
/// received so many. Of two limits the lower holds.
pub fn body_limit(
    max: u64,
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    async move |mut request: Request<'_>| {
        request.limit_body(max)?;
        app(request).await
    }
}

/// How many are inside. A copy begins with none.
#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Count {
    fn enter(&self, max: usize) -> Option<Guard<'_>> {
        let guard = Guard(self);
        match self.0.fetch_add(1, Relaxed) < max {
            true => Some(guard),
            false => None,
        }
    }
}

impl Clone for Count {
    fn clone(&self) -> Self {
        Self::default()
    }
}

struct Guard<'a>(&'a Count);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
