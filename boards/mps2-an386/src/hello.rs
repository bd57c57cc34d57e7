//! The least that serves, on Arm's MPS2 board with the AN386 image: what netloom costs.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../hello.rs"]
mod application;

use cortex_m_rt::entry;

/// Clients served at once.
const SESSIONS: usize = 4;

/// Sockets: those beyond the sessions are where clients wait.
const SOCKETS: usize = 8;

#[entry]
fn main() -> ! {
    netloom_mps2_an386::run(application::PORT, application::resources(), application::start)
}
