extern crate std;

use std::vec;
use std::vec::Vec;

use netloom_core::{Code, Fault};

use super::*;
use crate::tests::Noise;

const ENCODING: TransportError = TransportError::FrameEncodingError;
const BIG: u64 = varint::MAX;
const TOKEN: [u8; 16] = [9; 16];

/// One of each, each with the bytes that the RFC says.
fn samples() -> [(&'static [u8], Frame<'static>); 33] {
    let stream = |offset, data, fin, extent| {
        Frame::Stream(Stream { stream_id: StreamId(5), offset, data, fin, extent })
    };
    let ack = |bytes: &'static [u8], has_ecn| {
        Frame::Ack(Ack::read(has_ecn, &mut Reader::new(&bytes[1..])).expect("it is well formed"))
    };
    let (bidi, uni) = (Direction::Bidirectional, Direction::Unidirectional);
    let reason = &b"why"[..];
    [
        (b"\0\0\0", Frame::Padding(3)),
        (b"\x01", Frame::Ping),
        (b"\x02\x09\x01\0\x09", ack(b"\x02\x09\x01\0\x09", false)),
        (b"\x02\x08\x01\x01\x03\x01\0", ack(b"\x02\x08\x01\x01\x03\x01\0", false)),
        (b"\x03\x09\x01\0\x02\x04\x05\x06", ack(b"\x03\x09\x01\0\x02\x04\x05\x06", true)),
        (
            b"\x04\x05\x40\x80\x07",
            Frame::ResetStream { stream_id: StreamId(5), error_code: 128, final_size: 7 },
        ),
        (b"\x05\x05\x06", Frame::StopSending { stream_id: StreamId(5), error_code: 6 }),
        (b"\x06\x07\x02ab", Frame::Crypto { offset: 7, data: b"ab" }),
        (b"\x06\0\0", Frame::Crypto { offset: 0, data: b"" }),
        (b"\x07\x01t", Frame::NewToken { token: b"t" }),
        (b"\x08\x05ab", stream(0, b"ab", false, Extent::ToEnd)),
        (b"\x09\x05", stream(0, b"", true, Extent::ToEnd)),
        (b"\x0a\x05\x02ab", stream(0, b"ab", false, Extent::Delimited)),
        (b"\x0b\x05\0", stream(0, b"", true, Extent::Delimited)),
        (b"\x0c\x05\x09ab", stream(9, b"ab", false, Extent::ToEnd)),
        (b"\x0d\x05\x09ab", stream(9, b"ab", true, Extent::ToEnd)),
        (b"\x0e\x05\x09\x02ab", stream(9, b"ab", false, Extent::Delimited)),
        (b"\x0f\x05\x09\x02ab", stream(9, b"ab", true, Extent::Delimited)),
        (b"\x10\xff\xff\xff\xff\xff\xff\xff\xff", Frame::MaxData { maximum: BIG }),
        (b"\x11\x05\x07", Frame::MaxStreamData { stream_id: StreamId(5), maximum: 7 }),
        (b"\x12\xd0\0\0\0\0\0\0\0", Frame::MaxStreams { direction: bidi, maximum: 1 << 60 }),
        (b"\x13\x07", Frame::MaxStreams { direction: uni, maximum: 7 }),
        (b"\x14\x07", Frame::DataBlocked { maximum: 7 }),
        (b"\x15\x05\x07", Frame::StreamDataBlocked { stream_id: StreamId(5), maximum: 7 }),
        (b"\x16\x07", Frame::StreamsBlocked { direction: bidi, maximum: 7 }),
        (b"\x17\x07", Frame::StreamsBlocked { direction: uni, maximum: 7 }),
        (
            b"\x18\x03\x02\x04abcd\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09",
            Frame::NewConnectionId {
                sequence_number: 3,
                retire_prior_to: 2,
                connection_id: b"abcd",
                stateless_reset_token: &TOKEN,
            },
        ),
        (b"\x19\x03", Frame::RetireConnectionId { sequence_number: 3 }),
        (b"\x1a12345678", Frame::PathChallenge(b"12345678")),
        (b"\x1b12345678", Frame::PathResponse(b"12345678")),
        (b"\x1c\x0a\x06\x03why", Frame::ConnectionClose { error_code: 10, frame_type: 6, reason }),
        (b"\x1d\x0a\x03why", Frame::ApplicationClose { error_code: 10, reason }),
        (b"\x1e", Frame::HandshakeDone),
    ]
}

