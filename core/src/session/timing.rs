//! When a session must act if nothing happens. Pure: moments in, a moment out.
//!
//! The clock is asked once per wait, not once per read: what happened since the last wait is remembered as
//! flags and dated when the session next waits.

use super::SHORT_WAYS;
use crate::options::Timeouts;
use crate::platform::Clock;
use crate::time::{Duration, Instant};

/// A session's time-outs as it keeps them: a quarter of the size of [`Timeouts`], and cheaper to add.
#[derive(Clone, Copy)]
pub(super) struct Spans {
    pub(super) idle: Span,
    pub(super) keep_alive: Span,
    pub(super) message: Span,
    pub(super) write_stall: Span,
    pub(super) closing: Span,
}

impl From<Timeouts> for Spans {
    fn from(timeouts: Timeouts) -> Self {
        let Timeouts { idle, keep_alive, message, write_stall, closing } = timeouts;
        Self {
            idle: idle.into(),
            // Not at once and for ever.
            keep_alive: keep_alive.max(Duration::from_millis(1)).into(),
            message: message.into(),
            write_stall: write_stall.into(),
            closing: closing.into(),
        }
    }
}

/// Milliseconds, rounded up; more than 49 days are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(u32);

impl Span {
    /// Not by way of `Duration`, which divides.
    fn micros(self) -> u64 {
        u64::from(self.0) * 1000
    }
}

impl From<Duration> for Span {
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn from(duration: Duration) -> Self {
        let fraction = duration.subsec_nanos().div_ceil(1_000_000);
        // In 32 bits, which is all it comes to.
        let whole = u32::try_from(duration.as_secs()).ok().and_then(|seconds| seconds.checked_mul(1000));
        Self(whole.and_then(|millis| millis.checked_add(fraction)).unwrap_or(u32::MAX))
    }
}

