//! One thread of the load: its connections, and what it counted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::iter::StepBy;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use netloom::quic::{Connection, Endpoint, QuicClient};
use netloom::tls::TlsClient;
use netloom::{ClientSession, Codec, Heap, Options, Session, Stream, Tcp, Timeouts, TokioClock};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant as TokioInstant, timeout};

use super::{datagrams, echo, http, websocket};
use crate::wire::Wire;

/// Connections that are being made at the same time.
const CONNECTING: usize = 64;

/// Smallest and largest queue to begin with. Ten thousand connections must fit into memory.
const QUEUE: (usize, usize) = (1024, 16 * 1024);

/// When is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Instant,
    /// `None`: until each connection has had its messages.
    pub(super) until: Option<Instant>,
}

/// What others see of a thread while it works. Written by that thread only.
#[derive(Debug, Default)]
pub(super) struct Counts {
    connected: AtomicU64,
    answered: AtomicU64,
}

impl Counts {
    pub(super) fn connected(&self) -> u64 {
        self.connected.load(Relaxed)
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    #[inline]
    fn one_more(count: &AtomicU64) {
        count.store(count.load(Relaxed) + 1, Relaxed);
    }
}

/// What a thread tells.
pub(super) enum Signal {
    /// So many connections are made.
    Ready(usize),
    Done(io::Result<Tally>),
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Tally {
    /// Nanoseconds from sending to the answer.
    pub(super) latency: Histogram<u64>,
    pub(super) mismatches: u64,
    /// Bytes of the answers.
    pub(super) bytes: u64,
    /// Answers that say themselves that they are none.
    pub(super) failures: u64,
    pub(super) other_lengths: u64,
    pub(super) reconnects: u64,
    /// Datagrams that were not answered.
    pub(super) lost: u64,
    /// Connections that ended before all was answered.
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// From the beginning of measuring to the last answer.
    pub(super) elapsed: Duration,
}

impl Tally {
    pub(super) fn new() -> Self {
        // One nanosecond to a minute, three digits; the bounds are constants that it takes.
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("legal bounds");
        Self {
            latency,
            mismatches: 0,
            bytes: 0,
            failures: 0,
            other_lengths: 0,
            reconnects: 0,
            lost: 0,
            errors: 0,
            first_error: None,
            elapsed: Duration::ZERO,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        // Both were made by `new`, so all values fit.
        self.latency.add(&other.latency).expect("the same bounds");
        self.mismatches += other.mismatches;
        self.bytes += other.bytes;
        self.failures += other.failures;
        self.other_lengths += other.other_lengths;
        self.reconnects += other.reconnects;
        self.lost += other.lost;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    fn fail(&mut self, connections: usize, why: impl FnOnce() -> String) {
        self.errors += connections as u64;
        if connections > 0 {
            self.first_error.get_or_insert_with(why);
        }
    }
}

/// What is asked of the server.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// To send messages of that length back.
    Echo {
        size: usize,
    },
    /// The same as datagrams of QUIC.
    Datagrams {
        size: usize,
    },
    Http(Arc<http::Question>),
    /// The same as echo, over WebSocket.
    WebSocket(Arc<websocket::Endpoint>),
}

/// What a connection does until its end, or why that came early.
type LocalBoxFuture = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Where the server is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) way: Way,
}

/// How to connect to it, and by what name.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Tcp,
    Tls(TlsClient, String),
    /// With so many streams on each connection.
    Quic(QuicClient, String, usize),
}

/// A thread's connections of QUIC, which its streams share.
#[derive(Clone, Default)]
pub(super) struct Shared(Rc<RefCell<HashMap<usize, Rc<OnceCell<Connection>>>>>);

impl Shared {
    async fn stream(
        &self,
        address: SocketAddr,
        quic: &QuicClient,
        host: &str,
        number: usize,
    ) -> Result<Stream<Heap>, String> {
        let place = self.0.borrow_mut().entry(number).or_default().clone();
        let connect = async || {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let any = any.parse().map_err(|error| format!("{error}"))?;
            let endpoint = Endpoint::client_at(any).map_err(|error| format!("no socket: {error}"))?;
            let connected = endpoint.connect_to(quic, host, address).await;
            connected.map_err(|error| format!("cannot connect: {error}"))
        };
        let connection = place.get_or_try_init(connect).await?;
        connection.open().await.map(Stream::from).map_err(|error| format!("no stream: {error}"))
    }
}

