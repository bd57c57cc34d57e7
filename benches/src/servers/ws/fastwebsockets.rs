//! fastwebsockets.

use std::io;

use ::fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError};
use tokio::net::TcpStream;

use super::accept;
use crate::servers::accept_each;

/// Echoes, with vectored writes and automatic answers as its README has them.
pub fn serve() -> io::Result<()> {
    accept_each(|stream| async { echo(accept(stream).await?).await.map_err(io::Error::other) })
}

async fn echo(stream: TcpStream) -> Result<(), WebSocketError> {
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_writev(true);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
