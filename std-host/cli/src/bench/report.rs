//! What came of a run, for people and for programs.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::Args;
use super::http::Question;
use super::load::{Tally, Work};
use crate::exit::Failure;

/// What `--json` prints; the names are a contract.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    connections: usize,
    in_flight: usize,
    size: u64,
    seconds: f64,
    messages: u64,
    rate: f64,
    mb_per_s: f64,
    latency_us: Latency,
    mismatches: u64,
    failed_connections: usize,
    errors: u64,
    /// Datagrams that were not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    first_error: Option<String>,
    #[serde(flatten)]
    http: Option<Http>,
}

/// What is told of HTTP only. Everything else is told of it too: `messages` are answers, `size` is the length of the
/// first answer's body.
#[derive(Debug, Serialize)]
struct Http {
    method: String,
    /// Of the first answer.
    status: u16,
    /// What every answer was compared by.
    compared: &'static str,
    /// Bytes of bodies.
    bytes: u64,
    non_2xx: u64,
    other_lengths: u64,
    reconnects: u64,
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

impl Http {
    fn new(question: &Question, tally: &Tally) -> Self {
        Self {
            method: question.method.clone(),
            status: question.first.status,
            compared: question.check.name(),
            bytes: tally.bytes,
            non_2xx: tally.failures,
            other_lengths: tally.other_lengths,
            reconnects: tally.reconnects,
        }
    }
}

impl Report {
    pub(super) fn new(args: &Args, work: &Work, connected: usize, tally: &Tally) -> Self {
        let elapsed = if args.messages.is_some() { tally.elapsed } else { args.duration };
        let (messages, seconds) = (tally.latency.len(), elapsed.as_secs_f64());
        let rate = if seconds > 0.0 { messages as f64 / seconds } else { 0.0 };
        let bytes_per_s = if seconds > 0.0 { tally.bytes as f64 / seconds } else { 0.0 };
        let (size, http) = match work {
            Work::Echo { size } | Work::Datagrams { size } => (*size as u64, None),
            Work::WebSocket(endpoint) => (endpoint.size as u64, None),
            Work::Http(question) => (question.first.length, Some(Http::new(question, tally))),
        };
        Self {
            url: args.url.to_string(),
            connections: connected,
            in_flight: args.in_flight(),
            size,
            seconds,
            messages,
            rate: rate.round(),
            mb_per_s: (bytes_per_s / 1e4).round() / 100.0,
            latency_us: Latency::new(&tally.latency),
            mismatches: tally.mismatches,
            failed_connections: args.sessions() - connected,
            errors: tally.errors,
            lost: matches!(work, Work::Datagrams { .. }).then_some(tally.lost),
            first_error: tally.first_error.clone(),
            http,
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
        let noun = if self.http.is_some() { "answers" } else { "messages" };
        let mut rows = vec![("server", self.url.clone()), ("load", load)];
        if let Some(http) = &self.http {
            rows.push(("first answer", format!("{} to {}", http.status, http.method)));
        }
        rows.push((noun, format!("{} in {:.2} s", self.messages, self.seconds)));
        rows.push(("rate", format!("{:.0} {noun}/s, {:.2} MB/s", self.rate, self.mb_per_s)));
        for (name, value) in [
            ("latency p50", latency.p50),
            ("p90", latency.p90),
            ("p99", latency.p99),
            ("p99.9", latency.p99_9),
            ("max", latency.max),
        ] {
            rows.push((name, format!("{value:.1} µs")));
        }
        match &self.http {
            Some(http) => {
                let wrong = format!("{}, compared by {}", self.mismatches, http.compared);
                rows.push(("wrong answers", wrong));
                for (name, count) in [
                    ("not 2xx", http.non_2xx),
                    ("of other length", http.other_lengths),
                    ("connected again", http.reconnects),
                ] {
                    if count > 0 {
                        rows.push((name, count.to_string()));
                    }
                }
            }
            None => rows.push(("wrong answers", self.mismatches.to_string())),
        }
        if let Some(lost) = self.lost {
            rows.push(("lost", lost.to_string()));
        }
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
