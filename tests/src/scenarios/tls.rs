//! TLS, both ends ours: handshake, data and goodbye over links that cut, wait, end and change bytes.
//!
//! Keys are drawn by TLS itself and not from the seed; but nothing's length depends on them, so a seed is replayed all the
//! same.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use netloom::tls::{HandshakeError, Identity, Tls, TlsClient, TlsServer};
use netloom_core::{
    CloseReason, Code, Duration, Error, Options, Parts, Platform, Result, Session, Transport,
};
use netloom_protocols::Framing;

use super::echo::{converse, echo, faults};
use super::{is_broken, secs};
use crate::check::assert_prefix;
use crate::{Block, Blocks, Faults, Messages, Pipe, VirtualClock, World, link};

/// Bytes for records: the longest, and something beside it.
const RECORDS: usize = 20 * 1024;

type Secure<T = Pipe> = Session<Parts<Tls<T, Block>, Block, VirtualClock>, Framing>;

/// The server, which is the same for all seeds, and its certificate.
fn server() -> &'static (TlsServer, Vec<u8>) {
    static SERVER: OnceLock<(TlsServer, Vec<u8>)> = OnceLock::new();
    SERVER.get_or_init(|| {
        // Signatures of other kinds have lengths that vary.
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let mut params = rcgen::CertificateParams::new(["laboratory".to_owned()]).expect("a name");
        params.serial_number = Some(1.into());
        let certificate = params.self_signed(&key).expect("a certificate");
        let identity = Identity::new(certificate.der(), key.serialize_der()).expect("they belong together");
        let tls = TlsServer::new(identity).expect("a server");
        (tls, certificate.der().to_vec())
    })
}

fn client() -> TlsClient {
    TlsClient::builder().authorities(&server().1).build().expect("a client")
}

fn session<T: Transport>(world: &World, tls: Tls<T, Block>, blocks: &Blocks) -> Secure<T> {
    let queues = (blocks.storage(), blocks.storage());
    Session::open(tls, Framing::new(), queues, world.clock(), Options::DEFAULT)
}

async fn accept<T: Transport>(world: &World, io: T, blocks: &Blocks) -> Result<Secure<T>, HandshakeError> {
    let storage = (blocks.storage(), blocks.storage());
    Ok(session(world, server().0.accept_untimed(io, storage).await?, blocks))
}

async fn connect<T: Transport>(
    world: &World,
    io: T,
    client: &TlsClient,
    blocks: &Blocks,
) -> Result<Secure<T>, HandshakeError> {
    let storage = (blocks.storage(), blocks.storage());
    Ok(session(world, client.connect(io, "laboratory", storage).await?, blocks))
}

fn with_room(faults: Faults) -> Faults {
    Faults { capacity: faults.capacity.max(100), ..faults }
}

pub(super) fn tls_echo_is_exact_however_it_is_cut(seed: u64) {
    let trace = exact(seed);
    if seed.is_multiple_of(100) {
        assert_eq!(trace, exact(seed), "a seed is not replayed");
    }
}

/// A connection, and another that goes on from it.
fn exact(seed: u64) -> u64 {
    let world = World::new(seed);
    let faults = match world.below(8) {
        0 => Faults::none().capacity(1),
        // Thousands of bytes would take long, a few at a time.
        _ => with_room(faults(&world)),
    };
    let (servers, clients): (Vec<_>, Vec<_>) = (0..2).map(|_| link(&world, faults)).unzip();
    let blocks = Blocks::plenty(RECORDS);
    let (count, window, tls) = (world.length(20) as u64, world.length(5) as u64, client());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        for pipe in servers {
            let mut session = accept(&world, pipe, &blocks).await.expect("a handshake");
            echo(&mut session).await.expect("server");
            assert_eq!(session.reason(), Some(CloseReason::Peer));
        }
    });
    lab.spawn("client", async {
        for (pipe, resumes) in clients.into_iter().zip([false, true]) {
            let mut session = connect(&world, pipe, &tls, &blocks).await.expect("a handshake");
            converse(&mut session, (seed, 200), count, window).await.expect("client");
            assert_eq!(session.transport().is_resumed(), resumes);
            // The server has said nothing for long, and both hold nothing.
            let silence = world.timeout(secs(3), session.receive()).await;
            assert!(silence.is_none());
            blocks.assert_idle("while nothing is said");
            session.close().await.expect("close");
            assert_eq!(session.reason(), Some(CloseReason::Local));
        }
    });
    let report = lab.run(secs(25));
    report.assert_done();
    blocks.assert_idle("at the end");
    report.trace
}

