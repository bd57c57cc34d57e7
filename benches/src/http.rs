//! `GET /plaintext` over HTTP/1.1: one request at a time and sixteen, over sixty-four connections.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::answer::Answer;
use crate::dial::dial;
use crate::idle::{Idle, bytes_per_connection};
use crate::instructions;
use crate::load::{Exchange, Load, connect};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, count, percent, progress, table};
use crate::rounds::{Effort, Rounds, Sample, Summary};
use crate::servers::Contender;
use crate::servers::http::{BODY, LEFT_OUT, Peer, REQUEST};

/// Connections that carry the load.
const CONNECTIONS: usize = 64;
/// The rows: their names, and requests in flight per connection.
const CASES: [(&str, usize); 2] = [("plaintext", 1), ("pipelined", 16)];

/// What the columns mean.
const LEGEND: &str = "\
CPU: time of the server process per request; CPU/hyper, rate/hyper: by those of hyper in the same round.
±: half of the range over the rounds. busy: the part of the time the server, the load was on its core.
disturbed: the part of the time others took from the two; where it is not near 0, believe CPU, not rates.";

/// Which servers, and what of them.
#[derive(Args, Debug)]
pub struct Options {
    /// Compare only these servers, always beside `hyper`; may be repeated.
    #[arg(long, value_enum, value_name = "PEER")]
    only: Vec<Peer>,
    #[command(flatten)]
    effort: Effort,
    /// Idle connections whose memory is measured: 10,000, or 2,000 if quick; 0 for none.
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    /// Count instructions per request too, which takes valgrind and some time.
    #[arg(long)]
    instructions: bool,
    #[command(flatten)]
    output: Output,
}

/// One server in one case.
#[derive(Debug, Serialize)]
struct Row {
    peer: String,
    case: &'static str,
    in_flight: usize,
    /// Its CPU time per request by that of hyper.
    ratio_to_hyper: f64,
    /// Its rate by that of hyper.
    rate_to_hyper: f64,
    /// Instructions of user space per request, if they were counted.
    instructions: Option<f64>,
    #[serde(flatten)]
    summary: Summary,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    rows: Vec<Row>,
    #[serde(flatten)]
    idle: Idle,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        let peers = self.peers();
        let counted = self.instructions && instructions::can_be_counted();
        if self.instructions && !counted {
            eprintln!("note: no instructions: valgrind is not installed");
        }
        let idle = self.idle.unwrap_or(if self.effort.quick { 2_000 } else { 10_000 });
        let steps = CASES.len() * (self.effort.rounds() + usize::from(counted)) + usize::from(idle > 0);
        let bar = progress(peers.len() * steps);

        let mut report = Report { rows: rows(machine, &peers, self.effort, &bar)?, ..Report::default() };
        if counted {
            for (row, &peer) in report.rows.iter_mut().zip(peers.iter().cycle()) {
                bar.set_message(format!("instructions, {}", row.case));
                let counted =
                    instructions::per_request(machine, peer, REQUEST, BODY.as_bytes(), row.in_flight)?;
                row.instructions = Some(counted);
                bar.inc(1);
            }
        }
        report.idle = Idle::measure(machine, peers, idle, &bar, |peer, connections| {
            bytes_per_connection(machine, peer, connections, |stream| ask(stream).map(drop))
        })?;
        bar.finish_and_clear();
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Who is compared here; says who is not.
    fn peers(&self) -> Vec<Peer> {
        if let (true, Some(why)) = (self.only.is_empty(), LEFT_OUT) {
            eprintln!("note: {why}");
        }
        let mut peers = Peer::chosen(&self.only);
        peers.retain(|peer| {
            let installed = peer.is_installed();
            if !installed {
                eprintln!("note: {} is left out: it is not installed", peer.name());
            }
            installed
        });
        peers
    }
}

/// The rows of each case: in each all `peers`, in their order.
fn rows(machine: &Machine, peers: &[Peer], effort: Effort, bar: &ProgressBar) -> io::Result<Vec<Row>> {
    let servers =
        peers.iter().map(|&peer| ServerProcess::start(machine, peer)).collect::<io::Result<Vec<_>>>()?;
    let hyper = peers.iter().position(|&peer| peer == Peer::REFERENCE).unwrap_or_default();
    let mut rows = Vec::new();
    for (case, in_flight) in CASES {
        bar.set_message(case);
        let mut loads =
            servers.iter().map(|server| load(server, in_flight)).collect::<io::Result<Vec<_>>>()?;
        let rounds = Rounds::alternate(servers.len(), effort.rounds(), bar, |contender| {
            Sample::take(&servers[contender], &mut loads[contender], effort.turn())
        })?;
        rows.extend(peers.iter().enumerate().map(|(place, peer)| {
            let summary = rounds.summary(place, hyper);
            let Summary { cpu_ratio: ratio_to_hyper, rate_ratio: rate_to_hyper, .. } = summary;
            let (peer, instructions) = (peer.name(), None);
            Row { peer, case, in_flight, ratio_to_hyper, rate_to_hyper, instructions, summary }
        }));
    }
    Ok(rows)
}

/// The load of a case. The server's answer is learned first, and every connection asks at once: one that is silent from
/// its beginning is soon ended by some, long before its turn comes.
fn load(server: &ServerProcess, in_flight: usize) -> io::Result<Load> {
    let answer = ask(&mut dial(server.address(), 0)?)?;
    let mut load =
        Load::open(Exchange::new(REQUEST, answer, in_flight), CONNECTIONS, || connect(server.address()))?;
    load.run(Duration::ZERO)?;
    Ok(load)
}

/// Asks once.
pub fn ask(stream: &mut TcpStream) -> io::Result<Answer> {
    stream.write_all(REQUEST)?;
    Answer::learn(stream, BODY.as_bytes())
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{LEGEND}", self.load_table())?;
        if !self.idle.is_empty() {
            write!(f, "{}", self.idle.table())?;
        }
        Ok(())
    }
}

impl Report {
    fn load_table(&self) -> Table {
        let mut table = table(&[
            "peer",
            "case",
            "in flight",
            "requests/s",
            "CPU ns",
            "CPU/hyper",
            "±",
            "rate/hyper",
            "±",
            "instructions",
            "server busy",
            "load busy",
            "disturbed",
        ]);
        for Row { peer, case, in_flight, ratio_to_hyper, rate_to_hyper, instructions, summary } in &self.rows
        {
            table.add_row([
                peer.clone(),
                (*case).to_owned(),
                in_flight.to_string(),
                count(summary.rate),
                count(summary.cpu_ns),
                format!("{ratio_to_hyper:.3}"),
                percent(summary.cpu_ratio_spread),
                format!("{rate_to_hyper:.3}"),
                percent(summary.ratio_spread),
                instructions.map_or_else(|| "-".to_owned(), count),
                percent(summary.server_busy),
                percent(summary.load_busy),
                percent(summary.disturbed),
            ]);
        }
        table
    }
}
