//! A frame's header (RFC 6455, 5.2).
//!
//! ```text
//! | FIN RSV1-3 opcode | MASK length, 7 bits | 16 or 64 more bits of length | 4 bytes of key |
//! ```

use netloom_core::{Code, Error, Outbox, Result};

/// The last frame of a message.
pub(super) const FIN: u8 = 0x80;
/// The first frame of a compressed message (RFC 7692, 6).
pub(super) const RSV1: u8 = 0x40;
const RSV23: u8 = 0x30;
const MASK: u8 = 0x80;

/// A continued message.
pub(super) const CONTINUATION: u8 = 0;
/// UTF-8.
pub(super) const TEXT: u8 = 1;
/// Bytes.
pub(super) const BINARY: u8 = 2;
/// The closing handshake.
pub(super) const CLOSE: u8 = 8;
/// To be answered by a pong.
pub(super) const PING: u8 = 9;
/// Answers a ping, or none.
pub(super) const PONG: u8 = 10;

/// Most bytes of a header.
pub(super) const HEADER_MAX: usize = 14;
/// Most bytes of a control frame's payload (RFC 6455, 5.5).
pub(super) const CONTROL_MAX: usize = 125;
/// Most bytes of a control frame, masked.
pub(super) const CONTROL_FRAME_MAX: usize = 2 + 4 + CONTROL_MAX;

/// A header that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// FIN, the reserved bits and the opcode.
    pub(super) first: u8,
    pub(super) key: [u8; 4],
    pub(super) len: u64,
    /// Bytes of the header.
    pub(super) size: usize,
}

impl Header {
    /// Parses the header at the front of `input`; `None` if it is not all there. What is wrong is found as soon as it
    /// is there: `masked` is whether it must be.
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] (1002).
    #[inline]
    pub(super) fn parse(input: &[u8], masked: bool, rsv1: bool) -> Result<Option<Self>> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let (first, short) = (*first, second & !MASK);
        let reserved = if rsv1 { RSV23 } else { RSV23 | RSV1 };
        let opcode = first & 0x0f;
        if first & reserved != 0 || !matches!(opcode, 0..=2 | 8..=10) || (second & MASK != 0) != masked {
            return Err(violation());
        }
        if opcode & 8 != 0 && (first & (FIN | RSV1) != FIN || usize::from(short) > CONTROL_MAX) {
            return Err(violation());
        }
        let (len, rest) = match short {
            126 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*len)), rest)
            }
            127 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*len), rest)
            }
            _ => (u64::from(short), rest),
        };
        // RFC 6455, 5.2: as few bytes as possible, and never the highest bit.
        if (short == 126 && len < 126) || (short == 127 && !(0x1_0000..1 << 63).contains(&len)) {
            return Err(violation());
        }
        let (key, rest) = match (masked, rest.split_first_chunk()) {
            (false, _) => ([0; 4], rest),
            (true, Some((key, rest))) => (*key, rest),
            (true, None) => return Ok(None),
        };
        Ok(Some(Self { first, key, len, size: input.len() - rest.len() }))
    }

    pub(super) const fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    pub(super) const fn is_control(&self) -> bool {
        self.first & 8 != 0
    }
}

/// Writes a header with `first` for a payload of `len` bytes, masked if there is a key.
///
/// # Errors
/// [`Code::BufferFull`].
#[inline]
pub(super) fn put(first: u8, len: usize, key: Option<[u8; 4]>, out: &mut Outbox<'_>) -> Result<()> {
    let mask = if key.is_some() { MASK } else { 0 };
    let key: &[u8] = key.as_ref().map_or(&[], |key| key);
    match len {
        0..126 => out.put_all([&[first, mask | len as u8], key]),
        126..0x1_0000 => out.put_all([&[first, mask | 126], &(len as u16).to_be_bytes(), key]),
        _ => out.put_all([&[first, mask | 127], &(len as u64).to_be_bytes(), key]),
    }
}

/// The peer broke RFC 6455.
pub(super) fn violation() -> Error {
    Error::new(Code::ProtocolViolation).on_wire(1002)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(len: usize, masked: bool) -> usize {
        let size = match len {
            0..126 => 2,
            126..0x1_0000 => 4,
            _ => 10,
        };
        if masked { size + 4 } else { size }
    }

    fn parse(input: &[u8]) -> Result<Option<Header>> {
        Header::parse(input, false, false)
    }

    #[test]
    fn what_is_written_is_read_back_and_only_when_all_of_it_is_there() {
        for len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 30] {
            for key in [None, Some([1, 2, 3, 4])] {
                let (mut bytes, mut tail) = ([0; HEADER_MAX], 0);
                put(FIN | BINARY, len, key, &mut Outbox::new(&mut bytes, &mut tail)).unwrap();
                assert_eq!(tail, size(len, key.is_some()));
                let header =
                    Header { first: FIN | BINARY, key: key.unwrap_or_default(), len: len as u64, size: tail };
                assert_eq!(Header::parse(&bytes[..tail], key.is_some(), false), Ok(Some(header)));
                for cut in 0..tail {
                    assert_eq!(Header::parse(&bytes[..cut], key.is_some(), false), Ok(None));
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_refused_at_the_header() {
        let wrong: &[&[u8]] = &[
            b"\xc1\x00", // RSV1 without an extension
            b"\xa1\x00", // RSV2
            b"\x91\x00", // RSV3
            b"\x83\x00", // opcodes that are not assigned
            b"\x8b\x00",
            b"\x81\x80",         // masked, by a server
            b"\x09\x00",         // a control frame in fragments
            b"\x88\x7e\x00\x7e", // a long control frame
            b"\x82\x7e\x00\x7d", // a length in more bytes than it takes
            b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
            b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", // the highest bit
        ];
        for bytes in wrong {
            assert_eq!(parse(bytes), Err(violation()), "{bytes:x?}");
        }
        assert_eq!(Header::parse(b"\x81\x00", true, false), Err(violation()));
        assert_eq!(Header::parse(b"\xc9\x00", false, true), Err(violation()));
        assert!(Header::parse(b"\xc1\x00", false, true).unwrap().is_some());
    }
}
