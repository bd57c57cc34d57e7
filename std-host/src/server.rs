//! A server: its options, its start, its end.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Instant;

use netloom_core::{Code, Codec, Duration, Error, Options, Result, Timeouts};
use tokio::sync::{mpsc, watch};

use crate::address::ToAddress;
use crate::admission::Admission;
use crate::listen::{self, Spread};
use crate::worker::{Distributor, Intake, Phase, Plan, Security, ServerSession, Source, Tally};

/// What a server is to be. Every option has a default.
///
/// | option | default |
/// |---|---|
/// | [`tcp`](Self::tcp), with the features of these names also `tls` and `quic` | none; at least one is needed |
/// | [`workers`](Self::workers) | the number of processors |
/// | [`spread`](Self::spread) | [`Spread::Auto`] |
/// | [`sessions_max`](Self::sessions_max) | 65,536 |
/// | [`sessions_per_address_max`](Self::sessions_per_address_max) | 16,384 |
/// | [`message_max`](Self::message_max) | 1 MiB |
/// | [`buffers_max`](Self::buffers_max) | 64 MiB per worker |
/// | [`timeouts`](Self::timeouts) | [`Timeouts::DEFAULT`] |
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before `start`"]
pub struct Builder {
    addresses: Vec<(String, Entrance)>,
    workers: usize,
    spread: Spread,
    sessions_max: usize,
    sessions_per_address_max: usize,
    buffers_max: usize,
    options: Options,
}

/// What there is at an address.
#[derive(Clone, Debug)]
enum Entrance {
    /// A listener, whose connections are secured so.
    Listener(Security),
    /// A socket of QUIC.
    #[cfg(feature = "quic")]
    Quic(crate::quic::QuicServer),
}

impl Builder {
    fn new() -> Self {
        Self {
            addresses: Vec::new(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            spread: Spread::Auto,
            sessions_max: 65_536,
            sessions_per_address_max: 16_384,
            buffers_max: 64 * 1024 * 1024,
            options: Options::DEFAULT,
        }
    }

    /// Listens on `address` too; may be called several times. A name stands for all its addresses; port 0
    /// for a free port, which [`Server::addresses`] tells. An IPv6 address takes IPv6 clients only.
    pub fn tcp(mut self, address: impl ToAddress) -> Self {
        self.addresses.push((address.to_address(), Entrance::Listener(Security::Plain)));
        self
    }

    /// Listens on `address` too, for TLS. Who does not come through the handshake is counted and gets no session.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, address: impl ToAddress, tls: crate::tls::TlsServer) -> Self {
        self.addresses.push((address.to_address(), Entrance::Listener(Security::Tls(tls))));
        self
    }

    /// Takes QUIC at `address` too: each stream that a client opens is a session. A port of UDP may have the number of one of TCP.
    #[cfg(feature = "quic")]
    pub fn quic(mut self, address: impl ToAddress, quic: crate::quic::QuicServer) -> Self {
        self.addresses.push((address.to_address(), Entrance::Quic(quic)));
        self
    }

    /// What is spoken over TLS where nothing else was said.
    #[cfg(feature = "tls")]
    pub(crate) fn speaks(&self, protocol: &str) -> Result<(), StartError> {
        for (address, entrance) in &self.addresses {
            if let Entrance::Listener(Security::Tls(tls)) = entrance {
                tls.speaks(protocol).map_err(|error| {
                    StartError::new(Code::ServerNotStarted, address, io::Error::other(error))
                })?;
            }
        }
        Ok(())
    }

    /// Threads, each with its own runtime, listener and pool of buffers; at least one.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How connections are spread over the workers.
    pub fn spread(mut self, spread: Spread) -> Self {
        self.spread = spread;
        self
    }

    /// Most sessions at a time. One more is told so in the protocol's own words
    /// ([`Code::TooManySessions`]), and counted.
    pub fn sessions_max(mut self, sessions: usize) -> Self {
        self.sessions_max = sessions;
        self
    }

