//! Which ciphers are taken.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, SupportedCipherSuite};

use super::identity::provider;

/// What encrypts a connection (RFC 8446, B.4; in TLS 1.2 the suites with ECDHE that have it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cipher {
    /// AES-128-GCM: the fastest where the processor has AES, as nearly all of desktops and servers do.
    Aes128Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305: the fastest where it has not.
    ChaCha20Poly1305,
}

impl Cipher {
    fn of(suite: &SupportedCipherSuite) -> Option<Self> {
        match suite.suite() {
            CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Some(Self::Aes128Gcm),
            CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Some(Self::Aes256Gcm),
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }
}

/// The cryptography with these ciphers, the best first, or with all if none is named.
pub(super) fn provider_of(ciphers: &[Cipher]) -> Arc<CryptoProvider> {
    let all = provider();
    if ciphers.is_empty() {
        return all;
    }
    let of = |cipher: &Cipher| {
        let cipher = *cipher;
        all.cipher_suites.iter().copied().filter(move |suite| Cipher::of(suite) == Some(cipher))
    };
    let cipher_suites = ciphers.iter().flat_map(of).collect();
    Arc::new(CryptoProvider { cipher_suites, ..(*all).clone() })
}

/// What protects QUIC's first packets, whatever is agreed on then (RFC 9001, 5.2).
#[cfg(feature = "quic")]
pub(crate) fn initial() -> Option<rustls::quic::Suite> {
    let suites = provider();
    let mut suites = suites.cipher_suites.iter();
    suites.find(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256)?.tls13()?.quic_suite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cipher_is_had_in_both_versions_in_the_order_named() {
        let ciphers = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm, Cipher::Aes128Gcm];
        for few in [&ciphers[..1], &ciphers[1..], &ciphers[..]] {
            let suites = &provider_of(few).cipher_suites;
            assert_eq!(suites.len(), 3 * few.len());
            let mut found: Vec<_> = suites.iter().filter_map(Cipher::of).collect();
            assert_eq!(found.len(), suites.len());
            found.dedup();
            assert_eq!(found, few);
        }
        assert_eq!(provider_of(&[]).cipher_suites.len(), 9);
    }
}
