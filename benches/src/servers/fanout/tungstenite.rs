//! tokio-tungstenite, members told by a broadcast channel of tokio's.

use std::io;
use std::sync::LazyLock;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast::Sender;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::SPEAKER;
use crate::servers::accept_each;

/// Messages that are kept.
const ROOM: usize = 4096;

static ALL: LazyLock<Sender<Message>> = LazyLock::new(|| Sender::new(ROOM));

/// Tells members.
pub fn serve() -> io::Result<()> {
    accept_each(connection)
}

async fn connection(stream: TcpStream) -> io::Result<()> {
    let mut speaks = false;
    #[allow(clippy::result_large_err, reason = "the error is tungstenite's to choose")]
    let path = |request: &Request, response: Response| {
        speaks = request.uri().path() == SPEAKER;
        Ok::<_, ErrorResponse>(response)
    };
    let mut socket = accept_hdr_async(stream, path).await.map_err(io::Error::other)?;
    let mut told = ALL.subscribe();
    loop {
        tokio::select! {
            said = socket.next() => match said {
                Some(Ok(message)) if speaks => _ = ALL.send(message),
                Some(Ok(_)) => {}
                _ => return Ok(()),
            },
            message = told.recv(), if !speaks => {
                let message = message.map_err(io::Error::other)?;
                socket.feed(message).await.map_err(io::Error::other)?;
                while let Ok(message) = told.try_recv() {
                    socket.feed(message).await.map_err(io::Error::other)?;
                }
                socket.flush().await.map_err(io::Error::other)?;
            }
        }
    }
}
