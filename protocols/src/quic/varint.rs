//! Variable-length integers (RFC 9000, 16).
//!
//! ```text
//! | 00, 6 bits | 01, 14 bits | 10, 30 bits | 11, 62 bits |      the first two bits say how many bytes: 1, 2, 4 or 8
//! ```

/// The largest value: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Bytes of the shortest encoding: 1, 2, 4 or 8.
///
/// ```
/// use netloom_protocols::quic::varint;
///
/// assert_eq!([63, 64, 16_383, 16_384, varint::MAX].map(varint::size), [1, 2, 2, 4, 8]);
/// ```
#[inline]
pub const fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// The integer at the front of `input`, and what is behind it; `None` if it is not all there. Any length will do, the
/// shortest or not.
///
/// ```
/// use netloom_protocols::quic::varint;
///
/// assert_eq!(varint::split_first(b"\x7b\xbd!"), Some((15_293, &b"!"[..])));
/// assert_eq!(varint::split_first(b"\x40\x25"), Some((37, &b""[..])));
/// assert_eq!(varint::split_first(b"\x7b"), None);
/// ```
#[inline(always)]
pub const fn split_first(input: &[u8]) -> Option<(u64, &[u8])> {
    match split_first_soon(input) {
        Some(split) => Some(split),
        None => split_last(input),
    }
}

/// The same without a loop: `None` is no answer, but that there are less than eight bytes from the integer's first to
/// the end of `input`, and it is not of one byte.
#[inline(always)]
pub(super) const fn split_first_soon(input: &[u8]) -> Option<(u64, &[u8])> {
    let [first, rest @ ..] = input else { return None };
    if *first < 0x40 {
        return Some((*first as u64, rest));
    }
    // Nothing depends on how long it is.
    let size = 1 << (*first >> 6);
    let Some(word) = input.first_chunk::<8>() else { return None };
    let (_, rest) = input.split_at(size);
    Some(((u64::from_be_bytes(*word) & MAX) >> (64 - 8 * size), rest))
}

/// The same for an integer with less than eight bytes from its first to the end of `input`.
#[cold]
#[inline(never)]
const fn split_last(input: &[u8]) -> Option<(u64, &[u8])> {
    let Some(first) = input.first() else { return None };
    let size = 1 << (*first >> 6);
    let Some((bytes, rest)) = input.split_at_checked(size) else { return None };
    let (mut value, mut at) = (0, 0);
    while at < bytes.len() {
        value = value << 8 | bytes[at] as u64;
        at += 1;
    }
    // Without the two bits that say the size.
    Some((value & (MAX >> (64 - 8 * size)), rest))
}

/// `value` in `size` bytes, as the last of eight; `None` if it does not fit or `size` is none of 1, 2, 4 and 8.
#[inline]
pub(super) const fn in_size(value: u64, size: usize) -> Option<[u8; 8]> {
    let (bits, prefix) = match size {
        1 => (6, 0),
        2 => (14, 0x4000),
        4 => (30, 0x8000_0000),
        8 => (62, 0xc000_0000_0000_0000),
        _ => return None,
    };
    if value >> bits != 0 {
        return None;
    }
    Some((value | prefix).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::{Reader, Writer};
    use super::*;

    #[test]
    fn the_samples_of_the_rfc() {
        // RFC 9000, A.1.
        for (bytes, value) in [
            (&b"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c"[..], 151_288_809_941_952_652),
            (b"\x9d\x7f\x3e\x7d", 494_878_333),
            (b"\x7b\xbd", 15_293),
            (b"\x25", 37),
        ] {
            assert_eq!(split_first(bytes), Some((value, &b""[..])));
            let mut out = [0; 8];
            let mut writer = Writer::new(&mut out);
            writer.varint(value).unwrap();
            assert_eq!(writer.written(), bytes);
        }
    }

    #[test]
    fn what_is_written_in_any_size_is_read_back_when_all_of_it_is_there() {
        for value in [0, 1, 63, 64, 16_383, 16_384, 0x3fff_ffff, 0x4000_0000, MAX] {
            for size in [1, 2, 4, 8] {
                let mut out = [0; 8];
                let mut writer = Writer::new(&mut out);
                let written = writer.varint_in(value, size);
                assert_eq!(written.is_ok(), size >= super::size(value), "{value} in {size}");
                if written.is_err() {
                    assert!(writer.written().is_empty());
                    continue;
                }
                assert_eq!(writer.len(), size);
                let mut reader = Reader::new(writer.written());
                assert_eq!(reader.varint(), Some(value));
                assert!(reader.is_empty());
                let mut behind = [0xff; 16];
                behind[..size].copy_from_slice(&out[..size]);
                assert_eq!(split_first(&behind), Some((value, &behind[size..])));
                for cut in 0..size {
                    assert_eq!(split_first(&out[..cut]), None);
                }
            }
        }
    }
}
