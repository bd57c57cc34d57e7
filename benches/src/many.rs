//! Many sessions in one server, spoken to all at once.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::dial::{dial_many, hear};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, count, megabytes, progress};
use crate::servers::Contender;
use crate::servers::tcp::Peer;
use crate::tcp::frame;

/// How many sessions, in which server.
#[derive(Args, Debug)]
pub struct Options {
    /// The server.
    #[arg(long, value_enum, value_name = "PEER", default_value_t = Peer::Netloom)]
    only: Peer,
    /// Sessions open at a time.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    sessions: usize,
    /// Messages each of them sends, one at a time.
    #[arg(long, value_name = "N", default_value_t = 5)]
    messages: usize,
    /// Bytes of payload per message.
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Report {
    peer: String,
    sessions: usize,
    messages: usize,
    answered: usize,
    seconds: f64,
    resident_before: u64,
    resident_after: u64,
}

impl Options {
    /// Fails if a session was not answered.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        let message = frame(self.size);
        let server = ServerProcess::start(machine, self.only)?;
        let resident_before = server.resident_when_quiet()?;
        let mut streams = dial_many(server.address(), machine.connections(self.sessions))?;
        let bar = progress(self.messages);
        let start = Instant::now();
        let mut answered = 0;
        for _ in 0..self.messages {
            for stream in &mut streams {
                stream.write_all(&message)?;
            }
            for stream in &mut streams {
                answered += usize::from(hear(stream, &message).is_ok());
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let report = Report {
            peer: self.only.name(),
            sessions: streams.len(),
            messages: streams.len() * self.messages,
            answered,
            seconds: start.elapsed().as_secs_f64(),
            resident_before,
            resident_after: server.resident_when_quiet()?,
        };
        self.output.print(&report)?;
        Ok(match report.answered == report.messages {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, seconds, .. } = self;
        let [sessions, messages, answered] =
            [self.sessions, self.messages, self.answered].map(|number| count(number as f64));
        let [before, after] = [self.resident_before, self.resident_after].map(megabytes);
        writeln!(f, "{peer}: {sessions} sessions open, {messages} messages sent, {answered} answered")?;
        write!(f, "in {seconds:.2} s; resident {before} before, {after} after")
    }
}
