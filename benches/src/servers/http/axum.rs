//! axum as its documentation shows it.

use std::io;
use std::net::Ipv4Addr;

use ::axum::Router;
use ::axum::routing::get;
use ::axum::serve::ListenerExt;
use tokio::net::TcpListener;

use super::BODY;
use crate::servers::announce;

/// Answers one route.
pub fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        ::axum::serve(listener, Router::new().route("/plaintext", get(|| async { BODY }))).await
    })
}
