//! A WebSocket server that sends messages back, and a client that talks to it.
use netloom::http::{Request, Sent};
use netloom::websocket::{self, Message};
use netloom::{Result, Server, routes};

async fn echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().tcp("127.0.0.1:0").http(routes! { GET "/echo" => echo })?;

    let mut socket = websocket::connect(&format!("ws://{}/echo", server.addresses()[0])).await?;
    for name in ["Ada", "Grace"] {
        socket.send(&format!("hello {name}")).await?;
        if let Some((Message::Text(text), _)) = socket.receive().await? {
            println!("{text}");
        }
    }
    socket.close(websocket::close::NORMAL, "").await?;
    Ok(())
}