/// Some always wait for a block; each gets one in the end.
pub(super) fn tls_sessions_share_few_blocks(seed: u64) {
    let world = World::new(seed);
    let sessions = 2 + world.below(4) as usize;
    // Each may keep the beginning of a record, or messages on their way into one.
    let (reading, writing) =
        (Blocks::new(&[(RECORDS, sessions + 1)]), Blocks::new(&[(RECORDS, sessions + 1)]));
    let (plenty, tls) = (Blocks::plenty(RECORDS), client());
    let (servers, clients): (Vec<_>, Vec<_>) =
        (0..sessions).map(|_| link(&world, with_room(faults(&world)))).unzip();
    let mut lab = world.tasks();
    for (n, (server_end, client_end)) in servers.into_iter().zip(clients).enumerate() {
        let (world, reading, writing, plenty, tls) = (&world, &reading, &writing, &plenty, &tls);
        let (count, window) = (world.below(20), world.length(5) as u64);
        lab.spawn(format!("server {n}"), async move {
            let storage = || (reading.storage(), writing.storage());
            let secured = server().0.accept_untimed(server_end, storage()).await.expect("a handshake");
            let mut session: Secure =
                Session::open(secured, Framing::new(), storage(), world.clock(), Options::DEFAULT);
            echo(&mut session).await.expect("server");
        });
        lab.spawn(format!("client {n}"), async move {
            let mut session = connect(world, client_end, tls, plenty).await.expect("a handshake");
            converse(&mut session, (seed + n as u64, 200), count, window).await.expect("client");
            session.close().await.expect("close");
        });
    }
    // Less than the write-stall time-out: a lost wake-up cannot hide.
    lab.run(secs(25)).assert_done();
    reading.assert_idle("at the end");
    writing.assert_idle("at the end");
}

/// Messages that are said at most: more than a link carries that fails.
const MANY: usize = 300;

/// Says messages and gathers what comes back.
async fn talk<P: Platform>(
    session: &mut Session<P, Framing>,
    seed: u64,
    heard: &RefCell<Vec<u8>>,
) -> Result<()> {
    let mut messages = Messages::new(seed, 40);
    for _ in 0..MANY {
        session.send(messages.make()).await?;
        match session.receive().await? {
            Some((event, _)) => heard.borrow_mut().extend_from_slice(event),
            None => panic!("an end in order"),
        }
    }
    Ok(())
}

#[track_caller]
fn assert_heard(seed: u64, heard: &RefCell<Vec<u8>>) {
    let mut messages = Messages::new(seed, 40);
    let sent: Vec<u8> = (0..MANY).flat_map(|_| messages.make().to_vec()).collect();
    assert_prefix(&heard.borrow(), &sent);
}

pub(super) fn tls_a_connection_that_breaks_leaves_a_prefix(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough().reset_after(world.below(9000)));
    let (blocks, tls, heard) = (Blocks::plenty(RECORDS), client(), RefCell::default());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let error = match accept(&world, a, &blocks).await {
            Ok(mut session) => echo(&mut session).await.expect_err("the link breaks"),
            Err(error) => error.error(),
        };
        assert!(is_broken(error), "{error}");
    });
    lab.spawn("client", async {
        let error = match connect(&world, b, &tls, &blocks).await {
            Ok(mut session) => talk(&mut session, seed, &heard).await.expect_err("it fails"),
            Err(error) => error.error(),
        };
        assert!(is_broken(error), "{error}");
    });
    lab.run(secs(25)).assert_done();
    assert_heard(seed, &heard);
    blocks.assert_idle("after a break");
}

