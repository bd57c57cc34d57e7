//! A connection's frames, as bytes arrive and leave: the codec.
//!
//! Events are *pieces*: a message that came whole in one frame is one piece, where it lies; of a longer frame, or of a
//! message in several, each piece is told as it comes. [`Socket`](super::Socket) puts them together.

use core::fmt;

use netloom_core::{CloseReason, Code, Codec, Error, Fault, Instant, Limits, Outbox, Result, Step};

use super::close;
use super::header::{
    self, BINARY, CLOSE, CONTINUATION, CONTROL_FRAME_MAX, CONTROL_MAX, FIN, HEADER_MAX, Header, PING, PONG,
    RSV1, TEXT, violation,
};
use super::mask::{mask, rotated};
use super::utf8::Utf8;

/// Who we are: a server's frames are not masked, a client's are (RFC 6455, 5.1).
pub trait Role {
    /// Whether what comes is masked.
    const MASKED: bool;
    /// The key for the next frame, if what we say is masked.
    fn key(&mut self) -> Option<[u8; 4]>;
}

/// The server's [`Role`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Server;

impl Role for Server {
    const MASKED: bool = true;

    fn key(&mut self) -> Option<[u8; 4]> {
        None
    }
}

/// The client's [`Role`], with the source of its masking keys. They must be such that nobody can tell the next one
/// (RFC 6455, 10.3), or a page could have a proxy take what it sends for requests.
#[derive(Clone, Copy, Debug)]
pub struct Client<K>(pub K);

impl<K: FnMut() -> [u8; 4]> Role for Client<K> {
    const MASKED: bool = false;

    fn key(&mut self) -> Option<[u8; 4]> {
        Some((self.0)())
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// WebSocket frames (RFC 6455, 5) as a codec.
///
/// It unmasks in place, checks text as it comes, refuses a message that is too long at the header of the frame that
/// makes it so, and says close codes. Pings are events, to be answered by [`Frame::Pong`]; [`Socket`](super::Socket)
/// does that, and puts messages together.
///
/// ```
/// use netloom_core::{Codec, Outbox, Step};
/// use netloom_protocols::websocket::{Event, Frames, Server};
///
/// let mut frames = Frames::new(Server);
/// let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // RFC 6455, 5.7
/// let step = frames.decode(&mut input, &mut Outbox::new(&mut [], &mut 0))?;
/// let Step::Event(11, found) = step else { panic!() };
/// let Event::Piece(piece) = Frames::<Server>::view(found, &input)? else { panic!() };
/// assert_eq!((piece.bytes, piece.first, piece.last), (&b"Hello"[..], true, true));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Frames<R> {
    /// Bytes of the present data frame's payload that are still to come.
    left: u32,
    /// Bytes of the present message before that frame.
    gathered: u32,
    /// Most bytes of a message.
    max: u32,
    /// A server's: what the next byte is masked with first. A client's: most bytes of payload of a frame, which it has
    /// to copy to mask it.
    key_or_max: [u8; 4],
    utf8: Utf8,
    flags: Flags,
    /// What the peer closed with; 0 if it has not.
    closed_with: u16,
    /// What the ping says that is not answered yet: the low 32 bits of the microseconds at which it was sent; 0 if
    /// none is.
    pinged_at: u32,
    role: R,
}

/// What is under way.
#[derive(Clone, Copy, Debug)]
struct Flags(u16);

impl Flags {
    /// A message was begun and is not over.
    const MESSAGE: u16 = 1;
    /// It is text.
    const IS_TEXT: u16 = 2;
    /// It is compressed.
    const COMPRESSED: u16 = 4;
    /// The present frame is its last.
    const IS_LAST: u16 = 8;
    /// A piece of it was told.
    const TOLD: u16 = 16;
    /// Messages may be compressed.
    const DEFLATE: u16 = 32;
    /// Messages are told piece by piece, of any length.
    const UNBOUNDED: u16 = 64;
    /// We have begun a message in fragments.
    const SENDING: u16 = 128;
    /// We have said Close.
    const CLOSED: u16 = 256;

