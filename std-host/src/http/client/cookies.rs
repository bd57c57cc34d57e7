//! What servers want to be told again (RFC 6265), in memory.
//!
//! There is no list of public suffixes: a cookie for a whole domain must be for one of two labels or more. So a server
//! under `co.uk` may set a cookie for all of `co.uk`; for a client that keeps company with rival servers there, keep a
//! client per server.

use std::sync::{Mutex, PoisonError};

use ::http::HeaderValue;
use netloom_protocols::http1::set_cookie::{
    ParsedCookie, default_path, domain_matches, parse_set_cookie, path_matches,
};

use super::pool::Origin;

/// RFC 6265, 6.1: at least 50 a domain and 3,000 in all.
const PER_DOMAIN_MAX: usize = 180;
const MAX: usize = 3000;

#[derive(Debug, Default)]
pub(super) struct Jar {
    /// In the order in which they were first set.
    cookies: Mutex<Vec<Cookie>>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Only for the host itself: the cookie named no domain.
    host_only: bool,
    path: String,
    /// Seconds since 1970; never for those that last as long as the client.
    until: i64,
    is_secure: bool,
}

impl Jar {
    /// Keeps what a response has set.
    pub(super) fn store<'a>(
        &self,
        origin: &Origin,
        path: &str,
        fields: impl Iterator<Item = &'a [u8]>,
        now: i64,
    ) {
        let mut fields = fields.peekable();
        if fields.peek().is_none() {
            return;
        }
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.retain(|cookie| cookie.until > now);
        for cookie in fields.filter_map(parse_set_cookie) {
            let Some(cookie) = Cookie::new(&cookie, origin, path, now) else { continue };
            // RFC 6265, 5.3, step 11: it keeps the place of the one it replaces.
            match cookies.iter_mut().find(|old| old.is_same(&cookie)) {
                Some(old) => *old = cookie,
                None => {
                    make_room(&mut cookies, &cookie.domain);
                    cookies.push(cookie);
                }
            }
        }
        cookies.retain(|cookie| cookie.until > now);
    }

    /// The Cookie field of a request, if there is something to say.
    pub(super) fn cookies(&self, origin: &Origin, path: &str, now: i64) -> Option<HeaderValue> {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fitting: Vec<&Cookie> =
            cookies.iter().filter(|cookie| cookie.until > now && cookie.goes_to(origin, path)).collect();
        // RFC 6265, 5.4: longer paths first, then the older ones.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        // Bytes, because a value that is not ASCII is legal, and one that is not would be none of all of them.
        let value = HeaderValue::try_from(pairs.join("; ").into_bytes()).ok();
        let mut value = value.filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The oldest go.
fn make_room(cookies: &mut Vec<Cookie>, domain: &str) {
    let same = cookies.iter().filter(|cookie| cookie.domain == domain).count();
    let gone = match same >= PER_DOMAIN_MAX {
        true => cookies.iter().position(|cookie| cookie.domain == domain),
        false => (cookies.len() >= MAX).then_some(0),
    };
    gone.map(|at| cookies.remove(at));
}

impl Cookie {
    /// RFC 6265, 5.3. `None` if it is not the origin's to set.
    fn new(cookie: &ParsedCookie<'_>, origin: &Origin, path: &str, now: i64) -> Option<Self> {
        // RFC 6265bis, 5.7: who is not secure does not set, nor replace, what is.
        if cookie.secure && !origin.is_secure {
            return None;
        }
        let domain = match cookie.domain {
            Some(domain) if !domain_matches(&origin.host, domain) => return None,
            // What is no domain but the host itself is the host's alone.
            Some(domain) if domain.contains('.') && !origin.host.eq_ignore_ascii_case(domain) => Some(domain),
            Some(domain) if origin.host.eq_ignore_ascii_case(domain) => {
                domain.contains('.').then_some(domain)
            }
            Some(_) => return None,
            None => None,
        };
        let until = match (cookie.max_age, cookie.expires) {
            (Some(seconds), _) => now.saturating_add(seconds),
            (None, Some(until)) => until,
            (None, None) => i64::MAX,
        };
        Some(Self {
            name: cookie.name.to_owned(),
            value: cookie.value.to_owned(),
            domain: domain.unwrap_or(&origin.host).to_ascii_lowercase(),
            host_only: domain.is_none(),
            path: cookie.path.unwrap_or_else(|| default_path(path)).to_owned(),
            until,
            is_secure: cookie.secure,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.domain == other.domain && self.path == other.path
    }

    fn goes_to(&self, origin: &Origin, path: &str) -> bool {
        let is_for_host = match self.host_only {
            true => origin.host == self.domain,
            false => domain_matches(&origin.host, &self.domain),
        };
        is_for_host && path_matches(path, &self.path) && (origin.is_secure || !self.is_secure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    fn set(jar: &Jar, url: &str, cookie: &str, now: i64) {
        let path = url.parse::<::http::Uri>().unwrap().path().to_owned();
        jar.store(&origin(url), &path, [cookie.as_bytes()].into_iter(), now);
    }

    fn sent(jar: &Jar, url: &str, now: i64) -> String {
        let path = url.parse::<::http::Uri>().unwrap().path().to_owned();
        jar.cookies(&origin(url), &path, now)
            .map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_goes_where_it_is_for() {
        for (from, cookie, to, goes) in [
            ("http://a.example/x/y", "n=v", "http://a.example/x/z", true),
            ("http://a.example/x/y", "n=v", "http://a.example/x", true),
            ("http://a.example/x/y", "n=v", "http://a.example/", false),
            ("http://a.example/x/y", "n=v; path=/", "http://a.example:81/", true),
            ("http://a.example/", "n=v", "http://b.a.example/", false),
            ("http://a.example/", "n=v", "http://example/", false),
            ("http://a.example/", "n=v; domain=a.example", "http://b.a.example/", true),
            ("http://b.a.example/", "n=v; domain=a.example", "http://c.a.example/", true),
            ("http://a.example/", "n=v; domain=example", "http://a.example/", false),
            ("http://a.example/", "n=v; domain=b.example", "http://b.example/", false),
            ("http://localhost/", "n=v; domain=localhost", "http://localhost/", true),
            ("http://localhost/", "n=v; domain=localhost", "http://x.localhost/", false),
            ("http://127.0.0.1/", "n=v; domain=127.0.0.1", "http://127.0.0.1/", true),
            ("http://127.0.0.1/", "n=v; domain=0.0.1", "http://127.0.0.1/", false),
            ("https://a.example/", "n=v; secure", "https://a.example/", true),
            ("https://a.example/", "n=v; secure", "http://a.example/", false),
            ("http://a.example/", "n=v; secure", "https://a.example/", false),
        ] {
            let jar = Jar::default();
            set(&jar, from, cookie, 0);
            assert_eq!(sent(&jar, to, 0), if goes { "n=v" } else { "" }, "{cookie} of {from} to {to}");
        }
    }

    #[test]
    fn a_cookie_ends_when_its_time_is_over_and_can_be_replaced_or_taken_back() {
        let (jar, url) = (Jar::default(), "http://a.example/");
        set(&jar, url, "a=1; max-age=10", 100);
        set(&jar, url, "b=2; expires=Thu, 01 Jan 1970 00:01:45 GMT", 100);
        set(&jar, url, "c=3", 100);
        assert_eq!(sent(&jar, url, 104), "a=1; b=2; c=3");
        assert_eq!(sent(&jar, url, 105), "a=1; c=3");
        set(&jar, url, "a=4", 106);
        assert_eq!(sent(&jar, url, 1000), "a=4; c=3");
        set(&jar, url, "c=; max-age=0", 1000);
        assert_eq!(sent(&jar, url, 1000), "a=4");
    }

    #[test]
    fn longer_paths_come_first() {
        let jar = Jar::default();
        for cookie in ["a=1; path=/", "b=2; path=/x", "c=3; path=/x"] {
            set(&jar, "http://a.example/", cookie, 0);
        }
        assert_eq!(sent(&jar, "http://a.example/x/y", 0), "b=2; c=3; a=1");
    }

    #[test]
    fn a_cookie_does_not_keep_others_from_being_sent() {
        let (jar, url) = (Jar::default(), "http://a.example/");
        set(&jar, url, "session=1", 0);
        set(&jar, url, "name=Bär", 0);
        let field = jar.cookies(&origin(url), "/", 0).unwrap();
        assert_eq!(field.as_bytes(), "session=1; name=Bär".as_bytes());
    }

    #[test]
    fn the_jar_has_limits() {
        let jar = Jar::default();
        for n in 0..200 {
            set(&jar, "http://a.example/", &format!("n{n}=v"), 0);
        }
        let field = sent(&jar, "http://a.example/", 0);
        assert!(
            !field.contains("n19=") && field.starts_with("n20=v") && field.ends_with("n199=v"),
            "{field}"
        );
        for n in 0..3000 {
            set(&jar, &format!("http://h{n}.example/"), "n=v", 0);
        }
        assert_eq!(jar.cookies.lock().unwrap().len(), MAX);
        assert_eq!(sent(&jar, "http://a.example/", 0), "");
    }
}
