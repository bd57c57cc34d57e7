//! WebSocket at its bounds: faults and the close codes that name them, closing from either side, peers that are silent,
//! slow or gone, messages and floods that no queue holds.

use std::cell::Cell;
use std::future::poll_fn;

use netloom_core::{CloseReason, Code, Duration, Error, Fault, Options, Session, Timeouts, Transport};
use netloom_protocols::http1::{self, Http1, Request, Sent};
use netloom_protocols::websocket;

use super::http::Client;
use super::websocket::{Ended, FITS, Host, bytes, echo, faults, plenty, text, within};
use super::{millis, secs};
use crate::websocket::{End, Frame, Heard, Said, may_be_said};
use crate::{Blocks, Faults, OnBlocks, Random, World, link};

/// Runs a client and a server of `app` on a rough link; how the server ended.
fn run(
    world: &World,
    faults: Faults,
    options: Options,
    limit: Duration,
    app: impl AsyncFn(Request<'_>) -> Result<Sent, Error>,
    client: impl AsyncFnOnce(Client),
) -> Ended {
    let (a, b) = link(world, faults);
    let blocks = plenty();
    let host = Host::draw(world, a, &blocks, options);
    let mut ended = None;
    let mut lab = world.tasks();
    lab.spawn("server", async { ended = Some(host.serve(&app).await) });
    lab.spawn("client", async { client(Client::new(b)).await });
    lab.run(limit).assert_done();
    blocks.0.assert_idle("at the end");
    blocks.1.assert_idle("at the end");
    ended.expect("it is done")
}

fn closed(code: u16) -> Said {
    Said::Close(Some(code), String::new())
}

fn close(random: &mut Random, code: u16) -> Vec<u8> {
    Frame::masked(random, 8, true, &code.to_be_bytes()).bytes()
}

fn any(random: &mut Random, of: &[u8]) -> u8 {
    of[random.below(of.len() as u64) as usize]
}

/// A fault, in as few bytes as make it one: with which code it is answered, and whether it is within a message.
fn fault(random: &mut Random) -> (Vec<u8>, u16, bool) {
    let (data, control) = (any(random, &[1, 2]), any(random, &[8, 9, 10]));
    let key = [any(random, &[0, 1, 0x80, 0xff]); 4];
    let frame = |first: u8, payload: &[u8]| Frame { first, key: Some(key), payload: payload.to_vec() };
    let unknown = any(random, &[3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
    let reserved = any(random, &[0x10, 0x20, 0x40, 0x30, 0x50, 0x60, 0x70]);
    let wide = any(random, &[126, 127]);
    let small = any(random, &[0, 1, 125]);
    match random.below(17) {
        // Not masked.
        0 => (vec![0x80 | data, 0], 1002, false),
        1 => (vec![0x80 | control, 5], 1002, false),
        2 => (vec![0x80 | reserved | if random.chance(50) { data } else { control }, 0x80], 1002, false),
        3 => (vec![0x80 | unknown, 0x80], 1002, random.chance(50)),
        // Control frames in fragments, and long ones.
        4 => (vec![control, 0x80], 1002, random.chance(50)),
        5 => (vec![0x80 | control, 0x80 | wide], 1002, random.chance(50)),
        // Lengths: the highest bit, and in more bytes than it takes.
        6 => (vec![0x80 | data, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002, false),
        7 => (vec![0x80 | data, 0xfe, 0, small], 1002, false),
        8 => (vec![0x80 | data, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 1002, false),
        // Messages that are continued and were not begun, or are begun within another.
        9 => (frame(if random.chance(50) { 0x80 } else { 0 }, b"").bytes(), 1002, false),
        10 => (frame(0x80 | data, b"").bytes(), 1002, true),
        11 => {
            // RFC 6455, 8.1: told before the message ends.
            let wrong: [&[u8]; 6] =
                [b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90", b"\xe2\x82\xc3", b"\xc3("];
            let wrong = wrong[random.below(6) as usize];
            let len = random.below(300) as usize;
            let before = text(random, len).into_bytes();
            let text = [&before[..], wrong].concat();
            let cut = random.below(text.len() as u64) as usize;
            let mut bytes = frame(1, &text[..cut]).bytes();
            let mut rest = frame(0, &[&text[cut..], &[b'a'; 200]].concat()).bytes();
            rest.truncate(rest.len() - 200);
            match random.below(3) {
                0 => bytes.extend(rest),
                1 => {
                    bytes = frame(0x81, &[&text[..], &[b'a'; 200]].concat()).bytes();
                    bytes.truncate(bytes.len() - 200);
                }
                _ => bytes = frame(0x81, &text).bytes(),
            }
            (bytes, 1007, false)
        }
        // Whole, but for the end of a character.
        12 => match random.chance(50) {
            true => (frame(0x81, b"cut \xf0\x9f\x92").bytes(), 1007, false),
            false => {
                let (begun, ended) = (frame(1, b"cut \xf0"), frame(0x80, b"\x9f\x92"));
                ([begun.bytes(), ended.bytes()].concat(), 1007, false)
            }
        },
        13 => (frame(0x88, &[any(random, &[0, 3, 0xff])]).bytes(), 1002, random.chance(50)),
        14 => {
            let code =
                (0..).map(|_| random.next() as u16 % 6000).find(|code| !may_be_said(*code)).expect("one");
            let code = if random.chance(50) { [1005, 1006, 1015, 0][random.below(4) as usize] } else { code };
            (frame(0x88, &[&code.to_be_bytes()[..], b"why"].concat()).bytes(), 1002, false)
        }
        15 => (frame(0x88, b"\x03\xe8good\xc3bye").bytes(), 1007, false),
        // Too long, which is known at the header.
        _ => {
            let more = [1, 1 << 16, 1 << 32, (1 << 63) - 1 - FITS as u64][random.below(4) as usize];
            match random.chance(50) {
                true => (frame(0x80 | data, b"").header(FITS as u64 + more), 1009, false),
                false => (frame(0, b"").header(FITS as u64 - BEGUN.len() as u64 + more), 1009, true),
            }
        }
    }
}

/// What a message within which something is wrong begins with.
const BEGUN: &[u8] = b"begun";

/// Each fault has the code that RFC 6455, 7.4.1, names for it, as soon as it is there and before anything else comes;
/// what was in order before is answered, what comes behind is not.
pub(super) fn websocket_faults_are_named_before_more_comes(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (wrong, code, is_within) = fault(&mut random);
    let behind = random.chance(50);
    let ended = run(&world, faults(&world), within(FITS), secs(9), echo, async |mut client| {
        client.shake(b"").await;
        let mut said = Frame::masked(&mut random, 2, true, b"before").bytes();
        if is_within {
            said.extend(Frame::masked(&mut random, 2, false, BEGUN).bytes());
        }
        said.extend_from_slice(&wrong);
        let heard = client.exchange(&said, |heard| heard.end == End::Closed);
        let what = wrong.escape_ascii();
        let heard = world.timeout(secs(2), heard).await.unwrap_or_else(|| panic!("{what} is not refused"));
        assert_eq!(heard.said, [Said::Binary(b"before".to_vec()), closed(code)], "{what}");
        if behind {
            client.talk(&Frame::masked(&mut random, 1, true, b"too late").bytes(), |_| true).await;
        }
        let before = world.elapsed();
        client.hear_all(b"").await;
        assert!(world.elapsed() < before + secs(1));
    });
    assert_eq!(ended.error().wire(), code);
}

/// The closing handshake, begun by the client, by the server, or by both; what is still under way then is not answered.
pub(super) fn websocket_a_close_is_answered_whoever_says_it_first(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let who = world.below(3);
    let (client_wait, server_wait) = (world.up_to(millis(20)), world.up_to(millis(20)));
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        if who > 0 {
            socket.peer().pause(server_wait).await;
            socket.peer().send("last").await?;
            socket.peer().close(4001, "enough").await?;
        }
        assert!(socket.receive().await?.is_none(), "a message behind a Close");
        assert!(who > 0 || socket.closed_with() == Some(3001));
        Ok(sent)
    };
    let ended = run(&world, faults(&world), within(FITS), secs(3), app, async |mut client| {
        client.shake(b"").await;
        let last = Said::Text("last".to_owned());
        let enough = Said::Close(Some(4001), "enough".to_owned());
        let goodbye = close(&mut random, 3001);
        match who {
            0 => assert_eq!(client.take_leave(&goodbye).await.said, [closed(3001)]),
            1 => {
                let heard = client.exchange(b"", |heard| heard.end == End::Closed).await;
                assert_eq!(heard.said, [last, enough]);
                let late = Frame::masked(&mut random, 2, true, b"late").bytes();
                client.take_leave(&[late, goodbye].concat()).await;
            }
            _ => {
                world.sleep(client_wait).await;
                assert_eq!(client.take_leave(&goodbye).await.said, [last, enough]);
            }
        }
    });
    let reason = if who == 0 { CloseReason::Peer } else { CloseReason::Local };
    assert_eq!((ended.result, ended.reason), (Ok(()), Some(reason)));
}

impl Client {
    /// Says the last that it says, and ends when the server does.
    async fn take_leave(&mut self, bytes: &[u8]) -> Heard {
        let heard = self.hear_all(bytes).await;
        self.finish().await;
        heard
    }
}

/// Who never answers a Close, whether it goes on talking or says nothing, is cut at the closing time-out.
pub(super) fn websocket_a_peer_that_never_closes_is_waited_for_no_longer_than_the_closing_time(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let talks = world.chance(50);
    let closing = secs(1 + world.below(9));
    let options = Options { timeouts: Timeouts { closing, ..Timeouts::DEFAULT }, ..Options::DEFAULT };
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        socket.peer().close(1000, "").await?;
        let before = world.elapsed();
        assert!(socket.receive().await?.is_none());
        let took = world.elapsed() - before;
        assert!((closing - millis(100)..closing + millis(100)).contains(&took), "it took {took:?}");
        Ok(sent)
    };
    let ended = run(&world, faults(&world), options, secs(25), app, async |mut client| {
        client.shake(b"").await;
        let heard = client.exchange(b"", |heard| heard.end == End::Closed).await;
        assert_eq!(heard.said, [closed(1000)]);
        let frame = Frame::masked(&mut random, 2, true, &[7; 100]).bytes();
        while talks && !client.broken && world.elapsed() < secs(20) {
            client.ended = false; // it does not care
            client.talk(&frame, |_| true).await;
            world.sleep(millis(300)).await;
        }
        world.sleep(secs(20) - world.elapsed()).await;
    });
    assert_eq!((ended.result, ended.reason), (Ok(()), Some(CloseReason::Local)));
}

/// A stream that ends without a Close is no Close: between messages it is told by there being no code, within one it is
/// an error, and so is a connection that breaks.
pub(super) fn websocket_a_peer_that_vanishes_is_told_from_one_that_closes(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (is_within, breaks) = (world.chance(50), world.chance(30));
    let seen = Cell::new(None);
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        let result = loop {
            match socket.receive().await {
                Ok(Some((message, _))) => assert_eq!(message.as_bytes(), b"whole"),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.code()),
            }
        };
        assert_eq!(socket.closed_with(), None);
        seen.set(Some(result));
        result.map_err(Error::new)?;
        Ok(sent)
    };
    let ended = run(&world, faults(&world), Options::DEFAULT, secs(9), app, async |mut client| {
        client.shake(b"").await;
        let mut said = Frame::masked(&mut random, 1, true, b"whole").bytes();
        if is_within {
            let is_last = random.chance(50);
            let mut rest = Frame::masked(&mut random, 1, is_last, b"not whole").bytes();
            rest.truncate(random.length(rest.len() - 1));
            said.extend(rest);
        }
        client.talk(&said, |_| true).await;
        if breaks {
            client.pipe.abort(Code::ConnectionClosed.into());
            return;
        }
        client.finish().await;
        client.talk(b"", |_| false).await;
    });
    match seen.get().expect("it was told") {
        Ok(()) => assert!(!is_within && !breaks && ended.result.is_ok()),
        Err(Code::ReceiveFailed) => assert!(is_within && !breaks),
        Err(code) => assert!(code == Code::ConnectionClosed && breaks, "{code:?}"),
    }
}

/// The host's end: 1001, at once in silence, and behind the message that is under way.
pub(super) fn websocket_the_end_of_the_host_is_1001(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let is_within = world.chance(50);
    let ended = run(&world, faults(&world), Options::DEFAULT, secs(9), echo, async |mut client| {
        client.shake(b"").await;
        let frame = Frame::masked(&mut random, 2, true, b"under way").bytes();
        let (a, b) = frame.split_at(if is_within { random.length(frame.len() - 1) } else { frame.len() });
        client.exchange(a, |heard| is_within || heard.said.len() == 1).await;
        world.sleep(millis(100)).await;
        world.stop();
        let mut expected = vec![Said::Binary(b"under way".to_vec())];
        if is_within {
            world.sleep(millis(500)).await;
            let heard = client.exchange(b, |heard| heard.said.len() == 1).await;
            assert_eq!(heard.said[..1], expected);
        }
        expected.push(closed(1001));
        let heard = client.exchange(b"", |heard| heard.end == End::Closed).await;
        assert_eq!(heard.said, expected);
        client.take_leave(&close(&mut random, 1001)).await;
        assert!(world.elapsed() < secs(3));
    });
    assert_eq!((ended.result, ended.reason), (Ok(()), Some(CloseReason::Shutdown)));
}

/// An error that the application gives up with is said: 1011, or the close code that it carries; behind what was said
/// before it.
pub(super) fn websocket_an_error_of_the_application_is_said(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (error, code) = [
        (Error::new(Code::SessionNotFound), 1011),
        (Error::new(Code::Unsupported), 1011),
        (Error::new(Code::Rejected).on_wire(4321), 4321),
        (Error::new(Code::Rejected).on_wire(403), 1008),
        (Error::new(Code::TooManySessions), 1013),
    ][world.below(5) as usize];
    let fails = world.chance(50);
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        let Some((message, mut peer)) = socket.receive().await? else { panic!("it ended") };
        peer.send(message).await?;
        if !fails {
            return Err(error);
        }
        peer.fail(error);
        assert_eq!(socket.receive().await.map(|_| ()), Err(error));
        Ok(sent)
    };
    let ended = run(&world, faults(&world), Options::DEFAULT, secs(9), app, async |mut client| {
        client.shake(b"").await;
        let frame = Frame::masked(&mut random, 1, true, b"why not").bytes();
        let heard = client.exchange(&frame, |heard| heard.end == End::Closed).await;
        assert_eq!(heard.said, [Said::Text("why not".to_owned()), closed(code)]);
        client.take_leave(&close(&mut random, code)).await;
    });
    assert_eq!(ended.reason, Some(CloseReason::Failed(error)));
}

/// In silence there are pings; answers tell how long the way is, and keep the session; without any, it ends by the idle
/// time-out.
pub(super) fn websocket_pings_measure_the_way_and_find_the_dead(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let is_dead = world.chance(30);
    let delay = world.up_to(secs(5));
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        assert_eq!(socket.peer().stats().round_trip, None);
        while let Some((message, mut peer)) = socket.receive().await? {
            let took = peer.stats().round_trip.expect("a ping was answered");
            // Two ways, of which each may take its time.
            assert!((delay..delay + millis(200)).contains(&took), "{took:?} is not {delay:?}");
            peer.send(message).await?;
        }
        Ok(sent)
    };
    let faults = faults(&world);
    let ended = run(&world, faults, Options::DEFAULT, secs(1000), app, async |mut client| {
        client.shake(b"").await;
        let mut pings = 0;
        while world.elapsed() < secs(400) {
            client.exchange(b"", |heard| !heard.said.is_empty()).await;
            let heard = crate::websocket::read(&client.came, false, 125);
            client.came.drain(..heard.size);
            match &heard.said[..] {
                [Said::Ping(payload)] => {
                    pings += 1;
                    if !is_dead {
                        world.sleep(delay).await;
                        let pong = Frame::masked(&mut random, 10, true, payload).bytes();
                        client.talk(&pong, |_| true).await;
                    }
                }
                [Said::Close(Some(1001), _)] => {
                    assert!(is_dead && (9..=10).contains(&pings), "{pings} pings");
                    assert!((secs(300)..secs(301)).contains(&world.elapsed()), "at {:?}", world.elapsed());
                    client.talk(b"", |_| false).await;
                    client.finish().await;
                    return;
                }
                other => panic!("{other:?} at {:?}", world.elapsed()),
            }
        }
        assert!((10..=14).contains(&pings) && !is_dead, "{pings} pings");
        let frame = Frame::masked(&mut random, 2, true, b"alive").bytes();
        let heard = client.exchange(&frame, |heard| !heard.said.is_empty()).await;
        assert_eq!(heard.said, [Said::Binary(b"alive".to_vec())]);
        client.came.clear();
        client.take_leave(&close(&mut random, 1000)).await;
    });
    assert_eq!(ended.result, Ok(()));
    assert_eq!(ended.reason, Some(if is_dead { CloseReason::Idle } else { CloseReason::Peer }));
}

/// A message has the message time-out from its first byte to its last, however often a byte, a fragment or a ping
/// comes: then it is 1008. Taken piece by piece it may last as long as pieces come.
pub(super) fn websocket_a_message_that_drips_is_too_slow_and_a_stream_is_not(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (in_pieces, in_fragments, pings) = (world.chance(40), world.chance(50), world.chance(50));
    let message = bytes(&mut random, 100);
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        if in_pieces {
            let mut fragments = socket.fragments();
            let mut came = Vec::new();
            while let Some((piece, mut peer)) = fragments.receive().await? {
                came.extend_from_slice(piece.bytes);
                if piece.last {
                    peer.send_fragment(piece.kind, true, true, &came).await?;
                }
            }
            return Ok(sent);
        }
        while let Some((message, mut peer)) = socket.receive().await? {
            peer.send(message).await?;
        }
        Ok(sent)
    };
    let ended = run(&world, faults(&world), within(FITS), secs(200), app, async |mut client| {
        client.shake(b"").await;
        let mut drops: Vec<Vec<u8>> = match in_fragments {
            true => {
                let fragment = |(i, byte): (usize, &u8)| {
                    Frame::masked(&mut random, if i == 0 { 2 } else { 0 }, i == 99, &[*byte]).bytes()
                };
                message.iter().enumerate().map(fragment).collect()
            }
            false => {
                let whole = Frame::masked(&mut random, 2, true, &message).bytes();
                whole.chunks(1).map(<[u8]>::to_vec).collect()
            }
        };
        if in_fragments && pings {
            let ping = Frame::masked(&mut random, 9, true, b"hello").bytes();
            drops
                .iter_mut()
                .skip(1)
                .for_each(|drop| drop.splice(0..0, ping.iter().copied()).for_each(drop_it));
        }
        for drop in drops {
            client.talk(&drop, |_| true).await;
            if world.timeout(secs(1), client.talk(b"", |_| false)).await.is_some() {
                break;
            }
        }
        let known = |said: &Said| !matches!(said, Said::Pong(pong) if pong == b"hello");
        let heard = match in_pieces {
            true => client.take_leave(&close(&mut random, 1000)).await,
            false => client.take_leave(b"").await,
        };
        // Our own pings come in between, for bytes that come too seldom; here they do not.
        let heard: Vec<_> = heard.said.into_iter().filter(known).collect();
        match in_pieces {
            true => assert_eq!(heard, [Said::Binary(message.clone()), closed(1000)]),
            false => {
                assert_eq!(heard, [closed(1008)]);
                assert!((secs(60)..secs(63)).contains(&world.elapsed()), "at {:?}", world.elapsed());
            }
        }
    });
    match in_pieces {
        true => assert_eq!(ended.result, Ok(())),
        false => assert_eq!(ended.error().code(), Code::MessageTimeout),
    }
}

