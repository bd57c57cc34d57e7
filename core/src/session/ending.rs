//! How a session ends. This file holds every state and says what leads where.
//!
//! | state | what happens | next |
//! |---|---|---|
//! | `Open` | messages both ways | `Closing` by [`CloseReason`]; `Torn` when a large message is begun; `Ended` when the transport fails |
//! | `Torn` | a message larger than tx is on its way | `Open` when it is out; any other use: `Ended`, invalid_session |
//! | `Closing` | the codec's goodbye waits for room in tx | `Goodbye` |
//! | `Goodbye` | what is queued leaves, the goodbye last | `Finishing` |
//! | `Finishing` | the transport says that no more will be written | `Lingering`, or `Ended` if the peer has ended or the host lingers itself |
//! | `Lingering` | what the peer still sends is read and thrown away, or TCP would reset and the goodbye be lost | `Ended` when it ends too |
//! | `Ended` | nothing more | |
//!
//! From `Closing` to the end of `Lingering` it takes at most `Timeouts::closing`, and lingering reads at
//! most [`LINGER_MAX`] bytes; past either the transport is aborted.

use core::task::{Context, Poll, ready};

use super::SHORT_WAYS;
use super::sender::Sender;
use crate::buffer::{Inbox, Room};
use crate::codec::Codec;
use crate::error::{Code, Error};
use crate::platform::{Clock, Platform, Transport};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Torn,
    Closing(CloseReason),
    Goodbye(CloseReason),
    Finishing(CloseReason),
    Lingering(CloseReason),
    Ended(CloseReason),
}

/// A peer that still sends this much after our goodbye does not read it anyway.
pub(super) const LINGER_MAX: usize = 1024 * 1024;
/// What they are counted in, each read rounded up: the count has two bytes.
const LINGER_UNIT: usize = 32;

/// Why a session ended, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CloseReason {
    /// The application closed it.
    Local,
    /// The peer ended it in order, by a goodbye or by the end of the stream between two messages.
    Peer,
    /// Nothing was said for [`Timeouts::idle`](crate::Timeouts::idle).
    Idle,
    /// The host is shutting down.
    Shutdown,
    /// Something went wrong.
    Failed(Error),
}

impl CloseReason {
    /// What `receive` tells the application.
    pub const fn error(self) -> Option<Error> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl State {
    pub(super) fn reason(self) -> Option<CloseReason> {
        match self {
            Self::Open | Self::Torn => None,
            Self::Closing(reason)
            | Self::Goodbye(reason)
            | Self::Finishing(reason)
            | Self::Lingering(reason)
            | Self::Ended(reason) => Some(reason),
        }
    }
}

impl<P: Platform, C: Codec> Sender<P, C> {
    /// Goes on with the end until it is over.
    pub(super) fn poll_end(&mut self, rx: &mut Inbox<P::Storage>, cx: &mut Context<'_>) -> Poll<()> {
        self.timing.ends(self.spans.closing, || self.clock.now());
        loop {
            self.state = match self.state {
                State::Closing(reason) => match self.poll_goodbye(reason, cx) {
                    Poll::Ready(()) => match self.state {
                        State::Closing(_) => {
                            if SHORT_WAYS {
                                self.ahead_or_lingered = 0; // nothing more is answered, what is read now is counted
                            }
                            State::Goodbye(reason)
                        }
                        ended => ended,
                    },
                    Poll::Pending => {
                        if SHORT_WAYS {
                            self.ahead_or_lingered = 0; // how much that may be is counted from the goodbye on
                        }
                        // A peer that writes before it reads would wait for us, and we for it.
                        let _ = self.poll_linger(rx, cx);
                        return self.poll_end_by(reason, cx);
                    }
                },
                State::Goodbye(reason) => match self.poll_drain(cx) {
                    Poll::Ready(Ok(())) => State::Finishing(reason),
                    Poll::Ready(Err(_)) => self.state, // ended by the failure
                    Poll::Pending => {
                        let _ = self.poll_linger(rx, cx); // as above
                        return self.poll_end_by(reason, cx);
                    }
                },
                State::Finishing(reason) => match self.transport.poll_finish(cx) {
                    Poll::Ready(Ok(())) if !self.peer_finished && self.lingers => State::Lingering(reason),
                    Poll::Ready(_) => State::Ended(reason),
                    Poll::Pending => return self.poll_end_by(reason, cx),
                },
                State::Lingering(reason) => match self.poll_linger(rx, cx) {
                    Poll::Ready(()) => State::Ended(reason),
                    Poll::Pending => return self.poll_end_by(reason, cx),
                },
                State::Open | State::Torn | State::Ended(_) => return Poll::Ready(()),
            };
        }
    }

    /// Writes the codec's goodbye behind what is queued.
    fn poll_goodbye(&mut self, reason: CloseReason, cx: &mut Context<'_>) -> Poll<()> {
        if C::GOODBYE_MAX == 0 {
            return Poll::Ready(());
        }
        loop {
            match self.tx.make_room(C::GOODBYE_MAX) {
                Room::Made => {
                    self.tx.write(|out| self.codec.close(reason, out));
                    return Poll::Ready(());
                }
                Room::Exhausted => {
                    self.tx.wait(cx);
                    return Poll::Pending;
                }
                Room::Short if self.tx.is_empty() => self.tx.release_if_empty(),
                Room::Short => {
                    if ready!(self.poll_drain(cx)).is_err() {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }

    /// Reads what the peer still sends and throws it away.
    fn poll_linger(&mut self, rx: &mut Inbox<P::Storage>, cx: &mut Context<'_>) -> Poll<()> {
        while !self.peer_finished {
            rx.clear();
            if rx.is_lent() && ready!(self.transport.poll_readable(cx)).is_err() {
                return Poll::Ready(());
            }
            let room = ready!(rx.poll_room(cx));
            // Behind a held unit there may be no room at all; then the grace time ends it.
            if room.is_empty() {
                return Poll::Pending;
            }
            let Poll::Ready(read) = self.transport.poll_read(cx, room) else {
                rx.release_if_empty();
                return Poll::Pending;
            };
            match read {
                Ok(n @ 1..) if usize::from(self.ahead_or_lingered) < LINGER_MAX / LINGER_UNIT => {
                    let read = u16::try_from(n.div_ceil(LINGER_UNIT)).unwrap_or(u16::MAX);
                    self.ahead_or_lingered = self.ahead_or_lingered.saturating_add(read);
                }
                Ok(0) | Err(_) => self.peer_finished = true,
                Ok(_) => {
                    self.transport.abort(Code::ConnectionClosed.into());
                    return Poll::Ready(());
                }
            }
        }
        Poll::Ready(())
    }

    /// The grace time: past it the connection is cut, and what was queued is lost.
    fn poll_end_by(&mut self, reason: CloseReason, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.clock.poll_until(self.timing.end_by(), cx));
        let undelivered = !self.tx.is_empty();
        self.tx.consume(self.tx.len());
        self.tx.release_if_empty();
        self.transport.abort(reason.error().unwrap_or(Code::ConnectionClosed.into()));
        self.state = State::Ended(match undelivered {
            true if reason.error().is_none() => CloseReason::Failed(Code::WriteStalled.into()),
            _ => reason,
        });
        Poll::Ready(())
    }
}
