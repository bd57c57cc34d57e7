//! yawc.

use std::io;

use ::yawc::{CompressionLevel, DeflatePool, Frame, OpCode, Options, Role, WebSocket};
use futures_util::{SinkExt, StreamExt, future};
use tokio::net::TcpStream;

use super::{accept, accept_with};
use crate::handshake::DEFLATE;
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

/// Joins each connection's stream to its sink, messages compressed. `buffers`: where each begins with so many bytes.
pub fn serve_deflate(buffers: Option<usize>) -> io::Result<()> {
    let mut options = Options::default()
        .with_compression_level(CompressionLevel::new(4))
        .with_compression_threshold(128)
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(16));
    (options.read_buffer_capacity, options.write_buffer_capacity) = (buffers, buffers);
    accept_each(move |stream| {
        let options = options.clone();
        async move {
            let stream = accept_with(stream, &format!("Sec-WebSocket-Extensions: {DEFLATE}\r\n")).await?;
            let socket = WebSocket::from_stream_with_extensions(stream, Role::Server, Some(DEFLATE), options);
            let (sink, stream) = socket.map_err(io::Error::other)?.split();
            let messages = stream.filter(|frame| future::ready(is_message(frame))).map(Ok);
            messages.forward(sink).await.map_err(io::Error::other)
        }
    })
}

fn socket(stream: TcpStream) -> io::Result<WebSocket<TcpStream>> {
    let options = Options::default().without_compression();
    WebSocket::from_stream(stream, Role::Server, options).map_err(io::Error::other)
}

fn is_message(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
