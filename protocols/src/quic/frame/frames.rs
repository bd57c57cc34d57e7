//! The frames of a packet, one after the other.

use super::super::cursor::Reader;
use super::super::error::TransportError;
use super::super::varint;
use super::{Frame, Stream};

/// The frames of a payload, as long as they are well formed.
///
/// A payload without any is a PROTOCOL_VIOLATION (RFC 9000, 12.4). After an error there is nothing more;
/// [`frame_type`](Self::frame_type) then says which frame it was.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    reader: Reader<'a>,
    /// The frame last begun, and what is behind it; empty if there was none in the payload.
    last: Option<&'a [u8]>,
}

impl<'a> Frames<'a> {
    /// The frames of `payload`.
    #[inline]
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload), last: None }
    }

    /// The type of the frame last read or refused: what a CONNECTION_CLOSE frame names. 0 if there was none.
    pub const fn frame_type(&self) -> u64 {
        let Some(last) = self.last else { return 0 };
        match varint::split_first(last) {
            Some((frame_type, _)) => frame_type,
            None => 0,
        }
    }

    /// What was not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, TransportError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // What there is most of, where it takes a few instructions; the others are read in a call.
        let rest = self.reader.rest();
        if let [frame_type @ 0x08..=0x0f, fields @ ..] = rest {
            let mut fields = Reader::new(fields);
            if let Some(stream) = Stream::read((*frame_type).into(), &mut fields, Reader::varint_soon) {
                (self.reader, self.last) = (fields, Some(rest));
                return Some(Ok(Frame::Stream(stream)));
            }
        }
        if rest.is_empty() {
            if self.last.is_some() {
                return None;
            }
            self.last = Some(rest);
            return Some(Err(TransportError::ProtocolViolation));
        }
        self.last = Some(rest);
        Frame::read_item(&mut self.reader)
    }
}
