//! What is shown: a table for people, JSON for programs, progress for whoever waits.

use std::fmt::{self, Display};
use std::io::{self, Write};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::idle::Idle;
use crate::rounds::Summary;

/// What the columns of the load table mean.
const LEGEND: &str = "\
CPU: time of the server process per message. rate/raw, CPU/raw: by those of raw in the same round.
±: half of the range over the rounds. busy: the part of the time the server, the load was on its core.
disturbed: the part of the time others took from the two; where it is not near 0, believe CPU, not rates.";

/// How results are printed.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Output {
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Prints `result` to standard output.
    pub fn print(self, result: &(impl Display + Serialize)) -> io::Result<()> {
        let text = match self.json {
            true => serde_json::to_string(result)?,
            false => result.to_string(),
        };
        writeln!(io::stdout(), "{text}")
    }
}

/// One server under one load.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The server.
    pub peer: String,
    /// Bytes of payload per message.
    pub size: usize,
    /// Messages in flight per connection.
    pub in_flight: usize,
    /// Its rate by that of the server without a protocol.
    pub ratio_to_raw: f64,
    /// Its CPU time per message by that of the server without a protocol.
    pub cpu_to_raw: f64,
    /// What was measured.
    #[serde(flatten)]
    pub summary: Summary,
}

/// A protocol's servers side by side.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Servers under load: all servers of one load, then those of the next.
    pub rows: Vec<Row>,
    /// What idle connections take.
    #[serde(flatten)]
    pub idle: Idle,
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            writeln!(f, "{}\n{LEGEND}", self.load_table())?;
        }
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
            "size",
            "in flight",
            "messages/s",
            "MB/s",
            "CPU ns",
            "rate/raw",
            "±",
            "CPU/raw",
            "±",
            "server busy",
            "load busy",
            "disturbed",
        ]);
        for Row { peer, size, in_flight, ratio_to_raw, cpu_to_raw, summary } in &self.rows {
            table.add_row([
                peer.clone(),
                size.to_string(),
                in_flight.to_string(),
                count(summary.rate),
                count(summary.rate * *size as f64 / 1e6),
                count(summary.cpu_ns),
                format!("{ratio_to_raw:.3}"),
                percent(summary.ratio_spread),
                format!("{cpu_to_raw:.3}"),
                percent(summary.cpu_ratio_spread),
                percent(summary.server_busy),
                percent(summary.load_busy),
                percent(summary.disturbed),
            ]);
        }
        table
    }
}

/// A table whose columns after the first are numbers.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A whole number, its thousands apart.
pub fn count(figure: f64) -> String {
    HumanCount(figure.round() as u64).to_string()
}

/// Bytes as megabytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// A part of the whole.
pub fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// A line on standard error that tells how far `steps` are; none if that is no terminal.
pub fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} (about {eta} left)");
    let bar = ProgressBar::new(steps as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn report() -> Report {
        let summary = Summary {
            rate: 1_234_567.8,
            cpu_ns: 3.0,
            rate_ratio: 0.5,
            cpu_ratio: 2.0,
            rate_spread: 0.1,
            ratio_spread: 0.1,
            cpu_ratio_spread: 0.1,
            server_busy: 1.0,
            load_busy: 0.5,
            disturbed: 0.0,
        };
        Report {
            rows: vec![Row {
                peer: "raw".into(),
                size: 1000,
                in_flight: 16,
                ratio_to_raw: summary.rate_ratio,
                cpu_to_raw: summary.cpu_ratio,
                summary,
            }],
            idle: Idle { connections: 10, bytes: BTreeMap::from([("raw".into(), 16_384)]) },
        }
    }

    #[test]
    fn json_has_the_promised_keys() {
        let json = serde_json::to_value(report()).unwrap();
        let row = json["rows"][0].as_object().unwrap();
        for key in ["peer", "size", "in_flight", "rate", "cpu_ns", "ratio_to_raw"] {
            assert!(row.contains_key(key), "{key}");
        }
        assert_eq!(json["idle_bytes"]["raw"], 16_384);
    }

    #[test]
    fn every_column_has_a_title_and_a_figure() {
        let table = report().load_table();
        let cells = table.row(0).unwrap().cell_count();
        assert_eq!(table.header().unwrap().cell_count(), cells);
    }

    #[test]
    fn figures_are_readable() {
        let text = report().to_string();
        for figure in ["1,234,568", " 1,235 ", "16,384", "0.500", "100 %"] {
            assert!(text.contains(figure), "{figure}");
        }
    }
}
