//! How a server takes QUIC.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use netloom_core::{Duration, Result};
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{EndpointConfig, ServerConfig};

use super::settings::Settings;
use crate::tls::{ConfigError, TlsServer, initial};

/// The protocol that is agreed on (ALPN) where none was named: QUIC demands that there is one (RFC 9001, 8.1).
pub(super) const PROTOCOL: &[u8] = b"netloom";

/// How a server takes QUIC: with a [`TlsServer`]'s certificates, authorities and protocols. Cheap to clone; what
/// [`TlsServer::reload`] changes counts for connections from then on.
///
/// | option | default |
/// |---|---|
/// | [`settings`](QuicServerBuilder::settings) | [`Settings::DEFAULT`] |
/// | [`connections_max`](QuicServerBuilder::connections_max) | 8,192 per worker |
/// | [`handshakes_max`](QuicServerBuilder::handshakes_max) | 1,024 per worker |
/// | [`handshakes_per_source_max`](QuicServerBuilder::handshakes_per_source_max) | 256 per worker |
/// | [`retry`](QuicServerBuilder::retry) | [`Retry::UnderLoad`] |
/// | [`early_data`](QuicServerBuilder::early_data) | no |
/// | [`migration`](QuicServerBuilder::migration) | yes |
/// | [`protocols`](QuicServerBuilder::protocols) | [TLS's](crate::tls::TlsServerBuilder::protocols), or `netloom` if it names none |
///
/// The handshake's time-out is [TLS's](crate::tls::TlsServerBuilder::handshake_timeout).
#[derive(Clone)]
pub struct QuicServer {
    shared: Arc<Shared>,
}

struct Shared {
    tls: TlsServer,
    builder: QuicServerBuilder,
    endpoint: EndpointConfig,
    /// The configuration with the keys of tokens, and what of TLS it was made from.
    current: Mutex<(Arc<rustls::ServerConfig>, Arc<ServerConfig>)>,
}

/// What a [`QuicServer`] is to be.
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct QuicServerBuilder {
    tls: TlsServer,
    settings: Settings,
    connections_max: usize,
    handshakes_max: usize,
    handshakes_per_source_max: usize,
    retry: Retry,
    early_data: bool,
    migration: bool,
    protocols: Vec<Vec<u8>>,
}

/// When a client must show that it gets what is sent to its address before anything is kept of it: that costs it a round trip
/// (RFC 9000, 8.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// When a quarter of the handshakes that may be are under way, of all or of one source.
    #[default]
    UnderLoad,
    /// Always.
    Always,
    /// Never: those who lie about their address then have handshakes refused to all.
    Never,
}

impl QuicServerBuilder {
    /// What a connection may use, and how it behaves.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Most connections at a time in one worker, or one endpoint. One more is refused, and counted.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Most handshakes under way at a time in one worker, or one endpoint. One more is refused, and counted.
    pub fn handshakes_max(mut self, handshakes: usize) -> Self {
        self.handshakes_max = handshakes;
        self
    }

    /// Most of these from one source: an IPv4 address, or the first half of an IPv6 address.
    pub fn handshakes_per_source_max(mut self, handshakes: usize) -> Self {
        self.handshakes_per_source_max = handshakes;
        self
    }

    /// When clients must show that they have the address that they come from.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Takes data from clients that come back with their first packet (0-RTT). Whoever records it can send it again: the
    /// application must ask [`Stream::is_early`](super::Stream::is_early) and do only what does no harm twice. A ticket is taken
    /// once in each server, and kept for 256 clients.
    pub fn early_data(mut self) -> Self {
        self.early_data = true;
        self
    }

    /// The protocols that are spoken, the best first (ALPN), whatever TLS says. Sessions see what was agreed on in
    /// [`Transport::secured`](netloom_core::Transport::secured).
    pub fn protocols<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Whether clients may change their address (RFC 9000, 9).
    pub fn migration(mut self, allowed: bool) -> Self {
        self.migration = allowed;
        self
    }

