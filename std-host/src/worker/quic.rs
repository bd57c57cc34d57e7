//! A worker's part of a server's QUIC: it drives its own socket, and each stream that a client opens is a session.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use netloom_core::{Code, Codec, Duration, Options, Result, Timeouts};
use tokio::task::spawn_local;

use super::{Guest, Host, ServerSession, serve};
use crate::quic::{Connection, Counts, Driver, Endpoint, QuicServer, Route, Routed, Stream, Udp};

/// A worker's socket of QUIC.
pub(crate) struct Socket {
    pub(crate) socket: UdpSocket,
    pub(crate) route: Route,
    pub(crate) server: QuicServer,
    pub(crate) counts: Arc<Counts>,
}

impl<C, N, A> Host<N, A>
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    pub(super) fn drive(self: &Rc<Self>, intake: Socket) -> io::Result<()> {
        let Socket { socket, route, server, counts } = intake;
        let mut config = server.endpoint();
        let ids = route.ids();
        config.cid_generator(move || Box::new(ids.clone()));
        let socket = route.on(Udp::new(socket)?);
        let guest = Guest::new(&self.local, None);
        let (endpoint, driver) = Endpoint::with(socket, Some(server), guest.clock(), config, counts);
        spawn_local(drive(driver, guest));
        spawn_local(accept(endpoint, self.clone()));
        Ok(())
    }

    fn take_in_stream(self: &Rc<Self>, stream: Stream, peer: SocketAddr) {
        if self.local.stopping.get() {
            return self.refuse(stream, peer, Code::ShuttingDown);
        }
        if let Err(code) = self.local.admission.admit(peer.ip()) {
            return self.refuse(stream, peer, code);
        }
        let guest = Guest::new(&self.local, Some(peer.ip()));
        // The connection asks whether the peer lives; its streams need not.
        let timeouts = Timeouts { keep_alive: Duration::MAX, ..self.options.timeouts };
        if let Some(session) = self.session(stream, &guest, Options { timeouts, ..self.options }) {
            spawn_local(serve(self.clone(), session, guest));
        }
    }
}

/// Until the worker has ended and all connections are closed.
async fn drive(driver: Driver<Routed<Udp>, super::WorkerClock>, guest: Rc<Guest>) {
    let _guest = guest;
    if let Err(error) = driver.run().await {
        tracing::warn!(%error, "a socket of QUIC failed");
    }
}

/// Takes connections until the worker stops.
async fn accept<C, N, A>(endpoint: Endpoint<Routed<Udp>>, host: Rc<Host<N, A>>)
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    let guest = Guest::new(&host.local, None);
    loop {
        let connection = {
            let mut accepting = std::pin::pin!(endpoint.accept());
            poll_fn(|cx| {
                guest.sit(cx.waker());
                match guest.local().stopping.get() {
                    true => Poll::Ready(None),
                    false => accepting.as_mut().poll(cx),
                }
            })
            .await
        };
        let Some(connection) = connection else { return };
        let guest = Guest::new(&host.local, None);
        spawn_local(attend(connection, host.clone(), guest));
    }
}

/// Makes sessions of a connection's streams. When the worker stops it takes no more, waits until those there are have ended and
/// what they have sent has arrived, and closes.
async fn attend<C, N, A>(connection: Connection, host: Rc<Host<N, A>>, guest: Rc<Guest>)
where
    C: Codec + 'static,
    N: Fn() -> C + 'static,
    A: AsyncFn(&mut ServerSession<C>) -> Result<()> + 'static,
{
    loop {
        let stream = poll_fn(|cx| {
            guest.sit(cx.waker());
            match guest.local().stopping.get() {
                true => Poll::Ready(None),
                false => connection.poll_accept_any(cx).map(Result::ok),
            }
        });
        let Some(stream) = stream.await else { break };
        host.take_in_stream(stream, connection.peer());
    }
    poll_fn(|cx| match guest.local().aborting.get() {
        true => Poll::Ready(()),
        false => connection.poll_done(cx),
    })
    .await;
    connection.close(0, b"");
}
