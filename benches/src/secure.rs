//! The client's side of TLS, by rustls: what makes the load pays for it, not the servers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use crate::dial::dial;
use crate::servers::tls::NAME;

/// What one read of a socket takes at most.
const READ: usize = 256 * 1024;

/// How keys are agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// X25519.
    Classic,
    /// X25519MLKEM768, rustls's default.
    Hybrid,
}

/// A client's side of TLS 1.3, with a memory of its own for sessions to resume, if it is to resume any.
pub fn config(exchange: Exchange, resumes: bool) -> io::Result<Arc<ClientConfig>> {
    let provider = match exchange {
        Exchange::Classic => CryptoProvider { kx_groups: vec![kx_group::X25519], ..default_provider() },
        Exchange::Hybrid => default_provider(),
    };
    config_by(provider, Arc::default(), resumes).map(Arc::new)
}

/// The same with ciphers of the caller's choice, and with who verifies the servers.
pub fn config_by(
    provider: CryptoProvider,
    verifier: Arc<Anybody>,
    resumes: bool,
) -> io::Result<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = match resumes {
        true => Resumption::in_memory_sessions(8),
        false => Resumption::disabled(),
    };
    Ok(config)
}

/// Whom all clients ask for.
pub fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap_or_else(|_| unreachable!("it is a host's name"))
}

/// Shakes hands on `socket`, which waits.
pub fn shake_hands(socket: &mut Blocking, config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let mut tls = ClientConnection::new(config.clone(), name()).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(socket)?;
    }
    Ok(tls)
}

/// TLS for a [`Load`](crate::load::Load): reads as much as there is, however rustls would have it.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    tls: ClientConnection,
    /// What came and rustls has not taken: from the first to before the second.
    raw: Box<[u8]>,
    unread: (usize, usize),
}

impl Stream {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let mut socket = dial(address, 0)?;
        let tls = shake_hands(&mut socket, config)?;
        socket.set_nonblocking(true)?;
        let raw = vec![0; READ].into_boxed_slice();
        Ok(Self { socket: TcpStream::from_std(socket), tls, raw, unread: (0, 0) })
    }

    /// Writes records, as far as the socket takes them.
    fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives rustls more to decrypt; zero bytes are the end.
    fn pull(&mut self) -> io::Result<usize> {
        let (mut start, mut end) = self.unread;
        if start == end {
            (start, end) = (0, self.socket.read(&mut self.raw)?);
        }
        let n = self.tls.read_tls(&mut &self.raw[start..end])?;
        self.unread = (start + n, end);
        self.tls.process_new_packets().map_err(io::Error::other)?;
        Ok(n)
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.push()?;
        let mut filled = 0;
        while filled < buf.len() {
            match self.tls.reader().read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.pull() {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock && filled > 0 => break,
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.push()?;
        let n = self.tls.writer().write(buf)?;
        self.push()?;
        match n {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}

/// Believes every server: it is one that was started a moment ago, and what a client checks is not measured.
#[derive(Debug, Default)]
pub struct Anybody {
    seen: AtomicUsize,
}

impl Anybody {
    /// How many certificates it was shown.
    pub fn seen(&self) -> usize {
        self.seen.load(Relaxed)
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.fetch_add(1, Relaxed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
