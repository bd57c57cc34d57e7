//! The client of all servers of QUIC: stock quinn, on one thread and one socket.
//!
//! It offers one cipher, AES-128-GCM, and one exchange of keys, X25519, so all servers use these.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, EndpointConfig, TokioRuntime};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::load::Run;
use crate::secure::{self, Anybody};
use crate::servers::quic::quinn::transport;
use crate::servers::quic::socket;
use crate::servers::tls::NAME;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After it both ends have acknowledged everything: nobody may wait longer than 25 ms (RFC 9000, 18.2).
const SETTLE: Duration = Duration::from_millis(30);
/// So that connections that have no turn are not forgotten.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The client's socket, and the thread it is on: connections move while it runs, and only then.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Runtime,
    endpoint: Endpoint,
}

impl Client {
    /// On a free port.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = runtime.block_on(async {
            Endpoint::new(EndpointConfig::default(), None, socket()?, Arc::new(TokioRuntime))
        })?;
        Ok(Self { runtime, endpoint })
    }

    /// Does it, then waits until the servers have nothing more to do with it. What is counted are the answers.
    pub(super) fn run(&self, work: impl Future<Output = io::Result<u64>>) -> io::Result<Run> {
        self.runtime.block_on(async {
            let start = Instant::now();
            let answers = work.await?;
            let elapsed = start.elapsed();
            sleep(SETTLE).await;
            Ok(Run { answers, elapsed })
        })
    }

    /// Connects to `count` servers at `address`, one after another.
    pub(super) fn connect_many(
        &self,
        address: SocketAddr,
        config: &Trust,
        count: usize,
    ) -> io::Result<Vec<Connection>> {
        self.runtime.block_on(async {
            let mut connections = Vec::with_capacity(count);
            for _ in 0..count {
                connections.push(self.connect(address, config).await?);
            }
            Ok(connections)
        })
    }

    /// Connects.
    pub(super) async fn connect(&self, address: SocketAddr, config: &Trust) -> io::Result<Connection> {
        let connecting =
            self.endpoint.connect_with(config.config.clone(), address, NAME).map_err(io::Error::other)?;
        Ok(in_time(connecting).await??)
    }
}

/// Waits, but not for ever.
pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the server stopped answering");
    timeout(PATIENCE, future).await.map_err(late)
}

/// Whom a client believes, with a memory of its own for sessions to resume, if it is to resume any.
#[derive(Debug)]
pub(super) struct Trust {
    config: ClientConfig,
    verifier: Arc<Anybody>,
}

impl Trust {
    /// In everybody who speaks `protocol`.
    pub(super) fn new(protocol: &[u8], resumes: bool) -> io::Result<Self> {
        let provider = CryptoProvider {
            cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![kx_group::X25519],
            ..default_provider()
        };
        let verifier = Arc::new(Anybody::default());
        let mut tls = secure::config_by(provider, verifier.clone(), resumes)?;
        tls.alpn_protocols = vec![protocol.to_vec()];
        let crypto = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        let mut transport = transport();
        transport.keep_alive_interval(Some(KEEP_ALIVE));
        config.transport_config(Arc::new(transport));
        Ok(Self { config, verifier })
    }

    /// How many servers have shown a certificate: those of resumed sessions do not.
    pub(super) fn certificates_seen(&self) -> usize {
        self.verifier.seen()
    }
}
