//! Silence, slowness, and the host's end.

use std::cell::Cell;

use netloom_core::{CloseReason, Code, Fault, Options, Session, Transport};
use netloom_protocols::{Framing, Lines};

use super::echo::echo;
use super::{either, millis, secs};
use crate::codecs::{Raw, Speech};
use crate::{Blocks, Faults, Messages, OnArrays, World, link, open, open_on};

/// A whole message on the wire.
fn on_wire(lines: bool, body: &[u8]) -> Vec<u8> {
    match lines {
        true => [body, b"\n"].concat(),
        false => [&(body.len() as u32).to_be_bytes(), body].concat(),
    }
}

pub(super) fn a_byte_a_minute_is_too_slow(seed: u64) {
    either(seed, slow::<Framing>, slow::<Lines>);
}

fn slow<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults { latency: millis(0), jitter: millis(0), ..Faults::rough() });
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let mut client = open::<64, _>(&world, b, Raw);
    let first_byte = secs(world.below(200));
    let gap = secs(2 + world.below(58));
    let mut lab = world.tasks();
    lab.spawn("client", async {
        let bytes = on_wire(C::OVERHEAD == 1, b"a message that takes its time, and then some, and then some");
        world.sleep(first_byte).await;
        for byte in bytes {
            if client.send(&[byte]).await.is_err() || client.flush().await.is_err() {
                return;
            }
            world.sleep(gap).await;
            if client.reason().is_some() || world.elapsed() > first_byte + secs(60) {
                return;
            }
        }
    });
    lab.spawn("server", async {
        let error = server.receive().await.map(|_| ()).expect_err("it takes too long");
        assert_eq!((error.code(), error.fault()), (Code::MessageTimeout, Fault::Peer));
        let since = world.elapsed() - first_byte;
        // The time-out, and then the wait for the peer's end.
        assert!((secs(60)..=secs(65)).contains(&since), "after {since:?}");
        assert_eq!(server.stats().received.messages, 0);
    });
    lab.run(secs(400)).assert_done();
    blocks.assert_idle("at the end");
}

pub(super) fn an_idle_session_ends_in_order(seed: u64) {
    either(seed, idle::<Framing>, idle::<Lines>);
}

fn idle<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let mut client = open::<64, _>(&world, b, C::speech());
    let pauses: Vec<_> = (0..world.below(4)).map(|_| secs(world.below(295))).collect();
    let quiet_since = Cell::new(secs(0));
    let mut lab = world.tasks();
    lab.spawn("server", async {
        echo(&mut server).await.expect("an end in order");
        assert_eq!(server.reason(), Some(CloseReason::Idle));
        let error = server.send(C::say(b"late")).await.expect_err("it has ended");
        assert_eq!(error, Code::SessionExpired);
        let waited = world.elapsed() - quiet_since.get();
        // It heard the question a little before the client heard the answer.
        assert!((millis(299_900)..secs(302)).contains(&waited), "after {waited:?}");
    });
    lab.spawn("client", async {
        let mut messages = Messages::new(seed, 30);
        for pause in &pauses {
            world.sleep(*pause).await;
            blocks.assert_idle("in a pause");
            let message = messages.make().to_vec();
            client.send(C::say(&message)).await.expect("send");
            let (event, _) = client.receive().await.expect("receive").expect("an answer");
            assert_eq!(C::heard(event), message);
            quiet_since.set(world.elapsed());
        }
        assert!(client.receive().await.expect("in order").is_none());
    });
    lab.run(secs(1600)).assert_done();
    blocks.assert_idle("at the end");
}

pub(super) fn idle_sessions_end_when_the_host_stops(seed: u64) {
    either(seed, stops::<Framing>, stops::<Lines>);
}

fn stops<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let blocks = Blocks::plenty(64);
    let at = secs(1 + world.below(20));
    let mut lab = world.tasks();
    for i in 0..3 {
        let (a, b) = link(&world, Faults::rough());
        let (world, blocks) = (&world, &blocks);
        lab.spawn(format!("server {i}"), async move {
            let mut server = open_on(world, a, C::speech(), blocks);
            echo(&mut server).await.expect("an end in order");
            assert_eq!(server.reason(), Some(CloseReason::Shutdown));
            assert_eq!(server.send(C::say(b"late")).await, Err(Code::ShuttingDown.into()));
            assert!(world.elapsed() < at + secs(1), "it took until {:?}", world.elapsed());
        });
        lab.spawn(format!("client {i}"), async move {
            let queues = ([0; 64], [0; 64]);
            let mut client: Session<OnArrays<64>, _> =
                Session::open(b, Raw, queues, world.clock().elsewhere(), Options::DEFAULT);
            client.send(&on_wire(C::OVERHEAD == 1, b"hello")).await.expect("send");
            while client.receive().await.expect("in order").is_some() {}
        });
    }
    lab.spawn("host", async {
        world.sleep(at).await;
        blocks.assert_idle("before the host stops");
        world.stop();
    });
    lab.run(secs(30)).assert_done();
    blocks.assert_idle("at the end");
}

pub(super) fn a_message_under_way_is_finished_when_the_host_stops(seed: u64) {
    either(seed, under_way::<Framing>, under_way::<Lines>);
}

fn under_way<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, mut b) = link(&world, Faults { spurious: 0, short: 0, ..Faults::rough() });
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let bytes = on_wire(C::OVERHEAD == 1, b"the last one");
    let cut = world.length(bytes.len() - 1);
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let (event, peer) = server.receive().await.expect("receive").expect("the message under way");
        assert_eq!(C::heard(event), b"the last one");
        peer.send(C::say(b"done")).await.expect("send");
        assert!(server.receive().await.expect("in order").is_none());
        assert_eq!(server.reason(), Some(CloseReason::Shutdown));
    });
    lab.spawn("client", async {
        for part in [&bytes[..cut], &bytes[cut..]] {
            let n = std::future::poll_fn(|cx| b.poll_write(cx, part)).await.expect("write");
            assert_eq!(n, part.len());
            world.sleep(secs(2)).await;
        }
        let mut answer = Vec::new();
        let mut buf = [0; 64];
        loop {
            match std::future::poll_fn(|cx| b.poll_read(cx, &mut buf)).await.expect("read") {
                0 => break,
                n => answer.extend_from_slice(&buf[..n]),
            }
        }
        assert_eq!(answer, on_wire(C::OVERHEAD == 1, b"done"));
        drop(b);
    });
    lab.spawn("host", async {
        world.sleep(secs(1)).await;
        world.stop();
    });
    lab.run(secs(10)).assert_done();
    blocks.assert_idle("at the end");
}
