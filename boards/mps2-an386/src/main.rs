//! netloom on Arm's MPS2 board with the AN386 image: a Cortex-M4F with a LAN9118 Ethernet controller.
//!
//! How a board is brought up: say where its clock and its Ethernet controller are, put the controller's interrupt into
//! the vector table, start the clock, hand the controller to the network stack, and spawn what should run. What the
//! board then does is `application`'s.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../application.rs"]
mod application;

use cortex_m_rt::entry;
use embassy_executor::Spawner;
use embassy_net::{Runner, Stack, StackResources};
use netloom_board_drivers::frame::Buffers;
use netloom_board_drivers::interrupts::{Interrupt, Vector};
use netloom_board_drivers::lan9118::{Lan9118, Port};
use netloom_board_drivers::{executor, network, systick};
use static_cell::StaticCell;

/// Clients served at once.
const SESSIONS: usize = 4;

/// Sockets: those beyond the sessions are where clients wait.
const SOCKETS: usize = 8;

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

#[entry]
fn main() -> ! {
    let core = cortex_m::Peripherals::take().expect("main runs once");
    systick::start(core.SYST, FREQUENCY);
    executor::run(|spawner| {
        let stack = start_network(spawner);
        application::start(spawner, stack);
    })
}

/// Starts the Ethernet controller and, on it, the network stack.
fn start_network(spawner: Spawner) -> Stack<'static> {
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();
    /// The application's sockets and one for DHCP.
    static RESOURCES: StaticCell<StackResources<{ SOCKETS + 1 }>> = StaticCell::new();

    let driver = Lan9118::new(ETHERNET, BUFFERS.init_with(Buffers::new));
    ETHERNET_INTERRUPT.enable();
    let seed = network::seed(driver.address());
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(driver, network::config(), resources, seed);
    spawner.spawn(run_network(runner).expect("spawned here only"));
    spawner.spawn(announce(stack).expect("spawned here only"));
    stack
}

#[embassy_executor::task]
async fn run_network(mut runner: Runner<'static, Lan9118>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn announce(stack: Stack<'static>) {
    network::announce(stack, application::PORT).await;
}
