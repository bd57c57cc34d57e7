//! sockudo-ws.

use std::io;

use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use sockudo_ws::{Config, Message, WebSocketStream};
use tokio::runtime::Runtime;

use super::accept;
use crate::servers::accept_on;

/// Joins each connection's stream to its sink.
pub fn serve_forward() -> io::Result<()> {
    accept_on(&runtime()?, |stream| async {
        let socket = WebSocketStream::server(accept(stream).await?, Config::default());
        // Its own halves are neither stream nor sink.
        let (sink, stream) = StreamExt::split(socket);
        let messages = stream.try_filter(|message| future::ready(is_message(message)));
        messages.forward(sink).await.map_err(io::Error::other)
    })
}

/// Sends each message as soon as it is there.
pub fn serve_send() -> io::Result<()> {
    accept_on(&runtime()?, |stream| async {
        let mut socket = WebSocketStream::server(accept(stream).await?, Config::default());
        while let Some(message) = socket.next().await {
            let message = message.map_err(io::Error::other)?;
            if is_message(&message) {
                socket.send(message).await.map_err(io::Error::other)?;
            }
        }
        Ok(())
    })
}

/// It has timers of its own.
fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn is_message(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