    const fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    fn set(&mut self, flag: u16, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }
}

/// Where a frame, or a piece of one, lies, and what it is. One number, which goes through a register from who finds it to
/// who reads it; of a struct the parts are written one by one and read together, and a processor waits for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(u64);

/// What [`Frames`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message, or a piece of one.
    Piece(Piece<'a>),
    /// To be answered by [`Frame::Pong`] with the same bytes.
    Ping(&'a [u8]),
    /// Answers a ping of the application, or none.
    Pong(&'a [u8]),
}

/// A message, or a piece of one as it came. What is `first` and `last` is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What the message is. Text is checked, but for a piece that is all of it; it may be cut within a character.
    pub kind: Kind,
    /// Whether the message is compressed.
    pub compressed: bool,
    /// Nothing of the message was before.
    pub first: bool,
    /// Nothing of the message follows.
    pub last: bool,
    /// The bytes, unmasked.
    pub bytes: &'a [u8],
}

/// What is said through [`Frames`].
#[derive(Clone, Copy)]
pub enum Frame<'a> {
    /// A message or a fragment of one.
    Data {
        /// What the message is.
        kind: Kind,
        /// It begins here; if not, it was begun by the last frame of data.
        first: bool,
        /// It ends here.
        last: bool,
        /// The message is compressed, as the handshake has agreed. Of fragments the first one says so.
        compressed: bool,
        /// The bytes.
        payload: &'a [u8],
    },
    /// Up to 125 bytes that the peer sends back.
    Ping(&'a [u8]),
    /// Up to 125 bytes, those of a ping.
    Pong(&'a [u8]),
    /// A close code that may be sent (RFC 6455, 7.4), or 1005 for none, and up to 123 bytes of reason. Nothing may be sent
    /// behind it.
    Close(u16, &'a str),
    /// Frames that were encoded before, once for many receivers, and how many messages they are. Servers only, whose
    /// frames are not masked.
    Encoded(&'a [u8], u32),
}

impl<'a> Frame<'a> {
    /// A whole message.
    pub const fn message(kind: Kind, payload: &'a [u8]) -> Self {
        Self::Data { kind, first: true, last: true, compressed: false, payload }
    }

    /// How many it counts as in a session's statistics: a control frame and a fragment as one, too.
    pub(crate) const fn messages(&self) -> u32 {
        match self {
            Self::Encoded(_, messages) => *messages,
            _ => 1,
        }
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { kind, last, payload, .. } => {
                write!(f, "{kind:?}({} bytes{})", payload.len(), if *last { "" } else { ", more follows" })
            }
            Self::Ping(payload) => write!(f, "Ping({} bytes)", payload.len()),
            Self::Pong(payload) => write!(f, "Pong({} bytes)", payload.len()),
            Self::Close(code, _) => write!(f, "Close({code})"),
            Self::Encoded(frames, _) => write!(f, "Encoded({} bytes)", frames.len()),
        }
    }
}

impl<R> Frames<R> {
    /// Of that role, without limits of its own.
    pub const fn new(role: R) -> Self {
        Self {
            left: 0,
            gathered: 0,
            max: u32::MAX,
            key_or_max: [0xff; 4],
            utf8: Utf8::NEW,
            flags: Flags(0),
            closed_with: 0,
            pinged_at: 0,
            role,
        }
    }

    /// Whether messages may be compressed (RFC 7692), as the handshake has agreed.
    pub fn may_deflate(&mut self, deflate: bool) {
        self.flags.set(Flags::DEFLATE, deflate);
    }

    /// Messages may be of any length, because they are taken piece by piece.
    pub fn unbounded(&mut self) {
        self.flags.set(Flags::UNBOUNDED, true);
    }

    /// What the peer has closed with; 1005 if it gave no code. `None` while it has not.
    pub fn closed_with(&self) -> Option<u16> {
        Some(self.closed_with).filter(|code| *code != 0)
    }

    /// Takes messages of at most that many bytes.
    pub(crate) const fn message_max(mut self, bytes: u32) -> Self {
        self.max = bytes;
        self
    }

    /// Most bytes of one message.
    pub(super) const fn limit_of_messages(&self) -> usize {
        self.max as usize
    }

    /// Whether a message was begun and is not over.
    pub(crate) fn is_midway(&self) -> bool {
        self.left > 0 || self.flags.has(Flags::MESSAGE)
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.is_midway() && !self.flags.has(Flags::UNBOUNDED)
    }
}

impl<R: Role> Frames<R> {
    /// Most bytes of a message that a session with these limits takes.
    pub(crate) fn most(limits: Limits) -> u32 {
        // Behind all of a message but its end there must be room for a control frame.
        let fits = limits.message.min(limits.unit.saturating_sub(HEADER_MAX + CONTROL_FRAME_MAX));
        u32::try_from(fits).unwrap_or(u32::MAX)
    }

    /// Most bytes of payload of one frame of ours.
    pub(super) fn payload_max(&self) -> usize {
        if R::MASKED { usize::MAX } else { u32::from_ne_bytes(self.key_or_max) as usize }
    }

    /// The next frame, or what there is of it.
    #[inline]
    pub(crate) fn next(&mut self, input: &mut [u8]) -> Result<Step<Found>> {
        if self.left > 0 && !input.is_empty() {
            return self.piece(input, 0);
        }
        let rsv1 = self.flags.has(Flags::DEFLATE) && !self.flags.has(Flags::MESSAGE);
        let Some(header) = Header::parse(input, R::MASKED, rsv1)? else { return Ok(Step::NeedInput) };
        if cfg!(target_pointer_width = "64")
            && let Some(step) = self.whole(&header, input)
        {
            return Ok(step);
        }
        if header.is_control() {
            return self.control(&header, input);
        }
        self.begin(&header)?;
        if self.left > 0 && header.size == input.len() {
            return Ok(Step::Quiet(header.size));
        }
        self.piece(input, header.size)
    }

    /// A message in one frame that is all here: the short way, on which there is nothing to remember.
    #[inline]
    fn whole(&mut self, header: &Header, input: &mut [u8]) -> Option<Step<Found>> {
        const TEXT_MESSAGE: u8 = FIN | TEXT;
        const BINARY_MESSAGE: u8 = FIN | BINARY;
        let kind = match header.first & !RSV1 {
            TEXT_MESSAGE => Kind::Text,
            BINARY_MESSAGE => Kind::Binary,
            _ => return None,
        };
        if self.flags.has(Flags::MESSAGE) || header.len > u64::from(self.max) {
            return None; // what is wrong is said elsewhere
        }
        let end = header.size + header.len as usize; // `max` has 32 bits
        let payload = input.get_mut(header.size..end)?;
        if R::MASKED {
            mask(payload, header.key);
        }
        let what = What::piece(kind, header.first & RSV1 != 0, true, true);
        Some(Step::Event(end, Found::new(what, header.size, end)))
    }

    /// A frame of data begins.
    #[inline]
    fn begin(&mut self, header: &Header) -> Result<()> {
        let opcode = header.opcode();
        // RFC 6455, 5.4: messages are not interleaved, and none is continued that was not begun.
        if (opcode == CONTINUATION) != self.flags.has(Flags::MESSAGE)
            || header.first & RSV1 != 0 && opcode == CONTINUATION
        {
            return Err(violation());
        }
        let unbounded = self.flags.has(Flags::UNBOUNDED);
        let (before, max) = if unbounded { (0, u32::MAX) } else { (self.gathered, self.max) };
        if header.len > u64::from(max - before) {
            return Err(Error::new(Code::MessageTooLarge).on_wire(1009));
        }
        // It fits: `max` does.
        self.left = header.len as u32;
        self.gathered = before + self.left;
        if R::MASKED {
            self.key_or_max = header.key;
        }
        if opcode != CONTINUATION {
            self.flags.set(Flags::MESSAGE, true);
            self.flags.set(Flags::IS_TEXT, opcode == TEXT);
            self.flags.set(Flags::COMPRESSED, header.first & RSV1 != 0);
        }
        self.flags.set(Flags::IS_LAST, header.first & FIN != 0);
        Ok(())
    }

    /// What there is of the present frame's payload, behind `start`.
    #[inline]
    fn piece(&mut self, input: &mut [u8], start: usize) -> Result<Step<Found>> {
        // A frame of a stream may be longer than a place is on 32 bits.
        let end = input.len().min(start.saturating_add(self.left as usize));
        let payload = &mut input[start..end];
        if R::MASKED {
            mask(payload, self.key_or_max);
            self.key_or_max = rotated(self.key_or_max, payload.len());
        }
        self.left -= payload.len() as u32;
        let last = self.left == 0 && self.flags.has(Flags::IS_LAST);
        let (first, compressed) = (!self.flags.has(Flags::TOLD), self.flags.has(Flags::COMPRESSED));
        let kind = if self.flags.has(Flags::IS_TEXT) { Kind::Text } else { Kind::Binary };
        if kind == Kind::Text && !compressed && !(first && last) {
            self.utf8.check(payload, last)?;
        }
        match last {
            false => self.flags.set(Flags::TOLD, true),
            true => {
                self.gathered = 0;
                self.flags.set(Flags::MESSAGE | Flags::TOLD, false);
            }
        }
        Ok(Step::Event(end, Found::new(What::piece(kind, compressed, first, last), start, end)))
    }

    /// A control frame, which is told whole.
    fn control(&mut self, header: &Header, input: &mut [u8]) -> Result<Step<Found>> {
        let (start, end) = (header.size, header.size + header.len as usize);
        let Some(payload) = input.get_mut(start..end) else { return Ok(Step::NeedInput) };
        if R::MASKED {
            mask(payload, header.key);
        }
        let found = |what| Step::Event(end, Found::new(what, start, end));
        match header.opcode() {
            PING => Ok(found(What::PING)),
            PONG if *payload == self.pinged_at.to_be_bytes() && self.pinged_at != 0 => {
                Ok(Step::Alive(end, core::mem::take(&mut self.pinged_at)))
            }
            PONG => Ok(found(What::PONG)),
            _ => {
                self.closed_with = closing(payload)?;
                Ok(Step::Goodbye(end))
            }
        }
    }

    pub(crate) fn encode<'m>(&mut self, frame: &Frame<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        if self.flags.has(Flags::CLOSED) {
            return Err(Code::ConnectionClosed.into());
        }
        match *frame {
            Frame::Data { kind, first, last, compressed, payload } => {
                if first == self.flags.has(Flags::SENDING) {
                    return Err(Code::InvalidSession.into());
                }
                let opcode = match (first, kind) {
                    (false, _) => CONTINUATION,
                    (true, Kind::Text) => TEXT,
                    (true, Kind::Binary) => BINARY,
                };
                let bits = if last { FIN } else { 0 } | if compressed && first { RSV1 } else { 0 };
                self.put(bits | opcode, payload, out)
            }
            Frame::Ping(payload) => self.put_control(PING, &[], payload, out),
            Frame::Pong(payload) => self.put_control(PONG, &[], payload, out),
            Frame::Close(close::NONE, _) => self.put_control(CLOSE, &[], &[], out),
            // RFC 6455, 7.4.1: what tells of a connection is not said on one.
            Frame::Close(code, _) if !close::may_be_sent(code) => Err(Code::Unsupported.into()),
            Frame::Close(code, reason) => {
                self.put_control(CLOSE, &code.to_be_bytes(), reason.as_bytes(), out)
            }
            Frame::Encoded(..) if !R::MASKED => Err(Code::Unsupported.into()),
            // RFC 6455, 5.4: no other message comes between the fragments of one.
            Frame::Encoded(..) if self.flags.has(Flags::SENDING) => Err(Code::InvalidSession.into()),
            Frame::Encoded(frames, _) => Ok(frames),
        }
    }

    pub(crate) fn accepted(&mut self, frame: &Frame<'_>) {
        match *frame {
            Frame::Data { last, .. } => self.flags.set(Flags::SENDING, !last),
            Frame::Close(..) => self.flags.set(Flags::CLOSED, true),
            _ => {}
        }
    }

    #[inline]
    fn put<'m>(&mut self, first: u8, payload: &'m [u8], out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        let key = self.role.key();
        header::put(first, payload.len(), key, out)?;
        let Some(key) = key else { return Ok(payload) };
        let room = out.take(payload.len())?;
        room.copy_from_slice(payload);
        mask(room, key);
        Ok(&[])
    }

    fn put_control<'m>(
        &mut self,
        opcode: u8,
        front: &[u8],
        payload: &[u8],
        out: &mut Outbox<'_>,
    ) -> Result<&'m [u8]> {
        let len = front.len() + payload.len();
        if len > CONTROL_MAX {
            return Err(Error::new(Code::MessageTooLarge).blame(Fault::Local));
        }
        let key = self.role.key();
        header::put(FIN | opcode, len, key, out)?;
        let room = out.take(len)?;
        let (to, rest) = room.split_at_mut(front.len());
        to.copy_from_slice(front);
        rest.copy_from_slice(payload);
        if let Some(key) = key {
            mask(room, key);
        }
        Ok(&[])
    }

    /// Says Close, unless it was said: with what the peer has closed with, or what names the reason.
    pub(crate) fn close(&mut self, why: CloseReason, out: &mut Outbox<'_>) {
        let code = self.closed_with().unwrap_or_else(|| close::code_for(why));
        // A stream that ended in the middle of a frame of ours has no place for another; GOODBYE_MAX is room for it.
        let _ = self.encode(&Frame::Close(code, ""), out);
        self.flags.set(Flags::CLOSED, true);
    }

    /// A ping with the time as its payload.
    pub(crate) fn keep_alive(&mut self, now: Instant, out: &mut Outbox<'_>) {
        let micros = (now.as_micros() as u32).max(1);
        if self.encode(&Frame::Ping(&micros.to_be_bytes()), out).is_ok() {
            self.pinged_at = micros;
        }
    }
}

