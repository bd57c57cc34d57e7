//! Arm's MPS2 board with the AN386 image: a Cortex-M4F with a LAN9118 Ethernet controller.
//!
//! How a board is brought up: say where its clock and its Ethernet controller are, put the controller's interrupt into
//! the vector table, start the clock, hand the controller to the network stack, and spawn what should run. What that is
//! is the binary's: `src/main.rs` or `src/hello.rs`.
#![no_std]
#![deny(missing_docs)]

use embassy_executor::Spawner;
use embassy_net::{Stack, StackResources};
use netloom_board_drivers::frame::Buffers;
use netloom_board_drivers::interrupts::{Interrupt, Vector};
use netloom_board_drivers::lan9118::{self, Lan9118, Port};
use netloom_board_drivers::{executor, network, systick};
use static_cell::ConstStaticCell;

/// The processor's clock, in hertz: fixed in the AN386 image.
const FREQUENCY: u32 = 25_000_000;

// SAFETY: AN386's memory map has the LAN9118 here, and `start_network` makes the one driver for it.
const ETHERNET: Port = unsafe { Port::at(0x4020_0000) };

/// The controller's interrupt.
const ETHERNET_INTERRUPT: Interrupt = Interrupt(13);

/// cortex-m-rt finds the board's vectors by this name and places them behind the processor's own.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 14] = ETHERNET_INTERRUPT.vectors(on_ethernet);

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
    systick::start(core.SYST, FREQUENCY);
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

    let driver = Lan9118::new(ETHERNET, BUFFERS.take());
    ETHERNET_INTERRUPT.enable();
    let seed = network::seed(driver.address());
    let (stack, runner) = embassy_net::new(driver, network::config(), resources, seed);
    spawner.spawn(lan9118::run(runner).expect("spawned here only"));
    stack
}
