//! axum on this server, as clients see it.

mod common;

#[path = "common/answer.rs"]
mod answer;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use answer::Client;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use netloom::http::{self, Http1};
use netloom::{Server, ServerSession};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

fn serve(router: Router) -> (Server, SocketAddr) {
    let app = http::tower(router);
    let connection = async move |session: &mut ServerSession<Http1>| http::serve(session, &app).await;
    let server = Server::builder().tcp("127.0.0.1:0").workers(1).start(Http1::new, connection).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/user/{name}", get(async |Path(name): Path<String>| name))
        .route("/add", get(async |Query(p): Query<Point>| (p.x + p.y).to_string()))
        .route("/swap", post(async |Json(p): Json<Point>| Json(Point { x: p.y, y: p.x })))
        .route("/echo", post(async |body: Body| body))
        .route("/whole", post(async |body: Bytes| body))
        .route("/ignore", post(async || "ignored"))
        .route("/deny", post(async |_: Body| StatusCode::UNAUTHORIZED))
        .route("/peer", get(async |Extension(peer): Extension<SocketAddr>| peer.to_string()))
        .route("/events", get(async || Sse::new(stream::iter(0..3).map(event))))
        .route("/trailers", get(trailers))
        .route("/fails", get(fails))
        .layer(DefaultBodyLimit::disable())
}

fn event(n: i32) -> Result<Event, Infallible> {
    Ok(Event::default().event("count").data(n.to_string()))
}

async fn trailers() -> impl IntoResponse {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let frames = [http_body::Frame::data(Bytes::from_static(b"data")), http_body::Frame::trailers(trailers)];
    Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))))
}

async fn fails() -> Body {
    let pieces = [Ok("half"), Err(std::io::Error::other("secret"))];
    Body::from_stream(stream::iter(pieces))
}