/// Writes a whole message as a server's frame, once for many receivers: see [`Frame::Encoded`].
///
/// # Errors
/// [`Code::BufferFull`].
pub fn encode(kind: Kind, payload: &[u8], out: &mut Outbox<'_>) -> Result<()> {
    let rest = Frames::new(Server).encode(&Frame::message(kind, payload), out)?;
    out.put(rest)
}

/// What the peer closes with (RFC 6455, 5.5.1).
fn closing(payload: &[u8]) -> Result<u16> {
    match payload {
        [] => Ok(close::NONE),
        [a, b, reason @ ..] => {
            let code = u16::from_be_bytes([*a, *b]);
            if !close::may_be_sent(code) {
                return Err(violation());
            }
            core::str::from_utf8(reason).map_err(|_| super::utf8::invalid())?;
            Ok(code)
        }
        _ => Err(violation()),
    }
}

/// What was found, and of a piece where in its message it lies: these bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct What(u8);

impl What {
    const PING: Self = Self(1);
    const PONG: Self = Self(2);
    const TEXT: u8 = 4;
    const COMPRESSED: u8 = 8;
    const FIRST: u8 = 16;
    const LAST: u8 = 32;

    #[inline]
    const fn piece(kind: Kind, compressed: bool, first: bool, last: bool) -> Self {
        let text = if matches!(kind, Kind::Text) { Self::TEXT } else { 0 };
        let compressed = if compressed { Self::COMPRESSED } else { 0 };
        let first = if first { Self::FIRST } else { 0 };
        Self(text | compressed | first | if last { Self::LAST } else { 0 })
    }
}

