//! Datagrams with faults: what QUIC's ends run on here.
//!
//! A [`Net`] lies between [`Socket`]s, each of which has an address. Every datagram has a fate of its own: it may be lost,
//! repeated, overtaken, changed, marked, or too long for its [`Path`]. Addresses may be translated, and translated
//! otherwise later on (NAT).
//!
//! The net keeps books of amplification (RFC 9000, 8): until something has come from an address that left it after
//! something had reached it, three times what came from there may be sent there. It counts what goes
//! [beyond](Counts::beyond).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use netloom::quic::{Datagram, Datagrams, Outgoing};
use netloom_core::{Clock, Duration, Instant};

use crate::world::{VirtualClock, World, micros};

/// How datagrams fare. Probabilities are percentages; all directions have the same.
///
/// ```
/// use netloom_core::Duration;
/// use netloom_lab::udp::Path;
///
/// let path = Path { loss: 10, ..Path::rough() };
/// assert_eq!(path.latency, Duration::from_millis(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// How often one vanishes.
    pub loss: u32,
    /// How often one comes twice.
    pub repeats: u32,
    /// How often one has up to three bits turned over.
    pub changes: u32,
    /// How long every one takes.
    pub latency: Duration,
    /// How much longer it may take, drawn for each: so they overtake each other.
    pub jitter: Duration,
    /// Longer ones vanish. Bytes of UDP's payload.
    pub mtu: usize,
    /// All vanish.
    pub is_dark: bool,
    /// Bytes a second, and how many may wait for their turn: one too many vanishes.
    pub rate: Option<(u64, u64)>,
    /// How often one that may be is marked to have met congestion (RFC 3168).
    pub marks: u32,
    /// How often a socket has no room to send, for up to two milliseconds, but not twice after each other.
    pub full: u32,
    /// How often a socket that could receive waits once more, as a reactor's budget makes it.
    pub spurious: u32,
    /// How often one that came is joined to the one before, as by a system's receive offload.
    pub joins: u32,
}

impl Path {
    /// 10 ms each way and nothing else.
    pub const fn clean() -> Self {
        Self {
            loss: 0,
            repeats: 0,
            changes: 0,
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            mtu: 1_472,
            is_dark: false,
            rate: None,
            marks: 0,
            full: 0,
            spurious: 0,
            joins: 50,
        }
    }

    /// 10 to 15 ms each way, some loss, some repeats, sockets that are full now and then.
    pub const fn rough() -> Self {
        Self {
            loss: 2,
            repeats: 2,
            jitter: Duration::from_millis(5),
            full: 10,
            spurious: 20,
            ..Self::clean()
        }
    }
}

/// What became of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent by a socket.
    pub sent: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Received by a socket.
    pub received: u64,
    /// Vanished on the way.
    pub lost: u64,
    /// Vanished because they were too long.
    pub too_long: u64,
    /// Came twice.
    pub repeated: u64,
    /// Had bits turned over.
    pub changed: u64,
    /// Sent with a mark that congestion may be told (ECT).
    pub markable: u64,
    /// Of which so many met it (CE).
    pub marked: u64,
    /// Came in one piece with the one before.
    pub joined: u64,
    /// Times that a socket had no room.
    pub blocked: u64,
    /// Most bytes that were sent to an address before it was known to be right,
    pub unproven: u64,
    /// and how many had come from it.
    pub asked: u64,
    /// Sent there when three times as many bytes had been. The one that reaches the limit may go beyond it.
    pub beyond: u64,
}

struct Packet {
    /// The sender's own address, and as what it is seen.
    sender: SocketAddr,
    from: SocketAddr,
    to: SocketAddr,
    left: u64,
    ecn: u8,
    bytes: Vec<u8>,
}

struct Inbox {
    /// By time of arrival, then by number.
    packets: BTreeMap<(u64, u64), Packet>,
    reader: Option<Waker>,
    clock: VirtualClock,
}

