//! Servers of TLS.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use netloom_core::{Duration, Result, Storage, Transport};
use rustls::server::{UnbufferedServerConnection, WebPkiClientVerifier};
use rustls::{KeyLogFile, RootCertStore, ServerConfig};
use tokio::time::timeout;

use super::cipher::{Cipher, provider_of};
use super::handshake::{HandshakeError, attempt, handshake};
use super::identity::{Identities, Identity, provider};
use super::pem::{self, ConfigError};
use super::revoked::{self, Revoked};
use super::stream::Tls;

/// How a server secures its connections. Cheap to clone; clones share what [`reload`](Self::reload) changes.
///
/// | option | default |
/// |---|---|
/// | [`and`](TlsServerBuilder::and) | one identity |
/// | [`client_authorities`](TlsServerBuilder::client_authorities) | clients show no certificate |
/// | [`revoked`](TlsServerBuilder::revoked) | nothing is asked about revocation |
/// | [`protocols`](TlsServerBuilder::protocols) | `http/1.1` for a server of HTTP, else none (ALPN) |
/// | [`tls13_only`](TlsServerBuilder::tls13_only) | TLS 1.3 and 1.2 |
/// | [`ciphers`](TlsServerBuilder::ciphers) | all of [`Cipher`] |
/// | [`handshake_timeout`](TlsServerBuilder::handshake_timeout) | 10 s |
/// | [`handshakes_max`](TlsServerBuilder::handshakes_max) | 1,024 per worker |
/// | [`key_log`](TlsServerBuilder::key_log) | none |
///
/// Sessions are resumed by tickets; their keys change every six hours. Early data (0-RTT) is not taken: it can be
/// replayed.
///
/// ```no_run
/// use netloom::tls::{Identity, TlsServer};
/// use netloom::{Framing, Server};
///
/// # async fn app(_: &mut netloom::ServerSession<Framing>) -> netloom::Result<()> { Ok(()) }
/// let tls = TlsServer::new(Identity::from_files("server.pem", "server.key")?)?;
/// let server = Server::builder().tls("0.0.0.0:7443", tls.clone()).start(Framing::new, app)?;
/// // When the files have changed; sessions go on.
/// tls.reload()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TlsServer {
    shared: Arc<Shared>,
}

struct Shared {
    current: RwLock<Arc<ServerConfig>>,
    builder: RwLock<TlsServerBuilder>,
}

/// What a [`TlsServer`] is to be.
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct TlsServerBuilder {
    identities: Vec<Identity>,
    client_authorities: Vec<Vec<u8>>,
    revoked: Vec<Revoked>,
    clients_may_be_unknown: bool,
    protocols: Vec<Vec<u8>>,
    tls13_only: bool,
    ciphers: Vec<Cipher>,
    key_log: bool,
    handshake_timeout: Duration,
    handshakes_max: usize,
}

