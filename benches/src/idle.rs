//! What a connection costs that has spoken and now waits: resident memory, not counting the kernel's.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};

use comfy_table::Table;
use indicatif::{HumanCount, ProgressBar};
use serde::Serialize;

use crate::dial::dial;
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::table;
use crate::servers::Contender;

/// Connections that come and go first, so that what the server allocates once is not counted.
const WARM_UP: usize = 16;

/// What idle connections take, server by server.
#[derive(Debug, Default, Serialize)]
pub struct Idle {
    /// Connections that were idle at a time; none if that was not measured.
    #[serde(rename = "idle_connections")]
    pub connections: usize,
    /// Resident bytes per idle connection, by server.
    #[serde(rename = "idle_bytes")]
    pub bytes: BTreeMap<String, u64>,
}

impl Idle {
    /// Asks `bytes_per` of each of `peers`, with `wanted` connections or as many as there can be. Zero measures nothing.
    pub fn measure<P: Contender>(
        machine: &Machine,
        peers: impl IntoIterator<Item = P>,
        wanted: usize,
        bar: &ProgressBar,
        mut bytes_per: impl FnMut(P, usize) -> io::Result<u64>,
    ) -> io::Result<Self> {
        let mut this = Self::default();
        if wanted == 0 {
            return Ok(this);
        }
        bar.set_message("idle connections");
        this.connections = machine.connections(wanted);
        for peer in peers {
            this.bytes.insert(peer.name(), bytes_per(peer, this.connections)?);
            bar.inc(1);
        }
        Ok(this)
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// For people.
    pub fn table(&self) -> Table {
        let mut table = table(&["peer", &self.title("connection")]);
        for (peer, &bytes) in &self.bytes {
            table.add_row([peer.clone(), HumanCount(bytes).to_string()]);
        }
        table
    }

    /// The same, beside what one of `P`'s reference takes; `what` is idle.
    pub fn table_by<P: Contender>(&self, what: &str) -> Table {
        let reference = self.bytes.get(&P::REFERENCE.name()).copied().unwrap_or_default();
        let mut table = table(&["peer", &self.title(what), "ratio"]);
        for (peer, &bytes) in &self.bytes {
            let ratio = bytes as f64 / reference as f64;
            table.add_row([peer.clone(), HumanCount(bytes).to_string(), format!("{ratio:.3}")]);
        }
        table
    }

    fn title(&self, what: &str) -> String {
        format!("bytes per idle {what}, {} open", HumanCount(self.connections as u64))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::tls::Peer;

    #[test]
    fn bytes_are_shown_beside_those_of_the_reference() {
        let bytes = [("netloom".to_owned(), 12_000), (Peer::REFERENCE.name(), 24_000)];
        let idle = Idle { connections: 2_000, bytes: BTreeMap::from(bytes) };
        let text = idle.table_by::<Peer>("session").to_string();
        for cell in ["bytes per idle session, 2,000 open", "12,000", "0.500", "1.000"] {
            assert!(text.contains(cell), "{cell}: {text}");
        }
        assert!(!idle.table().to_string().contains("ratio"));
    }

    #[test]
    fn none_are_opened_where_none_are_wanted() {
        let idle =
            Idle::measure(&Machine::prepare(), [Peer::REFERENCE], 0, &ProgressBar::hidden(), |_, _| {
                Err(io::Error::other("asked"))
            });
        assert!(idle.unwrap().is_empty());
    }
}
