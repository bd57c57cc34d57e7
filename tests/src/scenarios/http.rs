//! HTTP/1.1: whatever is asked, however it is cut and whatever the handler does, each request is answered once and in
//! order, and what is not a request is never taken for one.
//!
//! A [`Plan`] says what is asked and what the handler does with it; what must come of it is [foretold](Plan::expected)
//! from the RFCs, and compared with what the [reference](crate::reference) reads.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll};

use netloom_core::{Code, Error, Options, Platform, Result, Session, Transport};
use netloom_protocols::http1::{self, Http1, Request, Sent, Stream, status};

use super::{millis, secs};
use crate::reference::{Answer, End, answer};
use crate::{Blocks, Faults, OnArrays, OnBlocks, Pipe, Random, World, cancel_at_random, link};

/// What every body is made of. Whoever loses count of bytes answers it.
const BAIT: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) fn bait(len: usize) -> Vec<u8> {
    BAIT.iter().copied().cycle().take(len).collect()
}

/// A client that shares nothing with the library.
pub(super) struct Client {
    pub(super) pipe: Pipe,
    pub(super) came: Vec<u8>,
    pub(super) ended: bool,
    /// It was reset, or a write failed.
    pub(super) broken: bool,
}

impl Client {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { pipe, came: Vec::new(), ended: false, broken: false }
    }

    /// Sends all of `bytes` while it reads, and reads on until `enough`, or until the connection is over.
    pub(super) async fn talk(&mut self, mut bytes: &[u8], mut enough: impl FnMut(&[u8]) -> bool) {
        poll_fn(|cx| {
            while !bytes.is_empty() && !self.broken && !self.ended {
                match self.pipe.poll_write(cx, bytes) {
                    Poll::Ready(Ok(n)) => bytes = &bytes[n..],
                    Poll::Ready(Err(_)) => self.broken = true,
                    Poll::Pending => break,
                }
            }
            self.poll_hear(cx);
            let is_said = bytes.is_empty() || self.broken || self.ended;
            match is_said && (self.is_over() || enough(&self.came)) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended || self.broken
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) {
        let mut buf = [0; 256];
        while !self.ended {
            match self.pipe.poll_read(cx, &mut buf) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(n)) => self.came.extend_from_slice(&buf[..n]),
                Poll::Ready(Err(_)) => (self.ended, self.broken) = (true, true),
                Poll::Pending => return,
            }
        }
    }

    /// Says that it will say no more.
    pub(super) async fn finish(&mut self) {
        self.broken |= poll_fn(|cx| self.pipe.poll_finish(cx)).await.is_err();
    }

    /// Takes the next answer; `None` if the connection ends without one.
    pub(super) async fn answer(&mut self, method: &str) -> Option<Answer> {
        self.talk(b"", |came| answer(came, method, false).is_some()).await;
        let answer = answer(&self.came, method, self.is_over())?;
        self.came.drain(..answer.size);
        Some(answer)
    }

    /// Reads to the end, which must be in order.
    pub(super) async fn assert_ends(&mut self) {
        self.talk(b"", |_| false).await;
        assert!(!self.broken, "it was reset");
        assert!(self.came.is_empty(), "{:?} came as well", String::from_utf8_lossy(&self.came));
    }
}

struct Plan {
    method: &'static str,
    target: String,
    is_old: bool,
    connection: &'static str,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    chunked: bool,
    expects: bool,
    take: Take,
    give: Give,
    request: Vec<u8>,
    head: usize,
}

/// What the handler does with the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    Nothing,
    One,
    All,
    /// Each wait dropped now and then.
    Hesitant,
    Whole,
}

/// What the handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Give {
    Text(usize),
    /// The same, with a reply that is dropped now and then.
    Hesitant(usize),
    Formatted(usize),
    Empty(u16),
    Closing,
    Sized(usize),
    Streamed(usize),
    HesitantStream(usize),
    Echo,
    Fails(u16),
    FailsBehind,
    FailsWithin,
    TooMuch,
    TooLittle,
}

/// What must come of a plan.
#[derive(PartialEq, Eq)]
struct Expected {
    status: u16,
    body: Option<Vec<u8>>,
    end: Option<End>,
    interim: bool,
    closes: bool,
    says_close: bool,
}

fn token(random: &mut Random, alphabet: &[u8], len: usize) -> Vec<u8> {
    (0..len).map(|_| alphabet[random.below(alphabet.len() as u64) as usize]).collect()
}

