//! WebSocket through an HTTP server's session: whatever comes, however it is cut, is answered as [`read`] foretells.
//!
//! The client is bytes: [`Frame`] writes them, and [`read`] judges what comes back.

use netloom_core::{CloseReason, Error, Options, Platform, Result, Session};
use netloom_protocols::http1::{self, Http1, Request, Sent};
use netloom_protocols::websocket::{self, Accept, Fragments, Upgraded, WebSocket};

use super::http::Client;
use super::{millis, secs};
use crate::websocket::{End, Frame, Heard, Said, read};
use crate::{Blocks, Faults, OnArrays, OnBlocks, Pipe, Random, World, cancel_at_random, link};

/// A server of either kind: a board's queues, or a desktop's.
pub(super) enum Host {
    Arrays(Box<Session<OnArrays<1024>, Http1>>),
    Blocks(Box<Session<OnBlocks, Http1>>),
}

/// Messages as long as this, with their headers and a ping between two of their fragments, fit every [`Host`].
pub(super) const FITS: usize = 700;

/// How a session went.
pub(super) struct Ended {
    pub(super) result: Result<()>,
    pub(super) reason: Option<CloseReason>,
}

impl Ended {
    /// With which error.
    #[track_caller]
    pub(super) fn error(&self) -> Error {
        assert_eq!(self.reason.and_then(CloseReason::error), self.result.err(), "two versions of its end");
        self.result.expect_err("it should have failed")
    }
}

impl Host {
    pub(super) fn draw(world: &World, pipe: Pipe, blocks: &(Blocks, Blocks), options: Options) -> Self {
        match world.chance(50) {
            true => {
                let queues = ([0; 1024], [0; 1024]);
                Self::Arrays(Box::new(Session::open(pipe, Http1::new(), queues, world.clock(), options)))
            }
            false => {
                let queues = (blocks.0.storage(), blocks.1.storage());
                Self::Blocks(Box::new(Session::open(pipe, Http1::new(), queues, world.clock(), options)))
            }
        }
    }

    /// Serves, and closes as hosts do.
    pub(super) async fn serve(self, app: &impl AsyncFn(Request<'_>) -> Result<Sent>) -> Ended {
        match self {
            Self::Arrays(session) => serve(*session, app).await,
            Self::Blocks(session) => serve(*session, app).await,
        }
    }
}

async fn serve<P: Platform>(
    mut session: Session<P, Http1>,
    app: &impl AsyncFn(Request<'_>) -> Result<Sent>,
) -> Ended {
    let result = http1::serve(&mut session, app).await;
    _ = session.close().await;
    Ended { result, reason: session.reason() }
}

/// A queue to send from that takes any message that [`FITS`]: what does not cannot be dropped half way.
pub(super) fn plenty() -> (Blocks, Blocks) {
    (Blocks::new(&[(256, 9), (1024, 9)]), Blocks::new(&[(1024, 9)]))
}

pub(super) fn within(max: usize) -> Options {
    Options { message_max: max, ..Options::DEFAULT }
}

pub(super) fn faults(world: &World) -> Faults {
    match world.chance(70) {
        true => Faults::rough(),
        false => Faults::none().capacity(world.length(5000)),
    }
}

/// What the handlers of most scenarios do.
pub(super) async fn echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}

impl Client {
    /// Shakes hands; `behind` follows the request's head in the same breath.
    pub(super) async fn shake(&mut self, behind: &[u8]) {
        let head = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        self.talk(&[head, behind].concat(), |_| true).await;
        let answer = self.answer("GET").await.expect("an answer");
        assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
        // RFC 6455, 1.3.
        assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    /// Sends `bytes` and reads until `enough` was heard, or until the connection is over.
    pub(super) async fn exchange(&mut self, bytes: &[u8], mut enough: impl FnMut(&Heard) -> bool) -> Heard {
        self.talk(bytes, |came| enough(&read(came, false, usize::MAX))).await;
        read(&self.came, false, usize::MAX)
    }

    /// Sends `bytes` and reads to the end, which must be in order, with nothing behind the Close.
    pub(super) async fn hear_all(&mut self, bytes: &[u8]) -> Heard {
        self.talk(bytes, |_| false).await;
        let heard = read(&self.came, false, usize::MAX);
        assert!(!self.broken, "it was reset behind {heard:?}");
        assert_eq!((heard.end, heard.size), (End::Closed, self.came.len()), "{heard:?}");
        heard
    }
}

pub(super) fn text(random: &mut Random, len: usize) -> String {
    let mut text = String::new();
    while text.len() < len {
        let room = len - text.len();
        let of = ['a', '\0', '\u{7f}', 'é', '\u{7ff}', '€', '\u{ffff}', '𐍈', '\u{10ffff}'];
        let character = of[random.below(of.len() as u64) as usize];
        text.push(if character.len_utf8() <= room { character } else { 'z' });
    }
    text
}

pub(super) fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.next() as u8).collect()
}

