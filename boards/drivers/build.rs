//! Reads the board's address from the environment, so that a malformed one is an error when building.

use std::env;
use std::net::Ipv4Addr;
use std::path::Path;

fn main() {
    let address = read("NETLOOM_ADDRESS", "192.0.2.7/24", |text| {
        let (address, prefix) = text.split_once('/')?;
        let prefix: u8 = prefix.parse().ok().filter(|bits| *bits <= 32)?;
        Some((octets(address)?, prefix))
    });
    let gateway = read("NETLOOM_GATEWAY", "192.0.2.1", octets);
    assert!(
        address.is_some() || env::var_os("CARGO_FEATURE_DHCP").is_some(),
        "a board without the feature dhcp needs an address: set NETLOOM_ADDRESS, like 192.0.2.7/24"
    );
    let constants = format!(
        "const ADDRESS: Option<([u8; 4], u8)> = {address:?};\nconst GATEWAY: Option<[u8; 4]> = {gateway:?};\n"
    );
    let folder = env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&folder).join("address.rs"), constants).expect("cargo made the folder");
}

/// The variable's value, if it is set and not empty.
fn read<T>(variable: &str, example: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    println!("cargo::rerun-if-env-changed={variable}");
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(parse(&text).unwrap_or_else(|| panic!("{variable} is {text:?}; it should be like {example}")))
}

fn octets(text: &str) -> Option<[u8; 4]> {
    text.parse().ok().map(|address: Ipv4Addr| address.octets())
}
