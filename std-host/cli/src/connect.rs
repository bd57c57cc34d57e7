//! `netloom connect`: standard input to a server, its answers to standard output; over WebSocket in `websocket.rs`. Over
//! HTTP, in `http.rs`, one request and its response.
//!
//! ```text
//! stdin -> thread -> 2 chunks -> send queue -> server
//! stdout <-------------------- receive queue <---
//! ```
//!
//! Every arrow holds back the one before it, so a pipe of any length takes the same memory. Nothing waits for
//! one direction alone, so a server that answers while it is being asked never blocks.

mod http;
mod input;
mod websocket;

use std::future::ready;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use netloom::{ClientSession, CloseReason, Code, Codec, Connector, Framing, Lines, Stats, Timeouts};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::exit::{self, Failure};
use crate::secure::TlsArgs;
use crate::units;
use crate::url::{Scheme, Url};
use crate::wire::{Moved, Wire, exchange, push};
use input::{Chunk, Format};

/// Send each line of standard input as a message and print each message received as a line; or one request of HTTP.
#[derive(clap::Args)]
#[command(after_help = format!("\
tcp: when the input ends, the answers that are still to come are waited for. It is over when
  - as many messages were received as were sent (not with --until-quiet), or
  - nothing was received for --wait seconds, or
  - the server has ended the connection.

ws: the same; lines are text messages, or binary ones. How the server closes is told on stderr, and it is a failure \
unless it is with 1000, 1001 or without a code. Ctrl-C closes with 1000.

quic: the same as tcp over a stream of QUIC; /chat is the demo's room, where every message comes to all.

tls, wss, https: the same, secured. The certificate must be for the host, and vouched for by an authority that the system \
trusts or --ca names, or its key must be pinned by --pin.

http: one request; the body of its response is printed, whatever its status (but see --fail).

Examples:
  netloom connect tcp://127.0.0.1:7000                        type lines; Ctrl-D ends
  printf 'a\\nb\\n' | netloom connect tcp://127.0.0.1:7000      prints a and b
  printf 'HELP\\n' | netloom connect tcp://[::1]:25 --lines --until-quiet
  printf 'a\\nb\\n' | netloom connect ws://127.0.0.1:8080/ws    prints a and b
  netloom connect tls://127.0.0.1:7443 --pin sha256//...      the server that has that key
  netloom connect quic://127.0.0.1:7443 --insecure            whoever it is, by QUIC
  netloom connect http://127.0.0.1:8080/status                prints the body
  netloom connect http://127.0.0.1:8080/ -I                   prints the head
  netloom connect http://127.0.0.1:8080/echo -d 'a=1' -d b=2  a form
  netloom connect http://127.0.0.1:8080/echo -d @- -H 'Content-Type: text/plain' < file

{}", exit::CODES))]
pub(crate) struct Args {
    /// tcp://HOST:PORT, ws://HOST[:PORT][/PATH] or http://HOST[:PORT][/PATH]; over TLS tls://, wss:// or https://; over QUIC
    /// quic://HOST:PORT[/APPLICATION]
    url: Url,
    /// Messages are bytes behind their length in 4 bytes, big-endian; the default.
    #[arg(long, conflicts_with = "lines")]
    framed: bool,
    /// Messages are lines of UTF-8 text.
    #[arg(long)]
    lines: bool,
    /// How long connecting may take.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = units::seconds)]
    timeout: Duration,
    /// After the input has ended: how long silence means that all has come [default: 1, or 0 on a terminal]
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    wait: Option<Duration>,
    /// Do not count the answers: wait for silence or for the server to end.
    #[arg(long)]
    until_quiet: bool,
    /// Longest message, sent or received.
    #[arg(long, value_name = "BYTES", default_value = "1M", value_parser = units::bytes)]
    max_message: usize,
    #[command(flatten)]
    websocket: websocket::WebSocketArgs,
    #[command(flatten)]
    http: http::HttpArgs,
    #[command(flatten)]
    tls: TlsArgs,
}

impl Args {
    /// What is for one scheme is not for the other.
    fn check(&self) -> Result<(), Failure> {
        let codec = self.framed || self.lines;
        let messages = codec || self.until_quiet || self.wait.is_some();
        match self.url.scheme() {
            Scheme::Ws if self.http.is_given_but_fields() => {
                Err(Failure::usage("of the options of HTTP only --header and --location are for ws:// too"))
            }
            Scheme::Ws if codec => Err(Failure::usage("--framed and --lines are for tcp://")),
            Scheme::Tcp | Scheme::Http if self.websocket.is_given() => {
                Err(Failure::usage("--binary, --subprotocol, --origin and --deflate are for ws://"))
            }
            Scheme::Tcp if self.http.is_given() => {
                Err(Failure::usage("an option is for http:// only; --help says which are"))
            }
            Scheme::Http if messages => Err(Failure::usage(
                "--framed, --lines, --wait and --until-quiet are for messages, not for http://",
            )),
            Scheme::Tcp | Scheme::Ws | Scheme::Http => Ok(()),
        }
    }

