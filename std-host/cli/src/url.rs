//! Where a server is: `tcp://HOST:PORT`, `ws://HOST[:PORT][/PATH]`, `http://HOST[:PORT][/PATH]`, secured by TLS `tls://`,
//! `wss://`, `https://`, or over QUIC `quic://HOST:PORT[/APPLICATION]`.

use std::fmt;
use std::str::FromStr;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    Ws,
    Http,
}

impl Scheme {
    const ALL: &[Self] = &[Self::Tcp, Self::Ws, Self::Http];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ws => "ws",
            Self::Http => "http",
        }
    }

    /// Its name where TLS secures it. (QUIC is always secured.)
    pub(crate) const fn secured(self) -> &'static str {
        match self {
            Self::Tcp => "tls",
            Self::Ws => "wss",
            Self::Http => "https",
        }
    }

    const fn named(self, by: By) -> &'static str {
        match by {
            By::Plain => self.name(),
            By::Tls => self.secured(),
            By::Quic => "quic",
        }
    }

    /// RFC 9110, 4.2.1 and 4.2.2; RFC 6455, 3.
    const fn port(self, by: By) -> Option<u16> {
        match (self, by) {
            (Self::Tcp, _) => None,
            (Self::Ws | Self::Http, By::Plain) => Some(80),
            (Self::Ws | Self::Http, _) => Some(443),
        }
    }

    const fn form(self, by: By) -> &'static str {
        match (self, by) {
            (Self::Tcp, By::Quic) => "HOST:PORT[/APPLICATION]",
            (Self::Tcp, _) => "HOST:PORT",
            (Self::Ws | Self::Http, _) => "HOST[:PORT][/PATH]",
        }
    }
}

/// What carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// TCP.
    Plain,
    /// TLS over TCP.
    Tls,
    /// A stream of QUIC, for frames and lines.
    Quic,
}

/// A scheme, an address, and for HTTP and WebSocket what is asked for there; a value that exists has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    scheme: Scheme,
    by: By,
    /// `HOST:PORT`, an IPv6 address in brackets.
    address: String,
    /// `HOST`, with the port if that is not the scheme's.
    authority: String,
    /// The path and the query, as they are sent; empty without.
    target: String,
}

impl Url {
    /// What is at an address: all of it, or the path `/`.
    pub(crate) fn new(scheme: Scheme, address: impl fmt::Display) -> Self {
        let target = if scheme == Scheme::Tcp { "" } else { "/" };
        Self {
            scheme,
            by: By::Plain,
            address: address.to_string(),
            authority: address.to_string(),
            target: target.to_owned(),
        }
    }

    /// The same by that.
    pub(crate) fn carried(mut self, by: By) -> Self {
        self.by = by;
        self
    }

    /// What carries it.
    pub(crate) fn by(&self) -> By {
        self.by
    }

    /// Whether somebody must be trusted.
    pub(crate) fn is_secure(&self) -> bool {
        self.by != By::Plain
    }

    /// The scheme as it is written.
    pub(crate) fn scheme_name(&self) -> &'static str {
        self.scheme.named(self.by)
    }

    /// `HOST`, an IPv6 address in brackets.
    pub(crate) fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or(&self.address, |(host, _)| host)
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// RFC 9110, 7.2: what stands in `Host`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// RFC 9112, 3.2.1: what stands in the request line.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme_name(), self.authority, self.target)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("a URL begins with a scheme: tcp://{text} or http://{text}"));
        };
        let secured = || Scheme::ALL.iter().flat_map(|known| [(*known, By::Plain), (*known, By::Tls)]);
        let ways = || secured().chain([(Scheme::Tcp, By::Quic)]);
        let is_meant = |(known, by): &(Scheme, By)| known.named(*by).eq_ignore_ascii_case(scheme);
        let Some((scheme, by)) = ways().find(is_meant) else {
            let known: Vec<_> = ways().map(|(known, by)| known.named(by)).collect();
            return Err(format!("no such scheme: {scheme}; there are {}", known.join(", ")));
        };
        let default = scheme.port(by);
        let (authority, target) = match scheme {
            Scheme::Tcp if by == By::Quic => {
                let (authority, application) = rest.split_once('/').unwrap_or((rest, ""));
                (authority, self::application(application)?)
            }
            Scheme::Tcp => (rest.strip_suffix('/').unwrap_or(rest), String::new()),
            Scheme::Ws | Scheme::Http => {
                let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                (authority, self::target(target)?)
            }
        };
        let form = || format!("not of the form {}://{}", scheme.named(by), scheme.form(by));
        if authority.contains('@') {
            return Err(format!("{}; names and passwords do not stand in it", form()));
        }
        let (host, port) = match (authority.rsplit_once(':'), default) {
            (Some((host, "")), Some(default)) => (host, Port::Default(default)),
            // The last colon may be one of the address.
            (Some((_, end)), Some(default)) if end.ends_with(']') => (authority, Port::Default(default)),
            (None, Some(default)) => (authority, Port::Default(default)),
            (Some((host, port)), _) => (host, Port::Given(port)),
            (None, None) => return Err(form()),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let name = bracketed.unwrap_or(host);
        if name.is_empty() || name.contains(['[', ']', '/', '@', ' ']) {
            return Err(form());
        }
        if bracketed.is_none() && host.contains(':') {
            return Err(format!("an IPv6 address is in brackets: {}://[::1]:7000", scheme.named(by)));
        }
        let port = port.number()?;
        let authority = match default == Some(port) {
            true => host.to_owned(),
            false => format!("{host}:{port}"),
        };
        Ok(Self { scheme, by, address: format!("{host}:{port}"), authority, target })
    }
}

