//! Ours: a hub, as the demo's room has it.

use std::io;
use std::sync::LazyLock;

use ::netloom::http::{Request, Sent};
use ::netloom::hub::{self, Hub};
use ::netloom::{Result, Server, routes, websocket};

use crate::servers::announce;

/// Bytes of messages that are kept.
const ROOM: usize = 256 * 1024;

static HUB: LazyLock<Hub> = LazyLock::new(|| hub::of(ROOM));

/// Tells members with one worker.
pub fn serve() -> io::Result<()> {
    let app = routes! {
        GET "/member" => member,
        GET "/speaker" => speaker,
    };
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

async fn speaker(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, _)) = socket.receive().await? {
        websocket::publish(&HUB, message)?;
    }
    Ok(sent)
}

async fn member(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    let mut member = HUB.join(0).expect("seats grow");
    loop {
        tokio::select! {
            biased;
            // First, so that who is woken to be told does not look for input before. Who has missed some is closed by
            // `forward` too.
            _ = member.ready() => socket.peer().forward(&mut member).await?,
            said = socket.receive() => {
                if said?.is_none() {
                    return Ok(sent);
                }
            }
        }
    }
}
