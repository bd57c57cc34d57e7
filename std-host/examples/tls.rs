//! A secure server with a certificate of its own: pages by https, and framed messages sent back by TLS.
//!
//!     cargo run -p netloom --features self-signed --example tls -- [HTTPS-PORT [TLS-PORT]]
//!     curl -k https://127.0.0.1:8443/

use netloom::http::{Request, Sent};
use netloom::tls::{Identity, TlsServer};
use netloom::{Framing, Result, Server, ServerSession, routes};

async fn page(request: Request<'_>) -> Result<Sent> {
    // Browsers that have been here come back by https only (RFC 6797), and take the page for what it is said to be.
    let fields = [("strict-transport-security", "max-age=31536000"), ("x-content-type-options", "nosniff")];
    request.reply().fields(fields).text("hello, and nobody else has read it\n").await
}

async fn echo(session: &mut ServerSession<Framing>) -> Result<()> {
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ports = std::env::args().skip(1);
    let mut address = |port: u16| -> Result<String, std::num::ParseIntError> {
        let port = ports.next().map_or(Ok(port), |given| given.parse())?;
        Ok(format!("127.0.0.1:{port}"))
    };
    let identity = Identity::self_signed(["localhost", "127.0.0.1"])?;
    let https = TlsServer::new(identity.clone())?;
    let https = Server::builder().tls(address(8443)?, https).http(routes! { GET "/" => page })?;
    let tls = Server::builder().tls(address(7443)?, TlsServer::new(identity)?).start(Framing::new, echo)?;
    println!("https://{}/", https.addresses()[0]);
    println!("tls://{}", tls.addresses()[0]);
    https.wait();
    Ok(())
}
