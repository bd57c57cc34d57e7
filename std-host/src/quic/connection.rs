//! What an application holds of a connection, and what the driver shares with it.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use netloom_core::{Code, Duration, PathStats, Result, Secured};
use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::{Dir, SendDatagramError, StreamEvent, StreamId, VarInt};
use rustc_hash::FxHashMap;
use rustls::pki_types::CertificateDer;

use super::fault::Lost;
use super::settings::Settings;
use super::stream::{OneWay, Stream};

/// Connections with something to do, and the driver that does it.
#[derive(Default)]
pub(super) struct Ready {
    list: Mutex<ReadyList>,
}

#[derive(Default)]
pub(super) struct ReadyList {
    pub(super) connections: Vec<usize>,
    /// The endpoint wants something.
    pub(super) asked: bool,
    /// The endpoint is gone.
    pub(super) closed: bool,
    pub(super) driver: Option<Waker>,
}

impl Ready {
    pub(super) fn list(&self) -> MutexGuard<'_, ReadyList> {
        // Nothing under this lock, or under a connection's, is half done when it panics.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something and has the driver look.
    pub(super) fn tell(&self, change: impl FnOnce(&mut ReadyList)) {
        let mut list = self.list();
        change(&mut list);
        let driver = list.driver.take();
        drop(list);
        wake(driver);
    }
}

/// One connection, between the driver and the handles.
pub(super) struct Shared {
    state: Mutex<State>,
    ready: Arc<Ready>,
    /// Connections and streams that an application holds.
    handles: AtomicUsize,
    /// One of them waits to be the last.
    watched: AtomicBool,
    /// Known once the handshake is done.
    known: OnceLock<Known>,
}

/// What is known of the peer.
#[derive(Default)]
struct Known {
    certificate: Option<CertificateDer<'static>>,
    protocol: Option<Vec<u8>>,
    server_name: Option<String>,
}

pub(super) struct State {
    pub(super) proto: quinn_proto::Connection,
    pub(super) handle: usize,
    /// On the ready list.
    pub(super) listed: bool,
    /// This connection's entry among the driver's timers.
    pub(super) armed: Option<Instant>,
    /// The handshake must be done by then.
    pub(super) late: Option<Instant>,
    /// Asked for by a handle; the driver, who knows the time, does it.
    pub(super) close: Option<(VarInt, Bytes)>,
    pub(super) lost: Option<Lost>,
    pub(super) connected: bool,
    /// To who accepts.
    pub(super) shown: bool,
    /// The driver knows that it is closed.
    pub(super) settled: bool,
    /// What was passed on made something to send.
    pub(super) has_more: bool,
    /// Most streams that the peer may ever have open at a time, in each direction.
    streams_max: [u32; 2],
    /// Early data was sent and not accepted: its streams never were.
    rejected: bool,
    pub(super) streams: FxHashMap<StreamId, Wakers>,
    /// Those who wait to connect, to open, for a datagram, for delivery: few, so one list.
    waiters: Vec<Waker>,
    /// Those who wait for streams of the peer: woken far more often.
    accepts: [Option<Waker>; 2],
}

/// Who waits for a stream.
#[derive(Default)]
pub(super) struct Wakers {
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// Whom a connection's events were passed on to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    Nobody,
    /// Who waited on a stream, or for the connection.
    Waiter,
    /// Who waited for streams.
    Acceptor,
}

pub(super) fn wake(waker: Option<Waker>) -> Told {
    let Some(waker) = waker else { return Told::Nobody };
    waker.wake();
    Told::Waiter
}

pub(super) fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

impl State {
    /// Tells whom the connection's events concern.
    fn pass_on(&mut self, known: &OnceLock<Known>) -> Told {
        let mut told = Told::Nobody;
        while let Some(event) = self.proto.poll() {
            let now_told = match event {
                quinn_proto::Event::Stream(event) => self.pass_on_of_stream(event),
                quinn_proto::Event::Connected => {
                    self.connected = true;
                    self.late = None;
                    let _ = known.set(Known::of(&self.proto));
                    self.rejected =
                        self.proto.side().is_client() && self.proto.has_0rtt() && !self.proto.accepted_0rtt();
                    self.wake_all()
                }
                quinn_proto::Event::ConnectionLost { reason } => {
                    self.lose(Lost::from_quic(reason, self.connected));
                    Told::Waiter
                }
                quinn_proto::Event::DatagramReceived | quinn_proto::Event::DatagramsUnblocked => {
                    self.wake_waiters()
                }
                quinn_proto::Event::HandshakeDataReady => Told::Nobody,
            };
            told = told.max(now_told);
        }
        told
    }

