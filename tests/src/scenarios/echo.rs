//! Bytes, order and statistics.

use netloom_core::{CloseReason, Platform, Result, Session};
use netloom_protocols::{Framing, Lines};

use super::{either, secs};
use crate::codecs::Speech;
use crate::{Blocks, Faults, Messages, World, link, open, open_on};

/// Sends every message back.
pub(super) async fn echo<P: Platform, C: Speech>(session: &mut Session<P, C>) -> Result<()> {
    while let Some((event, peer)) = session.receive().await? {
        peer.send(C::say(C::heard(event))).await?;
    }
    Ok(())
}

/// A client that keeps `window` messages in flight until `count` have come back as they went.
pub(super) async fn converse<P: Platform, C: Speech>(
    session: &mut Session<P, C>,
    (seed, max): (u64, usize),
    count: u64,
    window: u64,
) -> Result<()> {
    let (mut sent, mut expected) = (Messages::new(seed, max), Messages::new(seed, max));
    for _ in 0..window.min(count) {
        session.send(C::say(sent.make())).await?;
    }
    while expected.count() < count {
        let Some((event, peer)) = session.receive().await? else { panic!("the server ended first") };
        expected.check(C::heard(event));
        if sent.count() < count {
            peer.send(C::say(sent.make())).await?;
        }
    }
    Ok(())
}

pub(super) fn faults(world: &World) -> Faults {
    let rough = Faults::rough().capacity(world.length(200));
    match world.below(4) {
        0 => Faults::none(),
        1 => Faults::distant(),
        2 => rough.partition(world.up_to(secs(1)), secs(4)),
        _ => rough,
    }
}

pub(super) fn echo_is_exact_however_it_is_cut(seed: u64) {
    either(seed, cut_anywhere::<Framing>, cut_anywhere::<Lines>);
}

fn cut_anywhere<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, faults(&world));
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let mut client = open::<64, _>(&world, b, C::speech());
    let (count, window) = (world.below(20), world.length(5) as u64);
    let mut lab = world.tasks();
    lab.spawn("server", async { echo(&mut server).await.expect("server") });
    lab.spawn("client", async {
        converse(&mut client, (seed, 20), count, window).await.expect("client");
        client.close().await.expect("close");
    });
    // Less than the write-stall time-out: a lost wake-up cannot hide.
    lab.run(secs(25)).assert_done();
    assert_eq!(client.reason(), Some(CloseReason::Local));
    assert_eq!(server.reason(), Some(CloseReason::Peer));
    blocks.assert_idle("at the end");
    let (ours, theirs) = (client.stats(), server.stats());
    assert_eq!((ours.sent, ours.received), (theirs.received, theirs.sent));
    assert_eq!((ours.sent.messages, ours.received.messages), (count, count));
    let counts = client.transport().counts();
    assert_eq!((ours.sent.bytes, ours.received.bytes), (counts.bytes_written, counts.bytes_read));
    let mut messages = Messages::new(seed, 20);
    let bytes: usize = (0..count).map(|_| messages.make().len() + C::OVERHEAD).sum();
    assert_eq!(ours.sent.bytes, bytes as u64);
}

/// What a handler says in answer to one read leaves in one write.
pub(super) fn queued_output_leaves_in_one_write(seed: u64) {
    either(seed, one_write::<Framing>, one_write::<Lines>);
}

fn one_write<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::none());
    let mut server = open::<4096, _>(&world, a, C::speech());
    let mut client = open::<4096, _>(&world, b, C::speech());
    let count = 1 + world.below(50);
    let mut lab = world.tasks();
    lab.spawn("server", async { echo(&mut server).await.expect("server") });
    lab.spawn("client", async {
        converse(&mut client, (seed, 30), count, count).await.expect("client");
        client.close().await.expect("close");
    });
    lab.run(secs(1)).assert_done();
    for (name, counts) in [("client", client.transport().counts()), ("server", server.transport().counts())] {
        assert_eq!(counts.writes, 1, "{name} wrote {count} messages");
    }
}
