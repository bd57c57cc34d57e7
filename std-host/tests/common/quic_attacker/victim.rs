//! Servers to be attacked, and the good clients that they must serve all the same.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use netloom::core::Transport;
use netloom::quic::{Connection, Endpoint, Lost, QuicClient, QuicServer, QuicServerBuilder, Stream};
use netloom::tls::{Identity, TlsClient, TlsServer};
use netloom::{Connector, Duration, Framing, Result, Server, ServerSession};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::within;

const LOCAL: &str = "127.0.0.1:0";

/// A certificate, and who trusts it.
pub(crate) struct Trust {
    server: TlsServer,
    client: TlsClient,
    certificate: Vec<u8>,
}

impl Trust {
    pub(crate) fn new() -> Self {
        Self::with_names(1)
    }

    /// The more names, the longer the certificate.
    ///
    /// The handshake's time-out is longer than any test.
    pub(crate) fn with_names(names: usize) -> Self {
        let others = (1..names).map(|n| format!("a-rather-long-name-of-a-host-{n}.test"));
        let identity = Identity::self_signed(std::iter::once("localhost".to_owned()).chain(others)).unwrap();
        let certificate = identity.certificate().to_vec();
        let client = TlsClient::builder().authorities(&certificate).server_name("localhost").build().unwrap();
        let server = TlsServer::builder(identity).handshake_timeout(Duration::from_secs(3_600));
        Self { server: server.build().unwrap(), client, certificate }
    }

    pub(crate) fn quic(&self) -> QuicServerBuilder {
        QuicServer::builder(self.server.clone())
    }

    pub(crate) fn client(&self) -> QuicClient {
        QuicClient::new(self.client.clone()).unwrap()
    }

    /// What an attacker shakes hands with.
    pub(crate) fn attackers(&self) -> ClientConfig {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // Shares of hybrids would not fit one datagram.
        provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.certificate.clone())).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"netloom".to_vec()];
        config
    }
}

/// An endpoint that sends back what comes on streams and in datagrams, and tells how its connections end.
pub(crate) struct Victim {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Trust,
    lost: UnboundedReceiver<Lost>,
}

impl Victim {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(options: impl FnOnce(QuicServerBuilder) -> QuicServerBuilder) -> Self {
        let trust = Trust::new();
        let server = options(trust.quic()).build().unwrap();
        let endpoint = Endpoint::server(LOCAL.parse().unwrap(), server).unwrap();
        let address = endpoint.local_address();
        let (tell, lost) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(connection) = endpoint.accept().await {
                tokio::spawn(serve(connection, tell.clone()));
            }
        });
        Self { address, trust, lost }
    }

    /// How the next connection ended.
    pub(crate) async fn lost(&mut self) -> Lost {
        within(self.lost.recv()).await.unwrap()
    }

    /// A good client gets its answer.
    pub(crate) async fn serves(&self) {
        let endpoint = Endpoint::client_at(LOCAL.parse().unwrap()).unwrap();
        within(async {
            let connection = endpoint.connect(&self.trust.client(), self.address).await.unwrap();
            let mut stream = connection.open().await.unwrap();
            write(&mut stream, b"good").await.unwrap();
            poll_fn(|cx| stream.poll_finish(cx)).await.unwrap();
            let mut answer = [0; 8];
            let mut len = 0;
            while len < 4 {
                len += poll_fn(|cx| stream.poll_read(cx, &mut answer[len..])).await.unwrap();
            }
            assert_eq!(&answer[..len], b"good");
        })
        .await;
    }
}

async fn serve(connection: Connection, tell: UnboundedSender<Lost>) {
    let datagrams = connection.clone();
    tokio::spawn(async move {
        while let Ok(datagram) = datagrams.receive_datagram().await {
            let _ = datagrams.send_datagram(datagram);
        }
    });
    while let Ok(stream) = connection.accept().await {
        tokio::spawn(echo(stream));
    }
    let _ = tell.send(connection.ended().await);
}

async fn echo(mut stream: Stream) -> Result<()> {
    let mut some = [0; 4096];
    loop {
        match poll_fn(|cx| stream.poll_read(cx, &mut some)).await? {
            0 => return poll_fn(|cx| stream.poll_finish(cx)).await,
            n => write(&mut stream, &some[..n]).await?,
        }
    }
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// A server of one worker, with its counts.
pub(crate) struct Counted {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Trust,
    pub(crate) server: Server,
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self::with(Trust::new(), |builder| builder)
    }

    pub(crate) fn with(trust: Trust, options: impl FnOnce(QuicServerBuilder) -> QuicServerBuilder) -> Self {
        let quic = options(trust.quic()).build().unwrap();
        let server = Server::builder().workers(1).quic(LOCAL, quic).start(Framing::new, echo_frames).unwrap();
        Self { address: server.addresses()[0], trust, server }
    }

    /// A good client gets its answer.
    pub(crate) async fn serves(&self) {
        let client = Connector::new().quic(self.trust.client());
        within(async {
            let mut session = client.connect(self.address, Framing::new()).await.unwrap();
            session.send(b"good").await.unwrap();
            assert_eq!(session.receive().await.unwrap().unwrap().0, b"good");
            session.close().await.unwrap();
        })
        .await;
    }
}

async fn echo_frames(session: &mut ServerSession<Framing>) -> Result<()> {
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}
