//! A packet that is being made: header, packet number, frames, and then it is sealed.

use netloom_core::{Code, Result};

use super::cursor::Writer;
use super::header::Header;
use super::packet_number::PacketNumber;
use super::protection::{HeaderKey, KEY_PHASE, PAYLOAD_MIN, PacketKey, TAG_LEN, protect};

/// The most that Length says in two bytes.
const SHORT_LENGTH_MAX: usize = 0x3fff;

/// A packet of a type that carries frames, in the room of a datagram.
///
/// Frames are written to [`payload`](Self::payload); [`seal`](Self::seal) sets Length, pads where there would be nothing
/// to take a sample of, and protects. What was sealed can be followed by another packet in the rest of the room.
///
/// ```
/// use netloom_protocols::quic::{Frame, Header, PacketBuilder, PacketNumber};
/// # use netloom_protocols::quic::{Discard, HeaderKey, PacketKey, SAMPLE_LEN, TAG_LEN};
/// # struct Keys;
/// # impl HeaderKey for Keys {
/// #     fn mask(&self, _: &[u8; SAMPLE_LEN]) -> [u8; 5] { [0; 5] }
/// # }
/// # impl PacketKey for Keys {
/// #     fn seal(&self, _: u64, _: &[u8], _: &mut [u8]) -> netloom_core::Result<[u8; TAG_LEN]> { Ok([0; TAG_LEN]) }
/// #     fn open(&self, _: u64, _: &[u8], _: &mut [u8]) -> Result<(), Discard> { Ok(()) }
/// # }
/// # let keys = Keys;
///
/// let mut datagram = [0; 1200];
/// let header = Header::OneRtt { destination_connection_id: b"id", spin: false };
/// let number = PacketNumber::after(7, Some(6)).expect("one is not too many");
/// let mut packet = PacketBuilder::new(&mut datagram, &header, number)?;
/// Frame::Ping.write(packet.payload())?;
/// let len = packet.seal(&keys, &keys)?;
/// assert_eq!(len, 1 + 2 + 1 + 3 + 16, "two bytes of padding");
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketBuilder<'a> {
    writer: Writer<'a>,
    first: u8,
    /// Where Length stands and in how many bytes, in a long header.
    length: Option<(usize, usize)>,
    packet_number_at: usize,
    packet_number: PacketNumber,
}

impl<'a> PacketBuilder<'a> {
    /// Begins a packet at the front of `room`.
    ///
    /// # Errors
    /// Those of [`Header::write`]; [`Code::BufferFull`] also without room for four bytes of payload and the tag.
    /// [`Code::Unsupported`] for a header that has no frames behind it.
    pub fn new(room: &'a mut [u8], header: &Header<'_>, packet_number: PacketNumber) -> Result<Self> {
        if header.packet_type().is_none() {
            return Err(Code::Unsupported.into());
        }
        let length_size = if room.len() > SHORT_LENGTH_MAX { 4 } else { 2 };
        let mut writer = Writer::new(room);
        header.write(&mut writer)?;
        let length = match header.long() {
            Some(_) => {
                let at = writer.len();
                writer.take(length_size)?;
                Some((at, length_size))
            }
            None => None,
        };
        let packet_number_at = writer.len();
        let number = packet_number.truncated().to_be_bytes();
        let len = packet_number.len();
        writer.bytes(number.get(number.len() - len..).unwrap_or_default())?;
        writer.reserve(TAG_LEN);
        if writer.room() < PAYLOAD_MIN {
            return Err(Code::BufferFull.into());
        }
        // 1 to 4, so two bits.
        let first = header.first() | (len - 1) as u8;
        Ok(Self { writer, first, length, packet_number_at, packet_number })
    }

