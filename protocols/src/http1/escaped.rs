//! Text that is escaped on the wire, and its decoding.
//!
//! A view keeps the raw text and decodes when it is looked at, so nothing is copied until somebody needs a
//! copy, and it is the reader's buffer that it goes to. What does not decode (`%zz`, half an escape, bytes
//! that are no UTF-8) is the peer's fault and answered with 400; only [`Display`](fmt::Display) shows it.

use core::fmt::{self, Write as _};
use core::ops::Range;
use core::str::FromStr;

use netloom_core::{Code, Error, Result};

use super::text::hex;

/// Bytes a value may decode to when [`Escaped::parse`] reads it: more than any number or address has.
const PARSED_MAX: usize = 64;

/// Text as it came, escapes and all: a part of a target, a form's value, a quoted string.
///
/// ```
/// use netloom_protocols::http1::escaped::Escaped;
///
/// let city = Escaped::new("Z%C3%BCrich");
/// assert_eq!((city.raw(), city == "Zürich"), ("Z%C3%BCrich", true));
/// assert_eq!(city.to_string(), "Zürich");
/// assert_eq!(Escaped::form("%2D4+").raw(), "%2D4+");
/// assert_eq!(Escaped::new("%2D4").parse::<i32>()?, -4);
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    raw: &'a str,
    coding: Coding,
}

/// What is special in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Nothing.
    Plain,
    /// `%XX`: RFC 3986, 2.1.
    Percent,
    /// `%XX`, and `+` for a space: application/x-www-form-urlencoded.
    Form,
    /// `\"` and `\\`: what stood between the quotes of a quoted-string. A backslash before anything else
    /// stands for itself, because browsers send file names so.
    Quoted,
}

impl<'a> Escaped<'a> {
    /// Text with percent-encoding (RFC 3986, 2.1), as in a path.
    pub const fn new(raw: &'a str) -> Self {
        Self::coded(raw, Coding::Percent)
    }

    /// Text of application/x-www-form-urlencoded, as in a query or a form: a `+` is a space.
    pub const fn form(raw: &'a str) -> Self {
        Self::coded(raw, Coding::Form)
    }

    pub(crate) const fn coded(raw: &'a str, coding: Coding) -> Self {
        Self { raw, coding }
    }

    /// The text as it came.
    pub const fn raw(self) -> &'a str {
        self.raw
    }

    /// Whether there is nothing to decode: the raw text is the text.
    pub fn is_plain(self) -> bool {
        let mut raw = self.raw.bytes();
        match self.coding {
            Coding::Plain => true,
            Coding::Percent => !raw.any(|octet| octet == b'%'),
            Coding::Form => !raw.any(|octet| matches!(octet, b'%' | b'+')),
            Coding::Quoted => !raw.any(|octet| octet == b'\\'),
        }
    }

    /// The text, if there is nothing to decode.
    pub fn plain(self) -> Option<&'a str> {
        self.is_plain().then_some(self.raw)
    }

    /// The decoded text: where it lies if it is plain, else in `scratch`. A `%00` is a NUL in it.
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] for a bad escape and [`Code::InvalidText`] if what comes out is not UTF-8,
    /// both with status 400; [`Code::BufferFull`] if `scratch` is too small.
    pub fn decode_into<'b>(self, scratch: &'b mut [u8]) -> Result<&'b str>
    where
        'a: 'b,
    {
        if self.is_plain() {
            return Ok(self.raw);
        }
        let mut len = 0;
        for octet in decoded(self.raw.as_bytes(), self.coding) {
            *scratch.get_mut(len).ok_or(Code::BufferFull)? = octet?;
            len += 1;
        }
        str::from_utf8(&scratch[..len]).map_err(|_| not_utf8())
    }

    /// The decoded text as a value.
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] or [`Code::InvalidText`], with status 400: it does not decode, is longer
    /// than 64 bytes and not plain, or is no `T`.
    pub fn parse<T: FromStr>(self) -> Result<T> {
        let mut scratch = [0; PARSED_MAX];
        let text = self.decode_into(&mut scratch).map_err(|error| match error.code() {
            Code::BufferFull => malformed(),
            _ => error,
        })?;
        text.parse().map_err(|_| malformed())
    }
}