    /// How long silence means that all has come.
    fn wait(&self, terminal: bool) -> Duration {
        self.wait.unwrap_or(Duration::from_secs(u64::from(!terminal)))
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    args.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        match (args.url.scheme(), args.lines) {
            (Scheme::Http, _) => http::fetch(args).await,
            (Scheme::Ws, _) => websocket::talk(args).await,
            (Scheme::Tcp, true) => talk(args, Lines::new(), Format::Lines).await,
            (Scheme::Tcp, false) => talk(args, Framing::new(), Format::Framed).await,
        }
    })
}

async fn talk<C>(args: &Args, codec: C, format: Format) -> Result<(), Failure>
where
    C: Codec,
    for<'a> C::Event<'a>: AsRef<[u8]>,
{
    // A person may think for as long as they like.
    let timeouts = Timeouts { idle: Duration::MAX, ..Timeouts::DEFAULT };
    let connector = Connector::new().timeout(args.timeout).timeouts(timeouts).message_max(args.max_message);
    let connector = args.tls.carry(connector, &args.url)?;
    let session = connector.connect(args.url.address(), Wire(codec)).await;
    let session = session.map_err(|error| Failure::connect(&error))?;
    let terminal = io::stdin().is_terminal();
    if terminal {
        eprintln!("connected to {}; Ctrl-D ends", args.url);
    }
    let talk = Talk {
        address: args.url.address(),
        session,
        input: input::read(format, args.max_message)?,
        chunk: Chunk::default(),
        phase: Phase::Asking,
        failure: None,
        output: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
        unflushed: false,
        sent: 0,
        received: 0,
        counts: !args.until_quiet,
        answers_due: format == Format::Framed,
        terminal,
        wait: args.wait(terminal),
    };
    talk.run().await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There may be more input.
    Asking,
    /// The input has ended.
    Waiting,
}

/// Why talking is over.
enum Over {
    /// Everything that was to come has come.
    Answered,
    ByPeer,
    Failed(netloom::Error),
    Output(io::Error),
}

/// What happened next.
enum Turn {
    Moved(Moved<io::Result<()>>),
    /// Nothing more has arrived for the moment.
    Pause,
    Input(Option<Result<Chunk, Failure>>),
    /// Time to look whether it is quiet.
    Look,
}

struct Talk<'a, C, W> {
    address: &'a str,
    session: ClientSession<Wire<C>>,
    input: mpsc::Receiver<Result<Chunk, Failure>>,
    /// What is being sent.
    chunk: Chunk,
    phase: Phase,
    /// Why the input ended, if not well.
    failure: Option<Failure>,
    output: W,
    unflushed: bool,
    sent: u64,
    received: u64,
    /// As many answers as messages are all answers.
    counts: bool,
    /// A peer that ends with fewer answers than messages has not taken them all.
    answers_due: bool,
    terminal: bool,
    wait: Duration,
}

