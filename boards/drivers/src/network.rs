//! The board's address, and the word that it is up.
//!
//! By DHCP, unless the firmware is built with `NETLOOM_ADDRESS=192.0.2.7/24` in the environment (and, for peers beyond
//! that network, `NETLOOM_GATEWAY=192.0.2.1`).

use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Stack, StaticConfigV4};

use crate::console;

const ADDRESS: Option<&str> = option_env!("NETLOOM_ADDRESS");
const GATEWAY: Option<&str> = option_env!("NETLOOM_GATEWAY");

/// How the stack is to find its address.
///
/// # Panics
/// At the board's start, if `NETLOOM_ADDRESS` or `NETLOOM_GATEWAY` was malformed when building.
pub fn config() -> Config {
    let Some(address) = ADDRESS else { return Config::dhcpv4(Default::default()) };
    Config::ipv4_static(StaticConfigV4 {
        address: address.parse::<Ipv4Cidr>().expect("NETLOOM_ADDRESS is like 192.0.2.7/24"),
        gateway: GATEWAY
            .map(|gateway| gateway.parse::<Ipv4Address>().expect("NETLOOM_GATEWAY is like 192.0.2.1")),
        dns_servers: Default::default(),
    })
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

/// Waits for an address and then prints `up ADDRESS:PORT`, the line that `cargo board` waits for.
pub async fn announce(stack: Stack<'_>, port: u16) {
    stack.wait_config_up().await;
    if let Some(config) = stack.config_v4() {
        console::print(format_args!("up {}:{port}", config.address.address()));
    }
}