    /// The server's side.
    ///
    /// # Errors
    /// If there is no AES-128-GCM for the first packets.
    pub fn build(self) -> Result<QuicServer, ConfigError> {
        let tls = self.tls.config();
        let mut config = ServerConfig::with_crypto(self.crypto(&tls)?);
        config.transport_config(self.settings.transport()).migration(self.migration);
        let shared = Shared {
            tls: self.tls.clone(),
            builder: self,
            endpoint: EndpointConfig::default(),
            current: Mutex::new((tls, Arc::new(config))),
        };
        Ok(QuicServer { shared: Arc::new(shared) })
    }
}

impl QuicServerBuilder {
    /// TLS's configuration as QUIC has it.
    fn crypto(&self, tls: &rustls::ServerConfig) -> Result<Arc<QuicServerConfig>, ConfigError> {
        let mut tls = tls.clone();
        if !self.protocols.is_empty() {
            tls.alpn_protocols.clone_from(&self.protocols);
        }
        if tls.alpn_protocols.is_empty() {
            tls.alpn_protocols.push(PROTOCOL.to_vec());
        }
        if self.early_data {
            // Tickets that the server keeps itself can be taken once only.
            tls.ticketer = Arc::new(NoTickets);
            tls.session_storage = rustls::server::ServerSessionMemoryCache::new(256);
            tls.max_early_data_size = u32::MAX; // RFC 9001, 4.6.1
        }
        let crypto =
            initial().and_then(|initial| QuicServerConfig::with_initial(Arc::new(tls), initial).ok());
        crypto.map(Arc::new).ok_or_else(|| ConfigError::new("QUIC needs AES-128-GCM"))
    }
}

/// No tickets that carry all they need.
#[derive(Debug)]
struct NoTickets;

impl rustls::server::ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

impl QuicServer {
    /// With that TLS and the defaults.
    ///
    /// # Errors
    /// As for [`QuicServerBuilder::build`].
    pub fn new(tls: TlsServer) -> Result<Self, ConfigError> {
        Self::builder(tls).build()
    }

    /// Begins to describe it.
    pub fn builder(tls: TlsServer) -> QuicServerBuilder {
        QuicServerBuilder {
            tls,
            settings: Settings::DEFAULT,
            connections_max: 8_192,
            handshakes_max: 1_024,
            handshakes_per_source_max: 256,
            retry: Retry::UnderLoad,
            early_data: false,
            migration: true,
            protocols: Vec::new(),
        }
    }

    /// As TLS is now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let tls = self.shared.tls.config();
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current.0, &tls) {
            // It had what QUIC needs before, so it has it now; if not, what was stays.
            if let Ok(crypto) = self.shared.builder.crypto(&tls) {
                let mut config = (*current.1).clone();
                config.crypto = crypto;
                *current = (tls, Arc::new(config));
            }
        }
        current.1.clone()
    }

    /// The keys of stateless resets: the same for all workers.
    pub(crate) fn endpoint(&self) -> EndpointConfig {
        self.shared.endpoint.clone()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.builder.settings
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.shared.tls.handshake_timeout()
    }

    /// Whether one more may not be, of so many connections, handshakes, and handshakes from its source.
    pub(super) fn is_full(&self, connections: usize, handshakes: usize, here: usize) -> bool {
        let limits = &self.shared.builder;
        connections >= limits.connections_max
            || handshakes >= limits.handshakes_max
            || here >= limits.handshakes_per_source_max
    }

    /// Whether a client must show that it has its address first.
    pub(super) fn retries(&self, handshakes: usize, here: usize) -> bool {
        let limits = &self.shared.builder;
        match limits.retry {
            Retry::Always => true,
            Retry::Never => false,
            Retry::UnderLoad => {
                handshakes >= limits.handshakes_max / 4 || here >= limits.handshakes_per_source_max / 4
            }
        }
    }
}

impl fmt::Debug for QuicServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicServer").field("settings", &self.shared.builder.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for QuicServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicServerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
