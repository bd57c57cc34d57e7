//! Headers of packets (RFC 9000, 17), as far as they are not protected.
//!
//! ```text
//! Initial    | 1 1 00 .... | version | IDs | token length | token | Length | packet number, payload, tag |
//! 0-RTT      | 1 1 01 .... | version | IDs | Length | packet number, payload, tag |
//! Handshake  | 1 1 10 .... | version | IDs | Length | packet number, payload, tag |
//! Retry      | 1 1 11 .... | version | IDs | token | integrity tag |
//! 1-RTT      | 0 1 s ..... | destination ID | packet number, payload, tag |         to the datagram's end
//! Version N. | 1 ......... | 0 | IDs | versions, 4 bytes each |
//! ```
//!
//! The dots are protected, or arbitrary: [`protection`](super::protection) tells what they are.

use netloom_core::Result;

use super::connection_id::ConnectionId;
use super::cursor::{Reader, Writer};
use super::error::Discard;
use super::frame::PacketType;
use super::invariant::{Invariant, LONG, write_connection_id};
use super::version::Version;

/// What tells QUIC from other protocols on a port (RFC 9000, 17.2; RFC 9287 lets it be 0).
pub const FIXED_BIT: u8 = 0x40;
/// Where 1-RTT packets spin (RFC 9000, 17.4).
pub(super) const SPIN_BIT: u8 = 0x20;
const TYPE: u8 = 0x30;

/// What a long header of version 1 has, whatever its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long<'a> {
    /// By which the packet is to be read.
    pub version: Version,
    /// Whom it is for: 0 to 20 bytes.
    pub destination_connection_id: &'a [u8],
    /// Who sent it: 0 to 20 bytes.
    pub source_connection_id: &'a [u8],
}

