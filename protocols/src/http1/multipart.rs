//! Multipart content (RFC 2046, 5.1; forms: RFC 7578) as a stream of parts.
//!
//! ```text
//! preamble CRLF --boundary CRLF | head CRLF CRLF | data | CRLF --boundary CRLF | head ... | CRLF --boundary-- epilogue
//!          Quiet                | Head           | Data | PartEnd   Quiet      |          | PartEnd  End    Quiet
//! ```
//!
//! Nothing is held here: whoever has the bytes shows what he has, is told what the first of them are, takes
//! them away and comes again. Data is released as soon as it cannot be the beginning of a delimiter, so a
//! buffer of [`Multipart::window`] bytes is enough for parts of any length. The invariant: how the content is
//! cut does not change what it is found to be.

use memchr::memchr;
use netloom_core::{Code, Error, Result};

use super::escaped::malformed;
use super::parameters::parameters;
use super::text::{cut, is_space, is_token, trim_text};

/// RFC 2046, 5.1.1: the most bytes of a boundary.
const BOUNDARY_MAX: usize = 70;
/// CR LF and two hyphens stand before it.
const DASHES: usize = 4;

/// What one request's parts may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// How many.
    pub parts: usize,
    /// Bytes of one part's head, with the empty line that ends it.
    pub head: usize,
    /// Bytes of one part's data.
    pub part: u64,
}

impl Default for PartLimits {
    /// 64 parts, with heads of 1,024 bytes and data of 1 MiB.
    fn default() -> Self {
        Self { parts: 64, head: 1024, part: 1 << 20 }
    }
}

/// What the first bytes are. All but `NeedInput` have at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartStep {
    /// It cannot be said before more bytes arrive.
    NeedInput,
    /// That many bytes nobody needs to see.
    Quiet(usize),
    /// A part begins; its head is that many bytes, for [`PartHead::parse`](super::part::PartHead::parse).
    Head(usize),
    /// That many bytes of the part's data.
    Data(usize),
    /// The part has ended; the delimiter is that many bytes.
    PartEnd(usize),
    /// The last part has ended. All that follows will be `Quiet`.
    End(usize),
}

/// The state of one multipart content.
///
/// ```
/// use netloom_protocols::http1::multipart::{Multipart, PartLimits, PartStep};
///
/// let mut parts = Multipart::new("xyz", PartLimits::default())?;
/// let mut content: &[u8] = b"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nhello\r\n--xyz--\r\n";
/// let mut data = Vec::new();
/// let n = loop {
///     let n = match parts.feed(content)? {
///         PartStep::NeedInput => break content.len(),
///         PartStep::Data(n) => {
///             data.extend_from_slice(&content[..n]);
///             n
///         }
///         PartStep::Quiet(n) | PartStep::Head(n) | PartStep::PartEnd(n) | PartStep::End(n) => n,
///     };
///     content = &content[n..];
/// };
/// parts.finish()?;
/// assert_eq!((n, data), (0, b"hello".to_vec()));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Multipart {
    /// CR LF, two hyphens, the boundary.
    delimiter: [u8; DASHES + BOUNDARY_MAX],
    /// Bytes of the delimiter.
    len: u8,
    state: State,
    limits: PartLimits,
    /// Parts that may still begin.
    parts_left: usize,
    /// Bytes of data the part at hand may still have.
    data_left: u64,
    /// Bytes of the head at hand that were already looked at.
    seen: usize,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first line, which may be a delimiter although no CR LF stands before it.
    Start,
    Preamble,
    /// What stands behind a boundary: two hyphens if it was the last, or the line's end.
    Boundary,
    /// The line's end, after white space.
    Padding,
    Head,
    /// The first line of the data. If it is a delimiter, its CR LF was the empty line before it.
    FirstLine,
    Data,
    Epilogue,
}