#[test]
fn a_router_runs_unchanged() {
    let (_server, address) = serve(router());
    let mut client = Client::new(address);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.field("content-length"), Some("5"));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.all("content-type").count(), 1);
    assert_eq!(client.get("/user/b%C3%A4r").text(), "bär");
    assert_eq!(client.get("/add?x=2&y=40").text(), "42");
    assert_eq!(client.get("/add?x=two").status, 400);
    assert_eq!(client.get("/nowhere").status, 404);
    assert_eq!(client.ask("DELETE", "/", "").status, 405);
    let head = client.ask("HEAD", "/", "");
    assert_eq!((head.status, head.field("content-length")), (200, Some("5")));
    let json = client.post("/swap", "content-type: application/json\r\n", r#"{"x":1,"y":2}"#);
    assert_eq!((json.status, json.text()), (200, r#"{"x":2,"y":1}"#));
    let peer = client.stream.get_ref().local_addr().unwrap().to_string();
    assert_eq!(client.get("/peer").text(), peer);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_server, address) = serve(router());
    let mut client = Client::new(address);
    let mut all = Vec::new();
    for n in 0..50 {
        write!(all, "GET /user/{n} HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        write!(all, "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc").unwrap();
        write!(all, "POST /ignore HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc").unwrap();
        write!(all, "POST /whole HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        write!(all, "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n").unwrap();
    }
    client.write(&all);
    for n in 0..50 {
        assert_eq!(client.answer(false).text(), n.to_string());
        assert_eq!(client.answer(false).text(), "abc");
        assert_eq!(client.answer(false).text(), "ignored");
        assert_eq!(client.answer(false).text(), "def");
    }
}

const LARGE: usize = 10 * 1024 * 1024;

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn ten_megabytes_stream_both_ways_at_once() {
    let (_server, address) = serve(router());
    for chunked in [false, true] {
        let body = noise(LARGE);
        let mut client = Client::new(address);
        let mut writer = client.stream.get_ref().try_clone().unwrap();
        let sent = body.clone();
        // The head of the answer comes while almost nothing of the body was sent.
        let (framing, first) = match chunked {
            true => ("transfer-encoding: chunked".into(), format!("{LARGE:x}\r\n")),
            false => (format!("content-length: {LARGE}"), String::new()),
        };
        client.write(format!("POST /echo HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n{first}"));
        let (status, head) = client.head();
        assert_eq!(status, 200);
        assert_eq!(head.contains("content-length"), !chunked, "{head}");
        let writing = thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.write_all(if chunked { b"\r\n0\r\n\r\n" } else { b"" }).unwrap();
        });
        let mut echo = Vec::new();
        match chunked {
            true => {
                while let Some(chunk) = client.chunk() {
                    echo.extend(chunk);
                }
                assert_eq!(client.line(), "\r\n");
            }
            false => {
                echo.resize(LARGE, 0);
                client.stream.read_exact(&mut echo).unwrap();
            }
        }
        writing.join().unwrap();
        assert!(echo == body, "the echo differs");
        assert_eq!(client.get("/").text(), "hello", "and the connection goes on");
    }
}

#[test]
fn a_client_that_writes_all_before_it_reads_gets_its_echo() {
    let (_server, address) = serve(router());
    let body = noise(LARGE);
    let mut client = Client::new(address);
    // What does not fit the sockets' buffers waits in the service: its echo cannot leave. So not more than they hold.
    let part = &body[..200_000];
    client.write(format!("POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", part.len()));
    client.write(part);
    assert!(client.answer(false).body == part);
    client.write(format!("POST /whole HTTP/1.1\r\nhost: h\r\ncontent-length: {LARGE}\r\n\r\n"));
    client.write(&body);
    assert!(client.answer(false).body == body);
}

#[test]
fn events_come_one_by_one_and_end() {
    let (_server, address) = serve(router());
    let mut client = Client::new(address);
    let answer = client.get("/events");
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    assert_eq!(answer.text(), "event: count\ndata: 0\n\nevent: count\ndata: 1\n\nevent: count\ndata: 2\n\n");
}

#[test]
fn an_event_arrives_while_the_next_is_not_known() {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel::<i32>();
    let told = Arc::new(tokio::sync::Mutex::new(told));
    let handler = async move || {
        let events = stream::unfold(told, async |told| {
            let n = told.lock().await.recv().await?;
            Some((event(n), told))
        });
        Sse::new(events)
    };
    let (_server, address) = serve(Router::new().route("/", get(handler)));
    let mut client = Client::new(address);
    client.write("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(client.head().0, 200);
    for n in [1, 2] {
        tell.send(n).unwrap();
        let event = format!("event: count\ndata: {n}\n\n");
        assert_eq!(client.chunk().unwrap(), event.as_bytes());
    }
    drop(tell);
    assert_eq!(client.chunk(), None);
}

#[test]
fn trailers_are_sent() {
    let (_server, address) = serve(router());
    let answer = Client::new(address).get("/trailers");
    assert_eq!((answer.text(), answer.trailers.as_str()), ("data", "x-sum: 42\r\n"));
}

#[test]
fn a_body_that_fails_cuts_the_connection() {
    let (_server, address) = serve(router());
    let mut client = Client::new(address);
    client.write("GET /fails HTTP/1.1\r\nhost: h\r\n\r\n");
    let rest = client.rest();
    let text = String::from_utf8_lossy(&rest);
    assert!(!text.ends_with("0\r\n\r\n") && !text.contains("secret"), "{text}");
}

#[test]
fn permission_is_given_when_the_body_is_asked_for() {
    let (_server, address) = serve(router());
    for path in ["/whole", "/echo"] {
        let mut client = Client::new(address);
        client.write(format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        ));
        assert_eq!(client.head().0, 100, "{path}");
        client.write("abc");
        assert_eq!(client.answer(false).text(), "abc", "{path}");
        assert_eq!(client.get("/").text(), "hello", "{path}");
    }
    for (path, status) in [("/ignore", 200), ("/deny", 401)] {
        let mut client = Client::new(address);
        client.write(format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        ));
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{path}");
        assert!(client.rest().is_empty());
    }
}

#[test]
fn a_body_that_is_not_wanted_is_thrown_away() {
    let (_server, address) = serve(router());
    let mut client = Client::new(address);
    for _ in 0..3 {
        assert_eq!(client.post("/ignore", "", &"x".repeat(60_000)).text(), "ignored");
        assert_eq!(client.post("/deny", "", "x").status, 401);
    }
}

/// Pieces of a body that were made, however fast it is read.
fn endless(made: Arc<AtomicUsize>) -> Router {
    let piece = Bytes::from(vec![7; 16 * 1024]);
    Router::new().route(
        "/",
        get(async move || {
            Body::from_stream(stream::repeat_with(move || {
                made.fetch_add(1, SeqCst);
                Ok::<_, Infallible>(piece.clone())
            }))
        }),
    )
}

