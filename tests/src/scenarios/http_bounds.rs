//! HTTP/1.1 at its bounds: peers that are slow, silent or long-winded, a host that stops, blocks that run out, and
//! connections that become something else.

use std::cell::Cell;

use netloom_core::{CloseReason, Code, Duration, Options, Platform, Result, Session, Timeouts};
use netloom_protocols::Framing;
use netloom_protocols::http1::{self, Http1, Request, Sent};

use super::http::{Client, bait};
use super::{millis, secs};
use crate::reference::End;
use crate::{Blocks, Faults, OnArrays, OnBlocks, Pipe, World, link};

fn open(
    world: &World,
    pipe: Pipe,
    blocks: &(Blocks, Blocks),
    timeouts: Timeouts,
) -> Session<OnBlocks, Http1> {
    let options = Options { timeouts, ..Options::DEFAULT };
    Session::open(pipe, Http1::new(), (blocks.0.storage(), blocks.1.storage()), world.clock(), options)
}

fn plenty() -> (Blocks, Blocks) {
    (Blocks::new(&[(256, 10), (4096, 10)]), Blocks::new(&[(256, 10), (4096, 10)]))
}

/// Serves, and closes as hosts do.
async fn serve<P: Platform>(
    session: &mut Session<P, Http1>,
    app: &impl AsyncFn(Request<'_>) -> Result<Sent>,
) -> Result<()> {
    let served = http1::serve(session, app).await;
    _ = session.close().await;
    served
}

fn post(len: usize, more: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{more}Content-Length: {len}\r\n\r\n").into_bytes()
}

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// What is behind the request is the new protocol's, and nothing else is.
pub(super) fn http_becomes_another_protocol(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = plenty();
    let mut server = open(&world, a, &blocks, Timeouts::DEFAULT);
    let body = if world.chance(50) { 0 } else { world.length(300) };
    let (before, frames) = (world.below(3), 1 + world.below(5));
    let app = async |mut request: Request<'_>| -> Result<Sent> {
        if request.head().path() == "/next" {
            return request.reply().text("yes").await;
        }
        request.upgrade(("upgrade", "framing")).await
    };
    let mut lab = world.tasks();
    lab.spawn("server", async {
        http1::serve(&mut server, &app).await.expect("in order");
        assert!(server.codec().is_upgraded());
        let mut framed = server.switch(Framing::new());
        for i in 0..frames {
            let (message, peer) = framed.receive().await.expect("receive").expect("a frame");
            assert_eq!(message, format!("frame {i}").as_bytes());
            peer.send(message).await.expect("send");
        }
        framed.close().await.expect("close");
    });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        let mut said = NEXT.repeat(before as usize);
        said.extend(post(body, "Connection: upgrade\r\nUpgrade: framing\r\n"));
        said.extend(bait(body));
        let mut expected = Vec::new();
        for i in 0..frames {
            let message = format!("frame {i}");
            expected.extend_from_slice(&(message.len() as u32).to_be_bytes());
            expected.extend_from_slice(message.as_bytes());
        }
        said.extend_from_slice(&expected);
        let mut said = &said[..];
        // What comes at once, and what comes behind the answer.
        let (at_once, later) = said.split_at(said.len() - world.below(expected.len() as u64) as usize);
        said = at_once;
        client.talk(said, |_| true).await;
        for _ in 0..before {
            assert_eq!(client.answer("GET").await.expect("an answer").status, 200);
        }
        let answer = client.answer("POST").await.expect("an answer");
        assert_eq!((answer.status, answer.field("upgrade")), (101, Some("framing")));
        assert_eq!(answer.field("connection"), Some("upgrade"));
        client.talk(later, |_| false).await;
        assert!(client.came == expected && !client.broken, "{:?}", client.came);
    });
    lab.run(secs(25)).assert_done();
    blocks.0.assert_idle("at the end");
    blocks.1.assert_idle("at the end");
}