/// Bytes of TLS's records that a connection has room for.
const RECORDS: usize = 20 * 1024;

impl Target {
    /// The connection of that number, secured if it is to be, or a stream on one that is shared.
    pub(super) async fn connect(&self, number: usize, shared: &Shared) -> Result<Stream<Heap>, String> {
        if let Way::Quic(quic, host, streams) = &self.way {
            return shared.stream(self.address, quic, host, number / streams).await;
        }
        let stream = TcpStream::connect(self.address).await;
        let tcp = Tcp::new(stream.map_err(|error| format!("cannot connect: {error}"))?);
        let Way::Tls(tls, host) = &self.way else { return Ok(tcp.into()) };
        let records = || Heap::new(RECORDS, 4 * RECORDS);
        let secured = tls.connect(tcp, host, (records(), records())).await;
        secured.map(Stream::from).map_err(|error| format!("no TLS: {error}"))
    }
}

/// What a thread is to do.
pub(super) struct Load {
    pub(super) target: Target,
    /// Its connections.
    pub(super) numbers: StepBy<Range<usize>>,
    pub(super) in_flight: usize,
    pub(super) work: Work,
    pub(super) messages: Option<u64>,
    pub(super) patience: Duration,
    /// For all connections together.
    pub(super) connecting: Duration,
    pub(super) counts: Arc<Counts>,
    pub(super) begin: watch::Receiver<Option<Span>>,
}

impl Load {
    /// Connects, says so, waits for the beginning, and works until the end, or until nothing comes any more.
    pub(super) fn run(self, signals: &Sender<Signal>) -> io::Result<Tally> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default())?;
        runtime.block_on(async move {
            let (streams, why) = self.connect().await;
            let tally = Rc::new(RefCell::new(Tally::new()));
            tally.borrow_mut().first_error = why;
            // Whoever receives has not ended, or nobody wants to know.
            let _ = signals.send(Signal::Ready(streams.len()));
            let mut begin = self.begin.clone();
            let span = match begin.wait_for(Option::is_some).await {
                Ok(span) => *span,
                Err(_) => None,
            };
            if let Some(span) = span {
                self.work(streams, span, &tally).await;
            }
            // All tasks are gone, and their clones with them.
            Ok(tally.replace(Tally::new()))
        })
    }

    /// A number of connections at a time, for at most the time there is for it.
    async fn connect(&self) -> (Vec<(usize, Stream<Heap>)>, Option<String>) {
        let (mut made, mut why) = (Vec::new(), None);
        let shared = Shared::default();
        let mut attempts = JoinSet::new();
        let mut numbers = self.numbers.clone().enumerate();
        let ramp = async {
            loop {
                while attempts.len() < CONNECTING
                    && let Some((place, number)) = numbers.next()
                {
                    let (target, shared) = (self.target.clone(), shared.clone());
                    attempts.spawn_local(async move { (number, target.connect(place, &shared).await) });
                }
                match attempts.join_next().await {
                    None => return,
                    Some(Ok((number, Ok(stream)))) => {
                        Counts::one_more(&self.counts.connected);
                        made.push((number, stream));
                    }
                    Some(Ok((_, Err(error)))) => {
                        why.get_or_insert(error);
                    }
                    Some(Err(error)) => {
                        why.get_or_insert_with(|| error.to_string());
                    }
                }
            }
        };
        if timeout(self.connecting, ramp).await.is_err() {
            why.get_or_insert_with(|| format!("not all connected within {:?}", self.connecting));
        }
        (made, why)
    }

    async fn work(&self, streams: Vec<(usize, Stream<Heap>)>, span: Span, tally: &Rc<RefCell<Tally>>) {
        let mut running = JoinSet::new();
        for (number, stream) in streams {
            let job = Job {
                in_flight: self.in_flight as u64,
                messages: self.messages.unwrap_or(u64::MAX),
                span,
                tally: tally.clone(),
                counts: self.counts.clone(),
            };
            let tally = tally.clone();
            let work: LocalBoxFuture = match &self.work {
                Work::Echo { size } => Box::pin(echo::Connection::new(stream, number, *size, job).run()),
                Work::Datagrams { size } => Box::pin(datagrams::run(stream, number, *size, job)),
                Work::WebSocket(endpoint) => {
                    let endpoint = endpoint.clone();
                    Box::pin(async move { websocket::run(stream, number, &endpoint, job).await })
                }
                Work::Http(question) => {
                    Box::pin(http::run(stream, self.target.clone(), question.clone(), job))
                }
            };
            running.spawn_local(async move {
                if let Err(why) = work.await {
                    tally.borrow_mut().fail(1, || why);
                }
            });
        }
        let (mut seen, mut since) = (self.counts.answered(), Instant::now());
        let tick = (self.patience / 8).max(Duration::from_millis(1));
        let over = span.until.and_then(|until| until.checked_add(self.patience));
        while !running.is_empty() {
            if let Ok(ended) = timeout(tick, running.join_next()).await {
                if let Some(Err(error)) = ended {
                    tally.borrow_mut().fail(1, || error.to_string());
                }
                continue;
            }
            let (answered, now) = (self.counts.answered(), Instant::now());
            if answered != seen {
                (seen, since) = (answered, now);
            }
            if now.duration_since(since) >= self.patience || over.is_some_and(|over| now >= over) {
                let patience = self.patience;
                let why = || format!("answers were missing after {patience:?}");
                tally.borrow_mut().fail(running.len(), why);
                running.shutdown().await;
            }
        }
    }
}

