//! Who answers streams over QUIC.
//!
//! All have the same windows, certificates of the same kind (ECDSA by P-256, by nobody vouched for), sockets with the
//! same buffers, Cubic, and packets that grow to the same size. They give a client one ticket, which holds the session;
//! but for s2n-quic, which gives none. Which cipher and which exchange of keys, the client says.
//!
//! A stream begins with a message behind its length, in 4 bytes. What is asked for by it:
//!
//! | length | answer |
//! |---|---|
//! | [`ASKING`] | as many bytes as the message says, in 8 bytes |
//! | more than [`SHORT`] | none: the stream is read to its end |
//! | other | all that comes |
//!
//! Servers of bytes (`netloom`, `quinn`, `s2n-quic`) read into memory of their own and write from it until the client's
//! end; a server of messages (`netloom-sessions`) takes and sends messages.

pub mod netloom;
pub mod quinn;
#[cfg(feature = "peers-quic")]
pub mod s2n_quic;

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

use clap::ValueEnum;
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::PrivateKeyDer;
use socket2::{Domain, Socket, Type};

use super::tls::certified;
use super::{Contender, tls};

/// What both ends speak (ALPN).
pub const PROTOCOL: &[u8] = b"netloom-compare";
/// The same, and all that is said is datagrams, which are echoed.
pub const DATAGRAMS: &[u8] = b"netloom-compare-datagrams";
/// A message of so many bytes says how many are wanted.
pub const ASKING: usize = 8;
/// The longest message that is echoed.
pub const SHORT: usize = 124;
/// What is read and written at a time; a large message behind its length.
pub const PIECE: usize = 64 * 1024;

/// Bytes of a stream that were not read yet, at both ends.
pub const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of all streams of a connection that were not read yet, or not acknowledged.
pub const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Streams of a client at a time that both ends write to: tables grow with them.
pub const STREAMS: u32 = 96;
/// Those that it alone writes to.
pub const ONE_WAY_STREAMS: u32 = 16;
/// Bytes of datagrams that wait.
pub const DATAGRAM_BUFFER: usize = 64 * 1024;
/// What the kernel keeps of a socket's datagrams, as far as it is allowed to.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Why a peer is missing.
pub const LEFT_OUT: Option<&str> = match cfg!(feature = "peers-quic") {
    true => None,
    false => Some("s2n-quic is compared with --features peers-quic"),
};

/// A server over QUIC, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Ours, by connections and streams.
    Netloom,
    /// Ours, each stream a session.
    NetloomSessions,
    /// quinn on tokio.
    Quinn,
    /// s2n-quic with rustls on tokio.
    #[cfg(feature = "peers-quic")]
    #[value(name = "s2n-quic")]
    S2nQuic,
}

impl Contender for Peer {
    const PROTOCOL: &'static str = "quic";
    const REFERENCE: Self = Self::Quinn;
    const BY_TCP: bool = false;

    fn serve(self) -> io::Result<()> {
        match self {
            Self::Netloom => netloom::serve(),
            Self::NetloomSessions => netloom::serve_sessions(),
            Self::Quinn => quinn::serve(),
            #[cfg(feature = "peers-quic")]
            Self::S2nQuic => s2n_quic::serve(),
        }
    }
}

impl Peer {
    /// Whether it echoes datagrams too.
    pub fn has_datagrams(self) -> bool {
        matches!(self, Self::Netloom | Self::Quinn)
    }

    /// Whether its clients can resume sessions: s2n-quic never asks rustls for a ticket.
    pub fn resumes(self) -> bool {
        matches!(self, Self::Netloom | Self::NetloomSessions | Self::Quinn)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// What comes.
    Echo,
    /// So many bytes.
    Bytes(u64),
    /// Nothing.
    Nothing,
}

impl Wanted {
    /// By a message of `len` bytes that begins so; more of it may be needed to know.
    fn by(len: usize, message: &[u8]) -> Self {
        match message.first_chunk() {
            Some(&bytes) if len == ASKING => Self::Bytes(u64::from_be_bytes(bytes)),
            _ if len > SHORT => Self::Nothing,
            _ => Self::Echo,
        }
    }

    /// The same of the first bytes of a stream.
    fn by_stream(bytes: &[u8]) -> Self {
        match bytes.split_first_chunk() {
            Some((&len, message)) => Self::by(u32::from_be_bytes(len) as usize, message),
            None => Self::Echo,
        }
    }
}

/// A stream of one of the servers of bytes.
trait Bytes: Send + 'static {
    /// Reads some; zero is the end.
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes some.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// The end of what is written.
    fn finish(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

/// Does what the client of `stream` asks for.
async fn answer(mut stream: impl Bytes) -> io::Result<()> {
    let (mut beginning, mut len) = ([0; 4 + SHORT], 0);
    loop {
        let came = stream.read(&mut beginning[len..]).await?;
        len += came;
        match Wanted::by_stream(&beginning[..len]) {
            Wanted::Bytes(bytes) => {
                send(&mut stream, bytes).await?;
                break;
            }
            Wanted::Nothing => {
                let mut piece = vec![0; PIECE];
                while stream.read(&mut piece).await? > 0 {}
                break;
            }
            Wanted::Echo if came == 0 => {
                write_all(&mut stream, &beginning[..len]).await?;
                break;
            }
            Wanted::Echo => {}
        }
    }
    stream.finish().await
}

async fn send(stream: &mut impl Bytes, bytes: u64) -> io::Result<()> {
    let piece = tls::payload(PIECE);
    let mut left = usize::try_from(bytes).map_err(io::Error::other)?;
    while left > 0 {
        left -= stream.write(&piece[..left.min(PIECE)]).await?;
    }
    Ok(())
}

async fn write_all(stream: &mut impl Bytes, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = stream.write(bytes).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// A socket of a server, or of the client.
pub fn socket() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket.into())
}

/// rustls for those who take its configuration, as ours has it.
fn config() -> io::Result<ServerConfig> {
    let CertifiedKey { cert, signing_key } = certified()?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .map_err(io::Error::other)?;
    config.ignore_client_order = true;
    config.alpn_protocols = vec![PROTOCOL.to_vec(), DATAGRAMS.to_vec()];
    config.ticketer = Ticketer::new().map_err(io::Error::other)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_known_by_the_first_message() {
        let asking = [&[0, 0, 0, 8][..], &7_u64.to_be_bytes()].concat();
        assert_eq!(Wanted::by_stream(&asking), Wanted::Bytes(7));
        assert_eq!(Wanted::by_stream(&asking[..11]), Wanted::Echo);
        assert_eq!(Wanted::by_stream(&[0, 1, 0, 0]), Wanted::Nothing);
        assert_eq!(Wanted::by_stream(&[0, 0, 0, 60, 1]), Wanted::Echo);
        assert_eq!(Wanted::by_stream(&[0, 1]), Wanted::Echo);
    }
}
