//! A WebSocket as applications see it: whole messages, pings answered.

use core::future::{Future, poll_fn};
use core::ops::Deref;
use core::pin::pin;
use core::task::{Context, Poll, ready};

use netloom_core::hub::{Hub, Member, Shared};
use netloom_core::{Code, Duration, Error, Fault, Instant, Result, Stats};

use super::carrier::{Carrier, Parts, Speaker, Upgraded};
use super::close;
use super::compression::Deflate;
use super::frames::{Event, Found, Frame, Kind, Piece, encode};
use super::header::{HEADER_MAX, Header};
use super::utf8::invalid;

/// Most bytes of messages of a hub that are queued or written at once.
const BATCH_MAX: usize = 32 * 1024;

/// A server's WebSocket: what [`accept`](super::accept) makes of a request.
pub type WebSocket<'a> = Socket<Upgraded<'a>>;

/// A WebSocket, of a server or of a client.
///
/// | to | call |
/// |---|---|
/// | wait for a message | [`receive`](Self::receive) |
/// | speak | the [`Peer`] that `receive` lends, or [`send`](Self::send), [`peer`](Self::peer) |
/// | take messages of any length as they come | [`fragments`](Self::fragments) |
///
/// Pings are answered while `receive` waits, and sent in silence
/// ([`Timeouts::keep_alive`](netloom_core::Timeouts::keep_alive)). Every method may be dropped at any await, and nothing
/// is lost but a message that does not fit the send queue.
#[derive(Debug)]
pub struct Socket<C> {
    carrier: C,
    /// The message that is kept, if one is being put together.
    kept: Kept,
    /// Where in its frame a ping's payload lies that is not answered yet.
    ping: Option<(u8, u8)>,
    protocol: Option<&'static str>,
}

/// What is kept of a message that comes in pieces.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Nothing,
    /// Its first pieces; `skip` bytes of header lie before them.
    Pieces {
        skip: u16,
    },
    /// All of it, or one that was inflated; it was handed out.
    Lent,
}

/// A message, which text and bytes become by themselves where they are sent.
///
/// ```
/// use netloom_protocols::websocket::Message;
///
/// assert_eq!(Message::from("hello"), Message::Text("hello"));
/// assert_eq!(Message::from(&format!("{} °C", 21)), Message::Text("21 °C"));
/// assert_eq!(Message::from(&vec![21]), Message::Binary(&[21]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The bytes of either.
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// What it is.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// What owns text or bytes: `&String`, `&Vec<u8>`. (An array is sent as a slice: `&bytes[..]`.)
impl<'a, T: Deref<Target: Payload>> From<&'a T> for Message<'a> {
    fn from(owner: &'a T) -> Self {
        owner.message()
    }
}

/// `str` and `[u8]`.
pub trait Payload {
    /// A message of it.
    fn message(&self) -> Message<'_>;
}

impl Payload for str {
    fn message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl Payload for [u8] {
    fn message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

/// Where a whole message lies.
struct Whole {
    kind: Kind,
    compressed: bool,
    /// In the unit; otherwise behind so many bytes of what is held.
    unit: Option<Found>,
    skip: u16,
}

/// The sending half of a [`Socket`], lent beside a message.
pub struct Peer<'a, S, D: ?Sized = dyn Deflate + 'a> {
    speaker: S,
    deflate: Option<&'a mut D>,
}

/// A message that is being sent.
struct Sending<'m> {
    payload: &'m [u8],
    kind: Kind,
    /// It could not be queued at once: `left` bytes of what is sent of it have not left.
    begun: bool,
    left: usize,
    /// They go out from where they lie, behind what is queued. Then they are in one frame.
    direct: bool,
    compressed: bool,
}

/// The [`Peer`] that a [`Socket`] on `C` lends.
pub type PeerOf<'a, C> = Peer<'a, <C as Carrier>::Speaker<'a>, <C as Carrier>::Deflate<'a>>;

impl<C: Carrier> Socket<C> {
    /// On a session whose handshake is done. `protocol` is the subprotocol that was agreed on.
    pub const fn new(carrier: C, protocol: Option<&'static str>) -> Self {
        Self { carrier, kept: Kept::Nothing, ping: None, protocol }
    }

