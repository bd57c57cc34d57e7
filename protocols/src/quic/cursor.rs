//! Reading and writing fields one after the other.
//!
//! Neither panics: a [`Reader`] says `None` where its bytes end, a [`Writer`] refuses what does not fit and has then
//! written nothing of it.

use netloom_core::{Code, Error, Fault, Result};

use super::varint;

/// Fields, read from the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes not read yet.
    #[inline]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether all is read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    #[inline]
    pub const fn u8(&mut self) -> Option<u8> {
        let [first, rest @ ..] = self.rest else { return None };
        self.rest = rest;
        Some(*first)
    }

    /// `N` bytes.
    #[inline]
    pub const fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else { return None };
        self.rest = rest;
        Some(bytes)
    }

    /// Two bytes, the first the highest.
    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Four bytes, the first the highest.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A variable-length integer.
    #[inline]
    pub const fn varint(&mut self) -> Option<u64> {
        let Some((value, rest)) = varint::split_first(self.rest) else { return None };
        self.rest = rest;
        Some(value)
    }

    /// The same by [`varint::split_first_soon`]: `None` is no answer.
    #[inline(always)]
    pub(super) fn varint_soon(&mut self) -> Option<u64> {
        let (value, rest) = varint::split_first_soon(self.rest)?;
        self.rest = rest;
        Some(value)
    }

    /// The next `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A length as a variable-length integer, then that many bytes.
    #[inline]
    pub fn prefixed(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.bytes(len)
    }

    /// All that was not read yet.
    #[inline]
    pub const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }
}

/// Fields, written to the front of some room.
///
/// ```
/// use netloom_protocols::quic::Writer;
///
/// let mut room = [0; 4];
/// let mut writer = Writer::new(&mut room);
/// writer.varint(0x1b)?;
/// writer.prefixed(b"ab")?;
/// assert_eq!(writer.written(), b"\x1b\x02ab");
/// assert_eq!(writer.u8(0), Err(netloom_core::Code::BufferFull.into()));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    len: usize,
    /// At the end, for later.
    reserved: usize,
}

impl<'a> Writer<'a> {
    /// Writes to `room` from the front.
    #[inline]
    pub const fn new(room: &'a mut [u8]) -> Self {
        Self { bytes: room, len: 0, reserved: 0 }
    }

