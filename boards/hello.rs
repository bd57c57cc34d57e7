//! The least that answers HTTP: a greeting, to `SESSIONS` clients at once on port 80.

use embassy_executor::Spawner;
use embassy_net::StackResources;
use netloom_board_drivers::network;
use netloom_embedded::{Acceptor, AcceptorOptions, Memory, Options, Stack, serve};
use netloom_protocols::http1::{self, Http1, Request, Sent};
use netloom_protocols::routes;
use static_cell::{ConstStaticCell, StaticCell};

use crate::{SESSIONS, SOCKETS};

/// The port it listens on.
pub const PORT: u16 = 80;

type Buffers = netloom_embedded::Buffers<'static>;

/// Queues of 1 KB each way for each session, 512 bytes each way for each socket.
static MEMORY: ConstStaticCell<Memory<SESSIONS, SOCKETS, 1024, 512>> = ConstStaticCell::new(Memory::new());

/// What the network stack needs for the sockets.
pub fn resources() -> &'static mut StackResources<{ SOCKETS + network::SOCKETS }> {
    static RESOURCES: StaticCell<StackResources<{ SOCKETS + network::SOCKETS }>> = StaticCell::new();
    RESOURCES.init_with(StackResources::new)
}

/// Spawns the acceptor and one task for each session.
pub fn start(spawner: Spawner, stack: Stack<'static>) {
    static ACCEPTOR: StaticCell<Acceptor<'static, SOCKETS>> = StaticCell::new();
    let (sockets, queues) = MEMORY.take().split();
    let acceptor = &*ACCEPTOR.init(Acceptor::new(stack, PORT, AcceptorOptions::HTTP, sockets));
    spawner.spawn(accept(acceptor).expect("spawned here only"));
    for queue in queues {
        spawner.spawn(session(acceptor, queue).expect("there are as many places as sessions"));
    }
}

#[embassy_executor::task]
async fn accept(acceptor: &'static Acceptor<'static, SOCKETS>) -> ! {
    acceptor.run(Http1::new).await
}

#[embassy_executor::task(pool_size = SESSIONS)]
async fn session(acceptor: &'static Acceptor<'static, SOCKETS>, queue: Buffers) -> ! {
    let app = routes! { GET "/" => hello, GET "/plaintext" => hello };
    serve(acceptor, queue, &Options::DEFAULT, Http1::new, async |session| http1::serve(session, &app).await)
        .await
}

async fn hello(request: Request<'_>) -> netloom_embedded::Result<Sent> {
    request.reply().text("Hello, World!").await
}
