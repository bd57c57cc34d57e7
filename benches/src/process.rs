//! A server in a process of its own, so that its CPU time and its memory are nobody else's.
//!
//! The process is this executable again with the hidden subcommand `serve`. It says on standard output where it
//! listens, and ends when its standard input does, so none outlives the comparison.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::machine::Machine;
use crate::servers::Contender;

/// How long a server is watched at a time to see whether it is quiet.
const WATCH: Duration = Duration::from_millis(50);
/// When to stop waiting for quiet, or for a server to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the scheduler gave a process, all threads together. Exact while they sleep; up to a tick late while they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreTime {
    /// On a core.
    pub ran: Duration,
    /// Ready, but the core was taken.
    pub waited: Duration,
}

impl CoreTime {
    /// Of this process.
    pub fn own() -> io::Result<Self> {
        Self::of("self")
    }

    /// What was added since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { ran: self.ran - earlier.ran, waited: self.waited - earlier.waited }
    }

    fn of(process: &str) -> io::Result<Self> {
        let mut total = Self::default();
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let time = match fs::read_to_string(task?.path().join("schedstat")) {
                Ok(text) => Self::parse(&text).ok_or_else(|| io::Error::other("unreadable schedstat"))?,
                // A thread may end between being listed and being read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            total = Self { ran: total.ran + time.ran, waited: total.waited + time.waited };
        }
        Ok(total)
    }

    /// A `schedstat`: nanoseconds on a core, nanoseconds waiting for one, turns.
    fn parse(schedstat: &str) -> Option<Self> {
        let mut figures = schedstat.split_whitespace().map(|figure| figure.parse().map(Duration::from_nanos));
        Some(Self { ran: figures.next()?.ok()?, waited: figures.next()?.ok()? })
    }
}

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts `peer` on the servers' core and waits until it listens.
    pub fn start<P: Contender>(machine: &Machine, peer: P) -> io::Result<Self> {
        Self::spawn(Command::new(env::current_exe()?), machine, peer)
    }

    /// The same under valgrind, which counts instructions and is many times slower.
    pub fn start_counted<P: Contender>(machine: &Machine, peer: P) -> io::Result<Self> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--trace-children=yes", "--callgrind-out-file=/dev/null"]);
        command.arg(env::current_exe()?).stderr(Stdio::piped());
        Self::spawn(command, machine, peer)
    }

    fn spawn<P: Contender>(mut command: Command, machine: &Machine, peer: P) -> io::Result<Self> {
        command.arg("serve");
        if let Some(core) = machine.server_core {
            command.args(["--core", &core.to_string()]);
        }
        command.args([P::PROTOCOL, &peer.name()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let listening = |address| if P::BY_TCP { listening(address) } else { Ok(address) };
        match announced(&mut child).and_then(listening) {
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

    /// The time its threads ran and waited so far.
    pub fn time(&self) -> io::Result<CoreTime> {
        CoreTime::of(&self.child.id().to_string())
    }

    /// Bytes of memory it has resident once it is quiet.
    pub fn resident_when_quiet(&self) -> io::Result<u64> {
        let start = Instant::now();
        let mut before = (self.time()?, self.resident()?);
        loop {
            thread::sleep(WATCH);
            let now = (self.time()?, self.resident()?);
            if now == before || start.elapsed() > PATIENCE {
                return Ok(now.1);
            }
            before = now;
        }
    }

    /// Ends a counted server; the instructions of user space that it executed.
    pub fn instructions(mut self) -> io::Result<u64> {
        // A killed valgrind would not say.
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let mut said = String::new();
        if let Some(mut out) = self.child.stderr.take() {
            out.read_to_string(&mut said)?;
        }
        instructions(&said).ok_or_else(|| io::Error::other(format!("valgrind counted nothing: {said}")))
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

/// Waits until a connection to `address` is accepted: a program that took the server's place may be late.
fn listening(address: SocketAddr) -> io::Result<SocketAddr> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(address),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => thread::sleep(WATCH),
        }
    }
}

/// Kills and reaps; a child that has ended already needs neither.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The `Rss` line of a `smaps_rollup`: exact, where `status` may lag by some pages per core.
fn resident_bytes(smaps_rollup: &str) -> io::Result<u64> {
    let line = smaps_rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no Rss in smaps_rollup"))
}

/// What callgrind says it collected: `==123== Collected : 4567`.
fn instructions(said: &str) -> Option<u64> {
    let mut collected = said.lines().filter_map(|line| line.split_once("Collected :"));
    collected.next_back()?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_what_callgrind_collected() {
        let said =
            "==12== Events    : Ir\n==12== Collected : 228190\n==12==\n==12== I   refs:      228,190\n";
        assert_eq!(instructions(said), Some(228_190));
        assert_eq!(instructions("==12== Command: compare\n"), None);
    }

    #[test]
    fn schedstat_is_time_on_a_core_then_time_waiting() {
        let time = CoreTime { ran: Duration::from_nanos(1_234_567), waited: Duration::from_nanos(890) };
        assert_eq!(CoreTime::parse("1234567 890 12\n"), Some(time));
        assert_eq!(CoreTime::parse("1234567\n"), None);
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let rollup =
            "00400000-7ff000 ---p 00000000 00:00 0    [rollup]\nRss:                1640 kB\nPss: 472 kB\n";
        assert_eq!(resident_bytes(rollup).unwrap(), 1640 * 1024);
        assert!(resident_bytes("Pss: 472 kB\n").is_err());
    }
}
