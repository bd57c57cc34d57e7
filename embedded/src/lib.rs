//! netloom on microcontrollers: sessions over embassy-net, in memory whose size is known when building.
//!
//! A board's server is three things, each a future that its tasks await:
//!
//! | what | how many | does |
//! |---|---|---|
//! | [`Acceptor::run`] | one | keeps the listening sockets, refuses politely who waited too long |
//! | [`serve`] | one per session | takes the next connection, runs the application on it, for ever |
//! | embassy-net's runner | one | moves packets |
//!
//! smoltcp has no accept queue: a connection more than there are listening sockets is reset. So there are
//! more sockets than sessions; who comes when all sessions are taken waits on a spare socket for one to
//! become free, and after [`Patience`](AcceptorOptions::patience) gets the protocol's goodbye.
//!
//! A board's client is a [`Connector`], over TCP or over TLS (feature `tls`). With the feature `sntp` it can ask for the time.
//!
//! All memory is in one [`Memory`], to be put into a named static; [`Memory::TOTAL`] is its size.
//!
//! ```
//! use netloom_embedded::{Acceptor, AcceptorOptions, Memory, Options, Stack, serve};
//! use netloom_protocols::Framing;
//!
//! /// Four sessions with queues of 1 KB each way, on six sockets of 512 bytes each way.
//! type Ours = Memory<4, 6, 1024, 512>;
//! const _: () = assert!(Ours::TOTAL <= 16 * 1024);
//!
//! async fn session(stack: Stack<'static>, memory: &'static mut Ours) {
//!     let (sockets, [first, ..]) = memory.split();
//!     let acceptor = Acceptor::new(stack, 7000, AcceptorOptions::DEFAULT, sockets);
//!     // On a board these are tasks of their own: `acceptor.run(Framing::new)`, and four of these:
//!     serve(&acceptor, first, &Options::DEFAULT, Framing::new, async |session| {
//!         while let Some((message, peer)) = session.receive().await? {
//!             peer.send(message).await?;
//!         }
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod acceptor;
mod client;
mod clock;
mod crowd;
mod memory;
mod serve;
#[cfg(feature = "sntp")]
pub mod sntp;
mod tcp;
#[cfg(feature = "tls")]
pub mod tls;

pub use acceptor::{Acceptor, AcceptorOptions};
pub use client::{Connector, Host};
pub use clock::EmbassyClock;
pub use crowd::BoardClock;
pub use embassy_net::Stack;
pub use memory::{Buffers, ClientMemory, Memory, SocketMemory};
pub use netloom_core::hub;
pub use netloom_core::{
    CloseReason, Code, Codec, Duration, Error, Options, Platform, Result, Sender, Session, Timeouts,
};
pub use serve::{BoardPlatform, BoardSession, serve};
pub use tcp::Tcp;
