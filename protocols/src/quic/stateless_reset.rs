//! Stateless resets (RFC 9000, 10.3): what an endpoint answers that has forgotten a connection.
//!
//! ```text
//! | 0 1, 38 bits and more that look like a 1-RTT packet | token, 16 bytes |
//! ```

use netloom_core::{Code, Result};

use super::cursor::Writer;
use super::header::FIXED_BIT;
use super::invariant::LONG;

/// The shortest datagram that is one (RFC 9000, 10.3).
pub const LEN_MIN: usize = 21;

/// The token that `datagram` ends with, if it may be a stateless reset. Its receiver compares it, in constant time, with
/// those it was told, once it has found that the datagram is nothing else.
///
/// ```
/// use netloom_protocols::quic::stateless_reset;
///
/// assert_eq!(stateless_reset::token(b"\x40....0123456789abcdef"), Some(b"0123456789abcdef"));
/// assert_eq!(stateless_reset::token(b"\x40...0123456789abcdef"), None);
/// ```
pub fn token(datagram: &[u8]) -> Option<&[u8; 16]> {
    let may_be = datagram.len() >= LEN_MIN && datagram.first()? & LONG == 0;
    datagram.last_chunk().filter(|_| may_be)
}

/// Writes a stateless reset: `noise`, whose first two bits are set as in a 1-RTT packet, and the token. It should be
/// shorter than the packet that it answers, or two endpoints might answer each other for ever (RFC 9000, 10.3.3).
///
/// # Errors
/// [`Code::BufferFull`]; [`Code::Unsupported`] for less than 5 bytes of noise.
pub fn write(writer: &mut Writer<'_>, noise: &[u8], token: &[u8; 16]) -> Result<()> {
    let [first, rest @ ..] = noise else { return Err(Code::Unsupported.into()) };
    if noise.len() + token.len() < LEN_MIN {
        return Err(Code::Unsupported.into());
    }
    writer.all_or_nothing(|writer| {
        writer.u8(first & !LONG | FIXED_BIT)?;
        writer.bytes(rest)?;
        writer.bytes(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_written_and_its_token_found() {
        let mut room = [0; 30];
        let mut writer = Writer::new(&mut room);
        write(&mut writer, &[0xff; 5], b"0123456789abcdef").unwrap();
        assert_eq!(writer.written(), b"\x7f\xff\xff\xff\xff0123456789abcdef");
        assert_eq!(token(writer.written()), Some(b"0123456789abcdef"));
    }

    #[test]
    fn long_headers_and_short_datagrams_are_no_resets() {
        assert_eq!(token(&[0x40; 20]), None);
        assert_eq!(token(&[0xc0; 21]), None);
        assert_eq!(token(b""), None);
        let mut room = [0; 20];
        for noise in [&[][..], &[1; 4]] {
            assert_eq!(write(&mut Writer::new(&mut room), noise, &[0; 16]), Err(Code::Unsupported.into()));
        }
        let mut writer = Writer::new(&mut room);
        assert_eq!(write(&mut writer, &[1; 5], &[0; 16]), Err(Code::BufferFull.into()));
        assert_eq!(writer.len(), 0);
    }
}