/// Compares the decoded text. What does not decode equals nothing.
impl PartialEq<str> for Escaped<'_> {
    fn eq(&self, other: &str) -> bool {
        decodes_to(self.raw.as_bytes(), self.coding, other)
    }
}

impl PartialEq<&str> for Escaped<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// Writes the decoded text, U+FFFD for what is not UTF-8, and a bad escape as it stands.
impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plain) = self.plain() {
            return f.write_str(plain);
        }
        let mut octets = decoded(self.raw.as_bytes(), self.coding);
        let (mut chunk, mut len) = ([0; 16], 0);
        loop {
            while len < chunk.len()
                && let Some(octet) = octets.next()
            {
                chunk[len] = octet.unwrap_or(b'%');
                len += 1;
            }
            let (written, cut) = write_valid(&chunk[..len], f)?;
            // Only what may be the beginning of a character waits for more, and there may be none.
            match len < chunk.len() {
                true if cut => return f.write_char(char::REPLACEMENT_CHARACTER),
                true => return Ok(()),
                false => chunk.copy_within(written..len, 0),
            }
            len -= written;
        }
    }
}

/// Writes `octets`, except a character that is cut off at their end. Returns how many were written, and
/// whether there was such a character.
fn write_valid(octets: &[u8], f: &mut fmt::Formatter<'_>) -> Result<(usize, bool), fmt::Error> {
    let mut written = 0;
    loop {
        let rest = &octets[written..];
        let error = match str::from_utf8(rest) {
            Ok(text) => return f.write_str(text).map(|()| (octets.len(), false)),
            Err(error) => error,
        };
        let (valid, _) = rest.split_at(error.valid_up_to());
        f.write_str(str::from_utf8(valid).unwrap_or_default())?;
        written += valid.len();
        match error.error_len() {
            Some(bad) => written += bad,
            None => return Ok((written, true)),
        }
        f.write_char(char::REPLACEMENT_CHARACTER)?;
    }
}

/// Decodes percent-encoded `text` where it lies, and returns the decoded beginning of it.
///
/// ```
/// let mut path = *b"/a%20b";
/// assert_eq!(netloom_protocols::http1::escaped::decode_in_place(&mut path)?, "/a b");
/// # Ok::<(), netloom_core::Error>(())
/// ```
///
/// # Errors
/// As [`Escaped::decode_into`]; `text` is then half decoded.
pub fn decode_in_place(text: &mut [u8]) -> Result<&mut str> {
    let len = decode_within(text, 0..text.len(), 0, Coding::Percent)?;
    str::from_utf8_mut(&mut text[..len]).map_err(|_| not_utf8())
}

/// Decodes `text[from]` to the place `to`, at or before it, and returns where it ends there.
pub(crate) fn decode_within(text: &mut [u8], from: Range<usize>, to: usize, coding: Coding) -> Result<usize> {
    let (mut read, mut write) = (from.start, to);
    debug_assert!(write <= read && from.end <= text.len());
    while let Some((octet, n)) = decode_first(&text[read..from.end], coding)? {
        // Each escape is at least as long as what it stands for, so this never passes `read`.
        text[write] = octet;
        (read, write) = (read + n, write + 1);
    }
    match str::from_utf8(&text[to..write]) {
        Ok(_) => Ok(write),
        Err(_) => Err(not_utf8()),
    }
}

/// Whether `raw` decodes to `text`, found out without decoding more of it than agrees.
pub(crate) fn decodes_to(raw: &[u8], coding: Coding, text: &str) -> bool {
    let mut decoded = decoded(raw, coding);
    text.bytes().all(|octet| decoded.next() == Some(Ok(octet))) && decoded.next().is_none()
}

/// The decoded octets. A bad escape is an error in the place of its first octet.
fn decoded(mut raw: &[u8], coding: Coding) -> impl Iterator<Item = Result<u8>> {
    core::iter::from_fn(move || {
        let (octet, n) = match decode_first(raw, coding) {
            Ok(first) => first.map(|(octet, n)| (Ok(octet), n))?,
            Err(error) => (Err(error), 1),
        };
        raw = &raw[n..];
        Some(octet)
    })
}