fn text(len: usize) -> String {
    "The quick brown fox. ".chars().cycle().take(len).collect()
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, body, end, interim, closes, says_close } = self;
        let len = body.as_ref().map(Vec::len);
        write!(f, "{status}, {len:?} bytes, {end:?}, 100: {interim}, closes: {closes}, says so: {says_close}")
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = self.request[..self.head].escape_ascii();
        write!(f, "{head} with {} bytes of body, {:?}, {:?}", self.body.len(), self.take, self.give)
    }
}

impl Plan {
    /// A request whose head fits 300 bytes and whose body is shorter than `body_max`.
    fn draw(random: &mut Random, number: usize, body_max: usize) -> Self {
        let pick = |random: &mut Random, of: usize| random.below(of as u64) as usize;
        let method = ["GET", "POST", "PUT", "HEAD", "DELETE", "BREW"][pick(random, 6)];
        let is_old = random.chance(15);
        let connection = match random.below(12) {
            0 => "close",
            1..=3 => "keep-alive",
            4..=6 if is_old => "Keep-Alive",
            _ => "",
        };
        let take = [Take::Nothing, Take::One, Take::All, Take::Hesitant, Take::Whole][pick(random, 5)];
        let len = 1 + pick(random, 300);
        // More than a board's queue holds.
        let long = if random.chance(20) { 3000 + len } else { len };
        let give = match random.below(20) {
            0..=3 => Give::Text(long),
            4 => Give::Hesitant(len),
            5 => Give::Formatted(len),
            6 => Give::Empty([200, 204, 304, 404][pick(random, 4)]),
            7 if random.chance(30) => Give::Closing,
            8 | 9 => Give::Sized(long),
            10..=12 => Give::Streamed(long),
            13 => Give::HesitantStream(len),
            14 | 15 => Give::Echo,
            16 | 17 => Give::Fails([0, 400, 404, 503][pick(random, 4)]),
            18 if random.chance(30) => {
                [Give::FailsBehind, Give::FailsWithin, Give::TooMuch, Give::TooLittle][pick(random, 4)]
            }
            _ => Give::Text(0),
        };
        let take = if give == Give::Echo { Take::Nothing } else { take };
        let body = match method {
            "GET" | "HEAD" if random.chance(80) => Vec::new(),
            _ => bait(pick(random, body_max)),
        };
        let target_chars = b"abcXYZ019-._~!$&'()*+,;=:@/%?";
        let query_len = pick(random, 20);
        let target =
            format!("/{number}/{}", String::from_utf8_lossy(&token(random, target_chars, query_len)));
        let fields = (0..random.below(4))
            .map(|_| {
                let (name, value) = (1 + pick(random, 12), pick(random, 20));
                let name = token(random, b"abcXYZ019!#$%&'*+-.^_`|~", name);
                let mut value = token(random, b"abc XYZ\t019:,;=\"\\\x80\xff", value);
                value.splice(..value.len() - value.trim_ascii_start().len(), []);
                value.truncate(value.trim_ascii_end().len());
                (format!("x-{}", String::from_utf8_lossy(&name)), value)
            })
            .collect();
        let chunked = !is_old && random.chance(50) && (!body.is_empty() || random.chance(20));
        let expects = random.chance(25);
        let mut plan = Self {
            method,
            target,
            is_old,
            connection,
            fields,
            body,
            chunked,
            expects,
            take,
            give,
            request: Vec::new(),
            head: 0,
        };
        plan.write(random);
        plan
    }