impl Inbox {
    /// Has the reader woken when the first arrives, and not before: what wakes too often hides who forgets to.
    fn arm(&mut self) {
        let Some((&(at, _), _)) = self.packets.first_key_value() else { return };
        let Some(reader) = self.reader.take() else { return };
        match self.clock.poll_until(Instant::from_micros(at), &mut Context::from_waker(&reader)) {
            Poll::Ready(()) => reader.wake(),
            Poll::Pending => self.reader = Some(reader),
        }
    }
}

/// What a socket and an address that asked it first have exchanged.
#[derive(Default)]
struct Account {
    asked: bool,
    received: u64,
    sent: u64,
    /// When something of the socket's reached the address.
    reached: Option<u64>,
    proven: bool,
}

type Filter = Box<dyn FnMut(SocketAddr, SocketAddr) -> bool>;

struct State {
    path: Path,
    counts: Counts,
    /// Several sockets with one address share what comes there.
    sockets: BTreeMap<SocketAddr, Vec<Rc<RefCell<Inbox>>>>,
    /// As what an address is seen.
    names: BTreeMap<SocketAddr, SocketAddr>,
    accounts: BTreeMap<(SocketAddr, SocketAddr), Account>,
    filter: Option<Filter>,
    /// Until when the narrowest place is busy, by sender.
    busy: BTreeMap<SocketAddr, u64>,
}

impl State {
    fn name(&self, address: SocketAddr) -> SocketAddr {
        self.names.get(&address).copied().unwrap_or(address)
    }

    /// Whose name that is. A translated address cannot be reached by what it is behind the translator.
    fn behind(&self, name: SocketAddr) -> Option<SocketAddr> {
        let translated = self.names.iter().find(|(_, seen)| **seen == name).map(|(address, _)| *address);
        translated.or((!self.names.contains_key(&name)).then_some(name))
    }

    fn may_send(&mut self, from: SocketAddr, to: SocketAddr, len: u64) {
        let account = self.accounts.entry((from, to)).or_default();
        if !account.asked || account.proven {
            return;
        }
        let (before, received) = (account.sent, account.received);
        self.counts.beyond += u64::from(before >= 3 * received);
        account.sent += len;
        let sent = account.sent;
        if sent > self.counts.unproven {
            (self.counts.unproven, self.counts.asked) = (sent, received);
        }
    }

    fn has_come(&mut self, local: SocketAddr, packet: &Packet, now: u64) {
        let account = self.accounts.entry((local, packet.from));
        let account = account.or_insert_with(|| Account { asked: true, ..Account::default() });
        account.received += packet.bytes.len() as u64;
        account.proven |= account.reached.is_some_and(|reached| packet.left >= reached);
        if let Some(account) = self.accounts.get_mut(&(packet.sender, packet.to)) {
            account.reached.get_or_insert(now);
        }
    }
}

/// A network. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Net {
    world: World,
    state: Rc<RefCell<State>>,
}

impl Net {
    /// A network all of whose ways are like `path`.
    pub fn new(world: &World, path: Path) -> Self {
        let state = State {
            path,
            counts: Counts::default(),
            sockets: BTreeMap::new(),
            names: BTreeMap::new(),
            accounts: BTreeMap::new(),
            filter: None,
            busy: BTreeMap::new(),
        };
        Self { world: world.clone(), state: Rc::new(RefCell::new(state)) }
    }

    /// A socket. Those that share an address share what comes there, by whom it comes from.
    pub fn socket(&self, address: SocketAddr) -> Socket {
        let inbox = Inbox { packets: BTreeMap::new(), reader: None, clock: self.world.clock() };
        let inbox = Rc::new(RefCell::new(inbox));
        self.state.borrow_mut().sockets.entry(address).or_default().push(inbox.clone());
        Socket {
            net: self.clone(),
            address,
            inbox,
            departures: self.world.clock(),
            full_until: None,
            was_spurious: false,
            batch: self.world.length(44),
        }
    }

