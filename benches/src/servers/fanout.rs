//! Who tells many what one says.

pub mod bare;
pub mod netloom;
pub mod tungstenite;

use std::io;

use clap::ValueEnum;

use super::Contender;

/// Where members go, who are told.
pub const MEMBER: &str = "/member";
/// Where goes who speaks.
pub const SPEAKER: &str = "/speaker";

/// A server that sends the WebSocket messages of a speaker to all members, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Writes what it read to one socket after another, and knows no messages: the limit.
    Bare,
    /// Our hub.
    Netloom,
    /// tokio-tungstenite, members told by a broadcast channel of tokio's.
    Tungstenite,
}

impl Contender for Peer {
    const PROTOCOL: &'static str = "fanout";
    const REFERENCE: Self = Self::Bare;

    fn serve(self) -> io::Result<()> {
        match self {
            Self::Bare => bare::serve(),
            Self::Netloom => netloom::serve(),
            Self::Tungstenite => tungstenite::serve(),
        }
    }
}
