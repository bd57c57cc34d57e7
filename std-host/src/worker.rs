//! A worker: one thread, one single-threaded runtime, its own listeners, its own pool.

#[cfg(feature = "quic")]
mod quic;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll, Waker};

use netloom_core::{Clock, Code, Codec, Duration, Instant, Options, Platform, Result, Session, Timeouts};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{sleep, sleep_until};

use crate::admission::Admission;
use crate::pool::{FRAMING, Lender, Lent, Pool};
use crate::roster::{Roster, Seat};
use crate::stream::Stream;
use crate::tcp::Tcp;
use crate::timers::{Timer, Timers};
#[cfg(feature = "tls")]
use crate::tls::{HandshakeError, TlsServer, poll_unheard};

#[cfg(feature = "quic")]
pub(crate) use quic::Socket;

/// What a server's sessions run on: they stay on their worker's thread.
pub struct ServerPlatform;

impl Platform for ServerPlatform {
    type Transport = Stream<Lent>;
    type Storage = Lent;
    type Clock = WorkerClock;
}

/// A server's session.
pub type ServerSession<C> = Session<ServerPlatform, C>;

/// The worker's clock, which also knows whether the worker stops.
pub struct WorkerClock {
    guest: Rc<Guest>,
}

impl Clock for WorkerClock {
    fn now(&self) -> Instant {
        self.guest.timer.now()
    }
    #[inline]
    fn recently(&self) -> Instant {
        self.guest.timer.recently()
    }
    #[inline]
    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.guest.timer.poll_until(at, cx)
    }
    fn stopping(&self) -> bool {
        self.guest.local().stopping.get()
    }
}

/// What the server tells its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Accept no more, let sessions end, and cut those that have not by then.
    Stopping(std::time::Instant),
}

impl Phase {
    fn deadline(self) -> std::time::Instant {
        match self {
            Self::Running => std::time::Instant::now(),
            Self::Stopping(deadline) => deadline,
        }
    }
}

/// Where a worker's connections come from, and how they are secured.
pub(crate) struct Intake {
    pub(crate) source: Source,
    pub(crate) security: Security,
}

pub(crate) enum Source {
    Listener(StdListener),
    /// From the listener of the first worker.
    Handed(mpsc::Receiver<StdStream>),
}

/// How connections are secured.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    Plain,
    #[cfg(feature = "tls")]
    Tls(TlsServer),
}

/// One listener whose connections go to the workers in turn.
pub(crate) struct Distributor {
    pub(crate) listener: StdListener,
    pub(crate) workers: Vec<mpsc::Sender<StdStream>>,
}

/// What a worker is told when it is made.
pub(crate) struct Plan<N, A> {
    pub(crate) intakes: Vec<Intake>,
    #[cfg(feature = "quic")]
    pub(crate) sockets: Vec<Socket>,
    pub(crate) distributors: Vec<Distributor>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) options: Options,
    pub(crate) buffers_max: usize,
    pub(crate) codec: N,
    pub(crate) app: A,
    /// Told once the worker accepts, or why it cannot.
    pub(crate) ready: SyncSender<io::Result<()>>,
}

/// How a worker's sessions ended while it stopped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) drained: usize,
    pub(crate) aborted: usize,
}

/// Sessions that are being refused at the same time; beyond that a connection is just dropped.
const REFUSING_MAX: usize = 64;

/// How long a refused peer has to take its goodbye.
const REFUSAL: Duration = Duration::from_secs(1);

/// What is the worker's own and never leaves its thread.
struct Local {
    timers: Timers,
    reading: Rc<Lender>,
    writing: Rc<Lender>,
    roster: Roster,
    admission: Arc<Admission>,
    stopping: Cell<bool>,
    aborting: Cell<bool>,
    present: Cell<usize>,
    refusing: Cell<usize>,
    #[cfg(feature = "tls")]
    handshakes: Cell<usize>,
    tally: Cell<Tally>,
    left: Notify,
}

impl AsRef<Timers> for Local {
    fn as_ref(&self) -> &Timers {
        &self.timers
    }
}

impl Local {
    async fn all_left(&self) {
        while self.present.get() > 0 {
            self.left.notified().await;
        }
    }
}

/// A task of the worker: counted, with a seat on the roster and a timer, and with its address's ticket if it is a
/// session. On the heap, as an allocator has room for as much beside each task, whose size goes in steps of 128 bytes.
struct Guest {
    timer: Timer<Local>,
    seat: Seat,
    sits: Cell<bool>,
}

impl Guest {
    fn new(local: &Rc<Local>, address: Option<IpAddr>) -> Rc<Self> {
        local.present.set(local.present.get() + 1);
        let (timer, seat) = (Timer::new(local.clone()), local.roster.take(address));
        Rc::new(Self { timer, seat, sits: Cell::new(false) })
    }

