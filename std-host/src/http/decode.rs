//! Content codings, decoded: bytes in, bytes out, never more at once than is asked for.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use netloom_core::{Code, Error};

use super::negotiate::Encoding;

/// What can be decoded, as `Accept-Encoding` says it.
pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// Most bytes that are decoded at once: a bomb bursts in such pieces, and only as fast as they are taken.
const PIECE_MAX: usize = 32 * 1024;
/// RFC 9659: no window is larger than 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// One message's content, decoded as it comes.
pub(super) struct Decoder {
    coding: Encoding,
    reader: Option<Box<dyn Read + Send>>,
    feed: Feed,
    /// Decoded bytes that may still come.
    left: u64,
}

/// What came of asking a decoder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Piece(Bytes),
    /// More must come first.
    NeedInput,
    End,
}

impl Decoder {
    /// A decoder that gives at most `max` bytes.
    pub(super) fn new(coding: Encoding, max: u64) -> Self {
        Self { coding, reader: None, feed: Feed::default(), left: max }
    }

    /// Gives it coded bytes. Only once it [needs](Decoded::NeedInput) them.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.feed.with(|buffer| buffer.bytes = bytes);
    }

    /// There is no more to be fed.
    pub(super) fn end(&mut self) {
        self.feed.with(|buffer| buffer.ended = true);
    }

    /// The next decoded bytes.
    ///
    /// # Errors
    /// `ProtocolViolation` for what is malformed or incomplete, `MessageTooLarge` beyond the limit.
    pub(super) fn next(&mut self) -> Result<Decoded, (Error, io::Error)> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let (first, ended) = self.feed.with(|buffer| (buffer.bytes.first().copied(), buffer.ended));
                match first {
                    Some(first) => {
                        none.insert(open(self.coding, first, self.feed.clone()).map_err(malformed)?)
                    }
                    // Nothing at all is no content, whatever its coding.
                    None if ended => return Ok(Decoded::End),
                    None => return Ok(Decoded::NeedInput),
                }
            }
        };
        let mut piece = vec![0; PIECE_MAX];
        match reader.read(&mut piece) {
            Ok(0) => Ok(Decoded::End),
            Ok(n) if n as u64 > self.left => {
                let error = Error::new(Code::MessageTooLarge);
                Err((error, io::Error::other("the decoded content is larger than the limit")))
            }
            Ok(n) => {
                self.left -= n as u64;
                piece.truncate(n);
                Ok(Decoded::Piece(piece.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Decoded::NeedInput),
            Err(error) => Err(malformed(error)),
        }
    }
}

fn malformed(error: io::Error) -> (Error, io::Error) {
    (Error::new(Code::ProtocolViolation), error)
}

fn open(coding: Encoding, first: u8, feed: Feed) -> io::Result<Box<dyn Read + Send>> {
    Ok(match coding {
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(feed)),
        // RFC 9110, 8.4.1.2: there are servers that leave out the zlib wrapper, whose first byte no sane deflate has.
        Encoding::Deflate if first & 0x0f == 8 => Box::new(flate2::read::ZlibDecoder::new(feed)),
        Encoding::Deflate => Box::new(flate2::read::DeflateDecoder::new(feed)),
        Encoding::Brotli => Box::new(brotli::Decompressor::new(feed, 4096)),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(feed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Coded bytes on their way to a reader that owns its source.
#[derive(Clone, Default)]
struct Feed(Arc<Mutex<Buffer>>);

#[derive(Default)]
struct Buffer {
    bytes: Bytes,
    ended: bool,
}

impl Feed {
    fn with<T>(&self, act: impl FnOnce(&mut Buffer) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Read for Feed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|buffer| {
            if buffer.bytes.is_empty() && !buffer.ended {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = buf.len().min(buffer.bytes.len());
            buffer.bytes.copy_to_slice(&mut buf[..n]);
            Ok(n)
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    const ALL: [Encoding; 4] = [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd];

    pub(in super::super) fn plain(encoding: Encoding, coded: &[u8]) -> Vec<u8> {
        decoded(encoding, coded, coded.len(), u64::MAX).unwrap()
    }

    /// What can be decoded of a body that goes on.
    pub(in super::super) fn so_far(encoding: Encoding, coded: &[u8]) -> Vec<u8> {
        let mut decoder = Decoder::new(encoding, u64::MAX);
        decoder.feed(Bytes::copy_from_slice(coded));
        let mut plain = Vec::new();
        while let Decoded::Piece(piece) = decoder.next().unwrap() {
            plain.extend_from_slice(&piece);
        }
        plain
    }

    fn coded(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::fast();
        match encoding {
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
                encoder.write_all(plain).unwrap();
                encoder.into_inner()
            }
            Encoding::Zstd => zstd::encode_all(plain, 1).unwrap(),
        }
    }

    fn decoded(encoding: Encoding, bytes: &[u8], cut: usize, max: u64) -> Result<Vec<u8>, Error> {
        let mut decoder = Decoder::new(encoding, max);
        let (mut chunks, mut plain) = (bytes.chunks(cut.max(1)), Vec::new());
        loop {
            match decoder.next().map_err(|(error, _)| error)? {
                Decoded::Piece(piece) => {
                    assert!(piece.len() <= PIECE_MAX);
                    plain.extend_from_slice(&piece);
                }
                Decoded::End => return Ok(plain),
                Decoded::NeedInput => match chunks.next() {
                    Some(chunk) => decoder.feed(Bytes::copy_from_slice(chunk)),
                    None => decoder.end(),
                },
            }
        }
    }

    #[test]
    fn every_coding_is_decoded_however_it_is_cut() {
        let plain: Vec<u8> = (0..3000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for encoding in ALL {
            let bytes = coded(encoding, &plain);
            for cut in [1, 2, 7, 1000, bytes.len()] {
                assert_eq!(
                    decoded(encoding, &bytes, cut, u64::MAX),
                    Ok(plain.clone()),
                    "{encoding:?} by {cut}"
                );
            }
            assert_eq!(decoded(encoding, &coded(encoding, b""), 1, 0), Ok(Vec::new()), "{encoding:?}");
            assert_eq!(decoded(encoding, b"", 1, 0), Ok(Vec::new()), "{encoding:?}");
        }
    }

    #[test]
    fn deflate_without_its_wrapper_is_decoded() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"plain").unwrap();
        assert_eq!(plain(Encoding::Deflate, &encoder.finish().unwrap()), b"plain");
    }

    #[test]
    fn what_is_cut_or_malformed_is_refused() {
        let plain = b"some text that is not very long".repeat(10);
        for encoding in ALL {
            let bytes = coded(encoding, &plain);
            for end in 1..bytes.len() {
                assert!(decoded(encoding, &bytes[..end], 5, u64::MAX).is_err(), "{encoding:?} {end}");
            }
        }
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Brotli] {
            let error = decoded(encoding, &[0xa5; 100], 9, u64::MAX).unwrap_err();
            assert_eq!(error.code(), Code::ProtocolViolation, "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_limit() {
        let plain = vec![0; 4_000_000];
        for encoding in ALL {
            let bytes = coded(encoding, &plain);
            let error = decoded(encoding, &bytes, 4096, 1_000_000).unwrap_err();
            assert_eq!(error.code(), Code::MessageTooLarge, "{encoding:?}: {} bytes", bytes.len());
        }
    }
}
