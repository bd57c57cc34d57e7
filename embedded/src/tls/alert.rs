//! Alerts (RFC 8446, 6): the numbers by which ends and failures are told, and our errors for them.

use netloom_core::{Code, Error, Fault};

pub(super) const CLOSE_NOTIFY: u8 = 0;
pub(super) const UNEXPECTED_MESSAGE: u8 = 10;
pub(super) const BAD_RECORD_MAC: u8 = 20;
pub(super) const RECORD_OVERFLOW: u8 = 22;
pub(super) const BAD_CERTIFICATE: u8 = 42;
pub(super) const UNSUPPORTED_CERTIFICATE: u8 = 43;
pub(super) const CERTIFICATE_EXPIRED: u8 = 45;
pub(super) const CERTIFICATE_UNKNOWN: u8 = 46;
pub(super) const ILLEGAL_PARAMETER: u8 = 47;
pub(super) const UNKNOWN_CA: u8 = 48;
pub(super) const ACCESS_DENIED: u8 = 49;
pub(super) const DECODE_ERROR: u8 = 50;
pub(super) const DECRYPT_ERROR: u8 = 51;
pub(super) const INTERNAL_ERROR: u8 = 80;
pub(super) const USER_CANCELED: u8 = 90;
pub(super) const CERTIFICATE_REQUIRED: u8 = 116;

/// RFC 8446, 6: the level of every alert but `close_notify` and `user_canceled`, which nobody looks at any more.
pub(super) const FATAL: u8 = 2;
pub(super) const WARNING: u8 = 1;

/// Our own finding, with the alert that tells the peer of it.
pub(super) fn telling(code: Code, alert: u8) -> Error {
    Error::new(code).on_wire(alert.into())
}

/// What we fail with when the peer sends `alert`: it found fault with us.
pub(super) fn told(alert: u8, otherwise: Code) -> Error {
    let code = match alert {
        CERTIFICATE_REQUIRED => Code::CertificateRequired,
        BAD_CERTIFICATE..=CERTIFICATE_UNKNOWN | UNKNOWN_CA | ACCESS_DENIED => Code::CertificateRefused,
        BAD_RECORD_MAC | RECORD_OVERFLOW | DECODE_ERROR => Code::BadRecord,
        _ => otherwise,
    };
    let fault = match code {
        Code::CertificateRequired | Code::CertificateRefused => Fault::Local,
        _ => Fault::Peer,
    };
    Error::new(code).on_wire(alert.into()).blame(fault)
}