    fn local(&self) -> &Rc<Local> {
        self.timer.worker()
    }

    fn clock(self: &Rc<Self>) -> WorkerClock {
        WorkerClock { guest: self.clone() }
    }

    /// Sits down: from now on the worker wakes the task when it stops.
    fn sit(&self, waker: &Waker) {
        if !self.sits.replace(true) {
            self.local().roster.sit(self.seat, waker);
        }
    }

    /// Another task will sit in its place.
    #[cfg(feature = "tls")]
    fn stand_up(&self) {
        self.sits.set(false);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let local = self.local();
        if let Some(address) = local.roster.leave(self.seat) {
            local.admission.leave(address);
        }
        local.present.set(local.present.get() - 1);
        if local.present.get() == 0 {
            local.left.notify_one();
        }
    }
}

/// A handshake under way, counted.
#[cfg(feature = "tls")]
struct Shaking(Rc<Local>);

#[cfg(feature = "tls")]
impl Shaking {
    fn new(local: &Rc<Local>) -> Self {
        local.handshakes.set(local.handshakes.get() + 1);
        Self(local.clone())
    }
}

#[cfg(feature = "tls")]
impl Drop for Shaking {
    fn drop(&mut self) {
        self.0.handshakes.set(self.0.handshakes.get() - 1);
    }
}

/// A session that is being refused, counted.
struct Refusing(Rc<Local>);

impl Refusing {
    fn new(local: &Rc<Local>) -> Self {
        local.refusing.set(local.refusing.get() + 1);
        Self(local.clone())
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.0.refusing.set(self.0.refusing.get() - 1);
    }
}

impl<C, N, A> Plan<N, A>
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    /// Runs until the server stops and all sessions have ended.
    pub(crate) fn run(self) -> Tally {
        let ready = self.ready.clone();
        // Whoever started the worker waits for the word; if it does not, nobody needs to know.
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.work()).unwrap_or_else(|error| {
                let _ = ready.send(Err(error));
                Tally::default()
            }),
            Err(error) => {
                let _ = ready.send(Err(error));
                Tally::default()
            }
        }
    }

    async fn work(mut self) -> io::Result<Tally> {
        // A queue holds a whole unit: the message and its framing.
        let largest = self.options.message_max.saturating_add(FRAMING);
        let (reading, writing) = Pool::lenders(largest, self.buffers_max);
        let local = Rc::new(Local {
            timers: Timers::new(),
            reading,
            writing,
            roster: Roster::default(),
            admission: self.admission.clone(),
            stopping: Cell::new(false),
            aborting: Cell::new(false),
            present: Cell::new(0),
            refusing: Cell::new(0),
            #[cfg(feature = "tls")]
            handshakes: Cell::new(0),
            tally: Cell::default(),
            left: Notify::new(),
        });
        let host =
            Rc::new(Host { local: local.clone(), codec: self.codec, app: self.app, options: self.options });
        let waker = local.clone();
        spawn_local(async move { waker.timers.run().await });
        for distributor in self.distributors {
            let listener = TcpListener::from_std(distributor.listener)?;
            spawn_local(distribute(listener, distributor.workers, local.clone()));
        }
        for intake in self.intakes {
            let security = intake.security;
            match intake.source {
                Source::Listener(listener) => {
                    let listener = TcpListener::from_std(listener)?;
                    spawn_local(accept(listener, security, host.clone()));
                }
                Source::Handed(handed) => _ = spawn_local(take_over(handed, security, host.clone())),
            }
        }
        #[cfg(feature = "quic")]
        for socket in self.sockets {
            host.drive(socket)?;
        }
        let _ = self.ready.send(Ok(()));
        drop(self.ready);
        let mut deadline = match self.phase.wait_for(|phase| *phase != Phase::Running).await {
            Ok(phase) => phase.deadline(),
            Err(_) => std::time::Instant::now(), // the server is gone without a word
        };
        local.stopping.set(true);
        local.roster.wake_all();
        loop {
            tokio::select! {
                () = local.all_left() => return Ok(local.tally.get()),
                () = sleep_until(deadline.into()), if !local.aborting.get() => {
                    local.aborting.set(true);
                    local.roster.wake_all();
                }
                Ok(()) = self.phase.changed() => deadline = self.phase.borrow_and_update().deadline(),
            }
        }
    }
}

/// What a worker needs to make a connection a session.
struct Host<N, A> {
    local: Rc<Local>,
    codec: N,
    app: A,
    options: Options,
}