impl Multipart {
    /// The parts between `boundary`, as from [`boundary_of`].
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] with status 400: it is no boundary.
    pub fn new(boundary: &str, limits: PartLimits) -> Result<Self> {
        if !is_boundary(boundary) {
            return Err(malformed());
        }
        let len = DASHES + boundary.len();
        let mut delimiter = [0; DASHES + BOUNDARY_MAX];
        delimiter[..DASHES].copy_from_slice(b"\r\n--");
        delimiter[DASHES..len].copy_from_slice(boundary.as_bytes());
        Ok(Self {
            delimiter,
            len: len as u8,
            state: State::Start,
            limits,
            parts_left: limits.parts,
            data_left: 0,
            seen: 0,
        })
    }

    /// Bytes that must fit the caller's buffer: in one of this size, `NeedInput` never meets a full one.
    pub fn window(&self) -> usize {
        self.limits.head.max(self.delimiter().len())
    }

    /// Says what the first bytes of `input` are. The next call gets what follows them; after `NeedInput`, the
    /// same and more.
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] with status 400: a delimiter is followed by something else.
    /// [`Code::MessageTooLarge`] with 413: too many parts, or too much data in one; with 431: a head is too
    /// long. The content cannot be gone on with.
    pub fn feed(&mut self, input: &[u8]) -> Result<PartStep> {
        if input.is_empty() {
            return Ok(PartStep::NeedInput);
        }
        match self.state {
            State::Start => Ok(self.start(input)),
            State::Preamble => Ok(self.preamble(input)),
            State::Boundary => self.boundary(input),
            State::Padding => self.padding(input),
            State::Head => self.head(input),
            State::FirstLine => self.first_line(input),
            State::Data => self.data(input),
            State::Epilogue => Ok(PartStep::Quiet(input.len())),
        }
    }

    /// The content has ended.
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] with status 400: its last delimiter is missing.
    pub fn finish(&self) -> Result<()> {
        match self.state {
            State::Epilogue => Ok(()),
            _ => Err(malformed()),
        }
    }

    fn delimiter(&self) -> &[u8] {
        &self.delimiter[..usize::from(self.len)]
    }

    fn start(&mut self, input: &[u8]) -> PartStep {
        match self.match_line(input) {
            Found::Perhaps => PartStep::NeedInput,
            Found::Delimiter(n) => {
                self.state = State::Boundary;
                PartStep::Quiet(n)
            }
            Found::Before(_) => {
                self.state = State::Preamble;
                self.preamble(input)
            }
        }
    }

    fn preamble(&mut self, input: &[u8]) -> PartStep {
        match self.search(input) {
            Found::Before(n) => PartStep::Quiet(n),
            Found::Perhaps => PartStep::NeedInput,
            Found::Delimiter(n) => {
                self.state = State::Boundary;
                PartStep::Quiet(n)
            }
        }
    }

    /// RFC 2046, 5.1.1: the beginning of a line decides that it is a delimiter, so anything else behind it
    /// is an error and not data.
    fn boundary(&mut self, input: &[u8]) -> Result<PartStep> {
        match input {
            [b'-'] => Ok(PartStep::NeedInput),
            [b'-', b'-', ..] => {
                self.state = State::Epilogue;
                Ok(PartStep::End(2))
            }
            _ => self.padding(input),
        }
    }

    /// RFC 2046, 5.1.1: `transport-padding CRLF`.
    fn padding(&mut self, input: &[u8]) -> Result<PartStep> {
        match input {
            [b'\r'] => Ok(PartStep::NeedInput),
            [b'\r', b'\n', ..] => {
                self.parts_left = self.parts_left.checked_sub(1).ok_or(too_large(413))?;
                self.data_left = self.limits.part;
                self.state = State::Head;
                Ok(PartStep::Quiet(2))
            }
            _ => match input.iter().take_while(|octet| is_space(**octet)).count() {
                0 => Err(malformed()),
                n => {
                    self.state = State::Padding;
                    Ok(PartStep::Quiet(n))
                }
            },
        }
    }

    fn head(&mut self, input: &[u8]) -> Result<PartStep> {
        let reach = input.len().min(self.limits.head);
        while let Some(at) = memchr(b'\n', &input[self.seen.min(reach)..reach]) {
            self.seen += at + 1;
            let head = &input[..self.seen];
            if head == b"\r\n" || head.ends_with(b"\r\n\r\n") {
                self.state = State::FirstLine;
                return Ok(PartStep::Head(core::mem::take(&mut self.seen)));
            }
        }
        self.seen = reach;
        match reach == self.limits.head {
            true => Err(too_large(431)),
            false => Ok(PartStep::NeedInput),
        }
    }

    fn first_line(&mut self, input: &[u8]) -> Result<PartStep> {
        match self.match_line(input) {
            Found::Perhaps => Ok(PartStep::NeedInput),
            Found::Delimiter(n) => {
                self.state = State::Boundary;
                Ok(PartStep::PartEnd(n))
            }
            Found::Before(_) => {
                self.state = State::Data;
                self.data(input)
            }
        }
    }

    fn data(&mut self, input: &[u8]) -> Result<PartStep> {
        match self.search(input) {
            Found::Delimiter(n) => {
                self.state = State::Boundary;
                Ok(PartStep::PartEnd(n))
            }
            Found::Perhaps => Ok(PartStep::NeedInput),
            Found::Before(_) if self.data_left == 0 => Err(too_large(413)),
            Found::Before(n) => {
                let n = usize::try_from(self.data_left).map_or(n, |left| left.min(n));
                self.data_left -= n as u64;
                Ok(PartStep::Data(n))
            }
        }
    }

    /// Whether `input`, the beginning of a line, is a delimiter without its CR LF.
    fn match_line(&self, input: &[u8]) -> Found {
        let line = &self.delimiter()[b"\r\n".len()..];
        let n = input.len().min(line.len());
        match (input[..n] == line[..n], n == line.len()) {
            (true, true) => Found::Delimiter(n),
            (true, false) => Found::Perhaps,
            (false, _) => Found::Before(0),
        }
    }

    /// Looks for the delimiter in `input`, which is not empty. Only its first byte is a CR, so wherever
    /// the comparison fails, no byte that was compared needs to be looked at again.
    fn search(&self, input: &[u8]) -> Found {
        let delimiter = self.delimiter();
        let mut from = 0;
        while let Some(at) = memchr(b'\r', &input[from..]) {
            let rest = &input[from + at..];
            let n = rest.len().min(delimiter.len());
            if rest[..n] == delimiter[..n] {
                return match (from + at, n == delimiter.len()) {
                    (0, true) => Found::Delimiter(n),
                    (0, false) => Found::Perhaps,
                    (before, _) => Found::Before(before),
                };
            }
            from += at + 1;
        }
        Found::Before(input.len())
    }
}

