//! Who echoes WebSocket messages.
//!
//! Each is used as its examples show it. Where a library has both a stream that is forwarded to a sink and a `send`, it
//! is here twice: the first writes when no message is left, the second once per message.

pub mod netloom;
pub mod tungstenite;

#[cfg(feature = "peers-ws")]
pub mod fastwebsockets;
#[cfg(feature = "peers-ws")]
pub mod sockudo;
#[cfg(feature = "peers-ws")]
pub mod tokio_websockets;
#[cfg(feature = "peers-ws")]
pub mod yawc;

use std::io;

use clap::ValueEnum;
#[cfg(feature = "peers-ws")]
use tokio::io::{AsyncReadExt, AsyncWriteExt};
#[cfg(feature = "peers-ws")]
use tokio::net::TcpStream;

use super::Contender;

/// Why the peers behind the feature are missing.
pub const LEFT_OUT: Option<&str> = match cfg!(feature = "peers-ws") {
    true => None,
    false => {
        Some("fastwebsockets, tokio-websockets, sockudo-ws and yawc are compared with --features peers-ws")
    }
};

/// A server that echoes messages, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Ours: a route of an HTTP server.
    Netloom,
    /// tokio-tungstenite, the stream forwarded to the sink.
    Tungstenite,
    /// tokio-tungstenite, each message sent by itself.
    TungsteniteSend,
    /// fastwebsockets, each message sent by itself: it has no other way.
    #[cfg(feature = "peers-ws")]
    Fastwebsockets,
    /// tokio-websockets, the stream forwarded to the sink.
    #[cfg(feature = "peers-ws")]
    TokioWebsockets,
    /// tokio-websockets, each message sent by itself.
    #[cfg(feature = "peers-ws")]
    TokioWebsocketsSend,
    /// sockudo-ws, the stream forwarded to the sink.
    #[cfg(feature = "peers-ws")]
    Sockudo,
    /// sockudo-ws, each message sent by itself.
    #[cfg(feature = "peers-ws")]
    SockudoSend,
    /// yawc, the stream forwarded to the sink.
    #[cfg(feature = "peers-ws")]
    Yawc,
    /// yawc, each message sent by itself.
    #[cfg(feature = "peers-ws")]
    YawcSend,
}

impl Contender for Peer {
    const PROTOCOL: &'static str = "ws";
    const REFERENCE: Self = Self::Tungstenite;

    fn serve(self) -> io::Result<()> {
        match self {
            Self::Netloom => netloom::serve(),
            Self::Tungstenite => tungstenite::serve_forward(),
            Self::TungsteniteSend => tungstenite::serve_send(),
            #[cfg(feature = "peers-ws")]
            Self::Fastwebsockets => fastwebsockets::serve(),
            #[cfg(feature = "peers-ws")]
            Self::TokioWebsockets => tokio_websockets::serve_forward(),
            #[cfg(feature = "peers-ws")]
            Self::TokioWebsocketsSend => tokio_websockets::serve_send(),
            #[cfg(feature = "peers-ws")]
            Self::Sockudo => sockudo::serve_forward(),
            #[cfg(feature = "peers-ws")]
            Self::SockudoSend => sockudo::serve_send(),
            #[cfg(feature = "peers-ws")]
            Self::Yawc => yawc::serve_forward(),
            #[cfg(feature = "peers-ws")]
            Self::YawcSend => yawc::serve_send(),
        }
    }
}

/// Answers a handshake for libraries that leave it to others: so nothing lies between them and the socket.
#[cfg(feature = "peers-ws")]
async fn accept(mut stream: TcpStream) -> io::Result<TcpStream> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let key = key.ok_or_else(|| io::Error::other("no key"))?;
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream)
}
