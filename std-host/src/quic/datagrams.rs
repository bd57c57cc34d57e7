//! What QUIC's packets come and go by: a UDP socket, or a simulated link.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use bytes::BytesMut;

/// Datagrams that came in one piece from one sender.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sent them.
    pub from: SocketAddr,
    /// Which of our addresses they were sent to, if the system tells.
    pub to: Option<IpAddr>,
    /// The two ECN bits (RFC 3168).
    pub ecn: u8,
    /// They lie back to back. Owned, because they are decrypted where they lie and kept until they are read.
    pub bytes: BytesMut,
    /// Each is so long but the last, which may be shorter. Not zero.
    pub stride: usize,
}

/// Datagrams to send in one piece to one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Who is to have them.
    pub to: SocketAddr,
    /// From which of our addresses, if not any.
    pub from: Option<IpAddr>,
    /// The two ECN bits.
    pub ecn: u8,
    /// They lie back to back.
    pub bytes: &'a [u8],
    /// Each is so long but the last; `None` for one.
    pub stride: Option<usize>,
}

/// A socket, real or simulated.
pub trait Datagrams {
    /// Hands what is there to `sink`, at most as much as is good for one turn.
    ///
    /// # Errors
    /// If the socket is of no use any more: that ends all its connections.
    fn poll_receive(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Datagram)) -> Poll<io::Result<()>>;

    /// Sends. A datagram that cannot be sent is as good as one that is lost on the way.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) alone: there is no room now, and
    /// [`poll_writable`](Self::poll_writable) tells when there is.
    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()>;

    /// Ready when [`try_send`](Self::try_send) may have room.
    ///
    /// # Errors
    /// As for [`poll_receive`](Self::poll_receive).
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Most datagrams in one [`try_send`](Self::try_send).
    fn batch(&self) -> usize {
        1
    }

    /// Where it is.
    ///
    /// # Errors
    /// The system's.
    fn local_address(&self) -> io::Result<SocketAddr>;
}
