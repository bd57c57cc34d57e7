//! How long a handler may take.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use netloom_core::{Code, Duration, Error, Result};
use tokio::time::{Sleep, sleep};

use super::{Request, Sent};

/// Gives `app` up when it has not ended `within` that time: 503 as problem details, or, if an answer was begun, a
/// connection that is cut so that the client can tell. (504 is a gateway's: RFC 9110, 15.6.5.)
///
/// Everything the handler waits for counts, also a client that is slow to send a body or to take the answer, so a
/// stream of events is not to be put behind this. The time begins when the handler first waits; one that never waits
/// costs nothing.
pub fn timeout(
    within: Duration,
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    async move |mut request: Request<'_>| {
        let in_time = {
            let mut answer = pin!(app(request.lend()));
            let mut alarm: Option<Pin<Box<Sleep>>> = None;
            poll_fn(|cx| {
                if let Poll::Ready(sent) = answer.as_mut().poll(cx) {
                    return Poll::Ready(Some(sent));
                }
                let alarm = alarm.get_or_insert_with(|| Box::pin(sleep(within)));
                alarm.as_mut().poll(cx).map(|()| None)
            })
            .await
        };
        match in_time {
            Some(sent) => sent,
            None => {
                tracing::warn!(target: "netloom::http", ?within, "a handler took too long");
                request.refuse(TOO_LONG).await
            }
        }
    }
}

const TOO_LONG: Error = Error::new(Code::Rejected).blame(netloom_core::Fault::Local).on_wire(503);
