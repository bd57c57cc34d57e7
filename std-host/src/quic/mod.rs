//! QUIC v1 (RFC 9000, 9001, 9002), with datagrams (RFC 9221), by quinn-proto. Needs the feature `quic`.
//!
//! A stream is a [`Transport`](netloom_core::Transport): sessions, codecs and applications run over it unchanged. A server
//! takes QUIC beside TCP by [`Builder::quic`](crate::Builder::quic), and each stream that a client opens is a session; a
//! client connects by [`Connector::quic`](crate::Connector::quic).
//!
//! | to | use |
//! |---|---|
//! | serve sessions | [`QuicServer`] |
//! | connect a session | [`QuicClient`], through a `Connector` |
//! | open and accept streams, send datagrams, move to another address | [`Endpoint`], [`Connection`], [`Stream`] |
//! | set windows, limits, congestion control | [`Settings`] |
//! | run on another runtime, or over simulated links | [`Endpoint::on`], [`Datagrams`] |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[cfg(feature = "self-signed")] {
//! use netloom::quic::{Endpoint, QuicClient, QuicServer};
//! use netloom::tls::{Identity, TlsClient, TlsServer};
//! use netloom::{Connector, Framing, Server, ServerSession};
//!
//! async fn echo(session: &mut ServerSession<Framing>) -> netloom::Result<()> {
//!     while let Some((message, peer)) = session.receive().await? {
//!         peer.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! let identity = Identity::self_signed(["localhost"])?;
//! let tls = TlsClient::builder().authorities(identity.certificate()).server_name("localhost").build()?;
//! let server = Server::builder()
//!     .quic("127.0.0.1:0", QuicServer::new(TlsServer::new(identity)?)?)
//!     .start(Framing::new, echo)?;
//! let address = server.addresses()[0];
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // One connection, two sessions on it.
//! let endpoint = Endpoint::client()?;
//! let connection = endpoint.connect(&QuicClient::new(tls)?, address).await?;
//! let mut one = Connector::new().open_on(connection.open().await?, Framing::new());
//! let mut other = Connector::new().open_on(connection.open().await?, Framing::new());
//! one.send(b"first").await?;
//! other.send(b"second").await?;
//! assert_eq!(one.receive().await?.map(|(answer, _)| answer.to_vec()), Some(b"first".to_vec()));
//! assert_eq!(other.receive().await?.map(|(answer, _)| answer.to_vec()), Some(b"second".to_vec()));
//! one.close().await?;
//! other.close().await?;
//! connection.close(0, b"");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! server.shutdown(std::time::Duration::from_secs(1));
//! # }
//! # Ok(()) }
//! ```
//!
//! quinn-proto 0.11.19 asserts something in builds with debug assertions that is not so when a client has moved and the first question
//! for its new address could not be sent yet; without them it goes on rightly. Whoever serves clients that move with a debug build turns
//! them off for it in `Cargo.toml`:
//!
//! ```toml
//! [profile.dev.package.quinn-proto]
//! debug-assertions = false
//! ```
//!
//! How it is made: one task per socket, and so per worker, drives all its connections, with one list of those that have
//! something to do and one set of timers. This is the only place that knows quinn-proto.

mod client;
mod connection;
mod datagrams;
mod driver;
mod endpoint;
mod fault;
mod route;
mod server;
mod settings;
mod stream;
mod udp;

pub use client::{QuicClient, QuicClientBuilder};
pub use connection::Connection;
pub use datagrams::{Datagram, Datagrams, Outgoing};
pub use driver::Driver;
pub use endpoint::Endpoint;
pub use fault::{Lost, Reason};
pub use server::{QuicServer, QuicServerBuilder, Retry};
pub use settings::{Congestion, Settings};
pub use stream::Stream;
pub use udp::Udp;

pub use netloom_core::PathStats;

pub(crate) use endpoint::Counts;
pub(crate) use route::{Route, Routed, route};
pub(crate) use udp::bind;