/// The first decoded octet and how many it took; none at the end.
fn decode_first(raw: &[u8], coding: Coding) -> Result<Option<(u8, usize)>> {
    let Some((&first, rest)) = raw.split_first() else { return Ok(None) };
    Ok(Some(match (first, coding) {
        (b'%', Coding::Percent | Coding::Form) => {
            let (&[high, low], _) = rest.split_first_chunk().ok_or(malformed())?;
            let (high, low) = hex(high).zip(hex(low)).ok_or(malformed())?;
            (high << 4 | low, 3)
        }
        (b'+', Coding::Form) => (b' ', 1),
        (b'\\', Coding::Quoted) => match rest.first() {
            Some(&escaped @ (b'"' | b'\\')) => (escaped, 2),
            _ => (first, 1),
        },
        _ => (first, 1),
    }))
}

/// Text to be percent-encoded: its [`Display`](fmt::Display) writes everything that is not unreserved
/// (RFC 3986, 2.3: letters, digits, `-._~`) as `%XX`.
///
/// ```
/// use netloom_protocols::http1::escaped::Escape;
///
/// assert_eq!(format!("/find?q={}", Escape("fish & chips")), "/find?q=fish%20%26%20chips");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escape<'a>(pub &'a str);

impl fmt::Display for Escape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.0.bytes() {
            if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
                f.write_char(char::from(octet))?;
                continue;
            }
            f.write_char('%')?;
            for digit in [octet >> 4, octet & 15] {
                f.write_char(char::from(b"0123456789ABCDEF"[usize::from(digit)]))?;
            }
        }
        Ok(())
    }
}

/// The peer sent something that is not what it should be.
pub(crate) const fn malformed() -> Error {
    Error::new(Code::ProtocolViolation).on_wire(400)
}

