//! Our QUIC and quinn's, in both roles: another driver of the same state machine, so what is tried is how ours drives it.
//! (aioquic, which shares nothing with it, is tried by `tests/conformance/aioquic.sh`.)

use std::net::SocketAddr;
use std::sync::Arc;

use netloom::quic::{Endpoint, QuicClient, QuicServer, Reason};
use netloom::tls::{Identity, TlsClient, TlsServer};
use netloom::{Connector, Framing, Result, Server, ServerSession};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn local() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A certificate for localhost, and its key.
fn made() -> (CertificateDer<'static>, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.der().clone(), made.signing_key.serialize_der())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn quinns_client(trusted: &CertificateDer<'static>) -> quinn::Endpoint {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"netloom".to_vec()];
    tls.enable_early_data = true;
    let mut endpoint = quinn::Endpoint::client(local()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    endpoint.set_default_client_config(config);
    endpoint
}

fn quinns_server((certificate, key): (CertificateDer<'static>, Vec<u8>)) -> quinn::Endpoint {
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
        .unwrap();
    tls.alpn_protocols = vec![b"netloom".to_vec()];
    tls.max_early_data_size = u32::MAX;
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    quinn::Endpoint::server(config, local()).unwrap()
}

async fn echo(session: &mut ServerSession<Framing>) -> Result<()> {
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}

fn framed(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes()[..], payload].concat()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(31) >> 3) as u8).collect()
}

#[tokio::test]
async fn quinns_clients_are_served_sessions_and_may_move() {
    let (certificate, key) = made();
    let identity = Identity::new(&certificate, key).unwrap();
    let quic = QuicServer::new(TlsServer::new(identity).unwrap()).unwrap();
    let server = Server::builder().workers(2).quic("127.0.0.1:0", quic).start(Framing::new, echo).unwrap();
    let endpoint = quinns_client(&certificate);
    let connection = endpoint.connect(server.addresses()[0], "localhost").unwrap().await.unwrap();
    for len in [0, 1, 1_000, 300_000] {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let sent = framed(&pattern(len));
        // Both at once: the answer begins before all is sent.
        let sending = async {
            send.write_all(&sent).await.unwrap();
            send.finish().unwrap();
        };
        let ((), got) = tokio::join!(sending, receive.read_to_end(1_000_000));
        assert!(got.unwrap() == sent, "{len}");
        let socket = std::net::UdpSocket::bind(local()).unwrap();
        endpoint.rebind(socket).unwrap();
    }
    connection.close(7_u32.into(), b"bye");
    endpoint.wait_idle().await;
}

#[tokio::test]
async fn quinns_clients_find_streams_datagrams_codes_and_early_data() {
    let (certificate, key) = made();
    let identity = Identity::new(&certificate, key).unwrap();
    let quic = QuicServer::builder(TlsServer::new(identity).unwrap()).early_data().build().unwrap();
    let ours = Endpoint::server(local(), quic).unwrap();
    let address = ours.local_address();
    let serving = tokio::spawn(async move {
        let mut early = Vec::new();
        for _ in 0..2 {
            let connection = ours.accept().await.unwrap();
            let mut stream = connection.accept().await.unwrap();
            early.push(stream.is_early());
            let got = stream.read_to_end(usize::MAX).await.unwrap();
            stream.write_all(&got).await.unwrap();
            stream.finish();
            connection.send_datagram(connection.receive_datagram().await.unwrap()).unwrap();
            let mut refused = connection.accept().await.unwrap();
            refused.reset(70_000);
            assert_eq!(connection.ended().await.reason(), Reason::ClosedByPeer(1 << 40));
        }
        early
    });
    let endpoint = quinns_client(&certificate);
    for early in [false, true] {
        let connecting = endpoint.connect(address, "localhost").unwrap();
        let connection = match early {
            false => connecting.await.unwrap(),
            true => connecting.into_0rtt().map_err(|_| "no ticket").unwrap().0,
        };
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(b"hello").await.unwrap();
        send.finish().unwrap();
        assert_eq!(receive.read_to_end(100).await.unwrap(), b"hello");
        connection.send_datagram(b"datagram"[..].into()).unwrap();
        assert_eq!(connection.read_datagram().await.unwrap(), b"datagram"[..]);
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(b"x").await.unwrap();
        let reset = receive.read_to_end(100).await.unwrap_err();
        let code = quinn::VarInt::from_u32(70_000);
        assert_eq!(reset, quinn::ReadToEndError::Read(quinn::ReadError::Reset(code)));
        assert_eq!(send.stopped().await, Ok(Some(code)));
        connection.close(quinn::VarInt::from_u64(1 << 40).unwrap(), b"");
    }
    assert_eq!(serving.await.unwrap(), [false, true]);
}

#[tokio::test]
async fn quinns_servers_are_spoken_to_by_sessions_and_streams() {
    let made = made();
    let trusted = made.0.clone();
    let theirs = quinns_server(made);
    let address = theirs.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Some(incoming) = theirs.accept().await {
            tokio::spawn(async move {
                let connection = incoming.await.unwrap();
                let datagrams = connection.clone();
                tokio::spawn(async move {
                    while let Ok(datagram) = datagrams.read_datagram().await {
                        datagrams.send_datagram(datagram).unwrap();
                    }
                });
                while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                    tokio::spawn(async move {
                        let mut some = vec![0; 10_000];
                        while let Ok(Some(n)) = receive.read(&mut some).await {
                            send.write_all(&some[..n]).await.unwrap();
                        }
                        let _ = send.finish();
                    });
                }
            });
        }
    });
    let tls = TlsClient::builder().authorities(&trusted).server_name("localhost").build().unwrap();
    let client = QuicClient::builder(tls).early_data().build().unwrap();

    let mut session = Connector::new().quic(client.clone()).connect(address, Framing::new()).await.unwrap();
    let sent = pattern(500_000);
    session.send(&sent).await.unwrap();
    assert!(session.receive().await.unwrap().unwrap().0 == sent);
    session.close().await.unwrap();

    let endpoint = Endpoint::client_at(local()).unwrap();
    let connection = endpoint.connect_early(&client, address).await.unwrap();
    for _ in 0..3 {
        let mut stream = connection.open().await.unwrap();
        stream.write_all(b"a stream").await.unwrap();
        stream.finish();
        assert_eq!(stream.read_to_end(usize::MAX).await.unwrap(), b"a stream");
        endpoint.rebind(local()).unwrap();
        connection.update_keys();
    }
    assert_eq!(connection.established().await, Ok(true));
    connection.send_datagram(&b"datagram"[..]).unwrap();
    assert_eq!(connection.receive_datagram().await.unwrap(), b"datagram"[..]);
    assert!(connection.close_when_done(std::time::Duration::from_secs(5)).await);
    drop(connection);
    endpoint.finish().await;
    serving.abort();
}
