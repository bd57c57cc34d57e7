//! One connection to a server that sends WebSocket messages back.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use netloom::http::{Http1Client, Response};
use netloom::tls::TlsClient;
use netloom::websocket::{
    self, Connect, Connected, DeflateOptions, Event, Frame, Frames, Kind, Masked, agreed, key_of, masked,
};
use netloom::{ClientSession, Code, Heap, Stream};

use super::load::{self, Answered, Job};
use super::message::Message;
use crate::exit::Failure;
use crate::request::Field;
use crate::url::Url;

/// What every connection asks for.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    authority: String,
    target: String,
    fields: Vec<Field>,
    pub(super) size: usize,
    /// Where messages are to be compressed: how to connect, and to what.
    deflated: Option<(websocket::Connector, String)>,
}

impl Endpoint {
    pub(super) fn new(url: &Url, fields: &[Field], size: usize) -> Self {
        Self {
            authority: url.authority().to_owned(),
            target: url.target().to_owned(),
            fields: fields.to_vec(),
            size,
            deflated: None,
        }
    }

    /// Finds out early what the server answers to a handshake, and its address. `deflates` is whether messages are to be
    /// compressed, which the server has to agree to.
    pub(super) async fn find(
        &mut self,
        url: &Url,
        timeout: std::time::Duration,
        tls: Option<&TlsClient>,
        deflates: bool,
    ) -> Result<Connected, Failure> {
        let mut connector = websocket::Connector::new()
            .timeout(timeout)
            .handshake_timeout(timeout)
            .message_max(self.size)
            .deflate(deflates.then(DeflateOptions::new));
        if let Some(tls) = tls {
            connector = connector.tls(tls.clone());
        }
        for field in &self.fields {
            connector = connector.header(&*field.name, &*field.value);
        }
        let text = url.to_string();
        let mut socket = connector.connect(&text).await.map_err(|error| Failure::websocket(&error))?;
        if deflates && !socket.carrier().deflates() {
            let why = "the server does not agree on permessage-deflate";
            return Err(Failure::of(Code::HandshakeFailed, &text, why));
        }
        self.deflated = deflates.then_some((connector, text));
        Ok(socket)
    }

    /// The handshake.
    async fn shake_hands(
        &self,
        mut session: ClientSession<Http1Client>,
        number: usize,
    ) -> netloom::Result<ClientSession<Frames<Masked>>> {
        let fields: Vec<_> = self.fields.iter().map(|field| (&*field.name, &*field.value)).collect();
        // It need not be unpredictable here; that it differs is enough.
        let key = key_of((number as u128).to_be_bytes());
        Connect::new(&self.authority, &self.target).fields(&&fields[..]).ask(&mut session, &key)?;
        let mut response = Response::wait(&mut session).await?;
        agreed(response.status(), response.fields(), &key, &[])?;
        Ok(session.switch(masked()))
    }
}

/// One connection: as many messages in flight as it may have.
pub(super) async fn run(
    stream: Stream<Heap>,
    number: usize,
    endpoint: &Endpoint,
    job: Job,
) -> Result<(), String> {
    let message = Message::new(number, endpoint.size);
    if let Some((connector, url)) = &endpoint.deflated {
        let socket = connector.open(stream, url).await;
        let socket = socket.map_err(|error| format!("no handshake: {error}"))?;
        return talk(Deflated { socket, message }, job).await.map_err(|error| error.to_string());
    }
    let unit = endpoint.size.saturating_add(1024);
    let first = unit.saturating_mul(usize::try_from(job.in_flight).unwrap_or(usize::MAX));
    let session = load::session_of(stream, Http1Client::new(), first, unit, endpoint.size);
    let session = endpoint.shake_hands(session, number).await;
    let session = session.map_err(|error| format!("no handshake: {error}"))?;
    let in_order = Plain { session, message, heard: 0, pong: None };
    talk(in_order, job).await.map_err(|error| error.to_string())
}

/// Messages by frames as they are.
struct Plain {
    session: ClientSession<Frames<Masked>>,
    message: Message,
    /// Bytes of the answer at hand that came and were right, or `usize::MAX` once some were wrong.
    heard: usize,
    /// What a ping is to be answered with.
    pong: Option<Vec<u8>>,
}

/// What went on.
enum Moved {
    /// An answer is all here; whether it is right.
    Answered(bool),
    /// Something that is no answer, or a part of one.
    Quiet,
    /// A message was queued.
    Sent,
    Ended,
}

/// A connection that messages are sent on, and their answers come back.
trait Line {
    /// Of a message.
    fn size(&self) -> usize;

