//! What netloom's boards share.
//!
//! A board's `main.rs` says *which* chip sits *where*; everything else about the chip is here, one module per idea:
//!
//! | module | is |
//! |---|---|
//! | [`lan9118`], [`stellaris_enet`] | Ethernet controllers, as `embassy-net` drivers |
//! | [`frame`] | the buffers in which those drivers hold one frame each way |
//! | [`interrupts`] | a vector table with one interrupt in it |
//! | [`systick`] | the clock: `embassy-time` on the timer that every Cortex-M has |
//! | [`registers`] | memory-mapped registers, read and written |
//! | [`executor`] | the main loop: run what is ready, then sleep |
//! | [`network`] | the address: by DHCP, or fixed when building |
//! | `routines` | what the compiler calls by name: copying, filling and dividing |
//! | `entropy` | random numbers, for emulated boards only |
//! | [`console`] | a line of text and an exit code for QEMU or a debugger; what a panic does |
//!
//! Nothing here allocates, and no module knows a board: addresses, interrupt numbers and clock frequencies are
//! arguments.
#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod console;
#[cfg(feature = "emulated-entropy")]
pub mod entropy;
pub mod executor;
pub mod frame;
pub mod interrupts;
pub mod lan9118;
pub mod network;
pub mod registers;
mod routines;
pub mod stellaris_enet;
pub mod systick;