impl Found {
    /// From `start`, which is no further in than a header is long, to `end`, which has 32 bits as a queue's places do.
    #[inline]
    const fn new(what: What, start: usize, end: usize) -> Self {
        Self(end as u32 as u64 | (start as u8 as u64) << 32 | (what.0 as u64) << 40)
    }

    #[inline]
    pub(super) const fn start(self) -> usize {
        (self.0 >> 32) as u8 as usize
    }

    #[inline]
    pub(super) const fn end(self) -> usize {
        self.0 as u32 as usize
    }

    /// The event that was found in `unit`.
    #[inline]
    pub(crate) fn view(self, unit: &[u8]) -> Event<'_> {
        let bytes = unit.get(self.start()..self.end()).unwrap_or_default();
        let what = What((self.0 >> 40) as u8);
        let has = |bit: u8| what.0 & bit != 0;
        match what {
            What::PING => Event::Ping(bytes),
            What::PONG => Event::Pong(bytes),
            _ => Event::Piece(Piece {
                kind: if has(What::TEXT) { Kind::Text } else { Kind::Binary },
                compressed: has(What::COMPRESSED),
                first: has(What::FIRST),
                last: has(What::LAST),
                bytes,
            }),
        }
    }
}

impl<R: Role> Codec for Frames<R> {
    type Found = Found;
    type Event<'a> = Event<'a>;
    type Message<'a> = Frame<'a>;
    /// A ping of ours, masked.
    const GOODBYE_MAX: usize = 14;

