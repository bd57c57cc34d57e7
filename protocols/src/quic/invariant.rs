//! What every version of QUIC has in common (RFC 8999): what a router needs to know of a datagram.
//!
//! ```text
//! | 1, 7 bits | version, 4 bytes | length | destination ID | length | source ID | ...
//! | 0, 7 bits | destination ID, of a length that its issuer knows | ...
//! ```

use netloom_core::Result;

use super::cursor::{Reader, Writer};
use super::error::Discard;
use super::version::Version;

/// The front of a packet of any version.
///
/// ```
/// use netloom_protocols::quic::{Invariant, Version};
///
/// // Our connection IDs have 4 bytes.
/// let packet = Invariant::read(b"\x41abcd...", 4)?;
/// assert_eq!(packet.destination_connection_id, b"abcd");
/// assert_eq!(packet.long, None);
/// # Ok::<(), netloom_protocols::quic::Discard>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant<'a> {
    /// The first byte, whose other bits are the version's.
    pub first: u8,
    /// Whom the packet is for: 0 to 255 bytes.
    pub destination_connection_id: &'a [u8],
    /// What only long headers have.
    pub long: Option<LongInvariant<'a>>,
    /// What is behind.
    pub rest: &'a [u8],
}

/// What only long headers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongInvariant<'a> {
    /// By which the rest is to be read.
    pub version: Version,
    /// Who sent it: 0 to 255 bytes.
    pub source_connection_id: &'a [u8],
}

impl<'a> Invariant<'a> {
    /// Reads the front of a packet. Connection IDs in short headers have `id_len` bytes, as their issuer knows.
    ///
    /// # Errors
    /// [`Discard::Truncated`].
    #[inline]
    pub fn read(packet: &'a [u8], id_len: usize) -> Result<Self, Discard> {
        Self::fields(&mut Reader::new(packet), id_len).ok_or(Discard::Truncated)
    }

    #[inline]
    fn fields(reader: &mut Reader<'a>, id_len: usize) -> Option<Self> {
        let first = reader.u8()?;
        if first & LONG == 0 {
            let destination_connection_id = reader.bytes(id_len as u64)?;
            return Some(Self { first, destination_connection_id, long: None, rest: reader.rest() });
        }
        let version = Version(reader.u32()?);
        let destination_connection_id = read_connection_id(reader)?;
        let source_connection_id = read_connection_id(reader)?;
        let long = Some(LongInvariant { version, source_connection_id });
        Some(Self { first, destination_connection_id, long, rest: reader.rest() })
    }

    /// Whether it may be an Initial packet of a version that is not known here: to be answered with a Version
    /// Negotiation packet if the datagram is large enough (RFC 9000, 6.1).
    pub fn wants_negotiation(&self) -> bool {
        self.long.is_some_and(|long| !long.version.is_known() && long.version != Version::NEGOTIATION)
    }
}

/// The bit of long headers.
pub(super) const LONG: u8 = 0x80;

fn read_connection_id<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u8()?;
    reader.bytes(len.into())
}

/// Writes a length of one byte and the ID.
///
/// # Errors
/// Those of [`Writer::bytes`]; more than 255 bytes are [`Code::MessageTooLarge`](netloom_core::Code::MessageTooLarge).
pub(super) fn write_connection_id(writer: &mut Writer<'_>, id: &[u8]) -> Result<()> {
    let len = u8::try_from(id.len()).map_err(|_| super::cursor::too_large())?;
    writer.u8(len)?;
    writer.bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_any_version_say_whom_they_are_for() {
        let packet = b"\x80\xfa\xce\xb0\x02\x02ab\x03cdef";
        let read = Invariant::read(packet, 9).unwrap();
        let long = LongInvariant { version: Version(0xface_b002), source_connection_id: b"cde" };
        assert_eq!(
            read,
            Invariant { first: 0x80, destination_connection_id: b"ab", long: Some(long), rest: b"f" }
        );
        assert!(read.wants_negotiation());
        for cut in 0..packet.len() - 1 {
            assert_eq!(Invariant::read(&packet[..cut], 9), Err(Discard::Truncated));
        }
    }

    #[test]
    fn ids_longer_than_ours_are_read() {
        let packet = [&[0xff, 0, 0, 0, 9, 255][..], &[1; 255], &[0]].concat();
        let read = Invariant::read(&packet, 0).unwrap();
        assert_eq!((read.destination_connection_id.len(), read.rest.len()), (255, 0));
    }

    #[test]
    fn short_headers_have_ids_of_the_length_that_is_told() {
        for (len, id) in [(0, &b""[..]), (2, b"ab"), (3, b"abc")] {
            let read = Invariant::read(b"\x00abc", len).unwrap();
            assert_eq!((read.destination_connection_id, read.long), (id, None));
            assert!(!read.wants_negotiation());
        }
        assert_eq!(Invariant::read(b"\x00abc", 4), Err(Discard::Truncated));
        assert_eq!(Invariant::read(b"\x00abc", usize::MAX), Err(Discard::Truncated));
    }

    #[test]
    fn neither_what_is_known_nor_a_negotiation_is_answered_with_one() {
        for version in [Version::V1, Version::NEGOTIATION] {
            let packet = [&[0xc0][..], &version.0.to_be_bytes(), &[0, 0]].concat();
            assert!(!Invariant::read(&packet, 0).unwrap().wants_negotiation());
        }
    }
}
