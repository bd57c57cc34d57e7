//! What must hold of any bytes at all. The fuzz targets call these functions, and so does an ordinary test, on their
//! corpora and on mutations of them: a function panics if something does not hold.
//!
//! `cargo +nightly fuzz run request -- -max_total_time=60`, in `tests/`. What it finds goes into `corpus/` by a name
//! that says what it is.

use netloom::websocket::{Compression, DeflateOptions, Deflation, Offer, offers};
use netloom_core::time::Date;
use netloom_core::{CloseReason, Codec, Error, Limits, Outbox, Result, Step};
use netloom_protocols::http1::conditional::{self, Validators};
use netloom_protocols::http1::cookie::{SetCookie, cookies as read_cookies};
use netloom_protocols::http1::escaped::{Escape, decode_in_place};
use netloom_protocols::http1::etag::{ETag, Tags};
use netloom_protocols::http1::multipart::{Multipart, PartLimits, PartStep, boundary_of};
use netloom_protocols::http1::parameters::parameters;
use netloom_protocols::http1::set_cookie::{default_path, domain_matches, parse_set_cookie, path_matches};
use netloom_protocols::http1::{
    self, Answer, Content, Escaped, Event, Fields, HeadLimits, Http1, Message, Method, PartHead, RequestHead,
    Scan, form, mime, negotiate, range,
};

mod quic;
mod websocket;

pub use quic::{quic_frame, quic_packet, quic_parameters};
pub use websocket::{frames, handshake};

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("request", request),
    ("response", response),
    ("chunked", chunked),
    ("multipart", multipart),
    ("cookies", cookies),
    ("urls", urls),
    ("fields", fields),
    ("deflate", deflate),
    ("frames", frames),
    ("handshake", handshake),
    ("quic_packet", quic_packet),
    ("quic_frame", quic_frame),
    ("quic_parameters", quic_parameters),
];

/// Cuts that some bytes determine: so many bytes at a time.
struct Cuts(u64);

impl Cuts {
    fn of(data: &[u8]) -> Self {
        Self(
            data.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
                (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            }),
        )
    }

    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = (self.0 >> 33) as usize;
        if draw & 7 < 5 { 1 + draw / 8 % 4 } else { 1 + draw / 8 % 200 }
    }
}

/// What a server is told of its requests; bodies in one piece each.
#[derive(Debug, Default, PartialEq)]
struct Requests {
    heads: Vec<Asked>,
    bodies: Vec<Vec<u8>>,
    /// Bytes that were dealt with.
    size: usize,
    refused: Option<Error>,
}

#[derive(Debug, PartialEq)]
struct Asked {
    method: String,
    target: String,
    path: String,
    query: Option<String>,
    host: String,
    fields: Vec<(String, Vec<u8>)>,
    flags: [bool; 3],
}

impl Asked {
    fn of(head: &RequestHead, unit: &[u8]) -> Self {
        assert!(head.size() <= unit.len());
        Self {
            method: head.method_name(unit).to_owned(),
            target: head.target(unit).to_owned(),
            path: head.path(unit).to_owned(),
            query: head.query(unit).map(str::to_owned),
            host: head.host(unit).to_owned(),
            fields: seen(head.fields(unit)),
            flags: [head.keep_alive(), head.expect_continue(), head.upgrade()],
        }
    }
}

/// All fields, found by iterating and by name.
fn seen(fields: Fields<'_>) -> Vec<(String, Vec<u8>)> {
    let all: Vec<_> = fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in &all {
        assert!(fields.get_all(&name.to_uppercase()).any(|known| known == value), "{name} is not found");
    }
    all
}