impl<C, N, A> Host<N, A>
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    fn take_in(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, security: &Security) {
        match security {
            Security::Plain => self.take_in_plain(stream, peer),
            #[cfg(feature = "tls")]
            Security::Tls(tls) => self.take_in_secured(stream, peer, tls),
        }
    }

    fn take_in_plain(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        if self.local.stopping.get() {
            return self.refuse(Tcp::new(stream), peer, Code::ShuttingDown);
        }
        match self.local.admission.admit(peer.ip()) {
            Ok(()) => {
                let guest = Guest::new(&self.local, Some(peer.ip()));
                if let Some(session) = self.session(Tcp::new(stream), &guest, self.options) {
                    spawn_local(serve(self.clone(), session, guest));
                }
            }
            Err(code) => self.refuse(Tcp::new(stream), peer, code),
        }
    }

    /// A session once the handshake is done. Who comes while there is no place is dropped: nothing can be told without a
    /// handshake, and that is what there is no place for.
    #[cfg(feature = "tls")]
    fn take_in_secured(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, tls: &TlsServer) {
        let local = &self.local;
        if local.stopping.get() {
            return;
        }
        if local.handshakes.get() >= tls.handshakes_max() {
            local.admission.refused.fetch_add(1, Relaxed);
            return;
        }
        if let Err(code) = local.admission.admit(peer.ip()) {
            return tracing::debug!(code = code.name(), %peer, "refused");
        }
        let guest = Guest::new(local, Some(peer.ip()));
        let (host, tls, shaking) = (self.clone(), tls.clone(), Shaking::new(local));
        spawn_local(async move {
            let storage = (host.local.reading.lend(), host.local.writing.lend());
            let mut handshake = pin!(tls.attempt(Tcp::new(stream), storage));
            // A timer of tokio's would have the runtime woken for each.
            let late = guest.timer.now() + tls.handshake_timeout();
            let done = poll_fn(|cx| {
                guest.sit(cx.waker());
                if guest.local().stopping.get() {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(done) = handshake.as_mut().poll(cx) {
                    return Poll::Ready(Some(done));
                }
                guest.timer.poll_until(late, cx).map(|()| Some(Err((HandshakeError::late(), None))))
            });
            match done.await {
                Some(Ok(secured)) => {
                    drop(shaking);
                    // A task of its own wakes this one no more.
                    guest.stand_up();
                    if let Some(session) = host.session(secured, &guest, host.options) {
                        spawn_local(serve(host, session, guest));
                    }
                }
                Some(Err((error, io))) => {
                    guest.local().admission.handshakes_failed.fetch_add(1, Relaxed);
                    tracing::debug!(%error, code = error.error().code().name(), %peer, "handshake failed");
                    let Some(mut io) = io else { return };
                    // The alert is not to be overtaken by a reset. As long as that takes it counts as a handshake.
                    let (mut heard, until) = (0, guest.timer.now() + REFUSAL);
                    poll_fn(|cx| match guest.local().stopping.get() {
                        true => Poll::Ready(()),
                        false => match poll_unheard(&mut io, &mut heard, cx) {
                            Poll::Pending => guest.timer.poll_until(until, cx),
                            done => done,
                        },
                    })
                    .await;
                }
                None => {}
            }
        });
    }

    /// A session, unless making the codec panics: that must not end the task that accepts.
    fn session(
        &self,
        stream: impl Into<Stream<Lent>>,
        guest: &Rc<Guest>,
        options: Options,
    ) -> Option<ServerSession<C>> {
        let (local, stream) = (&self.local, stream.into());
        let queues = (local.reading.lend(), local.writing.lend());
        let open = || Session::open(stream, (self.codec)(), queues, guest.clock(), options);
        catch_unwind(AssertUnwindSafe(open)).ok()
    }

    /// A goodbye instead of a reset.
    fn refuse(self: &Rc<Self>, stream: impl Into<Stream<Lent>>, peer: SocketAddr, code: Code) {
        let local = self.local.clone();
        tracing::debug!(code = code.name(), %peer, "refused");
        if local.refusing.get() >= REFUSING_MAX {
            return;
        }
        let timeouts = Timeouts { closing: REFUSAL, ..self.options.timeouts };
        let options = Options { timeouts, ..self.options };
        let guest = Guest::new(&local, None);
        let Some(mut session) = self.session(stream, &guest, options) else { return };
        let refusing = Refusing::new(&local);
        spawn_local(async move {
            let _guards = (guest, refusing);
            session.fail(code.into());
            let _ = session.close().await; // it fails with the code, which is known
        });
    }
}

/// Runs one session to its end.
fn serve<C, N, A>(
    host: Rc<Host<N, A>>,
    session: ServerSession<C>,
    guest: Rc<Guest>,
) -> impl Future<Output = ()>
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    let mut served = Served { session, host };
    let session = async move {
        let result = (served.host.app)(&mut served.session).await;
        let closed = served.session.close().await;
        if let Err(error) = result.and(closed) {
            tracing::debug!(%error, peer = ?served.session.peer(), "session failed");
        }
    };
    Attended { guest, session }
}

