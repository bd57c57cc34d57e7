//! Streams over QUIC: large ones both ways, small ones on few and on many connections, datagrams, handshakes,
//! connections that wait.

mod client;
mod load;

use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cases::{Row, table_of};
use crate::figures::{self, Figure};
use crate::idle::{Idle, bytes_per};
use crate::instructions;
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, progress};
use crate::rounds::{Effort, Rounds, Sample};
use crate::servers::Contender;
use crate::servers::quic::{LEFT_OUT, PROTOCOL, Peer};
use client::{Client, Trust};
use load::{Load, SMALL, ask};

/// Bytes of large streams are counted by the
const MIB: usize = 1024 * 1024;
/// Connections that wait.
const IDLE: usize = 2_000;

/// What the columns mean.
const LEGEND: &str = "\
sent, received: a MiB of one stream. CxF: streams of 64 bytes that come back, on C connections, F in flight on each.
datagrams: of 64 bytes, 64 in flight. full, resumed: connections that shake hands, have one stream answered and close.
CPU: time of the server process per MiB, stream, datagram or connection; ratio, rate ratio: by those of quinn in the
same round. ±: half of the range over the rounds. busy: the part of the time the server, the load was on its core.
disturbed: the part of the time others took from the two: believe CPU, not rates.";

/// Which servers, and how much.
#[derive(Args, Debug)]
pub struct Options {
    /// Compare only these servers, always beside `quinn`; may be repeated.
    #[arg(long, value_enum, value_name = "PEER")]
    only: Vec<Peer>,
    /// Only these rows; may be repeated. All if none is named.
    #[arg(long, value_enum, value_name = "ROW")]
    row: Vec<Case>,
    #[command(flatten)]
    effort: Effort,
    /// Idle connections whose memory is measured: 2,000, or 500 if quick; 0 for none.
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    /// Count instructions per small stream too, which takes valgrind and some time.
    #[arg(long)]
    instructions: bool,
    #[command(flatten)]
    output: Output,
}

/// What is measured.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// A large stream from the server.
    Sent,
    /// A large stream to it.
    Received,
    /// Small streams, 64 in flight on one connection.
    #[value(name = "1x64")]
    One,
    /// Small streams, one in flight on each of 50 connections.
    #[value(name = "50x1")]
    Fifty,
    /// Small streams, one in flight on each of 256 connections.
    #[value(name = "256x1")]
    Many,
    /// Datagrams that are echoed.
    Datagrams,
    /// New connections.
    Full,
    /// Connections that resume a session.
    Resumed,
}

impl Case {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Connections, and how much is in flight on each.
    fn shape(self) -> (usize, usize) {
        match self {
            Self::Sent | Self::Received => (1, 1),
            Self::One | Self::Datagrams => (1, 64),
            Self::Fifty => (50, 1),
            Self::Many => (256, 1),
            Self::Full | Self::Resumed => (8, 1),
        }
    }

    fn is_bulk(self) -> bool {
        matches!(self, Self::Sent | Self::Received)
    }

    fn is_small_streams(self) -> bool {
        matches!(self, Self::One | Self::Fifty | Self::Many)
    }

    /// Bytes of what is counted.
    fn size(self) -> usize {
        match self {
            _ if self.is_bulk() => MIB,
            _ => SMALL,
        }
    }

    /// `row` in the unit that is usual for it.
    fn figure(self, row: &Row) -> Figure {
        match self {
            Self::Sent | Self::Received => Figure::cpu_per_gib(row),
            Self::One | Self::Fifty | Self::Many => Figure::per_cpu_second(row, "streams/CPU s"),
            Self::Datagrams => Figure::per_cpu_second(row, "datagrams/CPU s"),
            Self::Full | Self::Resumed => Figure::per_cpu_second(row, "handshakes/CPU s"),
        }
    }

