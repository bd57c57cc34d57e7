//! Runs every scenario on many seeds, on all cores.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use netloom_lab::scenarios::{self, Scenario};
use serde::Serialize;

/// netloom's laboratory: every scenario on every seed. A failure names the seed that repeats it.
#[derive(Parser)]
#[command(name = "netloom-lab", version)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This scenario only.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
    /// Prints the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// A scenario takes a millisecond.
const HANGS_AFTER: Duration = Duration::from_secs(20);

#[derive(Serialize)]
struct Outcome {
    seeds: u64,
    from: u64,
    runs: u64,
    seconds: f64,
    runs_per_second: f64,
    /// CPU seconds by scenario.
    cost: BTreeMap<&'static str, f64>,
    failures: Vec<Failure>,
}

/// A scenario's first failure; it is not run on later seeds.
#[derive(Clone, Serialize)]
struct Failure {
    scenario: &'static str,
    seed: u64,
    message: String,
    replay: String,
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for (name, _) in scenarios::ALL {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    let chosen = match &arguments.only {
        None => scenarios::ALL.to_vec(),
        Some(name) => match scenarios::find(name) {
            Some(scenario) => vec![scenario],
            None => {
                eprintln!("there is no scenario {name:?}; --list shows those there are");
                return ExitCode::from(2);
            }
        },
    };
    let outcome = run(&arguments, &chosen);
    report(&arguments, &outcome);
    ExitCode::from(u8::from(!outcome.failures.is_empty()))
}

fn run(arguments: &Arguments, chosen: &[Scenario]) -> Outcome {
    // A panic is a finding: it is printed once, with its seed.
    std::panic::set_hook(Box::new(|panic| PANIC.set(panic.to_string())));
    let bar = match arguments.json {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(arguments.seeds),
    };
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left")
            .expect("a template"),
    );
    let (next, runs) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(BTreeMap::<&'static str, Failure>::new());
    let cost = Mutex::new(BTreeMap::new());
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let running = Mutex::new(vec![("nothing", 0); threads]);
    let worker = &|index: usize| {
        let mut spent = vec![0.0; chosen.len()];
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= arguments.seeds {
                break;
            }
            let seed = arguments.from.wrapping_add(seed);
            for (&(name, scenario), spent) in chosen.iter().zip(&mut spent) {
                if failures.lock().expect("no panic holds it").contains_key(name) {
                    continue;
                }
                running.lock().expect("no panic holds it")[index] = (name, seed);
                let began = Instant::now();
                let result = catch_unwind(AssertUnwindSafe(|| scenario(seed)));
                *spent += began.elapsed().as_secs_f64();
                runs.fetch_add(1, Relaxed);
                if result.is_err() {
                    let failure = failure(name, seed);
                    bar.suspend(|| show(&failure));
                    failures.lock().expect("no panic holds it").entry(name).or_insert(failure);
                }
            }
            bar.inc(1);
        }
        let mut cost = cost.lock().expect("no panic holds it");
        for ((name, _), spent) in chosen.iter().zip(spent) {
            *cost.entry(*name).or_insert(0.0) += spent;
        }
    };
    std::thread::scope(|scope| {
        let (done, workers) = std::sync::mpsc::channel::<()>();
        for index in 0..threads {
            let done = done.clone();
            scope.spawn(move || {
                worker(index);
                drop(done);
            });
        }
        drop(done);
        // A poll that never returns can be seen from outside only.
        let mut before = u64::MAX;
        while let Err(RecvTimeoutError::Timeout) = workers.recv_timeout(HANGS_AFTER) {
            let now = runs.load(Relaxed);
            if std::mem::replace(&mut before, now) == now {
                let running = running.lock().expect("no panic holds it");
                eprintln!("no scenario ended for {HANGS_AFTER:?}; running are {running:?}");
                std::process::exit(1);
            }
        }
    });
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let runs = runs.into_inner();
    Outcome {
        seeds: arguments.seeds,
        from: arguments.from,
        runs,
        seconds,
        runs_per_second: runs as f64 / seconds,
        cost: cost.into_inner().expect("no panic held it"),
        failures: failures.into_inner().expect("no panic held it").into_values().collect(),
    }
}

fn failure(scenario: &'static str, seed: u64) -> Failure {
    Failure {
        scenario,
        seed,
        message: PANIC.take(),
        replay: format!("cargo run --release -p netloom-lab -- --only {scenario} --from {seed} --seeds 1"),
    }
}

fn show(failure: &Failure) {
    eprintln!("{} fails on seed {}:\n  {}", failure.scenario, failure.seed, failure.message);
    eprintln!("again: {}", failure.replay);
}

fn report(arguments: &Arguments, outcome: &Outcome) {
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(outcome).expect("numbers and strings"));
        return;
    }
    println!(
        "{} runs in {:.1} s, {:.0} a second; {} of the scenarios failed",
        outcome.runs,
        outcome.seconds,
        outcome.runs_per_second,
        outcome.failures.len()
    );
}