pin_project_lite::pin_project! {
    /// What runs a session, until the worker cuts it.
    struct Attended<F> {
        guest: Rc<Guest>,
        #[pin]
        session: F,
    }
}

impl<F: Future<Output = ()>> Future for Attended<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.guest.sit(cx.waker());
        match this.guest.local().aborting.get() {
            true => Poll::Ready(()),
            false => this.session.poll(cx),
        }
    }
}

/// A session that is served. How it ended is told when it is dropped, which cuts it if it has not.
struct Served<C: Codec, N, A> {
    session: ServerSession<C>,
    host: Rc<Host<N, A>>,
}

impl<C: Codec, N, A> Drop for Served<C, N, A> {
    fn drop(&mut self) {
        let local = &self.host.local;
        if local.stopping.get() {
            let mut tally = local.tally.get();
            match self.session.abort(Code::ShuttingDown.into()) {
                true => tally.aborted += 1,
                false => tally.drained += 1,
            }
            local.tally.set(tally);
        }
    }
}

/// Accepts until the worker stops; then refuses who already waits in the backlog, whom closing it would reset.
async fn accept<C, N, A>(listener: TcpListener, security: Security, host: Rc<Host<N, A>>)
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    let mut incoming = Incoming::new(listener, &host.local);
    while let Some((stream, peer)) = incoming.next().await {
        host.take_in(stream, peer, &security);
    }
}

/// Accepts for all workers, in turn.
async fn distribute(listener: TcpListener, workers: Vec<mpsc::Sender<StdStream>>, local: Rc<Local>) {
    let mut incoming = Incoming::new(listener, &local);
    for worker in workers.iter().cycle() {
        let Some((stream, _)) = incoming.next().await else { return };
        let Ok(stream) = stream.into_std() else { continue };
        // A worker that is behind holds up the others: connections wait in the backlog.
        // One that is gone has told why; the others go on.
        let _ = worker.send(stream).await;
    }
}

/// Takes over what the first worker's listener accepted.
async fn take_over<C, N, A>(mut handed: mpsc::Receiver<StdStream>, security: Security, host: Rc<Host<N, A>>)
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    let _guest = Guest::new(&host.local, None); // what was handed over already is still answered
    while let Some(stream) = handed.recv().await {
        let stream = TcpStream::from_std(stream).and_then(|stream| Ok((stream.peer_addr()?, stream)));
        match stream {
            Ok((peer, stream)) => host.take_in(stream, peer, &security),
            Err(error) => tracing::debug!(%error, "a connection ended before it was served"),
        }
    }
}

/// The connections of a listener. Survives every error.
struct Incoming {
    /// None once it stops.
    listener: Option<TcpListener>,
    /// Then those who still wait in the backlog are taken from here, whatever the reactor knows of them.
    rest: Option<StdListener>,
    guest: Rc<Guest>,
    pause: Duration,
}

/// After the system ran out of something: first and longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

impl Incoming {
    fn new(listener: TcpListener, local: &Rc<Local>) -> Self {
        Self { listener: Some(listener), rest: None, guest: Guest::new(local, None), pause: PAUSES.0 }
    }

    /// The next connection; `None` when the worker stops and nobody is waiting.
    async fn next(&mut self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let accepted = poll_fn(|cx| {
                self.guest.sit(cx.waker());
                match &self.listener {
                    Some(listener) if !self.guest.local().stopping.get() => {
                        listener.poll_accept(cx).map(Some)
                    }
                    _ => Poll::Ready(None),
                }
            });
            let Some(accepted) = accepted.await else { return self.next_of_the_rest() };
            match accepted {
                Ok(connection) => {
                    self.pause = PAUSES.0;
                    return Some(connection);
                }
                Err(error) if is_the_connections(&error) => {}
                Err(error) => {
                    // Out of file descriptors or memory: connections wait in the backlog meanwhile.
                    let local = self.guest.local();
                    if local.stopping.get() {
                        return None;
                    }
                    local.admission.accept_errors.fetch_add(1, Relaxed);
                    tracing::warn!(%error, pause = ?self.pause, "cannot accept");
                    sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSES.1);
                }
            }
        }
    }
}

impl Incoming {
    fn next_of_the_rest(&mut self) -> Option<(TcpStream, SocketAddr)> {
        if let Some(listener) = self.listener.take() {
            self.rest = listener.into_std().ok();
        }
        loop {
            match self.rest.as_ref()?.accept() {
                Ok((stream, peer)) => {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    match stream {
                        Ok(stream) => return Some((stream, peer)),
                        Err(_) => continue,
                    }
                }
                Err(error) if is_the_connections(&error) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Whether the connection is at fault that was about to be accepted (accept(2), "Error handling").
fn is_the_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}
