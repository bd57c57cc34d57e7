//! Where a redirect leads, and with what: the rules of browsers (Fetch, 4.4) where RFC 9110, 15.4 leaves a choice.

use ::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE,
    COOKIE, EXPECT, HOST, PROXY_AUTHORIZATION,
};
use ::http::{HeaderMap, Method, StatusCode, Uri};

use super::pool::Origin;

/// The request that a redirect asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) method: Method,
    pub(crate) url: Uri,
    /// The content goes along.
    pub(crate) keeps_content: bool,
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The location is no URL of ours.
    Malformed,
    /// What came encrypted would go on in the clear.
    Downgrade,
}

/// What follows a response; `None` if it is no redirect.
pub(crate) fn next(
    status: StatusCode,
    method: &Method,
    url: &Uri,
    location: Option<&[u8]>,
) -> Option<Result<Next, Refused>> {
    let location = location?;
    let (method, keeps_content) = match status.as_u16() {
        301 | 302 if *method == Method::POST => (Method::GET, false),
        303 if *method != Method::GET && *method != Method::HEAD => (Method::GET, false),
        301 | 302 | 303 | 307 | 308 => (method.clone(), true),
        _ => return None,
    };
    let Some(target) = resolve(url, location) else { return Some(Err(Refused::Malformed)) };
    let (from, to) = (Origin::of(url), Origin::of(&target));
    Some(match (from, to) {
        (_, None) => Err(Refused::Malformed),
        (Some(from), Some(to)) if from.is_secure && !to.is_secure => Err(Refused::Downgrade),
        _ => Ok(Next { method, url: target, keeps_content }),
    })
}

/// Takes away what does not go along from one URL to the next.
pub(crate) fn strip(headers: &mut HeaderMap, from: &Uri, next: &Next) {
    headers.remove(HOST);
    if !next.keeps_content {
        for name in
            [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, EXPECT]
        {
            headers.remove(name);
        }
    }
    // What one origin was told in confidence is not for another.
    if Origin::of(from) != Origin::of(&next.url) {
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            headers.remove(name);
        }
    }
}

