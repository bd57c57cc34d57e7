//! Whom we trust.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::identity::provider;

/// The SHA-256 of a certificate's public key (its SubjectPublicKeyInfo), as HPKP (RFC 7469, 2.4) and curl's
/// `--pinnedpubkey` have it.
pub type Pin = [u8; 32];

/// The key is none that is pinned.
#[derive(Debug)]
pub(super) struct WrongPin;

impl fmt::Display for WrongPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate's key is not the pinned one")
    }
}

impl std::error::Error for WrongPin {}

/// The [`Pin`] of a certificate in DER; `None` if it is none.
pub fn pin_of(certificate: &[u8]) -> Option<Pin> {
    let certificate = CertificateDer::from(certificate);
    let key = ParsedCertificate::try_from(&certificate).ok()?.subject_public_key_info();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_ref());
    digest.as_ref().try_into().ok()
}

/// Verifies a server: that somebody who is trusted vouches for it, that it has the name, that it has a pinned key.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Who is trusted; without, it is the key alone that counts.
    pub(super) authorities: Option<Arc<WebPkiServerVerifier>>,
    pub(super) pins: Vec<Pin>,
    /// Anybody will do.
    pub(super) takes_anybody: bool,
}

#[cfg(feature = "quic")]
thread_local! {
    /// What the last handshake on this thread was refused for: QUIC's state machine tells the alert alone, and several faults
    /// share one.
    static FOUND: std::cell::Cell<Option<netloom_core::Code>> = const { std::cell::Cell::new(None) };
}

/// Why a server was refused since this was last asked.
#[cfg(feature = "quic")]
pub(super) fn found() -> Option<netloom_core::Code> {
    FOUND.take()
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

impl Verifier {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.authorities {
            _ if self.takes_anybody => {}
            Some(authorities) => {
                authorities.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
            }
            None => verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?,
        }
        if !self.pins.is_empty() && !pin_of(certificate).is_some_and(|pin| self.pins.contains(&pin)) {
            return Err(CertificateError::Other(OtherError(Arc::new(WrongPin))).into());
        }
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verify(certificate, intermediates, name, ocsp, now);
        #[cfg(feature = "quic")]
        FOUND.set(match &verified {
            Err(Error::InvalidCertificate(error)) => Some(super::error::of_certificate(error)),
            _ => None,
        });
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
