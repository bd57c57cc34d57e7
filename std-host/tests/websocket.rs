//! WebSocket against a foreign implementation, both ways round, and against bytes by hand.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::{PATIENCE, dial, eventually};
use futures_util::{SinkExt, StreamExt};
use netloom::http::{Request, Sent};
use netloom::websocket::{self, ConnectError, Connector, Kind, Message, accept_for};
use netloom::{Code, Result, Server, Tcp, Timeouts, routes};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::Message as Foreign;

/// Lengths where the header changes, or a queue has to grow.
const LENGTHS: [usize; 11] = [0, 1, 125, 126, 127, 16_000, 65_535, 65_536, 65_537, 200_000, 1 << 20];

const HANDSHAKE: &str = "GET /echo HTTP/1.1\r\nhost: example.com\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Text of so many bytes, with characters of every length.
fn text(length: usize) -> String {
    let mut text = "a\u{e9}\u{20ac}\u{1f980}".repeat(length / 10);
    text.extend(std::iter::repeat_n('x', length - text.len()));
    text
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 256) as u8).collect()
}

/// Sends every message back, and ends as it is asked to.
async fn echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) =
        websocket::Accept::new().protocols(&["chat", "superchat"]).accept(request).await?;
    let protocol = socket.protocol().unwrap_or("none");
    while let Some((message, mut peer)) = socket.receive().await? {
        match message {
            Message::Text("close with 4001") => peer.close(4001, "as you say").await?,
            Message::Text("ping") => peer.ping(b"are you there?").await?,
            Message::Text("which protocol?") => peer.send(protocol).await?,
            Message::Text("fragments") => {
                for (n, piece) in ["fr", "ag", "", "ments"].into_iter().enumerate() {
                    peer.send_fragment(Kind::Text, n == 0, n == 3, piece.as_bytes()).await?;
                    peer.ping(b"between").await?;
                }
            }
            message => peer.send(message).await?,
        }
    }
    Ok(sent)
}

fn server() -> (Server, SocketAddr) {
    let app = routes! {
        GET "/echo" => echo,
        GET "/moved" => async |request: Request<'_>| {
            request.reply().status(302).fields([("location", "/echo")]).empty().await
        },
        GET "/round" => async |request: Request<'_>| {
            request.reply().status(302).fields([("location", "round")]).empty().await
        },
        GET "/plain" => async |request: Request<'_>| request.reply().text("no WebSocket").await,
    };
    let server = Server::builder().tcp("127.0.0.1:0").workers(1).http(app).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

/// A foreign server for one connection: sends every message back, as one frame, and is asked for more by some.
async fn foreign_server() -> (String, tokio::task::JoinHandle<Option<CloseFrame>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut closed = None;
        while let Some(message) = socket.next().await {
            match message {
                Ok(Foreign::Text(text)) if text == "close with 4001" => {
                    let frame = CloseFrame { code: CloseCode::from(4001), reason: "as you say".into() };
                    socket.close(Some(frame)).await.unwrap();
                }
                Ok(Foreign::Text(text)) if text == "ping" => {
                    socket.send(Foreign::Ping("are you there?".into())).await.unwrap();
                    let pong = Foreign::Pong("are you there?".into());
                    while socket.next().await.unwrap().unwrap() != pong {}
                    socket.send(Foreign::Text("you are".into())).await.unwrap();
                }
                Ok(Foreign::Text(text)) if text == "fragments" => {
                    for (n, piece) in ["fr", "ag", "", "ments"].into_iter().enumerate() {
                        let data = if n == 0 { Data::Text } else { Data::Continue };
                        let frame = Frame::message(piece, OpCode::Data(data), n == 3);
                        socket.send(Foreign::Frame(frame)).await.unwrap();
                        socket.send(Foreign::Ping("between".into())).await.unwrap();
                    }
                }
                Ok(message @ (Foreign::Text(_) | Foreign::Binary(_))) => socket.send(message).await.unwrap(),
                Ok(Foreign::Close(frame)) => closed = frame,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        closed
    });
    (url, task)
}

