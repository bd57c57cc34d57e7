//! The rules of the design, each asserted by itself. The scenarios assert them together, in bad weather.

use std::cell::Cell;
use std::future::poll_fn;

use netloom_core::{CloseReason, Code, Duration, Error, Fault, Options, Session, Timeouts, Transport};
use netloom_demo::echo;
use netloom_lab::codecs::{Chatty, Raw, Talk};
use netloom_lab::{Blocks, Faults, OnBlocks, World, cancel_after_polls, link, open, open_on};
use netloom_protocols::{Framing, Lines};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rule_1_batching_queued_output_leaves_in_one_write() {
    let world = World::new(1);
    let (a, b) = link(&world, Faults::none());
    let mut writer = open::<1024, _>(&world, a, Lines::new());
    let mut reader = open::<1024, _>(&world, b, Lines::new());
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        for _ in 0..100 {
            writer.send("hello").await.unwrap();
        }
        assert_eq!(writer.transport().counts().writes, 0, "send only queues");
        assert!(cancel_after_polls(1, writer.receive()).await.is_none());
        assert_eq!(writer.transport().counts().writes, 1, "it leaves when receive is about to wait");
        writer.send("hello").await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(writer.transport().counts().writes, 2, "or on flush");
        for _ in 0..1024 / 6 + 1 {
            writer.send("hello").await.unwrap();
        }
        assert_eq!(writer.transport().counts().writes, 3, "or when the queue is full");
        writer.close().await.unwrap();
    });
    lab.spawn("reader", async { while reader.receive().await.unwrap().is_some() {} });
    lab.run(SECOND).assert_done();
}

#[test]
fn rule_2_duplex_two_peers_that_both_write_first_do_not_stop_each_other() {
    let world = World::new(2);
    // Each writes 3,000 bytes into a link that holds 100, before it reads one.
    let (a, b) = link(&world, Faults::none().capacity(100));
    let mut lab = world.tasks();
    for (name, pipe) in [("left", a), ("right", b)] {
        let mut session = open::<4096, _>(&world, pipe, Framing::new());
        lab.spawn(name, async move {
            session.send(&[1; 3000]).await.unwrap();
            assert_eq!(session.receive().await.unwrap().unwrap().0, [1; 3000]);
            session.close().await.unwrap();
        });
    }
    lab.run(SECOND).assert_done();
}

#[test]
fn rule_3_cancel_safety_a_dropped_await_loses_nothing_but_a_message_larger_than_the_queue() {
    let world = World::new(3);
    let (a, b) = link(&world, Faults::none().capacity(10));
    let mut writer = open::<64, _>(&world, a, Framing::new());
    let mut reader = open::<64, _>(&world, b, Framing::new());
    let heard = Cell::new(0);
    let mut lab = world.tasks();
    lab.spawn("writer", async {
        for i in 0..20u8 {
            while cancel_after_polls(1, writer.send(&[i; 40])).await.is_none() {
                world.sleep(SECOND).await;
            }
        }
        writer.flush().await.unwrap();
        world.sleep(SECOND).await; // a cut destroys what was not yet read
        assert!(cancel_after_polls(1, writer.send(&[99; 200])).await.is_none());
        assert_eq!(writer.send(b"more").await, Err(Code::InvalidSession.into()));
    });
    lab.spawn("reader", async {
        loop {
            match world.timeout(Duration::from_millis(300), reader.receive()).await {
                Some(Ok(Some((message, _)))) => assert_eq!(message, [heard.replace(heard.get() + 1); 40]),
                Some(Ok(None)) => panic!("half a message looked like an end in order"),
                Some(Err(error)) => break assert_eq!(error, Code::ConnectionClosed),
                None => {}
            }
        }
    });
    lab.run(1000 * SECOND).assert_done();
    assert_eq!(heard.get(), 20);
}

