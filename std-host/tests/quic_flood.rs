//! What nobody has proved that they sent it: garbage, what is cut, forged or replayed, and floods of beginnings. It is met with
//! silence or with little, costs no state, and others are served all the same.

#[path = "common/quic_attacker/mod.rs"]
mod attacker;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use attacker::victim::{Counted, Trust, Victim};
use attacker::{Attacker, Draft, INITIAL_MIN, frame, honest, parameters, unknown_version, within};
use netloom::protocols::quic::{
    Extent, Frame, Header, Packet, PacketType, Side, TransportError, TransportParameters, Version,
    stateless_reset,
};
use netloom::quic::{Endpoint, Retry};
use netloom::{Connector, Framing};

fn attackers_at(victim: &Counted, from: Ipv4Addr) -> Attacker {
    let config = Arc::new(victim.trust.attackers());
    Attacker::with(victim.address, config, IpAddr::V4(from), b"attacker", |id| parameters(&honest(id)))
}

fn attacker_of(victim: &Counted) -> Attacker {
    attackers_at(victim, Ipv4Addr::LOCALHOST)
}

/// All of these are met with silence.
async fn bears(datagrams: impl IntoIterator<Item = Vec<u8>>) {
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    for datagram in datagrams {
        attacker.send_bytes(&datagram).await;
        attacker.hears_nothing().await;
    }
    victim.serves().await;
    assert_eq!(victim.server.stats().refused, 0);
}

/// The first packet of a client, of any victim: nothing in it is the server's.
fn first() -> Vec<u8> {
    Attacker::new(([127, 0, 0, 1], 9).into(), Trust::new().attackers()).first()
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|_| rand::random()).collect()
}

#[tokio::test]
async fn garbage_is_met_with_silence() {
    // What looks like a packet of a connection that was forgotten is answered, if an answer can be shorter (RFC 9000, 10.3.3).
    bears((0..=21).map(noise)).await;
    bears((22..1472).step_by(50).map(|len| [&b"\xc0\0\0\0\x01"[..], &noise(len - 5)].concat())).await;
}

#[tokio::test]
async fn garbage_is_met_with_less_than_came() {
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    for len in (22..1472).step_by(50) {
        let mut garbage = noise(len);
        garbage[0] &= 0x7f;
        attacker.send_bytes(&garbage).await;
        assert!(attacker.hears().await < len);
    }
    victim.serves().await;
}

#[tokio::test]
async fn long_headers_that_lie_are_met_with_silence() {
    let padded = |bytes: &[u8]| {
        let mut datagram = bytes.to_vec();
        datagram.resize(INITIAL_MIN, 0);
        datagram
    };
    bears([
        // Connection IDs that are too long, or longer than the datagram.
        padded(b"\xc0\0\0\0\x01\x15"),
        b"\xc0\0\0\0\x01\xff".to_vec(),
        padded(b"\xc0\0\0\0\x01\x08unknown!\xff"),
        // A token, and a packet, that are longer than it.
        padded(b"\xc0\0\0\0\x01\x08unknown!\x08attacker\x7f\xff"),
        padded(b"\xc0\0\0\0\x01\x08unknown!\x08attacker\0\x7f\xff"),
        padded(b"\xc0\0\0\0\x01\x08unknown!\x08attacker\0\0"),
        // Of connections that there are not: 0-RTT, Handshake; and what only servers send: Retry, Version Negotiation.
        padded(b"\xd0\0\0\0\x01\x08unknown!\x08attacker\x44\0"),
        padded(b"\xe0\0\0\0\x01\x08unknown!\x08attacker\x44\0"),
        padded(b"\xf0\0\0\0\x01\x08unknown!\x08attackertoken"),
        padded(b"\xc0\0\0\0\0\x08unknown!\x08attacker\0\0\0\x01"),
    ])
    .await;
}

