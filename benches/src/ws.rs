//! WebSocket messages echoed: three sizes by two depths over fifty connections.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use indicatif::{HumanCount, ProgressBar};
use mio::net::TcpStream;
use serde::Serialize;

use crate::answer::Answer;
use crate::cases::{Row, table_of};
use crate::handshake::{From, message, shake_hands};
use crate::idle::bytes_per_connection;
use crate::load::{Exchange, Load};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, progress, table};
use crate::rounds::{Effort, Rounds, Sample};
use crate::servers::Contender;
use crate::servers::ws::{LEFT_OUT, Peer};

/// Connections that carry the load.
const CONNECTIONS: usize = 50;
/// Where the servers echo.
const PATH: &str = "/ws";
/// Payload of the one message an idle connection has sent.
const IDLE_SIZE: usize = 64;

/// What the columns mean.
const LEGEND: &str = "\
CPU: time of the server process per message; ratio, rate ratio: by those of tungstenite in the same round.
±: half of the range over the rounds. busy: the part of the time the server, the load was on its core.
disturbed: the part of the time others took from the two; where it is not near 0, believe CPU, not rates.";

/// Which rows, of which servers.
#[derive(Args, Debug)]
pub struct Options {
    /// Compare only these servers, always beside `tungstenite`; may be repeated.
    #[arg(long, value_enum, value_name = "PEER")]
    only: Vec<Peer>,
    #[command(flatten)]
    effort: Effort,
    /// Bytes of payload per message.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [64, 1024, 64 * 1024])]
    sizes: Vec<usize>,
    /// Messages in flight per connection.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16])]
    in_flight: Vec<usize>,
    /// Idle connections whose memory is measured: 10,000, or 2,000 if quick; 0 for none.
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    rows: Vec<Row>,
    idle_connections: usize,
    /// Resident bytes per idle connection, by server.
    idle_bytes: BTreeMap<String, u64>,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        if let (true, Some(why)) = (self.only.is_empty(), LEFT_OUT) {
            eprintln!("note: {why}");
        }
        let peers = Peer::chosen(&self.only);
        let idle = self.idle.unwrap_or(if self.effort.quick { 2_000 } else { 10_000 });
        let cases =
            self.sizes.iter().flat_map(|&size| self.in_flight.iter().map(move |&depth| (size, depth)));
        let cases = cases.filter(|&(_, in_flight)| in_flight > 0).collect::<Vec<_>>();
        let bar = progress(peers.len() * (cases.len() * self.effort.rounds() + usize::from(idle > 0)));

        let servers =
            peers.iter().map(|&peer| ServerProcess::start(machine, peer)).collect::<io::Result<Vec<_>>>()?;
        let mut report = Report::default();
        for (size, in_flight) in cases {
            report.rows.extend(rows(&peers, &servers, size, in_flight, self.effort, &bar)?);
        }
        drop(servers);

        if idle > 0 {
            bar.set_message("idle connections");
            report.idle_connections = machine.connections(idle);
            for &peer in &peers {
                let bytes = bytes_per_connection(machine, peer, report.idle_connections, |stream| {
                    shake_hands(stream, PATH)?;
                    echo(stream)
                })?;
                report.idle_bytes.insert(peer.name(), bytes);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The rows of a case: all `peers`, in their order.
fn rows(
    peers: &[Peer],
    servers: &[ServerProcess],
    size: usize,
    in_flight: usize,
    effort: Effort,
    bar: &ProgressBar,
) -> io::Result<Vec<Row>> {
    bar.set_message(format!("{size}x{in_flight}"));
    let exchange = || {
        let echo = Answer::constant(&message(size, From::Server));
        Exchange::new(&message(size, From::Client), echo, in_flight)
    };
    let open = |server: &ServerProcess| Load::open(exchange(), CONNECTIONS, || connect(server.address()));
    let mut loads = servers.iter().map(open).collect::<io::Result<Vec<_>>>()?;
    let rounds = Rounds::alternate(servers.len(), effort.rounds(), bar, |contender| {
        Sample::take(&servers[contender], &mut loads[contender], effort.turn())
    })?;
    let reference = peers.iter().position(|&peer| peer == Peer::REFERENCE).unwrap_or_default();
    let row = |(place, peer): (usize, &Peer)| {
        Row::new(peer.name(), size, in_flight, rounds.summary(place, reference))
    };
    Ok(peers.iter().enumerate().map(row).collect())
}

/// Opens a WebSocket for a [`Load`].
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = Blocking::connect(address)?;
    stream.set_nodelay(true)?;
    shake_hands(&mut stream, PATH)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// Has one message echoed.
fn echo(stream: &mut (impl Read + Write)) -> io::Result<()> {
    stream.write_all(&message(IDLE_SIZE, From::Client))?;
    let expected = message(IDLE_SIZE, From::Server);
    let mut echo = vec![0; expected.len()];
    stream.read_exact(&mut echo)?;
    match echo == expected {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "an echo differs from its message")),
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            writeln!(f, "{}\n{LEGEND}", table_of(&self.rows, "messages/s"))?;
        }
        if !self.idle_bytes.is_empty() {
            write!(f, "{}", self.idle_table())?;
        }
        Ok(())
    }
}

impl Report {
    fn idle_table(&self) -> Table {
        let bytes = format!("bytes per idle connection, {} open", HumanCount(self.idle_connections as u64));
        let mut table = table(&["peer", &bytes]);
        for (peer, &bytes) in &self.idle_bytes {
            table.add_row([peer.clone(), HumanCount(bytes).to_string()]);
        }
        table
    }
}