/// A link's end that somebody sits at: what is read ends early, or has a bit changed.
struct Troubled {
    pipe: Pipe,
    trouble: Trouble,
}

#[derive(Clone, Copy)]
enum Trouble {
    EndsAfter(u64),
    /// So many bytes, and then one with these bits turned over.
    Changes(u64, u8),
    None,
}

impl Transport for Troubled {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        let most = match self.trouble {
            Trouble::EndsAfter(0) => return Poll::Ready(Ok(0)),
            Trouble::EndsAfter(left) => buf.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            _ => buf.len(),
        };
        let read = self.pipe.poll_read(cx, &mut buf[..most]);
        let Poll::Ready(Ok(n)) = read else { return read };
        let read = n as u64;
        self.trouble = match self.trouble {
            Trouble::EndsAfter(left) => Trouble::EndsAfter(left - read),
            Trouble::Changes(left, bits) if left < read => {
                buf[left as usize] ^= bits;
                Trouble::None
            }
            Trouble::Changes(left, bits) => Trouble::Changes(left - read, bits),
            Trouble::None => Trouble::None,
        };
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.pipe.poll_write(cx, buf)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.trouble {
            Trouble::EndsAfter(0) => Poll::Ready(Ok(())),
            _ => self.pipe.poll_readable(cx),
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.pipe.poll_finish(cx)
    }

    fn abort(&mut self, why: Error) {
        self.pipe.abort(why);
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.pipe.peer()
    }
}

pub(super) fn tls_an_end_at_any_byte_is_no_goodbye(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, faults(&world));
    let io = Troubled { pipe: a, trouble: Trouble::EndsAfter(world.below(5000)) };
    let (blocks, tls, heard) = (Blocks::plenty(RECORDS), client(), RefCell::default());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let error = match accept(&world, io, &blocks).await {
            Ok(mut session) => echo(&mut session).await.expect_err("nobody has said goodbye"),
            Err(error) => error.error(),
        };
        assert_eq!(error.code(), Code::Truncated);
    });
    lab.spawn("client", async {
        let error = match connect(&world, b, &tls, &blocks).await {
            Ok(mut session) => talk(&mut session, seed, &heard).await.expect_err("it fails"),
            Err(error) => error.error(),
        };
        assert!(is_broken(error) || error == Code::Truncated, "{error}");
    });
    lab.run(secs(120)).assert_done();
    assert_heard(seed, &heard);
    blocks.assert_idle("at the end");
}

/// A link's end that brings so many bytes, and then no more, but does not end.
struct Stalling {
    pipe: Pipe,
    left: usize,
    stalled: Rc<Cell<bool>>,
}

impl Transport for Stalling {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if self.left == 0 {
            self.stalled.set(true);
            return Poll::Pending;
        }
        let most = buf.len().min(self.left);
        let read = self.pipe.poll_read(cx, &mut buf[..most]);
        if let Poll::Ready(Ok(n)) = read {
            self.left -= n;
        }
        read
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.pipe.poll_write(cx, buf)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.left {
            0 => {
                self.stalled.set(true);
                Poll::Pending
            }
            _ => self.pipe.poll_readable(cx),
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.pipe.poll_finish(cx)
    }

    fn abort(&mut self, why: Error) {
        self.pipe.abort(why);
    }
}

