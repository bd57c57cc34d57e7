//! `Set-Cookie` as a client reads it (RFC 6265, 5.2), and the rules for a jar: which cookie goes where.
//!
//! Servers write this field in many ways, and the algorithm takes all of them; it fails only where RFC
//! 6265bis wants a client to forget the whole cookie. What needs to know more than the field, such as the
//! list of public suffixes or whether the response came over TLS, is the jar's.

use super::cookie::{Prefix, SameSite};
use super::text::{cut, trim_text};

/// The most bytes of name and value together (RFC 6265bis, 5.7).
const PAIR_MAX: usize = 4096;
/// The most bytes of an attribute's value; a longer one is passed over (RFC 6265bis, 5.6).
const ATTRIBUTE_MAX: usize = 1024;

/// A cookie that a server set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedCookie<'a> {
    /// Its name; not empty.
    pub name: &'a str,
    /// Its value, quotes and all: it is sent back as it came.
    pub value: &'a str,
    /// Seconds it lasts, which overrules `expires`. Zero or less: it is to be forgotten.
    pub max_age: Option<i64>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<i64>,
    /// The hosts it is for, without a leading dot: as [`domain_matches`] compares. None: only the host that set it.
    pub domain: Option<&'a str>,
    /// The paths it is for. None: the [`default_path`].
    pub path: Option<&'a str>,
    /// Only to be sent over TLS.
    pub secure: bool,
    /// Not for scripts.
    pub http_only: bool,
    /// To be kept apart for each site that embeds this one.
    pub partitioned: bool,
    /// With which requests of other sites it may be sent.
    pub same_site: Option<SameSite>,
}

/// Reads the value of a `Set-Cookie` field.
///
/// None if the cookie is to be forgotten: it has no name or no `=`, a control character, is not UTF-8, is
/// longer than 4,096 bytes, or does not keep what the `__Host-` or `__Secure-` in its name or `SameSite=None`
/// promises.
///
/// ```
/// use netloom_protocols::http1::set_cookie::parse_set_cookie;
///
/// let cookie = parse_set_cookie(b"lang=en; Expires=Wed, 09 Jun 2021 10:18:14 GMT; path=/").unwrap();
/// assert_eq!((cookie.name, cookie.value, cookie.path), ("lang", "en", Some("/")));
/// assert_eq!(cookie.expires, Some(1_623_233_894));
/// ```
pub fn parse_set_cookie(value: &[u8]) -> Option<ParsedCookie<'_>> {
    // RFC 6265bis, 5.6, step 1.
    if value.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t') {
        return None;
    }
    let text = str::from_utf8(value).ok()?;
    let mut parts = text.split(';');
    let (name, value) = cut(parts.next()?, b'=')?;
    let (name, value) = (trim_text(name), trim_text(value));
    if name.is_empty() || name.len() + value.len() > PAIR_MAX {
        return None;
    }
    let mut cookie = ParsedCookie {
        name,
        value,
        max_age: None,
        expires: None,
        domain: None,
        path: None,
        secure: false,
        http_only: false,
        partitioned: false,
        same_site: None,
    };
    for part in parts {
        let (name, value) = cut(part, b'=').unwrap_or((part, ""));
        let (name, value) = (trim_text(name), trim_text(value));
        if value.len() <= ATTRIBUTE_MAX {
            cookie.attribute(name, value);
        }
    }
    cookie.keeps_promises().then_some(cookie)
}

impl<'a> ParsedCookie<'a> {
    /// RFC 6265, 5.2.1 to 5.2.6: what is unknown or malformed is passed over, and the last one counts.
    fn attribute(&mut self, name: &str, value: &'a str) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("Expires") {
            self.expires = parse_date(value.as_bytes()).or(self.expires);
        } else if is("Max-Age") {
            self.max_age = parse_seconds(value).or(self.max_age);
        } else if is("Domain") {
            let domain = value.strip_prefix('.').unwrap_or(value);
            self.domain = (!domain.is_empty()).then_some(domain);
        } else if is("Path") {
            self.path = value.starts_with('/').then_some(value);
        } else if is("SameSite") {
            let known = [("Strict", SameSite::Strict), ("Lax", SameSite::Lax), ("None", SameSite::None)];
            let found = known.into_iter().find(|(name, _)| value.eq_ignore_ascii_case(name));
            self.same_site = found.map(|(_, same_site)| same_site);
        }
        self.secure |= is("Secure");
        self.http_only |= is("HttpOnly");
        self.partitioned |= is("Partitioned");
    }

    /// RFC 6265bis, 5.7.
    fn keeps_promises(&self) -> bool {
        let needs_secure = self.same_site == Some(SameSite::None) || self.partitioned;
        let kept = match Prefix::of(self.name) {
            Prefix::None => true,
            Prefix::Secure => self.secure,
            Prefix::Host => self.secure && self.domain.is_none() && self.path == Some("/"),
        };
        kept && (self.secure || !needs_secure)
    }
}