    /// Queues the message with that number, if there is room now. None either if the session has ended, which the next
    /// `receive` tells.
    fn send(&mut self, number: u64) -> bool {
        let _ = number;
        false
    }

    /// Receives, or queues the message that did not fit before, whichever can go on; what is queued leaves meanwhile.
    async fn exchange(&mut self, answered: u64, waits: Option<u64>) -> netloom::Result<Moved>;

    async fn close(self) -> netloom::Result<()>;
}

/// As many messages in flight as there may be, until the job is done.
async fn talk(mut line: impl Line, job: Job) -> netloom::Result<()> {
    let mut now = Instant::now();
    let mut sent_at = vec![now; job.in_flight as usize].into_boxed_slice();
    let (mut sent, mut answered) = (0, 0);
    loop {
        let mut full = false;
        while !full && sent - answered < job.in_flight && !job.is_late(now, sent) {
            full = !line.send(sent);
            if !full {
                sent_at[(sent % job.in_flight) as usize] = now;
                sent += 1;
            }
        }
        if !full && sent == answered {
            return line.close().await;
        }
        match line.exchange(answered, full.then_some(sent)).await? {
            Moved::Answered(is_right) => {
                now = Instant::now();
                let took = now - sent_at[(answered % job.in_flight) as usize];
                answered += 1;
                let bytes = line.size() as u64;
                let answer = Answered { bytes, is_right, is_failure: false, other_length: false };
                job.count(now, took, answer);
            }
            Moved::Sent => {
                sent_at[(sent % job.in_flight) as usize] = now;
                sent += 1;
            }
            Moved::Quiet => {}
            Moved::Ended => return Err(Code::ConnectionClosed.into()),
        }
    }
}

impl Line for Plain {
    fn size(&self) -> usize {
        self.message.size()
    }

    fn send(&mut self, number: u64) -> bool {
        self.message.number(number);
        let payload = self.message.payload();
        self.session.try_send(Frame::message(Kind::Binary, payload)).is_ok()
    }

    async fn close(mut self) -> netloom::Result<()> {
        self.session.close().await
    }

    async fn exchange(&mut self, answered: u64, waits: Option<u64>) -> netloom::Result<Moved> {
        poll_fn(|cx| {
            if let Some(pong) = self.pong.take()
                && self.session.try_send(Frame::Pong(&pong)).is_err()
            {
                self.pong = Some(pong);
            }
            match pin!(self.session.receive()).poll(cx) {
                Poll::Ready(Ok(Some((event, _)))) => {
                    let moved = match event {
                        Event::Piece(piece) => {
                            let is_right = self.heard != usize::MAX
                                && self.message.is_part(answered, self.heard, piece.bytes);
                            self.heard = if is_right { self.heard + piece.bytes.len() } else { usize::MAX };
                            match piece.last {
                                true => {
                                    Moved::Answered(std::mem::take(&mut self.heard) == self.message.size())
                                }
                                false => Moved::Quiet,
                            }
                        }
                        Event::Ping(payload) => {
                            self.pong = Some(payload.to_vec());
                            Moved::Quiet
                        }
                        Event::Pong(_) => Moved::Quiet,
                    };
                    return Poll::Ready(Ok(moved));
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(Moved::Ended)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            // If the queue is still full the transport takes nothing, and wakes the task when it does again.
            match waits {
                Some(number) if self.send(number) => Poll::Ready(Ok(Moved::Sent)),
                _ => Poll::Pending,
            }
        })
        .await
    }
}

/// Messages that are compressed.
struct Deflated {
    socket: Connected,
    message: Message,
}

impl Line for Deflated {
    fn size(&self) -> usize {
        self.message.size()
    }

    async fn close(self) -> netloom::Result<()> {
        let mut socket = self.socket;
        socket.close(websocket::close::NORMAL, "").await
    }

    async fn exchange(&mut self, answered: u64, waits: Option<u64>) -> netloom::Result<Moved> {
        poll_fn(|cx| {
            if let Some(number) = waits {
                self.message.number(number);
                match pin!(self.socket.peer().send(self.message.payload())).poll(cx) {
                    Poll::Ready(sent) => return Poll::Ready(sent.map(|()| Moved::Sent)),
                    // The transport takes nothing for the moment, and wakes the task when it does again.
                    Poll::Pending => {}
                }
            }
            match pin!(self.socket.receive()).poll(cx) {
                Poll::Ready(Ok(Some((answer, _)))) => {
                    let is_right = self.message.is_answered(answered, answer.as_bytes());
                    Poll::Ready(Ok(Moved::Answered(is_right)))
                }
                Poll::Ready(Ok(None)) => Poll::Ready(Ok(Moved::Ended)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
