//! Heads of HTTP/1.1 requests, parsed without a socket.
//!
//! httparse finds names and values and checks their octets. Ours also checks the target, Host, Content-Length,
//! Transfer-Encoding, Expect and Connection; `parse` stops there, and `parse and iterate` then visits every
//! name and value, which httparse leaves in an array.

use std::hint::black_box;
use std::mem::MaybeUninit;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netloom_protocols::http1::{HeadLimits, request};

/// What a load generator sends.
const SMALL: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
    Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\n\
    Connection: keep-alive\r\n\r\n";
/// What a browser sends.
const BROWSER: &[u8] = b"GET /articles/2026/11/streams?page=2&sort=newest HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Dest: document\r\n\
    Referer: https://www.example.com/articles/2026/11/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";
/// Fields that httparse has room for: as many as we take.
const FIELDS: usize = 100;

fn heads(criterion: &mut Criterion) {
    for head in [SMALL, BROWSER] {
        let mut group = criterion.benchmark_group("request head");
        group.throughput(Throughput::Bytes(head.len() as u64));
        let name = |who| BenchmarkId::new(who, head.len());
        group.bench_function(name("httparse"), |bencher| {
            bencher.iter(|| {
                let mut fields = [httparse::EMPTY_HEADER; 16];
                let mut request = httparse::Request::new(&mut fields);
                black_box(request.parse(black_box(head))).expect("it is legal");
                black_box(request);
            });
        });
        group.bench_function(name("httparse uninit"), |bencher| {
            bencher.iter(|| {
                let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
                let mut request = httparse::Request::new(&mut []);
                black_box(request.parse_with_uninit_headers(black_box(head), &mut fields))
                    .expect("it is legal");
                black_box(request);
            });
        });
        let limits = black_box(HeadLimits::default());
        group.bench_function(name("netloom"), |bencher| {
            bencher.iter(|| black_box(request(black_box(head), &limits)));
        });
        group.bench_function(name("netloom, fields visited"), |bencher| {
            bencher.iter(|| {
                let head = black_box(head);
                let Ok(Some((_, found))) = request(head, &limits) else { unreachable!("it is legal") };
                black_box(found.target(head));
                for field in found.fields(head) {
                    black_box(field);
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, heads);
criterion_main!(benches);