const DATAGRAMS: [(&[u8], Frame<'static>); 2] = [
    (b"\x30ab", Frame::Datagram { data: b"ab", extent: Extent::ToEnd }),
    (b"\x31\x02ab", Frame::Datagram { data: b"ab", extent: Extent::Delimited }),
];

fn all() -> impl Iterator<Item = (&'static [u8], Frame<'static>)> {
    samples().into_iter().chain(DATAGRAMS)
}

fn only(payload: &[u8]) -> Result<Frame<'_>, TransportError> {
    let mut frames = Frames::new(payload);
    let frame = frames.next().expect("there is a first")?;
    assert_eq!((frames.next(), frames.frame_type()), (None, payload[0].into()), "{payload:x?}");
    Ok(frame)
}

#[test]
fn every_frame_is_read_and_written_as_the_rfc_has_it() {
    for (bytes, frame) in all() {
        assert_eq!(only(bytes), Ok(frame));
        assert_eq!(frame.frame_type(), bytes[0].into());
        let mut room = [1; 64];
        let mut writer = Writer::new(&mut room);
        frame.write(&mut writer).unwrap();
        assert_eq!(writer.written(), bytes, "{frame:?}");
    }
}

#[test]
fn a_frame_that_is_cut_is_refused_and_what_has_no_room_is_not_written() {
    for (bytes, frame) in all() {
        // What reaches to the end may end earlier.
        let shorter = match frame {
            Frame::Stream(Stream { extent: Extent::ToEnd, data, .. })
            | Frame::Datagram { extent: Extent::ToEnd, data } => data.len(),
            Frame::Padding(count) => count - 1,
            _ => 0,
        };
        for cut in 1..bytes.len() {
            let read = only(&bytes[..cut]);
            assert_eq!(read.is_ok(), cut >= bytes.len() - shorter, "{frame:?} at {cut}");
            assert!(read.is_ok() || read == Err(ENCODING));
        }
        for room in 0..bytes.len() {
            let mut room = vec![0; room];
            let mut writer = Writer::new(&mut room);
            assert_eq!(frame.write(&mut writer), Err(Code::BufferFull.into()), "{frame:?}");
            assert_eq!(writer.len(), 0);
        }
    }
}

#[test]
fn what_is_badly_formed_is_a_frame_encoding_error() {
    let wrong: &[&[u8]] = &[
        b"", // types that are not assigned
        b"\x2f",
        b"\x32",
        b"\x40\x40",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff",             // a type that is cut
        b"\x02\x02\0\0\x03", // packet numbers below zero
        b"\x02\x08\0\x01\x03\x04\0",
        b"\x02\x08\0\x01\x03\x03\x01",
        b"\x02\x08\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0", // more ranges than bytes
        b"\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01a",        // offsets that cannot be
        b"\x0e\0\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
        b"\x0c\0\xff\xff\xff\xff\xff\xff\xff\xffa",
        b"\x07\0",                   // an empty token
        b"\x12\xd0\0\0\0\0\0\0\x01", // more than 2^60 streams
        b"\x13\xd0\0\0\0\0\0\0\x01",
        b"\x16\xd0\0\0\0\0\0\0\x01",
        b"\x17\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x18\x03\x04\x01a9999999999999999", // retires itself
        b"\x18\x03\x02\09999999999999999",    // connection IDs of 0 and 21 bytes
        b"\x18\x03\x02\x15aaaaaaaaaaaaaaaaaaaaa9999999999999999",
    ];
    for bytes in wrong {
        let mut frames = Frames::new(bytes);
        assert_eq!(frames.next(), Some(Err(ENCODING)), "{bytes:x?}");
        let frame_type = varint::split_first(bytes).map_or(0, |(frame_type, _)| frame_type);
        assert_eq!((frames.frame_type(), frames.next()), (frame_type, None));
    }
}

