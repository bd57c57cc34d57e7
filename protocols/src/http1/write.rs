//! Bodies on their way out, the same in requests and responses: whole with their length, or in chunks.

use netloom_core::{Outbox, Result};

use super::to_fields::{FieldWriter, ToFields, put_hex};

/// The body of a whole message.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// Written straight into the send queue.
    Fill(&'a dyn Fill),
}

/// A body that is written in place.
pub trait Fill {
    /// Writes the body from the front of `room`, and returns its length. Is asked again if there was no room.
    ///
    /// # Errors
    /// [`Code::BufferFull`](netloom_core::Code::BufferFull) if the room is too small.
    fn fill(&self, room: &mut [u8]) -> Result<usize>;
}

/// Writes the value of `Content-Length`, the empty line and the content, whose length is only then known; returns it.
pub(super) fn fill(content: &dyn Fill, out: &mut Outbox<'_>) -> Result<usize> {
    /// Room for a length of three digits; others move the content, which is then very short or worth it.
    const GUESS: usize = 3 + 4;
    out.take(GUESS)?;
    let length = content.fill(out.spare())?;
    out.advance(length);
    let digits =
        core::iter::successors(Some(length), |left| Some(left / 10).filter(|left| *left > 0)).count();
    let before = digits + 4;
    if before > GUESS {
        out.take(before - GUESS)?;
    }
    let written = out.last(length + before.max(GUESS));
    written.copy_within(GUESS..GUESS + length, before);
    let (mut left, mut at) = (length, digits);
    while at > 0 {
        at -= 1;
        written[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    written[digits..before].copy_from_slice(b"\r\n\r\n");
    out.take_back(GUESS.saturating_sub(before));
    Ok(length)
}

/// Writes a chunk (RFC 9112, 7.1), with the end of the one before if that is due. If it does not fit, only its size is
/// written; whether that is so.
pub(super) fn put_chunk(piece: &[u8], crlf_due: bool, out: &mut Outbox<'_>) -> Result<bool> {
    if crlf_due {
        out.put(b"\r\n")?;
    }
    put_hex(piece.len() as u64, out)?;
    out.put(b"\r\n")?;
    if out.room() < piece.len() + 2 {
        return Ok(true);
    }
    out.put(piece)?;
    out.put(b"\r\n")?;
    Ok(false)
}

/// Writes the last chunk and the trailer section.
pub(super) fn put_last_chunk(trailers: &dyn ToFields, crlf_due: bool, out: &mut Outbox<'_>) -> Result<()> {
    out.put(if crlf_due { b"\r\n0\r\n" } else { b"0\r\n" })?;
    trailers.put(&mut FieldWriter::new(out))?;
    out.put(b"\r\n")
}
