//! Ours.

use std::io;

use ::netloom::tls::{Identity, TlsServer};
use ::netloom::{Framing, Result, Server, ServerSession};
use rcgen::CertifiedKey;

use super::{Answer, answer, certified};
use crate::servers::announce;

/// Answers messages with one worker.
pub fn serve() -> io::Result<()> {
    let CertifiedKey { cert, signing_key } = certified()?;
    let identity = Identity::new(cert.der(), signing_key.serialize_der()).map_err(io::Error::other)?;
    let tls = TlsServer::new(identity).map_err(io::Error::other)?;
    let server = Server::builder()
        .tls("127.0.0.1:0", tls)
        .workers(1)
        .sessions_per_address_max(usize::MAX)
        .start(Framing::new, app)
        .map_err(io::Error::other)?;
    announce(server.addresses()[0])?;
    server.wait();
    Ok(())
}

async fn app(session: &mut ServerSession<Framing>) -> Result<()> {
    while let Some((message, peer)) = session.receive().await? {
        match answer(message) {
            Answer::None => {}
            Answer::Echo => peer.send(message).await?,
            Answer::Large(large) => peer.send(large).await?,
        }
    }
    Ok(())
}
