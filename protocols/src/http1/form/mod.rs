//! application/x-www-form-urlencoded text, as queries and forms are, into a value by serde; no allocation.
//!
//! The fields of a struct are looked for in the text, so the text is walked once per field, however many
//! names it has, and what the struct does not name is passed over (`deny_unknown_fields` sees nothing).
//!
//! | in the struct | in the text |
//! |---|---|
//! | integers, floats, `char` | what [`FromStr`](core::str::FromStr) takes |
//! | `bool` | `true`, `1`, `on` or empty, as in `?flag`; `false`, `0`, `off` |
//! | `&str`, `&[u8]`, `Cow` with `#[serde(borrow)]` | borrowed from the text |
//! | strings that own, and types that are read from a string | copied |
//! | an enum | the name of a variant without data |
//! | `Option` | `Some` if the name occurs, even with an empty value |
//! | a sequence, a tuple, an array | one item for each time the name occurs; add `#[serde(default)]` to have an empty one if it does not |
//! | a newtype | what it wraps |
//!
//! Instead of a struct there may be a map, which gets every pair, in order. Not there: structs in structs, enums with data,
//! `a[]=` or `a.b=` names; `flatten` and `untagged` see nothing but strings. Everything but a sequence may
//! occur once only. Use [`pairs`] for the rest.

mod value;

use memchr::memchr;
use netloom_core::Result;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::escaped::{Coding, Escaped, decode_within, decodes_to};
use value::{Failed, Value};

/// Between pairs, and between name and value, in text that was decoded in place: bytes that UTF-8 never has.
const PAIR: u8 = 0xff;
const VALUE: u8 = 0xfe;

/// Reads a `T` from `text`, which stays as it is.
///
/// A string with escapes is decoded through 256 bytes, so it may be a `String` but not a `&str`;
/// [`from_bytes_in_place`] has neither limit.
///
/// ```
/// use netloom_protocols::http1::form;
///
/// #[derive(serde::Deserialize)]
/// struct Search<'a> {
///     by: &'a str,
///     city: heapless::String<32>,
///     page: Option<u32>,
/// }
///
/// let search: Search = form::from_str("city=Z%C3%BCrich&by=name&utm=1")?;
/// assert_eq!((search.by, search.city.as_str(), search.page), ("name", "Zürich", None));
/// # Ok::<(), netloom_core::Error>(())
/// ```
///
/// # Errors
/// With status 400, the peer's fault: [`Code::ProtocolViolation`](netloom_core::Code::ProtocolViolation) if something is missing, occurs twice, has
/// a bad escape or is not what `T` wants; [`Code::InvalidText`](netloom_core::Code::InvalidText) if it is not UTF-8.
/// [`Code::MessageTooLarge`](netloom_core::Code::MessageTooLarge) with 413 for a string with escapes above 256 bytes.
/// [`Code::Unsupported`](netloom_core::Code::Unsupported) with 500, our fault: `T` wants a `&str` and the text has escapes there, or `T` is
/// something no form can be read to.
pub fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    read(Source { text: text.as_bytes(), coding: Coding::Form })
}

/// Reads a `T` from `text`, decoding every name and value where it lies first, so that a `&str` always can
/// be borrowed and strings may have any length.
///
/// ```
/// use netloom_protocols::http1::form;
///
/// #[derive(serde::Deserialize)]
/// struct Login<'a> {
///     user: &'a str,
///     password: &'a str,
/// }
///
/// let mut body = *b"user=ann&password=a+%26+b";
/// let login: Login = form::from_bytes_in_place(&mut body)?;
/// assert_eq!((login.user, login.password), ("ann", "a & b"));
/// # Ok::<(), netloom_core::Error>(())
/// ```
///
/// # Errors
/// As [`from_str`]; and a fault anywhere in the text is one, even where `T` does not look.
pub fn from_bytes_in_place<'a, T: Deserialize<'a>>(text: &'a mut [u8]) -> Result<T> {
    let len = decode_pairs(text)?;
    read(Source { text: &text[..len], coding: Coding::Plain })
}