/// RFC 6265, 5.2.2. What no number can hold is as long as can be.
fn parse_seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let most = if digits.len() < text.len() { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(most))
}

/// The date in `text`, in seconds since 1970, by the tolerant algorithm of RFC 6265, 5.1.1.
fn parse_date(text: &[u8]) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|octet| is_date_delimiter(*octet)) {
        // A token is the first of these that it can be and that was not there yet.
        let _ = fill(&mut time, || parse_time(token))
            || fill(&mut day, || parse_number(token, 1..=2))
            || fill(&mut month, || parse_month(token))
            || fill(&mut year, || parse_number(token, 2..=4));
    }
    let (time, day, month) = (time?, day?, month?);
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    let exists = year >= 1601 && (1..=days_in(year, month)).contains(&day);
    exists.then(|| i64::from(days_since_1970(year, month, day)) * 86_400 + i64::from(time))
}

/// Fills an empty slot, and says whether it did.
fn fill(slot: &mut Option<i32>, parse: impl Fn() -> Option<i32>) -> bool {
    if slot.is_some() {
        return false;
    }
    *slot = parse();
    slot.is_some()
}

/// `delimiter` of RFC 6265, 5.1.1.
const fn is_date_delimiter(octet: u8) -> bool {
    matches!(octet, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e)
}

/// `hh:mm:ss` and whatever is no digit behind it, in seconds.
fn parse_time(token: &[u8]) -> Option<i32> {
    let mut parts = token.splitn(3, |octet| *octet == b':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if !whole(hours) || !whole(minutes) {
        return None;
    }
    let part = |part, limit| parse_number(part, 1..=2).filter(|n| *n < limit);
    Some(part(hours, 24)? * 3600 + part(minutes, 60)? * 60 + part(seconds, 60)?)
}

/// As many digits as `lens` says and whatever is no digit behind them.
fn parse_number(token: &[u8], lens: core::ops::RangeInclusive<usize>) -> Option<i32> {
    let len = token.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let value = || token[..len].iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    lens.contains(&len).then(value)
}

/// 1 to 12, by the first three letters.
fn parse_month(token: &[u8]) -> Option<i32> {
    let name = token.get(..3)?;
    let at =
        b"janfebmaraprmayjunjulaugsepoctnovdec".chunks(3).position(|month| month.eq_ignore_ascii_case(name));
    (1..).nth(at?)
}

const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i32, month: i32) -> i32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a date of the Gregorian calendar, counted in years that begin in March, so that the
/// leap day is a year's last.
const fn days_since_1970(year: i32, month: i32, day: i32) -> i32 {
    let year = year - (month <= 2) as i32;
    let month = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 719_469
}

/// Whether a cookie for `domain` goes to `host` (RFC 6265, 5.1.3): it is that host or one below it.
/// An address has none below it. Neither may be empty.
///
/// ```
/// use netloom_protocols::http1::set_cookie::domain_matches;
///
/// assert!(domain_matches("www.Example.com", "example.com"));
/// assert!(!domain_matches("badexample.com", "example.com"));
/// ```
pub fn domain_matches(host: &str, domain: &str) -> bool {
    if host.eq_ignore_ascii_case(domain) {
        return !host.is_empty();
    }
    let (host, domain) = (host.as_bytes(), domain.as_bytes());
    let Some(dot) = host.len().checked_sub(domain.len() + 1) else { return false };
    !domain.is_empty()
        && host[dot] == b'.'
        && host[dot + 1..].eq_ignore_ascii_case(domain)
        && !is_address(host)
}

/// A host whose last label is a number is an IPv4 address, whatever its form; no top-level domain is one.
fn is_address(host: &[u8]) -> bool {
    let last = host.rsplit(|octet| *octet == b'.').next().unwrap_or_default();
    last.iter().all(u8::is_ascii_digit) || host.contains(&b':')
}

/// Whether a cookie for `cookie_path` goes to `path`, that of a request (RFC 6265, 5.1.4).
///
/// ```
/// use netloom_protocols::http1::set_cookie::path_matches;
///
/// assert!(path_matches("/docs/a", "/docs") && path_matches("/docs/a", "/docs/"));
/// assert!(!path_matches("/docs-old", "/docs"));
/// ```
pub fn path_matches(path: &str, cookie_path: &str) -> bool {
    match path.strip_prefix(cookie_path) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'),
        None => false,
    }
}

