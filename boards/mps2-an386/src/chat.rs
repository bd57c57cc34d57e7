//! The page of netloom's demo with its status, its room and the WebSocket echo, and nothing else, on Arm's MPS2 board with the AN386 image.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../web.rs"]
mod application;

use cortex_m_rt::entry;
use netloom_demo::web::serve_chat as pages;

/// Clients served at once; sockets, of which those beyond are where clients wait.
const WEB: (usize, usize) = (4, 9);

#[entry]
fn main() -> ! {
    netloom_mps2_an386::run(application::PORT, application::resources(), application::start)
}
