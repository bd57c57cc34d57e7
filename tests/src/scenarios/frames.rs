//! embassy-net stacks on simulated Ethernet.

use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use netloom_core::Duration;

use super::secs;
use crate::{FrameFaults, Hub, Random, Report, World};

/// Without it, 2 transfers in 100 stop for ever at 10 % loss, with no timer running at either end (smoltcp
/// 0.13).
const KEEP_ALIVE: embassy_time::Duration = embassy_time::Duration::from_secs(2);

/// Two stacks with static addresses, and how much one sends to the other, through `faults`.
///
/// # Panics
/// If a byte is wrong or missing.
pub fn tcp_transfer(seed: u64, bytes: usize, faults: FrameFaults, limit: Duration) -> Report {
    let world = World::new(seed);
    let hub = Hub::new(&world, faults);
    let mut resources = [StackResources::<4>::new(), StackResources::<4>::new()];
    let mut lab = world.tasks();
    let mut stacks = Vec::new();
    for (host, resources) in (1..).zip(&mut resources) {
        let address = Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, host), 24);
        let config =
            Config::ipv4_static(StaticConfigV4 { address, gateway: None, dns_servers: Default::default() });
        let random = world.below(u64::MAX);
        let (stack, mut runner) = embassy_net::new(hub.port(), config, resources, random);
        lab.spawn_background(format!("network {host}"), async move { runner.run().await });
        stacks.push(stack);
    }
    let (server, client) = (stacks[0], stacks[1]);
    lab.spawn("server", async move { receive(server, seed, bytes).await });
    lab.spawn("client", async move { send(client, seed, bytes).await });
    lab.run(limit)
}

fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..bytes).map(|_| random.next() as u8).collect()
}

async fn receive(stack: Stack<'_>, seed: u64, bytes: usize) {
    let (mut rx, mut tx) = ([0; 2048], [0; 2048]);
    let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
    socket.set_keep_alive(Some(KEEP_ALIVE));
    socket.accept(7000).await.expect("accept");
    let mut received = Vec::new();
    let mut buf = [0; 1000];
    loop {
        match socket.read(&mut buf).await.expect("read") {
            0 => break,
            n => received.extend_from_slice(&buf[..n]),
        }
    }
    assert!(received == content(seed, bytes), "{} of {bytes} bytes, not the same", received.len());
    socket.close();
    socket.flush().await.expect("flush");
}

async fn send(stack: Stack<'_>, seed: u64, bytes: usize) {
    let (mut rx, mut tx) = ([0; 2048], [0; 2048]);
    let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
    socket.set_keep_alive(Some(KEEP_ALIVE));
    socket.connect((Ipv4Address::new(10, 0, 0, 1), 7000)).await.expect("connect");
    let content = content(seed, bytes);
    let mut rest = &content[..];
    while !rest.is_empty() {
        rest = &rest[socket.write(rest).await.expect("write")..];
    }
    socket.close();
    let mut buf = [0; 10];
    assert_eq!(socket.read(&mut buf).await, Ok(0));
}

pub(super) fn tcp_is_exact_through_loss(seed: u64) {
    tcp_transfer(seed, 4000, FrameFaults::rough(), secs(600)).assert_done();
}
