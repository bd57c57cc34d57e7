//! Ours, in the two ways it is used.

use std::future::poll_fn;
use std::io;

use ::netloom::core::Transport;
use ::netloom::quic::{Connection, Endpoint, QuicServer, Settings, Stream, Udp};
use ::netloom::tls::{Identity, TlsServer};
use ::netloom::{Framing, Result, Server, ServerSession, TokioClock};
use rcgen::CertifiedKey;

use super::{
    Bytes, CONNECTION_WINDOW, DATAGRAM_BUFFER, DATAGRAMS, ONE_WAY_STREAMS, PIECE, PROTOCOL, STREAM_WINDOW,
    STREAMS, Wanted, answer, certified, socket,
};
use crate::servers::{announce, tls};

/// Answers streams, each in a task of its own.
pub fn serve() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let socket = socket()?;
        let address = socket.local_addr()?;
        let clock = TokioClock::new(tokio::time::Instant::now());
        let (endpoint, driver) = Endpoint::on(Udp::new(socket)?, Some(server()?), clock, None);
        tokio::spawn(driver.run());
        announce(address)?;
        while let Some(connection) = endpoint.accept().await {
            match connection.secured().protocol == Some(DATAGRAMS) {
                true => drop(tokio::spawn(echo_datagrams(connection))),
                false => drop(tokio::spawn(attend(connection))),
            }
        }
        Ok(())
    })
}

async fn attend(connection: Connection) {
    while let Ok(stream) = connection.accept().await {
        tokio::spawn(answer(stream));
    }
}

async fn echo_datagrams(connection: Connection) -> Result<()> {
    loop {
        let datagram = connection.receive_datagram().await?;
        connection.send_datagram(datagram)?;
    }
}

impl Bytes for Stream {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Stream::read(self, buf).await.map_err(io::Error::other)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, bytes)).await.map_err(io::Error::other)
    }

    async fn finish(&mut self) -> io::Result<()> {
        Stream::finish(self);
        Ok(())
    }
}

/// Answers messages with one worker.
pub fn serve_sessions() -> io::Result<()> {
    let server = Server::builder()
        .quic("127.0.0.1:0", server()?)
        .workers(1)
        .sessions_per_address_max(usize::MAX)
        .start(Framing::new, app)
        .map_err(io::Error::other)?;
    announce(server.addresses()[0])?;
    server.wait();
    Ok(())
}

async fn app(session: &mut ServerSession<Framing>) -> Result<()> {
    while let Some((message, peer)) = session.receive().await? {
        match Wanted::by(message.len(), message) {
            Wanted::Echo => peer.send(message).await?,
            Wanted::Nothing => {}
            Wanted::Bytes(bytes) => {
                let large = tls::payload(PIECE - 4);
                for _ in 0..bytes / PIECE as u64 {
                    peer.send(&large).await?;
                }
            }
        }
    }
    Ok(())
}

fn server() -> io::Result<QuicServer> {
    let CertifiedKey { cert, signing_key } = certified()?;
    let identity = Identity::new(cert.der(), signing_key.serialize_der()).map_err(io::Error::other)?;
    let tls =
        TlsServer::builder(identity).protocols([PROTOCOL, DATAGRAMS]).build().map_err(io::Error::other)?;
    let settings = Settings {
        streams_max: STREAMS,
        one_way_streams_max: ONE_WAY_STREAMS,
        stream_window: STREAM_WINDOW,
        receive_window: CONNECTION_WINDOW,
        send_window: CONNECTION_WINDOW,
        datagram_buffer: DATAGRAM_BUFFER,
        ..Settings::DEFAULT
    };
    QuicServer::builder(tls).settings(settings).build().map_err(io::Error::other)
}
