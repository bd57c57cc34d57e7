//! Blocks that run out.
//!
//! Receiving and sending borrow from pools of their own here: a session that holds a received message
//! waits for a block to answer with, and that block comes back as soon as the peer reads.

use netloom_core::{Code, Duration, Fault, Options, Session, Storage};
use netloom_protocols::{Framing, Lines};

use super::echo::{converse, echo};
use super::{code, either, millis, secs};
use crate::codecs::{Chatty, Raw, Speech, Talk};
use crate::{Block, Blocks, Faults, OnBlocks, World, link, open, open_on};

pub(super) fn readers_wait_for_blocks_and_go_on(seed: u64) {
    either(seed, readers_wait::<Framing>, readers_wait::<Lines>);
}

fn readers_wait<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let cap = 1 + world.below(2) as usize;
    let (rx, tx) = (Blocks::new(&[(16, cap), (128, cap)]), Blocks::new(&[(128, cap)]));
    let mut lab = world.tasks();
    for i in 0..4 {
        let (a, b) = link(&world, Faults::rough());
        let (world, rx, tx) = (&world, &rx, &tx);
        lab.spawn(format!("server {i}"), async move {
            let queues = (rx.storage(), tx.storage());
            let mut server: Session<OnBlocks, C> =
                Session::open(a, C::speech(), queues, world.clock(), Options::DEFAULT);
            echo(&mut server).await.expect("server");
        });
        lab.spawn(format!("client {i}"), async move {
            let mut client = open::<128, _>(world, b, C::speech());
            converse(&mut client, (seed + i, 100), 3, 2).await.expect("client");
            if i % 2 == 0 {
                world.sleep(secs(10)).await;
                assert!(rx.lent() + tx.lent() <= 2, "idle sessions hold {} blocks", rx.lent() + tx.lent());
            }
            client.close().await.expect("close");
        });
    }
    lab.run(secs(29)).assert_done();
    assert!(rx.peak() <= 2 * cap && tx.peak() <= cap);
    rx.assert_idle("at the end");
    tx.assert_idle("at the end");
}

/// Keeps a block of at least `least` bytes for `time`.
async fn keep(world: &World, mut block: Block, least: usize, time: Duration) {
    assert!(block.hold(least), "the first to ask");
    world.sleep(time).await;
    drop(block);
}

/// A line is encoded whole, so it needs a block of its size; small ones are free meanwhile.
pub(super) fn a_message_waits_for_a_block_of_its_size(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::new(&[(64, 10), (1024, 1)]);
    let mut writer = open_on(&world, a, Lines::new(), &blocks);
    let mut reader = open::<1024, _>(&world, b, Lines::new());
    let line = "x".repeat(64 + world.below(900) as usize);
    let time = millis(1 + world.below(20_000));
    let mut lab = world.tasks();
    lab.spawn("owner", keep(&world, blocks.storage(), 65, time));
    lab.spawn("writer", async {
        world.sleep(millis(1)).await;
        if time > millis(1) {
            assert_eq!(code(writer.try_send(&line)), Code::BufferFull);
        }
        writer.send(&line).await.expect("it waits");
        assert!(world.elapsed() >= time);
        writer.close().await.expect("close");
    });
    lab.spawn("reader", async {
        assert_eq!(reader.receive().await.expect("receive").expect("the line").0, line);
        assert!(reader.receive().await.expect("in order").is_none());
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// The same for what the codec says by itself, behind a message that was refused for want of a block.
pub(super) fn a_reply_waits_for_a_block_of_its_size(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let (rx, tx) = (Blocks::plenty(64), Blocks::new(&[(1, 10), (64, 1)]));
    let queues = (rx.storage(), tx.storage());
    let mut server: Session<OnBlocks, _> =
        Session::open(a, Chatty::default(), queues, world.clock(), Options::DEFAULT);
    let mut client = open::<64, _>(&world, b, Chatty::default());
    let time = millis(2 + world.below(20_000));
    let mut lab = world.tasks();
    lab.spawn("owner", keep(&world, tx.storage(), 2, time));
    lab.spawn("server", async {
        world.sleep(millis(1)).await;
        assert_eq!(code(server.try_send(Talk::Say(b"now"))), Code::BufferFull);
        let (message, peer) = server.receive().await.expect("receive").expect("a message");
        assert_eq!(message, b"hello");
        peer.send(Talk::Say(b"later")).await.expect("it waits");
        assert!(server.receive().await.expect("in order").is_none());
    });
    lab.spawn("client", async {
        client.send(Talk::Ping(b"there?")).await.expect("send");
        client.send(Talk::Say(b"hello")).await.expect("send");
        assert_eq!(client.receive().await.expect("receive").expect("an answer").0, b"later");
        assert!(world.elapsed() >= time);
        assert_eq!(client.codec().pongs, 1);
        client.close().await.expect("close");
    });
    lab.run(secs(29)).assert_done();
    tx.assert_idle("at the end");
    rx.assert_idle("at the end");
}

/// Blocks that somebody keeps for ever: who waits for one ends with the code that says so, in time.
pub(super) fn blocks_that_never_come_back_end_the_session(seed: u64) {
    let world = World::new(seed);
    let faults = Faults { latency: millis(0), jitter: millis(0), false_alarm: 0, ..Faults::rough() };
    let (a, b) = link(&world, faults);
    let blocks = Blocks::new(&[(64, 1)]);
    let mut server = open_on(&world, a, Framing::new(), &blocks);
    let mut client = open::<64, _>(&world, b, Raw);
    let begin = secs(world.below(100));
    let receives = world.chance(50);
    let mut owned = blocks.storage();
    assert!(owned.hold(1));
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let error = match receives {
            true => server.receive().await.map(|_| ()).expect_err("no block comes"),
            false => {
                world.sleep(begin).await;
                server.send(b"hello").await.expect_err("no block comes")
            }
        };
        assert_eq!((error.code(), error.fault()), (Code::BuffersExhausted, Fault::Local));
        assert_eq!(world.elapsed(), begin + secs(30));
    });
    lab.spawn("client", async {
        world.sleep(begin).await;
        client.send(b"\0\0\0\x05hello").await.expect("it fits the queue");
        assert!(client.receive().await.is_err(), "the server cuts");
    });
    lab.run(secs(500)).assert_done();
    drop(owned);
    blocks.assert_idle("at the end");
}

pub(super) fn a_message_too_large_is_refused_on_its_header(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::new(&[(64, 1), (4096, 0)]);
    let options = Options { message_max: 1000, ..Options::DEFAULT };
    let queues = (blocks.storage(), blocks.storage());
    let mut server: Session<OnBlocks, _> = Session::open(a, Framing::new(), queues, world.clock(), options);
    let mut client = open::<64, _>(&world, b, Raw);
    let length = 1001 + world.below(1 << 31) as u32;
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let error = server.receive().await.map(|_| ()).expect_err("too large");
        assert_eq!((error.code(), error.fault()), (Code::MessageTooLarge, Fault::Peer));
    });
    lab.spawn("client", async {
        _ = client.send(&length.to_be_bytes()).await;
        for _ in 0..world.below(20) {
            _ = client.send(&[b'x'; 30]).await;
        }
        _ = client.close().await;
    });
    lab.run(secs(25)).assert_done();
    // The largest size would have been refused: it was not asked for.
    assert_eq!(blocks.refusals(), 0);
    blocks.assert_idle("at the end");
}