/// Every answer that is given once the host stops says that it is the last, and what was begun is answered.
pub(super) fn http_requests_under_way_are_answered_when_the_host_stops(seed: u64) {
    let world = World::new(seed);
    let blocks = plenty();
    let stop = millis(world.below(300));
    let mut lab = world.tasks();
    for i in 0..3 {
        let (a, b) = link(&world, Faults::rough());
        let (world, blocks) = (&world, &blocks);
        let last = std::rc::Rc::new(Cell::new((0, secs(0))));
        let at = last.clone();
        lab.spawn(format!("server {i}"), async move {
            let mut server = open(world, a, blocks, Timeouts::DEFAULT);
            let app = async |mut request: Request<'_>| -> Result<Sent> {
                while request.receive().await?.is_some() {}
                request.during(world.sleep(world.up_to(millis(50)))).await;
                at.set((at.get().0 + 1, world.elapsed()));
                request.reply().text("yes").await
            };
            serve(&mut server, &app).await.expect("in order");
            assert!(matches!(server.reason(), Some(CloseReason::Shutdown | CloseReason::Local)));
            assert!(world.elapsed() < stop + millis(1500), "it took until {:?}", world.elapsed());
        });
        lab.spawn(format!("client {i}"), async move {
            let mut client = Client::new(b);
            let (mut answers, mut said_close) = (0, false);
            while !client.is_over() {
                let body = world.below(100) as usize;
                let request = [post(body, ""), bait(body)].concat();
                client.talk(&request, |_| true).await;
                let Some(answer) = client.answer("POST").await else { break };
                answers += 1;
                assert_eq!((answer.status, answer.end), (200, End::Framed));
                assert!(!said_close, "another answer behind the last");
                said_close = answer.says_close();
            }
            assert!(client.came.is_empty());
            let (given, at) = last.get();
            assert_eq!(answers, given);
            // One that was given just before the host stopped could not say so.
            assert!(
                said_close || at <= stop,
                "given at {at:?}, after {stop:?}, and did not say that it ends"
            );
        });
    }
    lab.spawn("host", async {
        world.sleep(stop).await;
        world.stop();
    });
    lab.run(secs(29)).assert_done();
    blocks.0.assert_idle("at the end");
}

/// Sends bytes one by one, and hears what comes meanwhile. How long until an answer came, or the end.
async fn drip(world: &World, client: &mut Client, bytes: &[u8], gap: Duration) -> Duration {
    for byte in bytes {
        client.talk(&[*byte], |_| true).await;
        if world.timeout(gap, client.talk(b"", |came| !came.is_empty())).await.is_some() {
            break;
        }
    }
    world.elapsed()
}

/// Each kind of slowness has an end, and the client is told where it can be.
pub(super) fn http_slowness_is_ended_by_408(seed: u64) {
    let world = World::new(seed);
    let faults = Faults { latency: millis(0), jitter: millis(0), ..Faults::rough() };
    let (a, b) = link(&world, faults);
    let blocks = plenty();
    let timeouts = Timeouts { message: secs(20), ..Timeouts::DEFAULT };
    let mut server = open(&world, a, &blocks, timeouts);
    let (kind, gap) = (world.below(3), millis(500 + world.below(4000)));
    let app = async |mut request: Request<'_>| -> Result<Sent> {
        while request.receive().await?.is_some() {}
        request.reply().text("yes").await
    };
    let mut lab = world.tasks();
    lab.spawn("server", async { _ = serve(&mut server, &app).await });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        let most = match kind {
            // A head.
            0 => {
                drip(&world, &mut client, &post(0, &"x: y\r\n".repeat(20)), gap).await;
                secs(20)
            }
            // A body that drips.
            1 => {
                client.talk(&post(5000, ""), |_| true).await;
                drip(&world, &mut client, &bait(5000), gap).await;
                secs(11) + 2 * gap
            }
            // A body that stops.
            _ => {
                client.talk(&post(5000, ""), |_| true).await;
                client.talk(&bait(world.below(4000) as usize), |_| true).await;
                secs(20)
            }
        };
        let answer = client.answer("POST").await.expect("an answer");
        assert!(
            (secs(10)..=most + millis(10)).contains(&world.elapsed()),
            "{kind} after {:?}",
            world.elapsed()
        );
        assert_eq!((answer.status, answer.says_close(), answer.end), (408, true, End::Framed), "{kind}");
        client.assert_ends().await;
        assert!(world.elapsed() <= most + secs(1), "{kind} ended after {:?}", world.elapsed());
    });
    lab.run(secs(100)).assert_done();
    blocks.0.assert_idle("at the end");
}

