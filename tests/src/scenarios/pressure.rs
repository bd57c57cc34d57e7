//! Peers that do not read, and the senders that wait for them.

use std::cell::Cell;

use netloom_core::{CloseReason, Code, Duration, Error, Fault, Options, Platform, Result, Session, Timeouts};
use netloom_protocols::{Framing, Lines};

use super::echo::{converse, echo};
use super::{code, either, millis, secs};
use crate::codecs::{Raw, Speech};
use crate::{Blocks, Faults, Messages, OnArrays, World, cancel_after_polls, link, open, open_on};

/// Sends `count` messages and only then receives as many.
async fn write_then_read<P: Platform, C: Speech>(
    session: &mut Session<P, C>,
    (seed, peers): (u64, u64),
    count: u64,
    len: usize,
) -> Result<()> {
    let message = |seed| Messages::new(seed, len).make().repeat(len)[..len].to_vec();
    let (ours, theirs) = (message(seed), message(peers));
    for _ in 0..count {
        session.send(C::say(&ours)).await?;
    }
    for _ in 0..count {
        let Some((event, _)) = session.receive().await? else { panic!("the peer ended first") };
        assert_eq!(C::heard(event), theirs);
    }
    session.close().await
}

/// A seed whose first message is not empty.
fn telling(seed: u64, len: usize) -> u64 {
    (seed..).find(|seed| !Messages::new(*seed, len).make().is_empty()).unwrap_or(seed)
}

fn both_write<C: Speech, const RX: usize>(seed: u64, count: u64, len: usize) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let (blocks, tx) = (Blocks::plenty(RX), Blocks::plenty(64));
    let session = |pipe| {
        let queues = (blocks.storage(), tx.storage());
        Session::<crate::OnBlocks, C>::open(pipe, C::speech(), queues, world.clock(), Options::DEFAULT)
    };
    let (mut left, mut right) = (session(a), session(b));
    let seeds = (telling(seed, len), telling(seed + 1000, len));
    let mut lab = world.tasks();
    lab.spawn("left", async { write_then_read(&mut left, seeds, count, len).await.expect("left") });
    lab.spawn("right", async {
        write_then_read(&mut right, (seeds.1, seeds.0), count, len).await.expect("right");
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
    tx.assert_idle("at the end");
}

pub(super) fn peers_that_write_before_they_read_go_on(seed: u64) {
    either(
        seed,
        |seed| both_write::<Framing, 1024>(seed, 15, 50),
        |seed| both_write::<Lines, 1024>(seed, 15, 50),
    );
}

pub(super) fn peers_that_write_a_large_message_before_they_read_go_on(seed: u64) {
    both_write::<Framing, 1024>(seed, 1, 300 + seed as usize % 600);
}

/// Three clients of one server; the first sends and never reads.
pub(super) fn a_peer_that_does_not_read_stops_only_its_own_sender(seed: u64) {
    either(seed, does_not_read::<Framing>, does_not_read::<Lines>);
}

fn does_not_read<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let blocks = Blocks::plenty(64);
    let (done, stalled_at) = (Cell::new(0), Cell::new(secs(0)));
    let (a, b) = link(&world, Faults::rough());
    let mut blocked = open_on(&world, a, C::speech(), &blocks);
    let patient = Timeouts { write_stall: Duration::MAX, ..Timeouts::DEFAULT };
    let options = Options { timeouts: patient, ..Options::DEFAULT };
    let mut rude: Session<OnArrays<64>, C> =
        Session::open(b, C::speech(), ([0; 64], [0; 64]), world.clock(), options);
    let mut lab = world.tasks();
    lab.spawn("blocked server", async {
        let error = echo(&mut blocked).await.expect_err("nobody reads");
        assert_eq!((error.code(), error.fault()), (Code::WriteStalled, Fault::Peer));
        assert_eq!(blocked.reason(), Some(CloseReason::Failed(error)));
        stalled_at.set(world.elapsed());
    });
    lab.spawn("rude client", async {
        // The sender alone never reads. It stops when the server does: everything is bounded.
        let mut messages = Messages::new(seed, 40);
        let error = loop {
            if let Err(error) = rude.sender().send(C::say(messages.make())).await {
                break error;
            }
            assert!(messages.count() < 100, "nothing held the sender up");
        };
        assert_eq!(error, Code::ConnectionClosed);
    });
    for name in ["one", "two"] {
        let (a, b) = link(&world, Faults::rough());
        let mut server = open_on(&world, a, C::speech(), &blocks);
        lab.spawn(format!("server {name}"), async move { echo(&mut server).await.expect("server") });
        let (world, done) = (&world, &done);
        lab.spawn(format!("client {name}"), async move {
            let mut client = open::<64, _>(world, b, C::speech());
            converse(&mut client, (seed, 30), 5, 2).await.expect("client");
            client.close().await.expect("close");
            done.set(done.get() + 1);
            assert!(world.elapsed() < secs(25), "the others were held up");
        });
    }
    let report = lab.run(secs(60));
    report.assert_done();
    assert_eq!(done.get(), 2);
    // From the last byte taken, which was within the first seconds.
    let at = stalled_at.get();
    assert!((secs(30)..secs(32)).contains(&at), "stalled at {at:?}");
    drop(blocked); // with the event that could not be answered
    assert!(blocks.peak() <= 6, "two blocks a session, not {}", blocks.peak());
    blocks.assert_idle("at the end");
}

