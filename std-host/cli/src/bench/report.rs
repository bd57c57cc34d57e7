//! What came of a run, for people and for programs.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::Args;
use super::load::Tally;
use crate::exit::Failure;

/// What `--json` prints; the names are a contract.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    connections: usize,
    in_flight: usize,
    size: usize,
    seconds: f64,
    messages: u64,
    rate: f64,
    mb_per_s: f64,
    latency_us: Latency,
    mismatches: u64,
    failed_connections: usize,
    errors: u64,
    first_error: Option<String>,
}

/// In microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Latency {
    fn new(nanoseconds: &Histogram<u64>) -> Self {
        let at = |quantile| micros(nanoseconds.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: micros(nanoseconds.max()) }
    }
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

impl Report {
    pub(super) fn new(args: &Args, connected: usize, tally: &Tally) -> Self {
        let elapsed = if args.messages.is_some() { tally.elapsed } else { args.duration };
        let (messages, seconds) = (tally.latency.len(), elapsed.as_secs_f64());
        let rate = if seconds > 0.0 { messages as f64 / seconds } else { 0.0 };
        Self {
            url: args.url.to_string(),
            connections: connected,
            in_flight: args.in_flight.get(),
            size: args.size,
            seconds,
            messages,
            rate: rate.round(),
            mb_per_s: (rate * args.size as f64 / 1e4).round() / 100.0,
            latency_us: Latency::new(&tally.latency),
            mismatches: tally.mismatches,
            failed_connections: args.connections.get() - connected,
            errors: tally.errors,
            first_error: tally.first_error.clone(),
        }
    }

    pub(super) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match json {
            true => {
                serde_json::to_writer(&mut out, self)?;
                writeln!(out)?;
            }
            false => writeln!(out, "{}", self.table())?,
        }
        out.flush()
    }

    fn table(&self) -> Table {
        let load = format!("{} x {} in flight, {} B", self.connections, self.in_flight, self.size);
        let latency = &self.latency_us;
        let mut rows = vec![
            ("server", self.url.clone()),
            ("load", load),
            ("messages", format!("{} in {:.2} s", self.messages, self.seconds)),
            ("rate", format!("{:.0} messages/s, {:.2} MB/s", self.rate, self.mb_per_s)),
        ];
        for (name, value) in [
            ("latency p50", latency.p50),
            ("p90", latency.p90),
            ("p99", latency.p99),
            ("p99.9", latency.p99_9),
            ("max", latency.max),
        ] {
            rows.push((name, format!("{value:.1} µs")));
        }
        rows.push(("wrong answers", self.mismatches.to_string()));
        if self.failed_connections > 0 {
            rows.push(("not connected", self.failed_connections.to_string()));
        }
        if self.errors > 0 {
            rows.push(("connections that failed", self.errors.to_string()));
        }
        if let Some(error) = &self.first_error {
            rows.push(("first error", error.clone()));
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        for (name, value) in rows {
            table.add_row([name, &value]);
        }
        table
    }

    /// Whether the run counts: every answer right, every connection answered to its end.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let first = self.first_error.as_deref().unwrap_or("no reason was given");
        if self.connections == 0 {
            return Err(Failure::unconnected(&self.url, first));
        }
        if self.mismatches > 0 {
            return Err(Failure::new(format!("{}: {} wrong answers", self.url, self.mismatches)));
        }
        match self.errors {
            0 => Ok(()),
            errors => Err(Failure::new(format!("{}: {errors} connections failed: {first}", self.url))),
        }
    }
}