/// The path of a cookie that was set without one (RFC 6265, 5.1.4): the directory of the request's target.
///
/// ```
/// assert_eq!(netloom_protocols::http1::set_cookie::default_path("/docs/a?b=/c"), "/docs");
/// ```
pub fn default_path(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    match path.rfind('/') {
        Some(last) if last > 0 && path.starts_with('/') => &path[..last],
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString as _;
    use std::vec::Vec;

    use super::*;
    use crate::http1::cookie::SetCookie;
    use crate::tests::Noise;

    fn parse(text: &str) -> Option<ParsedCookie<'_>> {
        parse_set_cookie(text.as_bytes())
    }

    fn date(text: &str) -> Option<i64> {
        parse_date(text.as_bytes())
    }

    #[test]
    fn a_cookie_has_what_it_was_set_with() {
        let cookie = parse(
            "SID=31d4; Path=/a; Domain=.example.com; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Secure; HttpOnly; \
             SameSite=lax; Partitioned",
        );
        let expected = ParsedCookie {
            name: "SID",
            value: "31d4",
            max_age: Some(60),
            expires: Some(1),
            domain: Some("example.com"),
            path: Some("/a"),
            secure: true,
            http_only: true,
            partitioned: true,
            same_site: Some(SameSite::Lax),
        };
        assert_eq!(cookie, Some(expected));
    }

    #[test]
    fn what_a_server_writes_a_client_reads() {
        let written = SetCookie::new("a", "b").and_then(|cookie| cookie.path("/x")?.domain("h.org")).unwrap();
        let text = written.max_age(7).http_only().same_site(SameSite::None).to_string();
        let read = parse(&text).unwrap();
        assert_eq!((read.name, read.value, read.path, read.domain), ("a", "b", Some("/x"), Some("h.org")));
        assert_eq!((read.max_age, read.secure, read.http_only), (Some(7), true, true));
        assert_eq!(read.same_site, Some(SameSite::None));
        let expired = SetCookie::expired("a").unwrap().to_string();
        assert_eq!(parse(&expired).unwrap().expires, Some(0));
    }

    #[test]
    fn names_and_values_are_taken_as_they_are() {
        for (text, name, value) in [
            ("a=b", "a", "b"),
            (" a = \"b c\" ;", "a", "\"b c\""),
            ("\ta\t=\tb\t", "a", "b"),
            ("a=b=c", "a", "b=c"),
            ("a=", "a", ""),
            ("a b=\u{e9},\\;x", "a b", "\u{e9},\\"),
        ] {
            let cookie = parse(text).unwrap();
            assert_eq!((cookie.name, cookie.value), (name, value), "{text}");
        }
        let long = std::format!("a={}", "b".repeat(PAIR_MAX - 1));
        assert!(parse(&long).is_some() && parse(&(long + "b")).is_none());
        for bad in ["", "a", "=a", " =a", ";a=b", "a=\0", "a=b; Path=/\r\n", "a=\x7f"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse_set_cookie(b"a=\xff"), None);
    }

    #[test]
    fn a_malformed_attribute_is_passed_over_and_the_last_one_counts() {
        let cookie = parse(
            "a=b; max-age=x; Max-Age=-; MAX-AGE=1x; expires=never; domain=; path=x; samesite=?; =; ;x=y",
        );
        let cookie = cookie.unwrap();
        assert_eq!((cookie.max_age, cookie.expires, cookie.domain, cookie.path), (None, None, None, None));
        assert_eq!((cookie.same_site, cookie.secure, cookie.http_only), (None, false, false));
        let cookie =
            parse("a=b; Path=/x; Path=/y; Domain=a; Domain=b; Max-Age=1; Max-Age=-5; secure=no").unwrap();
        assert_eq!((cookie.path, cookie.domain, cookie.max_age), (Some("/y"), Some("b"), Some(-5)));
        assert!(cookie.secure);
        assert_eq!(parse("a=b; Path=/x; Path=y").unwrap().path, None);
        assert_eq!(parse(&std::format!("a=b; Path=/{}", "x".repeat(1024))).unwrap().path, None);
        assert_eq!(parse(&std::format!("a=b; Max-Age={}", "9".repeat(30))).unwrap().max_age, Some(i64::MAX));
        assert_eq!(parse(&std::format!("a=b; Max-Age=-{}", "9".repeat(30))).unwrap().max_age, Some(i64::MIN));
    }

    #[test]
    fn a_cookie_that_breaks_its_promise_is_forgotten() {
        for bad in [
            "__Secure-a=b",
            "__secure-a=b; Path=/",
            "__Host-a=b; Path=/",
            "__Host-a=b; Secure",
            "__Host-a=b; Secure; Path=/x",
            "__Host-a=b; Secure; Path=/; Domain=h.org",
            "a=b; SameSite=None",
            "a=b; Partitioned",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for good in ["__Secure-a=b; Secure", "__Host-a=b; Secure; Path=/", "a=b; SameSite=None; Secure"] {
            assert!(parse(good).is_some(), "{good}");
        }
    }

    #[test]
    fn dates_are_read_in_every_form() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "06-nov-1994 8:49:37",
            "08:49:37 6 NOVEMBER 94",
            "1994 is no day 6th Nov, 08:49:37UTC",
        ] {
            assert_eq!(date(text), Some(784_111_777), "{text}");
        }
        for (text, seconds) in [
            ("1 Jan 1970 00:00:00", 0),
            ("1 Jan 70 00:00:00", 0),
            ("31 Dec 69 23:59:59", 3_155_759_999),
            ("29 Feb 2000 0:0:0", 951_782_400),
            ("1 Mar 2000 0:0:0", 951_868_800),
            ("28 Feb 1900 0:0:0", -2_203_977_600),
            ("1 Jan 1601 0:0:0", -11_644_473_600),
            ("31 Dec 9999 23:59:59", 253_402_300_799),
        ] {
            assert_eq!(date(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0 Jan 1970 00:00:00",
            "32 Jan 1970 00:00:00",
            "29 Feb 1900 00:00:00",
            "29 Feb 2001 00:00:00",
            "31 Apr 2001 00:00:00",
            "1 Jan 1600 00:00:00",
            "1 Jan 1970 24:00:00",
            "1 Jan 1970 00:60:00",
            "1 Jan 1970 00:00:60",
            "1 Jan 1970 00:00",
            "1 Jan 1970 000:00:00",
            "1 Jan 1970 a0:00:00",
            "1 Jan 00:00:00",
            "1 Jan 19700 00:00:00",
            "Jan 1970 00:00:00",
            "1 Foo 1970 00:00:00",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = days_since_1970(1601, 1, 1);
        for year in 1601..=2500 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(days_since_1970(year, month, day), expected);
                    expected += 1;
                }
            }
        }
        assert_eq!(days_since_1970(1970, 1, 1), 0);
    }

    #[test]
    fn a_domain_is_for_its_hosts() {
        for (host, domain) in
            [("a.b", "a.b"), ("A.b", "a.B"), ("x.y.a.b", "a.b"), ("1.2.3.4", "1.2.3.4"), ("[::1]", "[::1]")]
        {
            assert!(domain_matches(host, domain), "{host} {domain}");
        }
        for (host, domain) in [
            ("a.b", "x.a.b"),
            ("xa.b", "a.b"),
            ("1.2.3.4", "3.4"),
            ("[::1.2]", "2]"),
            ("a.b", ""),
            ("", ""),
            ("a.", ""),
            (".b", "a.b"),
            ("\u{e9}a", "a"),
        ] {
            assert!(!domain_matches(host, domain), "{host} {domain}");
        }
    }

    #[test]
    fn a_path_is_for_what_lies_below_it() {
        for (path, cookie) in
            [("/", "/"), ("/a", "/"), ("/a", "/a"), ("/a/b", "/a"), ("/a/", "/a/"), ("/a/b", "/a/")]
        {
            assert!(path_matches(path, cookie), "{path} {cookie}");
        }
        for (path, cookie) in [("/", "/a"), ("/ab", "/a"), ("/a", "/a/"), ("/A", "/a")] {
            assert!(!path_matches(path, cookie), "{path} {cookie}");
        }
        for (target, path) in [
            ("", "/"),
            ("x/y", "/"),
            ("*", "/"),
            ("/", "/"),
            ("/a", "/"),
            ("/a/", "/a"),
            ("/a/b/c?d/e", "/a/b"),
        ] {
            assert_eq!(default_path(target), path, "{target}");
        }
    }

    #[test]
    fn no_input_panics() {
        let pieces = [
            "a=b",
            ";",
            "=",
            "Expires=",
            "99",
            "Feb ",
            ":",
            "Max-Age=-",
            "Domain=.",
            "é",
            "\t",
            "__Host-",
            "Path=/",
        ];
        let mut noise = Noise::new(0x5eed);
        let mut read = 0;
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..12 {
                text.extend_from_slice(pieces[noise.below(pieces.len())].as_bytes());
            }
            read += usize::from(parse_set_cookie(&text).is_some());
            let at = noise.below(text.len());
            text[at] = noise.below(256) as u8;
            let _ = parse_set_cookie(&text);
            let _ = parse_date(&text);
        }
        assert!(read > 100, "{read}");
    }
}
