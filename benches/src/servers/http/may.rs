//! may_minihttp with one worker.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};

use super::BODY;
use crate::servers::announce;

/// Answers every request.
pub fn serve() -> io::Result<()> {
    ::may::config().set_workers(1);
    // It does not tell which port it was given, so it is given one that was free just now.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let server = Plaintext.start(address)?;
    announce(address)?;
    server.join().map_err(|_| io::Error::other("the acceptor panicked"))
}

struct Plaintext;

impl HttpServiceFactory for Plaintext {
    type Service = Self;

    fn new_service(&self, _: usize) -> Self {
        Self
    }
}

impl HttpService for Plaintext {
    fn call(&mut self, _: Request, response: &mut Response) -> io::Result<()> {
        response.header("Content-Type: text/plain").body(BODY);
        Ok(())
    }
}
