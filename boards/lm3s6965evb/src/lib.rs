//! TI's LM3S6965 evaluation board: a Cortex-M3 with 256 KB of flash, 64 KB of RAM and Ethernet on the chip.
//!
//! How a board is brought up: start its clocks, say where its Ethernet controller is, put the controller's interrupt
//! into the vector table, hand the controller to the network stack, and spawn what should run. What that is is the
//! binary's: `src/main.rs` or `src/hello.rs`.
#![no_std]
#![deny(missing_docs)]

mod system;

use embassy_executor::Spawner;
use embassy_net::{Stack, StackResources};
use netloom_board_drivers::frame::Buffers;
use netloom_board_drivers::interrupts::{Interrupt, Vector};
use netloom_board_drivers::stellaris_enet::{self, Port, StellarisEnet};
use netloom_board_drivers::{executor, network, systick};
use static_cell::ConstStaticCell;

// SAFETY: the data sheet's memory map has the controller here; `start_network` clocks it and makes the one driver.
const ETHERNET: Port = unsafe { Port::at(0x4004_8000) };

/// The controller's interrupt.
const ETHERNET_INTERRUPT: Interrupt = Interrupt(42);

/// cortex-m-rt finds the board's vectors by this name and places them behind the processor's own.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 43] = ETHERNET_INTERRUPT.vectors(on_ethernet);

extern "C" fn on_ethernet() {
    ETHERNET.on_interrupt();
}

/// Brings the board up, lets `application` spawn its tasks, and runs them. `port` is the one that is announced,
/// `resources` are for the application's sockets and [`network::SOCKETS`] more.
///
/// # Panics
/// When it is called a second time.
pub fn run<const SOCKETS: usize>(
    port: u16,
    resources: &'static mut StackResources<SOCKETS>,
    application: impl FnOnce(Spawner, Stack<'static>),
) -> ! {
    let core = cortex_m::Peripherals::take().expect("a board is started once");
    system::start_clock();
    systick::start(core.SYST, system::FREQUENCY);
    executor::run(|spawner| {
        let stack = start_network(spawner, resources);
        network::announce(spawner, stack, port);
        application(spawner, stack);
    })
}

/// Starts the Ethernet controller and, on it, the network stack.
fn start_network<const SOCKETS: usize>(
    spawner: Spawner,
    resources: &'static mut StackResources<SOCKETS>,
) -> Stack<'static> {
    static BUFFERS: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers::new());

    system::start_ethernet();
    let address = system::hardware_address();
    let driver = StellarisEnet::new(ETHERNET, address, BUFFERS.take());
    ETHERNET_INTERRUPT.enable();
    let (stack, runner) = embassy_net::new(driver, network::config(), resources, network::seed(address));
    spawner.spawn(stellaris_enet::run(runner).expect("spawned here only"));
    stack
}
