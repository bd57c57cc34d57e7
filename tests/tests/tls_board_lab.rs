//! A board's client of TLS and the desktop's server, as sessions, over links that cut, wait and break.
#![cfg(feature = "tls")]

use std::cell::RefCell;
use std::sync::OnceLock;

use netloom::tls::{Identity, TlsServer};
use netloom_core::{CloseReason, Code, Duration, Options, Parts, Result, Session};
use netloom_embedded::tls::{self, Authorities, Time, Tls, TlsConfig, TlsMemory};
use netloom_lab::{Block, Blocks, Faults, Pipe, VirtualClock, World, link};
use netloom_protocols::Framing;
use rand_core::OsRng;

/// 2026-11-23.
const NOW: u64 = 1_795_392_000;

const RECORDS: usize = 20 * 1024;
const LIMIT: Duration = Duration::from_secs(60);

type Memory = TlsMemory<{ tls::record(16_384) }>;
type Server = Session<Parts<netloom::tls::Tls<Pipe, Block>, Block, VirtualClock>, Framing>;
type Client<'d> = Session<Parts<Tls<'d, Pipe>, Block, VirtualClock>, Framing>;

fn server() -> &'static (TlsServer, Vec<u8>) {
    static SERVER: OnceLock<(TlsServer, Vec<u8>)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate =
            rcgen::CertificateParams::new(["laboratory".to_owned()]).unwrap().self_signed(&key).unwrap();
        let identity = Identity::new(certificate.der(), key.serialize_der()).unwrap();
        (TlsServer::new(identity).unwrap(), certificate.der().to_vec())
    })
}

/// Sends back what it gets, to one client.
async fn serve(world: &World, pipe: Pipe, blocks: &Blocks) -> Result<()> {
    let storage = (blocks.storage(), blocks.storage());
    let tls = server().0.accept_untimed(pipe, storage).await.map_err(|error| error.error())?;
    let queues = (blocks.storage(), blocks.storage());
    let mut session = Server::open(tls, Framing::new(), queues, world.clock(), Options::DEFAULT);
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    session.close().await
}

async fn connect<'d>(
    world: &World,
    pipe: Pipe,
    blocks: &Blocks,
    memory: &'d mut Memory,
) -> Result<Client<'d>> {
    let roots = [&server().1[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new("laboratory", &trust, Time::Known(NOW));
    let tls = Tls::connect(pipe, &config, &mut OsRng, memory).await?;
    let queues = (blocks.storage(), blocks.storage());
    Ok(Session::open(tls, Framing::new(), queues, world.clock(), Options::DEFAULT))
}

/// Has `count` messages echoed, a few at a time.
async fn converse(session: &mut Client<'_>, count: usize, heard: &RefCell<usize>) -> Result<()> {
    let message = |number: usize| vec![number as u8; number * 37 % 2500];
    for first in (0..count).step_by(3) {
        let batch = first..count.min(first + 3);
        for number in batch.clone() {
            session.send(&message(number)).await?;
        }
        for number in batch {
            match session.receive().await? {
                Some((echoed, _)) => assert_eq!(echoed, message(number), "message {number}"),
                None => return Err(Code::ReceiveFailed.into()),
            }
            *heard.borrow_mut() += 1;
        }
    }
    session.close().await
}

/// Both ends' results over a link with these faults, and how many messages were echoed.
fn meet(seed: u64, faults: impl FnOnce(&World) -> Faults) -> (Result<()>, Result<()>, usize) {
    let world = World::new(seed);
    let (a, b) = link(&world, faults(&world));
    let (blocks, heard) = (Blocks::plenty(RECORDS), RefCell::new(0));
    let (mut served, mut visited) = (None, None);
    let mut memory = Memory::new();
    let mut lab = world.tasks();
    lab.spawn("server", async { served = Some(serve(&world, a, &blocks).await) });
    lab.spawn("client", async {
        visited = Some(match connect(&world, b, &blocks, &mut memory).await {
            Ok(mut session) => {
                let result = converse(&mut session, 20, &heard).await;
                assert!(result.is_err() || session.reason() == Some(CloseReason::Local));
                result
            }
            Err(error) => Err(error),
        });
    });
    lab.run(LIMIT).assert_done();
    (served.unwrap(), visited.unwrap(), heard.into_inner())
}

#[test]
fn messages_come_back_exactly_however_the_link_cuts_and_waits() {
    for seed in 0..100 {
        let result = meet(seed, |world| Faults::rough().capacity(100 + world.length(2000)));
        assert_eq!(result, (Ok(()), Ok(()), 20), "seed {seed}");
    }
}

#[test]
fn a_link_that_breaks_is_an_error_and_what_was_heard_before_was_right() {
    let mut broken = 0;
    for seed in 0..200 {
        let (_, visited, heard) = meet(seed, |world| Faults::rough().reset_after(world.below(20_000)));
        broken += usize::from(visited.is_err());
        assert!(heard == 20 || visited.is_err(), "seed {seed}");
    }
    assert!(broken > 50, "{broken}");
}