    /// Most sessions at a time from one IP address. One more is told so
    /// ([`Code::TooManyFromAddress`]), and counted.
    pub fn sessions_per_address_max(mut self, sessions: usize) -> Self {
        self.sessions_per_address_max = sessions;
        self
    }

    /// Most bytes of one received message; see [`Options::message_max`].
    pub fn message_max(mut self, bytes: usize) -> Self {
        self.options.message_max = bytes;
        self
    }

    /// Most bytes that one worker lends to its sessions together, at least four of the longest messages.
    /// When all are lent out, reading waits; a session that waits longer than
    /// [`Timeouts::write_stall`] ends with [`Code::BuffersExhausted`].
    pub fn buffers_max(mut self, bytes: usize) -> Self {
        self.buffers_max = bytes;
        self
    }

    /// How long sessions wait for what.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.options.timeouts = timeouts;
        self
    }

    /// Starts the workers and returns once all addresses accept connections.
    ///
    /// `codec` makes the codec of each session. `app` serves one session; when it returns, the session is
    /// closed in order. Both are cloned into each worker; the futures that `app` makes stay there and need
    /// not be `Send`.
    ///
    /// # Errors
    /// [`Code::BindFailed`] with the address and the system's reason;
    /// [`Code::ServerNotStarted`] if there is no address, or a thread or its runtime cannot be made.
    pub fn start<C, N, A>(self, codec: N, app: A) -> Result<Server, StartError>
    where
        C: Codec + 'static,
        N: Fn() -> C + Clone + Send + 'static,
        A: AsyncFn(&mut ServerSession<C>) -> Result<()> + Clone + Send + 'static,
    {
        if self.addresses.is_empty() {
            let nothing = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
            return Err(StartError::new(Code::ServerNotStarted, "", nothing));
        }
        let by_kernel = self.spread.by_kernel() && self.workers > 1;
        let mut shares: Vec<Share> = (0..self.workers).map(|_| Share::default()).collect();
        let mut addresses = Vec::new();
        #[cfg(feature = "quic")]
        let quic: Arc<crate::quic::Counts> = Arc::default();
        let each = if by_kernel { self.workers } else { 1 };
        for (address, entrance) in &self.addresses {
            let failed = |error| StartError::new(Code::BindFailed, address, error);
            match entrance {
                Entrance::Listener(security) => {
                    for listeners in listen::bind(address, each).map_err(failed)? {
                        addresses.extend(listeners.first().and_then(|listener| listener.local_addr().ok()));
                        deal(listeners, security, &mut shares);
                    }
                }
                #[cfg(feature = "quic")]
                Entrance::Quic(server) => {
                    for sockets in listen::bind_udp(address, each.min(QUIC_WORKERS)).map_err(failed)? {
                        addresses.extend(sockets.first().and_then(|socket| socket.local_addr().ok()));
                        deal_sockets(sockets, server, &quic, &mut shares);
                    }
                }
            }
        }
        let (phase, _) = watch::channel(Phase::Running);
        let admission = Admission::new(self.sessions_max, self.sessions_per_address_max);
        let mut server = Server {
            addresses,
            workers: Vec::new(),
            phase: Arc::new(phase),
            admission: admission.clone(),
            #[cfg(feature = "quic")]
            quic,
        };
        let (ready, told) = std::sync::mpsc::sync_channel(self.workers);
        for (number, share) in shares.into_iter().enumerate() {
            let plan = Plan {
                intakes: share.intakes,
                #[cfg(feature = "quic")]
                sockets: share.sockets,
                distributors: share.distributors,
                phase: server.phase.subscribe(),
                admission: admission.clone(),
                options: self.options,
                buffers_max: self.buffers_max,
                codec: codec.clone(),
                app: app.clone(),
                ready: ready.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("netloom-{number}"));
            let worker = thread
                .spawn(move || plan.run())
                .map_err(|error| StartError::new(Code::ServerNotStarted, "", error))?;
            server.workers.push(worker);
        }
        drop(ready);
        for _ in 0..self.workers {
            let word = told.recv().unwrap_or_else(|_| Err(io::Error::other("a worker ended at once")));
            word.map_err(|error| StartError::new(Code::ServerNotStarted, "", error))?;
        }
        Ok(server)
    }
}

