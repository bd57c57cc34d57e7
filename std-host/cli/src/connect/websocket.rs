//! Messages of WebSocket: lines of standard input as messages, messages received as lines. Both directions go on at once,
//! so a server that answers while it is being asked never blocks.

use std::future::poll_fn;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use netloom::websocket::{self, Connected, DeflateOptions, Message, close};
use netloom::{CloseReason, Code, Result, Timeouts};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::input::{self, Chunk, Format};
use super::{Args, LOOKS, Over, Phase, Silence, print};
use crate::exit::Failure;
use crate::request::WEBSOCKET;

#[derive(clap::Args)]
pub(super) struct WebSocketArgs {
    /// Lines are sent as binary messages, not as text.
    #[arg(long, help_heading = WEBSOCKET)]
    binary: bool,
    /// A subprotocol that is offered; may be given several times, the best first.
    #[arg(long, value_name = "NAME", help_heading = WEBSOCKET)]
    subprotocol: Vec<String>,
    /// The page's origin, as browsers say it.
    #[arg(long, value_name = "ORIGIN", help_heading = WEBSOCKET)]
    origin: Option<String>,
    /// Messages of 128 bytes and more are compressed, if the server agrees (permessage-deflate).
    #[arg(long, help_heading = WEBSOCKET)]
    deflate: bool,
}

impl WebSocketArgs {
    /// Whether something is asked that only WebSocket knows.
    pub(super) fn is_given(&self) -> bool {
        self.binary || !self.subprotocol.is_empty() || self.origin.is_some() || self.deflate
    }
}

/// Connects, and talks until it is over.
pub(super) async fn talk(args: &Args) -> Result<(), Failure> {
    let socket = connect(args).await?;
    let terminal = io::stdin().is_terminal();
    if terminal {
        eprintln!("connected to {}; Ctrl-D ends", args.url);
    }
    let format = if args.websocket.binary { Format::Framed } else { Format::Lines };
    let talk = Talk {
        url: args.url.to_string(),
        socket,
        format,
        input: input::read(format, args.max_message)?,
        chunk: Chunk::default(),
        phase: Phase::Asking,
        failure: None,
        output: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
        sent: 0,
        received: 0,
        counts: !args.until_quiet,
        terminal,
        wait: args.wait(terminal),
    };
    talk.run().await
}

async fn connect(args: &Args) -> Result<Connected, Failure> {
    // A person may think for as long as they like; pings tell whether the server is there.
    let timeouts = Timeouts { idle: Duration::MAX, ..Timeouts::DEFAULT };
    let protocols: Vec<&str> = args.websocket.subprotocol.iter().map(|name| &*name.clone().leak()).collect(); // once in the life of the process
    let mut connector = websocket::Connector::new()
        .timeout(args.timeout)
        .handshake_timeout(args.timeout)
        .timeouts(timeouts)
        .message_max(args.max_message)
        .protocols(protocols.leak())
        .redirects(args.http.redirects())
        .deflate(args.websocket.deflate.then(DeflateOptions::new));
    if let Some(tls) = args.tls.client(&args.url)? {
        connector = connector.tls(tls);
    }
    if let Some(origin) = &args.websocket.origin {
        connector = connector.origin(origin);
    }
    for field in args.http.fields() {
        connector = connector.header(&*field.name, &*field.value);
    }
    connector.connect(&args.url.to_string()).await.map_err(|error| Failure::websocket(&error))
}

/// What happened next.
enum Turn {
    Received(io::Result<()>),
    Ended,
    Failed(netloom::Error),
    Sent(usize),
    Input(Option<Result<Chunk, Failure>>),
    /// Time to look whether it is quiet.
    Look,
    Interrupted,
}

struct Talk<W: Write> {
    url: String,
    socket: Connected,
    format: Format,
    input: mpsc::Receiver<Result<Chunk, Failure>>,
    /// What is being sent.
    chunk: Chunk,
    phase: Phase,
    /// Why the input ended, if not well.
    failure: Option<Failure>,
    output: BufWriter<W>,
    sent: u64,
    received: u64,
    /// As many answers as messages are all answers.
    counts: bool,
    terminal: bool,
    wait: Duration,
}

impl<W: Write> Talk<W> {
    async fn run(mut self) -> Result<(), Failure> {
        let over = self.pump().await;
        let flushed = self.output.flush();
        match (over, flushed) {
            (Over::Output(error), _) | (_, Err(error)) => match error.kind() {
                // Who reads our output has seen enough: `| head`.
                io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(Failure::new(format!("cannot write: {error}"))),
            },
            (Over::Failed(error), _) => Err(self.failed(error)),
            (Over::ByPeer, _) => self.ended_by_peer().await,
            (Over::Answered, _) => {
                let closed = self.socket.close(close::NORMAL, "").await;
                match self.failure.take() {
                    Some(failure) => Err(failure),
                    None => closed.map_err(|error| self.failed(error)),
                }
            }
        }
    }

