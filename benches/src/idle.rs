//! What a connection costs that has spoken and now waits: resident memory, not counting the kernel's.

use std::io;
use std::net::{SocketAddr, TcpStream};

use crate::dial::dial;
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::servers::Contender;

/// Connections that come and go first, so that what the server allocates once is not counted.
const WARM_UP: usize = 16;

/// Resident bytes per connection of a new `peer` that holds `connections`, each of which answered `ask` once.
pub fn bytes_per_connection<P: Contender>(
    machine: &Machine,
    peer: P,
    connections: usize,
    mut ask: impl FnMut(&mut TcpStream) -> io::Result<()>,
) -> io::Result<u64> {
    bytes_per(machine, peer, connections, |address, connections| {
        // Each asks before the next is opened: some servers soon end a connection that is silent from its beginning.
        let open_and_ask = |index| {
            let mut stream = dial(address, index)?;
            ask(&mut stream)?;
            Ok(stream)
        };
        (0..connections).map(open_and_ask).collect()
    })
}

/// The same of connections of any kind: `open` opens so many and has each answered.
pub fn bytes_per<P: Contender, C>(
    machine: &Machine,
    peer: P,
    connections: usize,
    mut open: impl FnMut(SocketAddr, usize) -> io::Result<Vec<C>>,
) -> io::Result<u64> {
    let server = ServerProcess::start(machine, peer)?;
    drop(open(server.address(), WARM_UP)?);
    let before = server.resident_when_quiet()?;
    let open = open(server.address(), connections)?;
    let after = server.resident_when_quiet()?;
    Ok(after.saturating_sub(before) / open.len().max(1) as u64)
}