    fn pass_on_of_stream(&mut self, event: StreamEvent) -> Told {
        match event {
            StreamEvent::Readable { id } => wake(self.streams.get_mut(&id).and_then(|who| who.reader.take())),
            StreamEvent::Writable { id } => wake(self.streams.get_mut(&id).and_then(|who| who.writer.take())),
            StreamEvent::Stopped { id, .. } => {
                let writer = wake(self.streams.get_mut(&id).and_then(|who| who.writer.take()));
                writer.max(self.wake_waiters())
            }
            StreamEvent::Opened { dir } => {
                self.make_places(dir);
                match wake(self.accepts[dir as usize].take()) {
                    Told::Nobody => Told::Nobody,
                    _ => Told::Acceptor,
                }
            }
            StreamEvent::Finished { .. } | StreamEvent::Available { .. } => self.wake_waiters(),
        }
    }

    /// Twice as many places for streams of the peer as there are, if half of them are taken.
    fn make_places(&mut self, dir: Dir) {
        let (places, most) =
            (self.proto.max_concurrent_streams(dir), u64::from(self.streams_max[dir as usize]));
        if places < most && self.proto.streams().remote_open_streams(dir) * 2 >= places {
            let more = u32::try_from(most.min(places * 2)).unwrap_or(u32::MAX);
            self.proto.set_max_concurrent_streams(dir, more.into());
            self.has_more = true;
        }
    }

    /// It is over: everybody learns.
    pub(super) fn lose(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
        self.wake_all();
    }

    fn wake_all(&mut self) -> Told {
        let mut told = self.wake_waiters();
        for place in &mut self.accepts {
            told = told.max(wake(place.take()));
        }
        for who in self.streams.values_mut() {
            told = told.max(wake(who.reader.take())).max(wake(who.writer.take()));
        }
        told
    }

    fn wake_waiters(&mut self) -> Told {
        self.waiters.drain(..).fold(Told::Nobody, |_, waiter| wake(Some(waiter)))
    }

    pub(super) fn alive(&self) -> Result<()> {
        self.lost.as_ref().map_or(Ok(()), |lost| Err(lost.error()))
    }

    /// Whether streams that were opened as early data are as good as never opened.
    pub(super) fn is_rejected(&self) -> bool {
        self.rejected
    }
}

impl Known {
    fn of(proto: &quinn_proto::Connection) -> Self {
        let session = proto.crypto_session();
        let certificate = session
            .peer_identity()
            .and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok())
            .and_then(|chain| chain.into_iter().next());
        let data = session.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        let (protocol, server_name) = data.map_or((None, None), |data| (data.protocol, data.server_name));
        Self { certificate, protocol, server_name }
    }
}

impl Shared {
    pub(super) fn new(
        proto: quinn_proto::Connection,
        handle: usize,
        late: Instant,
        ready: Arc<Ready>,
        settings: &Settings,
    ) -> Arc<Self> {
        let state = State {
            proto,
            handle,
            listed: false,
            armed: None,
            late: Some(late),
            close: None,
            lost: None,
            connected: false,
            shown: false,
            settled: false,
            streams_max: [settings.streams_max, settings.one_way_streams_max],
            has_more: false,
            rejected: false,
            streams: FxHashMap::default(),
            waiters: Vec::new(),
            accepts: [None, None],
        };
        Arc::new(Self {
            state: Mutex::new(state),
            ready,
            handles: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
            known: OnceLock::new(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whom the connection's events concern.
    pub(super) fn pass_on(&self, state: &mut State) -> Told {
        state.pass_on(&self.known)
    }

    /// Puts it on the list; for the driver, which reads that by itself.
    pub(super) fn list(&self, mut state: MutexGuard<'_, State>) {
        if !mem::replace(&mut state.listed, true) {
            let handle = state.handle;
            drop(state);
            self.ready.list().connections.push(handle);
        }
    }

    /// Changes the connection and, if `act` says so, has the driver look at it.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State) -> (R, bool)) -> R {
        let mut state = self.state();
        let (result, changed) = act(&mut state);
        if changed && !state.listed {
            state.listed = true;
            let handle = state.handle;
            drop(state);
            self.ready.tell(|list| list.connections.push(handle));
        }
        result
    }
}

/// A connection; clones are the same one. Streams keep it open: it is closed with code 0 when the last of all is dropped.
pub struct Connection {
    pub(super) shared: Arc<Shared>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.handles.fetch_add(1, Ordering::Relaxed);
        Self { shared }
    }

    /// Waits until `act` finds something or the connection is lost.
    async fn wait<R>(&self, mut act: impl FnMut(&mut State) -> Option<R>) -> Result<R> {
        poll_fn(|cx| self.poll_wait(cx, &mut act)).await
    }

    fn poll_wait<R>(
        &self,
        cx: &mut Context<'_>,
        act: &mut impl FnMut(&mut State) -> Option<R>,
    ) -> Poll<Result<R>> {
        self.shared.with(|state| {
            if let Some(found) = act(state) {
                return (Poll::Ready(Ok(found)), true);
            }
            if let Err(error) = state.alive() {
                return (Poll::Ready(Err(error)), false);
            }
            if !state.waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiters.push(cx.waker().clone());
            }
            (Poll::Pending, false)
        })
    }

    /// Ready when no stream of it is held and all was delivered that was sent on those that are ended, or when it is lost.
    pub(crate) fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.watched.store(true, Ordering::SeqCst);
        let mut done = |state: &mut State| {
            let alone = self.shared.handles.load(Ordering::SeqCst) == 1;
            (alone && state.proto.streams().send_streams() == 0).then_some(())
        };
        self.poll_wait(cx, &mut done).map(|_| ())
    }

