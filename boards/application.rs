//! What every board does once it is up: netloom's demo. Frames come back on port 7000, pages are on port 80.
//!
//! The boards share this file; how many sessions and sockets they have is their own `main.rs`'s. (embassy's tasks
//! cannot be generic, so it is not a library.)

use core::cell::RefCell;

use embassy_executor::Spawner;
use embassy_net::StackResources;
use netloom_board_drivers::network;
use netloom_embedded::hub::{Hub, Room, Seat};
use netloom_demo::web::Web;
use netloom_demo::{HTTP_PORT, TCP_PORT};
use netloom_embedded::{Acceptor, AcceptorOptions, Memory, Options, Stack, serve};
use netloom_protocols::Framing;
use netloom_protocols::http1::Http1;
use static_cell::{ConstStaticCell, StaticCell};

use crate::{ECHO, WEB};

/// The port that is announced.
pub const PORT: u16 = TCP_PORT;

/// Sockets of both services.
const SOCKETS: usize = ECHO.1 + WEB.1;

type Buffers = netloom_embedded::Buffers<'static>;

/// Queues of 1 KB each way for each session, 512 bytes each way for each socket.
static ECHO_MEMORY: ConstStaticCell<Memory<{ ECHO.0 }, { ECHO.1 }, 1024, 512>> =
    ConstStaticCell::new(Memory::new());

/// A browser's request must fit a queue but for an eighth.
static WEB_MEMORY: ConstStaticCell<Memory<{ WEB.0 }, { WEB.1 }, 1280, 512>> =
    ConstStaticCell::new(Memory::new());

/// Who chats: at most as many as there are sessions. The last kilobytes of what was said are kept.
type Chat = RefCell<Room<[u8; 1536], [Seat; WEB.0]>>;

/// Nobody's and empty: zeros, which take no flash.
const fn room() -> Room<[u8; 1536], [Seat; WEB.0]> {
    Room::new([0; 1536], [const { Seat::EMPTY }; WEB.0])
}

/// What the pages tell.
static DEMO: StaticCell<Web<Chat>> = StaticCell::new();

/// What the network stack needs for the sockets.
pub fn resources() -> &'static mut StackResources<{ SOCKETS + network::SOCKETS }> {
    static RESOURCES: StaticCell<StackResources<{ SOCKETS + network::SOCKETS }>> = StaticCell::new();
    RESOURCES.init_with(StackResources::new)
}

/// Spawns an acceptor for each service and a task for each session.
pub fn start(spawner: Spawner, stack: Stack<'static>) {
    static ECHO_ACCEPTOR: StaticCell<Acceptor<'static, { ECHO.1 }>> = StaticCell::new();
    static WEB_ACCEPTOR: StaticCell<Acceptor<'static, { WEB.1 }>> = StaticCell::new();
    let (sockets, queues) = ECHO_MEMORY.take().split();
    let acceptor = &*ECHO_ACCEPTOR.init(Acceptor::new(stack, TCP_PORT, AcceptorOptions::DEFAULT, sockets));
    spawner.spawn(accept_echo(acceptor).expect("spawned here only"));
    for queue in queues {
        spawner.spawn(echo(acceptor, queue).expect("there are as many places as sessions"));
    }
    let (sockets, queues) = WEB_MEMORY.take().split();
    let acceptor = &*WEB_ACCEPTOR.init(Acceptor::new(stack, HTTP_PORT, AcceptorOptions::HTTP, sockets));
    spawner.spawn(accept_web(acceptor).expect("spawned here only"));
    let demo = &*DEMO.init_with(|| Web::new(env!("CARGO_PKG_NAME"), Hub::new(RefCell::new(room()))));
    for queue in queues {
        spawner.spawn(web(demo, acceptor, queue).expect("there are as many places as sessions"));
    }
}

#[embassy_executor::task]
async fn accept_echo(acceptor: &'static Acceptor<'static, { ECHO.1 }>) -> ! {
    acceptor.run(Framing::new).await
}

#[embassy_executor::task(pool_size = ECHO.0)]
async fn echo(acceptor: &'static Acceptor<'static, { ECHO.1 }>, queue: Buffers) -> ! {
    serve(acceptor, queue, Options::DEFAULT, Framing::new, netloom_demo::echo).await
}

#[embassy_executor::task]
async fn accept_web(acceptor: &'static Acceptor<'static, { WEB.1 }>) -> ! {
    acceptor.run(Http1::new).await
}

#[embassy_executor::task(pool_size = WEB.0)]
async fn web(
    demo: &'static Web<Chat>,
    acceptor: &'static Acceptor<'static, { WEB.1 }>,
    queue: Buffers,
) -> ! {
    serve(acceptor, queue, Options::DEFAULT, Http1::new, async |session| demo.serve(session).await).await
}
