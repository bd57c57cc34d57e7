//! Entity tags: which version of a representation this is.

use core::fmt;

/// An entity tag (RFC 9110, 8.8.3): `"xyzzy"` if strong, `W/"xyzzy"` if weak.
///
/// Strong tags are equal only where the bytes of the representations are; a server that compresses on the
/// way needs a weak tag, or another one for each coding.
///
/// ```
/// use netloom_protocols::http1::etag::ETag;
///
/// const VERSION: ETag = ETag::strong("v7").unwrap();
/// assert_eq!(VERSION.to_string(), "\"v7\"");
/// assert_eq!(ETag::parse(b"\"v7\""), Some(VERSION));
/// ```
///
/// `==` is none of the two comparisons of HTTP: it tells weak tags from strong ones with the same opaque
/// part. Preconditions use [`strong_eq`](Self::strong_eq) and [`weak_eq`](Self::weak_eq).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ETag<'a> {
    opaque: &'a [u8],
    weak: bool,
}

impl<'a> ETag<'a> {
    /// A strong tag; nothing if `opaque` has a quote, a space or a control character.
    pub const fn strong(opaque: &'a str) -> Option<Self> {
        Self::new(opaque.as_bytes(), false)
    }

    /// A weak tag; nothing if `opaque` has a quote, a space or a control character.
    pub const fn weak(opaque: &'a str) -> Option<Self> {
        Self::new(opaque.as_bytes(), true)
    }

    const fn new(opaque: &'a [u8], weak: bool) -> Option<Self> {
        let mut at = 0;
        while at < opaque.len() {
            if !is_etagc(opaque[at]) {
                return None;
            }
            at += 1;
        }
        Some(Self { opaque, weak })
    }

    /// The tag that is all of `value`, as in an `ETag` field; nothing if it is not one.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut rest = value;
        let tag = Self::take(&mut rest)?;
        rest.is_empty().then_some(tag)
    }

    /// Takes a tag off the front.
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        // The W is upper case. There are no escapes between the quotes.
        let (weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, *rest),
        };
        let text = quoted.strip_prefix(b"\"")?;
        let (opaque, tail) = text.split_at_checked(text.iter().position(|byte| !is_etagc(*byte))?)?;
        *rest = tail.strip_prefix(b"\"")?;
        Some(Self { opaque, weak })
    }

    /// What is between the quotes. Bytes above 127 have no meaning and need not be UTF-8.
    pub const fn opaque(&self) -> &'a [u8] {
        self.opaque
    }

    /// Whether the representations of equal tags are only as good as each other.
    pub const fn is_weak(&self) -> bool {
        self.weak
    }

    /// Strong comparison (RFC 9110, 8.8.3.2): both are strong, and the opaque parts are equal.
    pub fn strong_eq(&self, other: &ETag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison (RFC 9110, 8.8.3.2): the opaque parts are equal.
    pub fn weak_eq(&self, other: &ETag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// As it is sent. Bytes that are not UTF-8, which only a received tag can have, become U+FFFD.
impl fmt::Display for ETag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.weak { "W/\"" } else { "\"" })?;
        for chunk in self.opaque.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        f.write_str("\"")
    }
}

/// The value of `If-Match` or `If-None-Match`: `*`, or a list of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags<'a> {
    /// `*`: whatever there is.
    Any,
    /// At least one tag, and nothing else.
    List(List<'a>),
}

impl<'a> Tags<'a> {
    /// Nothing if any part of `value` is malformed, or there is no tag in it.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        if value.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        let mut rest = value;
        let mut some = false;
        while let Some(tag) = element(&mut rest) {
            tag?;
            some = true;
        }
        some.then_some(Self::List(List(value)))
    }
}

/// A well-formed list of tags, as received. Iterates over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<'a>(&'a [u8]);

impl<'a> Iterator for List<'a> {
    type Item = ETag<'a>;

    fn next(&mut self) -> Option<ETag<'a>> {
        element(&mut self.0).flatten()
    }
}

/// Takes the next element with its comma off the front: nothing at the end, `Some(None)` if it is malformed.
fn element<'a>(rest: &mut &'a [u8]) -> Option<Option<ETag<'a>>> {
    // RFC 9110, 5.6.1.2: empty elements are passed over.
    let start = rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
    *rest = rest.get(start..)?;
    let tag = ETag::take(rest);
    *rest = rest.trim_ascii_start();
    Some(match rest.first() {
        None | Some(b',') => tag,
        Some(_) => None,
    })
}

