//! Clients of TLS.

use std::fmt;
use std::sync::{Arc, OnceLock};

use netloom_core::{Result, Storage, Transport};
use rustls::client::{Resumption, UnbufferedClientConnection, VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, KeyLogFile, RootCertStore};

use super::cipher::{Cipher, provider_of};
use super::handshake::{HandshakeError, handshake};
use super::identity::{Identity, provider};
use super::pem::ConfigError;
use super::revoked::{self, Revoked};
use super::server::roots;
use super::stream::Tls;
use super::verify::{Pin, Verifier};

/// How a client secures its connections. Cheap to clone; clones share the sessions that can be resumed.
///
/// | option | default |
/// |---|---|
/// | who is trusted: [`authorities`](TlsClientBuilder::authorities), `mozilla`, [`pinned`](TlsClientBuilder::pinned) | the system's authorities |
/// | [`pin`](TlsClientBuilder::pin) | any key |
/// | [`revoked`](TlsClientBuilder::revoked) | nothing is asked about revocation |
/// | [`identity`](TlsClientBuilder::identity) | none |
/// | [`protocols`](TlsClientBuilder::protocols) | `http/1.1` for HTTP and WebSocket, else none (ALPN) |
/// | [`server_name`](TlsClientBuilder::server_name) | the host that is connected to |
/// | [`tls13_only`](TlsClientBuilder::tls13_only) | TLS 1.3 and 1.2 |
/// | [`ciphers`](TlsClientBuilder::ciphers) | all of [`Cipher`] |
/// | [`key_log`](TlsClientBuilder::key_log) | none |
///
/// The server's certificate must be for the host that was asked for, always.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use netloom::tls::TlsClient;
/// use netloom::{Connector, Framing};
///
/// let tls = TlsClient::builder().authorities(std::fs::read("ca.pem")?).build()?;
/// let mut session = Connector::new().tls(tls).connect("example.com:7443", Framing::new()).await?;
/// session.send(b"hello").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    /// The name to ask for instead of the host's.
    name: Option<ServerName<'static>>,
}

/// What a [`TlsClient`] is to be.
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct TlsClientBuilder {
    trust: Trust,
    pins: Vec<Pin>,
    revoked: Vec<Revoked>,
    identity: Option<Identity>,
    protocols: Vec<Vec<u8>>,
    name: Option<String>,
    tls13_only: bool,
    ciphers: Vec<Cipher>,
    key_log: bool,
}

#[derive(Clone)]
enum Trust {
    System,
    #[cfg(feature = "mozilla-roots")]
    Mozilla,
    These(Vec<Vec<u8>>),
    Pins,
    Anybody,
}

impl TlsClientBuilder {
    /// Trusts these authorities, PEM or DER, and no others. May be called several times.
    pub fn authorities(mut self, certificates: impl AsRef<[u8]>) -> Self {
        let certificates = certificates.as_ref().to_vec();
        match &mut self.trust {
            Trust::These(known) => known.push(certificates),
            trust => *trust = Trust::These(vec![certificates]),
        }
        self
    }

    /// Trusts the authorities that Mozilla trusts, as of when this was built, and no others.
    #[cfg(feature = "mozilla-roots")]
    pub fn mozilla(mut self) -> Self {
        self.trust = Trust::Mozilla;
        self
    }

    /// Trusts whoever has that key, whether or not somebody vouches for the certificate: for a server that has made its
    /// own. The certificate must have the host's name all the same, but may have expired. May be called several times.
    pub fn pinned(mut self, pin: Pin) -> Self {
        self.trust = Trust::Pins;
        self.pins.push(pin);
        self
    }

