//! One task drives a socket's connections: datagrams in, timers, datagrams out.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use netloom_core::{Clock, Code, Duration, Error};
use quinn_proto::{
    ConnectionEvent, ConnectionHandle, ConnectionId, DatagramEvent, EcnCodepoint, Incoming, Transmit,
};

use super::connection::{Connection, Shared, State, Told};
use super::datagrams::{Datagram, Datagrams, Outgoing};
use super::endpoint::{Door, Request};
use super::fault::{Lost, Reason};
use super::server::QuicServer;
use super::settings::Settings;

/// In one turn, before others have theirs: calls to receive,
const RECEIVES: usize = 4;

/// and datagrams that one connection sends.
const DATAGRAMS: usize = 88;

/// Bytes that one send may carry.
const SEND_MAX: usize = 65_000;

/// Answers without a connection (RFC 9000, 6.1, 8.1, 10.3) in one turn. More of them are lost: whoever asks, asks again.
const REPLIES: usize = 64;

/// Runs an [`Endpoint`](super::Endpoint): a future to spawn. It ends when the endpoint is dropped and all connections are closed.
pub struct Driver<D, K> {
    core: Core<K>,
    socket: D,
    door: Arc<Door<D>>,
    /// What is being sent,
    out: Vec<u8>,
    /// and its description if the socket had no room.
    stuck: Option<Transmit>,
    inbox: Vec<Datagram>,
    replies: Replies,
    /// Connections with something to do,
    turn: Vec<usize>,
    /// which first wait for so many turns of those who were told something.
    waits: Option<u8>,
}

/// What is answered without a connection.
type Replies = Vec<(Transmit, Vec<u8>)>;

/// All but the socket.
struct Core<K> {
    proto: quinn_proto::Endpoint,
    clock: K,
    /// quinn-proto counts by the system's clock: this is the zero of ours there.
    epoch: Instant,
    now: Instant,
    connections: Vec<Option<Arc<Shared>>>,
    open: usize,
    /// Of these, those that are not closed yet.
    alive: usize,
    /// At most one a connection, never later than its next time-out. A time-out that moves away costs nothing: it is set anew
    /// when it fires.
    timers: BTreeSet<(Instant, usize)>,
    server: Option<QuicServer>,
    /// Nobody is taken in any more.
    refusing: bool,
    /// The endpoint is gone.
    closed: bool,
    /// Whom a client asked for that was refused last.
    refused: Option<ConnectionId>,
    handshakes: Handshakes,
}

/// Handshakes that clients have begun, by where they come from.
#[derive(Default)]
struct Handshakes {
    /// Which connections, and from where.
    of: HashMap<usize, IpAddr>,
    from: HashMap<IpAddr, usize>,
}

impl Handshakes {
    fn begin(&mut self, handle: usize, source: IpAddr) {
        self.of.insert(handle, source);
        *self.from.entry(source).or_default() += 1;
    }

    fn end(&mut self, handle: usize) {
        let Some(source) = self.of.remove(&handle) else { return };
        if let Some(count) = self.from.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.from.remove(&source);
            }
        }
    }

    fn from(&self, source: IpAddr) -> usize {
        self.from.get(&source).copied().unwrap_or(0)
    }
}

/// An IPv6 client has at least a /64 to itself (RFC 6177).
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

impl<K: Clock> Core<K> {
    fn tick(&mut self) {
        self.now = self.epoch + Duration::from_micros(self.clock.now().as_micros());
    }

    fn insert<D>(
        &mut self,
        handle: ConnectionHandle,
        proto: quinn_proto::Connection,
        (handshake, settings): (Duration, &Settings),
        door: &Door<D>,
    ) -> Arc<Shared> {
        // A year is for ever, and does not overflow the clock.
        let late = self.now + handshake.min(Duration::from_secs(365 * 86_400));
        let shared = Shared::new(proto, handle.0, late, door.ready.clone(), settings);
        if self.connections.len() <= handle.0 {
            self.connections.resize_with(handle.0 + 1, || None);
        }
        self.connections[handle.0] = Some(shared.clone());
        self.open += 1;
        self.alive += 1;
        shared
    }