/// A link that takes some bytes and then none, and an application that looks away meanwhile.
pub(super) fn a_write_stall_counts_from_the_last_progress(seed: u64) {
    let world = World::new(seed);
    let taken = 10 + world.below(50);
    let (a, b) = link(&world, Faults::none().stall(taken, Duration::MAX));
    let mut session = open::<100, _>(&world, a, Raw);
    let peer = b;
    let begin = secs(world.below(100));
    let away = secs(world.below(50));
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        world.sleep(begin).await;
        session.send(&[b'x'; 100]).await.expect("it fits the queue");
        assert!(cancel_after_polls(1, session.flush()).await.is_none(), "the link takes {taken} bytes");
        world.sleep(away).await;
        let error = match world.below(3) {
            0 => code(session.flush().await),
            1 => code(session.send(&[b'y'; 100]).await),
            _ => code(session.receive().await),
        };
        assert_eq!(error, Code::WriteStalled);
        assert_eq!(world.elapsed(), begin + away.max(secs(30)));
        assert_eq!(session.stats().sent.bytes, taken);
    });
    lab.run(secs(200)).assert_done();
    assert_eq!(peer.reset_by().map(Error::code), Some(Code::WriteStalled));
}

/// A peer that reads nothing for a while, but not for too long, or that reads while the application looks
/// away: the time-out did not pass.
pub(super) fn a_stall_that_ends_in_time_is_no_error(seed: u64) {
    let world = World::new(seed);
    let faults = Faults { latency: millis(0), jitter: millis(0), ..Faults::rough() };
    let (a, b) = link(&world, faults.stall(50, secs(1 + world.below(28))));
    let mut writer = open::<100, _>(&world, a, Raw);
    let mut reader = open::<300, _>(&world, b, Raw);
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        writer.send(&[b'x'; 100]).await.expect("it fits the queue");
        _ = cancel_after_polls(world.length(10) as u64, writer.flush()).await;
        if world.chance(50) {
            world.sleep(secs(60)).await;
        }
        writer.flush().await.expect("the stall is over");
        writer.close().await.expect("close");
    });
    lab.spawn("reader", async {
        let mut n = 0;
        while let Some((piece, _)) = reader.receive().await.expect("receive") {
            n += piece.len();
        }
        assert_eq!(n, 100);
    });
    lab.run(secs(120)).assert_done();
}
