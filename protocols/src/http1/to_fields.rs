//! Header fields on their way out.

use core::fmt::{self, Write};

use netloom_core::{Code, Error, Fault, Outbox, Result};

use super::octets::{TOKEN, is, is_value};

/// Header fields that are to be sent: a pair, an array or slice of pairs, `()` for none, or several in a tuple.
///
/// Names and values are checked when they are written: a line break in a value would let whoever chose it write
/// fields of their own, or a whole response (RFC 9110, 5.5).
pub trait ToFields {
    /// Writes each field.
    ///
    /// # Errors
    /// [`Code::BufferFull`] if there is no room, [`Code::InvalidText`] for what no field may hold.
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()>;
}

/// Where [`ToFields`] are written.
pub struct FieldWriter<'a, 'o> {
    out: &'a mut Outbox<'o>,
    of: Of,
}

/// What kind of head the fields are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Any,
    /// It has its Host already: with two, one hop might go by the one and the next by the other (RFC 9112, 3.2).
    Request,
}

impl<'a, 'o> FieldWriter<'a, 'o> {
    /// Writes to `out`: for who wants to know what fields there are before they are sent.
    pub fn new(out: &'a mut Outbox<'o>) -> Self {
        Self { out, of: Of::Any }
    }

    /// Writes to `out` what stands in a request behind its Host.
    pub(super) fn of_request(out: &'a mut Outbox<'o>) -> Self {
        Self { out, of: Of::Request }
    }

    /// Writes one field.
    ///
    /// # Errors
    /// As for [`ToFields::put`].
    pub fn field(&mut self, name: &str, value: &[u8]) -> Result<()> {
        check_name(name, self.of)?;
        check_value(value)?;
        put_field(name, value, self.out)
    }

    /// Writes one field whose value is all of `parts`.
    ///
    /// # Errors
    /// As for [`ToFields::put`].
    pub fn parts(&mut self, name: &str, parts: &[&[u8]]) -> Result<()> {
        let are_values = parts.iter().all(|part| part.iter().all(|byte| is_value_byte(*byte)));
        check_name(name, self.of)?;
        if !are_values {
            return Err(unsayable());
        }
        self.out.put(name.as_bytes())?;
        self.out.put(b": ")?;
        parts.iter().try_for_each(|part| self.out.put(part))?;
        self.out.put(b"\r\n")
    }

    /// Writes field lines as a writer has written them before.
    pub(super) fn lines(&mut self, lines: &[u8]) -> Result<()> {
        let has_host = |line: &[u8]| line.get(..5).is_some_and(|front| front.eq_ignore_ascii_case(b"host:"));
        if self.of == Of::Request && lines.split(|byte| *byte == b'\n').any(has_host) {
            return Err(unsayable());
        }
        self.out.put(lines)
    }

    /// Writes one field whose value is formatted in place.
    ///
    /// # Errors
    /// As for [`ToFields::put`].
    pub fn display(&mut self, name: &str, value: &dyn fmt::Display) -> Result<()> {
        check_name(name, self.of)?;
        self.out.put(name.as_bytes())?;
        self.out.put(b": ")?;
        let mut text = ValueText { out: self.out, error: None };
        let written = write!(text, "{value}");
        match (text.error, written) {
            (Some(error), _) => Err(error),
            (None, Err(_)) => Err(unsayable()),
            (None, Ok(())) => self.out.put(b"\r\n"),
        }
    }
}

/// Field lines, each with its end, as a [`FieldWriter`] wrote them.
///
/// ```
/// use netloom_core::Outbox;
/// use netloom_protocols::http1::{FieldLines, FieldWriter, ToFields};
///
/// let (mut bytes, mut length) = ([0; 64], 0);
/// [("age", "60")].put(&mut FieldWriter::new(&mut Outbox::new(&mut bytes, &mut length)))?;
/// let lines = FieldLines::new(&bytes[..length]).expect("whole lines");
/// assert_eq!(lines.as_bytes(), b"age: 60\r\n");
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FieldLines<'a>(&'a [u8]);

impl<'a> FieldLines<'a> {
    /// Nothing unless these are whole lines, of names and values that a [`FieldWriter`] takes.
    pub fn new(lines: &'a [u8]) -> Option<Self> {
        let mut rest = lines;
        while !rest.is_empty() {
            let (line, tail) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'\r')?)?;
            let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
            check_name(core::str::from_utf8(name).ok()?, Of::Any).ok()?;
            value.iter().all(|byte| is_value_byte(*byte)).then_some(())?;
            rest = tail.strip_prefix(b"\r\n")?;
        }
        Some(Self(lines))
    }

    /// The lines.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl ToFields for FieldLines<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        out.lines(self.0)
    }
}

