//! The limit: one write(2) to each member, and nothing else.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use memchr::memmem;

use super::SPEAKER;
use crate::servers::announce;

/// What one read takes at most.
const READ: usize = 128 * 1024;

/// Takes members until a speaker comes, then writes what that one says to all.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(listener.local_addr()?)?;
    let (mut members, mut head) = (Vec::new(), [0; 1024]);
    loop {
        let mut stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        let n = stream.read(&mut head)?;
        if n == 0 {
            continue;
        }
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")?;
        match memmem::find(&head[..n], SPEAKER.as_bytes()) {
            Some(_) => tell(&mut stream, &mut members)?,
            None => members.push(stream),
        }
    }
}

fn tell(speaker: &mut TcpStream, members: &mut [TcpStream]) -> io::Result<()> {
    let mut said = vec![0; READ];
    loop {
        match speaker.read(&mut said)? {
            0 => return Ok(()),
            n => members.iter_mut().try_for_each(|member| member.write_all(&said[..n]))?,
        }
    }
}
