//! The HTTP client: against our server, against hyper and Python, and against servers that misbehave.

mod common;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode};
use bytes::Bytes;
use common::PATIENCE;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use netloom::http::{Body, Client, ClientError, Request, RequestBody, Sent};
use netloom::{Code, Fault, Server, routes};

/// What a foreign server does behind an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Reset,
    /// Says nothing more until the client goes.
    Hang,
}

/// What a foreign server says, told the number of the connection and the request, both from 0, and the request.
type Answer = dyn Fn(usize, usize, &str) -> (Vec<u8>, Then) + Send + Sync;

/// A server made of plain sockets, which answers what it is told to.
struct Foreign {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Connections that have ended.
    ended: Arc<AtomicUsize>,
}

impl Foreign {
    fn start(answer: impl Fn(usize, usize, &str) -> (Vec<u8>, Then) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let ended = Arc::new(AtomicUsize::new(0));
        let foreign = Self {
            address,
            connections: Arc::clone(&connections),
            requests: Arc::clone(&requests),
            ended: Arc::clone(&ended),
        };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, requests, ended) =
                    (Arc::clone(&answer), Arc::clone(&requests), Arc::clone(&ended));
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    converse(stream.unwrap(), connection, &*answer, &requests);
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        foreign
    }

    /// One that always says the same.
    fn saying(answer: &'static str, then: Then) -> Self {
        Self::start(move |_, _, _| (answer.into(), then))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn converse(mut stream: TcpStream, connection: usize, answer: &Answer, requests: &Mutex<Vec<String>>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for nth in 0.. {
        let Some(request) = read_request(&mut stream) else { return };
        requests.lock().unwrap().push(request.clone());
        let (bytes, then) = answer(connection, nth, &request);
        if stream.write_all(&bytes).is_err() {
            return;
        }
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            Then::Hang => {
                let _ = stream.read_to_end(&mut Vec::new());
                return;
            }
        }
    }
}

/// A request's head, and its body if that has a length.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(request).unwrap();
    let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    fields.find(|(other, _)| *other == name).map(|(_, value)| value)
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn text(response: Result<Response<Body>, ClientError>) -> String {
    response.unwrap().into_body().text().await.unwrap()
}

async fn echo(mut request: Request<'_>) -> netloom::Result<Sent> {
    let _ = request.head();
    let mut exchange = request.stream("application/octet-stream").await?;
    while let Some((piece, mut answer)) = exchange.receive().await? {
        answer.send(piece).await?;
    }
    exchange.end().await
}

fn ours() -> Server {
    let app = routes! {
        GET "/hello/{name}" => async |request: Request<'_>| {
            let (head, reply) = request.split();
            reply.format(format_args!("Hello, {}!", head.param_text("name").unwrap_or("nobody"))).await
        },
        GET "/json" => async |request: Request<'_>| request.reply().json(&[1, 2, 3]).await,
        POST "/echo" => echo,
    };
    Server::builder().tcp("127.0.0.1:0").workers(1).http(app).unwrap()
}

/// A body of so many pieces of 10,000 bytes each, whose length is not known.
struct Pieces(usize);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(vec![self.0 as u8; 10_000].into()))))
    }
}

#[test]
fn it_is_send_and_works_under_any_tokio_runtime() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let server = ours();
    let address = server.addresses()[0];
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The same client in both: connections of a runtime that has ended are not taken for alive.
    let client = Client::new();
    for runtime in [many, one] {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let (client, url) = (client.clone(), format!("http://{address}/hello/{n}"));
                    tokio::spawn(send(async move {
                        for _ in 0..3 {
                            assert_eq!(text(client.get(&url).send().await).await, format!("Hello, {n}!"));
                        }
                    }))
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        drop(runtime);
    }
}

