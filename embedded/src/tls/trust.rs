//! Whom a client takes for its server: by certificates, by pinned keys.

use core::net::IpAddr;

use netloom_core::{Code, Error, Fault, Result};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, DnsName, InvalidSignature, Ipv4Addr, Ipv6Addr,
    ServerName as PkiName, SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{alert, der};

/// The most certificates of a chain that are looked at, the server's own counted.
pub const CHAIN_MAX: usize = 6;

/// What the server must be called, in the certificate's subjectAltName: its subject's common name does not count (RFC 9525, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerName<'a> {
    /// A host name; the server is also told it, so that it can choose its certificate (RFC 6066, 3).
    Dns(&'a str),
    /// An address.
    Address(IpAddr),
}

impl<'a> From<&'a str> for ServerName<'a> {
    fn from(name: &'a str) -> Self {
        Self::Dns(name)
    }
}

impl From<IpAddr> for ServerName<'_> {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// What is known of the time, in seconds since 1970, UTC. Certificates are valid from a time until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// It is this: a clock that runs while the board is off, or SNTP's (`netloom_embedded::sntp`).
    Known(u64),
    /// It is no earlier than this, such as when the firmware was built. A certificate that had expired by then is refused;
    /// one that was not yet valid then may be by now, and is not.
    NotBefore(u64),
}

/// Decides whether a server is who it should be. [`Authorities`] and [`Pins`] do; for other ways, write your own.
pub trait Trust {
    /// Whether `certificates` (DER, the server's own first, at most [`CHAIN_MAX`]) are those of `server`. That the server has
    /// the key is found out afterwards.
    ///
    /// # Errors
    /// What is wrong, with the alert that says so on the wire.
    fn judge(&self, certificates: &[&[u8]], server: ServerName<'_>, time: Time) -> Result<()>;

    /// Whether `signature` (DER) is that of the P-256 key `point` (4, x, y) over the SHA-256 of `message`. For boards with a
    /// circuit for it.
    ///
    /// # Errors
    /// [`Code::BadCertificate`].
    fn check_signature(&self, point: &[u8; 65], message: &[u8], signature: &[u8]) -> Result<()> {
        verify_p256(point, message, signature)
            .map_err(|_| alert::telling(Code::BadCertificate, alert::DECRYPT_ERROR))
    }
}

/// A pinned key: the SHA-256 of its SubjectPublicKeyInfo (RFC 7469, 2.4).
///
/// `openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256` prints it.
pub type Pin = [u8; 32];

/// Servers whose own key is one of these. Who knows the key needs no authority: names and times do not matter.
#[derive(Clone, Copy, Debug)]
pub struct Pins<'a>(pub &'a [Pin]);

impl Trust for Pins<'_> {
    fn judge(&self, certificates: &[&[u8]], _: ServerName<'_>, _: Time) -> Result<()> {
        let own = certificates.first().ok_or_else(malformed)?;
        let key = Pin::from(Sha256::digest(der::key_info(own).ok_or_else(malformed)?));
        match self.0.contains(&key) {
            true => Ok(()),
            false => Err(alert::telling(Code::WrongPin, alert::CERTIFICATE_UNKNOWN)),
        }
    }
}

/// Servers for whose name one of these authorities vouches (RFC 5280, 6; RFC 9525), at this time, for serving.
///
/// Chains are checked by rustls's webpki: signatures, validity, basic constraints, name constraints, extended key usage. Keys
/// are P-256 with SHA-256, all of them: embedded-tls has no RSA without an allocator. Nothing is asked about revocation: let
/// certificates live for days, or pin.
#[derive(Clone, Copy, Debug)]
pub struct Authorities<'a> {
    roots: &'a [&'a [u8]],
    pins: Option<Pins<'a>>,
}

