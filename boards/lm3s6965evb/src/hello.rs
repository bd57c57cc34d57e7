//! The least that serves, on TI's LM3S6965 evaluation board: what netloom costs.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../hello.rs"]
mod application;

use cortex_m_rt::entry;

/// Clients served at once.
const SESSIONS: usize = 3;

/// Sockets: those beyond the sessions are where clients wait.
const SOCKETS: usize = 6;

#[entry]
fn main() -> ! {
    netloom_lm3s6965evb::run(application::PORT, application::resources(), application::start)
}
