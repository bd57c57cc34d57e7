//! A server's side of a connection: requests to events, responses to bytes.

use core::fmt;

use netloom_core::time::Date;
use netloom_core::{CloseReason, Code, Codec, Error, Fault, Instant, Limits, Outbox, Result, Step};

use super::body::{Body, Progress};
use super::framing::Framing;
use super::head::{HeadLimits, RequestHead, Version};
use super::method::Method;
use super::scan::Scan;
use super::span::Span;
use super::state::{Exchange, Outgoing, Owed, Reading, Writing, misuse};
use super::status::reason;
use super::to_fields::{FieldWriter, ToFields, check_value, put_number};
use super::write::{Content, fill, put_chunk, put_last_chunk};
use crate::websocket::{self, Frames, Server};

/// Unread bytes of a request's body that are read and thrown away so that the connection can be used again; with more
/// it is closed.
pub(super) const DRAIN_MAX: u64 = 64 * 1024;

/// HTTP/1.1 as a server speaks it (RFC 9110, RFC 9112).
///
/// A codec: [`serve`](super::serve) runs handlers on a session with it. Malformed requests end the session after a
/// response that says which status; it never guesses what was meant.
///
/// | limit | default | refused with |
/// |---|---|---|
/// | [`head_max`](Self::head_max) | 16 KiB, or 7/8 of the receive queue | 431 |
/// | [`target_max`](Self::target_max) | 8,000 bytes | 414 |
/// | [`fields_max`](Self::fields_max) | 100 | 431 |
/// | chunk extensions and trailers | 4 KiB per request | 431 |
#[derive(Clone, Debug)]
pub struct Http1 {
    exchange: Exchange,
    speech: Speech,
    scan: Scan,
    head_max: u16,
    target_max: u16,
    fields_max: u16,
    /// Of the request last received.
    request: RequestHead,
    expects: Expects,
    /// A chunk was written, but for the line end behind it.
    crlf_due: bool,
    /// What `crlf_due` becomes if what was last encoded is sent.
    crlf_next: bool,
    /// The body that is streamed is made of events, and a comment between two of them is harmless.
    events: bool,
    status: u16,
    /// Most bytes of a message behind an upgrade.
    message_max: u32,
    date: Option<fn() -> Option<Date>>,
    /// Where it costs nothing to link them all, they go without saying.
    #[cfg(not(target_pointer_width = "64"))]
    ways: Option<&'static Ways>,
}

/// How far what is spoken has come: of two protocols there is but one at a time, and they share the room.
#[derive(Clone, Debug)]
enum Speech {
    Http(Transfer),
    /// Behind an upgrade.
    Frames(Frames<Server>),
}

/// How far a request has come in, and a response out.
#[derive(Clone, Debug)]
struct Transfer {
    body: Body,
    /// Bytes of body sent in answer to the last request.
    sent: u64,
}

impl Transfer {
    const NEW: Self = Self { body: Body::Length(0), sent: 0 };
}

