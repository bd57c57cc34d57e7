//! A board's sessions.

use core::future::{Future, poll_fn};
use core::marker::PhantomData;
use core::pin::pin;

use netloom_core::{Codec, Options, Platform, Result, Session};

use crate::acceptor::Acceptor;
use crate::crowd::BoardClock;
use crate::memory::Buffers;
use crate::tcp::Tcp;

/// What a board's sessions run on: memory that lives for `'d`, usually `'static`.
pub struct BoardPlatform<'d>(PhantomData<&'d ()>);

impl<'d> Platform for BoardPlatform<'d> {
    type Transport = Tcp<'d>;
    type Storage = &'d mut [u8];
    type Clock = BoardClock<'d>;
}

/// A board's session.
pub type BoardSession<'d, C> = Session<BoardPlatform<'d>, C>;

/// Takes one connection after the other and runs `app` on each, for ever. As many of these run at a time as
/// the board is to have sessions, each in a task of its own.
///
/// When `app` returns, its session is closed in order.
pub async fn serve<'d, C: Codec, const SOCKETS: usize>(
    acceptor: &Acceptor<'d, SOCKETS>,
    mut queues: Buffers<'d>,
    options: &Options,
    codec: impl Fn() -> C,
    app: impl AsyncFn(&mut BoardSession<'d, C>) -> Result<()>,
) -> ! {
    loop {
        let transport = Tcp::new(acceptor.next().await);
        // The acceptor reads on until the client ends too.
        let options = Options { lingers: false, ..*options };
        let mut session = Session::open(transport, codec(), queues, acceptor.clock(), options);
        let result = {
            let mut run = pin!(async {
                let result = app(&mut session).await;
                result.and(session.close().await)
            });
            poll_fn(|cx| {
                acceptor.attend(cx);
                run.as_mut().poll(cx)
            })
            .await
        };
        #[cfg(feature = "defmt")]
        if let Err(error) = result {
            defmt::debug!("session failed: {}", error);
        }
        // How a session ended is its peer's matter and its own.
        let _ = result;
        let (transport, storage) = session.into_parts();
        queues = storage;
        acceptor.give_back(transport.into_socket());
    }
}