/// RFC 3986, 5.2.2. The fragment is not for servers.
fn resolve(base: &Uri, reference: &[u8]) -> Option<Uri> {
    let reference = escape(reference);
    let reference = reference.split_once('#').map_or(&*reference, |(front, _)| front);
    let (scheme, authority) = (base.scheme_str()?, base.authority()?.as_str());
    if let Some(rest) = reference.strip_prefix("//") {
        return normalized(scheme, rest);
    }
    if let Some((scheme, rest)) = reference.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
        return normalized(scheme, rest.strip_prefix("//")?);
    }
    let path = base.path();
    match reference.as_bytes() {
        [] => Some(base.clone()),
        [b'/', ..] => normalized(scheme, &format!("{authority}{reference}")),
        [b'?', ..] => normalized(scheme, &format!("{authority}{path}{reference}")),
        _ => {
            let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
            normalized(scheme, &format!("{authority}{folder}{reference}"))
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The URL of an authority and what follows, its path without dot segments (RFC 3986, 5.2.4).
fn normalized(scheme: &str, rest: &str) -> Option<Uri> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut url = format!("{scheme}://{authority}");
    url.push_str(&without_dots(path));
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url.parse().ok()
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | "%2e" | "%2E" => {}
            ".." | ".%2e" | "%2e." | "%2e%2e" | ".%2E" | "%2E." | "%2E%2E" => _ = kept.pop(),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// What no URL may hold is escaped, as browsers do: locations in UTF-8 or with spaces are common.
fn escape(reference: &[u8]) -> String {
    let mut text = String::with_capacity(reference.len());
    for byte in reference.trim_ascii() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(byte) => text.push(char::from(*byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://a.example/b/c/d?q";

    fn resolved(base: &str, reference: &str) -> Option<String> {
        resolve(&base.parse().unwrap(), reference.as_bytes()).map(|url| url.to_string())
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_says() {
        for (reference, url) in [
            ("g", "http://a.example/b/c/g"),
            ("./g", "http://a.example/b/c/g"),
            ("g/", "http://a.example/b/c/g/"),
            ("/g", "http://a.example/g"),
            ("//g", "http://g/"),
            ("//g:8080?y", "http://g:8080/?y"),
            ("?y", "http://a.example/b/c/d?y"),
            ("g?y", "http://a.example/b/c/g?y"),
            ("#s", "http://a.example/b/c/d?q"),
            ("g#s", "http://a.example/b/c/g"),
            ("", "http://a.example/b/c/d?q"),
            (".", "http://a.example/b/c/"),
            ("..", "http://a.example/b/"),
            ("../g", "http://a.example/b/g"),
            ("../../../g", "http://a.example/g"),
            ("/./g", "http://a.example/g"),
            ("/../g", "http://a.example/g"),
            ("g;x=1/../y", "http://a.example/b/c/y"),
            ("g?y/../x", "http://a.example/b/c/g?y/../x"),
            ("/%2e%2e/x", "http://a.example/x"),
            ("https://h/x", "https://h/x"),
            ("HTTP://h", "http://h/"),
            (" /a b ", "http://a.example/a%20b"),
            ("/ü", "http://a.example/%C3%BC"),
        ] {
            assert_eq!(resolved(URL, reference).as_deref(), Some(url), "{reference:?}");
        }
        for reference in ["mailto:a@b", "http:g", "http://", "//", "javascript:alert(1)"] {
            assert_eq!(resolved(URL, reference), None, "{reference:?}");
        }
    }

    #[test]
    fn the_method_follows_the_browsers() {
        let of = |status: u16, method: Method| {
            let status = StatusCode::from_u16(status).unwrap();
            next(status, &method, &URL.parse().unwrap(), Some(b"/x")).map(|next| {
                let next = next.unwrap();
                (next.method, next.keeps_content)
            })
        };
        for status in [301, 302] {
            assert_eq!(of(status, Method::POST), Some((Method::GET, false)));
            for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
                assert_eq!(of(status, method.clone()), Some((method, true)));
            }
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(of(303, method), Some((Method::GET, false)));
        }
        assert_eq!(of(303, Method::HEAD), Some((Method::HEAD, true)));
        for status in [307, 308] {
            for method in [Method::GET, Method::POST, Method::PUT] {
                assert_eq!(of(status, method.clone()), Some((method, true)));
            }
        }
        for status in [200, 201, 300, 304, 305, 306, 400] {
            assert_eq!(of(status, Method::GET), None);
        }
    }

    #[test]
    fn what_is_not_followed() {
        let from =
            |url: &str, to: &[u8]| next(StatusCode::FOUND, &Method::GET, &url.parse().unwrap(), Some(to));
        assert_eq!(from("https://a/", b"http://a/"), Some(Err(Refused::Downgrade)));
        assert_eq!(from("http://a/", b"ftp://a/"), Some(Err(Refused::Malformed)));
        assert!(from("http://a/", b"https://a/").unwrap().is_ok());
        assert_eq!(next(StatusCode::FOUND, &Method::GET, &URL.parse().unwrap(), None), None);
    }

    #[test]
    fn credentials_stay_with_their_origin_and_content_fields_with_their_content() {
        let all = || {
            let names = [AUTHORIZATION, COOKIE, CONTENT_TYPE, HOST];
            names.into_iter().map(|name| (name, "x".parse().unwrap())).collect::<HeaderMap>()
        };
        let kept = |to: &str, keeps_content| {
            let mut headers = all();
            let next = Next { method: Method::GET, url: to.parse().unwrap(), keeps_content };
            strip(&mut headers, &"http://a:80/".parse().unwrap(), &next);
            let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(kept("http://A/x", true), ["authorization", "content-type", "cookie"]);
        assert_eq!(kept("http://a/x", false), ["authorization", "cookie"]);
        for other in ["http://b/", "http://a:81/", "https://a/", "http://x.a/"] {
            assert_eq!(kept(other, true), ["content-type"], "{other}");
        }
    }
}
