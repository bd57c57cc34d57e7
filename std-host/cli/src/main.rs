//! `netloom`: serve the demo application, talk to a server by hand or from a script, measure one, look into a packet.
//!
//! | file | its idea |
//! |---|---|
//! | `serve.rs` | the demo application, and a table of where it is |
//! | `connect.rs` | standard input to a server, its answers to standard output; a request and its response |
//! | `bench.rs` | a load whose every answer is compared |
//! | `inspect.rs` | what is in a datagram of QUIC |
//! | `url.rs` | where a server is |
//! | `request.rs` | what is asked there over HTTP |
//! | `units.rs` | seconds, bytes and counts on the command line |
//! | `wire.rs` | sending without waiting, whatever the size |
//! | `files.rs` | how many connections the system allows |
//! | `exit.rs` | every way the program can end |
#![forbid(unsafe_code)]

mod bench;
mod connect;
mod exit;
mod files;
mod identity;
mod inspect;
mod request;
mod secure;
mod serve;
mod units;
mod url;
mod wire;

use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

const EXAMPLES: &str = "\
Examples:
  netloom serve                                            on ports 7000 and 8080
  netloom serve --files .                                  this folder by HTTP
  netloom connect http://127.0.0.1:8080/status             prints what is there
  printf 'a\\nb\\n' | netloom connect tcp://127.0.0.1:7000   prints a and b
  netloom bench tcp://127.0.0.1:7000 --connections 100     how fast is it?";

/// A network stack: serve with it, talk to a server, measure one, look into a packet.
#[derive(Parser)]
#[command(name = "netloom", version, after_help = format!("{EXAMPLES}\n\n{}", exit::CODES))]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say on stderr what happens inside; twice for everything.
    #[arg(short, long, action = ArgAction::Count, global = true, display_order = 100)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Connect(connect::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = [LevelFilter::WARN, LevelFilter::DEBUG, LevelFilter::TRACE][usize::from(cli.verbose.min(2))];
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
    let ended = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Connect(args) => connect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("netloom: {failure}");
            failure.code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn examples_in_the_help_are_a_line_each() {
        let cli = super::Cli::command();
        for command in [&cli].into_iter().chain(cli.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.split_once("Examples:\n").map(|(_, rest)| rest).unwrap_or_default();
            let examples: Vec<_> = examples.lines().take_while(|line| !line.is_empty()).collect();
            assert!(!examples.is_empty(), "{command}");
            for line in examples {
                assert!(line.starts_with("  ") && line.len() <= 100, "{line}");
            }
        }
    }
}