fn drop_it<T>(_: T) {}

/// Without a limit of its own a message is as long as the queue takes; the fragment that is more has 1009.
pub(super) fn websocket_a_message_longer_than_its_queue_is_1009(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let sum = Cell::new(0);
    let ended = run(&world, faults(&world), Options::DEFAULT, secs(9), echo, async |mut client| {
        client.shake(b"").await;
        let mut first = 2;
        while !client.is_over() && sum.get() < 3000 {
            let len = random.length(300);
            sum.set(sum.get() + len);
            let fragment = bytes(&mut random, len);
            let fragment = Frame::masked(&mut random, first, false, &fragment).bytes();
            first = 0;
            // The header is enough.
            let fragment = if sum.get() > 1024 { &fragment[..8.min(fragment.len())] } else { &fragment[..] };
            client.talk(fragment, |_| true).await;
            if sum.get() > 1024 {
                break;
            }
        }
        let heard = client.exchange(b"", |heard| heard.end == End::Closed);
        let heard = world.timeout(secs(3), heard).await.expect("it is too long");
        assert_eq!(heard.said, [closed(1009)]);
        client.take_leave(b"").await;
    });
    // The longest header and a control frame must fit as well.
    assert!(sum.get() > 1024 - 14 - 131);
    assert_eq!(ended.error().code(), Code::MessageTooLarge);
}