    fn write(&mut self, random: &mut Random) {
        let mut out = Vec::new();
        if random.chance(10) {
            out.extend_from_slice(b"\r\n");
        }
        let version = if self.is_old { "1.0" } else { "1.1" };
        out.extend_from_slice(format!("{} {} HTTP/{version}\r\n", self.method, self.target).as_bytes());
        let mut lines: Vec<Vec<u8>> = vec![b"Host: a".to_vec()];
        for (name, value) in &self.fields {
            let space: &[u8] = [&b""[..], b" ", b" \t "][random.below(3) as usize];
            lines.push([name.as_bytes(), b":", space, value, space].concat());
        }
        if !self.connection.is_empty() {
            lines.push(format!("Connection: {}", self.connection).into_bytes());
        }
        if self.expects {
            lines.push(b"expect: 100-Continue".to_vec());
        }
        match self.chunked {
            true => lines.push(b"Transfer-Encoding: chunked".to_vec()),
            false if self.body.is_empty() && random.chance(70) => {}
            false => lines.push(format!("Content-Length: {}", self.body.len()).into_bytes()),
        }
        while !lines.is_empty() {
            let line = lines.swap_remove(random.below(lines.len() as u64) as usize);
            out.extend_from_slice(&line);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.head = out.len();
        match self.chunked {
            true => write_chunks(&self.body, random, &mut out),
            false => out.extend_from_slice(&self.body),
        }
        self.request = out;
    }

    fn has_body(&self) -> bool {
        self.chunked || !self.body.is_empty()
    }

    fn wants_permission(&self) -> bool {
        self.expects && !self.is_old && self.has_body()
    }

    fn expected(&self) -> Expected {
        let asks_to_close = match self.is_old {
            true => self.connection != "keep-alive" && self.connection != "Keep-Alive",
            false => self.connection == "close",
        };
        let takes = self.take != Take::Nothing || self.give == Give::Echo;
        // It could not be told from the next request when the client sends the body.
        let refused = self.wants_permission() && !takes;
        let is_head = self.method == "HEAD";
        let until_close = self.is_old && !is_head;
        let (status, body, end, breaks) = match self.give {
            Give::Text(n) | Give::Hesitant(n) | Give::Formatted(n) | Give::Sized(n) => {
                (200, Some(text(n).into_bytes()), End::Framed, false)
            }
            Give::Empty(status) => (status, Some(Vec::new()), End::Framed, false),
            Give::Closing => (200, Some(b"bye".to_vec()), End::Framed, false),
            Give::Streamed(n) | Give::HesitantStream(n) => {
                let end = if until_close { End::Connection } else { End::Framed };
                (200, Some(text(n).into_bytes()), end, false)
            }
            Give::Echo => {
                (200, Some(self.body.clone()), if until_close { End::Connection } else { End::Framed }, false)
            }
            Give::Fails(0) => (500, None, End::Framed, false),
            Give::Fails(status) => (status, None, End::Framed, false),
            Give::FailsBehind => (200, Some(b"yes".to_vec()), End::Framed, true),
            Give::FailsWithin => (200, Some(b"half".to_vec()), End::Short, true),
            Give::TooMuch => (200, Some(b"12345".to_vec()), End::Short, true),
            Give::TooLittle => (200, Some(b"12345".to_vec()), End::Short, true),
        };
        // Of an answer without content there is neither too much nor too little.
        let breaks = breaks && !(is_head && matches!(self.give, Give::TooMuch | Give::TooLittle));
        let says_close =
            asks_to_close || refused || end == End::Connection || self.give == Give::Closing || self.cuts();
        Expected {
            status,
            body: if is_head { Some(Vec::new()) } else { body },
            end: Some(if is_head { End::Framed } else { end }),
            interim: self.wants_permission() && takes,
            closes: says_close || breaks,
            says_close,
        }
    }

    /// Half an answer that only a cut connection can tell from a whole one.
    fn cuts(&self) -> bool {
        self.give == Give::FailsWithin && self.is_old && self.method != "HEAD"
    }

    fn check(&self, answer: &Answer) {
        let expected = self.expected();
        if self.cuts() {
            // It was reset: what came is the beginning.
            return;
        }
        let came = Expected {
            status: answer.status,
            body: expected.body.as_ref().map(|_| answer.body.clone()),
            end: Some(answer.end),
            interim: answer.interim == [100],
            closes: expected.closes,
            says_close: answer.says_close(),
        };
        assert!(came == expected, "{self:?}\n{answer:?}\n{expected:?}");
        assert!(answer.interim.len() <= 1);
        if self.is_old {
            assert!(answer.field("transfer-encoding").is_none(), "HTTP/1.0 has no codings: {answer:?}");
            let keeps = answer.field("connection") == Some("keep-alive");
            assert!(keeps || answer.says_close(), "HTTP/1.0 must be told that it goes on: {answer:?}");
        }
        if let (Give::Streamed(_), "GET", false) = (self.give, self.method, self.is_old) {
            assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
        }
    }
}

fn write_chunks(body: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(random.length(rest.len()));
        let extension = ["", "", ";a", ";a=b", " ;\tc=\"d\""][random.below(5) as usize];
        let zeros = ["", "", "00"][random.below(3) as usize];
        out.extend_from_slice(format!("{zeros}{:X}{extension}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = behind;
    }
    out.extend_from_slice(["0\r\n\r\n", "000;z\r\nX-Sum: 1\r\n\r\n"][random.below(2) as usize].as_bytes());
}

/// Does what the plan says, and checks that the request is the plan's.
async fn handle(world: &World, plan: &Plan, mut request: Request<'_>) -> Result<Sent> {
    let head = request.head();
    assert_eq!((head.method_name(), head.target(), head.host()), (plan.method, &plan.target[..], "a"));
    for (name, value) in &plan.fields {
        assert!(head.fields().get_all(name).any(|known| known == value), "{name} is lost");
    }
    let mut body = Vec::new();
    let mut request = match plan.take {
        Take::Nothing => request,
        Take::Whole => {
            let whole = request.body_within(plan.body.len()).await?;
            assert_eq!((&*whole.body, whole.head.target()), (&plan.body[..], &plan.target[..]));
            return reply(world, plan, whole.reply).await;
        }
        Take::One => {
            if let Some(piece) = request.receive().await? {
                body.extend_from_slice(piece);
            }
            crate::check::assert_prefix(&body, &plan.body);
            request
        }
        Take::All => {
            while let Some(piece) = request.receive_mut().await? {
                body.extend_from_slice(piece);
                piece.fill(b'!');
            }
            assert_eq!(body, plan.body);
            request
        }
        Take::Hesitant => {
            loop {
                let piece = cancel_at_random(world, async {
                    Ok::<_, Error>(request.receive().await?.map(<[u8]>::to_vec))
                });
                match piece.await {
                    None => {}
                    Some(piece) => match piece? {
                        Some(piece) => body.extend_from_slice(&piece),
                        None => break,
                    },
                }
            }
            assert_eq!(body, plan.body);
            request
        }
    };
    assert_eq!(request.head().target(), plan.target, "the head stays");
    if plan.give == Give::Echo {
        let mut exchange = request.stream("text/plain").await?;
        while let Some((piece, mut answer)) = exchange.receive().await? {
            answer.send(piece).await?;
        }
        return exchange.end().await;
    }
    if let Give::Hesitant(len) = plan.give {
        loop {
            match cancel_at_random(world, request.lend().reply().text(&text(len))).await {
                Some(sent) => return sent,
                None => assert!(request.is_owed(), "a dropped send has said something"),
            }
        }
    }
    reply(world, plan, request.reply()).await
}

async fn reply(world: &World, plan: &Plan, reply: http1::Reply<'_>) -> Result<Sent> {
    let reply = reply.field("x-number", plan.target.len());
    match plan.give {
        Give::Text(len) | Give::Hesitant(len) => reply.text(&text(len)).await,
        Give::Formatted(len) => reply.format(format_args!("{}", text(len))).await,
        Give::Empty(status) => reply.status(status).empty().await,
        Give::Closing => reply.close().text("bye").await,
        Give::Sized(len) => {
            let mut stream = reply.stream_sized("text/plain", len as u64).await?;
            pieces(world, &mut stream, len).await?;
            stream.end().await
        }
        Give::Streamed(len) => {
            let mut stream = reply.stream("text/plain").await?;
            pieces(world, &mut stream, len).await?;
            stream.end_with(("x-sum", 7)).await
        }
        Give::HesitantStream(len) => {
            let mut stream = reply.stream("text/plain").await?;
            for piece in text(len).as_bytes().chunks(40) {
                while cancel_at_random(world, stream.send(piece)).await.transpose()?.is_none() {}
                _ = cancel_at_random(world, stream.flush()).await.transpose()?;
            }
            stream.end().await
        }
        Give::Fails(0) => Err(Code::BufferFull.into()),
        Give::Fails(status) => Err(status::error(status)),
        Give::FailsBehind => {
            let _ = reply.text("yes").await?;
            Err(status::error(400))
        }
        Give::FailsWithin => {
            let mut stream = reply.stream("text/plain").await?;
            stream.send(b"half").await?;
            Err(status::error(400))
        }
        Give::TooMuch => {
            let mut stream = reply.stream_sized("text/plain", 8).await?;
            stream.send(b"12345").await?;
            stream.send(b"67890").await?;
            stream.end().await
        }
        Give::TooLittle => {
            let mut stream = reply.stream_sized("text/plain", 8).await?;
            stream.send(b"12345").await?;
            stream.end().await
        }
        Give::Echo => unreachable!("it answers while it reads"),
    }
}

async fn pieces(world: &World, stream: &mut Stream<'_>, len: usize) -> Result<()> {
    let most = if world.chance(20) { 2000 } else { 100 };
    for piece in text(len).as_bytes().chunks(world.length(most)) {
        stream.send(piece).await?;
        match world.below(4) {
            0 => stream.flush().await?,
            1 => stream.during(world.sleep(world.up_to(millis(3)))).await,
            2 => stream.send(b"").await?,
            _ => {}
        }
    }
    Ok(())
}

/// Serves the plans, and closes as hosts do. The requests that the handler saw.
async fn serve<P: Platform>(world: &World, session: &mut Session<P, Http1>, plans: &[Plan]) -> usize {
    let seen = Cell::new(0);
    let app = async |request: Request<'_>| {
        let plan = plans.get(seen.replace(seen.get() + 1)).expect("more requests than were sent");
        handle(world, plan, request).await
    };
    _ = http1::serve(session, &app).await;
    _ = session.close().await;
    seen.get()
}

/// Sends the plans' requests and checks every answer. How many there were.
async fn ask(world: &World, client: &mut Client, plans: &[Plan], at_once: bool) -> usize {
    // Whoever has said all may say so, and is answered all the same.
    let finishes = at_once && world.chance(30);
    if at_once {
        let all: Vec<u8> = plans.iter().flat_map(|plan| plan.request.clone()).collect();
        client.talk(&all, |_| true).await;
    }
    if finishes && !client.is_over() {
        client.finish().await;
    }
    for (number, plan) in plans.iter().enumerate() {
        if !at_once && plan.wants_permission() && world.chance(70) {
            client
                .talk(&plan.request[..plan.head], |came| came.windows(4).any(|four| four == b"\r\n\r\n"))
                .await;
            if client.came.starts_with(b"HTTP/1.1 100 ") {
                client.talk(&plan.request[plan.head..], |_| true).await;
            }
        } else if !at_once {
            client.talk(&plan.request, |_| true).await;
        }
        match client.answer(plan.method).await {
            Some(answer) => plan.check(&answer),
            None => assert!(plan.cuts(), "no answer to {plan:?}"),
        }
        if plan.expected().closes {
            client.talk(b"", |_| false).await;
            assert!(
                client.came.is_empty(),
                "{:?} behind the last\n{plan:?}",
                String::from_utf8_lossy(&client.came)
            );
            assert!(!client.broken || plan.cuts() || at_once, "it was reset behind {plan:?}");
            return number + 1;
        }
    }
    let ends = world.timeout(secs(1), client.talk(b"", |_| false)).await.is_some();
    assert_eq!(ends, finishes, "it ends and did not say so, or does not end");
    assert!(client.came.is_empty() && !client.broken);
    plans.len()
}

/// Queues of a board's size.
pub(super) fn http_answers_every_request_once_on_arrays(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let plans: Vec<_> = (0..1 + random.below(6)).map(|i| Plan::draw(&mut random, i as usize, 200)).collect();
    let (a, b) = link(&world, faults(&world));
    let queues = ([0; 512], [0; 512]);
    let mut server: Session<OnArrays<512>, _> =
        Session::open(a, Http1::new(), queues, world.clock(), Options::DEFAULT);
    answers_every_request_once(&world, &mut server, plans, b);
}

/// Queues that grow.
pub(super) fn http_answers_every_request_once_on_blocks(seed: u64) {
    let world = World::new(seed);
    let mut random = world.fork();
    let plans: Vec<_> = (0..1 + random.below(8)).map(|i| Plan::draw(&mut random, i as usize, 1000)).collect();
    let (a, b) = link(&world, faults(&world));
    let (rx, tx) = (Blocks::new(&[(64, 1), (300, 1), (2048, 1)]), Blocks::new(&[(600, 1), (2048, 1)]));
    let queues = (rx.storage(), tx.storage());
    let mut server: Session<OnBlocks, _> =
        Session::open(a, Http1::new(), queues, world.clock(), Options::DEFAULT);
    answers_every_request_once(&world, &mut server, plans, b);
    rx.assert_idle("at the end");
    tx.assert_idle("at the end");
}

fn faults(world: &World) -> Faults {
    match world.chance(70) {
        true => Faults::rough(),
        false => Faults::none().capacity(world.length(2000)),
    }
}

fn answers_every_request_once<P: Platform>(
    world: &World,
    server: &mut Session<P, Http1>,
    mut plans: Vec<Plan>,
    pipe: Pipe,
) {
    let at_once = world.chance(50);
    // A reset destroys the answers before, too.
    plans.retain(|plan| !(at_once && plan.cuts()));
    let plans = &plans[..];
    let (seen, answered) = (Cell::new(0), Cell::new(0));
    let mut lab = world.tasks();
    lab.spawn("server", async { seen.set(serve(world, server, plans).await) });
    lab.spawn("client", async {
        let mut client = Client::new(pipe);
        answered.set(ask(world, &mut client, plans, at_once).await);
    });
    lab.run(secs(29)).assert_done();
    assert_eq!(seen.get(), answered.get(), "requests seen, and answered");
}