    fn is_understood_by(self, peer: Peer) -> bool {
        match self {
            Self::Datagrams => peer.has_datagrams(),
            Self::Resumed => peer.resumes(),
            _ => true,
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Report {
    rows: Vec<Row>,
    /// The rows in units that are usual for them; mean datagrams of large streams; instructions per small stream.
    figures: Vec<Figure>,
    #[serde(flatten)]
    idle: Idle,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        if let Some(left_out) = LEFT_OUT {
            eprintln!("note: {left_out}");
        }
        let counted = self.instructions && instructions::can_be_counted();
        if self.instructions && !counted {
            eprintln!("note: no instructions: valgrind is not installed");
        }
        let (peers, cases) = (Peer::chosen(&self.only), self.cases());
        let idle = self.idle.unwrap_or(if self.effort.quick { IDLE / 4 } else { IDLE });
        let small = cases.iter().filter(|case| counted && case.is_small_streams()).count();
        let steps = cases.len() * self.effort.rounds() + small + usize::from(idle > 0);
        let bar = progress(peers.len() * steps);

        let client = Client::new()?;
        let start = |&peer: &Peer| ServerProcess::start(machine, peer);
        let servers = peers.iter().map(start).collect::<io::Result<Vec<_>>>()?;
        let servers = peers.iter().copied().zip(&servers).collect::<Vec<_>>();
        let mut report = Report::default();
        for &case in &cases {
            bar.set_message(case.name());
            measure(case, &client, &servers, self.effort, &bar, &mut report)?;
        }
        drop(servers);

        for &case in cases.iter().filter(|case| counted && case.is_small_streams()) {
            bar.set_message(format!("instructions, {}", case.name()));
            report.figures.extend(instructions_per_stream(case, machine, &client, &peers, &bar)?);
        }
        report.idle = Idle::measure(machine, peers, idle, &bar, |peer, connections| {
            bytes_per_idle_connection(machine, &client, peer, connections)
        })?;
        bar.finish_and_clear();
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }

    fn cases(&self) -> Vec<Case> {
        let wanted = |case: &Case| self.row.is_empty() || self.row.contains(case);
        Case::value_variants().iter().copied().filter(wanted).collect()
    }
}

/// Adds the rows of a case: of all servers that understand it, in their order.
fn measure(
    case: Case,
    client: &Client,
    servers: &[(Peer, &ServerProcess)],
    effort: Effort,
    bar: &ProgressBar,
    report: &mut Report,
) -> io::Result<()> {
    let asked = servers.iter().filter(|(peer, _)| case.is_understood_by(*peer)).collect::<Vec<_>>();
    let prepare = |(_, server): &&(Peer, &ServerProcess)| Load::prepare(client, case, server.address());
    let loads = asked.iter().map(prepare).collect::<io::Result<Vec<_>>>()?;
    let rounds = Rounds::alternate(asked.len(), effort.rounds(), bar, |contender| {
        Sample::of(asked[contender].1, effort.turn(), |turn| loads[contender].run(turn))
    })?;
    let reference = asked.iter().position(|(peer, _)| *peer == Peer::REFERENCE).unwrap_or_default();
    let row = |(place, (peer, _)): (usize, &&(Peer, &ServerProcess))| {
        let summary = rounds.summary(place, reference);
        Row::new(peer.name(), case.size(), case.shape().1, summary).called(&case.name())
    };
    let rows = asked.iter().enumerate().map(row).collect::<Vec<_>>();
    report.figures.extend(rows.iter().map(|row| case.figure(row)));
    if case.is_bulk() {
        let sizes = loads.iter().map(Load::datagram).collect::<Vec<_>>();
        let peers = asked.iter().map(|(peer, _)| *peer).zip(sizes).collect::<Vec<_>>();
        report.figures.extend(figures(case, "bytes/datagram", &peers));
    }
    report.rows.extend(rows);
    Ok(())
}

/// Of each server.
fn figures(case: Case, unit: &'static str, figures: &[(Peer, f64)]) -> Vec<Figure> {
    let reference = figures.iter().find(|(peer, _)| *peer == Peer::REFERENCE).map_or(f64::NAN, |of| of.1);
    let figure = |&(peer, figure): &(Peer, f64)| Figure {
        peer: peer.name(),
        case: case.name(),
        unit,
        figure,
        ratio: figure / reference,
    };
    figures.iter().map(figure).collect()
}

/// Instructions of user space of each server.
fn instructions_per_stream(
    case: Case,
    machine: &Machine,
    client: &Client,
    peers: &[Peer],
    bar: &ProgressBar,
) -> io::Result<Vec<Figure>> {
    let mut counted = Vec::new();
    for &peer in peers {
        let instructions = instructions::per(machine, peer, |address, streams| {
            Load::prepare(client, case, address)?.ask(streams)
        })?;
        counted.push((peer, instructions));
        bar.inc(1);
    }
    Ok(figures(case, "instructions/stream", &counted))
}

/// Each connection has had one stream answered.
fn bytes_per_idle_connection(
    machine: &Machine,
    client: &Client,
    peer: Peer,
    connections: usize,
) -> io::Result<u64> {
    let trust = Trust::new(PROTOCOL, false)?;
    bytes_per(machine, peer, connections, |address, connections| {
        let open = client.connect_many(address, &trust, connections)?;
        client.run(async {
            for connection in &open {
                ask(connection).await?;
            }
            Ok(0)
        })?;
        Ok(open)
    })
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            writeln!(f, "{}\n{LEGEND}", table_of(&self.rows, "units/s"))?;
        }
        if !self.figures.is_empty() {
            writeln!(f, "{}", figures::table_of(&self.figures))?;
        }
        if !self.idle.is_empty() {
            write!(f, "{}", self.idle.table_by::<Peer>("connection"))?;
        }
        Ok(())
    }
}