impl<'a> Authorities<'a> {
    /// Trusts `roots`: certificates of authorities, DER, usually in flash.
    pub const fn new(roots: &'a [&'a [u8]]) -> Self {
        Self { roots, pins: None }
    }

    /// Asks for one of these keys besides.
    pub const fn pinned(self, pins: &'a [Pin]) -> Self {
        Self { pins: Some(Pins(pins)), ..self }
    }

    /// Verifies at one time, against one authority after the other.
    fn verify(
        &self,
        own: &EndEntityCert<'_>,
        others: &[CertificateDer<'_>],
        at: u64,
    ) -> Result<(), webpki::Error> {
        let mut answer = Err(webpki::Error::UnknownIssuer);
        let time = UnixTime::since_unix_epoch(core::time::Duration::from_secs(at));
        for root in self.roots {
            let root = CertificateDer::from(*root);
            let anchor = [anchor_from_trusted_cert(&root)?];
            let usage = KeyUsage::server_auth();
            match own.verify_for_usage(&[&EcdsaP256], &anchor, others, time, usage, None, None) {
                Ok(_) => return Ok(()),
                // Says least: another one's answer is better.
                Err(webpki::Error::UnknownIssuer) => {}
                Err(error) => answer = Err(error),
            }
        }
        answer
    }

    fn verify_since(
        &self,
        own: &EndEntityCert<'_>,
        others: &[CertificateDer<'_>],
        mut floor: u64,
    ) -> Result<(), webpki::Error> {
        // Each certificate of the chain can move the time on once.
        for _ in 0..CHAIN_MAX {
            match self.verify(own, others, floor) {
                Err(webpki::Error::CertNotValidYet { not_before, .. }) => floor = not_before.as_secs(),
                answer => return answer,
            }
        }
        self.verify(own, others, floor)
    }
}

impl Trust for Authorities<'_> {
    fn judge(&self, certificates: &[&[u8]], server: ServerName<'_>, time: Time) -> Result<()> {
        let (own, rest) = certificates.split_first().ok_or_else(malformed)?;
        let own = CertificateDer::from(*own);
        let own = EndEntityCert::try_from(&own).map_err(of_webpki)?;
        let mut others = [const { CertificateDer::from_slice(&[]) }; CHAIN_MAX];
        for (place, certificate) in others.iter_mut().zip(rest) {
            *place = CertificateDer::from(*certificate);
        }
        let others = &others[..rest.len().min(CHAIN_MAX)];
        match time {
            Time::Known(now) => self.verify(&own, others, now),
            Time::NotBefore(floor) => self.verify_since(&own, others, floor),
        }
        .map_err(of_webpki)?;
        own.verify_is_valid_for_subject_name(&pki_name(server)?).map_err(of_webpki)?;
        self.pins.map_or(Ok(()), |pins| pins.judge(certificates, server, time))
    }
}

fn pki_name(name: ServerName<'_>) -> Result<PkiName<'_>> {
    Ok(match name {
        ServerName::Dns(name) => {
            PkiName::DnsName(DnsName::try_from(name).map_err(|_| Error::new(Code::InvalidAddress))?)
        }
        ServerName::Address(IpAddr::V4(address)) => Ipv4Addr::from(address.octets()).into(),
        ServerName::Address(IpAddr::V6(address)) => Ipv6Addr::from(address.segments()).into(),
    })
}

fn malformed() -> Error {
    alert::telling(Code::BadCertificate, alert::BAD_CERTIFICATE)
}

fn of_webpki(error: webpki::Error) -> Error {
    use webpki::Error as Pki;
    let (code, alert) = match error {
        Pki::CertExpired { .. } => (Code::CertificateExpired, alert::CERTIFICATE_EXPIRED),
        // RFC 8446, 6.2: "expired or is not currently valid".
        Pki::CertNotValidYet { .. } => (Code::CertificateNotYetValid, alert::CERTIFICATE_EXPIRED),
        Pki::UnknownIssuer => (Code::UnknownAuthority, alert::UNKNOWN_CA),
        Pki::CertNotValidForName(_) => (Code::WrongName, alert::BAD_CERTIFICATE),
        Pki::RequiredEkuNotFoundContext(_) | Pki::EmptyEkuExtension | Pki::CaUsedAsEndEntity => {
            (Code::WrongUsage, alert::UNSUPPORTED_CERTIFICATE)
        }
        Pki::UnsupportedSignatureAlgorithmContext(_)
        | Pki::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            let error = alert::telling(Code::Unsupported, alert::UNSUPPORTED_CERTIFICATE);
            return error.blame(Fault::Local);
        }
        _ => (Code::BadCertificate, alert::BAD_CERTIFICATE),
    };
    alert::telling(code, alert)
}

/// ECDSA with P-256 and SHA-256, for webpki.
#[derive(Debug)]
struct EcdsaP256;

impl SignatureVerificationAlgorithm for EcdsaP256 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let point = key.try_into().map_err(|_| InvalidSignature)?;
        verify_p256(point, message, signature).map_err(|_| InvalidSignature)
    }
}

fn verify_p256(point: &[u8; 65], message: &[u8], signature: &[u8]) -> Result<(), p256::ecdsa::Error> {
    VerifyingKey::from_sec1_bytes(point)?.verify(message, &DerSignature::from_bytes(signature)?)
}
