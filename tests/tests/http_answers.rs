//! Answers that cannot be said: what a handler gets wrong must not become somebody else's answer.

use std::future::poll_fn;

use netloom_core::{Code, Duration, Result, Transport};
use netloom_lab::reference::{Answer, End, answer};
use netloom_lab::{Faults, World, link, open};
use netloom_protocols::http1::{self, Http1, Message, Request, Sent, status};
use netloom_protocols::websocket;

/// What comes of two requests at once.
fn answers(app: &impl AsyncFn(Request<'_>) -> Result<Sent>) -> Vec<Answer> {
    answers_to(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", app)
}

fn answers_to(requests: &[u8], app: &impl AsyncFn(Request<'_>) -> Result<Sent>) -> Vec<Answer> {
    let world = World::new(1);
    let (a, mut b) = link(&world, Faults::none());
    let mut server = open::<1024, _>(&world, a, Http1::new());
    let mut came = Vec::new();
    let mut lab = world.tasks();
    lab.spawn("server", async {
        _ = http1::serve(&mut server, app).await;
        _ = server.close().await;
    });
    lab.spawn("client", async {
        assert_eq!(poll_fn(|cx| b.poll_write(cx, requests)).await, Ok(requests.len()));
        let mut buf = [0; 512];
        let second = Duration::from_secs(1);
        while let Some(Ok(n @ 1..)) = world.timeout(second, poll_fn(|cx| b.poll_read(cx, &mut buf))).await {
            came.extend_from_slice(&buf[..n]);
        }
        drop(b);
    });
    lab.run(Duration::from_secs(10)).assert_done();
    let mut all = Vec::new();
    while let Some(next) = answer(&came, "GET", true) {
        came.drain(..next.size);
        all.push(next);
    }
    assert!(came.is_empty(), "{:?}", String::from_utf8_lossy(&came));
    all
}

fn statuses(app: &impl AsyncFn(Request<'_>) -> Result<Sent>) -> Vec<u16> {
    answers(app).iter().map(|answer| answer.status).collect()
}

#[test]
fn no_value_ends_its_line() {
    for value in ["a\r\nset-cookie: b", "a\nb", "a\r", "a\0", "a\x7f", "\r\n\r\n<script>"] {
        let kind = async |request: Request<'_>| request.reply().bytes(value, b"x").await;
        let field = async |request: Request<'_>| request.reply().field("x", value).text("x").await;
        let fields = async |request: Request<'_>| request.reply().fields([("x", value)]).text("x").await;
        let streamed = async |request: Request<'_>| request.reply().stream(value).await?.end().await;
        let location = async |request: Request<'_>| request.reply().redirect(value).await;
        assert_eq!(statuses(&kind), [500, 500], "{value:?}");
        assert_eq!(statuses(&field), [500, 500], "{value:?}");
        assert_eq!(statuses(&fields), [500, 500], "{value:?}");
        assert_eq!(statuses(&streamed), [500, 500], "{value:?}");
        assert_eq!(statuses(&location), [500, 500], "{value:?}");
        let trailer = async |request: Request<'_>| {
            let mut stream = request.reply().stream("text/plain").await?;
            stream.send(b"x").await?;
            stream.end_with([("x", value)]).await
        };
        // It is begun: the end that is missing tells.
        let answers = answers(&trailer);
        assert!(answers.len() == 1 && answers[0].trailers.is_empty(), "{answers:?}");
        assert_eq!(answers[0].end, End::Short);
    }
}

/// What ends a message or the connection is said once, by who knows.
#[test]
fn no_field_contradicts_the_framing() {
    for (name, value) in [
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("Connection", "date"),
    ] {
        let app = async |request: Request<'_>| request.reply().field(name, value).text("x").await;
        let all = answers(&app);
        assert_eq!(all.iter().map(|answer| answer.status).collect::<Vec<_>>(), [500, 500], "{name}");
        assert!(all.iter().all(|answer| !answer.says_close()));
    }
}

/// The client would go on waiting, and take the next answer for this one.
#[test]
fn an_interim_status_is_no_answer() {
    for status in [0, 99, 100, 101, 103, 199, 1000, u16::MAX] {
        let whole = async |request: Request<'_>| request.reply().status(status).text("x").await;
        let empty = async |request: Request<'_>| request.reply().status(status).empty().await;
        let streamed = async |request: Request<'_>| {
            request.reply().status(status).stream("text/plain").await?.end().await
        };
        assert_eq!(statuses(&whole), [500, 500], "{status}");
        assert_eq!(statuses(&empty), [500, 500], "{status}");
        assert_eq!(statuses(&streamed), [500, 500], "{status}");
    }
}

/// RFC 9110, 15.3.6: and unlike 204 it has to say so, or clients would wait for some until the connection ends.
#[test]
fn a_205_has_no_content_and_says_so() {
    let whole = async |request: Request<'_>| request.reply().status(205).text("x").await;
    let filled = async |request: Request<'_>| request.reply().status(205).json(&[1, 2]).await;
    let empty = async |request: Request<'_>| request.reply().status(205).empty().await;
    let streamed = async |request: Request<'_>| {
        let mut stream = request.reply().status(205).stream("text/plain").await?;
        stream.send(b"x").await?;
        stream.end().await
    };
    for answers in [answers(&whole), answers(&filled), answers(&empty), answers(&streamed)] {
        assert_eq!(answers.len(), 2);
        for answer in answers {
            assert_eq!(
                (answer.status, answer.field("content-length"), answer.end),
                (205, Some("0"), End::Framed)
            );
            assert_eq!((answer.field("transfer-encoding"), answer.says_close()), (None, false));
        }
    }
}

/// It would be one more answer than there are requests; and behind 101 the connection would be nobody's.
#[test]
fn an_answer_is_not_said_as_an_interim_one() {
    let world = World::new(1);
    let (a, mut b) = link(&world, Faults::none());
    let mut server = open::<1024, _>(&world, a, Http1::new());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        assert!(http1::next(&mut server).await.unwrap(), "a request");
        for status in [0, 99, 101, 200, 204, 404, 1000] {
            let error = server.sender().send(Message::Interim(status, &())).await.expect_err("misuse");
            assert_eq!(error, Code::InvalidSession, "{status}");
        }
        for status in [100, 102, 103, 199] {
            server.sender().send(Message::Interim(status, &())).await.expect("legal");
        }
    });
    lab.spawn("client", async {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(poll_fn(|cx| b.poll_write(cx, request)).await, Ok(request.len()));
    });
    lab.run(Duration::from_secs(10)).assert_done();
}