    /// The subprotocol that was agreed on.
    pub const fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    /// The next message, with the means to answer it. `None` once the connection has ended in order;
    /// [`closed_with`](Self::closed_with) says how. Queued output leaves before this waits. Cancel-safe.
    ///
    /// # Errors
    /// What ended the session: the peer's fault (its close code is on the [wire](Error::wire)), a failed transport, a
    /// time-out. The peer was told by then, if it could be.
    #[expect(clippy::manual_async_fn, reason = "an async fn would keep its argument twice")]
    pub fn receive(&mut self) -> impl Future<Output = Result<Option<(Message<'_>, PeerOf<'_, C>)>>> {
        async move {
            let whole = match self.whole_already() {
                Some(whole) => whole,
                None => match poll_fn(|cx| self.poll_whole(cx)).await? {
                    Some(whole) => whole,
                    None => return Ok(None),
                },
            };
            let Parts { held, unit, speaker, inflate, deflate } = self.carrier.parts();
            let mut bytes: &[u8] = match whole.unit {
                Some(found) => unit.get(found.start()..found.end()),
                None => held.get(whole.skip.into()..),
            }
            .unwrap_or_default();
            if let (true, Some(inflate)) = (whole.compressed, inflate) {
                self.kept = Kept::Lent;
                if let Err(error) = inflate.inflate(bytes, speaker.message_max()) {
                    return Err(refuse(speaker, error).await);
                }
                bytes = inflate.inflated();
            }
            let message = match whole.kind {
                Kind::Binary => Message::Binary(bytes),
                Kind::Text => match core::str::from_utf8(bytes) {
                    Ok(text) => Message::Text(text),
                    Err(_) => return Err(refuse(speaker, invalid()).await),
                },
            };
            Ok(Some((message, Peer { speaker, deflate })))
        }
    }

    /// [`Peer::send`], outside a message.
    ///
    /// # Errors
    /// As for [`Peer::send`].
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        self.peer().send(message).await
    }

    /// The same connection, whose messages are taken piece by piece, of any length: before the first is received, or
    /// between two.
    pub fn fragments(mut self) -> Fragments<C> {
        self.peer().speaker.unbounded();
        Fragments(self)
    }

