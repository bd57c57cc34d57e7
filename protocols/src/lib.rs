//! netloom's protocols: one module each, `no_std`, no allocation, no `unsafe`.
//!
//! Every module but one is a [`Codec`](netloom_core::Codec): bytes to events, messages to bytes, no I/O. A session
//! from netloom-core runs it over any transport.
//!
//! | module | protocol | events and messages |
//! |---|---|---|
//! | [`http1`] | HTTP/1.1 | requests and responses |
//! | [`websocket`] | WebSocket | text and binary messages |
//! | [`framing`] | a 4-byte length, then that many bytes | `&[u8]` |
//! | [`lines`] | lines of UTF-8 text | `&str` |
//!
//! | module | what is read and written without being a codec |
//! |---|---|
//! | [`quic`] | QUIC's packets, frames and transport parameters; with the feature `quic-crypto` keys for them |
#![no_std]
#![forbid(unsafe_code)]

pub mod framing;
pub mod http1;
pub mod lines;
pub mod quic;
#[cfg(test)]
mod tests;
pub mod websocket;

pub use framing::Framing;
pub use lines::Lines;
