//! Who answers `GET /plaintext` over HTTP/1.1.

pub mod hyper;
pub mod netloom;
pub mod raw;

#[cfg(feature = "peers-http")]
pub mod actix;
#[cfg(feature = "peers-http")]
pub mod axum;
#[cfg(feature = "peers-http")]
pub mod may;
#[cfg(feature = "peers-http")]
pub mod picoserve;

use std::io;
use std::path::Path;

use clap::ValueEnum;

use super::{Contender, nginx};

/// What is asked for: the request of the TechEmpower benchmark, 169 bytes.
pub const REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\n\
    Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\n\
    Connection: keep-alive\r\n\r\n";
/// The body of every answer, as `text/plain`.
pub const BODY: &str = "Hello, World!";

/// Why the peers behind the feature are missing.
pub const LEFT_OUT: Option<&str> = match cfg!(feature = "peers-http") {
    true => None,
    false => Some("actix-web, axum, may_minihttp and picoserve are compared with --features peers-http"),
};

/// A server that answers `GET /plaintext` with 13 bytes of text, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Ours.
    Netloom,
    /// Counts the ends of heads and parses nothing: the limit.
    Raw,
    /// hyper alone, pipelined answers gathered in one write.
    Hyper,
    /// nginx, if it is installed.
    Nginx,
    /// axum, which serves by hyper.
    #[cfg(feature = "peers-http")]
    Axum,
    /// actix-web.
    #[cfg(feature = "peers-http")]
    Actix,
    /// may_minihttp: coroutines with stacks.
    #[cfg(feature = "peers-http")]
    May,
    /// picoserve, made for boards, on tokio.
    #[cfg(feature = "peers-http")]
    Picoserve,
}

impl Peer {
    /// Whether it can run here.
    pub fn is_installed(self) -> bool {
        self != Self::Nginx || nginx::program().is_some()
    }
}

impl Contender for Peer {
    const PROTOCOL: &'static str = "http";
    const REFERENCE: Self = Self::Hyper;

    fn serve(self) -> io::Result<()> {
        match self {
            Self::Netloom => netloom::serve(),
            Self::Raw => raw::serve(),
            Self::Hyper => hyper::serve(),
            Self::Nginx => {
                let server = |address, _: &Path| {
                    format!("listen {address}; location = /plaintext {{ return 200 \"{BODY}\"; }}")
                };
                nginx::serve(server, &[])
            }
            #[cfg(feature = "peers-http")]
            Self::Axum => axum::serve(),
            #[cfg(feature = "peers-http")]
            Self::Actix => actix::serve(),
            #[cfg(feature = "peers-http")]
            Self::May => may::serve(),
            #[cfg(feature = "peers-http")]
            Self::Picoserve => picoserve::serve(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_that_of_the_tables() {
        assert_eq!(REQUEST.len(), 169);
    }
}
