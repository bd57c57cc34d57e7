//! TLS: sessions that nobody else reads or changes, by rustls. Needs the feature `tls`.
//!
//! A server listens by [`Builder::tls`](crate::Builder::tls), a client connects by [`Connector::tls`](crate::Connector::tls);
//! codecs and applications do not change. `https` and `wss` are the same: a server of HTTP that listens so, and URLs of
//! these schemes.
//!
//! | to | use |
//! |---|---|
//! | serve | [`TlsServer`] with an [`Identity`] |
//! | connect | [`TlsClient`] |
//! | serve without a certificate, for development | `Identity::self_signed`, with the feature `self-signed` |
//! | refuse certificates that were withdrawn | [`Revoked`] |
//! | know the peer | [`Transport::secured`](netloom_core::Transport::secured), [`Request::secured`](crate::http::Request::secured) |
//! | secure a stream of your own | [`TlsServer::accept`], [`TlsClient::connect`] |
//!
//! TLS 1.3 and 1.2, key exchange also by X25519MLKEM768, which a quantum computer does not break. This is the only place
//! that knows rustls.

mod cipher;
mod client;
pub(crate) mod error;
mod handshake;
mod identity;
mod pem;
mod revoked;
mod server;
mod stream;
mod verify;

pub use cipher::Cipher;
#[cfg(feature = "quic")]
pub(crate) use cipher::initial;
pub use client::{TlsClient, TlsClientBuilder};
pub use handshake::HandshakeError;
pub(crate) use handshake::poll_unheard;
pub use identity::Identity;
pub use pem::ConfigError;
pub use revoked::Revoked;
pub use server::{TlsServer, TlsServerBuilder};
pub use stream::Tls;
pub use verify::{Pin, pin_of};
