//! A message's body as it comes (RFC 9112, 6 and 7): by length, in chunks, or until the connection ends.
//!
//! Every byte is looked at once, however the bytes are cut: a state, not a search.

use netloom_core::{Code, Error, Result};

use super::octets::{self, Kind};

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Most bytes of chunk extensions and trailers in one message together. They are read and thrown away.
const EXTRAS_MAX: u16 = 4096;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    at: At,
    /// Of the size that is being read, or of the chunk; a machine's own size, so that 32 bits take chunks of up to 2 GiB.
    left: usize,
    /// Bytes of extensions and trailers so far.
    extras: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    Size,
    /// Behind a digit.
    Digits,
    /// In the white space behind a size, which an extension must follow.
    Blank,
    /// In an extension, behind its semicolon.
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the message.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    /// Behind the body.
    Over,
    /// Nowhere: no such byte may stand there.
    Nowhere,
}

/// What octets of a kind lead to, by where they stand (RFC 9112, 7.1).
const RULES: [(At, &[Kind], At); 20] = {
    use At::*;
    use Kind::{Colon, Cr, Digit, Lf, Semicolon, Space, Text, Token};
    const VALUE: &[Kind] = &[Digit, Token, Space, Semicolon, Colon, Text];
    [
        (Size, &[Digit], Digits),
        (Digits, &[Digit], Digits),
        (Digits, &[Space], Blank),
        (Digits, &[Semicolon], Extension),
        (Digits, &[Cr], SizeLf),
        (Blank, &[Space], Blank),
        (Blank, &[Semicolon], Extension),
        (Extension, VALUE, Extension),
        (Extension, &[Cr], SizeLf),
        // Or to data, unless the size was zero.
        (SizeLf, &[Lf], Trailer),
        (DataCr, &[Cr], DataLf),
        (DataLf, &[Lf], Size),
        (Trailer, &[Digit, Token], TrailerName),
        (Trailer, &[Cr], LastLf),
        (TrailerName, &[Digit, Token], TrailerName),
        (TrailerName, &[Colon], TrailerValue),
        (TrailerValue, VALUE, TrailerValue),
        (TrailerValue, &[Cr], TrailerLf),
        (TrailerLf, &[Lf], Trailer),
        (LastLf, &[Lf], Over),
    ]
};

/// [`RULES`], to be looked up.
static NEXT: [[At; Kind::COUNT]; At::Over as usize] = {
    let mut next = [[At::Nowhere; Kind::COUNT]; At::Over as usize];
    let mut rule = 0;
    while rule < RULES.len() {
        let (at, kinds, to) = RULES[rule];
        let mut kind = 0;
        while kind < kinds.len() {
            next[at as usize][kinds[kind] as usize] = to;
            kind += 1;
        }
        rule += 1;
    }
    next
};

/// What came of looking at some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// That many bytes are framing.
    Skip(usize),
    /// That many bytes hold a piece, from there to there.
    Piece(usize, usize, usize),
    /// That many bytes end the body.
    End(usize),
}

impl Body {
    pub(super) const CHUNKED: Self = Self::Chunked(Chunked { at: At::Size, left: 0, extras: 0 });

    /// Whether nothing is to come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Bytes that are known to come.
    pub(super) fn known(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            _ => None,
        }
    }

    /// Looks at `input`, which is not empty.
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<Progress> {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= n as u64;
                Ok(Progress::Piece(n, 0, n))
            }
            Self::UntilClose => Ok(Progress::Piece(input.len(), 0, input.len())),
            Self::Chunked(chunked) => chunked.advance(input),
        }
    }
}

impl Chunked {
    fn advance(&mut self, input: &[u8]) -> Result<Progress> {
        let mut n = 0;
        while let Some(&byte) = input.get(n) {
            if self.at == At::Data {
                let len = self.left.min(input.len() - n);
                self.left -= len;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Progress::Piece(n + len, n, n + len));
            }
            n += 1;
            if self.step(byte)? {
                return Ok(Progress::End(n));
            }
        }
        Ok(Progress::Skip(n))
    }

    /// Takes one byte of framing. Whether it was the last.
    fn step(&mut self, byte: u8) -> Result<bool> {
        let row = NEXT.get(self.at as usize);
        let next = row.and_then(|row| row.get(octets::kind(byte))).copied().unwrap_or(At::Nowhere);
        let is_extra = match next {
            At::Nowhere => return Err(bad()),
            At::Digits => self.digit(byte)?,
            next => matches!(next, At::Blank | At::Extension | At::TrailerName | At::TrailerValue),
        };
        self.extras += u16::from(is_extra);
        if self.extras > EXTRAS_MAX {
            return Err(Error::new(Code::MessageTooLarge).on_wire(431));
        }
        self.at = match self.at {
            At::SizeLf if self.left > 0 => At::Data,
            _ => next,
        };
        Ok(next == At::Over)
    }

    /// Takes a digit of a size. Whether it says nothing: zeros in front are legal, and could go on for ever.
    fn digit(&mut self, digit: u8) -> Result<bool> {
        // RFC 9112, 7.1: a recipient must anticipate sizes that overflow.
        if self.left >> (usize::BITS - 5) != 0 {
            return Err(bad());
        }
        let says_nothing = self.at == At::Digits && self.left == 0;
        let value = if digit > b'9' { (digit & 7) + 9 } else { digit & 15 };
        self.left = self.left << 4 | usize::from(value);
        Ok(says_nothing)
    }
}

