//! `netloom bench`: a load on a server whose every answer is compared, byte for byte if it can be.
//!
//! | file | its idea |
//! |---|---|
//! | `load.rs` | one thread and its connections |
//! | `echo.rs` | one connection to an echo server |
//! | `datagrams.rs` | one connection of QUIC whose datagrams come back |
//! | `message.rs` | a message that says whose it is, and what its answer must be |
//! | `websocket.rs` | the same over WebSocket |
//! | `http.rs` | one connection to a server of HTTP, and what its answers are compared with |
//! | `report.rs` | what came of it, for people and for programs |

mod datagrams;
mod echo;
mod http;
mod load;
mod message;
mod report;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use netloom::tls::TlsClient;
use netloom::{Connector, Framing};
use tokio::sync::watch;

use crate::exit::{self, Failure};
use crate::request::{self, Data, RequestArgs};
use crate::secure::TlsArgs;
use crate::url::{By, Scheme, Url};
use crate::wire::Wire;
use crate::{files, units};
use http::{Answers, Question};
use load::{Counts, Load, Signal, Tally, Target, Way, Work};
use report::Report;
use websocket::Endpoint;

/// Load a server of echo or HTTP, compare every answer, and say how fast it is.
#[derive(clap::Args)]
#[command(after_help = format!("\
Connections that cannot be made are counted; the rest is measured.

tls, wss, https: the same, secured; the handshakes are made before the load begins.

quic: the same as tcp on streams, so many on each connection as --streams says; or as --datagrams, of which those that are lost are counted, and are no failure.

tcp: each message carries the numbers of its connection and of itself (from 12 bytes on), so swapped answers \
are found too. MB/s are 10^6 bytes of messages per second in one direction. A first connection that is used \
for nothing else finds the address.

ws: the same messages, binary; the server sends each back. Each connection shakes hands when the load begins. \
With --deflate those from 128 bytes on are compressed, to some hundreds of bytes whatever their length.

http: the same request again and again, pipelined if more than one is unanswered. It is asked twice before, to \
see what answers are like: if both are the same, every answer must be, byte for byte; if not, every status. Answers \
that are not 2xx are counted. MB/s are of bodies. A connection that the server ends in order is made again.

Examples:
  netloom bench tcp://127.0.0.1:7000
  netloom bench tcp://127.0.0.1:7000 --connections 1 --in-flight 1       the latency of one client
  netloom bench tcp://127.0.0.1:7000 --connections 10000 --in-flight 1   many clients
  netloom bench ws://127.0.0.1:8080/ws --size 1k                         WebSocket
  netloom bench quic://127.0.0.1:7443 -c 4 --streams 16 --insecure       64 streams on 4 connections
  netloom bench ws://127.0.0.1:8080/ws --size 1k --deflate               the same, compressed
  netloom bench http://127.0.0.1:8080/plaintext -n 16                    HTTP, pipelined
  netloom bench http://127.0.0.1:8080/echo --data @file -H 'Content-Type: image/png'
  netloom bench http://127.0.0.1:8080/ --duration 1 --json | jq .rate

{}", exit::CODES))]
pub(crate) struct Args {
    /// tcp://HOST:PORT, ws://HOST[:PORT][/PATH] or http://HOST[:PORT][/PATH]; over TLS tls://, wss:// or https://; over QUIC
    /// quic://HOST:PORT[/APPLICATION]
    url: Url,
    /// Connections at the same time.
    #[arg(short, long, value_name = "N", default_value = "50", value_parser = units::count)]
    connections: NonZeroUsize,
    /// Streams on each connection of quic.
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::count)]
    streams: NonZeroUsize,
    /// Send datagrams instead of messages, over quic.
    #[arg(long, conflicts_with = "streams")]
    datagrams: bool,
    /// Unanswered messages or requests on each connection [default: 16, or 1 with http]
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count)]
    in_flight: Option<NonZeroUsize>,
    /// Length of a message of tcp or ws [default: 64]
    #[arg(short, long, value_name = "BYTES", value_parser = units::bytes)]
    size: Option<usize>,
    /// How long to measure.
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = units::seconds)]
    duration: Duration,
    /// How long to load the server before that.
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = units::seconds)]
    warmup: Duration,
    /// Instead of for a time, until each connection has had this many answers; without warm-up.
    #[arg(short, long, value_name = "N", conflicts_with_all = ["duration", "warmup"])]
    messages: Option<u64>,
    /// Threads of the load [default: half of the processors]
    #[arg(long, value_name = "N", value_parser = units::count)]
    threads: Option<NonZeroUsize>,
    /// How long connecting may take.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = units::seconds)]
    timeout: Duration,
    /// Give up on a server that has not answered anybody for this long.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = units::seconds)]
    patience: Duration,
    /// Print one object of JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    request: RequestArgs,
    /// What is sent with each request: text, @FILE, or @- for standard input.
    #[arg(long, value_name = "DATA", value_parser = request::data, help_heading = request::HTTP)]
    data: Option<Data>,
    /// Messages of 128 bytes and more are compressed; the server has to agree (permessage-deflate).
    #[arg(long, help_heading = request::WEBSOCKET)]
    deflate: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