impl TlsServerBuilder {
    /// Another identity: a client is shown the one for the host it asks for (SNI), or the first.
    pub fn and(mut self, identity: Identity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Clients must show a certificate that one of these (PEM or DER) vouches for: mutual TLS. Applications see it in
    /// [`Secured::certificate`](netloom_core::Secured). May be called several times.
    pub fn client_authorities(mut self, certificates: impl AsRef<[u8]>) -> Self {
        self.client_authorities.push(certificates.as_ref().to_vec());
        self
    }

    /// Clients' certificates that are on these lists are refused, and those that no list says anything of: see
    /// [`Revoked`]. May be called several times.
    pub fn revoked(mut self, revoked: Revoked) -> Self {
        self.revoked.push(revoked);
        self
    }

    /// Clients may also show none. One that is shown must be right all the same.
    pub fn clients_may_be_unknown(mut self) -> Self {
        self.clients_may_be_unknown = true;
        self
    }

    /// The protocols that are spoken, the best first (ALPN). A client that offers others only is refused.
    pub fn protocols<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// These ciphers only, the best first. The server chooses.
    pub fn ciphers(mut self, ciphers: impl IntoIterator<Item = Cipher>) -> Self {
        self.ciphers = ciphers.into_iter().collect();
        self
    }

    /// TLS 1.2 is refused.
    pub fn tls13_only(mut self) -> Self {
        self.tls13_only = true;
        self
    }

    /// For the whole handshake; who is not through by then is dropped.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Most handshakes under way at a time in one worker, those that have failed and whose peers still talk, for at most a
    /// second, among them. One more is dropped, and counted as refused.
    pub fn handshakes_max(mut self, handshakes: usize) -> Self {
        self.handshakes_max = handshakes;
        self
    }

    /// Appends the keys of sessions to the file that the environment variable `SSLKEYLOGFILE` names, for Wireshark and
    /// the like. Who has it reads everything.
    pub fn key_log(mut self) -> Self {
        self.key_log = true;
        self
    }

    /// The server's side.
    ///
    /// # Errors
    /// If the clients' authorities or revocation lists cannot be used; or if there are lists and no authorities.
    pub fn build(self) -> Result<TlsServer, ConfigError> {
        let config = Arc::new(self.config(None)?);
        let shared = Shared { current: RwLock::new(config), builder: RwLock::new(self) };
        Ok(TlsServer { shared: Arc::new(shared) })
    }

    /// `before` is what it takes the place of: its tickets stay good.
    fn config(&self, before: Option<&ServerConfig>) -> Result<ServerConfig, ConfigError> {
        let versions: &[_] = match self.tls13_only {
            true => &[&rustls::version::TLS13],
            false => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let builder = ServerConfig::builder_with_provider(provider_of(&self.ciphers))
            .with_protocol_versions(versions)
            .map_err(|error| ConfigError::new("these versions cannot be had").because(error))?;
        let builder = match self.client_authorities.as_slice() {
            [] if !self.revoked.is_empty() => {
                return Err(ConfigError::new(
                    "revocation lists are about clients, and no authorities for these are named",
                ));
            }
            [] => builder.with_no_client_auth(),
            certificates => {
                let roots = roots(certificates)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                    .with_crls(revoked::all(&self.revoked))
                    .enforce_revocation_expiration();
                let verifier = match self.clients_may_be_unknown {
                    true => verifier.allow_unauthenticated(),
                    false => verifier,
                };
                let verifier = verifier.build().map_err(|error| {
                    ConfigError::new("the clients' authorities or revocation lists cannot be used")
                        .because(error)
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(Identities(self.identities.clone())));
        config.alpn_protocols.clone_from(&self.protocols);
        // A client that is attacked or old is not to choose the weakest of what is offered.
        config.ignore_client_order = true;
        // One ticket is enough for one connection more; each costs a client a message.
        config.send_tls13_tickets = 1;
        match before {
            Some(before) => {
                config.ticketer = before.ticketer.clone();
                config.session_storage = before.session_storage.clone();
            }
            None => {
                config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()
                    .map_err(|error| ConfigError::new("there is no randomness for tickets").because(error))?;
            }
        }
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(config)
    }
}

impl TlsServer {
    /// With that identity and the defaults.
    ///
    /// # Errors
    /// As for [`TlsServerBuilder::build`].
    pub fn new(identity: Identity) -> Result<Self, ConfigError> {
        Self::builder(identity).build()
    }

    /// Begins to describe it.
    pub fn builder(identity: Identity) -> TlsServerBuilder {
        TlsServerBuilder {
            identities: vec![identity],
            client_authorities: Vec::new(),
            revoked: Vec::new(),
            clients_may_be_unknown: false,
            protocols: Vec::new(),
            tls13_only: false,
            ciphers: Vec::new(),
            key_log: false,
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 1024,
        }
    }

    /// Reads the identities' files again, and those of revocation lists. Sessions go on as they are; what connects from now
    /// on sees the new ones. Where the lists have changed, nobody comes back by an old ticket.
    ///
    /// # Errors
    /// If one of them cannot be used: then all stays as it was.
    pub fn reload(&self) -> Result<(), ConfigError> {
        let mut builder = self.builder_now();
        builder.identities =
            builder.identities.iter().map(Identity::again).collect::<Result<_, ConfigError>>()?;
        builder.revoked = builder.revoked.iter().map(Revoked::again).collect::<Result<_, ConfigError>>()?;
        self.replace(builder)
    }

    fn builder_now(&self) -> TlsServerBuilder {
        self.shared.builder.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, builder: TlsServerBuilder) -> Result<(), ConfigError> {
        // A ticket stands for a certificate that was good when it was given.
        let same =
            self.shared.builder.read().unwrap_or_else(PoisonError::into_inner).revoked == builder.revoked;
        let before = self.config();
        let config = builder.config(same.then_some(&*before))?;
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        *self.shared.builder.write().unwrap_or_else(PoisonError::into_inner) = builder;
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Agrees on `protocol` if none was named.
    pub(crate) fn speaks(&self, protocol: &str) -> Result<(), ConfigError> {
        let builder = self.builder_now();
        match builder.protocols.is_empty() {
            true => self.replace(builder.protocols([protocol])),
            false => Ok(()),
        }
    }

    pub(crate) fn handshakes_max(&self) -> usize {
        self.shared.builder.read().unwrap_or_else(PoisonError::into_inner).handshakes_max
    }

    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.shared.builder.read().unwrap_or_else(PoisonError::into_inner).handshake_timeout
    }

    /// Secures a stream that a client has connected; `storage` is for records that come and that leave.
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`](netloom_core::Code) and the codes behind it, with what the peer was told;
    /// [`Code::ConnectionTimeout`](netloom_core::Code).
    pub async fn accept<T: Transport, S: Storage>(
        &self,
        io: T,
        storage: (S, S),
    ) -> Result<Tls<T, S>, HandshakeError> {
        match timeout(self.handshake_timeout(), self.accept_untimed(io, storage)).await {
            Ok(done) => done,
            Err(_) => Err(HandshakeError::late()),
        }
    }

    /// The same on any runtime: the [`handshake_timeout`](TlsServerBuilder::handshake_timeout), which is tokio's to keep,
    /// is the caller's.
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`](netloom_core::Code) and the codes behind it, with what the peer was told.
    pub async fn accept_untimed<T: Transport, S: Storage>(
        &self,
        io: T,
        storage: (S, S),
    ) -> Result<Tls<T, S>, HandshakeError> {
        let connection = UnbufferedServerConnection::new(self.config()).map_err(HandshakeError::new)?;
        handshake(Tls::server(io, connection, storage)).await
    }

    /// The same for who has the time to hear the peer out by [`poll_unheard`](super::poll_unheard).
    pub(crate) async fn attempt<T: Transport, S: Storage>(
        &self,
        io: T,
        storage: (S, S),
    ) -> Result<Tls<T, S>, (HandshakeError, Option<T>)> {
        let connection = UnbufferedServerConnection::new(self.config())
            .map_err(|error| (HandshakeError::new(error), None))?;
        let tls = Tls::server(io, connection, storage);
        attempt(tls).await.map_err(|(error, io)| (error, Some(io)))
    }
}

/// Certificates to trust: each of these is PEM, or one in DER.
pub(super) fn roots(certificates: &[Vec<u8>]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificates in certificates {
        for certificate in pem::certificates(certificates)? {
            roots.add(certificate).map_err(|error| {
                ConfigError::new("an authority's certificate is malformed").because(error)
            })?;
        }
    }
    Ok(roots)
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerBuilder").field("identities", &self.identities.len()).finish_non_exhaustive()
    }
}
