//! The one error type: 4 bytes, `Copy`, the same on a server and on a microcontroller.
//!
//! An [`Error`] says three things: what went wrong ([`Code`], with a number that logs and dashboards can
//! rely on), who is at [`Fault`], and what the peer is told ([`Error::wire`]).

use core::fmt;

/// Declares the codes once: number, variant, name, fault, text.
macro_rules! codes {
    ($($(#[$doc:meta])* $number:literal $variant:ident $name:literal $fault:ident $text:literal;)*) => {
        /// What went wrong. The numbers are a contract: they never change and are never reused.
        ///
        /// | band | meaning |
        /// |---|---|
        /// | -600 to -619 | connection |
        /// | -620 to -639 | session |
        /// | -640 to -659 | send and receive |
        /// | -660 to -679 | server |
        /// | -680 to -699 | protocol and configuration |
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Code {
            $(
                #[doc = concat!("`", stringify!($number), " ", $name, "`: ", $text, ".")]
                $(#[$doc])*
                $variant = (-600 - ($number)) as u8,
            )*
        }

        impl Code {
            /// Every code, by falling number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in logs and metrics: `message_too_large`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// One line for a person.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Who is at fault unless the error itself says otherwise.
            pub const fn fault(self) -> Fault {
                // A byte for each number; of a `match` the compiler makes words.
                const FAULTS: [Fault; 100] = {
                    let mut faults = [Fault::Local; 100];
                    $(faults[Code::$variant as usize] = Fault::$fault;)*
                    faults
                };
                FAULTS[self as usize]
            }
        }
    };
}

codes! {
    -600 ConnectionFailed "connection_failed" Transport "no connection could be made";
    -601 ConnectionRefused "connection_refused" Transport "nobody accepts connections at that address";
    -602 ConnectionTimeout "connection_timeout" Transport "no connection was made in time";
    -603 ConnectionClosed "connection_closed" Transport "the connection is closed";
    /// Kept for the reconnecting client; nothing raises it yet.
    -604 CircuitOpen "circuit_open" Local "too many attempts failed, none is made for a while";
    /// Kept for the directory of sessions; nothing raises it yet.
    -620 SessionNotFound "session_not_found" Local "there is no such session";
    /// Raised by sending on a session that ended by its idle time-out.
    -621 SessionExpired "session_expired" Peer "the session was idle for too long and has ended";
    /// Raised by every use of a session after a `send` was dropped in the middle of a message.
    -622 InvalidSession "invalid_session" Local "a message was left half sent, so nothing more can be";
    -640 SendFailed "send_failed" Transport "the connection took no more bytes";
    -641 ReceiveFailed "receive_failed" Transport "the connection ended inside a message";
    -642 MessageTooLarge "message_too_large" Peer "the message is larger than the limit";
    -643 BufferFull "buffer_full" Local "there is no room in the queue now";
    -644 WriteStalled "write_stalled" Peer "the peer has not read for too long";
    -645 MessageTimeout "message_timeout" Peer "a message was begun and not completed in time";
    -646 BuffersExhausted "buffers_exhausted" Local "all buffers were lent out for too long";
    /// Raised by starting a server that was given nothing to listen on, or whose threads cannot be made.
    -660 ServerNotStarted "server_not_started" Local "the server is not running";
    /// Kept for the predecessor's users; a server that runs is a value here and cannot be started twice.
    -661 ServerAlreadyRunning "server_already_running" Local "the server is running already";
    -662 BindFailed "bind_failed" Local "the address cannot be listened on";
    -663 TooManySessions "too_many_sessions" Local "the server has as many sessions as it may";
    -664 TooManyFromAddress "too_many_from_address" Peer "the peer's address has as many sessions as it may";
    -665 ShuttingDown "shutting_down" Local "the server is shutting down";
    -680 ProtocolViolation "protocol_violation" Peer "the peer broke the protocol";
    /// Raised by a WebSocket client whose server did not agree; the status it answered with is on the wire.
    -681 HandshakeFailed "handshake_failed" Peer "the handshake failed";
    -682 Unsupported "unsupported" Local "that is not supported here";
    -683 InvalidText "invalid_text" Peer "the text is not UTF-8";
    -684 NameNotResolved "name_not_resolved" Transport "the host name has no address";
    -685 InvalidAddress "invalid_address" Local "the address is not of the form HOST:PORT";
    /// Raised by applications: the answer's status is on the wire.
    -686 Rejected "rejected" Peer "the request was rejected";
    /// Of TLS, as the codes from here on; the alert that was sent or came is on the wire.
    -687 BadCertificate "bad_certificate" Peer "the certificate is malformed or wrongly signed";
    -688 UnknownAuthority "unknown_authority" Peer "nobody who is trusted vouches for the certificate";
    -689 CertificateExpired "certificate_expired" Peer "the certificate has expired";
    -690 CertificateNotYetValid "certificate_not_yet_valid" Peer "the certificate is not yet valid";
    -691 WrongName "wrong_name" Peer "the certificate is for another name";
    -692 WrongUsage "wrong_usage" Peer "the certificate is for another use";
    -693 WrongPin "wrong_pin" Peer "the certificate's key is not the pinned one";
    -694 CertificateRequired "certificate_required" Peer "a certificate was required and none was shown";
    -695 CertificateRefused "certificate_refused" Local "the peer does not accept our certificate";
    /// What is well made but comes out of turn is a `protocol_violation`.
    -696 BadRecord "bad_record" Peer "a record is malformed or cannot be decrypted";
    /// Raised where the bytes ended and nobody had said that they would: they may have been cut.
    -697 Truncated "truncated" Transport "the connection ended without a goodbye";
    -698 CertificateRevoked "certificate_revoked" Peer "the certificate was revoked by its authority";
}

impl Code {
    /// The number between -600 and -699.
    pub const fn number(self) -> i16 {
        -600 - self as i16
    }

    /// The code with that number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }
}

/// Who is at fault, and so who must change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Fault {
    /// This program: a limit of its own, a call it should not have made.
    Local,
    /// The other end: what it sent, or did not send.
    Peer,
    /// What lies between: the network, the operating system.
    Transport,
}

/// What went wrong, whose fault it is, and what the peer is told.
///
/// ```
/// use netloom_core::{Code, Error, Fault};
///
/// let error = Error::new(Code::MessageTooLarge).on_wire(1009);
/// assert_eq!((error.number(), error.fault()), (-642, Fault::Peer));
/// assert_eq!(error.to_string(), "message_too_large (-642): the message is larger than the limit");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error {
    code: Code,
    fault: Fault,
    wire: u16,
}

const _: () = assert!(size_of::<Error>() == 4);
const _: () = assert!(size_of::<Result<()>>() == 4);

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// An error with nothing to say on the wire, the code's usual culprit at fault.
    pub const fn new(code: Code) -> Self {
        Self { code, fault: code.fault(), wire: 0 }
    }

    /// The same error, answered on the wire with `wire`.
    pub const fn on_wire(self, wire: u16) -> Self {
        Self { wire, ..self }
    }

    /// The same error by another culprit.
    pub const fn blame(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    /// What went wrong.
    pub const fn code(self) -> Code {
        self.code
    }

    /// Who is at fault.
    pub const fn fault(self) -> Fault {
        self.fault
    }

    /// The stable number between -600 and -699.
    pub const fn number(self) -> i16 {
        self.code.number()
    }

    /// What the codec tells the peer before it closes: a WebSocket close code, an HTTP status, a QUIC error
    /// code (saturated at 65,535). Zero for nothing.
    pub const fn wire(self) -> u16 {
        self.wire
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl PartialEq<Code> for Error {
    fn eq(&self, code: &Code) -> bool {
        self.code == *code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code.name(), self.number(), self.code.text())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {:?}", self.code.name(), self.number(), self.fault)?;
        match self.wire {
            0 => f.write_str(")"),
            wire => write!(f, ", on the wire {wire})"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn the_predecessors_numbers_and_names_are_kept() {
        for (number, name) in [
            (-600, "connection_failed"),
            (-601, "connection_refused"),
            (-602, "connection_timeout"),
            (-603, "connection_closed"),
            (-604, "circuit_open"),
            (-620, "session_not_found"),
            (-621, "session_expired"),
            (-622, "invalid_session"),
            (-640, "send_failed"),
            (-641, "receive_failed"),
            (-642, "message_too_large"),
            (-660, "server_not_started"),
            (-661, "server_already_running"),
            (-662, "bind_failed"),
        ] {
            assert_eq!(Code::from_number(number).map(Code::name), Some(name));
        }
    }

    #[test]
    fn every_code_lies_in_the_band_and_says_something_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!((-699..=-600).contains(&code.number()), "{code:?}");
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!(names.insert(code.name()) && names.insert(code.text()), "{code:?}");
        }
        assert_eq!(Code::from_number(-699), None);
    }

    #[test]
    fn an_error_is_a_std_error_and_names_its_culprit() {
        let error: std::boxed::Box<dyn std::error::Error> = Error::new(Code::SendFailed).into();
        assert!(std::format!("{error}").contains("send_failed (-640)"));
        let blamed = Error::new(Code::MessageTooLarge).blame(Fault::Local).on_wire(413);
        assert_eq!(std::format!("{blamed:?}"), "message_too_large (-642, Local, on the wire 413)");
    }
}
