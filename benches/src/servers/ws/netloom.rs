//! Ours.

use std::io;

use ::netloom::http::{Request, Sent, compress};
use ::netloom::{Result, Server, routes, websocket};

use crate::servers::announce;

/// Echoes with one worker: a route of an HTTP server.
pub fn serve() -> io::Result<()> {
    run(routes! { GET "/ws" => echo })
}

/// The same behind what compresses.
pub fn serve_deflate() -> io::Result<()> {
    run(compress(routes! { GET "/ws" => echo }))
}

fn run(app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone + Send + 'static) -> io::Result<()> {
    let server = Server::builder()
        .tcp("127.0.0.1:0")
        .workers(1)
        .sessions_per_address_max(usize::MAX)
        .http(app)
        .map_err(io::Error::other)?;
    announce(server.addresses()[0])?;
    server.wait();
    Ok(())
}

async fn echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}
