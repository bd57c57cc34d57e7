//! netloom on desktops: servers with one thread per core, and clients for any tokio runtime.
//!
//! A server and a client of length-prefixed messages:
//!
//! ```
//! use netloom::{Framing, Result, Server, ServerSession};
//!
//! async fn echo(session: &mut ServerSession<Framing>) -> Result<()> {
//!     while let Some((message, peer)) = session.receive().await? {
//!         peer.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().tcp("127.0.0.1:0").start(Framing::new, echo)?;
//! let address = server.addresses()[0];
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut client = netloom::connect(address, Framing::new()).await?;
//! client.send(b"hello").await?;
//! let (answer, _) = client.receive().await?.expect("an answer");
//! assert_eq!(answer, b"hello");
//! client.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! server.shutdown(std::time::Duration::from_secs(1));
//! # Ok(()) }
//! ```
//!
//! | to | use |
//! |---|---|
//! | serve | [`Server::builder`] |
//! | serve pages, or an API | [`Builder::http`] with [`routes!`], and the module [`http`] |
//! | ask a web server | [`http::Client`] |
//! | speak WebSocket | [`websocket::accept`] in a handler, [`websocket::connect`] |
//! | tell many the same | [`hub`] |
//! | connect | [`connect`], [`Connector`] |
//! | secure all that | `Builder::tls`, `Connector::tls`: the module `tls`, a feature |
//! | have it over QUIC | `Builder::quic`, `Connector::quic`: the module `quic`, a feature |
//! | stop | [`Server::shutdown`], [`Stopper`] |
//! | write an application for boards too | a generic `async fn` over [`Session`], as in netloom-core |
//! | write a protocol | [`Codec`] |
//!
//! | feature | what |
//! |---|---|
//! | `compression` (default) | content codings, of the client's responses and the server's; compressed WebSocket messages |
//! | `tls`, `quic` | those modules |
//! | `mozilla-roots`, `self-signed` | Mozilla's authorities beside the system's; certificates made on the spot, for development |
//! | `tower` | any `tower::Service` as an application: an axum `Router` |
//!
//! How it is made: each worker is one thread with its own single-threaded tokio runtime, its own listener
//! (`SO_REUSEPORT`) and its own pool of buffers. Sessions never leave their worker, so applications need
//! not be `Send` and share nothing by accident. A session that waits holds no buffer.
#![forbid(unsafe_code)]

mod address;
mod admission;
mod alarm;
mod client;
mod clock;
mod heap;
pub mod http;
pub mod hub;
mod listen;
mod pool;
#[cfg(feature = "quic")]
pub mod quic;
mod roster;
mod server;
mod stream;
mod tcp;
mod ticks;
mod timers;
#[cfg(feature = "tls")]
pub mod tls;
pub mod websocket;
mod worker;

pub use netloom_core::{
    self as core, CloseReason, Code, Codec, Duration, Error, Fault, Instant, Limits, Options, Outbox,
    Platform, Result, Sender, Session, Stats, Step, Storage, Timeouts, Transport,
};
pub use netloom_protocols::{self as protocols, Framing, Lines, routes};

pub use address::ToAddress;
pub use client::{ClientPlatform, ClientSession, ConnectError, Connector, connect};
pub use clock::TokioClock;
pub use heap::Heap;
pub use listen::Spread;
pub use pool::Lent;
pub use server::{Builder, Ended, Server, ServerStats, StartError, Stopper};
pub use stream::Stream;
pub use tcp::Tcp;
pub use worker::{ServerPlatform, ServerSession};

/// The examples of the README compile and run.
#[cfg(all(doctest, feature = "self-signed"))]
#[doc = include_str!("../../README.md")]
struct Readme;
