//! Listening sockets, and how connections reach the workers.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

/// How connections are spread over the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spread {
    /// The kernel's way where it balances listeners that share a port (Linux, Android), otherwise
    /// in turn.
    #[default]
    Auto,
    /// Each worker has a listener of its own on the same port (`SO_REUSEPORT`); the kernel chooses by a
    /// hash of the addresses. No hand-over, but few connections may fall unevenly. In turn where the system
    /// has no such option.
    Kernel,
    /// One listener, whose connections are handed to the workers in turn. Works everywhere.
    InTurn,
}

impl Spread {
    pub(crate) fn by_kernel(self) -> bool {
        match self {
            Self::Auto => cfg!(any(target_os = "linux", target_os = "android")),
            Self::Kernel => cfg!(unix),
            Self::InTurn => false,
        }
    }
}

/// How many connections the kernel keeps for us to accept.
const BACKLOG: i32 = 4096;

/// `listeners` sockets on each address that `address` names.
pub(crate) fn bind(address: &str, listeners: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let mut bound = Vec::with_capacity(addresses.len());
    for mut address in addresses {
        if listeners > 1 && address.port() != 0 {
            // Sharing a port would also share it, silently, with another process of the same user.
            socket(address, false)?;
        }
        let mut here: Vec<TcpListener> = Vec::with_capacity(listeners);
        for _ in 0..listeners {
            let socket = socket(address, listeners > 1)?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            let listener = TcpListener::from(socket);
            address = listener.local_addr()?; // port 0 is chosen once
            here.push(listener);
        }
        bound.push(here);
    }
    Ok(bound)
}

/// `sockets` of UDP on each address that `address` names.
#[cfg(feature = "quic")]
pub(crate) fn bind_udp(address: &str, sockets: usize) -> io::Result<Vec<Vec<std::net::UdpSocket>>> {
    let mut bound = Vec::new();
    for mut address in address.to_socket_addrs()? {
        if sockets > 1 && address.port() != 0 {
            // As for listeners.
            crate::quic::bind(address, false)?;
        }
        let mut here: Vec<std::net::UdpSocket> = Vec::with_capacity(sockets);
        for _ in 0..sockets {
            let socket = crate::quic::bind(address, sockets > 1)?;
            address = socket.local_addr()?; // port 0 is chosen once
            here.push(socket);
        }
        bound.push(here);
    }
    Ok(bound)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses: who wants both names both.
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    {
        // On Windows this would let another process take the port over.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
    }
    let _ = shared;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_a_port_that_was_chosen_once_and_nobody_else_gets_it() {
        let bound = bind("127.0.0.1:0", 3).unwrap();
        let ports: Vec<_> = bound[0].iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert!(ports[0].port() != 0 && ports.iter().all(|port| *port == ports[0]));
        for listeners in [1, 3] {
            let error = bind(&ports[0].to_string(), listeners).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }
}
