//! Rows in the units that are usual for them, which those of other measurements can be held beside.

use comfy_table::Table;
use serde::Serialize;

use crate::cases::Row;
use crate::report::{count, table};

const GIB: f64 = (1_u64 << 30) as f64;

/// One server in one case.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// The server.
    pub peer: String,
    /// What the case is called.
    pub case: String,
    /// Of the figure: `CPU s/GiB`.
    pub unit: &'static str,
    /// What was measured.
    pub figure: f64,
    /// By that of the reference.
    pub ratio: f64,
}

impl Figure {
    /// CPU time per GiB, of messages that are large.
    pub fn cpu_per_gib(row: &Row) -> Self {
        let (cpu_ns, ratio) = row.cpu();
        Self::of(row, "CPU s/GiB", cpu_ns / 1e9 * GIB / row.size() as f64, ratio)
    }

    /// How many of what is counted there are in a second of CPU time.
    pub fn per_cpu_second(row: &Row, unit: &'static str) -> Self {
        let (cpu_ns, ratio) = row.cpu();
        Self::of(row, unit, 1e9 / cpu_ns, 1.0 / ratio)
    }

    fn of(row: &Row, unit: &'static str, figure: f64, ratio: f64) -> Self {
        Self { peer: row.peer().to_owned(), case: row.case().to_owned(), unit, figure, ratio }
    }
}

/// `figures` for people.
pub fn table_of(figures: &[Figure]) -> Table {
    let mut table = table(&["peer", "case", "unit", "figure", "ratio"]);
    for Figure { peer, case, unit, figure, ratio } in figures {
        let figure = match *figure < 100.0 {
            true => format!("{figure:.3}"),
            false => count(*figure),
        };
        table.add_row([peer, case, *unit, &figure, &format!("{ratio:.3}")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Summary;

    fn row(size: usize) -> Row {
        let summary = Summary {
            rate: 1.0,
            cpu_ns: 1e6,
            rate_ratio: 1.0,
            cpu_ratio: 0.5,
            rate_spread: 0.0,
            ratio_spread: 0.0,
            cpu_ratio_spread: 0.0,
            server_busy: 1.0,
            load_busy: 1.0,
            disturbed: 0.0,
        };
        Row::new("ours".into(), size, 1, summary)
    }

    #[test]
    fn a_figure_is_in_its_unit_and_more_is_better_only_per_second() {
        let bulk = Figure::cpu_per_gib(&row(1 << 20));
        assert_eq!((bulk.figure, bulk.ratio), (1.024, 0.5));
        let small = Figure::per_cpu_second(&row(64), "handshakes/CPU s");
        assert_eq!((small.figure, small.ratio, &*small.case), (1_000.0, 2.0, "64x1"));
        let text = table_of(&[bulk, small]).to_string();
        for cell in [" 1.024 ", " 1,000 ", "0.500", "2.000", "handshakes/CPU s"] {
            assert!(text.contains(cell), "{cell}: {text}");
        }
    }
}