/// A body that nobody wants may not drip either.
pub(super) fn http_an_unwanted_body_that_drips_ends_the_connection(seed: u64) {
    let world = World::new(seed);
    let faults = Faults { latency: millis(0), jitter: millis(0), ..Faults::rough() };
    let (a, b) = link(&world, faults);
    let blocks = plenty();
    let mut server = open(&world, a, &blocks, Timeouts::DEFAULT);
    let gap = millis(500 + world.below(4000));
    let chunked = world.chance(50);
    let app = async |request: Request<'_>| -> Result<Sent> { request.reply().text("yes").await };
    let mut lab = world.tasks();
    lab.spawn("server", async { _ = serve(&mut server, &app).await });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        let (head, drop) = match chunked {
            true => (
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
                &b"1\r\nx\r\n"[..],
            ),
            false => (post(5000, ""), &b"x"[..]),
        };
        client.talk(&head, |_| true).await;
        assert_eq!(client.answer("POST").await.expect("an answer").status, 200);
        while world.elapsed() < secs(200) && !client.is_over() {
            client.talk(drop, |_| true).await;
            _ = world.timeout(gap, client.talk(b"", |_| false)).await;
        }
        assert!(world.elapsed() <= secs(18) + gap, "it goes on until {:?}", world.elapsed());
    });
    lab.run(secs(300)).assert_done();
}

/// The rate of a body is the client's: what the handler does meanwhile is not held against it.
pub(super) fn http_a_slow_handler_is_not_its_clients_fault(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = plenty();
    let mut server = open(&world, a, &blocks, Timeouts::DEFAULT);
    let (len, wait) = (world.length(1000), secs(1 + world.below(40)));
    let app = async |mut request: Request<'_>| -> Result<Sent> {
        let mut came = 0;
        while let Some(piece) = request.receive().await? {
            came += piece.len();
            if came < 500 {
                request.during(world.sleep(wait)).await;
            }
        }
        assert_eq!(came, len);
        request.reply().text("yes").await
    };
    let mut lab = world.tasks();
    lab.spawn("server", async { serve(&mut server, &app).await.expect("in order") });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        client.talk(&[post(len, ""), bait(len)].concat(), |_| true).await;
        assert_eq!(client.answer("POST").await.expect("an answer").status, 200);
    });
    lab.run(secs(50_000)).assert_done();
}

/// Once the answer has begun, both sides may take their time: a dialogue has no rate. Before that a body has one.
pub(super) fn http_a_dialogue_may_be_slow(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = plenty();
    let mut server = open(&world, a, &blocks, Timeouts::DEFAULT);
    let (gap, answers_first) = (millis(1000 + world.below(15_000)), world.chance(70));
    let app = async |mut request: Request<'_>| -> Result<Sent> {
        while !answers_first && request.receive().await?.is_some() {}
        let mut exchange = request.stream("").await?;
        while let Some((piece, mut answer)) = exchange.receive().await? {
            answer.send(piece).await?;
        }
        exchange.end().await
    };
    let said = b"abcdefghijklmnopqrstuvwxyz";
    let mut lab = world.tasks();
    lab.spawn("server", async { _ = serve(&mut server, &app).await });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        client.talk(&post(said.len(), ""), |_| true).await;
        for byte in said {
            let chunk = [b'1', b'\r', b'\n', *byte, b'\r', b'\n'];
            let is_echo = |came: &[u8]| came.windows(chunk.len()).any(|came| came == chunk);
            client.talk(&[*byte], |came| !answers_first || is_echo(came)).await;
            let is_told = |came: &[u8]| !answers_first && !came.is_empty();
            if world.timeout(gap, client.talk(b"", is_told)).await.is_some() {
                break;
            }
        }
        let answer = client.answer("POST").await.expect("an answer");
        match answers_first {
            true => assert_eq!((answer.status, &answer.body[..]), (200, &said[..]), "{gap:?}"),
            false => assert_eq!((answer.status, answer.says_close()), (408, true), "{gap:?}"),
        }
        assert!(world.elapsed() > secs(10));
    });
    lab.run(secs(600)).assert_done();
    blocks.0.assert_idle("at the end");
}

