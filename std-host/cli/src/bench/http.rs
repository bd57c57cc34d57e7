//! One connection to a server of HTTP, and what its answers are compared with.
//!
//! Requests are the same bytes each time, and so pipelined without waiting (RFC 9112, 9.3.2). A connection that the
//! server ends in order is made again, and what was not answered is asked again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netloom::core::{Limits, Outbox, Step};
use netloom::http::{ClientEvent, ClientFound, ClientMessage, Content, Http1Client, RequestOut};
use netloom::{ClientSession, Code, Codec, Heap, Result, Stream};
use tokio::time::timeout;

use super::load::{self, Answered, Job, Shared, Target};
use crate::exit::Failure;
use crate::request::{FORM, RequestArgs};
use crate::url::Url;
use crate::wire::{Moved, Wire, exchange, push};

/// Longest body that is kept to compare others with.
const KEPT_MAX: usize = 16 * 1024 * 1024;

/// How long a connection that is made again may take.
const RECONNECT: Duration = Duration::from_secs(10);

/// A request, and what is known of its answers.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: String,
    /// The request on the wire.
    bytes: Vec<u8>,
    /// The first answer.
    pub(super) first: Answer,
    /// How alike the first two were.
    pub(super) check: Check,
}

/// What every answer is compared by. Its status is always compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The body is the same each time.
    Bytes,
    /// Bodies differ, so that only the status can be right or wrong; other lengths are counted.
    Status,
}

impl Check {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Status => "status",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) length: u64,
    /// The body, if it is not longer than [`KEPT_MAX`].
    body: Vec<u8>,
}

impl Question {
    /// The request that the command line asks for; nothing is known of its answers yet.
    pub(super) fn new(url: &Url, request: &RequestArgs, data: Option<&[u8]>) -> Result<Self, Failure> {
        let method = request.method(if data.is_some() { "POST" } else { "GET" });
        let own = ["host", "connection"];
        let mut fields: Vec<_> = (request.fields().iter())
            .filter(|field| !own.iter().any(|own| field.name.eq_ignore_ascii_case(own)))
            .map(|field| (&*field.name, &*field.value))
            .collect();
        if data.is_some() && request.field("content-type").is_none() {
            fields.push(("content-type", FORM));
        }
        let head = RequestOut {
            method,
            target: url.target(),
            host: request.field("host").unwrap_or(url.authority()),
            fields: &&*fields,
            close: request.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
            ..RequestOut::new("", "", "")
        };
        let long: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let (mut bytes, mut len) = (vec![0; url.target().len() + long + 1024], 0);
        let content = Content::Bytes(data.unwrap_or_default());
        let message = ClientMessage::Whole(head, content);
        let rest = Http1Client::new().encode(&message, &mut Outbox::new(&mut bytes, &mut len));
        let rest = rest.map_err(|error| Failure::usage(format!("no legal request: {error}")))?.to_vec();
        bytes.truncate(len);
        bytes.extend(rest);
        Ok(Self { method: method.to_owned(), bytes, first: Answer::default(), check: Check::Bytes })
    }

    /// Asks twice, on `session` and if need be on what `again` makes: the first answer, and what others are compared by.
    pub(super) async fn learn(
        &self,
        mut session: ClientSession<Wire<Answers>>,
        again: impl AsyncFn() -> Result<ClientSession<Wire<Answers>>, Failure>,
        address: &str,
    ) -> Result<(Answer, Check), Failure> {
        let failed = |error| Failure::session(error, address);
        let first = self.ask(&mut session).await.map_err(failed)?;
        if !session.codec().0.is_ready() {
            session = again().await?;
        }
        let second = self.ask(&mut session).await.map_err(failed)?;
        let check = if second == first { Check::Bytes } else { Check::Status };
        Ok((first, check))
    }

    async fn ask(&self, session: &mut ClientSession<Wire<Answers>>) -> Result<Answer> {
        let (mut answer, mut pushed) = (Answer::default(), 0);
        loop {
            let taken = exchange(session, &self.bytes[pushed..], |event| answer.add(event)).await?;
            match taken {
                Moved::Received(()) if answer.status != 0 && session.codec().0.is_answered() => {
                    return Ok(answer);
                }
                Moved::Received(()) => {}
                Moved::Pushed(n) => pushed += n,
                Moved::Ended => return Err(Code::ConnectionClosed.into()),
            }
        }
    }
}

impl Answer {
    fn add(&mut self, event: ClientEvent<'_>) {
        match event {
            ClientEvent::Head(head, _) => self.status = head.status,
            ClientEvent::Piece(piece) => {
                self.length += piece.len() as u64;
                if self.length <= KEPT_MAX as u64 {
                    self.body.extend_from_slice(piece);
                }
            }
            ClientEvent::Interim(..) | ClientEvent::End => {}
        }
    }
}

/// One answer after another, to the same request.
#[derive(Debug)]
pub(super) struct Answers {
    codec: Http1Client,
    method: String,
}

impl Answers {
    pub(super) fn new(question: &Question) -> Self {
        Self { codec: Http1Client::new(), method: question.method.clone() }
    }

    /// Whether the answer that began is complete.
    #[inline]
    fn is_answered(&self) -> bool {
        self.codec.response_is_over()
    }

    /// Whether another answer may come.
    #[inline]
    fn is_ready(&self) -> bool {
        self.codec.is_idle()
    }
}

impl Codec for Answers {
    type Found = ClientFound;
    type Event<'a> = ClientEvent<'a>;
    type Message<'a> = ();

    fn limit(&mut self, limits: Limits) {
        self.codec.limit(limits);
    }

