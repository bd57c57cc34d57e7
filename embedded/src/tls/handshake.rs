//! The handshake (RFC 8446, 2 to 4): made by embedded-tls, over our records, with our verifier.

use core::cell::Cell;
use core::future::poll_fn;

use embedded_tls::{
    Certificate, CertificateEntryRef, CertificateRef, CertificateVerifyRef, CryptoProvider,
    MaxFragmentLength, SignatureScheme, TlsConfig as Settings, TlsConnection, TlsContext, TlsError,
    TlsVerifier,
};
use netloom_core::{Code, Error, Fault, Result, Transport};
use p256::ecdsa::signature::{self, Signer};
use rand_core::CryptoRngCore;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::config::{ServerProof, TlsConfig};
use super::identity::{Identity, SIGNATURE_MAX};
use super::record::{CONTENT_MAX, Keys, record};
use super::suite::{SECRET, Suite};
use super::trust::{CHAIN_MAX, ServerName, Trust};
use super::wire::{Proof, Wanted, Wire};
use super::{alert, der};

/// RFC 8446, 4.4.3: what a server signs is 64 blanks, this and the transcript's hash.
const CONTEXT: &[u8; 34] = b"TLS 1.3, server CertificateVerify\0";

/// Shakes hands. Answers the keys to receive and to send with.
///
/// # Errors
/// Those of [`Tls::connect`](super::Tls::connect). The peer has been told.
pub(super) async fn shake<T: Transport>(
    transport: &mut T,
    config: &TlsConfig<'_>,
    rng: &mut dyn CryptoRngCore,
    rx: &mut [u8],
    tx: &mut [u8],
) -> Result<(Keys, Keys)> {
    let (proof, asking) = (Cell::new(Proof::Nothing), Cell::new(false));
    let (wanted, trust) = match config.proof {
        ServerProof::Certificate(trust) => (Wanted::Signature, Some(trust)),
        ServerProof::PreSharedKey { .. } => (Wanted::PreSharedKey, None),
    };
    let settings = settings(config, rx.len());
    let (clear, sealed) = tx.split_at_mut(tx.len() / 2);
    let mut wire = Wire::new(transport, sealed, rx.len(), wanted, &proof, &asking);
    let judge = Judge { config, trust, proof: &proof, point: [0; 65], transcript: [0; 32] };
    let provider = Provider { rng, judge, identity: config.identity };
    let mut received = [0; SECRET];
    let opened = {
        let mut tls = TlsConnection::<_, Suite>::new(&mut wire, rx, clear);
        match tls.open(TlsContext::new(&settings, provider)).await {
            Ok(()) => {
                asking.set(true);
                exchange(&mut tls, &mut received).await
            }
            failed => failed,
        }
    };
    if let Err(error) = opened {
        let failure = wire.failure(|encrypted| of_embedded_tls(error, encrypted));
        if failure.tell {
            // It is as well to be rid of a peer that takes no alerts.
            let _ = wire.tell(failure.error).await;
        }
        drop(wire);
        // A transport that is dropped may forget what it has not delivered.
        let _ = poll_fn(|cx| transport.poll_finish(cx)).await;
        return Err(failure.error);
    }
    let (key, iv) = received.split_at(16);
    let keys = match (key.try_into(), iv.try_into(), wire.told()) {
        (Ok(key), Ok(iv), Some(write)) => Ok((Keys::new(key, iv), write)),
        _ => Err(Code::Unsupported.into()),
    };
    received.zeroize();
    keys
}

/// Has embedded-tls tell its keys (see [`suite`](super::suite)): the one it sends with to the wire, the one it receives with
/// here.
async fn exchange<S>(
    tls: &mut TlsConnection<'_, S, Suite>,
    received: &mut [u8; SECRET],
) -> Result<(), TlsError>
where
    S: embedded_io_async::Read + embedded_io_async::Write,
{
    tls.write(&[0]).await?;
    tls.flush().await?;
    match tls.read(received).await? {
        SECRET => Ok(()),
        _ => Err(TlsError::InternalError),
    }
}

fn settings<'a>(config: &TlsConfig<'a>, room: usize) -> Settings<'a> {
    let mut settings = Settings::new();
    // RFC 6066, 3: addresses are not sent.
    if let ServerName::Dns(name) = config.server {
        settings = settings.with_server_name(name);
    }
    if let ServerProof::PreSharedKey { identity, key } = config.proof {
        settings = settings.with_psk(key, &[identity]);
    }
    // RFC 6066, 4.
    let fragment = match room {
        _ if room >= record(CONTENT_MAX) => return settings,
        _ if room >= record(4096) => MaxFragmentLength::Bits12,
        _ if room >= record(2048) => MaxFragmentLength::Bits11,
        _ if room >= record(1024) => MaxFragmentLength::Bits10,
        _ => MaxFragmentLength::Bits9,
    };
    settings.with_max_fragment_length(fragment)
}

/// What embedded-tls says went wrong, with the alert for it.
fn of_embedded_tls(error: TlsError, encrypted: bool) -> Error {
    let (code, alert) = match error {
        TlsError::CryptoError => (Code::BadRecord, alert::BAD_RECORD_MAC),
        // Its Finished was wrong.
        TlsError::InvalidSignature => (Code::HandshakeFailed, alert::DECRYPT_ERROR),
        TlsError::AbortHandshake(_, alert) => (Code::HandshakeFailed, alert as u8),
        TlsError::InsufficientSpace | TlsError::EncodeError | TlsError::InvalidApplicationData => {
            return alert::telling(Code::BufferFull, alert::INTERNAL_ERROR).blame(Fault::Local);
        }
        // Its hello has no key share of ours in it: it speaks another version or asks for another hello.
        _ if !encrypted => (Code::HandshakeFailed, alert::ILLEGAL_PARAMETER),
        TlsError::InvalidKeyShare => (Code::HandshakeFailed, alert::ILLEGAL_PARAMETER),
        TlsError::Unimplemented | TlsError::InvalidHandshake | TlsError::InvalidRecord => {
            (Code::ProtocolViolation, alert::UNEXPECTED_MESSAGE)
        }
        _ => (Code::BadRecord, alert::DECODE_ERROR),
    };
    alert::telling(code, alert)
}