#[test]
fn rule_4_idle_costs_nothing_a_session_that_waits_holds_no_block() {
    let world = World::new(4);
    let blocks = Blocks::plenty(64);
    let mut lab = world.tasks();
    for i in 0..100 {
        let (a, b) = link(&world, Faults::rough());
        let (world, blocks) = (&world, &blocks);
        lab.spawn(format!("server {i}"), async move {
            echo(&mut open_on(world, a, Framing::new(), blocks)).await.unwrap();
        });
        lab.spawn(format!("client {i}"), async move {
            let mut client = open::<64, _>(world, b, Framing::new());
            for question in 1..3 {
                client.send(b"hello").await.unwrap();
                assert_eq!(client.receive().await.unwrap().unwrap().0, b"hello");
                world.sleep(question * 10 * SECOND - world.elapsed()).await;
            }
            client.close().await.unwrap();
        });
    }
    lab.spawn("observer", async {
        for _ in 0..2 {
            world.sleep(9 * SECOND).await;
            assert_ne!(blocks.peak(), 0);
            blocks.assert_idle("between two questions");
        }
    });
    lab.run(60 * SECOND).assert_done();
    assert!((200..1000).contains(&blocks.lendings()), "{} for 200 questions", blocks.lendings());
    blocks.assert_idle("at the end");
}

/// Opens a session with `options` on a quiet link, and tells what it ends with and when.
fn ends_with(
    options: Options,
    faults: Faults,
    says: &'static [u8],
    sends: &'static [u8],
) -> (Result<bool, Error>, Duration) {
    let world = World::new(5);
    let (a, b) = link(&world, faults);
    let blocks = Blocks::plenty(128);
    let (queues, clock) = ((blocks.storage(), blocks.storage()), world.clock());
    let mut session: Session<OnBlocks, _> = Session::open(a, Framing::new(), queues, clock, options);
    let mut peer = b;
    let (result, at) = (Cell::new(Ok(false)), Cell::new(Duration::ZERO));
    let mut lab = world.tasks();
    lab.spawn("session", async {
        session.send(sends).await.unwrap();
        result.set(session.receive().await.map(|event| event.is_some()));
        at.set(world.elapsed());
    });
    lab.spawn("peer", async {
        if !says.is_empty() {
            assert_eq!(poll_fn(|cx| peer.poll_write(cx, says)).await, Ok(says.len()));
        }
        // It reads nothing and never ends.
        world.sleep(1000 * SECOND).await;
    });
    lab.run(2000 * SECOND).assert_done();
    (result.get(), at.get())
}

#[test]
fn rule_5_limits_reaching_one_has_a_code_and_takes_the_time_it_says() {
    let timeouts = Timeouts {
        idle: 100 * SECOND,
        message: 20 * SECOND,
        write_stall: 7 * SECOND,
        closing: 3 * SECOND,
        ..Timeouts::DEFAULT
    };
    let options = Options { message_max: 10, timeouts, ..Options::DEFAULT };
    let error = |code: Code| Err(Error::new(code));
    let calm = Faults::none();
    assert_eq!(ends_with(options, calm, b"", b""), (Ok(false), 103 * SECOND));
    assert_eq!(ends_with(options, calm, b"\0\0\0", b""), (error(Code::MessageTimeout), 23 * SECOND));
    assert_eq!(ends_with(options, calm, b"\0\0\0\x0b", b""), (error(Code::MessageTooLarge), 3 * SECOND));
    let stalls = calm.stall(2, Duration::MAX);
    assert_eq!(ends_with(options, stalls, b"", b"12345"), (error(Code::WriteStalled), 7 * SECOND));
    assert_eq!(ends_with(options, calm, b"\0\0\0\x01x", b""), (Ok(true), Duration::ZERO));
}

