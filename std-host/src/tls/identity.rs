//! Who we are: certificates with their keys, and which of them a client is shown.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pem::{self, ConfigError};
use super::verify::{Pin, pin_of};

/// A certificate, those that vouch for it, and its private key: PEM or DER, from memory or from files.
///
/// ```no_run
/// use netloom::tls::Identity;
///
/// let identity = Identity::from_files("server.pem", "server.key")?;
/// # Ok::<(), netloom::tls::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Identity {
    source: Source,
    pub(super) key: Arc<CertifiedKey>,
}

#[derive(Clone, Debug)]
enum Source {
    Memory,
    Files(PathBuf, PathBuf),
}

impl Identity {
    /// Of a chain, the own certificate first, and its key.
    ///
    /// # Errors
    /// If one of them cannot be read, or they do not belong together.
    pub fn new(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let key = certified(certificates.as_ref(), None, key.as_ref(), None)?;
        Ok(Self { source: Source::Memory, key: Arc::new(key) })
    }

    /// A new key and a certificate that nobody vouches for, for these hosts: for development. Clients trust it by its
    /// [`pin`](Self::pin), or by its [`certificate`](Self::certificate) as an authority.
    ///
    /// # Errors
    /// If one of them is no host's name or address.
    #[cfg(feature = "self-signed")]
    pub fn self_signed<H: Into<String>>(hosts: impl IntoIterator<Item = H>) -> Result<Self, ConfigError> {
        let hosts: Vec<String> = hosts.into_iter().map(Into::into).collect();
        let (certificate, key) =
            made(hosts).map_err(|error| ConfigError::new("no certificate can be made").because(error))?;
        Self::new(certificate.der(), key.serialize_der())
    }

    /// The certificate's key, for clients to pin.
    pub fn pin(&self) -> Option<Pin> {
        pin_of(self.certificate())
    }

    /// Of files with the same, which [`TlsServer::reload`](super::TlsServer::reload) reads again.
    ///
    /// # Errors
    /// The same, and the system's; they name the file, and the line of PEM.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let (certificates, key) = (certificates.as_ref(), key.as_ref());
        let certified = certified(&read(certificates)?, Some(certificates), &read(key)?, Some(key))?;
        Ok(Self { source: Source::Files(certificates.into(), key.into()), key: Arc::new(certified) })
    }

    /// The same, as its files are now.
    pub(super) fn again(&self) -> Result<Self, ConfigError> {
        match &self.source {
            Source::Memory => Ok(self.clone()),
            Source::Files(certificates, key) => Self::from_files(certificates, key),
        }
    }

    /// The own certificate, in DER.
    pub fn certificate(&self) -> &[u8] {
        self.key.cert.first().map_or(&[], AsRef::as_ref)
    }

    /// Whether it is for that host.
    fn is_for(&self, host: &ServerName<'_>) -> bool {
        let parsed = self.key.end_entity_cert().and_then(ParsedCertificate::try_from);
        parsed.is_ok_and(|certificate| verify_server_name(&certificate, host).is_ok())
    }
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(file).map_err(|error| ConfigError::new("it cannot be read").because(error).of(Some(file)))
}

fn certified(
    certificates: &[u8],
    certificates_file: Option<&Path>,
    key: &[u8],
    key_file: Option<&Path>,
) -> Result<CertifiedKey, ConfigError> {
    let chain = pem::certificates(certificates).map_err(|error| error.of(certificates_file))?;
    for certificate in &chain {
        is_certificate(certificate).map_err(|error| error.of(certificates_file))?;
    }
    let key = pem::private_key(key).map_err(|error| error.of(key_file))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        let text = match error {
            rustls::Error::InconsistentKeys(_) => "the key is not the certificate's",
            _ => "the key cannot be used",
        };
        ConfigError::new(text).because(error).of(key_file)
    })
}

pub(super) fn is_certificate(certificate: &CertificateDer<'_>) -> Result<(), ConfigError> {
    match ParsedCertificate::try_from(certificate) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConfigError::new("the certificate is malformed").because(error)),
    }
}

/// Good for a year, from yesterday on, because clocks differ.
#[cfg(feature = "self-signed")]
fn made(hosts: Vec<String>) -> Result<(rcgen::Certificate, rcgen::KeyPair), rcgen::Error> {
    use std::time::{Duration, SystemTime};

    use rcgen::PublicKeyData;

    const DAY: Duration = Duration::from_secs(86_400);
    let key = rcgen::KeyPair::generate()?;
    let mut certificate = rcgen::CertificateParams::new(hosts)?;
    // Two with the same name would be taken for one that is wrongly signed.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
    let number = digest.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte));
    certificate.distinguished_name = rcgen::DistinguishedName::new();
    certificate.distinguished_name.push(rcgen::DnType::CommonName, format!("netloom {number:08x}"));
    certificate.not_before = (SystemTime::now() - DAY).into();
    certificate.not_after = (SystemTime::now() + 365 * DAY).into();
    Ok((certificate.self_signed(&key)?, key))
}

/// The cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    use std::sync::OnceLock;
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// Shows a client the certificate for the host it asks for, or the first.
#[derive(Debug)]
pub(super) struct Identities(pub(super) Vec<Identity>);

thread_local! {
    /// The host that the handshake in hand asked for: the connection itself does not tell.
    static ASKED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The host that was asked for in the last turn of a handshake on this thread.
pub(super) fn asked() -> Option<Box<str>> {
    ASKED.take()
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name();
        ASKED.set(host.map(Into::into));
        let chosen = host
            .filter(|_| self.0.len() > 1)
            .and_then(|host| ServerName::try_from(host).ok())
            .and_then(|host| self.0.iter().find(|identity| identity.is_for(&host)));
        chosen.or(self.0.first()).map(|identity| identity.key.clone())
    }
}
