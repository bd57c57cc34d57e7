//! HTTP on desktops: [`netloom_protocols::http1`], and what only a desktop has.

mod date;
mod server;

pub use netloom_protocols::http1::*;

pub use date::now as date;
pub(crate) use date::{tells_when_it_wakes, woke};
