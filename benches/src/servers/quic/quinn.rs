//! quinn, each connection and each stream in a task of its own.

use std::io;
use std::sync::Arc;

use ::quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use ::quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, ServerConfig, TokioRuntime,
    TransportConfig,
};

use super::{
    Bytes, CONNECTION_WINDOW, DATAGRAM_BUFFER, DATAGRAMS, ONE_WAY_STREAMS, STREAM_WINDOW, STREAMS, answer,
    config, socket,
};
use crate::servers::announce;

/// Answers streams.
pub fn serve() -> io::Result<()> {
    let crypto = QuicServerConfig::try_from(config()?).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport()));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket()?, runtime)?;
        announce(endpoint.local_addr()?)?;
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(attend(incoming));
        }
        Ok(())
    })
}

/// What a connection may use: of the server's, and of the client's.
pub fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(STREAMS.into())
        .max_concurrent_uni_streams(ONE_WAY_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(CONNECTION_WINDOW.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER);
    config
}

async fn attend(incoming: Incoming) -> io::Result<()> {
    let connection = incoming.await?;
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    if data.is_some_and(|data| data.protocol.as_deref() == Some(DATAGRAMS)) {
        return echo_datagrams(connection).await;
    }
    loop {
        let (send, receive) = connection.accept_bi().await?;
        tokio::spawn(answer((send, receive)));
    }
}

async fn echo_datagrams(connection: Connection) -> io::Result<()> {
    loop {
        let datagram = connection.read_datagram().await?;
        connection.send_datagram(datagram).map_err(io::Error::other)?;
    }
}

impl Bytes for (SendStream, RecvStream) {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.1.read(buf).await?.unwrap_or(0))
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).await?)
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.0.finish().map_err(io::Error::other)
    }
}
