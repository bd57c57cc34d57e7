//! Every way the program can end.

use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

use netloom::http::ClientError;
use netloom::websocket;
use netloom::{Code, ConnectError, Error, StartError};

/// For `--help`; the numbers are those of [`Exit`].
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  failed: the peer, the protocol, a wrong answer
  2  the command line is wrong
  3  cannot connect
  4  cannot listen";

/// How it ends if not well. (clap sees to most of 2.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Failed = 1,
    Usage = 2,
    CannotConnect = 3,
    CannotListen = 4,
}

/// Why the program failed: an exit code, and one line for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    line: String,
}

impl Failure {
    /// Something that has no code of netloom's.
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, line: line.into() }
    }

    /// The command line asks for what does not go together.
    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, line: line.into() }
    }

    /// `code`, about `what`, in words that know more than the code's own.
    pub(crate) fn of(code: Code, what: impl Display, why: impl Display) -> Self {
        Self::new(format!("{} ({}): {what}: {why}", code.name(), code.number()))
    }

    /// A connection to `address` that ended by `error`.
    pub(crate) fn session(error: Error, address: &str) -> Self {
        Self::of(error.code(), address, error.code().text())
    }

    /// Nothing could be connected to.
    pub(crate) fn connect(error: &ConnectError) -> Self {
        let way_out = way_out(error.error().code());
        Self { exit: Exit::CannotConnect, line: format!("{error}{way_out}") }
    }

    /// A request that has no response, or not all of it.
    pub(crate) fn client(error: &ClientError) -> Self {
        let code = error.error().code();
        let unreached =
            [Code::ConnectionRefused, Code::ConnectionTimeout, Code::NameNotResolved, Code::ConnectionFailed];
        let is_unreached = unreached.contains(&code) || (-698..=-687).contains(&code.number());
        let exit = if is_unreached { Exit::CannotConnect } else { Exit::Failed };
        let way_out = match code {
            Code::ProtocolViolation => "; does the server speak HTTP/1.1 there?",
            code => way_out(code),
        };
        Self { exit, line: format!("{error}{way_out}") }
    }

    /// No WebSocket could be connected.
    pub(crate) fn websocket(error: &websocket::ConnectError) -> Self {
        Self { exit: Exit::CannotConnect, line: format!("{error}{}", way_out(error.error().code())) }
    }

    /// None of many connections was made.
    pub(crate) fn unconnected(what: impl Display, why: impl Display) -> Self {
        Self { exit: Exit::CannotConnect, ..Self::of(Code::ConnectionFailed, what, why) }
    }

    /// A server did not start, whose port `option` chooses.
    pub(crate) fn start(error: &StartError, option: &str) -> Self {
        let system = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        let way_out = match system.map(io::Error::kind) {
            Some(io::ErrorKind::AddrInUse) => {
                format!("; take another {option} PORT, or {option} 0 for a free one")
            }
            Some(io::ErrorKind::PermissionDenied) => {
                format!("; ports below 1024 may need privileges, take another {option} PORT")
            }
            Some(io::ErrorKind::AddrNotAvailable) => "; --bind takes an address of this machine".to_owned(),
            _ => String::new(),
        };
        let exit = if error.error() == Code::BindFailed { Exit::CannotListen } else { Exit::Failed };
        Self { exit, line: format!("{error}{way_out}") }
    }

    /// What the shell is told.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

/// What a person may look at when there is no connection.
fn way_out(code: Code) -> &'static str {
    match code {
        Code::ConnectionRefused => "; is a server listening there?",
        Code::ConnectionTimeout => {
            "; is it the right address (for quic:// a port of UDP), or --timeout too short?"
        }
        Code::NameNotResolved => "; is the name right?",
        Code::UnknownAuthority => "; --ca names who vouches for it, --pin takes the server by its key",
        Code::WrongName => "; is it the right host?",
        Code::CertificateRequired => "; --cert and --key say who we are",
        Code::BadRecord => "; does the server speak TLS on that port?",
        _ => "",
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        for exit in [Exit::Failed, Exit::Usage, Exit::CannotConnect, Exit::CannotListen] {
            assert!(CODES.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }

    #[test]
    fn a_lost_connection_is_one_line_with_name_number_and_address() {
        let failure = Failure::session(Code::ConnectionClosed.into(), "[::1]:7000");
        assert_eq!(failure.to_string(), "connection_closed (-603): [::1]:7000: the connection is closed");
    }
}