struct ValueText<'a, 'o> {
    out: &'a mut Outbox<'o>,
    error: Option<Error>,
}

impl Write for ValueText<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let written = match text.bytes().all(is_value_byte) {
            true => self.out.put(text.as_bytes()),
            false => Err(unsayable()),
        };
        written.map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

fn unsayable() -> Error {
    Error::new(Code::InvalidText).blame(Fault::Local)
}

/// RFC 9110, 5.5: visible characters, white space and obs-text.
const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Refuses what is no name, and the fields that say where a message ends and whether another follows: only the codec
/// knows, and two of them would be understood in two ways (RFC 9112, 6.3). Options of the connection also name fields that
/// the next hop is to take away.
fn check_name(name: &str, of: Of) -> Result<()> {
    let is_codecs = match name.len() {
        4 if of == Of::Request => name.eq_ignore_ascii_case("host"),
        10 => name.eq_ignore_ascii_case("connection"),
        14 => name.eq_ignore_ascii_case("content-length"),
        17 => name.eq_ignore_ascii_case("transfer-encoding"),
        _ => false,
    };
    match !is_codecs && !name.is_empty() && name.bytes().all(|byte| is(byte, TOKEN)) {
        true => Ok(()),
        false => Err(unsayable()),
    }
}

/// Refuses a value that would end its line.
#[inline]
pub(super) fn check_value(value: &[u8]) -> Result<()> {
    if is_value(value) { Ok(()) } else { Err(unsayable()) }
}

/// A field whose name and value are known to be legal.
pub(super) fn put_field(name: &str, value: &[u8], out: &mut Outbox<'_>) -> Result<()> {
    out.put_all([name.as_bytes(), b": ", value, b"\r\n"])
}

/// A number in decimal.
pub(super) fn put_decimal(number: u64, out: &mut Outbox<'_>) -> Result<()> {
    put_number(b"", number, b"", out)
}

/// A number in decimal between two texts.
#[cfg_attr(target_pointer_width = "64", inline)]
pub(super) fn put_number(before: &[u8], mut number: u64, behind: &[u8], out: &mut Outbox<'_>) -> Result<()> {
    let digits = match number {
        _ if cfg!(target_pointer_width = "32") => digits_of(number),
        ..10 => 1,
        10..100 => 2,
        100..1000 => 3,
        _ => number.ilog10() as usize + 1,
    };
    let (front, room) = out.take(before.len() + digits + behind.len())?.split_at_mut(before.len());
    front.copy_from_slice(before);
    let (room, back) = room.split_at_mut(digits);
    back.copy_from_slice(behind);
    for digit in room.iter_mut().rev() {
        let last;
        (number, last) = div_ten(number);
        *digit = b'0' + last;
    }
    Ok(())
}

/// Digits, by counting: a library's logarithm is larger.
fn digits_of(mut number: u64) -> usize {
    let mut digits = 1;
    while number > 9 {
        (number, _) = div_ten(number);
        digits += 1;
    }
    digits
}

/// A tenth, and what is left of it. On 32 bits by hand, in three digits of 16 bits or more: a library's division of 64 by
/// 64 bits is ten times as large.
const fn div_ten(number: u64) -> (u64, u8) {
    if cfg!(target_pointer_width = "64") {
        return (number / 10, (number % 10) as u8);
    }
    by_parts(number)
}

#[cfg_attr(target_pointer_width = "32", inline(never))]
const fn by_parts(number: u64) -> (u64, u8) {
    let (high, low) = ((number >> 32) as u32, number as u32);
    let middle = (high % 10) << 16 | low >> 16;
    let last = (middle % 10) << 16 | low & 0xffff;
    let tenth = ((high / 10) as u64) << 32 | ((middle / 10) as u64) << 16 | (last / 10) as u64;
    (tenth, (last % 10) as u8)
}

/// A number in hexadecimal.
pub(super) fn put_hex(mut number: u64, out: &mut Outbox<'_>) -> Result<()> {
    let mut digits = [0; 16];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
        if number == 0 {
            return out.put(&digits[at..]);
        }
    }
}

impl ToFields for () {
    fn put(&self, _: &mut FieldWriter<'_, '_>) -> Result<()> {
        Ok(())
    }
}

impl<F: ToFields + ?Sized> ToFields for &F {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        (**self).put(out)
    }
}

impl<F: ToFields> ToFields for Option<F> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        self.as_ref().map_or(Ok(()), |fields| fields.put(out))
    }
}

impl ToFields for [(&str, &str)] {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        self.iter().try_for_each(|(name, value)| out.field(name, value.as_bytes()))
    }
}