#[tokio::test]
async fn get_and_post_and_json() {
    let server = ours();
    let url = |path: &str| format!("http://{}{path}", server.addresses()[0]);
    assert_eq!(text(netloom::http::get(&url("/hello/you")).await).await, "Hello, you!");
    let client = Client::new();
    let numbers: Vec<u32> = client.get(&url("/json")).send().await.unwrap().into_body().json().await.unwrap();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(text(client.post(&url("/echo")).body("some text").send().await).await, "some text");
    assert_eq!(text(client.post(&url("/echo")).json(&["a"]).send().await).await, "[\"a\"]");
    let long = "0123456789".repeat(100_000);
    assert_eq!(text(client.post(&url("/echo")).body(long.clone()).send().await).await, long);
    let request = HttpRequest::post(url("/echo")).body("typed").unwrap();
    assert_eq!(text(client.request(request).await).await, "typed");
    let head = client.head(&url("/hello/you")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "11");
    assert_eq!(text(Ok(head)).await, "");
    assert_eq!(client.get(&url("/none")).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(client.idle(), 0, "the 404 was not read to its end");
}

#[tokio::test]
async fn a_request_says_what_it_was_told() {
    let server = Foreign::saying("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep);
    let client = Client::builder().user_agent("me/1").build();
    client
        .put(&server.url("/a?x=1#fragment"))
        .query(&[("q", "a b&c"), ("ü", "")])
        .header("x-one", "1")
        .header("x-one", "2")
        .bearer("token")
        .form(&[("name", "a=b")])
        .send()
        .await
        .unwrap();
    let request = &server.requests()[0];
    assert!(request.starts_with("PUT /a?x=1&q=a+b%26c&%C3%BC= HTTP/1.1\r\n"), "{request}");
    for (name, value) in [
        ("host", server.address.to_string().as_str()),
        ("user-agent", "me/1"),
        ("authorization", "Bearer token"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", "10"),
    ] {
        assert_eq!(field(request, name), Some(value), "{name} of {request}");
    }
    assert!(
        request.contains("x-one: 1\r\nx-one: 2\r\n") && request.ends_with("\r\n\r\nname=a%3Db"),
        "{request}"
    );
}

#[tokio::test]
async fn mistakes_are_told_and_name_the_url() {
    let client = Client::new();
    for (url, code) in [
        ("", Code::InvalidAddress),
        ("/path", Code::InvalidAddress),
        ("example.com", Code::InvalidAddress),
        ("ftp://a/", Code::InvalidAddress),
        ("http://a b/", Code::InvalidAddress),
        ("http://user:secret@127.0.0.1/", Code::InvalidAddress),
        #[cfg(not(feature = "tls"))]
        ("https://127.0.0.1/", Code::Unsupported),
        ("http://no.such.host.invalid/", Code::NameNotResolved),
    ] {
        let error = client.get(url).send().await.unwrap_err();
        assert_eq!((error.error().code(), error.url()), (code, url), "{error}");
        assert!(error.to_string().contains(url), "{error}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client.get(&format!("http://{free}/")).send().await.unwrap_err();
    assert_eq!(error.error(), Code::ConnectionRefused);
    for builder in [
        client.get("http://a/").header("a b", "c"),
        client.get("http://a/").header("a", "c\r\nd: e"),
        client.get("http://a/").bearer("a\nb"),
        client.get("http://a/").query(&[[1]]),
    ] {
        let error = builder.send().await.unwrap_err();
        assert_eq!(
            (error.error().code(), error.error().fault()),
            (Code::InvalidText, Fault::Local),
            "{error}"
        );
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Foreign::start(|_, nth, _| (ok(&nth.to_string()), Then::Keep));
    let client = Client::new();
    for n in 0..10 {
        assert_eq!(text(client.get(&server.url("/")).send().await).await, n.to_string());
    }
    assert_eq!((server.connections(), client.idle()), (1, 1));
    // A body that is dropped before its end takes its connection along.
    drop(client.get(&server.url("/")).send().await.unwrap());
    assert_eq!(client.idle(), 0);
    text(client.get(&server.url("/")).send().await).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn what_ends_with_its_connection_is_not_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\n\r\nhi",
    ] {
        let server = Foreign::saying(answer, Then::Close);
        let client = Client::new();
        assert_eq!(text(client.get(&server.url("/")).send().await).await, "hi");
        assert_eq!(client.idle(), 0, "{answer}");
    }
    let server = Foreign::saying("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep);
    let client = Client::new();
    client.get(&server.url("/")).header("connection", "close").send().await.unwrap();
    assert_eq!(client.idle(), 0);
    assert_eq!(field(&server.requests()[0], "connection"), Some("close"));
}

#[tokio::test]
async fn the_pool_has_limits() {
    let servers: Vec<_> = (0..3).map(|_| Foreign::start(|_, _, _| (ok("x"), Then::Keep))).collect();
    let client = Client::builder().idle_per_host(2).idle_max(3).build();
    let all = |server: &Foreign, n: usize| {
        let requests: Vec<_> = (0..n).map(|_| client.get(&server.url("/")).send()).collect();
        futures_util::future::join_all(requests)
    };
    for response in all(&servers[0], 4).await {
        text(response).await;
    }
    assert_eq!((servers[0].connections(), client.idle()), (4, 2));
    for server in &servers[1..] {
        for response in all(server, 2).await {
            text(response).await;
        }
    }
    assert_eq!(client.idle(), 3);
    let none = Client::builder().idle_per_host(0).build();
    text(none.get(&servers[0].url("/")).send().await).await;
    assert_eq!(none.idle(), 0);
}

#[tokio::test]
async fn an_idle_connection_goes_when_its_time_is_over() {
    let server = Foreign::start(|_, _, _| (ok("x"), Then::Keep));
    let client = Client::builder().idle_timeout(Duration::from_millis(20)).build();
    text(client.get(&server.url("/")).send().await).await;
    assert_eq!(client.idle(), 1);
    tokio::time::timeout(PATIENCE, async {
        while client.idle() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("it goes by itself");
}

/// The first answer is followed by `behind`; a connection that has become readable is not used.
async fn pooled_then(behind: &'static str, then: Then) -> (Foreign, Client) {
    let server = Foreign::start(move |connection, _, _| match connection {
        0 => ([ok("x"), behind.into()].concat(), then),
        _ => (ok("y"), Then::Keep),
    });
    let client = Client::new();
    assert_eq!(text(client.get(&server.url("/")).send().await).await, "x");
    assert_eq!(client.idle(), 1);
    if then != Then::Hang {
        common::eventually("the server's end", || server.ended.load(Ordering::SeqCst) == 1);
    }
    (server, client)
}

#[tokio::test]
async fn a_connection_that_died_in_the_pool_is_not_used() {
    let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    for (behind, then) in [("", Then::Close), ("", Then::Reset), (late, Then::Hang), (late, Then::Close)] {
        let (server, client) = pooled_then(behind, then).await;
        // Not even by a POST, which would not be sent again.
        assert_eq!(text(client.post(&server.url("/")).body("z").send().await).await, "y");
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn only_what_is_idempotent_is_sent_again() {
    for (method, again) in [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::PUT, true),
        (Method::DELETE, true),
        (Method::POST, false),
        (Method::PATCH, false),
    ] {
        // The kept connection takes the request and dies.
        let server = Foreign::start(|connection, nth, _| match (connection, nth) {
            (0, 1) => (Vec::new(), Then::Close),
            _ => ("HTTP/1.1 204 No Content\r\n\r\n".into(), Then::Keep),
        });
        let client = Client::new();
        client.get(&server.url("/")).send().await.unwrap();
        let response = client.method(method.clone(), &server.url("/")).body("").send().await;
        assert_eq!(
            (response.is_ok(), server.requests().len()),
            (again, if again { 3 } else { 2 }),
            "{method}"
        );
        if let Err(error) = response {
            assert_eq!(error.error(), Code::ReceiveFailed, "{error}");
        }
    }
    // A byte of a response, a new connection, a stream: each is reason enough not to.
    let server = Foreign::start(|connection, nth, _| match (connection, nth) {
        (0, 1) => ("H".into(), Then::Close),
        (0, 0) => (ok(""), Then::Keep),
        _ => (Vec::new(), Then::Close),
    });
    let client = Client::new();
    for _ in 0..3 {
        let _ = client.get(&server.url("/")).send().await;
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_stream_is_not_sent_again() {
    let server = Foreign::start(|connection, nth, _| match (connection, nth) {
        (0, 1) => (Vec::new(), Then::Close),
        _ => (ok(""), Then::Keep),
    });
    let client = Client::new();
    client.get(&server.url("/")).send().await.unwrap();
    let body = Full::new(Bytes::from_static(b"abc"));
    assert!(client.put(&server.url("/")).stream(body).send().await.is_err());
    assert_eq!(server.requests().len(), 2);
    assert!(server.requests()[1].ends_with("abc"), "its length was known, so it did not go in chunks");
}

#[tokio::test]
async fn redirects_are_followed_as_browsers_do() {
    let server = Foreign::start(|_, _, request| {
        let path = request.split(' ').nth(1).unwrap();
        match path.strip_prefix("/to/").and_then(|rest| rest.split_once('/')) {
            Some((status, location)) => {
                let head =
                    format!("HTTP/1.1 {status} Go\r\nLocation: /{location}\r\nContent-Length: 4\r\n\r\ngone");
                (head.into_bytes(), Then::Keep)
            }
            None => (ok(path), Then::Keep),
        }
    });
    let client = Client::new();
    for (status, method, second, keeps) in [
        (301, Method::POST, "GET", false),
        (302, Method::POST, "GET", false),
        (303, Method::PUT, "GET", false),
        (307, Method::POST, "POST", true),
        (308, Method::POST, "POST", true),
        (302, Method::PUT, "PUT", true),
        (301, Method::GET, "GET", true),
    ] {
        let before = server.requests().len();
        let url = server.url(&format!("/to/{status}/x"));
        let response =
            client.method(method, &url).header("content-type", "text/plain").body("hi").send().await;
        assert_eq!(response.as_ref().unwrap().body().url().to_string(), server.url("/x"));
        assert_eq!(text(response).await, "/x");
        let request = server.requests()[before + 1].clone();
        assert!(request.starts_with(&format!("{second} /x ")), "{status}: {request}");
        assert_eq!(request.ends_with("\r\n\r\nhi"), keeps, "{status}: {request}");
        assert_eq!(field(&request, "content-type").is_some(), keeps, "{status}: {request}");
    }
    assert_eq!(server.connections(), 1, "what redirects is read to its end");

    let few = Client::builder().redirects(2).build();
    assert_eq!(text(few.get(&server.url("/to/302/to/302/x")).send().await).await, "/x");
    let error = few.get(&server.url("/to/302/to/302/to/302/x")).send().await.unwrap_err();
    assert_eq!(error.error(), Code::Rejected, "{error}");
    let none = Client::builder().redirects(0).build();
    assert_eq!(none.get(&server.url("/to/302/x")).send().await.unwrap().status(), 302);
    let error = client.post(&server.url("/to/307/x")).stream(Pieces(1)).send().await.unwrap_err();
    assert_eq!((error.error().code(), error.error().fault()), (Code::Unsupported, Fault::Local));
}

#[tokio::test]
async fn credentials_do_not_go_to_another_origin() {
    let other = Foreign::saying("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep);
    let location = other.url("/there");
    let server = Foreign::start(move |_, _, request| {
        let location = if request.starts_with("GET /away ") { location.as_str() } else { "/here" };
        match request.starts_with("GET /here ") {
            true => (ok(""), Then::Keep),
            false => {
                let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                (head.into_bytes(), Then::Keep)
            }
        }
    });
    let client = Client::new();
    for path in ["/stay", "/away"] {
        let request = client.get(&server.url(path)).bearer("secret").header("cookie", "a=b").header("x", "y");
        request.send().await.unwrap();
    }
    let stayed = server.requests()[1].clone();
    assert!(field(&stayed, "authorization").is_some() && field(&stayed, "cookie").is_some(), "{stayed}");
    let went = other.requests()[0].clone();
    assert_eq!(field(&went, "host"), Some(other.address.to_string().as_str()));
    assert_eq!(
        (field(&went, "authorization"), field(&went, "cookie"), field(&went, "x")),
        (None, None, Some("y"))
    );
}

#[tokio::test]
async fn cookies_are_kept_if_wanted() {
    let server = Foreign::start(|_, _, request| match request.split(' ').nth(1).unwrap() {
        "/set" => {
            let fields =
                "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nSet-Cookie: c=3; Domain=example.com\r\n";
            let head = format!("HTTP/1.1 302 Found\r\n{fields}Location: /x\r\nContent-Length: 0\r\n\r\n");
            (head.into_bytes(), Then::Keep)
        }
        _ => (ok(field(request, "cookie").unwrap_or("none")), Then::Keep),
    });
    let (with, without) = (Client::builder().cookies(true).build(), Client::new());
    assert_eq!(text(with.get(&server.url("/set")).send().await).await, "a=1; b=2");
    assert_eq!(text(with.clone().get(&server.url("/")).send().await).await, "a=1; b=2");
    assert_eq!(text(with.get(&server.url("/")).header("cookie", "mine=1").send().await).await, "mine=1");
    assert_eq!(text(without.get(&server.url("/set")).send().await).await, "none");
}

#[tokio::test]
async fn every_phase_has_its_time() {
    let short = Duration::from_millis(100);
    let said = |builder: netloom::http::ClientBuilder, answer: &'static str| async move {
        let server = Foreign::saying(answer, Then::Hang);
        let client = builder.build();
        match client.get(&server.url("/")).send().await {
            Ok(response) => ("body", response.into_body().bytes().await.unwrap_err().error().code()),
            Err(error) => ("head", error.error().code()),
        }
    };
    let late = Code::MessageTimeout;
    let head = || Client::builder().head_timeout(short);
    assert_eq!(said(head(), "").await, ("head", late));
    assert_eq!(said(head(), "HTTP/1.1 200 OK\r\n").await, ("head", late));
    assert_eq!(said(head(), "HTTP/1.1 100 Continue\r\n\r\n").await, ("head", late));
    let partial = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let body = || Client::builder().body_timeout(short);
    assert_eq!(said(body(), partial).await, ("body", late));
    assert_eq!(said(body(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1").await, ("body", late));
    let total = || Client::builder().timeout(short);
    assert_eq!(said(total(), "").await, ("head", late));
    assert_eq!(said(total(), partial).await, ("body", late));
    // A body that failed goes on failing: it never looks like a short one.
    let server = Foreign::saying(partial, Then::Hang);
    let mut response = body().build().get(&server.url("/")).send().await.unwrap();
    assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "half");
    for _ in 0..2 {
        assert_eq!(response.body_mut().chunk().await.unwrap_err().error(), late);
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_times_out() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let client = Client::builder()
        .connect_timeout(Duration::from_millis(100))
        .head_timeout(Duration::from_secs(100))
        .build();
    // A backlog that is full drops what comes, so the connection hangs.
    let mut kept = Vec::new();
    let error = loop {
        let url = format!("http://{address}/");
        match tokio::time::timeout(Duration::from_millis(300), client.get(&url).send()).await {
            Ok(response) => break response.unwrap_err(),
            Err(_) => kept.push(TcpStream::connect_timeout(&address, Duration::from_millis(50))),
        }
    };
    assert_eq!(error.error(), Code::ConnectionTimeout, "{error}");
}

#[tokio::test]
async fn a_server_that_takes_nothing_stalls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::builder().body_timeout(Duration::from_millis(200)).build();
    let error = client.post(&format!("http://{address}/")).stream(Pieces(10_000)).send().await.unwrap_err();
    assert_eq!(error.error(), Code::WriteStalled, "{error}");
}

#[tokio::test]
async fn what_is_cut_is_an_error_and_never_a_short_success() {
    for (answer, then) in [
        ("", Then::Close),
        ("HTTP/1.1 200 O", Then::Close),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Then::Close),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Then::Reset),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", Then::Close),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", Then::Close),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx", Then::Close),
        ("HTTP/1.1 200 OK\r\n\r\nhalf", Then::Reset),
        ("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", Then::Close),
    ] {
        let server = Foreign::saying(answer, then);
        let result = match Client::new().get(&server.url("/")).send().await {
            Ok(response) => response.into_body().bytes().await,
            Err(error) => Err(error),
        };
        let error = result.expect_err(answer);
        assert!(error.error().fault() != Fault::Local, "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn framing_follows_method_and_status() {
    for (method, answer, body) in [
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", ""),
        (Method::GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            "ab",
        ),
        (
            Method::GET,
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "x",
        ),
    ] {
        let server = Foreign::saying(answer, Then::Keep);
        let client = Client::new();
        for _ in 0..2 {
            let response = client.method(method.clone(), &server.url("/")).send().await;
            assert_eq!(text(response).await, body, "{answer}");
        }
        assert_eq!((server.connections(), client.idle()), (1, 1), "{answer}");
    }
}

#[tokio::test]
async fn permission_is_asked_for_and_not_waited_for_for_ever() {
    // Says 100, refuses, or says nothing until the body has come.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let foreign = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for first in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", ""] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(char::from(byte[0]));
            }
            assert_eq!(field(&head, "expect"), Some("100-continue"));
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let mut body = [0; 4];
            assert!(stream.read(&mut body).is_err(), "the body came without permission");
            stream.write_all(first.as_bytes()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let n = stream.read(&mut body).unwrap();
            bodies.push(String::from_utf8(body[..n].to_vec()).unwrap());
            let _ = stream.write_all(&ok("done"));
        }
        bodies
    });
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let client = Client::new();
        let response = client.post(&url).body("body").expect_continue().send().await.unwrap();
        statuses.push(response.status().as_u16());
        response.into_body().bytes().await.unwrap();
        assert_eq!(client.idle(), usize::from(statuses.last() != Some(&417)));
    }
    assert_eq!(statuses, [200, 417, 200]);
    assert_eq!(foreign.join().unwrap(), ["body", "", "body"]);
}

#[tokio::test]
async fn ten_megabytes_go_both_ways_at_once() {
    let server = ours();
    let url = format!("http://{}/echo", server.addresses()[0]);
    let client = Client::new();
    let mut response = client.post(&url).stream(Pieces(1000)).send().await.unwrap();
    let (mut length, mut wrong) = (0, 0);
    while let Some(piece) = response.body_mut().chunk().await.unwrap() {
        for byte in &piece {
            let nth = length / 10_000;
            wrong += usize::from(*byte != (999 - nth) as u8);
            length += 1;
        }
    }
    assert_eq!((length, wrong), (10_000_000, 0));
    assert_eq!(client.idle(), 1);
}

/// It is wanted all the same, and is not cut because the answer was short; only a refusal ends it.
#[tokio::test]
async fn an_early_answer_does_not_cut_the_body() {
    const LENGTH: usize = 10_000_000;
    for (answer, is_wanted) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok", true),
        ("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let foreign = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            let (mut came, mut buffer) = (Vec::new(), [0; 65_536]);
            while !came.ends_with(b"\r\n0\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(n @ 1..) => came.extend_from_slice(&buffer[..n]),
                    _ => return None,
                }
            }
            Some(came.len())
        });
        let client = Client::new();
        let response = client.post(&url).stream(Pieces(LENGTH / 10_000)).send().await.unwrap();
        response.into_body().bytes().await.unwrap();
        assert_eq!(client.idle(), usize::from(is_wanted), "{answer}");
        let came = foreign.join().unwrap();
        assert_eq!(came.is_some_and(|came| came > LENGTH), is_wanted, "{answer}: {came:?}");
    }
}

/// A server that has answered and goes has said all: that it took no more is no error.
#[tokio::test]
async fn an_answer_counts_although_the_body_was_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (heard, goes) = mpsc::channel();
    let foreign = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(&ok("ok")).unwrap();
        // What was not read resets the connection.
        goes.recv_timeout(PATIENCE).unwrap();
    });
    let client = Client::new();
    let mut response = client.post(&url).stream(Pieces(10_000)).send().await.unwrap();
    assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "ok");
    heard.send(()).unwrap();
    assert!(response.body_mut().chunk().await.unwrap().is_none());
    assert_eq!(client.idle(), 0);
    foreign.join().unwrap();
}

#[tokio::test]
async fn a_body_that_fails_or_lies_about_its_length_is_no_request() {
    struct Fails;
    impl http_body::Body for Fails {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(Some(Err(std::io::Error::other("no paper"))))
        }
    }
    let server = ours();
    let url = format!("http://{}/echo", server.addresses()[0]);
    let client = Client::new();
    let error = client.post(&url).stream(Fails).send().await.unwrap_err();
    assert_eq!((error.error().code(), error.error().fault()), (Code::SendFailed, Fault::Local));
    assert!(error.to_string().contains("no paper"), "{error}");
    for length in ["9999", "10001"] {
        let request = client.post(&url).header("content-length", length).stream(Pieces(1));
        let result = match request.send().await {
            Ok(response) => response.into_body().bytes().await,
            Err(error) => Err(error),
        };
        assert_eq!(result.unwrap_err().error(), Code::SendFailed, "{length}");
    }
    assert_eq!(client.idle(), 0);
}

