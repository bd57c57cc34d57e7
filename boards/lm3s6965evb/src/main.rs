//! netloom's demo on TI's LM3S6965 evaluation board.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../application.rs"]
mod application;

use cortex_m_rt::entry;
use netloom_demo::web::serve as pages;

/// Clients that send frames, served at once; sockets, of which those beyond are where clients wait.
const ECHO: (usize, usize) = (2, 3);

/// The same for clients that speak HTTP.
const WEB: (usize, usize) = (2, 6);

#[entry]
fn main() -> ! {
    netloom_lm3s6965evb::run(application::PORT, application::resources(), application::start)
}
