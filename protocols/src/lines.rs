//! Lines of text.
//!
//! A line ends with LF or CR LF, is UTF-8, and is handed out without its ending. A CR elsewhere is part of
//! the line. Lines are sent with LF.

use netloom_core::{Code, Codec, Error, Fault, Limits, Outbox, Result, Step};

/// Lines of UTF-8 text, both ways.
///
/// ```
/// use netloom_core::{Codec, Outbox, Step};
/// use netloom_protocols::Lines;
///
/// let mut input = *b"HELO\r\nMA";
/// let step = Lines::new().decode(&mut input, &mut Outbox::new(&mut [], &mut 0))?;
/// let Step::Event(6, found) = step else { panic!() };
/// assert_eq!(Lines::view(found, &input[..6])?, "HELO");
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// Longest line that is taken, without its ending.
    max: usize,
    /// Bytes of the line at hand that were already looked at: bytes that come one at a time cost linear
    /// work in all.
    seen: usize,
}

impl Lines {
    /// Takes lines as long as the session can: its
    /// [`Options::message_max`](netloom_core::Options::message_max) bytes without the ending, or what fits
    /// the receive queue with it.
    pub const fn new() -> Self {
        Self { max: usize::MAX, seen: 0 }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for Lines {
    /// Bytes of the line without its ending.
    type Found = usize;
    type Event<'a> = &'a str;
    type Message<'a> = &'a str;

    fn limit(&mut self, limits: Limits) {
        self.max = self.max.min(limits.message).min(limits.unit.saturating_sub("\r\n".len()));
    }

    fn decode(&mut self, input: &mut [u8], _: &mut Outbox<'_>) -> Result<Step<usize>> {
        // A line of the full length may be followed by its two-byte ending.
        let reach = input.len().min(self.max.saturating_add("\r\n".len()));
        let fresh = &input[self.seen.min(reach)..reach];
        let Some(at) = memchr::memchr(b'\n', fresh) else {
            self.seen = reach;
            let ends = input[..reach].strip_suffix(b"\r").map_or(reach, <[u8]>::len);
            return match ends > self.max {
                true => Err(Code::MessageTooLarge.into()),
                false => Ok(Step::NeedInput),
            };
        };
        let end = self.seen + at;
        self.seen = 0;
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        match line.len() > self.max {
            true => Err(Code::MessageTooLarge.into()),
            false => Ok(Step::Event(end + 1, line.len())),
        }
    }

    fn view(len: usize, unit: &[u8]) -> Result<&str> {
        core::str::from_utf8(&unit[..len]).map_err(|_| Code::InvalidText.into())
    }

    /// # Errors
    /// [`Code::ProtocolViolation`] by [`Fault::Local`] if `message` has a line ending inside, or ends with a CR, which would be
    /// taken for a part of the ending.
    fn encode<'m>(&mut self, message: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        if memchr::memchr(b'\n', message.as_bytes()).is_some() || message.ends_with('\r') {
            return Err(Error::new(Code::ProtocolViolation).blame(Fault::Local));
        }
        out.put_all([message.as_bytes(), b"\n"])?;
        Ok(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(max: usize) -> Lines {
        let mut lines = Lines::new();
        lines.limit(Limits { message: max, unit: 1000, queue: 1000 });
        lines
    }

    fn decode(lines: &mut Lines, input: &[u8]) -> Result<Step<usize>> {
        let mut copy = [0; 32];
        copy[..input.len()].copy_from_slice(input);
        lines.decode(&mut copy[..input.len()], &mut Outbox::new(&mut [], &mut 0))
    }

    #[test]
    fn lines_end_with_lf_or_cr_lf_wherever_they_are_cut() {
        let text = b"ab\r\n\ncd\re\n";
        for cut in 0..=text.len() {
            let mut lines = limited(10);
            let (mut from, mut found) = (0, [""; 3]);
            let mut n = 0;
            for end in [cut, text.len()] {
                while let Step::Event(unit, len) = decode(&mut lines, &text[from..end]).unwrap() {
                    found[n] = Lines::view(len, &text[from..from + unit]).unwrap();
                    (from, n) = (from + unit, n + 1);
                }
            }
            assert_eq!(found, ["ab", "", "cd\re"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_may_have_the_full_length_and_no_byte_more() {
        for input in [&b"abcd\n"[..], b"abcd\r\n"] {
            assert_eq!(decode(&mut limited(4), input), Ok(Step::Event(input.len(), 4)));
            assert_eq!(decode(&mut limited(3), input).unwrap_err(), Code::MessageTooLarge);
        }
        assert_eq!(decode(&mut limited(4), b"abcd\r"), Ok(Step::NeedInput));
        assert_eq!(decode(&mut limited(4), b"abcde").unwrap_err(), Code::MessageTooLarge);
    }

    #[test]
    fn what_is_not_utf8_and_what_holds_two_lines_is_refused() {
        assert_eq!(Lines::view(2, b"\xc3\x28\n").unwrap_err(), Code::InvalidText);
        let (mut bytes, mut tail) = ([0; 8], 0);
        for message in ["a\nb", "a\r"] {
            let error = limited(8).encode(&message, &mut Outbox::new(&mut bytes, &mut tail)).unwrap_err();
            assert_eq!((error.code(), error.fault()), (Code::ProtocolViolation, Fault::Local));
        }
    }
}
