//! Cookies (RFC 6265): reading `Cookie` and writing `Set-Cookie`, as a server does.
//!
//! What is written is always within the grammar of RFC 6265, 4.1.1 and keeps the rules browsers have added
//! (RFC 6265bis): `SameSite=None` and `Partitioned` come with `Secure`, and a `__Host-` or `__Secure-` name
//! with what it promises. What a client needs is in [`set_cookie`](super::set_cookie).

use core::fmt;

use netloom_core::{Code, Result};

use super::text::{is_token, trim};

/// The cookies in the value of a `Cookie` field: name and value, in order, without quotes.
///
/// Whoever wrote a cookie that is not within the grammar (RFC 6265, 4.1.1: a token and visible ASCII without
/// quotes, commas, semicolons and backslashes) is not here to be told, so it is passed over. Values are not
/// percent-decoded.
///
/// ```
/// use netloom_protocols::http1::cookie::cookies;
///
/// let mut found = cookies(b"id=31d4; bad value=1; theme=\"dark\"");
/// assert_eq!(found.next(), Some(("id", "31d4")));
/// assert_eq!(found.next(), Some(("theme", "dark")));
/// assert_eq!(found.next(), None);
/// ```
pub fn cookies(value: &[u8]) -> impl Iterator<Item = (&str, &str)> + Clone {
    value.split(|octet| *octet == b';').filter_map(|pair| {
        let equals = pair.iter().position(|octet| *octet == b'=')?;
        let (name, value) = (trim(&pair[..equals]), trim(&pair[equals + 1..]));
        let value = match value {
            [b'"', inner @ .., b'"'] => inner,
            bare => bare,
        };
        let sound = is_token(name) && value.iter().copied().all(is_cookie_octet);
        sound.then_some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?))
    })
}

/// `cookie-octet` of RFC 6265, 4.1.1.
const fn is_cookie_octet(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'"' | b',' | b';' | b'\\')
}

/// When a browser sends a cookie with requests that come from other sites (RFC 6265bis, 5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    Lax,
    /// Always; needs `Secure`.
    None,
}

/// A cookie to be set: its [`Display`](fmt::Display) writes the value of a `Set-Cookie` field.
///
/// What cannot be written cannot be made. Values with other octets go through
/// [`Escape`](super::escaped::Escape) first.
///
/// ```
/// use netloom_protocols::http1::cookie::{SameSite, SetCookie};
///
/// let cookie = SetCookie::new("id", "31d4")?.path("/")?.max_age(3600).http_only().same_site(SameSite::Lax);
/// assert_eq!(cookie.to_string(), "id=31d4; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SetCookie<'a> {
    name: &'a str,
    value: &'a str,
    path: Option<&'a str>,
    domain: Option<&'a str>,
    max_age: Option<u32>,
    same_site: Option<SameSite>,
    secure: bool,
    http_only: bool,
    partitioned: bool,
}

impl<'a> SetCookie<'a> {
    /// A cookie that lasts until the browser is closed. A name that begins with `__Secure-` or `__Host-` has
    /// `Secure`, and `__Host-` has `Path=/`, because browsers drop it without.
    ///
    /// # Errors
    /// [`Code::Unsupported`]: the name is no token, or the value has an octet that no cookie can have.
    pub fn new(name: &'a str, value: &'a str) -> Result<Self> {
        if !is_token(name.as_bytes()) || !value.bytes().all(is_cookie_octet) {
            return Err(Code::Unsupported.into());
        }
        let prefix = Prefix::of(name);
        Ok(Self {
            name,
            value,
            path: (prefix == Prefix::Host).then_some("/"),
            domain: None,
            max_age: None,
            same_site: None,
            secure: prefix != Prefix::None,
            http_only: false,
            partitioned: false,
        })
    }

    /// A cookie that makes the browser forget the one of that name. Path and domain must be those it was set
    /// with.
    ///
    /// # Errors
    /// [`Code::Unsupported`]: the name is no token.
    pub fn expired(name: &'a str) -> Result<Self> {
        Ok(Self::new(name, "")?.max_age(0))
    }

