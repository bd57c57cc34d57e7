//! The servers that are compared, and what they share.
//!
//! All have one worker: a current-thread runtime. Each protocol is an enum that implements [`Contender`].

pub mod fanout;
pub mod framed;
pub mod http;
pub mod netloom;
pub mod nginx;
pub mod quic;
pub mod raw;
pub mod tcp;
pub mod tls;
pub mod ws;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};

use clap::ValueEnum;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The servers of one protocol.
pub trait Contender: ValueEnum + Copy + PartialEq + Send + Sync + 'static {
    /// The protocol's name on the command line.
    const PROTOCOL: &'static str;
    /// The server whose figures the others' are divided by.
    const REFERENCE: Self;
    /// Whether it accepts TCP, so that a connection can tell that it does.
    const BY_TCP: bool = true;

    /// Is that server: calls [`announce`] when it listens, and returns only when it fails.
    fn serve(self) -> io::Result<()>;

    /// The name on the command line and in reports.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The servers in `only`, or all if it is empty; in any case the one the others are divided by.
    fn chosen(only: &[Self]) -> Vec<Self> {
        let wanted = |peer: &Self| only.is_empty() || only.contains(peer) || *peer == Self::REFERENCE;
        Self::value_variants().iter().copied().filter(wanted).collect()
    }
}

/// Tells the process that started this server where it listens.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{address}")?;
    out.flush()
}

/// Listens, announces the address, and runs `session` for every connection, all on this thread.
pub fn accept_each<F>(session: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    accept_on(&tokio::runtime::Builder::new_current_thread().enable_io().build()?, session)
}

/// The same on a runtime of the server's choice.
pub fn accept_on<F>(runtime: &Runtime, session: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(session(stream));
        }
    })
}
