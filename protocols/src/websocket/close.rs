//! Close codes (RFC 6455, 7.4): which may be said, and which says what.

use netloom_core::{CloseReason, Code, Error};

/// The purpose is fulfilled.
pub const NORMAL: u16 = 1000;
/// The host stops, or the page was left.
pub const GOING_AWAY: u16 = 1001;
/// What no peer sends, and what tells that none was sent.
pub const NONE: u16 = 1005;
/// The peer should come again later (IANA's registry; used for who is too slow).
pub const TRY_AGAIN_LATER: u16 = 1013;

/// Whether a peer may send `code`: what is defined or registered, and what applications may use.
pub(super) const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What the peer is told when a session ends for `why`.
pub(super) fn code_for(why: CloseReason) -> u16 {
    match why {
        CloseReason::Local | CloseReason::Peer => NORMAL,
        CloseReason::Idle | CloseReason::Shutdown => GOING_AWAY,
        CloseReason::Failed(error) => code_of(error),
    }
}

pub(super) fn code_of(error: Error) -> u16 {
    match error.code() {
        _ if may_be_sent(error.wire()) => error.wire(),
        Code::ProtocolViolation => 1002,
        Code::InvalidText => 1007,
        Code::Rejected | Code::MessageTimeout => 1008,
        Code::MessageTooLarge => 1009,
        Code::ShuttingDown => GOING_AWAY,
        Code::TooManySessions | Code::TooManyFromAddress | Code::BuffersExhausted | Code::WriteStalled => {
            TRY_AGAIN_LATER
        }
        _ => 1011,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_are_reserved_or_not_assigned_are_not_sent() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!may_be_sent(code), "{code}");
        }
        for code in
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
        {
            assert!(may_be_sent(code), "{code}");
        }
    }

    #[test]
    fn errors_have_the_codes_that_the_rfc_names_for_them() {
        for (error, code) in [
            (Error::new(Code::ProtocolViolation), 1002),
            (Error::new(Code::InvalidText), 1007),
            (Error::new(Code::MessageTooLarge), 1009),
            (Error::new(Code::Unsupported).on_wire(1003), 1003),
            (Error::new(Code::Unsupported), 1011),
            (Error::new(Code::Rejected).on_wire(404), 1008),
        ] {
            assert_eq!(code_for(CloseReason::Failed(error)), code, "{error}");
        }
        assert_eq!(code_for(CloseReason::Shutdown), 1001);
    }
}
