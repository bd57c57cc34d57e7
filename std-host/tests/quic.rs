//! QUIC between our own ends, on real sockets.

use std::future::poll_fn;
use std::net::SocketAddr;

use netloom::core::Transport;
use netloom::quic::{Connection, Endpoint, QuicClient, QuicServer, Reason, Retry, Settings};
use netloom::tls::{Identity, TlsClient, TlsServer};
use netloom::{Code, Connector, Duration, Error, Framing, Result, Server, ServerSession};

const LOCAL: &str = "127.0.0.1:0";

fn local() -> SocketAddr {
    LOCAL.parse().unwrap()
}

/// A server's identity, and a client that trusts it.
fn identities() -> (TlsServer, TlsClient) {
    let identity = Identity::self_signed(["localhost"]).unwrap();
    let client =
        TlsClient::builder().authorities(identity.certificate()).server_name("localhost").build().unwrap();
    (TlsServer::new(identity).unwrap(), client)
}

/// Two ends of a connection, and what keeps their sockets.
struct Pair {
    client: Connection,
    server: Connection,
    endpoints: (Endpoint, Endpoint),
}

async fn pair() -> Pair {
    pair_with(Settings::DEFAULT, Settings::DEFAULT).await
}

async fn pair_with(at_server: Settings, at_client: Settings) -> Pair {
    let (server, client) = identities();
    let server = QuicServer::builder(server).settings(at_server).build().unwrap();
    let client = QuicClient::builder(client).settings(at_client).build().unwrap();
    let endpoints = (Endpoint::client_at(local()).unwrap(), Endpoint::server(local(), server).unwrap());
    let address = endpoints.1.local_address();
    let (client, server) = tokio::join!(endpoints.0.connect(&client, address), endpoints.1.accept());
    Pair { client: client.unwrap(), server: server.unwrap(), endpoints }
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(31).wrapping_add(seed) >> 3) as u8).collect()
}

async fn echo(session: &mut ServerSession<Framing>) -> Result<()> {
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}

