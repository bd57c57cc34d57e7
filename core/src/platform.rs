//! What a host provides: a byte stream, storage and a clock.

use core::marker::PhantomData;
use core::net::SocketAddr;
use core::task::{Context, Poll};

use crate::buffer::Storage;
use crate::error::{Error, Result};
use crate::time::{Duration, Instant};

/// A byte stream: TCP, TLS over one, a QUIC stream, a simulated pipe. Object safe.
///
/// Of each direction only the waker of the last poll counts. Nothing is in flight between polls, so there is
/// nothing to cancel. Polled rather than `async`, because a session reads and writes at once, whichever can
/// go on; an async pair cannot, and two peers that both fill their pipes would stop for ever.
pub trait Transport {
    /// Reads into `buf`, which is not empty. `Ready(Ok(0))` is the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>>;

    /// Writes some of `buf`, which is not empty; at least one byte.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>>;

    /// Whether [`poll_write_vectored`](Self::poll_write_vectored) writes both of its buffers at once.
    fn writes_vectored(&self) -> bool {
        false
    }

    /// Writes some of the first buffer and, behind all of it, of the second, as one; at least one byte. Neither is empty.
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: [&[u8]; 2]) -> Poll<Result<usize>> {
        self.poll_write(cx, bufs[0])
    }

    /// Ready when a read would probably not wait, so that no buffer is needed to wait. May be wrong.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Whether something has begun to arrive that cannot be read before all of it is here: a record of TLS. The session's
    /// [`message`](crate::Timeouts::message) time-out counts for it as for a message. `None` if there is no such thing, ever.
    #[inline]
    fn is_midway(&self) -> Option<bool> {
        None
    }

    /// Hands everything written to the wire. Does not wait for the peer to acknowledge it.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Says that no more will be written. The peer can still be read from.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Cuts the connection now, in a way the peer cannot take for an orderly end where that is possible:
    /// a TCP reset, a QUIC RESET_STREAM and STOP_SENDING. Dropping the transport is enough for memory.
    fn abort(&mut self, why: Error) {
        let _ = why;
    }

    /// The peer's address, if the transport has one.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }

    /// What is known of the peer if the transport is secured: TLS, or a stream of QUIC.
    fn secured(&self) -> Option<Secured<'_>> {
        None
    }

    /// What was measured of the way to the peer, by a transport that does so: a stream of QUIC.
    #[inline]
    fn path(&self) -> Option<PathStats> {
        None
    }
}

/// What was measured of the way to the peer, and counted since the connection began: all its streams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct PathStats {
    /// As the sender's loss recovery has it (RFC 9002, 5).
    pub round_trip: Duration,
    /// Bytes that may be under way.
    pub congestion_window: u64,
    /// Bytes of the largest datagram that is sent.
    pub mtu: u16,
    /// Packets sent,
    pub packets_sent: u64,
    /// of which so many were lost,
    pub packets_lost: u64,
    /// with so many bytes.
    pub bytes_lost: u64,
    /// Times that the sender slowed down.
    pub congestion_events: u64,
    /// UDP datagrams sent.
    pub datagrams_sent: u64,
    /// UDP datagrams received.
    pub datagrams_received: u64,
    /// Bytes in them, with all headers but UDP's.
    pub bytes_sent: u64,
    /// The same, received.
    pub bytes_received: u64,
}

/// What is known of a connection that is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secured<'a> {
    /// The peer's certificate in DER, verified as the configuration says. Clients show one only if they are asked to.
    pub certificate: Option<&'a [u8]>,
    /// The protocol that was agreed on (ALPN, RFC 7301).
    pub protocol: Option<&'a [u8]>,
    /// The host that the client asked for (SNI, RFC 6066, 3).
    pub server_name: Option<&'a str>,
}

impl<'a> Secured<'a> {
    /// Nothing but that it is secured.
    pub const fn new() -> Self {
        Self { certificate: None, protocol: None, server_name: None }
    }

    /// With the peer's certificate.
    #[must_use]
    pub const fn certificate(mut self, der: Option<&'a [u8]>) -> Self {
        self.certificate = der;
        self
    }

    /// With the protocol.
    #[must_use]
    pub const fn protocol(mut self, protocol: Option<&'a [u8]>) -> Self {
        self.protocol = protocol;
        self
    }

    /// With the host.
    #[must_use]
    pub const fn server_name(mut self, name: Option<&'a str>) -> Self {
        self.server_name = name;
        self
    }
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        (**self).poll_read(cx, buf)
    }
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        (**self).poll_write(cx, buf)
    }
    fn writes_vectored(&self) -> bool {
        (**self).writes_vectored()
    }
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: [&[u8]; 2]) -> Poll<Result<usize>> {
        (**self).poll_write_vectored(cx, bufs)
    }
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        (**self).poll_readable(cx)
    }
    fn is_midway(&self) -> Option<bool> {
        (**self).is_midway()
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        (**self).poll_flush(cx)
    }
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        (**self).poll_finish(cx)
    }
    fn abort(&mut self, why: Error) {
        (**self).abort(why);
    }
    fn peer(&self) -> Option<SocketAddr> {
        (**self).peer()
    }
    fn secured(&self) -> Option<Secured<'_>> {
        (**self).secured()
    }
    #[inline]
    fn path(&self) -> Option<PathStats> {
        (**self).path()
    }
}

/// The host's clock, one per session.
pub trait Clock {
    /// The time. Never earlier than the last answer.
    fn now(&self) -> Instant;

    /// The time as it was told not long ago, if that is cheaper: for time-outs that need no precision.
    fn recently(&self) -> Instant {
        self.now()
    }

    /// Ready once `at` has passed. May be asked for another moment at any time; only the last question and
    /// the last waker count.
    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether the host is coming to its end: a session then ends as soon as it has nothing under way.
    /// The host wakes its sessions when that changes.
    fn stopping(&self) -> bool {
        false
    }
}

impl<K: Clock + ?Sized> Clock for &mut K {
    fn now(&self) -> Instant {
        (**self).now()
    }
    fn recently(&self) -> Instant {
        (**self).recently()
    }
    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_until(at, cx)
    }
    fn stopping(&self) -> bool {
        (**self).stopping()
    }
}

/// The three types a host chooses, as one parameter of everything above.
pub trait Platform {
    /// Its byte streams.
    type Transport: Transport;
    /// Where its queues live.
    type Storage: Storage;
    /// Its clock.
    type Clock: Clock;
}

/// A platform by its parts, where it needs no name of its own.
pub struct Parts<T, S, K>(PhantomData<(T, S, K)>);

impl<T: Transport, S: Storage, K: Clock> Platform for Parts<T, S, K> {
    type Transport = T;
    type Storage = S;
    type Clock = K;
}

const _: fn(&mut dyn Transport) = |_| ();