pub(crate) const fn not_utf8() -> Error {
    Error::new(Code::InvalidText).on_wire(400)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use super::*;
    use crate::tests::Noise;

    const CODINGS: [Coding; 4] = [Coding::Plain, Coding::Percent, Coding::Form, Coding::Quoted];

    /// By another road: all octets first, then the text.
    fn decode(raw: &str, coding: Coding) -> Option<String> {
        let octets: Option<Vec<u8>> = decoded(raw.as_bytes(), coding).map(Result::ok).collect();
        String::from_utf8(octets?).ok()
    }

    #[test]
    fn text_decodes_by_its_coding() {
        for (raw, coding, text) in [
            ("a%20b+c", Coding::Percent, "a b+c"),
            ("a%20b+c", Coding::Form, "a b c"),
            ("a%20b+c", Coding::Plain, "a%20b+c"),
            (r#"a\"b\\c\d\"#, Coding::Quoted, r#"a"b\c\d\"#),
            ("%e2%82%AC€", Coding::Percent, "€€"),
            ("%00%2B%25", Coding::Form, "\0+%"),
            ("", Coding::Form, ""),
        ] {
            let escaped = Escaped::coded(raw, coding);
            let mut scratch = [0; 16];
            assert_eq!(escaped.decode_into(&mut scratch), Ok(text), "{raw}");
            assert_eq!(escaped.to_string(), text);
            assert!(escaped == text && escaped != "other");
            assert_eq!(escaped.raw(), raw);
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert_eq!(Escaped::new("a+b").decode_into(&mut []), Ok("a+b"));
        assert_eq!(Escaped::new("a+b").plain(), Some("a+b"));
        assert_eq!(Escaped::form("a+b").plain(), None);
        assert!(!Escaped::new("a%41").is_plain());
        assert!(
            !Escaped::coded(r"\", Coding::Quoted).is_plain()
                && Escaped::coded(r"\%+", Coding::Plain).is_plain()
        );
    }

    #[test]
    fn a_bad_escape_is_the_peers_fault_and_shown_as_it_stands() {
        for bad in ["%", "a%4", "%zz", "%4g", "%g4", "%+1", "%%41", "%\u{e9}"] {
            let error = Escaped::new(bad).decode_into(&mut [0; 16]).unwrap_err();
            assert_eq!(error, malformed(), "{bad}");
            let mut text = bad.as_bytes().to_vec();
            assert_eq!(decode_in_place(&mut text), Err(malformed()), "{bad}");
            assert!(Escaped::new(bad) != bad, "{bad}");
            assert_eq!(Escaped::new(bad).parse::<String>(), Err(malformed()));
        }
        assert_eq!(Escaped::new("%zz%41%").to_string(), "%zzA%");
    }

    #[test]
    fn what_is_not_utf_8_is_refused_and_shown_as_replaced() {
        for bad in ["%ff", "%C3", "%C3%28", "a%E2%82", "%ED%A0%80"] {
            assert_eq!(Escaped::new(bad).decode_into(&mut [0; 16]), Err(not_utf8()), "{bad}");
            assert_eq!(decode_in_place(&mut bad.as_bytes().to_vec()), Err(not_utf8()), "{bad}");
            let octets: Vec<u8> = decoded(bad.as_bytes(), Coding::Percent).map(Result::unwrap).collect();
            assert_eq!(Escaped::new(bad).to_string(), String::from_utf8_lossy(&octets), "{bad}");
        }
        assert!(Escaped::new("%EF%BF%BD%FF") != "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_value_is_parsed_from_its_decoded_text() {
        assert_eq!(Escaped::new("42").parse(), Ok(42));
        assert_eq!(Escaped::new("%34%32").parse(), Ok(42));
        assert_eq!(Escaped::new("%31%32%37.0.0.1").parse(), Ok(core::net::Ipv4Addr::LOCALHOST));
        for bad in ["", "x", "+1 ", "%2042"] {
            assert_eq!(Escaped::form(bad).parse::<u8>(), Err(malformed()), "{bad}");
        }
        // What is plain may be long; what must be decoded may not.
        assert_eq!(Escaped::new(&"9".repeat(100)).parse::<String>().unwrap().len(), 100);
        assert_eq!(Escaped::new(&"%39".repeat(64)).parse::<String>().unwrap().len(), 64);
        assert_eq!(Escaped::new(&"%39".repeat(65)).parse::<String>(), Err(malformed()));
    }

    #[test]
    fn a_scratch_that_is_too_small_is_the_readers_fault() {
        let escaped = Escaped::new("%41bc");
        assert_eq!(escaped.decode_into(&mut [0; 2]).unwrap_err(), Code::BufferFull);
        assert_eq!(escaped.decode_into(&mut [0; 3]), Ok("Abc"));
    }

    #[test]
    fn what_is_escaped_decodes_to_itself() {
        let all: String = ('\0'..='\u{ff}').chain(['€', '𝄞']).collect();
        let wire = Escape(&all).to_string();
        assert!(wire.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._~%".contains(&octet)));
        assert!(Escaped::new(&wire) == all.as_str() && Escaped::form(&wire) == all.as_str());
        assert_eq!(Escaped::form(&wire).to_string(), all);
        assert_eq!(decode_in_place(&mut wire.into_bytes()).map(|text| &*text), Ok(all.as_str()));
        assert_eq!(Escape("AZaz09-._~ /ü").to_string(), "AZaz09-._~%20%2F%C3%BC");
    }

    #[test]
    fn any_text_is_read_alike_on_every_road() {
        let pieces = [
            "%",
            "+",
            "%41",
            "%C3",
            "%A9",
            "%e2%82%ac",
            "é",
            "\\",
            "\"",
            "z",
            "%0",
            "long enough to fill it",
        ];
        let mut noise = Noise::new(0x5eed);
        for _ in 0..20_000 {
            let mut raw = String::new();
            for _ in 0..noise.below(12) {
                raw += pieces[noise.below(pieces.len())];
            }
            for coding in CODINGS {
                let (escaped, expected) = (Escaped::coded(&raw, coding), decode(&raw, coding));
                let mut scratch = [0; 300];
                assert_eq!(escaped.decode_into(&mut scratch).ok(), expected.as_deref(), "{raw}");
                let mut text = raw.clone().into_bytes();
                let end = decode_within(&mut text, 0..raw.len(), 0, coding).ok();
                assert_eq!(end.map(|end| &text[..end]), expected.as_deref().map(str::as_bytes), "{raw}");
                let octets: Vec<u8> =
                    decoded(raw.as_bytes(), coding).map(|octet| octet.unwrap_or(b'%')).collect();
                assert_eq!(escaped.to_string(), String::from_utf8_lossy(&octets), "{raw}");
                assert!(expected.is_none_or(|text| escaped == text.as_str()), "{raw}");
            }
        }
    }
}
