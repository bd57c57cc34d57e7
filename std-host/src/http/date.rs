//! The date that answers carry, formatted once a second.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use netloom_core::Date;

/// So many answers carry the same date before the system is asked again, unless the thread sleeps.
const TELLINGS_MAX: u32 = 64;

#[derive(Clone, Copy)]
struct Told {
    second: u64,
    date: Date,
    tellings: u32,
}

thread_local! {
    static TOLD: Cell<Option<Told>> = const { Cell::new(None) };
    static WAKES: Cell<bool> = const { Cell::new(false) };
}

/// The thread tells from now on when it has slept, by [`woke`].
pub(crate) fn tells_when_it_wakes() {
    WAKES.set(true);
}

/// The thread has slept: the date may be old.
pub(crate) fn woke() {
    if let Some(told) = TOLD.get() {
        TOLD.set(Some(Told { tellings: TELLINGS_MAX, ..told }));
    }
}

/// The date now, for `Http1::date`. On a worker it may be as old as what the worker has done since it last slept.
pub fn now() -> Option<Date> {
    match TOLD.get() {
        Some(told) if told.tellings < TELLINGS_MAX && WAKES.get() => {
            TOLD.set(Some(Told { tellings: told.tellings + 1, ..told }));
            Some(told.date)
        }
        told => ask(told),
    }
}

fn ask(told: Option<Told>) -> Option<Date> {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let date = match told {
        Some(told) if told.second == second => told.date,
        _ => Date::from_unix(second),
    };
    TOLD.set(Some(Told { second, date, tellings: 0 }));
    Some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_now_and_is_asked_for_again_after_a_sleep() {
        let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let before = seconds();
        let told = Date::parse(now().unwrap().as_bytes()).unwrap();
        assert!((before..=seconds()).contains(&told));
        tells_when_it_wakes();
        let old = Told { second: 0, date: Date::from_unix(0), tellings: 0 };
        TOLD.set(Some(old));
        for _ in 0..TELLINGS_MAX {
            assert_eq!(now(), Some(old.date));
        }
        assert_ne!(now(), Some(old.date));
        TOLD.set(Some(old));
        woke();
        assert_ne!(now(), Some(old.date));
    }
}
