//! Toy codecs, which show what real ones do in the fewest lines, and one face for those whose messages are
//! bytes.

use netloom_core::{CloseReason, Code, Codec, Error, Instant, Outbox, Result, Step};
use netloom_protocols::{Framing, Lines};

/// A codec whose events and messages are plain bytes, or text.
pub trait Speech: Codec {
    /// The codec, with its usual settings.
    fn speech() -> Self;
    /// The message that says `bytes`, which are ASCII letters.
    fn say<'a>(bytes: &'a [u8]) -> Self::Message<'a>;
    /// The bytes of an event.
    fn heard<'a>(event: Self::Event<'a>) -> &'a [u8];
    /// Bytes of framing per message.
    const OVERHEAD: usize;
}

impl Speech for Framing {
    const OVERHEAD: usize = 4;
    fn speech() -> Self {
        Self::new()
    }
    fn say<'a>(bytes: &'a [u8]) -> Self::Message<'a> {
        bytes
    }
    fn heard<'a>(event: Self::Event<'a>) -> &'a [u8] {
        event
    }
}

impl Speech for Lines {
    const OVERHEAD: usize = 1;
    fn speech() -> Self {
        Self::new()
    }
    fn say<'a>(bytes: &'a [u8]) -> Self::Message<'a> {
        std::str::from_utf8(bytes).expect("ASCII letters")
    }
    fn heard<'a>(event: Self::Event<'a>) -> &'a [u8] {
        event.as_bytes()
    }
}

/// No protocol at all: every piece that arrives is an event, and a message is its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Codec for Raw {
    type Found = ();
    type Event<'a> = &'a [u8];
    type Message<'a> = &'a [u8];

    fn decode(&mut self, input: &mut [u8], _: &mut Outbox<'_>) -> Result<Step<()>> {
        Ok(if input.is_empty() { Step::NeedInput } else { Step::Event(input.len(), ()) })
    }
    fn view((): (), unit: &[u8]) -> Result<&[u8]> {
        Ok(unit)
    }
    fn encode<'m>(&mut self, message: &Self::Message<'m>, _: &mut Outbox<'_>) -> Result<&'m [u8]> {
        Ok(message)
    }
}

/// The shape of HTTP: a head `NAME LENGTH LF`, then that many bytes of body in pieces, then an end of no
/// bytes. With `chunked` for the length, the body is chunks, each a byte that says how long it is and that
/// many bytes, handed out whole; one of no bytes is the end. With `rest`, the body lasts as long as the stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upload {
    left: Option<usize>,
    chunked: bool,
    rest: bool,
}

/// What [`Upload`] tells the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The line, without its end.
    Head(&'a str),
    /// A piece of the body.
    Body(&'a [u8]),
    /// The body is complete.
    End,
}

/// What [`Upload`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum FoundPart {
    Head,
    Body,
    Chunk,
    End,
}

impl Codec for Upload {
    type Found = FoundPart;
    type Event<'a> = Part<'a>;
    type Message<'a> = &'a [u8];

    fn under_way(&self) -> bool {
        self.left.is_some()
    }

    fn finished(&mut self) -> bool {
        let rest = std::mem::take(&mut self.rest);
        if rest {
            self.left = Some(0);
        }
        rest
    }