/// Who never reads is let go after the write-stall time-out, however much is asked.
pub(super) fn http_a_client_that_never_reads_is_let_go(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let streams = world.chance(50);
    let queues = ([0; 512], [0; 512]);
    let mut server: Session<OnArrays<512>, _> =
        Session::open(a, Http1::new(), queues, world.clock(), Options::DEFAULT);
    let app = async |request: Request<'_>| -> Result<Sent> {
        if !streams {
            return request.reply().text("as much as fits the queue only once or twice").await;
        }
        let mut stream = request.reply().stream("text/plain").await?;
        for _ in 0..1000 {
            stream.send(&[b'x'; 100]).await?;
        }
        stream.end().await
    };
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let error = serve(&mut server, &app).await.expect_err("nobody reads");
        assert_eq!(error.code(), Code::WriteStalled);
        assert!((secs(30)..secs(32)).contains(&world.elapsed()), "after {:?}", world.elapsed());
    });
    lab.spawn("client", async {
        let mut pipe = b;
        let mut bytes = &NEXT.repeat(100)[..];
        while !bytes.is_empty() {
            use netloom_core::Transport;
            match std::future::poll_fn(|cx| pipe.poll_write(cx, bytes)).await {
                Ok(n) => bytes = &bytes[n..],
                Err(_) => return,
            }
        }
        world.sleep(secs(40)).await;
    });
    lab.run(secs(50)).assert_done();
}

/// Bodies that are long, wanted or not: answered, and the connection used again or closed, as the answer says.
pub(super) fn http_long_bodies_are_drained_or_refused(seed: u64) {
    const QUEUE: usize = 4096;
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::none().capacity(world.length(60_000)));
    let blocks = plenty();
    let mut server = open(&world, a, &blocks, Timeouts::DEFAULT);
    let len = match world.below(4) {
        0 => 65_536 + world.below(3) as usize - 1,
        1 => world.length(100_000),
        _ => world.length(2 * QUEUE),
    };
    let (chunked, kind) = (world.chance(50), world.below(4));
    let max = world.length(2 * QUEUE);
    let app = async |mut request: Request<'_>| -> Result<Sent> {
        assert_ne!(request.head().path(), "/smuggled");
        match kind {
            _ if request.head().path() == "/next" => request.reply().text("next").await,
            0 => request.reply().text("unread").await,
            1 => Err(http1::status::error(403)),
            2 => {
                let whole = request.body_within(max).await?;
                assert_eq!(whole.body, bait(len));
                whole.reply.text("whole").await
            }
            _ => {
                let mut came = 0;
                while let Some(piece) = request.receive().await? {
                    came += piece.len();
                }
                assert_eq!(came, len);
                request.reply().text("all").await
            }
        }
    };
    let mut lab = world.tasks();
    lab.spawn("server", async { _ = serve(&mut server, &app).await });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        let mut request = match chunked {
            true => b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            false => post(len, ""),
        };
        let head = request.len();
        if chunked {
            for chunk in bait(len).chunks(1000) {
                request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                request.extend_from_slice(chunk);
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\n\r\n");
        } else {
            request.extend_from_slice(&bait(len));
        }
        request.extend_from_slice(NEXT);
        client.talk(&request, |_| true).await;
        let answer = client.answer("POST").await.expect("an answer");
        let fits = head + len <= QUEUE;
        match kind {
            0 => assert_eq!(answer.status, 200),
            1 => assert_eq!(answer.status, 403),
            2 if len > max => assert!(answer.status == 413, "{answer:?}"),
            2 if fits => assert_eq!(answer.status, 200),
            // The last chunk's framing may just not fit.
            2 => assert!(answer.status == 413 || len + head + 10 > QUEUE || chunked, "{answer:?}"),
            _ => assert_eq!(answer.status, 200),
        }
        match client.answer("GET").await {
            Some(next) => {
                assert!(next.body == b"next" && !answer.says_close() && !next.says_close());
                assert!(world.timeout(secs(1), client.talk(b"", |_| false)).await.is_none());
            }
            None => {
                assert!(client.came.is_empty() && !client.broken, "{:?}", client.came);
                let left = len > 65_536 && kind != 3;
                // Of chunks it is not known beforehand how long they go on.
                assert!(answer.says_close() || (chunked && left), "it ends and did not say so: {answer:?}");
                assert!(left || kind == 2, "{answer:?}");
            }
        }
    });
    lab.run(secs(20)).assert_done();
    blocks.0.assert_idle("at the end");
    blocks.1.assert_idle("at the end");
}

