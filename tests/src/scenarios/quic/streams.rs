//! What streams, datagrams and connections tell each other.

use super::*;

/// One end of a connection whose two ends are acted alike.
async fn accept(endpoint: &Endpoint<Socket>) -> Connection {
    endpoint.accept().await.expect("a driver")
}

/// Two ends that say what the scenario has them say.
fn duet(
    seed: u64,
    path: Path,
    settings: Settings,
    within: Duration,
    server: impl AsyncFnOnce(&World, Endpoint<Socket>, Connection),
    client: impl AsyncFnOnce(&World, Endpoint<Socket>, Connection),
) {
    let world = World::new(seed);
    let net = Net::new(&world, path);
    let tls = tls();
    let quic = QuicServer::builder(tls.0.clone()).settings(settings).build().expect("a server");
    let (listens, ours) = Endpoint::on(net.socket(SERVER), Some(quic), world.clock(), seeded(&world));
    let quic = QuicClient::builder(trusting(&tls.1)).settings(settings).build().expect("a client");
    let (connects, theirs) = Endpoint::on(net.socket(CLIENT), None, world.clock(), seeded(&world));
    let took = Cell::new(Duration::ZERO);
    let mut lab = world.tasks();
    for (name, driver) in ["the server's driver", "the client's driver"].into_iter().zip([ours, theirs]) {
        lab.spawn(name, async { driver.run().await.expect("a socket that works") });
    }
    lab.spawn("the server", async {
        let connection = accept(&listens).await;
        server(&world, listens, connection).await;
        took.set(took.get().max(world.elapsed()));
    });
    lab.spawn("the client", async {
        let connection = connects.connect(&quic, SERVER).await.expect("a connection");
        client(&world, connects, connection).await;
        took.set(took.get().max(world.elapsed()));
    });
    lab.run(within + IDLE).assert_done();
    assert!(took.get() <= within, "seed {seed}: it took {:?}", took.get());
}

/// A reset tells the reader, a stop the writer, and a close everybody.
pub(in super::super) fn codes_arrive(seed: u64) {
    let world = World::new(seed);
    let settings = settings(&world);
    let server = async |_: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut reset = connection.accept().await.expect("a stream");
        assert_eq!(reset.read(&mut [0]).await, Ok(1));
        reset.reset(300);
        let mut stopped = connection.accept().await.expect("a stream");
        assert_eq!(stopped.read(&mut [0]).await, Ok(1));
        stopped.stop(301);
        let mut dropped = connection.accept().await.expect("a stream");
        assert_eq!(dropped.read(&mut [0]).await, Ok(1));
        drop(dropped);
        // The client says when it has heard all of it.
        let mut last = connection.accept_one_way().await.expect("a stream");
        assert_eq!(last.read(&mut [0]).await, Ok(1));
        connection.close(70_000, b"enough");
        assert_eq!(connection.lost().expect("it is closed").reason(), Reason::Closed);
    };
    let client = async |_: &World, _: Endpoint<Socket>, connection: Connection| {
        let failed = |code: Code, wire| Error::new(code).on_wire(wire);
        let mut stream = connection.open().await.expect("a stream");
        stream.write_all(b"1").await.expect("room");
        assert_eq!(stream.read(&mut [0]).await, Err(failed(Code::ReceiveFailed, 300)), "seed {seed}");
        let mut stream = connection.open().await.expect("a stream");
        stream.write_all(b"2").await.expect("room");
        let error = loop {
            if let Err(error) = stream.write_all(&[2; 10_000]).await {
                break error;
            }
        };
        assert_eq!(error, failed(Code::SendFailed, 301), "seed {seed}");
        let mut stream = connection.open().await.expect("a stream");
        stream.write_all(b"3").await.expect("room");
        // What was never finished is no end.
        assert_eq!(stream.read(&mut [0]).await, Err(failed(Code::ReceiveFailed, 0)), "seed {seed}");
        let mut last = connection.open_one_way().await.expect("a stream");
        last.write_all(b"4").await.expect("room");
        let error = connection.accept().await.expect_err("it is closed");
        let lost = connection.lost().expect("it is closed");
        assert_eq!(error, failed(Code::ConnectionClosed, u16::MAX), "seed {seed}");
        assert_eq!(
            (lost.reason(), lost.text()),
            (Reason::ClosedByPeer(70_000), &b"enough"[..]),
            "seed {seed}"
        );
    };
    // A last word that is lost is not said again to who is silent.
    duet(seed, lossless(&world), settings, secs(5), server, client);
}