#[tokio::test]
async fn our_client_and_a_foreign_server_echo_messages_of_every_kind_and_length() {
    let (url, task) = foreign_server().await;
    let mut socket = websocket::connect(&url).await.unwrap();
    for length in LENGTHS {
        let (text, bytes) = (text(length), bytes(length));
        socket.peer().send(&*text).await.unwrap();
        assert!(socket.receive().await.unwrap().unwrap().0 == Message::Text(&text), "{length}");
        socket.peer().send(&*bytes).await.unwrap();
        assert!(socket.receive().await.unwrap().unwrap().0 == Message::Binary(&bytes), "{length}");
    }
    socket.close(4000, "bye").await.unwrap();
    let frame = task.await.unwrap().expect("a close frame");
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "bye"));
}

#[tokio::test]
async fn our_client_takes_fragments_answers_pings_and_is_answered() {
    let (url, task) = foreign_server().await;
    let mut socket = websocket::connect(&url).await.unwrap();
    let ping = ("fragments", "fragments");
    for (sent, answer) in [ping, ("ping", "you are"), ping] {
        socket.peer().send(sent).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text(answer));
    }
    // A message in fragments, with a ping in between, is one message to the server.
    let mut peer = socket.peer();
    peer.send_fragment(Kind::Text, true, false, b"one ").await.unwrap();
    peer.ping(b"x").await.unwrap();
    peer.send_fragment(Kind::Text, false, false, b"").await.unwrap();
    peer.send_fragment(Kind::Text, false, true, b"message").await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("one message"));
    socket.peer().send("close with 4001").await.unwrap();
    assert!(socket.receive().await.unwrap().is_none());
    assert_eq!(socket.closed_with(), Some(4001));
    task.await.unwrap();
}

#[tokio::test]
async fn our_server_and_a_foreign_client_echo_messages_of_every_kind_and_length() {
    let (server, address) = server();
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/echo")).await.unwrap();
    for length in LENGTHS {
        for message in [Foreign::Text(text(length).into()), Foreign::Binary(bytes(length).into())] {
            socket.send(message.clone()).await.unwrap();
            assert!(socket.next().await.unwrap().unwrap() == message, "{length}");
        }
    }
    socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "bye".into() })).await.unwrap();
    let Some(Ok(Foreign::Close(Some(frame)))) = socket.next().await else { panic!("a close frame") };
    assert_eq!(frame.code, CloseCode::Away);
    assert!(socket.next().await.is_none());
    drop(socket);
    server.shutdown(PATIENCE);
}

#[tokio::test]
async fn a_foreign_client_that_stops_reading_is_ended_and_leaves_nothing() {
    const STALL: Duration = Duration::from_millis(300);
    let (sender, ends) = std::sync::mpsc::channel();
    let app = async move |request: Request<'_>| {
        let end = echo(request).await;
        sender.send(end.as_ref().err().copied()).unwrap();
        end
    };
    let timeouts = Timeouts { write_stall: STALL, ..Timeouts::DEFAULT };
    // Enough for one session in the middle of a message, and not for a second if the first left something behind.
    let builder = Server::builder().tcp("127.0.0.1:0").workers(1).timeouts(timeouts).buffers_max(2 << 20);
    let server = builder.message_max(1 << 20).http(app).unwrap();
    let url = format!("ws://{}/", server.addresses()[0]);
    for _ in 0..5 {
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        let message = Foreign::Binary(bytes(1 << 20).into());
        // It says more than sockets and queues take, and reads nothing of what is sent back.
        let said = async { while socket.send(message.clone()).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, said).await.expect("it is ended");
        let end = ends.recv_timeout(PATIENCE).unwrap();
        assert_eq!(end.map(|error| error.code()), Some(Code::WriteStalled));
    }
    eventually("none is left", || server.stats().active == 0);
    // And one who reads is served.
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let message = Foreign::Binary(bytes(1 << 20).into());
    socket.send(message.clone()).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap() == message);
}

