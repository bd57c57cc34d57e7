//! Rounds: the servers take turns, each turn is a sample, a row is the median of its samples.
//!
//! A ratio is taken within a round, between neighbours in time, and only then the median of the rounds' ratios:
//! a machine that is slow for a while is slow for both. A round during which others took much of the time is taken
//! again; what they took of the rounds that count is reported.

use std::io::{self, Read, Write};
use std::time::Duration;
use std::{fs, thread};

use clap::Args;
use indicatif::ProgressBar;
use mio::event::Source;
use serde::Serialize;

use crate::load::{Load, Run};
use crate::process::{CoreTime, ServerProcess};

/// How long a server needs to fall asleep after its last answer: then its CPU time is exact.
const SETTLE: Duration = Duration::from_millis(2);

/// The part of a turn that others may take: above it, rates are theirs.
const MOST_DISTURBED: f64 = 0.05;

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
    /// The part of the time that other processes and a hypervisor's other guests took from the two.
    pub disturbed: f64,
}

impl Sample {
    /// Warms `server` up for a fifth of `turn`, then measures from quiet to quiet.
    pub fn take<S>(server: &ServerProcess, load: &mut Load<S>, turn: Duration) -> io::Result<Self>
    where
        S: Read + Write + Source,
    {
        Self::of(server, turn, |duration| load.run(duration))
    }

    /// The same of any load, which `run` keeps up for a time.
    pub fn of(
        server: &ServerProcess,
        turn: Duration,
        mut run: impl FnMut(Duration) -> io::Result<Run>,
    ) -> io::Result<Self> {
        run(turn / 5)?;
        thread::sleep(SETTLE);
        let (ticks, server_time, load_time) = (Ticks::now()?, server.time()?, CoreTime::own()?);
        let run = run(turn)?;
        thread::sleep(SETTLE);
        let server_time = server.time()?.since(server_time);
        let load_time = CoreTime::own()?.since(load_time);
        let stolen = Ticks::now()?.stolen_since(ticks);
        let part = |time: Duration| time.as_secs_f64() / run.elapsed.as_secs_f64();
        Ok(Self {
            rate: run.answers as f64 / run.elapsed.as_secs_f64(),
            cpu_ns: server_time.ran.as_secs_f64() * 1e9 / run.answers as f64,
            server_busy: part(server_time.ran),
            load_busy: part(load_time.ran),
            disturbed: part(server_time.waited + load_time.waited) / 2.0 + stolen,
        })
    }
}

/// The time of all cores so far, and what of it the hypervisor gave to others.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    all: u64,
    stolen: u64,
}

impl Ticks {
    fn now() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Self::parse(&stat).ok_or_else(|| io::Error::other("unreadable /proc/stat"))
    }

    /// The part of the time since `earlier` that was stolen.
    fn stolen_since(self, earlier: Self) -> f64 {
        self.stolen.saturating_sub(earlier.stolen) as f64 / (self.all - earlier.all).max(1) as f64
    }

    /// The first line of `/proc/stat`: `cpu user nice system idle iowait irq softirq steal ..`, proc_stat(5).
    fn parse(stat: &str) -> Option<Self> {
        let figures = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let figures = figures.map(str::parse).take(8).collect::<Result<Vec<u64>, _>>().ok()?;
        Some(Self { all: figures.iter().sum(), stolen: *figures.get(7)? })
    }
}

/// What the rounds say about one server beside the server of reference. The ratios are for whoever makes a row: there
/// they are named after that server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// Answers per second.
    pub rate: f64,
    /// The server's CPU time per answer, in nanoseconds.
    pub cpu_ns: f64,
    /// Its rate by that of the reference.
    #[serde(skip)]
    pub rate_ratio: f64,
    /// Its CPU time per answer by that of the reference.
    #[serde(skip)]
    pub cpu_ratio: f64,
    /// Half of the way from the lowest to the highest rate, by the median.
    pub rate_spread: f64,
    /// The same of `rate_ratio`.
    pub ratio_spread: f64,
    /// The same of `cpu_ratio`.
    pub cpu_ratio_spread: f64,
    /// The part of the time the server was on its core.
    pub server_busy: f64,
    /// The part of the time the load was on its core.
    pub load_busy: f64,
    /// The part of the time that other processes and a hypervisor's other guests took from the two.
    pub disturbed: f64,
}

/// The samples of one row.
#[derive(Debug)]
pub struct Rounds {
    /// By round, then by contender.
    samples: Vec<Vec<Sample>>,
}

