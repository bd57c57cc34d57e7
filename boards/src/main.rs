//! `cargo board`: builds netloom's firmware, boots it in QEMU, tests it and weighs it.
//!
//! Every folder under `boards/` that has a `board.toml` is a board. This tool knows none by name: what differs between
//! boards is in that file and in the board's own crate.

mod acceptance;
mod board;
mod client;
mod firmware;
mod foreign;
mod pages;
mod qemu;
mod report;
mod size;
mod table;
mod toolchain;

use std::io::{self, ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::acceptance::{Scenario, Tally};
use crate::board::Image;
use crate::firmware::Console;
use crate::qemu::Guest;
use crate::report::{Meetings, Settings};

/// Builds, runs, tests and sizes netloom's firmware
#[derive(Parser)]
#[command(name = "cargo board", bin_name = "cargo board", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the boards
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Builds the firmware that goes on a device
    Build {
        /// A board of `cargo board list`; all of them if left out
        name: Option<String>,
        /// One of its further applications in `board.toml`, such as hello; its own if left out
        #[arg(long)]
        app: Option<String>,
    },
    /// Boots a board in QEMU and keeps it running until Ctrl-C
    Run {
        /// A board of `cargo board list`
        name: String,
        /// One of its further applications in `board.toml`, such as hello; its own if left out
        #[arg(long)]
        app: Option<String>,
        /// The port of this machine that leads to the board's framed echo; 0 picks a free one
        #[arg(long, default_value_t = 7000)]
        port: u16,
        /// The port of this machine that leads to the board's pages; 0 picks a free one
        #[arg(long, default_value_t = 8080)]
        http: u16,
        /// The address of this machine that leads to the board
        #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
        bind: Ipv4Addr,
        /// Have the board report to this server, like tls://127.0.0.1:7443: its application is then `report`
        #[arg(long, value_name = "URL", conflicts_with = "app")]
        report: Option<String>,
        /// The certificate, PEM or DER, of the authority that vouches for that server
        #[arg(long, value_name = "FILE", requires = "report")]
        ca: Option<PathBuf>,
        /// The SHA-256 of that server's SubjectPublicKeyInfo: in hexadecimal digits, or sha256//BASE64 as `netloom serve` prints it
        #[arg(long, value_name = "SHA256", requires = "report")]
        pin: Option<String>,
        /// The name in that server's certificate, if it is not the URL's
        #[arg(long, value_name = "NAME", requires = "report")]
        server_name: Option<String>,
    },
    /// Boots a board in QEMU and checks, from outside, what it does
    Test {
        /// A board of `cargo board list`; all of them if left out
        name: Option<String>,
    },
    /// Weighs the firmware that goes on a device; fails past a budget
    Size {
        /// A board of `cargo board list`; all of them if left out
        name: Option<String>,
        /// One of its further applications in `board.toml`; if left out its own and all of these
        #[arg(long)]
        app: Option<String>,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
        /// Also list this many of the biggest functions and variables of each image
        #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "json")]
        symbols: usize,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::List { json } => {
            let boards = board::all()?;
            print(&if json { board::to_json(&boards)? } else { board::to_table(&boards) })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Build { name, app } => {
            for board in board::chosen(name.as_deref())? {
                let image = board.image(app.as_deref())?;
                println!("{}", firmware::build(&image, Console::Silent, &Settings::NONE)?.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { name, app, port, http, bind, report, ca, pin, server_name } => {
            for board in board::chosen(Some(&name))? {
                let (mut app, mut settings) = (app.as_deref(), Settings::NONE);
                if let Some(url) = &report {
                    let folder = firmware::target_folder(&board)?;
                    let (name, ca, pin) = (server_name.as_deref(), ca.as_deref(), pin.as_deref());
                    (app, settings) = (Some("report"), Settings::new(url, name, ca, pin, &folder)?);
                }
                serve(&board.image(app)?, bind, (port, http), &settings)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { name } => {
            let mut tally = Tally::default();
            for board in board::chosen(name.as_deref())? {
                for image in board.tested() {
                    test(&image, &mut tally)?;
                }
            }
            println!("{tally}");
            Ok(exit_code(tally.failed == 0))
        }
        Command::Size { name, app, json, symbols } => {
            let boards = board::chosen(name.as_deref())?;
            let images: Vec<Image<'_>> = match app {
                Some(app) => boards.iter().map(|board| board.image(Some(&app))).collect::<Result<_>>()?,
                None => boards.iter().flat_map(|board| board.images()).collect(),
            };
            let weights = size::weigh(&images, symbols)?;
            print(&if json { size::to_json(&weights)? } else { size::to_table(&weights) })?;
            Ok(exit_code(weights.iter().all(size::Weight::is_within_budget)))
        }
    }
}

/// Prints a text. Whoever reads it may stop early: `cargo board list | head -3` is no error.
fn print(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn exit_code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Boots the board and stays until it ends or Ctrl-C.
fn serve(image: &Image<'_>, bind: Ipv4Addr, ports: (u16, u16), settings: &Settings) -> Result<()> {
    let elf = firmware::build(image, Console::Semihosting, settings)?;
    let mut guest = Guest::boot(image, &elf, bind, ports)?;
    let urls = [
        guest.echo().map(|echo| format!("tcp://{echo}")),
        guest.http().map(|http| format!("http://{http}/")),
    ];
    let urls: Vec<String> = urls.into_iter().flatten().collect();
    let urls = if urls.is_empty() { String::new() } else { format!(": {}", urls.join(", ")) };
    println!("{} is up{urls}; Ctrl-C ends it", image.name());
    guest.follow()
}

/// Boots the board on a free loopback port and runs the acceptance scenario against it.
fn test(image: &Image<'_>, tally: &mut Tally) -> Result<()> {
    let folder = firmware::target_folder(image.board)?;
    let meetings = if image.reports() { Some(Meetings::new(&folder)?) } else { None };
    let settings = match &meetings {
        Some(meetings) => meetings.settings(&folder)?,
        None => Settings::NONE,
    };
    let elf = firmware::build(image, Console::Semihosting, &settings)?;
    let guest = Guest::boot(image, &elf, Ipv4Addr::LOCALHOST, (0, 0))?;
    println!("{}", image.name());
    if let Some(echo) = guest.echo() {
        Scenario::new(echo, image.board.sessions).run(tally);
    }
    if let Some(http) = guest.http() {
        pages::run(http, image.http_connections(), image.page_alone(), tally);
    }
    if let Some(meetings) = meetings {
        meetings.run(tally);
    }
    for line in guest.said() {
        println!("         the board says: {line}");
    }
    Ok(())
}
