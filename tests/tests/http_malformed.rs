//! Requests that must be refused, and requests that look odd and must not be: each whole, cut in two at every byte, and
//! byte by byte. What stands behind a refused request is never taken for another one.

use std::cell::RefCell;
use std::future::poll_fn;

use netloom_core::{Duration, Options, Result, Session, Transport};
use netloom_lab::reference::{self, Answer, End};
use netloom_lab::{Blocks, Faults, OnBlocks, Pipe, World, link};
use netloom_protocols::http1::{self, Http1, Request, Sent};

const MILLISECOND: Duration = Duration::from_millis(1);

/// What a smuggler wants to have answered.
const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";

const HEAD_MAX: u16 = 1024;
const TARGET_MAX: u16 = 200;
const FIELDS_MAX: u16 = 20;

/// What the handler does with the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Taken,
    Left,
}

/// Method, path, query, host and body, as the handler saw them.
type Seen = (String, String, String, String, Vec<u8>);

struct Outcome {
    seen: Vec<Seen>,
    came: Vec<u8>,
    ended: bool,
}

/// Sends `pieces`, each a while after the one before, to a server that answers 200.
fn run(pieces: &[&[u8]], body: Body) -> Outcome {
    let world = World::new(1);
    let (a, mut b) = link(&world, Faults::none());
    let blocks = Blocks::new(&[(128, 2), (4096, 2)]);
    let codec = Http1::new().head_max(HEAD_MAX).target_max(TARGET_MAX).fields_max(FIELDS_MAX);
    let queues = (blocks.storage(), blocks.storage());
    let mut server: Session<OnBlocks, _> = Session::open(a, codec, queues, world.clock(), Options::DEFAULT);
    let (seen, mut came) = (RefCell::new(Vec::new()), Vec::new());
    let app = async |mut request: Request<'_>| -> Result<Sent> {
        let head = request.head();
        let mut this: Seen = (
            head.method_name().to_owned(),
            head.path().to_owned(),
            head.query_text().to_owned(),
            head.host().to_owned(),
            Vec::new(),
        );
        if body == Body::Taken {
            while let Some(piece) = request.receive().await? {
                this.4.extend_from_slice(piece);
            }
        }
        seen.borrow_mut().push(this);
        request.reply().text("yes").await
    };
    let mut ended = false;
    let mut lab = world.tasks();
    lab.spawn("server", async {
        _ = http1::serve(&mut server, &app).await;
        _ = server.close().await;
    });
    lab.spawn("client", async {
        for piece in pieces {
            say(&mut b, piece).await;
            hear(&world, &mut b, &mut came, MILLISECOND).await;
        }
        ended = hear(&world, &mut b, &mut came, 10 * MILLISECOND).await;
        drop(b);
    });
    lab.run(Duration::from_secs(30)).assert_done();
    blocks.assert_idle("at the end");
    Outcome { seen: seen.into_inner(), came, ended }
}

async fn say(pipe: &mut Pipe, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let Ok(n) = poll_fn(|cx| pipe.poll_write(cx, bytes)).await else { return };
        bytes = &bytes[n..];
    }
}

/// Gathers what comes for so long. Whether the connection has ended, in order.
async fn hear(world: &World, pipe: &mut Pipe, came: &mut Vec<u8>, time: Duration) -> bool {
    let mut buf = [0; 512];
    while let Some(read) = world.timeout(time, poll_fn(|cx| pipe.poll_read(cx, &mut buf))).await {
        match read.expect("no reset: the answer would be lost") {
            0 => return true,
            n => came.extend_from_slice(&buf[..n]),
        }
    }
    false
}

/// Whole, in two pieces cut at every byte up to `len`, and byte by byte.
fn cuts(bytes: &[u8], len: usize) -> impl Iterator<Item = Vec<&[u8]>> {
    let in_two = (1..len.min(400)).map(|at| vec![&bytes[..at], &bytes[at..]]);
    std::iter::once(vec![bytes]).chain(in_two).chain(std::iter::once(bytes.chunks(1).collect()))
}

