//! Answers in the coding that the client likes best.

use std::io::{self, Write};
use std::mem;

use netloom_core::{Code, Error, Outbox, Result};

use netloom_protocols::websocket;

use super::negotiate::{Encoding, choose_encoding};
use super::{
    Answer, Coder, Coding, Content, FieldLines, FieldWriter, Fill, Method, Request, Sent, ToFields, mime,
};
use crate::websocket::{DeflateOptions, Deflation};

/// What answers are encoded in, the one that costs least for what it saves first.
const OFFERED: [Encoding; 4] = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip, Encoding::Deflate];
/// Most bytes of content that is rendered to be encoded: as long as a message may be at all on most servers.
const RENDERED_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of an answer's fields.
const FIELDS_MAX: usize = 64 * 1024;
/// Base two logarithms of how far back a coder looks: what it keeps while an answer is under way.
const BROTLI_WINDOW: u32 = 18;
const ZSTD_WINDOW: u32 = 19;

/// How answers are compressed. A layer around an application:
///
/// ```no_run
/// use netloom::http::{Compression, Request};
/// use netloom::{Server, routes};
///
/// let app = routes! {
///     GET "/" => async |request: Request<'_>| request.reply().text(&"long ".repeat(1000)).await,
/// };
/// let server = Server::builder().tcp("127.0.0.1:8080").http(Compression::new().threshold(512).around(app))?;
/// # drop(server);
/// # Ok::<(), netloom::StartError>(())
/// ```
///
/// Encoded is what `Accept-Encoding` asks for: `zstd`, `br`, `gzip` or `deflate`. Sent as it is:
///
/// - what is shorter than the threshold, or would not become shorter
/// - what is [not compressible](mime::is_compressible) by its type, and event streams
/// - parts (206), and what has a `Content-Encoding`, `Content-Range` or digest already
/// - what says `Cache-Control: no-transform`
///
/// An encoded answer's strong `ETag` becomes weak (RFC 9110, 8.8.1: other bytes, as good as these), it promises no
/// ranges, and it says `Vary`. So does one that another client would have got encoded. A flushed stream can be decoded
/// as far as it was flushed. Compressing is done on the worker; its memory, up to about 2 MiB, is held only while an
/// answer is under way.
#[derive(Clone, Copy, Debug)]
pub struct Compression {
    threshold: u64,
    level: u32,
    websocket: Option<DeflateOptions>,
}

