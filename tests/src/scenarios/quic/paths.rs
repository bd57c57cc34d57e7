//! Ways that change, and strange ones.

use super::*;

/// Two seconds at a time in which nothing arrives.
pub(in super::super) fn blackhole(seed: u64) {
    Plan::on(Path::rough()).stage(World::new(seed)).play(secs(30), 1, async |client| {
        let connection = client.connect().await;
        // Without this the client's last word of the handshake may be lost, and quinn-proto does not repeat it while data fills the
        // window. Handshakes with losses have scenarios of their own, where who fails tries again.
        client.exchange(&connection, 1, 1).await;
        let transfer = async {
            for _ in 0..5 {
                client.exchange(&connection, client.world.below(20_000), client.world.below(20_000)).await;
            }
        };
        let (lost, mut until) = (client.net.counts().lost, client.world.now());
        let darkness = async {
            for _ in 0..client.world.length(2) {
                client.world.sleep(client.world.up_to(millis(300))).await;
                client.net.change(|path| path.is_dark = true);
                client.world.sleep(secs(2)).await;
                client.net.change(|path| path.is_dark = false);
                until = client.world.now();
            }
        };
        futures_util::future::join(transfer, darkness).await;
        assert!(client.net.counts().lost > lost && client.world.now() >= until, "seed {seed}");
    });
}

/// The client's translator gives it another port in the middle of transfers.
pub(in super::super) fn rebind_port(seed: u64) {
    rebinds(seed, |n| at(9, 1_000 + n));
}

/// The same with another address.
pub(in super::super) fn rebind_addr(seed: u64) {
    rebinds(seed, |n| at(9 + n as u8, 1_000 + n));
}

/// When the question whether an address is right is lost, quinn-proto goes back to the one before; it is not heard there by
/// who only listens.
fn with_keep_alive(client: QuicClientBuilder) -> QuicClientBuilder {
    client.settings(Settings { idle: IDLE, keep_alive: secs(1), ..Settings::DEFAULT })
}

fn rebinds(seed: u64, name: fn(u16) -> SocketAddr) {
    let plan = Plan { moves: true, client: with_keep_alive, ..Plan::on(Path::rough()) };
    let stage = plan.stage(World::new(seed));
    stage.net.translate(CLIENT, name(0));
    let served = stage.play(secs(20), 1, async |client| {
        let connection = client.connect().await;
        // Who has not shown that the handshake is done must not move (RFC 9000, 9).
        client.exchange(&connection, 1, 1).await;
        for n in 1..=3 {
            let moving = async {
                client.world.sleep(client.world.up_to(millis(150))).await;
                client.net.translate(CLIENT, name(n));
            };
            let (up, down) = (client.world.below(30_000), client.world.below(30_000));
            futures_util::future::join(client.exchange(&connection, up, down), moving).await;
        }
        settle_down(&client, &connection).await;
    });
    assert_eq!(served[0].peer, name(3), "seed {seed}");
}

/// A word from where it is now, and as much time as the server may need to see that it is there: one that hears nothing more goes back
/// to the address it knew.
async fn settle_down(client: &Client<'_>, connection: &Connection) {
    client.exchange(connection, 1, 1).await;
    client.world.sleep(secs(5)).await;
}

/// The client moves to other sockets, and says so.
pub(in super::super) fn connectionmigration(seed: u64) {
    let plan = Plan { moves: true, client: with_keep_alive, ..Plan::on(Path::rough()) };
    let served = plan.stage(World::new(seed)).play(secs(20), 1, async |client| {
        let connection = client.connect().await;
        // Who has not shown that the handshake is done must not move (RFC 9000, 9).
        client.exchange(&connection, 1, 1).await;
        for n in 1..=3 {
            let moving = async {
                client.world.sleep(client.world.up_to(millis(150))).await;
                client.endpoint.rebind_on(client.net.socket(at(2 + n, 40_000)));
            };
            let (up, down) = (client.world.below(30_000), client.world.below(30_000));
            futures_util::future::join(client.exchange(&connection, up, down), moving).await;
        }
        settle_down(&client, &connection).await;
    });
    assert_eq!(served[0].peer, at(5, 40_000), "seed {seed}");
}

