//! What a connection costs that has spoken and now waits: resident memory, not counting the kernel's.

use std::io;

use crate::dial::{ask, dial_many};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::servers::Contender;

/// Connections that come and go first, so that what the server allocates once is not counted.
const WARM_UP: usize = 16;

/// Resident bytes per connection of a new `peer` that holds `connections`, each of which echoed `message` once.
pub fn bytes_per_connection<P: Contender>(
    machine: &Machine,
    peer: P,
    connections: usize,
    message: &[u8],
) -> io::Result<u64> {
    let server = ServerProcess::start(machine, peer)?;
    ask_each(&server, WARM_UP, message)?;
    let before = server.resident_when_quiet()?;
    let open = ask_each(&server, connections, message)?;
    let after = server.resident_when_quiet()?;
    Ok(after.saturating_sub(before) / open.len().max(1) as u64)
}

fn ask_each(
    server: &ServerProcess,
    connections: usize,
    message: &[u8],
) -> io::Result<Vec<std::net::TcpStream>> {
    let mut streams = dial_many(server.address(), connections)?;
    for stream in &mut streams {
        ask(stream, message)?;
    }
    Ok(streams)
}
