//! netloom's core: what a session is, on a desktop, on a microcontroller and in a simulation.
//!
//! No I/O, no clock, no allocation, no `unsafe`: everything that differs between hosts is an argument.
//!
//! ```text
//! socket -> Transport -> rx queue -> Codec::decode -> event
//!                                                       |  application
//! socket <- Transport <- tx queue <- Codec::encode <- message
//! ```
//!
//! Read in this order:
//!
//! | module | what it holds |
//! |---|---|
//! | [`time`] | moments as numbers; the core never asks what time it is |
//! | [`error`] | the one [`Error`], 4 bytes, with a stable number and who is at fault |
//! | [`buffer`] | queues of bytes in storage the host lends |
//! | [`codec`] | what a protocol is: bytes to events, messages to bytes |
//! | [`platform`] | what a host provides: a byte stream, storage, a clock |
//! | [`options`] | the limits and time-outs of a session, with their defaults |
//! | [`session`] | one connection, for the application: `receive().await`, `send().await` |
//! | [`hub`] | one says it, all are told: rooms and broadcasts |
//!
//! An application is an async function over a session, and names neither host nor socket:
//!
//! ```
//! use netloom_core::{Codec, Platform, Result, Session};
//!
//! async fn echo<P: Platform, C>(session: &mut Session<P, C>) -> Result<()>
//! where
//!     C: for<'a> Codec<Event<'a> = <C as Codec>::Message<'a>>,
//! {
//!     while let Some((message, peer)) = session.receive().await? {
//!         peer.send(message).await?;
//!     }
//!     Ok(())
//! }
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub mod buffer;
pub mod codec;
pub mod error;
pub mod hub;
pub mod options;
pub mod platform;
pub mod session;
pub mod time;

pub use buffer::{Outbox, Storage};
pub use codec::{Codec, Limits, Step};
pub use error::{Code, Error, Fault, Result};
pub use options::{Options, Timeouts};
pub use platform::{Clock, Parts, PathStats, Platform, Secured, Transport};
pub use session::{CloseReason, Link, LinkParts, Outlet, Sender, Session, Stats};
pub use time::{Date, Duration, Instant};