#[test]
fn rule_6_backpressure_a_slow_reader_stops_its_sender_and_nobody_else() {
    let world = World::new(6);
    let blocks = Blocks::plenty(64);
    let (slow, silent) = link(&world, Faults::none().capacity(100));
    let (quick, reader) = link(&world, Faults::none().capacity(100));
    let sent = Cell::new(0);
    let mut lab = world.tasks();
    lab.spawn_background("sender to a peer that does not read", async {
        let mut session = open_on(&world, slow, Framing::new(), &blocks);
        while session.send(&[1; 40]).await.is_ok() {
            sent.set(sent.get() + 1);
        }
    });
    lab.spawn("sender to a peer that reads", async {
        let mut session = open_on(&world, quick, Framing::new(), &blocks);
        for _ in 0..1000 {
            session.send(&[1; 40]).await.unwrap();
        }
        session.close().await.unwrap();
    });
    lab.spawn("reader", async {
        let mut session = open::<64, _>(&world, reader, Framing::new());
        while session.receive().await.unwrap().is_some() {}
        assert_eq!(session.stats().received.messages, 1000);
    });
    lab.run(SECOND).assert_done();
    assert_eq!(sent.get(), 3, "100 bytes on the link and 64 in the queue hold three messages of 44");
    assert!(blocks.peak() <= 3, "{} blocks", blocks.peak());
    drop(silent);
}

#[test]
fn rule_7_faults_no_input_panics_and_the_error_names_the_culprit() {
    for seed in 0..2000 {
        let world = World::new(seed);
        let (a, b) = link(&world, Faults::rough());
        let bytes: Vec<u8> =
            (0..world.below(60)).map(|_| b"\0\0\0\x01\x05m?!.\n\rx\xff"[world.below(13) as usize]).collect();
        let mut lab = world.tasks();
        let world = &world;
        macro_rules! hear {
            ($codec:expr) => {
                lab.spawn("session", async move {
                    let mut session = open::<64, _>(world, a, $codec);
                    let error = loop {
                        match session.receive().await {
                            Ok(Some(_)) => {}
                            Ok(None) => return,
                            Err(error) => break error,
                        }
                    };
                    assert_eq!(error.fault(), Fault::Peer, "{error}");
                    assert_eq!(session.reason(), Some(CloseReason::Failed(error)));
                })
            };
        }
        match seed % 3 {
            0 => hear!(Framing::new()),
            1 => hear!(Lines::new()),
            _ => hear!(Chatty::default()),
        }
        lab.spawn("peer", async move {
            let mut peer = open::<64, _>(world, b, Raw);
            _ = peer.send(&bytes).await;
            _ = peer.close().await;
        });
        lab.run(10 * SECOND).assert_done();
    }
}

#[test]
fn rule_8_arguments_one_seed_is_one_run() {
    let run = |seed| {
        let world = World::new(seed);
        let (a, b) = link(&world, Faults::rough());
        let mut server = open::<64, _>(&world, a, Framing::new());
        let mut client = open::<64, _>(&world, b, Framing::new());
        let mut lab = world.tasks();
        lab.spawn("server", async { echo(&mut server).await.unwrap() });
        lab.spawn("client", async {
            for _ in 0..20 {
                client.send(b"hello").await.unwrap();
                client.receive().await.unwrap().unwrap();
            }
            client.close().await.unwrap();
        });
        lab.run(60 * SECOND)
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
        assert_ne!(run(seed).trace, run(seed + 1).trace);
    }
}

#[test]
fn rule_9_ending_the_goodbye_arrives_although_the_peer_still_sends() {
    let world = World::new(9);
    let (a, b) = link(&world, Faults::none().capacity(100));
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let mut server = open::<64, _>(&world, a, Chatty::default());
        server.close().await.unwrap();
    });
    lab.spawn("client", async {
        let mut client = open::<64, _>(&world, b, Chatty::default());
        for _ in 0..50 {
            client.send(Talk::Say(&[1; 40])).await.unwrap();
        }
        assert!(client.receive().await.unwrap().is_none());
        assert_eq!((client.reason(), client.codec().goodbye), (Some(CloseReason::Peer), Some(0)));
    });
    lab.run(4 * SECOND).assert_done();
}