/// The client only listens when it comes to other sockets.
pub(in super::super) fn downloadmigration(seed: u64) {
    let world = World::new(seed);
    let path = if world.chance(50) { Path::clean() } else { Path::rough() };
    let plan = Plan { moves: true, client: with_keep_alive, ..Plan::on(path) };
    let served = plan.stage(world).play(secs(20), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, 1, 1).await;
        for n in 1..=3 {
            let moving = async {
                client.world.sleep(client.world.up_to(millis(150))).await;
                client.endpoint.rebind_on(client.net.socket(at(2 + n, 40_000)));
            };
            futures_util::future::join(client.exchange(&connection, 1, 300_000), moving).await;
        }
        settle_down(&client, &connection).await;
    });
    assert_eq!(served[0].peer, at(5, 40_000), "seed {seed}");
}

/// Congestion is told by marks, and slows down who hears of it, though nothing is lost.
pub(in super::super) fn ecn(seed: u64) {
    let path = Path { marks: 20, ..Path::clean() };
    let slowed_down = |stats: PathStats| {
        assert!(stats.congestion_events > 0 && stats.packets_lost == 0, "seed {seed}: {stats:?}");
    };
    let served = Plan::on(path).stage(World::new(seed)).play(secs(20), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, 100_000, 100_000).await;
        slowed_down(connection.stats());
        let counts = client.net.counts();
        assert!(counts.markable == counts.sent && counts.marked > 0, "seed {seed}: {counts:?}");
    });
    slowed_down(served[0].stats);
}

/// Addresses may be IPv6's.
pub(in super::super) fn ipv6(seed: u64) {
    let address = |host, port| SocketAddr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into(), port);
    let world = World::new(seed);
    let addresses = [address(1, 443), address(2, 40_000)];
    let plan = Plan { addresses, ..Plan::on(lossless(&world)) };
    let served = plan.stage(world).play(secs(10), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, client.world.below(30_000), client.world.below(30_000)).await;
    });
    assert_eq!(served[0].peer, addresses[1]);
}

/// Three quarters of a second from one end to the other and back.
pub(in super::super) fn longrtt(seed: u64) {
    let path = Path { latency: millis(375), ..Path::clean() };
    let serves = if seed.is_multiple_of(2) { Serves::Files } else { Serves::Echo };
    let plan = Plan { serves, ..Plan::on(path) };
    plan.stage(World::new(seed)).play(secs(30), 1, async |client| {
        let connection = client.connect().await;
        assert_eq!(client.world.elapsed(), millis(750), "seed {seed}");
        match serves {
            Serves::Files => client.exchange(&connection, 30_000, 30_000).await,
            Serves::Echo => client.converse(&connection, 10).await.expect("echoes"),
        }
    });
}

/// Packets grow to what the way takes, and what it takes may become less.
pub(in super::super) fn packets_shrink_with_the_path(seed: u64) {
    // Packets that are overtaken are taken for lost, and larger ones for too large.
    let stage = Plan::on(Path::clean()).stage(World::new(seed));
    let mtu = 1_200 + stage.world.below(150) as usize;
    let served = stage.play(secs(30), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, 100_000, 100_000).await;
        assert!(connection.stats().mtu > 1_400, "seed {seed}: {:?}", connection.stats());
        client.net.change(|path| path.mtu = mtu);
        client.exchange(&connection, 100_000, 100_000).await;
        assert!(usize::from(connection.stats().mtu) <= mtu, "seed {seed}: {:?}", connection.stats());
    });
    assert!(usize::from(served[0].stats.mtu) <= mtu, "seed {seed}: {:?}", served[0].stats);
}

/// The largest packet is tried first. Where that is too large there is one more to try.
pub(in super::super) fn packets_fit_the_path(seed: u64) {
    let world = World::new(seed);
    let path = Path { mtu: 1_325 + world.below(127) as usize, ..Path::clean() };
    let served = Plan::on(path).stage(world).play(secs(30), 1, async |client| {
        let connection = client.connect().await;
        client.exchange(&connection, 100_000, 100_000).await;
        // Three probes must be lost before it is too large.
        client.world.sleep(secs(10)).await;
        client.exchange(&connection, 100_000, 100_000).await;
        assert_eq!(connection.stats().mtu, 1_325, "seed {seed}: {:?}", connection.stats());
    });
    assert_eq!(served[0].stats.mtu, 1_325, "seed {seed}: {:?}", served[0].stats);
}
