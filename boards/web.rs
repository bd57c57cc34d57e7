//! The demo's pages and WebSockets on port 80: all that it does over HTTP, or what its page needs of that. The demo is this
//! and the framed echo (`application.rs`); alone it is an image of its own.

use core::cell::RefCell;

use embassy_executor::Spawner;
use embassy_net::StackResources;
use netloom_board_drivers::network;
use netloom_demo::HTTP_PORT;
use netloom_demo::web::Web;
use netloom_embedded::hub::{Hub, Room, Seat};
use netloom_embedded::{Acceptor, AcceptorOptions, Memory, Options, Stack, serve};
use netloom_protocols::http1::Http1;
use static_cell::{ConstStaticCell, StaticCell};

use crate::{WEB, pages};

/// The port that is announced.
#[allow(dead_code, reason = "the demo announces another")]
pub const PORT: u16 = HTTP_PORT;

type Buffers = netloom_embedded::Buffers<'static>;

/// A browser's request must fit a queue but for an eighth; 512 bytes each way for each socket.
static MEMORY: ConstStaticCell<Memory<{ WEB.0 }, { WEB.1 }, 1280, 512>> = ConstStaticCell::new(Memory::new());

/// Who chats: at most as many as there are sessions. The last kilobytes of what was said are kept.
type Chat = RefCell<Room<[u8; 1536], [Seat; WEB.0]>>;

/// Nobody's and empty: zeros, which take no flash.
const fn room() -> Room<[u8; 1536], [Seat; WEB.0]> {
    Room::new([0; 1536], [const { Seat::EMPTY }; WEB.0])
}

/// What the pages tell.
static DEMO: StaticCell<Web<Chat>> = StaticCell::new();

/// What the network stack needs for the sockets.
#[allow(dead_code, reason = "the demo has more sockets")]
pub fn resources() -> &'static mut StackResources<{ WEB.1 + network::SOCKETS }> {
    static RESOURCES: StaticCell<StackResources<{ WEB.1 + network::SOCKETS }>> = StaticCell::new();
    RESOURCES.init_with(StackResources::new)
}

/// Spawns the acceptor and a task for each session.
pub fn start(spawner: Spawner, stack: Stack<'static>) {
    static ACCEPTOR: StaticCell<Acceptor<'static, { WEB.1 }>> = StaticCell::new();
    let (sockets, queues) = MEMORY.take().split();
    let acceptor = &*ACCEPTOR.init(Acceptor::new(stack, HTTP_PORT, AcceptorOptions::HTTP, sockets));
    spawner.spawn(accept(acceptor).expect("spawned here only"));
    let demo = &*DEMO.init_with(|| Web::new(env!("CARGO_PKG_NAME"), Hub::new(RefCell::new(room()))));
    for queue in queues {
        spawner.spawn(session(demo, acceptor, queue).expect("there are as many places as sessions"));
    }
}

#[embassy_executor::task]
async fn accept(acceptor: &'static Acceptor<'static, { WEB.1 }>) -> ! {
    acceptor.run(Http1::new).await
}

#[embassy_executor::task(pool_size = WEB.0)]
async fn session(
    demo: &'static Web<Chat>,
    acceptor: &'static Acceptor<'static, { WEB.1 }>,
    queue: Buffers,
) -> ! {
    serve(acceptor, queue, &Options::DEFAULT, Http1::new, async |session| pages(demo, session).await).await
}
