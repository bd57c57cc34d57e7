//! tokio's UDP socket, with offloads, ECN and batches by quinn-udp.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::datagrams::{Datagram, Datagrams, Outgoing};

/// One receive: so many buffers of 64 KiB, each with up to 64 datagrams (GRO).
const BUFFERS: usize = 8;
const BUFFER: usize = 64 * 1024;

/// From so many bytes on a buffer is given away.
const GIVEN_AWAY: usize = BUFFER / 2;

/// What the kernel keeps for us in each direction, as far as it lets us.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Most datagrams in one send. The kernel takes 64, but no more than 64 KiB: 44 of the size that paths mostly take.
const BATCH: usize = 44;

/// A UDP socket in a tokio runtime.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
    /// It may take IPv4 too, whose addresses are then written as IPv6's (RFC 4291, 2.5.5.2).
    is_ipv6: bool,
    buffers: [BytesMut; BUFFERS],
}

/// A socket, which `shared` with those of the other workers has one port.
pub(crate) fn bind(address: SocketAddr, shared: bool) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuse_port(shared)?;
    let _ = shared;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // It takes what it is given: a smaller one only loses more packets in a burst.
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Udp {
    /// Takes a bound socket into the runtime that the caller is in.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        let buffers = std::array::from_fn(|_| BytesMut::zeroed(BUFFER));
        Ok(Self { socket: UdpSocket::from_std(socket)?, state, is_ipv6, buffers })
    }
}

/// The first bytes of a buffer. Many of them are given away with it, few are copied: whoever keeps a byte of a buffer keeps all
/// of it.
fn taken(buffer: &mut BytesMut, len: usize) -> BytesMut {
    if len < GIVEN_AWAY {
        return BytesMut::from(&buffer[..len]);
    }
    let given = buffer.split_to(len);
    buffer.clear();
    given
}

/// Has a buffer that was given away back if nobody keeps a byte of it, or a new one in its place.
fn refill(buffer: &mut BytesMut) {
    if buffer.len() == BUFFER {
        return;
    }
    match buffer.try_reclaim(BUFFER) {
        true => buffer.resize(BUFFER, 0),
        false => *buffer = BytesMut::zeroed(BUFFER),
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(address) => (address.ip().to_ipv6_mapped(), address.port()).into(),
        address => address,
    }
}

fn plain(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(mapped) if mapped.ip().to_ipv4_mapped().is_some() => {
            (address.ip().to_canonical(), address.port()).into()
        }
        address => address,
    }
}

impl Datagrams for Udp {
    fn poll_receive(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Datagram)) -> Poll<io::Result<()>> {
        let Self { socket, state, buffers, .. } = self;
        loop {
            ready!(socket.poll_recv_ready(cx))?;
            buffers.iter_mut().for_each(refill);
            let mut metas = [RecvMeta::default(); BUFFERS];
            let mut slices = buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
            let mut came = 0;
            let received = socket.try_io(Interest::READABLE, || {
                came = state.recv(UdpSockRef::from(&*socket), &mut slices, &mut metas)?;
                // Fewer than fit: there are no more, and what comes from now on is told anew. That saves asking again.
                if came < BUFFERS && cfg!(any(target_os = "linux", target_os = "android")) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer's port is closed (ICMP): that peer's affair.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                received => received?,
            }
            if came == 0 {
                continue;
            }
            for (meta, buffer) in metas.iter().zip(&mut *buffers).take(came) {
                let (bytes, stride) = (taken(buffer, meta.len.min(BUFFER)), meta.stride.max(1));
                let ecn = meta.ecn.map_or(0, |ecn| ecn as u8);
                sink(Datagram { from: plain(meta.addr), to: meta.dst_ip, ecn, bytes, stride });
            }
            return Poll::Ready(Ok(()));
        }
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let transmit = Transmit {
            destination: if self.is_ipv6 { mapped(outgoing.to) } else { outgoing.to },
            ecn: EcnCodepoint::from_bits(outgoing.ecn),
            contents: outgoing.bytes,
            segment_size: outgoing.stride,
            src_ip: outgoing.from,
        };
        let sent = self
            .socket
            .try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.socket), &transmit));
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                tracing::trace!(%error, to = %outgoing.to, "a datagram was not sent");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn batch(&self) -> usize {
        self.state.max_gso_segments().min(BATCH)
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
