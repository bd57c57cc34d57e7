//! Clients: `Send`, under any tokio runtime.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use netloom_core::{Code, Codec, Duration, Error, Options, Platform, Result, Session, Timeouts, Transport};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::address::ToAddress;
use crate::clock::TokioClock;
use crate::heap::Heap;
#[cfg(feature = "quic")]
use crate::quic::{Endpoint, QuicClient};
use crate::stream::Stream;
use crate::tcp::Tcp;
#[cfg(feature = "tls")]
use crate::tls::TlsClient;

/// What a client's session runs on; everything in it is `Send` if the transport is.
pub struct ClientPlatform<T = Stream<Heap>>(PhantomData<T>);

impl<T: Transport> Platform for ClientPlatform<T> {
    type Transport = T;
    type Storage = Heap;
    type Clock = TokioClock;
}

/// A client's session.
pub type ClientSession<C, T = Stream<Heap>> = Session<ClientPlatform<T>, C>;

/// Bytes of each queue to begin with; less than a server's, because a client keeps them. (Why less 16: `pool::BLOCK`.)
const QUEUE: usize = 16 * 1024 - 16;

/// Connects to `address` with the default options of a [`Connector`].
///
/// # Errors
/// As for [`Connector::connect`].
pub async fn connect<C: Codec>(address: impl ToAddress, codec: C) -> Result<ClientSession<C>, ConnectError> {
    Connector::new().connect(address, codec).await
}

/// How to connect. Every option has a default.
///
/// | option | default |
/// |---|---|
/// | [`timeout`](Self::timeout) | 10 s |
/// | [`attempt_delay`](Self::attempt_delay) | 250 ms |
/// | [`message_max`](Self::message_max) | 1 MiB |
/// | [`timeouts`](Self::timeouts) | [`Timeouts::DEFAULT`] |
/// | `tls`, `quic`, with the features of these names | plain TCP |
#[derive(Clone, Debug)]
pub struct Connector {
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    #[cfg(feature = "quic")]
    quic: Option<QuicClient>,
    timeout: Duration,
    attempt_delay: Duration,
    options: Options,
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl Connector {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "quic")]
            quic: None,
            timeout: Duration::from_secs(10),
            attempt_delay: Duration::from_millis(250),
            options: Options::DEFAULT,
        }
    }

    /// For resolving the name and connecting, together; then [`Code::ConnectionTimeout`].
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one address has before the next is tried beside it (RFC 8305, section 5: 250 ms).
    #[must_use]
    pub const fn attempt_delay(mut self, delay: Duration) -> Self {
        self.attempt_delay = delay;
        self
    }

    /// Secures the connection; the [`timeout`](Self::timeout) is for the handshake too. `None` for not to.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Option<TlsClient>>) -> Self {
        self.tls = tls.into();
        self
    }

    /// Connects by QUIC instead of TCP: the session is a stream of a connection of its own. More streams on it can be had by
    /// [`Stream::quic`] and [`Connection::open`](crate::quic::Connection::open). The server learns of a session by its first byte: who is to be
    /// spoken to first says something. `None` for TCP.
    #[cfg(feature = "quic")]
    #[must_use]
    pub fn quic(mut self, quic: impl Into<Option<QuicClient>>) -> Self {
        self.quic = quic.into();
        self
    }

    /// Most bytes of one received message; see [`Options::message_max`].
    #[must_use]
    pub const fn message_max(mut self, bytes: usize) -> Self {
        self.options.message_max = bytes;
        self
    }

    /// How long the session waits for what.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.options.timeouts = timeouts;
        self
    }

    /// Connects to the first address of `address`'s host that answers; IPv6 and IPv4 are raced as RFC 8305
    /// says.
    ///
    /// # Errors
    /// [`Code::InvalidAddress`], [`Code::NameNotResolved`], [`Code::ConnectionRefused`],
    /// [`Code::ConnectionTimeout`], [`Code::ConnectionFailed`]; its text names the address.
    pub async fn connect<C: Codec>(
        &self,
        address: impl ToAddress,
        codec: C,
    ) -> Result<ClientSession<C>, ConnectError> {
        let address = address.to_address();
        let late = || {
            let late = format!("no answer within {:?}", self.timeout);
            failed(Code::ConnectionTimeout, &address, io::Error::new(io::ErrorKind::TimedOut, late))
        };
        let stream = timeout(self.timeout, self.secured(&address)).await.unwrap_or_else(|_| Err(late()))?;
        Ok(self.open_on(stream, codec))
    }

    /// A session on a stream that is connected already, by a proxy or with socket options of its own. Its
    /// runtime must be the one that polls the session. It is not secured: for that there is
    /// [`open_on`](Self::open_on) with what `TlsClient::connect` makes.
    pub fn open<C: Codec>(&self, stream: TcpStream, codec: C) -> ClientSession<C> {
        self.open_on(Tcp::new(stream).into(), codec)
    }

    /// A session on any transport that is connected already.
    pub fn open_on<T: Transport, C: Codec>(&self, transport: T, codec: C) -> ClientSession<C, T> {
        let limit = self.options.message_max.saturating_add(crate::pool::FRAMING).max(QUEUE);
        let queues = (Heap::new(QUEUE, limit), Heap::new(QUEUE, limit));
        let clock = TokioClock::new(Instant::now());
        Session::open(transport, codec, queues, clock, self.options)
    }

    #[cfg(not(feature = "tls"))]
    async fn secured(&self, address: &str) -> Result<Stream<Heap>, ConnectError> {
        self.stream(address).await.map(|stream| Tcp::new(stream).into())
    }

    #[cfg(feature = "tls")]
    async fn secured(&self, address: &str) -> Result<Stream<Heap>, ConnectError> {
        #[cfg(feature = "quic")]
        if let Some(quic) = &self.quic {
            return self.by_quic(quic, address).await.map(Into::into);
        }
        let stream = Tcp::new(self.stream(address).await?);
        let Some(tls) = &self.tls else { return Ok(stream.into()) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let storage = (Heap::new(RECORDS, RECORDS), Heap::new(RECORDS, RECORDS));
        let secured = tls.connect(stream, host, storage).await;
        secured.map(Into::into).map_err(|error| failed(error.error(), address, io::Error::other(error)))
    }

    #[cfg(feature = "quic")]
    async fn by_quic(&self, quic: &QuicClient, address: &str) -> Result<crate::quic::Stream, ConnectError> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let connect = |to: SocketAddr| {
            let (quic, host) = (quic.clone(), host.to_owned());
            async move {
                let connection = Endpoint::client_of(to)?.begin(&quic, to, Some(&host)).await;
                let connection = connection.map_err(io::Error::other)?;
                match connection.established().await {
                    Ok(_) => connection.open().await.map_err(io::Error::other),
                    Err(error) => Err(match connection.lost() {
                        Some(lost) => io::Error::other(lost),
                        None => io::Error::other(error),
                    }),
                }
            }
        };
        race(self.resolve(address).await?, self.attempt_delay, connect).await.map_err(|error| {
            let inner = error.get_ref();
            let known = inner.and_then(|inner| {
                let lost = inner.downcast_ref::<crate::quic::Lost>().map(crate::quic::Lost::error);
                lost.or_else(|| inner.downcast_ref::<Error>().copied())
            });
            failed(known.unwrap_or(Code::ConnectionFailed.into()), address, error)
        })
    }

    /// The addresses of a name, in the order in which they are tried.
    async fn resolve(&self, address: &str) -> Result<Vec<SocketAddr>, ConnectError> {
        let found = tokio::net::lookup_host(address).await.map_err(|error| {
            let malformed = error.kind() == io::ErrorKind::InvalidInput;
            failed(if malformed { Code::InvalidAddress } else { Code::NameNotResolved }, address, error)
        })?;
        Ok(interleave(found.collect()))
    }

    async fn stream(&self, address: &str) -> Result<TcpStream, ConnectError> {
        let addresses = self.resolve(address).await?;
        race(addresses, self.attempt_delay, TcpStream::connect).await.map_err(|error| {
            let code = match error.kind() {
                io::ErrorKind::ConnectionRefused => Code::ConnectionRefused,
                io::ErrorKind::TimedOut => Code::ConnectionTimeout,
                io::ErrorKind::NotFound => Code::NameNotResolved,
                _ => Code::ConnectionFailed,
            };
            failed(code, address, error)
        })
    }
}