/// How everything is said and understood that is no request and no whole response. An image that has none of it does
/// not link it, because the codec learns of it where the first is begun: [`Http1::streaming`], [`Http1::becomes_frames`].
#[derive(Debug)]
struct Ways {
    decode: fn(&mut Http1, &mut [u8]) -> Result<Step<Found>>,
    encode: for<'m> fn(&mut Http1, &Message<'m>, &mut Outbox<'_>) -> Result<&'m [u8]>,
    accepted: fn(&mut Http1, &Message<'_>),
    keep_alive: fn(&mut Http1, Instant, &mut Outbox<'_>),
    close: fn(&mut Http1, CloseReason, &mut Outbox<'_>),
}

const STREAMS: &Ways = &Ways {
    decode: |_, _| Ok(Step::NeedInput),
    encode: Http1::encode_streamed,
    accepted: Http1::accepted_streamed,
    keep_alive: |codec, _, out| codec.put_comment(out),
    close: |_, _, _| {},
};

const WEBSOCKET: &Ways = &Ways {
    decode: |codec, input| codec.frames_mut().next(input).map(|step| step.map(Found::Frame)),
    encode: Http1::encode_framed,
    accepted: Http1::accepted_framed,
    keep_alive: |codec, now, out| codec.frames_mut().keep_alive(now, out),
    close: |codec, why, out| codec.frames_mut().close(why, out),
};

/// What became of `Expect: 100-continue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Nothing,
    /// The client waits for permission to send the body.
    Permission,
}

/// What [`Http1`] finds.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A request's head: [`Http1::request`].
    Head,
    /// A piece of its body, between these offsets.
    Piece(Span),
    /// The end of a body whose length was not known.
    End,
    /// A WebSocket frame, or a piece of one, behind an upgrade.
    Frame(websocket::Found),
}

/// What [`Http1`] tells.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A request's head: [`Http1::request`] is a view of these bytes.
    Head(&'a [u8]),
    /// A piece of its body.
    Piece(&'a [u8]),
    /// The end of a body whose length was not known.
    End,
    /// A WebSocket frame, or a piece of one, behind an upgrade.
    Frame(websocket::Event<'a>),
}

/// What is said through [`Http1`].
#[derive(Clone, Copy)]
pub enum Message<'a> {
    /// An interim response (1xx but 101) with its fields; 100 lets a client that waits send the body.
    Interim(u16, &'a dyn ToFields),
    /// A whole response, in one piece.
    Whole(ResponseHead<'a>, Content<'a>),
    /// The head of a response whose body is streamed, with its length if that is known.
    Head(ResponseHead<'a>, Option<u64>),
    /// A piece of a streamed body.
    Piece(&'a [u8]),
    /// The end of a streamed body, with the trailer fields of a chunked one.
    End(&'a dyn ToFields),
    /// 101, with its fields: the connection is another protocol's from here on.
    Upgrade(&'a dyn ToFields),
    /// A WebSocket frame, behind an upgrade to that.
    Frame(websocket::Frame<'a>),
}

/// A response's head but for what the codec knows better: framing, persistence and date.
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// `Content-Type`; empty for none.
    pub content_type: &'a str,
    /// Further fields.
    pub fields: &'a dyn ToFields,
    /// The connection is to be closed behind the response.
    pub close: bool,
    /// The request's body will still be read, so it is no reason to close the connection.
    pub reads_on: bool,
    /// The body is a stream of events.
    pub events: bool,
}

impl<'a> ResponseHead<'a> {
    /// A head with nothing but a status.
    pub const fn new(status: u16) -> Self {
        Self { status, content_type: "", fields: &(), close: false, reads_on: false, events: false }
    }
}

impl Http1 {
    /// With the default limits and without a date.
    pub const fn new() -> Self {
        Self {
            exchange: Exchange::START,
            speech: Speech::Http(Transfer::NEW),
            head_max: 16 * 1024,
            target_max: 8000,
            fields_max: 100,
            request: RequestHead::NONE,
            expects: Expects::Nothing,
            crlf_due: false,
            crlf_next: false,
            events: false,
            status: 0,
            scan: Scan::new(),
            message_max: 0,
            date: None,
            #[cfg(not(target_pointer_width = "64"))]
            ways: None,
        }
    }

    /// Says more than whole responses from here on: any [`Message`]. [`Reply`](super::Reply) and
    /// [`Request`](super::Request) see to it, and desktops always do; who sends messages past them, on a board, calls it
    /// first.
    #[inline]
    pub fn streaming(&mut self) {
        self.learn(STREAMS);
    }

    /// What follows the upgrade that comes next are WebSocket frames; `deflate` if messages may be compressed.
    pub(crate) fn becomes_frames(&mut self, deflate: bool) {
        let mut frames = Frames::new(Server).message_max(self.message_max);
        frames.may_deflate(deflate);
        self.speech = Speech::Frames(frames);
        self.learn(WEBSOCKET);
    }

    #[inline]
    fn learn(&mut self, ways: &'static Ways) {
        #[cfg(not(target_pointer_width = "64"))]
        {
            self.ways = Some(ways);
        }
        let _ = ways;
    }

    #[inline]
    fn ways(&self) -> Option<&'static Ways> {
        #[cfg(not(target_pointer_width = "64"))]
        return self.ways;
        #[cfg(target_pointer_width = "64")]
        Some(match self.speech {
            Speech::Http(_) => STREAMS,
            Speech::Frames(_) => WEBSOCKET,
        })
    }

    /// What is spoken behind an upgrade to WebSocket.
    pub(crate) fn frames(&self) -> Option<&Frames<Server>> {
        match &self.speech {
            Speech::Frames(frames) => Some(frames),
            Speech::Http(_) => None,
        }
    }

    /// The same, to go on with.
    pub(crate) fn frames_mut(&mut self) -> &mut Frames<Server> {
        if let Speech::Http(_) = self.speech {
            self.becomes_frames(false);
        }
        match &mut self.speech {
            Speech::Frames(frames) => frames,
            Speech::Http(_) => unreachable!("it has become frames"),
        }
    }

    /// Nothing behind an upgrade.
    #[inline]
    fn transfer(&self) -> Option<&Transfer> {
        match &self.speech {
            Speech::Http(transfer) => Some(transfer),
            Speech::Frames(_) => None,
        }
    }

    /// The same, to go on with.
    #[inline]
    fn transfer_mut(&mut self) -> Option<&mut Transfer> {
        match &mut self.speech {
            Speech::Http(transfer) => Some(transfer),
            Speech::Frames(_) => None,
        }
    }

    /// So many bytes of body are sent with the answer.
    #[inline]
    fn sends(&mut self, bytes: u64) {
        if let Some(transfer) = self.transfer_mut() {
            transfer.sent = bytes;
        }
    }

    /// Most bytes of a request's head.
    #[must_use]
    pub const fn head_max(mut self, bytes: u16) -> Self {
        self.head_max = bytes;
        self
    }

    /// Most bytes of a request's target.
    #[must_use]
    pub const fn target_max(mut self, bytes: u16) -> Self {
        self.target_max = bytes;
        self
    }

    /// Most fields of a request's head.
    #[must_use]
    pub const fn fields_max(mut self, fields: u16) -> Self {
        self.fields_max = fields;
        self
    }

    /// Where the date of responses comes from. A server without a clock sends none (RFC 9110, 6.6.1).
    #[must_use]
    pub const fn date(mut self, date: fn() -> Option<Date>) -> Self {
        self.date = Some(date);
        self
    }

    /// The head of the request last received.
    pub const fn request(&self) -> &RequestHead {
        &self.request
    }

    /// Whether the request's body, if it has one, has been received to its end.
    pub fn body_is_over(&self) -> bool {
        self.exchange.reading != Reading::Body
    }

    /// Bytes of the request's body that are still to come, if that is known.
    pub fn body_left(&self) -> Option<u64> {
        if self.body_is_over() { Some(0) } else { self.transfer()?.body.known() }
    }

    /// Whether the client waits for a 100 before it sends the body.
    pub fn permission_is_due(&self) -> bool {
        self.expects == Expects::Permission && !self.body_is_over()
    }

    /// The status last sent, zero for none, and how many bytes of body with it.
    pub fn answered(&self) -> (u16, u64) {
        (self.status, self.transfer().map_or(0, |transfer| transfer.sent))
    }

    /// Whether a response is still owed.
    pub(super) fn owes(&self) -> bool {
        self.exchange.writing == Writing::Owed
    }

    /// Whether a response is neither owed nor begun and not ended.
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self.exchange.writing, Writing::Owed | Writing::Streaming(_))
    }

    /// Whether a response has been begun and not ended; and whether only a cut connection can say so.
    pub(super) fn streams(&self) -> Option<bool> {
        match self.exchange.writing {
            Writing::Streaming(outgoing) => Some(outgoing == Outgoing::UntilClose),
            _ => None,
        }
    }

    /// Whether the connection is another protocol's, as [`Request::upgrade`](super::Request::upgrade) has said.
    pub fn is_upgraded(&self) -> bool {
        self.exchange.writing == Writing::Upgraded
    }

    /// Whether another request may come.
    pub(super) fn persists(&self) -> bool {
        self.exchange.persistent
    }

    /// This exchange is the connection's last.
    pub(super) fn end_after_this(&mut self) {
        self.exchange.persistent = false;
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn head(&mut self, input: &[u8]) -> Result<Step<Found>> {
        let limits = HeadLimits {
            head: self.head_max.into(),
            target: self.target_max.into(),
            fields: self.fields_max.into(),
        };
        let Some((n, head)) = self.scan.request(input, &limits)? else { return Ok(Step::NeedInput) };
        self.request = head;
        self.status = 0;
        let body = match head.framing() {
            Framing::None | Framing::Length(0) => None,
            Framing::Length(length) => Some(Body::Length(length)),
            Framing::Chunked | Framing::UntilClose => Some(Body::CHUNKED),
        };
        let is_over = body.is_none();
        // Also behind an upgrade that failed: what comes with a head is HTTP.
        self.speech = Speech::Http(Transfer { body: body.unwrap_or(Body::Length(0)), sent: 0 });
        self.expects = match head.expect_continue() && !is_over && head.version == Version::Http11 {
            true => Expects::Permission,
            false => Expects::Nothing,
        };
        self.exchange.asked(!is_over, head.keep_alive());
        if head.method == Method::Connect {
            return Err(Error::new(Code::Unsupported).blame(Fault::Peer).on_wire(501));
        }
        Ok(Step::Event(n, Found::Head))
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn piece(&mut self, input: &[u8]) -> Result<Step<Found>> {
        self.expects = Expects::Nothing;
        let transfer = self.transfer_mut().ok_or_else(misuse)?;
        let step = match transfer.body.advance(input)? {
            Progress::Skip(n) => Step::Quiet(n),
            Progress::Piece(n, start, end) => Step::Event(n, Found::Piece(Span::new(start, end))),
            Progress::End(n) => {
                self.exchange.read_all();
                return Ok(Step::Event(n, Found::End));
            }
        };
        let is_over = transfer.body.is_over();
        if is_over {
            self.exchange.read_all();
        }
        Ok(step)
    }

    /// Whether the connection can be used again behind a response with this head.
    fn persists_behind(&self, head: &ResponseHead<'_>) -> bool {
        if !self.exchange.persistent || head.close {
            return false;
        }
        let is_read = self.body_is_over() || head.reads_on;
        is_read || !self.permission_is_due() && self.body_left().unwrap_or(0) <= DRAIN_MAX
    }

    /// How a body is framed whose head this is (RFC 9112, 6.3).
    fn framing(&self, status: u16, length: Option<u64>) -> Outgoing {
        match (length, self.request.version) {
            _ if self.request.method == Method::Head || !has_content(status) => Outgoing::Nothing,
            (Some(length), _) => Outgoing::Length(Owed::new(length)),
            (None, Version::Http11) => Outgoing::Chunked,
            (None, Version::Http10) => Outgoing::UntilClose,
        }
    }

    #[cfg_attr(target_pointer_width = "64", inline(always))]
    fn put_head(&self, head: &ResponseHead<'_>, persists: bool, out: &mut Outbox<'_>) -> Result<()> {
        self.put_front(head.status, out)?;
        match (persists, self.request.version) {
            (false, _) => out.put(b"connection: close\r\n")?,
            (true, Version::Http10) => out.put(b"connection: keep-alive\r\n")?,
            (true, Version::Http11) => {}
        }
        if !head.content_type.is_empty() {
            check_value(head.content_type.as_bytes())?;
            out.put_all([b"content-type: ", head.content_type.as_bytes(), b"\r\n"])?;
        }
        head.fields.put(&mut FieldWriter::new(out))
    }

    /// Status line and date.
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn put_front(&self, status: u16, out: &mut Outbox<'_>) -> Result<()> {
        match self.date.and_then(|date| date()) {
            Some(date) if status == 200 => {
                out.put_all([b"HTTP/1.1 200 OK\r\ndate: ", date.as_bytes(), b"\r\n"])
            }
            Some(date) => {
                put_status(status, out)?;
                out.put_all([b"date: ", date.as_bytes(), b"\r\n"])
            }
            None => put_status(status, out),
        }
    }

    fn whole<'m>(
        &mut self,
        head: &ResponseHead<'_>,
        content: &Content<'m>,
        out: &mut Outbox<'_>,
    ) -> Result<&'m [u8]> {
        self.put_head(head, self.persists_behind(head), out)?;
        // Told when it was accepted; until then it may be said anew.
        self.sends(0);
        if !has_content(head.status) {
            return put_without_content(head.status, out).map(|()| &[][..]);
        }
        match *content {
            Content::Bytes(bytes) => {
                put_number(b"content-length: ", bytes.len() as u64, b"\r\n\r\n", out)?;
                if self.request.method == Method::Head {
                    return Ok(&[]);
                }
                self.sends(bytes.len() as u64);
                Ok(bytes)
            }
            Content::Fill(content) => {
                out.put(b"content-length: ")?;
                let length = fill(content, out)?;
                match self.request.method {
                    Method::Head => out.take_back(length),
                    _ => self.sends(length as u64),
                }
                Ok(&[])
            }
        }
    }

    fn streamed(&self, head: &ResponseHead<'_>, length: Option<u64>, out: &mut Outbox<'_>) -> Result<()> {
        let outgoing = self.framing(head.status, length);
        self.put_head(head, self.persists_behind(head) && outgoing != Outgoing::UntilClose, out)?;
        match (length, self.request.version) {
            _ if !has_content(head.status) => return put_without_content(head.status, out),
            (Some(length), _) => put_number(b"content-length: ", length, b"\r\n", out)?,
            (None, Version::Http11) => out.put(b"transfer-encoding: chunked\r\n")?,
            (None, Version::Http10) => {}
        }
        out.put(b"\r\n")
    }

    fn put_piece<'m>(&mut self, piece: &'m [u8], out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        self.crlf_next = self.crlf_due;
        match self.exchange.may_write(piece.len())? {
            Outgoing::Nothing => Ok(&[]),
            Outgoing::Length(_) | Outgoing::UntilClose => Ok(piece),
            // An empty chunk would end the body.
            Outgoing::Chunked if piece.is_empty() => Ok(piece),
            Outgoing::Chunked => {
                self.crlf_next = put_chunk(piece, self.crlf_due, out)?;
                Ok(if self.crlf_next { piece } else { &[] })
            }
        }
    }

    fn put_end(&mut self, trailers: &dyn ToFields, out: &mut Outbox<'_>) -> Result<()> {
        if self.exchange.may_end()? == Outgoing::Chunked {
            put_last_chunk(trailers, self.crlf_due, out)?;
        }
        Ok(())
    }
}

impl Default for Http1 {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for Http1 {
    type Found = Found;
    type Event<'a> = Event<'a>;
    type Message<'a> = Message<'a>;
    /// The response to what cannot be understood.
    const GOODBYE_MAX: usize = 224;

    fn limit(&mut self, limits: Limits) {
        // Behind a head there must be room for pieces of its body.
        let fits = limits.unit - limits.unit / 8;
        self.head_max = self.head_max.min(u16::try_from(fits).unwrap_or(u16::MAX));
        self.message_max = Frames::<Server>::most(limits);
    }

    #[inline]
    fn decode(&mut self, input: &mut [u8], _: &mut Outbox<'_>) -> Result<Step<Found>> {
        match self.exchange.reading {
            _ if input.is_empty() => Ok(Step::NeedInput),
            Reading::Head => self.head(input),
            Reading::Body => self.piece(input),
            Reading::Over => match self.ways() {
                Some(ways) if self.is_upgraded() => (ways.decode)(self, input),
                _ => Ok(Step::NeedInput),
            },
        }
    }

    #[inline]
    fn view(found: Found, unit: &[u8]) -> Result<Event<'_>> {
        Ok(match found {
            Found::Head => Event::Head(unit),
            Found::Piece(span) => Event::Piece(&unit[span.range()]),
            Found::End => Event::End,
            Found::Frame(found) => Event::Frame(found.view(unit)),
        })
    }

    fn encode<'m>(&mut self, message: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        match (message, self.ways()) {
            (Message::Whole(head, _), _) if !self.owes() || !is_final(head.status) => Err(misuse()),
            (Message::Whole(head, content), _) => self.whole(head, content, out),
            (message, Some(ways)) => (ways.encode)(self, message, out),
            (_, None) => Err(misuse()),
        }
    }

    fn accepted(&mut self, message: &Message<'_>) {
        match (message, self.ways()) {
            (Message::Whole(head, _), _) => {
                self.exchange.persistent = self.persists_behind(head);
                self.status = head.status;
                self.exchange.wrote(None);
            }
            (message, Some(ways)) => (ways.accepted)(self, message),
            (_, None) => {}
        }
    }

    fn messages(message: &Message<'_>) -> u32 {
        match message {
            Message::Frame(frame) => frame.messages(),
            _ => 1,
        }
    }

    fn under_way(&self) -> bool {
        self.exchange.reading == Reading::Body || self.frames().is_some_and(Frames::is_midway)
    }

    fn goes_on(&self) -> bool {
        self.frames().is_some_and(Frames::goes_on)
    }

    /// RFC 9112, 9.6: what cannot be understood is answered, then the connection ends.
    fn close(&mut self, why: CloseReason, out: &mut Outbox<'_>) {
        if let Some(ways) = self.ways().filter(|_| self.is_upgraded()) {
            return (ways.close)(self, why, out);
        }
        let Some(status) = why.error().and_then(|error| goodbye(error, self.body_is_over())) else { return };
        if matches!(self.exchange.writing, Writing::Idle | Writing::Owed) {
            // It fits: GOODBYE_MAX is the length of the longest.
            let _ = self.put_goodbye(status, out);
            self.status = status;
            self.exchange.persistent = false;
            self.exchange.writing = Writing::Over;
        }
    }

    fn keeps_alive(&self) -> bool {
        self.events || self.is_upgraded()
    }

    /// An empty comment: the client's side of a silent stream of events does not time out, and ours notices when the
    /// client is gone.
    fn keep_alive(&mut self, now: Instant, out: &mut Outbox<'_>) {
        if let Some(ways) = self.ways() {
            (ways.keep_alive)(self, now, out);
        }
    }
}

impl Http1 {
    fn encode_framed<'m>(&mut self, message: &Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        match message {
            Message::Frame(frame) if self.is_upgraded() => self.frames_mut().encode(frame, out),
            Message::Upgrade(fields) if self.owes() => self.put_upgrade(*fields, out).map(|()| &[][..]),
            _ => Err(misuse()),
        }
    }

    fn accepted_framed(&mut self, message: &Message<'_>) {
        match message {
            Message::Frame(frame) => self.frames_mut().accepted(frame),
            _ => self.upgraded(),
        }
    }

    fn put_upgrade(&self, fields: &dyn ToFields, out: &mut Outbox<'_>) -> Result<()> {
        self.put_front(101, out)?;
        out.put(b"connection: upgrade\r\n")?;
        fields.put(&mut FieldWriter::new(out))?;
        out.put(b"\r\n")
    }

    fn upgraded(&mut self) {
        self.status = 101;
        self.exchange.upgraded();
    }

    fn encode_streamed<'m>(&mut self, message: &Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        match message {
            Message::Piece(piece) => return self.put_piece(piece, out),
            Message::End(trailers) => self.put_end(*trailers, out)?,
            _ if !self.owes() => return Err(misuse()),
            Message::Head(head, _) if !is_final(head.status) => return Err(misuse()),
            Message::Whole(..) => return Err(misuse()),
            Message::Head(head, length) => self.streamed(head, *length, out)?,
            // A final status would be a second answer; 101 is `Upgrade`'s.
            Message::Interim(status, _) if !matches!(status, 100 | 102..200) => return Err(misuse()),
            // RFC 9110, 15.2: a server must not send a 1xx to an HTTP/1.0 client.
            Message::Interim(..) if self.request.version == Version::Http10 => {}
            Message::Interim(status, fields) => {
                put_status(*status, out)?;
                fields.put(&mut FieldWriter::new(out))?;
                out.put(b"\r\n")?;
            }
            Message::Upgrade(fields) => self.put_upgrade(*fields, out)?,
            Message::Frame(_) => return Err(misuse()),
        }
        Ok(&[])
    }

    fn accepted_streamed(&mut self, message: &Message<'_>) {
        match message {
            Message::Interim(status, _) => {
                if *status == 100 {
                    self.expects = Expects::Nothing;
                }
            }
            Message::Whole(..) => {}
            Message::Head(head, length) => {
                let outgoing = self.framing(head.status, *length);
                self.exchange.persistent = self.persists_behind(head) && outgoing != Outgoing::UntilClose;
                self.status = head.status;
                self.sends(0);
                (self.crlf_due, self.events) = (false, head.events && outgoing != Outgoing::Nothing);
                self.exchange.wrote(Some(outgoing));
            }
            Message::Piece(piece) => {
                self.crlf_due = self.crlf_next;
                if let Some(transfer) = self.transfer_mut() {
                    transfer.sent += piece.len() as u64;
                }
                self.exchange.wrote_piece(piece.len());
            }
            Message::End(_) => {
                self.events = false;
                self.exchange.wrote(None);
            }
            Message::Upgrade(_) => self.upgraded(),
            Message::Frame(_) => {}
        }
    }

    fn put_comment(&mut self, out: &mut Outbox<'_>) {
        let Ok(rest) = self.put_piece(b":\n\n", out) else { return };
        if out.put(rest).is_ok() {
            self.crlf_due = self.crlf_next;
        }
    }

    fn put_goodbye(&mut self, status: u16, out: &mut Outbox<'_>) -> Result<()> {
        if !self.owes() {
            // The method is the last request's.
            self.request.method = Method::Get;
        }
        let later: &dyn ToFields = &[("retry-after", "1")];
        let fields = if matches!(status, 429 | 503) { later } else { &() };
        let head =
            ResponseHead { content_type: "text/plain", fields, close: true, ..ResponseHead::new(status) };
        let text = self.whole(&head, &Content::Bytes(reason(status).as_bytes()), out)?;
        out.put(text)
    }
}