#[tokio::test]
async fn a_first_packet_that_is_cut_is_met_with_silence() {
    // RFC 9000, 14.1.
    let first = first();
    let cut = [1, 5, 6, 14, 15, 23, 24, 26, 30, 40, 43, 60, 300, 1199];
    bears(cut.map(|len| first[..len].to_vec())).await;
    // The Length fits, the datagram is short.
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    let hello = attacker.hello.clone();
    let payload = attacker.crypto(PacketType::Initial, &hello);
    for size in [0, INITIAL_MIN - 1] {
        attacker.send_draft(&Draft::new(PacketType::Initial, payload.clone()).size(size)).await;
        attacker.hears_nothing().await;
    }
    victim.serves().await;
}

#[tokio::test]
async fn a_first_packet_that_is_forged_is_met_with_silence() {
    let first = first();
    // The fixed bit, the type, the IDs, the length, the packet number, the payload, the tag.
    let forged = [(0, 0x40), (0, 0x10), (6, 1), (15, 1), (26, 1), (40, 0x80), (1199, 1)];
    bears(forged.map(|(at, bits)| {
        let mut datagram = first.clone();
        datagram[at] ^= bits;
        datagram
    }))
    .await;
}

#[tokio::test]
async fn reserved_bits_in_a_first_packet_begin_nothing() {
    // RFC 9000, 17.2, has PROTOCOL_VIOLATION for them; quinn-proto drops the packet before it is opened.
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    let hello = attacker.hello.clone();
    let payload = attacker.crypto(PacketType::Initial, &hello);
    attacker.send_draft(&Draft::new(PacketType::Initial, payload).flip(0x0c)).await;
    attacker.hears_nothing().await;
}

#[tokio::test]
async fn a_connection_id_that_could_be_guessed_is_a_violation() {
    // RFC 9000, 7.2: at least 8 bytes.
    let victim = Counted::new();
    for id in [&b""[..], b"7 bytes"] {
        let mut attacker = attacker_of(&victim);
        attacker.restart(id);
        let first = attacker.first();
        attacker.send_bytes(&first).await;
        assert_eq!(attacker.closed().await.error, TransportError::ProtocolViolation);
    }
    victim.serves().await;
}

#[tokio::test]
async fn a_version_that_is_unknown_is_answered_with_ours() {
    // RFC 9000, 6.1.
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    let asked = unknown_version(INITIAL_MIN);
    attacker.send_bytes(&asked).await;
    let answer = attacker.receive().await;
    assert!(answer.len() < asked.len());
    let packet = Packet::read(&answer, 8).unwrap();
    let Header::VersionNegotiation { destination_connection_id, source_connection_id, versions } =
        packet.header
    else {
        panic!("{packet:?}");
    };
    assert_eq!((destination_connection_id, source_connection_id), (&b"attacker"[..], &b"unknown!"[..]));
    // RFC 9000, 6.3: and one that there is not.
    assert!(versions.iter().any(|version| version == Version::V1));
    assert!(versions.iter().any(Version::is_reserved));
}

#[tokio::test]
async fn a_version_that_is_unknown_in_a_short_datagram_is_met_with_silence() {
    // RFC 9000, 5.2.2.
    bears([7, 30, 600, INITIAL_MIN - 1].map(unknown_version)).await;
}

#[tokio::test]
async fn what_is_replayed_of_a_handshake_begins_no_other() {
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    let first = attacker.first();
    for _ in 0..20 {
        attacker.send_bytes(&first).await;
    }
    while attacker.finished.is_empty() {
        attacker.receive().await;
    }
    assert!(attacker.bytes_received <= 3 * attacker.bytes_sent);
    attacker.finish().await;
    // Nor by somebody else, who is told nothing.
    let mut other = attacker_of(&victim);
    for _ in 0..20 {
        other.send_bytes(&first).await;
    }
    other.hears_nothing().await;
    attacker.lives().await;
    assert_eq!(victim.server.stats().handshakes_failed, 0);
}

