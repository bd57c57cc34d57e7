//! Certificates that were withdrawn: revocation lists (RFC 5280, 5).

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateRevocationListDer;

use super::identity::read;
use super::pem::{self, ConfigError};

/// Revocation lists of authorities: PEM, or one in DER, from memory or from a file.
///
/// Whoever is given some wants to be sure: a certificate is refused with
/// [`Code::CertificateRevoked`](netloom_core::Code) if it is on its authority's list, and with
/// [`Code::UnknownAuthority`](netloom_core::Code) if nothing can be said of it, because there is no list of its authority
/// or the list is out of date (its `nextUpdate` has passed). So give the list of every authority that is trusted, and of
/// those between; a root itself needs none above it. Without lists nothing is asked about revocation. Lists are not fetched:
/// that is for who runs the program, and [`TlsServer::reload`](super::TlsServer::reload) reads their files again.
///
/// ```no_run
/// use netloom::tls::{Identity, Revoked, TlsServer};
///
/// let tls = TlsServer::builder(Identity::from_files("server.pem", "server.key")?)
///     .client_authorities(std::fs::read("clients.pem")?)
///     .revoked(Revoked::from_file("clients.crl")?)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Revoked {
    file: Option<PathBuf>,
    lists: Vec<CertificateRevocationListDer<'static>>,
}

impl Revoked {
    /// # Errors
    /// If there is no list in it.
    pub fn new(lists: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self { file: None, lists: pem::revocation_lists(lists.as_ref())? })
    }

    /// Of a file, which [`TlsServer::reload`](super::TlsServer::reload) reads again.
    ///
    /// # Errors
    /// The same, and the system's; they name the file, and the line of PEM.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let lists = pem::revocation_lists(&read(file)?).map_err(|error| error.of(Some(file)))?;
        Ok(Self { file: Some(file.into()), lists })
    }

    /// The same, as its file is now.
    pub(super) fn again(&self) -> Result<Self, ConfigError> {
        match &self.file {
            None => Ok(self.clone()),
            Some(file) => Self::from_file(file),
        }
    }
}

/// The lists of all of these.
pub(super) fn all(
    revoked: &[Revoked],
) -> impl Iterator<Item = CertificateRevocationListDer<'static>> + use<'_> {
    revoked.iter().flat_map(|revoked| revoked.lists.iter().cloned())
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revoked").field("file", &self.file).field("lists", &self.lists.len()).finish()
    }
}
