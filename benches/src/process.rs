//! A server in a process of its own, so that its CPU time and its memory are nobody else's.
//!
//! The process is this executable again with the hidden subcommand `serve`. It says on standard output where it
//! listens, and ends when its standard input does, so none outlives the comparison.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::machine::Machine;
use crate::servers::Contender;

/// How long a server is watched at a time to see whether it is quiet.
const WATCH: Duration = Duration::from_millis(50);
/// When to stop waiting for quiet.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts `peer` on the servers' core and waits until it listens.
    pub fn start<P: Contender>(machine: &Machine, peer: P) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve");
        if let Some(core) = machine.server_core {
            command.args(["--core", &core.to_string()]);
        }
        command.args([P::PROTOCOL, &peer.name()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        match announced(&mut child) {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                end(&mut child);
                Err(io::Error::other(format!("the server {} does not start: {error}", peer.name())))
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time its threads were on a core so far. Exact while they wait; up to a scheduler tick late while they run.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            match fs::read_to_string(task?.path().join("schedstat")) {
                Ok(text) => nanoseconds += on_core(&text)?,
                // A thread may end between being listed and being read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Bytes of memory it has resident once it is quiet.
    pub fn resident_when_quiet(&self) -> io::Result<u64> {
        let start = Instant::now();
        let mut before = (self.cpu()?, self.resident()?);
        loop {
            thread::sleep(WATCH);
            let now = (self.cpu()?, self.resident()?);
            if now == before || start.elapsed() > PATIENCE {
                return Ok(now.1);
            }
            before = now;
        }
    }

    fn resident(&self) -> io::Result<u64> {
        resident_bytes(&fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn announced(child: &mut Child) -> io::Result<SocketAddr> {
    let out = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    line.trim_end().parse().map_err(|_| io::Error::other(format!("it said {line:?} instead of an address")))
}

/// Kills and reaps; a child that has ended already needs neither.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The first number of a `schedstat`: nanoseconds on a core.
fn on_core(schedstat: &str) -> io::Result<u64> {
    let first = schedstat.split_whitespace().next().and_then(|number| number.parse().ok());
    first.ok_or_else(|| io::Error::other("unreadable schedstat"))
}

/// The `Rss` line of a `smaps_rollup`: exact, where `status` may lag by some pages per core.
fn resident_bytes(smaps_rollup: &str) -> io::Result<u64> {
    let line = smaps_rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no Rss in smaps_rollup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_begins_with_the_time_on_a_core() {
        assert_eq!(on_core("1234567 890 12\n").unwrap(), 1_234_567);
        assert!(on_core("").is_err());
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let rollup =
            "00400000-7ff000 ---p 00000000 00:00 0    [rollup]\nRss:                1640 kB\nPss: 472 kB\n";
        assert_eq!(resident_bytes(rollup).unwrap(), 1640 * 1024);
        assert!(resident_bytes("Pss: 472 kB\n").is_err());
    }
}
