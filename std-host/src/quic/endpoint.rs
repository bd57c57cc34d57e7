//! The application's side of a socket: connect, accept, move.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use netloom_core::{Clock, Code, Duration, Error, Result};
use quinn_proto::{ClientConfig, EndpointConfig};
use tokio::sync::oneshot;

use super::client::QuicClient;
use super::connection::{Connection, Ready, wake};
use super::datagrams::Datagrams;
use super::driver::Driver;
use super::server::QuicServer;
use super::settings::Settings;
use super::udp::{Udp, bind};
use crate::clock::TokioClock;

/// A socket of QUIC with its connections, on any number of which an application connects and accepts.
///
/// When it is dropped nobody is accepted any more; connections go on, and when the last has ended the socket is closed.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use netloom::quic::{Endpoint, QuicClient};
/// use netloom::tls::TlsClient;
///
/// let endpoint = Endpoint::client()?;
/// let connection = endpoint.connect(&QuicClient::new(TlsClient::system()?)?, "192.0.2.1:7443".parse()?).await?;
/// connection.send_datagram(&b"ping"[..])?;
/// # Ok(()) }
/// ```
pub struct Endpoint<D = Udp> {
    door: Arc<Door<D>>,
    /// When it was made.
    address: SocketAddr,
}

/// What an endpoint and its driver share.
pub(super) struct Door<D> {
    pub(super) ready: Arc<Ready>,
    asked: Mutex<Asked<D>>,
    counts: Arc<Counts>,
}

struct Asked<D> {
    requests: Vec<Request<D>>,
    /// They wait to be accepted.
    shown: VecDeque<Connection>,
    acceptor: Option<Waker>,
    /// Nobody accepts any more.
    closed: bool,
    /// Nobody drives any more.
    left: bool,
}

/// What an endpoint asks its driver for, who knows the time.
pub(super) enum Request<D> {
    Connect {
        config: Box<ClientConfig>,
        /// How long the handshake may take, and what the connection may use.
        behaves: (Duration, Settings),
        to: SocketAddr,
        name: String,
        answer: oneshot::Sender<Result<Connection>>,
    },
    /// Another socket in the place of this.
    Rebind(Box<D>),
    /// Nobody is taken in any more.
    Refuse,
}

/// What endpoints have counted; those of one server share them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections that were refused because of a limit.
    pub(crate) refused: AtomicU64,
    /// Connections that did not come through the handshake.
    pub(crate) handshakes_failed: AtomicU64,
    /// Datagrams that one worker has handed to another.
    pub(crate) handed_over: AtomicU64,
}

/// Connections that wait to be accepted; more are refused.
const SHOWN_MAX: usize = 1_024;

impl<D> Door<D> {
    fn asked(&self) -> MutexGuard<'_, Asked<D>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, request: Request<D>) -> Result<()> {
        let mut asked = self.asked();
        if asked.left {
            return Err(Code::ConnectionFailed.into());
        }
        asked.requests.push(request);
        drop(asked);
        self.ready.tell(|list| list.asked = true);
        Ok(())
    }

    pub(super) fn requests(&self) -> Vec<Request<D>> {
        mem::take(&mut self.asked().requests)
    }

    pub(super) fn is_full(&self) -> bool {
        self.asked().shown.len() >= SHOWN_MAX
    }

    pub(super) fn show_in(&self, connection: Connection) {
        let mut asked = self.asked();
        if asked.closed {
            // Nobody has it: it is closed.
            return drop(asked);
        }
        asked.shown.push_back(connection);
        let acceptor = asked.acceptor.take();
        drop(asked);
        wake(acceptor);
    }

    pub(super) fn count(&self, of: impl Fn(&Counts) -> &AtomicU64) {
        of(&self.counts).fetch_add(1, Relaxed);
    }

    /// The driver is gone.
    pub(super) fn leave(&self) {
        let mut asked = self.asked();
        asked.left = true;
        // Their answers are dropped, which tells those who wait.
        let requests = mem::take(&mut asked.requests);
        let acceptor = asked.acceptor.take();
        drop(asked);
        drop(requests);
        wake(acceptor);
    }
}

