//! What a protocol is: one connection's state machine, without I/O.

use crate::buffer::Outbox;
use crate::error::Result;
use crate::session::CloseReason;
use crate::time::Instant;

/// Bytes to events, messages to bytes. No I/O, no clock, no allocation.
///
/// A [`Session`](crate::Session) calls it in this order: [`limit`](Self::limit) once;
/// [`decode`](Self::decode) whenever there may be something in the received bytes, and
/// [`view`](Self::view) after each event; [`encode`](Self::encode) for each message sent,
/// and once more if there was no room, then [`accepted`](Self::accepted);
/// [`finished`](Self::finished) if the peer ends its stream inside a message;
/// [`keep_alive`](Self::keep_alive) in silence; [`close`](Self::close) once.
///
/// Events are found as offsets ([`Found`](Self::Found)) and only then viewed, so that a session can go on
/// decoding in a loop without borrowing what it has not yet handed out.
pub trait Codec {
    /// Where an event lies in its unit: offsets and flags, no borrows. Small.
    type Found: Copy;
    /// What the application is told: a view of the received bytes.
    type Event<'a>;
    /// What the application says. Lent to `encode` and `accepted`, which may be asked again; `Copy`, because who sends on may
    /// send it to several.
    type Message<'a>: Copy;
    /// The most bytes one call of `decode` writes. A session always has that room.
    const REPLY_MAX: usize = 0;
    /// The most bytes one call of `keep_alive` or `close` writes.
    const GOODBYE_MAX: usize = Self::REPLY_MAX;

    /// What this session can take, told before anything else. A codec whose units say how long they are
    /// must refuse a longer one as soon as it knows, with
    /// [`Code::MessageTooLarge`](crate::Code::MessageTooLarge).
    fn limit(&mut self, limits: Limits) {
        let _ = limits;
    }

    /// Interprets a prefix of `input`, in place if it likes; automatic replies go to `out`.
    ///
    /// Called without input only while a message is [`under_way`](Self::under_way). Each step makes progress: it consumes bytes, or asks for more.
    /// (Two events of no bytes after each other are a codec's bug and panic.)
    ///
    /// # Errors
    /// The peer's fault, or [`Code::BufferFull`](crate::Code::BufferFull) if `out` has no room: the session
    /// then makes some and asks again. Any other error ends the session, after a goodbye by `close`.
    fn decode(&mut self, input: &mut [u8], out: &mut Outbox<'_>) -> Result<Step<Self::Found>>;

    /// The event that was `found` in `unit`, the bytes its step consumes.
    ///
    /// # Errors
    /// As for `decode`, for faults that are cheaper to find here.
    fn view(found: Self::Found, unit: &[u8]) -> Result<Self::Event<'_>>;

    /// Writes the head of `message`, or all of it, to `out`, and returns the bytes that follow verbatim.
    ///
    /// # Errors
    /// [`Code::BufferFull`](crate::Code::BufferFull) if there is no room: the session undoes what was
    /// written, makes room and asks again. Any other error is the application's and leaves the session open.
    fn encode<'m>(&mut self, message: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]>;

    /// The message last encoded is on its way. Only here may a codec take note of what it has said: `encode` may be
    /// undone and asked again.
    fn accepted(&mut self, message: &Self::Message<'_>) {
        let _ = message;
    }

    /// How many messages this is for [`Stats`](crate::Stats): more than one if it was put together from several.
    fn messages(message: &Self::Message<'_>) -> u32 {
        let _ = message;
        1
    }

    /// Whether a message is under way although all its bytes so far were dealt with: a body between two
    /// pieces, or before its end is said. Such a session is not idle, and the stream must not end there.
    fn under_way(&self) -> bool {
        false
    }

    /// The peer has ended its stream while a message is [`under_way`](Self::under_way), and all that came is dealt
    /// with: is that the message's end? Then `decode` is asked once more, without input, and tells so; if not, the
    /// session fails. For a body that lasts until the connection ends (RFC 9112, 6.3). Says yes once a message.
    fn finished(&mut self) -> bool {
        false
    }

    /// Whether the message that the last event was a part of goes on, and its time with it: the session's
    /// [`message`](crate::Timeouts::message) time-out is then counted from the message's first byte, not from the
    /// event.
    fn goes_on(&self) -> bool {
        false
    }

    /// Says goodbye, and why. By default there is none and the stream just ends.
    fn close(&mut self, why: CloseReason, out: &mut Outbox<'_>) {
        let _ = (why, out);
    }

    /// Whether `keep_alive` has something to say now; if not, silence is not interrupted.
    fn keeps_alive(&self) -> bool {
        false
    }

    /// Something that a living peer answers, or that tells it that we live. The answer is a [`Step::Alive`].
    fn keep_alive(&mut self, now: Instant, out: &mut Outbox<'_>) {
        let _ = (now, out);
    }
}

/// What came of one [`Codec::decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<F> {
    /// Nothing can be done before more bytes arrive.
    NeedInput,
    /// That many bytes are dealt with; the application need not know.
    Quiet(usize),
    /// The peer's answer, in that many bytes, to what [`Codec::keep_alive`] said at that moment: the low 32 bits of its
    /// microseconds.
    Alive(usize, u32),
    /// An event in that many bytes.
    Event(usize, F),
    /// The peer said goodbye, in that many bytes.
    Goodbye(usize),
}

impl<F> Step<F> {
    /// The same step for a codec that finds more than one kind of thing.
    #[inline]
    pub fn map<T>(self, found: impl FnOnce(F) -> T) -> Step<T> {
        match self {
            Self::NeedInput => Step::NeedInput,
            Self::Quiet(n) => Step::Quiet(n),
            Self::Alive(n, since) => Step::Alive(n, since),
            Self::Event(n, event) => Step::Event(n, found(event)),
            Self::Goodbye(n) => Step::Goodbye(n),
        }
    }
}

/// The largest things a session can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one received message, without its framing: [`Options::message_max`](crate::Options).
    pub message: usize,
    /// Bytes of one unit as received, framing and all: the size of the receive queue.
    pub unit: usize,
    /// Bytes of the send queue: what a codec must copy to send has to fit it.
    pub queue: usize,
}