#[tokio::test]
async fn what_is_replayed_of_a_connection_happens_once() {
    let victim = Victim::new();
    let mut attacker = Attacker::established(victim.address, victim.trust.attackers()).await;
    let mut other = Attacker::new(victim.address, victim.trust.attackers());
    let datagram = |data| frame(Frame::Datagram { data, extent: Extent::Delimited });
    let once = attacker.seal(&Draft::new(PacketType::OneRtt, datagram(b"once")));
    for _ in 0..3 {
        attacker.send_bytes(&once).await;
        // From elsewhere: the connection does not follow.
        other.send_bytes(&once).await;
    }
    other.hears_nothing().await;
    attacker.send(PacketType::OneRtt, datagram(b"last")).await;
    while attacker.datagrams.len() < 2 {
        attacker.receive().await;
    }
    assert_eq!(attacker.datagrams, [b"once", b"last"]);
    attacker.lives().await;
}

#[tokio::test]
async fn what_is_forged_does_not_end_a_connection() {
    let victim = Victim::new();
    let mut attacker = Attacker::established(victim.address, victim.trust.attackers()).await;
    let mut other = Attacker::new(victim.address, victim.trust.attackers());
    let close = frame(Frame::ConnectionClose { error_code: 0, frame_type: 0, reason: b"" });
    let mut forged = attacker.seal(&Draft::new(PacketType::OneRtt, close.clone()));
    *forged.last_mut().unwrap() ^= 1;
    other.send_bytes(&forged).await;
    attacker.send_bytes(&forged).await;
    // By who has seen the first packet, and can make its keys.
    other.restart(&attacker.peer);
    other.send(PacketType::Initial, close).await;
    other.hears_nothing().await;
    attacker.lives().await;
}

#[tokio::test]
async fn what_needs_no_keys_does_not_end_a_connection() {
    // RFC 9000, 17.2.1 and 17.2.5: Version Negotiation and Retry are not for servers. In the midst of a handshake they do end it
    // if they come from the client's address, as Initial packets do that anybody can make who has seen the first one.
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    attacker.shake().await;
    let unprotected = |peer: &[u8]| {
        [
            [b"\xc0\0\0\0\0\x08", peer, b"\x08attacker\xba\xba\xba\xba"].concat(),
            [b"\xf0\0\0\0\x01\x08", peer, b"\x08attackertoken", &[0; 16]].concat(),
        ]
    };
    let mut other = attacker_of(&victim);
    for datagram in unprotected(&attacker.peer) {
        other.send_bytes(&datagram).await;
    }
    other.hears_nothing().await;
    attacker.finish().await;
    for datagram in unprotected(&attacker.peer) {
        other.send_bytes(&datagram).await;
        attacker.send_bytes(&datagram).await;
    }
    attacker.lives().await;
}

#[tokio::test]
async fn who_goes_on_after_the_end_is_told_no_more_than_it_says() {
    // RFC 9000, 10.2.1.
    let victim = Victim::new();
    let mut attacker = Attacker::established(victim.address, victim.trust.attackers()).await;
    attacker.send(PacketType::OneRtt, frame(Frame::HandshakeDone)).await;
    attacker.closed().await;
    let (sent, received) = (attacker.bytes_sent, attacker.bytes_received);
    let ping = Draft::new(PacketType::OneRtt, frame(Frame::Ping)).size(60);
    for _ in 0..100 {
        attacker.send_draft(&ping).await;
    }
    attacker.hears().await;
    let (sent, received) = (attacker.bytes_sent - sent, attacker.bytes_received - received);
    assert!(received <= sent, "{received} bytes for {sent}");
}