impl Args {
    fn threads(&self) -> usize {
        let half = || thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        self.threads.map_or_else(half, usize::from).min(self.connections.get())
    }

    /// Sessions: a connection is one, but for QUIC's, which has as many as it has streams.
    fn sessions(&self) -> usize {
        self.connections.get().saturating_mul(self.streams.get())
    }

    fn in_flight(&self) -> usize {
        let default = if self.url.scheme() == Scheme::Http { 1 } else { 16 };
        self.in_flight.map_or(default, usize::from)
    }

    /// What is for one scheme is not for the other.
    fn check(&self) -> Result<(), Failure> {
        if self.streams.get() > 1 && self.url.by() != By::Quic {
            return Err(Failure::usage("--streams is for quic://"));
        }
        if self.datagrams && self.url.by() != By::Quic {
            return Err(Failure::usage("--datagrams is for quic://"));
        }
        if self.datagrams && self.size.is_some_and(|size| size < datagrams::SHORTEST) {
            return Err(Failure::usage(format!("a datagram has {} bytes at least", datagrams::SHORTEST)));
        }
        match self.url.scheme() {
            Scheme::Tcp | Scheme::Http if self.deflate => Err(Failure::usage("--deflate is for ws://")),
            Scheme::Tcp if self.request.is_given() || self.data.is_some() => {
                Err(Failure::usage("--request, --header and --data are for http://"))
            }
            Scheme::Ws if self.request.is_given_but_fields() || self.data.is_some() => {
                Err(Failure::usage("--request and --data are for http://"))
            }
            Scheme::Http if self.size.is_some() => Err(Failure::usage(
                "--size is for messages; the length of a request's data is that of --data",
            )),
            Scheme::Tcp | Scheme::Ws | Scheme::Http => Ok(()),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let connections = args.connections.get();
    args.check()?;
    let files = files::raise_limit();
    if let Some(files) = files.filter(|files| *files < connections as u64 + 64) {
        eprintln!("netloom: the system allows {files} open files (ulimit -n), so some connections will fail");
    }
    let tls = args.tls.client(&args.url)?;
    let (address, work) = find(args, tls.as_ref())?;
    let host = args.url.host().to_owned();
    let way = match (args.url.by(), tls) {
        (By::Quic, _) => Way::Quic(args.tls.quic(&args.url)?, host, args.streams.get()),
        (_, Some(tls)) => Way::Tls(tls, host),
        (_, None) => Way::Tcp,
    };
    let target = Target { address, way };
    let (report, json) = (measure(args, &target, &work)?, args.json);
    report.print(json).map_err(|error| Failure::new(format!("cannot print: {error}")))?;
    report.verdict()
}

/// Resolves the name, finds out early whether somebody is there, and for HTTP what they answer.
fn find(args: &Args, tls: Option<&TlsClient>) -> Result<(SocketAddr, Work), Failure> {
    let data = args.data.as_ref().map(Data::read).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let lost = || Failure::new(format!("{}: the connection was lost", args.url));
        let connector = args.tls.carry(Connector::new().timeout(args.timeout), &args.url)?;
        let address = args.url.address();
        match args.url.scheme() {
            Scheme::Tcp => {
                let session = connector.connect(address, Framing::new()).await;
                let session = session.map_err(|error| Failure::connect(&error))?;
                let size = args.size.unwrap_or(64);
                let work = if args.datagrams { Work::Datagrams { size } } else { Work::Echo { size } };
                Ok((session.peer().ok_or_else(lost)?, work))
            }
            Scheme::Ws => {
                let mut endpoint = Endpoint::new(&args.url, args.request.fields(), args.size.unwrap_or(64));
                let mut socket = endpoint.find(&args.url, args.timeout, tls, args.deflate).await?;
                let address = socket.carrier().peer().ok_or_else(lost)?;
                Ok((address, Work::WebSocket(Arc::new(endpoint))))
            }
            Scheme::Http => {
                let mut question = Question::new(&args.url, &args.request, data.as_deref())?;
                let connect = async || {
                    let session = connector.connect(address, Wire(Answers::new(&question))).await;
                    session.map_err(|error| Failure::connect(&error))
                };
                let session = connect().await?;
                let peer = session.peer().ok_or_else(lost)?;
                let learning = question.learn(session, connect, address);
                let late =
                    |_| Failure::new(format!("{}: no whole answer within {:?}", args.url, args.timeout));
                (question.first, question.check) =
                    tokio::time::timeout(args.timeout, learning).await.map_err(late)??;
                Ok((peer, Work::Http(Arc::new(question))))
            }
        }
    })
}

