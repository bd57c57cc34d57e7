//! One thread of the load: its connections, and what it counted.

use std::cell::RefCell;
use std::io;
use std::iter::StepBy;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use netloom::{ClientSession, Code, Framing, Heap, Options, Session, Tcp, Timeouts, TokioClock};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant as TokioInstant, timeout};

use super::message::Message;
use crate::wire::{Moved, Wire, exchange, push};

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
        Self { latency, mismatches: 0, errors: 0, first_error: None, elapsed: Duration::ZERO }
    }

    pub(super) fn add(&mut self, other: Self) {
        // Both were made by `new`, so all values fit.
        self.latency.add(&other.latency).expect("the same bounds");
        self.mismatches += other.mismatches;
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

/// What a thread is to do.
pub(super) struct Load {
    pub(super) address: SocketAddr,
    /// Its connections.
    pub(super) numbers: StepBy<Range<usize>>,
    pub(super) in_flight: usize,
    pub(super) size: usize,
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
    async fn connect(&self) -> (Vec<(usize, TcpStream)>, Option<String>) {
        let (mut made, mut why) = (Vec::new(), None);
        let mut attempts = JoinSet::new();
        let mut numbers = self.numbers.clone();
        let ramp = async {
            loop {
                while attempts.len() < CONNECTING
                    && let Some(number) = numbers.next()
                {
                    let address = self.address;
                    attempts.spawn_local(async move { (number, TcpStream::connect(address).await) });
                }
                match attempts.join_next().await {
                    None => return,
                    Some(Ok((number, Ok(stream)))) => {
                        Counts::one_more(&self.counts.connected);
                        made.push((number, stream));
                    }
                    Some(Ok((_, Err(error)))) => {
                        why.get_or_insert_with(|| format!("cannot connect: {error}"));
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

    async fn work(&self, streams: Vec<(usize, TcpStream)>, span: Span, tally: &Rc<RefCell<Tally>>) {
        let mut running = JoinSet::new();
        for (number, stream) in streams {
            let connection = Connection {
                session: self.session(stream),
                message: Message::new(number, self.size),
                in_flight: self.in_flight as u64,
                messages: self.messages.unwrap_or(u64::MAX),
                span,
                tally: tally.clone(),
                counts: self.counts.clone(),
            };
            running.spawn_local(connection.run());
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

    /// As [`Connector`](netloom::Connector) makes them, but with queues for what is in flight and no more.
    fn session(&self, stream: TcpStream) -> ClientSession<Wire<Framing>> {
        let unit = self.size.saturating_add(64);
        let first = unit.saturating_mul(self.in_flight).clamp(QUEUE.0, QUEUE.1);
        let queue = || Heap::new(first, unit.max(first));
        // It is not for answers to be waited for here, but in `work`.
        let timeouts = Timeouts { idle: Duration::MAX, closing: Duration::from_secs(1), ..Timeouts::DEFAULT };
        let options = Options { message_max: self.size.max(QUEUE.0), timeouts };
        let clock = TokioClock::new(TokioInstant::now());
        Session::open(Tcp::new(stream), Wire(Framing::new()), (queue(), queue()), clock, options)
    }
}

/// One connection: as many messages in flight as it may have.
struct Connection {
    session: ClientSession<Wire<Framing>>,
    message: Message,
    in_flight: u64,
    messages: u64,
    span: Span,
    tally: Rc<RefCell<Tally>>,
    counts: Arc<Counts>,
}

impl Connection {
    async fn run(mut self) {
        let ended = self.talk().await;
        if let Err(error) = ended {
            self.tally.borrow_mut().fail(1, || error.to_string());
        }
    }

    async fn talk(&mut self) -> netloom::Result<()> {
        let mut now = Instant::now();
        let mut sent_at = vec![now; self.in_flight as usize].into_boxed_slice();
        let (mut sent, mut answered) = (0, 0);
        // Bytes of the message at hand that are queued.
        let mut queued = self.message.frame().len();
        loop {
            loop {
                if queued == self.message.frame().len() {
                    let late = self.span.until.is_some_and(|until| now >= until);
                    if late || sent == self.messages || sent - answered == self.in_flight {
                        break;
                    }
                    self.message.number(sent);
                    sent_at[(sent % self.in_flight) as usize] = now;
                    (sent, queued) = (sent + 1, 0);
                }
                let pushed = push(&mut self.session, &self.message.frame()[queued..]);
                queued += pushed;
                if pushed == 0 {
                    break;
                }
            }
            if sent == answered {
                return self.session.close().await;
            }
            let rest = &self.message.frame()[queued..];
            let receiving =
                exchange(&mut self.session, rest, |answer| self.message.is_answered(answered, answer));
            match receiving.await? {
                Moved::Received(matches) => {
                    now = Instant::now();
                    let took = now - sent_at[(answered % self.in_flight) as usize];
                    answered += 1;
                    Counts::one_more(&self.counts.answered);
                    self.span.count(now, took, matches, &mut self.tally.borrow_mut());
                }
                Moved::Pushed(more) => queued += more,
                Moved::Ended => return Err(Code::ConnectionClosed.into()),
            }
        }
    }
}

impl Span {
    #[inline]
    fn count(&self, now: Instant, took: Duration, matches: bool, tally: &mut Tally) {
        tally.mismatches += u64::from(!matches);
        if now >= self.from && self.until.is_none_or(|until| now < until) {
            tally.latency.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            tally.elapsed = now - self.from;
        }
    }
}
