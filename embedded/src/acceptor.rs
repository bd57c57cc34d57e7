//! Accepting on several sockets, since smoltcp has no accept queue.
//!
//! Each socket has a place, and goes round:
//!
//! | place | what happens | next |
//! |---|---|---|
//! | `Listening` | waits for a client | `Opening` |
//! | `Opening` | the handshake is under way, for at most [`OPENING`] | `Waiting`, or `Leaving` |
//! | `Waiting` | connected; the client's first bytes gather in the socket | `Lent`, or, when it has waited too long, `Leaving` with a goodbye |
//! | `Lent` | somebody serves it | `Leaving` |
//! | `Leaving` | what was sent last, and the FIN, are acknowledged and the client ends too; what it still sends is thrown away | `Listening`, at the latest after [`LEAVING`] |

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embassy_net::Stack;
use embassy_net::tcp::{State, TcpSocket};
use netloom_core::{Clock, CloseReason, Code, Codec, Duration, Instant, Outbox, Transport};

use crate::clock::EmbassyClock;
use crate::crowd::{BoardClock, Crowd};
use crate::memory::SocketMemory;
use crate::tcp::Tcp;

/// How long a handshake may take before its socket is taken back: SYNs alone must not shut the door.
const OPENING: Duration = Duration::from_secs(10);

/// How long the peer has to acknowledge what was sent last and to end too.
const LEAVING: Duration = Duration::from_secs(5);

/// The same for a client that was refused: its socket is needed for others.
const REFUSED: Duration = Duration::from_secs(1);

/// How long a reset has to leave.
const CUTTING: Duration = Duration::from_millis(100);

/// Most bytes of a goodbye; a codec whose replies are longer refuses without one.
const GOODBYE_MAX: usize = 256;

/// How an [`Acceptor`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptorOptions {
    /// How long a client waits for a session to become free before it is refused with the protocol's
    /// goodbye for [`Code::TooManySessions`]. Default 1 s.
    pub patience: Duration,
    /// How long a session may have been there before, as soon as it has nothing under way, it ends because others
    /// wait. `Duration::MAX` for ever, the default; for browsers, which keep connections that they do not use, a
    /// fraction of a second.
    pub yields_after: Duration,
}

impl AcceptorOptions {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self { patience: Duration::from_secs(1), yields_after: Duration::MAX };

    /// For HTTP: sessions that are kept alive make room for clients that wait.
    pub const HTTP: Self =
        Self { patience: Duration::from_secs(5), yields_after: Duration::from_millis(500) };
}

impl Default for AcceptorOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Listens on one port with `SOCKETS` sockets, and hands connections to sessions in the order they came.
pub struct Acceptor<'d, const SOCKETS: usize> {
    port: u16,
    options: AcceptorOptions,
    places: RefCell<[Place<'d>; SOCKETS]>,
    /// Connections so far; orders those that wait.
    accepted: Cell<u32>,
    refused: Cell<u32>,
    keeper: Cell<Option<Waker>>,
    takers: RefCell<[Option<Waker>; SOCKETS]>,
    crowd: &'d Crowd,
    /// Who may have to make room.
    sessions: RefCell<[Option<Waker>; SOCKETS]>,
}

