//! Several ranges in one body: `multipart/byteranges` (RFC 9110, 14.6 and 15.3.7.2).
//!
//! ```text
//! CRLF --boundary CRLF Content-Type: .. CRLF Content-Range: .. CRLF CRLF   PartHead
//! the bytes of the range
//! ..                                                                       once for each range
//! CRLF --boundary-- CRLF                                                   End
//! ```

use core::fmt;

use netloom_core::{Outbox, Result};

use super::range::{ContentRange, Range, Ranges};

/// Bytes of a boundary: a number in hexadecimal.
const BOUNDARY: usize = 16;
/// Bytes of `CRLF --boundary`.
const DELIMITER: usize = 4 + BOUNDARY;
const CONTENT_TYPE: &[u8] = b"\r\nContent-Type: ";
const CONTENT_RANGE: &[u8] = b"\r\nContent-Range: ";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const END: &[u8] = b"--\r\n";

/// The body of a 206 with several ranges: everything but the bytes of the representation.
///
/// For each of the ranges [`head`](Self::head) is sent and then its bytes, and [`end`](Self::end) after the
/// last.
///
/// ```
/// use netloom_protocols::http1::byteranges::ByteRanges;
/// use netloom_protocols::http1::range::{Selected, select};
///
/// let page = "Hello, World!";
/// let Selected::Multiple(ranges) = select(b"bytes=0-4,-1", 13) else { panic!() };
/// let body = ByteRanges { ranges, content_type: Some("text/plain"), complete_length: 13, boundary: 7 };
///
/// let mut sent = String::new();
/// for range in &*ranges {
///     sent += &body.head(*range).to_string();
///     sent += &page[range.first() as usize..=range.last() as usize];
/// }
/// sent += &body.end().to_string();
/// assert_eq!(sent.len() as u64, body.content_length());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRanges<'a> {
    /// What is sent, as selected.
    pub ranges: Ranges,
    /// The media type of the representation, told in each part.
    pub content_type: Option<&'a str>,
    /// Bytes of the whole representation.
    pub complete_length: u64,
    /// What the parts are told apart by. It must not occur in them: a random number for each response.
    pub boundary: u64,
}

impl<'a> ByteRanges<'a> {
    /// The `Content-Type` of the response.
    pub const fn media_type(&self) -> MediaType {
        MediaType(self.boundary)
    }

    /// What precedes the bytes of `range`.
    pub const fn head(&self, range: Range) -> PartHead<'a> {
        let content_range = ContentRange::Part { range, complete_length: self.complete_length };
        PartHead { boundary: self.boundary, content_type: self.content_type, content_range }
    }

    /// What follows the bytes of the last range.
    pub const fn end(&self) -> End {
        End(self.boundary)
    }

    /// Bytes of the body: heads, ranges and end.
    pub fn content_length(&self) -> u64 {
        let parts = self.ranges.iter().map(|range| self.head(*range).length().saturating_add(range.length()));
        parts.fold((DELIMITER + END.len()) as u64, u64::saturating_add)
    }
}

/// `multipart/byteranges; boundary=..`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType(u64);

impl MediaType {
    const NAME: &str = "multipart/byteranges; boundary=";
    pub(super) const LENGTH: usize = Self::NAME.len() + BOUNDARY;

    /// Writes what `Display` does.
    pub(super) fn put(self, out: &mut Outbox<'_>) -> Result<()> {
        out.put(Self::NAME.as_bytes())?;
        put_boundary(self.0, out)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "multipart/byteranges; boundary={:016x}", self.0)
    }
}

/// The delimiter before a part and the part's fields, to the empty line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHead<'a> {
    boundary: u64,
    content_type: Option<&'a str>,
    content_range: ContentRange,
}

impl PartHead<'_> {
    /// The most bytes that [`put`](Self::put) writes at a time.
    pub(super) const PIECE_MAX: usize =
        DELIMITER + CONTENT_RANGE.len() + ContentRange::LENGTH_MAX + END_OF_HEAD.len();

    /// Writes what `Display` does but for the media type, which belongs where the pieces are apart: to `front` what
    /// precedes it, to `back` what follows it.
    pub(super) fn put(&self, front: &mut Outbox<'_>, back: &mut Outbox<'_>) -> Result<()> {
        put_delimiter(self.boundary, front)?;
        if self.content_type.is_some() {
            front.put(CONTENT_TYPE)?;
        }
        back.put(CONTENT_RANGE)?;
        self.content_range.put(back)?;
        back.put(END_OF_HEAD)
    }

    fn length(&self) -> u64 {
        let (mut scratch, mut range) = ([0; ContentRange::LENGTH_MAX], 0);
        // It has room for the longest.
        let _ = self.content_range.put(&mut Outbox::new(&mut scratch, &mut range));
        let content_type = self.content_type.map_or(0, |text| CONTENT_TYPE.len() + text.len());
        (DELIMITER + content_type + CONTENT_RANGE.len() + range + END_OF_HEAD.len()) as u64
    }
}

