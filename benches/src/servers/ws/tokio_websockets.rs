//! tokio-websockets.

use std::io;

use ::tokio_websockets::{Message, ServerBuilder};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future};

use crate::servers::accept_each;

/// Joins each connection's stream to its sink.
pub fn serve_forward() -> io::Result<()> {
    accept_each(|stream| async {
        let (_, socket) = ServerBuilder::new().accept(stream).await.map_err(io::Error::other)?;
        let (sink, stream) = socket.split();
        let messages = stream.try_filter(|message| future::ready(is_message(message)));
        messages.forward(sink).await.map_err(io::Error::other)
    })
}

/// Sends each message as soon as it is there.
pub fn serve_send() -> io::Result<()> {
    accept_each(|stream| async {
        let (_, mut socket) = ServerBuilder::new().accept(stream).await.map_err(io::Error::other)?;
        while let Some(message) = socket.next().await {
            let message = message.map_err(io::Error::other)?;
            if is_message(&message) {
                socket.send(message).await.map_err(io::Error::other)?;
            }
        }
        Ok(())
    })
}

fn is_message(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
