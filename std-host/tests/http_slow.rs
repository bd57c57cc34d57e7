//! A hundred clients that are slow on purpose, beside some that are not.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{PATIENCE, dial, eventually};
use netloom::core::Timeouts;
use netloom::http::{Request, Sent};
use netloom::{Code, Result, Server, routes};

const SLOW: usize = 100;
const PAUSE: Duration = Duration::from_millis(40);

/// Clients that did not read, let go.
static STALLED: AtomicUsize = AtomicUsize::new(0);
/// Slow clients that have seen their end.
static ENDED: AtomicUsize = AtomicUsize::new(0);

async fn upload(mut request: Request<'_>) -> Result<Sent> {
    while request.receive().await?.is_some() {}
    request.reply().text("done").await
}

/// More than the sockets hold.
async fn large(request: Request<'_>) -> Result<Sent> {
    let mut stream = request.reply().stream("text/plain").await?;
    for _ in 0..500 {
        if let Err(error) = stream.send(&[b'x'; 60_000]).await {
            assert_eq!(error, Code::WriteStalled);
            STALLED.fetch_add(1, SeqCst);
            return Err(error);
        }
    }
    stream.end().await
}

/// A request that is not complete, byte by byte if it likes; the answer, up to the end.
fn told(address: SocketAddr, at_once: &[u8], drip: &[u8]) -> String {
    let mut stream = dial(address);
    stream.write_all(at_once).unwrap();
    stream.set_read_timeout(Some(PAUSE)).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 512]);
    for byte in drip {
        stream.write_all(&[*byte]).unwrap();
        match stream.read(&mut buffer) {
            Ok(n) => {
                answer.extend_from_slice(&buffer[..n]);
                break;
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
            }
        }
    }
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_to_end(&mut answer).expect("an end in order");
    String::from_utf8(answer).unwrap()
}

fn assert_timed_out(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer:?}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer:?}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer:?}");
}

fn slow_head(address: SocketAddr) {
    let head = format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}", "x: y\r\n".repeat(100));
    assert_timed_out(&told(address, b"", head.as_bytes()));
}

fn slow_body(address: SocketAddr) {
    let head = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome, and then no more";
    assert_timed_out(&told(address, head, b""));
}

fn slow_reader(address: SocketAddr) {
    let mut stream = dial(address);
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    eventually("all that do not read are let go", || STALLED.load(SeqCst) == SLOW / 4);
    let mut came = Vec::new();
    // A reset, or less than was promised: there is no room to say more.
    if stream.read_to_end(&mut came).is_ok() {
        assert!(!came.ends_with(b"0\r\n\r\n"));
    }
}

fn asks_on_one_connection(address: SocketAddr) -> usize {
    let mut stream = dial(address);
    let mut asked = 0;
    while ENDED.load(SeqCst) < SLOW {
        hello(&mut stream);
        asked += 1;
    }
    asked
}

fn asks_on_many(address: SocketAddr) -> usize {
    let mut asked = 0;
    while ENDED.load(SeqCst) < SLOW {
        hello(&mut dial(address));
        asked += 1;
    }
    asked
}

fn hello(stream: &mut TcpStream) {
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 512]);
    while !answer.ends_with(b"\r\n\r\nhello") {
        match stream.read(&mut buffer).expect("an answer") {
            0 => panic!("the end instead of an answer"),
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn slow_clients_are_ended_and_the_others_are_all_answered() {
    let timeouts = Timeouts {
        message: Duration::from_millis(700),
        write_stall: Duration::from_millis(700),
        closing: Duration::from_millis(500),
        ..Timeouts::DEFAULT
    };
    let app = routes! {
        GET "/hello" => async |request: Request<'_>| request.reply().text("hello").await,
        POST "/upload" => upload,
        GET "/large" => large,
    };
    let server = Server::builder().tcp("127.0.0.1:0").workers(2).timeouts(timeouts).http(app).unwrap();
    let address = server.addresses()[0];
    std::thread::scope(|scope| {
        for i in 0..SLOW {
            let kind = [slow_head, slow_body, slow_reader, slow_head][i % 4];
            scope.spawn(move || {
                kind(address);
                ENDED.fetch_add(1, SeqCst);
            });
        }
        let normal = [asks_on_one_connection, asks_on_many, asks_on_one_connection];
        for asked in normal.map(|asks| scope.spawn(move || asks(address))) {
            assert!(asked.join().unwrap() > 10);
        }
    });
    eventually("no session is left", || server.stats().active == 0);
}
