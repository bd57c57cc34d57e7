//! QUIC, both ends ours, over simulated UDP.
//!
//! Neither end keeps a connection alive, and no time-out is near: who is not woken is stuck. Keys, and the length of a
//! parameter that means nothing (RFC 9000, 18.1), are drawn by QUIC itself and not from the seed, so a seed is replayed
//! but for what depends on them.

mod handshakes;
mod paths;
mod streams;
mod transfers;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use netloom::quic::{
    Connection, Driver, Endpoint, Lost, PathStats, QuicClient, QuicClientBuilder, QuicServer,
    QuicServerBuilder, Reason, Settings, Stream,
};
use netloom::tls::{Cipher, Identity, TlsClient, TlsServer};
use netloom_core::{Code, Duration, Error, Options, Parts, Result, Session, Timeouts, Transport};
use netloom_protocols::Framing;

use super::echo::{converse, echo};
use super::{millis, secs};
use crate::udp::{Net, Path, Socket};
use crate::{Block, Blocks, Random, VirtualClock, World};

pub(super) use handshakes::{
    amplificationlimit, chacha20, early_data_that_is_not_taken_is_never_heard, handshake,
    handshakecorruption, handshakeloss, resumption, retry, zerortt,
};
pub(super) use paths::{
    blackhole, connectionmigration, downloadmigration, ecn, ipv6, longrtt, packets_fit_the_path,
    packets_shrink_with_the_path, rebind_addr, rebind_port,
};
pub(super) use streams::{
    a_stream_that_is_not_read_stops_only_its_writer, a_window_that_is_changed_holds, codes_arrive,
    datagrams_are_whole_or_lost, what_is_more_urgent_arrives_first, who_is_stopped_while_it_waits_is_told,
    who_takes_nobody_in_any_more_goes_on_with_those_it_has,
};
pub(super) use transfers::{keyupdate, multiplexing, transfer, transfercorruption, transferloss};

/// An end whose peer has gone without a word that arrived is over by then. Probes that are lost again and again are minutes
/// apart.
const IDLE: Duration = secs(600);

/// The longest handshake that may be.
const HANDSHAKE: Duration = secs(600);

/// Where the server is,
const SERVER: SocketAddr = at(1, 443);

/// and the client in the beginning.
const CLIENT: SocketAddr = at(2, 40_000);

const fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port)
}

/// Both ends, before they run.
struct Stage {
    world: World,
    net: Net,
    server: Endpoint<Socket>,
    client: Endpoint<Socket>,
    drivers: [Driver<Socket, VirtualClock>; 2],
    quic: QuicClient,
    to: SocketAddr,
    serves: Serves,
    /// The client does not stay where it is.
    moves: bool,
}

/// What a server does with streams.
#[derive(Clone, Copy, PartialEq)]
enum Serves {
    /// Answers what [`exchange`] asks.
    Files,
    /// Echoes messages in sessions.
    Echo,
}

/// What is different from scenario to scenario.
struct Plan<'a> {
    path: Path,
    tls: &'a (TlsServer, Vec<u8>),
    addresses: [SocketAddr; 2],
    server: fn(QuicServerBuilder) -> QuicServerBuilder,
    client: fn(QuicClientBuilder) -> QuicClientBuilder,
    ciphers: &'a [Cipher],
    serves: Serves,
    moves: bool,
}

/// The client's part of a scenario.
struct Client<'a> {
    world: &'a World,
    net: &'a Net,
    endpoint: Endpoint<Socket>,
    quic: &'a QuicClient,
    blocks: &'a Blocks,
    to: SocketAddr,
}

/// What a server has to tell of a connection that is over.
struct Served {
    /// Of each stream, whether it was begun with early data.
    early: Vec<bool>,
    peer: SocketAddr,
    lost: Lost,
    stats: PathStats,
}

impl Plan<'_> {
    fn on(path: Path) -> Self {
        Self {
            path,
            tls: tls(),
            addresses: [SERVER, CLIENT],
            server: |server| server,
            client: |client| client,
            ciphers: &[],
            serves: Serves::Files,
            moves: false,
        }
    }

    fn stage(self, world: World) -> Stage {
        let net = Net::new(&world, self.path);
        let [to, home] = self.addresses;
        let server = QuicServer::builder(self.tls.0.clone()).settings(settings(&world));
        let server = (self.server)(server).build().expect("a server");
        let client = QuicClient::builder(trusting_with(&self.tls.1, self.ciphers)).settings(settings(&world));
        let quic = (self.client)(client.handshake_timeout(HANDSHAKE)).build().expect("a client");
        let (server, ours) = Endpoint::on(net.socket(to), Some(server), world.clock(), seeded(&world));
        let (client, theirs) = Endpoint::on(net.socket(home), None, world.clock(), seeded(&world));
        Stage {
            world,
            net,
            server,
            client,
            drivers: [ours, theirs],
            quic,
            to,
            serves: self.serves,
            moves: self.moves,
        }
    }
}