/// The pairs of name and value, in order. What has no `=` has an empty value.
///
/// ```
/// let mut pairs = netloom_protocols::http1::form::pairs("q=a+b&&debug");
/// assert!(pairs.next().is_some_and(|(name, value)| name == "q" && value == "a b"));
/// assert!(pairs.next().is_some_and(|(name, value)| name == "debug" && value == ""));
/// assert!(pairs.next().is_none());
/// ```
pub fn pairs(text: &str) -> impl Iterator<Item = (Escaped<'_>, Escaped<'_>)> + Clone {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (Escaped::form(name), Escaped::form(value))
    })
}

/// Decodes every pair, moves them together, and returns where they end.
///
/// ```text
/// n%61me=a+b&c   ->   name VALUE a b PAIR c
/// ```
fn decode_pairs(text: &mut [u8]) -> Result<usize> {
    let (mut read, mut write) = (0, 0);
    while read < text.len() {
        let end = memchr(b'&', &text[read..]).map_or(text.len(), |at| read + at);
        let equals = memchr(b'=', &text[read..end]).map_or(end, |at| read + at);
        if end > read {
            // Each mark goes at or before the `&` or `=` that it stands for.
            if write > 0 {
                text[write] = PAIR;
                write += 1;
            }
            write = decode_within(text, read..equals, write, Coding::Form)?;
            if equals < end {
                text[write] = VALUE;
                write = decode_within(text, equals + 1..end, write + 1, Coding::Form)?;
            }
        }
        read = end + 1;
    }
    Ok(write)
}

fn read<'a, T: Deserialize<'a>>(source: Source<'a>) -> Result<T> {
    T::deserialize(source).map_err(|Failed(error)| error)
}

/// The pairs that were not looked at yet.
#[derive(Clone, Copy)]
struct Source<'de> {
    text: &'de [u8],
    /// `Form` as it came, `Plain` once it is decoded; then the marks are others, too.
    coding: Coding,
}

impl<'de> Source<'de> {
    fn next(&mut self) -> Option<(&'de [u8], &'de [u8])> {
        let (pair, value) = match self.coding {
            Coding::Plain => (PAIR, VALUE),
            _ => (b'&', b'='),
        };
        while !self.text.is_empty() {
            let end = memchr(pair, self.text).unwrap_or(self.text.len());
            let (pair, rest) = self.text.split_at(end);
            self.text = rest.get(1..).unwrap_or_default();
            if !pair.is_empty() {
                let (name, value) = pair.split_at(memchr(value, pair).unwrap_or(pair.len()));
                return Some((name, value.get(1..).unwrap_or_default()));
            }
        }
        None
    }

    /// The value of the next pair of that name.
    fn find(&mut self, wanted: &str) -> Option<&'de [u8]> {
        while let Some((name, value)) = self.next() {
            if decodes_to(name, self.coding, wanted) {
                return Some(value);
            }
        }
        None
    }

    /// `text` of this source as the only one of its name.
    fn single(self, text: &'de [u8]) -> Value<'de> {
        Value { text, more: Self { text: &[], ..self }, name: "" }
    }
}

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = Failed;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        visitor.visit_map(ByField { source: self, fields: fields.iter(), value: self.single(&[]) })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_map(ByPair { source: self, value: &[] })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// A struct: its fields, as far as they occur.
struct ByField<'de> {
    source: Source<'de>,
    fields: core::slice::Iter<'static, &'static str>,
    value: Value<'de>,
}

impl<'de> MapAccess<'de> for ByField<'de> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failed> {
        for name in self.fields.by_ref() {
            let mut more = self.source;
            if let Some(text) = more.find(name) {
                self.value = Value { text, more, name };
                return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failed> {
        seed.deserialize(self.value)
    }
}

/// A map: every pair.
struct ByPair<'de> {
    source: Source<'de>,
    value: &'de [u8],
}