#[tokio::test]
async fn an_address_of_ipv6_stands_in_brackets() {
    let app = routes! {
        GET "/echo" => echo,
        GET "/host" => async |mut request: Request<'_>| {
            let host = request.head().host().to_owned();
            let (mut socket, sent) = websocket::accept(request).await?;
            socket.peer().send(&*host).await?;
            while socket.receive().await?.is_some() {}
            Ok(sent)
        },
    };
    let server = Server::builder().tcp(("::1", 0)).workers(1).http(app).unwrap();
    let address = server.addresses()[0];
    assert!(address.is_ipv6());
    let mut ours = websocket::connect(&format!("ws://{address}/host?x")).await.unwrap();
    assert_eq!(ours.receive().await.unwrap().unwrap().0, Message::Text(&address.to_string()));
    ours.close(1000, "").await.unwrap();
    let (mut theirs, _) = tokio_tungstenite::connect_async(format!("ws://{address}/host")).await.unwrap();
    assert_eq!(theirs.next().await.unwrap().unwrap(), Foreign::Text(address.to_string().into()));
    let (mut theirs, _) = tokio_tungstenite::connect_async(format!("ws://{address}/echo")).await.unwrap();
    theirs.send(Foreign::Text("hello".into())).await.unwrap();
    assert_eq!(theirs.next().await.unwrap().unwrap(), Foreign::Text("hello".into()));
}

#[tokio::test]
async fn our_client_finds_a_foreign_server_on_ipv6() {
    let listener = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        socket.send(message).await.unwrap();
    });
    let mut socket = websocket::connect(&url).await.unwrap();
    socket.peer().send("hello").await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("hello"));
    task.await.unwrap();
}

