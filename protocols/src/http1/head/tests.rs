//! Heads that are legal, heads that are not, and both cut anywhere.

extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::tests::Noise;

const LIMITS: HeadLimits = HeadLimits { head: 600, target: 100, fields: 10 };

fn parsed(input: &[u8]) -> Result<Option<(usize, RequestHead)>> {
    request(input, &LIMITS)
}

/// A whole request with these fields, each with its CR LF, behind a Host.
fn with(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// Malformed requests, and what they are answered with.
fn malformed() -> Vec<(u16, Vec<u8>)> {
    const LINES: &[(u16, &str)] = &[
        // The request line.
        (400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "\u{16}\u{3}\u{1}"),
        (400, "G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET: / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        (400, "GET / a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET\r\n\r\n"),
        (400, "GET /\r\n\r\n"),
        (400, "GET /\r\nHost: a\r\n\r\n"),
        (400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\u{0} HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET http://a/ HTTP/1.1\r\n\r\n"),
        (400, "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/11.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1,1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.x\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
        (501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        // Hosts.
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        (400, "GET / HTTP/1.0\r\nHost: \u{e9}\r\n\r\n"),
        // The first line of fields is a continuation of nothing.
        (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        (400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ];
    const FIELDS: &[(u16, &str)] = &[
        // Lines.
        (400, "Name: a\r\n b\r\n"),
        (400, "Name: a\r\n\tb\r\n"),
        (400, "Name : a\r\n"),
        (400, "Name\t: a\r\n"),
        (400, "Name\r\n"),
        (400, "Name a\r\n"),
        (400, ": a\r\n"),
        (400, "Na me: a\r\n"),
        (400, "Na/me: a\r\n"),
        (400, "Na(me: a\r\n"),
        (400, "Na\u{0}me: a\r\n"),
        (400, "Na\u{e9}me: a\r\n"),
        (400, "A-Name-Longer-Than-Sixteen-Octets\u{7f}: a\r\n"),
        (400, "Name: a\n"),
        (400, "Name: a\rb\r\n"),
        (400, "Name: a\r\r\n"),
        (400, "Name: \u{0}\r\n"),
        (400, "Name: a\u{1}\r\n"),
        (400, "Name: a\u{b}\r\n"),
        (400, "Name: a\u{1f}b\r\n"),
        (400, "Name: a\u{7f}b\r\n"),
        (400, "Name: a\r\n\n"),
        (400, "Name: a\r\n\rb"),
        // Content-Length.
        (400, "Content-Length:\r\n"),
        (400, "Content-Length: +1\r\n"),
        (400, "Content-Length: -1\r\n"),
        (400, "Content-Length: 1 2\r\n"),
        (400, "Content-Length: 0x1\r\n"),
        (400, "Content-Length: 1a\r\n"),
        (400, "Content-Length: 1.0\r\n"),
        (400, "Content-Length: \"1\"\r\n"),
        (400, "Content-Length: 18446744073709551616\r\n"),
        (400, "Content-Length: 99999999999999999999999\r\n"),
        (400, "Content-Length: 5, 6\r\n"),
        (400, "Content-Length: 5,\r\n"),
        (400, "Content-Length: ,5\r\n"),
        (400, "Content-Length: 5\r\ncontent-length: 6\r\n"),
        // Transfer-Encoding.
        (400, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        (400, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        (400, "Transfer-Encoding: chunked, chunked\r\n"),
        (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        (400, "Transfer-Encoding: chunked, gzip\r\n"),
        (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        (400, "Transfer-Encoding:\r\n"),
        (400, "Transfer-Encoding: ,chunked\r\n"),
        (400, "Transfer-Encoding: chunked,\r\n"),
        (400, "Transfer-Encoding: chunked;a=b\r\n"),
        (400, "Transfer-Encoding: \"chunked\"\r\n"),
        (400, "Transfer-Encoding: \u{b}chunked\r\n"),
        (501, "Transfer-Encoding: gzip\r\n"),
        (501, "Transfer-Encoding: gzip, chunked\r\n"),
        (501, "Transfer-Encoding: identity\r\n"),
        (501, "Transfer-Encoding: xchunked\r\n"),
        (501, "Transfer-Encoding: chunke\r\n"),
        // Expect.
        (417, "Expect: 200-ok\r\n"),
        (417, "Expect:\r\n"),
        (417, "Expect: 100-continue, a\r\n"),
        (417, "Expect: 100-continue\r\nExpect: a\r\n"),
        // Limits.
        (431, "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nH:\r\nI:\r\nJ:\r\n"),
    ];
    let lines = LINES.iter().map(|(status, head)| (*status, head.as_bytes().to_vec()));
    let fields = FIELDS.iter().map(|(status, fields)| (*status, with(fields).into_bytes()));
    let mut all: Vec<_> = lines.chain(fields).collect();
    let long = "a".repeat(LIMITS.target + 1);
    all.push((414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").into()));
    let long = "a".repeat(LIMITS.head);
    all.push((414, format!("GET {long}").into()));
    all.push((431, with(&format!("Name: {long}\r\n")).into()));
    all
}

/// What of a head is looked at below.
#[derive(Debug, PartialEq, Eq)]
struct Good {
    head: &'static str,
    method: Method,
    target: &'static str,
    framing: Framing,
    /// Of k(eep-alive), e(xpect) and u(pgrade).
    flags: &'static str,
}

const fn good(
    head: &'static str,
    method: Method,
    target: &'static str,
    framing: Framing,
    flags: &'static str,
) -> Good {
    Good { head, method, target, framing, flags }
}

const GOOD: &[Good] = &[
    // RFC 9112, 2.1 and 3.2.
    good(
        "GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n",
        Method::Get,
        "/hello.txt",
        Framing::None,
        "k",
    ),
    good(
        "GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        Method::Get,
        "/where?q=now",
        Framing::None,
        "k",
    ),
    good(
        "GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        Method::Get,
        "http://www.example.org/pub/WWW/TheProject.html",
        Framing::None,
        "k",
    ),
    good(
        "CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        Method::Connect,
        "www.example.com:80",
        Framing::None,
        "k",
    ),
    good(
        "OPTIONS * HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n",
        Method::Options,
        "*",
        Framing::None,
        "k",
    ),
    // RFC 9110, 7.8.
    good(
        "GET /hello HTTP/1.1\r\nHost: www.example.com\r\nConnection: upgrade\r\nUpgrade: websocket, IRC/6.9\r\n\r\n",
        Method::Get,
        "/hello",
        Framing::None,
        "ku",
    ),
    // Lines.
    good("\r\nHEAD / HTTP/1.1\r\nHost:\r\n\r\n", Method::Head, "/", Framing::None, "k"),
    good("M-SEARCH / HTTP/1.7\r\nHOST:a\r\n\r\n", Method::Other, "/", Framing::None, "k"),
    good("get / HTTP/1.1\r\nhost: [::1]:80 \t\r\n\r\n", Method::Other, "/", Framing::None, "k"),
    good("GET / HTTP/1.0\r\n\r\n", Method::Get, "/", Framing::None, ""),
    good(
        "PUT /%7e!$&'()*+,;=:@[]{}|\\^`\"<>? HTTP/1.1\r\nHost: a\r\n!#$%&'*+.^_`|~0: \"\u{e9}\t\"\r\n\r\n",
        Method::Put,
        "/%7e!$&'()*+,;=:@[]{}|\\^`\"<>?",
        Framing::None,
        "k",
    ),
    // The body.
    good(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        Method::Post,
        "/",
        Framing::Length(0),
        "k",
    ),
    good(
        "POST / HTTP/1.1\r\nHost: a\r\nCONTENT-LENGTH:18446744073709551615\r\n\r\n",
        Method::Post,
        "/",
        Framing::Length(u64::MAX),
        "k",
    ),
    good(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\nContent-Length: 05\r\n\r\n",
        Method::Post,
        "/",
        Framing::Length(5),
        "k",
    ),
    good(
        "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: \tCHUNKED \r\n\r\n",
        Method::Post,
        "/",
        Framing::Chunked,
        "k",
    ),
    good(
        "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        Method::Post,
        "/",
        Framing::Length(5),
        "",
    ),
    good(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n",
        Method::Post,
        "/",
        Framing::Length(5),
        "ke",
    ),
    // The connection.
    good("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", Method::Get, "/", Framing::None, ""),
    good(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE , ,keep-alive\r\nConnection: x,close\r\n\r\n",
        Method::Get,
        "/",
        Framing::None,
        "",
    ),
    good("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Method::Get, "/", Framing::None, "k"),
    good("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", Method::Get, "/", Framing::None, ""),
    good("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", Method::Get, "/", Framing::None, "k"),
    good("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", Method::Get, "/", Framing::None, "k"),
    good(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: a\r\n\r\n",
        Method::Get,
        "/",
        Framing::None,
        "ku",
    ),
    good("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", Method::Get, "/", Framing::None, "k"),
];

#[test]
fn malformed_requests_are_answered_with_their_status() {
    let all = malformed();
    assert!(all.len() >= 60, "{}", all.len());
    for (status, head) in all {
        let text = String::from_utf8_lossy(&head).into_owned();
        let error = parsed(&head).expect_err(&text);
        assert_eq!(error.wire(), status, "{text:?}");
        let code = if matches!(status, 414 | 431) { Code::MessageTooLarge } else { Code::ProtocolViolation };
        assert_eq!(error.code(), code, "{text:?}");
    }
}

#[test]
fn legal_requests_are_understood() {
    for Good { head, method, target, framing, flags } in GOOD {
        let mut input = head.as_bytes().to_vec();
        input.extend(b"GET /behind");
        let (n, found) = parsed(&input).unwrap_or_else(|error| panic!("{head:?}: {error}")).expect(head);
        assert_eq!(
            (n, found.method, found.target(&input), found.framing()),
            (head.len(), *method, *target, *framing)
        );
        let is = |flag| flags.contains(flag);
        assert_eq!(
            (found.keep_alive(), found.expect_continue(), found.upgrade()),
            (is('k'), is('e'), is('u')),
            "{head:?}"
        );
        assert_eq!(found.method_name(&input), head.trim_start().split(' ').next().unwrap());
        assert_eq!(
            found.fields(&input).iter().count(),
            head.trim_start().matches("\r\n").count() - 2,
            "{head:?}"
        );
    }
}

#[test]
fn heads_can_be_cut_anywhere() {
    for Good { head, .. } in GOOD {
        for len in 0..head.len() {
            assert_eq!(parsed(&head.as_bytes()[..len]), Ok(None), "{:?}", &head.as_bytes()[..len]);
        }
    }
    for (status, head) in malformed() {
        for len in 0..head.len() {
            match parsed(&head[..len]) {
                Ok(None) => {}
                // What is refused early is refused for the same reason.
                Err(error) => assert_eq!(error.wire(), status, "{:?}", String::from_utf8_lossy(&head[..len])),
                Ok(Some(_)) => panic!("{:?}", String::from_utf8_lossy(&head[..len])),
            }
        }
    }
}

#[test]
fn what_can_never_become_a_head_is_refused_at_once() {
    for first in 0..=255 {
        let answer = parsed(&[first]);
        match octets::is(first, octets::TOKEN) || first == b'\r' {
            true => assert_eq!(answer, Ok(None)),
            false => assert_eq!(answer, Err(MALFORMED)),
        }
    }
    for input in
        ["GET /\u{1}", "GET / HTTQ", "GET / HTTP/1.1\r\n\n", "GET / HTTP/1.1\r\nHost :", "GET / HTTP/2.0"]
    {
        assert!(parsed(input.as_bytes()).is_err(), "{input:?}");
    }
}

#[test]
fn limits_are_exact() {
    let head = with("Name: value\r\n");
    let is_taken = |limits| request(head.as_bytes(), &limits).map(|found| found.is_some());
    let exact = HeadLimits { head: head.len(), target: 1, fields: 2 };
    assert_eq!(is_taken(exact), Ok(true));
    assert_eq!(is_taken(HeadLimits { head: head.len() - 1, ..exact }), Err(HEAD_TOO_LARGE));
    assert_eq!(is_taken(HeadLimits { target: 0, ..exact }), Err(TARGET_TOO_LONG));
    assert_eq!(is_taken(HeadLimits { fields: 1, ..exact }), Err(HEAD_TOO_LARGE));
    // A limit is passed by a byte that came, not by one that is awaited.
    let (part, more) = (&head.as_bytes()[..30], &head.as_bytes()[..31]);
    let limits = HeadLimits { head: 30, ..exact };
    assert_eq!(request(part, &limits), Ok(None));
    assert_eq!(request(more, &limits), Err(HEAD_TOO_LARGE));
    assert_eq!(request(b"GET /a", &exact), Err(TARGET_TOO_LONG));
}

#[test]
fn offsets_of_the_largest_head_fit() {
    let limits = HeadLimits { head: usize::MAX, target: usize::MAX, fields: usize::MAX };
    let fill = |len: usize| with(&format!("Name: {}\r\n", "a".repeat(len - with("Name: \r\n").len())));
    let largest = fill(65_535);
    let (n, head) = request(largest.as_bytes(), &limits).unwrap().unwrap();
    assert_eq!((n, head.fields(largest.as_bytes()).iter().count()), (65_535, 2));
    assert_eq!(request(fill(65_536).as_bytes(), &limits), Err(HEAD_TOO_LARGE));
    let target = format!("GET /{} HTTP/1.1\r\n", "a".repeat(65_600));
    assert_eq!(request(target.as_bytes(), &limits), Err(TARGET_TOO_LONG));
    let largest = format!("OPTIONS /{} HTTP/1.1\r\n", "a".repeat(65_500));
    assert_eq!(request(largest.as_bytes(), &limits), Ok(None));
}

#[test]
fn the_parts_of_a_target_are_found_in_each_form() {
    for (line, path, query, host) in [
        ("GET /a/b?c=d?e", "/a/b", Some("c=d?e"), "field"),
        ("GET /?", "/", Some(""), "field"),
        ("GET //a", "//a", None, "field"),
        ("GET http://target:80/a?b", "/a", Some("b"), "target:80"),
        ("GET HTTPS://target", "/", None, "target"),
        ("GET http://target?b/c", "/", Some("b/c"), "target"),
        ("OPTIONS *", "*", None, "field"),
        ("OPTIONS http://target", "*", None, "target"),
        ("OPTIONS http://target?a", "/", Some("a"), "target"),
        ("OPTIONS http://target/", "/", None, "target"),
        ("CONNECT target:443", "", None, "target:443"),
    ] {
        let input = format!("{line} HTTP/1.1\r\nHost: field\r\n\r\n").into_bytes();
        let (_, head) = parsed(&input).unwrap().unwrap();
        assert_eq!((head.path(&input), head.query(&input), head.host(&input)), (path, query, host), "{line}");
    }
}

#[test]
fn bytes_that_were_not_parsed_have_no_parts() {
    let (_, head) = parsed(with("Name: value\r\n").as_bytes()).unwrap().unwrap();
    for unit in [&b""[..], b"GET", &[0xff; 100]] {
        let _ = (head.method_name(unit), head.path(unit), head.query(unit), head.host(unit));
        assert_eq!(head.target(unit), "");
        assert_eq!(head.fields(unit).iter().next(), None);
    }
}

#[test]
fn responses_are_framed_by_status_method_and_fields() {
    const LENGTH: &str = "Content-Length: 5\r\n";
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    for (to, line, fields, framing, keep_alive) in [
        (Method::Get, "HTTP/1.1 200 OK", LENGTH, Framing::Length(5), true),
        (Method::Get, "HTTP/1.1 200 ", CHUNKED, Framing::Chunked, true),
        (Method::Get, "HTTP/1.1 200", "", Framing::UntilClose, false),
        (Method::Get, "HTTP/1.0 200 OK", LENGTH, Framing::Length(5), false),
        (Method::Get, "HTTP/1.1 999 \u{e9}\t", LENGTH, Framing::Length(5), true),
        (Method::Head, "HTTP/1.1 200 OK", LENGTH, Framing::None, true),
        (Method::Head, "HTTP/1.1 404 Not Found", CHUNKED, Framing::None, true),
        (Method::Get, "HTTP/1.1 304 Not Modified", LENGTH, Framing::None, true),
        (Method::Get, "HTTP/1.1 204 No Content", "", Framing::None, true),
        (Method::Get, "HTTP/1.1 100 Continue", "", Framing::None, true),
        (Method::Connect, "HTTP/1.1 200 OK", LENGTH, Framing::None, true),
        (Method::Connect, "HTTP/1.1 403 Forbidden", LENGTH, Framing::Length(5), true),
    ] {
        let input = format!("{line}\r\n{fields}\r\n");
        let (n, head) = response(input.as_bytes(), to, &LIMITS).unwrap().expect(line);
        assert_eq!(
            (n, head.framing, head.keep_alive()),
            (input.len(), framing, keep_alive),
            "{line} {fields}"
        );
        assert_eq!(head.fields(input.as_bytes()).iter().count(), fields.len().min(1), "{line}");
        for len in 0..input.len() {
            assert_eq!(response(&input.as_bytes()[..len], to, &LIMITS), Ok(None), "{line}");
        }
    }
}

#[test]
fn a_responses_parts_are_found() {
    let input = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (_, head) = response(input, Method::Get, &LIMITS).unwrap().unwrap();
    assert_eq!((head.status, head.version, head.upgrade()), (101, Version::Http11, true));
    assert_eq!(head.reason(input), b"Switching Protocols");
    assert_eq!(head.fields(input).get("upgrade"), Some(&b"websocket"[..]));
    let bare = b"HTTP/1.0 200\r\nA: b\r\n\r\n";
    let (_, head) = response(bare, Method::Get, &LIMITS).unwrap().unwrap();
    assert_eq!((head.reason(bare), head.fields(bare).get("a")), (&b""[..], Some(&b"b"[..])));
    assert_eq!(head.reason(b"HTTP"), b"");
}

#[test]
fn malformed_responses_are_refused() {
    for head in [
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 200 O\u{0}K\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let error = response(head.as_bytes(), Method::Get, &LIMITS).expect_err(head);
        assert_eq!((error.code(), error.wire()), (Code::ProtocolViolation, 502), "{head:?}");
    }
    for long in
        [format!("HTTP/1.1 200 {}", "a".repeat(600)), format!("HTTP/1.1 200\r\n{}\r\n", "A:\r\n".repeat(11))]
    {
        let error = response(long.as_bytes(), Method::Get, &LIMITS).expect_err(&long);
        assert_eq!((error.code(), error.wire()), (Code::MessageTooLarge, 502));
    }
}

#[test]
fn what_requests_mind_is_nothing_to_a_response() {
    let input = b"HTTP/1.1 200 OK\r\nHost: a b\r\nHost: c\r\nExpect: a\r\nContent-Length: 0\r\n\r\n";
    assert!(response(input, Method::Get, &LIMITS).unwrap().is_some());
}

#[test]
fn no_bytes_make_it_panic() {
    let mut noise = Noise::new(1);
    let mut random = |below| noise.below(below);
    const SPICE: &[u8] = b"\r\n\t :,;/?#*[]@%0159\0\x7f\xff";
    let mut outcomes = [0; 3];
    for _ in 0..100_000 {
        let mut input = GOOD[random(GOOD.len())].head.as_bytes().to_vec();
        for _ in 0..random(4) {
            let at = random(input.len());
            match random(4) {
                0 => input[at] = random(256) as u8,
                1 => input[at] = SPICE[random(SPICE.len())],
                2 => input.insert(at, SPICE[random(SPICE.len())]),
                _ => drop(input.remove(at)),
            }
        }
        match parsed(&input) {
            Ok(Some((n, head))) => {
                outcomes[0] += 1;
                assert!(n <= input.len() && input[..n].ends_with(b"\r\n\r\n"));
                let unit = &input[..n];
                assert!(!head.target(unit).is_empty() && head.host(unit).is_ascii());
                let _ = (head.path(unit), head.query(unit), head.method_name(unit));
                let fields = head.fields(unit);
                let lines = unit[2..].iter().filter(|octet| **octet == b'\n').count();
                assert_eq!(fields.iter().count(), lines - 2, "{:?}", String::from_utf8_lossy(unit));
                for (name, _) in fields {
                    assert!(fields.get(name).is_some());
                }
            }
            Ok(None) => outcomes[1] += 1,
            Err(error) => {
                outcomes[2] += 1;
                assert!((400..600).contains(&error.wire()));
            }
        }
        let _ = response(&input, Method::Get, &LIMITS);
        let noise: Vec<u8> = (0..random(40)).map(|_| random(256) as u8).collect();
        assert!(!matches!(parsed(&noise), Ok(Some(_))));
        let status = [&b"HTTP/1.1 200"[..], &noise].concat();
        let _ = response(&status, Method::Get, &LIMITS);
    }
    assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
}