    fn failed(&self, error: netloom::Error) -> Failure {
        let closing = match error.wire() {
            0 => String::new(),
            code => format!("; closed with {code}"),
        };
        Failure::of(error.code(), &self.url, format_args!("{}{closing}", error.code().text()))
    }

    /// Both directions at once, until it is over.
    async fn pump(&mut self) -> Over {
        let mut silence = Silence::new();
        let mut look = pin!(sleep_until(Instant::now()));
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        loop {
            let blocked = !self.chunk.is_empty();
            let waiting = self.phase == Phase::Waiting;
            if waiting && !blocked && self.counts && self.received >= self.sent {
                return Over::Answered;
            }
            let turn = tokio::select! {
                biased;
                turn = exchange(&mut self.socket, &self.chunk, self.format, &mut self.output) => turn,
                _ = &mut interrupted => Turn::Interrupted,
                next = self.input.recv(), if !blocked && !waiting => Turn::Input(next),
                () = &mut look, if !blocked && waiting => Turn::Look,
            };
            match turn {
                Turn::Ended => return Over::ByPeer,
                Turn::Failed(error) => return Over::Failed(error),
                Turn::Received(Err(error)) => return Over::Output(error),
                Turn::Received(Ok(())) => self.received += 1,
                Turn::Sent(n) => {
                    self.sent += 1;
                    self.chunk.consume(n);
                }
                Turn::Input(next) => self.take(next),
                Turn::Look if silence.lasts(&self.socket.peer().stats()) >= self.wait => {
                    return Over::Answered;
                }
                Turn::Look => look.as_mut().reset(Instant::now() + self.wait / LOOKS),
                Turn::Interrupted => return Over::Answered,
            }
        }
    }

    fn take(&mut self, next: Option<Result<Chunk, Failure>>) {
        match next {
            Some(Ok(chunk)) => self.chunk = chunk,
            Some(Err(failure)) => {
                self.failure = Some(failure);
                self.phase = Phase::Waiting;
            }
            None => self.phase = Phase::Waiting,
        }
    }

    /// The server has closed. Whether that is well depends on why, and on what it has left unread.
    async fn ended_by_peer(mut self) -> Result<(), Failure> {
        let why = match (self.socket.closed_with(), self.socket.carrier().reason()) {
            (Some(close::NONE), _) => "the server has closed without a code".to_owned(),
            (Some(code), _) => format!("the server has closed with {code}"),
            (None, Some(CloseReason::Peer) | None) => "the server has ended the connection".to_owned(),
            (None, Some(reason)) => format!("the connection ended: {reason:?}"),
        };
        // The end of the input may be about to be noticed.
        if self.chunk.is_empty()
            && self.phase == Phase::Asking
            && let Ok(next) = timeout(self.wait, self.input.recv()).await
        {
            self.take(next);
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let is_well =
            matches!(self.socket.closed_with(), Some(close::NORMAL | close::GOING_AWAY | close::NONE));
        let lost = |why: String| Err(Failure::of(Code::ConnectionClosed, &self.url, why));
        match is_well {
            false => lost(why),
            true if !self.terminal && (self.phase == Phase::Asking || !self.chunk.is_empty()) => {
                lost(format!("{why} before the input has ended"))
            }
            true => {
                eprintln!("{}: {why}", self.url);
                Ok(())
            }
        }
    }
}

/// Receives a message and prints it, or queues the chunk's next, whichever can go on; what is queued leaves meanwhile.
/// Cancel-safe: a message that fits the queue, which all do, is sent whole or not at all.
async fn exchange(socket: &mut Connected, chunk: &Chunk, format: Format, output: &mut impl Write) -> Turn {
    let mut flushed = false;
    poll_fn(|cx| {
        match pin!(socket.receive()).poll(cx) {
            Poll::Ready(Ok(Some((message, _)))) => {
                return Poll::Ready(Turn::Received(print(output, message.as_bytes())));
            }
            Poll::Ready(Ok(None)) => return Poll::Ready(Turn::Ended),
            Poll::Ready(Err(error)) => return Poll::Ready(Turn::Failed(error)),
            Poll::Pending => {}
        }
        // Nothing more has arrived for the moment.
        if !std::mem::replace(&mut flushed, true)
            && let Err(error) = output.flush()
        {
            return Poll::Ready(Turn::Received(Err(error)));
        }
        let Some((line, n)) = chunk.first(format) else { return Poll::Pending };
        let message = match (format, std::str::from_utf8(line)) {
            (Format::Lines, Ok(text)) => Message::Text(text),
            _ => Message::Binary(line),
        };
        match pin!(socket.peer().send(message)).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Turn::Sent(n)),
            Poll::Ready(Err(error)) => Poll::Ready(Turn::Failed(error)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
