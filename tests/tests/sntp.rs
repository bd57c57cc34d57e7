//! A board asks for the time, on simulated Ethernet: of a server that knows it, of liars, of nobody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use netloom_core::{Code, Duration, Result};
use netloom_embedded::sntp;
use netloom_lab::{FrameFaults, Hub, World};

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), sntp::PORT);

/// 2026-11-23, in seconds since 1900.
const NOW: u32 = 4_004_380_800;

/// Answers a packet to each question, from its port or from another.
type Answers = fn(&[u8; 48]) -> Vec<(bool, Vec<u8>)>;

fn honest(question: &[u8; 48]) -> Vec<u8> {
    let mut packet = vec![0; 48];
    (packet[0], packet[1]) = (0x24, 2);
    packet[24..32].copy_from_slice(&question[40..]);
    packet[40..44].copy_from_slice(&NOW.to_be_bytes());
    packet
}

/// What a board hears that asks a server with such answers; the clock of the world stands a minute past its beginning.
fn ask(answers: Answers) -> Result<u64> {
    let world = World::new(1);
    let hub = Hub::new(&world, FrameFaults::none());
    let mut resources = [StackResources::<4>::new(), StackResources::<4>::new()];
    let mut lab = world.tasks();
    let mut stacks = Vec::new();
    for (host, resources) in (1..).zip(&mut resources) {
        let address = Ipv4Cidr::new(Ipv4Addr::new(10, 0, 0, host), 24);
        let config = StaticConfigV4 { address, gateway: None, dns_servers: Default::default() };
        let (stack, mut runner) =
            embassy_net::new(hub.port(), Config::ipv4_static(config), resources, host.into());
        lab.spawn_background("network", async move { runner.run().await });
        stacks.push(stack);
    }
    let (server, client) = (stacks[0], stacks[1]);
    lab.spawn_background("server", async move { serve(server, answers).await });
    let mut heard = None;
    lab.spawn("client", async {
        embassy_time::Timer::after_secs(60).await;
        let asking = sntp::ask(client, SERVER, 0x0123_4567_89ab_cdef, Duration::from_secs(2));
        assert!(size_of_val(&asking) <= 1500, "{}", size_of_val(&asking));
        let clock = asking.await;
        embassy_time::Timer::after_secs(10).await;
        heard = Some(clock.map(|clock| clock.now()));
    });
    lab.run(Duration::from_secs(120)).assert_done();
    heard.expect("the client is done")
}

async fn serve(stack: Stack<'_>, answers: Answers) {
    let (mut rx, mut tx, mut other) = ([0; 256], [0; 256], [0; 512]);
    let (rx2, tx2) = other.split_at_mut(256);
    let mut places = [[PacketMetadata::EMPTY; 4]; 4];
    let [a, b, c, d] = &mut places;
    let mut socket = UdpSocket::new(stack, a, &mut rx, b, &mut tx);
    let mut stranger = UdpSocket::new(stack, c, rx2, d, tx2);
    socket.bind(sntp::PORT).unwrap();
    stranger.bind(1000).unwrap();
    let mut question = [0; 48];
    while let Ok((48, from)) = socket.recv_from(&mut question).await {
        for (ours, answer) in answers(&question) {
            let socket = if ours { &socket } else { &stranger };
            socket.send_to(&answer, from.endpoint).await.unwrap();
        }
    }
}

#[test]
fn the_time_is_told_and_goes_on() {
    assert_eq!(ask(|question| vec![(true, honest(question))]), Ok(1_795_392_000 + 10));
}

#[test]
fn liars_are_passed_over_until_the_answer_comes() {
    let heard = ask(|question| {
        let mut lie = honest(question);
        lie[40] ^= 0x10;
        let mut unasked = lie.clone();
        unasked[31] ^= 1;
        vec![(false, lie.clone()), (true, unasked), (true, lie[..47].to_vec()), (true, honest(question))]
    });
    assert_eq!(heard, Ok(1_795_392_000 + 10));
}

#[test]
fn no_answer_ends_in_time_and_a_kiss_of_death_at_once() {
    assert_eq!(ask(|_| vec![]).unwrap_err(), Code::ConnectionTimeout);
    let kiss = |question: &[u8; 48]| {
        let mut kiss = honest(question);
        kiss[1] = 0;
        vec![(true, kiss)]
    };
    assert_eq!(ask(kiss).unwrap_err(), Code::Rejected);
}
