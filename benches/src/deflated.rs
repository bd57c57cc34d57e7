//! Compressed messages of a WebSocket: a text and, once it was checked, its echo.
//!
//! Compressors differ in what they make of a text, but each makes the same of it every time where no context is taken
//! over. So a server's echo is inflated and compared once, and is compared as it came from then on.

use std::io::{self, ErrorKind, Read, Write};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::answer::Answer;
use crate::handshake::{From, frame};

/// What every flush ends with, and no message (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// What clients compress with; the servers do not see it.
const LEVEL: u32 = 6;
/// FIN, and opcode 2; compressed.
const BINARY: u8 = 0x82;
const RSV1: u8 = 0x40;

const NAMES: [&str; 16] = [
    "temperature",
    "pressure",
    "humidity",
    "wind",
    "visibility",
    "dew point",
    "ceiling",
    "snow depth",
    "sunshine",
    "ozone",
    "radiation",
    "cloud cover",
    "rainfall",
    "soil moisture",
    "wave height",
    "tide",
];

/// `size` bytes of readings as JSON, of which the numbers do not repeat: deflate leaves a third of 1 KB, less of more.
pub fn text(size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 100);
    let mut seed: u32 = 1;
    while text.len() < size {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (name, value) = (NAMES[seed as usize >> 28], seed.wrapping_mul(2_654_435_761) >> 12);
        text.extend_from_slice(format!(r#"{{"sensor":"{name}","id":{seed},"value":{value}}},"#).as_bytes());
    }
    text.truncate(size);
    text
}

/// The message, as a client sends it.
pub fn message(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::with_capacity(text.len() + 64);
    let mut engine = Compress::new(Compression::new(LEVEL), false);
    engine.compress_vec(text, &mut compressed, FlushCompress::Sync)?;
    match compressed.strip_suffix(&TAIL) {
        Some(compressed) => Ok(frame(BINARY | RSV1, compressed, From::Client)),
        None => Err(wrong("the text does not become shorter")),
    }
}

/// Has `text` echoed over `stream`; returns the echo, once it was found to be the same text.
pub fn learn(stream: &mut (impl Read + Write), text: &[u8]) -> io::Result<Answer> {
    stream.write_all(&message(text)?)?;
    let (mut bytes, mut compressed) = (Vec::new(), Vec::new());
    loop {
        let start = bytes.len();
        more(stream, &mut bytes, 2)?;
        let (first, second) = (bytes[start], bytes[start + 1]);
        // Of a message in several frames, the first one says what it is.
        let expected = if start == 0 { BINARY | RSV1 } else { 0 };
        if first & 0x7f != expected & 0x7f {
            return Err(wrong(&format!("its frame begins with {first:#04x}")));
        }
        let size = match second {
            size @ 0..126 => u64::from(size),
            126 => more(stream, &mut bytes, 2)?.iter().fold(0, |size, &byte| size << 8 | u64::from(byte)),
            127 => more(stream, &mut bytes, 8)?.iter().fold(0, |size, &byte| size << 8 | u64::from(byte)),
            _ => return Err(wrong("it is masked")),
        };
        if size > 2 * text.len() as u64 {
            return Err(wrong("it is longer than the text"));
        }
        compressed.extend_from_slice(more(stream, &mut bytes, size as usize)?);
        if first & 0x80 != 0 {
            break;
        }
    }
    compressed.extend_from_slice(&TAIL);
    let mut echo = Vec::with_capacity(text.len() + 1);
    Decompress::new(false).decompress_vec(&compressed, &mut echo, FlushDecompress::Sync)?;
    match echo == text {
        true => Ok(Answer::constant(&bytes)),
        false => Err(wrong("it is not the text")),
    }
}

/// Reads `size` bytes behind what is in `bytes`; returns them.
fn more<'a>(stream: &mut impl Read, bytes: &'a mut Vec<u8>, size: usize) -> io::Result<&'a [u8]> {
    let start = bytes.len();
    bytes.resize(start + size, 0);
    stream.read_exact(&mut bytes[start..])?;
    Ok(&bytes[start..])
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("an echo is not what was asked for: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that has answered already; what it is asked is thrown away.
    struct Said<'a>(&'a [u8]);

    impl Read for Said<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.read(bytes)
        }
    }

    impl Write for Said<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::with_capacity(text.len() + 64);
        let mut engine = Compress::new(Compression::new(1), false);
        engine.compress_vec(text, &mut compressed, FlushCompress::Sync).unwrap();
        compressed.truncate(compressed.len() - TAIL.len());
        compressed
    }

    #[test]
    fn a_third_of_a_short_text_is_left_and_less_of_a_long_one() {
        for (size, ratio) in [(1024, 3), (64 * 1024, 5)] {
            let length = message(&text(size)).unwrap().len();
            assert_eq!((size + length / 2) / length, ratio, "{length}");
        }
    }

    #[test]
    fn an_echo_is_learned_as_it_came_however_it_was_compressed_and_cut() {
        let text = text(3000);
        let compressed = compressed(&text);
        let whole = frame(0xc2, &compressed, From::Server);
        assert_eq!(learn(&mut Said(&whole), &text).unwrap().bytes(), whole);
        let (one, two) = compressed.split_at(400);
        let cut = [frame(0x42, one, From::Server), frame(0x80, two, From::Server)].concat();
        assert_eq!(learn(&mut Said(&cut), &text).unwrap().bytes(), cut);
    }

    #[test]
    fn what_is_no_echo_is_refused() {
        let text = text(3000);
        let compressed = compressed(&text);
        for wrong in [
            frame(0xc2, &compressed, From::Client),
            frame(0x82, &text, From::Server),
            frame(0xc2, &self::compressed(&text[1..]), From::Server),
            frame(0xc2, &[0; 7000], From::Server),
            [frame(0x42, &compressed, From::Server), frame(0xc2, &[], From::Server)].concat(),
        ] {
            let kind = learn(&mut Said(&wrong), &text).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::InvalidData | ErrorKind::InvalidInput), "{kind:?}");
        }
        let cut = frame(0xc2, &compressed, From::Server);
        assert_eq!(learn(&mut Said(&cut[..99]), &text).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
