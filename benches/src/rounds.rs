//! Rounds: the servers take turns, each turn is a sample, a row is the median of its samples.
//!
//! A ratio is taken within a round, between neighbours in time, and only then the median of the rounds' ratios:
//! a machine that is slow for a while is slow for both.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use clap::Args;
use mio::event::Source;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::load::Load;
use crate::process::ServerProcess;

/// How long a server needs to fall asleep after its last answer: then its CPU time is exact.
const SETTLE: Duration = Duration::from_millis(2);

/// How much is measured.
#[derive(Args, Clone, Copy, Debug)]
pub struct Effort {
    /// Measure 3 rounds of 0.3 s instead of 5 rounds of 1 s.
    #[arg(long)]
    pub quick: bool,
    /// Rounds, in each of which every server has a turn.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
}

impl Effort {
    /// How many rounds.
    pub fn rounds(self) -> usize {
        usize::from(self.rounds.unwrap_or(if self.quick { 3 } else { 5 }))
    }

    /// How long a turn is measured.
    pub fn turn(self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 1000 })
    }
}

/// One turn of one server.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Answers per second.
    pub rate: f64,
    /// The server's CPU time per answer, in nanoseconds.
    pub cpu_ns: f64,
    /// The part of the time the server was on its core.
    pub server_busy: f64,
    /// The part of the time the load was on its core.
    pub load_busy: f64,
}

impl Sample {
    /// Warms `server` up for a fifth of `turn`, then measures from quiet to quiet.
    pub fn take<S>(server: &ServerProcess, load: &mut Load<S>, turn: Duration) -> io::Result<Self>
    where
        S: Read + Write + Source,
    {
        load.run(turn / 5)?;
        thread::sleep(SETTLE);
        let server_before = server.cpu()?;
        let load_before = own_cpu();
        let run = load.run(turn)?;
        let load_cpu = own_cpu() - load_before;
        thread::sleep(SETTLE);
        let server_cpu = (server.cpu()? - server_before).as_secs_f64();
        let seconds = run.elapsed.as_secs_f64();
        Ok(Self {
            rate: run.answers as f64 / seconds,
            cpu_ns: server_cpu * 1e9 / run.answers as f64,
            server_busy: server_cpu / seconds,
            load_busy: load_cpu / seconds,
        })
    }
}

/// Seconds this process was on a core so far.
fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What the rounds say about one server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// Answers per second.
    pub rate: f64,
    /// The server's CPU time per answer, in nanoseconds.
    pub cpu_ns: f64,
    /// Its rate by that of the server without a protocol.
    pub ratio_to_raw: f64,
    /// Its CPU time per answer by that of the server without a protocol.
    pub cpu_to_raw: f64,
    /// Half of the way from the lowest to the highest rate, by the median.
    pub rate_spread: f64,
    /// The same of `ratio_to_raw`.
    pub ratio_spread: f64,
    /// The same of `cpu_to_raw`.
    pub cpu_ratio_spread: f64,
    /// The part of the time the server was on its core.
    pub server_busy: f64,
    /// The part of the time the load was on its core.
    pub load_busy: f64,
}

/// The samples of one row.
#[derive(Debug)]
pub struct Rounds {
    /// By round, then by contender.
    samples: Vec<Vec<Sample>>,
}

impl Rounds {
    /// Gives each of `contenders` one turn per round, in an order that moves on every round.
    pub fn alternate(
        contenders: usize,
        rounds: usize,
        mut turn: impl FnMut(usize) -> io::Result<Sample>,
    ) -> io::Result<Self> {
        let mut samples = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let mut taken = (0..contenders)
                .map(|place| (round + place) % contenders)
                .map(|contender| Ok((contender, turn(contender)?)))
                .collect::<io::Result<Vec<_>>>()?;
            taken.sort_by_key(|&(contender, _)| contender);
            samples.push(taken.into_iter().map(|(_, sample)| sample).collect());
        }
        Ok(Self { samples })
    }

    /// What the rounds say about `contender` beside `raw`.
    pub fn summary(&self, contender: usize, raw: usize) -> Summary {
        let of = |figure: fn(&Sample) -> f64| self.samples.iter().map(move |round| figure(&round[contender]));
        let to_raw = |figure: fn(&Sample) -> f64| {
            self.samples.iter().map(move |round| figure(&round[contender]) / figure(&round[raw]))
        };
        let (rate, rate_spread) = median_and_spread(of(|sample| sample.rate));
        let (ratio_to_raw, ratio_spread) = median_and_spread(to_raw(|sample| sample.rate));
        let (cpu_to_raw, cpu_ratio_spread) = median_and_spread(to_raw(|sample| sample.cpu_ns));
        Summary {
            rate,
            cpu_ns: median_and_spread(of(|sample| sample.cpu_ns)).0,
            ratio_to_raw,
            cpu_to_raw,
            rate_spread,
            ratio_spread,
            cpu_ratio_spread,
            server_busy: median_and_spread(of(|sample| sample.server_busy)).0,
            load_busy: median_and_spread(of(|sample| sample.load_busy)).0,
        }
    }
}

/// The median of at least one figure, and half of the range by it.
fn median_and_spread(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut figures = figures.collect::<Vec<_>>();
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
    let median = (low + high) / 2.0;
    (median, (figures[figures.len() - 1] - figures[0]) / 2.0 / median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64) -> Sample {
        Sample { rate, cpu_ns: 1e9 / rate, server_busy: 1.0, load_busy: 0.5 }
    }

    #[test]
    fn the_median_of_an_even_number_of_figures_lies_between_the_middle_two() {
        assert_eq!(median_and_spread([4.0, 1.0, 3.0, 2.0].into_iter()), (2.5, 0.6));
        assert_eq!(median_and_spread([3.0, 9.0, 1.0].into_iter()).0, 3.0);
    }

    #[test]
    fn a_slow_round_is_slow_for_both_and_leaves_the_ratio_alone() {
        let speeds = [1.0, 0.25, 2.0];
        let mut turns = 0;
        let rounds = Rounds::alternate(2, 3, |contender| {
            turns += 1;
            let speed = speeds[(turns - 1) / 2];
            Ok(sample(speed * [100.0, 80.0][contender]))
        });
        let summary = rounds.unwrap().summary(1, 0);
        assert_eq!((summary.ratio_to_raw, summary.ratio_spread, summary.cpu_to_raw), (0.8, 0.0, 1.25));
        assert_eq!(summary.rate, 80.0);
        assert!(summary.rate_spread > 0.5);
    }

    #[test]
    fn nobody_is_always_first() {
        let mut order = Vec::new();
        Rounds::alternate(2, 2, |contender| {
            order.push(contender);
            Ok(sample(1.0))
        })
        .unwrap();
        assert_eq!(order, [0, 1, 1, 0]);
    }
}
