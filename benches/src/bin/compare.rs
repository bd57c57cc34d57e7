//! Runs netloom's servers and their peers side by side; `compare --help` tells the rest.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use netloom_benches::command::Command;

fn main() -> ExitCode {
    Command::parse().run().unwrap_or_else(|error| {
        eprintln!("compare: {error}");
        ExitCode::FAILURE
    })
}