impl fmt::Display for PartHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 9110, 14.6: the first delimiter may have a CRLF before it as the others do.
        write!(f, "\r\n--{:016x}\r\n", self.boundary)?;
        if let Some(content_type) = self.content_type {
            write!(f, "Content-Type: {content_type}\r\n")?;
        }
        write!(f, "Content-Range: {}\r\n\r\n", self.content_range)
    }
}

/// The delimiter after the last part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End(u64);

impl End {
    pub(super) const LENGTH: usize = DELIMITER + END.len();

    /// Writes what `Display` does.
    pub(super) fn put(self, out: &mut Outbox<'_>) -> Result<()> {
        put_delimiter(self.0, out)?;
        out.put(END)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\r\n--{:016x}--\r\n", self.0)
    }
}

/// RFC 9110, 14.6: the first delimiter may have a CRLF before it as the others do.
fn put_delimiter(boundary: u64, out: &mut Outbox<'_>) -> Result<()> {
    out.put(b"\r\n--")?;
    put_boundary(boundary, out)
}

fn put_boundary(boundary: u64, out: &mut Outbox<'_>) -> Result<()> {
    let mut digits = [0; BOUNDARY];
    for (at, digit) in digits.iter_mut().enumerate() {
        let shift = 4 * (BOUNDARY - 1 - at);
        *digit = b"0123456789abcdef"[(boundary >> shift & 15) as usize];
    }
    out.put(&digits)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::super::range::{Selected, select};
    use super::*;
    use std::string::{String, ToString};

    fn body(field: &str, content_type: Option<&'static str>, complete_length: u64) -> ByteRanges<'static> {
        let Selected::Multiple(ranges) = select(field.as_bytes(), complete_length) else { panic!("{field}") };
        ByteRanges { ranges, content_type, complete_length, boundary: 0x1234_abcd }
    }

    fn sent(body: &ByteRanges<'_>, representation: &str) -> String {
        let mut sent = String::new();
        for range in &*body.ranges {
            sent += &body.head(*range).to_string();
            sent += &representation[range.first() as usize..=range.last() as usize];
        }
        sent + &body.end().to_string()
    }

    #[test]
    fn parts_are_delimited_and_described() {
        let body = body("bytes=0-1,4-5,-1", Some("text/plain; charset=utf-8"), 10);
        assert_eq!(
            sent(&body, "0123456789"),
            "\r\n--000000001234abcd\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
             \r\n--000000001234abcd\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 4-5/10\r\n\r\n45\
             \r\n--000000001234abcd\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 9-9/10\r\n\r\n9\
             \r\n--000000001234abcd--\r\n"
        );
        assert_eq!(body.media_type().to_string(), "multipart/byteranges; boundary=000000001234abcd");
    }

    #[test]
    fn a_part_without_a_media_type_does_not_name_one() {
        let body = body("bytes=0-0,2-2", None, 3);
        assert_eq!(
            body.head(body.ranges[0]).to_string(),
            "\r\n--000000001234abcd\r\nContent-Range: bytes 0-0/3\r\n\r\n"
        );
    }

    #[test]
    fn what_is_put_is_what_is_displayed() {
        let displayed = |front: &str, content_type: &str, back: &str| [front, content_type, back].concat();
        for (content_type, last) in [(None, 9), (Some("text/plain"), u64::MAX - 1)] {
            let body = body(&std::format!("bytes=0-1,5-{last}"), content_type, u64::MAX);
            for range in &*body.ranges {
                let (mut front, mut n, mut back, mut m) =
                    ([0; PartHead::PIECE_MAX], 0, [0; PartHead::PIECE_MAX], 0);
                let head = body.head(*range);
                head.put(&mut Outbox::new(&mut front, &mut n), &mut Outbox::new(&mut back, &mut m))
                    .expect("room");
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                let put = displayed(&text(&front[..n]), content_type.unwrap_or(""), &text(&back[..m]));
                assert_eq!(put, head.to_string());
                assert_eq!(head.length(), put.len() as u64);
            }
            let (mut bytes, mut n) = ([0; 128], 0);
            let mut out = Outbox::new(&mut bytes, &mut n);
            body.media_type().put(&mut out).expect("room");
            body.end().put(&mut out).expect("room");
            assert_eq!(bytes[..n], *(body.media_type().to_string() + &body.end().to_string()).as_bytes());
            assert_eq!(n, MediaType::LENGTH + End::LENGTH);
        }
    }

    #[test]
    fn the_content_length_is_exact() {
        let representation = "x".repeat(12_345);
        for field in ["bytes=0-0,2-2", "bytes=9-9,99-100,-7", "bytes=0-5000,6000-", "bytes=1-2,4-5,7-8,10-11"]
        {
            for content_type in [None, Some("application/wasm")] {
                let body = body(field, content_type, 12_345);
                assert_eq!(body.content_length(), sent(&body, &representation).len() as u64, "{field}");
            }
        }
    }

    #[test]
    fn the_content_length_of_the_largest_representation_does_not_overflow() {
        let body = body("bytes=0-18446744073709551612,18446744073709551614-", None, u64::MAX);
        assert_eq!(body.content_length(), u64::MAX);
    }
}