    fn decode(&mut self, input: &mut [u8], _: &mut Outbox<'_>) -> Result<Step<FoundPart>> {
        match self.left {
            Some(_) if self.chunked => {
                let Some(&len) = input.first() else { return Ok(Step::NeedInput) };
                let unit = 1 + usize::from(len);
                return Ok(match len {
                    0 => {
                        *self = Self::default();
                        Step::Event(unit, FoundPart::End)
                    }
                    _ if input.len() < unit => Step::NeedInput,
                    _ => Step::Event(unit, FoundPart::Chunk),
                });
            }
            Some(0) => {
                self.left = None;
                return Ok(Step::Event(0, FoundPart::End));
            }
            Some(_) if input.is_empty() => return Ok(Step::NeedInput),
            Some(left) => {
                let n = left.min(input.len());
                self.left = Some(left - n);
                return Ok(Step::Event(n, FoundPart::Body));
            }
            None => {}
        }
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return Ok(Step::NeedInput) };
        let length = std::str::from_utf8(&input[..end]).ok().and_then(|line| line.split_once(' '));
        let length = length.and_then(|(_, n)| {
            (self.chunked, self.rest) = (n == "chunked", n == "rest");
            match n {
                "chunked" => Some(0),
                "rest" => Some(usize::MAX),
                n => n.parse().ok(),
            }
        });
        self.left = Some(length.ok_or(Error::new(Code::ProtocolViolation).on_wire(400))?);
        Ok(Step::Event(end + 1, FoundPart::Head))
    }

    fn view(found: FoundPart, unit: &[u8]) -> Result<Part<'_>> {
        Ok(match found {
            FoundPart::Head => {
                Part::Head(std::str::from_utf8(unit).map_err(|_| Code::InvalidText)?.trim_end())
            }
            FoundPart::Body => Part::Body(unit),
            FoundPart::Chunk => Part::Body(&unit[1..]),
            FoundPart::End => Part::End,
        })
    }

    fn encode<'m>(&mut self, message: &Self::Message<'m>, _: &mut Outbox<'_>) -> Result<&'m [u8]> {
        Ok(message)
    }
}

/// The shape of WebSocket: messages, pings that are answered, a goodbye. A unit is a kind, a length, and
/// that many bytes; a ping's bytes come back in its pong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chatty {
    /// Pings heard.
    pub pings: u32,
    /// Pongs heard.
    pub pongs: u32,
    /// Pings sent by silence.
    pub kept_alive: u32,
    /// The code in the peer's goodbye; zero for one without trouble.
    pub goodbye: Option<u8>,
}

/// What is said through [`Chatty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk<'a> {
    /// A message, of at most 255 bytes.
    Say(&'a [u8]),
    /// A ping, which the other side answers by itself. It is no event there.
    Ping(&'a [u8]),
}

impl Chatty {
    /// Most bytes a ping brings along.
    pub const PING_MAX: usize = 30;
}

impl Codec for Chatty {
    type Found = ();
    type Event<'a> = &'a [u8];
    type Message<'a> = Talk<'a>;
    const REPLY_MAX: usize = 2 + Self::PING_MAX;

    fn decode(&mut self, input: &mut [u8], out: &mut Outbox<'_>) -> Result<Step<()>> {
        let [kind, len, rest @ ..] = &*input else { return Ok(Step::NeedInput) };
        let len = usize::from(*len);
        let Some(body) = rest.get(..len) else { return Ok(Step::NeedInput) };
        match kind {
            b'm' => return Ok(Step::Event(2 + len, ())),
            b'?' if len <= Self::PING_MAX => {
                out.put(&[b'!', len as u8])?;
                out.put(body)?;
                self.pings += 1;
            }
            b'!' => self.pongs += 1,
            b'.' => {
                self.goodbye = Some(body.first().copied().unwrap_or(0));
                return Ok(Step::Goodbye(2 + len));
            }
            _ => return Err(Code::ProtocolViolation.into()),
        }
        Ok(Step::Quiet(2 + len))
    }

    fn view((): (), unit: &[u8]) -> Result<&[u8]> {
        Ok(&unit[2..])
    }

    fn encode<'m>(&mut self, message: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        let (kind, body) = match message {
            Talk::Say(body) => (b'm', body),
            Talk::Ping(body) => (b'?', body),
        };
        let len = u8::try_from(body.len()).map_err(|_| Code::MessageTooLarge)?;
        out.put(&[kind, len])?;
        Ok(body)
    }

    fn close(&mut self, why: CloseReason, out: &mut Outbox<'_>) {
        let code = why.error().map_or(0, |error| (-600 - error.number()) as u8);
        out.put(&[b'.', 1, code]).expect("REPLY_MAX bytes of room");
    }

    fn keeps_alive(&self) -> bool {
        true
    }

    fn keep_alive(&mut self, _: Instant, out: &mut Outbox<'_>) {
        self.kept_alive += 1;
        out.put(b"?\0").expect("REPLY_MAX bytes of room");
    }
}
