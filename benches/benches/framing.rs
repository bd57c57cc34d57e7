//! Length-prefixed messages, decoded and encoded without a socket.
//!
//! Decoding takes apart a buffer of whole frames, as one large read leaves it; encoding writes as many into one
//! buffer. Both are per buffer: divide by the frames in it, or read the throughput.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netloom_benches::tcp::frame;
use netloom_core::{Codec, Outbox, Step};
use netloom_protocols::Framing;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

/// Bytes of payload per message.
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];
/// About what a buffer holds; at least one frame.
const BUFFER: usize = 64 * 1024;
/// Bytes of the length.
const HEAD: usize = 4;

fn frames(size: usize) -> usize {
    (BUFFER / (HEAD + size)).max(1)
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for size in SIZES {
        let received = frame(size).repeat(frames(size));
        group.throughput(Throughput::Bytes(received.len() as u64));
        group.bench_function(BenchmarkId::new("tokio-util", size), |bencher| {
            let mut codec = LengthDelimitedCodec::new();
            bencher.iter_batched_ref(
                || BytesMut::from(&received[..]),
                |buffer| {
                    while let Ok(Some(message)) = codec.decode(buffer) {
                        black_box(&message[..]);
                    }
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("netloom", size), |bencher| {
            let mut codec = Framing::new();
            let mut buffer = received.clone();
            bencher.iter(|| {
                let mut rest = &mut buffer[..];
                while let Ok(Step::Event(n, found)) = codec.decode(rest, &mut Outbox::new(&mut [], &mut 0)) {
                    let (unit, behind) = rest.split_at_mut(n);
                    let _ = black_box(Framing::view(found, unit));
                    rest = behind;
                }
            });
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for size in SIZES {
        let frames = frames(size);
        let message = Bytes::from(frame(size).split_off(HEAD));
        let total = frames * (HEAD + size);
        group.throughput(Throughput::Bytes(total as u64));
        group.bench_function(BenchmarkId::new("tokio-util", size), |bencher| {
            let mut codec = LengthDelimitedCodec::new();
            let mut buffer = BytesMut::with_capacity(total);
            bencher.iter(|| {
                buffer.clear();
                for _ in 0..frames {
                    codec.encode(message.clone(), &mut buffer).expect("shorter than the codec's limit");
                }
                black_box(&buffer[..]);
            });
        });
        group.bench_function(BenchmarkId::new("netloom", size), |bencher| {
            let mut codec = Framing::new();
            let mut buffer = vec![0; total];
            bencher.iter(|| {
                let mut tail = 0;
                for _ in 0..frames {
                    let mut out = Outbox::new(&mut buffer, &mut tail);
                    let body = codec.encode(black_box(&&message[..]), &mut out).expect("there is room");
                    out.put(body).expect("there is room");
                }
                black_box(&buffer[..tail]);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
