//! What is wrong with a packet: said to the peer ([`TransportError`]), or not at all ([`Discard`]).

use netloom_core::{Code, Error};

/// Declares the codes once: code, variant, name.
macro_rules! transport_errors {
    ($($(#[$doc:meta])* $code:literal $variant:ident $name:literal;)*) => {
        /// Why a connection ends, as a CONNECTION_CLOSE frame of type 0x1c says it (RFC 9000, 20.1).
        ///
        /// ```
        /// use netloom_protocols::quic::TransportError;
        ///
        /// assert_eq!(TransportError::FrameEncodingError.code(), 0x07);
        /// assert_eq!(TransportError::from_code(0x0178), Some(TransportError::CryptoError(120)));
        /// let error = netloom_core::Error::from(TransportError::ProtocolViolation);
        /// assert_eq!((error.number(), error.wire()), (-680, 0x0a));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum TransportError {
            $(
                #[doc = concat!("`", $name, "` (", stringify!($code), ").")]
                $(#[$doc])*
                $variant,
            )*
            /// `CRYPTO_ERROR` (0x0100 to 0x01ff): the handshake failed with this TLS alert (RFC 9001, 4.8).
            CryptoError(u8),
        }

        impl TransportError {
            /// Every error but the 256 of the handshake, by rising code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code on the wire.
            pub const fn code(self) -> u64 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::CryptoError(alert) => 0x100 | alert as u64,
                }
            }

            /// The error with that code, if there is one.
            pub const fn from_code(code: u64) -> Option<Self> {
                Some(match code {
                    $($code => Self::$variant,)*
                    0x100..=0x1ff => Self::CryptoError(code as u8),
                    _ => return None,
                })
            }

            /// The name in the RFC: `FRAME_ENCODING_ERROR`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::CryptoError(_) => "CRYPTO_ERROR",
                }
            }
        }
    };
}

transport_errors! {
    /// The connection is closed abruptly, and nothing is wrong.
    0x00 NoError "NO_ERROR";
    /// The endpoint cannot go on.
    0x01 InternalError "INTERNAL_ERROR";
    /// The server takes no new connection.
    0x02 ConnectionRefused "CONNECTION_REFUSED";
    /// More data than was permitted.
    0x03 FlowControlError "FLOW_CONTROL_ERROR";
    /// A stream beyond the limit.
    0x04 StreamLimitError "STREAM_LIMIT_ERROR";
    /// A frame that the stream's state does not permit.
    0x05 StreamStateError "STREAM_STATE_ERROR";
    /// Data beyond a stream's end, or another end.
    0x06 FinalSizeError "FINAL_SIZE_ERROR";
    /// A frame that is badly formed or unknown.
    0x07 FrameEncodingError "FRAME_ENCODING_ERROR";
    /// Transport parameters that are badly formed, invalid, forbidden or missing.
    0x08 TransportParameterError "TRANSPORT_PARAMETER_ERROR";
    /// More connection IDs than wanted.
    0x09 ConnectionIdLimitError "CONNECTION_ID_LIMIT_ERROR";
    /// Whatever has no better code.
    0x0a ProtocolViolation "PROTOCOL_VIOLATION";
    /// An Initial packet whose token is invalid.
    0x0b InvalidToken "INVALID_TOKEN";
    /// The application closed; its own code must not be shown yet (RFC 9000, 10.2.3).
    0x0c ApplicationError "APPLICATION_ERROR";
    /// More in CRYPTO frames than can be held.
    0x0d CryptoBufferExceeded "CRYPTO_BUFFER_EXCEEDED";
    /// A key update that is wrong (RFC 9001, 6).
    0x0e KeyUpdateError "KEY_UPDATE_ERROR";
    /// The keys have protected, or failed to open, as many packets as they may (RFC 9001, 6.6).
    0x0f AeadLimitReached "AEAD_LIMIT_REACHED";
    /// The path cannot carry QUIC.
    0x10 NoViablePath "NO_VIABLE_PATH";
}

/// The peer broke the protocol; the code is on the wire.
impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        // Below 0x200 by construction.
        Self::new(Code::ProtocolViolation).on_wire(error.code() as u16)
    }
}

/// Why a packet is dropped without a word: before it is known to be the peer's, there is nobody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// It ends before its end.
    Truncated,
    /// A connection ID of more than 20 bytes (RFC 9000, 17.2).
    ConnectionIdTooLong,
    /// A version that is not known here. (A server may answer with a Version Negotiation packet, RFC 9000, 5.2.2.)
    UnknownVersion,
    /// Too short to take a sample of for header protection (RFC 9001, 5.4.2).
    TooShort,
    /// The keys do not open it: another's, damaged, or of other keys.
    Forged,
}

impl Discard {
    /// One line for a person.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Truncated => "the packet is cut short",
            Self::ConnectionIdTooLong => "a connection ID is longer than 20 bytes",
            Self::UnknownVersion => "the version is not known",
            Self::TooShort => "the packet is too short to be protected",
            Self::Forged => "the keys do not open the packet",
        }
    }
}

/// The peer broke the protocol, or somebody else did; nothing is said on the wire.
impl From<Discard> for Error {
    fn from(_: Discard) -> Self {
        Self::new(Code::ProtocolViolation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc_and_found_again() {
        for (code, error) in (0..).zip(TransportError::ALL) {
            assert_eq!(error.code(), code, "{}", error.name());
            assert_eq!(TransportError::from_code(code), Some(*error));
            assert_eq!(u64::from(Error::from(*error).wire()), code);
        }
        assert_eq!(TransportError::ALL.len(), 0x11);
        for alert in 0..=255 {
            let error = TransportError::CryptoError(alert);
            assert_eq!(error.code(), 0x100 + u64::from(alert));
            assert_eq!(TransportError::from_code(error.code()), Some(error));
        }
        for code in [0x11, 0xff, 0x200, u64::MAX] {
            assert_eq!(TransportError::from_code(code), None);
        }
    }

    #[test]
    fn what_is_discarded_has_nothing_on_the_wire() {
        assert_eq!(Error::from(Discard::Forged), Error::new(Code::ProtocolViolation));
    }
}