impl Endpoint {
    /// A socket for clients, on any free port, driven by a task of the tokio runtime that the caller is in. Takes IPv4 and, where
    /// the system has it, IPv6.
    ///
    /// # Errors
    /// The system's.
    pub fn client() -> io::Result<Self> {
        let socket = match both() {
            Ok(socket) => socket,
            Err(_) => bind((Ipv4Addr::UNSPECIFIED, 0).into(), false)?,
        };
        Self::spawn(socket, None)
    }

    /// A socket for clients that connect to an address of that family.
    pub(crate) fn client_of(to: SocketAddr) -> io::Result<Self> {
        match to.is_ipv4() {
            true => Self::client_at((Ipv4Addr::UNSPECIFIED, 0).into()),
            false => Self::client_at((Ipv6Addr::UNSPECIFIED, 0).into()),
        }
    }

    /// A socket for clients at that address.
    ///
    /// # Errors
    /// The system's.
    pub fn client_at(address: SocketAddr) -> io::Result<Self> {
        Self::spawn(bind(address, false)?, None)
    }

    /// A socket for a server, which may connect as well, driven by a task of the tokio runtime that the caller is in. For a
    /// socket on each core, and sessions, there is [`Builder::quic`](crate::Builder::quic).
    ///
    /// # Errors
    /// The system's.
    pub fn server(address: SocketAddr, server: QuicServer) -> io::Result<Self> {
        Self::spawn(bind(address, false)?, Some(server))
    }

    fn spawn(socket: std::net::UdpSocket, server: Option<QuicServer>) -> io::Result<Self> {
        let clock = TokioClock::new(tokio::time::Instant::now());
        let (endpoint, driver) = Self::on(Udp::new(socket)?, server, clock, None);
        tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                tracing::warn!(%error, "a socket of QUIC failed");
            }
        });
        Ok(endpoint)
    }

    /// Moves to another local address, as after a change of network; connections follow (RFC 9000, 9). Their peers must take
    /// part, which they do unless a server forbids it. A connection whose handshake is not done does not survive it, and one
    /// on which nothing is sent is found by its peer only with the next packet, so keep-alive helps. A socket that is bound
    /// to no address, as [`client`](Self::client)'s, goes along with a change of network by itself.
    ///
    /// # Errors
    /// The system's. All is as it was then.
    pub fn rebind(&self, address: SocketAddr) -> io::Result<()> {
        self.rebind_on(Udp::new(bind(address, false)?)?);
        Ok(())
    }
}

/// A socket that takes IPv4 too.
fn both() -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
    Ok(socket.into())
}

impl<D: Datagrams> Endpoint<D> {
    /// An endpoint on any socket and any clock, and what drives it. The same `seed` and the same datagrams at the same times make
    /// the same packets, but for their keys.
    pub fn on<K: Clock>(
        socket: D,
        server: Option<QuicServer>,
        clock: K,
        seed: Option<[u8; 32]>,
    ) -> (Self, Driver<D, K>) {
        let mut config = server.as_ref().map_or_else(EndpointConfig::default, QuicServer::endpoint);
        config.rng_seed(seed);
        Self::with(socket, server, clock, config, Arc::default())
    }

    pub(crate) fn with<K: Clock>(
        socket: D,
        server: Option<QuicServer>,
        clock: K,
        config: EndpointConfig,
        counts: Arc<Counts>,
    ) -> (Self, Driver<D, K>) {
        let address = socket.local_address().unwrap_or_else(|_| (Ipv4Addr::UNSPECIFIED, 0).into());
        let config = Arc::new(config);
        let proto = quinn_proto::Endpoint::new(config, server.as_ref().map(QuicServer::config), true, None);
        let asked = Asked {
            requests: Vec::new(),
            shown: VecDeque::new(),
            acceptor: None,
            closed: false,
            left: false,
        };
        let door = Arc::new(Door { ready: Arc::default(), asked: Mutex::new(asked), counts });
        let driver = Driver::new(proto, server, socket, clock, door.clone());
        (Self { door, address }, driver)
    }
}

