//! A client for Autobahn|Testsuite, which sends back what each of its cases says: what
//! `tests/conformance/autobahn.sh client` runs.

use netloom::websocket::{Connector, DeflateOptions, Message};

/// The suite's longest messages have 16 MiB.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let server = std::env::args().nth(1).ok_or("autobahn ws://HOST:PORT, where the fuzzing server is")?;
    let connector = Connector::new().message_max(MESSAGE_MAX).deflate(DeflateOptions::new());
    for case in 1..=cases(&connector, &server).await? {
        // The suite's report says whether it should have come to that.
        if let Err(error) = echo(&connector, &format!("{server}/runCase?case={case}&agent=netloom")).await {
            eprintln!("case {case}: {error}");
        }
    }
    echo(&connector, &format!("{server}/updateReports?agent=netloom")).await
}

async fn cases(connector: &Connector, server: &str) -> Result<u32> {
    let mut socket = connector.connect(&format!("{server}/getCaseCount")).await?;
    let count = match socket.receive().await? {
        Some((Message::Text(count), _)) => count.parse()?,
        other => {
            return Err(format!("a number was expected, not {:?}", other.map(|(message, _)| message)).into());
        }
    };
    socket.close(1000, "").await?;
    Ok(count)
}

/// Sends every message back until the case is over.
async fn echo(connector: &Connector, url: &str) -> Result<()> {
    let mut socket = connector.connect(url).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}
