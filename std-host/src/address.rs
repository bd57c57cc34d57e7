//! What can be listened on or connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Something that names a host and a port: `"example.org:7000"`, `"[::1]:7000"`, a pair, a `SocketAddr`.
///
/// ```
/// use netloom::ToAddress;
///
/// assert_eq!(("::1", 7000).to_address(), "[::1]:7000");
/// ```
pub trait ToAddress {
    /// `HOST:PORT`, with an IPv6 address in brackets.
    fn to_address(&self) -> String;
}

impl ToAddress for str {
    fn to_address(&self) -> String {
        self.to_owned()
    }
}

impl ToAddress for String {
    fn to_address(&self) -> String {
        self.clone()
    }
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self) -> String {
        (**self).to_address()
    }
}

impl ToAddress for (&str, u16) {
    fn to_address(&self) -> String {
        match self.0.contains(':') && !self.0.starts_with('[') {
            true => format!("[{}]:{}", self.0, self.1),
            false => format!("{}:{}", self.0, self.1),
        }
    }
}

macro_rules! by_display {
    ($($address:ty),*) => {$(
        impl ToAddress for $address {
            fn to_address(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
by_display!(SocketAddr, SocketAddrV4, SocketAddrV6);

macro_rules! by_pair {
    ($($ip:ty),*) => {$(
        impl ToAddress for ($ip, u16) {
            fn to_address(&self) -> String {
                SocketAddr::from((self.0, self.1)).to_string()
            }
        }
    )*};
}
by_pair!(IpAddr, Ipv4Addr, Ipv6Addr);