    /// Handles one datagram. Says which connection is to be driven at once: one that shakes hands.
    fn receive<D>(
        &mut self,
        bytes: BytesMut,
        (from, to, ecn): (SocketAddr, Option<IpAddr>, u8),
        door: &Door<D>,
        replies: &mut Replies,
    ) -> Option<usize> {
        let mut out = Vec::new();
        let event = self.proto.handle(self.now, from, to, EcnCodepoint::from_bits(ecn), bytes, &mut out)?;
        let reply = match event {
            DatagramEvent::ConnectionEvent(handle, event) => return self.tell(handle.0, event),
            DatagramEvent::NewConnection(incoming) => match self.take_in(incoming, door, &mut out) {
                Ok(handle) => return Some(handle),
                Err(reply) => reply?,
            },
            DatagramEvent::Response(transmit) => transmit,
        };
        if replies.len() < REPLIES {
            replies.push((reply, out));
        }
        None
    }

    /// What came for a connection. The same is said of it.
    fn tell(&mut self, handle: usize, event: ConnectionEvent) -> Option<usize> {
        let shared = self.connections.get(handle)?.as_ref()?;
        let mut state = shared.state();
        state.proto.handle_event(event);
        if !state.listed && state.proto.is_handshaking() {
            return Some(handle);
        }
        shared.list(state);
        None
    }