/// Pings as fast as they can be said, by a client that reads or does not: each is answered or nothing is read any more,
/// and the smallest block does.
pub(super) fn websocket_a_flood_of_pings_takes_no_memory(seed: u64) {
    const FLOOD: usize = 100;
    let world = World::new(seed);
    let mut random = world.fork();
    let reads = world.chance(60);
    let (a, b) = link(&world, Faults::rough());
    let small = || Blocks::new(&[(256, 1), (65536, 0)]);
    let blocks = (small(), small());
    let queues = (blocks.0.storage(), blocks.1.storage());
    let mut server = Session::<OnBlocks, _>::open(a, Http1::new(), queues, world.clock(), Options::DEFAULT);
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let served = http1::serve(&mut server, &echo).await;
        _ = server.close().await;
        assert_eq!(
            served.map_err(|error| error.code()),
            if reads { Ok(()) } else { Err(Code::WriteStalled) }
        );
    });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        client.shake(b"").await;
        let payloads: Vec<_> = (0..FLOOD).map(|_| bytes(&mut random, 125)).collect();
        let mut flood: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| Frame::masked(&mut random, 9, true, payload).bytes())
            .collect();
        if reads {
            flood.extend(close(&mut random, 1000));
            let heard = client.take_leave(&flood).await;
            let pongs = payloads.into_iter().map(Said::Pong);
            assert!(heard.said.into_iter().eq(pongs.chain([closed(1000)])));
            return;
        }
        let mut taken = 0;
        let mut pipe = client.pipe;
        while taken < flood.len() {
            match poll_fn(|cx| pipe.poll_write(cx, &flood[taken..])).await {
                Ok(n) => taken += n,
                Err(_) => break,
            }
        }
        assert!(taken < 4 * 256 + 200, "it took {taken} bytes");
        assert!((secs(30)..secs(40)).contains(&world.elapsed()), "at {:?}", world.elapsed());
    });
    lab.run(secs(100)).assert_done();
    drop(server);
    for blocks in [&blocks.0, &blocks.1] {
        assert_eq!((blocks.peak(), blocks.refusals()), (1, 0));
        blocks.assert_idle("at the end");
    }
}

