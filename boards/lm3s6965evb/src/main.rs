//! netloom on TI's LM3S6965 evaluation board: a Cortex-M3 with 256 KB of flash, 64 KB of RAM and Ethernet on the chip.
//!
//! How a board is brought up: start its clocks, say where its Ethernet controller is, put the controller's interrupt
//! into the vector table, hand the controller to the network stack, and spawn what should run. What the board then does
//! is `application`'s.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../application.rs"]
mod application;
mod system;

use cortex_m_rt::entry;
use embassy_executor::Spawner;
use embassy_net::{Runner, Stack, StackResources};
use netloom_board_drivers::frame::Buffers;
use netloom_board_drivers::interrupts::{Interrupt, Vector};
use netloom_board_drivers::stellaris_enet::{Port, StellarisEnet};
use netloom_board_drivers::{executor, network, systick};
use static_cell::StaticCell;

/// Clients served at once.
const SESSIONS: usize = 3;

/// Sockets: those beyond the sessions are where clients wait.
const SOCKETS: usize = 6;

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

#[entry]
fn main() -> ! {
    let core = cortex_m::Peripherals::take().expect("main runs once");
    system::start_clock();
    systick::start(core.SYST, system::FREQUENCY);
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

    system::start_ethernet();
    let address = system::hardware_address();
    let driver = StellarisEnet::new(ETHERNET, address, BUFFERS.init_with(Buffers::new));
    ETHERNET_INTERRUPT.enable();
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(driver, network::config(), resources, network::seed(address));
    spawner.spawn(run_network(runner).expect("spawned here only"));
    spawner.spawn(announce(stack).expect("spawned here only"));
    stack
}

#[embassy_executor::task]
async fn run_network(mut runner: Runner<'static, StellarisEnet>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn announce(stack: Stack<'static>) {
    network::announce(stack, application::PORT).await;
}
