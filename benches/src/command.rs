//! The command line: which comparison, or (hidden) which server to be.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::machine::{self, Machine};
use crate::servers::Contender;
use crate::servers::{
    fanout as fanout_servers, http as http_servers, quic as quic_servers, tcp as tcp_servers,
    tls as tls_servers, ws as ws_servers,
};
use crate::{churn, fanout, http, many, quic, slow, tcp, tls, ws};

/// Run netloom's servers and their peers side by side.
///
/// Each server is a process with one worker on a core of its own; the load comes from another core over loopback.
/// Figures are medians over rounds in which the servers take turns.
#[derive(Debug, Parser)]
#[command(name = "compare", version, propagate_version = true)]
pub struct Command {
    #[command(subcommand)]
    comparison: Comparison,
}

#[derive(Debug, Subcommand)]
enum Comparison {
    /// Length-prefixed messages echoed over TCP: rate, CPU time, memory per idle connection.
    Tcp(tcp::Options),
    /// `GET /plaintext` over HTTP/1.1: rate, CPU time, memory per idle connection, instructions.
    Http(http::Options),
    /// WebSocket messages echoed: rate, CPU time, memory per idle connection.
    Ws(ws::Options),
    /// Messages over TLS: bulk, handshakes, echo, memory per idle session.
    Tls(tls::Options),
    /// Streams over QUIC: bulk, many small ones, handshakes, datagrams, memory per idle connection.
    Quic(quic::Options),
    /// WebSocket messages of one, sent to a thousand.
    Fanout(fanout::Options),
    /// Connections opened and closed one after another: memory must not grow.
    Churn(churn::Options),
    /// Thousands of sessions in one server, all spoken to at once: each must be answered.
    Many(many::Options),
    /// Clients of HTTP that never finish their request: others must not notice.
    Slow(slow::Options),
    /// Be one of the servers until standard input ends.
    #[command(hide = true)]
    Serve {
        /// The core to stay on.
        #[arg(long)]
        core: Option<usize>,
        #[command(subcommand)]
        server: Server,
    },
}

#[derive(Debug, Subcommand)]
enum Server {
    /// A server of length-prefixed messages.
    Tcp {
        /// Which.
        peer: tcp_servers::Peer,
    },
    /// A server of HTTP.
    Http {
        /// Which.
        peer: http_servers::Peer,
    },
    /// A server of WebSocket.
    Ws {
        /// Which.
        peer: ws_servers::Peer,
    },
    /// A server of TLS.
    Tls {
        /// Which.
        peer: tls_servers::Peer,
    },
    /// A server of QUIC.
    Quic {
        /// Which.
        peer: quic_servers::Peer,
    },
    /// A server that tells many.
    Fanout {
        /// Which.
        peer: fanout_servers::Peer,
    },
}

impl Command {
    /// Does what was asked for; the exit code tells whether the measured server kept its promises.
    pub fn run(self) -> io::Result<ExitCode> {
        match self.comparison {
            Comparison::Tcp(options) => options.run(&Machine::prepare()),
            Comparison::Http(options) => options.run(&Machine::prepare()),
            Comparison::Ws(options) => options.run(&Machine::prepare()),
            Comparison::Tls(options) => options.run(&Machine::prepare()),
            Comparison::Quic(options) => options.run(&Machine::prepare()),
            Comparison::Fanout(options) => options.run(&Machine::prepare()),
            Comparison::Churn(options) => options.run(&Machine::prepare()),
            Comparison::Many(options) => options.run(&Machine::prepare()),
            Comparison::Slow(options) => options.run(&Machine::prepare()),
            Comparison::Serve { core, server } => {
                machine::become_server(core);
                match server {
                    Server::Tcp { peer } => peer.serve()?,
                    Server::Http { peer } => peer.serve()?,
                    Server::Ws { peer } => peer.serve()?,
                    Server::Tls { peer } => peer.serve()?,
                    Server::Quic { peer } => peer.serve()?,
                    Server::Fanout { peer } => peer.serve()?,
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }
}