/// What a text begins with.
enum Found {
    /// That many bytes that are not of a delimiter.
    Before(usize),
    /// The delimiter, that many bytes.
    Delimiter(usize),
    /// Something that may become one.
    Perhaps,
}

/// The boundary in the value of a `Content-Type` field; none if that is not multipart, or the boundary is
/// missing, there twice, or not within RFC 2046, 5.1.1.
///
/// ```
/// use netloom_protocols::http1::multipart::boundary_of;
///
/// assert_eq!(boundary_of(b"multipart/form-data; boundary=\"a b\""), Some("a b"));
/// assert_eq!(boundary_of(b"text/plain; boundary=a"), None);
/// ```
pub fn boundary_of(content_type: &[u8]) -> Option<&str> {
    let text = str::from_utf8(content_type).ok()?;
    let (kind, rest) = text.split_at_checked(text.bytes().position(|octet| octet == b';')?)?;
    let (kind, subtype) = cut(trim_text(kind), b'/')?;
    if !kind.eq_ignore_ascii_case("multipart") || !is_token(subtype.as_bytes()) {
        return None;
    }
    let mut found = None;
    for parameter in parameters(rest) {
        let (name, value) = parameter.ok()?;
        if name.eq_ignore_ascii_case("boundary") && found.replace(value.raw()).is_some() {
            return None;
        }
    }
    found.filter(|boundary| is_boundary(boundary))
}

