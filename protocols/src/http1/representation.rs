//! Content that is there already: what of it a request gets, and with which fields.
//!
//! ```text
//! Representation + request's head -> Selection -> status, fields, ranges of a Source
//! ```
//!
//! One place for boards and desktops: an [`Asset`](super::Asset) in flash and a file on a disk differ in their
//! [`Source`] only. Nothing is formatted by `core::fmt`, which a board may do without.

use netloom_core::{Code, Date, Outbox, Result};

use super::byteranges::{ByteRanges, End, MediaType, PartHead};
use super::conditional::{self, Condition, Validators};
use super::method::Method;
use super::negotiate::Encoding;
use super::range::{self, ContentRange, Range, Selected};
use super::reply::{Reply, Sent, Stream};
use super::request::{Head, Request};
use super::router::Allow;
use super::status;
use super::to_fields::{FieldWriter, ToFields};

/// A representation (RFC 9110, 8), but for its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representation<'a> {
    /// `Content-Type`.
    pub content_type: &'a str,
    /// How many bytes it is.
    pub complete_length: u64,
    /// Which version of it this is.
    pub validators: Validators<'a>,
    /// What it is encoded in. Other encodings of the same must have other tags.
    pub encoding: Option<Encoding>,
    /// It was chosen by `Accept-Encoding`, or there was nothing else to choose yet: told caches by `Vary`.
    pub varies: bool,
    /// `Cache-Control`; empty for none.
    pub cache_control: &'a str,
    /// What parts are told apart by, if several ranges are asked for. It must not occur in them: a random number where
    /// a stranger may have chosen the bytes.
    pub boundary: u64,
}

/// Where the bytes of a [`Representation`] come from.
pub trait Source {
    /// The bytes from `at` on: at least one and at most `most`, which is not zero.
    ///
    /// # Errors
    /// Why there are none; the client is told that the answer is incomplete. An answer that has not begun is one of the
    /// error's [status](netloom_core::Error::wire).
    fn read(&mut self, at: u64, most: u64) -> impl Future<Output = Result<&[u8]>>;
}

/// All of them are at hand.
impl Source for &[u8] {
    async fn read(&mut self, at: u64, most: u64) -> Result<&[u8]> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        Ok(rest.get(..usize::try_from(most).unwrap_or(usize::MAX)).unwrap_or(rest))
    }
}

/// What a request gets of a [`Representation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client thinks.
    PreconditionFailed,
    /// 416: it has none of the ranges.
    Unsatisfiable,
    /// 200.
    Whole,
    /// 206, with that range.
    Single(Range),
    /// 206, with several ranges in one body.
    Multiple(ByteRanges<'a>),
}

impl Selection<'_> {
    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotModified => 304,
            Self::PreconditionFailed => 412,
            Self::Unsatisfiable => 416,
            Self::Whole => 200,
            Self::Single(_) | Self::Multiple(_) => 206,
        }
    }
}

impl<'a> Representation<'a> {
    /// What a GET or HEAD with that head gets.
    ///
    /// Of a condition that came in several fields only the first is seen.
    pub fn select(&self, head: &Head<'_>) -> Selection<'a> {
        let fields = head.fields();
        self.choose(head.method(), &|name: &str| fields.get(name))
    }

    fn choose<'f>(&self, method: Method, field: &impl Fn(&str) -> Option<&'f [u8]>) -> Selection<'a> {
        match conditional::evaluate(method, field, &self.validators) {
            Condition::NotModified => return Selection::NotModified,
            Condition::PreconditionFailed => return Selection::PreconditionFailed,
            Condition::Proceed => {}
        }
        let Some(ranges) = conditional::range(method, field, &self.validators) else {
            return Selection::Whole;
        };
        match range::select(ranges, self.complete_length) {
            Selected::Whole => Selection::Whole,
            Selected::Single(range) => Selection::Single(range),
            Selected::Unsatisfiable => Selection::Unsatisfiable,
            Selected::Multiple(ranges) => Selection::Multiple(ByteRanges {
                ranges,
                content_type: (!self.content_type.is_empty()).then_some(self.content_type),
                complete_length: self.complete_length,
                boundary: self.boundary,
            }),
        }
    }

    /// The fields of the answer, but for `Content-Type` and `Content-Length`.
    pub const fn fields(&self, selection: &Selection<'a>) -> impl ToFields {
        Described { what: *self, selection: *selection }
    }
}

/// A representation as the fields of an answer tell of it.
struct Described<'a> {
    what: Representation<'a>,
    selection: Selection<'a>,
}

