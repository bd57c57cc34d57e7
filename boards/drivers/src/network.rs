//! The board's address, and the word that it is up.
//!
//! By DHCP, unless the firmware is built with `NETLOOM_ADDRESS=192.0.2.7/24` in the environment (and, for peers beyond
//! that network, `NETLOOM_GATEWAY=192.0.2.1`). Without the feature `dhcp` it has to be.

use embassy_executor::Spawner;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Stack, StaticConfigV4};

use crate::console;

// Made by `build.rs` of these variables: `ADDRESS` with the length of its network's prefix, and `GATEWAY`.
include!(concat!(env!("OUT_DIR"), "/address.rs"));

/// Sockets that the network stack needs for itself: DHCP's.
pub const SOCKETS: usize = if cfg!(feature = "dhcp") { 1 } else { 0 };

/// How the stack is to find its address.
pub fn config() -> Config {
    let Some((address, prefix)) = ADDRESS else { return dynamic() };
    Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Address::from_octets(address), prefix),
        gateway: GATEWAY.map(Ipv4Address::from_octets),
        dns_servers: Default::default(),
    })
}

#[cfg(feature = "dhcp")]
fn dynamic() -> Config {
    Config::dhcpv4(Default::default())
}

/// `build.rs` does not let it come to this.
#[cfg(not(feature = "dhcp"))]
fn dynamic() -> Config {
    Config::default()
}

/// A seed for TCP's and DHCP's numbers that differs from board to board: the hardware address, spread over 64 bits.
///
/// It is the same at each start and anyone on the network can know it. A board that has a random number generator
/// should draw its seed from that.
pub fn seed(hardware_address: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = hardware_address;
    // splitmix64's multiplier: odd, so no two addresses collide.
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0]).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Waits, in a task of its own, for an address and then prints `up ADDRESS:PORT`, the line that `cargo board` waits for.
/// On a silent board there is no such task.
///
/// # Panics
/// When it is called a second time.
pub fn announce(spawner: Spawner, stack: Stack<'static>, port: u16) {
    if console::SPEAKS {
        spawner.spawn(announcing(stack, port).expect("a board comes up once"));
    }
}

#[embassy_executor::task]
async fn announcing(stack: Stack<'static>, port: u16) {
    stack.wait_config_up().await;
    if let Some(config) = stack.config_v4() {
        console::print(format_args!("up {}:{port}", config.address.address()));
    }
}
