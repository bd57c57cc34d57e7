//! What every board does once it is up: netloom's demo. Frames come back on port 7000, pages are on port 80.
//!
//! The boards share this file; how many sessions and sockets they have is their own `main.rs`'s. (embassy's tasks
//! cannot be generic, so it is not a library.)

use embassy_executor::Spawner;
use embassy_net::StackResources;
use netloom_board_drivers::network;
use netloom_demo::TCP_PORT;
use netloom_embedded::{Acceptor, AcceptorOptions, Memory, Options, Stack, serve};
use netloom_protocols::Framing;
use static_cell::{ConstStaticCell, StaticCell};

use crate::{ECHO, WEB};

#[path = "web.rs"]
mod web;

/// The port that is announced.
pub const PORT: u16 = TCP_PORT;

/// Sockets of both services.
const SOCKETS: usize = ECHO.1 + WEB.1;

type Buffers = netloom_embedded::Buffers<'static>;

/// Queues of 1 KB each way for each session, 512 bytes each way for each socket.
static MEMORY: ConstStaticCell<Memory<{ ECHO.0 }, { ECHO.1 }, 1024, 512>> =
    ConstStaticCell::new(Memory::new());

/// What the network stack needs for the sockets.
pub fn resources() -> &'static mut StackResources<{ SOCKETS + network::SOCKETS }> {
    static RESOURCES: StaticCell<StackResources<{ SOCKETS + network::SOCKETS }>> = StaticCell::new();
    RESOURCES.init_with(StackResources::new)
}

/// Spawns an acceptor for each service and a task for each session.
pub fn start(spawner: Spawner, stack: Stack<'static>) {
    static ACCEPTOR: StaticCell<Acceptor<'static, { ECHO.1 }>> = StaticCell::new();
    let (sockets, queues) = MEMORY.take().split();
    let acceptor = &*ACCEPTOR.init(Acceptor::new(stack, TCP_PORT, AcceptorOptions::DEFAULT, sockets));
    spawner.spawn(accept(acceptor).expect("spawned here only"));
    for queue in queues {
        spawner.spawn(echo(acceptor, queue).expect("there are as many places as sessions"));
    }
    web::start(spawner, stack);
}

#[embassy_executor::task]
async fn accept(acceptor: &'static Acceptor<'static, { ECHO.1 }>) -> ! {
    acceptor.run(Framing::new).await
}

#[embassy_executor::task(pool_size = ECHO.0)]
async fn echo(acceptor: &'static Acceptor<'static, { ECHO.1 }>, queue: Buffers) -> ! {
    serve(acceptor, queue, &Options::DEFAULT, Framing::new, netloom_demo::echo).await
}