    #[inline]
    fn decode(&mut self, input: &mut [u8], out: &mut Outbox<'_>) -> Result<Step<ClientFound>> {
        // What comes answers what was sent, and who counts knows whether it does.
        if !input.is_empty() && self.codec.is_idle() {
            let request = RequestOut::new(&self.method, "/", "");
            self.codec.accepted(&ClientMessage::Whole(request, Content::Bytes(b"")));
        }
        self.codec.decode(input, out)
    }

    #[inline]
    fn view(found: ClientFound, unit: &[u8]) -> Result<ClientEvent<'_>> {
        Http1Client::view(found, unit)
    }

    /// Requests are [`Wire`]'s.
    fn encode<'m>(&mut self, (): &(), _: &mut Outbox<'_>) -> Result<&'m [u8]> {
        Ok(&[])
    }

    fn under_way(&self) -> bool {
        !self.codec.is_idle() && self.codec.under_way()
    }

    fn finished(&mut self) -> bool {
        self.codec.finished()
    }
}

/// The answer that is being received.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    status: u16,
    length: u64,
    /// A byte was not the first answer's.
    differs: bool,
}

impl Current {
    #[inline]
    fn add(&mut self, event: ClientEvent<'_>, question: &Question) {
        match event {
            ClientEvent::Head(head, _) => self.status = head.status,
            ClientEvent::Piece(piece) => {
                if question.check == Check::Bytes {
                    self.differs |= !question.first.has(self.length, piece);
                }
                self.length += piece.len() as u64;
            }
            ClientEvent::Interim(..) | ClientEvent::End => {}
        }
    }

    #[inline]
    fn compare(&self, question: &Question) -> Answered {
        let (first, other_length) = (&question.first, self.length != question.first.length);
        let other_body = question.check == Check::Bytes && (self.differs || other_length);
        Answered {
            bytes: self.length,
            is_right: self.status == first.status && !other_body,
            is_failure: !(200..300).contains(&self.status),
            other_length: other_length && self.status == first.status,
        }
    }
}

impl Answer {
    /// Whether the body has this piece there, as far as it was kept.
    #[inline]
    fn has(&self, at: u64, piece: &[u8]) -> bool {
        if self.length > KEPT_MAX as u64 {
            return true;
        }
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.body.get(at..at.saturating_add(piece.len())) == Some(piece)
    }
}

/// Asks until it is over, or says why it could not.
pub(super) async fn run(
    mut stream: Stream<Heap>,
    target: Target,
    question: Arc<Question>,
    job: Job,
) -> Result<(), String> {
    let mut connection = Connection { question, job, sent: 0, answered: 0, now: Instant::now() };
    loop {
        let before = connection.answered;
        match connection.talk(stream).await.map_err(|error| error.to_string())? {
            Over::Done => return Ok(()),
            // A server that answers nothing would be asked for ever.
            Over::ByPeer if connection.answered == before => {
                return Err(format!("the server has ended the connection after {before} answers"));
            }
            Over::ByPeer => {}
        }
        connection.now = Instant::now();
        if connection.job.is_late(connection.now, connection.answered) {
            return Ok(());
        }
        let connecting = timeout(RECONNECT, target.connect(0, &Shared::default())).await;
        let connected = connecting.map_err(|_| format!("no connection within {RECONNECT:?}"))?;
        stream = connected.map_err(|error| format!("again: {error}"))?;
        connection.job.reconnected();
    }
}

/// Why a connection is over.
enum Over {
    Done,
    /// The server has ended it, or said that it will.
    ByPeer,
}

struct Connection {
    question: Arc<Question>,
    job: Job,
    sent: u64,
    answered: u64,
    /// When it was last looked.
    now: Instant,
}

impl Connection {
    async fn talk(&mut self, stream: Stream<Heap>) -> Result<Over> {
        let (question, in_flight) = (self.question.clone(), self.job.in_flight);
        let request = &*question.bytes;
        let first = request.len().saturating_mul(usize::try_from(in_flight).unwrap_or(usize::MAX));
        let mut session = load::session(stream, Answers::new(&question), first, HEAD_MAX, BODY_MAX);
        let mut sent_at = vec![self.now; in_flight as usize].into_boxed_slice();
        // What was not answered is sent again.
        self.sent = self.answered;
        let mut current = Current::default();
        // Bytes of the request at hand that are queued.
        let mut queued = request.len();
        loop {
            loop {
                if queued == request.len() {
                    if self.job.is_late(self.now, self.sent) || self.sent - self.answered == in_flight {
                        break;
                    }
                    sent_at[(self.sent % in_flight) as usize] = self.now;
                    (self.sent, queued) = (self.sent + 1, 0);
                }
                let pushed = push(&mut session, &request[queued..]);
                queued += pushed;
                if pushed == 0 {
                    break;
                }
            }
            if self.sent == self.answered {
                session.close().await?;
                return Ok(Over::Done);
            }
            let receiving = exchange(&mut session, &request[queued..], |event| current.add(event, &question));
            match receiving.await? {
                Moved::Received(()) => {}
                Moved::Pushed(more) => {
                    queued += more;
                    continue;
                }
                Moved::Ended => return Ok(Over::ByPeer),
            }
            let answers = &session.codec().0;
            if !answers.is_answered() || current.status == 0 {
                continue;
            }
            let persists = answers.is_ready();
            self.now = Instant::now();
            let took = self.now - sent_at[(self.answered % in_flight) as usize];
            self.answered += 1;
            self.job.count(self.now, took, current.compare(&question));
            current = Current::default();
            if !persists {
                return Ok(Over::ByPeer);
            }
        }
    }
}

/// Room for one head.
const HEAD_MAX: usize = 64 * 1024;

/// Bodies come in pieces, so their length does not matter.
const BODY_MAX: usize = usize::MAX;
