//! What a session's bytes come and go by: TCP, TLS over it, or a stream of QUIC.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use netloom_core::{Error, PathStats, Result, Secured, Transport};
use tokio::net::TcpStream;

#[cfg(feature = "quic")]
use crate::quic;
use crate::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// A connection of a server or a client, whichever way it is secured: so an application has one type of session. TLS's
/// records lie in `S`.
#[derive(Debug)]
pub struct Stream<S> {
    kind: Kind<S>,
}

#[derive(Debug)]
enum Kind<S> {
    Tcp(Tcp, PhantomData<S>),
    #[cfg(feature = "tls")]
    Tls(Box<Tls<Tcp, S>>),
    #[cfg(feature = "quic")]
    Quic(quic::Stream),
}

/// An idle session is as small as can be.
#[cfg(feature = "quic")]
const _: () = assert!(size_of::<quic::Stream>() <= size_of::<Tcp>());

impl<S> Stream<S> {
    /// The TCP connection below, if there is one, to ask it about addresses and socket options.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.kind {
            Kind::Tcp(tcp, _) => Some(tcp.stream()),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => Some(tls.io().stream()),
            #[cfg(feature = "quic")]
            Kind::Quic(_) => None,
        }
    }

    /// What is known of TLS, if it is TLS over TCP.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&Tls<Tcp, S>> {
        match &self.kind {
            Kind::Tls(tls) => Some(tls),
            _ => None,
        }
    }

    /// The stream of QUIC, if it is one, to ask it about its connection.
    #[cfg(feature = "quic")]
    pub fn quic(&self) -> Option<&quic::Stream> {
        match &self.kind {
            Kind::Quic(stream) => Some(stream),
            _ => None,
        }
    }
}

impl<S> From<Tcp> for Stream<S> {
    fn from(tcp: Tcp) -> Self {
        Self { kind: Kind::Tcp(tcp, PhantomData) }
    }
}

#[cfg(feature = "tls")]
impl<S> From<Tls<Tcp, S>> for Stream<S> {
    fn from(tls: Tls<Tcp, S>) -> Self {
        Self { kind: Kind::Tls(Box::new(tls)) }
    }
}

#[cfg(feature = "quic")]
impl<S> From<quic::Stream> for Stream<S> {
    fn from(stream: quic::Stream) -> Self {
        Self { kind: Kind::Quic(stream) }
    }
}

/// The same for whatever it is.
macro_rules! each {
    ($kind:expr, $io:ident => $do:expr) => {
        match $kind {
            Kind::Tcp($io, _) => $do,
            #[cfg(feature = "tls")]
            Kind::Tls($io) => $do,
            #[cfg(feature = "quic")]
            Kind::Quic($io) => $do,
        }
    };
}

impl<S: netloom_core::Storage> Transport for Stream<S> {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        each!(&mut self.kind, io => io.poll_read(cx, buf))
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        each!(&mut self.kind, io => io.poll_write(cx, buf))
    }

    fn writes_vectored(&self) -> bool {
        each!(&self.kind, io => io.writes_vectored())
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: [&[u8]; 2]) -> Poll<Result<usize>> {
        each!(&mut self.kind, io => io.poll_write_vectored(cx, bufs))
    }

    #[inline]
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(&mut self.kind, io => io.poll_readable(cx))
    }

    #[inline]
    fn is_midway(&self) -> Option<bool> {
        each!(&self.kind, io => io.is_midway())
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(&mut self.kind, io => io.poll_flush(cx))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(&mut self.kind, io => io.poll_finish(cx))
    }

    fn abort(&mut self, why: Error) {
        each!(&mut self.kind, io => io.abort(why));
    }

    fn peer(&self) -> Option<SocketAddr> {
        each!(&self.kind, io => io.peer())
    }

    fn secured(&self) -> Option<Secured<'_>> {
        each!(&self.kind, io => io.secured())
    }

    #[inline]
    fn path(&self) -> Option<PathStats> {
        each!(&self.kind, io => io.path())
    }
}
