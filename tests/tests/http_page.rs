//! An asset as a page: negotiated, remembered by its tag, and never in ranges.

use std::future::poll_fn;

use netloom_core::{Duration, Result, Transport};
use netloom_lab::{Faults, World, link, open};
use netloom_protocols::http1::{self, Asset, Gzipped, Http1, Request, Sent};

static PAGE: Asset<'static> = Asset {
    gzip: Some(Gzipped { body: b"squeezed", etag: "1z" }),
    cache_control: "no-cache",
    ..Asset::new("text/html", b"<p>hello</p>", "1")
};

/// What comes of a request with these fields.
fn asked(method: &str, fields: &str) -> String {
    let app = async |request: Request<'_>| -> Result<Sent> { request.page(&PAGE).await };
    let world = World::new(1);
    let (a, mut b) = link(&world, Faults::none());
    let mut server = open::<1024, _>(&world, a, Http1::new());
    let mut came = Vec::new();
    let mut lab = world.tasks();
    lab.spawn("server", async {
        _ = http1::serve(&mut server, &app).await;
        _ = server.close().await;
    });
    lab.spawn("client", async {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
        assert_eq!(poll_fn(|cx| b.poll_write(cx, request.as_bytes())).await, Ok(request.len()));
        let mut buf = [0; 512];
        while let Ok(n @ 1..) = poll_fn(|cx| b.poll_read(cx, &mut buf)).await {
            came.extend_from_slice(&buf[..n]);
        }
        drop(b);
    });
    lab.run(Duration::from_secs(60)).assert_done();
    String::from_utf8(came).expect("text")
}

#[test]
fn a_page_is_sent_in_the_coding_that_the_client_takes() {
    let plain = asked("GET", "");
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\n") && plain.ends_with("\r\n\r\n<p>hello</p>"), "{plain}");
    for field in ["etag: \"1\"\r\n", "vary: accept-encoding\r\n", "cache-control: no-cache\r\n"] {
        assert!(plain.contains(field), "{field} {plain}");
    }
    let coded = asked("GET", "Accept-Encoding: br, gzip\r\n");
    assert!(coded.contains("content-encoding: gzip\r\n") && coded.ends_with("\r\n\r\nsqueezed"), "{coded}");
    assert!(coded.contains("etag: \"1z\"\r\n"), "{coded}");
    assert!(asked("GET", "Accept-Encoding: gzip;q=0\r\n").ends_with("<p>hello</p>"));
    assert!(asked("GET", "Range: bytes=0-1\r\n").ends_with("<p>hello</p>"));
    let head = asked("HEAD", "");
    assert!(head.contains("content-length: 12\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn a_client_that_has_it_is_told_so() {
    for seen in ["\"1\"", "W/\"1\"", "\"x\", \"1\"", "*"] {
        let answer = asked("GET", &format!("If-None-Match: {seen}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"), "{seen}: {answer}");
    }
    assert!(asked("GET", "If-None-Match: \"2\"\r\n").starts_with("HTTP/1.1 200 "));
    let coded = asked("GET", "Accept-Encoding: gzip\r\nIf-None-Match: \"1\"\r\n");
    assert!(coded.starts_with("HTTP/1.1 200 "), "the tag is another coding's: {coded}");
    assert!(asked("PUT", "").starts_with("HTTP/1.1 405 "));
}
