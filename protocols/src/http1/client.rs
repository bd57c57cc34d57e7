//! A client's side of a connection: requests to bytes, responses to events.

use core::fmt;

use netloom_core::{Code, Codec, Error, Fault, Limits, Outbox, Result, Step};

use super::body::{Body, Progress};
use super::framing::Framing;
use super::head::{HeadLimits, ResponseHead};
use super::method::Method;
use super::octets;
use super::scan::Scan;
use super::state::{Exchange, Outgoing, Owed, Reading, Writing};
use super::target;
use super::to_fields::{FieldWriter, ToFields, put_decimal, put_field};
use super::write::{Content, fill, put_chunk, put_last_chunk};

/// Interim responses in front of one response: a server that sends them for ever is not waited for.
const INTERIM_MAX: u8 = 64;

/// HTTP/1.1 as a client speaks it (RFC 9110, RFC 9112).
///
/// A codec: one exchange at a time, the next when both the request and the response are over and the connection
/// [persists](Self::persists). What a server sends wrong is its fault and ends the session; on the wire the error is
/// 502, for a gateway that asks on another's behalf.
///
/// | limit | default | refused with |
/// |---|---|---|
/// | [`head_max`](Self::head_max) | 65,535 bytes, or what fits the receive queue | `MessageTooLarge` |
/// | [`fields_max`](Self::fields_max) | 256 | `MessageTooLarge` |
/// | chunk extensions and trailers | 4 KiB per response | `MessageTooLarge` |
/// | interim responses | 64 per response | `ProtocolViolation` |
///
/// ```
/// use netloom_core::{Platform, Result, Session};
/// use netloom_protocols::http1::{ClientEvent, ClientMessage, Content, Http1Client, RequestOut};
///
/// /// The length of what is at `/`, in bytes.
/// async fn measure<P: Platform>(session: &mut Session<P, Http1Client>) -> Result<usize> {
///     let request = RequestOut::new("GET", "/", "example.com");
///     session.send(ClientMessage::Whole(request, Content::Bytes(b""))).await?;
///     let mut length = 0;
///     while !session.codec().is_over() {
///         match session.receive().await? {
///             Some((ClientEvent::Piece(piece), _)) => length += piece.len(),
///             Some(_) => {}
///             None => break,
///         }
///     }
///     Ok(length)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Http1Client {
    exchange: Exchange,
    body: Body,
    scan: Scan,
    head_max: u16,
    fields_max: u16,
    method: Method,
    interims: u8,
    /// The request asked for permission to send its body, and nothing was heard yet.
    waits: bool,
    /// The request offered another protocol.
    offers: bool,
    /// A chunk was written, but for the line end behind it.
    crlf_due: bool,
    /// What `crlf_due` becomes if what was last encoded is sent.
    crlf_next: bool,
}

/// A request's head but for what the codec knows better: framing and persistence.
#[derive(Clone, Copy)]
pub struct RequestOut<'a> {
    /// The method's name: `GET`.
    pub method: &'a str,
    /// The target: `/path?query`; what stands in the request line (RFC 9112, 3.2).
    pub target: &'a str,
    /// The host, with a port if that is not the scheme's.
    pub host: &'a str,
    /// Further fields; not Expect or Upgrade. Host, Connection, Content-Length and Transfer-Encoding are refused.
    pub fields: &'a dyn ToFields,
    /// The server is to say whether it wants the body before it is sent: RFC 9110, 10.1.1. Only for bodies that are
    /// streamed.
    pub expect_continue: bool,
    /// Another protocol to be offered; empty for none.
    pub upgrade: &'a str,
    /// The connection is to be closed behind the exchange.
    pub close: bool,
}

impl<'a> RequestOut<'a> {
    /// A head without further fields.
    pub const fn new(method: &'a str, target: &'a str, host: &'a str) -> Self {
        Self { method, target, host, fields: &(), expect_continue: false, upgrade: "", close: false }
    }
}

