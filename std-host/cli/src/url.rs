//! Where a server is: `tcp://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// What is spoken underneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
}

impl Scheme {
    const ALL: &[Self] = &[Self::Tcp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
        }
    }
}

/// A scheme and an address; a value that exists has both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    scheme: Scheme,
    /// `HOST:PORT`, an IPv6 address in brackets.
    address: String,
}

impl Url {
    pub(crate) fn new(scheme: Scheme, address: impl fmt::Display) -> Self {
        Self { scheme, address: address.to_string() }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.address)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, address)) = text.split_once("://") else {
            return Err(format!("a URL begins with a scheme: tcp://{text}"));
        };
        let Some(&scheme) = Scheme::ALL.iter().find(|known| known.name().eq_ignore_ascii_case(scheme)) else {
            let known: Vec<_> = Scheme::ALL.iter().map(|known| known.name()).collect();
            return Err(format!("no such scheme: {scheme}; there is {}", known.join(", ")));
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        let form = || format!("not of the form {}://HOST:PORT", scheme.name());
        let (host, port) = address.rsplit_once(':').ok_or_else(form)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let name = bracketed.unwrap_or(host);
        if name.is_empty() || name.contains(['[', ']', '/', '@', ' ']) {
            return Err(form());
        }
        if bracketed.is_none() && host.contains(':') {
            return Err(format!("an IPv6 address is in brackets: {}://[::1]:7000", scheme.name()));
        }
        match port.parse::<u16>() {
            Ok(1..) => Ok(Self::new(scheme, address)),
            _ => Err(format!("a port is a number from 1 to 65535, not {port:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_port() {
        for (text, address) in [
            ("tcp://127.0.0.1:7000", "127.0.0.1:7000"),
            ("TCP://example.org:1/", "example.org:1"),
            ("tcp://[::1]:65535", "[::1]:65535"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().address(), address);
        }
        let url: Url = "TCP://[::1]:7000/".parse().unwrap();
        assert_eq!(url.to_string(), "tcp://[::1]:7000");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, named) in [
            ("127.0.0.1:7000", "tcp://127.0.0.1:7000"),
            ("ftp://a:1", "ftp"),
            ("tcp://a", "tcp://HOST:PORT"),
            ("tcp://:7000", "tcp://HOST:PORT"),
            ("tcp://a/b:7000", "tcp://HOST:PORT"),
            ("tcp://::1:7000", "brackets"),
            ("tcp://a:0", "65535"),
            ("tcp://a:70000", "\"70000\""),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
