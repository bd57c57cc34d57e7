//! picoserve, whose home is boards, on tokio.

use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;

use ::picoserve::routing::get;
use ::picoserve::time::Duration;
use ::picoserve::{Config, Router, Server, Timeouts};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::BODY;
use crate::servers::announce;

/// How long a connection may be idle: longer than any is here.
const IDLE: Duration = Duration::from_secs(600);
/// Bytes of the longest head.
const HEAD: usize = 2048;

/// Answers one route.
pub fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let app = Rc::new(Router::new().route("/plaintext", get(async || BODY)));
        let timeouts = Timeouts { persistent_start_read_request: IDLE, ..Timeouts::default() };
        let config = Rc::new(Config::new(timeouts).keep_connection_alive());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (app, config) = (app.clone(), config.clone());
            tokio::task::spawn_local(async move {
                let mut head = [0; HEAD];
                Server::new_tokio(&app, &config, &mut head).serve(stream).await.map(drop)
            });
        }
    })
}
