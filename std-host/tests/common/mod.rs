//! What the tests of the desktop host share: foreign clients made of plain sockets.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use netloom::{Codec, ServerSession};

/// Longer than anything here takes: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Sends every message back.
pub(crate) async fn echo_server<C>(session: &mut ServerSession<C>) -> netloom::Result<()>
where
    C: for<'a> Codec<Event<'a> = <C as Codec>::Message<'a>>,
{
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}

pub(crate) fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// Sends `body` as a frame and expects it back.
pub(crate) fn echo(stream: &mut TcpStream, body: &[u8]) {
    let frame = frame(body);
    stream.write_all(&frame).unwrap();
    let mut answer = vec![0; frame.len()];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer == frame, "the echo of {} bytes differs", body.len());
}

/// The stream ends in order, without a byte and without a reset.
pub(crate) fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end in order, not a reset");
    assert!(rest.is_empty(), "{} bytes came before the end", rest.len());
}

/// Waits for something that another thread does.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