    /// Beside all the rest the server must have that key, or another that is named so.
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pins.push(pin);
        self
    }

    /// Certificates that are on these lists are refused, and those that no list says anything of: see [`Revoked`]. May be
    /// called several times.
    pub fn revoked(mut self, revoked: Revoked) -> Self {
        self.revoked.push(revoked);
        self
    }

    /// What is shown to servers that want a certificate: mutual TLS.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The protocols that are spoken, the best first (ALPN).
    pub fn protocols<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// The name that the server must have, and that it is asked for, instead of the host that is connected to.
    pub fn server_name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// These ciphers only, the best first.
    pub fn ciphers(mut self, ciphers: impl IntoIterator<Item = Cipher>) -> Self {
        self.ciphers = ciphers.into_iter().collect();
        self
    }

    /// TLS 1.2 is refused.
    pub fn tls13_only(mut self) -> Self {
        self.tls13_only = true;
        self
    }

    /// Appends the keys of sessions to the file that the environment variable `SSLKEYLOGFILE` names, for Wireshark and
    /// the like. Who has it reads everything.
    pub fn key_log(mut self) -> Self {
        self.key_log = true;
        self
    }

    /// Takes any certificate for any name: whoever sits between reads and writes everything. For tests. Pins hold all the
    /// same.
    pub fn dangerous_trust_anybody(mut self) -> Self {
        self.trust = Trust::Anybody;
        self
    }

    /// The client's side.
    ///
    /// # Errors
    /// If the authorities, the revocation lists, the identity or the name cannot be used; or if there are lists and it is not
    /// authorities that are trusted.
    pub fn build(self) -> Result<TlsClient, ConfigError> {
        let authorities = match &self.trust {
            Trust::System => Some(system()?),
            #[cfg(feature = "mozilla-roots")]
            Trust::Mozilla => Some(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
            Trust::These(certificates) => Some(roots(certificates)?),
            Trust::Pins | Trust::Anybody => None,
        };
        let authorities = match authorities {
            None if !self.revoked.is_empty() => {
                return Err(ConfigError::new("revocation lists are authorities', and none is trusted"));
            }
            None => None,
            Some(roots) => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                    .with_crls(revoked::all(&self.revoked))
                    .enforce_revocation_expiration()
                    .build()
                    .map_err(|error| {
                        let text = match error {
                            VerifierBuilderError::InvalidCrl(_) => "a revocation list cannot be used",
                            _ => "there is nobody to trust",
                        };
                        ConfigError::new(text).because(error)
                    })?,
            ),
        };
        let takes_anybody = matches!(self.trust, Trust::Anybody);
        let verifier = Verifier { authorities, pins: self.pins, takes_anybody };
        let versions: &[_] = match self.tls13_only {
            true => &[&rustls::version::TLS13],
            false => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let builder = ClientConfig::builder_with_provider(provider_of(&self.ciphers))
            .with_protocol_versions(versions)
            .map_err(|error| ConfigError::new("these versions cannot be had").because(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(
                rustls::sign::SingleCertAndKey::from(identity.key.as_ref().clone()),
            )),
        };
        config.alpn_protocols = self.protocols;
        config.resumption = Resumption::in_memory_sessions(256);
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        let name = match self.name {
            None => None,
            Some(name) => {
                Some(named(&name).ok_or_else(|| ConfigError::new(format!("{name} is no host's name")))?)
            }
        };
        Ok(TlsClient { config: Arc::new(config), name })
    }
}

impl TlsClient {
    /// Begins to describe it.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder {
            trust: Trust::System,
            pins: Vec::new(),
            revoked: Vec::new(),
            identity: None,
            protocols: Vec::new(),
            name: None,
            tls13_only: false,
            ciphers: Vec::new(),
            key_log: false,
        }
    }

    /// The defaults, made once: what `https` and `wss` use where nothing else is said.
    ///
    /// # Errors
    /// If the system has no authorities.
    pub fn system() -> Result<Self, ConfigError> {
        static SYSTEM: OnceLock<TlsClient> = OnceLock::new();
        if let Some(client) = SYSTEM.get() {
            return Ok(client.clone());
        }
        let client = Self::builder().build()?;
        Ok(SYSTEM.get_or_init(|| client).clone())
    }

    /// What QUIC makes its own of. Tickets of TLS over TCP are not for it.
    #[cfg(feature = "quic")]
    pub(crate) fn for_quic(&self) -> ClientConfig {
        let mut config = (*self.config).clone();
        config.resumption = Resumption::in_memory_sessions(256);
        config
    }

    /// The name to ask for instead of the host's.
    #[cfg(feature = "quic")]
    pub(crate) fn name(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.name.as_ref().map(ServerName::to_str)
    }

    /// The same, which offers `protocol` where none was named.
    pub(crate) fn speaking(&self, protocol: &[u8]) -> Self {
        if !self.config.alpn_protocols.is_empty() {
            return self.clone();
        }
        let mut config = (*self.config).clone();
        config.alpn_protocols.push(protocol.to_vec());
        Self { config: Arc::new(config), name: self.name.clone() }
    }

    /// Secures a stream that is connected to `host`; `storage` is for records that come and that leave.
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`](netloom_core::Code) and the codes behind it;
    /// [`Code::InvalidAddress`](netloom_core::Code) for a host that is none.
    pub async fn connect<T: Transport, S: Storage>(
        &self,
        io: T,
        host: &str,
        storage: (S, S),
    ) -> Result<Tls<T, S>, HandshakeError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => named(host).ok_or_else(HandshakeError::no_name)?,
        };
        let connection =
            UnbufferedClientConnection::new(self.config.clone(), name).map_err(HandshakeError::new)?;
        handshake(Tls::client(io, connection, storage)).await
    }
}

/// A host's name, or its address, in brackets or not.
fn named(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).ok()
}

/// The system's authorities.
fn system() -> Result<RootCertStore, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems have certificates among them that are none.
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        false => Ok(roots),
        true => {
            let error = ConfigError::new("the system has no authorities to trust: name some");
            Err(match found.errors.into_iter().next() {
                Some(source) => error.because(source),
                None => error,
            })
        }
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientBuilder").finish_non_exhaustive()
    }
}
