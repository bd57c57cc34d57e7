//! The limits and time-outs of a session. Every one has a default and a reason.

use crate::time::Duration;

/// How a session behaves; the same on every host.
///
/// ```
/// use netloom_core::{Duration, Options, Timeouts};
///
/// let options = Options {
///     message_max: 64 * 1024,
///     timeouts: Timeouts { idle: Duration::from_secs(30), ..Timeouts::DEFAULT },
///     ..Options::DEFAULT
/// };
/// assert_eq!(options.timeouts.closing, Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most bytes of one received message; a longer one ends the session with
    /// [`Code::MessageTooLarge`](crate::Code::MessageTooLarge). Default 1 MiB. The receive queue may be
    /// smaller, on boards it is, and then sets the limit.
    pub message_max: usize,
    /// How long a session waits for what.
    pub timeouts: Timeouts,
    /// Whether the session itself reads on, after its goodbye, until the peer ends too; TCP would otherwise throw the
    /// goodbye away. Default yes. A host that does so elsewhere, as boards do, says no and has the session back sooner.
    pub lingers: bool,
}

impl Options {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self { message_max: 1024 * 1024, timeouts: Timeouts::DEFAULT, lingers: true };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How long a session waits: in whole milliseconds, rounded up. `Duration::MAX`, or anything above 49 days, is for
/// ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Without a byte from the peer or a message from the application, the session ends in order, with
    /// [`CloseReason::Idle`](crate::CloseReason::Idle). Default 5 minutes.
    pub idle: Duration,
    /// Without a byte from the peer the codec says something that a living peer answers (a WebSocket ping);
    /// again after each further such time. Codecs that have no such thing say nothing. Default 30 s.
    pub keep_alive: Duration,
    /// From a message's first byte to its last; a peer that sends a byte a minute ends here, with
    /// [`Code::MessageTimeout`](crate::Code::MessageTimeout). Default 60 s.
    pub message: Duration,
    /// Without the peer taking a byte while some are queued, the session ends with
    /// [`Code::WriteStalled`](crate::Code::WriteStalled). Also how long it waits for buffers, when all are lent out,
    /// before [`Code::BuffersExhausted`](crate::Code::BuffersExhausted). Default 30 s.
    pub write_stall: Duration,
    /// For the end: to say goodbye and to read until the peer ends too. Then the connection is cut.
    /// Default 5 s.
    pub closing: Duration,
}

impl Timeouts {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_secs(300),
        keep_alive: Duration::from_secs(30),
        message: Duration::from_secs(60),
        write_stall: Duration::from_secs(30),
        closing: Duration::from_secs(5),
    };
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}