impl<'de> MapAccess<'de> for ByPair<'de> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failed> {
        let Some((name, value)) = self.source.next() else { return Ok(None) };
        self.value = value;
        seed.deserialize(self.source.single(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failed> {
        seed.deserialize(self.source.single(self.value))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::borrow::Cow;
    use std::string::{String, ToString as _};
    use std::vec::Vec;
    use std::{format, vec};

    use netloom_core::{Code, Fault};
    use serde::Deserialize as Derive;

    use super::*;
    use crate::http1::escaped::{Escape, malformed, not_utf8};
    use crate::tests::Noise;

    /// Both roads must agree; only for types that borrow nothing which has escapes.
    fn both<T: de::DeserializeOwned + PartialEq + core::fmt::Debug>(text: &str) -> Result<T> {
        let read = from_str(text);
        let in_place = from_bytes_in_place(&mut text.as_bytes().to_vec());
        assert_eq!(read, in_place, "{text}");
        read
    }

    use serde::de;

    fn one<T: de::DeserializeOwned + PartialEq + core::fmt::Debug>(text: &str) -> Result<T> {
        #[derive(Derive, PartialEq, Debug)]
        struct One<T> {
            v: T,
        }
        both::<One<T>>(text).map(|one| one.v)
    }

    #[derive(Derive, PartialEq, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Up,
        Down,
        By(u8),
        At { x: u8 },
        Of(u8, u8),
    }

    #[derive(Derive, PartialEq, Debug)]
    struct Id(u32);

    #[derive(Derive, PartialEq, Debug)]
    struct Nothing;

    #[test]
    fn every_scalar_is_read() {
        assert_eq!(one("v=-128"), Ok(i8::MIN));
        assert_eq!(one("v=-32768"), Ok(i16::MIN));
        assert_eq!(one("v=-1"), Ok(-1i32));
        assert_eq!(one("v=%2D9223372036854775808"), Ok(i64::MIN));
        assert_eq!(one("v=255"), Ok(u8::MAX));
        assert_eq!(one("v=65535"), Ok(u16::MAX));
        assert_eq!(one("v=4294967295"), Ok(u32::MAX));
        assert_eq!(one("v=18446744073709551615"), Ok(u64::MAX));
        assert_eq!(one("v=340282366920938463463374607431768211455"), Ok(u128::MAX));
        assert_eq!(one("v=-1"), Ok(-1i128));
        assert_eq!(one("v=1.5"), Ok(1.5f32));
        assert_eq!(one("v=-2%2E5e3"), Ok(-2500f64));
        assert_eq!(one("v=%C3%BC"), Ok('ü'));
        assert_eq!(one("v=7"), Ok(Some(7u8)));
        assert_eq!(one("v=7"), Ok(Id(7)));
        assert_eq!((one("v=up"), one("v=d%6Fwn")), (Ok(Order::Up), Ok(Order::Down)));
        assert_eq!(one("v="), Ok(()));
        assert_eq!(one("v"), Ok(Nothing));
        assert_eq!(one("v=127.0.0.1"), Ok(core::net::Ipv4Addr::LOCALHOST));
        assert_eq!(one("v=+a%2b"), Ok(String::from(" a+")));
        assert_eq!(one("v=+a%2b"), Ok(heapless::String::<4>::try_from(" a+").unwrap()));
    }

    #[test]
    fn a_flag_is_a_bool_without_a_value() {
        for yes in ["v", "v=", "v=true", "v=1", "v=on", "v=%6fn"] {
            assert_eq!(one(yes), Ok(true), "{yes}");
        }
        for no in ["v=false", "v=0", "v=off"] {
            assert_eq!(one(no), Ok(false), "{no}");
        }
        assert_eq!(one::<bool>("v=yes"), Err(malformed()));
    }

    #[test]
    fn what_is_not_what_the_type_wants_is_the_peers_fault() {
        for text in ["", "w=1", "v=", "v=x", "v=256", "v=-1", "v=1&v=2", "v=%3", "v=+1", "v=%zz"] {
            assert_eq!(one::<u8>(text), Err(malformed()), "{text}");
        }
        assert_eq!(one::<char>("v=ab"), Err(malformed()));
        assert_eq!(one::<core::num::NonZeroU8>("v=0"), Err(malformed()));
        assert_eq!(one::<core::net::Ipv4Addr>("v=%31.2"), Err(malformed()));
        assert_eq!(one::<Order>("v=sideways"), Err(malformed()));
        assert_eq!(one::<heapless::String<2>>("v=abc"), Err(malformed()));
        assert_eq!(one::<String>("v=%ff"), Err(not_utf8()));
        // A value that is not there is none, an empty one is one.
        assert_eq!(one::<Option<u8>>("w"), Ok(None));
        assert_eq!(one::<Option<u8>>("v="), Err(malformed()));
    }

    #[test]
    fn what_no_form_can_be_is_our_fault() {
        let error = one::<Order>("v=by").unwrap_err();
        assert_eq!((error.code(), error.fault(), error.wire()), (Code::Unsupported, Fault::Local, 500));
        assert_eq!(one::<Order>("v=at"), Err(error));
        assert_eq!(one::<Order>("v=of"), Err(error));
        assert_eq!(one::<Option<Vec<(u8, Vec<Order>)>>>("v=by"), Err(malformed()));
        #[derive(Derive, PartialEq, Debug)]
        struct Inner {
            v: u8,
        }
        assert_eq!(one::<Inner>("v=1"), Err(error));
        assert_eq!(both::<u8>("1"), Err(error));
        assert_eq!(both::<Vec<u8>>("1"), Err(error));
    }

    #[derive(Derive, PartialEq, Debug)]
    struct Borrows<'a> {
        text: &'a str,
        #[serde(borrow)]
        either: Cow<'a, str>,
        bytes: Option<&'a [u8]>,
    }

    #[test]
    fn plain_text_is_borrowed_where_it_lies() {
        let text = "either=b&text=a-._~&bytes=c";
        let read: Borrows = from_str(text).unwrap();
        assert!(matches!(read.either, Cow::Borrowed("b")));
        assert_eq!((read.text, read.bytes), ("a-._~", Some(&b"c"[..])));
        assert!(text.as_bytes().as_ptr_range().contains(&read.text.as_ptr()));
        let read: Borrows = from_str("either=%62&text=").unwrap();
        assert!(matches!(read.either, Cow::Owned(_)));
    }

    #[test]
    fn a_str_cannot_borrow_what_must_be_decoded_unless_it_is_decoded_in_place() {
        for text in ["text=a+b&either=", "text=%61&either=", "text=&either=&bytes=%61"] {
            let error = from_str::<Borrows>(text).unwrap_err();
            assert_eq!((error.code(), error.wire()), (Code::Unsupported, 500), "{text}");
        }
        let mut text = *b"text=a+%26+b%3D&either=%C3%BC&bytes=%00";
        let read: Borrows = from_bytes_in_place(&mut text).unwrap();
        let (text, either, bytes) = (read.text, read.either, read.bytes);
        assert_eq!((text, bytes), ("a & b=", Some(&b"\0"[..])));
        assert!(matches!(either, Cow::Borrowed("ü")));
    }

    #[test]
    fn the_scratch_limits_only_strings_with_escapes() {
        let (fits, plain) = (format!("v={}", "%61".repeat(256)), format!("v={}", "a".repeat(1000)));
        assert_eq!(one::<String>(&fits).unwrap().len(), 256);
        assert_eq!(one::<String>(&plain).unwrap().len(), 1000);
        let long = format!("v={}", "%61".repeat(257));
        #[derive(Derive, Debug)]
        struct One {
            v: String,
        }
        let error = from_str::<One>(&long).unwrap_err();
        assert_eq!((error.code(), error.wire()), (Code::MessageTooLarge, 413));
        assert_eq!(from_bytes_in_place::<One>(&mut long.into_bytes()).unwrap().v.len(), 257);
    }

    #[test]
    fn a_name_that_occurs_again_is_a_sequence() {
        type Few<T> = heapless::Vec<T, 3>;
        assert_eq!(one::<Vec<u8>>("v=1&w=9&v=2&%76=3"), Ok(vec![1, 2, 3]));
        assert_eq!(one::<Few<u8>>("v=1&v=2&v=3"), Ok(Few::from_slice(&[1, 2, 3]).unwrap()));
        assert_eq!(one::<Few<u8>>("v=1&v=2&v=3&v=4"), Err(malformed()));
        assert_eq!(one::<Vec<String>>("v=+&v=b"), Ok(vec![" ".into(), "b".into()]));
        assert_eq!(one::<[u8; 2]>("v=1&v=2"), Ok([1, 2]));
        assert_eq!(one::<(u8, bool)>("v=1&v"), Ok((1, true)));
        for count in ["v=1", "v=1&v=2&v=3"] {
            assert_eq!(one::<[u8; 2]>(count), Err(malformed()), "{count}");
        }
        #[derive(Derive, PartialEq, Debug)]
        struct Any {
            #[serde(default)]
            v: Vec<u8>,
        }
        assert_eq!(both("w=1"), Ok(Any { v: vec![] }));
        assert_eq!(one::<Vec<u8>>("w=1"), Err(malformed()));
    }

    #[test]
    fn names_are_decoded_and_may_have_aliases_and_defaults() {
        #[derive(Derive, PartialEq, Debug)]
        struct Page {
            #[serde(rename = "a b&", alias = "ab")]
            first: u8,
            #[serde(default)]
            second: u8,
        }
        assert_eq!(both("a+b%26=1&unknown=%ff"[..8].trim()), Ok(Page { first: 1, second: 0 }));
        assert_eq!(both("&&ab=1&&unknown&=&second=2&"), Ok(Page { first: 1, second: 2 }));
        assert_eq!(both::<Page>("ab=1&a+b%26=1"), Err(malformed()));
        assert_eq!(both::<Page>("first=1"), Err(malformed()));
    }

    #[test]
    fn a_fault_in_what_is_passed_over_is_seen_only_in_place() {
        #[derive(Derive, Debug, PartialEq)]
        struct None {}
        assert_eq!(from_str("x=%zz"), Ok(None {}));
        assert_eq!(from_bytes_in_place::<None>(&mut b"x=%zz".to_vec()), Err(malformed()));
        assert_eq!(from_bytes_in_place::<None>(&mut b"x=\xfe\xff".to_vec()), Err(not_utf8()));
        assert_eq!(from_bytes_in_place::<None>(&mut b"%ff".to_vec()), Err(not_utf8()));
    }

    #[test]
    fn a_map_gets_every_pair() {
        type Map = std::collections::BTreeMap<String, String>;
        let map: Map = both("&b=1&&a+=%3D&c&").unwrap();
        assert_eq!(
            map.into_iter().collect::<Vec<_>>(),
            [("a ".into(), "=".into()), ("b".into(), "1".into()), ("c".into(), String::new())]
        );
        assert_eq!(both::<Option<Map>>(""), Ok(Some(Map::new())));
        assert_eq!(both::<()>("a=1"), Ok(()));
    }

    #[test]
    fn pairs_come_in_order_with_what_they_have() {
        let read: Vec<_> = pairs("&a=1&&b&=c&a=%3D=&").map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let read: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(read, [("a", "1"), ("b", ""), ("", "c"), ("a", "==")]);
    }

    #[test]
    fn what_was_escaped_is_read_again() {
        let all: String = ('\0'..='\u{17f}').chain(['€', '𝄞']).collect();
        let text = format!("x=1&v={}&{}", Escape(&all), Escape(&all));
        #[derive(Derive)]
        struct One<'a> {
            v: &'a str,
        }
        assert_eq!(from_bytes_in_place::<One>(&mut text.into_bytes()).unwrap().v, all);
    }

    #[test]
    fn any_text_is_read_alike_in_place() {
        let pieces = ["v", "=", "&", "%", "+", "1", "%76", "%3D", "%26", "v=1&", "w=", "%C3", "ü", "%FF"];
        #[derive(Derive, PartialEq, Debug)]
        struct All {
            #[serde(default)]
            v: Vec<String>,
            w: Option<u8>,
        }
        let mut noise = Noise::new(0x5eed);
        let mut read = 0;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                text += pieces[noise.below(pieces.len())];
            }
            // In place sees more faults, but what it reads is the same.
            if let Ok(all) = from_bytes_in_place::<All>(&mut text.clone().into_bytes()) {
                assert_eq!(from_str(&text), Ok(all), "{text}");
                read += 1;
            }
            let other = noise.below(256) as u8;
            let mut bytes: Vec<u8> = text.bytes().map(|byte| byte ^ other).collect();
            let _ = from_bytes_in_place::<All>(&mut bytes);
        }
        assert!(read > 100, "{read}");
    }
}
