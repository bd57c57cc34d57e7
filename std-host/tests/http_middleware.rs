//! Middleware, as clients see it.

mod common;

#[path = "common/answer.rs"]
mod answer;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use answer::{Answer, Client};
use netloom::http::{self, Cors, Http1, Method, Request, RequestId, Sent, TrustId, status};
use netloom::{Duration, Result, Server, ServerSession, routes};
use tokio::sync::Notify;
use tracing::field::{Field, Visit};

fn serve(app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone + Send + 'static) -> (Server, SocketAddr) {
    let connection = async move |session: &mut ServerSession<Http1>| http::serve(session, &app).await;
    let server = Server::builder().tcp("127.0.0.1:0").workers(1).start(Http1::new, connection).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

async fn gather(request: Request<'_>) -> Result<Sent> {
    let whole = request.body().await?;
    whole.reply.format(format_args!("{}", whole.body.len())).await
}

async fn half(request: Request<'_>) -> Result<Sent> {
    let mut stream = request.reply().stream("text/plain").await?;
    stream.send(b"half").await?;
    stream.flush().await?;
    stream.during(std::future::pending::<()>()).await;
    stream.end().await
}

fn app() -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone + Send + 'static {
    routes! {
        GET "/" => async |request: Request<'_>| request.reply().text("hello").await,
        POST "/" => gather,
        GET "/error" => async |_: Request<'_>| Err(status::error(418)),
        GET "/io" => async |request: Request<'_>| {
            let text = std::fs::read_to_string("/no/such/file").map_err(http::internal)?;
            request.reply().text(&text).await
        },
        GET "/id" => async |request: Request<'_>| {
            let id = RequestId::current().map(|id| id.to_string()).unwrap_or_default();
            request.reply().text(&id).await
        },
        GET "/never" => async |mut request: Request<'_>| {
            request.during(std::future::pending::<()>()).await;
            request.reply().empty().await
        },
        GET "/half" => half,
    }
}

#[test]
fn fields_are_in_every_answer() {
    let fields = [("x-content-type-options", "nosniff"), ("x-b", "2")];
    let (_server, address) = serve(http::with_fields(fields, app()));
    let mut client = Client::new(address);
    for (path, status) in [("/", 200), ("/error", 418), ("/nowhere", 404), ("/io", 500)] {
        let answer = client.get(path);
        assert_eq!(answer.status, status);
        assert_eq!(
            (answer.field("x-content-type-options"), answer.field("x-b")),
            (Some("nosniff"), Some("2"))
        );
    }
}