/// One worker's share of the connections.
#[derive(Default)]
struct Share {
    intakes: Vec<Intake>,
    distributors: Vec<Distributor>,
    #[cfg(feature = "quic")]
    sockets: Vec<crate::worker::Socket>,
}

/// One octet of a connection ID is the worker's number.
#[cfg(feature = "quic")]
const QUIC_WORKERS: usize = 256;

/// Gives each worker a socket, or one to the first: packets of a connection must stay with who has it.
#[cfg(feature = "quic")]
fn deal_sockets(
    sockets: Vec<std::net::UdpSocket>,
    server: &crate::quic::QuicServer,
    counts: &Arc<crate::quic::Counts>,
    shares: &mut [Share],
) {
    let routes = crate::quic::route(sockets.len(), counts);
    for ((socket, route), share) in sockets.into_iter().zip(routes).zip(shares) {
        let (server, counts) = (server.clone(), counts.clone());
        share.sockets.push(crate::worker::Socket { socket, route, server, counts });
    }
}

/// Gives each worker a listener, or one listener to the first, who hands on.
fn deal(mut listeners: Vec<TcpListener>, security: &Security, shares: &mut [Share]) {
    let intake = |source| Intake { source, security: security.clone() };
    if listeners.len() == shares.len() {
        for (listener, share) in listeners.into_iter().zip(shares) {
            share.intakes.push(intake(Source::Listener(listener)));
        }
    } else if let Some(listener) = listeners.pop() {
        let mut workers = Vec::with_capacity(shares.len());
        for share in shares.iter_mut() {
            let (sender, receiver) = mpsc::channel(64);
            share.intakes.push(intake(Source::Handed(receiver)));
            workers.push(sender);
        }
        shares[0].distributors.push(Distributor { listener, workers });
    }
}

/// A running server. Dropping it ends all sessions at once; [`shutdown`](Self::shutdown) lets them finish.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    workers: Vec<JoinHandle<Tally>>,
    phase: Arc<watch::Sender<Phase>>,
    admission: Arc<Admission>,
    #[cfg(feature = "quic")]
    quic: Arc<crate::quic::Counts>,
}

/// How a server's sessions ended when it was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Sessions that came to their own end.
    pub drained: usize,
    /// Sessions that were cut when the time was over.
    pub aborted: usize,
}

/// What a server has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Sessions open now.
    pub active: usize,
    /// Sessions ever opened.
    pub accepted: u64,
    /// Connections refused because of [`Builder::sessions_max`].
    pub refused: u64,
    /// Connections refused because of [`Builder::sessions_per_address_max`].
    pub refused_from_address: u64,
    /// Times that accepting paused because the system ran out of file descriptors or memory.
    pub accept_errors: u64,
    /// Connections that did not come through the handshake of TLS or QUIC.
    pub handshakes_failed: u64,
    /// Datagrams of QUIC that came to another worker than the one that has the connection, because the client had moved, and were
    /// handed over.
    pub handed_over: u64,
}

