//! What a client's socket is on.

use std::net::SocketAddr;
use std::ops::Range;
use std::task::{Context, Poll};

use netloom_core::{CloseReason, Result, Sender, Transport};
use netloom_protocols::websocket::{Carrier, Client, Found, Frames, Parts, Socket};

#[cfg(feature = "compression")]
use super::deflate::{Deflating as Compressor, Deflation};
use crate::client::{ClientPlatform, ClientSession};
use crate::heap::Heap;
use crate::stream::Stream;
#[cfg(not(feature = "compression"))]
use netloom_protocols::websocket::Never as Compressor;

/// A client's WebSocket: what [`connect`](super::connect) makes. It is `Send` if its transport is.
pub type Connected<T = Stream<Heap>> = Socket<Connection<T>>;

/// The client's role, with masking keys of the operating system's making: see [`masked`].
pub type Masked = Client<fn() -> [u8; 4]>;

/// A client's frames, masked with what nobody can foretell (RFC 6455, 10.3): a generator that is as good as a cipher,
/// one for each thread, with seeds from the operating system.
pub fn masked() -> Frames<Masked> {
    Frames::new(Client(key))
}

fn key() -> [u8; 4] {
    rand::random::<u32>().to_ne_bytes()
}

/// A client's connection.
pub struct Connection<T: Transport = Stream<Heap>> {
    session: ClientSession<Frames<Masked>, T>,
    #[cfg(feature = "compression")]
    deflation: Option<Deflation>,
}

impl<T: Transport> Connection<T> {
    pub(super) const fn new(session: ClientSession<Frames<Masked>, T>) -> Self {
        Self {
            session,
            #[cfg(feature = "compression")]
            deflation: None,
        }
    }

    /// What messages are compressed by, as was agreed on.
    #[cfg(feature = "compression")]
    pub(super) fn deflated(mut self, by: Option<Deflation>) -> Self {
        self.session.codec().may_deflate(by.is_some());
        self.deflation = by;
        self
    }

    /// Whether the server has agreed to compress messages.
    #[cfg(feature = "compression")]
    pub const fn deflates(&self) -> bool {
        self.deflation.is_some()
    }

    /// The transport, to ask it about addresses or certificates.
    pub fn transport(&self) -> &T {
        self.session.transport()
    }

    /// The server's address, if the transport has one.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.session.peer()
    }

    /// Why the connection ended or is about to; `None` while it is open.
    pub fn reason(&self) -> Option<CloseReason> {
        self.session.reason()
    }
}

impl<T: Transport> Carrier for Connection<T> {
    type Speaker<'a>
        = &'a mut Sender<ClientPlatform<T>, Frames<Masked>>
    where
        Self: 'a;
    type Deflate<'a>
        = Compressor
    where
        Self: 'a;

    #[inline]
    fn found_already(&mut self) -> Option<Found> {
        Carrier::found_already(&mut self.session)
    }
    #[inline]
    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Found>>> {
        Carrier::poll_find(&mut self.session, cx)
    }
    fn keep(&mut self, part: Range<usize>) {
        self.session.keep(part);
    }
    fn let_go(&mut self) {
        self.session.let_go();
    }
    #[inline]
    fn parts(&mut self) -> Parts<'_, Self::Speaker<'_>, Self::Deflate<'_>> {
        let Parts { held, unit, speaker, .. } = self.session.parts();
        #[cfg(feature = "compression")]
        if let Some(deflation) = &mut self.deflation {
            let (inflate, deflate) = deflation.parts();
            return Parts { held, unit, speaker, inflate: Some(inflate), deflate: Some(deflate) };
        }
        Parts { held, unit, speaker, inflate: None, deflate: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_two_keys_are_alike_but_by_chance() {
        let keys: HashSet<_> = (0..1000).map(|_| super::key()).collect();
        assert!(keys.len() > 995, "{} of 1000", keys.len());
    }
}
