//! How queues grow.

use netloom_core::{Codec, Options, Session};
use netloom_lab::{Blocks, Faults, OnBlocks, World, link};
use netloom_protocols::Lines;
use netloom_protocols::websocket::{Client, Frame, Frames, Kind};

/// How often a block was lent to queue `message`, which the codec has to copy.
fn lendings<C: Codec>(codec: C, message: C::Message<'_>) -> u64 {
    let world = World::new(1);
    let (a, _b) = link(&world, Faults::none());
    let sizes: Vec<_> = (6..14).map(|bits| (1 << bits, 2)).collect();
    let (rx, tx) = (Blocks::plenty(64), Blocks::new(&sizes));
    let queues = (rx.storage(), tx.storage());
    let mut session: Session<OnBlocks, _> = Session::open(a, codec, queues, world.clock(), Options::DEFAULT);
    session.try_send(message).unwrap();
    tx.lendings()
}

#[test]
fn a_message_that_outgrows_the_queue_grows_it_once() {
    let long = "x".repeat(5000);
    assert_eq!(lendings(Lines::new(), "short"), 1);
    assert_eq!(lendings(Lines::new(), &long), 2);
    let frames = Frames::new(Client(|| [1, 2, 3, 4]));
    assert_eq!(lendings(frames, Frame::message(Kind::Binary, long.as_bytes())), 2);
}