    /// The sending half, outside a message.
    pub fn peer(&mut self) -> PeerOf<'_, C> {
        let Parts { speaker, deflate, .. } = self.carrier.parts();
        Peer { speaker, deflate }
    }

    /// What the peer has closed with; 1005 if it gave no code (RFC 6455, 7.1.5). `None` while it has not; behind the end, if it
    /// ended the connection without a Close (1006 in other interfaces), or if it was not the peer that ended it.
    pub fn closed_with(&mut self) -> Option<u16> {
        self.carrier.parts().speaker.closed_with()
    }

    /// The carrier, to ask it about the connection.
    pub fn carrier(&mut self) -> &mut C {
        &mut self.carrier
    }

    /// Says Close with a code (1000 is for nothing special) and up to 123 bytes of reason, and waits until the peer has
    /// ended too or the closing time-out has passed. What it still says is thrown away. On a connection that ended in
    /// order it does nothing. Cancel-safe: the next call goes on.
    ///
    /// # Errors
    /// What ended the session, if it did not end in order; [`Code::Unsupported`] for a code that is not for sending, as
    /// 1006, and [`Code::MessageTooLarge`] for a longer reason.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<()> {
        match self.peer().close(code, reason).await {
            Err(error)
                if matches!(error.code(), Code::MessageTooLarge | Code::Unsupported)
                    && error.fault() == Fault::Local =>
            {
                return Err(error);
            }
            // What keeps it from being said is what the end is told by.
            _ => {}
        }
        while self.receive().await?.is_some() {}
        Ok(())
    }

    /// The next whole message if it is here: the short way.
    #[inline]
    fn whole_already(&mut self) -> Option<Whole> {
        self.give_up();
        while self.ping.is_none() {
            let found = self.carrier.found_already()?;
            if let Some(whole) = self.take(found).and_then(|piece| self.put_together(piece)) {
                return Some(whole);
            }
        }
        None
    }

    /// The next whole message. Polled, as all that waits here: a connection keeps the room of a future while it is idle.
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Whole>>> {
        while let Some(found) = ready!(self.poll_piece(cx))? {
            if let Some(whole) = self.put_together(found) {
                return Poll::Ready(Ok(Some(whole)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// The message handed out last was read.
    fn give_up(&mut self) {
        if let Kept::Lent = self.kept {
            self.kept = Kept::Nothing;
            self.carrier.let_go();
            if let Some(inflate) = self.carrier.parts().inflate {
                inflate.release();
            }
        }
    }

    /// Where the next piece lies. Pings before it are answered.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Found>>> {
        loop {
            if self.ping.is_some() {
                ready!(self.poll_answer(cx));
            }
            let Some(found) = ready!(self.carrier.poll_find(cx))? else { return Poll::Ready(Ok(None)) };
            if let Some(piece) = self.take(found) {
                return Poll::Ready(Ok(Some(piece)));
            }
        }
    }

    /// `found`, if it is a piece; a ping is to be answered.
    #[inline]
    fn take(&mut self, found: Found) -> Option<Found> {
        match found.view(&[]) {
            Event::Piece(_) => return Some(found),
            // A control frame is shorter than that (RFC 6455, 5.5).
            Event::Ping(_) => self.ping = Some((found.start() as u8, found.end() as u8)),
            Event::Pong(_) => {}
        }
        None
    }

    /// What `found` makes whole, if it does.
    #[inline]
    fn put_together(&mut self, found: Found) -> Option<Whole> {
        let Event::Piece(piece) = found.view(&[]) else { return None };
        let mut whole = Whole { kind: piece.kind, compressed: piece.compressed, unit: None, skip: 0 };
        if piece.first && piece.last {
            whole.unit = Some(found);
            return Some(whole);
        }
        let (start, end) = (found.start(), found.end());
        match self.kept {
            Kept::Pieces { skip } => {
                self.carrier.keep(start..end);
                whole.skip = skip;
            }
            // The header stays before the payload, which is moved by no byte.
            _ => {
                self.carrier.keep(0..end);
                whole.skip = start as u16; // a header has 14 bytes at most
                self.kept = Kept::Pieces { skip: whole.skip };
            }
        }
        piece.last.then(|| {
            self.kept = Kept::Lent;
            whole
        })
    }

    /// Answers a ping.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Parts { unit, mut speaker, .. } = self.carrier.parts();
        if let Some((start, end)) = self.ping {
            let payload = unit.get(start.into()..end.into()).unwrap_or_default();
            // RFC 6455, 5.5.2: not behind a Close, which is refused. What else may fail, the session tells next.
            let _ = ready!(speaker.poll_send(&Frame::Pong(payload), &mut None, cx));
        }
        self.ping = None;
        Poll::Ready(())
    }
}

/// A [`Socket`] whose messages may be longer than memory: what comes is told as it comes.
///
/// Compression must not have been agreed on ([`Accept::uncompressed`](super::Accept::uncompressed)).
#[derive(Debug)]
pub struct Fragments<C>(Socket<C>);

impl<C: Carrier> Fragments<C> {
    /// The next piece of a message, with the means to answer. `None` once the connection has ended in order.
    /// Cancel-safe.
    ///
    /// # Errors
    /// As for [`Socket::receive`]; [`Code::Unsupported`] (1003) for a compressed message.
    pub async fn receive(&mut self) -> Result<Option<(Piece<'_>, PeerOf<'_, C>)>> {
        let found = match self.0.ping {
            None => self.0.carrier.found_already().and_then(|found| self.0.take(found)),
            Some(_) => None,
        };
        let found = match found {
            Some(found) => found,
            None => match poll_fn(|cx| self.0.poll_piece(cx)).await? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let Parts { unit, speaker, deflate, .. } = self.0.carrier.parts();
        let Event::Piece(piece) = found.view(unit) else { return Ok(None) };
        if piece.compressed {
            let error = Error::new(Code::Unsupported).blame(Fault::Peer).on_wire(1003);
            return Err(refuse(speaker, error).await);
        }
        if piece.first && piece.last && piece.kind == Kind::Text && core::str::from_utf8(piece.bytes).is_err()
        {
            return Err(refuse(speaker, invalid()).await);
        }
        Ok(Some((piece, Peer { speaker, deflate })))
    }

    /// The sending half, outside a piece.
    pub fn peer(&mut self) -> PeerOf<'_, C> {
        self.0.peer()
    }

    /// [`Socket::closed_with`].
    pub fn closed_with(&mut self) -> Option<u16> {
        self.0.closed_with()
    }
}

impl<S: Speaker, D: Deflate + ?Sized> Peer<'_, S, D> {
    /// Queues a message; waits only while there is no room for it. What is queued leaves in one write when
    /// [`receive`](Socket::receive) next waits, when the queue is full, or on [`flush`](Self::flush). Cancel-safe, but
    /// for a message that does not fit the empty queue.
    ///
    /// # Errors
    /// What ended the session.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<()>> {
        // By hand: while a connection is idle it keeps the room that this takes.
        let message = message.into();
        let (payload, kind) = (message.as_bytes(), message.kind());
        let mut sending = Sending { payload, kind, begun: false, left: 0, direct: false, compressed: false };
        poll_fn(move |cx| match sending.begun || self.begin(&mut sending)? {
            true => self.poll_rest(&mut sending, cx),
            false => Poll::Ready(Ok(())),
        })
    }

    /// Queues a message if it is to be sent as it is and there is room for it. Whether it is still to be sent.
    fn begin(&mut self, sending: &mut Sending<'_>) -> Result<bool> {
        sending.compressed = match &mut self.deflate {
            Some(deflate) => deflate.deflate(sending.payload)?,
            None => false,
        };
        let frame = Frame::message(sending.kind, sending.payload);
        if !sending.compressed && self.speaker.queued_already(&frame) {
            return Ok(false);
        }
        (sending.begun, sending.left) = (true, sent_of(&self.deflate, sending).len());
        Ok(true)
    }

    /// Sends a message, in fragments if it has to be copied and does not fit the queue.
    fn poll_rest(&mut self, sending: &mut Sending<'_>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let (kind, compressed) = (sending.kind, sending.compressed);
        let max = self.speaker.payload_max().max(1);
        let payload = sent_of(&self.deflate, sending);
        loop {
            let left = payload.get(payload.len().saturating_sub(sending.left)..).unwrap_or_default();
            let (first, last) = (left.len() == payload.len(), left.len() <= max);
            let part = left.get(..max).unwrap_or(left);
            let mut rest = Some(left).filter(|_| sending.direct);
            let frame = Frame::Data { kind, first, last, compressed, payload: part };
            let sent = self.speaker.poll_send(&frame, &mut rest, cx);
            if let (Poll::Pending, Some(rest)) = (&sent, rest) {
                (sending.left, sending.direct) = (rest.len(), true);
            }
            ready!(sent)?;
            if last {
                break;
            }
            sending.left -= part.len();
        }
        if compressed && let Some(deflate) = self.deflate.as_deref_mut() {
            deflate.release();
        }
        Poll::Ready(Ok(()))
    }

    /// Queues frames that were encoded before, for servers that tell many the same: [`encode`](super::encode). They count
    /// as one message in the session's statistics.
    ///
    /// # Errors
    /// As for [`forward`](Self::forward).
    pub async fn send_encoded(&mut self, frames: &[u8]) -> Result<()> {
        send_frame(&mut self.speaker, Frame::Encoded(frames, 1)).await
    }

    /// Queues what a member of a [hub](netloom_core::hub) has not been told: frames, published by
    /// [`publish`](super::publish) or encoded otherwise, several in one write where the host's hub hands them out so. Each
    /// must fit the empty send queue.
    ///
    /// # Errors
    /// As for [`send`](Self::send); [`Code::InvalidSession`](netloom_core::Code) between fragments that were
    /// [begun](Self::send_fragment). A member that has missed some ends with 1013, try again later.
    pub async fn forward<L: Shared>(&mut self, member: &mut Member<'_, L>) -> Result<()> {
        let mut max = BATCH_MAX;
        poll_fn(|cx| {
            loop {
                let forwarded = member.poll_batches(max, |batch| {
                    let (mut rest, frames) = (None, Frame::Encoded(batch.bytes, batch.messages));
                    let sent = match self.speaker.poll_send(&frames, &mut rest, cx) {
                        // Half of it is out, and the rest cannot be kept.
                        Poll::Pending if rest.is_some() => {
                            Err(Error::new(Code::MessageTooLarge).blame(Fault::Local))
                        }
                        sent => ready!(sent),
                    };
                    Poll::Ready(sent.map_err(|error| (error, batch.messages)))
                });
                match ready!(forwarded) {
                    Ok(Ok(())) => return Poll::Ready(Ok(())),
                    // Too many at once for this queue.
                    Ok(Err((error, 2..))) if error == Code::MessageTooLarge => max = 0,
                    Ok(Err((error, _))) => return Poll::Ready(Err(error)),
                    Err(lagged) => {
                        self.speaker.end(Some(lagged.into()));
                        return Poll::Ready(Err(lagged.into()));
                    }
                }
            }
        })
        .await
    }

    /// Queues a ping with up to 125 bytes of payload. That the connection lives is seen to without.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<()> {
        send_frame(&mut self.speaker, Frame::Ping(payload)).await
    }

    /// Queues a fragment of a message: `first` if it begins one, `last` if it ends it.
    ///
    /// # Errors
    /// As for [`send`](Self::send); [`Code::InvalidSession`](netloom_core::Code) for a fragment out of order.
    pub async fn send_fragment(&mut self, kind: Kind, first: bool, last: bool, payload: &[u8]) -> Result<()> {
        send_frame(&mut self.speaker, Frame::Data { kind, first, last, compressed: false, payload }).await
    }

    /// Says Close, with a code (1000 is for nothing special) and up to 123 bytes of reason; the next
    /// [`receive`](Socket::receive) sees to the end and returns `None`.
    ///
    /// # Errors
    /// As for [`send`](Self::send); [`Code::Unsupported`](netloom_core::Code) for a code that is not for sending, as 1006,
    /// and [`Code::MessageTooLarge`](netloom_core::Code) for a longer reason.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<()> {
        send_frame(&mut self.speaker, Frame::Close(code, reason)).await?;
        self.speaker.end(None);
        Ok(())
    }

    /// Ends the connection as failed with `error`, whose [wire](Error::wire) is the close code if it is one.
    pub fn fail(&mut self, error: Error) {
        self.speaker.end(Some(error));
    }

    /// Sends everything queued. Cancel-safe.
    ///
    /// # Errors
    /// What ended the session.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.speaker.poll_flush(cx)).await
    }

    /// Lets time pass while output leaves. `false`, at once, when there is nothing to wait for any more.
    pub async fn pause(&mut self, duration: Duration) -> bool {
        let until = self.speaker.now() + duration;
        poll_fn(|cx| self.speaker.poll_pause(until, cx)).await
    }

    /// Awaits something else while output leaves.
    pub async fn during<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _ = self.speaker.poll_pause(Instant::NEVER, cx); // it goes on by itself
            future.as_mut().poll(cx)
        })
        .await
    }

    /// What the session has done; its round trip is that of the last ping.
    pub fn stats(&self) -> Stats {
        self.speaker.stats()
    }
}

