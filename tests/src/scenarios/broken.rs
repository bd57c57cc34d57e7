//! Connections that break, and streams that end too early.

use std::cell::RefCell;

use netloom_core::{CloseReason, Code, Fault};
use netloom_protocols::{Framing, Lines};

use super::echo::echo;
use super::{either, is_broken, secs};
use crate::check::assert_prefix;
use crate::codecs::{Raw, Speech};
use crate::{Blocks, Faults, Messages, World, link, open, open_on};

pub(super) fn a_connection_that_breaks_leaves_a_prefix(seed: u64) {
    either(seed, breaks::<Framing>, breaks::<Lines>);
}

fn breaks<C: Speech>(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough().reset_after(world.below(600)));
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let mut client = open::<64, _>(&world, b, C::speech());
    let heard = RefCell::new(Vec::new());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let error = echo(&mut server).await.expect_err("the link breaks");
        assert!(is_broken(error), "{error}");
        assert_eq!(server.reason(), Some(CloseReason::Failed(error)));
        drop(server);
    });
    lab.spawn("client", async {
        let mut messages = Messages::new(seed, 40);
        let error = loop {
            if let Err(error) = client.send(C::say(messages.make())).await {
                break error;
            }
            match client.receive().await {
                Ok(Some((event, _))) => heard.borrow_mut().extend_from_slice(C::heard(event)),
                Ok(None) => panic!("an end in order"),
                Err(error) => break error,
            }
        };
        assert!(is_broken(error), "{error}");
        assert_eq!(client.close().await, Err(error));
    });
    lab.run(secs(25)).assert_done();
    let mut messages = Messages::new(seed, 40);
    let sent: Vec<u8> = (0..100).flat_map(|_| messages.make().to_vec()).collect();
    assert_prefix(&heard.borrow(), &sent);
    blocks.assert_idle("after a break");
}

pub(super) fn half_a_message_and_the_end_is_no_message(seed: u64) {
    match seed % 2 {
        0 => half::<Framing>(seed, b"\0\0\0\x05hello"),
        _ => half::<Lines>(seed, b"hello\r\n"),
    }
}

fn half<C: Speech>(seed: u64, whole: &[u8]) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, C::speech(), &blocks);
    let mut client = open::<64, _>(&world, b, Raw);
    let cut = world.length(whole.len() - 1);
    let mut lab = world.tasks();
    lab.spawn("client", async {
        client.send(whole).await.expect("send");
        client.send(&whole[..cut]).await.expect("send");
        client.close().await.expect("close");
    });
    lab.spawn("server", async {
        let (event, _) = server.receive().await.expect("receive").expect("the whole one");
        assert_eq!(C::heard(event), b"hello");
        let error = server.receive().await.map(|_| ()).expect_err("half a message");
        assert_eq!((error.code(), error.fault()), (Code::ReceiveFailed, Fault::Peer));
        assert_eq!(server.reason(), Some(CloseReason::Failed(error)));
        assert_eq!(server.stats().received.messages, 1);
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}
