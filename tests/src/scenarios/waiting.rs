//! Handlers that wait elsewhere, and what a codec says by itself.

use std::cell::Cell;

use netloom_core::{CloseReason, Session};

use super::{millis, secs};
use crate::codecs::{Chatty, Raw, Talk};
use crate::{Blocks, Faults, OnArrays, World, link, open, open_on};

pub(super) fn replies_and_keep_alives_leave_while_the_handler_waits(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Chatty::default(), &blocks);
    let mut client = open::<64, _>(&world, b, Chatty::default());
    let wait = secs(15 + 30 * world.below(4));
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let (message, peer) = server.receive().await.expect("receive").expect("a message");
        peer.send(Talk::Say(b"at once")).await.expect("send");
        let given = peer.during(async { world.sleep(wait).await }).await;
        assert_eq!((message, given), (&b"hello"[..], ())); // still borrowed
        let kept_alive = u64::from(peer.codec().kept_alive);
        assert_eq!(kept_alive, wait.as_secs() / 30, "every 30 s in {wait:?}");
        peer.send(Talk::Say(b"later")).await.expect("send");
        assert!(server.receive().await.expect("in order").is_none());
    });
    lab.spawn("client", async {
        client.send(Talk::Say(b"hello")).await.expect("send");
        assert_eq!(client.receive().await.expect("receive").expect("an answer").0, b"at once");
        assert!(world.elapsed() < secs(1), "the reply left at {:?}", world.elapsed());
        assert_eq!(client.receive().await.expect("receive").expect("an answer").0, b"later");
        assert!(world.elapsed() < wait + secs(1));
        assert_eq!(u64::from(client.codec().pings), wait.as_secs() / 30);
        client.close().await.expect("close");
        assert_eq!(client.reason(), Some(CloseReason::Local));
    });
    lab.run(secs(150)).assert_done();
    blocks.assert_idle("at the end");
}

/// More pings than the reply queue holds: reading waits, nothing is lost.
pub(super) fn automatic_replies_wait_for_room(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Chatty::default(), &blocks);
    let mut client = open::<2048, _>(&world, b, Raw);
    let count = 5 + world.below(20) as u8;
    let mut pings = Vec::new();
    for i in 0..count {
        let len = world.below(31) as u8;
        pings.extend_from_slice(&[b'?', len]);
        pings.extend(std::iter::repeat_n(i, usize::from(len)));
    }
    let heard = Cell::new(0);
    let mut lab = world.tasks();
    lab.spawn("server", async {
        assert!(server.receive().await.expect("in order").is_none());
        heard.set(server.codec().pings);
    });
    lab.spawn("client", async {
        client.send(&pings).await.expect("send");
        let mut pongs = Vec::new();
        while pongs.len() < pings.len() {
            pongs.extend_from_slice(client.receive().await.expect("receive").expect("more").0);
        }
        let mut expected = pings.clone();
        let mut at = 0;
        while at < expected.len() {
            expected[at] = b'!';
            at += 2 + usize::from(expected[at + 1]);
        }
        assert_eq!(pongs, expected);
        client.close().await.expect("close");
    });
    lab.run(secs(25)).assert_done();
    assert_eq!(heard.get(), u32::from(count));
    blocks.assert_idle("at the end");
}

/// Two silent sessions keep each other alive, and hold no block for it.
pub(super) fn silence_is_answered(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Chatty::default(), &blocks);
    let mut client: Session<OnArrays<64>, _> = open(&world, b, Chatty::default());
    let silence = secs(400 + world.below(1000));
    let mut lab = world.tasks();
    lab.spawn("server", async {
        assert!(server.receive().await.expect("in order").is_none());
        assert_eq!(server.reason(), Some(CloseReason::Peer));
        assert!(server.codec().kept_alive > 0 || server.codec().pings > 0);
        assert_eq!(server.stats().received.messages, 0);
    });
    lab.spawn("client", async {
        assert!(world.timeout(silence, client.receive()).await.is_none(), "it was kept alive");
        world.sleep(millis(100)).await;
        client.close().await.expect("close");
        let codec = client.codec();
        let said = u64::from(codec.kept_alive) + u64::from(codec.pings);
        assert!(
            said >= silence.as_secs() / 31 && said <= 2 * silence.as_secs() / 30,
            "{said} in {silence:?}"
        );
    });
    lab.spawn("observer", async {
        while world.elapsed() < silence {
            world.sleep(millis(29_500)).await;
            // Pings every 30 s after the start and a few milliseconds: between them, nothing.
            if world.elapsed().as_secs() % 30 > 2 {
                blocks.assert_idle("between pings");
            }
        }
    });
    lab.run(silence + secs(60)).assert_done();
    blocks.assert_idle("at the end");
}
