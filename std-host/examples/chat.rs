//! A chat room for all who come. Try `netloom connect ws://127.0.0.1:8080/chat`, twice.

use std::sync::Arc;

use netloom::http::{Request, Sent};
use netloom::websocket::{self, Message};
use netloom::{Result, Server, StartError, hub, routes};

async fn chat(hub: &hub::Hub, request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    let mut member = hub.join(20).expect("seats grow");
    loop {
        tokio::select! {
            said = socket.receive() => match said? {
                Some((Message::Text(text), _)) => {
                    websocket::publish(hub, text)?;
                    tokio::task::yield_now().await; // all are told before more is heard: nobody floods the room
                }
                Some((Message::Binary(_), mut peer)) => peer.close(1003, "only text is said here").await?,
                None => return Ok(sent),
            },
            _ = member.ready() => socket.peer().forward(&mut member).await?,
        }
    }
}

fn main() -> Result<(), StartError> {
    let hub = Arc::new(hub::of(64 * 1024));
    let app = routes! { GET "/chat" => async |request| chat(&hub, request).await };
    Server::builder().tcp("127.0.0.1:8080").http(app)?.wait();
    Ok(())
}