/// [`Compression`] as it comes, around `app`.
///
/// ```no_run
/// use netloom::http::{Request, compress};
/// use netloom::{Server, routes};
///
/// let app = routes! { GET "/" => async |request: Request<'_>| request.reply().text("Hello, World!").await };
/// let server = Server::builder().tcp("127.0.0.1:8080").http(compress(app))?;
/// # drop(server);
/// # Ok::<(), netloom::StartError>(())
/// ```
pub fn compress<A>(app: A) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone
where
    A: AsyncFn(Request<'_>) -> Result<Sent> + Clone,
{
    Compression::new().around(app)
}

impl Compression {
    /// From 1024 bytes on, at level 4; WebSockets as [`DeflateOptions`] come.
    pub const fn new() -> Self {
        Self { threshold: 1024, level: 4, websocket: Some(DeflateOptions::new()) }
    }

    /// The length from which on content is compressed, if its length is known. Below about 1,000 bytes it is no fewer
    /// packets.
    #[must_use]
    pub const fn threshold(mut self, bytes: u64) -> Self {
        self.threshold = bytes;
        self
    }

    /// From 1, the fastest, to 9, the smallest.
    #[must_use]
    pub const fn level(mut self, level: u32) -> Self {
        self.level = if level < 1 {
            1
        } else if level > 9 {
            9
        } else {
            level
        };
        self
    }

    /// How the messages of a WebSocket are compressed that a request becomes, if the client wants it; `None` for not at
    /// all.
    #[must_use]
    pub fn websocket(mut self, options: impl Into<Option<DeflateOptions>>) -> Self {
        self.websocket = options.into();
        self
    }

    /// `app`, its answers compressed.
    pub fn around<A>(self, app: A) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone
    where
        A: AsyncFn(Request<'_>) -> Result<Sent> + Clone,
    {
        async move |request: Request<'_>| {
            let (request, mut compressor) = {
                // In a block: a connection would keep room for the head.
                let mut request = request;
                let head = request.head();
                let encoding = choose_encoding(head.fields().get("accept-encoding"), &OFFERED);
                let is_head = head.method() == Method::Head;
                (request, Compressor::new(&self, encoding, is_head))
            };
            app(request.coded(&mut compressor)).await
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

/// One request's coder. It holds nothing until an answer is to be encoded.
struct Compressor<'a> {
    options: &'a Compression,
    /// What the client likes best.
    encoding: Option<Encoding>,
    /// Nothing of a streamed body will be sent.
    is_head: bool,
    fields: Lines,
    encoded: Vec<u8>,
    engine: Option<Box<Engine>>,
    /// Once a request has become a WebSocket.
    websocket: Option<Box<Deflation>>,
    /// Bytes that were announced and have not come.
    left: Option<u64>,
}

impl<'a> Compressor<'a> {
    fn new(options: &'a Compression, encoding: Option<Encoding>, is_head: bool) -> Self {
        let fields = Lines(Vec::new());
        Self {
            options,
            encoding,
            is_head,
            fields,
            encoded: Vec::new(),
            engine: None,
            websocket: None,
            left: None,
        }
    }

    /// Whether content behind this head may be encoded. Its fields are then in `fields`.
    fn suits(&mut self, head: &Answer<'_>, length: Option<u64>) -> Result<bool> {
        if matches!(head.status, 100..200 | 204..=206 | 304)
            || head.events
            || length.is_some_and(|length| length < self.options.threshold)
            || !mime::is_compressible(head.content_type)
        {
            return Ok(false);
        }
        self.fields.0 = rendered(FIELDS_MAX, 512, |room| {
            let mut length = 0;
            head.fields.put(&mut FieldWriter::new(&mut Outbox::new(room, &mut length)))?;
            Ok(length)
        })?;
        Ok(!self.fields.forbid())
    }

    fn encode_whole(&mut self, encoding: Encoding, plain: &[u8]) -> Result<()> {
        let mut engine =
            Engine::new(encoding, self.options.level, Some(plain.len() as u64)).map_err(failed)?;
        engine.write(plain).map_err(failed)?;
        self.encoded = engine.finish().map_err(failed)?;
        Ok(())
    }
}

impl Coder for Compressor<'_> {
    fn whole(&mut self, head: &Answer<'_>, content: Content<'_>) -> Result<Coding> {
        let length = match content {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Fill(_) => None,
        };
        if !self.suits(head, length)? {
            return Ok(Coding::Verbatim);
        }
        let (plain, own) = match content {
            Content::Bytes(bytes) => (bytes, None),
            Content::Fill(fill) => (&[][..], Some(filled(fill)?)),
        };
        // What was rendered need not be rendered again.
        let plain_is = if own.is_some() { Coding::Encoded } else { Coding::Fields };
        let plain = own.as_deref().unwrap_or(plain);
        let coded = match self.encoding {
            _ if (plain.len() as u64) < self.options.threshold => None,
            None => {
                self.fields.vary();
                None
            }
            Some(encoding) => {
                self.encode_whole(encoding, plain)?;
                self.fields.vary();
                (self.encoded.len() < plain.len()).then_some(encoding)
            }
        };
        match (coded, own) {
            (Some(encoding), _) => {
                self.fields.encode(encoding);
                Ok(Coding::Encoded)
            }
            (None, own) => {
                self.encoded = own.unwrap_or_default();
                Ok(plain_is)
            }
        }
    }

    fn begin(&mut self, head: &Answer<'_>, length: Option<u64>) -> Result<Coding> {
        if !self.suits(head, length)? {
            return Ok(Coding::Verbatim);
        }
        self.fields.vary();
        let Some(encoding) = self.encoding else { return Ok(Coding::Fields) };
        self.fields.encode(encoding);
        self.left = length;
        if !self.is_head {
            let engine = Engine::new(encoding, self.options.level, length).map_err(failed)?;
            self.engine = Some(Box::new(engine));
        }
        Ok(Coding::Encoded)
    }

    fn piece(&mut self, piece: &[u8], flush: bool, end: bool) -> Result<()> {
        self.encoded.clear();
        let Some(engine) = &mut self.engine else { return Ok(()) };
        if let Some(left) = &mut self.left {
            // Chunks would hide that it is not what was announced.
            *left = left.checked_sub(piece.len() as u64).ok_or(Code::InvalidSession)?;
            if end && *left > 0 {
                return Err(Code::InvalidSession.into());
            }
        }
        engine.write(piece).map_err(failed)?;
        if flush {
            engine.flush().map_err(failed)?;
        }
        mem::swap(&mut self.encoded, engine.output());
        if end && let Some(engine) = self.engine.take() {
            let rest = engine.finish().map_err(failed)?;
            self.encoded.extend_from_slice(&rest);
        }
        Ok(())
    }

    fn fields(&self) -> &dyn ToFields {
        &self.fields
    }

    fn websocket(&mut self) -> Option<&mut dyn websocket::Compression> {
        let options = self.options.websocket?;
        Some(&mut **self.websocket.get_or_insert_with(|| Box::new(Deflation::new(options))))
    }

    fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// Coders that write to memory do not fail but for bugs and for want of memory.
fn failed(error: io::Error) -> Error {
    tracing::error!(%error, "an answer cannot be encoded");
    Error::new(Code::Unsupported).on_wire(500)
}

/// What `write` writes, in as much room as it needs.
fn rendered(max: usize, first: usize, write: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut room = vec![0; first];
    loop {
        match write(&mut room) {
            Ok(length) => {
                room.truncate(length);
                return Ok(room);
            }
            Err(error) if error == Code::BufferFull && room.len() < max => room.resize(room.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}

fn filled(content: &dyn Fill) -> Result<Vec<u8>> {
    rendered(RENDERED_MAX, 4096, |room| content.fill(room))
}

/// Field lines as they were written.
struct Lines(Vec<u8>);

impl ToFields for Lines {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        FieldLines::new(&self.0).ok_or(Code::InvalidText)?.put(out)
    }
}

impl Lines {
    fn each(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
            let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
            Some((name, value.get(1..)?.trim_ascii()))
        })
    }

    /// Whether a field says that the content is to stay as it is, or says something about its very bytes.
    fn forbid(&self) -> bool {
        const BYTES: [&[u8]; 5] =
            [b"content-encoding", b"content-range", b"content-digest", b"content-md5", b"digest"];
        self.each().any(|(name, value)| {
            let is = |other: &&[u8]| name.eq_ignore_ascii_case(other);
            BYTES.iter().any(is) || (is(&&b"cache-control"[..]) && lists(value, b"no-transform"))
        })
    }

    /// Tells caches that `Accept-Encoding` matters.
    fn vary(&mut self) {
        let told = self.each().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"vary") && (lists(value, b"accept-encoding") || lists(value, b"*"))
        });
        if !told {
            self.0.extend_from_slice(b"vary: accept-encoding\r\n");
        }
    }

    /// Says what the content is encoded in, and nothing any more that is true of the plain bytes only.
    fn encode(&mut self, encoding: Encoding) {
        let mut lines = Vec::with_capacity(self.0.len() + 32);
        for (name, value) in self.each() {
            if name.eq_ignore_ascii_case(b"accept-ranges") {
                continue;
            }
            // RFC 9110, 8.8.3.3
            let is_strong = name.eq_ignore_ascii_case(b"etag") && !value.starts_with(b"W/");
            let parts = [name, b": ", if is_strong { b"W/" } else { b"" }, value, b"\r\n"];
            parts.iter().for_each(|part| lines.extend_from_slice(part));
        }
        lines.extend_from_slice(b"content-encoding: ");
        lines.extend_from_slice(encoding.name().as_bytes());
        lines.extend_from_slice(b"\r\n");
        self.0 = lines;
    }
}