    /// From now on it is like that.
    pub fn change(&self, change: impl FnOnce(&mut Path)) {
        change(&mut self.state.borrow_mut().path);
    }

    /// As it is now.
    pub fn path(&self) -> Path {
        self.state.borrow().path
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.state.borrow().counts
    }

    /// From now on what leaves `address` is seen to come from `name`, and reaches it there only (NAT).
    pub fn translate(&self, address: SocketAddr, name: SocketAddr) {
        self.state.borrow_mut().names.insert(address, name);
    }

    /// Datagrams of which `vanishes(from, to)` is true vanish.
    pub fn lose_if(&self, vanishes: impl FnMut(SocketAddr, SocketAddr) -> bool + 'static) {
        self.state.borrow_mut().filter = Some(Box::new(vanishes));
    }

    fn send(&self, sender: SocketAddr, to: SocketAddr, ecn: u8, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let (path, len) = (state.path, bytes.len() as u64);
        state.counts.sent += 1;
        state.counts.bytes += len;
        state.counts.markable += u64::from(ecn == 1 || ecn == 2);
        state.may_send(sender, to, len);
        let from = state.name(sender);
        let filtered = state.filter.as_mut().is_some_and(|vanishes| vanishes(from, to));
        if bytes.len() > path.mtu {
            state.counts.too_long += 1;
            return;
        }
        let Some(waits) = self.waits(state, sender, len) else {
            state.counts.lost += 1;
            return;
        };
        if filtered || path.is_dark || self.world.chance(path.loss) {
            state.counts.lost += 1;
            return;
        }
        let marks = (ecn == 1 || ecn == 2) && self.world.chance(path.marks);
        state.counts.marked += u64::from(marks);
        let ecn = if marks { 3 } else { ecn };
        let repeats = self.world.chance(path.repeats);
        state.counts.repeated += u64::from(repeats);
        for _ in 0..1 + u32::from(repeats) {
            let mut bytes = bytes.to_vec();
            if self.world.chance(path.changes) {
                state.counts.changed += 1;
                for _ in 0..self.world.length(3) {
                    let at = self.world.below(len) as usize;
                    bytes[at] ^= 1 << self.world.below(8);
                }
            }
            let packet = Packet { sender, from, to, left: micros(self.world.elapsed()), ecn, bytes };
            self.deliver(state, packet, waits + micros(path.latency) + micros(self.world.up_to(path.jitter)));
        }
    }

    /// For how long it waits for its turn at the narrowest place. `None` if it is not let wait.
    fn waits(&self, state: &mut State, sender: SocketAddr, len: u64) -> Option<u64> {
        let Some((rate, queue)) = state.path.rate else { return Some(0) };
        let now = micros(self.world.elapsed());
        let busy = state.busy.entry(sender).or_insert(now);
        *busy = now.max(*busy);
        if (*busy - now) * rate / 1_000_000 > queue {
            return None;
        }
        *busy += (len * 1_000_000).div_ceil(rate);
        Some(*busy - now)
    }

    fn deliver(&self, state: &mut State, packet: Packet, takes: u64) {
        let at = packet.left + takes;
        self.world.note(at ^ packet.bytes.len() as u64);
        let inboxes = state.behind(packet.to).and_then(|address| state.sockets.get(&address));
        // Those who share an address are told apart as a kernel does it: by the sender's address.
        let chosen = inboxes.filter(|inboxes| !inboxes.is_empty()).map(|inboxes| {
            let octets = match packet.from.ip() {
                std::net::IpAddr::V4(ip) => u64::from(u32::from(ip)),
                std::net::IpAddr::V6(ip) => u128::from(ip) as u64,
            };
            &inboxes[((octets ^ u64::from(packet.from.port())) % inboxes.len() as u64) as usize]
        });
        let Some(inbox) = chosen else {
            state.counts.lost += 1;
            return;
        };
        let mut inbox = inbox.borrow_mut();
        inbox.packets.insert((at, self.world.next_id()), packet);
        inbox.arm();
    }
}