impl ToFields for Described<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        let what = &self.what;
        // RFC 9110, 15.4.5: a 304 has the fields of a 200 that say how to cache it; an error none of them.
        let (is_content, is_told) = match self.selection {
            Selection::PreconditionFailed | Selection::Unsatisfiable => (false, false),
            Selection::NotModified => (false, true),
            Selection::Whole | Selection::Single(_) | Selection::Multiple(_) => (true, true),
        };
        if is_told {
            put_etag(&what.validators, out)?;
            if let Some(seconds) = what.validators.last_modified {
                out.field("last-modified", Date::from_unix(seconds).as_bytes())?;
            }
            if !what.cache_control.is_empty() {
                out.field("cache-control", what.cache_control.as_bytes())?;
            }
        }
        if what.varies {
            out.field("vary", b"accept-encoding")?;
        }
        if is_content {
            out.field("accept-ranges", b"bytes")?;
            if let Some(encoding) = what.encoding {
                out.field("content-encoding", encoding.name().as_bytes())?;
            }
        }
        let complete_length = what.complete_length;
        match self.selection {
            Selection::Single(range) => put_range(ContentRange::Part { range, complete_length }, out),
            Selection::Unsatisfiable => put_range(ContentRange::Unsatisfied { complete_length }, out),
            _ => Ok(()),
        }
    }
}

fn put_etag(validators: &Validators<'_>, out: &mut FieldWriter<'_, '_>) -> Result<()> {
    match validators.etag {
        Some(etag) => {
            out.parts("etag", &[if etag.is_weak() { b"W/\"" } else { b"\"" }, etag.opaque(), b"\""])
        }
        None => Ok(()),
    }
}

fn put_range(content_range: ContentRange, out: &mut FieldWriter<'_, '_>) -> Result<()> {
    let (mut value, mut length) = ([0; ContentRange::LENGTH_MAX], 0);
    content_range.put(&mut Outbox::new(&mut value, &mut length))?;
    out.field("content-range", value.get(..length).unwrap_or_default())
}

impl Request<'_> {
    /// Answers with what the request [selects](Representation::select) of `what`, whose bytes come from `source`. For
    /// GET and HEAD; another method gets 405.
    ///
    /// A short answer leaves in one write. One whose source fails in its middle ends the connection, so that the client
    /// can tell.
    ///
    /// # Errors
    /// What ended the session, or the source's.
    pub async fn represent(mut self, what: &Representation<'_>, mut source: impl Source) -> Result<Sent> {
        let method = self.asked().1;
        if !matches!(method, Method::Get | Method::Head) {
            return self.not_allowed().await;
        }
        let (head, reply) = self.split();
        let selection = what.select(&head);
        let reply = reply.status(selection.status()).fields(what.fields(&selection));
        // What is encoded is not encoded again, and ranges are counted as they are.
        let reply = match what.encoding.is_none() && selection == Selection::Whole {
            true => reply,
            false => reply.uncoded(),
        };
        let is_head = method == Method::Head;
        match selection {
            Selection::NotModified => reply.empty().await,
            Selection::PreconditionFailed => reply.refuse(status::error(412)).await,
            Selection::Unsatisfiable => reply.refuse(status::error(416)).await,
            Selection::Whole if is_head => {
                reply.stream_sized(what.content_type, what.complete_length).await?.end().await
            }
            Selection::Whole => part(reply, what.content_type, 0, what.complete_length, &mut source).await,
            Selection::Single(range) => {
                part(reply, what.content_type, range.first(), range.length(), &mut source).await
            }
            Selection::Multiple(body) => parts(reply, &body, &mut source).await,
        }
    }

    pub(super) async fn not_allowed(self) -> Result<Sent> {
        let mut allow = Allow::NONE;
        allow.add(Method::Get);
        self.unrouted(allow).await
    }
}

/// One part of the source is the body: in one write if it can be had at once.
async fn part<F: ToFields>(
    reply: Reply<'_, F>,
    content_type: &str,
    at: u64,
    length: u64,
    source: &mut impl Source,
) -> Result<Sent> {
    if length == 0 {
        return reply.bytes(content_type, &[]).await;
    }
    let first = cut(source.read(at, length).await?, length);
    if first.len() as u64 == length {
        return reply.bytes(content_type, first).await;
    }
    let mut stream = reply.stream_sized(content_type, length).await?;
    let sent = first.len() as u64;
    stream.send(first).await?;
    copy(&mut stream, at + sent, length - sent, source).await?;
    stream.end().await
}

async fn parts<F: ToFields>(
    reply: Reply<'_, F>,
    body: &ByteRanges<'_>,
    source: &mut impl Source,
) -> Result<Sent> {
    const SCRATCH: usize =
        if PartHead::PIECE_MAX > MediaType::LENGTH { PartHead::PIECE_MAX } else { MediaType::LENGTH };
    const { assert!(SCRATCH >= End::LENGTH) };
    let mut scratch = [0; SCRATCH];
    let mut length = 0;
    body.media_type().put(&mut Outbox::new(&mut scratch, &mut length))?;
    let media_type = core::str::from_utf8(scratch.get(..length).unwrap_or_default()).unwrap_or_default();
    let mut stream = reply.stream_sized(media_type, body.content_length()).await?;
    for range in &*body.ranges {
        let (mut back, mut back_length) = ([0; PartHead::PIECE_MAX], 0);
        length = 0;
        let mut front = Outbox::new(&mut scratch, &mut length);
        body.head(*range).put(&mut front, &mut Outbox::new(&mut back, &mut back_length))?;
        stream.send(scratch.get(..length).unwrap_or_default()).await?;
        stream.send(body.content_type.unwrap_or_default().as_bytes()).await?;
        stream.send(back.get(..back_length).unwrap_or_default()).await?;
        copy(&mut stream, range.first(), range.length(), source).await?;
    }
    length = 0;
    body.end().put(&mut Outbox::new(&mut scratch, &mut length))?;
    stream.send(scratch.get(..length).unwrap_or_default()).await?;
    stream.end().await
}