/// A header, up to the packet number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// 17.2.2.
    Initial {
        /// What all have.
        long: Long<'a>,
        /// Of a Retry packet or a NEW_TOKEN frame; empty if there is none, and from servers.
        token: &'a [u8],
    },
    /// 17.2.3.
    ZeroRtt(Long<'a>),
    /// 17.2.4.
    Handshake(Long<'a>),
    /// 17.2.5.
    Retry {
        /// What all have.
        long: Long<'a>,
        /// To be sent back. (A client discards the packet if it is empty.)
        token: &'a [u8],
        /// What proves that the sender has seen the Initial packet (RFC 9001, 5.8).
        integrity_tag: &'a [u8; 16],
    },
    /// 17.2.1.
    VersionNegotiation {
        /// The client's source connection ID, 0 to 255 bytes.
        destination_connection_id: &'a [u8],
        /// The client's destination connection ID, 0 to 255 bytes.
        source_connection_id: &'a [u8],
        /// What the server speaks.
        versions: Versions<'a>,
    },
    /// 17.3.1.
    OneRtt {
        /// Whom it is for: 0 to 20 bytes.
        destination_connection_id: &'a [u8],
        /// 17.4.
        spin: bool,
    },
}

impl<'a> Header<'a> {
    /// The type of packet, if it is one that carries frames.
    pub const fn packet_type(&self) -> Option<PacketType> {
        match self {
            Self::Initial { .. } => Some(PacketType::Initial),
            Self::ZeroRtt(_) => Some(PacketType::ZeroRtt),
            Self::Handshake(_) => Some(PacketType::Handshake),
            Self::OneRtt { .. } => Some(PacketType::OneRtt),
            Self::Retry { .. } | Self::VersionNegotiation { .. } => None,
        }
    }

    /// The long header, of version 1.
    pub const fn long(&self) -> Option<&Long<'a>> {
        match self {
            Self::Initial { long, .. }
            | Self::ZeroRtt(long)
            | Self::Handshake(long)
            | Self::Retry { long, .. } => Some(long),
            Self::VersionNegotiation { .. } | Self::OneRtt { .. } => None,
        }
    }

    /// Whom the packet is for.
    pub const fn destination_connection_id(&self) -> &'a [u8] {
        match self {
            Self::Initial { long, .. }
            | Self::ZeroRtt(long)
            | Self::Handshake(long)
            | Self::Retry { long, .. } => long.destination_connection_id,
            Self::VersionNegotiation { destination_connection_id, .. }
            | Self::OneRtt { destination_connection_id, .. } => destination_connection_id,
        }
    }

    /// The first byte: the bits that are not protected, and zeros.
    pub(super) const fn first(&self) -> u8 {
        match self {
            Self::Initial { .. } => LONG | FIXED_BIT,
            Self::ZeroRtt(_) => LONG | FIXED_BIT | 0x10,
            Self::Handshake(_) => LONG | FIXED_BIT | 0x20,
            Self::Retry { .. } => LONG | FIXED_BIT | 0x30,
            // RFC 9000, 17.2.1: it should look like the fixed bit.
            Self::VersionNegotiation { .. } => LONG | FIXED_BIT,
            Self::OneRtt { spin: false, .. } => FIXED_BIT,
            Self::OneRtt { spin: true, .. } => FIXED_BIT | SPIN_BIT,
        }
    }

    /// Writes the header, up to Length and the packet number, which [`PacketBuilder`](super::PacketBuilder) writes.
    /// Retry and Version Negotiation are then complete packets.
    ///
    /// # Errors
    /// Those of [`Writer::varint`]; a connection ID of more than 255 bytes is
    /// [`Code::MessageTooLarge`](netloom_core::Code::MessageTooLarge).
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        writer.all_or_nothing(|writer| {
            writer.u8(self.first())?;
            match *self {
                Self::Initial { ref long, token } => {
                    long.write(writer)?;
                    writer.prefixed(token)
                }
                Self::ZeroRtt(ref long) | Self::Handshake(ref long) => long.write(writer),
                Self::Retry { ref long, token, integrity_tag } => {
                    long.write(writer)?;
                    writer.bytes(token)?;
                    writer.bytes(integrity_tag)
                }
                Self::VersionNegotiation { destination_connection_id, source_connection_id, versions } => {
                    let version = Version::NEGOTIATION;
                    Long { version, destination_connection_id, source_connection_id }.write(writer)?;
                    writer.bytes(versions.0)
                }
                Self::OneRtt { destination_connection_id, .. } => writer.bytes(destination_connection_id),
            }
        })
    }
}

impl Long<'_> {
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        writer.u32(self.version.0)?;
        write_connection_id(writer, self.destination_connection_id)?;
        write_connection_id(writer, self.source_connection_id)
    }
}

/// Versions, as in a Version Negotiation packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions<'a>(&'a [u8]);

impl<'a> Versions<'a> {
    /// Reads versions of 4 bytes each; `None` if something is left over.
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() & 3 == 0 { Some(Self(bytes)) } else { None }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Version> + Clone + use<'a> {
        self.0.as_chunks().0.iter().map(|bytes| Version(u32::from_be_bytes(*bytes)))
    }
}

/// A packet of a datagram: where it ends, and its header.
///
/// ```
/// use netloom_protocols::quic::{Discard, Header, Packet, PacketType};
///
/// // Two packets in one datagram, both for "id".
/// let datagram = b"\xe0\0\0\0\x01\x02id\x03you\x15\x01...................\x03\x40id....................";
/// let packet = Packet::read(datagram, 2)?;
/// assert_eq!(packet.header.packet_type(), Some(PacketType::Handshake));
/// let (handshake, rest) = datagram.split_at(packet.len);
/// assert_eq!(Packet::read(rest, 2)?.header, Header::OneRtt { destination_connection_id: b"id", spin: false });
/// # Ok::<(), Discard>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What is not protected of it.
    pub header: Header<'a>,
    /// The first byte as it came, protected.
    pub first: u8,
    /// Where the packet number begins, if there is one: what [`unprotect`](super::unprotect) is told.
    pub packet_number_at: usize,
    /// Bytes of the packet. What is behind is the next one.
    pub len: usize,
}