#[test]
fn a_slow_reader_holds_up_the_body_and_nobody_else() {
    let made = Arc::new(AtomicUsize::new(0));
    let (_server, address) =
        serve(endless(made.clone()).merge(Router::new().route("/ok", get(async || "ok"))));
    let mut slow = Client::new(address);
    slow.write("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(slow.head().0, 200);
    // It stands still once the sockets are full.
    let mut before = usize::MAX;
    common::eventually("the body is held up", || {
        for _ in 0..20 {
            assert_eq!(Client::new(address).get("/ok").text(), "ok");
        }
        let now = made.load(SeqCst);
        std::mem::replace(&mut before, now) == now
    });
    assert!(before * 16 * 1024 < 64 * 1024 * 1024, "{before} pieces for a client that reads none");
    for _ in 0..2000 {
        assert_eq!(slow.chunk().unwrap().len(), 16 * 1024);
    }
    assert!(made.load(SeqCst) > 2000 - 1);
}

#[test]
fn a_service_that_does_not_read_holds_up_the_client() {
    let wanted = Arc::new(tokio::sync::Notify::new());
    let wait = wanted.clone();
    let handler = async move |mut body: Body| {
        body.frame().await.unwrap().unwrap();
        wait.notified().await;
        body.collect().await.unwrap().to_bytes().len().to_string()
    };
    let (_server, address) = serve(Router::new().route("/", post(handler)));
    let mut client = Client::new(address);
    let length = 256 * 1024 * 1024;
    client.write(format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n"));
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    writer.set_nonblocking(true).unwrap();
    let (piece, mut written) = (vec![0; 1 << 20], 0);
    let mut stood = 0;
    while stood < 200 {
        match writer.write(&piece) {
            Ok(n) => (written, stood) = (written + n, 0),
            Err(_) => {
                stood += 1;
                thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        assert!(written < 64 << 20, "all of it is taken");
    }
    wanted.notify_one();
    writer.set_nonblocking(false).unwrap();
    while written < length {
        let n = piece.len().min(length - written);
        writer.write_all(&piece[..n]).unwrap();
        written += n;
    }
    let first_frame_at_least = client.answer(false).text().parse::<usize>().unwrap();
    assert!(first_frame_at_least < length && first_frame_at_least > length - (1 << 20));
}

#[test]
fn a_body_may_be_read_by_another_task_on_another_thread() {
    let handler = async |body: Body| {
        let reading = thread::spawn(move || futures_executor(body.collect()).unwrap().to_bytes().len());
        tokio::task::spawn_blocking(move || reading.join().unwrap()).await.unwrap().to_string()
    };
    let (_server, address) = serve(Router::new().route("/", post(handler)));
    let answer = Client::new(address).post("/", "", &"x".repeat(300_000));
    assert_eq!(answer.text(), "300000");
}

fn futures_executor<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_body_outlives_its_request_without_a_hang() {
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    let handler = async move |body: Body| {
        tokio::spawn(async move {
            assert!(body.collect().await.is_err());
            told.store(true, SeqCst);
        });
        "at once"
    };
    let (_server, address) = serve(Router::new().route("/", post(handler)));
    let mut client = Client::new(address);
    client.write("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n");
    assert_eq!(client.answer(false).text(), "at once");
    common::eventually("the body ends", || ended.load(SeqCst));
}

#[test]
fn a_client_that_leaves_in_the_middle_ends_the_body() {
    let (tell, told) = std::sync::mpsc::channel();
    let handler = async move |body: Body| {
        tell.send(body.collect().await.is_err()).unwrap();
    };
    let (_server, address) = serve(Router::new().route("/", post(handler)));
    let mut client = Client::new(address);
    client.write("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nabc");
    drop(client);
    assert!(told.recv_timeout(common::PATIENCE).unwrap());
}

#[derive(Clone)]
struct Broken;

impl tower_service::Service<Request<http::ServiceBody>> for Broken {
    type Response = axum::http::Response<Body>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Self::Response, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<http::ServiceBody>) -> Self::Future {
        std::future::ready(match request.uri().path() {
            "/101" => Ok(axum::http::Response::builder().status(101).body(Body::empty()).unwrap()),
            _ => Err(std::io::Error::other("secret")),
        })
    }
}

#[test]
fn a_services_error_is_a_500_without_internals() {
    let app = http::tower(Broken);
    let connection = async move |session: &mut ServerSession<Http1>| http::serve(session, &app).await;
    let server = Server::builder().tcp("127.0.0.1:0").workers(1).start(Http1::new, connection).unwrap();
    let mut client = Client::new(server.addresses()[0]);
    for path in ["/", "/101"] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.field("content-type")), (500, Some("application/problem+json")));
        assert!(!answer.text().contains("secret"));
    }
}
