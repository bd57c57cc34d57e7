//! Messages larger than a queue, which go out without a copy.

use std::cell::RefCell;

use netloom_core::{CloseReason, Code, Options, Session};
use netloom_protocols::Framing;

use super::{code, is_broken, secs};
use crate::{Blocks, Faults, Messages, OnBlocks, World, cancel_after_polls, link, open};

pub(super) fn large_messages_bypass_the_queue(seed: u64) {
    let world = World::new(seed);
    let faults = if world.chance(50) { Faults::none() } else { Faults::rough() };
    let (a, b) = link(&world, faults);
    let tx = Blocks::plenty(64);
    let queues = (tx.storage(), tx.storage());
    let mut writer: Session<OnBlocks, _> =
        Session::open(a, Framing::new(), queues, world.clock(), Options::DEFAULT);
    let mut reader = open::<2048, _>(&world, b, Framing::new());
    let count = 3;
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        let mut messages = Messages::new(seed, 2000);
        for _ in 0..count {
            match world.chance(50) {
                true => writer.send(messages.make()).await.expect("send"),
                false => writer.sender().send(messages.make()).await.expect("send"),
            }
        }
        writer.close().await.expect("close");
    });
    lab.spawn("reader", async {
        let mut expected = Messages::new(seed, 2000);
        while let Some((message, _)) = reader.receive().await.expect("receive") {
            expected.check(message);
        }
        assert_eq!(expected.count(), count);
    });
    lab.run(secs(25)).assert_done();
    assert!(tx.peak() <= 2, "a large message was copied into {} blocks", tx.peak());
    tx.assert_idle("at the end");
    assert_eq!(writer.stats().sent.messages, count);
}

pub(super) fn a_large_message_dropped_half_way_is_cut(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults { spurious: 0, ..Faults::rough() });
    let tx = Blocks::plenty(64);
    let queues = (tx.storage(), tx.storage());
    let mut writer: Session<OnBlocks, _> =
        Session::open(a, Framing::new(), queues, world.clock(), Options::DEFAULT);
    let mut reader = open::<2048, _>(&world, b, Framing::new());
    let received = RefCell::new(Vec::new());
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        writer.send(b"before").await.expect("send");
        let large = [b'x'; 1000];
        // The link takes 100 bytes at once, so this does not end in one poll.
        let sent = cancel_after_polls(1 + world.below(3), writer.send(&large)).await;
        assert!(sent.is_none(), "a thousand bytes left at once");
        let error = match world.below(6) {
            0 => code(writer.send(b"after").await),
            1 => code(writer.try_send(b"after")),
            2 => code(writer.receive().await),
            3 => code(writer.close().await),
            4 => code(writer.flush().await),
            _ => code(writer.sender().send(b"after").await),
        };
        assert_eq!(error, Code::InvalidSession);
        assert_eq!(writer.reason(), Some(CloseReason::Failed(Code::InvalidSession.into())));
        assert_eq!(code(writer.receive().await), Code::InvalidSession);
    });
    lab.spawn("reader", async {
        let error = loop {
            match reader.receive().await {
                Ok(Some((message, _))) => received.borrow_mut().push(message.to_vec()),
                Ok(None) => panic!("half a message looked like an end in order"),
                Err(error) => break error,
            }
        };
        assert!(is_broken(error), "{error}");
    });
    lab.run(secs(25)).assert_done();
    // A reset may destroy what was sent before, but nothing else can be received.
    let received = received.into_inner();
    assert!(received.is_empty() || received == [b"before"], "{received:?}");
    tx.assert_idle("at the end");
}