    /// Sent only for paths that begin so. Without it: for the directory of the request's path.
    ///
    /// # Errors
    /// [`Code::Unsupported`]: it does not begin with `/`, has a control or a semicolon, is not ASCII, or is
    /// not `/` though the name begins with `__Host-`.
    pub fn path(self, path: &'a str) -> Result<Self> {
        let sound = path.starts_with('/') && path.bytes().all(is_attribute_octet);
        let promised = Prefix::of(self.name) != Prefix::Host || path == "/";
        match sound && promised {
            true => Ok(Self { path: Some(path), ..self }),
            false => Err(Code::Unsupported.into()),
        }
    }

    /// Sent to that host and all below it. Without it: only to the host that set it.
    ///
    /// # Errors
    /// [`Code::Unsupported`]: it is empty, not made of letters, digits, hyphens and dots, or the name begins
    /// with `__Host-`.
    pub fn domain(self, domain: &'a str) -> Result<Self> {
        let mut octets = domain.bytes();
        let sound = !domain.is_empty()
            && octets.all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.'));
        match sound && Prefix::of(self.name) != Prefix::Host {
            true => Ok(Self { domain: Some(domain), ..self }),
            false => Err(Code::Unsupported.into()),
        }
    }

    /// Lasts that many seconds; zero expires it. (Browsers cap it at 400 days.)
    pub const fn max_age(mut self, seconds: u32) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// Not shown to scripts.
    pub const fn http_only(mut self) -> Self {
        self.http_only = true;
        self
    }

    /// Sent only over TLS.
    pub const fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// Sent with which requests of other sites. `None` makes it secure, because browsers drop it otherwise.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self.secure |= matches!(same_site, SameSite::None);
        self
    }

    /// Kept apart for each site that embeds this one (CHIPS). Makes it secure, as browsers demand.
    pub const fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self.secure = true;
        self
    }
}

impl fmt::Display for SetCookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut put = |parts: &[&str]| parts.iter().try_for_each(|part| f.write_str(part));
        put(&[self.name, "=", self.value])?;
        if let Some(path) = self.path {
            put(&["; Path=", path])?;
        }
        if let Some(domain) = self.domain {
            put(&["; Domain=", domain])?;
        }
        match self.max_age {
            None => {}
            // RFC 6265, 4.1.1: Max-Age does not begin with a zero.
            Some(0) => put(&["; Expires=Thu, 01 Jan 1970 00:00:00 GMT"])?,
            Some(seconds) => write!(f, "; Max-Age={seconds}")?,
        }
        let same_site = match self.same_site {
            None => "",
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
        };
        let flag = |set, text| if set { text } else { "" };
        f.write_str(flag(self.secure, "; Secure"))?;
        f.write_str(flag(self.http_only, "; HttpOnly"))?;
        f.write_str(same_site)?;
        f.write_str(flag(self.partitioned, "; Partitioned"))
    }
}

/// `path-value` of RFC 6265, 4.1.1, and ASCII.
const fn is_attribute_octet(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && octet != b';'
}

/// What a name promises (RFC 6265bis, 4.1.3). Browsers compare without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    None,
    Secure,
    Host,
}

