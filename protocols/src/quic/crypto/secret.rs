//! Secrets, and the keys that each makes (RFC 9001, 5.1).

use core::marker::PhantomData;

use super::{SECRET_MAX, Suite};

/// What one side protects its packets of one type with.
pub struct Keys<S: Suite> {
    /// For payloads. A key update changes it.
    pub packet: S::PacketKey,
    /// For headers. It is the same after a key update (RFC 9001, 6).
    pub header: S::HeaderKey,
}

/// A secret of a TLS handshake or, after a key update, its successor.
pub struct Secret<S> {
    bytes: [u8; SECRET_MAX],
    suite: PhantomData<S>,
}

impl<S: Suite> Secret<S> {
    /// The secret that TLS made; `None` if its length is not the suite's.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let mut bytes = [0; SECRET_MAX];
        bytes.get_mut(..secret.len()).filter(|_| secret.len() == S::SECRET_LEN)?.copy_from_slice(secret);
        Some(Self { bytes, suite: PhantomData })
    }

    /// The secret with that label.
    pub(super) fn derive(&self, label: &[u8]) -> Self {
        let mut bytes = [0; SECRET_MAX];
        S::expand_label(&self.bytes, label, bytes.get_mut(..S::SECRET_LEN).unwrap_or_default());
        Self { bytes, suite: PhantomData }
    }

    /// What packets are protected with.
    pub fn keys(&self) -> Keys<S> {
        Keys { packet: self.packet_key(), header: S::header_key(&self.bytes) }
    }

    /// What payloads alone are: all that a key update makes anew.
    pub fn packet_key(&self) -> S::PacketKey {
        S::packet_key(&self.bytes)
    }

    /// The secret after a key update (RFC 9001, 6.1).
    pub fn next(&self) -> Self {
        self.derive(b"quic ku")
    }

    /// The secret itself.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..S::SECRET_LEN).unwrap_or_default()
    }
}