#[test]
fn an_internal_error_is_a_500_that_tells_nothing() {
    let (_server, address) = serve(app());
    let answer = Client::new(address).get("/io");
    assert_eq!(answer.text(), r#"{"title":"Internal Server Error","status":500}"#);
}

#[test]
fn ids_are_made_or_taken_over_and_seen_by_handlers() {
    for trust in [TrustId::No, TrustId::Yes] {
        let (_server, address) = serve(http::request_id(trust, app()));
        let mut client = Client::new(address);
        let mut ids = std::collections::BTreeSet::new();
        for brought in ["", "x-request-id: abc-1\r\n", "x-request-id: a b\r\n", "x-request-id: \r\n"] {
            let answer = client.ask("GET", "/id", brought);
            let id = answer.field("x-request-id").unwrap();
            assert_eq!((id, answer.all("x-request-id").count()), (answer.text(), 1));
            assert_eq!(
                id == "abc-1",
                trust == TrustId::Yes && brought.contains("abc"),
                "{trust:?} {brought}"
            );
            assert!(ids.insert(id.to_owned()), "{id} comes twice");
        }
        let long = "x".repeat(65);
        assert_ne!(client.ask("GET", "/id", &format!("x-request-id: {long}\r\n")).text(), long);
        assert!(client.get("/error").field("x-request-id").is_some());
    }
}

/// `name: value` of the fields that CORS is about.
fn grants(answer: &Answer) -> Vec<String> {
    let lines =
        answer.head.lines().filter(|line| line.starts_with("access-control-") || line.starts_with("vary"));
    lines.map(|line| line.strip_prefix("access-control-").unwrap_or(line).to_owned()).collect()
}

#[test]
fn preflights_get_what_the_rules_say() {
    let listed = || Cors::origins(["https://a.example", "https://b.example:8443", "null"]);
    let full = || {
        listed()
            .methods([Method::Put, Method::Delete])
            .headers(["content-type", "x-token"])
            .expose(["etag"])
            .credentials()
            .max_age(Duration::from_secs(600))
    };
    let of_example = |origin: &str| origin.ends_with(".example");
    let cases: [(Cors, &str, &str, &[&str]); 12] = [
        (Cors::any(), "https://x", "", &["allow-origin: *"]),
        (Cors::any().methods([Method::Put]), "null", "", &["allow-origin: *", "allow-methods: PUT"]),
        (
            Cors::any().any_headers(),
            "https://x",
            "x-a, x-b",
            &["allow-origin: *", "allow-headers: x-a, x-b", "vary: access-control-request-headers"],
        ),
        (
            Cors::any().credentials(),
            "https://x",
            "",
            &["allow-origin: https://x", "allow-credentials: true", "vary: origin"],
        ),
        (listed(), "https://a.example", "x", &["allow-origin: https://a.example", "vary: origin"]),
        (listed(), "null", "", &["allow-origin: null", "vary: origin"]),
        (listed(), "https://b.example", "", &["vary: origin"]),
        (listed(), "https://a.example.evil.net", "", &["vary: origin"]),
        (listed(), "http://a.example", "", &["vary: origin"]),
        (
            full(),
            "https://b.example:8443",
            "x-token",
            &[
                "allow-origin: https://b.example:8443",
                "allow-credentials: true",
                "allow-methods: PUT, DELETE",
                "allow-headers: content-type, x-token",
                "max-age: 600",
                "vary: origin",
            ],
        ),
        (full(), "https://evil.net", "x-token", &["vary: origin"]),
        (
            Cors::matching(of_example).any_headers(),
            "https://c.example",
            "x-a",
            &[
                "allow-origin: https://c.example",
                "allow-headers: x-a",
                "vary: origin, access-control-request-headers",
            ],
        ),
    ];
    for (rules, origin, headers, expected) in cases {
        let (_server, address) = serve(http::cors(rules.clone(), app()));
        let mut fields = format!("origin: {origin}\r\naccess-control-request-method: PUT\r\n");
        if !headers.is_empty() {
            write!(fields, "access-control-request-headers: {headers}\r\n").unwrap();
        }
        let answer = Client::new(address).ask("OPTIONS", "/nowhere", &fields);
        assert_eq!((answer.status, grants(&answer)), (204, expected.iter().map(|e| e.to_string()).collect()));
        assert_eq!(answer.field("content-length"), None);
    }
}

#[test]
fn answers_and_errors_say_who_may_read_them() {
    let rules = Cors::origins(["https://a.example"]).credentials().expose(["etag", "x-total"]);
    let (_server, address) = serve(http::cors(rules, app()));
    let mut client = Client::new(address);
    for (path, status) in [("/", 200), ("/error", 418), ("/nowhere", 404), ("/io", 500)] {
        let answer = client.ask("GET", path, "origin: https://a.example\r\n");
        let expected = [
            "allow-origin: https://a.example",
            "allow-credentials: true",
            "expose-headers: etag, x-total",
            "vary: origin",
        ];
        assert_eq!((answer.status, grants(&answer)), (status, expected.map(String::from).into()));
        for origin in ["", "origin: https://b.example\r\n"] {
            let answer = client.ask("GET", path, origin);
            assert_eq!((answer.status, grants(&answer)), (status, vec!["vary: origin".into()]), "{origin}");
        }
    }
    // Not preflights: they are the application's.
    for fields in ["", "origin: https://a.example\r\n", "access-control-request-method: PUT\r\n"] {
        let answer = client.ask("OPTIONS", "/", fields);
        assert_eq!(answer.field("allow"), Some("GET, HEAD, POST, OPTIONS"), "{fields}");
    }
}

#[test]
fn a_public_answer_is_the_same_for_all() {
    let (_server, address) = serve(http::cors(Cors::any(), app()));
    let mut client = Client::new(address);
    for fields in ["", "origin: https://a.example\r\n"] {
        assert_eq!(grants(&client.ask("GET", "/", fields)), ["allow-origin: *"]);
    }
}

#[test]
fn a_long_body_is_refused_at_once_or_where_it_becomes_so() {
    let (_server, address) = serve(http::body_limit(10, http::body_limit(100, app())));
    let mut client = Client::new(address);
    assert_eq!(client.post("/", "", "0123456789").text(), "10");
    assert_eq!(client.post("/", "", "0123456789x").status, 413);
    assert_eq!(client.get("/").text(), "hello", "a short rest is thrown away");
    let chunked = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(format!("{chunked}5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"));
    assert_eq!(client.answer(false).text(), "10");
    client.write(format!("{chunked}5\r\n01234\r\n5\r\n56789\r\n1\r\nx\r\n"));
    assert_eq!(client.answer(false).status, 413, "before its end");
    // Without a byte of it, and without permission to send it.
    let mut client = Client::new(address);
    client
        .write("POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 1000000000000\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
    assert!(client.rest().is_empty());
}

#[test]
fn handlers_too_many_are_refused_until_one_ends() {
    let go = Arc::new(Notify::new());
    let inside = Arc::new(AtomicUsize::new(0));
    let (wait, enter) = (go.clone(), inside.clone());
    let slow = async move |mut request: Request<'_>| {
        enter.fetch_add(1, SeqCst);
        request.during(wait.notified()).await;
        request.reply().text("done").await
    };
    let (_server, address) = serve(http::concurrency(2, slow));
    let ask = || {
        let mut client = Client::new(address);
        client.write("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        client
    };
    let mut both = [ask(), ask()];
    common::eventually("two are inside", || inside.load(SeqCst) == 2);
    let mut third = Client::new(address);
    let refused = third.get("/");
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    go.notify_waiters();
    for client in &mut both {
        assert_eq!(client.answer(false).text(), "done");
    }
    third.write("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    go.notify_one();
    assert_eq!(third.answer(false).text(), "done");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "netloom::http"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

mod paused {
    //! With tokio's clock in the test's hands: one session on real sockets, in the test's own runtime.

    use netloom::core::Parts;
    use netloom::{Heap, Options, Session, Tcp, TokioClock};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, timeout};

    use super::*;

    /// What a client that sends `asked` gets until the connection ends, how long that took, and what was logged.
    async fn talk(
        app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
        asked: &str,
    ) -> (String, Duration, Vec<String>) {
        let lines = Lines::default();
        let guard = tracing::subscriber::set_default(lines.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(asked.as_bytes()).await.unwrap();
        let queues = (Heap::new(4096, 65536), Heap::new(4096, 65536));
        let clock = TokioClock::new(Instant::now());
        let mut session: Session<Parts<Tcp, Heap, TokioClock>, Http1> =
            Session::open(Tcp::new(stream), Http1::new(), queues, clock, Options::DEFAULT);
        let begun = Instant::now();
        let serving = async {
            let _ = http::serve(&mut session, &app).await;
            let took = begun.elapsed();
            let _ = session.close().await;
            took
        };
        let reading = async {
            let mut got = Vec::new();
            let _ = timeout(Duration::from_secs(3600), client.read_to_end(&mut got)).await;
            String::from_utf8(got).unwrap()
        };
        let (took, got) = tokio::join!(serving, reading);
        drop(guard);
        let lines = std::mem::take(&mut *lines.0.lock().unwrap());
        (got, took, lines)
    }

    const SPAN: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_never_ends_gets_503_and_the_next_its_turn() {
        let app = http::timeout(SPAN, app());
        let asked =
            "GET /never HTTP/1.1\r\nhost: h\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let (got, took, _) = talk(app, asked).await;
        assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{got}");
        assert!(got.contains("application/problem+json") && got.ends_with("hello"), "{got}");
        assert!((SPAN..SPAN * 2).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_an_answer_is_cut() {
        let asked = "GET /half HTTP/1.1\r\nhost: h\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n";
        let (got, took, _) = talk(http::timeout(SPAN, app()), asked).await;
        assert!(got.ends_with("4\r\nhalf\r\n"), "{got}");
        assert!((SPAN..SPAN * 2).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_counts() {
        let asked = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n";
        let (got, took, _) = talk(http::timeout(SPAN, app()), asked).await;
        assert!(got.starts_with("HTTP/1.1 503 "), "{got}");
        assert!(took >= SPAN, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_waits_arms_no_timer() {
        let asked = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let (got, took, _) = talk(http::timeout(Duration::ZERO, app()), asked).await;
        assert!(got.ends_with("hello"), "{got}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    async fn logged(asked: &str) -> Vec<String> {
        let app = http::request_id(TrustId::Yes, http::log(http::timeout(SPAN, app())));
        talk(app, asked).await.2
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_is_one_line_of_the_log() {
        let fields = "host: h\r\nx-request-id: one\r\n";
        let lines = logged(&format!(
            "GET /?secret HTTP/1.1\r\n{fields}\r\nHEAD / HTTP/1.1\r\n{fields}\r\n\
             GET /error HTTP/1.1\r\n{fields}connection: close\r\n\r\n"
        ))
        .await;
        for (line, expected) in lines.iter().zip([
            r#"INFO method="GET" path="/" status=200 bytes=5 micros="#,
            r#"INFO method="HEAD" path="/" status=200 bytes=0 micros="#,
            r#"INFO method="GET" path="/error" status=418 bytes="#,
        ]) {
            assert!(line.starts_with(expected), "{line}");
            assert!(line.contains(" peer=127.0.0.1:") && line.ends_with(" id=one"), "{line}");
        }
        assert_eq!(lines.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_wrong_here_is_a_warning() {
        let lines = logged("GET /io HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
        assert!(lines[0].starts_with("ERROR message=a handler failed error=No such file"), "{lines:?}");
        assert!(lines[1].starts_with(r#"WARN method="GET" path="/io" status=500"#), "{lines:?}");
        let lines = logged("GET /half HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let line = lines.last().unwrap();
        assert!(line.starts_with(r#"WARN method="GET" path="/half" status=200 bytes=4"#), "{line}");
        assert!(line.contains(" error="), "{line}");
    }
}

#[test]
fn layers_go_around_each_other() {
    let app = http::boxed(http::request_id(TrustId::No, http::cors(Cors::any(), http::log(app()))));
    let (_server, address) = serve(app);
    let mut client = Client::new(address);
    let answer = client.get("/error");
    assert_eq!((answer.status, grants(&answer)), (418, vec!["allow-origin: *".into()]));
    assert!(answer.field("x-request-id").is_some());
}

/// Bytes of the future that serves a connection: it is there while the connection waits, too.
async fn connection_size(app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone) -> usize {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let queues = || netloom::Heap::new(4096, 65536);
    let clock = netloom::TokioClock::new(tokio::time::Instant::now());
    let mut session: netloom::Session<netloom::core::Parts<netloom::Tcp, _, _>, Http1> =
        netloom::Session::open(
            netloom::Tcp::new(stream),
            Http1::new(),
            (queues(), queues()),
            clock,
            netloom::Options::DEFAULT,
        );
    size_of_val(&http::serve(&mut session, &app))
}

#[tokio::test]
async fn what_layers_cost_a_connection_that_waits() {
    let fields = [("x-content-type-options", "nosniff")];
    let span = Duration::from_secs(1);
    let bare = connection_size(app()).await;
    for (layer, size) in [
        ("with_fields", connection_size(http::with_fields(fields, app())).await),
        ("log", connection_size(http::log(app())).await),
        ("request_id", connection_size(http::request_id(TrustId::No, app())).await),
        ("cors", connection_size(http::cors(Cors::any(), app())).await),
        ("timeout", connection_size(http::timeout(span, app())).await),
        ("concurrency", connection_size(http::concurrency(1, app())).await),
        ("body_limit", connection_size(http::body_limit(1, app())).await),
    ] {
        assert!(size <= bare + 448, "{layer}: {size} bytes, {bare} without it");
    }
    // Room for a pointer, however many there are.
    let four = http::request_id(TrustId::No, http::cors(Cors::any(), http::log(http::timeout(span, app()))));
    let boxed = connection_size(http::boxed(four)).await;
    assert_eq!(boxed, connection_size(http::boxed(app())).await);
    assert!(boxed <= 320, "{boxed} bytes");
}