impl Prefix {
    pub(crate) fn of(name: &str) -> Self {
        let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix));
        match (begins("__Host-"), begins("__Secure-")) {
            (true, _) => Self::Host,
            (_, true) => Self::Secure,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString as _;
    use std::vec::Vec;

    use netloom_core::Fault;

    use super::*;

    fn read(value: &str) -> Vec<(&str, &str)> {
        cookies(value.as_bytes()).collect()
    }

    #[test]
    fn cookies_are_read_in_order() {
        // RFC 6265, 3.1.
        assert_eq!(
            read("SID=31d4d96e407aad42; lang=en-US"),
            [("SID", "31d4d96e407aad42"), ("lang", "en-US")]
        );
        assert_eq!(read("a=1;b=2 ;\tc = 3;;"), [("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(read("a=; b=\"\"; c=\"x\"; a=b=c"), [("a", ""), ("b", ""), ("c", "x"), ("a", "b=c")]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn a_malformed_cookie_is_passed_over_alone() {
        for bad in [
            "x",
            "=x",
            "a b=x",
            "a=x y",
            "a=x,y",
            "a=\\",
            "a=\"",
            "a=\"x",
            "a=x\"y",
            "a=\u{e9}",
            "\u{e9}=a",
            "a=\x7f",
            "a=\0",
            "a=\r\n",
            "(a)=1",
            "a=\"x y\"",
        ] {
            assert_eq!(read(&std::format!("b=1; {bad}; c=2")), [("b", "1"), ("c", "2")], "{bad}");
        }
        assert_eq!(cookies(b"a=\xff;b=1;\xff").collect::<Vec<_>>(), [("b", "1")]);
    }

    #[test]
    fn a_cookie_is_written_with_what_was_asked_for() -> Result<()> {
        for (cookie, text) in [
            (SetCookie::new("SID", "31d4")?, "SID=31d4"),
            (SetCookie::new("a", "")?.secure().http_only(), "a=; Secure; HttpOnly"),
            (
                SetCookie::new("a", "b")?.path("/x y")?.domain("example.com")?.max_age(1),
                "a=b; Path=/x y; Domain=example.com; Max-Age=1",
            ),
            (SetCookie::new("a", "b")?.same_site(SameSite::Strict), "a=b; SameSite=Strict"),
            (SetCookie::new("a", "b")?.same_site(SameSite::Lax), "a=b; SameSite=Lax"),
            (SetCookie::new("a", "b")?.same_site(SameSite::None), "a=b; Secure; SameSite=None"),
            (SetCookie::new("a", "b")?.partitioned(), "a=b; Secure; Partitioned"),
            (SetCookie::expired("a")?, "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
            (SetCookie::new("__Secure-a", "b")?.path("/x")?, "__Secure-a=b; Path=/x; Secure"),
            (SetCookie::new("__Host-a", "b")?.path("/")?, "__Host-a=b; Path=/; Secure"),
            (SetCookie::new("__hOST-a", "b")?, "__hOST-a=b; Path=/; Secure"),
        ] {
            assert_eq!(cookie.to_string(), text);
        }
        Ok(())
    }

    #[test]
    fn what_no_cookie_can_have_is_refused_and_our_fault() -> Result<()> {
        for name in ["", "a b", "a=", "a;", "\u{e9}", "a\r\n"] {
            assert_eq!(SetCookie::new(name, "").unwrap_err(), Code::Unsupported, "{name}");
            assert_eq!(SetCookie::expired(name).unwrap_err().fault(), Fault::Local, "{name}");
        }
        for value in ["a b", "a;b", "a,b", "\"a\"", "\\", "\u{e9}", "\r\nSet-Cookie: x=y", "\0"] {
            assert_eq!(SetCookie::new("a", value).unwrap_err(), Code::Unsupported, "{value}");
        }
        let (cookie, host) = (SetCookie::new("a", "b")?, SetCookie::new("__Host-a", "b")?);
        for path in ["", "x", "/;", "/\n", "/\u{e9}"] {
            assert_eq!(cookie.path(path).unwrap_err(), Code::Unsupported, "{path}");
        }
        for domain in ["", "a b", "a;", "a/", "\u{e9}.com", "a\n"] {
            assert_eq!(cookie.domain(domain).unwrap_err(), Code::Unsupported, "{domain}");
        }
        assert_eq!(host.path("/x").unwrap_err(), Code::Unsupported);
        assert_eq!(host.domain("example.com").unwrap_err(), Code::Unsupported);
        Ok(())
    }

    #[test]
    fn what_is_written_is_read_again() -> Result<()> {
        let all: Vec<u8> = (0..=255).filter(|octet| is_cookie_octet(*octet)).collect();
        // RFC 6265, 4.1.1: %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E
        assert_eq!(all.len(), 1 + 9 + 14 + 32 + 34);
        let all = str::from_utf8(&all).unwrap();
        let text = SetCookie::new("all", all)?.to_string();
        assert_eq!(read(&text), [("all", all)]);
        Ok(())
    }
}