/// RFC 9110, 8.8.3: `etagc`
const fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::tests::Noise;
    use std::string::ToString;
    use std::vec::Vec;

    fn tag(text: &str) -> ETag<'_> {
        ETag::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn tags_are_read_and_written() {
        // RFC 9110, 8.8.3
        for (text, opaque, weak) in [
            ("\"xyzzy\"", "xyzzy", false),
            ("W/\"xyzzy\"", "xyzzy", true),
            ("\"\"", "", false),
            ("\"a,b\\\"", "a,b\\", false),
            ("\"\u{e9}\"", "\u{e9}", false),
        ] {
            let tag = tag(text);
            assert_eq!((tag.opaque(), tag.is_weak()), (opaque.as_bytes(), weak));
            assert_eq!(tag.to_string(), text);
            let made = if weak { ETag::weak(opaque) } else { ETag::strong(opaque) };
            assert_eq!(made, Some(tag));
        }
    }

    #[test]
    fn what_is_no_tag_is_not_read() {
        for text in [
            "",
            "*",
            "\"",
            "xyzzy",
            "'xyzzy'",
            "\"xyzzy",
            "xyzzy\"",
            "w/\"xyzzy\"",
            "W\"xyzzy\"",
            "W/",
            "W/xyzzy",
            " \"xyzzy\"",
            "\"xyzzy\" ",
            "\"a b\"",
            "\"a\"b\"",
            "\"a\tb\"",
            "\"\x7f\"",
            "\"a\\\"b\"",
            "\"a\", \"b\"",
        ] {
            assert_eq!(ETag::parse(text.as_bytes()), None, "{text}");
        }
        for opaque in ["\"", "a b", "\r\n", "\0", "\x7f"] {
            assert_eq!(ETag::strong(opaque), None);
            assert_eq!(ETag::weak(opaque), None);
        }
    }

    #[test]
    fn tags_compare_as_in_the_table_of_the_rfc() {
        // RFC 9110, 8.8.3.2
        for (a, b, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let (a, b) = (tag(a), tag(b));
            assert_eq!((a.strong_eq(&b), b.strong_eq(&a)), (strong, strong));
            assert_eq!((a.weak_eq(&b), b.weak_eq(&a)), (weak, weak));
        }
    }

    #[test]
    fn lists_are_split_at_commas_outside_of_quotes() {
        // RFC 9110, 13.1.1
        for (text, expected) in [
            ("\"xyzzy\"", &["\"xyzzy\""][..]),
            ("\"xyzzy\", \"r2d2xxxx\", W/\"c3\"", &["\"xyzzy\"", "\"r2d2xxxx\"", "W/\"c3\""]),
            ("\"a,b\",\"c\"", &["\"a,b\"", "\"c\""]),
            (", ,\t\"a\" ,,\"b\" , ", &["\"a\"", "\"b\""]),
            ("\"*\"", &["\"*\""]),
        ] {
            let Some(Tags::List(list)) = Tags::parse(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(list.map(|tag| tag.to_string()).collect::<Vec<_>>(), expected);
        }
        assert_eq!(Tags::parse(b"*"), Some(Tags::Any));
        assert_eq!(Tags::parse(b" * "), Some(Tags::Any));
    }

    #[test]
    fn a_list_with_anything_malformed_is_none() {
        for text in [
            "",
            " ",
            ",",
            ", ,",
            "a",
            "**",
            "*, \"a\"",
            "\"a\", *",
            "\"a\" \"b\"",
            "\"a\"\"b\"",
            "\"a\", b",
            "\"a\", \"b",
            "\"a\";q=1",
        ] {
            assert_eq!(Tags::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_compared_and_shown() {
        let tag = ETag::parse(b"\"a\xffb\"").unwrap();
        assert!(tag.strong_eq(&ETag::parse(b"\"a\xffb\"").unwrap()));
        assert!(!tag.weak_eq(&ETag::parse(b"\"a\xfeb\"").unwrap()));
        assert_eq!(tag.to_string(), "\"a\u{fffd}b\"");
    }

    #[test]
    fn any_list_that_is_read_holds_tags_that_are() {
        let mut lists = 0;
        for seed in 0..20_000 {
            let mut storage = [0; 64];
            let text =
                Noise::new(seed).text(&["\"a\"", "W/\"b\"", ",", " ", "\"", "W/", "*", "x"], &mut storage);
            let Some(Tags::List(list)) = Tags::parse(text) else { continue };
            lists += 1;
            assert!(list.count() > 0, "seed {seed}");
            for tag in list {
                assert!(tag.weak_eq(&tag) && tag.opaque().iter().all(|byte| is_etagc(*byte)), "seed {seed}");
            }
        }
        assert!(lists > 500, "{lists} lists");
    }
}