fn length(random: &mut Random, max: usize) -> usize {
    match random.below(4) {
        0 => [0, 1, 125, 126, 127][random.below(5) as usize].min(max),
        1 => random.length(20).min(max),
        _ => random.below(max as u64 + 1) as usize,
    }
}

/// Frames that say up to `count` messages, with control frames anywhere, and what they say.
fn conversation(random: &mut Random, count: u64, max: usize) -> (Vec<Vec<u8>>, Vec<Said>) {
    let (mut frames, mut said) = (Vec::new(), Vec::new());
    for _ in 0..=random.below(count) {
        let len = length(random, max);
        let (opcode, message) = match random.chance(50) {
            true => (1, text(random, len).into_bytes()),
            false => (2, bytes(random, len)),
        };
        let (mut at, mut first) = (0, true);
        loop {
            while random.chance(20) {
                let payload = length(random, 125);
                let payload = bytes(random, payload);
                let is_ping = random.chance(70);
                frames.push(Frame::masked(random, if is_ping { 9 } else { 10 }, true, &payload).bytes());
                said.push(if is_ping { Said::Ping(payload) } else { Said::Pong(payload) });
            }
            let rest = message.len() - at;
            let n = if random.chance(50) { rest } else { random.below(rest as u64 + 1) as usize };
            let is_last = n == rest && random.chance(80);
            let opcode = if first { opcode } else { 0 };
            frames.push(Frame::masked(random, opcode, is_last, &message[at..at + n]).bytes());
            (at, first) = (at + n, false);
            if is_last {
                break;
            }
        }
        said.push(match opcode {
            1 => Said::Text(String::from_utf8(message).expect("it is text")),
            _ => Said::Binary(message),
        });
    }
    (frames, said)
}

/// A Close, and what it says.
fn farewell(random: &mut Random) -> (Vec<u8>, Said) {
    if random.chance(20) {
        return (Frame::masked(random, 8, true, b"").bytes(), Said::Close(None, String::new()));
    }
    let code: u16 = [1000, 1001, 1003, 1011, 3000, 4999][random.below(6) as usize];
    let reason = random.below(124) as usize;
    let reason = text(random, reason);
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    (Frame::masked(random, 8, true, &payload).bytes(), Said::Close(Some(code), reason))
}

/// What an echo answers to what was said.
fn answers(said: &[Said]) -> Vec<Said> {
    let answer = |said: &Said| match said {
        Said::Ping(payload) => Some(Said::Pong(payload.clone())),
        Said::Pong(_) => None,
        Said::Close(code, _) => Some(Said::Close(*code, String::new())),
        message => Some(message.clone()),
    };
    said.iter().filter_map(answer).collect()
}

/// Has `app` answer `stream`, of which any part comes right behind the handshake, and gives what the client heard.
/// `finishes` is whether the client says that there will be no more.
fn converse(
    world: &World,
    stream: &[u8],
    max: usize,
    finishes: bool,
    app: impl AsyncFn(Request<'_>) -> Result<Sent>,
) -> (Heard, Ended) {
    let (a, b) = link(world, faults(world));
    let blocks = plenty();
    let host = Host::draw(world, a, &blocks, within(max));
    let (early, late) = stream.split_at(match world.below(3) {
        0 => 0,
        1 => stream.len(),
        _ => world.below(stream.len() as u64 + 1) as usize,
    });
    let (mut came, mut ended) = (None, None);
    let mut lab = world.tasks();
    lab.spawn("server", async { ended = Some(host.serve(&app).await) });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        client.shake(early).await;
        client.talk(late, |_| true).await;
        if finishes && !client.is_over() {
            client.finish().await;
        }
        came = Some(client.hear_all(b"").await);
    });
    lab.run(secs(20)).assert_done();
    blocks.0.assert_idle("at the end");
    blocks.1.assert_idle("at the end");
    (came.expect("it is done"), ended.expect("it is done"))
}

