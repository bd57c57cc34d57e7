//! One connection of QUIC whose datagrams the server sends back. They may be lost, which is counted, or overtaken.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use netloom::{ClientSession, Code, Framing, Heap, Stream};
use tokio::time::timeout;

use super::load::{self, Answered, Job};
use super::message::Message;
use crate::wire::{Moved, Wire, exchange, push};

/// Shorter ones have no number to know them by.
pub(super) const SHORTEST: usize = 12;

/// After so long without an answer those that are under way are lost.
const SILENCE: Duration = Duration::from_millis(250);

pub(super) async fn run(stream: Stream<Heap>, number: usize, size: usize, job: Job) -> Result<(), String> {
    talk(stream, number, size, job).await.map_err(|error| error.to_string())
}

async fn talk(stream: Stream<Heap>, number: usize, size: usize, job: Job) -> netloom::Result<()> {
    let connection = stream.quic().ok_or(Code::Unsupported)?.connection().clone();
    // Whoever answers does so for a session, so there is one.
    let mut session = load::session(stream, Framing::new(), 0, SHORTEST + 64, SHORTEST);
    greet(&mut session, number).await?;
    let mut message = Message::new(number, size);
    let mut under_way = BTreeMap::new();
    let (mut now, mut sent) = (Instant::now(), 0);
    loop {
        while !job.is_late(now, sent) && (under_way.len() as u64) < job.in_flight {
            message.number(sent);
            connection.send_datagram(message.payload().to_vec())?;
            under_way.insert(sent, now);
            sent += 1;
        }
        if under_way.is_empty() {
            return session.close().await;
        }
        let Ok(answer) = timeout(SILENCE, connection.receive_datagram()).await else {
            job.lose(under_way.len());
            under_way.clear();
            now = Instant::now();
            continue;
        };
        let answer = answer?;
        now = Instant::now();
        let bytes = answer.len() as u64;
        // What is not under way was taken for lost.
        let Some(number) = Message::number_of(&answer) else { continue };
        if let Some(sent_at) = under_way.remove(&number) {
            let is_right = message.is_answered(number, &answer);
            let answer = Answered { bytes, is_right, is_failure: false, other_length: false };
            job.count(now, now - sent_at, answer);
        }
    }
}

/// Has one message answered.
async fn greet(session: &mut ClientSession<Wire<Framing>>, number: usize) -> netloom::Result<()> {
    let message = Message::new(number, SHORTEST);
    let mut pushed = push(session, message.frame());
    loop {
        match exchange(session, &message.frame()[pushed..], |_| ()).await? {
            Moved::Received(()) => return Ok(()),
            Moved::Pushed(more) => pushed += more,
            Moved::Ended => return Err(Code::ConnectionClosed.into()),
        }
    }
}
