//! QUIC: datagrams, payloads and transport parameters of strangers.

use netloom_core::Result;
use netloom_protocols::quic::{
    Ack, Discard, Frame, Frames, Header, HeaderKey, Invariant, PacketBuilder, PacketKey, PacketNumber,
    PacketType, Packets, Parameters, Reader, SAMPLE_LEN, Side, TAG_LEN, TransportError, TransportParameters,
    Writer, protect, stateless_reset, unprotect,
};

/// Keys that open everything, so that what is behind them is looked at too.
struct Open;

impl HeaderKey for Open {
    fn mask(&self, _: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        [0x15, 0, 1, 0, 1]
    }
}

impl PacketKey for Open {
    fn seal(&self, _: u64, _: &[u8], _: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        Ok([0; TAG_LEN])
    }

    fn open(&self, _: u64, _: &[u8], payload: &mut [u8]) -> Result<(), Discard> {
        if payload.len() < TAG_LEN { Err(Discard::Forged) } else { Ok(()) }
    }
}

/// Packets of a datagram: what is read of each is written and read again. The first byte says how long connection IDs in
/// short headers are.
pub fn quic_packet(data: &[u8]) {
    let Some((first, datagram)) = data.split_first() else { return };
    let id_len = usize::from(first % 22);
    _ = stateless_reset::token(datagram);
    let mut left = datagram.len();
    for read in Packets::new(datagram, id_len) {
        let Ok((packet, bytes)) = read else { break };
        assert!(packet.len == bytes.len() && packet.packet_number_at <= bytes.len());
        left = left.checked_sub(packet.len).expect("packets lie side by side");
        let front = Invariant::read(bytes, id_len).expect("a packet has what all have");
        assert_eq!(front.destination_connection_id, packet.header.destination_connection_id());
        assert!(!front.wants_negotiation());
        let mut room = vec![0; bytes.len() + 8];
        let mut writer = Writer::new(&mut room);
        packet.header.write(&mut writer).expect("what was read can be written");
        match packet.header {
            Header::Retry { .. } | Header::VersionNegotiation { .. } => {
                assert_eq!(writer.written()[1..], bytes[1..]);
            }
            _ => opened(&packet.header, bytes, packet.packet_number_at),
        }
    }
}

fn opened(header: &Header<'_>, bytes: &[u8], packet_number_at: usize) {
    let mut plain = bytes.to_vec();
    let Ok(unprotected) = unprotect(&mut plain, packet_number_at, &Open, 1 << 40) else { return };
    let Ok(opened) = unprotected.open(&mut plain, &Open) else { return };
    for _ in Frames::new(opened.payload).map_while(Result::ok) {}

    // The same packet made anew; its header may be another byte or so.
    let mut room = vec![0; bytes.len() + 30];
    let len = unprotected.header_len - packet_number_at;
    let number = PacketNumber::new(opened.packet_number, len).expect("1 to 4 bytes");
    let mut packet = PacketBuilder::new(&mut room, header, number).expect("there is room");
    *packet.first_byte() = opened.first;
    packet.payload().bytes(opened.payload).expect("there is room");
    let len = packet.seal(&Open, &Open).expect("there is room");
    let (again, again_bytes) = Packets::new(&room[..len], header.destination_connection_id().len())
        .next()
        .expect("one")
        .expect("legal");
    assert_eq!((again.header, again.first, again_bytes.len()), (*header, bytes[0], len));
    let at = again.packet_number_at;
    let unprotected = unprotect(&mut room[..len], at, &Open, 1 << 40).expect("it is long enough");
    let again = unprotected.open(&mut room[..len], &Open).expect("everything opens");
    assert_eq!((again.packet_number, again.first), (opened.packet_number, opened.first));
    assert!(again.payload.starts_with(opened.payload));

    let (packet_number, payload) = (opened.packet_number, opened.payload.len());
    let mut sealed = plain;
    protect(&mut sealed, packet_number_at, packet_number, &Open, &Open).expect("it was protected once");
    let end = sealed.len() - TAG_LEN;
    assert_eq!(sealed[..end], bytes[..end], "{payload} bytes of payload");
}