/// Connects with all threads, lets them begin at the same moment, and adds up what they counted.
fn measure(args: &Args, target: &Target, work: &Work) -> Result<Report, Failure> {
    let threads = args.threads();
    let (begin, begins) = watch::channel(None);
    let (sender, signals) = mpsc::channel();
    let mut counts = Vec::with_capacity(threads);
    for number in 0..threads {
        let load = Load {
            target: target.clone(),
            numbers: (number..args.sessions()).step_by(threads),
            in_flight: args.in_flight(),
            work: work.clone(),
            messages: args.messages,
            patience: args.patience,
            connecting: args.timeout + Duration::from_millis(args.sessions() as u64),
            counts: Arc::new(Counts::default()),
            begin: begins.clone(),
        };
        counts.push(load.counts.clone());
        let sender = sender.clone();
        let thread = thread::Builder::new().name(format!("load-{number}"));
        let thread = thread.spawn(move || {
            let tally = load.run(&sender);
            // The receiver lives until all have sent theirs.
            let _ = sender.send(Signal::Done(tally));
        });
        thread.map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    }
    drop(sender);

    let mut progress = Progress::new(args, counts);
    let mut tally = Tally::new();
    let (mut connected, mut ready, mut done) = (0, 0, 0);
    while done < threads {
        match signals.recv_timeout(Duration::from_millis(100)) {
            Ok(Signal::Ready(here)) => {
                (connected, ready) = (connected + here, ready + 1);
                if ready == threads {
                    let from =
                        Instant::now() + if args.messages.is_some() { Duration::ZERO } else { args.warmup };
                    let until = if args.messages.is_some() { None } else { from.checked_add(args.duration) };
                    progress.begin(from);
                    begin.send_replace(Some(load::Span { from, until }));
                }
            }
            Ok(Signal::Done(Ok(part))) => {
                tally.add(part);
                done += 1;
            }
            Ok(Signal::Done(Err(error))) => return Err(cannot_load(&error)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::new("a thread of the load panicked"));
            }
        }
        progress.tick();
    }
    progress.end();
    Ok(Report::new(args, work, connected, &tally))
}

fn cannot_load(error: &io::Error) -> Failure {
    Failure::new(format!("a thread of the load could not start: {error}"))
}

/// A bar on stderr, if that is a terminal.
struct Progress {
    bar: ProgressBar,
    counts: Vec<Arc<Counts>>,
    from: Option<Instant>,
    /// In milliseconds or messages.
    whole: u64,
    by_messages: bool,
}

impl Progress {
    fn new(args: &Args, counts: Vec<Arc<Counts>>) -> Self {
        let connections = args.sessions() as u64;
        let bar = ProgressBar::new(connections);
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} [{bar:40}] {prefix}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message("connecting");
        let millis = u64::try_from(args.duration.as_millis()).unwrap_or(u64::MAX);
        let whole = args.messages.map_or(millis, |each| each.saturating_mul(connections));
        Self { bar, counts, from: None, whole, by_messages: args.messages.is_some() }
    }

    fn begin(&mut self, from: Instant) {
        self.from = Some(from);
        self.bar.set_length(self.whole);
        self.bar.set_message("measuring");
    }

    fn tick(&self) {
        let sum = |count: fn(&Counts) -> u64| self.counts.iter().map(|counts| count(counts)).sum::<u64>();
        let (connected, answered) = (sum(Counts::connected), sum(Counts::answered));
        let Some(from) = self.from else {
            self.bar.set_position(connected);
            return self.bar.set_prefix(format!("{connected} connections"));
        };
        let elapsed = u64::try_from(from.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.bar.set_position(if self.by_messages { answered } else { elapsed.min(self.whole) });
        self.bar.set_prefix(format!("{answered} answers"));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
