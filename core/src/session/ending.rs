//! How a session ends. This file holds every state and says what leads where.
//!
//! | state | what happens | next |
//! |---|---|---|
//! | `Open` | messages both ways | `Closing` by [`CloseReason`]; `Torn` when a large message is begun; `Ended` when the transport fails |
//! | `Torn` | a message larger than tx is on its way | `Open` when it is out; any other use: `Ended`, invalid_session |
//! | `Closing` | the codec's goodbye waits for room in tx | `Goodbye` |
//! | `Goodbye` | what is queued leaves, the goodbye last | `Finishing` |
//! | `Finishing` | the transport says that no more will be written | `Lingering`, or `Ended` if the peer has ended |
//! | `Lingering` | what the peer still sends is read and thrown away, or TCP would reset and the goodbye be lost | `Ended` when it ends too |
//! | `Ended` | nothing more | |
//!
//! From `Closing` to the end of `Lingering` it takes at most `Timeouts::closing`, and lingering reads at
//! most [`LINGER_MAX`] bytes; past either the transport is aborted.

use crate::error::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Torn,
    Closing(CloseReason),
    Goodbye(CloseReason),
    Finishing(CloseReason),
    Lingering(CloseReason),
    Ended(CloseReason),
}

/// A peer that still sends this much after our goodbye does not read it anyway.
pub(super) const LINGER_MAX: u32 = 1024 * 1024;

/// Why a session ended, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CloseReason {
    /// The application closed it.
    Local,
    /// The peer ended it in order, by a goodbye or by the end of the stream between two messages.
    Peer,
    /// Nothing was said for [`Timeouts::idle`](crate::Timeouts::idle).
    Idle,
    /// The host is shutting down.
    Shutdown,
    /// Something went wrong.
    Failed(Error),
}

impl CloseReason {
    /// What the codec tells the peer, and `receive` the application.
    pub const fn error(self) -> Option<Error> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl State {
    pub(super) fn reason(self) -> Option<CloseReason> {
        match self {
            Self::Open | Self::Torn => None,
            Self::Closing(reason)
            | Self::Goodbye(reason)
            | Self::Finishing(reason)
            | Self::Lingering(reason)
            | Self::Ended(reason) => Some(reason),
        }
    }
}
