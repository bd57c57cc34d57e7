//! Masking (RFC 6455, 5.3): the payload of what a client sends, XORed with a key of four bytes.

/// From so many bytes on it pays to begin where the processor's vectors do.
const LONG: usize = 512;

/// Where vectors begin: at multiples of this.
const VECTOR: usize = 32;

/// Masks `bytes` with `key`, or takes its mask off; `key` is for the first of them. In place, at the speed of memory.
///
/// ```
/// let mut bytes = *b"Hello";
/// netloom_protocols::websocket::mask(&mut bytes, [0x37, 0xfa, 0x21, 0x3d]);
/// assert_eq!(bytes, [0x7f, 0x9f, 0x4d, 0x51, 0x58]); // RFC 6455, 5.7
/// ```
#[inline]
pub fn mask(mut bytes: &mut [u8], mut key: [u8; 4]) {
    if cfg!(target_pointer_width = "64") && bytes.len() >= LONG {
        let before = bytes.as_ptr().align_offset(VECTOR).min(bytes.len());
        let (first, rest) = bytes.split_at_mut(before);
        words(first, key);
        (bytes, key) = (rest, rotated(key, before));
    }
    words(bytes, key);
}

/// Word by word; the compiler makes vectors of it.
#[inline]
fn words(bytes: &mut [u8], key: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    let word = u32::from_ne_bytes(key);
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// The key as it is `n` bytes later.
#[inline]
pub(super) fn rotated(mut key: [u8; 4], n: usize) -> [u8; 4] {
    key.rotate_left(n % 4);
    key
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_length_in_every_cut_is_what_the_definition_says() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in (0..300).chain(LONG - 1..LONG + 80) {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7 + 3) as u8).collect();
            let expected: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut whole = plain.clone();
            mask(&mut whole, key);
            assert_eq!(whole, expected);
            let cut = len * 5 / 7;
            let mut cut_in_two = plain;
            let (first, second) = cut_in_two.split_at_mut(cut);
            mask(first, key);
            mask(second, rotated(key, cut));
            assert_eq!(cut_in_two, expected);
        }
    }
}
