//! Who echoes length-prefixed messages over TCP.

use std::io;

use clap::ValueEnum;

use super::{Contender, framed, netloom, raw};

/// A server that echoes frames: a four-byte big-endian length, then that many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Writes what it read, knowing no frames: the limit.
    Raw,
    /// Our framing and sessions.
    Netloom,
    /// tokio-util's length-delimited codec, the stream forwarded to the sink: writes when no frame is left.
    Forward,
    /// tokio-util's length-delimited codec, each message sent by itself: writes once per message.
    Send,
}

impl Contender for Peer {
    const PROTOCOL: &'static str = "tcp";
    const REFERENCE: Self = Self::Raw;

    fn serve(self) -> io::Result<()> {
        match self {
            Self::Raw => raw::serve(),
            Self::Netloom => netloom::serve(),
            Self::Forward => framed::serve_forward(),
            Self::Send => framed::serve_send(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_others_are_divided_by_is_always_chosen() {
        assert_eq!(Peer::chosen(&[Peer::Send]), [Peer::Raw, Peer::Send]);
        assert_eq!(Peer::chosen(&[]), Peer::value_variants());
    }
}
