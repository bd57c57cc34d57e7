//! The limit: an echo that knows no messages.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::accept_each;

/// What one read takes at most.
const READ: usize = 16 * 1024;

/// Writes back whatever was read.
pub fn serve() -> io::Result<()> {
    accept_each(echo)
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}