/// It stops at the window, and the others go on.
pub(in super::super) fn a_stream_that_is_not_read_stops_only_its_writer(seed: u64) {
    const WINDOW: usize = 20_000;
    let settings = Settings {
        idle: IDLE,
        stream_window: WINDOW as u32,
        receive_window: 3 * WINDOW as u32,
        send_window: 4 * WINDOW as u32,
        ..Settings::DEFAULT
    };
    let written = Cell::new(0);
    let server = async |world: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut stalled = connection.accept().await.expect("a stream");
        answer(connection.accept().await.expect("a stream")).await.expect("another goes on");
        answer(connection.accept().await.expect("a stream")).await.expect("another goes on");
        let (mut got, mut some) = (Vec::new(), [0; 5_000]);
        loop {
            // Nothing is under way then that could carry news of room by chance.
            world.sleep(millis(200)).await;
            match stalled.read(&mut some).await.expect("its bytes") {
                0 => break,
                n => got.extend(&some[..n]),
            }
        }
        assert_bytes(&got, &[7; 5 * WINDOW]);
        connection.close(0, b"");
    };
    let client = async |world: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut stalled = connection.open().await.expect("a stream");
        let writing = async {
            while written.get() < 5 * WINDOW {
                let most = 1_000.min(5 * WINDOW - written.get());
                let n = poll_fn(|cx| stalled.poll_write(cx, &[7; 1_000][..most])).await.expect("room");
                written.set(written.get() + n);
            }
            stalled.finish();
        };
        let others = async {
            while written.get() < WINDOW {
                world.sleep(millis(10)).await;
            }
            for _ in 0..2 {
                assert_eq!(written.get(), WINDOW, "seed {seed}");
                exchange(&connection, seed, 30_000, 30_000).await.expect("an answer");
            }
        };
        futures_util::future::join(writing, others).await;
        connection.ended().await;
    };
    // The last word may be lost.
    duet(seed, Path::rough(), settings, secs(10) + IDLE, server, client);
}

/// A writer that waits for room learns that its bytes are not wanted any more.
pub(in super::super) fn who_is_stopped_while_it_waits_is_told(seed: u64) {
    let world = World::new(seed);
    let settings = settings(&world);
    let server = async |world: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut stream = connection.accept_one_way().await.expect("a stream");
        assert_eq!(stream.read(&mut [0]).await, Ok(1));
        world.sleep(secs(1)).await;
        stream.stop(5);
        connection.ended().await;
    };
    let client = async |_: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut stream = connection.open_one_way().await.expect("a stream");
        let error = stream.write_all(&[0; 1_000_000]).await.expect_err("it is stopped");
        assert_eq!(error, Error::new(Code::SendFailed).on_wire(5), "seed {seed}");
    };
    duet(seed, Path { loss: 0, ..Path::rough() }, settings, secs(5), server, client);
}

/// Datagrams that an application sends, and is sent back at once.
pub(in super::super) fn datagrams_are_whole_or_lost(seed: u64) {
    const SENT: usize = 50;
    let world = World::new(seed);
    let settings = settings(&world);
    let server = async |_: &World, _: Endpoint<Socket>, connection: Connection| {
        while let Ok(datagram) = connection.receive_datagram().await {
            // It may have become too long meanwhile, or the connection be over.
            let _ = connection.send_datagram(datagram);
        }
    };
    let client = async |world: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut answered = 0;
        for number in 0..SENT as u64 {
            let most = connection.datagram_max().expect("the server takes them") as u64;
            let sent = [&number.to_le_bytes()[..], &bytes(number, world.below(most - 8))].concat();
            connection.send_datagram(sent).expect("it fits");
            // Longer than there and back, and than a socket is full.
            let answer = world.timeout(millis(50), connection.receive_datagram()).await;
            if let Some(answer) = answer {
                // Perhaps that to an earlier one.
                let answer = answer.expect("a datagram");
                let (number, rest) = answer.split_at(8);
                let number = u64::from_le_bytes(number.try_into().expect("eight"));
                assert_bytes(rest, &bytes(number, rest.len() as u64));
                answered += 1;
            }
        }
        assert!(answered > SENT / 3, "seed {seed}: {answered} were answered");
    };
    let path = Path { loss: 10, ..Path::rough() };
    duet(seed, path, settings, secs(10) + IDLE, server, client);
}

