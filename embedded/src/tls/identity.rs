//! Who the client is, for servers that ask (mutual TLS).

use netloom_core::{Code, Result};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};

use super::der;

/// The longest signature: DER of two numbers of 32 bytes.
pub const SIGNATURE_MAX: usize = 72;

/// A certificate, and the P-256 key to it: [`ClientKey`], or a chip that keeps the key to itself.
pub trait Identity {
    /// The certificate, DER. Only one can be shown; let its authority be one that servers know.
    fn certificate(&self) -> &[u8];

    /// Signs the SHA-256 of `message`. Answers the signature's length, DER.
    ///
    /// # Errors
    /// Whatever keeps the key from signing; the handshake then ends with it.
    fn sign(&self, message: &[u8], signature: &mut [u8; SIGNATURE_MAX]) -> Result<usize>;
}

/// A certificate and a key that are in memory.
pub struct ClientKey<'a> {
    certificate: &'a [u8],
    key: SigningKey,
}

impl<'a> ClientKey<'a> {
    /// A certificate, DER, and its P-256 key: PKCS #8 or SEC 1, DER.
    ///
    /// # Errors
    /// [`Code::Unsupported`]: not such a key.
    pub fn new(certificate: &'a [u8], key: &[u8]) -> Result<Self> {
        let secret = der::p256_secret(key).ok_or(Code::Unsupported)?;
        let key = SigningKey::from_slice(secret).map_err(|_| Code::Unsupported)?;
        Ok(Self { certificate, key })
    }
}

impl Identity for ClientKey<'_> {
    fn certificate(&self) -> &[u8] {
        self.certificate
    }

    fn sign(&self, message: &[u8], signature: &mut [u8; SIGNATURE_MAX]) -> Result<usize> {
        let signed: DerSignature = self.key.try_sign(message).map_err(|_| Code::Unsupported)?;
        let signed = signed.as_bytes();
        signature.get_mut(..signed.len()).ok_or(Code::BufferFull)?.copy_from_slice(signed);
        Ok(signed.len())
    }
}
