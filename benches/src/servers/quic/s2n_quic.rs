//! s2n-quic, each connection and each stream in a task of its own.

use std::io;

use ::s2n_quic::provider::io::tokio::Builder;
use ::s2n_quic::provider::limits::Limits;
use ::s2n_quic::provider::tls::rustls;
use ::s2n_quic::stream::BidirectionalStream;
use ::s2n_quic::{Connection, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Bytes, CONNECTION_WINDOW, ONE_WAY_STREAMS, STREAM_WINDOW, STREAMS, answer, config, socket};
use crate::servers::announce;

/// The largest packet of the others, 1,452 bytes, with the headers of UDP and IPv4.
const MTU: u16 = 1_452 + 8 + 20;

/// Answers streams.
pub fn serve() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let socket = socket()?;
        let address = socket.local_addr()?;
        let io = Builder::default().with_rx_socket(socket)?.with_max_mtu(MTU)?.build()?;
        let builder = Server::builder().with_io(io).map_err(io::Error::other)?;
        let builder = builder.with_tls(rustls::Server::from(config()?)).map_err(io::Error::other)?;
        let builder = builder.with_limits(limits().map_err(io::Error::other)?).map_err(io::Error::other)?;
        let mut server = builder.start().map_err(io::Error::other)?;
        announce(address)?;
        while let Some(connection) = server.accept().await {
            tokio::spawn(attend(connection));
        }
        Ok(())
    })
}

fn limits() -> Result<Limits, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limits::new()
        .with_data_window(CONNECTION_WINDOW.into())?
        .with_bidirectional_remote_data_window(STREAM_WINDOW.into())?
        .with_max_open_remote_bidirectional_streams(STREAMS.into())?
        .with_max_open_remote_unidirectional_streams(ONE_WAY_STREAMS.into())?
        .with_max_send_buffer_size(CONNECTION_WINDOW)?)
}

async fn attend(mut connection: Connection) {
    while let Ok(Some(stream)) = connection.accept_bidirectional_stream().await {
        tokio::spawn(answer(stream));
    }
}

impl Bytes for BidirectionalStream {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(self, buf).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        AsyncWriteExt::write(self, bytes).await
    }

    async fn finish(&mut self) -> io::Result<()> {
        BidirectionalStream::finish(self).map_err(io::Error::other)
    }
}
