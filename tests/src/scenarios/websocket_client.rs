//! A WebSocket client with a board's queues against a server: every message exact, however it is cut, in fragments,
//! with pings in between, whatever is dropped half way.

use std::cell::Cell;

use netloom_core::{Code, Fault, Platform, Result, Session};
use netloom_protocols::http1::{self, Http1, Http1Client, Request, Sent};
use netloom_protocols::routes;
use netloom_protocols::websocket::{self, Carrier, Connect, Kind, Message, Peer, Socket, Speaker};

use super::secs;
use crate::{Blocks, Faults, OnBlocks, Random, World, cancel_at_random, link, open, open_on};

/// Of the client's queues.
const QUEUE: usize = 512;
/// Longest message that the client can take: a header must fit too.
const MESSAGE_MAX: usize = QUEUE - 14 - 131;

/// A message of either kind, made of a seed.
fn make(random: &mut Random) -> (Kind, Vec<u8>) {
    let length = random.below(MESSAGE_MAX as u64 + 1) as usize;
    match random.below(2) {
        0 => (Kind::Binary, (0..length).map(|_| random.next() as u8).collect()),
        _ => {
            let mut text = String::new();
            while text.len() < length {
                let character = ['a', '\u{e9}', '\u{20ac}', '\u{1f980}'][random.below(4) as usize];
                text.push(if text.len() + character.len_utf8() > length { 'x' } else { character });
            }
            (Kind::Text, text.into_bytes())
        }
    }
}

/// A world, and whether what is said in it is dropped half way: not what does not fit its queue, which is then torn.
type Dropping<'a> = (&'a World, bool);

/// Says a message: whole, or in fragments with pings between; what is dropped half way is said again.
async fn say<S: Speaker, D: websocket::Deflate + ?Sized>(
    world: Dropping<'_>,
    peer: &mut Peer<'_, S, D>,
    kind: Kind,
    bytes: &[u8],
) -> Result<()> {
    if world.0.chance(50) {
        let message = match kind {
            Kind::Text => Message::Text(core::str::from_utf8(bytes).expect("text")),
            Kind::Binary => Message::Binary(bytes),
        };
        return until_done(world, peer, async |peer| peer.send(message).await).await;
    }
    let (mut left, mut first) = (bytes, true);
    loop {
        let (piece, rest) = left.split_at(world.0.below(left.len() as u64 + 1) as usize);
        let last = rest.is_empty() && world.0.chance(50);
        until_done(world, peer, async |peer| peer.send_fragment(kind, first, last, piece).await).await?;
        if world.0.chance(30) {
            until_done(world, peer, async |peer| peer.ping(b"between").await).await?;
        }
        if last {
            return Ok(());
        }
        (left, first) = (rest, false);
    }
}