/// Of two streams that are both queued whole, the one of the higher priority is delivered first, though it was opened last.
pub(in super::super) fn what_is_more_urgent_arrives_first(seed: u64) {
    const SIZE: usize = 100_000;
    let settings = Settings {
        idle: IDLE,
        stream_window: SIZE as u32,
        receive_window: 2 * SIZE as u32,
        send_window: 2 * SIZE as u32,
        ..Settings::DEFAULT
    };
    let server = async |_: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut ordinary = connection.accept_one_way().await.expect("a stream");
        let mut urgent = connection.accept_one_way().await.expect("a stream");
        let came = Cell::new(0);
        let waiting = async {
            let mut some = [0; 3_000];
            loop {
                match ordinary.read(&mut some).await.expect("its bytes") {
                    0 => break,
                    n => came.set(came.get() + n),
                }
            }
        };
        let first = async {
            assert_bytes(&urgent.read_to_end(SIZE).await.expect("its bytes"), &[1; SIZE]);
            came.get()
        };
        let (meanwhile, ()) = futures_util::future::join(first, waiting).await;
        assert!(meanwhile < SIZE / 2, "seed {seed}: {meanwhile} bytes came before");
        assert_eq!(came.get(), SIZE, "seed {seed}");
        connection.close(0, b"");
    };
    let client = async |_: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut ordinary = connection.open_one_way().await.expect("a stream");
        let mut urgent = connection.open_one_way().await.expect("a stream");
        urgent.set_priority(1);
        // There is room for both, so nothing leaves in between.
        for (stream, byte) in [(&mut ordinary, 0), (&mut urgent, 1)] {
            stream.write_all(&[byte; SIZE]).await.expect("room");
            stream.finish();
        }
        connection.ended().await;
    };
    duet(seed, lossless(&World::new(seed)), settings, secs(10), server, client);
}

/// A sender stops at what may be unread of all streams together, and again where that becomes more or less.
pub(in super::super) fn a_window_that_is_changed_holds(seed: u64) {
    const FIRST: usize = 10_000;
    const MORE: usize = 30_000;
    const LESS: usize = 5_000;
    let settings =
        Settings { idle: IDLE, stream_window: 100_000, receive_window: FIRST as u32, ..Settings::DEFAULT };
    let written = Cell::new(0);
    let server = async |world: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut stream = connection.accept_one_way().await.expect("a stream");
        let stops_at = async |bytes| {
            world.sleep(secs(2)).await;
            assert_eq!(written.get(), bytes, "seed {seed}");
        };
        stops_at(FIRST).await;
        connection.set_receive_window(MORE as u32);
        stops_at(MORE).await;
        // What was promised is not taken back: it counts first.
        connection.set_receive_window(LESS as u32);
        stops_at(MORE).await;
        let (mut got, mut some) = (0, [0; LESS]);
        while got < MORE {
            got += stream.read(&mut some).await.expect("its bytes");
        }
        stops_at(MORE + LESS).await;
        connection.close(0, b"");
    };
    let client = async |_: &World, _: Endpoint<Socket>, connection: Connection| {
        let mut stream = connection.open_one_way().await.expect("a stream");
        while let Ok(n) = poll_fn(|cx| stream.poll_write(cx, &[7; 1_000])).await {
            written.set(written.get() + n);
        }
        connection.ended().await;
    };
    duet(seed, lossless(&World::new(seed)), settings, secs(15), server, client);
}

/// Who comes later is told, and nobody else learns of it.
pub(in super::super) fn who_takes_nobody_in_any_more_goes_on_with_those_it_has(seed: u64) {
    let world = World::new(seed);
    let server = async |_: &World, endpoint: Endpoint<Socket>, connection: Connection| {
        endpoint.refuse();
        let mut word = connection.open_one_way().await.expect("a stream");
        word.finish();
        for _ in 0..2 {
            answer(connection.accept().await.expect("a stream")).await.expect("it goes on");
        }
        connection.ended().await;
    };
    let client = async |_: &World, endpoint: Endpoint<Socket>, connection: Connection| {
        let mut word = connection.accept_one_way().await.expect("a stream");
        assert_eq!(word.read(&mut [0]).await, Ok(0), "seed {seed}");
        let quic = QuicClient::new(trusting(&tls().1)).expect("a client");
        for _ in 0..2 {
            let refused = endpoint.connect(&quic, SERVER).await.map(drop);
            assert_eq!(refused.map_err(|error| error.code()), Err(Code::ConnectionRefused), "seed {seed}");
            exchange(&connection, seed, 20_000, 20_000).await.expect("an answer");
        }
    };
    duet(seed, lossless(&world), settings(&world), secs(5), server, client);
}
