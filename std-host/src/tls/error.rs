//! What rustls says, in netloom's codes.

use netloom_core::{Code, Error};
use rustls::{AlertDescription, CertificateError};

use super::verify::WrongPin;

/// The code that says why, and on the wire the alert that came or is sent.
pub(super) fn code_of(error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    let code = match error {
        Tls::InvalidCertificate(error) => {
            // It is told here, and not to be found again.
            #[cfg(feature = "quic")]
            super::verify::found();
            of_certificate(error)
        }
        Tls::NoCertificatesPresented => Code::CertificateRequired,
        Tls::AlertReceived(alert) => {
            let alert = u8::from(*alert);
            return Error::new(of_alert(alert)).on_wire(alert.into());
        }
        Tls::InvalidMessage(_) | Tls::DecryptError | Tls::PeerSentOversizedRecord => Code::BadRecord,
        // What is well made and out of turn.
        Tls::InappropriateMessage { .. } | Tls::InappropriateHandshakeMessage { .. } => {
            Code::ProtocolViolation
        }
        _ => Code::HandshakeFailed,
    };
    Error::new(code).on_wire(u8::from(sent_for(error)).into())
}

/// What rustls tells the peer, which it does not tell us.
fn sent_for(error: &rustls::Error) -> AlertDescription {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(error) => error.clone().into(),
        Tls::NoCertificatesPresented => AlertDescription::CertificateRequired,
        Tls::InvalidMessage(error) => (*error).into(),
        Tls::DecryptError => AlertDescription::BadRecordMac,
        Tls::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        Tls::InappropriateMessage { .. } | Tls::InappropriateHandshakeMessage { .. } => {
            AlertDescription::UnexpectedMessage
        }
        Tls::NoApplicationProtocol => AlertDescription::NoApplicationProtocol,
        Tls::PeerMisbehaved(_) => AlertDescription::IllegalParameter,
        _ => AlertDescription::HandshakeFailure,
    }
}

/// What comes out of turn.
pub(super) fn not_in_order() -> Error {
    Code::HandshakeFailed.into()
}

pub(super) fn of_certificate(error: &CertificateError) -> Code {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Code::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Code::CertificateNotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Code::WrongName
        }
        CertificateError::Revoked => Code::CertificateRevoked,
        // Of whom nothing is known, nobody vouches for.
        CertificateError::UnknownIssuer
        | CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => Code::UnknownAuthority,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Code::WrongUsage,
        CertificateError::Other(other) if other.0.is::<WrongPin>() => Code::WrongPin,
        _ => Code::BadCertificate,
    }
}

/// What a peer means by an alert (RFC 8446, 6.2).
pub(crate) fn of_alert(alert: u8) -> Code {
    match AlertDescription::from(alert) {
        AlertDescription::CertificateRequired => Code::CertificateRequired,
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => Code::CertificateRefused,
        AlertDescription::BadRecordMac | AlertDescription::RecordOverflow | AlertDescription::DecodeError => {
            Code::BadRecord
        }
        _ => Code::HandshakeFailed,
    }
}

/// Why we sent an alert, where no more than the alert is known: QUIC's case. What the [`Verifier`](super::verify) has found is
/// known better.
#[cfg(feature = "quic")]
pub(crate) fn of_sent_alert(alert: u8) -> Code {
    // Alerts from 42 to 49 are about certificates (RFC 8446, 6).
    if let Some(found) = super::verify::found().filter(|_| (42..=49).contains(&alert)) {
        return found;
    }
    match AlertDescription::from(alert) {
        AlertDescription::CertificateRequired => Code::CertificateRequired,
        AlertDescription::CertificateRevoked => Code::CertificateRevoked,
        AlertDescription::CertificateExpired => Code::CertificateExpired,
        AlertDescription::UnknownCA => Code::UnknownAuthority,
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => Code::BadCertificate,
        AlertDescription::UnsupportedCertificate => Code::WrongUsage,
        _ => Code::HandshakeFailed,
    }
}
