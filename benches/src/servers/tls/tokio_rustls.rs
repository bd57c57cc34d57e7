//! tokio-rustls with tokio-util's `LengthDelimitedCodec`: as many answers per write as there are.

use std::future::ready;
use std::io;
use std::sync::Arc;

use ::tokio_rustls::TlsAcceptor;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::PrivateKeyDer;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{Answer, answer, certified};
use crate::servers::accept_each;

/// Answers messages.
pub fn serve() -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(config()?));
    accept_each(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await?;
            // Its end sends `close_notify`, as `forward` closes the sink.
            let (sink, stream) = Framed::new(stream, LengthDelimitedCodec::new()).split();
            stream.try_filter_map(|message| ready(Ok(reply(message)))).forward(sink).await
        }
    })
}

fn reply(message: BytesMut) -> Option<Bytes> {
    match answer(&message) {
        Answer::None => None,
        Answer::Echo => Some(message.freeze()),
        Answer::Large(large) => Some(Bytes::from_static(large)),
    }
}

fn config() -> io::Result<ServerConfig> {
    let CertifiedKey { cert, signing_key } = certified()?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .map_err(io::Error::other)?;
    config.ticketer = Ticketer::new().map_err(io::Error::other)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}