/// Any messages, in any fragments, with control frames between them, cut anywhere, behind the handshake in one segment
/// or not: each comes back as it is, in order.
pub(super) fn websocket_echoes_messages_however_they_are_cut(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (mut frames, mut said) = conversation(&mut random, 8, FITS);
    let (close, goodbye) = farewell(&mut random);
    frames.push(close);
    said.push(goodbye);
    let stream = frames.concat();
    let known = read(&stream, true, FITS);
    assert_eq!((&known.said, known.end), (&said, End::Closed), "the judge is wrong");
    let in_fragments = world.chance(30);
    let (heard, ended) = converse(&world, &stream, FITS, true, async |request| {
        let (mut socket, sent) = websocket::accept(request).await?;
        while let Some((message, mut peer)) = socket.receive().await? {
            if !in_fragments {
                peer.send(message).await?;
                continue;
            }
            let bytes = message.as_bytes();
            let (a, b) = bytes.split_at(world.below(bytes.len() as u64 + 1) as usize);
            peer.send_fragment(message.kind(), true, false, a).await?;
            peer.ping(b"between").await?;
            peer.send_fragment(message.kind(), false, true, b).await?;
        }
        let Some(Said::Close(code, _)) = said.last() else { panic!("it ends with a Close") };
        assert_eq!(socket.closed_with(), Some(code.unwrap_or(1005)));
        Ok(sent)
    });
    let between = Said::Ping(b"between".to_vec());
    let heard: Vec<_> = heard.said.into_iter().filter(|said| *said != between).collect();
    assert_eq!(heard, answers(&said));
    assert_eq!((ended.result, ended.reason), (Ok(()), Some(CloseReason::Peer)));
}

/// Messages that do not fit any queue go through it piece by piece, text too.
pub(super) fn websocket_takes_messages_longer_than_its_queue_piece_by_piece(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (mut frames, mut said) = conversation(&mut random, 3, 6000);
    let (close, goodbye) = farewell(&mut random);
    frames.push(close);
    said.push(goodbye);
    let (heard, ended) = converse(&world, &frames.concat(), FITS, true, async |request| {
        let (socket, sent) = Accept::new().uncompressed().accept(request).await?;
        pieces(socket.fragments()).await?;
        Ok(sent)
    });
    assert_eq!(heard.said, answers(&said));
    assert_eq!(ended.result, Ok(()));
}

async fn pieces(mut fragments: Fragments<Upgraded<'_>>) -> Result<()> {
    while let Some((piece, mut peer)) = fragments.receive().await? {
        peer.send_fragment(piece.kind, piece.first, piece.last, piece.bytes).await?;
    }
    Ok(())
}

/// Streams that were right before some of their bits were turned, bytes lost or doubled: what is in order is answered,
/// the first fault has its code, and nothing is said behind that.
pub(super) fn websocket_answers_what_is_wrong_as_foretold(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (mut frames, _) = conversation(&mut random, 5, FITS);
    frames.push(farewell(&mut random).0);
    if random.chance(20) {
        frames.push(conversation(&mut random, 2, FITS).0.concat()); // data behind the Close
    }
    let mut headers = vec![0];
    headers.extend(frames.iter().scan(0, |at, frame| {
        *at += frame.len();
        Some(*at)
    }));
    let mut stream = frames.concat();
    for _ in 0..random.below(4) {
        if stream.is_empty() {
            break;
        }
        let near = headers[random.below(headers.len() as u64) as usize] + random.below(4) as usize;
        let at = if random.chance(50) { near } else { random.below(stream.len() as u64) as usize };
        let at = at.min(stream.len() - 1);
        match random.below(8) {
            0 => _ = stream.remove(at),
            1 => stream.insert(at, stream[at]),
            2 => stream.truncate(at),
            _ => stream[at] ^= 1 << random.below(8),
        }
    }
    foretold(&world, &stream);
}

