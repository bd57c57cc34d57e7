//! A board that reports how it is, over TLS: Arm's MPS2 board with the AN386 image.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../report.rs"]
mod application;

use cortex_m_rt::entry;

/// What the reports call it.
const HOST: &str = "mps2-an386";

#[entry]
fn main() -> ! {
    netloom_mps2_an386::run(application::PORT, application::resources(), application::start)
}