#[tokio::test]
async fn nobody_is_sent_three_times_as_much_as_came_from_them() {
    // RFC 9000, 8.1: until a client has shown that it has the address that it comes from.
    let victim = Counted::with(Trust::with_names(400), |server| server);
    let (mut spoofed, mut probe) = (attacker_of(&victim), attacker_of(&victim));
    let first = spoofed.first();
    spoofed.send_bytes(&first).await;
    for _ in 0..2 {
        // What there is to be said to the other has been said before this.
        probe.hears_nothing().await;
        spoofed.receive_all();
        assert!(spoofed.bytes_received <= 3 * spoofed.bytes_sent);
        assert!(spoofed.bytes_received > 2 * spoofed.bytes_sent, "there is more to say");
        assert!(spoofed.finished.is_empty());
        spoofed.send(PacketType::Initial, frame(Frame::Ping)).await;
    }
    // One that does get it all comes through.
    while spoofed.finished.is_empty() {
        spoofed.send(PacketType::Initial, frame(Frame::Ping)).await;
        spoofed.receive().await;
    }
    spoofed.finish().await;
    victim.serves().await;
}

#[tokio::test]
async fn a_token_is_good_where_it_was_given() {
    // RFC 9000, 8.1.3 and 8.1.4.
    let victim = Counted::with(Trust::new(), |server| server.retry(Retry::Always));
    let mut attacker = attacker_of(&victim);
    let first = attacker.first();
    attacker.send_bytes(&first).await;
    attacker.receive().await;
    assert!(attacker.retried && attacker.bytes_received < attacker.bytes_sent);
    // Somebody else shows it.
    let mut thief = attacker_of(&victim);
    thief.set_token(attacker.token());
    thief.restart(&attacker.peer);
    let stolen = thief.first();
    thief.send_bytes(&stolen).await;
    assert_eq!(thief.closed().await.error, TransportError::InvalidToken);
    // A token that the server never gave is none.
    let mut dreamer = attacker_of(&victim);
    dreamer.set_token(b"a token that was dreamt of");
    let first = dreamer.first();
    dreamer.send_bytes(&first).await;
    dreamer.receive().await;
    assert!(dreamer.retried);
    let first = attacker.first();
    attacker.send_bytes(&first).await;
    while attacker.finished.is_empty() {
        attacker.receive().await;
    }
    attacker.finish().await;
}

#[tokio::test]
async fn who_is_forgotten_is_told_so_by_less_than_it_sent() {
    // RFC 9000, 10.3.
    let victim = Counted::new();
    let mut attacker = Attacker::established(victim.address, victim.trust.attackers()).await;
    let said = attacker.servers_parameters();
    let token = TransportParameters::read(&said, Side::Server).unwrap().stateless_reset_token.unwrap();
    let close = frame(Frame::ApplicationClose { error_code: 0, reason: b"" });
    attacker.send(PacketType::OneRtt, close).await;
    // The server remembers it for a while, to say nothing about it.
    let late = Draft::new(PacketType::OneRtt, frame(Frame::Ping)).size(60);
    let reset = within(async {
        loop {
            attacker.opaque.clear();
            attacker.send_draft(&late).await;
            attacker.listens().await;
            if let Some(reset) = attacker.opaque.first() {
                return reset.clone();
            }
        }
    })
    .await;
    assert_eq!(stateless_reset::token(&reset), Some(token));
    assert!(reset.len() < 60);
    // Two ends that have both forgotten do not go on for ever.
    let mut other = attacker_of(&victim);
    other.send_bytes(b"\x40unknown!............").await;
    other.hears_nothing().await;
    victim.serves().await;
}

#[tokio::test]
async fn resets_are_told_to_one_at_a_time() {
    let victim = Counted::new();
    let mut attacker = attacker_of(&victim);
    let start = Instant::now();
    for _ in 0..50 {
        attacker.send_bytes(&[0x41; 100]).await;
    }
    attacker.receive().await;
    let mut probe = attacker_of(&victim);
    probe.hears_nothing().await;
    attacker.receive_all();
    // One in 20 ms.
    let most = 1 + start.elapsed().as_millis() / 20;
    assert!(attacker.opaque.len() as u128 <= most, "{} resets", attacker.opaque.len());
    victim.serves().await;
}

