//! What a reporting board (`report.rs`) is told when it is built, read from the environment by the board's build script:
//!
//! | variable | is |
//! |---|---|
//! | `NETLOOM_SERVER` | the server's address and port: `192.0.2.1:7443` |
//! | `NETLOOM_SERVER_NAME` | the name in its certificate; its address if left out |
//! | `NETLOOM_AUTHORITY` | a file: the certificate, DER, of the authority that vouches for it |
//! | `NETLOOM_PIN` | the SHA-256 of the server's SubjectPublicKeyInfo in hexadecimal digits; one of these two at least |
//! | `SOURCE_DATE_EPOCH` | when this was built, in seconds since 1970: the least that the board knows of the time; now if left out |

use std::env;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes `report_settings.rs` for the firmware to include.
///
/// # Panics
/// When a variable is missing or malformed: the message says what it should be like.
pub fn write() {
    let server = read("NETLOOM_SERVER").expect("NETLOOM_SERVER is needed, like 192.0.2.1:7443");
    let server: SocketAddrV4 = server.parse().expect("NETLOOM_SERVER should be like 192.0.2.1:7443");
    let octets = server.ip().octets();
    let name = match read("NETLOOM_SERVER_NAME") {
        Some(name) if name.parse::<std::net::Ipv4Addr>().is_err() => format!("ServerName::Dns({name:?})"),
        Some(address) => {
            let address: std::net::Ipv4Addr = address.parse().expect("it was one a line above");
            format!("ServerName::Address(IpAddr::V4(Ipv4Addr::from_octets({:?})))", address.octets())
        }
        None => format!("ServerName::Address(IpAddr::V4(Ipv4Addr::from_octets({octets:?})))"),
    };
    let authority = read("NETLOOM_AUTHORITY").map(|path| {
        println!("cargo::rerun-if-changed={path}");
        std::fs::read(&path).unwrap_or_else(|error| panic!("NETLOOM_AUTHORITY names {path:?}: {error}"))
    });
    let pin =
        read("NETLOOM_PIN").map(|digits| pin(&digits).expect("NETLOOM_PIN should be 64 hexadecimal digits"));
    assert!(
        authority.is_some() || pin.is_some(),
        "without NETLOOM_AUTHORITY or NETLOOM_PIN the board cannot tell its server from another"
    );
    let built = read("SOURCE_DATE_EPOCH")
        .map(|seconds| seconds.parse().expect("SOURCE_DATE_EPOCH should be in seconds"))
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    let authority = authority.map(|der| format!("&{der:?}")).unwrap_or_default();
    let pins: Vec<[u8; 32]> = pin.into_iter().collect();
    let settings = format!(
        "const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_octets({octets:?})), {});\n\
         const NAME: ServerName<'static> = {name};\n\
         const AUTHORITIES: &[&[u8]] = &[{authority}];\n\
         const PINS: &[Pin] = &{pins:?};\n\
         const BUILT: u64 = {built};\n",
        server.port()
    );
    let folder = env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&folder).join("report_settings.rs"), settings).expect("cargo made the folder");
}

fn read(variable: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={variable}");
    env::var(variable).ok().filter(|text| !text.is_empty())
}

fn pin(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut pin = [0; 32];
    for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(pin)
}
