//! QUIC's bytes without a connection: integers, headers, frames. With the feature `peers-quic` beside quinn-proto, as far
//! as it shows them, and s2n-quic-core.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netloom_protocols::quic::{
    Ack, EcnCounts, Extent, Frame, Frames, Header, Long, Packet, PacketBuilder, PacketNumber, Reader, Stream,
    StreamId, TAG_LEN, Version, Writer,
};

/// Integers per round, of all four lengths.
const COUNT: usize = 1000;
/// Bytes of our connection IDs.
const ID_LEN: usize = 8;

/// Keys that do nothing: how packets are protected is not measured.
struct Open;

impl netloom_protocols::quic::HeaderKey for Open {
    fn mask(&self, _: &[u8; 16]) -> [u8; 5] {
        [0; 5]
    }
}

impl netloom_protocols::quic::PacketKey for Open {
    fn seal(&self, _: u64, _: &[u8], _: &mut [u8]) -> netloom_core::Result<[u8; TAG_LEN]> {
        Ok([0; TAG_LEN])
    }

    fn open(&self, _: u64, _: &[u8], _: &mut [u8]) -> Result<(), netloom_protocols::quic::Discard> {
        Ok(())
    }
}

/// Numbers in no order, as many of each length.
fn numbers() -> Vec<u64> {
    let mut state = 1_u64;
    let next = move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = [6, 14, 30, 62][(state >> 61) as usize & 3];
        (state ^ state >> 29) & ((1 << bits) - 1)
    };
    (0..COUNT).map(next).collect()
}

fn written(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; 8 * numbers.len()];
    let mut writer = Writer::new(&mut bytes);
    numbers.iter().for_each(|number| writer.varint(*number).expect("there is room"));
    let len = writer.len();
    bytes.truncate(len);
    bytes
}

fn integers(criterion: &mut Criterion) {
    let numbers = numbers();
    let bytes = written(&numbers);
    let mut group = criterion.benchmark_group("varint-read");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("netloom", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::new(black_box(&bytes));
            let mut sum = 0_u64;
            while let Some(number) = reader.varint() {
                sum ^= number;
            }
            sum
        });
    });
    #[cfg(feature = "peers-quic")]
    peers::read_integers(&mut group, &bytes);
    group.finish();

    let mut group = criterion.benchmark_group("varint-write");
    group.throughput(Throughput::Elements(COUNT as u64));
    let mut room = vec![0; bytes.len()];
    group.bench_function("netloom", |bencher| {
        bencher.iter(|| {
            let mut writer = Writer::new(black_box(&mut room));
            for number in black_box(&numbers) {
                writer.varint(*number).expect("there is room");
            }
            writer.len()
        });
    });
    #[cfg(feature = "peers-quic")]
    peers::write_integers(&mut group, &numbers, &mut room);
    group.finish();
}

/// A packet of 1,200 bytes, its header, and what else is in its datagram: nothing.
fn packet(header: &Header<'_>) -> Vec<u8> {
    let mut datagram = vec![0; 1200];
    let number = PacketNumber::new(7, 2).expect("two bytes are enough");
    let mut packet = PacketBuilder::new(&mut datagram, header, number).expect("there is room");
    packet.pad_to(1200).expect("there is room");
    packet.seal(&Open, &Open).expect("it is long enough");
    datagram
}

fn headers(criterion: &mut Criterion) {
    let long = Long {
        version: Version::V1,
        destination_connection_id: &[7; ID_LEN],
        source_connection_id: &[9; ID_LEN],
    };
    let initial = packet(&Header::Initial { long, token: &[3; 40] });
    let handshake = packet(&Header::Handshake(long));
    let short = packet(&Header::OneRtt { destination_connection_id: &[7; ID_LEN], spin: false });
    for (name, mut datagram) in [("initial", initial), ("handshake", handshake), ("1-rtt", short)] {
        let mut group = criterion.benchmark_group(format!("header-{name}"));
        group.bench_function("netloom", |bencher| {
            bencher.iter(|| {
                let packet = Packet::read(black_box(&datagram), ID_LEN).expect("it is legal");
                black_box(&packet);
            });
        });
        #[cfg(feature = "peers-quic")]
        peers::headers(&mut group, &mut datagram);
        group.finish();
        black_box(&mut datagram);
    }
}

