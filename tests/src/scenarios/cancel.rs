//! Every method, dropped at every await: nothing is lost and nothing is said twice.

use std::cell::Cell;

use netloom_core::Code;
use netloom_protocols::{Framing, Lines};

use super::echo::converse;
use super::{either, millis, secs};
use crate::codecs::Speech;
use crate::{Blocks, Faults, Messages, World, cancel_at_random, link, open, open_on};

pub(super) fn nothing_is_lost_when_receive_is_dropped(seed: u64) {
    either(seed, dropped_receive::<Framing>, dropped_receive::<Lines>);
}

fn dropped_receive<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let mut client = open::<64, _>(&world, b, C::speech());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        loop {
            match cancel_at_random(&world, server.receive()).await {
                Some(Ok(Some((event, peer)))) => peer.send(C::say(C::heard(event))).await.expect("send"),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
    });
    lab.spawn("client", async {
        converse(&mut client, (seed, 40), 8, 2).await.expect("client");
        world.sleep(millis(50)).await;
        converse(&mut client, (seed + 1, 40), 4, 1).await.expect("client");
        client.close().await.expect("close");
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

pub(super) fn nothing_is_lost_when_anything_is_dropped(seed: u64) {
    either(seed, dropped_all::<Framing>, dropped_all::<Lines>);
}

fn dropped_all<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut reader = open::<64, _>(&world, a, C::speech());
    let mut writer = open_on(&world, b, C::speech(), &blocks);
    let count = 10;
    let received = Cell::new(0);
    let mut lab = world.tasks();
    lab.spawn("reader", async {
        let mut expected = Messages::new(seed, 50);
        while let Some((event, _)) = reader.receive().await.expect("receive") {
            expected.check(C::heard(event));
        }
        received.set(expected.count());
    });
    lab.spawn("writer", async {
        let mut messages = Messages::new(seed, 50);
        for _ in 0..count {
            let message = messages.make().to_vec();
            // All or nothing: a send that was dropped has sent nothing.
            loop {
                let sent = match world.below(3) {
                    0 => match writer.try_send(C::say(&message)) {
                        Err(error) if error == Code::BufferFull => None,
                        sent => Some(sent),
                    },
                    1 => cancel_at_random(&world, writer.send(C::say(&message))).await,
                    _ => cancel_at_random(&world, writer.sender().send(C::say(&message))).await,
                };
                match sent {
                    Some(sent) => break sent.expect("send"),
                    None => world.sleep(millis(1)).await,
                }
            }
            match world.below(4) {
                0 => drop(cancel_at_random(&world, writer.flush()).await),
                1 => drop(cancel_at_random(&world, writer.during(world.sleep(millis(2)))).await),
                2 => {
                    let heard = cancel_at_random(&world, writer.receive()).await;
                    assert!(heard.is_none(), "the reader says nothing");
                }
                _ => {}
            }
        }
        loop {
            match cancel_at_random(&world, writer.close()).await {
                Some(closed) => break closed.expect("close"),
                None => world.sleep(millis(1)).await,
            }
        }
    });
    lab.run(secs(25)).assert_done();
    assert_eq!(received.get(), count);
    blocks.assert_idle("at the end");
}