#[tokio::test]
async fn our_server_takes_fragments_answers_pings_and_is_answered() {
    let (server, address) = server();
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/echo")).await.unwrap();
    socket.send(Foreign::Text("fragments".into())).await.unwrap();
    let mut pings = 0;
    let whole = loop {
        match socket.next().await.unwrap().unwrap() {
            Foreign::Ping(payload) if payload == "between" => pings += 1,
            message => break message,
        }
    };
    assert_eq!((whole, pings), (Foreign::Text("fragments".into()), 3));
    assert_eq!(socket.next().await.unwrap().unwrap(), Foreign::Ping("between".into()));
    for (n, piece) in ["on", "e mess", "", "age"].into_iter().enumerate() {
        let data = if n == 0 { Data::Text } else { Data::Continue };
        socket.send(Foreign::Frame(Frame::message(piece, OpCode::Data(data), n == 3))).await.unwrap();
        socket.send(Foreign::Ping(format!("{n}").into())).await.unwrap();
        if n < 3 {
            assert_eq!(socket.next().await.unwrap().unwrap(), Foreign::Pong(format!("{n}").into()));
        }
    }
    assert_eq!(socket.next().await.unwrap().unwrap(), Foreign::Text("one message".into()));
    assert_eq!(socket.next().await.unwrap().unwrap(), Foreign::Pong("3".into()));
    socket.send(Foreign::Text("close with 4001".into())).await.unwrap();
    let Some(Ok(Foreign::Close(Some(frame)))) = socket.next().await else { panic!("a close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, "as you say"));
    drop(socket);
    server.shutdown(PATIENCE);
}

/// A client moves between the threads of a runtime while it waits.
#[test]
fn clients_are_send_and_work_under_any_tokio_runtime() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    async fn talk(url: String, n: u8) {
        let mut socket = websocket::connect(&url).await.unwrap();
        for size in [0, 10, 100_000] {
            socket.peer().send(&*vec![n; size]).await.unwrap();
            tokio::task::yield_now().await;
            let (message, mut peer) = socket.receive().await.unwrap().unwrap();
            assert!(message == Message::Binary(&vec![n; size]));
            peer.send("thanks").await.unwrap();
            peer.flush().await.unwrap();
            assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("thanks"));
        }
        socket.close(1000, "").await.unwrap();
    }
    let (server, address) = server();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for runtime in [many, one] {
        runtime.block_on(async {
            let tasks: Vec<_> =
                (0..20).map(|n| tokio::spawn(send(talk(format!("ws://{address}/echo"), n)))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
    server.shutdown(PATIENCE);
}

#[tokio::test]
async fn the_first_subprotocol_of_the_server_that_the_client_speaks_is_chosen() {
    let (server, address) = server();
    let url = format!("ws://{address}/echo");
    for (offered, chosen) in [
        (&[][..], None),
        (&["other"], None),
        (&["superchat"], Some("superchat")),
        (&["superchat", "chat", "other"], Some("chat")),
    ] {
        let mut socket = Connector::new().protocols(offered).connect(&url).await.unwrap();
        assert_eq!(socket.protocol(), chosen);
        socket.peer().send("which protocol?").await.unwrap();
        let answer = socket.receive().await.unwrap().unwrap().0;
        assert_eq!(answer, Message::Text(chosen.unwrap_or("none")));
    }
    server.shutdown(PATIENCE);
}

async fn refused(connector: &Connector, url: &str) -> ConnectError {
    connector.connect(url).await.map(drop).expect_err(url)
}

#[tokio::test]
async fn a_refusal_names_the_url_the_status_and_the_way_out() {
    let (server, address) = server();
    let url = |path| format!("ws://{address}{path}");
    let plain = Connector::new();
    for (connector, path, status, way_out) in [
        (&plain, "/plain", 200, "is there a WebSocket"),
        (&plain, "/nothing", 404, "is the path right?"),
        (&plain, "/moved", 302, "redirects to /echo; Connector::redirects"),
        (&Connector::new().redirects(3), "/round", 302, "3 redirects were followed"),
        (&Connector::new().origin("https://elsewhere.example"), "/echo", 403, "another Origin?"),
    ] {
        let error = refused(connector, &url(path)).await;
        assert_eq!((error.error().code(), error.status()), (Code::HandshakeFailed, Some(status)), "{error}");
        assert!(error.to_string().contains(&url(path)) && error.to_string().contains(way_out), "{error}");
    }
    let mut socket = Connector::new().redirects(1).connect(&url("/moved")).await.unwrap();
    socket.peer().send("here").await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("here"));
    drop(socket);
    server.shutdown(PATIENCE);
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_told_apart_and_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, code, named) in [
        (format!("ws://{free}/"), Code::ConnectionRefused, "connection_refused"),
        ("ws://no.such.host.invalid/".into(), Code::NameNotResolved, "no.such.host.invalid"),
        #[cfg(not(feature = "tls"))]
        ("wss://example.com/".into(), Code::Unsupported, "tls"),
        ("http://example.com/".into(), Code::InvalidAddress, "ws://HOST"),
    ] {
        let error = refused(&Connector::new(), &url).await;
        assert_eq!(error.error(), code, "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(error.to_string().matches(code.name()).count(), 1, "{error}");
        assert_eq!(error.status(), None);
    }
    for (connector, named) in [
        (Connector::new().header("a b", "c"), "a header field is none"),
        (Connector::new().header("a", "b\r\nc: d"), "a header field is none"),
        (Connector::new().header("sec-websocket-key", "c"), "sec-websocket-key is the handshake's own"),
        (Connector::new().header("Connection", "close"), "connection is the handshake's own"),
        (Connector::new().origin("a\nb"), "the origin is none"),
    ] {
        let error = refused(&connector, "ws://example.com/").await;
        assert!(error.error() == Code::InvalidText && error.to_string().contains(named), "{error}");
    }
}

/// Answers one handshake by hand with what `answer` makes of its key; then tells the request, and what came behind it.
fn by_hand(
    answer: impl FnOnce(&str) -> Vec<u8> + Send + 'static,
) -> (String, std::thread::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/a/b?c=d", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap();
        let key = request.split("sec-websocket-key: ").nth(1).unwrap().split("\r\n").next().unwrap();
        stream.write_all(&answer(key)).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        (request, said)
    });
    (url, thread)
}

fn agrees(key: &str, more: &str) -> Vec<u8> {
    let accept = String::from_utf8(accept_for(key.as_bytes()).to_vec()).unwrap();
    format!(
        "HTTP/1.1 101 Yes\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}"
    )
    .into_bytes()
}

#[tokio::test]
async fn frames_right_behind_the_answer_are_received() {
    let (url, foreign) = by_hand(|key| {
        let mut answer = agrees(key, "\r\n");
        answer.extend_from_slice(b"\x81\x05first\x01\x03sec\x80\x03ond\x88\x02\x03\xe8");
        answer
    });
    let mut socket =
        Connector::new().header("X-A", "b").origin("https://page.example").connect(&url).await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("first"));
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("second"));
    assert!(socket.receive().await.unwrap().is_none());
    assert_eq!(socket.closed_with(), Some(1000));
    drop(socket);
    let (request, _) = foreign.join().unwrap();
    let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
    assert!(request.starts_with(&format!("GET /a/b?c=d HTTP/1.1\r\nhost: {host}\r\n")), "{request}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "origin: https://page.example",
        "x-a: b",
        "user-agent: netloom/0.1.0",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    }
}

