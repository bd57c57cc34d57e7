//! WebSocket (RFC 6455): both roles, reached by upgrade from HTTP/1.1.
//!
//! A handler calls [`accept`] and has a [`WebSocket`]; a client's handshake is [`Connect`]. Both are a [`Socket`]:
//! whole messages, pings answered, closed in order.
//!
//! | file | its idea |
//! |---|---|
//! | `header.rs` | a frame's header, read and written |
//! | `mask.rs` | masking, at the speed of memory |
//! | `utf8.rs` | text that comes in pieces |
//! | `close.rs` | which close code says what |
//! | `frames.rs` | the codec: frames and pieces of frames |
//! | `carrier.rs` | what a socket is on: an upgraded request, or a session |
//! | `socket.rs` | whole messages for applications |
//! | `handshake.rs`, `sha1.rs` | what both sides say to get here |
//! | `accept.rs`, `connect.rs` | the server's side of that, and the client's |
//! | `compression.rs`, `extension.rs` | permessage-deflate (RFC 7692), where a host brings it |

mod accept;
mod carrier;
pub mod close;
mod compression;
mod connect;
#[cfg(feature = "deflate")]
mod extension;
mod frames;
mod handshake;
mod header;
mod mask;
mod sha1;
mod socket;
mod utf8;

pub use accept::{Accept, accept};
pub use carrier::{Carrier, Parts, Speaker, Upgraded};
pub use compression::{Compression, Deflate, Inflate, Never, Parameters};
#[cfg(feature = "deflate")]
pub use connect::agreed_on;
pub use connect::{ClientSocket, Connect, agreed};
#[cfg(feature = "deflate")]
pub use extension::{Offer, offers};
pub use frames::{Client, Event, Found, Frame, Frames, Kind, Piece, Role, Server, encode};
pub use handshake::{accept_for, key_of};
pub use mask::mask;
pub use socket::{Fragments, Message, Peer, PeerOf, Socket, WebSocket, publish, published};
