//! Servers beside a reference, case by case: sizes of messages by how many are in flight.

use comfy_table::Table;
use serde::Serialize;

use crate::report::{count, percent, table};
use crate::rounds::Summary;

/// One server in one case.
#[derive(Debug, Serialize)]
pub struct Row {
    peer: String,
    /// Size by depth: `1024x16`.
    case: String,
    size: usize,
    in_flight: usize,
    /// Its CPU time by the reference's.
    ratio: f64,
    /// Its rate by the reference's.
    rate_ratio: f64,
    #[serde(flatten)]
    summary: Summary,
}

impl Row {
    /// Of the server of that name, whose rounds are summed up.
    pub fn new(peer: String, size: usize, in_flight: usize, summary: Summary) -> Self {
        let Summary { cpu_ratio: ratio, rate_ratio, .. } = summary;
        Self { peer, case: format!("{size}x{in_flight}"), size, in_flight, ratio, rate_ratio, summary }
    }

    /// The same, of a case that has a name.
    pub fn called(self, case: &str) -> Self {
        Self { case: case.to_owned(), ..self }
    }

    /// Whose it is.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// What the case is called.
    pub fn case(&self) -> &str {
        &self.case
    }

    /// Bytes of what is counted.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The server's CPU time per message, in nanoseconds, and that by the reference's.
    pub fn cpu(&self) -> (f64, f64) {
        (self.summary.cpu_ns, self.ratio)
    }
}

/// `rows` for people; `rate` is what is counted: `messages/s`.
pub fn table_of(rows: &[Row], rate: &str) -> Table {
    let mut table = table(&[
        "peer",
        "case",
        rate,
        "CPU ns",
        "ratio",
        "±",
        "rate ratio",
        "±",
        "server busy",
        "load busy",
        "disturbed",
    ]);
    for Row { peer, case, ratio, rate_ratio, summary, .. } in rows {
        table.add_row([
            peer.clone(),
            case.clone(),
            count(summary.rate),
            count(summary.cpu_ns),
            format!("{ratio:.3}"),
            percent(summary.cpu_ratio_spread),
            format!("{rate_ratio:.3}"),
            percent(summary.ratio_spread),
            percent(summary.server_busy),
            percent(summary.load_busy),
            percent(summary.disturbed),
        ]);
    }
    table
}