impl<const N: usize> ToFields for [(&str, &str); N] {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        self.as_slice().put(out)
    }
}

/// A name and a value that can be displayed.
impl<V: fmt::Display> ToFields for (&str, V) {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        out.display(self.0, &self.1)
    }
}

/// ToFields in front of further fields.
#[derive(Clone, Copy, Debug)]
pub struct With<A, B>(pub A, pub B);

impl<A: ToFields, B: ToFields> ToFields for With<A, B> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        self.0.put(out)?;
        self.1.put(out)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;

    fn written(fields: &dyn ToFields, room: usize) -> Result<String> {
        let (mut bytes, mut tail) = ([0; 256], 0);
        let mut out = Outbox::new(&mut bytes[..room], &mut tail);
        fields.put(&mut FieldWriter::new(&mut out))?;
        Ok(String::from_utf8_lossy(&bytes[..tail]).into_owned())
    }

    #[test]
    fn fields_are_written_in_order() {
        let fields = With(("age", 60), With([("a", "b"), ("c", "")], Some(("x-y", "z"))));
        assert_eq!(written(&fields, 256).expect("legal"), "age: 60\r\na: b\r\nc: \r\nx-y: z\r\n");
        assert_eq!(written(&(), 0).expect("nothing"), "");
    }

    #[test]
    fn what_would_break_the_line_is_refused() {
        for value in ["a\r\nset-cookie: x", "a\n", "\r", "\0", "\x7f", "\x1b[0m"] {
            assert_eq!(written(&[("name", value)], 256).expect_err("illegal"), Code::InvalidText);
            assert_eq!(written(&("name", value), 256).expect_err("illegal"), Code::InvalidText);
        }
        for name in ["", "a b", "a:", "a\n", "ü", "Content-Length", "transfer-encoding", "Connection"] {
            assert_eq!(written(&[(name, "v")], 256).expect_err("illegal"), Code::InvalidText);
            assert_eq!(written(&(name, 1), 256).expect_err("illegal"), Code::InvalidText);
        }
        assert_eq!(written(&[("name", "Bär\tx")], 256).expect("legal"), "name: Bär\tx\r\n");
    }

    #[test]
    fn parts_make_one_value() {
        struct Tag<'a>(&'a str);
        impl ToFields for Tag<'_> {
            fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
                out.parts("etag", &[b"\"", self.0.as_bytes(), b"\""])
            }
        }
        assert_eq!(written(&Tag("v1"), 256).expect("legal"), "etag: \"v1\"\r\n");
        assert_eq!(written(&Tag("a\r\nb"), 256).expect_err("illegal"), Code::InvalidText);
        assert_eq!(written(&Tag("v1"), 11).expect_err("too long"), Code::BufferFull);
    }

    #[test]
    fn lines_are_written_as_they_are_if_they_are_whole_and_legal() {
        let lines = b"a: b\r\nc:\r\n";
        assert_eq!(written(&FieldLines::new(lines), 256).expect("legal").as_bytes(), lines);
        assert_eq!(FieldLines::new(b"").map(|none| none.as_bytes().len()), Some(0));
        for lines in [
            "a: b",
            "a: b\r",
            "a: b\n",
            "a: b\r\n\r\n",
            ": b\r\n",
            "a\r\n",
            "a : b\r\n",
            "a: \0\r\n",
            "a: b\rc\r\n",
            "Content-Length: 1\r\n",
            "a: b\r\ntransfer-encoding: chunked\r\n",
            "\u{fc}: b\r\n",
        ] {
            assert!(FieldLines::new(lines.as_bytes()).is_none(), "{lines:?}");
        }
    }

    #[test]
    fn without_room_nothing_is_said() {
        for room in 0..9 {
            assert_eq!(written(&("age", 60), room).expect_err("too long"), Code::BufferFull, "{room}");
            assert_eq!(written(&[("age", "60")], room).expect_err("too long"), Code::BufferFull, "{room}");
        }
    }

    #[test]
    fn numbers_have_their_digits() {
        let (mut bytes, mut tail) = ([0; 64], 0);
        let mut out = Outbox::new(&mut bytes, &mut tail);
        for number in [0, 9, 10, 0xffff, 1 << 32, 98_765_432_109_876_543, u64::MAX - 9, u64::MAX] {
            assert_eq!(by_parts(number), (number / 10, (number % 10) as u8));
            assert_eq!(digits_of(number), number.checked_ilog10().unwrap_or(0) as usize + 1);
        }
        for number in [0, 9, 10, u64::MAX] {
            put_decimal(number, &mut out).expect("room");
            put_hex(number, &mut out).expect("room");
        }
        assert_eq!(&bytes[..tail], b"009910a18446744073709551615ffffffffffffffff");
    }
}
