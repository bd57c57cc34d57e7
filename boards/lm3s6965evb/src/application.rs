//! The application: what comes in on port 7000 goes back out.

use embassy_executor::Spawner;
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;

/// The port it listens on.
pub const PORT: u16 = 7000;

/// Connections at once.
pub const SESSIONS: usize = 3;

/// Bytes that a connection holds, each way.
const BUFFER: usize = 1024;

/// Spawns one task for each connection.
pub fn start(spawner: Spawner, stack: Stack<'static>) {
    for _ in 0..SESSIONS {
        spawner.spawn(echo(stack).expect("there are as many places as sessions"));
    }
}

#[embassy_executor::task(pool_size = SESSIONS)]
async fn echo(stack: Stack<'static>) -> ! {
    let (mut rx, mut tx) = ([0; BUFFER], [0; BUFFER]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
        socket.set_nagle_enabled(false);
        if socket.accept(PORT).await.is_ok() {
            while let Ok(1..) = echo_once(&mut socket).await {}
            socket.close();
            // Both ends have closed once this returns; an error means that the peer is gone already.
            let _ = socket.flush().await;
        }
    }
}

/// Sends back what has come, as much of it as there is room for; how much that was.
async fn echo_once(socket: &mut TcpSocket<'_>) -> Result<usize, embassy_net::tcp::Error> {
    let mut bytes = [0; 256];
    let len = socket.read(&mut bytes).await?;
    let mut sent = 0;
    while sent < len {
        sent += socket.write(&bytes[sent..len]).await?;
    }
    Ok(len)
}
