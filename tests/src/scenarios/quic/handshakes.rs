//! How connections begin.

use netloom::quic::Retry;

use super::*;

/// And two in a row where one is allowed: the second comes when nothing is left of the first, and not before.
pub(in super::super) fn handshake(seed: u64) {
    let world = World::new(seed);
    let plan = Plan { server: |server| server.connections_max(1), ..Plan::on(lossless(&world)) };
    let served = plan.stage(world).play(secs(5), 2, async |client| {
        let connection = client.connect().await;
        let one_more = client.endpoint.connect(client.quic, client.to).await;
        assert_eq!(one_more.expect_err("it is one too many").code(), Code::ConnectionRefused);
        client.exchange(&connection, client.world.below(3_000), client.world.below(3_000)).await;
        connection.close(0, b"");
        // It waits for what is still under way, three times as long as for a probe (RFC 9000, 10.2).
        client.world.sleep(secs(2)).await;
        let connection = client.connect().await;
        client.exchange(&connection, 1, 1).await;
    });
    assert!(served.iter().all(|served| served.lost.reason() == Reason::ClosedByPeer(0)), "seed {seed}");
}

/// A server that wants to see addresses takes a round trip more, but not from whom it has seen.
pub(in super::super) fn retry(seed: u64) {
    let plan = Plan { server: |server| server.retry(Retry::Always), ..Plan::on(Path::clean()) };
    plan.stage(World::new(seed)).play(secs(2), 2, async |client| {
        for trips in [2, 1] {
            let began = client.world.elapsed();
            let connection = client.connect().await;
            assert_eq!(client.world.elapsed() - began, trips * millis(20), "seed {seed}");
            client.exchange(&connection, 1_000, 10_000).await;
        }
    });
}

/// A certificate that is longer than what a server may send to whom it has not heard from twice.
fn long_certificate() -> &'static (TlsServer, Vec<u8>) {
    static SERVER: OnceLock<(TlsServer, Vec<u8>)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut names = vec!["laboratory".to_owned()];
        names.extend((0..250).map(|n| format!("{n}.{}.example", "x".repeat(40))));
        certified(names)
    })
}

/// Who comes back is not shown the certificate again.
pub(in super::super) fn resumption(seed: u64) {
    // Packets that are overtaken would be sent twice, and bytes are counted here.
    let plan = Plan { tls: long_certificate(), ..Plan::on(Path::clean()) };
    let tls = plan.tls;
    plan.stage(World::new(seed)).play(secs(10), 2, async |client| {
        let mut bytes = Vec::new();
        for _ in 0..2 {
            let before = client.net.counts().bytes;
            let connection = client.connect().await;
            client.exchange(&connection, 1, 1).await;
            bytes.push(client.net.counts().bytes - before);
            // The ticket comes behind the handshake.
            client.world.sleep(secs(2)).await;
            connection.close(0, b"");
        }
        let certificate = tls.1.len() as u64;
        assert!(bytes[1] + certificate / 2 < bytes[0], "seed {seed}: {bytes:?}");
    });
}

/// A client whose answers are lost for a time: meanwhile the server sends three times what it got, and no more.
pub(in super::super) fn amplificationlimit(seed: u64) {
    let plan = Plan { tls: long_certificate(), ..Plan::on(Path::clean()) };
    let stage = plan.stage(World::new(seed));
    let (first, last) = (2, 4 + stage.world.below(6));
    let mut sent = 0;
    stage.net.lose_if(move |from, _| {
        sent += u64::from(from == CLIENT);
        from == CLIENT && (first..=last).contains(&(sent - 1))
    });
    let net = stage.net.clone();
    stage.play(secs(30), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, 1_000, 1_000).await;
    });
    let counts = net.counts();
    assert!(counts.unproven + 1_200 > 3 * counts.asked, "seed {seed}: {counts:?}");
}

