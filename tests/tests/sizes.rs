//! What a session costs in memory, asserted like behaviour. Sizes are those of a 64-bit machine.
#![cfg(target_pointer_width = "64")]

use netloom_core::{Result, Session};
use netloom_demo::echo;
use netloom_lab::{Blocks, Faults, OnArrays, OnBlocks, Pipe, VirtualClock, World, link, open_on};
use netloom_protocols::http1::{self, Http1, Request, Sent};
use netloom_protocols::websocket::{self, Frames, Server};
use netloom_protocols::{Framing, Lines};

/// A session with its codec, without its transport, its clock and its queues.
const SESSION_MAX: usize = 176;
/// The echo's future, without the session it borrows.
const ECHO_MAX: usize = 120;

#[track_caller]
fn at_most(name: &str, size: usize, most: usize) {
    println!("{name}: {size} bytes, {most} allowed");
    assert!(size <= most, "{name} has grown to {size} bytes, {most} are allowed");
    assert!(2 * size > most, "{name} has shrunk to {size} bytes: the bound of {most} says nothing");
}

#[test]
fn a_session_stays_small() {
    const QUEUES: usize = 2 * 64;
    let own =
        size_of::<Session<OnArrays<64>, Framing>>() - size_of::<Pipe>() - size_of::<VirtualClock>() - QUEUES;
    at_most("session on arrays", own, SESSION_MAX);
    let lent = size_of::<Session<OnBlocks, Lines>>() - size_of::<Pipe>() - size_of::<VirtualClock>();
    at_most("session on blocks", lent, SESSION_MAX + 96);
}

/// The same for HTTP. A WebSocket's frames are a part of it: behind an upgrade only the futures of its handler are added.
const HTTP_SESSION_MAX: usize = 336;
/// What of that is there for WebSockets.
const FRAMES_MAX: usize = 32;
/// The future of a connection whose handler is a WebSocket's echo, without the session it borrows.
const WEBSOCKET_ECHO_MAX: usize = 296;

async fn websocket_echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}

#[test]
fn a_websocket_adds_little_to_a_session() {
    let own = size_of::<Session<OnBlocks, Http1>>() - size_of::<Pipe>() - size_of::<VirtualClock>();
    at_most("session of HTTP on blocks", own, HTTP_SESSION_MAX);
    at_most("frames in it", size_of::<Frames<Server>>(), FRAMES_MAX);
    let world = World::new(0);
    let blocks = Blocks::plenty(1024);
    let mut session = open_on(&world, link(&world, Faults::none()).0, Http1::new(), &blocks);
    let served = http1::serve(&mut session, &websocket_echo);
    at_most("echo of a WebSocket", size_of_val(&served), WEBSOCKET_ECHO_MAX);
}

#[test]
fn the_futures_of_an_application_stay_small() {
    let world = World::new(0);
    let blocks = Blocks::plenty(64);
    let mut session = open_on(&world, link(&world, Faults::none()).0, Framing::new(), &blocks);
    at_most("echo", size_of_val(&echo(&mut session)), ECHO_MAX);
    at_most("receive", size_of_val(&session.receive()), 48);
    at_most("send", size_of_val(&session.send(b"hello")), 96);
    at_most("close", size_of_val(&session.close()), 8);
}
