//! How a connection ended, in netloom's codes and in QUIC's.

use std::fmt;

use bytes::Bytes;
use netloom_core::{Code, Error};
use quinn_proto::ConnectionError;

use crate::tls;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    error: Error,
    reason: Reason,
    text: Bytes,
}

/// Who ended a connection, with QUIC's code, which has 62 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This application.
    Closed,
    /// The peer's application, with a code of its protocol.
    ClosedByPeer(u64),
    /// The peer's QUIC: RFC 9000, 20.1; from 0x100 on a TLS alert (RFC 9001, 4.8).
    RefusedByPeer(u64),
    /// Our QUIC, of the peer's doing: the same codes.
    Violation(u64),
    /// The peer does not know the connection any more (RFC 9000, 10.3).
    Reset,
    /// Nothing came for the idle time, or the handshake was not done in time.
    Timeout,
    /// The peer speaks no version of ours.
    Version,
    /// The socket failed, or there are no connection IDs left.
    Failed,
}

impl Lost {
    pub(super) fn new(error: impl Into<Error>, reason: Reason) -> Self {
        Self { error: error.into(), reason, text: Bytes::new() }
    }

    pub(super) fn closed() -> Self {
        Self::new(Code::ConnectionClosed, Reason::Closed)
    }

    /// What quinn-proto says, of a connection whose handshake was done or not.
    pub(super) fn from_quic(error: ConnectionError, connected: bool) -> Self {
        match error {
            ConnectionError::TimedOut => Self::new(Code::ConnectionTimeout, Reason::Timeout),
            ConnectionError::VersionMismatch => Self::new(Code::Unsupported, Reason::Version),
            ConnectionError::TransportError(error) => {
                let code = u64::from(error.code);
                let text = error.reason.into();
                Self { error: ours(code, connected), reason: Reason::Violation(code), text }
            }
            ConnectionError::ConnectionClosed(close) => {
                let code = u64::from(close.error_code);
                Self {
                    error: theirs(code, connected),
                    reason: Reason::RefusedByPeer(code),
                    text: close.reason,
                }
            }
            ConnectionError::ApplicationClosed(close) => {
                let code = close.error_code.into_inner();
                let error = Error::new(Code::ConnectionClosed).on_wire(on_wire(code));
                Self { error, reason: Reason::ClosedByPeer(code), text: close.reason }
            }
            ConnectionError::Reset => Self::new(Code::ConnectionClosed, Reason::Reset),
            ConnectionError::LocallyClosed => Self::closed(),
            ConnectionError::CidsExhausted => Self::new(Code::ConnectionFailed, Reason::Failed),
        }
    }

    /// What went wrong, as everywhere in netloom. QUIC's code is on the wire, up to 65,535.
    pub fn error(&self) -> Error {
        self.error
    }

    /// Who ended it, with the whole code.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What whoever ended it had to say: text for people, mostly.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Closed => f.write_str("closed by this application")?,
            Reason::ClosedByPeer(code) => write!(f, "closed by the peer with {code}")?,
            Reason::RefusedByPeer(code) => write!(f, "ended by the peer's QUIC with {code:#x}")?,
            Reason::Violation(code) => write!(f, "ended by QUIC with {code:#x}")?,
            Reason::Reset => f.write_str("the peer does not know the connection any more")?,
            Reason::Timeout => f.write_str("nothing came in time")?,
            Reason::Version => f.write_str("the peer speaks no version of QUIC that is spoken here")?,
            Reason::Failed => f.write_str("the socket failed")?,
        }
        match self.text.is_empty() {
            true => Ok(()),
            // It is the peer's: what could move a terminal's cursor stays out.
            false => {
                let text = String::from_utf8_lossy(&self.text);
                let plain = text.chars().filter(|c| !c.is_control());
                write!(f, ": {}", plain.collect::<String>())
            }
        }
    }
}

impl std::error::Error for Lost {}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        lost.error
    }
}

/// An error has 16 bits for the wire, QUIC 62.
pub(super) fn on_wire(code: u64) -> u16 {
    u16::try_from(code).unwrap_or(u16::MAX)
}

/// CONNECTION_REFUSED (RFC 9000, 20.1).
const REFUSED: u64 = 0x2;

/// Behind these 256 codes are TLS's alerts (RFC 9001, 4.8).
const CRYPTO: std::ops::Range<u64> = 0x100..0x200;

/// What we found.
fn ours(code: u64, connected: bool) -> Error {
    let error = match (code, connected) {
        (code, _) if CRYPTO.contains(&code) => tls::error::of_sent_alert((code & 0xff) as u8),
        (_, false) => Code::HandshakeFailed,
        (_, true) => Code::ProtocolViolation,
    };
    Error::new(error).on_wire(on_wire(code))
}

/// What the peer found.
fn theirs(code: u64, connected: bool) -> Error {
    let error = match (code, connected) {
        (code, _) if CRYPTO.contains(&code) => tls::error::of_alert((code & 0xff) as u8),
        (REFUSED, false) => Code::ConnectionRefused,
        (_, false) => Code::HandshakeFailed,
        (_, true) => Code::ConnectionClosed,
    };
    Error::new(error).on_wire(on_wire(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_do_not_fit_are_the_largest_that_does() {
        assert_eq!((on_wire(7), on_wire(65_536), on_wire((1 << 62) - 1)), (7, 65_535, 65_535));
    }

    #[test]
    fn alerts_have_the_codes_that_they_have_in_tls() {
        assert_eq!(ours(0x100 + 45, false).code(), Code::CertificateExpired);
        assert_eq!(theirs(0x100 + 45, false).code(), Code::CertificateRefused);
        assert_eq!(theirs(0x100 + 116, true).code(), Code::CertificateRequired);
        assert_eq!(theirs(REFUSED, false).code(), Code::ConnectionRefused);
        assert_eq!(theirs(REFUSED, true).code(), Code::ConnectionClosed);
        assert_eq!(ours(0xa, true), Error::new(Code::ProtocolViolation).on_wire(0xa));
    }
}
