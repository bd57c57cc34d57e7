//! Answers HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | a page that shows the host, its uptime, sessions and requests |
//! | `GET /plaintext` | `Hello, World!` |
//! | `GET /json` | the same as JSON |
//! | `GET /status` | what the page shows, as JSON |
//! | `GET /events` | the same once a second, as server-sent events |
//! | `GET /stream/N` | `N` bytes, in chunks |
//! | `POST /echo` | the request's body, while it comes |
//! | `/ws` | a WebSocket that sends messages back |
//! | `/chat` | a WebSocket into a [room](crate::chat) |

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use netloom_core::hub::{Hub, Shared};
use netloom_core::{Duration, Platform, Result, Session};
use netloom_protocols::http1::{self, Http1, Request, Sent};
use netloom_protocols::{routes, websocket};
use serde::Serialize;

use crate::assets;
use crate::chat::chat;

/// What the demo counts. One for a host, shared by its sessions.
#[derive(Debug)]
pub struct Web<L> {
    host: &'static str,
    room: Hub<L>,
    sessions: AtomicU32,
    requests: AtomicU32,
}

/// What the host is and does, as JSON.
#[derive(Clone, Copy, Debug, Serialize)]
struct Status {
    host: &'static str,
    /// Seconds since the host's clock began.
    uptime: u32,
    /// Open now.
    sessions: u32,
    /// Since the beginning.
    requests: u32,
}

#[derive(Serialize)]
struct Greeting {
    message: &'static str,
}

impl<L: Shared> Web<L> {
    /// The room, for those who come to it by another way.
    pub fn room(&self) -> &Hub<L> {
        &self.room
    }

    /// Of a host with that name, with a room to chat in.
    pub const fn new(host: &'static str, room: Hub<L>) -> Self {
        Self { host, room, sessions: AtomicU32::new(0), requests: AtomicU32::new(0) }
    }

    /// The demo's routes but for the page; what none of them matches is `rest`'s, for which there is [`page`].
    pub fn routes(
        &self,
        rest: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
    ) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
        routes! {
            GET "/plaintext" => plaintext,
            GET "/json" => json,
            GET "/status" => async |request| self.status(request).await,
            GET "/events" => async |request| self.events(request).await,
            GET "/stream/{length}" => stream,
            POST "/echo" => echo,
            GET "/ws" => websocket_echo,
            GET "/chat" => async |request| chat(&self.room, request).await,
            _ => rest,
        }
    }

    /// Has the requests of one connection answered by `app`, and counts them.
    ///
    /// # Errors
    /// What ended the session, if it did not end in order.
    pub async fn count<P: Platform>(
        &self,
        session: &mut Session<P, Http1>,
        app: &impl AsyncFn(Request<'_>) -> Result<Sent>,
    ) -> Result<()> {
        self.sessions.fetch_add(1, Relaxed);
        let _open = Open(&self.sessions);
        while http1::next(session).await? {
            self.requests.fetch_add(1, Relaxed);
            http1::answer(session, app).await?;
            if !http1::finish(session).await? {
                break;
            }
        }
        Ok(())
    }

    fn now(&self, uptime: Duration) -> Status {
        Status {
            host: self.host,
            uptime: u32::try_from(uptime.as_secs()).unwrap_or(u32::MAX),
            sessions: self.sessions.load(Relaxed),
            requests: self.requests.load(Relaxed),
        }
    }

    async fn status(&self, mut request: Request<'_>) -> Result<Sent> {
        let status = self.now(request.uptime());
        request.reply().fields([("cache-control", "no-store")]).json(&status).await
    }

    async fn events(&self, mut request: Request<'_>) -> Result<Sent> {
        let mut uptime = request.uptime();
        let mut events = request.reply().events().await?;
        loop {
            events.json(&self.now(uptime)).await?;
            if !events.pause(Duration::from_secs(1)).await {
                return events.end().await;
            }
            uptime += Duration::from_secs(1);
        }
    }
}

/// A session that is counted.
struct Open<'a>(&'a AtomicU32);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Answers the requests of one connection.
///
/// # Errors
/// What ended the session, if it did not end in order.
pub async fn serve<P: Platform, L: Shared>(demo: &Web<L>, session: &mut Session<P, Http1>) -> Result<()> {
    demo.count(session, &demo.routes(page)).await
}

/// The same without what the page does not need: `/`, `/status`, `/ws` and `/chat` alone.
///
/// # Errors
/// As for [`serve`].
pub async fn serve_chat<P: Platform, L: Shared>(
    demo: &Web<L>,
    session: &mut Session<P, Http1>,
) -> Result<()> {
    let app = routes! {
        GET "/status" => async |request| demo.status(request).await,
        GET "/ws" => websocket_echo,
        GET "/chat" => async |request| chat(&demo.room, request).await,
        _ => page,
    };
    demo.count(session, &app).await
}

/// The page, at `/`, and nothing else.
///
/// # Errors
/// What kept the answer from being sent.
pub async fn page(mut request: Request<'_>) -> Result<Sent> {
    match request.head().path() {
        "/" => request.page(&assets::INDEX_HTML).await,
        _ => Err(http1::status::error(404)),
    }
}

async fn plaintext(request: Request<'_>) -> Result<Sent> {
    request.reply().text("Hello, World!").await
}

async fn json(request: Request<'_>) -> Result<Sent> {
    request.reply().json(&Greeting { message: "Hello, World!" }).await
}

/// What a stream is made of.
const LINE: &[u8; 64] = b"netloom netloom netloom netloom netloom netloom netloom netloom\n";

async fn stream(request: Request<'_>) -> Result<Sent> {
    let (head, reply) = request.split();
    let mut left: u64 = head.param("length")?;
    let mut stream = reply.stream("text/plain").await?;
    while left > 0 {
        let n = left.min(LINE.len() as u64);
        stream.send(&LINE[..n as usize]).await?;
        left -= n;
    }
    stream.end().await
}

async fn echo(request: Request<'_>) -> Result<Sent> {
    let mut exchange = request.stream("application/octet-stream").await?;
    while let Some((piece, mut answer)) = exchange.receive().await? {
        answer.send(piece).await?;
    }
    exchange.end().await
}

async fn websocket_echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}