/// What servers show, the same for all seeds. Signatures of other kinds have lengths that vary.
fn tls() -> &'static (TlsServer, Vec<u8>) {
    static SERVER: OnceLock<(TlsServer, Vec<u8>)> = OnceLock::new();
    SERVER.get_or_init(|| certified(vec!["laboratory".to_owned()]))
}

fn certified(names: Vec<String>) -> (TlsServer, Vec<u8>) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let mut params = rcgen::CertificateParams::new(names).expect("names");
    params.serial_number = Some(1.into());
    let certificate = params.self_signed(&key).expect("a certificate");
    let identity = Identity::new(certificate.der(), key.serialize_der()).expect("they belong together");
    let server = TlsServer::builder(identity).handshake_timeout(HANDSHAKE).build().expect("a server");
    (server, certificate.der().to_vec())
}

fn trusting(authority: &[u8]) -> TlsClient {
    trusting_with(authority, &[])
}

fn trusting_with(authority: &[u8], ciphers: &[Cipher]) -> TlsClient {
    let builder = TlsClient::builder().authorities(authority).server_name("laboratory");
    builder.ciphers(ciphers.iter().copied()).build().expect("a client")
}

fn seeded(world: &World) -> Option<[u8; 32]> {
    let mut random = world.fork();
    Some(std::array::from_fn(|_| random.next() as u8))
}

/// Small windows, so that transfers fill them.
fn settings(world: &World) -> Settings {
    Settings {
        idle: IDLE,
        stream_window: 10_000 + world.below(60_000) as u32,
        receive_window: 20_000 + world.below(100_000) as u32,
        send_window: 10_000 + world.below(100_000) as u32,
        streams_max: 20,
        ..Settings::DEFAULT
    }
}

/// Everything arrives, in order or not.
fn lossless(world: &World) -> Path {
    match world.chance(50) {
        true => Path::clean(),
        false => Path { loss: 0, ..Path::rough() },
    }
}

impl Stage {
    /// Serves so many connections while the client acts, who must be through in time. Everything ends then. Tells what the
    /// server has seen.
    fn play(self, within: Duration, connections: usize, act: impl AsyncFnOnce(Client<'_>)) -> Vec<Served> {
        let Self { world, net, server, client, drivers, quic, to, serves, moves } = self;
        let (took, served, blocks) = (Cell::new(None), RefCell::new(Vec::new()), Blocks::plenty(2_048));
        let mut lab = world.tasks();
        for (name, driver) in ["the server's driver", "the client's driver"].into_iter().zip(drivers) {
            lab.spawn(name, async { driver.run().await.expect("a socket that works") });
        }
        lab.spawn("the server", async {
            *served.borrow_mut() = serve(&world, server, connections, serves, &blocks).await;
        });
        lab.spawn("the client", async {
            let client =
                Client { world: &world, net: &net, endpoint: client, quic: &quic, blocks: &blocks, to };
            act(client).await;
            took.set(Some(world.elapsed()));
        });
        // Who has not heard the last word, or has heard a first word again, waits for its time-outs.
        lab.run(within + HANDSHAKE + IDLE).assert_done();
        let took = took.get().expect("the client is through");
        assert!(took <= within, "seed {}: it took {took:?}", world.seed());
        blocks.assert_idle("at the end");
        // quinn-proto counts from zero with each move, and sends probes for larger packets without counting.
        assert!(moves || net.counts().beyond == 0, "seed {}: {:?}", world.seed(), net.counts());
        served.into_inner()
    }
}

impl Client<'_> {
    async fn connect(&self) -> Connection {
        self.endpoint.connect(self.quic, self.to).await.expect("a connection")
    }

    /// Sends so many bytes and takes so many.
    async fn exchange(&self, connection: &Connection, up: u64, down: u64) {
        exchange(connection, self.world.below(u64::MAX), up, down).await.expect("an answer");
    }

    /// Connects until something comes of it. Some packets are not authenticated: with a bit turned over the first version is
    /// version negotiation (RFC 9000, 17.2.1), and quinn-proto ends a handshake by what looks like a Retry from a client. And a
    /// server gives up whose handshake is not done in time, though the client's may be. Neither is done, once in some thousand
    /// times, where the server's probes for its second flight have filled the congestion window before its first has arrived.
    async fn insist(&self, act: impl AsyncFn(&Connection) -> Result<()>) -> Connection {
        const PROTOCOL_VIOLATION: u16 = 0xa;
        const APPLICATION_ERROR: u16 = 0xc;
        let mut is_late = false;
        loop {
            let tried = async {
                let connection = self.endpoint.connect(self.quic, self.to).await?;
                act(&connection).await.map(|()| connection)
            };
            match tried.await {
                Ok(connection) => return connection,
                Err(error) if error.code() == Code::Unsupported => {}
                Err(error) if error.code() == Code::ConnectionTimeout && !is_late => is_late = true,
                Err(error) => {
                    assert!(matches!(error.wire(), PROTOCOL_VIOLATION | APPLICATION_ERROR), "{error}");
                }
            }
        }
    }

