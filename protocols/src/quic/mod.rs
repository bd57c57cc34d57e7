//! QUIC version 1 (RFC 9000 and 9001; datagrams, RFC 9221): packets and what is in them, read and written.
//!
//! There is no connection here, no I/O and no clock: who has one of these, an endpoint, a router of datagrams, a test, a
//! program that prints packets, needs the same words. A QUIC connection is not a [`Codec`](netloom_core::Codec); its
//! streams are what sessions run on.
//!
//! Reading borrows, never panics, and says what is wrong in the RFC's terms: a [`TransportError`] is told to the peer, a
//! [`Discard`] to nobody. Writing goes to a [`Writer`], all or nothing, and judges nothing: tests write what is wrong.
//!
//! | module | what it holds | RFC 9000 |
//! |---|---|---|
//! | [`error`] | transport error codes; why packets are dropped | 20.1 |
//! | [`varint`], [`cursor`] | integers and fields, read and written | 16 |
//! | [`version`], [`connection_id`], [`stream_id`] | what is named by numbers | 15, 5.1, 2.1 |
//! | [`invariant`] | what any version has: for routers | RFC 8999 |
//! | [`header`] | packets of a datagram and their headers | 12.2, 17 |
//! | [`packet_number`] | cut short, and made whole | 17.1, A.2, A.3 |
//! | [`protection`] | sealing and opening, by keys that are brought | RFC 9001, 5 |
//! | [`builder`] | a packet that is being made | |
//! | [`frame`] | frames, who may send them and in which packets | 12.4, 19 |
//! | [`transport_parameters`] | what the ends say of themselves | 18 |
//! | [`stateless_reset`] | the end of a connection that was forgotten | 10.3 |
//!
//! The feature `quic-crypto` adds `crypto`: keys by AES-GCM and ChaCha20-Poly1305, key update, the tag of Retry packets.

pub mod builder;
pub mod connection_id;
#[cfg(feature = "quic-crypto")]
pub mod crypto;
pub mod cursor;
pub mod error;
pub mod frame;
pub mod header;
pub mod invariant;
pub mod packet_number;
pub mod protection;
pub mod stateless_reset;
pub mod stream_id;
pub mod transport_parameters;
pub mod varint;
pub mod version;

pub use builder::PacketBuilder;
pub use connection_id::ConnectionId;
pub use cursor::{Reader, Writer};
pub use error::{Discard, TransportError};
pub use frame::{Ack, AckRanges, EcnCounts, Extent, Frame, Frames, PacketType, Stream};
pub use header::{FIXED_BIT, Header, Long, Packet, Packets, Versions};
pub use invariant::{Invariant, LongInvariant};
pub use packet_number::PacketNumber;
pub use protection::{
    HeaderKey, Opened, PacketKey, SAMPLE_LEN, TAG_LEN, Unprotected, nonce, protect, unprotect,
};
pub use stream_id::{Direction, Side, StreamId};
pub use transport_parameters::{Parameters, PreferredAddress, TransportParameters};
pub use version::Version;