#[tokio::test]
async fn streams_of_both_kinds_carry_bytes_both_ways() {
    let pair = pair().await;
    let sent = pattern(300_000, 1);
    let server = async {
        let mut stream = pair.server.accept().await.unwrap();
        let got = stream.read_to_end(usize::MAX).await.unwrap();
        stream.write_all(&got).await.unwrap();
        stream.finish();
        let mut one_way = pair.server.accept_one_way().await.unwrap();
        let got = one_way.read_to_end(usize::MAX).await.unwrap();
        assert_eq!(one_way.write_all(b"x").await, Err(Error::new(Code::SendFailed)));
        let mut back = pair.server.open_one_way().await.unwrap();
        back.write_all(&got).await.unwrap();
        back.finish();
    };
    let client = async {
        let mut stream = pair.client.open().await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.finish();
        assert!(stream.read_to_end(usize::MAX).await.unwrap() == sent);
        let mut one_way = pair.client.open_one_way().await.unwrap();
        assert_eq!(one_way.read_to_end(usize::MAX).await, Ok(Vec::new()));
        one_way.write_all(b"only this way").await.unwrap();
        one_way.finish();
        let mut back = pair.client.accept_one_way().await.unwrap();
        assert_eq!(back.read_to_end(usize::MAX).await.unwrap(), b"only this way");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_stream_that_is_dropped_unfinished_does_not_look_whole() {
    let pair = pair().await;
    let mut stream = pair.client.open().await.unwrap();
    stream.write_all(b"half a mess").await.unwrap();
    let mut got = pair.server.accept().await.unwrap();
    drop(stream);
    assert_eq!(got.read_to_end(usize::MAX).await.unwrap_err().code(), Code::ReceiveFailed);
    assert_eq!(got.write_all(b"x").await.unwrap_err().code(), Code::SendFailed);
}

#[tokio::test]
async fn codes_of_streams_and_connections_arrive_whole() {
    let pair = pair().await;
    let mut stream = pair.client.open().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut got = pair.server.accept().await.unwrap();
    stream.reset(4_711);
    let error = got.read_to_end(usize::MAX).await.unwrap_err();
    assert_eq!((error.code(), error.wire()), (Code::ReceiveFailed, 4_711));

    let mut stream = pair.client.open().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut got = pair.server.accept().await.unwrap();
    got.stop(70_000);
    let error = loop {
        if let Err(error) = stream.write_all(b"more").await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((error.code(), error.wire()), (Code::SendFailed, u16::MAX));

    pair.client.close(70_000, b"enough");
    let lost = pair.server.ended().await;
    assert_eq!(lost.reason(), Reason::ClosedByPeer(70_000));
    assert_eq!((lost.error().code(), lost.text()), (Code::ConnectionClosed, &b"enough"[..]));
    assert_eq!(pair.server.open().await.unwrap_err().code(), Code::ConnectionClosed);
    assert_eq!(pair.client.lost().unwrap().reason(), Reason::Closed);
}

#[tokio::test]
async fn a_reader_that_waits_holds_up_its_writer_alone() {
    let settings = Settings { stream_window: 20_000, ..Settings::DEFAULT };
    let pair = pair_with(settings, Settings::DEFAULT).await;
    let mut stalled = pair.client.open().await.unwrap();
    let mut written = 0;
    let stuck = tokio::time::timeout(Duration::from_millis(300), async {
        loop {
            written += poll_fn(|cx| stalled.poll_write(cx, &[7; 1_000])).await.unwrap();
        }
    });
    assert!(stuck.await.is_err());
    assert_eq!(written, 20_000);
    let mut other = pair.client.open().await.unwrap();
    other.write_all(b"goes on").await.unwrap();
    other.finish();
    let mut first = pair.server.accept().await.unwrap();
    let mut second = pair.server.accept().await.unwrap();
    assert_eq!(second.read_to_end(usize::MAX).await.unwrap(), b"goes on");
    let rest = async {
        stalled.write_all(&[7; 50_000]).await.unwrap();
        stalled.finish();
    };
    let ((), got) = tokio::join!(rest, first.read_to_end(usize::MAX));
    assert_eq!(got.unwrap().len(), 70_000);
}

#[tokio::test]
async fn no_more_streams_are_opened_than_the_peer_allows() {
    let settings = Settings { streams_max: 2, ..Settings::DEFAULT };
    let pair = pair_with(settings, Settings::DEFAULT).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = pair.client.open().await.unwrap();
        stream.write_all(b"x").await.unwrap();
        held.push(stream);
    }
    let third = tokio::time::timeout(Duration::from_millis(200), pair.client.open());
    assert!(third.await.is_err());
    for _ in 0..2 {
        drop(pair.server.accept().await.unwrap());
    }
    held.clear();
    pair.client.open().await.unwrap();
}

#[tokio::test]
async fn a_connection_has_more_streams_the_more_it_uses_up_to_the_most() {
    let settings = Settings { streams_max: 100, one_way_streams_max: 10, ..Settings::DEFAULT };
    let pair = pair_with(settings, Settings::DEFAULT).await;
    let mut held = Vec::new();
    for n in 0..110 {
        let mut stream = match n < 100 {
            true => pair.client.open().await.unwrap(),
            false => pair.client.open_one_way().await.unwrap(),
        };
        stream.write_all(&[n]).await.unwrap();
        held.push(stream);
    }
    let patience = Duration::from_millis(200);
    assert!(tokio::time::timeout(patience, pair.client.open()).await.is_err());
    assert!(tokio::time::timeout(patience, pair.client.open_one_way()).await.is_err());
    for n in 0..110 {
        let mut stream = match n < 100 {
            true => pair.server.accept().await.unwrap(),
            false => pair.server.accept_one_way().await.unwrap(),
        };
        let mut got = [0];
        assert_eq!(poll_fn(|cx| stream.poll_read(cx, &mut got)).await, Ok(1));
        assert_eq!(got, [n]);
    }
}

#[tokio::test]
async fn datagrams_come_and_too_large_ones_are_refused() {
    let pair = pair().await;
    pair.client.send_datagram(&b"one"[..]).unwrap();
    assert_eq!(pair.server.receive_datagram().await.unwrap(), &b"one"[..]);
    let max = pair.client.datagram_max().unwrap();
    pair.client.send_datagram(vec![1; max]).unwrap();
    assert_eq!(pair.server.receive_datagram().await.unwrap().len(), max);
    let error = pair.client.send_datagram(vec![1; 70_000]).unwrap_err();
    assert_eq!(error.code(), Code::MessageTooLarge);
    let none = Settings { datagram_buffer: 0, ..Settings::DEFAULT };
    let pair = pair_with(none, Settings::DEFAULT).await;
    assert_eq!(pair.client.datagram_max(), None);
    assert_eq!(pair.client.send_datagram(&b"x"[..]).unwrap_err().code(), Code::Unsupported);
}

#[tokio::test]
async fn who_closes_when_done_has_delivered() {
    for round in 0..10 {
        let pair = pair().await;
        let sent = pattern(200_000, round);
        let client = async {
            let mut stream = pair.client.open_one_way().await.unwrap();
            stream.write_all(&sent).await.unwrap();
            stream.finish();
            drop(stream);
            assert!(pair.client.close_when_done(Duration::from_secs(10)).await);
        };
        let server = async {
            let mut stream = pair.server.accept_one_way().await.unwrap();
            stream.read_to_end(usize::MAX).await
        };
        let ((), got) = tokio::join!(client, server);
        assert!(got.unwrap() == sent);
    }
}

#[tokio::test]
async fn who_closes_when_done_does_not_wait_for_ever() {
    let pair = pair().await;
    let mut stream = pair.client.open_one_way().await.unwrap();
    // A client does not follow a server that moves: nothing reaches it any more.
    pair.endpoints.1.rebind(local()).unwrap();
    tokio::task::yield_now().await;
    stream.write_all(b"never delivered").await.unwrap();
    stream.finish();
    drop(stream);
    let (grace, begun) = (Duration::from_millis(100), std::time::Instant::now());
    assert!(!pair.client.close_when_done(grace).await);
    assert!(begun.elapsed() >= grace);
    assert_eq!(pair.client.lost().unwrap().reason(), Reason::Closed);
    assert_eq!(pair.client.open().await.unwrap_err().code(), Code::ConnectionClosed);
}

#[tokio::test]
async fn keys_are_updated_in_the_middle_of_a_transfer() {
    let pair = pair().await;
    let sent = pattern(400_000, 3);
    let client = async {
        let mut stream = pair.client.open_one_way().await.unwrap();
        for part in sent.chunks(40_000) {
            stream.write_all(part).await.unwrap();
            pair.client.update_keys();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream.finish();
    };
    let server = async {
        let mut stream = pair.server.accept_one_way().await.unwrap();
        stream.read_to_end(usize::MAX).await.unwrap()
    };
    let ((), got) = tokio::join!(client, server);
    assert!(got == sent);
}

#[tokio::test]
async fn a_client_that_moves_keeps_its_connection() {
    let pair = pair().await;
    let before = pair.server.peer();
    let mut stream = pair.client.open().await.unwrap();
    stream.write_all(b"before ").await.unwrap();
    let mut got = pair.server.accept().await.unwrap();
    pair.endpoints.0.rebind(local()).unwrap();
    stream.write_all(b"after").await.unwrap();
    stream.finish();
    assert_eq!(got.read_to_end(usize::MAX).await.unwrap(), b"before after");
    assert_ne!(pair.server.peer(), before);
}

#[tokio::test]
async fn a_refused_certificate_has_its_reason() {
    let (server, _) = identities();
    let (_, stranger) = identities();
    let server = Endpoint::server(local(), QuicServer::new(server).unwrap()).unwrap();
    let client = QuicClient::new(stranger).unwrap();
    let own = Endpoint::client_at(local()).unwrap();
    let error = own.connect(&client, server.local_address()).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownAuthority);
}

#[tokio::test]
async fn nobody_there_is_a_time_out() {
    let (_, client) = identities();
    let client = QuicClient::builder(client).handshake_timeout(Duration::from_millis(300)).build().unwrap();
    let silent = std::net::UdpSocket::bind(local()).unwrap();
    let own = Endpoint::client_at(local()).unwrap();
    let error = own.connect(&client, silent.local_addr().unwrap()).await.unwrap_err();
    assert_eq!(error.code(), Code::ConnectionTimeout);
}

#[tokio::test]
async fn early_data_arrives_marked_and_once_only_with_a_ticket() {
    let (tls, client) = identities();
    let server = QuicServer::builder(tls).early_data().build().unwrap();
    let client = QuicClient::builder(client).early_data().build().unwrap();
    let server = Endpoint::server(local(), server).unwrap();
    let address = server.local_address();
    let serving = tokio::spawn(async move {
        let mut early = Vec::new();
        while let Some(connection) = server.accept().await {
            let mut stream = connection.accept().await.unwrap();
            early.push(stream.is_early());
            let got = stream.read_to_end(usize::MAX).await.unwrap();
            stream.write_all(&got).await.unwrap();
            stream.finish();
            connection.ended().await;
            if early.len() == 2 {
                break;
            }
        }
        early
    });
    let own = Endpoint::client_at(local()).unwrap();
    for early in [false, true] {
        let connection = own.connect_early(&client, address).await.unwrap();
        let mut stream = connection.open().await.unwrap();
        assert_eq!(stream.is_early(), early);
        stream.write_all(b"hello").await.unwrap();
        stream.finish();
        assert_eq!(stream.read_to_end(usize::MAX).await.unwrap(), b"hello");
        assert_eq!(connection.established().await, Ok(early));
        connection.close(0, b"");
    }
    assert_eq!(serving.await.unwrap(), [false, true]);
}

#[tokio::test]
async fn early_data_that_is_not_accepted_fails_and_what_follows_does_not() {
    let (tls, client) = identities();
    let client = QuicClient::builder(client).early_data().build().unwrap();
    let own = Endpoint::client_at(local()).unwrap();
    let socket = std::net::UdpSocket::bind(local()).unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    // The second server has the same certificate and not the first one's tickets.
    for accepts in [true, false] {
        let server = QuicServer::builder(tls.clone()).early_data().build().unwrap();
        let server = Endpoint::server(address, server).unwrap();
        let serving = tokio::spawn(async move {
            let connection = server.accept().await.unwrap();
            let mut stream = connection.accept().await.unwrap();
            let got = stream.read_to_end(usize::MAX).await.unwrap();
            connection.ended().await;
            got
        });
        let connection = own.connect_early(&client, address).await.unwrap();
        let mut early = connection.open().await.unwrap();
        if accepts {
            early.write_all(b"for the ticket").await.unwrap();
            early.finish();
            connection.established().await.unwrap();
            connection.delivered().await.unwrap();
            // The ticket comes behind the handshake.
            tokio::time::sleep(Duration::from_millis(50)).await;
        } else {
            assert!(early.is_early());
            early.write_all(b"lost").await.unwrap();
            assert_eq!(connection.established().await, Ok(false));
            assert_eq!(early.read_to_end(usize::MAX).await.unwrap_err().code(), Code::ReceiveFailed);
            assert_eq!(early.write_all(b"x").await.unwrap_err().code(), Code::SendFailed);
            let mut stream = connection.open().await.unwrap();
            // It has the number of the other, whose end must not touch it.
            assert_eq!(stream.id(), early.id());
            drop(early);
            stream.write_all(b"again").await.unwrap();
            stream.finish();
            connection.delivered().await.unwrap();
        }
        connection.close(0, b"");
        drop(connection);
        let got = serving.await.unwrap();
        assert_eq!(got, if accepts { &b"for the ticket"[..] } else { b"again" });
        // The port is free again when the driver has ended.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_session_tells_what_its_connection_has_measured() {
    let (tls, client) = identities();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::builder()
        .workers(1)
        .tcp(LOCAL)
        .quic(LOCAL, QuicServer::new(tls).unwrap())
        .start(Framing::new, async move |session: &mut ServerSession<Framing>| {
            echo(session).await?;
            let _ = tell.send(session.stats());
            Ok(())
        })
        .unwrap();
    let client = Connector::new().quic(QuicClient::new(client).unwrap());
    let mut session = client.connect(server.addresses()[1], Framing::new()).await.unwrap();
    session.send(b"hello").await.unwrap();
    assert_eq!(session.receive().await.unwrap().unwrap().0, b"hello");
    let ours = session.stats();
    session.close().await.unwrap();
    for stats in [ours, told.recv().await.unwrap()] {
        let path = stats.path.unwrap();
        assert!(path.round_trip > Duration::ZERO && path.congestion_window > 0 && path.mtu >= 1_200);
        assert!(path.packets_sent > 0 && path.bytes_received > stats.received.bytes, "{path:?}");
        assert_eq!(stats.round_trip, Some(path.round_trip));
    }
    // Whoever does not measure says nothing.
    let mut session = Connector::new().connect(server.addresses()[0], Framing::new()).await.unwrap();
    session.send(b"hello").await.unwrap();
    assert_eq!(session.receive().await.unwrap().unwrap().0, b"hello");
    assert_eq!((session.stats().path, session.stats().round_trip), (None, None));
    session.close().await.unwrap();
    assert_eq!(told.recv().await.unwrap().path, None);
}

#[tokio::test]
async fn a_server_that_asks_for_the_address_gets_it() {
    let (tls, client) = identities();
    let server = QuicServer::builder(tls).retry(Retry::Always).build().unwrap();
    let server = Server::builder().workers(1).quic(LOCAL, server).start(Framing::new, echo).unwrap();
    let client = Connector::new().quic(QuicClient::new(client).unwrap());
    let mut session = client.connect(server.addresses()[0], Framing::new()).await.unwrap();
    session.send(b"hello").await.unwrap();
    assert_eq!(session.receive().await.unwrap().unwrap().0, b"hello");
    let stats = session.transport().quic().unwrap().connection().stats();
    assert!(stats.round_trip > Duration::ZERO && stats.packets_sent > 0);
    session.close().await.unwrap();
}

#[tokio::test]
async fn limits_on_connections_and_handshakes_refuse_and_count() {
    for limited in [true, false] {
        let (tls, client) = identities();
        let builder = QuicServer::builder(tls);
        let quic = match limited {
            true => builder.connections_max(1),
            false => builder.handshakes_max(0),
        };
        let server = Server::builder()
            .workers(1)
            .quic(LOCAL, quic.build().unwrap())
            .start(Framing::new, echo)
            .unwrap();
        let connector = Connector::new().quic(QuicClient::new(client).unwrap());
        let first = connector.connect(server.addresses()[0], Framing::new()).await;
        let refused = connector.connect(server.addresses()[0], Framing::new()).await.err().unwrap();
        assert_eq!(first.is_ok(), limited);
        assert_eq!(refused.error().code(), Code::ConnectionRefused);
        assert_eq!(server.stats().refused, if limited { 1 } else { 2 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_several_workers_echoes_over_many_connections_and_streams() {
    let (tls, client) = identities();
    let server = Server::builder()
        .workers(3)
        .quic(LOCAL, QuicServer::new(tls).unwrap())
        .start(Framing::new, echo)
        .unwrap();
    let address = server.addresses()[0];
    let client = QuicClient::new(client).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..12 {
        let client = client.clone();
        tasks.spawn(async move {
            let endpoint = Endpoint::client_at(local()).unwrap();
            let connection = endpoint.connect(&client, address).await.unwrap();
            for round in 0..5 {
                let stream = connection.open().await.unwrap();
                let mut session = Connector::new().open_on(stream, Framing::new());
                let sent = pattern(1 + n * 7_919 * round, round);
                session.send(&sent).await.unwrap();
                assert!(session.receive().await.unwrap().unwrap().0 == sent);
                session.close().await.unwrap();
                endpoint.rebind(local()).unwrap();
            }
            connection.close(0, b"");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // Twelve clients on three workers, each of which has moved four times.
    assert!(server.stats().handed_over > 0);
    assert_eq!(server.stats().accepted, 60);
    let ended = tokio::task::spawn_blocking(move || server.shutdown(Duration::from_secs(5))).await.unwrap();
    assert_eq!(ended.aborted, 0);
}

#[tokio::test]
async fn a_server_that_stops_delivers_first_and_tells_its_clients() {
    let (tls, client) = identities();
    let server = Server::builder()
        .workers(1)
        .quic(LOCAL, QuicServer::new(tls).unwrap())
        .start(Framing::new, echo)
        .unwrap();
    let endpoint = Endpoint::client_at(local()).unwrap();
    let connection =
        endpoint.connect(&QuicClient::new(client).unwrap(), server.addresses()[0]).await.unwrap();
    let mut session = Connector::new().open_on(connection.open().await.unwrap(), Framing::new());
    let sent = pattern(100_000, 5);
    session.send(&sent).await.unwrap();
    session.flush().await.unwrap();
    assert!(session.receive().await.unwrap().unwrap().0 == sent);
    let stopping = tokio::task::spawn_blocking(move || server.shutdown(Duration::from_secs(10)));
    assert!(session.receive().await.unwrap().is_none());
    session.close().await.unwrap();
    let ended = stopping.await.unwrap();
    assert_eq!((ended.drained, ended.aborted), (1, 0));
    assert_eq!(connection.ended().await.reason(), Reason::ClosedByPeer(0));
}