#[test]
fn what_is_just_not_too_much_is_taken() {
    let right: &[&[u8]] = &[
        b"\x02\x08\0\x01\x03\x03\0",
        b"\x0c\0\xff\xff\xff\xff\xff\xff\xff\xfea",
        b"\x17\xd0\0\0\0\0\0\0\0",
        b"\x18\x03\x03\x01a9999999999999999",
        b"\x18\x03\x02\x14aaaaaaaaaaaaaaaaaaaa9999999999999999",
    ];
    for bytes in right {
        assert!(only(bytes).is_ok(), "{bytes:x?}");
    }
}

#[test]
fn a_type_in_more_bytes_than_it_takes_is_a_protocol_violation() {
    for bytes in [&b"\x40\x01"[..], b"\x80\0\0\x01", b"\xc0\0\0\0\0\0\0\x01", b"\x40\x1f"] {
        assert_eq!(only(bytes), Err(TransportError::ProtocolViolation));
    }
}

#[test]
fn a_payload_without_frames_is_a_protocol_violation() {
    let mut frames = Frames::new(b"");
    assert_eq!(frames.next(), Some(Err(TransportError::ProtocolViolation)));
    assert_eq!((frames.next(), frames.frame_type()), (None, 0));
}

#[test]
fn packets_carry_what_the_rfcs_table_says() {
    use PacketType::{Handshake, Initial, OneRtt, ZeroRtt};
    // RFC 9000, 12.4, table 3; RFC 9221, 4.
    for (_, frame) in all() {
        let expected = match frame.frame_type() {
            types::PADDING | types::PING | types::CONNECTION_CLOSE => "IH01",
            types::ACK | types::ACK_ECN | types::CRYPTO => "IH_1",
            types::NEW_TOKEN | types::PATH_RESPONSE | types::HANDSHAKE_DONE => "___1",
            // The table has __01, and 12.5 takes the 0 back.
            types::RETIRE_CONNECTION_ID => "___1",
            _ => "__01",
        };
        for (packet, letter) in [(Initial, 'I'), (Handshake, 'H'), (ZeroRtt, '0'), (OneRtt, '1')] {
            let is_allowed = expected.contains(letter);
            assert_eq!(frame.is_allowed_in(packet), is_allowed, "{frame:?} in {packet:?}");
            assert_eq!(frame.check(packet, Side::Server).is_ok(), is_allowed);
        }
    }
}

#[test]
fn clients_neither_send_tokens_nor_confirm_handshakes() {
    for (_, frame) in all() {
        let only_servers = matches!(frame, Frame::NewToken { .. } | Frame::HandshakeDone);
        let checked = frame.check(PacketType::OneRtt, Side::Client);
        assert_eq!(checked == Err(TransportError::ProtocolViolation), only_servers, "{frame:?}");
        assert!(frame.is_allowed_from(Side::Server));
    }
}

#[test]
fn what_is_acknowledged_and_what_probes_is_as_in_the_rfcs_table() {
    for (_, frame) in all() {
        let frame_type = frame.frame_type();
        assert_eq!(!frame.is_ack_eliciting(), matches!(frame_type, 0 | 2 | 3 | 0x1c | 0x1d), "{frame:?}");
        assert_eq!(frame.is_probing(), matches!(frame_type, 0 | 0x18 | 0x1a | 0x1b), "{frame:?}");
    }
}

