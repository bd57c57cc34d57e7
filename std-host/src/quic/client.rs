//! How a client connects by QUIC.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use netloom_core::{Duration, Result};
use quinn_proto::ClientConfig;
use quinn_proto::crypto::rustls::QuicClientConfig;

use super::server::PROTOCOL;
use super::settings::Settings;
use crate::tls::{ConfigError, TlsClient, initial};

/// How a client connects: with a [`TlsClient`]'s trust, pins, identity and protocols. Cheap to clone; clones share tickets, and
/// tokens by which servers know an address again.
///
/// | option | default |
/// |---|---|
/// | [`settings`](QuicClientBuilder::settings) | [`Settings::DEFAULT`], with a keep-alive of 15 s |
/// | [`handshake_timeout`](QuicClientBuilder::handshake_timeout) | 10 s |
/// | [`early_data`](QuicClientBuilder::early_data) | no |
/// | [`protocols`](QuicClientBuilder::protocols) | [TLS's](crate::tls::TlsClientBuilder::protocols), or `netloom` if it names none |
#[derive(Clone)]
pub struct QuicClient {
    config: ClientConfig,
    tls: TlsClient,
    settings: Settings,
    handshake_timeout: Duration,
}

/// What a [`QuicClient`] is to be.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before `build`"]
pub struct QuicClientBuilder {
    tls: TlsClient,
    settings: Settings,
    handshake_timeout: Duration,
    early_data: bool,
    protocols: Vec<Vec<u8>>,
}

impl QuicClientBuilder {
    /// What a connection may use, and how it behaves.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// For the whole handshake.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// The protocols that are spoken, the best first (ALPN), whatever TLS says.
    pub fn protocols<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Lets [`Endpoint::connect_early`](super::Endpoint::connect_early) send before the server has answered, to a server that was
    /// connected to before and takes it (0-RTT). Others can record and replay what is sent so.
    pub fn early_data(mut self) -> Self {
        self.early_data = true;
        self
    }

    /// The client's side.
    ///
    /// # Errors
    /// If there is no AES-128-GCM for the first packets.
    pub fn build(self) -> Result<QuicClient, ConfigError> {
        let mut tls = self.tls.for_quic();
        if !self.protocols.is_empty() {
            tls.alpn_protocols.clone_from(&self.protocols);
        }
        if tls.alpn_protocols.is_empty() {
            tls.alpn_protocols.push(PROTOCOL.to_vec());
        }
        tls.enable_early_data = self.early_data;
        let crypto =
            initial().and_then(|initial| QuicClientConfig::with_initial(Arc::new(tls), initial).ok());
        let crypto = crypto.ok_or_else(|| ConfigError::new("QUIC needs AES-128-GCM"))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(self.settings.transport());
        Ok(QuicClient {
            config,
            tls: self.tls,
            settings: self.settings,
            handshake_timeout: self.handshake_timeout,
        })
    }
}

impl QuicClient {
    /// With that TLS and the defaults.
    ///
    /// # Errors
    /// As for [`QuicClientBuilder::build`].
    pub fn new(tls: TlsClient) -> Result<Self, ConfigError> {
        Self::builder(tls).build()
    }

    /// Begins to describe it.
    pub fn builder(tls: TlsClient) -> QuicClientBuilder {
        let settings = Settings { keep_alive: Duration::from_secs(15), ..Settings::DEFAULT };
        let handshake_timeout = Duration::from_secs(10);
        QuicClientBuilder { tls, settings, handshake_timeout, early_data: false, protocols: Vec::new() }
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.config.clone()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// What the server must be called: as TLS was told, or the host, or its address.
    pub(super) fn name(&self, host: Option<&str>, address: SocketAddr) -> String {
        match (self.tls.name(), host) {
            (Some(name), _) => name.into_owned(),
            (None, Some(host)) => {
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                bare.unwrap_or(host).to_owned()
            }
            (None, None) => address.ip().to_canonical().to_string(),
        }
    }
}

impl fmt::Debug for QuicClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicClient").finish_non_exhaustive()
    }
}
