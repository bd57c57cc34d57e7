//! The date that answers carry, formatted once a second.

use std::cell::Cell;

use netloom_core::Date;

use crate::ticks::unix_seconds;

#[derive(Clone, Copy)]
struct Told {
    second: u64,
    date: Date,
}

thread_local! {
    static TOLD: Cell<Option<Told>> = const { Cell::new(None) };
}

/// The date now, for `Http1::date`.
#[inline]
pub fn now() -> Option<Date> {
    let second = unix_seconds()?;
    match TOLD.get() {
        Some(told) if told.second == second => Some(told.date),
        _ => Some(tell(second)),
    }
}

#[cold]
fn tell(second: u64) -> Date {
    let date = Date::from_unix(second);
    TOLD.set(Some(Told { second, date }));
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_now_and_not_what_was_told_in_another_second() {
        let before = unix_seconds().unwrap();
        TOLD.set(Some(Told { second: 0, date: Date::from_unix(0) }));
        for _ in 0..2 {
            let told = Date::parse(now().unwrap().as_bytes()).unwrap();
            assert!((before..=unix_seconds().unwrap()).contains(&told));
        }
    }
}