/// What [`Http1Client`] finds.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// The head of an interim response.
    Interim(ResponseHead),
    /// A response's head.
    Head(ResponseHead),
    /// A piece of its body, between these offsets.
    Piece(u32, u32),
    /// The end of a body whose length was not known.
    End,
}

/// What [`Http1Client`] tells.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The head of an interim response (1xx other than 101), and the bytes it is a view of. The response is still to
    /// come.
    Interim(ResponseHead, &'a [u8]),
    /// A response's head, and the bytes it is a view of. Behind 101, and 2xx to CONNECT, the connection is
    /// [another protocol's](Http1Client::is_upgraded).
    Head(ResponseHead, &'a [u8]),
    /// A piece of its body.
    Piece(&'a [u8]),
    /// The end of a body whose length was not known.
    End,
}

/// What is said through [`Http1Client`].
#[derive(Clone, Copy)]
pub enum Message<'a> {
    /// A whole request, in one piece.
    Whole(RequestOut<'a>, Content<'a>),
    /// The head of a request whose body is streamed, with its length if that is known.
    Head(RequestOut<'a>, Option<u64>),
    /// A piece of a streamed body.
    Piece(&'a [u8]),
    /// The end of a streamed body, with the trailer fields of a chunked one.
    End(&'a dyn ToFields),
}

impl Http1Client {
    /// With the default limits.
    pub const fn new() -> Self {
        Self {
            exchange: Exchange::START,
            body: Body::Length(0),
            scan: Scan::new(),
            head_max: u16::MAX,
            fields_max: 256,
            method: Method::Get,
            interims: 0,
            waits: false,
            offers: false,
            crlf_due: false,
            crlf_next: false,
        }
    }

    /// Most bytes of a response's head.
    #[must_use]
    pub const fn head_max(mut self, bytes: u16) -> Self {
        self.head_max = bytes;
        self
    }

    /// Most fields of a response's head.
    #[must_use]
    pub const fn fields_max(mut self, fields: u16) -> Self {
        self.fields_max = fields;
        self
    }

    /// Whether nothing is under way, and a request may be sent.
    pub fn is_idle(&self) -> bool {
        self.exchange.is_idle()
    }

    /// Whether the exchange is over: the request was sent, and the response received, to their ends. Also before the
    /// first.
    pub fn is_over(&self) -> bool {
        self.exchange.is_idle()
            || (self.exchange.reading == Reading::Over && self.exchange.writing == Writing::Over)
    }

    /// Whether another exchange may follow on the connection, as far as is known.
    pub fn persists(&self) -> bool {
        self.exchange.persistent
    }

    /// Whether the connection is another protocol's: [`switch`](netloom_core::Session::switch) to it.
    pub fn is_upgraded(&self) -> bool {
        self.exchange.writing == Writing::Upgraded
    }

    /// Whether the request is said to its end.
    pub fn request_is_over(&self) -> bool {
        !matches!(self.exchange.writing, Writing::Streaming(_))
    }

    /// Whether a response's head was received and all of its body.
    pub fn response_is_over(&self) -> bool {
        self.exchange.reading == Reading::Over || self.exchange.writing == Writing::Idle
    }

    /// Bytes of the response's body that are still to come, if that is known.
    pub fn body_left(&self) -> Option<u64> {
        if self.exchange.reading == Reading::Body { self.body.known() } else { Some(0) }
    }

    /// Whether the request asked for permission to send its body, and the server has not said anything yet. Not every
    /// server does: do not wait for ever (RFC 9110, 10.1.1).
    pub fn waits_for_permission(&self) -> bool {
        self.waits
    }

    fn head(&mut self, input: &[u8]) -> Result<Step<Found>> {
        let limits = HeadLimits { head: self.head_max.into(), target: 0, fields: self.fields_max.into() };
        let Some((n, head)) = self.scan.response(input, self.method, &limits)? else {
            return Ok(Step::NeedInput);
        };
        self.scan = Scan::new();
        self.waits = false;
        match (head.status, self.method) {
            (101, _) if self.offers && head.upgrade() => self.become_another(),
            // RFC 9110, 15.2.2: a server does not switch to what it was not offered.
            (101, _) => return Err(FAULTY),
            (100..200, _) => {
                self.interims += 1;
                return match self.interims > INTERIM_MAX {
                    true => Err(FAULTY),
                    false => Ok(Step::Event(n, Found::Interim(head))),
                };
            }
            (200..300, Method::Connect) => self.become_another(),
            _ => {
                let body = match head.framing {
                    Framing::None | Framing::Length(0) => None,
                    Framing::Length(length) => Some(Body::Length(length)),
                    Framing::Chunked => Some(Body::CHUNKED),
                    Framing::UntilClose => Some(Body::UntilClose),
                };
                self.exchange.answered(body.is_some(), head.keep_alive());
                self.body = body.unwrap_or(Body::Length(0));
            }
        }
        Ok(Step::Event(n, Found::Head(head)))
    }

    fn become_another(&mut self) {
        self.exchange.read_head(false);
        self.exchange.upgraded();
    }

    fn piece(&mut self, input: &[u8]) -> Result<Step<Found>> {
        let step = match self.body.advance(input).map_err(|error| error.on_wire(502))? {
            Progress::Skip(n) => Step::Quiet(n),
            Progress::Piece(n, start, end) => Step::Event(n, Found::Piece(start as u32, end as u32)),
            Progress::End(n) => {
                self.exchange.read_all();
                return Ok(Step::Event(n, Found::End));
            }
        };
        if self.body.is_over() {
            self.exchange.read_all();
        }
        Ok(step)
    }

    fn put_piece<'m>(&mut self, piece: &'m [u8], out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        self.crlf_next = self.crlf_due;
        // An empty chunk would end the body.
        if self.exchange.may_write(piece.len())? != Outgoing::Chunked || piece.is_empty() {
            return Ok(piece);
        }
        self.crlf_next = put_chunk(piece, self.crlf_due, out)?;
        Ok(if self.crlf_next { piece } else { &[] })
    }

    fn put_end(&mut self, trailers: &dyn ToFields, out: &mut Outbox<'_>) -> Result<()> {
        match self.exchange.may_end()? {
            Outgoing::Chunked => put_last_chunk(trailers, self.crlf_due, out),
            _ => Ok(()),
        }
    }
}

impl Default for Http1Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for Http1Client {
    type Found = Found;
    type Event<'a> = Event<'a>;
    type Message<'a> = Message<'a>;

    fn limit(&mut self, limits: Limits) {
        self.head_max = self.head_max.min(u16::try_from(limits.unit).unwrap_or(u16::MAX));
    }

    fn decode(&mut self, input: &mut [u8], _: &mut Outbox<'_>) -> Result<Step<Found>> {
        match (self.exchange.reading, self.exchange.writing) {
            (Reading::Body, _) if self.body.is_over() => {
                self.exchange.read_all();
                Ok(Step::Event(0, Found::End))
            }
            _ if input.is_empty() => Ok(Step::NeedInput),
            // Nobody asked. Such bytes would be taken for the response to the next request.
            (Reading::Head, Writing::Idle) => Err(FAULTY),
            (Reading::Head, _) => self.head(input),
            (Reading::Body, _) => self.piece(input),
            (Reading::Over, Writing::Streaming(_) | Writing::Upgraded) => Ok(Step::NeedInput),
            // The connection does not persist, so nobody takes it for anything.
            (Reading::Over, _) => Ok(Step::Quiet(input.len())),
        }
    }

    fn view(found: Found, unit: &[u8]) -> Result<Event<'_>> {
        Ok(match found {
            Found::Interim(head) => Event::Interim(head, unit),
            Found::Head(head) => Event::Head(head, unit),
            Found::Piece(start, end) => Event::Piece(&unit[start as usize..end as usize]),
            Found::End => Event::End,
        })
    }

    fn encode<'m>(&mut self, message: &Self::Message<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
        match message {
            Message::Whole(request, content) => {
                self.exchange.may_ask()?;
                let method = put_head(request, out)?;
                put_content(method, *content, out)
            }
            Message::Head(request, length) => {
                self.exchange.may_ask()?;
                let method = put_head(request, out)?;
                put_framing(method, request.expect_continue, *length, out)?;
                Ok(&[])
            }
            Message::Piece(piece) => self.put_piece(piece, out),
            Message::End(trailers) => {
                self.put_end(*trailers, out)?;
                Ok(&[])
            }
        }
    }

    fn accepted(&mut self, message: &Message<'_>) {
        let (request, streaming) = match message {
            Message::Whole(request, _) => (request, None),
            Message::Head(request, length) => (
                request,
                Some(length.map_or(Outgoing::Chunked, |length| Outgoing::Length(Owed::new(length)))),
            ),
            Message::Piece(piece) => {
                self.crlf_due = self.crlf_next;
                return self.exchange.wrote_piece(piece.len());
            }
            Message::End(_) => return self.exchange.wrote(None),
        };
        self.method = Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::Other);
        self.waits = request.expect_continue && streaming.is_some();
        self.offers = !request.upgrade.is_empty();
        (self.interims, self.crlf_due) = (0, false);
        self.exchange.ask(streaming, !request.close);
    }

    /// A response is owed, or is coming.
    fn under_way(&self) -> bool {
        match self.exchange.reading {
            Reading::Head => self.exchange.writing != Writing::Idle,
            Reading::Body => true,
            Reading::Over => false,
        }
    }

    /// RFC 9112, 6.3: only a body of no announced length ends with the connection.
    fn finished(&mut self) -> bool {
        let ends = self.exchange.reading == Reading::Body && self.body == Body::UntilClose;
        if ends {
            self.body = Body::Length(0);
        }
        ends
    }
}