/// What packets of a busy connection carry: much data; many answers; little but acknowledgements.
fn payloads() -> [(&'static str, Vec<u8>); 3] {
    let with = |write: &dyn Fn(&mut Writer<'_>) -> netloom_core::Result<()>| {
        let mut payload = vec![0; 1400];
        let mut writer = Writer::new(&mut payload);
        write(&mut writer).expect("there is room");
        let len = writer.len();
        payload.truncate(len);
        payload
    };
    let stream = |id, offset, data, extent| {
        Frame::Stream(Stream { stream_id: StreamId(id), offset, data, fin: false, extent })
    };
    let ack =
        |writer: &mut Writer<'_>, ranges| Ack::write_ranges(writer, 25, (0..ranges).rev().map(range), None);
    let bulk = with(&|writer| {
        ack(writer, 2)?;
        Frame::MaxData { maximum: 1 << 24 }.write(writer)?;
        stream(4, 1 << 22, &[5; 1300], Extent::ToEnd).write(writer)
    });
    let answers = with(&|writer| {
        ack(writer, 1)?;
        (0..16).try_for_each(|i| stream(4 * i, 64 * i, &[5; 64], Extent::Delimited).write(writer))
    });
    let acks = with(&|writer| {
        let ecn = EcnCounts { ect0: 1 << 20, ect1: 0, ce: 3 };
        Ack::write_ranges(writer, 25, (0..32).rev().map(range), Some(ecn))?;
        Frame::Ping.write(writer)
    });
    [("bulk", bulk), ("answers", answers), ("acks", acks)]
}

fn range(i: u64) -> core::ops::RangeInclusive<u64> {
    100_000 + 50 * i..=100_000 + 50 * i + 40
}

fn frames(criterion: &mut Criterion) {
    for (name, mut payload) in payloads() {
        let mut group = criterion.benchmark_group(format!("frames-{name}"));
        group.throughput(Throughput::Elements(Frames::new(&payload).count() as u64));
        group.bench_function("netloom", |bencher| {
            bencher.iter(|| {
                let mut sum = 0;
                for frame in Frames::new(black_box(&payload)) {
                    // What a connection takes of it; a frame as such is wanted by nobody.
                    sum ^= match frame {
                        Ok(Frame::Stream(stream)) => {
                            stream.stream_id.0
                                ^ stream.offset
                                ^ stream.data.len() as u64
                                ^ u64::from(stream.fin)
                        }
                        Ok(Frame::Ack(ack)) => {
                            ack.ranges().fold(ack.delay(), |sum, range| sum ^ range.start() ^ range.end())
                        }
                        Ok(Frame::MaxData { maximum }) => maximum,
                        Ok(_) => 1,
                        Err(error) => panic!("{error:?}"),
                    };
                }
                sum
            });
        });
        #[cfg(feature = "peers-quic")]
        peers::frames(&mut group, &mut payload);
        group.finish();
        black_box(&mut payload);
    }
}

#[cfg(feature = "peers-quic")]
mod peers {
    use std::hint::black_box;
    use std::io::Cursor;

    use bytes::BytesMut;
    use criterion::BenchmarkGroup;
    use criterion::measurement::WallTime;
    use quinn_proto::coding::Codec;
    use quinn_proto::{FixedLengthConnectionIdParser, ProtectedHeader};
    use s2n_codec::{DecoderBuffer, DecoderBufferMut, Encoder, EncoderBuffer};
    use s2n_quic_core::connection::id::ConnectionInfo;
    use s2n_quic_core::frame::FrameMut;
    use s2n_quic_core::inet::SocketAddress;
    use s2n_quic_core::packet::ProtectedPacket;

    use super::ID_LEN;

    type Group<'a> = BenchmarkGroup<'a, WallTime>;

    pub(super) fn read_integers(group: &mut Group<'_>, bytes: &[u8]) {
        group.bench_function("quinn-proto", |bencher| {
            bencher.iter(|| {
                let mut rest = black_box(bytes);
                let mut sum = 0;
                while let Ok(number) = quinn_proto::VarInt::decode(&mut rest) {
                    sum ^= number.into_inner();
                }
                sum
            });
        });
        group.bench_function("s2n-quic-core", |bencher| {
            bencher.iter(|| {
                let mut buffer = DecoderBuffer::new(black_box(bytes));
                let mut sum = 0;
                while let Ok((number, rest)) = buffer.decode::<s2n_quic_core::varint::VarInt>() {
                    sum ^= number.as_u64();
                    buffer = rest;
                }
                sum
            });
        });
    }

    pub(super) fn write_integers(group: &mut Group<'_>, numbers: &[u64], room: &mut [u8]) {
        group.bench_function("quinn-proto", |bencher| {
            bencher.iter(|| {
                let mut rest = black_box(&mut *room);
                for number in black_box(numbers) {
                    quinn_proto::VarInt::from_u64(*number).expect("it is small").encode(&mut rest);
                }
                rest.len()
            });
        });
        group.bench_function("s2n-quic-core", |bencher| {
            bencher.iter(|| {
                let mut encoder = EncoderBuffer::new(black_box(&mut *room));
                for number in black_box(numbers) {
                    encoder.encode(&s2n_quic_core::varint::VarInt::new(*number).expect("it is small"));
                }
                encoder.len()
            });
        });
    }

    pub(super) fn headers(group: &mut Group<'_>, datagram: &mut [u8]) {
        group.bench_function("quinn-proto", |bencher| {
            let ids = FixedLengthConnectionIdParser::new(ID_LEN);
            let mut cursor = Cursor::new(BytesMut::from(&*datagram));
            bencher.iter(|| {
                cursor.set_position(0);
                let header = ProtectedHeader::decode(black_box(&mut cursor), &ids, &[1], false);
                black_box(&header.expect("it is legal"));
            });
        });
        group.bench_function("s2n-quic-core", |bencher| {
            let address = SocketAddress::default();
            let info = ConnectionInfo::new(&address);
            bencher.iter(|| {
                let buffer = DecoderBufferMut::new(black_box(&mut *datagram));
                let (packet, _) = ProtectedPacket::decode(buffer, &info, &ID_LEN).expect("it is legal");
                black_box(&packet);
            });
        });
    }

    pub(super) fn frames(group: &mut Group<'_>, payload: &mut [u8]) {
        group.bench_function("s2n-quic-core", |bencher| {
            bencher.iter(|| {
                let mut buffer = DecoderBufferMut::new(black_box(&mut *payload));
                let mut sum = 0;
                while !buffer.is_empty() {
                    let (frame, rest) = buffer.decode::<FrameMut<'_>>().expect("it is legal");
                    sum ^= match frame {
                        FrameMut::Stream(stream) => {
                            let len = stream.data.len() as u64;
                            stream.stream_id.as_u64()
                                ^ stream.offset.as_u64()
                                ^ len
                                ^ u64::from(stream.is_fin)
                        }
                        FrameMut::Ack(ack) => ack.ack_ranges().fold(ack.ack_delay.as_u64(), |sum, range| {
                            sum ^ range.start().as_u64() ^ range.end().as_u64()
                        }),
                        FrameMut::MaxData(frame) => frame.maximum_data.as_u64(),
                        _ => 1,
                    };
                    buffer = rest;
                }
                sum
            });
        });
    }
}

criterion_group!(benches, integers, headers, frames);
criterion_main!(benches);
