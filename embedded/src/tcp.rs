//! An embassy-net TCP socket as a transport.

use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::task::{Context, Poll, ready};

use embassy_net::IpAddress;
use embassy_net::tcp::{State, TcpSocket};
use netloom_core::{Code, Error, Result, Transport};

/// TCP's own keep-alive. It finds peers that have started anew, and it sets going again what smoltcp 0.13 stops when
/// the wrong segments are lost: 2 of 100 transfers at 10 % loss had no timer left at either end.
const KEEP_ALIVE: embassy_time::Duration = embassy_time::Duration::from_secs(10);

/// A TCP connection of embassy-net's.
///
/// Nagle's algorithm is off, and nothing here waits for acknowledgements: a `flush` that did would make each
/// answer wait for the peer's delayed ACK.
pub struct Tcp<'d> {
    socket: TcpSocket<'d>,
}

impl<'d> Tcp<'d> {
    /// Takes over a connected socket.
    pub fn new(mut socket: TcpSocket<'d>) -> Self {
        socket.set_nagle_enabled(false);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        Self { socket }
    }

    /// The socket back, in whatever state it is.
    pub fn into_socket(self) -> TcpSocket<'d> {
        self.socket
    }
}

impl Transport for Tcp<'_> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        // embassy-net's futures keep nothing between polls, so each may be made, polled once and dropped.
        pin!(self.socket.read(buf)).poll(cx).map_err(|_| Code::ConnectionClosed.into())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        pin!(self.socket.write(buf)).poll(cx).map_err(|_| Code::ConnectionClosed.into())
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // The end of the stream is readable too, which embassy-net's own question leaves out.
        if self.socket.can_recv() || !self.socket.may_recv() {
            return Poll::Ready(Ok(()));
        }
        ready!(pin!(self.socket.wait_read_ready()).poll(cx));
        Poll::Ready(Ok(()))
    }

    /// Waits until the peer has acknowledged everything, the FIN too: a socket that is dropped or used again
    /// forgets what it has not delivered.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.socket.close();
        match self.socket.state() {
            State::FinWait2 | State::TimeWait | State::Closed | State::Listen => Poll::Ready(Ok(())),
            _ => {
                // Registers the waker; smoltcp calls it when the state changes.
                let _ = pin!(self.socket.wait_write_ready()).poll(cx);
                Poll::Pending
            }
        }
    }

    fn abort(&mut self, _: Error) {
        self.socket.abort();
    }

    fn peer(&self) -> Option<SocketAddr> {
        let endpoint = self.socket.remote_endpoint()?;
        let address = match endpoint.addr {
            IpAddress::Ipv4(address) => IpAddr::V4(address),
            #[cfg(feature = "ipv6")]
            IpAddress::Ipv6(address) => IpAddr::V6(address),
        };
        Some(SocketAddr::new(address, endpoint.port))
    }
}
