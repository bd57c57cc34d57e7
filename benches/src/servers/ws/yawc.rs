//! yawc.

use std::io;

use ::yawc::{Frame, OpCode, Options, Role, WebSocket};
use futures_util::{SinkExt, StreamExt, future};
use tokio::net::TcpStream;

use super::accept;
use crate::servers::accept_each;

/// Joins each connection's stream to its sink.
pub fn serve_forward() -> io::Result<()> {
    accept_each(|stream| async {
        let (sink, stream) = socket(accept(stream).await?)?.split();
        let messages = stream.filter(|frame| future::ready(is_message(frame))).map(Ok);
        messages.forward(sink).await.map_err(io::Error::other)
    })
}

/// Sends each message as soon as it is there.
pub fn serve_send() -> io::Result<()> {
    accept_each(|stream| async {
        let mut socket = socket(accept(stream).await?)?;
        while let Some(frame) = socket.next().await {
            if is_message(&frame) {
                socket.send(frame).await.map_err(io::Error::other)?;
            }
        }
        Ok(())
    })
}

fn socket(stream: TcpStream) -> io::Result<WebSocket<TcpStream>> {
    let options = Options::default().without_compression();
    WebSocket::from_stream(stream, Role::Server, options).map_err(io::Error::other)
}

fn is_message(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