/// What the server broke the protocol with.
const FAULTY: Error = Error::new(Code::ProtocolViolation).on_wire(502);

/// The application's request cannot be written.
fn unsayable() -> Error {
    Error::new(Code::InvalidText).blame(Fault::Local)
}

fn put_head(request: &RequestOut<'_>, out: &mut Outbox<'_>) -> Result<Method> {
    let method = Method::from_bytes(request.method.as_bytes()).ok_or(unsayable())?;
    let (target, host) = (request.target.as_bytes(), request.host.as_bytes());
    let legal = octets::target(target) == target.len()
        && target::check(method, target).is_ok()
        && target::is_host(host);
    if !legal {
        return Err(unsayable());
    }
    for part in [request.method, " ", request.target, " HTTP/1.1\r\n"] {
        out.put(part.as_bytes())?;
    }
    // RFC 9110, 7.2: Host comes first.
    put_field("host", host, out)?;
    match (request.upgrade, request.close) {
        ("", false) => {}
        ("", true) => out.put(b"connection: close\r\n")?,
        (protocol, _) => {
            out.put(b"connection: upgrade\r\n")?;
            FieldWriter::new(out).field("upgrade", protocol.as_bytes())?;
        }
    }
    request.fields.put(&mut FieldWriter::of_request(out))?;
    Ok(method)
}

