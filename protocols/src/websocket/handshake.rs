//! What both sides say to come from HTTP/1.1 to WebSocket (RFC 6455, 4).

use super::sha1::sha1;

/// What the key is hashed with (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a key, which are 16 in Base64.
pub(super) const KEY: usize = 24;
/// Bytes of what answers it, which are 20 in Base64.
pub(super) const ACCEPT: usize = 28;

/// What a server answers `Sec-WebSocket-Key` with: nobody who does not speak WebSocket would.
///
/// ```
/// use netloom_protocols::websocket::accept_for;
///
/// assert_eq!(&accept_for(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // RFC 6455, 1.3
/// ```
pub fn accept_for(key: &[u8]) -> [u8; ACCEPT] {
    base64(&sha1([&key[..key.len().min(KEY)], GUID]))
}

/// A key of 16 bytes that were chosen at random (RFC 6455, 4.1), in Base64.
pub fn key_of(random: [u8; 16]) -> [u8; KEY] {
    base64(&random)
}

/// Whether it is 16 bytes in Base64.
pub(super) fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_last_chunk().filter(|_| key.len() == KEY) else { return false };
    // Of the last digit's six bits four belong to no byte.
    digits.iter().all(|digit| ALPHABET.contains(digit))
        && digits.last().is_some_and(|last| b"AQgw".contains(last))
}

/// RFC 4648, 4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in Base64, in `N` digits, which is what they take.
fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [b'='; N];
    for (digits, three) in text.as_chunks_mut::<4>().0.iter_mut().zip(bytes.chunks(3)) {
        let bits =
            three.iter().enumerate().fold(0, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for (i, digit) in digits.iter_mut().take(three.len() + 1).enumerate() {
            *digit = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
        }
    }
    text
}

/// The elements of a field that is a list, over all its lines (RFC 9110, 5.6.1).
pub(super) fn elements<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648, 10.
        assert_eq!(&base64(b"f"), b"Zg==");
        assert_eq!(&base64(b"fo"), b"Zm8=");
        assert_eq!(&base64(b"foo"), b"Zm9v");
        assert_eq!(&base64(b"foobar"), b"Zm9vYmFy");
        assert_eq!(&base64(&[0xff, 0xef, 0xbe]), b"/+++");
    }

    #[test]
    fn a_key_is_sixteen_bytes_and_nothing_else() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(is_key(&key_of([0xff; 16])));
        for wrong in [
            &b""[..],
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZSE=",
            b"dGhlIHNhbXBsZSBub25jZSEh",
            b"dGhlIHNhbXBsZSBub25j*Q==",
            b" GhlIHNhbXBsZSBub25jZQ==",
            b"dGhlIHNhbXBsZSBub25jZR==",
        ] {
            assert!(!is_key(wrong), "{}", wrong.escape_ascii());
        }
    }
}
