//! A tokio TCP stream as a transport.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_core::{Code, Error, Result, Transport};
use tokio::io::AsyncWrite;
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
        system::poll_read(&mut self.stream, cx, buf).map_err(|error| fault(&error, Code::ReceiveFailed))
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        system::poll_write(&mut self.stream, cx, buf).map_err(|error| fault(&error, Code::SendFailed))
    }

    fn writes_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: [&[u8]; 2]) -> Poll<Result<usize>> {
        system::poll_write_vectored(&mut self.stream, cx, &bufs.map(IoSlice::new))
            .map_err(|error| fault(&error, Code::SendFailed))
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

/// The system is asked first, and tokio only if there is nothing to be done: half the instructions. What tokio's own
/// reads and writes see to is seen to here: its budget, without which a session that always finds something to do would
/// keep the others waiting, and that a read or write which comes short has emptied or filled the socket.
#[cfg(target_os = "linux")]
mod system {
    use std::io::{self, IoSlice};
    use std::task::{Context, Poll, ready};

    use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
    use tokio::io::Interest;
    use tokio::net::TcpStream;
    use tokio::task::coop;

    #[inline]
    pub(super) fn poll_read(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            let read = attempt(stream, Interest::READABLE, buf.len(), |stream| {
                recv(stream, &mut *buf, RecvFlags::empty()).map(|(_, n)| n)
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_read_ready(cx))?;
                }
                read => {
                    budget.made_progress();
                    return Poll::Ready(read);
                }
            }
        }
    }

    #[inline]
    pub(super) fn poll_write(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_send(stream, cx, buf.len(), |stream| send(stream, buf, SendFlags::NOSIGNAL))
    }

    pub(super) fn poll_write_vectored(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_send(stream, cx, bufs.iter().map(|buf| buf.len()).sum(), |stream| {
            sendmsg(stream, bufs, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        })
    }

    #[inline]
    fn poll_send(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        wanted: usize,
        send: impl Fn(&TcpStream) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            let written = attempt(stream, Interest::WRITABLE, wanted, &send);
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                written => {
                    budget.made_progress();
                    return Poll::Ready(written);
                }
            }
        }
    }

    /// Does `io` if the stream is ready for it as far as tokio knows.
    #[inline]
    fn attempt(
        stream: &TcpStream,
        interest: Interest,
        wanted: usize,
        io: impl FnOnce(&TcpStream) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        let mut short = 0;
        let done = stream.try_io(interest, || match io(stream)? {
            // This has tokio note that the stream is not ready any more, unless it was woken meanwhile.
            n if 0 < n && n < wanted => {
                short = n;
                Err(io::ErrorKind::WouldBlock.into())
            }
            n => Ok(n),
        });
        if short > 0 { Ok(short) } else { done }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io::{self, IoSlice};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::net::TcpStream;

    #[inline]
    pub(super) fn poll_read(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        Pin::new(stream).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    #[inline]
    pub(super) fn poll_write(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write(cx, buf)
    }

    pub(super) fn poll_write_vectored(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write_vectored(cx, bufs)
    }
}
