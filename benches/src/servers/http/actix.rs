//! actix-web with one worker; it accepts on a thread of its own.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use actix_web::{App, HttpServer, rt::System, web};

use super::BODY;
use crate::servers::announce;

/// How long a connection may be idle: longer than any is here.
const IDLE: Duration = Duration::from_secs(600);

/// Answers one route.
pub fn serve() -> io::Result<()> {
    System::new().block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let app = || App::new().route("/plaintext", web::get().to(async || BODY));
        let server = HttpServer::new(app).workers(1).keep_alive(IDLE).disable_signals();
        let server = server.listen(listener)?.run();
        announce(address)?;
        server.await
    })
}