#[test]
fn ranges_are_written_and_read_back() {
    let ranges = [[90..=100, 50..=88, 3..=3], [BIG..=BIG, 5..=BIG - 2, 0..=3]];
    let ecn = EcnCounts { ect0: 1, ect1: BIG, ce: 3 };
    for (ranges, ecn) in [(&ranges[0], None), (&ranges[1], Some(ecn)), (&ranges[0], Some(ecn))] {
        let mut room = [0; 80];
        let mut writer = Writer::new(&mut room);
        Ack::write_ranges(&mut writer, 7, ranges.iter().cloned(), ecn).unwrap();
        let Ok(Frame::Ack(ack)) = only(writer.written()) else { panic!("{ranges:?}") };
        assert!(ack.ranges().eq(ranges.iter().cloned()));
        assert_eq!((ack.largest_acknowledged(), ack.delay(), ack.ecn()), (*ranges[0].end(), 7, ecn));
        let len = writer.len();
        let mut writer = Writer::new(&mut room[..len - 1]);
        let written = Ack::write_ranges(&mut writer, 7, ranges.iter().cloned(), ecn);
        assert_eq!((written, writer.len()), (Err(Code::BufferFull.into()), 0));
    }
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is one of the faults")]
fn ranges_that_touch_rise_or_are_none_are_our_fault() {
    for ranges in
        [&[][..], &[5..=4], &[5..=6, 4..=4], &[5..=6, 7..=8], &[5..=6, 0..=3, 2..=2], &[0..=0, 0..=0]]
    {
        let mut room = [0; 80];
        let mut writer = Writer::new(&mut room);
        let error = Ack::write_ranges(&mut writer, 0, ranges.iter().cloned(), None).unwrap_err();
        assert_eq!((error.code(), error.fault(), writer.len()), (Code::Unsupported, Fault::Local, 0));
    }
}

#[test]
fn a_delay_is_in_microseconds_and_saturates() {
    for (delay, exponent, micros) in
        [(0, 20, 0), (0, 64, 0), (5, 3, 40), (BIG, 3, u64::MAX), (1, 63, 1 << 63)]
    {
        let mut room = [0; 16];
        let mut writer = Writer::new(&mut room);
        Ack::write_ranges(&mut writer, delay, [0..=0], None).unwrap();
        let Ok(Frame::Ack(ack)) = only(writer.written()) else { panic!() };
        assert_eq!(ack.delay_micros(exponent), micros, "{delay} << {exponent}");
    }
}

#[test]
fn what_has_no_encoding_is_not_written() {
    let token = &TOKEN;
    let stateless_reset_token = token;
    for frame in [
        Frame::MaxData { maximum: BIG + 1 },
        Frame::ResetStream { stream_id: StreamId(0), error_code: 0, final_size: u64::MAX },
        Frame::NewConnectionId {
            sequence_number: 0,
            retire_prior_to: 0,
            connection_id: &[0; 256],
            stateless_reset_token,
        },
    ] {
        let mut room = [0; 400];
        let mut writer = Writer::new(&mut room);
        let error = frame.write(&mut writer).unwrap_err();
        assert_eq!((error.code(), error.fault(), writer.len()), (Code::MessageTooLarge, Fault::Local, 0));
    }
}

#[test]
fn a_streams_head_is_as_large_as_it_says() {
    for offset in [0, 1, 64, 1 << 20, BIG - 70] {
        for extent in [Extent::Delimited, Extent::ToEnd] {
            let mut stream = Stream { stream_id: StreamId(77), offset, data: b"", fin: false, extent };
            let head = stream.head_size(70);
            stream.data = &[0; 70][head..];
            let mut room = [0; 70];
            let mut writer = Writer::new(&mut room);
            Frame::Stream(stream).write(&mut writer).unwrap();
            // A length may be said in a byte less than was counted on.
            assert!(writer.len() == 70 || (extent == Extent::Delimited && writer.len() == 69));
        }
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_frame_is_six_words() {
    assert_eq!(size_of::<Option<Result<Frame<'_>, TransportError>>>(), 48);
}

#[test]
fn whatever_is_changed_what_is_read_is_written_and_read_again() {
    let mut noise = Noise::new(1);
    for round in 0..20_000 {
        let payload: Vec<u8> =
            all().filter(|_| noise.below(8) == 0).flat_map(|(bytes, _)| bytes.to_vec()).collect();
        let payload = noise.mutated(&payload);
        let mut room = vec![0; payload.len()];
        let mut writer = Writer::new(&mut room);
        let mut read = Vec::new();
        let mut reader = Reader::new(&payload);
        for frame in Frames::new(&payload) {
            // They are not read by the same code.
            assert!(Frame::read(&mut reader) == frame || payload.is_empty(), "round {round}: {payload:x?}");
            let Ok(frame) = frame else { break };
            frame.write(&mut writer).expect("what was read is not longer when written");
            read.push(frame);
        }
        let again: Vec<_> = Frames::new(writer.written()).map_while(Result::ok).collect();
        assert_eq!(again, read, "round {round}: {payload:x?}");
    }
}