    /// Bytes written.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks whether nothing was written")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Bytes that may still be written.
    #[inline]
    pub const fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.len).saturating_sub(self.reserved)
    }

    /// What was written.
    #[inline]
    pub fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What was written, to be changed.
    #[inline]
    pub fn written_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// Keeps so many bytes at the end of the room for later; another number takes back the first.
    pub(super) const fn reserve(&mut self, bytes: usize) {
        self.reserved = bytes;
    }

    /// The next `len` bytes of the room, to be filled in.
    ///
    /// # Errors
    /// [`Code::BufferFull`], as with all that is written, if there is no room: then nothing is written.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&mut [u8]> {
        if len > self.room() {
            return Err(Code::BufferFull.into());
        }
        let start = self.len;
        self.len += len;
        // There is: it was asked for above.
        self.bytes.get_mut(start..self.len).ok_or(Code::BufferFull.into())
    }

    /// These bytes.
    ///
    /// # Errors
    /// [`Code::BufferFull`].
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.take(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Code::BufferFull`].
    #[inline]
    pub fn u8(&mut self, value: u8) -> Result<()> {
        self.bytes(&[value])
    }

    /// Two bytes, the highest first.
    ///
    /// # Errors
    /// [`Code::BufferFull`].
    #[inline]
    pub fn u16(&mut self, value: u16) -> Result<()> {
        self.bytes(&value.to_be_bytes())
    }

    /// Four bytes, the highest first.
    ///
    /// # Errors
    /// [`Code::BufferFull`].
    #[inline]
    pub fn u32(&mut self, value: u32) -> Result<()> {
        self.bytes(&value.to_be_bytes())
    }

    /// A variable-length integer in as few bytes as possible.
    ///
    /// # Errors
    /// [`Code::BufferFull`]; [`Code::MessageTooLarge`], ours to blame, above [`varint::MAX`].
    #[inline]
    pub fn varint(&mut self, value: u64) -> Result<()> {
        match value {
            0..0x40 => self.u8(value as u8),
            0x40..0x4000 => self.u16(value as u16 | 0x4000),
            0x4000..0x4000_0000 => self.u32(value as u32 | 0x8000_0000),
            _ => self.varint_in(value, 8),
        }
    }

    /// A variable-length integer in `size` bytes: 1, 2, 4 or 8.
    ///
    /// # Errors
    /// As for [`varint`](Self::varint); [`Code::MessageTooLarge`] also if it does not fit that size.
    pub fn varint_in(&mut self, value: u64, size: usize) -> Result<()> {
        let bytes = varint::in_size(value, size).ok_or(too_large())?;
        self.bytes(bytes.get(8 - size..).unwrap_or_default())
    }

    /// A length as a variable-length integer, then these bytes.
    ///
    /// # Errors
    /// As for [`varint`](Self::varint).
    pub fn prefixed(&mut self, bytes: &[u8]) -> Result<()> {
        self.all_or_nothing(|writer| {
            writer.varint(bytes.len() as u64)?;
            writer.bytes(bytes)
        })
    }

    /// What `write` writes, or nothing if it fails.
    ///
    /// # Errors
    /// Those of `write`.
    #[inline]
    pub fn all_or_nothing(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let len = self.len;
        let written = write(self);
        if written.is_err() {
            self.len = len;
        }
        written
    }
}

/// Somebody of ours wants to say what has no encoding.
pub(super) fn too_large() -> Error {
    Error::new(Code::MessageTooLarge).blame(Fault::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_ends_where_its_bytes_do() {
        let mut reader = Reader::new(b"\x01\0\x02\0\0\0\x03\x02abc");
        assert_eq!((reader.u8(), reader.u16(), reader.u32()), (Some(1), Some(2), Some(3)));
        assert_eq!(reader.prefixed(), Some(&b"ab"[..]));
        assert_eq!(
            (reader.u16(), reader.u32(), reader.array::<2>(), reader.bytes(2)),
            (None, None, None, None)
        );
        assert_eq!(reader.bytes(u64::MAX), None);
        assert_eq!(reader.prefixed(), None, "a length of 2,097,152 and more");
        let mut reader = Reader::new(b"c");
        assert_eq!((reader.take_rest(), reader.u8(), reader.varint()), (&b"c"[..], None, None));
    }

    #[test]
    fn a_writer_writes_all_of_a_field_or_nothing() {
        let mut room = [0; 5];
        let mut writer = Writer::new(&mut room);
        assert_eq!(writer.prefixed(b"12345"), Err(Code::BufferFull.into()));
        assert_eq!((writer.len(), writer.room()), (0, 5));
        writer.prefixed(b"1234").unwrap();
        assert_eq!(writer.written(), b"\x041234");
        for failed in [writer.u8(1), writer.u16(1), writer.u32(1), writer.varint(64), writer.varint_in(1, 8)]
        {
            assert_eq!(failed, Err(Code::BufferFull.into()));
        }
    }

    #[test]
    fn what_has_no_encoding_is_our_fault() {
        let mut room = [0; 16];
        let mut writer = Writer::new(&mut room);
        for (value, size) in
            [(varint::MAX + 1, 8), (64, 1), (1 << 14, 2), (1 << 30, 4), (0, 3), (0, 0), (0, 9)]
        {
            assert_eq!(writer.varint_in(value, size), Err(too_large()));
        }
        assert_eq!(writer.varint(u64::MAX), Err(too_large()));
        assert_eq!(writer.len(), 0);
    }

    #[test]
    fn what_is_reserved_is_not_written_to() {
        let mut room = [0; 5];
        let mut writer = Writer::new(&mut room);
        writer.reserve(3);
        assert_eq!((writer.room(), writer.bytes(b"abc")), (2, Err(Code::BufferFull.into())));
        writer.reserve(9);
        assert_eq!(writer.room(), 0);
        writer.reserve(0);
        writer.bytes(b"abcde").unwrap();
        assert_eq!(writer.written(), b"abcde");
    }
}