impl<'a> Packet<'a> {
    /// Reads the packet at the front of `datagram`. Connection IDs in short headers have `id_len` bytes.
    ///
    /// Whether the [fixed bit](Self::has_fixed_bit) is there is not judged: such a packet is to be discarded (RFC 9000,
    /// 17.2 and 17.3.1) unless that was agreed on (RFC 9287). A packet behind another is to be ignored if its destination
    /// connection ID differs (RFC 9000, 12.2).
    ///
    /// # Errors
    /// Why it is to be discarded, and all of the datagram with it.
    #[inline]
    pub fn read(datagram: &'a [u8], id_len: usize) -> Result<Self, Discard> {
        let front = Invariant::read(datagram, id_len)?;
        let (first, destination_connection_id) = (front.first, front.destination_connection_id);
        let Some(long) = front.long else {
            let header = Header::OneRtt { destination_connection_id, spin: first & SPIN_BIT != 0 };
            let packet_number_at = datagram.len() - front.rest.len();
            return Ok(Self { header, first, packet_number_at, len: datagram.len() });
        };
        let (version, source_connection_id) = (long.version, long.source_connection_id);
        let mut reader = Reader::new(front.rest);
        if version == Version::NEGOTIATION {
            let versions = Versions::new(front.rest).ok_or(Discard::Truncated)?;
            let header =
                Header::VersionNegotiation { destination_connection_id, source_connection_id, versions };
            return Ok(Self::whole(header, first, datagram));
        }
        if !version.is_known() {
            return Err(Discard::UnknownVersion);
        }
        // RFC 9000, 17.2: such a packet MUST be dropped.
        if destination_connection_id.len().max(source_connection_id.len()) > ConnectionId::MAX {
            return Err(Discard::ConnectionIdTooLong);
        }
        let long = Long { version, destination_connection_id, source_connection_id };
        let header = match first & TYPE {
            0x00 => Header::Initial { long, token: reader.prefixed().ok_or(Discard::Truncated)? },
            0x10 => Header::ZeroRtt(long),
            0x20 => Header::Handshake(long),
            _ => {
                let (token, integrity_tag) = front.rest.split_last_chunk().ok_or(Discard::Truncated)?;
                return Ok(Self::whole(Header::Retry { long, token, integrity_tag }, first, datagram));
            }
        };
        let len = reader.varint().ok_or(Discard::Truncated)?;
        let packet_number_at = datagram.len() - reader.len();
        reader.bytes(len).ok_or(Discard::Truncated)?;
        Ok(Self { header, first, packet_number_at, len: datagram.len() - reader.len() })
    }

    fn whole(header: Header<'a>, first: u8, datagram: &[u8]) -> Self {
        Self { header, first, packet_number_at: datagram.len(), len: datagram.len() }
    }

    /// Whether the bit is 1 that must be (RFC 9000, 17.2 and 17.3.1), but in Version Negotiation packets.
    pub const fn has_fixed_bit(&self) -> bool {
        self.first & FIXED_BIT != 0 || matches!(self.header, Header::VersionNegotiation { .. })
    }
}

/// The packets of a datagram, one after the other; after an error none.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
    id_len: usize,
}

