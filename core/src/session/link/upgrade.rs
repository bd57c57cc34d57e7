//! Another protocol on a session that somebody else owns: HTTP's upgrade, from within a handler.
//!
//! The codec is another one; transport, queues, clock, time-outs and counts are the session's own, and go back to it.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::task::Context;

use super::super::Session;
use super::super::ending::State;
use super::super::sender::Sender;
use super::super::stats::Traffic;
use super::super::timing::{Spans, Timing};
use crate::buffer::{Inbox, Queue, Storage};
use crate::codec::{Codec, Limits};
use crate::platform::{Clock, Platform, Transport};
use crate::time::Instant;

/// The platform of a session that was lent: which one it is in truth is not known.
pub struct Erased<'a>(PhantomData<&'a mut ()>);

impl<'a> Platform for Erased<'a> {
    type Transport = &'a mut (dyn Transport + 'a);
    type Storage = ErasedStorage<'a>;
    type Clock = &'a mut (dyn Clock + 'a);
}

/// Storage of a kind that is not known.
pub struct ErasedStorage<'a>(&'a mut (dyn AnyStorage + 'a));

trait AnyStorage {
    fn limit(&self) -> usize;
    fn hold(&mut self, least: usize) -> bool;
    fn wait(&mut self, cx: &mut Context<'_>);
    fn bytes(&mut self) -> &mut [u8];
    fn release(&mut self);
}

impl<S: Storage> AnyStorage for S {
    fn limit(&self) -> usize {
        Storage::limit(self)
    }
    fn hold(&mut self, least: usize) -> bool {
        Storage::hold(self, least)
    }
    fn wait(&mut self, cx: &mut Context<'_>) {
        Storage::wait(self, cx);
    }
    fn bytes(&mut self) -> &mut [u8] {
        Storage::bytes(self)
    }
    fn release(&mut self) {
        Storage::release(self);
    }
}

impl Storage for ErasedStorage<'_> {
    const LENT: bool = true;

    fn limit(&self) -> usize {
        self.0.limit()
    }
    fn hold(&mut self, least: usize) -> bool {
        self.0.hold(least)
    }
    fn wait(&mut self, cx: &mut Context<'_>) {
        self.0.wait(cx);
    }
    fn bytes(&mut self) -> &mut [u8] {
        self.0.bytes()
    }
    fn release(&mut self) {
        self.0.release();
    }
}

/// What a session and the one it is lent as have in common; copied there and back.
#[derive(Clone, Copy)]
struct Progress {
    state: State,
    timing: Timing,
    received: Traffic,
    sent: Traffic,
    peer_finished: bool,
    end_by: Instant,
    lingered: u32,
    rx: (usize, usize),
    tx: (usize, usize),
}

/// Where it goes back to.
struct Places<'a> {
    state: &'a mut State,
    timing: &'a mut Timing,
    received: &'a mut Traffic,
    sent: &'a mut Traffic,
    peer_finished: &'a mut bool,
    end_by: &'a mut Instant,
    lingered: &'a mut u32,
    rx: (&'a mut usize, &'a mut usize),
    tx: (&'a mut usize, &'a mut usize),
}

impl Places<'_> {
    fn load(&self) -> Progress {
        Progress {
            state: *self.state,
            timing: *self.timing,
            received: *self.received,
            sent: *self.sent,
            peer_finished: *self.peer_finished,
            end_by: *self.end_by,
            lingered: *self.lingered,
            rx: (*self.rx.0, *self.rx.1),
            tx: (*self.tx.0, *self.tx.1),
        }
    }

    fn store(&mut self, progress: Progress) {
        *self.state = progress.state;
        *self.timing = progress.timing;
        *self.received = progress.received;
        *self.sent = progress.sent;
        *self.peer_finished = progress.peer_finished;
        *self.end_by = progress.end_by;
        *self.lingered = progress.lingered;
        (*self.rx.0, *self.rx.1) = progress.rx;
        (*self.tx.0, *self.tx.1) = progress.tx;
    }
}

/// A session's insides, on the way to another codec.
pub struct Lending<'a> {
    transport: &'a mut (dyn Transport + 'a),
    clock: &'a mut (dyn Clock + 'a),
    rx: ErasedStorage<'a>,
    tx: ErasedStorage<'a>,
    spans: Spans,
    lingers: bool,
    message_max: usize,
    opened_at: Instant,
    places: Places<'a>,
}

impl<'a> Lending<'a> {
    pub(super) fn of<P: Platform, C>(session: &'a mut Session<P, C>) -> Self {
        let Session { rx, sender, .. } = session;
        let (rx, rx_at) = rx.queue().split();
        let (tx, tx_at) = sender.tx.split();
        Self {
            transport: &mut sender.transport,
            clock: &mut sender.clock,
            rx: ErasedStorage(rx),
            tx: ErasedStorage(tx),
            spans: sender.spans,
            lingers: sender.lingers,
            message_max: sender.message_max,
            opened_at: sender.opened_at,
            places: Places {
                state: &mut sender.state,
                timing: &mut sender.timing,
                received: &mut sender.received,
                sent: &mut sender.sent,
                peer_finished: &mut sender.peer_finished,
                end_by: &mut sender.end_by,
                lingered: &mut sender.lingered,
                rx: rx_at,
                tx: tx_at,
            },
        }
    }

    /// The session with `codec`. What was received already is the codec's; queued output still leaves first.
    ///
    /// # Panics
    /// If the send queue is too small for the codec's replies.
    pub fn open<D: Codec>(self, mut codec: D) -> Upgraded<'a, D> {
        let Self { transport, clock, rx, tx, spans, lingers, message_max, opened_at, places } = self;
        assert!(
            Storage::limit(&tx) >= D::REPLY_MAX.max(D::GOODBYE_MAX).max(1),
            "the tx queue is too small for the codec's replies"
        );
        codec.limit(Limits { message: message_max, unit: Storage::limit(&rx) });
        let progress = places.load();
        let sender = Sender {
            tx: Queue::resumed(tx, progress.tx),
            codec,
            transport,
            clock,
            state: progress.state,
            message_max,
            spans,
            lingers,
            timing: progress.timing,
            received: progress.received,
            sent: progress.sent,
            opened_at,
            peer_finished: progress.peer_finished,
            stood_still: false,
            asked: false,
            end_by: progress.end_by,
            lingered: progress.lingered,
        };
        let rx = Inbox::new(Queue::resumed(rx, progress.rx));
        Upgraded { session: Session { rx, lent: 0, sender }, places }
    }
}

/// A session that goes on under another codec, and goes back to its owner, as far as it has come, when this is
/// dropped.
pub struct Upgraded<'a, D: Codec> {
    session: Session<Erased<'a>, D>,
    places: Places<'a>,
}

impl<'a, D: Codec> Deref for Upgraded<'a, D> {
    type Target = Session<Erased<'a>, D>;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl<D: Codec> DerefMut for Upgraded<'_, D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}

impl<D: Codec> Drop for Upgraded<'_, D> {
    fn drop(&mut self) {
        self.session.let_go();
        let sender = &self.session.sender;
        self.places.store(Progress {
            state: sender.state,
            timing: sender.timing,
            received: sender.received,
            sent: sender.sent,
            peer_finished: sender.peer_finished,
            end_by: sender.end_by,
            lingered: sender.lingered,
            rx: self.session.rx.queue().place(),
            tx: sender.tx.place(),
        });
    }
}