/// A socket of a [`Net`].
pub struct Socket {
    net: Net,
    address: SocketAddr,
    inbox: Rc<RefCell<Inbox>>,
    departures: VirtualClock,
    full_until: Option<Instant>,
    was_spurious: bool,
    batch: usize,
}

/// Most datagrams in one call to receive.
const RECEIVES: usize = 20;

/// Datagrams that are given on in one piece.
struct Piece {
    from: SocketAddr,
    ecn: u8,
    bytes: Vec<u8>,
    stride: usize,
}

impl Socket {
    /// What has arrived, as the system would give it.
    fn arrived(&mut self) -> Vec<Piece> {
        let now = micros(self.net.world.elapsed());
        let mut state = self.net.state.borrow_mut();
        let (mut inbox, mut pieces) = (self.inbox.borrow_mut(), Vec::<Piece>::new());
        for _ in 0..RECEIVES {
            let Some(first) = inbox.packets.first_entry().filter(|first| first.key().0 <= now) else { break };
            let packet = first.remove();
            if state.name(self.address) != packet.to {
                state.counts.lost += 1; // it was translated otherwise meanwhile
                continue;
            }
            state.counts.received += 1;
            state.has_come(self.address, &packet, now);
            let Packet { from, ecn, bytes, .. } = packet;
            let fits = |last: &&mut Piece| {
                (last.from, last.ecn) == (from, ecn)
                    && bytes.len() <= last.stride
                    && last.bytes.len().is_multiple_of(last.stride)
            };
            match pieces.last_mut().filter(fits) {
                Some(last) if self.net.world.chance(state.path.joins) => {
                    state.counts.joined += 1;
                    last.bytes.extend(bytes);
                }
                _ => pieces.push(Piece { from, ecn, stride: bytes.len(), bytes }),
            }
        }
        pieces
    }
}

impl Datagrams for Socket {
    fn poll_receive(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Datagram)) -> Poll<io::Result<()>> {
        let spurious = !self.was_spurious && self.net.world.chance(self.net.path().spurious);
        self.was_spurious = spurious;
        if spurious {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let pieces = self.arrived();
        if pieces.is_empty() {
            let mut inbox = self.inbox.borrow_mut();
            inbox.reader = Some(cx.waker().clone());
            inbox.arm();
            return Poll::Pending;
        }
        for Piece { from, ecn, bytes, stride } in pieces {
            let to = Some(self.address.ip());
            sink(Datagram { from, to, ecn, bytes: bytes[..].into(), stride });
        }
        Poll::Ready(Ok(()))
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let Outgoing { to, from, ecn, bytes, stride } = *outgoing;
        assert!(from.is_none_or(|from| from == self.address.ip()), "a source that is not the socket's");
        let stride = stride.unwrap_or(bytes.len());
        assert!(!bytes.is_empty() && bytes.len() <= 65_507, "{} bytes at once", bytes.len());
        assert!(bytes.len().div_ceil(stride) <= self.batch, "more datagrams than the socket takes at once");
        let now = self.net.world.now();
        if self.full_until.is_none() && self.net.world.chance(self.net.path().full) {
            self.full_until = Some(now + Duration::from_micros(self.net.world.length(2_000) as u64));
        }
        if self.full_until.is_some_and(|until| until > now) {
            self.net.state.borrow_mut().counts.blocked += 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.full_until = None;
        for bytes in bytes.chunks(stride) {
            self.net.send(self.address, to, ecn, bytes);
        }
        Ok(())
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.full_until {
            None => Poll::Ready(Ok(())),
            Some(until) => self.departures.poll_until(until, cx).map(Ok),
        }
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut state = self.net.state.borrow_mut();
        if let Some(inboxes) = state.sockets.get_mut(&self.address) {
            inboxes.retain(|inbox| !Rc::ptr_eq(inbox, &self.inbox));
        }
    }
}
