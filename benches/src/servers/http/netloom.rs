//! Ours.

use std::io;

use ::netloom::http::{Request, Sent};
use ::netloom::{Result, Server, routes};

use crate::servers::announce;

/// Answers with one worker.
pub fn serve() -> io::Result<()> {
    let app = routes! { GET "/plaintext" => plaintext };
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

async fn plaintext(request: Request<'_>) -> Result<Sent> {
    request.reply().text(super::BODY).await
}