    /// Somebody wants to connect: its connection, or what is answered if it may not, or not yet.
    fn take_in<D>(
        &mut self,
        incoming: Incoming,
        door: &Door<D>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Option<Transmit>> {
        let Some(server) = self.server.clone() else {
            self.proto.ignore(incoming);
            return Err(None);
        };
        let source = source_of(incoming.remote_address().ip());
        let (all, here) = (self.handshakes.of.len(), self.handshakes.from(source));
        let closing = self.refusing || door.ready.list().closed;
        if closing || server.is_full(self.open, all, here) || door.is_full() {
            // A long hello comes in several packets, each of which asks.
            let asks = Some(*incoming.orig_dst_cid());
            if mem::replace(&mut self.refused, asks) != asks {
                door.count(|counts| &counts.refused);
            }
            return Err(Some(self.proto.refuse(incoming, out)));
        }
        if incoming.may_retry() && !incoming.remote_address_validated() && server.retries(all, here) {
            return Err(self.proto.retry(incoming, out).ok());
        }
        match self.proto.accept(incoming, self.now, out, Some(server.config())) {
            Ok((handle, proto)) => {
                self.insert(handle, proto, (server.handshake_timeout(), server.settings()), door);
                self.handshakes.begin(handle.0, source);
                Ok(handle.0)
            }
            Err(error) => {
                door.count(|counts| &counts.handshakes_failed);
                Err(error.response)
            }
        }
    }

    /// Closes those that clients have begun and nobody will be shown: they would hold up the end for as long as a handshake may
    /// take.
    fn turn_away(&mut self) {
        for handle in self.handshakes.of.keys() {
            let Some(Some(shared)) = self.connections.get(*handle) else { continue };
            let mut state = shared.state();
            if state.shown {
                continue;
            }
            state.close = Some((0u32.into(), Bytes::new()));
            shared.list(state);
        }
    }

    /// Fires what is due.
    fn expire(&mut self) {
        while let Some(&(at, handle)) = self.timers.first() {
            if at > self.now {
                return;
            }
            self.timers.pop_first();
            let Some(Some(shared)) = self.connections.get(handle) else { continue };
            let mut state = shared.state();
            state.armed = None;
            if state.proto.poll_timeout().is_some_and(|at| at <= self.now) {
                state.proto.handle_timeout(self.now);
            }
            if state.late.is_some_and(|late| late <= self.now) {
                state.late = None;
                state.lose(Lost::new(Code::ConnectionTimeout, Reason::Timeout));
                state.proto.close(self.now, 0u32.into(), "the handshake took too long".into());
            }
            shared.list(state);
        }
    }

    /// Tells whom it concerns what has come for a connection.
    fn pass_on(&self, handle: usize) -> Told {
        let Some(Some(shared)) = self.connections.get(handle) else { return Told::Nobody };
        shared.pass_on(&mut shared.state())
    }

    /// Sends what a connection has and passes on what comes of it. True if it has more to do, and is to be on the list.
    fn drive<D>(
        &mut self,
        handle: usize,
        batch: usize,
        out: &mut Vec<u8>,
        door: &Door<D>,
        mut send: impl FnMut(Transmit, &[u8]) -> bool,
    ) -> bool {
        let Some(Some(shared)) = self.connections.get(handle) else { return false };
        let shared = shared.clone();
        let mut state = shared.state();
        (state.listed, state.has_more) = (false, false);
        if let Some((code, text)) = state.close.take() {
            state.proto.close(self.now, code, text);
        }
        let batch = batch.min(SEND_MAX / usize::from(state.proto.current_mtu())).max(1);
        let (mut sent, mut more) = (0, false);
        loop {
            out.clear();
            let Some(transmit) = state.proto.poll_transmit(self.now, batch, out) else { break };
            sent += transmit.segment_size.map_or(1, |segment| transmit.size.div_ceil(segment));
            if !send(transmit, out) || sent >= DATAGRAMS {
                more = true;
                break;
            }
        }
        let mut drained = false;
        while let Some(event) = state.proto.poll_endpoint_events() {
            drained |= event.is_drained();
            if let Some(event) = self.proto.handle_event(ConnectionHandle(handle), event) {
                state.proto.handle_event(event);
                more = true;
            }
        }
        shared.pass_on(&mut state);
        more |= mem::take(&mut state.has_more);
        if state.proto.is_closed() && !mem::replace(&mut state.settled, true) {
            self.alive -= 1;
        }
        let shown = self.settle(handle, &mut state, door).then(|| Connection::new(shared.clone()));
        if drained {
            disarm(&mut self.timers, &mut state);
            self.connections[handle] = None;
            self.open -= 1;
            return false;
        }
        state.listed = more;
        if let Some(at) = sooner(state.proto.poll_timeout(), state.late)
            && state.armed.is_none_or(|armed| at < armed)
        {
            disarm(&mut self.timers, &mut state);
            state.armed = Some(at);
            self.timers.insert((at, handle));
        }
        drop(state);
        if let Some(connection) = shown {
            door.show_in(connection);
        }
        more
    }

    /// Whether the connection is now to be shown in: it has come through the handshake, or with early data. Who has not come
    /// through is counted.
    fn settle<D>(&mut self, handle: usize, state: &mut State, door: &Door<D>) -> bool {
        if !self.handshakes.of.contains_key(&handle) {
            return false;
        }
        let lost = state.lost.is_some();
        if state.connected || lost {
            self.handshakes.end(handle);
        }
        if lost && !state.connected {
            door.count(|counts| &counts.handshakes_failed);
        }
        let shows = !lost && (state.connected || state.proto.has_0rtt());
        shows && !mem::replace(&mut state.shown, true)
    }

    /// When something is due: rounded up, or a turn that comes too early would find nothing to do, for ever.
    fn next(&self) -> Option<netloom_core::Instant> {
        let (at, _) = self.timers.first()?;
        let micros = at.saturating_duration_since(self.epoch).as_nanos().div_ceil(1_000);
        Some(netloom_core::Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    fn lose_all(&mut self) {
        for shared in self.connections.iter().flatten() {
            shared.state().lose(Lost::new(Code::ConnectionFailed, Reason::Failed));
        }
    }
}

/// Takes the connection's timer out.
fn disarm(timers: &mut BTreeSet<(Instant, usize)>, state: &mut State) {
    if let Some(at) = state.armed.take() {
        timers.remove(&(at, state.handle));
    }
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// False if there is no room.
fn send(socket: &mut impl Datagrams, transmit: &Transmit, bytes: &[u8]) -> bool {
    let outgoing = Outgoing {
        to: transmit.destination,
        from: transmit.src_ip,
        ecn: transmit.ecn.map_or(0, |ecn| ecn as u8),
        bytes: &bytes[..transmit.size],
        stride: transmit.segment_size,
    };
    // What cannot be sent at all is lost on the way.
    !matches!(socket.try_send(&outgoing), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl<D: Datagrams, K: Clock> Driver<D, K> {
    pub(super) fn new(
        proto: quinn_proto::Endpoint,
        server: Option<QuicServer>,
        socket: D,
        clock: K,
        door: Arc<Door<D>>,
    ) -> Self {
        let epoch = Instant::now();
        let core = Core {
            proto,
            clock,
            epoch,
            now: epoch,
            connections: Vec::new(),
            open: 0,
            alive: 0,
            timers: BTreeSet::new(),
            server,
            refusing: false,
            closed: false,
            refused: None,
            handshakes: Handshakes::default(),
        };
        Self {
            core,
            socket,
            door,
            out: Vec::new(),
            stuck: None,
            inbox: Vec::new(),
            replies: Vec::new(),
            turn: Vec::new(),
            waits: None,
        }
    }

    /// Until the endpoint is dropped and all connections are closed.
    ///
    /// # Errors
    /// If the socket fails. All connections are then lost.
    pub async fn run(mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.turn(cx);
        if matches!(polled, Poll::Ready(Err(_))) {
            self.core.lose_all();
        }
        polled
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (asked, closed) = {
            let mut list = self.door.ready.list();
            super::connection::keep(&mut list.driver, cx);
            (mem::take(&mut list.asked), list.closed)
        };
        self.core.tick();
        if asked {
            self.answer();
        }
        if closed && !mem::replace(&mut self.core.closed, true) {
            self.core.turn_away();
        }
        let mut busy = self.receive(cx)?;
        for (transmit, bytes) in self.replies.drain(..) {
            send(&mut self.socket, &transmit, &bytes);
        }
        self.core.expire();
        busy |= self.waits_for_answers() || self.send(cx)?;
        // Who closes its socket need not wait until nothing can come any more (RFC 9000, 10.2).
        if self.core.alive == 0 && self.stuck.is_none() {
            let list = self.door.ready.list();
            if list.closed && list.connections.is_empty() && self.turn.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        if let Some(at) = self.core.next() {
            busy |= self.core.clock.poll_until(at, cx).is_ready();
        }
        if busy {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// True if there may be more.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        for _ in 0..RECEIVES {
            let Self { socket, inbox, .. } = self;
            match socket.poll_receive(cx, &mut |datagrams| inbox.push(datagrams)) {
                Poll::Ready(received) => received?,
                Poll::Pending => return Ok(false),
            }
            self.handle();
        }
        Ok(true)
    }

    /// Handles what was received. Handshakes take long: one is driven before the next, so that its client has an answer to work
    /// on meanwhile.
    fn handle(&mut self) {
        let mut inbox = mem::take(&mut self.inbox);
        let mut shaking = None;
        // Those of one piece have one sender, but any of its connections.
        for Datagram { from, to, ecn, mut bytes, stride } in inbox.drain(..) {
            while !bytes.is_empty() {
                let one = bytes.split_to(stride.min(bytes.len()));
                let shakes = self.core.receive(one, (from, to, ecn), &self.door, &mut self.replies);
                if shaking.is_some() && shakes != shaking {
                    self.drive_at_once(shaking);
                }
                shaking = shakes;
            }
        }
        self.drive_at_once(shaking);
        self.inbox = inbox;
    }

    /// Passes on what came. Who is told of it mostly has something to say, which then leaves together with our acknowledgement:
    /// true if nothing is to be sent before that. It takes a turn of the others, or two if a stream's task is yet to be begun.
    fn waits_for_answers(&mut self) -> bool {
        let Self { core, door, turn, waits, .. } = self;
        turn.append(&mut door.ready.list().connections);
        let told = turn.iter().map(|&handle| core.pass_on(handle)).max();
        let left = waits.take().unwrap_or(match told {
            None | Some(Told::Nobody) => 0,
            Some(Told::Waiter) => 1,
            Some(Told::Acceptor) => 2,
        });
        *waits = left.checked_sub(1);
        left > 0
    }

    /// Sends what is stuck and what those on the list have. True if one of them has more.
    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        loop {
            while let Some(transmit) = self.stuck.take() {
                if send(&mut self.socket, &transmit, &self.out) {
                    continue;
                }
                self.stuck = Some(transmit);
                if self.socket.poll_writable(cx)?.is_pending() {
                    return Ok(false);
                }
            }
            let more = self.drive();
            if self.stuck.is_none() {
                return Ok(more);
            }
        }
    }

    fn drive(&mut self) -> bool {
        let mut turn = mem::take(&mut self.turn);
        turn.append(&mut self.door.ready.list().connections);
        // Who does not come to it stays on the list.
        turn.retain(|&handle| self.stuck.is_some() || self.drive_one(handle));
        self.turn = turn;
        !self.turn.is_empty()
    }

    fn drive_one(&mut self, handle: usize) -> bool {
        let Self { core, socket, door, out, stuck, .. } = self;
        let batch = socket.batch();
        core.drive(handle, batch, out, door, |transmit, bytes| {
            let sent = send(socket, &transmit, bytes);
            if !sent {
                *stuck = Some(transmit);
            }
            sent
        })
    }

    /// One that is not on the list, unless nothing can be sent now.
    fn drive_at_once(&mut self, handle: Option<usize>) {
        let Some(handle) = handle else { return };
        if self.stuck.is_none() {
            if self.drive_one(handle) {
                self.turn.push(handle);
            }
        } else if let Some(Some(shared)) = self.core.connections.get(handle) {
            shared.list(shared.state());
        }
    }

    /// Does what the endpoint asks for.
    fn answer(&mut self) {
        for request in self.door.requests() {
            match request {
                Request::Connect { config, behaves, to, name, answer } => {
                    let made = self.core.proto.connect(self.core.now, *config, to, &name);
                    let (handshake, settings) = behaves;
                    let made = made.map(|(handle, proto)| {
                        let shared = self.core.insert(handle, proto, (handshake, &settings), &self.door);
                        shared.list(shared.state());
                        shared
                    });
                    // Who does not wait any more drops it, and so closes it.
                    let _ = answer.send(made.map(Connection::new).map_err(refused));
                }
                Request::Rebind(socket) => {
                    self.socket = *socket;
                    self.stuck = None;
                    for shared in self.core.connections.iter().flatten() {
                        let mut state = shared.state();
                        state.proto.local_address_changed();
                        shared.list(state);
                    }
                }
                Request::Refuse => self.core.refusing = true,
            }
        }
    }
}

/// Why no connection could be begun.
fn refused(error: quinn_proto::ConnectError) -> Error {
    use quinn_proto::ConnectError;
    let code = match error {
        ConnectError::InvalidServerName(_) | ConnectError::InvalidRemoteAddress(_) => Code::InvalidAddress,
        ConnectError::UnsupportedVersion => Code::Unsupported,
        _ => Code::ConnectionFailed,
    };
    code.into()
}

impl<D, K> Drop for Driver<D, K> {
    /// Whoever holds a connection learns that nobody drives it.
    fn drop(&mut self) {
        for shared in self.core.connections.iter().flatten() {
            shared.state().lose(Lost::new(Code::ConnectionFailed, Reason::Failed));
        }
        self.door.leave();
    }
}

impl<D, K> std::fmt::Debug for Driver<D, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("connections", &self.core.open).finish_non_exhaustive()
    }
}