/// A ping whose answer waits for room is given up when the application closes, and the close is one in order.
pub(super) fn websocket_a_close_does_not_wait_for_what_cannot_be_answered(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (pings, patience) = (1 + world.below(30), millis(world.below(100)));
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        assert!(world.timeout(patience, socket.receive()).await.is_none());
        socket.peer().close(1000, "").await?;
        assert!(socket.receive().await?.is_none());
        Ok(sent)
    };
    let ended = run(&world, Faults::rough(), within(FITS), secs(9), app, async |mut client| {
        client.shake(b"").await;
        let payload = bytes(&mut random, 125);
        let flood: Vec<u8> =
            (0..pings).flat_map(|_| Frame::masked(&mut random, 9, true, &payload).bytes()).collect();
        let mut left = &flood[..];
        // It does not read meanwhile.
        let _ = world
            .timeout(millis(500), async {
                while let Ok(n @ 1..) = poll_fn(|cx| client.pipe.poll_write(cx, left)).await {
                    left = &left[n..];
                    if left.is_empty() {
                        break;
                    }
                }
            })
            .await;
        let mut heard = client.take_leave(left).await.said;
        assert_eq!(heard.pop(), Some(closed(1000)));
        assert!(heard.len() as u64 <= pings && heard.iter().all(|said| *said == Said::Pong(payload.clone())));
    });
    assert_eq!((ended.result, ended.reason), (Ok(()), Some(CloseReason::Local)));
}