/// What is said with the first packet is answered a round trip later.
pub(in super::super) fn zerortt(seed: u64) {
    let is_rough = seed % 4 == 3;
    let plan = Plan {
        server: |server| server.early_data(),
        client: |client| client.early_data(),
        ..Plan::on(if is_rough { Path::rough() } else { Path::clean() })
    };
    let plan = match seed % 4 {
        // Tokens of the first connection spare the second one's.
        2 => Plan { server: |server| server.early_data().retry(Retry::Always), ..plan },
        _ => plan,
    };
    let served = plan.stage(World::new(seed)).play(secs(20), 2, async |client| {
        for early in [false, true] {
            let began = client.world.elapsed();
            let connection =
                client.endpoint.connect_early(client.quic, client.to).await.expect("a connection");
            let mut stream = connection.open().await.expect("a stream");
            assert_eq!(stream.is_early(), early, "seed {seed}");
            let (up, down) = (client.world.below(1_000), client.world.below(1_000));
            exchange_on(&mut stream, seed, up, down).await.expect("an answer");
            if early && !is_rough {
                assert_eq!(client.world.elapsed() - began, millis(20), "seed {seed}");
            }
            assert_eq!(connection.established().await, Ok(early), "seed {seed}");
            // The ticket comes behind the handshake.
            client.world.sleep(secs(2)).await;
            connection.close(0, b"");
        }
    });
    let early: Vec<_> = served.iter().flat_map(|served| served.early.clone()).collect();
    // A packet of early data that overtakes the one that opens the connection is lost.
    assert!(early == [false, true] || is_rough, "seed {seed}: {early:?}");
}

/// A second server has the same name, and not the tickets of the first.
pub(in super::super) fn early_data_that_is_not_taken_is_never_heard(seed: u64) {
    const OTHER: SocketAddr = at(3, 443);
    let world = World::new(seed);
    let path = if world.chance(50) { Path::clean() } else { Path::rough() };
    let plan =
        Plan { server: |server| server.early_data(), client: |client| client.early_data(), ..Plan::on(path) };
    let stage = plan.stage(world.clone());
    let other = QuicServer::builder(tls().0.clone()).early_data().build().expect("a server");
    let other = Endpoint::on(stage.net.socket(OTHER), Some(other), world.clock(), seeded(&world));
    stage.play(secs(20), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, 1, 1).await;
        client.world.sleep(secs(2)).await;
        connection.close(0, b"");
        let (endpoint, driver) = other;
        let blocks = Blocks::plenty(1);
        let serving = serve(client.world, endpoint, 1, Serves::Files, &blocks);
        let asking = async {
            let connection = client.endpoint.connect_early(client.quic, OTHER).await.expect("a connection");
            let mut early = connection.open().await.expect("a stream");
            assert!(early.is_early());
            early.write_all(b"not for you").await.expect("room");
            assert_eq!(connection.established().await, Ok(false), "seed {seed}");
            assert_eq!(early.read(&mut [0]).await, Err(Code::ReceiveFailed.into()));
            assert_eq!(early.write_all(b"x").await, Err(Code::SendFailed.into()));
            // It has the number of the other, whose end does not touch it.
            let mut stream = connection.open().await.expect("a stream");
            assert_eq!(stream.id(), early.id());
            drop(early);
            exchange_on(&mut stream, seed, 1_000, 1_000).await.expect("an answer");
            connection.close(0, b"");
        };
        let (served, (), _) = futures_util::future::join3(serving, asking, driver.run()).await;
        assert_eq!(served[0].early, [false], "seed {seed}");
    });
}

/// A client that takes no other cipher.
pub(in super::super) fn chacha20(seed: u64) {
    let world = World::new(seed);
    let plan = Plan { ciphers: &[Cipher::ChaCha20Poly1305], ..Plan::on(lossless(&world)) };
    plan.stage(world).play(secs(5), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, client.world.below(20_000), client.world.below(20_000)).await;
    });
}

/// Several connections through heavy loss.
pub(in super::super) fn handshakeloss(seed: u64) {
    hard_handshakes(seed, |world| Path { loss: 10 + world.below(21) as u32, ..Path::rough() });
}

/// Several connections, and up to a third of the datagrams is not what was sent.
pub(in super::super) fn handshakecorruption(seed: u64) {
    hard_handshakes(seed, |world| Path { changes: 10 + world.below(21) as u32, ..Path::rough() });
}

fn hard_handshakes(seed: u64, path: fn(&World) -> Path) {
    const CONNECTIONS: usize = 3;
    let world = World::new(seed);
    let plan = Plan::on(path(&world));
    plan.stage(world).play(secs(3_000), CONNECTIONS, async |client| {
        for _ in 0..CONNECTIONS {
            let (up, down) = (client.world.below(2_000), client.world.below(2_000));
            let connection =
                client.insist(async |connection| exchange(connection, seed, up, down).await).await;
            connection.close(0, b"");
        }
    });
}