enum Place<'d> {
    Listening(TcpSocket<'d>),
    Opening(TcpSocket<'d>, Instant),
    Waiting(TcpSocket<'d>, Instant, u32),
    Lent,
    Leaving(TcpSocket<'d>, Instant),
}

impl<'d, const SOCKETS: usize> Acceptor<'d, SOCKETS> {
    /// Makes the sockets. Nothing is accepted before [`run`](Self::run) runs.
    ///
    /// # Panics
    /// If `port` is 0.
    pub fn new(
        stack: Stack<'d>,
        port: u16,
        options: AcceptorOptions,
        memory: SocketMemory<'d, SOCKETS>,
    ) -> Self {
        assert!(port != 0, "a board listens on a port of its own choice");
        let places = memory.sockets.map(|(rx, tx)| Place::Listening(TcpSocket::new(stack, rx, tx)));
        Self {
            port,
            options,
            places: RefCell::new(places),
            accepted: Cell::new(0),
            refused: Cell::new(0),
            keeper: Cell::new(None),
            takers: RefCell::new([const { None }; SOCKETS]),
            crowd: memory.crowd,
            sessions: RefCell::new([const { None }; SOCKETS]),
        }
    }

    /// Connections accepted so far, and how many of them were refused.
    pub fn counts(&self) -> (u32, u32) {
        (self.accepted.get(), self.refused.get())
    }

    /// Keeps the door: listens, and refuses who has waited too long. `codec` makes the codec that says the
    /// goodbye. Must run for as long as connections are to be accepted.
    pub async fn run<C: Codec>(&self, codec: impl Fn() -> C) -> ! {
        poll_fn(|cx| {
            self.poll_places(&codec, cx);
            Poll::Pending
        })
        .await
    }

    /// The connection that has waited longest. Of several callers one gets it; at most `SOCKETS` may call.
    pub async fn next(&self) -> TcpSocket<'d> {
        poll_fn(|cx| match self.take_oldest() {
            Some(socket) => Poll::Ready(socket),
            None => {
                enlist(&mut *self.takers.borrow_mut(), cx.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Takes a socket back that [`next`](Self::next) lent, in whatever state it is. What it still has to
    /// send is sent.
    pub fn give_back(&self, socket: TcpSocket<'d>) {
        let until = EmbassyClock.now() + LEAVING;
        if let Some(place) = self.places.borrow_mut().iter_mut().find(|place| matches!(place, Place::Lent)) {
            *place = Place::Leaving(socket, until);
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
    }

    /// The clock of a session that begins now.
    pub(crate) fn clock(&self) -> BoardClock<'d> {
        BoardClock::new(Some(self.crowd))
    }

    /// The session is woken when others begin to wait.
    pub(crate) fn attend(&self, cx: &Context<'_>) {
        if self.options.yields_after != Duration::MAX {
            enlist(&mut *self.sessions.borrow_mut(), cx.waker());
        }
    }

    /// Tells the sessions whether more clients wait than sessions are free. When to look again.
    fn tell_crowd(&self, waiting: usize, now: Instant) -> Instant {
        let free = self.takers.borrow().iter().flatten().count();
        if waiting <= free || self.options.yields_after == Duration::MAX {
            self.crowd.is_gone();
            return Instant::NEVER;
        }
        self.crowd.waits(self.options.yields_after);
        self.sessions.borrow_mut().iter_mut().filter_map(Option::take).for_each(Waker::wake);
        now + self.options.yields_after.max(Duration::from_millis(10))
    }

    fn take_oldest(&self) -> Option<TcpSocket<'d>> {
        let mut places = self.places.borrow_mut();
        let waiting = places.iter_mut().filter(|place| matches!(place, Place::Waiting(..)));
        let oldest = waiting.min_by_key(|place| match place {
            // How far below the next number: numbers wrap, the distance does not.
            Place::Waiting(_, _, number) => number.wrapping_sub(self.accepted.get()).wrapping_sub(1),
            _ => u32::MAX,
        })?;
        match core::mem::replace(oldest, Place::Lent) {
            Place::Waiting(socket, ..) => Some(socket),
            _ => None,
        }
    }

    fn poll_places<C: Codec>(&self, codec: &impl Fn() -> C, cx: &mut Context<'_>) {
        self.keeper.set(Some(cx.waker().clone()));
        let now = EmbassyClock.now();
        let mut next = Instant::NEVER;
        let mut waiting = 0;
        for place in self.places.borrow_mut().iter_mut() {
            // A place is moved on until it waits for something.
            *place = match core::mem::replace(place, Place::Lent) {
                Place::Listening(socket) => self.listen(socket, now, cx),
                Place::Opening(socket, until) => self.open(socket, until, now, cx),
                Place::Leaving(socket, until) => self.leave(socket, until, now, cx),
                Place::Waiting(socket, since, _) if now >= since + self.options.patience => {
                    self.refuse(socket, codec(), now, cx)
                }
                other => other,
            };
            match place {
                Place::Waiting(_, since, _) => {
                    waiting += 1;
                    next = next.min(*since + self.options.patience);
                }
                Place::Opening(_, until) | Place::Leaving(_, until) => next = next.min(*until),
                Place::Listening(_) | Place::Lent => {}
            }
        }
        next = next.min(self.tell_crowd(waiting, now));
        if waiting > 0 {
            self.takers.borrow_mut().iter_mut().filter_map(Option::take).for_each(Waker::wake);
        }
        if EmbassyClock.poll_until(next, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn listen(&self, mut socket: TcpSocket<'d>, now: Instant, cx: &mut Context<'_>) -> Place<'d> {
        // `accept` asks for the port again each time, which is harmless while the socket still listens.
        if matches!(socket.state(), State::Closed | State::Listen | State::TimeWait)
            && pin!(socket.accept(self.port)).poll(cx).is_pending()
            && socket.state() == State::Listen
        {
            return Place::Listening(socket);
        }
        self.open(socket, now + OPENING, now, cx)
    }

    fn open(
        &self,
        mut socket: TcpSocket<'d>,
        until: Instant,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Place<'d> {
        match socket.state() {
            State::SynReceived | State::SynSent if now < until => {
                let _ = pin!(socket.wait_write_ready()).poll(cx);
                Place::Opening(socket, until)
            }
            State::SynReceived | State::SynSent => {
                socket.abort();
                self.leave(socket, now + CUTTING, now, cx)
            }
            // The client went away again.
            State::Closed | State::TimeWait | State::Listen => self.leave(socket, now + CUTTING, now, cx),
            _ => {
                let number = self.accepted.get().wrapping_add(1);
                self.accepted.set(number);
                Place::Waiting(socket, now, number)
            }
        }
    }

    fn leave(
        &self,
        mut socket: TcpSocket<'d>,
        until: Instant,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Place<'d> {
        let gone = match socket.state() {
            // smoltcp has acknowledged the client's FIN in the same turn.
            State::TimeWait | State::Listen => true,
            // A reset is still to be sent while the peer is remembered.
            State::Closed => socket.remote_endpoint().is_none() || now >= until,
            _ => false,
        };
        if gone {
            return self.listen(socket, now, cx);
        }
        if now >= until {
            socket.abort();
            let _ = pin!(socket.wait_write_ready()).poll(cx);
            return Place::Leaving(socket, now + CUTTING);
        }
        socket.close();
        let mut unread = [0; 64];
        while let Poll::Ready(Ok(1..)) = pin!(socket.read(&mut unread)).poll(cx) {}
        let _ = pin!(socket.wait_write_ready()).poll(cx);
        Place::Leaving(socket, until)
    }

    /// Says goodbye to who has waited too long.
    fn refuse<C: Codec>(
        &self,
        socket: TcpSocket<'d>,
        mut codec: C,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Place<'d> {
        self.refused.set(self.refused.get().wrapping_add(1));
        let (mut goodbye, mut len) = ([0; GOODBYE_MAX], 0);
        let mut transport = Tcp::new(socket);
        if C::GOODBYE_MAX <= GOODBYE_MAX {
            let why = CloseReason::Failed(Code::TooManySessions.into());
            codec.close(why, &mut Outbox::new(&mut goodbye, &mut len));
        }
        if len > 0 {
            // Nothing was sent on it before, so the socket takes it at once.
            let _ = transport.poll_write(cx, &goodbye[..len]);
        }
        self.leave(transport.into_socket(), now + REFUSED, now, cx)
    }
}

/// Remembers a waker once, in a free place.
fn enlist(wakers: &mut [Option<Waker>], waker: &Waker) {
    if wakers.iter().flatten().any(|known| known.will_wake(waker)) {
        return;
    }
    match wakers.iter_mut().find(|place| place.is_none()) {
        Some(place) => *place = Some(waker.clone()),
        // More wait than there are sockets: all try again, and the first has its place.
        None => {
            wakers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
            if let Some(place) = wakers.first_mut() {
                *place = Some(waker.clone());
            }
        }
    }
}