/// `boundary` of RFC 2046, 5.1.1.
fn is_boundary(text: &str) -> bool {
    let is_char = |octet: u8| octet.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&octet);
    (1..=BOUNDARY_MAX).contains(&text.len()) && text.bytes().all(is_char) && !text.ends_with(' ')
}

const fn too_large(status: u16) -> Error {
    Error::new(Code::MessageTooLarge).on_wire(status)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use super::*;
    use crate::http1::part::PartHead;
    use crate::tests::Noise;

    const LIMITS: PartLimits = PartLimits { parts: 8, head: 256, part: 4096 };

    /// What was found: each part's head, data, and whether it ended; then how it all ended.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        parts: Vec<(Vec<u8>, Vec<u8>, bool)>,
        end: bool,
        outcome: Option<Error>,
    }

    impl Read {
        fn data(&self) -> Vec<&[u8]> {
            assert!(self.outcome.is_none() && self.end && self.parts.iter().all(|part| part.2), "{self:?}");
            self.parts.iter().map(|part| &part.1[..]).collect()
        }
    }

    /// Reads `content` that comes in pieces of the lengths that `cut` says, through a buffer of the least
    /// size that is promised to do.
    fn read_cut(boundary: &str, limits: PartLimits, content: &[u8], mut cut: impl FnMut() -> usize) -> Read {
        let mut multipart = Multipart::new(boundary, limits).unwrap();
        let window = multipart.window();
        let (mut read, mut buffer, mut rest) = (Read::default(), Vec::new(), content);
        loop {
            let step = match multipart.feed(&buffer) {
                Ok(step) => step,
                Err(error) => {
                    assert_eq!(multipart.feed(&buffer), Err(error), "an error stays");
                    read.outcome = Some(error);
                    return read;
                }
            };
            let n = match step {
                PartStep::NeedInput if rest.is_empty() => {
                    read.outcome = multipart.finish().err();
                    return read;
                }
                PartStep::NeedInput => {
                    assert!(buffer.len() < window, "the window is too small");
                    let (piece, more) = rest.split_at(cut().clamp(1, window - buffer.len()).min(rest.len()));
                    buffer.extend_from_slice(piece);
                    rest = more;
                    continue;
                }
                PartStep::Quiet(n) => n,
                PartStep::Head(n) => {
                    read.parts.push((buffer[..n].to_vec(), Vec::new(), false));
                    n
                }
                PartStep::Data(n) => {
                    read.parts.last_mut().unwrap().1.extend_from_slice(&buffer[..n]);
                    n
                }
                PartStep::PartEnd(n) => {
                    read.parts.last_mut().unwrap().2 = true;
                    n
                }
                PartStep::End(n) => {
                    read.end = true;
                    n
                }
            };
            assert!(n > 0, "every step makes progress");
            buffer.drain(..n);
        }
    }

    fn read(boundary: &str, content: &[u8]) -> Read {
        let whole = read_cut(boundary, LIMITS, content, || usize::MAX);
        for len in 1..24 {
            assert_eq!(read_cut(boundary, LIMITS, content, || len), whole, "pieces of {len}");
        }
        whole
    }

    /// RFC 2046, 5.1.1.
    const RFC_2046: &[u8] = b"This is the preamble.  It is to be ignored, though it\r\n\
        is a handy place for composition agents to include an\r\n\
        explanatory note to non-MIME conformant readers.\r\n\
        \r\n\
        --simple boundary\r\n\
        \r\n\
        This is implicitly typed plain US-ASCII text.\r\n\
        It does NOT end with a linebreak.\r\n\
        --simple boundary\r\n\
        Content-type: text/plain; charset=us-ascii\r\n\
        \r\n\
        This is explicitly typed plain US-ASCII text.\r\n\
        It DOES end with a linebreak.\r\n\
        \r\n\
        --simple boundary--\r\n\
        \r\n\
        This is the epilogue.  It is also to be ignored.\r\n";

    #[test]
    fn the_example_of_rfc_2046_is_read() {
        let boundary = boundary_of(b"multipart/mixed; boundary=\"simple boundary\"").unwrap();
        let read = read(boundary, RFC_2046);
        assert_eq!(
            read.data(),
            [
                &b"This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak."[..],
                b"This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n",
            ]
        );
        assert_eq!(read.parts[0].0, b"\r\n");
        let head = PartHead::parse(&read.parts[1].0).unwrap();
        assert_eq!(head.content_type(), Some("text/plain; charset=us-ascii"));
    }

    #[test]
    fn a_form_as_chrome_sends_it_is_read() {
        let kind = b"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW";
        let content = b"------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n\
            Content-Disposition: form-data; name=\"text\"\r\n\r\n\
            a\r\n--b\r\n\
            ------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\
            \r\n\
            ------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n\
            Content-Disposition: form-data; name=\"photo\"; filename=\"f%22 \xc3\xbc.png\"\r\n\
            Content-Type: image/png\r\n\r\n\
            \x89PNG\r\n\x1a\n\0\r\r\n\r\n\
            ------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n";
        let read = read(boundary_of(kind).unwrap(), content);
        assert_eq!(read.data(), [&b"a\r\n--b"[..], b"", b"\x89PNG\r\n\x1a\n\0\r\r\n"]);
        let heads: Vec<_> = read.parts.iter().map(|part| PartHead::parse(&part.0).unwrap()).collect();
        assert!(heads[0].name().is_some_and(|name| name == "text") && heads[0].filename().is_none());
        assert!(heads[1].filename().is_some_and(|name| name == ""));
        assert!(heads[2].filename().is_some_and(|name| name == "f%22 ü.png"));
    }

    #[test]
    fn a_form_as_curl_sends_it_is_read() {
        let kind = b"multipart/form-data; boundary=------------------------d74496d66958873e";
        let content = b"--------------------------d74496d66958873e\r\n\
            Content-Disposition: form-data; name=\"person\"\r\n\r\n\
            anonymous\r\n\
            --------------------------d74496d66958873e\r\n\
            Content-Disposition: attachment; name=\"secret\"; filename=\"file.txt\"\r\n\
            Content-Type: text/plain\r\n\r\n\
            contents of the file\n\r\n\
            --------------------------d74496d66958873e--\r\n";
        let read = read(boundary_of(kind).unwrap(), content);
        assert_eq!(read.data(), [&b"anonymous"[..], b"contents of the file\n"]);
    }

    #[test]
    fn delimiters_may_have_padding_and_data_may_look_like_them() {
        assert_eq!(
            read("b", b"--b \t \r\n\r\nx\r\n--b\t\r\n\r\n\r\n--b--\t\r\n--b\r\n").data(),
            [&b"x"[..], b""]
        );
        assert_eq!(
            read("bb", b"\r\n--bb\r\n\r\n\r\n--b\r\r\n-\r\n\r\n--b\r\n--bb--").data(),
            [b"\r\n--b\r\r\n-\r\n\r\n--b"]
        );
        assert_eq!(read("b", b"-\r\n--\r\n--b\r\n\r\n--b--\r\n--b--").data(), [b""]);
        assert_eq!(read("b", b"--b--").data(), [b""; 0]);
        // A part without data, even without the CR LF that belongs to the delimiter.
        assert_eq!(read("b", b"--b\r\na: b\r\n\r\n--b\r\n\r\n--\r\n--b--").data(), [&b""[..], b"--"]);
    }

    #[test]
    fn malformed_content_is_refused() {
        for bad in [
            "",
            "-",
            "--b",
            "--b\r",
            "--b\r\n",
            "--bx\r\n\r\n",
            "--b-x",
            "--b-",
            "--b x\r\n",
            "--b\rx",
            "--b\n\nx\n--b--",
            "--b \t--\r\n",
            "x--b--",
            "--b\r\n\r\nx",
            "--b\r\n\r\nx\r\n",
            "--b\r\n\r\nx\r\n--b",
            "--b\r\n\r\nx\r\n--b\r\n\r\n",
            "--b\r\n\r\nx\r\n--bx--",
            "--b\r\na: b\r\n--b--",
            "--b\r\n\r\nx\n--b--",
            "--B\r\n\r\n\r\n--B--",
        ] {
            assert_eq!(read("b", bad.as_bytes()).outcome, Some(malformed()), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_kept_to_the_byte() {
        let limits = PartLimits { parts: 2, head: 10, part: 5 };
        let outcome = |content: &str| {
            let whole = read_cut("b", limits, content.as_bytes(), || usize::MAX);
            for len in 1..12 {
                assert_eq!(read_cut("b", limits, content.as_bytes(), || len), whole, "{content:?} in {len}");
            }
            whole.outcome.map(|error| (error.number(), error.wire()))
        };
        let part = |head: usize, data: usize| {
            let field = format!("a:{}\r\n", "x".repeat(head - 6));
            format!("--b\r\n{field}\r\n{}\r\n", "d".repeat(data))
        };
        assert_eq!(outcome(&(part(10, 5) + "--b--")), None);
        assert_eq!(outcome(&(part(11, 5) + "--b--")), Some((-642, 431)));
        assert_eq!(outcome(&(part(10, 6) + "--b--")), Some((-642, 413)));
        assert_eq!(outcome(&(part(7, 0) + &part(7, 0) + "--b--")), None);
        assert_eq!(outcome(&(part(7, 0) + &part(7, 0) + &part(7, 0) + "--b--")), Some((-642, 413)));
        assert_eq!(outcome(&format!("--b\r\n{}", "x".repeat(20))), Some((-642, 431)));
    }

    #[test]
    fn data_is_released_before_what_may_be_a_delimiter() {
        let mut multipart = Multipart::new("b", LIMITS).unwrap();
        assert_eq!(multipart.feed(b"--b\r\n\r\n"), Ok(PartStep::Quiet(3)));
        assert_eq!(multipart.feed(b"\r\n\r\n"), Ok(PartStep::Quiet(2)));
        assert_eq!(multipart.feed(b"\r\n"), Ok(PartStep::Head(2)));
        assert_eq!(multipart.feed(b"data\r\n--"), Ok(PartStep::Data(4)));
        assert_eq!(multipart.feed(b"\r\n--"), Ok(PartStep::NeedInput));
        assert_eq!(multipart.feed(b"\r\n--x"), Ok(PartStep::Data(5)));
        assert_eq!(multipart.feed(b"\r\r"), Ok(PartStep::Data(1)));
        assert_eq!(multipart.feed(b"\r\n--b-"), Ok(PartStep::PartEnd(5)));
        assert_eq!(multipart.feed(b"-"), Ok(PartStep::NeedInput));
        assert_eq!(multipart.feed(b"--x"), Ok(PartStep::End(2)));
        assert_eq!(multipart.feed(b"x"), Ok(PartStep::Quiet(1)));
        assert_eq!((multipart.feed(b""), multipart.finish()), (Ok(PartStep::NeedInput), Ok(())));
    }

    #[test]
    fn a_boundary_is_found_in_a_content_type() {
        let longest = "x".repeat(70);
        for (kind, boundary) in [
            ("multipart/form-data; boundary=abc", "abc"),
            ("Multipart/Mixed ;charset=utf-8; BOUNDARY=\"a b:c\"; x=y", "a b:c"),
            // RFC 2046, 5.1.1, which says that this must be quoted.
            ("multipart/mixed; boundary=gc0pJq0M:08jU534c0p", "gc0pJq0M:08jU534c0p"),
            ("multipart/mixed; boundary=----=_Part_0", "----=_Part_0"),
            (&format!("multipart/form-data; boundary={longest}"), &longest),
        ] {
            assert_eq!(boundary_of(kind.as_bytes()), Some(boundary), "{kind}");
        }
        for none in [
            "",
            "multipart/form-data",
            "multipart/form-data;",
            "multipart; boundary=a",
            "multipart/; boundary=a",
            "text/plain; boundary=a",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=\"a\\\"b\"",
            "multipart/x; boundary=a\u{e9}",
            "multipart/form-data; boundary=a; boundary=a",
            "multipart/form-data; boundary=a; b",
            &format!("multipart/form-data; boundary={longest}x"),
        ] {
            assert_eq!(boundary_of(none.as_bytes()), None, "{none}");
            let boundary = none.rsplit_once('=').map_or("", |(_, boundary)| boundary);
            assert!(Multipart::new(&format!("{boundary}\""), LIMITS).is_err());
        }
        assert_eq!(boundary_of(b"multipart/x; boundary=\xff"), None);
        assert_eq!(Multipart::new(&format!("{longest}x"), LIMITS).unwrap_err(), malformed());
        assert!(Multipart::new(&longest, LIMITS).is_ok_and(|multipart| multipart.window() == 256));
    }

    #[test]
    fn any_parts_are_read_again_however_they_are_cut() {
        let pieces = ["\r", "\n", "\r\n", "--", "-", "bound", "\r\n--boun", "\r\n--", "x", "ary", "\0"];
        for seed in 0..2_000 {
            let mut noise = Noise::new(seed + 1);
            let mut content = String::new();
            let mut parts = Vec::new();
            for _ in 0..noise.below(4) {
                let mut data = String::new();
                for _ in 0..noise.below(10) {
                    data += pieces[noise.below(pieces.len())];
                }
                if format!("\r\n{data}").contains("\r\n--boundary") {
                    continue;
                }
                content += &format!("--boundary\r\na: b\r\n\r\n{data}\r\n");
                parts.push(data);
            }
            content += "--boundary--\r\n";
            for _ in 0..4 {
                let read = read_cut("boundary", LIMITS, content.as_bytes(), || noise.below(12));
                let data = read.data();
                assert_eq!(data, parts.iter().map(String::as_bytes).collect::<Vec<_>>(), "seed {seed}");
            }
        }
    }

    #[test]
    fn any_input_is_read_alike_however_it_is_cut() {
        let pieces = [
            "--b",
            "\r\n",
            "--",
            "\r",
            "\n",
            " ",
            "a: b\r\n",
            "\r\n\r\n",
            "x",
            "\r\n--b",
            "--b\r\n\r\n",
            "--b--",
        ];
        let (mut complete, limits) = (0, PartLimits { parts: 3, head: 12, part: 9 });
        for seed in 0..10_000 {
            let mut noise = Noise::new(seed + 1);
            let mut content = String::from(if seed % 2 == 0 { "--b\r\n\r\n" } else { "" });
            for _ in 0..noise.below(14) {
                content += pieces[noise.below(pieces.len())];
            }
            let whole = read_cut("b", limits, content.as_bytes(), || usize::MAX);
            let cut = read_cut("b", limits, content.as_bytes(), || noise.below(6));
            assert_eq!(cut, whole, "seed {seed}: {content:?}");
            assert_eq!(read_cut("b", limits, content.as_bytes(), || 1), whole, "seed {seed}");
            complete += usize::from(whole.outcome.is_none());
            for (head, ..) in &whole.parts {
                let _ = PartHead::parse(head);
            }
        }
        assert!(complete > 100, "{complete}");
    }
}