impl<C, W> Talk<'_, C, W>
where
    C: Codec,
    for<'a> C::Event<'a>: AsRef<[u8]>,
    W: Write,
{
    async fn run(mut self) -> Result<(), Failure> {
        let over = self.pump().await;
        let flushed = self.output.flush();
        tracing::debug!(stats = ?self.session.stats(), "over");
        match (over, flushed) {
            (Over::Output(error), _) | (_, Err(error)) => match error.kind() {
                // Who reads our output has seen enough: `| head`.
                io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(Failure::new(format!("cannot write: {error}"))),
            },
            (Over::Failed(error), _) if error == Code::MessageTooLarge => Err(Failure::of(
                error.code(),
                self.address,
                "a message is larger than --max-message, or the server does not speak this there",
            )),
            (Over::Failed(error), _) => Err(Failure::session(error, self.address)),
            (Over::ByPeer, _) => self.ended_by_peer().await,
            (Over::Answered, _) => {
                let closed = self.session.close().await;
                match self.failure {
                    Some(failure) => Err(failure),
                    None => closed.map_err(|error| Failure::session(error, self.address)),
                }
            }
        }
    }

    /// Both directions at once, until it is over.
    async fn pump(&mut self) -> Over {
        let mut silence = Silence::new();
        let mut look = pin!(sleep_until(Instant::now()));
        loop {
            self.send();
            let blocked = !self.chunk.is_empty();
            let waiting = self.phase == Phase::Waiting;
            if waiting && !blocked && self.counts && self.received >= self.sent {
                return Over::Answered;
            }
            let turn = tokio::select! {
                biased;
                moved = exchange(&mut self.session, self.chunk.rest(), |message| {
                    print(&mut self.output, message.as_ref())
                }) => match moved {
                    Ok(moved) => Turn::Moved(moved),
                    Err(error) => return Over::Failed(error),
                },
                () = ready(()), if self.unflushed => Turn::Pause,
                next = self.input.recv(), if !blocked && !waiting => Turn::Input(next),
                () = &mut look, if !blocked && waiting => Turn::Look,
            };
            match turn {
                Turn::Moved(Moved::Ended) => return Over::ByPeer,
                Turn::Moved(Moved::Pushed(n)) => self.chunk.consume(n),
                Turn::Moved(Moved::Received(Err(error))) => return Over::Output(error),
                Turn::Moved(Moved::Received(Ok(()))) => {
                    self.received += 1;
                    self.unflushed = true;
                }
                Turn::Pause => {
                    if let Err(error) = self.output.flush() {
                        return Over::Output(error);
                    }
                    self.unflushed = false;
                }
                Turn::Input(next) => self.take(next),
                Turn::Look => {
                    if silence.lasts(&self.session.stats()) >= self.wait {
                        return Over::Answered;
                    }
                    look.as_mut().reset(Instant::now() + self.wait / LOOKS);
                }
            }
        }
    }

    /// Queues input for as long as there is some, and room.
    fn send(&mut self) {
        loop {
            let pushed = push(&mut self.session, self.chunk.rest());
            self.chunk.consume(pushed);
            if !self.chunk.is_empty() || self.phase == Phase::Waiting {
                return;
            }
            match self.input.try_recv() {
                Err(mpsc::error::TryRecvError::Empty) => return,
                Err(mpsc::error::TryRecvError::Disconnected) => self.take(None),
                Ok(next) => self.take(Some(next)),
            }
        }
    }

    fn take(&mut self, next: Option<Result<Chunk, Failure>>) {
        match next {
            Some(Ok(chunk)) => {
                self.sent += chunk.messages();
                self.chunk = chunk;
            }
            Some(Err(failure)) => {
                self.failure = Some(failure);
                self.phase = Phase::Waiting;
            }
            None => self.phase = Phase::Waiting,
        }
    }

    /// The peer has ended in order. Whether that is well depends on what it has left unread or unanswered.
    async fn ended_by_peer(mut self) -> Result<(), Failure> {
        let address = self.address;
        let lost = |why| Err(Failure::of(Code::ConnectionClosed, address, why));
        match self.session.reason() {
            Some(CloseReason::Peer) | None => {}
            Some(reason) => return lost(format!("the connection ended: {reason:?}")),
        }
        if self.terminal {
            eprintln!("{} has ended the connection", self.address);
            return Ok(());
        }
        // The end of the input may be about to be noticed.
        let rest = self.chunk.is_empty() && self.phase == Phase::Asking;
        if rest && let Ok(next) = timeout(self.wait, self.input.recv()).await {
            self.take(next);
        }
        let (sent, received) = (self.sent, self.received);
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.phase == Phase::Asking || !self.chunk.is_empty() {
            return lost("the peer has ended the connection before the input did".to_owned());
        }
        match self.answers_due && received < sent {
            true => lost(format!(
                "the peer has ended the connection after {received} answers to {sent} messages; \
                 was one too long for it?"
            )),
            false => Ok(()),
        }
    }
}

/// How often is looked during the time that silence must last.
const LOOKS: u32 = 16;

/// Since when no byte has moved. Bytes both ways count: of a long message that comes slowly, of a queue that
/// leaves slowly.
struct Silence {
    moved: u64,
    since: Instant,
}

impl Silence {
    fn new() -> Self {
        Self { moved: 0, since: Instant::now() }
    }

    fn lasts(&mut self, stats: &Stats) -> Duration {
        let moved = stats.received.bytes + stats.sent.bytes;
        if moved != self.moved {
            *self = Self { moved, since: Instant::now() };
        }
        self.since.elapsed()
    }
}

fn print(output: &mut impl Write, message: &[u8]) -> io::Result<()> {
    output.write_all(message)?;
    output.write_all(b"\n")
}
