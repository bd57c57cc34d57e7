//! Length-prefixed messages.
//!
//! ```text
//! | length, 4 bytes, big-endian | that many bytes |
//! ```
//!
//! Wire-compatible with tokio_util's `LengthDelimitedCodec` as it comes. A length above the limit is refused
//! on the header, before a byte of the body is waited for or held.

use netloom_core::{Code, Codec, Error, Fault, Limits, Outbox, Result, Step};

/// Bytes of the length.
const HEADER: usize = 4;

/// Length-prefixed messages of bytes.
///
/// ```
/// use netloom_core::{Codec, Outbox, Step};
/// use netloom_protocols::Framing;
///
/// let (mut bytes, mut tail) = ([0; 16], 0);
/// let mut framing = Framing::new();
/// let mut out = Outbox::new(&mut bytes, &mut tail);
/// let body = framing.encode(&&b"hello"[..], &mut out)?;
/// out.put(body)?;
/// assert_eq!(&bytes[..tail], b"\0\0\0\x05hello");
/// let step = framing.decode(&mut bytes, &mut Outbox::new(&mut [], &mut 0))?;
/// assert_eq!(step, Step::Event(9, ()));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// Longest body that is taken.
    max: u32,
}

impl Framing {
    /// Takes messages as long as the session can: its
    /// [`Options::message_max`](netloom_core::Options::message_max), or what fits the receive queue.
    pub const fn new() -> Self {
        Self { max: u32::MAX }
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for Framing {
    type Found = ();
    type Event<'a> = &'a [u8];
    type Message<'a> = &'a [u8];

    fn limit(&mut self, limits: Limits) {
        let fits = limits.message.min(limits.unit.saturating_sub(HEADER));
        self.max = self.max.min(u32::try_from(fits).unwrap_or(u32::MAX));
    }

    #[inline]
    fn decode(&mut self, input: &mut [u8], _: &mut Outbox<'_>) -> Result<Step<()>> {
        let Some((header, rest)) = input.split_first_chunk::<HEADER>() else { return Ok(Step::NeedInput) };
        let len = u32::from_be_bytes(*header);
        if len > self.max {
            return Err(Code::MessageTooLarge.into());
        }
        // `max` and so `len` fits usize: `limit` cut it to the size of a queue.
        let len = len as usize;
        Ok(match rest.len() >= len {
            true => Step::Event(HEADER + len, ()),
            false => Step::NeedInput,
        })
    }

    #[inline]
    fn view((): (), unit: &[u8]) -> Result<&[u8]> {
        Ok(&unit[HEADER..])
    }

    #[inline]
    fn encode<'m>(&mut self, message: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        let len = u32::try_from(message.len())
            .map_err(|_| Error::new(Code::MessageTooLarge).blame(Fault::Local))?;
        out.put(&len.to_be_bytes())?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(message: usize, unit: usize) -> Framing {
        let mut framing = Framing::new();
        framing.limit(Limits { message, unit, queue: 100 });
        framing
    }

    fn decode(framing: &mut Framing, input: &[u8]) -> Result<Step<()>> {
        let mut copy = [0; 32];
        copy[..input.len()].copy_from_slice(input);
        framing.decode(&mut copy[..input.len()], &mut Outbox::new(&mut [], &mut 0))
    }

    #[test]
    fn a_message_is_found_when_its_last_byte_is_there() {
        let mut framing = limited(100, 100);
        for n in 0..7 {
            assert_eq!(decode(&mut framing, &b"\0\0\0\x03abc"[..n]), Ok(Step::NeedInput));
        }
        assert_eq!(decode(&mut framing, b"\0\0\0\x03abc\0"), Ok(Step::Event(7, ())));
        assert_eq!(decode(&mut framing, b"\0\0\0\0"), Ok(Step::Event(4, ())));
        assert_eq!(Framing::view((), b"\0\0\0\x03abc"), Ok(&b"abc"[..]));
    }

    #[test]
    fn a_length_above_the_limit_is_refused_on_the_header() {
        for (message, unit) in [(3, 100), (100, 7)] {
            let mut framing = limited(message, unit);
            assert_eq!(decode(&mut framing, &[0, 0, 0, 4]).unwrap_err().number(), -642);
            assert_eq!(decode(&mut framing, &[0xff; 4]).unwrap_err().fault(), Fault::Peer);
            assert_eq!(decode(&mut framing, &[0, 0, 0, 3]), Ok(Step::NeedInput));
        }
    }
}
