//! UTF-8 that comes in pieces, found wrong at the first byte that makes it so.

use netloom_core::{Code, Error, Result};

/// What was begun and not ended of a character.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    bytes: [u8; 3],
    len: u8,
}

impl Utf8 {
    pub(super) const NEW: Self = Self { bytes: [0; 3], len: 0 };

    /// Takes the next piece, `last` if nothing follows.
    ///
    /// # Errors
    /// [`Code::InvalidText`] (1007).
    pub(super) fn check(&mut self, mut piece: &[u8], last: bool) -> Result<()> {
        while self.len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { break };
            piece = rest;
            self.complete(byte)?;
        }
        if let Err(error) = core::str::from_utf8(piece) {
            let rest = piece.get(error.valid_up_to()..).unwrap_or_default();
            if error.error_len().is_some() || rest.len() > self.bytes.len() {
                return Err(invalid());
            }
            self.bytes[..rest.len()].copy_from_slice(rest);
            self.len = rest.len() as u8;
        }
        if last && core::mem::take(&mut self.len) > 0 { Err(invalid()) } else { Ok(()) }
    }

    /// One byte more of the character that was begun.
    fn complete(&mut self, byte: u8) -> Result<()> {
        let n = usize::from(self.len);
        let mut character = [self.bytes[0], self.bytes[1], self.bytes[2], 0];
        character[n] = byte;
        match core::str::from_utf8(&character[..=n]) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_none() && n < self.bytes.len() => {
                self.bytes[n] = byte;
                self.len += 1;
            }
            Err(_) => return Err(invalid()),
        }
        Ok(())
    }
}

/// RFC 6455, 8.1.
pub(super) fn invalid() -> Error {
    Error::new(Code::InvalidText).on_wire(1007)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn checks(pieces: &[&[u8]]) -> bool {
        let mut utf8 = Utf8::NEW;
        let last = pieces.len() - 1;
        pieces.iter().enumerate().all(|(i, piece)| utf8.check(piece, i == last).is_ok())
    }

    #[test]
    fn text_is_taken_however_it_is_cut() {
        let text: String =
            ['a', '\u{7f}', '\u{80}', '\u{7ff}', '\u{800}', '\u{ffff}', '\u{10000}', '\u{10ffff}']
                .into_iter()
                .collect();
        let text = text.as_bytes();
        for a in 0..=text.len() {
            for b in a..=text.len() {
                assert!(checks(&[&text[..a], &text[a..b], &text[b..]]));
            }
        }
    }

    #[test]
    fn it_agrees_with_the_whole_whatever_the_bytes_and_cuts() {
        let edges = [
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
            0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        for a in edges {
            for b in edges {
                for c in edges {
                    for d in [0x41, 0x80, 0xbf, 0xf0] {
                        let bytes = [a, b, c, d];
                        let valid = core::str::from_utf8(&bytes).is_ok();
                        for cut in 0..=4 {
                            assert_eq!(checks(&[&bytes[..cut], &bytes[cut..]]), valid, "{bytes:x?} {cut}");
                        }
                        assert_eq!(checks(&[&[a], &[b], &[c], &[d]]), valid, "{bytes:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn it_is_found_wrong_at_the_first_byte_that_makes_it_so() {
        // Autobahn's 6.4: a code point above 0x10FFFF, its bytes one by one.
        let bytes: Vec<u8> = b"\xce\xba\xf4\x90\x80\x80".to_vec();
        let mut utf8 = Utf8::NEW;
        let wrong = bytes.iter().position(|byte| utf8.check(&[*byte], false).is_err());
        assert_eq!(wrong, Some(3));
    }

    #[test]
    fn an_end_within_a_character_is_wrong() {
        assert!(!checks(&[b"a\xc3"]));
        assert!(!checks(&[b"a\xf0\x90", b"\x80", b""]));
    }
}
