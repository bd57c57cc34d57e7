//! Ours.

use std::io;

use super::announce;

/// Echoes frames with one worker: the demo that the command line and the boards run.
pub fn serve() -> io::Result<()> {
    let server = ::netloom::Server::builder()
        .tcp("127.0.0.1:0")
        .workers(1)
        .start(::netloom::Framing::new, netloom_demo::echo)
        .map_err(io::Error::other)?;
    announce(server.addresses()[0])?;
    server.wait();
    Ok(())
}
