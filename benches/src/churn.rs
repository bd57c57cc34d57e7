//! Connections opened, used once and closed, one after another: what a server keeps of them.
//!
//! Every other connection ends in order (the client finishes, the server follows), the rest by a reset.

use std::fmt::{self, Display};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use socket2::SockRef;

use crate::dial::{ask, dial};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, count, megabytes, progress};
use crate::servers::Contender;
use crate::servers::tcp::Peer;
use crate::tcp::frame;

/// How much a server may grow after the first tenth of the connections, in bytes.
const MOST_GROWTH: u64 = 2_000_000;
/// Connections between two steps of the progress line.
const STEP: usize = 1000;

/// How many connections, to which server.
#[derive(Args, Debug)]
pub struct Options {
    /// The server.
    #[arg(long, value_enum, value_name = "PEER", default_value_t = Peer::Netloom)]
    only: Peer,
    /// Connections in all.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    cycles: usize,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Report {
    peer: String,
    cycles: usize,
    seconds: f64,
    early_cycles: usize,
    early_resident: u64,
    late_resident: u64,
    most_growth: u64,
}

impl Options {
    /// Fails if the server grew by more than it may.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        let message = frame(64);
        let server = ServerProcess::start(machine, self.only)?;
        let early_cycles = self.cycles / 10;
        let bar = progress(self.cycles / STEP);
        let start = Instant::now();
        let mut early_resident = 0;
        for index in 0..self.cycles {
            if index == early_cycles {
                early_resident = server.resident_when_quiet()?;
            }
            cycle(server.address(), index, &message)?;
            if (index + 1) % STEP == 0 {
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let report = Report {
            peer: self.only.name(),
            cycles: self.cycles,
            seconds: start.elapsed().as_secs_f64(),
            early_cycles,
            early_resident,
            late_resident: server.resident_when_quiet()?,
            most_growth: MOST_GROWTH,
        };
        self.output.print(&report)?;
        Ok(match report.held() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

fn cycle(address: SocketAddr, index: usize, message: &[u8]) -> io::Result<()> {
    let mut stream = dial(address, index)?;
    ask(&mut stream, message)?;
    if index.is_multiple_of(2) {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        return Ok(());
    }
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("more came back than was sent")),
    }
}

impl Report {
    fn held(&self) -> bool {
        self.late_resident <= self.early_resident + self.most_growth
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, seconds, .. } = self;
        let [cycles, early] = [self.cycles, self.early_cycles].map(|number| count(number as f64));
        let [first, last, most] = [self.early_resident, self.late_resident, self.most_growth].map(megabytes);
        let verdict = if self.held() { "within" } else { "more than" };
        writeln!(f, "{peer}: {cycles} connections in {seconds:.1} s, each echoed once, half of them reset")?;
        write!(f, "resident {first} after {early}, {last} at the end: {verdict} {most} of growth")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_shrinks_has_held() {
        let report = |late_resident| Report {
            peer: "raw".into(),
            cycles: 10,
            seconds: 1.0,
            early_cycles: 1,
            early_resident: 5_000_000,
            late_resident,
            most_growth: MOST_GROWTH,
        };
        assert!(report(4_000_000).held());
        assert!(report(7_000_000).held());
        assert!(!report(7_000_001).held());
    }
}