/// Whether a list of tokens has that one.
fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|element| element.trim_ascii().eq_ignore_ascii_case(token))
}

/// An encoder that writes to memory.
enum Engine {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Engine {
    fn new(encoding: Encoding, level: u32, length: Option<u64>) -> io::Result<Self> {
        let out = Vec::new();
        Ok(match encoding {
            Encoding::Gzip => Self::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::new(level))),
            Encoding::Deflate => {
                Self::Deflate(flate2::write::ZlibEncoder::new(out, flate2::Compression::new(level)))
            }
            Encoding::Brotli => {
                Self::Brotli(Box::new(brotli::CompressorWriter::new(out, 4096, level, BROTLI_WINDOW)))
            }
            Encoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, level.cast_signed())?;
                encoder.window_log(ZSTD_WINDOW)?;
                encoder.set_pledged_src_size(length)?;
                Self::Zstd(encoder)
            }
        })
    }

    fn write(&mut self, plain: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(plain),
            Self::Deflate(encoder) => encoder.write_all(plain),
            Self::Brotli(encoder) => encoder.write_all(plain),
            Self::Zstd(encoder) => encoder.write_all(plain),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Deflate(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Deflate(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::tests::plain;
    use super::*;

    const ALL: [Encoding; 4] = OFFERED;

    fn text(n: usize) -> Vec<u8> {
        (0..n).flat_map(|n| format!("line {n}, and the same again\n").into_bytes()).take(n).collect()
    }

    fn head<'a>(fields: &'a dyn ToFields) -> Answer<'a> {
        Answer { content_type: "text/plain", fields, ..Answer::new(200) }
    }

    fn compressor(encoding: impl Into<Option<Encoding>>) -> Compressor<'static> {
        Compressor::new(&const { Compression::new() }, encoding.into(), false)
    }

    fn lines<'a>(compressor: &'a Compressor<'_>) -> &'a str {
        str::from_utf8(&compressor.fields.0).unwrap()
    }

    #[test]
    fn every_coding_can_be_decoded_whole_and_in_pieces() {
        let text = text(100_000);
        for encoding in ALL {
            let mut whole = compressor(encoding);
            assert_eq!(whole.whole(&head(&()), Content::Bytes(&text)), Ok(Coding::Encoded));
            assert!(whole.encoded().len() < text.len() / 4, "{encoding:?}: {}", whole.encoded().len());
            assert_eq!(plain(encoding, whole.encoded()), text, "{encoding:?}");

            for length in [None, Some(text.len() as u64)] {
                let mut pieces = compressor(encoding);
                assert_eq!(pieces.begin(&head(&()), length), Ok(Coding::Encoded));
                let mut all = Vec::new();
                for piece in text.chunks(999) {
                    pieces.piece(piece, false, false).unwrap();
                    all.extend_from_slice(pieces.encoded());
                }
                pieces.piece(b"", false, true).unwrap();
                all.extend_from_slice(pieces.encoded());
                assert_eq!(plain(encoding, &all), text, "{encoding:?}");
            }
        }
    }

    #[test]
    fn what_was_flushed_can_be_decoded() {
        for encoding in ALL {
            let mut pieces = compressor(encoding);
            pieces.begin(&head(&()), None).unwrap();
            let (mut all, mut said) = (Vec::new(), Vec::new());
            for piece in [&b"one "[..], b"two ", b"three"] {
                said.extend_from_slice(piece);
                pieces.piece(piece, false, false).unwrap();
                all.extend_from_slice(pieces.encoded());
                pieces.piece(b"", true, false).unwrap();
                all.extend_from_slice(pieces.encoded());
                assert_eq!(super::super::decode::tests::so_far(encoding, &all), said, "{encoding:?}");
            }
        }
    }

    #[test]
    fn what_is_not_to_be_encoded_is_not() {
        let text = text(5000);
        let refuses = |head: &Answer<'_>, text: &[u8]| {
            let mut compressor = compressor(Encoding::Gzip);
            assert_eq!(compressor.whole(head, Content::Bytes(text)), Ok(Coding::Verbatim), "{}", head.status);
            assert_eq!(
                compressor.begin(head, Some(text.len() as u64)),
                Ok(Coding::Verbatim),
                "{}",
                head.status
            );
        };
        refuses(&head(&()), &text[..1023]);
        for status in [204, 205, 206, 304] {
            refuses(&Answer { status, ..head(&()) }, &text);
        }
        for content_type in ["image/png", "text/event-stream", ""] {
            refuses(&Answer { content_type, ..head(&()) }, &text);
        }
        refuses(&Answer { events: true, ..head(&()) }, &text);
        for field in [
            ("content-encoding", "br"),
            ("Content-Range", "bytes 0-1/2"),
            ("cache-control", "private, no-transform"),
            ("content-digest", "x"),
        ] {
            refuses(&head(&[field]), &text);
        }
    }

    #[test]
    fn an_error_is_encoded_as_well() {
        let mut compressor = compressor(Encoding::Gzip);
        let head = Answer { status: 404, ..head(&()) };
        assert_eq!(compressor.whole(&head, Content::Bytes(&text(2000))), Ok(Coding::Encoded));
    }

    #[test]
    fn a_strong_tag_becomes_weak_and_ranges_are_not_promised() {
        let fields = [("ETag", "\"v1\""), ("accept-ranges", "bytes"), ("x", "y")];
        let mut strong = compressor(Encoding::Brotli);
        strong.whole(&head(&fields), Content::Bytes(&text(2000))).unwrap();
        assert_eq!(
            lines(&strong),
            "ETag: W/\"v1\"\r\nx: y\r\nvary: accept-encoding\r\ncontent-encoding: br\r\n"
        );
        let mut weak = compressor(Encoding::Zstd);
        weak.begin(&head(&[("etag", "W/\"v1\""), ("vary", "Origin, Accept-Encoding")]), None).unwrap();
        assert_eq!(
            lines(&weak),
            "etag: W/\"v1\"\r\nvary: Origin, Accept-Encoding\r\ncontent-encoding: zstd\r\n"
        );
    }

    #[test]
    fn who_takes_no_coding_is_told_that_others_might() {
        let mut none = compressor(None);
        let fields = [("etag", "\"v1\"")];
        assert_eq!(none.whole(&head(&fields), Content::Bytes(&text(2000))), Ok(Coding::Fields));
        assert_eq!(lines(&none), "etag: \"v1\"\r\nvary: accept-encoding\r\n");
        assert_eq!(none.begin(&head(&fields), None), Ok(Coding::Fields));
    }

    #[test]
    fn noise_is_sent_as_it_is() {
        let mut n = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (n >> 24) as u8
        })
        .take(2000)
        .collect();
        for encoding in ALL {
            let mut compressor = compressor(encoding);
            assert_eq!(
                compressor.whole(&head(&()), Content::Bytes(&noise)),
                Ok(Coding::Fields),
                "{encoding:?}"
            );
            assert!(!lines(&compressor).contains("content-encoding"));
        }
    }

    #[test]
    fn what_is_rendered_is_rendered_once_and_measured_then() {
        struct Text<'a>(&'a [u8]);
        impl Fill for Text<'_> {
            fn fill(&self, room: &mut [u8]) -> Result<usize> {
                room.get_mut(..self.0.len()).ok_or(Code::BufferFull)?.copy_from_slice(self.0);
                Ok(self.0.len())
            }
        }
        let text = text(10_000);
        for (length, encoded) in [(1023, false), (1024, true), (10_000, true)] {
            let mut compressor = compressor(Encoding::Gzip);
            let content = Text(&text[..length]);
            assert_eq!(compressor.whole(&head(&()), Content::Fill(&content)), Ok(Coding::Encoded));
            assert_eq!(lines(&compressor).contains("content-encoding"), encoded);
            match encoded {
                true => assert_eq!(plain(Encoding::Gzip, compressor.encoded()), text[..length]),
                false => assert_eq!(compressor.encoded(), &text[..length]),
            }
        }
    }

    #[test]
    fn more_or_less_than_was_announced_is_an_error() {
        for encoding in ALL {
            let mut less = compressor(encoding);
            less.begin(&head(&()), Some(2000)).unwrap();
            less.piece(&text(1999), false, false).unwrap();
            assert_eq!(less.piece(b"", false, true), Err(Code::InvalidSession.into()));
            let mut more = compressor(encoding);
            more.begin(&head(&()), Some(2000)).unwrap();
            assert_eq!(more.piece(&text(2001), false, false), Err(Code::InvalidSession.into()));
        }
    }

    #[test]
    fn fields_that_cannot_be_said_are_an_error() {
        let fields = [("x", "a\r\nb")];
        assert_eq!(
            compressor(Encoding::Gzip).whole(&head(&fields), Content::Bytes(&text(2000))),
            Err(Error::new(Code::InvalidText).blame(netloom_core::Fault::Local))
        );
    }
}