impl<'a> Packets<'a> {
    /// The packets of `datagram`. Connection IDs in short headers have `id_len` bytes.
    pub const fn new(datagram: &'a [u8], id_len: usize) -> Self {
        Self { rest: datagram, id_len }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<(Packet<'a>, &'a [u8]), Discard>;

    /// A packet, and its bytes.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = Packet::read(self.rest, self.id_len);
        let len = read.as_ref().map_or(self.rest.len(), |packet| packet.len);
        // A packet ends within its datagram.
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(read.map(|packet| (packet, bytes)))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use netloom_core::{Code, Error, Fault};

    use super::*;
    use crate::tests::Noise;

    const LONG_HEADER: Long<'static> =
        Long { version: Version::V1, destination_connection_id: b"to", source_connection_id: b"from" };

    fn samples() -> [(&'static [u8], Header<'static>); 6] {
        [
            (
                b"\xc0\0\0\0\x01\x02to\x04from\x03tok\x05....!",
                Header::Initial { long: LONG_HEADER, token: b"tok" },
            ),
            (b"\xd0\0\0\0\x01\x02to\x04from\x40\x05....!", Header::ZeroRtt(LONG_HEADER)),
            (b"\xe0\0\0\0\x01\x02to\x04from\x05....!", Header::Handshake(LONG_HEADER)),
            (
                b"\xf0\0\0\0\x01\x02to\x04fromtoken0123456789abcdef",
                Header::Retry { long: LONG_HEADER, token: b"token", integrity_tag: b"0123456789abcdef" },
            ),
            (
                b"\xc0\0\0\0\0\x02to\x04from\0\0\0\x01\x1a\x2a\x3a\x4a",
                Header::VersionNegotiation {
                    destination_connection_id: b"to",
                    source_connection_id: b"from",
                    versions: Versions(b"\0\0\0\x01\x1a\x2a\x3a\x4a"),
                },
            ),
            (b"\x60to....!", Header::OneRtt { destination_connection_id: b"to", spin: true }),
        ]
    }

    #[test]
    fn every_header_is_read_and_written_as_the_rfc_has_it() {
        for (bytes, header) in samples() {
            let packet = Packet::read(bytes, 2).unwrap();
            assert_eq!((packet.header, packet.len, packet.first), (header, bytes.len(), bytes[0]));
            assert!(packet.has_fixed_bit());
            assert_eq!(header.destination_connection_id(), b"to");
            let is_protected = header.packet_type().is_some();
            assert_eq!(
                bytes.get(packet.packet_number_at..),
                Some(if is_protected { &b"....!"[..] } else { b"" })
            );
            let mut room = [0; 64];
            let mut writer = Writer::new(&mut room);
            header.write(&mut writer).unwrap();
            assert!(bytes.starts_with(writer.written()), "{header:?}");
            let len = writer.len();
            assert_eq!(is_protected, len < bytes.len());
            for room in 0..len {
                let mut room = vec![0; room];
                let mut writer = Writer::new(&mut room);
                assert_eq!((header.write(&mut writer), writer.len()), (Err(Code::BufferFull.into()), 0));
            }
        }
    }

    #[test]
    fn a_packet_that_is_cut_is_discarded() {
        for (bytes, header) in samples() {
            for cut in 0..bytes.len() {
                let read = Packet::read(&bytes[..cut], 2);
                let may_be_shorter = match header {
                    Header::OneRtt { .. } => cut >= 3,
                    Header::Retry { .. } => cut >= 13 + 16,
                    Header::VersionNegotiation { .. } => cut >= 13 && (cut - 13) % 4 == 0,
                    _ => false,
                };
                assert_eq!(read.is_ok(), may_be_shorter, "{header:?} at {cut}");
                assert!(may_be_shorter || read == Err(Discard::Truncated));
            }
        }
    }

    #[test]
    fn packets_in_a_datagram_are_told_apart_by_their_lengths() {
        let samples = samples();
        let all = [1, 2, 0, 5].map(|i| samples[i]);
        let datagram = all.iter().flat_map(|(bytes, _)| bytes.to_vec()).collect::<Vec<_>>();
        let read: Vec<_> = Packets::new(&datagram, 2).map(Result::unwrap).collect();
        assert!(read.iter().map(|(packet, bytes)| (*bytes, packet.header)).eq(all));
        // Padding behind packets is no packet.
        let datagram = [samples[2].0, &[0; 9]].concat();
        let (padding, _) = Packets::new(&datagram, 2).nth(1).unwrap().unwrap();
        assert!(!padding.has_fixed_bit());
        let datagram = [samples[2].0, &[0xc0]].concat();
        let mut packets = Packets::new(&datagram, 2).skip(1);
        assert_eq!(packets.next(), Some(Err(Discard::Truncated)));
        assert_eq!(packets.next(), None);
    }

    #[test]
    fn other_versions_and_longer_ids_are_discarded() {
        let packet = |version, to: &[u8], from: &[u8]| {
            let mut room = [0; 600];
            let mut writer = Writer::new(&mut room);
            let long = Long { version, destination_connection_id: to, source_connection_id: from };
            Header::Handshake(long).write(&mut writer).unwrap();
            writer.prefixed(b"....!").unwrap();
            Packet::read(writer.written(), 0).map(|packet| packet.len)
        };
        assert_eq!(packet(Version::V1, &[1; 20], &[2; 20]), Ok(53));
        assert_eq!(packet(Version::V1, &[1; 21], &[2; 20]), Err(Discard::ConnectionIdTooLong));
        assert_eq!(packet(Version::V1, &[1; 20], &[2; 255]), Err(Discard::ConnectionIdTooLong));
        assert_eq!(packet(Version(2), &[1; 20], &[2; 20]), Err(Discard::UnknownVersion));
    }

    #[test]
    fn negotiation_has_long_ids_any_first_bits_and_whole_versions() {
        let versions = [Version::V1, Version(0x1a2a_3a4a)];
        let mut room = [0; 600];
        let mut writer = Writer::new(&mut room);
        let header = Header::VersionNegotiation {
            destination_connection_id: &[1; 255],
            source_connection_id: &[2; 21],
            versions: Versions::new(b"\0\0\0\x01\x1a\x2a\x3a\x4a").unwrap(),
        };
        header.write(&mut writer).unwrap();
        writer.written_mut()[0] = 0x80;
        let packet = Packet::read(writer.written(), 0).unwrap();
        assert!(packet.has_fixed_bit());
        assert_eq!(packet.header, header);
        let Header::VersionNegotiation { versions: read, .. } = packet.header else { panic!() };
        assert!(read.iter().eq(versions));
        writer.u8(0).unwrap();
        assert_eq!(Packet::read(writer.written(), 0), Err(Discard::Truncated));
        assert_eq!(Versions::new(b"\0"), None);
    }

    #[test]
    fn a_fixed_bit_of_zero_is_told() {
        for (bytes, header) in samples() {
            let mut bytes = bytes.to_vec();
            bytes[0] &= !FIXED_BIT;
            let is_negotiation = matches!(header, Header::VersionNegotiation { .. });
            assert_eq!(Packet::read(&bytes, 2).unwrap().has_fixed_bit(), is_negotiation);
        }
    }

    #[test]
    fn an_id_that_has_no_length_is_our_fault() {
        let header = Header::Handshake(Long { source_connection_id: &[0; 256], ..LONG_HEADER });
        let mut room = [0; 600];
        let too_large = Error::new(Code::MessageTooLarge).blame(Fault::Local);
        assert_eq!(header.write(&mut Writer::new(&mut room)), Err(too_large));
    }

    #[test]
    fn whatever_is_changed_packets_lie_within_their_datagram() {
        let mut noise = Noise::new(2);
        for _ in 0..20_000 {
            let [one, other] = [noise.below(6), noise.below(6)].map(|any| samples()[any].0);
            let datagram = noise.mutated(&[one, other].concat());
            let mut len = 0;
            for (packet, bytes) in Packets::new(&datagram, noise.below(22)).map_while(Result::ok) {
                assert!(packet.len == bytes.len() && packet.packet_number_at <= packet.len && packet.len > 0);
                assert!(packet.header.long().is_none_or(|long| long.version == Version::V1));
                len += packet.len;
            }
            assert!(len <= datagram.len());
        }
    }
}
