//! The machine: one core for the server, one for the load, enough open files for both.
//!
//! What cannot be had is said on standard error; the comparison goes on without.

use std::io;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Files a process has open besides its connections: standard streams, pollers, pipes, `/proc`.
const OTHER_FILES: u64 = 64;

/// What the comparison may use.
#[derive(Debug)]
pub struct Machine {
    /// The core of every server; the load is on another one. `None`: nothing is pinned.
    pub server_core: Option<usize>,
    most_connections: usize,
}

impl Machine {
    /// Raises the limit of open files and moves this process, which makes the load, to its core.
    pub fn prepare() -> Self {
        let server_core = split_cores().inspect_err(|error| eprintln!("note: not pinned: {error}")).ok();
        Self { server_core, most_connections: raise_file_limit() }
    }

    /// `wanted` connections, or as many as the limit of open files allows.
    pub fn connections(&self, wanted: usize) -> usize {
        let possible = wanted.min(self.most_connections);
        if possible < wanted {
            eprintln!("note: {possible} connections instead of {wanted}: the limit of open files is too low");
        }
        possible
    }
}

/// What a server process does first: its core, its limit, and an end when whoever started it is gone.
pub fn become_server(core: Option<usize>) {
    if let Some(Err(error)) = core.map(pin) {
        eprintln!("note: the server is not pinned: {error}");
    }
    raise_file_limit();
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
}

/// Moves this process to the second core it may use and returns the first.
fn split_cores() -> io::Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    let (Some(first), Some(second)) = (cores.next(), cores.next()) else {
        return Err(io::Error::other("servers and load share the only core"));
    };
    pin(second)?;
    Ok(first)
}

fn pin(core: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

/// Raises the soft limit to the hard one; returns the connections that fit.
fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    usize::try_from(raised.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_files_are_cut_to_the_files() {
        let machine = Machine { server_core: None, most_connections: 100 };
        assert_eq!(machine.connections(99), 99);
        assert_eq!(machine.connections(10_000), 100);
    }
}
