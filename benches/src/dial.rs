//! Thousands of plain connections, waited for one at a time.
//!
//! They come from many loopback addresses in turn, because one address has no more than some 28,000 ports, and a
//! port rests for a minute after an orderly close.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Source addresses: 127.0.0.1 and those after it.
const SOURCES: u8 = 32;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the `index`th connection to `address`, without delay.
pub fn dial(address: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let last = 1 + (index % usize::from(SOURCES)) as u8;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
    socket.connect(&address.into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// Opens `count` connections to `address`.
pub fn dial_many(address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    (0..count).map(|index| dial(address, index)).collect()
}

/// Sends `message` and waits for its echo.
pub fn ask(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    stream.write_all(message)?;
    hear(stream, message)
}

/// Waits for the echo of `message`.
pub fn hear(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo)?;
    match echo == message {
        true => Ok(()),
        false => Err(io::Error::new(ErrorKind::InvalidData, "an echo differs from its message")),
    }
}
