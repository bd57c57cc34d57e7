//! One connection to an echo server.

use std::time::Instant;

use netloom::{ClientSession, Code, Framing, Heap, Stream};

use super::load::{self, Answered, Job};
use super::message::Message;
use crate::wire::{Moved, Wire, exchange, push};

/// One connection: as many messages in flight as it may have.
pub(super) struct Connection {
    session: ClientSession<Wire<Framing>>,
    message: Message,
    job: Job,
}

impl Connection {
    pub(super) fn new(stream: Stream<Heap>, number: usize, size: usize, job: Job) -> Self {
        let unit = size.saturating_add(64);
        let first = unit.saturating_mul(usize::try_from(job.in_flight).unwrap_or(usize::MAX));
        let session = load::session(stream, Framing::new(), first, unit, size);
        Self { session, message: Message::new(number, size), job }
    }

    pub(super) async fn run(mut self) -> Result<(), String> {
        self.talk().await.map_err(|error| error.to_string())
    }

    async fn talk(&mut self) -> netloom::Result<()> {
        let mut now = Instant::now();
        let mut sent_at = vec![now; self.job.in_flight as usize].into_boxed_slice();
        let (mut sent, mut answered) = (0, 0);
        // Bytes of the message at hand that are queued.
        let mut queued = self.message.frame().len();
        loop {
            loop {
                if queued == self.message.frame().len() {
                    if self.job.is_late(now, sent) || sent - answered == self.job.in_flight {
                        break;
                    }
                    self.message.number(sent);
                    sent_at[(sent % self.job.in_flight) as usize] = now;
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
                Moved::Received(is_right) => {
                    now = Instant::now();
                    let took = now - sent_at[(answered % self.job.in_flight) as usize];
                    answered += 1;
                    let bytes = self.message.size() as u64;
                    let answer = Answered { bytes, is_right, is_failure: false, other_length: false };
                    self.job.count(now, took, answer);
                }
                Moved::Pushed(more) => queued += more,
                Moved::Ended => return Err(Code::ConnectionClosed.into()),
            }
        }
    }
}