/// RFC 9110, 9.3.6 and 9.3.8.
fn has_no_content(method: Method) -> bool {
    matches!(method, Method::Connect | Method::Trace)
}

fn put_content<'m>(method: Method, content: Content<'m>, out: &mut Outbox<'_>) -> Result<&'m [u8]> {
    // RFC 9110, 8.6: no length where nobody expects content.
    let expected = matches!(method, Method::Post | Method::Put | Method::Patch);
    match content {
        Content::Bytes([]) if !expected => {
            out.put(b"\r\n")?;
            Ok(&[])
        }
        _ if has_no_content(method) => Err(unsayable()),
        Content::Bytes(bytes) => {
            out.put(b"content-length: ")?;
            put_decimal(bytes.len() as u64, out)?;
            out.put(b"\r\n\r\n")?;
            Ok(bytes)
        }
        Content::Fill(content) => {
            out.put(b"content-length: ")?;
            fill(content, out)?;
            Ok(&[])
        }
    }
}

fn put_framing(
    method: Method,
    expect_continue: bool,
    length: Option<u64>,
    out: &mut Outbox<'_>,
) -> Result<()> {
    if has_no_content(method) {
        return Err(unsayable());
    }
    if expect_continue {
        out.put(b"expect: 100-continue\r\n")?;
    }
    match length {
        Some(length) => {
            out.put(b"content-length: ")?;
            put_decimal(length, out)?;
            out.put(b"\r\n\r\n")
        }
        None => out.put(b"transfer-encoding: chunked\r\n\r\n"),
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(request, _) => write!(f, "Whole({} {})", request.method, request.target),
            Self::Head(request, length) => {
                write!(f, "Head({} {}, {length:?})", request.method, request.target)
            }
            Self::Piece(piece) => write!(f, "Piece({} bytes)", piece.len()),
            Self::End(_) => f.write_str("End"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use super::super::to_fields::FieldLines;
    use super::*;

    const GET: RequestOut<'_> = RequestOut::new("GET", "/", "a");

    fn say(client: &mut Http1Client, message: Message<'_>) -> Result<String> {
        let (mut bytes, mut tail) = ([0; 512], 0);
        let mut out = Outbox::new(&mut bytes, &mut tail);
        let rest = client.encode(&message, &mut out)?;
        out.put(rest)?;
        client.accepted(&message);
        Ok(String::from_utf8_lossy(&bytes[..tail]).into_owned())
    }

    fn asked(request: RequestOut<'_>) -> Http1Client {
        let mut client = Http1Client::new();
        say(&mut client, Message::Whole(request, Content::Bytes(b""))).expect("legal");
        client
    }

    /// What is told of `input`, which comes in pieces of `cut` bytes, and of its end; and what is not consumed.
    fn hear(client: &mut Http1Client, input: &[u8], cut: usize) -> Result<(Vec<String>, usize)> {
        let (mut told, mut body, mut start) = (Vec::new(), String::new(), 0);
        let mut end = 0;
        loop {
            let mut unit = input[start..end].to_vec();
            let step = match unit.is_empty() && !client.under_way() {
                true => Step::NeedInput,
                false => client.decode(&mut unit, &mut Outbox::new(&mut [], &mut 0))?,
            };
            match step {
                Step::NeedInput if end < input.len() => end = (end + cut).min(input.len()),
                Step::NeedInput if !client.under_way() => break,
                Step::NeedInput if start == end && client.finished() => {}
                Step::NeedInput => return Err(Code::ReceiveFailed.into()),
                Step::Quiet(n) => start += n,
                Step::Alive(..) | Step::Goodbye(_) => panic!("there is none"),
                Step::Event(n, found) => {
                    match Http1Client::view(found, &unit[..n])? {
                        Event::Interim(head, unit) => {
                            told.push(format!(
                                "interim {} {}",
                                head.status,
                                head.fields(unit).iter().count()
                            ));
                        }
                        Event::Head(head, unit) => {
                            told.push(format!("{} {}", head.status, head.fields(unit).iter().count()));
                        }
                        Event::Piece(piece) => body.push_str(str::from_utf8(piece).expect("text")),
                        Event::End => {}
                    }
                    start += n;
                }
            }
            if client.response_is_over() && !body.is_empty() {
                told.push(std::mem::take(&mut body));
            }
        }
        Ok((told, input.len() - start))
    }

    #[test]
    fn a_request_is_written_with_its_framing() {
        let with = |request: RequestOut<'_>, content| {
            say(&mut Http1Client::new(), Message::Whole(request, Content::Bytes(content)))
        };
        assert_eq!(with(GET, b"").unwrap(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let post = RequestOut { close: true, fields: &("x", 1), ..RequestOut::new("POST", "/a?b", "a:80") };
        assert_eq!(
            with(post, b"hi").unwrap(),
            "POST /a?b HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\nx: 1\r\ncontent-length: 2\r\n\r\nhi"
        );
        assert!(with(RequestOut::new("PUT", "/", "a"), b"").unwrap().ends_with("content-length: 0\r\n\r\n"));
        let upgrade = RequestOut { upgrade: "websocket", ..GET };
        assert_eq!(
            with(upgrade, b"").unwrap(),
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        );
        assert_eq!(
            with(RequestOut::new("M-SEARCH", "http://b/x", "b"), b"").unwrap(),
            "M-SEARCH http://b/x HTTP/1.1\r\nhost: b\r\n\r\n"
        );
    }

    #[test]
    fn what_would_be_another_request_is_refused() {
        for (method, target, host) in [
            ("", "/", "a"),
            ("G T", "/", "a"),
            ("GET", "", "a"),
            ("GET", "x", "a"),
            ("GET", "/ x", "a"),
            ("GET", "/\r\nx: y", "a"),
            ("GET", "/ü", "a"),
            ("GET", "*", "a"),
            ("GET", "/", "a b"),
            ("GET", "/", "a\r\nx: y"),
            ("GET", "/", "u@a"),
            ("CONNECT", "/", "a"),
        ] {
            let message = Message::Whole(RequestOut::new(method, target, host), Content::Bytes(b""));
            let error = say(&mut Http1Client::new(), message).expect_err("illegal");
            assert_eq!(
                (error.code(), error.fault()),
                (Code::InvalidText, Fault::Local),
                "{message:?} {host}"
            );
        }
        for method in ["TRACE", "CONNECT"] {
            let request = RequestOut::new(method, if method == "TRACE" { "/" } else { "a:1" }, "a");
            let whole = Message::Whole(request, Content::Bytes(b"x"));
            assert_eq!(say(&mut Http1Client::new(), whole).unwrap_err(), Code::InvalidText);
            let head = Message::Head(request, None);
            assert_eq!(say(&mut Http1Client::new(), head).unwrap_err(), Code::InvalidText);
        }
        let lines = FieldLines::new(b"a: b\r\nHOST: b\r\n").expect("whole lines");
        let fields: [&dyn ToFields; 5] =
            [&("Host", "b"), &("connection", "close"), &[("host", "b")], &lines, &("a", "b\r\nhost: c")];
        for fields in fields {
            let request = RequestOut { fields, ..GET };
            let whole = Message::Whole(request, Content::Bytes(b""));
            assert_eq!(say(&mut Http1Client::new(), whole).unwrap_err(), Code::InvalidText);
        }
        let split = RequestOut { upgrade: "x\r\ny: z", ..GET };
        let error = say(&mut Http1Client::new(), Message::Whole(split, Content::Bytes(b""))).unwrap_err();
        assert_eq!(error, Code::InvalidText);
    }

    #[test]
    fn a_body_is_streamed_in_chunks_or_by_its_length() {
        let post = RequestOut::new("POST", "/", "a");
        let client = &mut Http1Client::new();
        assert!(
            say(client, Message::Head(post, None)).unwrap().ends_with("transfer-encoding: chunked\r\n\r\n")
        );
        assert_eq!(say(client, Message::Piece(b"")).unwrap(), "");
        assert_eq!(say(client, Message::Piece(b"0123456789abcdef")).unwrap(), "10\r\n0123456789abcdef\r\n");
        assert_eq!(say(client, Message::End(&[("t", "v")])).unwrap(), "0\r\nt: v\r\n\r\n");
        assert!(client.request_is_over() && !client.is_over());
        assert_eq!(say(client, Message::Piece(b"x")).unwrap_err(), Code::InvalidSession);

        let client = &mut Http1Client::new();
        say(client, Message::Head(post, Some(3))).unwrap();
        assert_eq!(say(client, Message::Piece(b"abcd")).unwrap_err(), Code::InvalidSession);
        assert_eq!(say(client, Message::Piece(b"ab")).unwrap(), "ab");
        assert_eq!(say(client, Message::End(&())).unwrap_err(), Code::InvalidSession);
        assert_eq!(say(client, Message::Piece(b"c")).unwrap(), "c");
        assert_eq!(say(client, Message::End(&())).unwrap(), "");
    }

    #[test]
    fn a_chunk_that_is_larger_than_the_queue_ends_with_the_next() {
        let client = &mut Http1Client::new();
        say(client, Message::Head(RequestOut::new("POST", "/", "a"), None)).unwrap();
        let (mut bytes, mut tail) = ([0; 5], 0);
        let rest = client.encode(&Message::Piece(b"hello"), &mut Outbox::new(&mut bytes, &mut tail));
        assert_eq!((rest, &bytes[..tail]), (Ok(&b"hello"[..]), &b"5\r\n"[..]));
        client.accepted(&Message::Piece(b"hello"));
        assert_eq!(say(client, Message::End(&())).unwrap(), "\r\n0\r\n\r\n");
    }

    /// Response, what is told of it, and whether another request may follow.
    type Row = (&'static str, &'static str, &'static [&'static str], bool);

    const RESPONSES: &[Row] = &[
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", &["200 1", "hi"], true),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &["200 1"], true),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\nT: v\r\n\r\n",
            &["200 1", "hi"],
            true,
        ),
        ("GET", "HTTP/1.1 200 OK\r\n\r\nuntil the end", &["200 0", "until the end"], false),
        ("GET", "HTTP/1.1 200 OK\r\n\r\n", &["200 0"], false),
        ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", &["200 1", "hi"], false),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
            &["200 2", "hi"],
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
            &["200 2", "hi"],
            false,
        ),
        // Behind the last response whatever comes is nobody's.
        (
            "GET",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi there",
            &["200 2", "hi"],
            false,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", &["204 0"], true),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", &["304 1"], true),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", &["200 1"], true),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &["200 1"], true),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", &["200 0"], true),
        (
            "POST",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            &["interim 100 0", "200 1"],
            true,
        ),
        (
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            &["interim 103 1", "204 0"],
            true,
        ),
    ];

    #[test]
    fn responses_are_read_however_they_are_cut() {
        for (method, input, told, persists) in RESPONSES {
            for cut in 1..=input.len() {
                let client = &mut asked(RequestOut::new(method, "/", "a"));
                let (heard, left) = hear(client, input.as_bytes(), cut).expect(input);
                assert_eq!(
                    (&heard[..], left),
                    (&told.iter().map(|text| String::from(*text)).collect::<Vec<_>>()[..], 0),
                    "{input:?} by {cut}"
                );
                assert_eq!(
                    (client.persists(), client.is_idle(), client.is_over()),
                    (*persists, *persists, true),
                    "{input:?}"
                );
            }
        }
    }

    #[test]
    fn a_response_that_is_cut_is_no_response() {
        for (method, input, ..) in RESPONSES.iter().filter(|row| row.3) {
            for end in 0..input.len() {
                let client = &mut asked(RequestOut::new(method, "/", "a"));
                assert_eq!(
                    hear(client, &input.as_bytes()[..end], 7).unwrap_err(),
                    Code::ReceiveFailed,
                    "{end} of {input:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_malformed_is_the_servers_fault() {
        for input in [
            "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
        ] {
            let error = hear(&mut asked(GET), input.as_bytes(), 9).expect_err(input);
            assert_eq!(
                (error.code(), error.fault(), error.wire()),
                (Code::ProtocolViolation, Fault::Peer, 502),
                "{input:?}"
            );
        }
    }

    #[test]
    fn heads_have_limits() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(300));
        let mut client = Http1Client::new().head_max(200);
        say(&mut client, Message::Whole(GET, Content::Bytes(b""))).unwrap();
        assert_eq!(hear(&mut client, long.as_bytes(), 64).unwrap_err(), Code::MessageTooLarge);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(4));
        let mut client = Http1Client::new().fields_max(3);
        say(&mut client, Message::Whole(GET, Content::Bytes(b""))).unwrap();
        assert_eq!(hear(&mut client, many.as_bytes(), 64).unwrap_err(), Code::MessageTooLarge);
        let endless = "HTTP/1.1 102 Processing\r\n\r\n".repeat(65);
        assert_eq!(hear(&mut asked(GET), endless.as_bytes(), 100).unwrap_err(), Code::ProtocolViolation);
    }

    #[test]
    fn bytes_that_nobody_asked_for_end_the_connection() {
        let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(hear(&mut Http1Client::new(), late.as_bytes(), 9).unwrap_err(), Code::ProtocolViolation);
        let two = "HTTP/1.1 204 No Content\r\n\r\n".repeat(2);
        assert_eq!(hear(&mut asked(GET), two.as_bytes(), 9).unwrap_err(), Code::ProtocolViolation);
    }

    #[test]
    fn one_exchange_follows_the_other() {
        let client = &mut asked(GET);
        let get = Message::Whole(GET, Content::Bytes(b""));
        assert_eq!(say(client, get).unwrap_err(), Code::InvalidSession);
        hear(client, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 99).unwrap();
        say(client, get).expect("the first is over");
        hear(client, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 99).unwrap();
        assert_eq!(say(client, get).unwrap_err(), Code::InvalidSession);
    }

    #[test]
    fn a_response_may_come_before_the_request_is_said() {
        let client = &mut Http1Client::new();
        say(client, Message::Head(RequestOut::new("POST", "/", "a"), None)).unwrap();
        hear(client, b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 1\r\n\r\nx", 99).unwrap();
        assert!(client.response_is_over() && !client.is_over() && client.persists());
        say(client, Message::End(&())).unwrap();
        assert!(client.is_idle());
    }

    #[test]
    fn permission_is_waited_for_until_the_server_says_something() {
        for (said, waits) in [("HTTP/1.1 100 Continue\r\n\r\n", false), ("HTTP/1.1 100", true)] {
            let client = &mut Http1Client::new();
            let post = RequestOut { expect_continue: true, ..RequestOut::new("POST", "/", "a") };
            let written = say(client, Message::Head(post, Some(1))).unwrap();
            assert!(written.contains("\r\nexpect: 100-continue\r\ncontent-length: 1\r\n"), "{written}");
            assert!(client.waits_for_permission());
            let _ = hear(client, said.as_bytes(), 99);
            assert_eq!(client.waits_for_permission(), waits);
        }
    }

    #[test]
    fn behind_an_upgrade_the_bytes_are_another_protocols() {
        let client = &mut asked(RequestOut { upgrade: "x", ..GET });
        let switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc";
        assert_eq!(hear(client, switching, 99).unwrap().1, 3);
        assert!(client.is_upgraded() && !client.under_way() && !client.is_idle());
        let client = &mut asked(RequestOut::new("CONNECT", "a:443", "a:443"));
        assert_eq!(hear(client, b"HTTP/1.1 200 OK\r\n\r\nabc", 99).unwrap().1, 3);
        assert!(client.is_upgraded());
        let client = &mut asked(RequestOut::new("CONNECT", "a:443", "a:443"));
        hear(client, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 99).unwrap();
        assert!(client.is_idle());
    }
}
