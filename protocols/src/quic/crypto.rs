//! Keys for packets (RFC 9001, 5 and 6) by RustCrypto: no allocation, no I/O, no randomness.
//!
//! A TLS handshake brings [`Secret`]s of the [`Suite`] that was agreed on, and each makes [`Keys`]. Only Initial packets have
//! keys that everyone can make: [`initial`]. A suite that a program does not name is not linked.
//!
//! ```
//! use netloom_protocols::quic::crypto::initial;
//! use netloom_protocols::quic::{Frame, Frames, Header, Long, Packet, PacketBuilder, PacketNumber};
//! use netloom_protocols::quic::{Side, Version, unprotect};
//!
//! let to = b"a random ID";
//! let long = Long { version: Version::V1, destination_connection_id: to, source_connection_id: b"me" };
//! let number = PacketNumber::new(0, 1).expect("in one byte");
//! let mut datagram = [0; 1200];
//! let mut packet = PacketBuilder::new(&mut datagram, &Header::Initial { long, token: b"" }, number)?;
//! Frame::Crypto { offset: 0, data: b"ClientHello" }.write(packet.payload())?;
//! // RFC 9000, 14.1: at least 1,200 bytes.
//! packet.pad_to(1200)?;
//! let keys = initial::keys(Version::V1, to, Side::Client).expect("the version is known");
//! packet.seal(&keys.header, &keys.packet)?;
//!
//! // The server has the ID from the packet.
//! let packet = Packet::read(&datagram, 0)?;
//! let (at, to) = (packet.packet_number_at, packet.header.destination_connection_id());
//! let keys = initial::keys(Version::V1, to, Side::Client).expect("the version is known");
//! let opened = unprotect(&mut datagram, at, &keys.header, 0)?.open(&mut datagram, &keys.packet)?;
//! let hello = Frames::new(opened.payload).next();
//! assert_eq!(hello, Some(Ok(Frame::Crypto { offset: 0, data: b"ClientHello" })));
//! # Ok::<(), netloom_core::Error>(())
//! ```

mod aead;
pub mod initial;
pub mod retry;
mod secret;
#[cfg(test)]
mod tests;

pub use aead::{AeadKey, AesHeaderKey, ChaChaHeaderKey};
pub use secret::{Keys, Secret};

use aes_gcm::aead::KeyInit;
use aes_gcm::aes::{Aes128, Aes256};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use hkdf::Hkdf;
use sha2::{Sha256, Sha384};

use super::protection::{HeaderKey, PacketKey};

/// A cipher suite of TLS 1.3, as QUIC uses it.
pub trait Suite {
    /// Seals payloads.
    type PacketKey: PacketKey;
    /// Hides packet numbers.
    type HeaderKey: HeaderKey;
    /// Bytes of a secret: those that the suite's hash has.
    const SECRET_LEN: usize;
    /// Packets that may be sealed by one key (RFC 9001, 6.6).
    const CONFIDENTIALITY_LIMIT: u64;
    /// Packets that may fail to be opened, by all keys of a connection together (RFC 9001, 6.6).
    const INTEGRITY_LIMIT: u64;

    /// HKDF-Expand-Label with no context (RFC 8446, 7.1); of `secret`, the first [`SECRET_LEN`](Self::SECRET_LEN) bytes
    /// count, and `out` is not longer.
    fn expand_label(secret: &[u8; SECRET_MAX], label: &[u8], out: &mut [u8]);

    /// The key for payloads that `secret` makes.
    fn packet_key(secret: &[u8; SECRET_MAX]) -> Self::PacketKey;

    /// The key for headers that `secret` makes.
    fn header_key(secret: &[u8; SECRET_MAX]) -> Self::HeaderKey;
}

/// Room for the longest secret.
pub const SECRET_MAX: usize = 48;

/// The fixed bytes in front of a label (RFC 8446, 7.1).
const LABEL_PREFIX: &[u8] = b"tls13 ";

macro_rules! suites {
    ($($(#[$doc:meta])* $suite:ident: $aead:ident, $key_len:literal, $header_key:ty, $hash:ident, $secret_len:literal,
        $confidentiality:expr, $integrity:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $suite;

        impl Suite for $suite {
            type PacketKey = AeadKey<$aead>;
            type HeaderKey = $header_key;
            const SECRET_LEN: usize = $secret_len;
            const CONFIDENTIALITY_LIMIT: u64 = $confidentiality;
            const INTEGRITY_LIMIT: u64 = $integrity;

            fn expand_label(secret: &[u8; SECRET_MAX], label: &[u8], out: &mut [u8]) {
                let len = (out.len() as u16).to_be_bytes();
                let label_len = [(LABEL_PREFIX.len() + label.len()) as u8];
                let info = [&len[..], &label_len, LABEL_PREFIX, label, &[0]];
                Hkdf::<$hash>::from_prk(&secret[..$secret_len])
                    .expect("the secret is as long as the hash")
                    .expand_multi_info(&info, out)
                    .expect("what is wanted is not longer than 255 hashes");
            }

            fn packet_key(secret: &[u8; SECRET_MAX]) -> Self::PacketKey {
                let (mut key, mut iv) = ([0; $key_len], [0; 12]);
                Self::expand_label(secret, b"quic key", &mut key);
                Self::expand_label(secret, b"quic iv", &mut iv);
                AeadKey::new($aead::new(&key.into()), iv)
            }

            fn header_key(secret: &[u8; SECRET_MAX]) -> Self::HeaderKey {
                let mut key = [0; $key_len];
                Self::expand_label(secret, b"quic hp", &mut key);
                Self::HeaderKey::new(&key)
            }
        }
    )*};
}

suites! {
    /// TLS_AES_128_GCM_SHA256: every endpoint has it, Initial packets are protected by it.
    Aes128GcmSha256: Aes128Gcm, 16, AesHeaderKey<Aes128>, Sha256, 32, 1 << 23, 1 << 52;
    /// TLS_AES_256_GCM_SHA384.
    Aes256GcmSha384: Aes256Gcm, 32, AesHeaderKey<Aes256>, Sha384, 48, 1 << 23, 1 << 52;
    /// TLS_CHACHA20_POLY1305_SHA256: the fastest without instructions for AES.
    ChaCha20Poly1305Sha256: ChaCha20Poly1305, 32, ChaChaHeaderKey, Sha256, 32, u64::MAX, 1 << 36;
}
