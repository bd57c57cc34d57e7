//! What every board does once it is up: netloom's demo, served to `SESSIONS` clients at once on port 7000.
//!
//! The boards share this file; how many sessions and sockets they have is their own `main.rs`'s. (embassy's tasks
//! cannot be generic, so it is not a library.)

use embassy_executor::Spawner;
use netloom_demo::TCP_PORT;
use netloom_embedded::{Acceptor, AcceptorOptions, Memory, Options, Stack, serve};
use netloom_protocols::Framing;
use static_cell::{ConstStaticCell, StaticCell};

use crate::{SESSIONS, SOCKETS};

/// The port it listens on.
pub const PORT: u16 = TCP_PORT;

type Buffers = netloom_embedded::Buffers<'static>;

/// Queues of 1 KB each way for each session, 512 bytes each way for each socket.
static MEMORY: ConstStaticCell<Memory<SESSIONS, SOCKETS, 1024, 512>> = ConstStaticCell::new(Memory::new());

/// Spawns the acceptor and one task for each session.
pub fn start(spawner: Spawner, stack: Stack<'static>) {
    static ACCEPTOR: StaticCell<Acceptor<'static, SOCKETS>> = StaticCell::new();
    let (sockets, queues) = MEMORY.take().split();
    let acceptor = &*ACCEPTOR.init(Acceptor::new(stack, PORT, AcceptorOptions::DEFAULT, sockets));
    spawner.spawn(accept(acceptor).expect("spawned here only"));
    for queue in queues {
        spawner.spawn(session(acceptor, queue).expect("there are as many places as sessions"));
    }
}

#[embassy_executor::task]
async fn accept(acceptor: &'static Acceptor<'static, SOCKETS>) -> ! {
    acceptor.run(Framing::new).await
}

#[embassy_executor::task(pool_size = SESSIONS)]
async fn session(acceptor: &'static Acceptor<'static, SOCKETS>, queue: Buffers) -> ! {
    serve(acceptor, queue, Options::DEFAULT, Framing::new, netloom_demo::echo).await
}
