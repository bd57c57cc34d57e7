//! The demo's room: what one says reaches all in one order, whoever comes late, goes, dies or does not listen.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::Poll;

use netloom::hub::Locked;
use netloom_core::hub::{Hub, Room, Seat, Shared};
use netloom_core::{Code, Duration, Error, Options, Result, Session, Storage, Timeouts, Transport};
use netloom_demo::chat::{HISTORY, chat, framed};
use netloom_protocols::Framing;
use netloom_protocols::http1::{self, Http1, Request};
use netloom_protocols::websocket::{mask, publish};

use netloom_lab::reference::answer;
use netloom_lab::{Blocks, Faults, OnBlocks, Pipe, World, link, open};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

type Board = RefCell<Room<Vec<u8>, [Seat; 16]>>;

fn room(bytes: usize) -> Hub<Board> {
    Hub::new(RefCell::new(Room::new(vec![0; bytes], [const { Seat::EMPTY }; 16])))
}

/// One connection of the room's server, until it ends; how much it has sent.
async fn serve<L: Shared>(world: &World, pipe: Pipe, hub: &Hub<L>, blocks: &Blocks) -> Result<u64> {
    let timeouts = Timeouts { write_stall: secs(3), ..Timeouts::DEFAULT };
    let options = Options { timeouts, ..Options::DEFAULT };
    let mut session: Session<OnBlocks, Http1> =
        Session::open(pipe, Http1::new(), (blocks.storage(), blocks.storage()), world.clock(), options);
    let served = http1::serve(&mut session, &async |request: Request<'_>| chat(hub, request).await).await;
    let closed = session.close().await;
    served.and(closed).map(|_| session.stats().sent.messages)
}

const HANDSHAKE: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A member that shares nothing with the library but the mask.
struct Member {
    pipe: Pipe,
    came: Vec<u8>,
    is_over: bool,
    heard: Vec<String>,
    closed_with: Option<u16>,
}

impl Member {
    async fn join(pipe: Pipe) -> Self {
        let mut member =
            Self { pipe, came: Vec::new(), is_over: false, heard: Vec::new(), closed_with: None };
        member.talk(HANDSHAKE, |came| answer(came, "GET", false).is_some()).await;
        let answer = answer(&member.came, "GET", false).expect("an answer");
        member.came.drain(..answer.size);
        assert_eq!(
            (answer.status, answer.field("sec-websocket-accept")),
            (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        );
        member
    }

    /// Sends all of `bytes` while it reads, and reads on until `enough`, or until the connection is over.
    async fn talk(&mut self, mut bytes: &[u8], mut enough: impl FnMut(&[u8]) -> bool) {
        let mut buf = [0; 256];
        poll_fn(|cx| {
            while !bytes.is_empty() && !self.is_over {
                match self.pipe.poll_write(cx, bytes) {
                    Poll::Ready(Ok(n)) => bytes = &bytes[n..],
                    Poll::Ready(Err(_)) => self.is_over = true,
                    Poll::Pending => break,
                }
            }
            while !self.is_over {
                match self.pipe.poll_read(cx, &mut buf) {
                    Poll::Ready(Ok(n @ 1..)) => self.came.extend_from_slice(&buf[..n]),
                    Poll::Ready(_) => self.is_over = true,
                    Poll::Pending => break,
                }
            }
            match self.is_over || bytes.is_empty() && enough(&self.came) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    async fn say(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes()).await;
    }

    async fn frame(&mut self, first: u8, payload: &[u8]) {
        let (key, mut masked) = ([1, 2, 3, 4], payload.to_vec());
        mask(&mut masked, key);
        let len = u8::try_from(payload.len()).expect("a short one");
        let frame = [&[first, 0x80 | len][..], &key, &masked].concat();
        self.talk(&frame, |_| true).await;
    }

    /// Listens until `last` was said, or the connection is over.
    async fn hear(&mut self, last: &str) {
        while !self.heard.iter().any(|heard| heard == last) && self.closed_with.is_none() {
            let known = self.came.len();
            self.talk(b"", |came| came.len() > known).await;
            self.parse();
            if self.is_over {
                return;
            }
        }
    }

    fn parse(&mut self) {
        loop {
            let (size, first, payload) = match self.came[..] {
                [first, len @ ..126, ref rest @ ..] if rest.len() >= len.into() => {
                    (2 + usize::from(len), first, rest[..usize::from(len)].to_vec())
                }
                [first, 126, a, b, ref rest @ ..] if rest.len() >= u16::from_be_bytes([a, b]).into() => {
                    let len = usize::from(u16::from_be_bytes([a, b]));
                    (4 + len, first, rest[..len].to_vec())
                }
                _ => return,
            };
            self.came.drain(..size);
            match first {
                0x81 => self.heard.push(String::from_utf8(payload).expect("text")),
                0x88 => self.closed_with = Some(u16::from_be_bytes([payload[0], payload[1]])),
                0x89 => {}
                other => panic!("a frame that begins with {other:x}"),
            }
        }
    }

    /// Says goodbye, and is answered.
    async fn leave(mut self) {
        self.frame(0x88, &1000_u16.to_be_bytes()).await;
        self.talk(b"", |_| false).await;
        self.parse();
        assert_eq!(self.closed_with, Some(1000));
    }
}

/// What `heard` is of all that was said: from where on.
#[track_caller]
fn place(heard: &[String], all: &[String]) -> usize {
    let Some(first) = heard.first() else { return all.len() };
    let from = all.iter().position(|said| said == first).expect("it was said");
    assert_eq!(heard, &all[from..from + heard.len()], "not in the order in which it was said");
    from
}

const END: &str = "the end";

/// Talkers and listeners over rough links; some come late, some die.
fn one_order<L: Shared>(seed: u64, room: fn(usize) -> Hub<L>) {
    let world = World::new(seed);
    let blocks = Blocks::new(&[(256, 64), (4096, 64)]);
    let hub = room(32 * 1024);
    let mut all = hub.join(0).expect("a seat");
    let (talkers, each) = (1 + world.below(4), 1 + world.below(12));
    let others = world.below(5);
    let heard: RefCell<Vec<(usize, usize, Vec<String>)>> = RefCell::default();
    let order = RefCell::new(Vec::new());
    let mut lab = world.tasks();
    for talker in 0..talkers + others {
        let (a, b) = link(&world, Faults::rough());
        let (hub, blocks, world, heard, order) = (&hub, &blocks, &world, &heard, &order);
        let dies = talker >= talkers && world.chance(40);
        let late = world.up_to(millis(400));
        lab.spawn(format!("server {talker}"), async move {
            let served = serve(world, a, hub, blocks).await;
            assert!(dies || served.is_ok(), "{served:?}");
        });
        lab.spawn(format!("member {talker}"), async move {
            if talker >= talkers {
                world.sleep(late).await;
            }
            let before = order.borrow().len();
            let mut member = Member::join(b).await;
            let behind = order.borrow().len();
            if dies {
                world.sleep(world.up_to(millis(300))).await;
                return member.talk(&HANDSHAKE[..world.length(6)], |_| true).await;
            }
            if talker < talkers {
                for i in 0..each {
                    member.say(&format!("{talker} says {i}{}", ".".repeat(world.length(100)))).await;
                    world.sleep(world.up_to(millis(60))).await;
                }
            }
            member.hear(END).await;
            heard.borrow_mut().push((before, behind, std::mem::take(&mut member.heard)));
            member.leave().await;
        });
    }
    lab.spawn("all", async {
        let mut published = 0;
        while published <= talkers * each {
            if published == talkers * each {
                publish(&hub, END).expect("it fits");
            }
            all.ready().await.expect("nothing is lost");
            all.read(|frame| {
                published += 1;
                let start = if frame[1] < 126 { 2 } else { 4 };
                order.borrow_mut().push(String::from_utf8(frame[start..].to_vec()).expect("text"));
            })
            .expect("nothing is lost");
        }
    });
    lab.run(secs(60)).assert_done();
    let order = order.into_inner();
    assert_eq!(order.last().map(String::as_str), Some(END));
    for (before, behind, heard) in heard.into_inner() {
        let from = place(&heard, &order);
        assert_eq!(heard.last().map(String::as_str), Some(END), "it was told of all");
        assert!(from + HISTORY as usize >= before, "it was told of too much");
        assert!(from <= behind, "it was told of too little");
    }
    blocks.assert_idle("at the end");
}

/// Who does not listen is overtaken, closed with 1013 and holds up nobody.
fn deaf<L: Shared>(seed: u64, room: fn(usize) -> Hub<L>) {
    let world = World::new(seed);
    let blocks = Blocks::new(&[(256, 32), (4096, 32)]);
    let hub = room(600);
    let (messages, listeners) = (200 + world.below(100), 1 + world.below(4));
    let wakes_up = world.chance(50);
    let over = Cell::new(false);
    let mut lab = world.tasks();
    for listener in 0..=listeners {
        let (a, b) = link(&world, Faults { capacity: 4096, ..Faults::none() });
        let (hub, blocks, world, over) = (&hub, &blocks, &world, &over);
        let deaf = listener == 0;
        lab.spawn(format!("server {listener}"), async move {
            let served = serve(world, a, hub, blocks).await;
            match deaf {
                true => {
                    let error: Error = served.expect_err("it did not listen");
                    assert_eq!(error.code(), Code::WriteStalled);
                    assert!(wakes_up || over.get() || world.elapsed() < secs(20));
                }
                false => _ = served.expect("in order"),
            }
        });
        lab.spawn(format!("member {listener}"), async move {
            let mut member = Member::join(b).await;
            if deaf {
                // Not for so long that writing to it is given up: it is overtaken before.
                world.sleep(if wakes_up { millis(1500) } else { secs(30) }).await;
                member.hear(END).await;
                assert!(!wakes_up || member.closed_with == Some(1013) || member.is_over);
                assert!(!member.heard.iter().any(|heard| heard == END));
                return;
            }
            member.hear(END).await;
            assert_eq!(member.heard.len() as u64, messages + 1, "it was told of all");
            member.leave().await;
        });
    }
    lab.spawn("speaker", async {
        world.sleep(millis(100)).await;
        for i in 0..messages {
            publish(&hub, &*format!("{i:0>100}")).expect("it fits");
            world.sleep(millis(2)).await;
        }
        publish(&hub, END).expect("it fits");
        over.set(true);
    });
    lab.run(secs(60)).assert_done();
    blocks.assert_idle("at the end");
}

/// Much is said at once, more than a queue takes, and than a link.
fn bursts<L: Shared>(seed: u64, room: fn(usize) -> Hub<L>) {
    let world = World::new(seed);
    let blocks = Blocks::new(&[(2048, 16), (16 * 1024, 16), (64 * 1024, 16)][..world.length(3)]);
    let (hub, other) = (room(512 * 1024), room(1024));
    let (bursts, members) = (1 + world.below(3), 1 + world.below(3));
    let said = RefCell::new(Vec::new());
    let mut lab = world.tasks();
    for member in 0..members {
        let (a, b) = link(&world, Faults::rough());
        let (hub, blocks, world, said) = (&hub, &blocks, &world, &said);
        lab.spawn(format!("server {member}"), async move {
            let sent = serve(world, a, hub, blocks).await.expect("in order");
            // With the answer to the handshake; Close is the codec's goodbye.
            assert_eq!(sent, 1 + said.borrow().len() as u64);
        });
        lab.spawn(format!("member {member}"), async move {
            let mut member = Member::join(b).await;
            member.hear(END).await;
            assert_eq!(member.heard, *said.borrow());
            member.leave().await;
        });
    }
    lab.spawn("speaker", async {
        // All have come by then.
        world.sleep(secs(20)).await;
        let mut stranger = other.join(0).expect("a seat");
        for burst in 0..=bursts {
            for i in 0..if burst < bursts { world.below(30) } else { 1 } {
                let text = match burst < bursts {
                    true => format!("{burst} {i}{}", ".".repeat(world.length(1500))),
                    false => END.to_owned(),
                };
                publish(&hub, &*text).expect("it fits");
                said.borrow_mut().push(text);
            }
            // Who is told of another room is told of that alone.
            publish(&other, "elsewhere").expect("it fits");
            let mut heard = Vec::new();
            let told = stranger.poll_batches(1000, |batch| {
                heard.extend_from_slice(batch.bytes);
                Poll::Ready(Ok::<_, Error>(()))
            });
            assert_eq!((told, &heard[2..]), (Poll::Ready(Ok(Ok(()))), &b"elsewhere"[..]));
            world.sleep(world.up_to(millis(20))).await;
        }
    });
    lab.run(secs(120)).assert_done();
    blocks.assert_idle("at the end");
}

/// Who says much at once is not told faster than the others, who all keep up.
fn flood<L: Shared>(seed: u64, room: fn(usize) -> Hub<L>) {
    const FLOOD: usize = 1500;
    let world = World::new(seed);
    // As `netloom serve` has them.
    let (blocks, hub) = (Blocks::plenty(68 * 1024 - 16), room(64 * 1024));
    let listeners = 1 + world.below(4);
    let mut lab = world.tasks();
    for listener in 0..=listeners {
        let (a, b) = link(&world, Faults { capacity: 1 << 20, ..Faults::none() });
        let (hub, blocks, world) = (&hub, &blocks, &world);
        lab.spawn(format!("server {listener}"), async move {
            serve(world, a, hub, blocks).await.expect("in order");
        });
        lab.spawn(format!("member {listener}"), async move {
            let mut member = Member::join(b).await;
            if listener == 0 {
                world.sleep(secs(1)).await;
                let (key, mut said) = ([1, 2, 3, 4], [b'.'; 100]);
                mask(&mut said, key);
                let flood = [&[0x81, 0x80 | 100][..], &key, &said].concat().repeat(FLOOD);
                member.talk(&flood, |_| true).await;
                member.say(END).await;
            }
            member.hear(END).await;
            assert_eq!((member.heard.len(), member.closed_with), (FLOOD + 1, None));
            member.leave().await;
        });
    }
    lab.run(secs(20)).assert_done();
}

/// Who is to be told while all blocks are lent waits for one, and lets the others go on meanwhile.
fn exhausted<L: Shared>(seed: u64, room: fn(usize) -> Hub<L>) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let (blocks, hub) = (Blocks::new(&[(256, 1)]), room(4096));
    let (messages, freed) = (1 + world.below(9), world.up_to(secs(5)));
    let texts: Vec<_> = (0..messages).map(|i| format!("{i}{}", ".".repeat(world.length(200)))).collect();
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let queues = (Blocks::plenty(256).storage(), blocks.storage());
        let mut session: Session<OnBlocks, _> =
            Session::open(a, Framing::new(), queues, world.clock(), Options::DEFAULT);
        framed(&hub, &mut session).await.expect("in order");
        session.close().await.expect("close");
    });
    lab.spawn("member", async {
        let mut member = open::<512, _>(&world, b, Framing::new());
        for text in &texts {
            assert_eq!(member.receive().await.expect("receive").expect("it was said").0, text.as_bytes());
        }
        member.close().await.expect("close");
    });
    lab.spawn("others", async {
        let mut other = blocks.storage();
        assert!(other.hold(1));
        world.sleep(millis(100)).await;
        texts.iter().for_each(|text| publish(&hub, &**text).expect("it fits"));
        world.sleep(freed).await;
        other.release();
    });
    lab.run(secs(20)).assert_done();
    blocks.assert_idle("at the end");
}

type Scenario<L> = fn(u64, fn(usize) -> Hub<L>);

/// In both kinds of room: a board's and a desktop's.
fn in_both_rooms(seeds: u64, board: Scenario<Board>, desktop: Scenario<Locked>) {
    for seed in 0..seeds {
        board(seed, room);
        desktop(seed, netloom::hub::of);
    }
}

#[test]
fn what_one_says_reaches_all_in_one_order() {
    in_both_rooms(1000, one_order, one_order);
}

#[test]
fn who_does_not_listen_is_closed_and_holds_up_nobody() {
    in_both_rooms(1000, deaf, deaf);
}

#[test]
fn who_says_much_at_once_drives_nobody_out() {
    in_both_rooms(5, flood, flood);
}

#[test]
fn who_is_told_by_frames_waits_for_a_block_as_all_do() {
    in_both_rooms(200, exhausted, exhausted);
}

#[test]
fn what_is_said_at_once_reaches_all_whole() {
    in_both_rooms(200, bursts, bursts);
}