/// Does something that is all or nothing until it is not dropped half way.
async fn until_done<S: Speaker, D: websocket::Deflate + ?Sized>(
    world: Dropping<'_>,
    peer: &mut Peer<'_, S, D>,
    mut done: impl AsyncFnMut(&mut Peer<'_, S, D>) -> Result<()>,
) -> Result<()> {
    loop {
        match world.1 {
            false => return done(peer).await,
            true => {
                if let Some(done) = cancel_at_random(world.0, done(peer)).await {
                    return done;
                }
            }
        }
    }
}

/// The next message, however often waiting for it is dropped.
async fn hear<C: Carrier>(world: &World, socket: &mut Socket<C>) -> Result<Option<(Kind, Vec<u8>)>> {
    loop {
        if let Some(heard) = cancel_at_random(world, socket.receive()).await {
            return Ok(heard?.map(|(message, _)| (message.kind(), message.as_bytes().to_vec())));
        }
    }
}

/// Sends every message back, and tells with what the client has closed.
async fn echo(world: Dropping<'_>, request: Request<'_>, closed_with: &Cell<Option<u16>>) -> Result<Sent> {
    let accept = websocket::Accept::new().protocols(&["b", "a"]);
    let (mut socket, sent) = accept.accept(request).await?;
    socket.peer().send("welcome").await?;
    loop {
        match cancel_at_random(world.0, socket.receive()).await {
            Some(Ok(Some((message, mut peer)))) => {
                say(world, &mut peer, message.kind(), message.as_bytes()).await?;
            }
            Some(Ok(None)) => break,
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    closed_with.set(socket.closed_with());
    Ok(sent)
}

async fn serve(
    world: Dropping<'_>,
    session: &mut Session<OnBlocks, Http1>,
    closed_with: &Cell<Option<u16>>,
) -> Result<()> {
    let app = routes! {
        GET "/ws" => async |request: Request<'_>| echo(world, request, closed_with).await,
    };
    let served = http1::serve(session, &app).await;
    let closed = session.close().await;
    served.and(closed)
}

/// A client of the server's `/ws`.
async fn connect<P: Platform>(
    world: &World,
    session: Session<P, Http1Client>,
) -> Result<websocket::ClientSocket<P, impl FnMut() -> [u8; 4]>> {
    let mut random = world.fork();
    let first = std::array::from_fn(|_| random.next() as u8);
    let keys = move || (random.next() as u32).to_ne_bytes();
    let fields = ("x-lab", "1");
    let asked = Connect::new("lab", "/ws?a=b").protocols(&["a", "b"]).origin("http://lab").fields(&fields);
    asked.connect(session, first, keys).await
}

pub(super) fn websocket_messages_are_exact_both_ways(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let drops = world.chance(50);
    let blocks = if drops { Blocks::new(&[(4096, 4)]) } else { Blocks::new(&[(256, 4), (4096, 4)]) };
    let mut server = open_on(&world, a, Http1::new(), &blocks);
    let closed_with = Cell::new(None);
    let code = if world.chance(50) { 1000 } else { 4000 };
    let mut lab = world.tasks();
    lab.spawn("server", async {
        serve((&world, drops), &mut server, &closed_with).await.expect("in order");
    });
    lab.spawn("client", async {
        let session = open::<QUEUE, _>(&world, b, Http1Client::new());
        let mut socket = connect(&world, session).await.expect("a handshake");
        assert_eq!(socket.protocol(), Some("b"));
        let greeting = hear(&world, &mut socket).await.expect("a greeting");
        assert_eq!(greeting, Some((Kind::Text, b"welcome".to_vec())));
        let mut random = world.fork();
        for _ in 0..world.length(6) {
            let said = make(&mut random);
            say((&world, true), &mut socket.peer(), said.0, &said.1).await.expect("said");
            let heard = hear(&world, &mut socket).await.expect("an echo");
            assert!(heard == Some(said), "the echo differs");
        }
        loop {
            if let Some(closed) = cancel_at_random(&world, socket.close(code, "bye")).await {
                break closed.expect("close");
            }
        }
    });
    lab.run(secs(600)).assert_done();
    assert_eq!(closed_with.get(), Some(code));
    blocks.assert_idle("at the end");
}

/// What does not fit the client's queue is refused at its header, or where it becomes too long, and the server is told.
pub(super) fn websocket_a_message_too_long_for_its_client_ends_by_1009(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::new(&[(256, 4), (4096, 4)]);
    let mut server = open_on(&world, a, Http1::new(), &blocks);
    let told = Cell::new(None);
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let app = async |request: Request<'_>| {
            let (mut socket, sent) = websocket::accept(request).await?;
            let long = vec![b'x'; MESSAGE_MAX + 1 + world.length(300)];
            // It may be told while it still speaks.
            let said = say((&world, false), &mut socket.peer(), Kind::Text, &long).await;
            let heard =
                socket.receive().await.map(|heard| assert!(heard.is_none(), "the client says nothing"));
            told.set(socket.closed_with());
            said.and(heard)?;
            Ok(sent)
        };
        http1::serve(&mut server, &app).await.expect("in order");
        server.close().await.expect("close");
    });
    lab.spawn("client", async {
        let session = open::<QUEUE, _>(&world, b, Http1Client::new());
        let mut socket = connect(&world, session).await.expect("a handshake");
        let error = socket.receive().await.map(drop).expect_err("too long");
        assert_eq!((error.code(), error.fault()), (Code::MessageTooLarge, Fault::Peer));
    });
    lab.run(secs(600)).assert_done();
    assert_eq!(told.get(), Some(1009));
    blocks.assert_idle("at the end");
}