/// What a connection is to do, and where it counts.
pub(super) struct Job {
    pub(super) in_flight: u64,
    pub(super) messages: u64,
    pub(super) span: Span,
    tally: Rc<RefCell<Tally>>,
    counts: Arc<Counts>,
}

impl Job {
    /// Whether nothing more is to be sent.
    #[inline]
    pub(super) fn is_late(&self, now: Instant, sent: u64) -> bool {
        sent == self.messages || self.span.until.is_some_and(|until| now >= until)
    }

    /// An answer came at `now`.
    #[inline]
    pub(super) fn count(&self, now: Instant, took: Duration, answer: Answered) {
        Counts::one_more(&self.counts.answered);
        let mut tally = self.tally.borrow_mut();
        tally.mismatches += u64::from(!answer.is_right);
        if now >= self.span.from && self.span.until.is_none_or(|until| now < until) {
            tally.latency.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            tally.elapsed = now - self.span.from;
            tally.bytes += answer.bytes;
            tally.failures += u64::from(answer.is_failure);
            tally.other_lengths += u64::from(answer.other_length);
        }
    }

    /// So many datagrams were not answered.
    pub(super) fn lose(&self, datagrams: usize) {
        self.tally.borrow_mut().lost += datagrams as u64;
    }

    /// The connection was made again.
    pub(super) fn reconnected(&self) {
        self.tally.borrow_mut().reconnects += 1;
    }
}

/// What is counted of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// Of message or body.
    pub(super) bytes: u64,
    pub(super) is_right: bool,
    /// It says itself that it is none: a status that is not 2xx.
    pub(super) is_failure: bool,
    /// It is not as long as the first, where answers differ.
    pub(super) other_length: bool,
}

/// A session as [`Connector`](netloom::Connector) makes them, but with queues for what is in flight and no more:
/// `first` bytes to begin with, and room for one `unit`.
pub(super) fn session<C: Codec>(
    stream: Stream<Heap>,
    codec: C,
    first: usize,
    unit: usize,
    message_max: usize,
) -> ClientSession<Wire<C>> {
    session_of(stream, Wire(codec), first, unit, message_max)
}

/// The same for a codec that encodes what is sent.
pub(super) fn session_of<C: Codec>(
    stream: Stream<Heap>,
    codec: C,
    first: usize,
    unit: usize,
    message_max: usize,
) -> ClientSession<C> {
    let first = first.clamp(QUEUE.0, QUEUE.1);
    let queue = || Heap::new(first, unit.max(first));
    // It is not for answers to be waited for here, but in `work`.
    let timeouts = Timeouts { idle: Duration::MAX, closing: Duration::from_secs(1), ..Timeouts::DEFAULT };
    let options = Options { message_max: message_max.max(QUEUE.0), timeouts, ..Options::DEFAULT };
    let clock = TokioClock::new(TokioInstant::now());
    Session::open(stream, codec, (queue(), queue()), clock, options)
}