pub(super) fn tls_a_record_that_stalls_is_given_up_as_a_message_is(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, with_room(faults(&world)));
    let stalled = Rc::new(Cell::new(false));
    let io = Stalling { pipe: a, left: 1 + world.below(3000) as usize, stalled: stalled.clone() };
    let (blocks, others, tls) = (Blocks::plenty(RECORDS), Blocks::plenty(RECORDS), client());
    let over = Cell::new(false);
    let mut lab = world.tasks();
    lab.spawn("server", async {
        // For its handshake there is a time-out of its own.
        if let Some(Ok(mut session)) = world.timeout(secs(10), accept(&world, io, &blocks)).await {
            match echo(&mut session).await {
                Ok(()) => assert_eq!(session.reason(), Some(CloseReason::Idle)),
                Err(error) => assert_eq!(error.code(), Code::MessageTimeout),
            }
        }
        over.set(true);
    });
    lab.spawn("client", async {
        let talking = async {
            let mut session = connect(&world, b, &tls, &others).await?;
            let mut messages = Messages::new(seed, 40);
            for _ in 0..MANY {
                session.send(messages.make()).await?;
                if session.receive().await?.is_none() {
                    break;
                }
            }
            Result::<()>::Ok(())
        };
        // As long as the server waits for what does not come, and no longer.
        let _ = world.timeout(secs(200), talking).await;
    });
    lab.spawn("watch", async {
        while !stalled.get() && !over.get() {
            world.sleep(secs(1)).await;
        }
        // The message time-out, and the closing time-out behind it.
        world.sleep(secs(66)).await;
        blocks.assert_idle("behind a record that has stalled");
    });
    lab.run(secs(600)).assert_done();
    blocks.assert_idle("at the end");
}

pub(super) fn tls_a_record_without_a_message_is_no_message_begun(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, with_room(faults(&world)));
    let (blocks, others, tls) = (Blocks::plenty(RECORDS), Blocks::plenty(RECORDS), client());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let mut session = accept(&world, a, &others).await.expect("a handshake");
        echo(&mut session).await.expect("server");
    });
    lab.spawn("client", async {
        let mut session = connect(&world, b, &tls, &blocks).await.expect("a handshake");
        for n in 0..3 {
            // The server's ticket comes meanwhile, in pieces. Longer than a message may take.
            assert!(world.timeout(secs(100), session.receive()).await.is_none());
            others.assert_idle("there, while nothing is said");
            blocks.assert_idle("here, while nothing is said");
            converse(&mut session, (seed + n, 200), 1, 1).await.expect("client");
        }
        session.close().await.expect("close");
    });
    lab.run(secs(400)).assert_done();
    blocks.assert_idle("at the end");
}

pub(super) fn tls_a_changed_byte_is_never_heard(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, faults(&world));
    let changes = Trouble::Changes(world.below(5000), 1 << world.below(8));
    let (there, here) = match world.chance(50) {
        true => (changes, Trouble::None),
        false => (Trouble::None, changes),
    };
    let (a, b) = (Troubled { pipe: a, trouble: there }, Troubled { pipe: b, trouble: here });
    let (blocks, tls, heard) = (Blocks::plenty(RECORDS), client(), RefCell::default());
    // A length that was changed lets an end wait, until its time for a message is over.
    const WAITS: Duration = secs(50);
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let serving = async {
            let mut session = accept(&world, a, &blocks).await?;
            let mut expected = Messages::new(seed, 40);
            while let Some((message, peer)) = session.receive().await? {
                expected.check(message);
                peer.send(message).await?;
            }
            Result::<()>::Ok(())
        };
        let _ = world.timeout(WAITS, serving).await;
    });
    lab.spawn("client", async {
        let talking = async {
            let mut session = connect(&world, b, &tls, &blocks).await?;
            talk(&mut session, seed, &heard).await
        };
        let _ = world.timeout(WAITS, talking).await;
    });
    lab.run(WAITS + secs(1)).assert_done();
    assert_heard(seed, &heard);
    blocks.assert_idle("at the end");
}
