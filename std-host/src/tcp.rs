//! A tokio TCP stream as a transport.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_core::{Code, Error, Result, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection. Nagle's algorithm is off: sessions write whole batches themselves.
#[derive(Debug)]
pub struct Tcp {
    stream: TcpStream,
}

impl Tcp {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        // Fails only on a connection that is dead already, which the first read will say.
        let _ = stream.set_nodelay(true);
        Self { stream }
    }

    /// The stream, to ask it about addresses and socket options.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

fn fault(error: &io::Error, otherwise: Code) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            Code::ConnectionClosed.into()
        }
        io::ErrorKind::TimedOut => Code::ConnectionTimeout.into(),
        _ => otherwise.into(),
    }
}

impl Transport for Tcp {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let poll = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
        poll.map_ok(|()| buf.filled().len()).map_err(|error| fault(&error, Code::ReceiveFailed))
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf).map_err(|error| fault(&error, Code::SendFailed))
    }

    #[inline]
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream.poll_read_ready(cx).map_err(|error| fault(&error, Code::ReceiveFailed))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map_err(|error| fault(&error, Code::SendFailed))
    }

    fn abort(&mut self, _: Error) {
        // With a zero linger time the close that follows is a reset.
        let _ = self.stream.set_zero_linger();
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }
}