    /// Where frames are written to: the room that is left for them.
    pub const fn payload(&mut self) -> &mut Writer<'a> {
        &mut self.writer
    }

    /// Bytes that the packet would have, sealed, if it ended here.
    pub const fn len(&self) -> usize {
        self.writer.len() + TAG_LEN
    }

    /// Whether there is no payload yet.
    pub const fn is_empty(&self) -> bool {
        self.writer.len() <= self.header_len()
    }

    const fn header_len(&self) -> usize {
        self.packet_number_at + self.packet_number.len()
    }

    /// Sets the key phase bit (RFC 9001, 6). For 1-RTT packets only: in others it is reserved.
    pub const fn set_key_phase(&mut self, key_phase: bool) {
        self.first = if key_phase { self.first | KEY_PHASE } else { self.first & !KEY_PHASE };
    }

    /// The first byte as it is before it is protected. It is right: this is for who wants it wrong, or sets the fixed bit
    /// at random (RFC 9287). The last two bits say how long the packet number is.
    pub const fn first_byte(&mut self) -> &mut u8 {
        &mut self.first
    }

    /// Pads the packet so that it has `len` bytes when it is sealed; one that has more is left as it is.
    ///
    /// # Errors
    /// [`Code::BufferFull`].
    pub fn pad_to(&mut self, len: usize) -> Result<()> {
        self.writer.take(len.saturating_sub(self.len()))?.fill(0);
        Ok(())
    }

    /// Seals the packet: its length. It lies at the front of the room.
    ///
    /// # Errors
    /// Those of [`protect`].
    pub fn seal(mut self, header_key: &impl HeaderKey, packet_key: &impl PacketKey) -> Result<usize> {
        let missing = (self.packet_number_at + PAYLOAD_MIN).saturating_sub(self.writer.len());
        self.writer.take(missing)?.fill(0);
        self.writer.reserve(0);
        self.writer.take(TAG_LEN)?;
        let packet = self.writer.written_mut();
        let len = packet.len();
        if let Some(first) = packet.first_mut() {
            *first = self.first;
        }
        if let Some((at, size)) = self.length {
            let value = (len - self.packet_number_at) as u64;
            let mut length = Writer::new(packet.get_mut(at..).unwrap_or_default());
            length.varint_in(value, size)?;
        }
        protect(packet, self.packet_number_at, self.packet_number.value(), header_key, packet_key)?;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;

    use netloom_core::Error;

    use super::super::frame::Frame;
    use super::super::header::{Long, Packet, Versions};
    use super::super::protection::tests::Plain;
    use super::super::protection::unprotect;
    use super::super::version::Version;
    use super::*;

    const LONG: Long<'static> =
        Long { version: Version::V1, destination_connection_id: b"to", source_connection_id: b"from" };

    fn number(len: usize) -> PacketNumber {
        PacketNumber::new(0x1122_3344_5566, len).unwrap()
    }

    #[test]
    fn packets_of_every_type_and_length_are_made_and_opened() {
        let headers = [
            Header::Initial { long: LONG, token: b"token" },
            Header::ZeroRtt(LONG),
            Header::Handshake(LONG),
            Header::OneRtt { destination_connection_id: b"to", spin: true },
        ];
        for header in headers {
            for (pn_len, len, room) in
                [(1, 0, 100), (2, 1, 100), (3, 2, 100), (4, 30, 100), (2, 20_000, 30_000)]
            {
                let mut room = vec![0xaa; room];
                let mut packet = PacketBuilder::new(&mut room, &header, number(pn_len)).unwrap();
                assert!(packet.is_empty());
                packet.payload().take(len).unwrap().fill(1);
                let before = packet.len();
                let sealed = packet.seal(&Plain, &Plain).unwrap();
                assert_eq!(sealed, before + 4usize.saturating_sub(pn_len + len));
                assert!(room[sealed..].iter().all(|byte| *byte == 0xaa), "only the packet is written");
                let read = Packet::read(&room[..sealed], 2).unwrap();
                assert_eq!((read.header, read.len), (header, sealed));
                let at = read.packet_number_at;
                let plain = unprotect(&mut room[..sealed], at, &Plain, 0x1122_3344_5560).unwrap();
                let opened = plain.open(&mut room[..sealed], &Plain).unwrap();
                assert_eq!((opened.packet_number, opened.check()), (0x1122_3344_5566, Ok(())));
                let (ours, padding) = opened.payload.split_at(len);
                assert!(ours.iter().all(|byte| *byte == 1) && padding.iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn a_packet_is_padded_to_the_length_that_is_wanted() {
        let mut room = [0; 1300];
        let header = Header::Initial { long: LONG, token: b"" };
        let mut packet = PacketBuilder::new(&mut room, &header, number(4)).unwrap();
        Frame::Ping.write(packet.payload()).unwrap();
        packet.pad_to(1200).unwrap();
        packet.pad_to(10).unwrap();
        assert_eq!((packet.len(), packet.is_empty()), (1200, false));
        assert_eq!(packet.pad_to(1301), Err(Code::BufferFull.into()));
        assert_eq!(packet.seal(&Plain, &Plain), Ok(1200));
    }

    #[test]
    fn the_first_byte_is_as_it_is_set() {
        let header = Header::OneRtt { destination_connection_id: b"to", spin: false };
        let mut room = [0; 60];
        let mut packet = PacketBuilder::new(&mut room, &header, number(2)).unwrap();
        packet.set_key_phase(false);
        packet.set_key_phase(true);
        assert_eq!(*packet.first_byte(), 0x45);
        *packet.first_byte() = 0x15;
        let len = packet.seal(&Plain, &Plain).unwrap();
        let plain = unprotect(&mut room[..len], 3, &Plain, 0x1122_3344_5566).unwrap();
        let opened = plain.open(&mut room[..len], &Plain).unwrap();
        assert_eq!((opened.first, opened.key_phase(), opened.reserved_bits()), (0x15, true, 0x10));
    }

    #[test]
    fn without_room_or_frames_there_is_no_packet() {
        let header = Header::Initial { long: LONG, token: b"token" };
        let needed = 1 + 4 + 3 + 5 + 6 + 2 + 1 + 4 + TAG_LEN;
        for room in 0..needed {
            let mut room = vec![0; room];
            let error = PacketBuilder::new(&mut room, &header, number(1)).map(|_| ()).unwrap_err();
            assert_eq!(error, Error::new(Code::BufferFull));
        }
        let mut room = vec![0; needed];
        let mut packet = PacketBuilder::new(&mut room, &header, number(1)).unwrap();
        assert_eq!(packet.payload().room(), 4);
        packet.payload().bytes(b"1234").unwrap();
        assert_eq!(packet.seal(&Plain, &Plain), Ok(needed));
        let retry = Header::Retry { long: LONG, token: b"token", integrity_tag: &[0; 16] };
        let versions = Versions::new(b"").unwrap();
        let negotiation = Header::VersionNegotiation {
            destination_connection_id: b"",
            source_connection_id: b"",
            versions,
        };
        for header in [retry, negotiation] {
            let error = PacketBuilder::new(&mut room, &header, number(1)).map(|_| ()).unwrap_err();
            assert_eq!(error.code(), Code::Unsupported);
        }
    }
}
