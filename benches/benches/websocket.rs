//! WebSocket frames without a socket: masking, decoding, encoding.
//!
//! Decoders read from a wire that always has more: each copies what it reads into a buffer of its own, as ours does
//! here. Encoders write to a wire that takes everything. Both are per message.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netloom_benches::handshake::{From, message};
use netloom_core::{Codec, Outbox, Step};
use netloom_protocols::websocket::{self, Frame, Frames, Kind, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

/// Bytes of payload per message.
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];
/// About what a buffer holds.
const BUFFER: usize = 128 * 1024;
/// From so many bytes on a session writes a payload from where it lies, as fastwebsockets and tokio-websockets do.
const LARGE: usize = 32 * 1024;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The same frame again and again; what is written is gone.
struct Wire {
    frame: Vec<u8>,
    at: usize,
}

impl Wire {
    fn new(size: usize) -> Self {
        let frame = message(size, From::Client);
        Self { frame: frame.repeat(BUFFER.div_ceil(frame.len())), at: 0 }
    }

    fn next(&mut self, most: usize) -> &[u8] {
        let start = self.at % self.frame.len();
        let bytes = &self.frame[start..];
        let bytes = &bytes[..bytes.len().min(most)];
        self.at = start + bytes.len();
        bytes
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(buf.len());
        buf[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(black_box(buf).len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = buf.remaining();
        buf.put_slice(self.get_mut().next(most));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(buf).len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut bench = |name: &str, mask: fn(&mut [u8], [u8; 4])| {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let mut bytes = vec![7; size];
                bencher.iter(|| mask(black_box(&mut bytes), black_box(KEY)));
            });
        };
        bench("netloom", websocket::mask);
        #[cfg(feature = "peers-ws")]
        bench("fastwebsockets", fastwebsockets::unmask);
        #[cfg(feature = "peers-ws")]
        bench("sockudo", sockudo_ws::simd::apply_mask);
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("netloom", size), |bencher| {
            let (mut wire, mut frames) = (Wire::new(size), Frames::new(Server));
            let mut buffer = vec![0; BUFFER];
            let (mut head, mut tail) = (0, 0);
            bencher.iter(|| {
                loop {
                    let step = frames.decode(&mut buffer[head..tail], &mut Outbox::new(&mut [], &mut 0));
                    match step.expect("it is legal") {
                        Step::Event(n, found) => {
                            let _ = black_box(Frames::<Server>::view(found, &buffer[head..head + n]));
                            head += n;
                            if !Codec::under_way(&frames) {
                                return;
                            }
                        }
                        Step::Quiet(n) => head += n,
                        _ => {
                            buffer.copy_within(head..tail, 0);
                            (head, tail) = (0, tail - head);
                            tail += wire.read(&mut buffer[tail..]).expect("there is more");
                        }
                    }
                }
            });
        });
        group.bench_function(BenchmarkId::new("tungstenite", size), |bencher| {
            let mut socket = WebSocket::from_raw_socket(Wire::new(size), Role::Server, None);
            bencher.iter(|| black_box(socket.read()).expect("it is legal"));
        });
        #[cfg(feature = "peers-ws")]
        decode_by_peers(&mut group, size);
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for size in SIZES {
        let payload = Bytes::from(vec![7; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("netloom", size), |bencher| {
            let (mut frames, mut buffer, mut tail) = (Frames::new(Server), vec![0; BUFFER], 0);
            let mut wire = Wire::new(size);
            bencher.iter(|| {
                let frame = Frame::message(Kind::Binary, black_box(&payload));
                if tail + size + 10 > BUFFER {
                    tail = 0;
                }
                let mut out = Outbox::new(&mut buffer, &mut tail);
                let body = frames.encode(&frame, &mut out).expect("there is room");
                match body.len() < LARGE {
                    true => out.put(body).expect("there is room"),
                    false => _ = wire.write(body).expect("it is taken"),
                }
                frames.accepted(&frame);
                black_box(&mut buffer);
            });
        });
        group.bench_function(BenchmarkId::new("tungstenite", size), |bencher| {
            let mut socket = WebSocket::from_raw_socket(Wire::new(size), Role::Server, None);
            bencher.iter(|| socket.write(Message::Binary(black_box(payload.clone()))).expect("it is taken"));
        });
        #[cfg(feature = "peers-ws")]
        encode_by_peers(&mut group, size, &payload);
    }
    group.finish();
}

#[cfg(feature = "peers-ws")]
type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// What nothing of is ever pending.
#[cfg(feature = "peers-ws")]
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a wire never waits"),
    }
}

#[cfg(feature = "peers-ws")]
fn decode_by_peers(group: &mut Group<'_>, size: usize) {
    use futures_util::StreamExt;

    group.bench_function(BenchmarkId::new("fastwebsockets", size), |bencher| {
        let role = fastwebsockets::Role::Server;
        let mut socket = fastwebsockets::WebSocket::after_handshake(Wire::new(size), role);
        bencher.iter(|| {
            let frame = at_once(socket.read_frame()).expect("it is legal");
            black_box(&frame.payload[..]);
        });
    });
    group.bench_function(BenchmarkId::new("tokio-websockets", size), |bencher| {
        let mut socket = tokio_websockets::ServerBuilder::new().serve(Wire::new(size));
        bencher.iter(|| black_box(at_once(socket.next())).expect("there is more").expect("it is legal"));
    });
}

#[cfg(feature = "peers-ws")]
fn encode_by_peers(group: &mut Group<'_>, size: usize, payload: &Bytes) {
    use fastwebsockets::{Frame, Payload};
    use futures_util::SinkExt;

    group.bench_function(BenchmarkId::new("fastwebsockets", size), |bencher| {
        let role = fastwebsockets::Role::Server;
        let mut socket = fastwebsockets::WebSocket::after_handshake(Wire::new(size), role);
        bencher.iter(|| {
            let frame = Frame::binary(Payload::Borrowed(black_box(payload)));
            at_once(socket.write_frame(frame)).expect("it is taken");
        });
    });
    group.bench_function(BenchmarkId::new("tokio-websockets", size), |bencher| {
        let mut socket = tokio_websockets::ServerBuilder::new().serve(Wire::new(size));
        bencher.iter(|| {
            let message = tokio_websockets::Message::binary(black_box(payload.clone()));
            at_once(socket.feed(message)).expect("it is taken");
        });
    });
}

criterion_group!(benches, mask, decode, encode);
criterion_main!(benches);