fn bad() -> Error {
    Error::new(Code::ProtocolViolation).on_wire(400)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// The body's bytes, and how many bytes of `input` it took; fed in pieces of `cut`.
    fn read(input: &[u8], cut: usize) -> Result<Option<(Vec<u8>, usize)>> {
        let (mut body, mut all, mut at) = (Body::CHUNKED, Vec::new(), 0);
        for piece in input.chunks(cut) {
            let mut piece = piece;
            while !piece.is_empty() {
                let n = match body.advance(piece)? {
                    Progress::Skip(n) => n,
                    Progress::Piece(n, start, end) => {
                        all.extend_from_slice(&piece[start..end]);
                        n
                    }
                    Progress::End(n) => return Ok(Some((all, at + n))),
                };
                assert!(n > 0);
                at += n;
                piece = &piece[n..];
            }
        }
        Ok(None)
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let input = b"4\r\nWiki\r\n7;a=b;c=\"d e\"\r\npedia i\r\nB \t; x\r\nn \r\nchunks.\r\n0;last\r\nA: b\r\nc-d:\r\n\r\nrest";
        for cut in 1..=input.len() {
            let (body, n) = read(input, cut).expect("legal").expect("complete");
            assert_eq!((&body[..], &input[n..]), (&b"Wikipedia in \r\nchunks."[..], &b"rest"[..]), "{cut}");
        }
        for end in 0..input.len() - 4 {
            assert_eq!(read(&input[..end], 3), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (input, status) in [
            (&b"\r\n"[..], 400),
            (b"x", 400),
            (b"-1\r\n", 400),
            (b"+1\r\n", 400),
            (b" 1\r\n", 400),
            (b"0x1\r\n", 400),
            (b"1\n", 400),
            (b"1 1\r\n", 400),
            (b"1\tx\r\n", 400),
            (b"1 \r\n", 400),
            (b"1;a\r\nx\r\n0\t\r\n", 400),
            (b"1\r\r", 400),
            (b"1\r\nab", 400),
            (b"1\r\na\n", 400),
            (b"1\r\na\rb", 400),
            (b"1;\0\r\n", 400),
            (b"1;a\n", 400),
            (b"1;\x7f\r\n", 400),
            (b"10000000000000000\r\n", 400),
            (b"fffffffffffffffff\r\n", 400),
            (b"0\r\n x: y\r\n\r\n", 400),
            (b"0\r\nx : y\r\n\r\n", 400),
            (b"0\r\nx\r\n\r\n", 400),
            (b"0\r\nx: \0\r\n\r\n", 400),
            (b"0\r\nx: y\n\r\n", 400),
            (b"0\r\n\rx", 400),
            (b"0\r\n: y\r\n\r\n", 400),
        ] {
            for cut in [1, 2, 100] {
                let error = read(input, cut).expect_err("malformed");
                assert_eq!((error.wire(), error.code()), (status, Code::ProtocolViolation), "{input:?}");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_have_a_limit() {
        let endless = |start: &[u8]| {
            let mut input = start.to_vec();
            input.resize(5000, b'x');
            input
        };
        assert_eq!(read(&[b'0'; 5000], 100).expect_err("too long").wire(), 431);
        for start in [&b"1;"[..], b"0\r\nname: ", b"0\r\nname"] {
            assert_eq!(read(&endless(start), 100).expect_err("too long").wire(), 431);
        }
        let many = b"1;abc\r\nx\r\n".repeat(2000);
        assert_eq!(read(&many, 100).expect_err("too many").wire(), 431);
    }

    #[test]
    fn the_largest_size_is_taken() {
        let mut body = Body::CHUNKED;
        let head = b"0fffffffffffffff\r\n";
        assert_eq!(body.advance(head), Ok(Progress::Skip(head.len())));
        assert_eq!(body.advance(b"abc"), Ok(Progress::Piece(3, 0, 3)));
    }

    #[test]
    fn a_length_is_counted_down() {
        let mut body = Body::Length(5);
        assert_eq!(body.advance(b"abc"), Ok(Progress::Piece(3, 0, 3)));
        assert_eq!(body.advance(b"defg"), Ok(Progress::Piece(2, 0, 2)));
        assert!(body.is_over());
    }
}
