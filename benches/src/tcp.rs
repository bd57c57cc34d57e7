//! Length-prefixed messages echoed over TCP: three sizes by three depths over fifty connections.

use std::io;
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;

use crate::dial::ask;
use crate::idle::{Idle, bytes_per_connection};
use crate::load::{Exchange, Load, connect};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, Report, Row, progress};
use crate::rounds::{Effort, Rounds, Sample};
use crate::servers::Contender;
use crate::servers::tcp::Peer;

/// Connections that carry the load.
const CONNECTIONS: usize = 50;
/// Payload of the one message an idle connection has sent.
const IDLE_SIZE: usize = 64;

/// Which rows, of which servers.
#[derive(Args, Debug)]
pub struct Options {
    /// Compare only these servers, always beside `raw`; may be repeated.
    #[arg(long, value_enum, value_name = "PEER")]
    only: Vec<Peer>,
    #[command(flatten)]
    effort: Effort,
    /// Bytes of payload per message.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [64, 1024, 8192])]
    sizes: Vec<usize>,
    /// Messages in flight per connection.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16, 128])]
    in_flight: Vec<usize>,
    /// Idle connections whose memory is measured: 10,000, or 2,000 if quick; 0 for none.
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    #[command(flatten)]
    output: Output,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        let peers = Peer::chosen(&self.only);
        let idle = self.idle.unwrap_or(if self.effort.quick { 2_000 } else { 10_000 });
        let loads =
            self.sizes.iter().flat_map(|&size| self.in_flight.iter().map(move |&depth| (size, depth)));
        let loads = loads.filter(|&(_, in_flight)| in_flight > 0).collect::<Vec<_>>();
        let bar = progress(peers.len() * (loads.len() * self.effort.rounds() + usize::from(idle > 0)));

        let servers =
            peers.iter().map(|&peer| ServerProcess::start(machine, peer)).collect::<io::Result<Vec<_>>>()?;
        let mut report = Report::default();
        for (size, in_flight) in loads {
            bar.set_message(format!("{size} B, {in_flight} in flight"));
            let rounds = row(&servers, size, in_flight, self.effort, &bar)?;
            let raw = peers.iter().position(|&peer| peer == Peer::REFERENCE).unwrap_or_default();
            report.rows.extend(peers.iter().enumerate().map(|(place, peer)| {
                let summary = rounds.summary(place, raw);
                Row {
                    peer: peer.name(),
                    size,
                    in_flight,
                    ratio_to_raw: summary.rate_ratio,
                    cpu_to_raw: summary.cpu_ratio,
                    summary,
                }
            }));
        }
        drop(servers);

        let message = frame(IDLE_SIZE);
        report.idle = Idle::measure(machine, peers, idle, &bar, |peer, connections| {
            bytes_per_connection(machine, peer, connections, |stream| ask(stream, &message))
        })?;
        bar.finish_and_clear();
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(
    servers: &[ServerProcess],
    size: usize,
    in_flight: usize,
    effort: Effort,
    bar: &ProgressBar,
) -> io::Result<Rounds> {
    let open = |server: &ServerProcess| {
        Load::open(Exchange::echo(&frame(size), in_flight), CONNECTIONS, || connect(server.address()))
    };
    let mut loads = servers.iter().map(open).collect::<io::Result<Vec<_>>>()?;
    Rounds::alternate(servers.len(), effort.rounds(), bar, |contender| {
        Sample::take(&servers[contender], &mut loads[contender], effort.turn())
    })
}

/// A frame of `size` bytes of payload, which do not repeat within a thousand: an echo that slipped would differ.
pub fn frame(size: usize) -> Vec<u8> {
    let payload = (0..size as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
    (size as u32).to_be_bytes().into_iter().chain(payload).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_begins_with_the_length_of_its_payload() {
        let frame = frame(1024);
        assert_eq!((&frame[..4], frame.len()), (&[0, 0, 4, 0][..], 1028));
    }

    #[test]
    fn a_payload_differs_from_itself_shifted() {
        let frame = frame(8192);
        let payload = &frame[4..];
        assert!((1..1000).all(|shift| payload[shift..] != payload[..payload.len() - shift]));
    }
}
