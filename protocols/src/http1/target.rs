//! The four forms of a request target (RFC 9112, 3.2), and what a host looks like.

use netloom_core::Result;

use super::head::MALFORMED;
use super::method::Method;
use super::octets;

/// Refuses a target whose form does not go with the method.
#[inline]
pub(super) fn check(method: Method, target: &[u8]) -> Result<()> {
    let legal = match (method, target) {
        // RFC 9112, 3.2.3: only CONNECT has the authority-form, and only that.
        (Method::Connect, authority) => is_authority(authority),
        (_, [b'/', ..]) | (Method::Options, b"*") => true,
        (_, uri) => is_absolute(uri),
    };
    if legal { Ok(()) } else { Err(MALFORMED) }
}

/// Host and port, both of them.
#[cold]
fn is_authority(target: &[u8]) -> bool {
    is_host(target) && target.last().is_some_and(u8::is_ascii_digit) && host_len(target) < target.len()
}

#[cold]
fn is_absolute(target: &[u8]) -> bool {
    // RFC 9110, 4.2.1: an empty host is invalid; 4.2.4: so is user information, which `is_host` refuses.
    split_absolute(target).is_some_and(|(authority, _)| !authority.is_empty() && is_host(authority))
}

/// Authority, and path with query, of an absolute-form.
pub(super) fn split_absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (front, rest) = target.split_at_checked(scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    let ends = rest.iter().position(|octet| matches!(octet, b'/' | b'?')).unwrap_or(rest.len());
    rest.split_at_checked(ends)
}

/// Whether this is `uri-host [ ":" port ]` (RFC 9110, 7.2), or nothing at all.
pub(super) fn is_host(authority: &[u8]) -> bool {
    let len = host_len(authority);
    match authority.get(len..) {
        Some([]) => true,
        // Five digits are enough for every port.
        Some([b':', port @ ..]) => len > 0 && port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Octets of the host in front of the port; 0 if it is malformed.
#[inline]
fn host_len(authority: &[u8]) -> usize {
    let [b'[', address @ ..] = authority else {
        return octets::host(authority);
    };
    match address
        .iter()
        .position(|octet| !matches!(octet, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':' | b'.'))
    {
        Some(len @ 2..) if address[len] == b']' => len + 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "",
            "a",
            "example.com",
            "example.com:80",
            "a:",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:65535",
            "a_b%20",
            "a:8",
            "a:808",
            "example.com:8080",
            "a-name-of-more-than-16-octets.example:65535",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            " ", "a b", "a,b", "u@a", "a/", "a:b", "a:80:80", "a:800000", ":80", "[::1", "[]", "[]:80",
            "[::g]", "::1", "é",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_port_is_made_of_digits_alone() {
        for place in 0..5 {
            for octet in 0..=255u8 {
                let mut host = *b"a:65535";
                host[2 + place] = octet;
                assert_eq!(is_host(&host), octet.is_ascii_digit(), "{octet:#x} at {place}");
                assert_eq!(
                    is_host(&host[..6]),
                    place == 4 || octet.is_ascii_digit(),
                    "{octet:#x} at {place}"
                );
            }
        }
    }

    #[test]
    fn a_targets_form_goes_with_the_method() {
        for (method, target, legal) in [
            (Method::Get, "/", true),
            (Method::Get, "//a?b?c", true),
            (Method::Get, "a", false),
            (Method::Get, "*", false),
            (Method::Options, "*", true),
            (Method::Options, "**", false),
            (Method::Options, "/", true),
            (Method::Get, "http://a/b?c", true),
            (Method::Get, "HTTPS://a", true),
            (Method::Get, "http://a:80?c", true),
            (Method::Get, "http:///b", false),
            (Method::Get, "http://u@a/", false),
            (Method::Get, "http:/a", false),
            (Method::Get, "ftp://a/", false),
            (Method::Get, "a:80", false),
            (Method::Connect, "a:80", true),
            (Method::Connect, "[::1]:443", true),
            (Method::Connect, "a", false),
            (Method::Connect, "a1", false),
            (Method::Connect, "a:", false),
            (Method::Connect, ":80", false),
            (Method::Connect, "/", false),
            (Method::Connect, "http://a:80", false),
        ] {
            assert_eq!(check(method, target.as_bytes()).is_ok(), legal, "{method:?} {target}");
        }
    }

    #[test]
    fn an_absolute_form_falls_into_authority_and_path() {
        assert_eq!(split_absolute(b"http://a:1/b?c"), Some((&b"a:1"[..], &b"/b?c"[..])));
        assert_eq!(split_absolute(b"https://a?c/d"), Some((&b"a"[..], &b"?c/d"[..])));
        assert_eq!(split_absolute(b"http://a"), Some((&b"a"[..], &b""[..])));
        assert_eq!(split_absolute(b"/http://a"), None);
    }
}
