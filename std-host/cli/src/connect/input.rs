//! Standard input as messages, read by a thread of its own: reading a terminal cannot be cancelled.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;

use netloom::Code;
use tokio::sync::mpsc;

use crate::exit::Failure;

/// How messages look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A length of 4 bytes, big-endian, then that many bytes.
    Framed,
    /// A line of UTF-8 text, ended by LF.
    Lines,
}

/// Encoded messages; some or all of their bytes have been sent.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    sent: usize,
    messages: u64,
}

/// A chunk is handed over at this size, or as soon as there is no more input for the moment.
const CHUNK: usize = 64 * 1024;

/// Chunks on their way. Two, so that one is made while the other is sent.
const CHUNKS: usize = 2;

impl Chunk {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// The first message that was not sent, and its bytes with what is around it.
    pub(super) fn first(&self, format: Format) -> Option<(&[u8], usize)> {
        let rest = self.rest();
        match format {
            Format::Framed => {
                let (len, rest) = rest.split_first_chunk()?;
                let len = u32::from_be_bytes(*len) as usize;
                Some((rest.get(..len)?, len + 4))
            }
            Format::Lines => {
                let len = rest.iter().position(|byte| *byte == b'\n')?;
                Some((&rest[..len], len + 1))
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.sent += n;
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    fn add(&mut self, line: &[u8], format: Format) -> Result<(), Code> {
        match format {
            Format::Framed => {
                let len = u32::try_from(line.len()).map_err(|_| Code::MessageTooLarge)?;
                self.bytes.extend_from_slice(&len.to_be_bytes());
                self.bytes.extend_from_slice(line);
            }
            Format::Lines => {
                std::str::from_utf8(line).map_err(|_| Code::InvalidText)?;
                self.bytes.extend_from_slice(line);
                self.bytes.push(b'\n');
            }
        }
        self.messages += 1;
        Ok(())
    }
}

/// Begins to read. The channel ends with the input; an error is the last thing in it.
pub(super) fn read(format: Format, max: usize) -> Result<mpsc::Receiver<Result<Chunk, Failure>>, Failure> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let reader = move || {
        let input = BufReader::with_capacity(CHUNK, io::stdin().lock());
        if let Err(failure) = split(input, format, max, |chunk| sender.blocking_send(Ok(chunk)).is_ok()) {
            // Nobody listens any more if this fails.
            let _ = sender.blocking_send(Err(failure));
        }
    };
    let thread = thread::Builder::new().name("stdin".to_owned()).spawn(reader);
    thread.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    Ok(receiver)
}

/// Cuts `input` into lines of at most `max` bytes and hands them to `take`, until that says no.
fn split<R: Read>(
    mut input: BufReader<R>,
    format: Format,
    max: usize,
    mut take: impl FnMut(Chunk) -> bool,
) -> Result<(), Failure> {
    let (mut chunk, mut line) = (Chunk::default(), Vec::new());
    // A line of the full length has its ending behind it.
    let reach = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    for number in 1_u64.. {
        line.clear();
        let result = match input.by_ref().take(reach).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                match line.len() > max {
                    true => Err(too_long(number, max)),
                    false => chunk.add(line, format).map_err(|code| refused(code, number)),
                }
            }
            Err(error) => Err(Failure::new(format!("cannot read the input: {error}"))),
        };
        let hand_over = result.is_err() || chunk.bytes.len() >= CHUNK || input.buffer().is_empty();
        if hand_over && !chunk.bytes.is_empty() && !take(std::mem::take(&mut chunk)) {
            return Ok(());
        }
        result?;
    }
    Ok(())
}

fn too_long(number: u64, max: usize) -> Failure {
    let why = format!("is longer than {max} bytes; --max-message takes longer ones");
    Failure::of(Code::MessageTooLarge, format_args!("line {number} of the input"), why)
}

fn refused(code: Code, number: u64) -> Failure {
    Failure::of(code, format_args!("line {number} of the input"), code.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `input` becomes on the wire, in how many messages, and how it ends.
    fn wire(input: &[u8], format: Format, max: usize) -> (Vec<u8>, u64, Result<(), String>) {
        let (mut bytes, mut messages) = (Vec::new(), 0);
        let result = split(BufReader::with_capacity(3, input), format, max, |chunk| {
            bytes.extend_from_slice(chunk.rest());
            messages += chunk.messages();
            true
        });
        (bytes, messages, result.map_err(|failure| failure.to_string()))
    }

    #[test]
    fn each_line_is_a_message_without_its_ending_and_the_last_needs_none() {
        let framed = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x02\xff\r".to_vec();
        assert_eq!(wire(b"ab\n\n\xff\r", Format::Framed, 2), (framed, 3, Ok(())));
        assert_eq!(wire(b"ab\n\ncd", Format::Lines, 2), (b"ab\n\ncd\n".to_vec(), 3, Ok(())));
        assert_eq!(wire(b"", Format::Framed, 2), (Vec::new(), 0, Ok(())));
    }

    #[test]
    fn a_line_that_cannot_be_sent_is_named_and_those_before_it_are_sent() {
        for (input, format, number) in
            [(&b"ab\nabc\nd\n"[..], Format::Lines, "(-642)"), (b"ab\n\xff\nd\n", Format::Lines, "(-683)")]
        {
            let (bytes, messages, result) = wire(input, format, 2);
            assert_eq!((&bytes[..], messages), (&b"ab\n"[..], 1));
            let line = result.unwrap_err();
            assert!(line.contains(number) && line.contains("line 2 of the input"), "{line}");
        }
    }

    #[test]
    fn reading_stops_when_nobody_takes() {
        let mut chunks = 0;
        let result = split(BufReader::with_capacity(1, &b"a\nb\nc\n"[..]), Format::Lines, 9, |_| {
            chunks += 1;
            false
        });
        assert!(result.is_ok() && chunks == 1);
    }
}
