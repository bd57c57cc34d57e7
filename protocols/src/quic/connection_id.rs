//! Connection IDs (RFC 9000, 5.1), kept.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

/// A connection ID of 0 to 20 bytes, by value: 21 bytes. Packets show theirs as slices; this is for who keeps one.
///
/// ```
/// use netloom_protocols::quic::ConnectionId;
///
/// let id = ConnectionId::new(b"\x83\x94\xc8").expect("at most 20 bytes");
/// assert_eq!(&*id, b"\x83\x94\xc8");
/// assert_eq!(format!("{id:?}"), "8394c8");
/// assert!(ConnectionId::new(&[0; 21]).is_none());
/// ```
#[derive(Clone, Copy)]
pub struct ConnectionId {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl ConnectionId {
    /// Most bytes in version 1 (RFC 9000, 17.2).
    pub const MAX: usize = 20;

    /// No bytes at all: the peer's address tells connections apart.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; Self::MAX] };

    /// These bytes; `None` if they are more than 20.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut id = Self::EMPTY;
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        // At most 20, or there was no such part.
        id.len = bytes.len() as u8;
        Some(id)
    }
}

impl Deref for ConnectionId {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for ConnectionId {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for ConnectionId {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for ConnectionId {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ConnectionId {}

impl Hash for ConnectionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_length_are_kept_and_longer_ones_refused() {
        let bytes = [7; 300];
        for len in 0..=20 {
            let id = ConnectionId::new(&bytes[..len]).unwrap();
            assert_eq!((&*id, id.as_ref()), (&bytes[..len], &bytes[..len]));
            assert_eq!(id == ConnectionId::EMPTY, len == 0);
        }
        for len in [21, 255, 256, 300] {
            assert_eq!(ConnectionId::new(&bytes[..len]), None);
        }
    }

    #[test]
    fn a_kept_id_is_21_bytes() {
        assert_eq!(size_of::<ConnectionId>(), 21);
    }
}
