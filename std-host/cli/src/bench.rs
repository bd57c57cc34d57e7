//! `netloom bench`: a load on an echo server whose every answer is compared byte for byte.
//!
//! | file | its idea |
//! |---|---|
//! | `message.rs` | a message that says whose it is, and what its answer must be |
//! | `load.rs` | one thread and its connections |
//! | `report.rs` | what came of it, for people and for programs |

mod load;
mod message;
mod report;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use netloom::{Connector, Framing};
use tokio::sync::watch;

use crate::exit::{self, Failure};
use crate::url::Url;
use crate::{files, units};
use load::{Counts, Load, Signal, Tally};
use report::Report;

/// Load an echo server, compare every answer, and say how fast it is.
#[derive(clap::Args)]
#[command(after_help = format!("\
Each message carries the numbers of its connection and of itself (from 12 bytes on), so swapped answers \
are found too. MB/s are 10^6 bytes of messages per second in one direction. A first connection that is used \
for nothing else finds the address. Connections that cannot be made are counted; the rest is measured.

Examples:
  netloom bench tcp://127.0.0.1:7000
  netloom bench tcp://127.0.0.1:7000 --connections 1 --in-flight 1       the latency of one client
  netloom bench tcp://127.0.0.1:7000 --connections 10000 --in-flight 1   many clients
  netloom bench tcp://127.0.0.1:7000 --duration 1 --json | jq .rate

{}", exit::CODES))]
pub(crate) struct Args {
    /// tcp://HOST:PORT
    url: Url,
    /// Connections at the same time.
    #[arg(short, long, value_name = "N", default_value = "50")]
    connections: NonZeroUsize,
    /// Unanswered messages on each connection.
    #[arg(short = 'n', long, value_name = "N", default_value = "16")]
    in_flight: NonZeroUsize,
    /// Length of a message.
    #[arg(short, long, value_name = "BYTES", default_value = "64", value_parser = units::bytes)]
    size: usize,
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
    #[arg(long, value_name = "N")]
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
}

impl Args {
    fn threads(&self) -> usize {
        let half = || thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        self.threads.map_or_else(half, usize::from).min(self.connections.get())
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let connections = args.connections.get();
    let files = files::raise_limit();
    if let Some(files) = files.filter(|files| *files < connections as u64 + 64) {
        eprintln!("netloom: the system allows {files} open files (ulimit -n), so some connections will fail");
    }
    let address = find(args)?;
    let (report, json) = (measure(args, address)?, args.json);
    report.print(json).map_err(|error| Failure::new(format!("cannot print: {error}")))?;
    report.verdict()
}

/// Resolves the name and finds out early whether somebody is there.
fn find(args: &Args) -> Result<SocketAddr, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let connector = Connector::new().timeout(args.timeout);
        let session = connector.connect(args.url.address(), Framing::new()).await;
        let session = session.map_err(|error| Failure::connect(&error))?;
        session.peer().ok_or_else(|| Failure::new(format!("{}: the connection was lost", args.url)))
    })
}

/// Connects with all threads, lets them begin at the same moment, and adds up what they counted.
fn measure(args: &Args, address: SocketAddr) -> Result<Report, Failure> {
    let threads = args.threads();
    let (begin, begins) = watch::channel(None);
    let (sender, signals) = mpsc::channel();
    let mut counts = Vec::with_capacity(threads);
    for number in 0..threads {
        let load = Load {
            address,
            numbers: (number..args.connections.get()).step_by(threads),
            in_flight: args.in_flight.get(),
            size: args.size,
            messages: args.messages,
            patience: args.patience,
            connecting: args.timeout + Duration::from_millis(args.connections.get() as u64),
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
    Ok(Report::new(args, connected, &tally))
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
        let connections = args.connections.get() as u64;
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
        self.bar.set_prefix(format!("{answered} messages"));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
