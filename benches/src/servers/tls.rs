//! Who answers messages over TLS.
//!
//! All have a certificate of the same kind (ECDSA by P-256, by nobody vouched for) and give a client one ticket, which
//! holds the session: so they remember nothing.

pub mod netloom;
pub mod tokio_rustls;

use std::io;
use std::path::Path;
use std::sync::LazyLock;

use clap::ValueEnum;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use super::{Contender, http, nginx};

/// Bytes of a large message.
pub const LARGE: usize = 64 * 1024;
/// A message of so many bytes asks for a large one.
pub const ASKING: usize = 4;
/// Where an HTTP server has as many bytes.
pub const LARGE_PATH: &str = "/large";
/// What all certificates are for.
pub const NAME: &str = "localhost";

static LARGE_MESSAGE: LazyLock<Vec<u8>> = LazyLock::new(|| payload(LARGE));

/// A server over TLS, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Ours.
    Netloom,
    /// tokio-rustls with tokio-util's length-delimited codec, the stream forwarded to the sink.
    TokioRustls,
    /// nginx, if it is installed: HTTP, by OpenSSL.
    Nginx,
}

impl Peer {
    /// Whether it can run here.
    pub fn is_installed(self) -> bool {
        self != Self::Nginx || nginx::program().is_some()
    }
}

impl Contender for Peer {
    const PROTOCOL: &'static str = "tls";
    const REFERENCE: Self = Self::TokioRustls;

    fn serve(self) -> io::Result<()> {
        match self {
            Self::Netloom => netloom::serve(),
            Self::TokioRustls => tokio_rustls::serve(),
            Self::Nginx => serve_nginx(),
        }
    }
}

/// How a framed message is answered: by a large one if it asks for one, not at all if it is large, else by itself.
fn answer(message: &[u8]) -> Answer {
    match message.len() {
        ASKING => Answer::Large(&LARGE_MESSAGE),
        LARGE.. => Answer::None,
        _ => Answer::Echo,
    }
}

enum Answer {
    None,
    Echo,
    Large(&'static [u8]),
}

/// Bytes that do not repeat within a thousand.
pub fn payload(size: usize) -> Vec<u8> {
    (0..size as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A certificate that is made on the spot.
pub fn certified() -> io::Result<CertifiedKey<KeyPair>> {
    generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)
}

fn serve_nginx() -> io::Result<()> {
    let CertifiedKey { cert, signing_key } = certified()?;
    let server = |address, files: &Path| {
        let files = files.display();
        format!(
            "listen {address} ssl;
ssl_certificate {files}/certificate.pem;
ssl_certificate_key {files}/key.pem;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_conf_command NumTickets 1;
open_file_cache max=10;
root {files};
location = /plaintext {{ return 200 \"{}\"; }}
location = {LARGE_PATH} {{ }}",
            http::BODY
        )
    };
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let files = [
        ("certificate.pem", certificate.as_bytes()),
        ("key.pem", key.as_bytes()),
        (LARGE_PATH.trim_start_matches('/'), LARGE_MESSAGE.as_slice()),
    ];
    nginx::serve(server, &files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_answered_after_its_length() {
        assert!(matches!(answer(&[0; 64]), Answer::Echo));
        assert!(matches!(answer(&[0; ASKING]), Answer::Large(large) if large.len() == LARGE));
        assert!(matches!(answer(&LARGE_MESSAGE), Answer::None));
    }
}