    /// A session on a stream of its own, in which so many messages are echoed.
    async fn converse(&self, connection: &Connection, messages: u64) -> Result<()> {
        let mut session = session(self.world, connection.open().await?, self.blocks);
        let seed = self.world.below(u64::MAX);
        converse(&mut session, (seed, 2_000), messages, self.world.length(5) as u64).await?;
        session.close().await
    }
}

async fn serve(
    world: &World,
    endpoint: Endpoint<Socket>,
    connections: usize,
    serves: Serves,
    blocks: &Blocks,
) -> Vec<Served> {
    let (mut under_way, mut served, mut accepted) = (FuturesUnordered::new(), Vec::new(), 0);
    poll_fn(|cx| {
        while accepted < connections
            && let Poll::Ready(connection) = pin!(endpoint.accept()).poll(cx)
        {
            accepted += 1;
            under_way.push(serve_one(world, connection.expect("a driver"), serves, blocks));
        }
        loop {
            match under_way.poll_next_unpin(cx) {
                Poll::Ready(Some(one)) => served.push(one),
                Poll::Ready(None) if accepted == connections => return Poll::Ready(()),
                _ => return Poll::Pending,
            }
        }
    })
    .await;
    served
}

async fn serve_one(world: &World, connection: Connection, serves: Serves, blocks: &Blocks) -> Served {
    let (mut streams, mut early) = (FuturesUnordered::new(), Vec::new());
    poll_fn(|cx| {
        let is_over = loop {
            match pin!(connection.accept()).poll(cx) {
                Poll::Pending => break false,
                Poll::Ready(Err(_)) => break true,
                Poll::Ready(Ok(stream)) => {
                    early.push(stream.is_early());
                    streams.push(async move {
                        match serves {
                            Serves::Files => answer(stream).await,
                            Serves::Echo => echo(&mut session(world, stream, blocks)).await,
                        }
                    });
                }
            }
        };
        while let Poll::Ready(Some(served)) = streams.poll_next_unpin(cx) {
            // The client ends the connection when it has all, perhaps before a session has seen that it has.
            let error = served.err().map(|error: Error| error.code());
            let is_fine = matches!(error, None | Some(Code::ConnectionClosed | Code::ConnectionTimeout));
            assert!(is_fine, "seed {}: {error:?}", world.seed());
        }
        if is_over && streams.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let lost = connection.lost().expect("it is over");
    // The last word of a client that is gone may be lost.
    let is_fine = matches!(lost.reason(), Reason::ClosedByPeer(0) | Reason::Timeout | Reason::Reset);
    assert!(is_fine, "seed {}: {lost}", world.seed());
    Served { early, peer: connection.peer(), lost, stats: connection.stats() }
}

type Framed = Session<Parts<Stream, Block, VirtualClock>, Framing>;

/// A session that does nothing by itself for long.
fn session(world: &World, stream: Stream, blocks: &Blocks) -> Framed {
    let timeouts = Timeouts {
        idle: HANDSHAKE,
        keep_alive: Duration::MAX,
        message: HANDSHAKE,
        write_stall: HANDSHAKE,
        closing: HANDSHAKE,
    };
    let options = Options { timeouts, ..Options::DEFAULT };
    Session::open(stream, Framing::new(), (blocks.storage(), blocks.storage()), world.clock(), options)
}

/// Bytes that a seed determines.
fn bytes(seed: u64, len: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(len as usize);
    bytes
}

#[track_caller]
fn assert_bytes(got: &[u8], expected: &[u8]) {
    if got != expected {
        let at = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
        panic!("{} bytes came of {}, wrong from {at} on", got.len(), expected.len());
    }
}

/// Sends so many bytes and takes so many, on a stream of its own.
async fn exchange(connection: &Connection, seed: u64, up: u64, down: u64) -> Result<()> {
    exchange_on(&mut connection.open().await?, seed, up, down).await
}

async fn exchange_on(stream: &mut Stream, seed: u64, up: u64, down: u64) -> Result<()> {
    let mut request: Vec<u8> = [seed, up, down].into_iter().flat_map(u64::to_le_bytes).collect();
    request.extend(bytes(seed, up));
    stream.write_all(&request).await?;
    stream.finish();
    assert_bytes(&stream.read_to_end(usize::MAX).await?, &bytes(!seed, down));
    Ok(())
}

/// The other side of [`exchange`].
async fn answer(mut stream: Stream) -> Result<()> {
    let request = stream.read_to_end(usize::MAX).await?;
    let (head, body) = request.split_at(24);
    let mut numbers = head.chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight")));
    let [seed, up, down] = std::array::from_fn(|_| numbers.next().expect("three"));
    assert_bytes(body, &bytes(seed, up));
    stream.write_all(&bytes(!seed, down)).await?;
    stream.finish();
    Ok(())
}