impl Server {
    /// Begins to describe a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The addresses it listens on, in the order they were given, ports as chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it has counted so far.
    pub fn stats(&self) -> ServerStats {
        let counts = &self.admission;
        let stats = ServerStats {
            active: counts.active(),
            accepted: counts.accepted.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            refused_from_address: counts.refused_from_address.load(Relaxed),
            accept_errors: counts.accept_errors.load(Relaxed),
            #[cfg(feature = "tls")]
            handshakes_failed: counts.handshakes_failed.load(Relaxed),
            #[cfg(not(feature = "tls"))]
            handshakes_failed: 0,
            handed_over: 0,
        };
        #[cfg(feature = "quic")]
        let stats = ServerStats {
            refused: stats.refused + self.quic.refused.load(Relaxed),
            handshakes_failed: stats.handshakes_failed + self.quic.handshakes_failed.load(Relaxed),
            handed_over: self.quic.handed_over.load(Relaxed),
            ..stats
        };
        stats
    }

    /// A handle that stops the server from any thread, or from a signal handler's task.
    pub fn stopper(&self) -> Stopper {
        Stopper { phase: self.phase.clone() }
    }

    /// Waits until somebody has stopped the server by a [`Stopper`] and all sessions have ended.
    /// Blocks the thread.
    ///
    /// # Panics
    /// If a worker thread panicked. (A panic in an application ends its session only.)
    pub fn wait(mut self) -> Ended {
        self.join()
    }

    /// Stops accepting, lets each session finish what it is at, and after `grace` cuts those that are left.
    /// Blocks the thread for at most about that long.
    ///
    /// # Panics
    /// If a worker thread panicked. (A panic in an application ends its session only.)
    pub fn shutdown(self, grace: Duration) -> Ended {
        self.stopper().stop(grace);
        self.wait()
    }

    fn join(&mut self) -> Ended {
        let mut ended = Ended::default();
        for worker in self.workers.drain(..) {
            match worker.join() {
                Ok(tally) => {
                    ended.drained += tally.drained;
                    ended.aborted += tally.aborted;
                }
                Err(panic) if std::thread::panicking() => drop(panic),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.workers.is_empty() {
            self.stopper().stop(Duration::ZERO);
            self.join();
        }
    }
}

/// Stops a server, from anywhere.
///
/// ```no_run
/// use std::time::Duration;
/// # use netloom::{Framing, Result, Server, ServerSession};
/// # async fn echo(_: &mut ServerSession<Framing>) -> Result<()> { Ok(()) }
///
/// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder().tcp("127.0.0.1:7000").start(Framing::new, echo)?;
/// let stopper = server.stopper();
/// std::thread::spawn(move || {
///     let _ = std::io::stdin().read_line(&mut String::new()); // or a signal: tokio::signal::ctrl_c
///     stopper.stop(Duration::from_secs(10));
/// });
/// let ended = server.wait();
/// println!("{} sessions came to their end, {} were cut", ended.drained, ended.aborted);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Stopper {
    phase: Arc<watch::Sender<Phase>>,
}

impl Stopper {
    /// Tells the workers to stop accepting and to end their sessions within `grace`. Does not wait. A second
    /// call can only shorten the time.
    pub fn stop(&self, grace: Duration) {
        let now = Instant::now();
        let deadline = now.checked_add(grace).unwrap_or(now + Duration::from_secs(365 * 86_400));
        self.phase.send_if_modified(|phase| match *phase {
            Phase::Stopping(sooner) if sooner <= deadline => false,
            _ => {
                *phase = Phase::Stopping(deadline);
                true
            }
        });
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub struct StartError {
    error: Error,
    address: String,
    source: io::Error,
}

impl StartError {
    fn new(code: Code, address: &str, source: io::Error) -> Self {
        Self { error: code.into(), address: address.to_owned(), source }
    }

    /// What went wrong, as everywhere in netloom.
    pub fn error(&self) -> Error {
        self.error
    }

    /// The address that could not be listened on; empty if it was not an address's fault.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number) = (self.error.code().name(), self.error.number());
        match self.address.is_empty() {
            true => write!(f, "{name} ({number}): {}", self.source),
            false => write!(f, "{name} ({number}): cannot listen on {}: {}", self.address, self.source),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        error.error
    }
}