/// Has a server read bytes that come in these pieces, each request answered at once.
fn read(pieces: impl Iterator<Item = Vec<u8>>, limits: [u16; 3]) -> Requests {
    let mut codec = Http1::new().head_max(limits[0]).target_max(limits[1]).fields_max(limits[2]);
    codec.limit(Limits { message: 1 << 20, unit: 1 << 16, queue: 1 << 16 });
    let (mut requests, mut input) = (Requests::default(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(&piece);
        while !input.is_empty() {
            let (n, event) = match codec.decode(&mut input, &mut Outbox::new(&mut [], &mut 0)) {
                Ok(Step::NeedInput) => break,
                Ok(Step::Quiet(n)) => (n, None),
                Ok(Step::Event(n, found)) => (n, Some(found)),
                Ok(Step::Alive(..) | Step::Goodbye(_)) => panic!("HTTP has none"),
                Err(error) => {
                    // How much framing was dealt with before, the cuts decide.
                    (requests.refused, requests.size) = (Some(error), 0);
                    // The goodbye fits what a session keeps for it.
                    let mut goodbye = [0; Http1::GOODBYE_MAX];
                    codec.close(CloseReason::Failed(error), &mut Outbox::new(&mut goodbye, &mut 0));
                    return requests;
                }
            };
            assert!(n > 0 && n <= input.len());
            let event =
                event.map(|found| Http1::view(found, &input[..n]).expect("what was found can be viewed"));
            match event {
                Some(Event::Head(unit)) => {
                    requests.heads.push(Asked::of(codec.request(), unit));
                    requests.bodies.push(Vec::new());
                    reply(&mut codec);
                }
                Some(Event::Piece(piece)) => {
                    requests.bodies.last_mut().expect("a body has a head").extend_from_slice(piece);
                }
                Some(Event::Frame(_)) => panic!("nothing was upgraded"),
                Some(Event::End) | None => {}
            }
            input.drain(..n);
            requests.size += n;
        }
    }
    requests
}

fn reply(codec: &mut Http1) {
    let (mut bytes, mut tail) = ([0; 512], 0);
    let head = Answer { reads_on: true, ..Answer::new(200) };
    let message = Message::Whole(head, Content::Bytes(b"yes"));
    codec.encode(&message, &mut Outbox::new(&mut bytes, &mut tail)).expect("each request is answered once");
    codec.accepted(&message);
}

/// Requests, whole and in pieces: the same events, or the same refusal.
pub fn request(data: &[u8]) {
    for limits in [[16_384, 8000, 100], [200, 50, 5]] {
        same_however_cut(data, limits);
    }
}

/// A request's chunked body: as above, and as a naive reader has it.
pub fn chunked(data: &[u8]) {
    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let requests = same_however_cut(&[HEAD, data].concat(), [16_384, 8000, 100]);
    match naive_chunks(&[data, b"\r\n\r\n"].concat()) {
        Some((body, _)) if requests.refused.is_some() => assert!(body.starts_with(&requests.bodies[0])),
        Some((body, size)) => {
            assert_eq!(requests.bodies[0], body);
            assert!(requests.size >= HEAD.len() + size);
        }
        None => assert_eq!(requests.heads.len(), 1, "a body ends where there is no end"),
    }
}

/// The body, and the bytes it took, if it is complete and of the grammar of RFC 9112, 7.1, with white space behind
/// the sizes.
fn naive_chunks(data: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut rest, mut body) = (data, Vec::new());
    let line = |rest: &mut &[u8]| -> Option<Vec<u8>> {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = rest[..end].to_vec();
        *rest = &rest[end + 2..];
        let is_text = line.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
        is_text.then_some(line)
    };
    loop {
        let head = line(&mut rest)?;
        let digits = head.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = head[digits..].trim_ascii_start();
        if digits == 0 || !(extension.is_empty() || extension.starts_with(b";")) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(&head[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok()?;
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let trailer = line(&mut rest)?;
        if trailer.is_empty() {
            return Some((body, data.len() - rest.len()));
        }
        let colon = trailer.iter().position(|byte| *byte == b':')?;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if colon == 0 || !trailer[..colon].iter().all(is_token) {
            return None;
        }
    }
}

fn same_however_cut(data: &[u8], limits: [u16; 3]) -> Requests {
    // What is refused may be refused late: once there is an end of a head, it must be.
    let end = b"\r\n\r\n";
    let whole = read([[data, end].concat()].into_iter(), limits);
    let mut cuts = Cuts::of(data);
    let mut rest = data;
    let pieces = std::iter::from_fn(|| {
        let (piece, behind) = rest.split_at(cuts.next().min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then(|| piece.to_vec())
    });
    let cut = read(pieces.chain([end.to_vec()]), limits);
    assert_eq!(cut, whole);
    let single = data.chunks(1).map(<[u8]>::to_vec).chain([end.to_vec()]);
    assert_eq!(read(single, limits), whole);
    whole
}

/// Heads of responses, whole and in pieces. The first byte says what they answer.
pub fn response(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let to = [Method::Get, Method::Head, Method::Connect, Method::Post][usize::from(first & 3)];
    let limits = match first & 4 {
        0 => HeadLimits::default(),
        _ => HeadLimits { head: 200, target: 0, fields: 5 },
    };
    let data = [data, b"\r\n\r\n"].concat();
    let whole = http1::response(&data, to, &limits);
    if let Ok(Some((n, head))) = whole {
        assert!(n <= data.len() && (100..1000).contains(&head.status));
        assert!(!head.reason(&data).contains(&b'\n'));
        seen(head.fields(&data));
        assert_eq!(http1::response(&data[..n], to, &limits), whole, "it needs what is behind it");
        assert_eq!(http1::response(&data[..n - 1], to, &limits), Ok(None), "it ends before its end");
    }
    for step in [1, Cuts::of(&data).next()] {
        let mut scan = Scan::new();
        let lens = (1..data.len()).filter(|len| len % step == 0 && *len < data.len() - 4).chain([data.len()]);
        let cut = lens.map(|len| scan.response(&data[..len], to, &limits)).find(|answer| *answer != Ok(None));
        assert_eq!(cut.unwrap_or(Ok(None)), whole);
    }
}

/// What a multipart reader tells; the data of each part in one piece.
#[derive(Debug, Default, PartialEq)]
struct Read {
    parts: Vec<(Vec<u8>, Vec<u8>)>,
    ended: usize,
    is_over: bool,
    refused: Option<Error>,
}

fn read_parts(data: &[u8], boundary: &str, mut cut: impl FnMut() -> usize) -> Read {
    let limits = PartLimits { parts: 5, head: 200, part: 300 };
    let mut found = Read::default();
    let Ok(mut parts) = Multipart::new(boundary, limits) else { return found };
    let (mut here, mut end) = (0, 0);
    loop {
        let input = &data[here..end];
        let n = match parts.feed(input) {
            Ok(PartStep::NeedInput) if end == data.len() => break,
            Ok(PartStep::NeedInput) => {
                assert!(input.len() < parts.window(), "it wants more than its window");
                end = (end + cut().min(parts.window() - input.len())).min(data.len());
                continue;
            }
            Ok(PartStep::Quiet(n)) => n,
            Ok(PartStep::Head(n)) => {
                found.parts.push((input[..n].to_vec(), Vec::new()));
                part_head(&input[..n]);
                n
            }
            Ok(PartStep::Data(n)) => {
                found.parts.last_mut().expect("data has a head").1.extend_from_slice(&input[..n]);
                n
            }
            Ok(PartStep::PartEnd(n)) => {
                found.ended += 1;
                n
            }
            Ok(PartStep::End(n)) => {
                found.ended += 1;
                n
            }
            Err(error) => {
                found.refused = Some(error);
                // How much data came before too much of it, the cuts decide.
                if let Some((_, data)) = found.parts.last_mut() {
                    data.clear();
                }
                return found;
            }
        };
        assert!(n > 0 && n <= input.len());
        here += n;
    }
    found.is_over = parts.finish().is_ok();
    found
}

fn part_head(head: &[u8]) {
    let Ok(part) = PartHead::parse(head) else { return };
    for text in [part.name(), part.filename()].into_iter().flatten() {
        escaped(text);
    }
    for (name, _) in part.fields() {
        assert!(part.field(name).is_some());
    }
}

/// Multipart content, whole and in pieces; in front of a line break, its type.
pub fn multipart(data: &[u8]) {
    let (kind, content) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&b"multipart/form-data; boundary=xyz"[..], data),
    };
    let boundary = boundary_of(kind).unwrap_or("xyz");
    let whole = read_parts(content, boundary, || usize::MAX / 2);
    assert_eq!(read_parts(content, boundary, || 1), whole);
    let mut cuts = Cuts::of(data);
    assert_eq!(read_parts(content, boundary, || cuts.next()), whole);
}

/// Cookies, both ways.
pub fn cookies(data: &[u8]) {
    for (name, value) in read_cookies(data) {
        assert!(!name.contains([';', '=']) && !value.contains(';'));
        if let Ok(cookie) = SetCookie::new(name, value) {
            let line = cookie.path("/").map(|cookie| cookie.to_string());
            for line in line.into_iter().chain([cookie.to_string()]) {
                assert!(line.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{line:?}");
                let known = parse_set_cookie(line.as_bytes());
                assert!(
                    known.is_none_or(|known| (known.name, known.value) == (name, value)),
                    "{line:?}: {known:?}"
                );
            }
        }
    }
    if let Some(cookie) = parse_set_cookie(data) {
        assert!(!cookie.name.contains([';', '=']) && !cookie.value.contains(';'));
        let (host, path) = (cookie.domain.unwrap_or("example.com"), cookie.path.unwrap_or("/"));
        assert!(domain_matches(host, host) || cookie.domain.is_none() || host.is_empty(), "{host:?}");
        assert!(!path_matches("/a", "/ab") && path_matches(path, path));
        assert!(default_path(path).starts_with('/'));
        assert!(!domain_matches("badexample.com", "example.com"));
    }
}

/// A text in every way it can be decoded, which must agree.
fn escaped(text: Escaped<'_>) {
    let mut scratch = vec![0; text.raw().len() + 1];
    match text.decode_into(&mut scratch) {
        Ok(decoded) => {
            assert_eq!(text, decoded);
            assert_eq!(text.to_string(), decoded);
            assert!(text.plain().is_none_or(|plain| plain == decoded));
            let again = Escape(decoded).to_string();
            assert_eq!(Escaped::new(&again), decoded);
            assert!(again.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-._~".contains(&byte)));
        }
        Err(error) => assert_eq!(error.wire(), 400, "{error}"),
    }
    _ = text.parse::<u32>();
}

/// A form with a field of each kind.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
struct Filled {
    a: String,
    b: Option<u32>,
    c: bool,
    d: Vec<i8>,
    e: Choice,
    f: char,
    g: f32,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
enum Choice {
    #[default]
    #[serde(rename = "x")]
    First,
    #[serde(rename = "y z")]
    Second,
}

/// Targets, escapes, queries and forms.
pub fn urls(data: &[u8]) {
    let mut bytes = data.to_vec();
    let in_place = decode_in_place(&mut bytes).map(|text| text.to_owned());
    let in_place_form: Result<Filled> = form::from_bytes_in_place(&mut data.to_vec());
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut scratch = vec![0; data.len()];
    assert_eq!(Escaped::new(text).decode_into(&mut scratch).map(str::to_owned), in_place);
    escaped(Escaped::new(text));
    escaped(Escaped::form(text));
    assert_eq!(Escaped::new(&Escape(text).to_string()), text);
    for (name, value) in form::pairs(text) {
        escaped(name);
        escaped(value);
    }
    let as_text: Result<Filled> = form::from_str(text);
    match (&in_place_form, &as_text) {
        // A long string is more than the scratch of the one, but not of the other.
        (Ok(_), Err(error)) if error.wire() == 413 => {}
        (Ok(a), Ok(b)) => assert!(a == b || a.g.is_nan(), "{a:?} {b:?}"),
        // In place all is decoded, also what nobody asks for.
        (Err(_), _) => {}
        (a, b) => panic!("{a:?} {b:?}"),
    }
    let head = format!("GET {text} HTTP/1.1\r\nHost: a\r\n\r\n");
    if let Ok(Some((n, request))) = http1::request(head.as_bytes(), &HeadLimits::default())
        && n == head.len()
    {
        let unit = head.as_bytes();
        // Behind a space the text has the rest of a head itself.
        assert_eq!(request.target(unit), text.split(' ').next().unwrap_or_default());
        let path = request.path(unit);
        assert!(path.starts_with('/') && !path.contains(['?', '#', ' ']), "{path:?}");
        assert!(text.contains(request.query(unit).unwrap_or_default()));
        _ = mime::content_type(path);
    }
}

/// Values of fields that choose content.
pub fn fields(data: &[u8]) {
    let (first, second) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let second = second.get(1..).unwrap_or_default();
    for length in [0, 1, 1000, u64::MAX] {
        let ranges = match range::select(first, length) {
            range::Selected::Single(range) => vec![range],
            range::Selected::Multiple(ranges) => ranges.to_vec(),
            range::Selected::Whole | range::Selected::Unsatisfiable => Vec::new(),
        };
        for range in ranges {
            assert!(range.first() <= range.last() && range.last() < length);
            assert_eq!(range.length(), range.last() - range.first() + 1);
        }
    }
    if let Some(seconds) = Date::parse(first) {
        let date = Date::from_unix(seconds);
        assert_eq!(Date::parse(date.as_bytes()), Some(seconds), "{date}");
    }
    if let Some(tag) = ETag::parse(first) {
        assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.is_weak());
        assert!(Tags::parse(first).is_some());
    }
    let validators = Validators { etag: ETag::strong("a"), last_modified: Some(784_111_777), exists: true };
    for (one, other) in [
        ("if-match", "if-none-match"),
        ("if-none-match", "if-modified-since"),
        ("if-unmodified-since", "if-none-match"),
        ("range", "if-range"),
    ] {
        let field = |name: &str| match name {
            _ if name == one => Some(first),
            _ if name == other => Some(second),
            _ => None,
        };
        _ = conditional::evaluate(Method::Get, &field, &validators).status();
        _ = conditional::range(Method::Get, &field, &validators);
    }
    assert!(negotiate::quality(first, "gzip").is_none_or(|quality| quality <= 1000));
    _ = negotiate::accepts(Some(first), "text/html");
    _ = negotiate::choose_media_type(Some(first), &["text/html", "application/json"]);
    if let Ok(text) = std::str::from_utf8(first) {
        for (name, value) in parameters(text).flatten() {
            assert!(!name.is_empty());
            escaped(value);
        }
        _ = mime::is_compressible(text);
    }
}

/// Most bytes of a message that is inflated here.
const PLAIN_MAX: usize = 1 << 16;

/// Offers of permessage-deflate in the first line, compressed messages behind it; the first byte of all says how.
pub fn deflate(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let (line, messages) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let messages = messages.get(1..).unwrap_or_default();
    let options = DeflateOptions::new()
        .threshold(0)
        .level(u32::from(first >> 1 & 7) + 1)
        .window_bits(u32::from(first >> 4))
        .context_takeover(first & 1 != 0);
    for offer in offers(line.split(|byte| *byte == b'\r')) {
        let text = offer.to_string();
        assert!(offers(std::iter::once(text.as_bytes())).eq([offer]), "{text}");
        let answer = Deflation::new(options).agree(&mut std::iter::once(offer)).expect("it can be met");
        let text = answer.to_string();
        let agreed = Offer(offer).accepted(std::iter::once(text.as_bytes()));
        assert_eq!(agreed, Ok(Some(answer)), "{text} to {offer}");
    }
    _ = Offer(Default::default()).accepted(line.split(|byte| *byte == b'\r'));
    let ours = || {
        let mut deflation = Deflation::new(options);
        deflation.agree(&mut std::iter::once(Default::default())).expect("it can be met");
        deflation
    };
    let mut stranger = ours();
    for message in messages.split(|byte| *byte == b'\n') {
        let (inflate, _) = stranger.halves();
        match inflate.inflate(message, PLAIN_MAX) {
            Ok(()) => assert!(inflate.inflated().len() <= PLAIN_MAX),
            Err(error) => {
                assert!(matches!(error.wire(), 1007 | 1009), "{error}");
                break;
            }
        }
        inflate.release();
    }
    let (mut one, mut other) = (ours(), ours());
    for message in messages.split(|byte| *byte == b'\n').chain([messages]) {
        let (_, deflate) = one.halves();
        if deflate.deflate(message) == Ok(true) {
            let (inflate, _) = other.halves();
            assert_eq!(inflate.inflate(deflate.deflated(), message.len()), Ok(()));
            assert_eq!(inflate.inflated(), message);
            inflate.release();
            deflate.release();
        }
    }
}