/// The status would be taken for the answer to the next request, which nobody has looked at.
#[test]
fn an_error_behind_an_answer_is_not_the_answer_to_the_next_request() {
    let fails = async |request: Request<'_>| -> Result<Sent> {
        let _ = request.reply().text("x").await?;
        Err(status::error(404))
    };
    assert_eq!(statuses(&fails), [200]);
    let twice = async |mut request: Request<'_>| -> Result<Sent> {
        let _ = request.lend().reply().text("x").await?;
        request.reply().text("y").await
    };
    assert_eq!(statuses(&twice), [200]);
}

/// An upgrade whose answer cannot be said is no upgrade: the connection goes on in HTTP, bodies and all.
#[test]
fn a_failed_upgrade_leaves_the_connection_as_it_was() {
    let app = async |mut request: Request<'_>| match request.head().path() {
        "/chat" => {
            let accept = websocket::Accept::new().fields(&("x", "a\r\nb"));
            accept.accept(request).await.map(|(_, sent)| sent)
        }
        _ => {
            let whole = request.body().await?;
            whole.reply.bytes("text/plain", whole.body).await
        }
    };
    let requests = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
        POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        GET /none HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = answers_to(requests, &app);
    let told: Vec<_> = answers.iter().skip(1).map(|answer| (answer.status, &answer.body[..])).collect();
    assert_eq!(answers[0].status, 500);
    assert_eq!(told, [(200, &b"hello"[..]), (200, b"")]);
}