/// Bytes for TLS's records, in each direction: two of the longest, with some more.
#[cfg(feature = "tls")]
const RECORDS: usize = 40 * 1024 - 16;

fn failed(error: impl Into<Error>, address: &str, source: io::Error) -> ConnectError {
    ConnectError { error: error.into(), address: address.into(), source }
}

/// RFC 8305, section 4: families alternate, the resolver's favourite first.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let (mut favoured, mut others) = (Vec::new(), Vec::new());
    for address in addresses {
        if address.is_ipv6() == first { favoured.push(address) } else { others.push(address) }
    }
    let mut others = others.into_iter();
    let mut order: Vec<_> = favoured.into_iter().flat_map(|a| [Some(a), others.next()]).flatten().collect();
    order.extend(others);
    order
}

type Attempt<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// RFC 8305, section 5: the next attempt begins when the last has failed or has taken `delay`; the first
/// connection wins and the rest are dropped.
async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    delay: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut addresses = addresses.into_iter();
    let mut attempts: Vec<Attempt<T>> = Vec::new();
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut due = true;
    poll_fn(|cx| {
        loop {
            if due {
                due = false;
                if let Some(address) = addresses.next() {
                    attempts.push(Box::pin(connect(address)));
                    // A year is for ever, and does not overflow the clock.
                    timer.as_mut().reset(Instant::now() + delay.min(Duration::from_secs(365 * 86_400)));
                }
            }
            let mut n = 0;
            while n < attempts.len() {
                match attempts[n].as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last = error;
                        due = true;
                        drop(attempts.swap_remove(n));
                    }
                    Poll::Pending => n += 1,
                }
            }
            if addresses.len() == 0 {
                if !attempts.is_empty() {
                    return Poll::Pending;
                }
                let nothing = io::Error::from(io::ErrorKind::NotFound);
                return Poll::Ready(Err(std::mem::replace(&mut last, nothing)));
            }
            due |= timer.as_mut().poll(cx).is_ready();
            if !due {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Why a connection was not made.
#[derive(Debug)]
pub struct ConnectError {
    error: Error,
    address: String,
    source: io::Error,
}

impl ConnectError {
    /// What went wrong, as everywhere in netloom.
    pub fn error(&self) -> Error {
        self.error
    }

    /// What was to be connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What kept it, for errors that say the rest themselves.
    pub(crate) fn into_source(self) -> io::Error {
        self.source
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number) = (self.error.code().name(), self.error.number());
        write!(f, "{name} ({number}): {}: {}", self.address, self.source)
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        error.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_the_resolvers_favourite_leads() {
        let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(interleave(found), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        let found = parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(interleave(found), parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
    }
}
