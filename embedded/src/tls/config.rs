//! What a client asks of a handshake.

use super::identity::Identity;
use super::trust::{ServerName, Time, Trust};

/// What a client asks of a handshake. Made anew for each, because time passes.
#[derive(Clone, Copy)]
pub struct TlsConfig<'a> {
    /// What the server must be called.
    pub server: ServerName<'a>,
    /// How it proves that it is that server.
    pub proof: ServerProof<'a>,
    /// What is known of the time.
    pub time: Time,
    /// Who we are, if the server asks. Without one, an empty answer is given to it.
    pub identity: Option<&'a dyn Identity>,
}

/// How the server proves who it is.
#[derive(Clone, Copy)]
pub enum ServerProof<'a> {
    /// By a certificate that this trusts.
    Certificate(&'a dyn Trust),
    /// By knowing a key that both were given before (RFC 8446, 2.2), with ECDHE beside it. A server that does not know it, or
    /// wants to show a certificate instead, is refused.
    PreSharedKey {
        /// Which key it is, for the server: not a secret.
        identity: &'a [u8],
        /// The key: 32 random bytes, never a password.
        key: &'a [u8],
    },
}

impl<'a> TlsConfig<'a> {
    /// A client that knows its server by certificate.
    pub fn new(server: impl Into<ServerName<'a>>, trust: &'a dyn Trust, time: Time) -> Self {
        Self { server: server.into(), proof: ServerProof::Certificate(trust), time, identity: None }
    }

    /// A client that shares a key with its server.
    pub fn pre_shared(server: impl Into<ServerName<'a>>, identity: &'a [u8], key: &'a [u8]) -> Self {
        let proof = ServerProof::PreSharedKey { identity, key };
        Self { server: server.into(), proof, time: Time::NotBefore(0), identity: None }
    }

    /// The same, with an identity for servers that ask for one.
    pub fn identity(self, identity: &'a dyn Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }
}