    fn limit(&mut self, limits: Limits) {
        self.max = Self::most(limits);
        if !R::MASKED {
            let fits = limits.queue.saturating_sub(HEADER_MAX);
            self.key_or_max = u32::try_from(fits).unwrap_or(u32::MAX).to_ne_bytes();
        }
    }

    #[inline]
    fn decode(&mut self, input: &mut [u8], _: &mut Outbox<'_>) -> Result<Step<Found>> {
        self.next(input)
    }

    #[inline]
    fn view(found: Found, unit: &[u8]) -> Result<Event<'_>> {
        Ok(found.view(unit))
    }

    #[inline]
    fn encode<'m>(&mut self, frame: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        self.encode(frame, out)
    }

    #[inline]
    fn accepted(&mut self, frame: &Frame<'_>) {
        self.accepted(frame);
    }

    fn messages(frame: &Frame<'_>) -> u32 {
        frame.messages()
    }

    fn under_way(&self) -> bool {
        self.is_midway()
    }

    fn goes_on(&self) -> bool {
        self.goes_on()
    }

    fn close(&mut self, why: CloseReason, out: &mut Outbox<'_>) {
        self.close(why, out);
    }

    fn keeps_alive(&self) -> bool {
        !self.flags.has(Flags::CLOSED)
    }

    fn keep_alive(&mut self, now: Instant, out: &mut Outbox<'_>) {
        self.keep_alive(now, out);
    }
}

#[cfg(test)]
mod tests;