/// A close that may not be said is refused at once, and the connection goes on.
pub(super) fn websocket_a_close_that_cannot_be_said_is_refused_at_once(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let (code, reason, error) = match world.below(4) {
        0 => ([0, 1004, 1006, 1015, 2999, 5000][random.below(6) as usize], "", Code::Unsupported),
        1 => (1000, "x", Code::MessageTooLarge),
        2 => (1006, "x", Code::Unsupported),
        _ => (4999, "x", Code::MessageTooLarge),
    };
    let reason = reason.repeat(124);
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        let refused = socket.close(code, &reason).await.expect_err("it cannot be said");
        assert_eq!((refused.code(), refused.fault()), (error, Fault::Local));
        let Some((message, mut peer)) = socket.receive().await? else { panic!("it ended") };
        peer.send(message).await?;
        socket.close(1000, "").await?;
        Ok(sent)
    };
    let ended = run(&world, faults(&world), within(FITS), secs(9), app, async |mut client| {
        client.shake(b"").await;
        let said = Frame::masked(&mut random, 2, true, b"here").bytes();
        let heard = client.exchange(&said, |heard| heard.end == End::Closed).await;
        assert_eq!(heard.said, [Said::Binary(b"here".to_vec()), closed(1000)]);
        client.take_leave(&close(&mut random, 1000)).await;
    });
    assert_eq!((ended.result, ended.reason), (Ok(()), Some(CloseReason::Local)));
}