/// Blocks come in sizes. `send` is all or nothing for what fits the block at hand; `try_send` takes a larger
/// block if need be, and is all or nothing up to the largest.
pub(super) fn what_is_tried_or_fits_the_queue_is_never_torn(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::new(&[(64, 4), (1024, 4)]);
    let queues = (blocks.storage(), blocks.storage());
    let mut writer: Session<OnBlocks, _> =
        Session::open(a, Framing::new(), queues, world.clock(), Options::DEFAULT);
    let mut reader = open::<1024, _>(&world, b, Framing::new());
    let tried = world.chance(50);
    let message = vec![b'x'; world.below(if tried { 1021 } else { 61 }) as usize];
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        match tried {
            true => writer.try_send(&message).expect("the queue is empty and has room"),
            false => _ = cancel_after_polls(1, writer.send(&message)).await,
        }
        writer.send(b"after").await.expect("nothing is torn");
        writer.close().await.expect("close");
    });
    lab.spawn("reader", async {
        let mut last = Vec::new();
        while let Some((received, _)) = reader.receive().await.expect("receive") {
            assert!(received == message || received == b"after");
            last = received.to_vec();
        }
        assert_eq!(last, b"after");
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// From 32 KiB on a message is written from where it lies, and what the transport does not take is queued.
pub(super) fn a_large_message_that_fits_the_queue_is_sent_whole_or_not_at_all(seed: u64) {
    let world = World::new(seed);
    let capacity = 1 + world.below(100_000) as usize;
    let (a, b) = link(&world, Faults { capacity, short: 20, spurious: 20, ..Faults::none() });
    let blocks = Blocks::new(&[(70_000, 8)]);
    let open = |end| {
        let queues = (blocks.storage(), blocks.storage());
        Session::<OnBlocks, _>::open(end, Framing::new(), queues, world.clock(), Options::DEFAULT)
    };
    let (mut writer, mut reader) = (open(a), open(b));
    let (sent, received) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        for content in 0..8 {
            let shortest = if world.chance(30) { 0 } else { 32 * 1024 };
            let message = vec![content; shortest + world.below(37_000) as usize];
            let polls = if world.chance(50) { 1 + world.below(3) } else { u64::MAX };
            if let Some(done) = cancel_after_polls(polls, writer.send(&message)).await {
                done.expect("send");
                sent.borrow_mut().push((content, message.len()));
            }
        }
        writer.close().await.expect("close");
    });
    lab.spawn("reader", async {
        while let Some((message, _)) = reader.receive().await.expect("receive") {
            let content = message.first().copied().unwrap_or_default();
            assert!(message.iter().all(|byte| *byte == content), "two messages in one");
            received.borrow_mut().push((content, message.len()));
        }
    });
    lab.run(secs(25)).assert_done();
    // An empty message has no content to tell it by.
    let told = |list: &RefCell<Vec<(u8, usize)>>| {
        list.borrow().iter().filter(|(_, len)| *len > 0).copied().collect::<Vec<_>>()
    };
    assert_eq!(told(&received), told(&sent));
    blocks.assert_idle("at the end");
}

/// Whom so many large messages wait for reads them into a larger block, and answers two in one write.
pub(super) fn large_messages_at_hand_are_read_and_answered_several_at_once(seed: u64) {
    const COUNT: u64 = 16;
    const SIZE: usize = 64 * 1024;
    let world = World::new(seed);
    let is_smooth = world.chance(50);
    let faults = match is_smooth {
        true => Faults { capacity: 2 * 1024 * 1024, ..Faults::none() },
        false => {
            Faults { capacity: 1 + world.below(200_000) as usize, short: 20, spurious: 20, ..Faults::none() }
        }
    };
    let (a, b) = link(&world, faults);
    let blocks = Blocks::new(&[(70_000, 8), (280_000, 4)]).widening();
    let open = |end| {
        let queues = (blocks.storage(), blocks.storage());
        Session::<OnBlocks, _>::open(end, Framing::new(), queues, world.clock(), Options::DEFAULT)
    };
    let (mut asker, mut echo) = (open(a), open(b));
    let message = |content: u64| vec![content as u8; SIZE];
    if is_smooth {
        let mut lab = world.tasks();
        lab.spawn("asker", async {
            for content in 0..COUNT {
                asker.send(&message(content)).await.expect("send");
            }
        });
        lab.run(secs(5)).assert_done();
    }
    let mut lab = world.tasks();
    lab.spawn("asker", async {
        for content in 0..COUNT {
            // Three at a time, of which all answers fit the receive queue.
            if !is_smooth && content % 3 == 0 {
                for content in content..COUNT.min(content + 3) {
                    asker.send(&message(content)).await.expect("send");
                }
            }
            let (answer, _) = asker.receive().await.expect("receive").expect("an answer");
            assert!(answer == message(content), "answer {content} is another one");
        }
        asker.close().await.expect("close");
    });
    lab.spawn("echo", async {
        while let Some((message, sender)) = echo.receive().await.expect("receive") {
            sender.send(message).await.expect("send");
        }
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
    let counts = echo.transport().counts();
    if is_smooth {
        assert!(counts.reads <= COUNT / 2, "{} reads", counts.reads);
        assert!(counts.writes <= COUNT / 2 + 1, "{} writes", counts.writes);
    }
}
