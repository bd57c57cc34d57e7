//! What a connection costs that has spoken and now waits: resident memory, not counting the kernel's.

use std::io;
use std::net::TcpStream;

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
    let server = ServerProcess::start(machine, peer)?;
    ask_each(&server, WARM_UP, &mut ask)?;
    let before = server.resident_when_quiet()?;
    let open = ask_each(&server, connections, &mut ask)?;
    let after = server.resident_when_quiet()?;
    Ok(after.saturating_sub(before) / open.len().max(1) as u64)
}

/// Each asks before the next is opened: some servers soon end a connection that is silent from its beginning.
fn ask_each(
    server: &ServerProcess,
    connections: usize,
    ask: &mut impl FnMut(&mut TcpStream) -> io::Result<()>,
) -> io::Result<Vec<TcpStream>> {
    let open_and_ask = |index| {
        let mut stream = dial(server.address(), index)?;
        ask(&mut stream)?;
        Ok(stream)
    };
    (0..connections).map(open_and_ask).collect()
}