/// More requests than blocks: they wait for each other, and all are answered.
pub(super) fn http_requests_wait_for_blocks(seed: u64) {
    let world = World::new(seed);
    let cap = 1 + world.below(2) as usize;
    let blocks = (Blocks::new(&[(256, cap), (2048, 1)]), Blocks::new(&[(1024, cap)]));
    let done = Cell::new(0);
    let mut lab = world.tasks();
    for i in 0..4 {
        let (a, b) = link(&world, Faults::rough());
        let (world, blocks, done) = (&world, &blocks, &done);
        lab.spawn(format!("server {i}"), async move {
            let mut server = open(world, a, blocks, Timeouts::DEFAULT);
            let app = async |request: Request<'_>| -> Result<Sent> {
                let whole = request.body().await?;
                whole.reply.bytes("text/plain", whole.body).await
            };
            serve(&mut server, &app).await.expect("in order");
        });
        lab.spawn(format!("client {i}"), async move {
            let mut client = Client::new(b);
            for _ in 0..2 {
                let body = bait(world.below(400) as usize);
                client.talk(&[post(body.len(), ""), body.clone()].concat(), |_| true).await;
                let answer = client.answer("POST").await.expect("an answer");
                assert!(answer.status == 200 && answer.body == body, "{answer:?}");
                world.sleep(world.up_to(millis(20))).await;
            }
            done.set(done.get() + 1);
        });
    }
    lab.run(secs(25)).assert_done();
    assert_eq!(done.get(), 4);
    blocks.0.assert_idle("at the end");
    blocks.1.assert_idle("at the end");
}

/// A stream of events says something in silence, and only between two events.
pub(super) fn http_silent_events_are_kept_alive(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = plenty();
    let mut server = open(&world, a, &blocks, Timeouts::DEFAULT);
    let is_old = world.chance(30);
    let waits: Vec<_> = (0..1 + world.below(4)).map(|_| secs(5 + 30 * world.below(3))).collect();
    let app = async |request: Request<'_>| -> Result<Sent> {
        let mut events = request.reply().events().await?;
        for wait in &waits {
            events.during(world.sleep(*wait)).await;
            events.data("first\nsecond").await?;
        }
        events.end().await
    };
    let mut lab = world.tasks();
    lab.spawn("server", async { serve(&mut server, &app).await.expect("in order") });
    lab.spawn("client", async {
        let mut client = Client::new(b);
        let version = if is_old { "1.0" } else { "1.1" };
        client.talk(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n").as_bytes(), |_| true).await;
        let answer = client.answer("GET").await.expect("an answer");
        assert_eq!((answer.status, answer.says_close()), (200, is_old));
        assert_eq!(answer.end, if is_old { End::Connection } else { End::Framed });
        let body = String::from_utf8(answer.body).expect("text");
        let mut events = body.split("\n\n").filter(|event| *event != ":");
        for _ in &waits {
            assert_eq!(events.next(), Some("data: first\ndata: second"), "{body:?}");
        }
        assert_eq!(events.next(), Some(""), "{body:?}");
        let comments = body.split("\n\n").filter(|event| *event == ":").count() as u64;
        // From the request on: what is said does not put off what is due.
        let silence: u64 = waits.iter().map(Duration::as_secs).sum();
        assert!((silence / 30).abs_diff(comments) <= 1, "{comments} in {silence} s");
    });
    lab.run(secs(400)).assert_done();
    blocks.0.assert_idle("at the end");
    blocks.1.assert_idle("at the end");
}