#[tokio::test]
async fn an_answer_that_agrees_on_what_was_not_asked_for_fails_the_connection() {
    for more in [
        "Sec-WebSocket-Protocol: chat\r\n\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ] {
        let (url, foreign) = by_hand(move |key| agrees(key, more));
        let error = refused(&Connector::new(), &url).await;
        assert_eq!((error.error().code(), error.status()), (Code::HandshakeFailed, Some(101)), "{error}");
        foreign.join().unwrap();
    }
    let (url, foreign) = by_hand(|_| agrees("dGhlIHNhbXBsZSBub25jZQ==", "\r\n"));
    assert_eq!(refused(&Connector::new(), &url).await.status(), Some(101));
    foreign.join().unwrap();
    for answer in
        ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n", "HTTP/1.1 101 X\r\nupgrade: websocket\r\n\r\n"]
    {
        let (url, foreign) = by_hand(|_| answer.into());
        let error = refused(&Connector::new(), &url).await;
        assert_eq!(error.error(), Code::ProtocolViolation, "{error}");
        foreign.join().unwrap();
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_or_ends_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let error = refused(&Connector::new().handshake_timeout(Duration::from_millis(50)), &url).await;
    assert_eq!(error.error(), Code::MessageTimeout, "{error}");
    assert!(error.to_string().contains("50ms"), "{error}");
    let (url, foreign) = by_hand(|_| b"HTTP/1.1 101 Swit".to_vec());
    let error = tokio::time::timeout(PATIENCE, async {
        let error = refused(&Connector::new().handshake_timeout(Duration::from_millis(200)), &url).await;
        foreign.join().unwrap();
        error
    });
    assert_eq!(error.await.unwrap().error(), Code::MessageTimeout);
}

#[tokio::test]
async fn a_transport_that_is_connected_already_will_do_also_for_wss() {
    let (server, address) = server();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut socket = Connector::new().open(Tcp::new(stream), "wss://example.com/echo").await.unwrap();
    assert_eq!(socket.carrier().peer(), Some(address));
    socket.peer().send("through").await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("through"));
    drop(socket);
    server.shutdown(PATIENCE);
}

#[tokio::test]
async fn silence_is_pinged_and_the_round_trip_measured() {
    let (url, _task) = foreign_server().await;
    let timeouts = Timeouts { keep_alive: Duration::from_millis(20), ..Timeouts::DEFAULT };
    let mut socket = Connector::new().timeouts(timeouts).connect(&url).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(200), socket.receive()).await;
    assert!(waiting.is_err(), "nothing is received");
    assert!(socket.peer().stats().round_trip.is_some());
    socket.peer().send("still here").await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text("still here"));
}

