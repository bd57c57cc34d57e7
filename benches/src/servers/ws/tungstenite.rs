//! tokio-tungstenite, used in the two ways its users do.

use std::io;

use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::servers::accept_each;

/// Joins each connection's stream to its sink.
pub fn serve_forward() -> io::Result<()> {
    accept_each(|stream| async {
        let (sink, stream) = accept_async(stream).await.map_err(io::Error::other)?.split();
        let messages = stream.try_filter(|message| future::ready(is_message(message)));
        messages.forward(sink).await.map_err(io::Error::other)
    })
}

/// Sends each message as soon as it is there.
pub fn serve_send() -> io::Result<()> {
    accept_each(|stream| async {
        let mut socket = accept_async(stream).await.map_err(io::Error::other)?;
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