    /// Waits for the handshake. A stream that is opened waits for it by itself. Cancel-safe.
    ///
    /// Says whether early data was accepted; if not, all streams that were opened before fail.
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`] and TLS's codes behind it, [`Code::ConnectionTimeout`], [`Code::ConnectionRefused`].
    pub async fn established(&self) -> Result<bool> {
        self.wait(|state| (state.connected && state.lost.is_none()).then(|| state.proto.accepted_0rtt()))
            .await
    }

    /// Opens a stream that both ends write to, as soon as the peer allows one more. The peer learns of it by the first byte.
    /// Cancel-safe.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn open(&self) -> Result<Stream> {
        let (id, early) = self.wait(|state| open(state, Dir::Bi)).await?;
        Ok(Stream::new(self.clone(), id, OneWay::No, early))
    }

    /// Opens a stream that only we write to. Reading from it is at the end at once. Cancel-safe.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn open_one_way(&self) -> Result<Stream> {
        let (id, early) = self.wait(|state| open(state, Dir::Uni)).await?;
        Ok(Stream::new(self.clone(), id, OneWay::Ours, early))
    }

    /// The peer's next stream that both ends write to. Cancel-safe; only one task may wait.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn accept(&self) -> Result<Stream> {
        let (id, early) = poll_fn(|cx| self.poll_accept(cx, Dir::Bi)).await?;
        Ok(Stream::new(self.clone(), id, OneWay::No, early))
    }

    /// The peer's next stream that only it writes to. Cancel-safe; only one task may wait.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn accept_one_way(&self) -> Result<Stream> {
        let (id, early) = poll_fn(|cx| self.poll_accept(cx, Dir::Uni)).await?;
        Ok(Stream::new(self.clone(), id, OneWay::Theirs, early))
    }

    /// The peer's next stream of either kind.
    pub(crate) fn poll_accept_any(&self, cx: &mut Context<'_>) -> Poll<Result<Stream>> {
        for (dir, one_way) in [(Dir::Bi, OneWay::No), (Dir::Uni, OneWay::Theirs)] {
            if let Poll::Ready(accepted) = self.poll_accept(cx, dir) {
                let stream = accepted.map(|(id, early)| Stream::new(self.clone(), id, one_way, early));
                return Poll::Ready(stream);
            }
        }
        Poll::Pending
    }

    fn poll_accept(&self, cx: &mut Context<'_>, dir: Dir) -> Poll<Result<(StreamId, bool)>> {
        self.shared.with(|state| {
            if let Err(error) = state.alive() {
                return (Poll::Ready(Err(error)), false);
            }
            let early = !state.connected;
            match state.proto.streams().accept(dir) {
                // The peer may open another when this one has ended, not before: there is nothing to send.
                Some(id) => (Poll::Ready(Ok((id, early))), false),
                None => {
                    keep(&mut state.accepts[dir as usize], cx);
                    (Poll::Pending, false)
                }
            }
        })
    }

    /// Sends a datagram (RFC 9221): it may be lost, or overtaken. The oldest that wait are lost first when there are too many.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`] (see [`datagram_max`](Self::datagram_max)), [`Code::Unsupported`] by the peer or
    /// [here](super::Settings::datagram_buffer), or why the connection was lost.
    pub fn send_datagram(&self, bytes: impl Into<Bytes>) -> Result<()> {
        let bytes = bytes.into();
        self.shared.with(|state| {
            if let Err(error) = state.alive() {
                return (Err(error), false);
            }
            let sent = state.proto.datagrams().send(bytes, true).map_err(|error| match error {
                SendDatagramError::TooLarge => Code::MessageTooLarge.into(),
                SendDatagramError::Blocked(_) => Code::BufferFull.into(),
                SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => {
                    Code::Unsupported.into()
                }
            });
            (sent, true)
        })
    }

    /// Most bytes of one datagram now; grows when the path turns out to take larger packets. `None` if the peer takes none.
    pub fn datagram_max(&self) -> Option<usize> {
        self.shared.state().proto.datagrams().max_size()
    }

    /// The next datagram. Cancel-safe.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn receive_datagram(&self) -> Result<Bytes> {
        self.wait(|state| state.proto.datagrams().recv()).await
    }

    /// What was measured on the way to the peer; a session on one of its streams tells it in its
    /// [statistics](netloom_core::Stats::path) too.
    pub fn stats(&self) -> PathStats {
        measured(&self.shared.state().proto)
    }

    /// The same, once the handshake is done: until then the round trip is a guess (RFC 9002, 6.2.2).
    pub(super) fn path(&self) -> Option<PathStats> {
        let state = self.shared.state();
        state.connected.then(|| measured(&state.proto))
    }

    /// The peer's address, which changes when the peer moves (RFC 9000, 9).
    pub fn peer(&self) -> SocketAddr {
        self.shared.state().proto.remote_address()
    }

    /// What is known of the peer, once the handshake is done.
    pub fn secured(&self) -> Secured<'_> {
        match self.shared.known.get() {
            None => Secured::new(),
            Some(known) => Secured::new()
                .certificate(known.certificate.as_deref())
                .protocol(known.protocol.as_deref())
                .server_name(known.server_name.as_deref()),
        }
    }

    /// New keys, from the next packet on (RFC 9001, 6). They change by themselves where the cipher demands it.
    pub fn update_keys(&self) {
        self.shared.with(|state| (state.proto.force_key_update(), true));
    }

    /// Whether it is over, and how.
    pub fn lost(&self) -> Option<Lost> {
        self.shared.state().lost.clone()
    }

    /// Waits until it is over.
    pub async fn ended(&self) -> Lost {
        let _ = self.wait(|_| None::<()>).await;
        self.lost().unwrap_or_else(Lost::closed)
    }

    /// Ends the connection at once, with a code of the application's protocol. What was not delivered is discarded, even of
    /// streams that were finished: see [`close_when_done`](Self::close_when_done).
    pub fn close(&self, code: u32, text: &[u8]) {
        self.shared.with(|state| {
            if state.lost.is_none() {
                state.close = Some((code.into(), Bytes::copy_from_slice(text)));
                state.lose(Lost::closed());
            }
            ((), true)
        });
    }

    /// Waits until the peer has all that was sent on streams, but at most `grace`; then closes with code 0. Says whether all
    /// was delivered. Needs tokio's timer.
    pub async fn close_when_done(&self, grace: Duration) -> bool {
        let done = tokio::time::timeout(grace, self.delivered()).await;
        self.close(0, b"");
        done.is_ok_and(|delivered| delivered.is_ok())
    }

    /// Waits until the peer has acknowledged all that was sent on streams that are ended. Cancel-safe.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn delivered(&self) -> Result<()> {
        self.wait(|state| (state.lost.is_none() && state.proto.streams().send_streams() == 0).then_some(()))
            .await
    }

    /// How many bytes of all streams together the peer may send beyond what was read.
    pub fn set_receive_window(&self, bytes: u32) {
        self.shared.with(|state| (state.proto.set_receive_window(bytes.into()), true));
    }
}

fn measured(proto: &quinn_proto::Connection) -> PathStats {
    let stats = proto.stats();
    let mut path = PathStats::default();
    path.round_trip = proto.rtt();
    path.congestion_window = stats.path.cwnd;
    path.mtu = stats.path.current_mtu;
    path.packets_sent = stats.path.sent_packets;
    path.packets_lost = stats.path.lost_packets;
    path.bytes_lost = stats.path.lost_bytes;
    path.congestion_events = stats.path.congestion_events;
    path.datagrams_sent = stats.udp_tx.datagrams;
    path.datagrams_received = stats.udp_rx.datagrams;
    path.bytes_sent = stats.udp_tx.bytes;
    path.bytes_received = stats.udp_rx.bytes;
    path
}

fn open(state: &mut State, dir: Dir) -> Option<(StreamId, bool)> {
    if state.lost.is_some() {
        return None;
    }
    let early = !state.connected;
    state.proto.streams().open(dir).map(|id| (id, early))
}

impl Clone for Connection {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        match self.shared.handles.fetch_sub(1, Ordering::SeqCst) {
            1 => self.close(0, b""),
            2 if self.shared.watched.load(Ordering::SeqCst) => _ = self.shared.state().wake_waiters(),
            _ => {}
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