/// Frames whose every field is drawn, right or not.
pub(super) fn websocket_frames_at_random_end_in_order(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let mut stream = Vec::new();
    for _ in 0..1 + random.below(8) {
        let first = match random.below(4) {
            0 => random.next() as u8,
            1 => 0x80 | random.below(3) as u8,
            2 => random.below(3) as u8,
            _ => 0x88 | random.below(3) as u8,
        };
        let key = random.chance(95).then(|| (random.next() as u32).to_ne_bytes());
        let payload = random.below(140) as usize;
        let payload = if random.chance(50) { bytes(&mut random, payload) } else { vec![b'a'; payload] };
        let frame = Frame { first, key, payload };
        match random.below(12) {
            0 => {
                let len = random.next() >> random.below(64);
                stream.extend(frame.header(len));
            }
            _ => stream.extend(frame.bytes()),
        }
    }
    foretold(&world, &stream);
}

#[track_caller]
fn foretold(world: &World, stream: &[u8]) {
    let known = read(stream, true, FITS);
    let (mut heard, ended) = converse(world, stream, FITS, true, echo);
    let mut expected = answers(&known.said);
    let what = || format!("{} is {known:?}", stream.escape_ascii());
    match known.end {
        End::Closed => {
            assert_eq!((ended.result, ended.reason), (Ok(()), Some(CloseReason::Peer)), "{}", what());
        }
        End::Refused(code) => {
            assert_eq!(ended.error().wire(), code, "{}", what());
            expected.push(Said::Close(Some(code), String::new()));
        }
        // Nobody said how to take leave of who is gone.
        End::Open => {
            assert_eq!(ended.result, Ok(()), "{}", what());
            _ = heard.said.pop();
        }
        End::Midway => {
            assert_eq!(ended.error().code(), netloom_core::Code::ReceiveFailed, "{}", what());
            _ = heard.said.pop();
        }
    }
    assert_eq!(heard.said, expected, "{}", what());
}

/// Every wait of the application may be dropped: messages, pings and pongs are lost by none of it.
pub(super) fn websocket_loses_nothing_when_anything_is_dropped(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (mut frames, mut said) = conversation(&mut random, 12, FITS);
    let closes = world.chance(50);
    if !closes {
        let (close, goodbye) = farewell(&mut random);
        frames.push(close);
        said.push(goodbye);
    }
    let messages = said.iter().filter(|said| matches!(said, Said::Text(_) | Said::Binary(_))).count();
    let (heard, ended) = converse(&world, &frames.concat(), FITS, !closes, async |request| {
        let (mut socket, sent) = websocket::accept(request).await?;
        let mut left = messages;
        while left > 0 {
            left -= usize::from(hesitant_echo(&world, &mut socket).await?);
        }
        if closes {
            // What comes behind the messages may be read first, or not.
            while world.chance(50) && cancel_at_random(&world, socket.receive()).await.is_none() {}
            while cancel_at_random(&world, socket.peer().close(4000, "enough")).await.is_none() {}
        }
        loop {
            match cancel_at_random(&world, socket.receive()).await {
                Some(Ok(None)) => return Ok(sent),
                Some(Ok(Some(_))) => panic!("a message more"),
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
    });
    let mut expected = answers(&said);
    let mut heard = heard.said;
    assert_eq!(ended.result, Ok(()));
    if closes {
        assert_eq!(heard.pop(), Some(Said::Close(Some(4000), "enough".to_owned())));
        // Pings behind the last message may have come too late.
        let last = expected.iter().rposition(|said| !matches!(said, Said::Pong(_)));
        assert!(heard.len() > last.unwrap_or(0), "{heard:?}");
        expected.truncate(heard.len());
    }
    assert_eq!(heard, expected);
}

/// Echoes a message, if one comes before patience ends.
async fn hesitant_echo(world: &World, socket: &mut WebSocket<'_>) -> Result<bool> {
    let Some(received) = cancel_at_random(world, socket.receive()).await else {
        if world.chance(20) {
            while cancel_at_random(world, socket.peer().flush()).await.is_none() {}
        }
        return Ok(false);
    };
    let Some((message, mut peer)) = received? else { panic!("it ended too early") };
    loop {
        match cancel_at_random(world, peer.send(message)).await {
            Some(sent) => return sent.map(|()| true),
            None if world.chance(20) => peer.during(world.sleep(millis(1))).await,
            None => {}
        }
    }
}
