//! What a session has done.

use crate::platform::PathStats;
use crate::time::{Duration, Instant};

/// What a session has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// What came.
    pub received: Traffic,
    /// What went: bytes the transport has taken, messages queued.
    pub sent: Traffic,
    /// When the session was opened.
    pub opened_at: Instant,
    /// When bytes last came or the application last took an event or sent a message; now, if it has since the session
    /// last waited.
    pub progress_at: Instant,
    /// How long the peer's last answer to a keep-alive took, if the protocol has such a thing (a WebSocket ping) and
    /// one was sent; otherwise the [path](Self::path)'s, if the transport measures it.
    pub round_trip: Option<Duration>,
    /// The way to the peer, if the transport measures it: that of a stream of QUIC is its connection's, shared with all
    /// other streams.
    pub path: Option<PathStats>,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Traffic {
    /// Bytes on the transport, framing and all.
    pub bytes: u64,
    /// Events handed out, or messages accepted.
    pub messages: u64,
}