impl core::ops::Add<Span> for Instant {
    type Output = Self;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn add(self, span: Span) -> Self {
        match span.0 {
            u32::MAX => Self::NEVER,
            _ => Self::from_micros(self.as_micros().saturating_add(span.micros())),
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Timing {
    /// Bytes came, or the application did something, since the last wait.
    moved: bool,
    /// Bytes came since the last wait.
    heard: bool,
    quiet_since: Instant,
    kept_alive_at: Instant,
    /// A unit has begun and is not complete; `NEVER` if none has. At the session's end, when that must be over, which
    /// no unit begins behind.
    unit_since: Instant,
    /// The transport took nothing since then; `NEVER` if it takes.
    stalled_since: Instant,
    /// No storage was to be had since then; `NEVER` if there was.
    starved_since: Instant,
    /// The moment last found to have passed: its low 32 bits.
    overdue: u32,
}

/// What a wait is for, and so what can end it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// For input, or for the transport to take output.
    Receive {
        /// Part of a unit has arrived.
        partial: bool,
    },
    /// For the transport only.
    Send,
    /// For the application, which waits elsewhere.
    During,
}

/// What must be done when a moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    KeepAlive,
    Idle,
    MessageTimeout,
    WriteStalled,
    BuffersExhausted,
}

impl Timing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            moved: false,
            heard: false,
            quiet_since: now,
            kept_alive_at: now,
            unit_since: Instant::NEVER,
            stalled_since: Instant::NEVER,
            starved_since: Instant::NEVER,
            overdue: Instant::NEVER.as_micros() as u32,
        }
    }

    /// Bytes came from the peer.
    pub(super) fn heard(&mut self) {
        (self.moved, self.heard) = (true, true);
    }

    /// The application took an event or queued a message.
    pub(super) fn moved(&mut self) {
        self.moved = true;
        self.starved_since = Instant::NEVER;
    }

    /// A unit is complete.
    pub(super) fn unit_ended(&mut self) {
        self.unit_since = Instant::NEVER;
    }

    /// The session ends: by when that must be over is set when this is first said.
    pub(super) fn ends(&mut self, closing: Span, now: impl FnOnce() -> Instant) {
        if self.unit_since == Instant::NEVER {
            self.unit_since = now() + closing;
        }
    }

    /// When the end must be over.
    pub(super) fn end_by(&self) -> Instant {
        self.unit_since
    }

    /// The transport took bytes, or has none to take.
    pub(super) fn unstalled(&mut self) {
        self.stalled_since = Instant::NEVER;
    }

    /// Storage was had.
    pub(super) fn fed(&mut self) {
        self.starved_since = Instant::NEVER;
    }

    /// Whether storage is waited for.
    pub(super) fn is_starved(&self) -> bool {
        self.starved_since != Instant::NEVER
    }

    /// There is no storage: since when.
    pub(super) fn starved(&mut self, now: impl FnOnce() -> Instant) -> Instant {
        if self.starved_since == Instant::NEVER {
            self.starved_since = now();
        }
        self.starved_since
    }

    /// When bytes last came or the application last did something, as of the last wait.
    pub(super) fn quiet_since(&self, now: impl FnOnce() -> Instant) -> Instant {
        if self.moved { now() } else { self.quiet_since }
    }

    /// The session waits: dates what happened, and tells what is due next, and when.
    /// `stalled` is whether output waits for the transport.
    pub(super) fn next(
        &mut self,
        wait: Wait,
        stalled: bool,
        pings: bool,
        spans: &Spans,
        clock: &impl Clock,
    ) -> (Instant, Due) {
        let begun = matches!(wait, Wait::Receive { partial: true }) && self.unit_since == Instant::NEVER;
        let stalls = stalled && self.stalled_since == Instant::NEVER;
        if self.moved || begun || stalls {
            // What begins now is dated exactly; silence need not be.
            let now = if begun || stalls { clock.now() } else { clock.recently() };
            if self.moved {
                self.quiet_since = now;
            }
            if self.heard {
                self.kept_alive_at = now;
            }
            if begun {
                self.unit_since = now;
            }
            if stalls {
                self.stalled_since = now;
            }
            (self.moved, self.heard) = (false, false);
        }
        if SHORT_WAYS
            && wait == (Wait::Receive { partial: false })
            && !stalled
            && !pings
            && !self.is_starved()
        {
            return (self.quiet_since + spans.idle, Due::Idle);
        }
        let mut next = (Instant::NEVER, Due::WriteStalled);
        let mut consider = |at: Instant, due| {
            if at < next.0 {
                next = (at, due);
            }
        };
        if stalled {
            consider(self.stalled_since + spans.write_stall, Due::WriteStalled);
        }
        if let Wait::Receive { partial } = wait {
            if self.starved_since != Instant::NEVER {
                consider(self.starved_since + spans.write_stall, Due::BuffersExhausted);
            }
            consider(self.quiet_since + spans.idle, Due::Idle);
            if partial {
                consider(self.unit_since + spans.message, Due::MessageTimeout);
            }
        }
        if pings && wait != Wait::Send {
            consider(self.kept_alive_at + spans.keep_alive, Due::KeepAlive);
        }
        next
    }

    /// Whether `at` is found to have passed for the first time.
    pub(super) fn first_time(&mut self, at: Instant) -> bool {
        let at = at.as_micros() as u32;
        core::mem::replace(&mut self.overdue, at) != at
    }

    pub(super) fn kept_alive(&mut self, now: Instant) {
        self.kept_alive_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::{Context, Poll};

    const QUIET: Wait = Wait::Receive { partial: false };
    const PARTIAL: Wait = Wait::Receive { partial: true };

    fn spans() -> Spans {
        Timeouts::DEFAULT.into()
    }
    fn seconds(n: u64) -> Instant {
        Instant::from_micros(n * 1_000_000)
    }

    struct At(Instant);
    impl Clock for At {
        fn now(&self) -> Instant {
            self.0
        }
        fn poll_until(&mut self, _: Instant, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    struct Unasked;
    impl Clock for Unasked {
        fn now(&self) -> Instant {
            panic!("the clock was asked although nothing happened")
        }
        fn poll_until(&mut self, _: Instant, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    #[test]
    fn spans_round_up_and_saturate() {
        assert_eq!(Span::from(Duration::from_micros(1)), Span(1));
        assert_eq!(Span::from(Duration::new(2, 3_000_001)), Span(2_004));
        assert_eq!(seconds(1) + Span::from(Duration::MAX), Instant::NEVER);
        assert_eq!(seconds(1) + Span(1500), Instant::from_micros(2_500_000));
    }

    #[test]
    fn silence_ends_in_idle_and_is_interrupted_by_keep_alives() {
        let t = spans();
        let mut timing = Timing::new(seconds(0));
        assert_eq!(timing.next(QUIET, false, false, &t, &Unasked), (seconds(300), Due::Idle));
        assert_eq!(timing.next(QUIET, false, true, &t, &Unasked), (seconds(30), Due::KeepAlive));
        timing.kept_alive(seconds(30));
        assert_eq!(timing.next(QUIET, false, true, &t, &Unasked), (seconds(60), Due::KeepAlive));
        timing.heard();
        assert_eq!(timing.next(QUIET, false, true, &t, &At(seconds(40))), (seconds(70), Due::KeepAlive));
        assert_eq!(timing.next(QUIET, false, false, &t, &Unasked), (seconds(340), Due::Idle));
    }

    #[test]
    fn a_byte_a_minute_does_not_keep_a_message_open() {
        let t = Spans { idle: Duration::from_secs(100).into(), ..spans() };
        let mut timing = Timing::new(seconds(0));
        timing.heard();
        assert_eq!(
            timing.next(PARTIAL, false, false, &t, &At(seconds(10))),
            (seconds(70), Due::MessageTimeout)
        );
        timing.heard();
        assert_eq!(
            timing.next(PARTIAL, false, false, &t, &At(seconds(60))),
            (seconds(70), Due::MessageTimeout)
        );
        timing.unit_ended();
        assert_eq!(
            timing.next(PARTIAL, false, false, &t, &At(seconds(65))),
            (seconds(125), Due::MessageTimeout)
        );
    }

    #[test]
    fn a_stall_counts_from_when_the_transport_stopped_taking() {
        let t = spans();
        let mut timing = Timing::new(seconds(0));
        assert_eq!(
            timing.next(Wait::Send, true, true, &t, &At(seconds(500))),
            (seconds(530), Due::WriteStalled)
        );
        assert_eq!(timing.next(Wait::Send, true, true, &t, &Unasked), (seconds(530), Due::WriteStalled));
        timing.unstalled();
        assert_eq!(
            timing.next(Wait::Send, true, true, &t, &At(seconds(520))),
            (seconds(550), Due::WriteStalled)
        );
        assert_eq!(timing.next(Wait::During, false, false, &t, &Unasked).0, Instant::NEVER);
    }
}