/// Sends `frames` to our client right behind the handshake: what it fails with, and the code it closes with.
async fn what_a_server_gets(frames: &'static [u8], message_max: usize) -> (Code, u16) {
    let (url, foreign) = by_hand(move |key| [agrees(key, "\r\n"), frames.to_vec()].concat());
    let mut socket = Connector::new().message_max(message_max).connect(&url).await.unwrap();
    let code = socket.receive().await.map(drop).unwrap_err().code();
    drop(socket);
    let (_, said) = foreign.join().unwrap();
    let [0x88, 0x82, a, b, _, _, c, d] = said[..] else { panic!("{said:x?} is no masked Close") };
    (code, u16::from_be_bytes([a ^ c, b ^ d]))
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_told_by_the_code_of_the_rfc() {
    for (frames, max, code, close) in [
        (&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..], 100, Code::ProtocolViolation, 1002), // masked
        (b"\xc1\x01a", 100, Code::ProtocolViolation, 1002),
        (b"\x83\x00", 100, Code::ProtocolViolation, 1002),
        (b"\x80\x00", 100, Code::ProtocolViolation, 1002),
        (b"\x88\x01\x03", 100, Code::ProtocolViolation, 1002),
        (b"\x81\x02\xc3\x28", 100, Code::InvalidText, 1007),
        (b"\x01\x01\xc3\x80\x01\x28", 100, Code::InvalidText, 1007),
        (b"\x82\x65", 100, Code::MessageTooLarge, 1009),
        (b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 100, Code::MessageTooLarge, 1009),
        (b"\x02\x01a\x80\x64", 100, Code::MessageTooLarge, 1009),
    ] {
        assert_eq!(what_a_server_gets(frames, max).await, (code, close), "{frames:x?}");
    }
}

/// The head of our server's answer to `request`, and the stream.
fn ask(address: SocketAddr, request: &[u8]) -> (String, TcpStream) {
    let mut stream = dial(address);
    stream.write_all(request).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (String::from_utf8(head).unwrap(), stream)
}

#[test]
fn a_handshake_that_is_wrong_is_refused_by_status() {
    let (server, address) = server();
    let refusals = [
        (HANDSHAKE.replace("key:", "kay:"), 400, ""),
        (HANDSHAKE.replace("ZQ==", "ZQ="), 400, ""),
        (format!("{HANDSHAKE}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400, ""),
        (HANDSHAKE.replace("version: 13", "version: 8"), 426, "sec-websocket-version: 13\r\n"),
        (HANDSHAKE.replace("sec-websocket-version: 13\r\n", ""), 400, ""),
        (HANDSHAKE.replace("upgrade: websocket", "upgrade: h2c"), 426, "upgrade: websocket\r\n"),
        (format!("{HANDSHAKE}origin: https://elsewhere.example\r\n"), 403, ""),
        (format!("{HANDSHAKE}origin: null\r\n"), 403, ""),
    ];
    for (request, status, field) in refusals {
        let (head, _) = ask(address, format!("{request}\r\n").as_bytes());
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{head}");
        assert!(head.to_lowercase().contains(field), "{request}{head}");
    }
    let (head, _) = ask(address, format!("{HANDSHAKE}origin: http://example.com\r\n\r\n").as_bytes());
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    server.shutdown(PATIENCE);
}

/// A client's frame, masked.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

#[test]
fn frames_right_behind_the_request_are_received() {
    let (server, address) = server();
    let mut request = format!("{HANDSHAKE}\r\n").into_bytes();
    request.extend(masked(0x81, b"first"));
    request.extend(masked(0x89, b"ping"));
    request.extend(masked(0x88, &1000_u16.to_be_bytes()));
    let (head, mut stream) = ask(address, &request);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"\x81\x05first\x8a\x04ping\x88\x02\x03\xe8");
    drop(stream);
    server.shutdown(PATIENCE);
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_by_the_code_of_the_rfc() {
    let (server, address) = server();
    let long = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let cases: [(Vec<u8>, u16); 8] = [
        (b"\x81\x05Hello".to_vec(), 1002), // not masked
        (masked(0xc1, b"x"), 1002),
        (masked(0x83, b"x"), 1002),
        (masked(0x09, b"x"), 1002),
        (masked(0x88, &1005_u16.to_be_bytes()), 1002),
        (masked(0x81, b"\xc3\x28"), 1007),
        (masked(0x01, b"a\xff"), 1007),
        ([long, vec![1, 2, 3, 4]].concat(), 1009),
    ];
    for (frame, code) in cases {
        let (_, mut stream) = ask(address, format!("{HANDSHAKE}\r\n").as_bytes());
        stream.write_all(&frame).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, [&[0x88, 2], &code.to_be_bytes()[..]].concat(), "{frame:x?}");
    }
    server.shutdown(PATIENCE);
}