impl Rounds {
    /// Gives each of `contenders` one turn per round, in an order that moves on every round, until `rounds` rounds
    /// count. At most as many again are lost to others; after that any round counts.
    pub fn alternate(
        contenders: usize,
        rounds: usize,
        bar: &ProgressBar,
        mut turn: impl FnMut(usize) -> io::Result<Sample>,
    ) -> io::Result<Self> {
        let mut samples = Vec::with_capacity(rounds);
        let mut lost = 0;
        while samples.len() < rounds {
            let first = samples.len() + lost;
            let mut taken = Vec::with_capacity(contenders);
            for contender in (0..contenders).map(|place| (first + place) % contenders) {
                taken.push((contender, turn(contender)?));
                bar.inc(1);
            }
            taken.sort_by_key(|&(contender, _)| contender);
            let round = taken.into_iter().map(|(_, sample)| sample).collect::<Vec<_>>();
            if lost < rounds && round.iter().any(|sample| sample.disturbed > MOST_DISTURBED) {
                lost += 1;
                bar.inc_length(contenders as u64);
            } else {
                samples.push(round);
            }
        }
        Ok(Self { samples })
    }

    /// What the rounds say about `contender` beside `reference`.
    pub fn summary(&self, contender: usize, reference: usize) -> Summary {
        let of = |figure: fn(&Sample) -> f64| self.samples.iter().map(move |round| figure(&round[contender]));
        let ratio = |figure: fn(&Sample) -> f64| {
            self.samples.iter().map(move |round| figure(&round[contender]) / figure(&round[reference]))
        };
        let (rate, rate_spread) = median_and_spread(of(|sample| sample.rate));
        let (rate_ratio, ratio_spread) = median_and_spread(ratio(|sample| sample.rate));
        let (cpu_ratio, cpu_ratio_spread) = median_and_spread(ratio(|sample| sample.cpu_ns));
        Summary {
            rate,
            cpu_ns: median_and_spread(of(|sample| sample.cpu_ns)).0,
            rate_ratio,
            cpu_ratio,
            rate_spread,
            ratio_spread,
            cpu_ratio_spread,
            server_busy: median_and_spread(of(|sample| sample.server_busy)).0,
            load_busy: median_and_spread(of(|sample| sample.load_busy)).0,
            disturbed: median_and_spread(of(|sample| sample.disturbed)).0,
        }
    }
}

/// The median of at least one figure, and half of the range by it.
fn median_and_spread(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut figures = figures.collect::<Vec<_>>();
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
    let median = (low + high) / 2.0;
    let spread = (figures[figures.len() - 1] - figures[0]) / 2.0 / median;
    (median, spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64) -> Sample {
        Sample { rate, cpu_ns: 1e9 / rate, server_busy: 1.0, load_busy: 0.5, disturbed: 0.0 }
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
        let rounds = Rounds::alternate(2, 3, &ProgressBar::hidden(), |contender| {
            turns += 1;
            let speed = speeds[(turns - 1) / 2];
            Ok(sample(speed * [100.0, 80.0][contender]))
        });
        let summary = rounds.unwrap().summary(1, 0);
        assert_eq!((summary.rate_ratio, summary.ratio_spread, summary.cpu_ratio), (0.8, 0.0, 1.25));
        assert_eq!(summary.rate, 80.0);
        assert!(summary.rate_spread > 0.5);
    }

    #[test]
    fn nobody_is_always_first() {
        let mut order = Vec::new();
        Rounds::alternate(2, 2, &ProgressBar::hidden(), |contender| {
            order.push(contender);
            Ok(sample(1.0))
        })
        .unwrap();
        assert_eq!(order, [0, 1, 1, 0]);
    }

    #[test]
    fn a_disturbed_round_is_taken_again() {
        let mut turns = 0;
        let rounds = Rounds::alternate(2, 3, &ProgressBar::hidden(), |_| {
            turns += 1;
            Ok(if turns == 2 { Sample { disturbed: 0.5, ..sample(1.0) } } else { sample(100.0) })
        });
        assert_eq!(turns, 8);
        assert!(rounds.unwrap().samples.iter().flatten().all(|sample| sample.rate == 100.0));
    }

    #[test]
    fn a_machine_that_is_never_quiet_is_measured_all_the_same() {
        let mut turns = 0;
        let rounds = Rounds::alternate(1, 3, &ProgressBar::hidden(), |_| {
            turns += 1;
            Ok(Sample { disturbed: 0.5, ..sample(1.0) })
        });
        assert_eq!((turns, rounds.unwrap().summary(0, 0).disturbed), (6, 0.5));
    }

    #[test]
    fn stolen_time_is_the_eighth_figure_of_all() {
        let ticks = Ticks::parse("cpu  1 2 3 4 5 6 7 8 1000 1000\ncpu0 9 9 9\n");
        assert_eq!(ticks, Some(Ticks { all: 36, stolen: 8 }));
        assert_eq!(Ticks::parse("cpu  1 2 3\n"), None);
    }
}
