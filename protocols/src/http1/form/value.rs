//! The value of one name, and what serde makes of it.

use core::fmt;
use core::str::FromStr;

use netloom_core::{Code, Error, Result};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::Source;
use crate::http1::escaped::{Escaped, malformed, not_utf8};

/// Bytes a string that has escapes may decode to in [`from_str`](super::from_str). It lies on the stack meanwhile.
const STRING_MAX: usize = 256;

/// The value of a name, and what comes behind it in the text, where the name may occur again.
#[derive(Clone, Copy)]
pub(super) struct Value<'de> {
    pub(super) text: &'de [u8],
    pub(super) more: Source<'de>,
    pub(super) name: &'static str,
}

impl<'de> Value<'de> {
    /// The value of a name that occurs once.
    fn only(mut self) -> Result<Escaped<'de>, Failed> {
        match self.more.find(self.name) {
            Some(_) => Err(Failed(malformed())),
            None => match str::from_utf8(self.text) {
                Ok(raw) => Ok(Escaped::coded(raw, self.more.coding)),
                Err(_) => Err(Failed(not_utf8())),
            },
        }
    }

    fn parse<T: FromStr>(self) -> Result<T, Failed> {
        self.only()?.parse().map_err(Failed)
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
            visitor.$visit(self.parse()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Failed;

    parsed! {
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32 deserialize_i64 visit_i64
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32 deserialize_u64 visit_u64
        deserialize_i128 visit_i128 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64 deserialize_char visit_char
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let text = self.only()?;
        let is = |words: &[&str]| words.iter().any(|word| text == *word);
        match (is(&["true", "1", "on", ""]), is(&["false", "0", "off"])) {
            (true, _) => visitor.visit_bool(true),
            (_, true) => visitor.visit_bool(false),
            _ => Err(Failed(malformed())),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let text = self.only()?;
        match text.plain() {
            Some(plain) => visitor.visit_borrowed_str(plain),
            None => visitor.visit_str(decode_string(text, &mut [0; STRING_MAX])?),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let text = self.only()?;
        match text.plain() {
            Some(plain) => visitor.visit_borrowed_bytes(plain.as_bytes()),
            None => visitor.visit_bytes(decode_string(text, &mut [0; STRING_MAX])?.as_bytes()),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let mut items = Items(Some(self));
        let value = visitor.visit_seq(&mut items)?;
        match items.0 {
            None => Ok(value),
            Some(_) => Err(Failed(malformed())),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        visitor.visit_enum(self)
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

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { str string identifier map struct }
}

fn decode_string<'b>(text: Escaped<'b>, scratch: &'b mut [u8]) -> Result<&'b str, Failed> {
    text.decode_into(scratch).map_err(|error| match error.code() {
        Code::BufferFull => Failed(Error::new(Code::MessageTooLarge).on_wire(413)),
        _ => Failed(error),
    })
}

/// A sequence: the value at hand, and those of the same name behind it.
struct Items<'de>(Option<Value<'de>>);

impl<'de> SeqAccess<'de> for &mut Items<'de> {
    type Error = Failed;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failed> {
        let Some(Value { text, mut more, name }) = self.0 else { return Ok(None) };
        let item = more.single(text);
        self.0 = more.find(name).map(|text| Value { text, more, name });
        seed.deserialize(item).map(Some)
    }
}

impl<'de> EnumAccess<'de> for Value<'de> {
    type Error = Failed;
    type Variant = Unit;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Unit), Failed> {
        Ok((seed.deserialize(self)?, Unit))
    }
}

/// The data of a variant: none.
pub(super) struct Unit;

impl<'de> VariantAccess<'de> for Unit {
    type Error = Failed;

    fn unit_variant(self) -> Result<(), Failed> {
        Ok(())
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Failed> {
        Err(Failed(unsupported()))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Failed> {
        Err(Failed(unsupported()))
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Failed> {
        Err(Failed(unsupported()))
    }
}

/// The program asks for something that no form can be, or that this one can be only after decoding.
const fn unsupported() -> Error {
    Error::new(Code::Unsupported).on_wire(500)
}

/// Our error under serde's trait. The methods say no more than which it is, which keeps the formatting of
/// serde's messages out of a board's flash.
pub(super) struct Failed(pub(super) Error);

impl de::Error for Failed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(malformed())
    }
    /// Numbers are parsed before they are offered, so it is the type that does not fit, whatever was sent.
    fn invalid_type(_: Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self(unsupported())
    }
    fn invalid_value(_: Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self(malformed())
    }
    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self(malformed())
    }
    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self(malformed())
    }
    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self(malformed())
    }
    fn missing_field(_: &'static str) -> Self {
        Self(malformed())
    }
    fn duplicate_field(_: &'static str) -> Self {
        Self(malformed())
    }
}

impl core::error::Error for Failed {}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
