//! netloom's laboratory: services, sessions and whole network stacks in a world that one seed determines.
//!
//! Time is virtual, so an hour passes in no time; the network's faults are drawn from the seed, so a failure
//! is found again by its seed. Your service is an async function over a session, so it runs here as it is:
//!
//! ```
//! use netloom_core::{Duration, Platform, Result, Session};
//! use netloom_lab::{Faults, World, link, open};
//! use netloom_protocols::Lines;
//!
//! /// The service under test.
//! async fn greet<P: Platform>(session: &mut Session<P, Lines>) -> Result<()> {
//!     while let Some((name, peer)) = session.receive().await? {
//!         peer.send(&format!("hello {name}")).await?;
//!     }
//!     Ok(())
//! }
//!
//! for seed in 0..20 {
//!     let world = World::new(seed);
//!     let (a, b) = link(&world, Faults::rough()); // cut anywhere, delayed, with waits for nothing
//!     let (mut server, mut client) = (open::<256, _>(&world, a, Lines::new()), open::<256, _>(&world, b, Lines::new()));
//!     let mut lab = world.tasks();
//!     lab.spawn("server", async { greet(&mut server).await.unwrap() });
//!     lab.spawn("client", async {
//!         client.send("Ada").await.unwrap();
//!         assert_eq!(client.receive().await.unwrap().unwrap().0, "hello Ada");
//!         client.close().await.unwrap();
//!     });
//!     lab.run(Duration::from_secs(10)).assert_done(); // virtual seconds; the seed is in the message
//! }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`random`] | numbers from a seed |
//! | [`world`] | the virtual clock, sleeping, time-outs |
//! | [`tasks`] | the seeded executor and its report |
//! | [`cancel`](mod@cancel) | futures dropped half way |
//! | [`faults`], [`mod@link`] | byte links, for sessions |
//! | [`storage`] | lent blocks, counted and capped |
//! | [`check`] | checkers of bytes |
//! | [`codecs`] | toy codecs |
//! | [`mod@reference`] | a reader of HTTP responses, to judge ours by |
//! | [`websocket`] | frames, and what they say |
//! | `ethernet`, `time` | frames between embassy-net stacks; feature `embassy` |
//! | `udp` | datagrams between addresses, for QUIC; feature `quic` |
//! | [`scenarios`] | what netloom itself is tested with |
//!
//! Bound virtual time in every run, near to what it should take: a lost wake-up otherwise hides behind the
//! next keep-alive. And break your code once on purpose, to see that the scenario fails.
#![deny(unsafe_code)]

pub mod cancel;
pub mod check;
pub mod codecs;
#[cfg(feature = "embassy")]
pub mod ethernet;
pub mod faults;
pub mod link;
pub mod random;
pub mod reference;
pub mod scenarios;
pub mod storage;
pub mod tasks;
#[cfg(feature = "embassy")]
pub mod time;
#[cfg(feature = "quic")]
pub mod udp;
pub mod websocket;
pub mod world;

pub use cancel::{cancel_after_polls, cancel_at_random};
pub use check::Messages;
#[cfg(feature = "embassy")]
pub use ethernet::{FrameFaults, Hub, Port};
pub use faults::Faults;
pub use link::{Pipe, link};
pub use random::Random;
pub use storage::{Block, Blocks};
pub use tasks::{Report, Tasks};
pub use world::{VirtualClock, World};

use netloom_core::{Codec, Options, Parts, Session};

/// The platform of a board: queues in arrays of `N` bytes.
pub type OnArrays<const N: usize> = Parts<Pipe, [u8; N], VirtualClock>;

/// The platform of a server: queues in lent blocks.
pub type OnBlocks = Parts<Pipe, Block, VirtualClock>;

/// A session with queues of `N` bytes each way and the default options.
pub fn open<const N: usize, C: Codec>(world: &World, pipe: Pipe, codec: C) -> Session<OnArrays<N>, C> {
    Session::open(pipe, codec, ([0; N], [0; N]), world.clock(), Options::DEFAULT)
}

/// A session whose queues are lent blocks, with the default options.
pub fn open_on<C: Codec>(world: &World, pipe: Pipe, codec: C, blocks: &Blocks) -> Session<OnBlocks, C> {
    let queues = (blocks.storage(), blocks.storage());
    Session::open(pipe, codec, queues, world.clock(), Options::DEFAULT)
}
