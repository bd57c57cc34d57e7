//! Who `netloom serve` is: by its files, or by a certificate made for the moment.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netloom::tls::{Identity, Revoked, TlsServer};

use crate::exit::Failure;

/// How a server goes about TLS.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct IdentityArgs {
    /// The certificate to show, PEM or DER, with those that vouch for it [default: one made for the moment]. A hang-up
    /// signal (SIGHUP) has it and its key read again.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Over TLS, take only clients that show a certificate for which an authority in this file vouches.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Of these clients, refuse those whose certificates are on this revocation list, PEM or DER, or on none; may be given
    /// several times. A hang-up signal has it read again.
    #[arg(long, value_name = "FILE", requires = "client_ca")]
    crl: Vec<PathBuf>,
}

/// A server's side of TLS, and what clients can know it by if nobody else vouches for it.
pub(crate) struct Secured {
    pub(crate) tls: TlsServer,
    pub(crate) pin: Option<netloom::tls::Pin>,
}

impl IdentityArgs {
    /// For clients that reach us at these addresses.
    pub(crate) fn secure(&self, addresses: &[IpAddr]) -> Result<Secured, Failure> {
        let wrong = |error: netloom::tls::ConfigError| Failure::usage(error.to_string());
        let (identity, pin) = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => (Identity::from_files(cert, key).map_err(wrong)?, None),
            _ => {
                let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
                let others =
                    addresses.iter().filter(|address| !address.is_unspecified()).map(IpAddr::to_string);
                let identity = Identity::self_signed(local.into_iter().chain(others)).map_err(wrong)?;
                let pin = identity.pin();
                (identity, pin)
            }
        };
        let mut builder = TlsServer::builder(identity);
        if let Some(file) = &self.client_ca {
            builder = builder.client_authorities(read(file)?);
        }
        for file in &self.crl {
            builder = builder.revoked(Revoked::from_file(file).map_err(wrong)?);
        }
        // Where frames are spoken nobody asks for a protocol.
        let tls = builder.protocols(["http/1.1"]).key_log().build().map_err(wrong)?;
        Ok(Secured { tls, pin })
    }
}

/// The bytes of a file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}
