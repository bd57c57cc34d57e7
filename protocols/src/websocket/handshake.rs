//! What both sides say to come from HTTP/1.1 to WebSocket (RFC 6455, 4).

use base64ct::{Base64, Encoding};

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
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    let mut accept = [0; ACCEPT];
    // 20 bytes are 28 in Base64, always.
    let _ = Base64::encode(&sha1.digest().bytes(), &mut accept);
    accept
}

/// A key of 16 bytes that were chosen at random (RFC 6455, 4.1), in Base64.
pub fn key_of(random: [u8; 16]) -> [u8; KEY] {
    let mut key = [0; KEY];
    // 16 bytes are 24 in Base64, always.
    let _ = Base64::encode(&random, &mut key);
    key
}

/// Whether it is 16 bytes in Base64.
pub(super) fn is_key(key: &[u8]) -> bool {
    key.len() == KEY && Base64::decode(key, &mut [0; 18]).is_ok_and(|bytes| bytes.len() == 16)
}

/// The elements of a field that is a list, over all its lines (RFC 9110, 5.6.1).
pub(super) fn elements<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(!is_key(wrong), "{}", wrong.escape_ascii());
        }
    }
}
