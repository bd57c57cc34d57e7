//! Goodbyes: the last thing a session says arrives.

use netloom_core::{CloseReason, Code, Duration, Transport};
use netloom_protocols::{Framing, Lines};

use super::{code, either, millis, secs};
use crate::codecs::{Chatty, Raw, Speech, Talk};
use crate::{Blocks, Faults, World, link, open, open_on};

pub(super) fn a_goodbye_survives_a_peer_that_still_sends(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Chatty::default(), &blocks);
    let mut client = open::<600, _>(&world, b, Chatty::default());
    let takes = world.below(4);
    let failure = world.chance(50).then_some(Code::MessageTooLarge);
    let mut lab = world.tasks();
    lab.spawn("server", async move {
        for _ in 0..takes {
            assert_eq!(server.receive().await.expect("receive").expect("a message").0, [b'x'; 40]);
        }
        match failure {
            Some(code) => {
                server.fail(code.into());
                assert_eq!(server.receive().await.map(|_| ()), Err(code.into()));
            }
            None => server.close().await.expect("close"),
        }
        // Dropped at once. What the client still sent was read, or this would destroy the goodbye.
        drop(server);
    });
    lab.spawn("client", async {
        for _ in 0..takes + 10 {
            if client.send(Talk::Say(&[b'x'; 40])).await.is_err() {
                break;
            }
        }
        assert!(client.receive().await.expect("a goodbye, not a break").is_none());
        assert_eq!(client.reason(), Some(CloseReason::Peer));
        let told = failure.map_or(0, |code| (-600 - code.number()) as u8);
        assert_eq!(client.codec().goodbye, Some(told));
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

pub(super) fn a_session_closed_in_its_handler_still_answers(seed: u64) {
    either(seed, in_its_handler::<Framing>, in_its_handler::<Lines>);
}

fn in_its_handler<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let mut client = open::<64, _>(&world, b, C::speech());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let (event, peer) = server.receive().await.expect("receive").expect("a message");
        peer.send(C::say(b"answer")).await.expect("send");
        peer.close();
        assert_eq!(code(peer.send(C::say(b"more")).await), Code::ConnectionClosed);
        assert_eq!(C::heard(event), b"question"); // still readable
        assert!(server.receive().await.expect("in order").is_none());
        assert!(server.receive().await.expect("and again").is_none());
        assert_eq!(server.reason(), Some(CloseReason::Local));
    });
    lab.spawn("client", async {
        client.send(C::say(b"question")).await.expect("send");
        client.send(C::say(b"another, which nobody reads")).await.expect("send");
        assert_eq!(client.receive().await.expect("receive").map(|(e, _)| C::heard(e)), Some(&b"answer"[..]));
        assert!(client.receive().await.expect("in order").is_none());
        assert_eq!(client.reason(), Some(CloseReason::Peer));
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// The peer never ends, or never reads: past the closing time-out the connection is cut.
pub(super) fn an_end_takes_no_longer_than_the_closing_time(seed: u64) {
    let world = World::new(seed);
    let reads = world.chance(50);
    let faults = if reads { Faults::none() } else { Faults::none().stall(10, Duration::MAX) };
    let (a, mut b) = link(&world, faults);
    let blocks = Blocks::plenty(64);
    let mut session = open_on(&world, a, Raw, &blocks);
    let begin = secs(world.below(10));
    let mut lab = world.tasks();
    lab.spawn("session", async {
        world.sleep(begin).await;
        session.send(&[b'x'; 50]).await.expect("it fits the queue");
        let closed = session.close().await;
        assert_eq!(world.elapsed(), begin + secs(5));
        match reads {
            // Everything was delivered; only the peer's end did not come.
            true => assert_eq!((closed, session.reason()), (Ok(()), Some(CloseReason::Local))),
            false => assert_eq!(code(closed), Code::WriteStalled),
        }
    });
    lab.spawn("peer", async {
        // Sends now and then, and never ends.
        while std::future::poll_fn(|cx| b.poll_write(cx, b"more")).await.is_ok() {
            world.sleep(millis(100)).await;
        }
        assert!(world.elapsed() >= begin + secs(5));
    });
    lab.run(secs(30)).assert_done();
    blocks.assert_idle("at the end");
}

/// Waiting for the peer's end is waiting: it costs no block, whatever the transport said of readiness.
pub(super) fn an_ending_session_holds_no_block_while_it_waits(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults { false_alarm: 50, ..Faults::none() });
    let blocks = Blocks::plenty(64);
    let mut session = open_on(&world, a, Raw, &blocks);
    let peer = b;
    let mut lab = world.tasks();
    lab.spawn("session", async {
        session.send(&[b'x'; 50]).await.expect("it fits the queue");
        session.close().await.expect("delivered");
    });
    lab.spawn("observer", async {
        world.sleep(secs(2)).await;
        blocks.assert_idle("while a session waits for the peer's end");
        drop(peer);
    });
    lab.run(secs(10)).assert_done();
}