enum Port<'a> {
    Default(u16),
    Given(&'a str),
}

impl Port<'_> {
    fn number(&self) -> Result<u16, String> {
        match *self {
            Self::Default(port) => Ok(port),
            Self::Given(text) => match text.parse() {
                Ok(port @ 1..) => Ok(port),
                _ => Err(format!("a port is a number from 1 to 65535, not {text:?}")),
            },
        }
    }
}

/// What of several applications: with the slash before it, or nothing.
fn application(name: &str) -> Result<String, String> {
    match name {
        "" => Ok(String::new()),
        name if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') => {
            Ok(format!("/{name}"))
        }
        name => Err(format!("an application is named by small letters, digits and -, not {name:?}")),
    }
}

/// What is asked for: a fragment is not for servers (RFC 9110, 4.2.5), and no path is `/`.
fn target(text: &str) -> Result<String, String> {
    let text = text.split_once('#').map_or(text, |(front, _)| front);
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let mut bytes = [0; 4];
        let escaped: String =
            bad.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
        return Err(format!("{bad:?} in a path or query is written {escaped}"));
    }
    Ok(if text.starts_with('/') { text.to_owned() } else { format!("/{text}") })
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
    fn a_url_of_http_has_a_port_and_a_path_also_if_it_does_not_say_so() {
        for (text, address, authority, target) in [
            ("http://example.org", "example.org:80", "example.org", "/"),
            ("HTTP://example.org:80/", "example.org:80", "example.org", "/"),
            ("http://example.org:/a", "example.org:80", "example.org", "/a"),
            ("http://127.0.0.1:8080/a?b=c:d@e", "127.0.0.1:8080", "127.0.0.1:8080", "/a?b=c:d@e"),
            ("http://[::1]", "[::1]:80", "[::1]", "/"),
            ("http://[::1]:8080?q#fragment", "[::1]:8080", "[::1]:8080", "/?q"),
            ("http://a#b", "a:80", "a", "/"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (url.address(), url.authority(), url.target()),
                (address, authority, target),
                "{text}"
            );
            assert_eq!(url.to_string(), format!("http://{authority}{target}"));
        }
    }

    #[test]
    fn what_tls_secures_has_schemes_and_ports_of_its_own() {
        for (text, address, authority, plain) in [
            ("tls://a:7443", "a:7443", "a:7443", "tcp"),
            ("https://a", "a:443", "a", "http"),
            ("HTTPS://a:443/", "a:443", "a", "http"),
            ("https://[::1]:80/", "[::1]:80", "[::1]:80", "http"),
            ("wss://a/chat", "a:443", "a", "ws"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.address(), url.authority(), url.scheme().name()), (address, authority, plain));
            assert!(url.is_secure() && url.to_string().starts_with(url.scheme().secured()), "{url}");
        }
    }

    #[test]
    fn a_url_of_quic_may_name_an_application() {
        for (text, address, target, written) in [
            ("quic://a:7443", "a:7443", "", "quic://a:7443"),
            ("QUIC://[::1]:7443/", "[::1]:7443", "", "quic://[::1]:7443"),
            ("quic://a:1/chat", "a:1", "/chat", "quic://a:1/chat"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.address(), url.target(), url.by()), (address, target, By::Quic));
            assert_eq!((url.scheme(), url.is_secure()), (Scheme::Tcp, true));
            assert_eq!(url.to_string(), written);
        }
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
            ("tls://a", "tls://HOST:PORT"),
            ("https://", "https://HOST"),
            ("ws://", "ws://HOST"),
            ("ws://name:word@a/", "passwords"),
            ("http://", "http://HOST"),
            ("quic://a", "quic://HOST:PORT"),
            ("quic://a:1/B", "small letters"),
            ("http:///a", "http://HOST"),
            ("http://:80/a", "http://HOST"),
            ("http://::1/", "brackets"),
            ("http://a:0/", "65535"),
            ("http://a:b/", "\"b\""),
            ("http://name:word@a/", "passwords"),
            ("http://a/b c", "%20"),
            ("http://a/\u{fc}", "%C3%BC"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