/// A goodbye that has to wait for room is said to a peer that reads nothing before it has said all.
pub(super) fn websocket_a_goodbye_without_room_reaches_a_peer_that_still_writes(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    // Of a queue of 1,024 bytes less is left than a goodbye may take.
    let answers = 1 + world.below(9) as usize;
    let app = async |request: Request<'_>| {
        let (mut socket, sent) = websocket::accept(request).await?;
        let Some((message, mut peer)) = socket.receive().await? else { panic!("it ended") };
        peer.flush().await?;
        for _ in 0..answers {
            peer.send(message).await?;
        }
        peer.fail(Error::new(Code::Rejected).on_wire(4321));
        socket.receive().await.map(|_| sent)
    };
    let faults = Faults { capacity: 200 + world.length(300), ..faults(&world) };
    let ended = run(&world, faults, within(FITS), secs(9), app, async |mut client| {
        client.shake(b"").await;
        let message = bytes(&mut random, 100);
        let said = Frame::masked(&mut random, 2, true, &message).bytes().repeat(30);
        let mut left = &said[..];
        while !left.is_empty() {
            match poll_fn(|cx| client.pipe.poll_write(cx, left)).await {
                Ok(n @ 1..) => left = &left[n..],
                other => panic!("{other:?}, and {} bytes were left", left.len()),
            }
        }
        let mut heard = client.take_leave(b"").await.said;
        assert_eq!(heard.pop(), Some(closed(4321)));
        assert_eq!(heard, vec![Said::Binary(message); answers]);
    });
    assert_eq!(ended.error().wire(), 4321);
}
