//! Bytes on streams.

use super::*;

/// Several files at once through a narrow place: 10 Mbit/s, and 25 packets that wait.
pub(in super::super) fn transfer(seed: u64) {
    let path = Path { rate: Some((1_250_000, 25 * 1_500)), latency: millis(15), ..Path::clean() };
    Plan::on(path).stage(World::new(seed)).play(secs(10), 1, async |client| {
        let connection = client.connect().await;
        let mut files = FuturesUnordered::new();
        for _ in 0..3 {
            files.push(client.exchange(&connection, client.world.below(50_000), client.world.below(100_000)));
        }
        while files.next().await.is_some() {}
    });
}

/// More streams than may be at a time: small files, or sessions.
pub(in super::super) fn multiplexing(seed: u64) {
    let world = World::new(seed);
    let serves = if world.chance(50) { Serves::Files } else { Serves::Echo };
    let plan = Plan { serves, ..Plan::on(Path::rough()) };
    plan.stage(world).play(secs(20), 1, async |client| {
        let connection = client.connect().await;
        let mut streams = FuturesUnordered::new();
        for n in 0..60 {
            let (client, connection) = (&client, &connection);
            streams.push(async move {
                match serves {
                    Serves::Files => client.exchange(connection, n, client.world.below(1_000)).await,
                    Serves::Echo => client.converse(connection, client.world.below(5)).await.expect("echoes"),
                }
            });
        }
        while streams.next().await.is_some() {}
    });
}

/// Both ends change their keys in the middle, again and again.
pub(in super::super) fn keyupdate(seed: u64) {
    Plan::on(Path::rough()).stage(World::new(seed)).play(secs(10), 1, async |client| {
        let connection = client.connect().await;
        for _ in 0..5 {
            let (up, down) = (client.world.below(20_000), client.world.below(20_000));
            let updating = async {
                client.world.sleep(client.world.up_to(millis(100))).await;
                connection.update_keys();
            };
            futures_util::future::join(client.exchange(&connection, up, down), updating).await;
        }
    });
}

/// Files, or messages in sessions, through up to 30 % loss.
pub(in super::super) fn transferloss(seed: u64) {
    hard_transfer(seed, |world| Path { loss: 5 + world.below(26) as u32, ..Path::rough() });
}

/// The same where up to 30 % of the datagrams are not what was sent.
pub(in super::super) fn transfercorruption(seed: u64) {
    hard_transfer(seed, |world| Path { changes: 5 + world.below(26) as u32, ..Path::rough() });
}

fn hard_transfer(seed: u64, path: fn(&World) -> Path) {
    let world = World::new(seed);
    let (path, serves) = (path(&world), if seed.is_multiple_of(2) { Serves::Files } else { Serves::Echo });
    let stage = Plan { serves, ..Plan::on(path) }.stage(world);
    let served = stage.play(secs(3_000), 1, async |client| {
        let (up, down) = (client.world.below(50_000), client.world.below(50_000));
        let transfer = async |connection: &Connection| match serves {
            Serves::Files => exchange(connection, seed, up, down).await,
            Serves::Echo => {
                let sessions = (0..3).map(|_| client.converse(connection, 10));
                futures_util::future::try_join_all(sessions).await.map(|_| ())
            }
        };
        client.insist(transfer).await;
    });
    assert_eq!(served.len(), 1);
}