/// Sends `length` bytes of the source, from `at` on.
async fn copy(stream: &mut Stream<'_>, mut at: u64, mut length: u64, source: &mut impl Source) -> Result<()> {
    while length > 0 {
        let piece = cut(stream.during(source.read(at, length)).await?, length);
        if piece.is_empty() {
            // What was promised is not there.
            return Err(Code::InvalidSession.into());
        }
        stream.send(piece).await?;
        (at, length) = (at + piece.len() as u64, length - piece.len() as u64);
    }
    Ok(())
}

/// No more than was asked for.
fn cut(piece: &[u8], length: u64) -> &[u8] {
    usize::try_from(length).ok().and_then(|length| piece.get(..length)).unwrap_or(piece)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;

    use super::super::etag::ETag;
    use super::*;

    const PAGE: Representation<'_> = Representation {
        content_type: "text/plain",
        complete_length: 10,
        validators: Validators { etag: ETag::strong("v1"), last_modified: Some(784_111_777), exists: true },
        encoding: None,
        varies: false,
        cache_control: "max-age=60",
        boundary: 7,
    };

    fn selected(what: &Representation<'_>, method: Method, fields: &[(&str, &'static str)]) -> (u16, String) {
        let field = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.as_bytes());
        let selection = what.choose(method, &field);
        let (mut bytes, mut length) = ([0; 512], 0);
        what.fields(&selection)
            .put(&mut FieldWriter::new(&mut Outbox::new(&mut bytes, &mut length)))
            .expect("room");
        (selection.status(), String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    #[test]
    fn each_status_has_its_fields() {
        let told =
            "etag: \"v1\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\ncache-control: max-age=60\r\n";
        let content = std::format!("{told}accept-ranges: bytes\r\n");
        let range = |value| std::format!("{content}content-range: {value}\r\n");
        for (fields, expected) in [
            (&[][..], (200, content.clone())),
            (&[("if-none-match", "\"v1\"")], (304, told.into())),
            (&[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], (304, told.into())),
            (&[("if-match", "\"v2\"")], (412, "".into())),
            (&[("range", "bytes=2-3")], (206, range("bytes 2-3/10"))),
            (&[("range", "bytes=0-0,-1")], (206, content.clone())),
            (&[("range", "bytes=10-")], (416, "content-range: bytes */10\r\n".into())),
            (&[("range", "bytes=2-3"), ("if-range", "\"v2\"")], (200, content.clone())),
            (&[("range", "bytes=2-3"), ("if-none-match", "\"v1\"")], (304, told.into())),
        ] {
            assert_eq!(selected(&PAGE, Method::Get, fields), expected, "{fields:?}");
        }
        assert_eq!(selected(&PAGE, Method::Head, &[("range", "bytes=2-3")]).0, 200);
    }

    #[test]
    fn what_was_chosen_by_coding_says_so_and_to_caches_too() {
        let coded = Representation {
            validators: Validators { etag: ETag::weak("v1"), last_modified: None, exists: true },
            encoding: Some(Encoding::Gzip),
            varies: true,
            cache_control: "",
            ..PAGE
        };
        let fields =
            "etag: W/\"v1\"\r\nvary: accept-encoding\r\naccept-ranges: bytes\r\ncontent-encoding: gzip\r\n";
        assert_eq!(selected(&coded, Method::Get, &[]), (200, fields.into()));
        let fields = "etag: W/\"v1\"\r\nvary: accept-encoding\r\n";
        assert_eq!(selected(&coded, Method::Get, &[("if-none-match", "*")]), (304, fields.into()));
    }

    #[test]
    fn a_slice_is_a_source_within_its_bounds() {
        fn read(mut slice: &[u8], at: u64, most: u64) -> std::vec::Vec<u8> {
            let future = core::pin::pin!(slice.read(at, most));
            match future.poll(&mut core::task::Context::from_waker(core::task::Waker::noop())) {
                core::task::Poll::Ready(piece) => piece.expect("no source fails").to_vec(),
                core::task::Poll::Pending => panic!("waits"),
            }
        }
        assert_eq!(read(b"abc", 1, 1), b"b");
        assert_eq!(read(b"abc", 1, 9), b"bc");
        assert_eq!(read(b"abc", 3, 1), b"");
        assert_eq!(read(b"abc", u64::MAX, u64::MAX), b"");
    }
}
