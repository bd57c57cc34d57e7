//! hyper without a framework.

use std::convert::Infallible;
use std::io;

use ::hyper::Response;
use ::hyper::header::{CONTENT_TYPE, HeaderValue};
use ::hyper::server::conn::http1;
use ::hyper::service::service_fn;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::BODY;
use crate::servers::accept_each;

/// Answers every request; adds a Date, as it does by itself.
pub fn serve() -> io::Result<()> {
    accept_each(connection)
}

async fn connection(stream: TcpStream) -> io::Result<()> {
    let answer = service_fn(|_| async {
        let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok::<_, Infallible>(response)
    });
    let connection =
        http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), answer);
    connection.await.map_err(io::Error::other)
}
