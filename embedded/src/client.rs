//! A board's client.

use core::future::Future;
use core::net::{IpAddr, SocketAddr};

#[cfg(feature = "dns")]
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_net::{IpAddress, IpEndpoint, Stack};
use embassy_time::with_timeout;
#[cfg(feature = "dns")]
use netloom_core::Error;
use netloom_core::{Code, Codec, Duration, Options, Result, Session};

use crate::crowd::BoardClock;
use crate::memory::{Buffers, ClientMemory};
use crate::serve::BoardSession;
use crate::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::tls::{CryptoRngCore, Tls, TlsConfig, TlsMemory, TlsSession};

/// Whom to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address.
    Address(SocketAddr),
    /// A name to be looked up, and a port. Needs the feature `dns`.
    #[cfg(feature = "dns")]
    Name(&'a str, u16),
    #[doc(hidden)]
    #[cfg(not(feature = "dns"))]
    Never(core::convert::Infallible, core::marker::PhantomData<&'a ()>),
}

impl From<SocketAddr> for Host<'_> {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

#[cfg(feature = "dns")]
impl<'a> From<(&'a str, u16)> for Host<'a> {
    fn from((name, port): (&'a str, u16)) -> Self {
        Self::Name(name, port)
    }
}

/// How to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connector {
    /// For looking the name up and connecting, together; then [`Code::ConnectionTimeout`]. Default 10 s.
    pub timeout: Duration,
    /// The session's own limits and time-outs.
    pub options: Options,
}

impl Default for Connector {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Connector {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self { timeout: Duration::from_secs(10), options: Options::DEFAULT };

    /// Connects to `host`.
    ///
    /// # Errors
    /// [`Code::ConnectionRefused`], [`Code::ConnectionTimeout`], [`Code::ConnectionFailed`] (no route),
    /// [`Code::NameNotResolved`], [`Code::Unsupported`] (an IPv6 address without the feature `ipv6`).
    pub async fn connect<'d, C: Codec, const QUEUE: usize, const SOCKET: usize>(
        &self,
        stack: Stack<'d>,
        host: impl Into<Host<'_>>,
        codec: C,
        memory: &'d mut ClientMemory<QUEUE, SOCKET>,
    ) -> Result<BoardSession<'d, C>> {
        let (queues, sockets) = memory.split();
        let socket = in_time(self.timeout, connected(stack, host.into(), sockets)).await?;
        Ok(Session::open(Tcp::new(socket), codec, queues, BoardClock::new(None), self.options))
    }

    /// Connects to `host` and shakes hands by TLS, both within [`timeout`](Self::timeout).
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect) and of [`Tls::connect`](crate::tls::Tls::connect).
    #[cfg(feature = "tls")]
    #[expect(clippy::too_many_arguments, reason = "seven things that are each someone else's")]
    pub async fn connect_tls<
        'd,
        C: Codec,
        const QUEUE: usize,
        const SOCKET: usize,
        const RECORD: usize,
        const SEND: usize,
    >(
        &self,
        stack: Stack<'d>,
        host: impl Into<Host<'_>>,
        codec: C,
        memory: &'d mut ClientMemory<QUEUE, SOCKET>,
        config: &TlsConfig<'_>,
        rng: &mut dyn CryptoRngCore,
        records: &'d mut TlsMemory<RECORD, SEND>,
    ) -> Result<TlsSession<'d, C>> {
        let (queues, sockets) = memory.split();
        let host = host.into();
        let connecting = async {
            let socket = connected(stack, host, sockets).await?;
            Tls::connect(Tcp::new(socket), config, rng, records).await
        };
        let tls = in_time(self.timeout, connecting).await?;
        Ok(Session::open(tls, codec, queues, BoardClock::new(None), self.options))
    }
}

pub(crate) async fn in_time<T>(timeout: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    // A year is for ever, and does not overflow embassy's clock.
    let timeout = timeout.min(Duration::from_secs(365 * 86_400));
    let timeout = embassy_time::Duration::from_millis(timeout.as_millis() as u64);
    with_timeout(timeout, work).await.unwrap_or(Err(Code::ConnectionTimeout.into()))
}

async fn connected<'d>(stack: Stack<'d>, host: Host<'_>, (rx, tx): Buffers<'d>) -> Result<TcpSocket<'d>> {
    let mut socket = TcpSocket::new(stack, rx, tx);
    let endpoint = resolve(stack, host).await?;
    match socket.connect(endpoint).await {
        Ok(()) => Ok(socket),
        Err(ConnectError::ConnectionReset) => Err(Code::ConnectionRefused.into()),
        Err(ConnectError::TimedOut) => Err(Code::ConnectionTimeout.into()),
        Err(ConnectError::NoRoute | ConnectError::InvalidState) => Err(Code::ConnectionFailed.into()),
    }
}

pub(crate) async fn resolve(stack: Stack<'_>, host: Host<'_>) -> Result<IpEndpoint> {
    let _ = stack;
    match host {
        Host::Address(address) => {
            let ip = match address.ip().to_canonical() {
                IpAddr::V4(ip) => IpAddress::from(ip),
                #[cfg(feature = "ipv6")]
                IpAddr::V6(ip) => IpAddress::from(ip),
                #[cfg(not(feature = "ipv6"))]
                IpAddr::V6(_) => return Err(Code::Unsupported.into()),
            };
            Ok(IpEndpoint::new(ip, address.port()))
        }
        #[cfg(feature = "dns")]
        Host::Name(name, port) => {
            let unknown = || Error::new(Code::NameNotResolved);
            let found = stack.dns_query(name, DnsQueryType::A).await;
            #[cfg(feature = "ipv6")]
            let found = match found {
                Ok(found) if !found.is_empty() => Ok(found),
                _ => stack.dns_query(name, DnsQueryType::Aaaa).await,
            };
            let address = found.map_err(|_| unknown())?.first().copied().ok_or_else(unknown)?;
            Ok(IpEndpoint::new(address, port))
        }
        #[cfg(not(feature = "dns"))]
        Host::Never(never, _) => match never {},
    }
}