/// Frames: each is written and read again. The first byte says in which packets, and from whom.
pub fn quic_frame(data: &[u8]) {
    let Some((first, payload)) = data.split_first() else { return };
    let packets = [PacketType::Initial, PacketType::ZeroRtt, PacketType::Handshake, PacketType::OneRtt];
    let packet = packets[usize::from(first & 3)];
    let sender = if first & 4 == 0 { Side::Client } else { Side::Server };
    let mut frames = Frames::new(payload);
    let mut before = payload.len();
    while let Some(read) = frames.next() {
        let Ok(frame) = read else {
            assert!(matches!(
                read,
                Err(TransportError::FrameEncodingError | TransportError::ProtocolViolation)
            ));
            assert_eq!(frames.next(), None);
            break;
        };
        let took = before - frames.rest().len();
        before = frames.rest().len();
        // An offset of 0 may be said, and is not written.
        let off = if matches!(frame, Frame::Stream(_)) { 4 } else { 0 };
        assert_eq!(frame.frame_type() | off, frames.frame_type() | off);
        let mut room = vec![0xaa; took];
        let mut writer = Writer::new(&mut room);
        frame.write(&mut writer).expect("what is written is not longer than what was read");
        let mut reader = Reader::new(writer.written());
        assert_eq!(Frame::read(&mut reader), Ok(frame));
        assert!(reader.is_empty());
        let is_allowed = frame.check(packet, sender).is_ok();
        assert!(!is_allowed || frame.is_allowed_in(PacketType::OneRtt));
        if let Frame::Ack(ack) = frame {
            acknowledged(&ack, &payload[payload.len() - before - took..][..took]);
        }
    }
}

fn acknowledged(ack: &Ack<'_>, bytes: &[u8]) {
    let ranges: Vec<_> =
        ack.ranges().map(|range| (i128::from(*range.start()), i128::from(*range.end()))).collect();
    assert_eq!(Some(&ranges), naive_ranges(bytes).as_ref());
    let mut room = vec![0; bytes.len()];
    let mut writer = Writer::new(&mut room);
    Ack::write_ranges(&mut writer, ack.delay(), ack.ranges(), ack.ecn()).expect("there is room");
    let Ok(Frame::Ack(again)) = Frame::read(&mut Reader::new(writer.written())) else {
        panic!("it is no ACK")
    };
    assert!(again.ranges().eq(ack.ranges()) && again.ecn() == ack.ecn() && again.delay() == ack.delay());
    _ = ack.delay_micros(20);
}

/// First and last packet number of each range, as RFC 9000, 19.3.1 computes them.
fn naive_ranges(bytes: &[u8]) -> Option<Vec<(i128, i128)>> {
    let mut reader = Reader::new(bytes);
    let mut number = || reader.varint().map(i128::from);
    let (_, largest, _, count, first) = (number()?, number()?, number()?, number()?, number()?);
    let mut ranges = vec![(largest - first, largest)];
    for _ in 0..count {
        let largest = ranges.last()?.0 - number()? - 2;
        ranges.push((largest - number()?, largest));
    }
    ranges.iter().all(|(start, _)| *start >= 0).then_some(ranges)
}

/// Transport parameters, from whom the first byte says.
pub fn quic_parameters(data: &[u8]) {
    let Some((first, extension)) = data.split_first() else { return };
    let sender = if first & 1 == 0 { Side::Client } else { Side::Server };
    let Ok(read) = TransportParameters::read(extension, sender) else { return };
    let known = Parameters::new(extension).map(|parameter| parameter.expect("all of them are complete"));
    let mut ids: Vec<_> = known.map(|(id, _)| id).filter(|id| *id <= 0x10 || *id == 0x20).collect();
    ids.sort_unstable();
    assert!(ids.is_sorted_by(|a, b| a < b), "one is given twice: {ids:?}");
    assert!(
        read.max_udp_payload_size >= 1200 && read.ack_delay_exponent <= 20 && read.max_ack_delay < 1 << 14
    );
    assert!(read.active_connection_id_limit >= 2);
    if sender == Side::Client {
        assert!(read.preferred_address.is_none() && read.stateless_reset_token.is_none());
    }
    let mut room = vec![0; extension.len()];
    let mut writer = Writer::new(&mut room);
    read.write(&mut writer).expect("what is written is not longer than what was read");
    assert_eq!(TransportParameters::read(writer.written(), sender), Ok(read));
}
