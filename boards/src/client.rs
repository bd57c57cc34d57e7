//! A client of the boards' application: it sends frames and says how a connection ended.
//!
//! ```text
//! | length 4, big-endian | payload ... |
//! ```

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What went wrong, in words.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// A frame: its payload behind the payload's length.
///
/// # Panics
/// When the payload's length does not fit 32 bits.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a test's payload is small");
    [&length.to_be_bytes(), payload].concat()
}

/// How a connection ended, or that it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer ended its stream: a read gave 0 bytes.
    Orderly,
    /// The peer reset the connection, which may cost data on its way.
    Reset,
    /// It is still open, and silent.
    Open,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orderly => "ended in order",
            Self::Reset => "was reset",
            Self::Open => "is still open",
        })
    }
}

/// What a client that is one too many gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its frame came back.
    Served,
    /// Its connection ended, or nothing came.
    Not(Ending),
}

/// One connection to the board.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects; `patience` is how long a read or a write may take. QEMU accepts connections for a board that does not:
    /// only bytes that come back tell that the board is there.
    pub(crate) fn connect(address: SocketAddr, patience: Duration) -> Result<Self> {
        let words = |error| format!("connecting: {error}");
        let stream = TcpStream::connect_timeout(&address, patience).map_err(words)?;
        stream.set_nodelay(true).map_err(words)?;
        stream.set_read_timeout(Some(patience)).map_err(words)?;
        stream.set_write_timeout(Some(patience)).map_err(words)?;
        Ok(Self { stream })
    }

    /// Sends these bytes as they are, in one write.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(|error| format!("sending: {error}"))
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, payload: &[u8]) -> Result<()> {
        self.send_bytes(&frame(payload))
    }

    /// Reads one frame, which has to have this payload.
    pub(crate) fn expect(&mut self, payload: &[u8]) -> Result<()> {
        let expected = frame(payload);
        let mut answer = vec![0; expected.len()];
        self.stream.read_exact(&mut answer).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_string(),
            ErrorKind::UnexpectedEof => "the connection ended before the answer".to_string(),
            _ => format!("reading: {error}"),
        })?;
        match answer.iter().zip(&expected).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(index) => Err(format!(
                "byte {index} of {} came back as {:#04x}, not {:#04x}",
                expected.len(),
                answer[index],
                expected[index]
            )),
        }
    }

    /// Sends a frame and reads it back.
    pub(crate) fn echo(&mut self, payload: &[u8]) -> Result<()> {
        self.send(payload)?;
        self.expect(payload)
    }

    /// Ends the stream towards the board and keeps reading.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).map_err(|error| format!("ending the stream: {error}"))
    }

    /// Reads until the connection ends, or `patience` is over. What still comes is dropped.
    pub(crate) fn ending(&mut self, patience: Duration) -> Result<Ending> {
        let deadline = Instant::now() + patience;
        let mut rest = [0; 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Ending::Open);
            }
            self.stream
                .set_read_timeout(Some(left))
                .map_err(|error| format!("setting a timeout: {error}"))?;
            match ending_of(self.stream.read(&mut rest))? {
                Some(ending) => return Ok(ending),
                None => continue,
            }
        }
    }

    /// Sends a frame without knowing whether the board takes it, and reads what the answer is.
    pub(crate) fn try_echo(&mut self, payload: &[u8], patience: Duration) -> Result<Answer> {
        if self.send(payload).is_err() {
            return self.ending(patience).map(Answer::Not);
        }
        self.stream
            .set_read_timeout(Some(patience))
            .map_err(|error| format!("setting a timeout: {error}"))?;
        let mut first = [0];
        match ending_of(self.stream.peek(&mut first))? {
            Some(ending) => Ok(Answer::Not(ending)),
            None => self.expect(payload).map(|()| Answer::Served),
        }
    }
}

/// What a read says about the connection: nothing, when it gave bytes.
fn ending_of(read: io::Result<usize>) -> Result<Option<Ending>> {
    match read {
        Ok(0) => Ok(Some(Ending::Orderly)),
        Ok(_) => Ok(None),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Ok(Some(Ending::Reset))
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Some(Ending::Open)),
            _ => Err(format!("reading: {error}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_payload_behind_its_length() {
        assert_eq!(frame(b""), [0, 0, 0, 0]);
        assert_eq!(frame(b"ab"), [0, 0, 0, 2, b'a', b'b']);
    }

    #[test]
    fn a_reset_is_not_an_orderly_end() {
        let ending = |kind: ErrorKind| ending_of(Err(kind.into())).unwrap();
        assert_eq!(ending_of(Ok(0)).unwrap(), Some(Ending::Orderly));
        assert_eq!(ending_of(Ok(1)).unwrap(), None);
        assert_eq!(ending(ErrorKind::ConnectionReset), Some(Ending::Reset));
        assert_eq!(ending(ErrorKind::WouldBlock), Some(Ending::Open));
    }
}