/// What embedded-tls asks us for.
struct Provider<'a> {
    rng: &'a mut dyn CryptoRngCore,
    judge: Judge<'a>,
    identity: Option<&'a dyn Identity>,
}

impl CryptoProvider for Provider<'_> {
    type CipherSuite = Suite;
    type Signature = Signature;

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut *self.rng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Suite>, TlsError> {
        Ok(&mut self.judge)
    }

    fn signer(&mut self) -> Result<(impl signature::SignerMut<Signature>, SignatureScheme), TlsError> {
        let identity = self.identity.ok_or(TlsError::InvalidPrivateKey)?;
        Ok((Pen { identity, proof: self.judge.proof }, SignatureScheme::EcdsaSecp256r1Sha256))
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        self.identity.map(|identity| Certificate::X509(identity.certificate()))
    }
}

/// Decides whether the server is who it should be. What it finds is for the wire: embedded-tls goes on, so that the alert can
/// be encrypted with the keys that it makes in the end.
struct Judge<'a> {
    config: &'a TlsConfig<'a>,
    /// `None`: nothing may be shown.
    trust: Option<&'a dyn Trust>,
    proof: &'a Cell<Proof>,
    /// The key of the certificate that was shown.
    point: [u8; 65],
    /// The hash of everything up to that certificate.
    transcript: [u8; 32],
}

impl Judge<'_> {
    fn note(&self, found: Result<Proof>) {
        self.proof.set(found.unwrap_or_else(Proof::Failed));
    }

    /// RFC 8446, 4.4.2.4.
    fn certificate(&mut self, message: &CertificateRef<'_>) -> Result<Proof> {
        let (Some(trust), Proof::Nothing) = (self.trust, self.proof.get()) else { return Err(unexpected()) };
        let mut chain: [&[u8]; CHAIN_MAX] = [&[]; CHAIN_MAX];
        let mut len = 0;
        for (place, entry) in chain.iter_mut().zip(&message.entries) {
            let CertificateEntryRef::X509(certificate) = entry else { return Err(unexpected()) };
            *place = certificate;
            len += 1;
        }
        // RFC 8446, 4.4.2.4: an empty one is a decode_error.
        let own = message.entries.first().map(|_| chain[0]);
        let own = own.ok_or(alert::telling(Code::CertificateRequired, alert::DECODE_ERROR))?;
        let key = der::key_info(own);
        let key = key.ok_or(alert::telling(Code::BadCertificate, alert::BAD_CERTIFICATE))?;
        trust.judge(&chain[..len], self.config.server, self.config.time)?;
        self.point = *der::p256_point(key).ok_or(unsupported())?;
        Ok(Proof::Shown)
    }

    /// RFC 8446, 4.4.3.
    fn signature(&self, message: &CertificateVerifyRef<'_>) -> Result<Proof> {
        let (Some(trust), Proof::Shown) = (self.trust, self.proof.get()) else { return Err(unexpected()) };
        if message.signature_scheme != SignatureScheme::EcdsaSecp256r1Sha256 {
            return Err(unsupported());
        }
        let mut signed = [b' '; 64 + CONTEXT.len() + 32];
        signed[64..64 + CONTEXT.len()].copy_from_slice(CONTEXT);
        signed[64 + CONTEXT.len()..].copy_from_slice(&self.transcript);
        trust.check_signature(&self.point, &signed, message.signature)?;
        Ok(Proof::Given)
    }
}

impl TlsVerifier<Suite> for Judge<'_> {
    fn set_hostname_verification(&mut self, _: &str) -> Result<(), TlsError> {
        Ok(()) // it is in the configuration
    }

    fn verify_certificate(
        &mut self,
        transcript: &Sha256,
        certificate: CertificateRef,
    ) -> Result<(), TlsError> {
        if !matches!(self.proof.get(), Proof::Failed(_)) {
            let found = self.certificate(&certificate);
            self.note(found);
            self.transcript = transcript.clone().finalize().into();
        }
        Ok(())
    }

    fn verify_signature(&mut self, message: CertificateVerifyRef) -> Result<(), TlsError> {
        if !matches!(self.proof.get(), Proof::Failed(_)) {
            self.note(self.signature(&message));
        }
        Ok(())
    }
}

fn unexpected() -> Error {
    alert::telling(Code::ProtocolViolation, alert::UNEXPECTED_MESSAGE)
}

fn unsupported() -> Error {
    alert::telling(Code::Unsupported, alert::UNSUPPORTED_CERTIFICATE).blame(Fault::Local)
}

/// A signature for embedded-tls.
struct Signature {
    bytes: [u8; SIGNATURE_MAX],
    len: usize,
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Signs for embedded-tls, which does not want to hear that it cannot be done.
struct Pen<'a> {
    identity: &'a dyn Identity,
    proof: &'a Cell<Proof>,
}

impl Signer<Signature> for Pen<'_> {
    fn try_sign(&self, message: &[u8]) -> Result<Signature, signature::Error> {
        let mut bytes = [0; SIGNATURE_MAX];
        let len = self.identity.sign(message, &mut bytes).unwrap_or_else(|error| {
            self.proof.set(Proof::Failed(error.on_wire(alert::INTERNAL_ERROR.into())));
            0
        });
        Ok(Signature { bytes, len })
    }
}
