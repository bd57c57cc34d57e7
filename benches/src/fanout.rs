//! One speaks, a thousand are told: messages delivered per second, and what a delivery costs.

use std::fmt::{self, Display};
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use mio::net::TcpStream;
use serde::Serialize;

use crate::answer::Answer;
use crate::cases::{Row, table_of};
use crate::dial::dial;
use crate::handshake::{From, message, shake_hands};
use crate::load::{Audience, Exchange};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, progress};
use crate::rounds::{Effort, Rounds, Sample};
use crate::servers::Contender;
use crate::servers::fanout::{MEMBER, Peer, SPEAKER};

/// What the columns mean.
const LEGEND: &str = "\
deliveries: messages that reached a member. CPU: time of the server process per delivery; ratio, rate ratio: by those of
bare writes in the same round. ±: half of the range over the rounds. busy: the part of the time the server, the load was
on its core. disturbed: the part of the time others took from the two.";

/// Which servers, and how much.
#[derive(Args, Debug)]
pub struct Options {
    /// Compare only these servers, always beside `bare`; may be repeated.
    #[arg(long, value_enum, value_name = "PEER")]
    only: Vec<Peer>,
    #[command(flatten)]
    effort: Effort,
    /// How many are told.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    members: u32,
    /// Bytes of payload per message.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [64, 1024])]
    sizes: Vec<usize>,
    /// Messages the speaker says before all have heard the first.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16])]
    in_flight: Vec<usize>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Report {
    members: usize,
    rows: Vec<Row>,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        let peers = Peer::chosen(&self.only);
        let members = machine.connections(self.members as usize);
        let cases =
            self.sizes.iter().flat_map(|&size| self.in_flight.iter().map(move |&depth| (size, depth)));
        let cases = cases.filter(|&(_, in_flight)| in_flight > 0).collect::<Vec<_>>();
        let bar = progress(peers.len() * cases.len() * self.effort.rounds());
        let mut report = Report { members, rows: Vec::new() };
        for (size, in_flight) in cases {
            report.rows.extend(rows(machine, &peers, members, (size, in_flight), self.effort, &bar)?);
        }
        bar.finish_and_clear();
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The rows of a case: all `peers`, in their order.
fn rows(
    machine: &Machine,
    peers: &[Peer],
    members: usize,
    (size, in_flight): (usize, usize),
    effort: Effort,
    bar: &ProgressBar,
) -> io::Result<Vec<Row>> {
    bar.set_message(format!("{size}x{in_flight}"));
    let start = |&peer: &Peer| ServerProcess::start(machine, peer);
    let servers = peers.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    let gather = |(&peer, server): (&Peer, &ServerProcess)| {
        // Bare writes know no frames: what is said to them is what members are told.
        let from = if peer == Peer::Bare { From::Server } else { From::Client };
        let heard = Answer::constant(&message(size, From::Server));
        let exchange = Exchange::new(&message(size, from), heard, in_flight);
        let address = server.address();
        let gathered = (0..members).map(|index| connect(address, index, MEMBER));
        Audience::gather(exchange, gathered.collect::<io::Result<_>>()?, connect(address, 0, SPEAKER)?)
    };
    let mut audiences = peers.iter().zip(&servers).map(gather).collect::<io::Result<Vec<_>>>()?;
    let rounds = Rounds::alternate(servers.len(), effort.rounds(), bar, |contender| {
        Sample::of(&servers[contender], effort.turn(), |turn: Duration| audiences[contender].run(turn))
    })?;
    let reference = peers.iter().position(|&peer| peer == Peer::REFERENCE).unwrap_or_default();
    let row = |(place, peer): (usize, &Peer)| {
        Row::new(peer.name(), size, in_flight, rounds.summary(place, reference))
    };
    Ok(peers.iter().enumerate().map(row).collect())
}

fn connect(address: SocketAddr, index: usize, path: &str) -> io::Result<TcpStream> {
    let mut stream = dial(address, index)?;
    shake_hands(&mut stream, path)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{LEGEND}", table_of(&self.rows, "deliveries/s"))
    }
}
