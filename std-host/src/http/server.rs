//! Servers of HTTP.

use netloom_core::Result;

use super::{Http1, Request, Sent, Watch, answer_at_hand, next};
use crate::server::{Builder, Server, StartError};
use crate::worker::ServerSession;

impl Builder {
    /// Starts a server of HTTP/1.1 whose requests are answered by `app`: [`routes!`](crate::routes), or any async
    /// closure. It is cloned into each worker; the futures it makes stay there and need not be `Send`.
    ///
    /// For limits of the codec or something around the connections, [`start`](Self::start) with
    /// [`http::serve`](super::serve).
    ///
    /// ```no_run
    /// use netloom::http::{Request, Sent};
    /// use netloom::{Result, Server, routes};
    ///
    /// async fn hello(request: Request<'_>) -> Result<Sent> {
    ///     request.reply().text("Hello, World!").await
    /// }
    ///
    /// let server = Server::builder().tcp("127.0.0.1:8080").http(routes! { GET "/" => hello })?;
    /// server.wait();
    /// # Ok::<(), netloom::StartError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn http<A>(self, app: A) -> Result<Server, StartError>
    where
        A: AsyncFn(Request<'_>) -> Result<Sent> + Clone + Send + 'static,
    {
        #[cfg(feature = "tls")]
        self.speaks("http/1.1")?;
        self.start(codec, async move |session: &mut ServerSession<Http1>| {
            // On the heap for good: there is room for as much between two tasks.
            let mut watch = Box::new(Watch::new());
            while next(session).await? {
                // A connection that waits for a request does not keep room for answering it. What came with a request
                // is answered in the same room.
                if !Box::pin(answer_at_hand(session, &mut watch, &app)).await? {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// A desktop server's codec: with a date.
fn codec() -> Http1 {
    Http1::new().date(super::date)
}