/// A client whose session goes on while others attack: so many messages there and back.
async fn transfer(victim: &Counted, messages: usize) -> tokio::task::JoinHandle<()> {
    let client = Connector::new().quic(victim.trust.client());
    let mut session = client.connect(victim.address, Framing::new()).await.unwrap();
    session.send(b"begun").await.unwrap();
    assert_eq!(session.receive().await.unwrap().unwrap().0, b"begun");
    tokio::spawn(async move {
        for n in 0..messages {
            let message: Vec<u8> = (0..60_000).map(|at| (at * 31 + n) as u8).collect();
            session.send(&message).await.unwrap();
            assert!(session.receive().await.unwrap().unwrap().0 == message);
        }
        session.close().await.unwrap();
    })
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_flood_of_beginnings_meets_retry_and_then_refusal_while_others_go_on() {
    const ALL: usize = 100;
    const HANDSHAKES: usize = 24;
    let victim = Counted::with(Trust::new(), |server| server.handshakes_max(HANDSHAKES));
    let transfer = transfer(&victim, 60).await;
    // All of 127.0.0.0/8 is ours.
    let mut flood: Vec<Attacker> =
        (0..ALL as u8).map(|n| attackers_at(&victim, Ipv4Addr::new(127, 1, n, 1))).collect();
    for attacker in &mut flood {
        let first = attacker.first();
        attacker.send_bytes(&first).await;
    }
    for attacker in &mut flood {
        attacker.receive().await;
        attacker.receive_all();
        assert!(attacker.bytes_received <= 3 * attacker.bytes_sent);
    }
    // Nothing is kept of those who are to come again.
    let retried = flood.iter().filter(|attacker| attacker.retried).count();
    assert_eq!(retried, ALL - HANDSHAKES / 4);
    assert_eq!(victim.server.stats().refused, 0);
    for attacker in flood.iter_mut().filter(|attacker| attacker.retried) {
        let first = attacker.first();
        attacker.send_bytes(&first).await;
    }
    for attacker in flood.iter_mut().filter(|attacker| attacker.retried) {
        while attacker.close.is_none() && attacker.finished.is_empty() {
            attacker.receive().await;
        }
    }
    let refused = flood.iter().filter_map(|attacker| attacker.close.as_ref()).collect::<Vec<_>>();
    assert!(refused.iter().all(|close| close.error == TransportError::ConnectionRefused));
    assert_eq!((refused.len(), victim.server.stats().refused), (ALL - HANDSHAKES, (ALL - HANDSHAKES) as u64));
    within(transfer).await.unwrap();
    // As soon as one of them is through, another may begin.
    let through = flood.iter_mut().find(|attacker| !attacker.finished.is_empty()).unwrap();
    through.finish().await;
    victim.serves().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_flood_from_one_source_leaves_room_for_others() {
    let victim = Counted::with(Trust::new(), |server| server.handshakes_per_source_max(4));
    let mut flood: Vec<Attacker> =
        (0..20).map(|_| attackers_at(&victim, Ipv4Addr::new(127, 2, 0, 1))).collect();
    for attacker in &mut flood {
        let first = attacker.first();
        attacker.send_bytes(&first).await;
        while attacker.close.is_none() && attacker.finished.is_empty() {
            let retried = attacker.retried;
            attacker.receive().await;
            if attacker.retried != retried {
                let again = attacker.first();
                attacker.send_bytes(&again).await;
            }
        }
    }
    let refused = flood.iter().filter(|attacker| attacker.close.is_some()).count();
    assert_eq!((refused, victim.server.stats().refused), (16, 16));
    victim.serves().await;
}

#[tokio::test]
async fn a_handshake_that_hangs_does_not_hold_up_the_end() {
    let trust = Trust::new();
    let server = trust.quic().build().unwrap();
    let endpoint = Endpoint::server(([127, 0, 0, 1], 0).into(), server).unwrap();
    let mut attacker = Attacker::new(endpoint.local_address(), trust.attackers());
    attacker.shake().await;
    within(endpoint.finish()).await;
    // The application's own words are not for who has not come through (RFC 9000, 10.2.3).
    assert_eq!(attacker.closed().await.error, TransportError::ApplicationError);
}
