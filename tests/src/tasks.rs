//! The executor: one thread, woken tasks polled in an order that the seed determines.
//!
//! Every run has two bounds. Virtual time: without it a lost wake-up hides behind the next keep-alive.
//! Polls without virtual time passing: a task that spins is an error that names the task.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use netloom_core::Duration;

use crate::world::{World, micros};

/// A task polled more often than this at one virtual moment spins.
pub const POLLS_MAX: u64 = 50_000;

/// Tasks of a world; see [`World::tasks`].
pub struct Tasks<'a> {
    world: World,
    /// By identity; a task that has ended leaves its place empty.
    tasks: Vec<Option<Task<'a>>>,
    woken: Arc<Mutex<Vec<usize>>>,
    /// Foreground tasks that have not ended.
    open: usize,
    polls: u64,
}

struct Task<'a> {
    name: String,
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    waker: Waker,
    flag: Arc<Flag>,
    background: bool,
    /// How often it was polled at the moment it was polled last.
    polls: u64,
    polled_at: u64,
}

struct Flag {
    index: usize,
    woken: AtomicBool,
    queue: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Relaxed) {
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a run that got stuck says so only here"]
pub struct Report {
    /// The world's seed.
    pub seed: u64,
    /// Virtual time since the world began.
    pub elapsed: Duration,
    /// The tasks that have not ended, by name, but for those in the background.
    pub stuck: Vec<String>,
    /// The task that was polled again and again while no time passed.
    pub spinning: Option<String>,
    /// Polls in all.
    pub polls: u64,
    /// [`World::trace`] at the end.
    pub trace: u64,
}

impl Report {
    /// Whether every task has ended.
    pub fn is_done(&self) -> bool {
        self.stuck.is_empty() && self.spinning.is_none()
    }

    /// # Panics
    /// With the seed and the names, if a task spins or has not ended.
    #[track_caller]
    pub fn assert_done(&self) {
        if let Some(name) = &self.spinning {
            panic!("seed {}: task {name:?} spins at {:?}", self.seed, self.elapsed);
        }
        assert!(self.stuck.is_empty(), "seed {}: stuck at {:?}: {:?}", self.seed, self.elapsed, self.stuck);
    }
}

impl<'a> Tasks<'a> {
    pub(crate) fn new(world: World) -> Self {
        Self { world, tasks: Vec::new(), woken: Arc::default(), open: 0, polls: 0 }
    }

    /// A task that is expected to end.
    pub fn spawn(&mut self, name: impl Into<String>, future: impl Future<Output = ()> + 'a) {
        self.open += 1;
        self.add(name.into(), false, Box::pin(future));
    }

    /// A task that serves the others and need not end: a network's, an acceptor's.
    pub fn spawn_background(&mut self, name: impl Into<String>, future: impl Future<Output = ()> + 'a) {
        self.add(name.into(), true, Box::pin(future));
    }

    fn add(&mut self, name: String, background: bool, future: Pin<Box<dyn Future<Output = ()> + 'a>>) {
        let flag = Arc::new(Flag {
            index: self.tasks.len(),
            woken: AtomicBool::new(false),
            queue: Arc::clone(&self.woken),
        });
        flag.wake_by_ref();
        let waker = Waker::from(Arc::clone(&flag));
        self.tasks.push(Some(Task { name, future, waker, flag, background, polls: 0, polled_at: 0 }));
    }

    /// Runs until all tasks have ended, none can go on, or `limit` has passed, and drops what is left.
    pub fn run(mut self, limit: Duration) -> Report {
        self.run_for(limit)
    }

    /// Runs for at most `limit` from now; the tasks that have not ended can be run again.
    pub fn run_for(&mut self, limit: Duration) -> Report {
        self.world.enter();
        let end = self.world.0.now.get().saturating_add(micros(limit));
        let mut spinning = None;
        while self.open > 0 && spinning.is_none() {
            match self.next_woken() {
                Some(index) => spinning = self.poll(index),
                None if self.world.jump(end) => {}
                None => {
                    self.world.pass(end);
                    break;
                }
            }
        }
        let open = self.tasks.iter().flatten().filter(|task| !task.background);
        Report {
            seed: self.world.seed(),
            elapsed: self.world.elapsed(),
            stuck: open.map(|task| task.name.clone()).collect(),
            spinning,
            polls: self.polls,
            trace: self.world.trace(),
        }
    }

    fn next_woken(&self) -> Option<usize> {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        match woken.len() {
            0 => None,
            1 => woken.pop(),
            n => Some(woken.swap_remove(self.world.below(n as u64) as usize)),
        }
    }

    /// Polls one task; its name if it spins.
    fn poll(&mut self, index: usize) -> Option<String> {
        let Some(task) = &mut self.tasks[index] else { return None };
        task.flag.woken.store(false, Relaxed);
        let now = self.world.0.now.get();
        if task.polled_at != now {
            (task.polled_at, task.polls) = (now, 0);
        }
        task.polls += 1;
        self.polls += 1;
        if task.polls > POLLS_MAX {
            return Some(task.name.clone());
        }
        self.world.note(now.wrapping_mul(31).wrapping_add(index as u64));
        if task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready() {
            self.open -= usize::from(!task.background);
            self.tasks[index] = None;
        }
        None
    }
}