impl<D> Endpoint<D> {
    /// Where it was made to be, its port as chosen. [`rebind`](Self::rebind) does not change that.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Connects, and waits for the handshake. The server's certificate must be for its address, or for the name that the client
    /// was [told](crate::tls::TlsClientBuilder::server_name).
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`] and TLS's codes behind it, [`Code::ConnectionTimeout`], [`Code::ConnectionRefused`],
    /// [`Code::InvalidAddress`], [`Code::ConnectionFailed`].
    pub async fn connect(&self, client: &QuicClient, to: SocketAddr) -> Result<Connection> {
        let connection = self.begin(client, to, None).await?;
        connection.established().await?;
        Ok(connection)
    }

    /// Connects without waiting. With a ticket of an earlier connection, and if [`early_data`](super::QuicClientBuilder) was
    /// said, streams can be opened at once and what they send leaves with the first packet (0-RTT). Others can replay it.
    ///
    /// # Errors
    /// [`Code::InvalidAddress`], [`Code::ConnectionFailed`].
    pub async fn connect_early(&self, client: &QuicClient, to: SocketAddr) -> Result<Connection> {
        self.begin(client, to, None).await
    }

    /// The same, where the server's certificate must be for `host` rather than for the address.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn connect_to(&self, client: &QuicClient, host: &str, to: SocketAddr) -> Result<Connection> {
        let connection = self.begin(client, to, Some(host)).await?;
        connection.established().await?;
        Ok(connection)
    }

    pub(crate) async fn begin(
        &self,
        client: &QuicClient,
        to: SocketAddr,
        host: Option<&str>,
    ) -> Result<Connection> {
        let (answer, answered) = oneshot::channel();
        let name = client.name(host, to);
        let config = Box::new(client.config());
        self.door.ask(Request::Connect {
            config,
            behaves: (client.handshake_timeout(), *client.settings()),
            to,
            name,
            answer,
        })?;
        answered.await.unwrap_or_else(|_| Err(Error::new(Code::ConnectionFailed)))
    }

    /// The next connection whose handshake is done; with early data allowed, whose early data has come. `None` if nobody drives
    /// the endpoint any more. Cancel-safe; only one task may wait.
    pub async fn accept(&self) -> Option<Connection> {
        poll_fn(|cx| {
            let mut asked = self.door.asked();
            match asked.shown.pop_front() {
                Some(connection) => Poll::Ready(Some(connection)),
                None if asked.left => Poll::Ready(None),
                None => {
                    asked.acceptor = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Takes nobody in any more and waits until all connections are closed, and what tells their peers has left. Who ends a
    /// program after [`Connection::close`] waits for this.
    pub async fn finish(self) {
        self.close();
        poll_fn(|cx| {
            let mut asked = self.door.asked();
            match asked.left {
                true => Poll::Ready(()),
                false => {
                    asked.acceptor = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
    }

    /// Those who wait to be accepted are closed, and when no connection is left the driver ends.
    fn close(&self) {
        let mut asked = self.door.asked();
        asked.closed = true;
        let shown = mem::take(&mut asked.shown);
        drop(asked);
        drop(shown);
        self.door.ready.tell(|list| list.closed = true);
    }

    /// Takes nobody in any more; connections go on.
    pub fn refuse(&self) {
        // If nobody drives it, nobody is taken in.
        let _ = self.door.ask(Request::Refuse);
    }

    /// Another socket in the place of this; connections follow.
    pub fn rebind_on(&self, socket: D) {
        // If nobody drives it, there is no connection to move.
        let _ = self.door.ask(Request::Rebind(Box::new(socket)));
    }
}

impl<D> Drop for Endpoint<D> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<D> fmt::Debug for Endpoint<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}
