//! WebSocket messages echoed: three sizes by two depths over fifty connections; then texts, compressed.

use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use mio::net::TcpStream;
use serde::Serialize;

use crate::answer::Answer;
use crate::cases::{Row, table_of};
use crate::deflated;
use crate::handshake::{From, message, shake_hands, shake_hands_on_deflate};
use crate::idle::{Idle, bytes_per_connection};
use crate::load::{Exchange, Load};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, progress};
use crate::rounds::{Effort, Rounds, Sample};
use crate::servers::Contender;
use crate::servers::ws::{LEFT_OUT, Peer};

/// Connections that carry the load.
const CONNECTIONS: usize = 50;
/// Where the servers echo.
const PATH: &str = "/ws";
/// Payload of the one message an idle connection has sent.
const IDLE_SIZE: usize = 64;
/// The same where it is compressed.
const IDLE_TEXT: usize = 1024;

/// What the columns mean.
const LEGEND: &str = "\
CPU: time of the server process per message; ratio, rate ratio: by those of tungstenite in the same round.
-deflate: texts, which are sent back compressed; ratios are by those of yawc-deflate, or of ours where it is left out.
±: half of the range over the rounds. busy: the part of the time the server, the load was on its core.
disturbed: the part of the time others took from the two; where it is not near 0, believe CPU, not rates.";

/// Which rows, of which servers.
#[derive(Args, Debug)]
pub struct Options {
    /// Compare only these servers, always beside `tungstenite`, or `yawc-deflate`; may be repeated.
    #[arg(long, value_enum, value_name = "PEER")]
    only: Vec<Peer>,
    #[command(flatten)]
    effort: Effort,
    /// Bytes of payload per message.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [64, 1024, 64 * 1024])]
    sizes: Vec<usize>,
    /// Bytes of text per compressed message.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [1024, 64 * 1024])]
    deflate_sizes: Vec<usize>,
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
    #[serde(flatten)]
    idle: Idle,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        if let (true, Some(why)) = (self.only.is_empty(), LEFT_OUT) {
            eprintln!("note: {why}");
        }
        let [plain, deflating] = Peer::kinds(&self.only);
        let idle = self.idle.unwrap_or(if self.effort.quick { 2_000 } else { 10_000 });
        let (cases, texts) = (self.cases(&self.sizes), self.cases(&self.deflate_sizes));
        let turns = plain.len() * cases.len() + deflating.len() * texts.len();
        let resting = if idle > 0 { plain.len() + deflating.len() } else { 0 };
        let bar = progress(turns * self.effort.rounds() + resting);

        let mut report = Report::default();
        for (peers, cases, reference) in
            [(&plain, cases, Peer::REFERENCE), (&deflating, texts, Peer::REFERENCE_DEFLATING)]
        {
            let start = |&peer: &Peer| ServerProcess::start(machine, peer);
            let servers = peers.iter().map(start).collect::<io::Result<Vec<_>>>()?;
            for (size, in_flight) in cases {
                bar.set_message(format!("{size}x{in_flight}"));
                let rounds = rounds(peers, &servers, size, in_flight, self.effort, &bar)?;
                let reference = peers.iter().position(|&peer| peer == reference).unwrap_or_default();
                report.rows.extend(peers.iter().enumerate().map(|(place, peer)| {
                    Row::new(peer.name(), size, in_flight, rounds.summary(place, reference))
                }));
            }
        }

        report.idle =
            Idle::measure(machine, plain.into_iter().chain(deflating), idle, &bar, |peer, connections| {
                resting_bytes(machine, peer, connections)
            })?;
        bar.finish_and_clear();
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }

    /// `sizes` by messages in flight.
    fn cases(&self, sizes: &[usize]) -> Vec<(usize, usize)> {
        let depths = self.in_flight.iter().copied().filter(|&in_flight| in_flight > 0);
        sizes.iter().flat_map(|&size| depths.clone().map(move |depth| (size, depth))).collect()
    }
}

/// The rounds of a case.
fn rounds(
    peers: &[Peer],
    servers: &[ServerProcess],
    size: usize,
    in_flight: usize,
    effort: Effort,
    bar: &ProgressBar,
) -> io::Result<Rounds> {
    let open = |(&peer, server): (&Peer, &ServerProcess)| {
        let exchange = exchange(peer, server.address(), size, in_flight)?;
        Load::open(exchange, CONNECTIONS, || {
            let stream = connect(peer, server.address())?;
            stream.set_nonblocking(true)?;
            Ok(TcpStream::from_std(stream))
        })
    };
    let mut loads = peers.iter().zip(servers).map(open).collect::<io::Result<Vec<_>>>()?;
    Rounds::alternate(servers.len(), effort.rounds(), bar, |contender| {
        Sample::take(&servers[contender], &mut loads[contender], effort.turn())
    })
}

/// What is said to `peer`, and its echo.
fn exchange(peer: Peer, address: SocketAddr, size: usize, in_flight: usize) -> io::Result<Exchange> {
    if !peer.deflates() {
        let echo = Answer::constant(&message(size, From::Server));
        return Ok(Exchange::new(&message(size, From::Client), echo, in_flight));
    }
    let text = deflated::text(size);
    let echo = deflated::learn(&mut connect(peer, address)?, &text)?;
    Ok(Exchange::new(&deflated::message(&text)?, echo, in_flight))
}

/// Opens a WebSocket.
fn connect(peer: Peer, address: SocketAddr) -> io::Result<Blocking> {
    let mut stream = Blocking::connect(address)?;
    stream.set_nodelay(true)?;
    shake(peer, &mut stream)?;
    Ok(stream)
}

fn shake(peer: Peer, stream: &mut Blocking) -> io::Result<()> {
    match peer.deflates() {
        true => shake_hands_on_deflate(stream, PATH),
        false => shake_hands(stream, PATH),
    }
}

/// Resident bytes per connection that has had one message echoed.
fn resting_bytes(machine: &Machine, peer: Peer, connections: usize) -> io::Result<u64> {
    let text = deflated::text(IDLE_TEXT);
    bytes_per_connection(machine, peer, connections, |stream| {
        shake(peer, stream)?;
        match peer.deflates() {
            true => deflated::learn(stream, &text).map(drop),
            false => echo(stream),
        }
    })
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
        if !self.idle.is_empty() {
            write!(f, "{}", self.idle.table())?;
        }
        Ok(())
    }
}