#[tokio::test]
async fn bodies_are_gathered_up_to_a_limit() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
    ] {
        let server = Foreign::saying(answer, Then::Keep);
        for (max, fits) in [(9, false), (10, true)] {
            let client = Client::builder().body_max(max).build();
            let response = client.get(&server.url("/")).send().await.unwrap();
            match response.into_body().bytes().await {
                Ok(body) => assert!(fits && body == "0123456789"),
                Err(error) => assert!(!fits && error.error() == Code::MessageTooLarge, "{error}"),
            }
        }
    }
    let server = Foreign::start(|_, _, _| {
        ([&b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"[..], &[0xff]].concat(), Then::Keep)
    });
    let client = Client::new();
    let get = || async { client.get(&server.url("/")).send().await.unwrap().into_body() };
    assert_eq!(get().await.text().await.unwrap_err().error(), Code::InvalidText);
    assert_eq!(get().await.json::<u8>().await.unwrap_err().error(), Code::ProtocolViolation);
}

#[cfg(feature = "compression")]
mod compression {
    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn answer(coding: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn responses_are_decoded_unless_the_caller_sees_to_it() {
        let coded = [
            ("gzip", gzip(b"hello")),
            ("zstd", zstd::encode_all(&b"hello"[..], 1).unwrap()),
            ("unknown", b"hello".to_vec()),
        ];
        for (coding, body) in coded {
            let (coding, plain) = (coding.to_owned(), body.clone());
            let server = Foreign::start({
                let coding = coding.clone();
                move |_, _, request| match request.starts_with("HEAD") {
                    true => (
                        answer(&coding, &body)[..answer(&coding, &body).len() - body.len()].to_vec(),
                        Then::Keep,
                    ),
                    false => (answer(&coding, &body), Then::Keep),
                }
            });
            let client = Client::new();
            for _ in 0..2 {
                let response = client.get(&server.url("/")).send().await.unwrap();
                assert_eq!(response.headers().contains_key("content-encoding"), coding == "unknown");
                assert_eq!(text(Ok(response)).await, "hello");
            }
            let response = client.head(&server.url("/")).send().await.unwrap();
            assert_eq!(response.headers()["content-encoding"], coding.as_str());
            for request in [
                client.get(&server.url("/")).header("accept-encoding", "gzip"),
                client.get(&server.url("/")).header("range", "bytes=0-"),
                Client::builder().decode(false).build().get(&server.url("/")),
            ] {
                let response = request.send().await.unwrap();
                assert_eq!(response.headers()["content-encoding"], coding.as_str());
                assert_eq!(response.into_body().bytes().await.unwrap(), plain);
            }
            assert_eq!(server.connections(), 2);
        }
    }

    #[tokio::test]
    async fn a_bomb_is_cut_off_at_the_limit() {
        let bomb = gzip(&vec![0; 50_000_000]);
        let size = bomb.len();
        let server = Foreign::start(move |_, _, _| (answer("gzip", &bomb), Then::Keep));
        let capped = Client::builder().decoded_max(1_000_000).build();
        let mut response = capped.get(&server.url("/")).send().await.unwrap();
        let mut length = 0;
        let error = loop {
            match response.body_mut().chunk().await {
                Ok(Some(piece)) => length += piece.len(),
                Ok(None) => panic!("{length} bytes of {size}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.error(), Code::MessageTooLarge);
        assert!((900_000..=1_000_000).contains(&length), "{length}");
        let gathered = Client::builder().body_max(1_000_000).build();
        let error =
            gathered.get(&server.url("/")).send().await.unwrap().into_body().bytes().await.unwrap_err();
        assert_eq!(error.error(), Code::MessageTooLarge);
    }

    #[tokio::test]
    async fn coded_content_that_is_cut_or_malformed_is_an_error() {
        let whole = gzip(&[7; 1000]);
        let cut = whole[..whole.len() - 4].to_vec();
        for body in [cut, b"no gzip at all".to_vec()] {
            let server = Foreign::start(move |_, _, _| (answer("gzip", &body), Then::Keep));
            let response = Client::new().get(&server.url("/")).send().await.unwrap();
            let error = response.into_body().bytes().await.unwrap_err();
            assert_eq!(
                (error.error().code(), error.error().wire()),
                (Code::ProtocolViolation, 502),
                "{error}"
            );
        }
    }
}

/// hyper, which echoes.
fn hyper() -> (SocketAddr, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let service =
                    hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
                        let mut response = Response::new(request.into_body());
                        response.headers_mut().insert("x-from", "hyper".parse().unwrap());
                        Ok::<_, Infallible>(response)
                    });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
            }
        });
        let stopped = async { tokio::task::spawn_blocking(move || stopped.recv().ok()).await };
        runtime.block_on(stopped).unwrap();
    });
    (address, stop)
}

