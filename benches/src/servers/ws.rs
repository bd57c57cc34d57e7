//! Who echoes WebSocket messages.
//!
//! Each is used as its examples show it. Where a library has both a stream that is forwarded to a sink and a `send`, it
//! is here twice: the first writes when no message is left, the second once per message.
//!
//! Those that deflate do it alike: at level 4, from 128 bytes on, each message for itself, with engines that connections
//! share.

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
    /// Ours, messages compressed.
    NetloomDeflate,
    /// yawc, messages compressed.
    #[cfg(feature = "peers-ws")]
    YawcDeflate,
    /// The same with the buffers of 1 KiB that it names for many idle connections.
    #[cfg(feature = "peers-ws")]
    YawcDeflateSmall,
}

impl Peer {
    /// Of those that compress, the server whose figures the others' are divided by.
    #[cfg(feature = "peers-ws")]
    pub const REFERENCE_DEFLATING: Self = Self::YawcDeflate;
    /// Of those that compress, the server whose figures the others' are divided by.
    #[cfg(not(feature = "peers-ws"))]
    pub const REFERENCE_DEFLATING: Self = Self::NetloomDeflate;

    /// Whether it compresses.
    pub fn deflates(self) -> bool {
        match self {
            Self::NetloomDeflate => true,
            #[cfg(feature = "peers-ws")]
            Self::YawcDeflate | Self::YawcDeflateSmall => true,
            _ => false,
        }
    }

    /// The servers in `only`, or all if it is empty: those that do not compress and those that do, each kind with the one
    /// that its others are divided by.
    pub fn kinds(only: &[Self]) -> [Vec<Self>; 2] {
        [(false, Self::REFERENCE), (true, Self::REFERENCE_DEFLATING)].map(|(deflates, reference)| {
            let of_kind = |peer: &&Self| peer.deflates() == deflates;
            let any = only.is_empty() || only.iter().any(|peer| of_kind(&peer));
            let wanted =
                |peer: &&Self| any && (only.is_empty() || only.contains(peer) || **peer == reference);
            Self::value_variants().iter().filter(of_kind).filter(wanted).copied().collect()
        })
    }
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
            Self::NetloomDeflate => netloom::serve_deflate(),
            #[cfg(feature = "peers-ws")]
            Self::YawcDeflate => yawc::serve_deflate(None),
            #[cfg(feature = "peers-ws")]
            Self::YawcDeflateSmall => yawc::serve_deflate(Some(1024)),
        }
    }
}

/// Answers a handshake for libraries that leave it to others: so nothing lies between them and the socket.
#[cfg(feature = "peers-ws")]
async fn accept(stream: TcpStream) -> io::Result<TcpStream> {
    accept_with(stream, "").await
}

/// The same, and agrees on an extension: `extensions` is a whole header field, or none.
#[cfg(feature = "peers-ws")]
async fn accept_with(mut stream: TcpStream, extensions: &str) -> io::Result<TcpStream> {
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
         Sec-WebSocket-Accept: {accept}\r\n{extensions}\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_reference_and_only_if_it_is_asked_for() {
        assert!(Peer::kinds(&[]).concat().len() == Peer::value_variants().len());
        assert_eq!(Peer::kinds(&[Peer::Netloom]), [vec![Peer::Netloom, Peer::Tungstenite], vec![]]);
        let [plain, deflating] = Peer::kinds(&[Peer::NetloomDeflate]);
        assert!(plain.is_empty() && deflating.contains(&Peer::REFERENCE_DEFLATING));
    }
}