/// RFC 9110, 15.2: what is interim answers nothing, and the next answer would be taken for this one.
fn is_final(status: u16) -> bool {
    (200..1000).contains(&status)
}

/// What a client is told about an error; nothing if it is gone or does not read.
fn goodbye(error: Error, in_head: bool) -> Option<u16> {
    Some(match error.code() {
        _ if error.wire() != 0 => error.wire(),
        Code::MessageTooLarge if in_head => 431,
        Code::MessageTooLarge => 413,
        Code::MessageTimeout => 408,
        Code::TooManyFromAddress => 429,
        Code::TooManySessions | Code::ShuttingDown | Code::BuffersExhausted => 503,
        Code::ProtocolViolation => 400,
        Code::ReceiveFailed | Code::SendFailed | Code::WriteStalled | Code::ConnectionClosed => return None,
        _ => 500,
    })
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interim(status, _) => write!(f, "Interim({status})"),
            Self::Whole(head, _) => write!(f, "Whole({})", head.status),
            Self::Head(head, length) => write!(f, "Head({}, {length:?})", head.status),
            Self::Piece(piece) => write!(f, "Piece({} bytes)", piece.len()),
            Self::End(_) => f.write_str("End"),
            Self::Upgrade(_) => f.write_str("Upgrade"),
            Self::Frame(frame) => write!(f, "{frame:?}"),
        }
    }
}

/// RFC 9110, 15: these statuses have no content.
const fn has_content(status: u16) -> bool {
    !matches!(status, 100..200 | 204 | 205 | 304)
}

/// The end of a head behind which there is no content. RFC 9112, 6.3: all but a 205 end there in any case.
fn put_without_content(status: u16, out: &mut Outbox<'_>) -> Result<()> {
    out.put(if status == 205 { b"content-length: 0\r\n\r\n" } else { b"\r\n" })
}

fn put_status(status: u16, out: &mut Outbox<'_>) -> Result<()> {
    if status == 200 {
        return out.put(b"HTTP/1.1 200 OK\r\n");
    }
    put_number(b"HTTP/1.1 ", status.clamp(100, 999).into(), b" ", out)?;
    out.put_all([reason(status).as_bytes(), b"\r\n"])
}