/// The bytes that are sent of a message.
fn sent_of<'m, D: Deflate + ?Sized>(deflate: &'m Option<&mut D>, sending: &Sending<'m>) -> &'m [u8] {
    match deflate {
        Some(deflate) if sending.compressed => deflate.deflated(),
        _ => sending.payload,
    }
}

/// Publishes a message in a hub as the frame that [`Peer::forward`] sends: encoded once.
///
/// # Errors
/// [`Code::MessageTooLarge`] if the hub cannot keep it.
pub fn publish<'m, L: Shared>(hub: &Hub<L>, message: impl Into<Message<'m>>) -> Result<()> {
    let message = message.into();
    let bytes = message.as_bytes();
    hub.publish_with(HEADER_MAX + bytes.len(), |out| encode(message.kind(), bytes, out))
}

/// The message in a frame that [`publish`] has put into a hub: for members that speak something else. Empty for what is none.
///
/// ```
/// # use netloom_core::hub::{Hub, Room, Seat, Shared};
/// # use core::cell::RefCell;
/// # struct Here(RefCell<Room<[u8; 64], [Seat; 2]>>);
/// # impl Shared for Here {
/// #     type Bytes = [u8; 64];
/// #     type Seats = [Seat; 2];
/// #     fn with<R>(&self, f: impl FnOnce(&mut Room<[u8; 64], [Seat; 2]>) -> R) -> R {
/// #         f(&mut self.0.borrow_mut())
/// #     }
/// # }
/// # let hub = Hub::new(Here(RefCell::new(Room::new([0; 64], [Seat::EMPTY; 2]))));
/// use netloom_protocols::websocket::{publish, published};
///
/// let mut member = hub.join(1).expect("a seat");
/// publish(&hub, "hello")?;
/// member.read(|frame| assert_eq!(published(frame), b"hello"))?;
/// # Ok::<(), netloom_core::Error>(())
/// ```
pub fn published(frame: &[u8]) -> &[u8] {
    match Header::parse(frame, false, false) {
        Ok(Some(header)) => frame.get(header.size..).unwrap_or_default(),
        _ => &[],
    }
}

/// Fails the connection with `error`, and tells the peer now: who gets the error may drop the socket.
fn refuse<S: Speaker>(mut speaker: S, error: Error) -> impl Future<Output = Error> {
    let mut is_told = false;
    poll_fn(move |cx| {
        if !is_told {
            is_told = true;
            // Without room for it the goodbye says the same later.
            let _ = speaker.poll_send(&Frame::Close(close::code_of(error), ""), &mut None, cx);
            speaker.end(Some(error));
        }
        let _ = ready!(speaker.poll_flush(cx));
        Poll::Ready(error)
    })
}

async fn send_frame<S: Speaker>(speaker: &mut S, frame: Frame<'_>) -> Result<()> {
    let mut rest = None;
    poll_fn(|cx| speaker.poll_send(&frame, &mut rest, cx)).await
}
