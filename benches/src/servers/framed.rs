//! tokio-util's `LengthDelimitedCodec`, used in the two ways its users do.

use std::io;

use futures_util::{SinkExt, StreamExt, TryStreamExt};
use tokio::net::TcpStream;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::accept_each;

/// Joins each connection's stream to its sink: as many messages per write as there are.
pub fn serve_forward() -> io::Result<()> {
    accept_each(|stream| async {
        let (sink, stream) = framed(stream).split();
        stream.map_ok(BytesMut::freeze).forward(sink).await
    })
}

/// Sends each message as soon as it is there: one write per message.
pub fn serve_send() -> io::Result<()> {
    accept_each(|stream| async {
        let mut framed = framed(stream);
        while let Some(message) = framed.next().await {
            framed.send(message?.freeze()).await?;
        }
        Ok(())
    })
}

fn framed(stream: TcpStream) -> Framed<TcpStream, LengthDelimitedCodec> {
    Framed::new(stream, LengthDelimitedCodec::new())
}