/// A request with these fields in front of the empty line, behind a legal first line and Host.
fn fields(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// A request with this first line and a legal Host.
fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: a\r\n\r\n").into_bytes()
}

fn chunks(body: &[u8]) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", body].concat()
}

/// What is malformed in the head.
fn bad_heads() -> Vec<(u16, Vec<u8>)> {
    let mut rows = Vec::new();
    // Two framings, one of which another hop may not see.
    for both in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding: chunked\r\nCONTENT-LENGTH: 0\r\n",
        "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: Chunked\r\nContent-Length:5\r\n",
    ] {
        rows.push((400, fields(both)));
    }
    // Lengths that are none, or several.
    for length in [
        "",
        " ",
        "+5",
        "-5",
        "-0",
        "5 ,6",
        "5,6",
        "6, 5",
        "5, ",
        ",5",
        "5,,5",
        "5 5",
        "5;5",
        "0x5",
        "0b1",
        "5.0",
        "5e1",
        "5a",
        "a",
        "\"5\"",
        "'5'",
        "(5)",
        "5\t6",
        "\u{661}",
        "\u{ff15}",
        "18446744073709551616",
        "99999999999999999999999",
        "1_000",
        "5\u{a0}",
        "NaN",
        "infinity",
    ] {
        rows.push((400, fields(&format!("Content-Length: {length}\r\n"))));
    }
    rows.push((400, fields("Content-Length: 5\r\nContent-Length: 6\r\n")));
    rows.push((400, fields("Content-Length: 5\r\nX: y\r\ncontent-length: 05\r\ncontent-length: 4\r\n")));
    rows.push((400, raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\0\r\n\r\n")));
    rows.push((400, raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\x0b\r\n\r\n")));
    rows.push((400, raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \x0c5\r\n\r\n")));
    // Codings that another hop may take for chunked, or for none.
    for (status, coding) in [
        (400, ""),
        (400, ","),
        (400, "chunked,"),
        (400, ", chunked"),
        (400, "chunked, chunked"),
        (400, "chunked, identity"),
        (400, "chunked, gzip"),
        (400, "chunked;q=1"),
        (400, "chunked ;"),
        (400, "chunked x"),
        (400, "\"chunked\""),
        (400, "(chunked)"),
        (400, "\u{e9}chunked"),
        (400, "chunked\u{e9}"),
        (501, "identity"),
        (501, "gzip"),
        (501, "gzip, chunked"),
        (501, "identity, chunked"),
        (501, "xchunked"),
        (501, "chunkedx"),
        (501, "'chunked'"),
        (501, "chunke"),
        (501, "deflate;q=1, chunked"),
    ] {
        rows.push((status, fields(&format!("Transfer-Encoding: {coding}\r\n"))));
    }
    rows.push((400, fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")));
    rows.push((400, fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")));
    rows.push((501, fields("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n")));
    rows.push((400, raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n")));
    rows.push((400, raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\0\r\n\r\n")));
    rows.push((400, raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\n chunked\r\n\r\n")));
    rows.push((400, raw(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")));
    // Names and the white space around them.
    for lines in [
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding\u{b}: chunked\r\n",
        "Content-Length : 5\r\n",
        " Content-Length: 5\r\n",
        "\tContent-Length: 5\r\n",
        "X: y\r\n Content-Length: 5\r\n",
        "X: y\r\n\tz\r\n",
        "X: y\r\n \r\n",
        "X:\r\n z\r\n",
        "X y: z\r\n",
        "X\r\n",
        "X \r\n",
        ": y\r\n",
        "\u{e9}: y\r\n",
        "X(y): z\r\n",
        "X,Y: z\r\n",
        "X@: z\r\n",
        "X[0]: z\r\n",
        "\"X\": z\r\n",
        "{X}: z\r\n",
        "X/Y: z\r\n",
        "X;Y: z\r\n",
        "X=Y: z\r\n",
        "X<Y: z\r\n",
        "X\\: z\r\n",
        "X\0: y\r\n",
        "X\u{7f}: y\r\n",
    ] {
        rows.push((400, fields(lines)));
    }
    // Bytes that end a line for some.
    for value in [
        "\0",
        "y\0z",
        "y\rz",
        "y\r",
        "y\r\rz",
        "\rContent-Length: 5",
        "y\nContent-Length: 5",
        "y\n",
        "\x1b",
        "\x08",
        "\x7f",
        "\x01",
    ] {
        rows.push((400, fields(&format!("X: {value}\r\n"))));
    }
    rows.push((400, raw(b"GET / HTTP/1.1\nHost: a\n\n")));
    rows.push((400, raw(b"GET / HTTP/1.1\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"GET / HTTP/1.1\r\nHost: a\n\r\n")));
    rows.push((400, raw(b"GET / HTTP/1.1\r\nHost: a\r\n\n")));
    rows.push((400, raw(b"GET / HTTP/1.1\rHost: a\r\r")));
    rows.push((400, raw(b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"\0GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")));
    // First lines.
    for first in [
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET / HTTP/1.1 x",
        "GET / x HTTP/1.1",
        "GET /",
        "GET / ",
        "GET",
        "GET ",
        "GET  HTTP/1.1",
        "GET / http/1.1",
        "GET / Http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.11",
        "GET / HTTP/1.",
        "GET / HTTP/.1",
        "GET / HTTP/1,1",
        "GET / HTTP/ 1.1",
        "GET / HTTP /1.1",
        "GET / HTTP/-1.1",
        "GET / HTTP/+1.1",
        "GET / HTTPS/1.1",
        "GET / ICY/1.1",
        "GET / HTTP/1.1\u{0}",
        "GET / HTTP/1.x",
        "G{T / HTTP/1.1",
        "GET: / HTTP/1.1",
        "GET\u{0} / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "G\u{c9}T / HTTP/1.1",
        "HTTP/1.1 200 OK",
        // Targets.
        "GET a HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET . HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "OPTIONS *?a HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET /a#b?c HTTP/1.1",
        "GET #a HTTP/1.1",
        "GET /\u{0} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET http: HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://?a HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http://u:p@a/ HTTP/1.1",
        "GET http://a:x/ HTTP/1.1",
        "GET http://a:80:80/ HTTP/1.1",
        "GET http://[::1/ HTTP/1.1",
        "GET http://a#b HTTP/1.1",
        "GET http://a\\b/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET javascript:0 HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT a HTTP/1.1",
        "CONNECT a: HTTP/1.1",
        "CONNECT :80 HTTP/1.1",
        "CONNECT http://a:80 HTTP/1.1",
        "CONNECT u@a:80 HTTP/1.1",
        "CONNECT a:80/b HTTP/1.1",
        "CONNECT * HTTP/1.1",
    ] {
        rows.push((400, line(first)));
    }
    for first in [
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/3.0",
        "GET / HTTP/0.0",
        "GET / HTTP/9.9",
        "PRI * HTTP/2.0",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ] {
        rows.push((505, line(first)));
    }
    rows.push((501, line("CONNECT a:80 HTTP/1.1")));
    rows.push((501, line(&format!("{} / HTTP/1.1", "X".repeat(33)))));
    rows.push((501, line(&format!("{} / HTTP/1.1", "A".repeat(600)))));
    rows.push((417, fields("Expect: 200-ok\r\n")));
    rows.push((417, fields("Expect: \r\n")));
    rows.push((417, fields("Content-Length: 5\r\nExpect: 100-continue, x\r\n")));
    rows.push((417, fields("Content-Length: 5\r\nExpect: 100-continue\r\nExpect: y\r\n")));
    // Hosts.
    rows.push((400, raw(b"GET / HTTP/1.1\r\n\r\n")));
    rows.push((400, raw(b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n")));
    rows.push((400, raw(b"GET http://a/ HTTP/1.1\r\n\r\n")));
    rows.push((400, fields("Host: a\r\n")));
    rows.push((400, fields("Host: b\r\n")));
    rows.push((400, fields("HOST:\r\n")));
    for host in [
        "a b", "a,b", "a/b", "u@a", "a:b", "a:-1", "a:80:80", "a:123456", ":80", "http://a", "a?b", "a#b",
        "a\\b", "<a>", "\u{e9}", "[::1", "::1", "[]", "[::g]", "[::1]x", "[::1]:x", "a\"b",
    ] {
        rows.push((400, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()));
    }
    rows.push((400, raw(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")));
    rows.push((400, raw(b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n")));
    // Limits.
    rows.push((414, line(&format!("GET /{} HTTP/1.1", "a".repeat(TARGET_MAX.into())))));
    rows.push((414, line(&format!("GET /?{} HTTP/1.1", "a".repeat(600)))));
    rows.push((414, line(&format!("GET /{} HTTP/1.1", "a".repeat(3000)))));
    rows.push((431, fields(&"a: b\r\n".repeat(FIELDS_MAX.into()))));
    rows.push((431, fields(&format!("a: {}\r\n", "b".repeat(HEAD_MAX.into())))));
    rows.push((431, fields(&format!("a: {}\r\n", "b".repeat(5000)))));
    rows.push((431, fields(&format!("{}: b\r\n", "a".repeat(HEAD_MAX.into())))));
    rows
}

/// What is malformed behind a head that is not.
fn bad_bodies() -> Vec<(u16, Vec<u8>)> {
    let mut rows = Vec::new();
    for size in [
        "",
        " 1",
        "\t1",
        "-1",
        "+1",
        "0x1",
        "1h",
        "g",
        "\"1\"",
        "1,1",
        "1.0",
        "1_0",
        "1 1",
        "1\t1",
        "1 x",
        "1:",
        "1=a",
        "\u{661}",
        "10000000000000000",
        "100000000000000001",
        "fffffffffffffffff",
        "00000000000000001g",
        "1\0",
        "1;\0",
        "1;\x08",
        "1;a=\x7f",
        "1\r",
    ] {
        rows.push((400, chunks(format!("{size}\r\na\r\n0\r\n\r\n").as_bytes())));
    }
    for body in [
        &b"1\na\r\n0\r\n\r\n"[..],
        b"1\r\na\n0\r\n\r\n",
        b"1\ra\r\n0\r\n\r\n",
        b"1\r\n\ra\r\n0\r\n\r\n",
        b"1\r\na0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1\r\na\r0\r\n\r\n",
        b"1\r\na\r\r\n0\r\n\r\n",
        b"2\r\na\r\n0\r\n\r\n",
        b"1\r\na\r\n\r\n0\r\n\r\n",
        b"1;a\nb\r\na\r\n0\r\n\r\n",
        b"1;a\rb\r\na\r\n0\r\n\r\n",
        b"1;\na\r\n0\r\n\r\n",
        b"0\n\n",
        b"0\r\n\n",
        b"0\r\n\r\r\n",
        b"0\r\n\rX",
        b"0;\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\nX: y\r\n z\r\n\r\n",
        b"0\r\nX: \0\r\n\r\n",
        b"0\r\nX: y\rz\r\n\r\n",
        b"0\r\n: y\r\n\r\n",
        b"0\r\nGET /behind HTTP/1.1\r\n\r\n",
    ] {
        rows.push((400, chunks(body)));
    }
    rows.push((431, chunks(format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(5000)).as_bytes())));
    rows.push((431, chunks(format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(5000)).as_bytes())));
    rows.push((431, chunks(format!("0\r\nX: {}\r\n\r\n", "x".repeat(5000)).as_bytes())));
    rows.push((431, chunks("1;ext\r\na\r\n".repeat(1200).as_bytes())));
    rows
}

#[test]
fn the_tables_are_as_long_as_they_should_be() {
    assert!(bad_heads().len() + bad_bodies().len() >= 120);
    assert!(odd().len() >= 50, "{}", odd().len());
}

#[test]
fn what_is_malformed_is_answered_once_and_closes() {
    for (status, request) in bad_heads() {
        let bytes = [&request[..], BEHIND].concat();
        for pieces in cuts(&bytes, request.len()) {
            let shown = show(&request, &pieces);
            let outcome = run(&pieces, Body::Taken);
            assert!(outcome.seen.is_empty(), "{:?} was seen in {shown}", outcome.seen);
            refused(&outcome, status, &shown);
        }
    }
}

#[test]
fn what_is_malformed_in_a_body_is_answered_once_and_closes() {
    for (status, request) in bad_bodies() {
        let bytes = [&request[..], BEHIND].concat();
        for pieces in cuts(&bytes, request.len()) {
            let shown = show(&request, &pieces);
            let outcome = run(&pieces, Body::Taken);
            assert!(outcome.seen.is_empty(), "{:?} was seen in {shown}", outcome.seen);
            refused(&outcome, status, &shown);
        }
    }
}

/// A handler that does not look at the body has answered when the rest turns out to be malformed: then the connection
/// ends without another answer.
#[test]
fn what_is_malformed_in_a_body_nobody_wants_ends_the_connection() {
    for (_, request) in bad_bodies() {
        let bytes = [&request[..], BEHIND].concat();
        for pieces in cuts(&bytes, request.len()).step_by(7) {
            let shown = show(&request, &pieces);
            let outcome = run(&pieces, Body::Left);
            assert_eq!(outcome.seen.len(), 1, "{:?} was seen in {shown}", outcome.seen);
            let answer = reference::answer(&outcome.came, "POST", outcome.ended).expect("an answer");
            assert_eq!((answer.status, answer.size), (200, outcome.came.len()), "{shown}");
            assert!(outcome.ended, "the connection goes on behind {shown}");
        }
    }
}

#[test]
fn what_is_malformed_behind_good_requests_is_answered_behind_their_answers() {
    for (status, request) in bad_heads().into_iter().step_by(5) {
        let bytes = [BEHIND, BEHIND, &request[..], BEHIND].concat();
        for pieces in [vec![&bytes[..]], bytes.chunks(7).collect()] {
            let shown = show(&request, &pieces);
            let outcome = run(&pieces, Body::Taken);
            assert_eq!(outcome.seen.len(), 2, "{shown}");
            let mut rest = Outcome { seen: Vec::new(), ..outcome };
            for _ in 0..2 {
                let answer = reference::answer(&rest.came, "GET", false).expect("an answer");
                assert!(answer.status == 200 && !answer.says_close());
                rest.came.drain(..answer.size);
            }
            refused(&rest, status, &shown);
        }
    }
}

#[track_caller]
fn refused(outcome: &Outcome, status: u16, shown: &str) -> Answer {
    let answer = reference::answer(&outcome.came, "GET", outcome.ended);
    let answer = answer.unwrap_or_else(|| panic!("no answer to {shown}"));
    assert_eq!(answer.status, status, "{shown}");
    assert!(answer.says_close() && answer.end == End::Framed, "{answer:?} to {shown}");
    assert_eq!(answer.size, outcome.came.len(), "more than one answer to {shown}");
    assert!(outcome.ended, "the connection goes on behind {shown}");
    answer
}

fn show(request: &[u8], pieces: &[&[u8]]) -> String {
    let short = &request[..request.len().min(300)];
    format!(
        "{:?} in {} pieces, the first of {}",
        short.escape_ascii().to_string(),
        pieces.len(),
        pieces[0].len()
    )
}

/// What the handler must see, and whether the connection goes on.
struct Odd {
    request: Vec<u8>,
    seen: Seen,
    goes_on: bool,
}

fn odd() -> Vec<Odd> {
    let mut rows = Vec::new();
    let mut add = |request: Vec<u8>, seen: [&str; 5], goes_on: bool| {
        let [method, path, query, host, body] = seen.map(str::to_owned);
        rows.push(Odd { request, seen: (method, path, query, host, body.into_bytes()), goes_on });
    };
    // First lines and targets.
    for (first, method, path, query, host) in [
        ("GET / HTTP/1.1", "GET", "/", "", "a"),
        ("get / HTTP/1.1", "get", "/", "", "a"),
        ("BREW /pot HTTP/1.1", "BREW", "/pot", "", "a"),
        ("!#$%&'*+-.^_`|~ / HTTP/1.1", "!#$%&'*+-.^_`|~", "/", "", "a"),
        ("XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX / HTTP/1.1", "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", "/", "", "a"),
        ("GET //a//b/ HTTP/1.1", "GET", "//a//b/", "", "a"),
        ("GET /../..%2f%00 HTTP/1.1", "GET", "/../..%2f%00", "", "a"),
        ("GET /? HTTP/1.1", "GET", "/", "", "a"),
        ("GET /?a?b=c/d HTTP/1.1", "GET", "/", "a?b=c/d", "a"),
        ("GET /a;b=c:d@e!$&'()*+, HTTP/1.1", "GET", "/a;b=c:d@e!$&'()*+,", "", "a"),
        ("GET /%41%zz HTTP/1.1", "GET", "/%41%zz", "", "a"),
        ("GET http://b HTTP/1.1", "GET", "/", "", "b"),
        ("GET http://b/c?d HTTP/1.1", "GET", "/c", "d", "b"),
        ("GET HTTP://B:8080?d HTTP/1.1", "GET", "/", "d", "B:8080"),
        ("GET https://[::1]:443/ HTTP/1.1", "GET", "/", "", "[::1]:443"),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*", "", "a"),
        ("OPTIONS http://b HTTP/1.1", "OPTIONS", "*", "", "b"),
        ("OPTIONS http://b/ HTTP/1.1", "OPTIONS", "/", "", "b"),
        ("OPTIONS / HTTP/1.1", "OPTIONS", "/", "", "a"),
        ("GET / HTTP/1.2", "GET", "/", "", "a"),
        ("GET / HTTP/1.9", "GET", "/", "", "a"),
        ("TRACE / HTTP/1.1", "TRACE", "/", "", "a"),
    ] {
        add(line(first), [method, path, query, host, ""], true);
    }
    add(raw(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), ["GET", "/", "", "a", ""], true);
    // Hosts.
    for host in ["", "a:", "a:80", "127.0.0.1:1", "[::1]", "[::1]:80", "a_b-c.d~", "xn--e1afmkfd", "A%20B"] {
        let request = format!("GET / HTTP/1.1\r\nhOsT:{host}\r\n\r\n").into_bytes();
        add(request, ["GET", "/", "", host, ""], true);
    }
    // Fields and the white space that is allowed.
    for lines in [
        "X:y\r\n",
        "X:\r\n",
        "X: \t y \t \r\n",
        "X: \u{e9}\r\n",
        "X: a:b:c\r\n",
        "!#$%&'*+-.^_`|~09Az: y\r\n",
        "X: y\r\nX: z\r\n",
        "Connection: keep-alive\r\n",
        "Connection: x, , y\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: \r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 00\r\n",
        "Content-Length: 0, 0\r\n",
        "Content-Length: 0\r\nContent-Length: 0\r\n",
        "Expect: 100-continue\r\n",
        "Content-Lengt: x\r\nContent-Lengthy: y\r\nTransfer-Encodin: z\r\n",
        "Content_Length: 5\r\nTransfer_Encoding: chunked\r\n",
        "TE: trailers, chunked\r\n",
    ] {
        add(fields(lines), ["POST", "/", "", "a", ""], true);
    }
    for option in ["close", "Close", "keep-alive, close", "x,close ,y", "close, keep-alive"] {
        add(fields(&format!("Connection: {option}\r\n")), ["POST", "/", "", "a", ""], false);
    }
    // Bodies.
    for (lines, body) in [
        ("Content-Length: 5\r\n", "ab\0cd"),
        ("Content-Length:5\r\n", "\r\n\r\nx"),
        ("Content-Length: \t5 \t\r\n", "GET /"),
        ("content-length: 0000000000000000000005\r\n", "abcde"),
        ("Content-Length: 5, 5\r\n", "abcde"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde"),
    ] {
        add([fields(lines), raw(body.as_bytes())].concat(), ["POST", "/", "", "a", body], true);
    }
    for (body, whole) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("1\r\na\r\n0\r\n\r\n", "a"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("00000000000000000001\r\na\r\n0\r\n\r\n", "a"),
        ("1;a\r\na\r\n1;b=c;d=\"e\"\r\nb\r\n0;f\r\n\r\n", "ab"),
        ("1 ; a\r\na\r\n0\r\n\r\n", "a"),
        ("1;\u{e9}\r\na\r\n0\r\n\r\n", "a"),
        ("5\r\n\r\n0\r\n\r\n0\r\n\r\n", "\r\n0\r\n"),
        ("1\r\na\r\n0\r\nX: y\r\nContent-Length: 7\r\n\r\n", "a"),
        ("1\r\na\r\n0\r\nX:\r\n\r\n", "a"),
    ] {
        add(chunks(body.as_bytes()), ["POST", "/", "", "a", whole], true);
    }
    for coding in ["CHUNKED", "chunKed", " chunked \t"] {
        let request = fields(&format!("Transfer-Encoding: {coding}\r\n"));
        add([request, raw(b"1\r\na\r\n0\r\n\r\n")].concat(), ["POST", "/", "", "a", "a"], true);
    }
    // HTTP/1.0.
    add(raw(b"GET / HTTP/1.0\r\n\r\n"), ["GET", "/", "", "", ""], false);
    add(raw(b"GET / HTTP/1.0\r\nConnection: close\r\n\r\n"), ["GET", "/", "", "", ""], false);
    add(raw(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), ["GET", "/", "", "", ""], true);
    add(raw(b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), ["GET", "/", "", "", ""], false);
    add(
        raw(b"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na"),
        ["POST", "/", "", "", "a"],
        false,
    );
    // Limits, reached and not passed.
    let path = format!("/{}", "a".repeat(usize::from(TARGET_MAX) - 1));
    add(line(&format!("GET {path} HTTP/1.1")), ["GET", &path, "", "a", ""], true);
    add(fields(&"a: b\r\n".repeat(usize::from(FIELDS_MAX) - 1)), ["POST", "/", "", "a", ""], true);
    let most = usize::from(HEAD_MAX) - fields("a: \r\n").len();
    add(fields(&format!("a: {}\r\n", "b".repeat(most))), ["POST", "/", "", "a", ""], true);
    rows
}

#[test]
fn what_is_odd_and_legal_is_taken() {
    for Odd { request, seen, goes_on } in odd() {
        let bytes = [&request[..], BEHIND].concat();
        for pieces in cuts(&bytes, request.len()) {
            let shown = show(&request, &pieces);
            let outcome = run(&pieces, Body::Taken);
            assert_eq!(outcome.seen.first(), Some(&seen), "{shown}");
            let answer = reference::answer(&outcome.came, &seen.0, outcome.ended).expect("an answer");
            assert_eq!((answer.status, answer.says_close()), (200, !goes_on), "{shown}");
            assert_eq!(
                (outcome.seen.len(), outcome.ended),
                (if goes_on { 2 } else { 1 }, !goes_on),
                "{shown}"
            );
            let rest = &outcome.came[answer.size..];
            assert_eq!(reference::answer(rest, "GET", false).is_some(), goes_on, "{shown}");
        }
    }
}