#[tokio::test]
async fn hyper_understands_us_and_we_it() {
    let (address, _stop) = hyper();
    let url = format!("http://{address}/");
    let client = Client::new();
    assert_eq!(text(client.post(&url).body("hi").send().await).await, "hi");
    let response = client.post(&url).stream(Pieces(300)).send().await.unwrap();
    assert_eq!(response.headers()["x-from"], "hyper");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 3_000_000);
    let response = client.put(&url).body("x".repeat(100_000)).expect_continue().send().await;
    assert_eq!(text(response).await.len(), 100_000);
    // What was received can be sent on.
    let from = client.post(&url).stream(Pieces(10)).send().await.unwrap();
    let to = client.request(from.map(RequestBody::stream).into_request(&url)).await.unwrap();
    assert_eq!(to.into_body().bytes().await.unwrap().len(), 100_000);
    assert_eq!(client.idle(), 2);
}

/// A response's body as that of a request.
trait IntoRequest {
    fn into_request(self, url: &str) -> HttpRequest<RequestBody>;
}

impl IntoRequest for Response<RequestBody> {
    fn into_request(self, url: &str) -> HttpRequest<RequestBody> {
        HttpRequest::post(url).body(self.into_body()).unwrap()
    }
}

#[tokio::test]
async fn pythons_server_is_understood() {
    let script = "import http.server, sys\n\
        class Handler(http.server.SimpleHTTPRequestHandler):\n\
        \x20   def do_GET(self):\n\
        \x20       self.wfile.write(b'HTTP/1.0 200 OK\\r\\nX-Path: ' + self.path.encode() + b'\\r\\n\\r\\nuntil the end')\n\
        server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n\
        print(server.server_port, flush=True)\n\
        server.handle_request()\n";
    let python = std::process::Command::new("python3")
        .args(["-c", script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(mut python) = python else {
        println!("skipped: there is no python3");
        return;
    };
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(python.stdout.take().unwrap()), &mut port)
        .unwrap();
    let response =
        Client::new().get(&format!("http://127.0.0.1:{}/a%20b", port.trim())).send().await.unwrap();
    assert_eq!(response.headers()["x-path"], "/a%20b");
    assert_eq!(response.version(), ::http::Version::HTTP_10);
    assert_eq!(text(Ok(response)).await, "until the end");
    python.wait().unwrap();
}

#[tokio::test]
async fn the_caller_may_name_another_host_and_nothing_else() {
    let server = Foreign::saying("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep);
    let client = Client::new();
    client.get(&server.url("/")).header("host", "virtual.example").send().await.unwrap();
    assert_eq!(field(&server.requests()[0], "host"), Some("virtual.example"));
    for host in [&b"a b"[..], b"a/b", b"\xff"] {
        let error = client.get(&server.url("/")).header("host", host).send().await.unwrap_err();
        assert_eq!((error.error().code(), error.error().fault()), (Code::InvalidText, Fault::Local));
    }
}

#[tokio::test]
async fn a_redirect_is_followed_although_its_body_does_not_end() {
    let server = Foreign::start(|_, _, request| match request.starts_with("GET /x ") {
        true => (ok("x"), Then::Keep),
        false => {
            let head = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nhalf";
            (head.into(), Then::Hang)
        }
    });
    assert_eq!(text(Client::new().get(&server.url("/")).send().await).await, "x");
    assert_eq!(server.connections(), 2);
}

/// Fields keep their number and order, and bytes that are no ASCII.
#[tokio::test]
async fn fields_arrive_as_they_were_sent() {
    let server = Foreign::start(|_, _, _| {
        let fields = b"HTTP/1.1 299 Odd\r\nA: 1\r\nB: \xe4\r\na:  2 \r\nContent-Length: 0\r\n\r\n";
        (fields.to_vec(), Then::Keep)
    });
    let response = Client::new().get(&server.url("/")).send().await.unwrap();
    let headers: &HeaderMap = response.headers();
    assert_eq!(response.status().as_u16(), 299);
    assert_eq!(headers.get_all("a").into_iter().collect::<VecDeque<_>>(), ["1", "2"]);
    assert_eq!(headers["b"].as_bytes(), b"\xe4");
}
