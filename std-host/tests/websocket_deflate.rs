//! Compressed WebSocket messages, as a foreign client sees them.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use common::{dial, ends};
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress};
use netloom::http::{Compression, Request, Sent};
use netloom::websocket::{self, Accept, Connector, DeflateOptions, Message};
use netloom::{Result, Server, routes};

async fn echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}

async fn plain(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = Accept::new().uncompressed().accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}

fn app() -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone + Send + 'static {
    routes! { GET "/" => echo, GET "/plain" => plain }
}

fn serve(options: impl Into<Option<DeflateOptions>>) -> (Server, SocketAddr) {
    let compression = Compression::new().websocket(options);
    let builder = Server::builder().tcp("127.0.0.1:0").workers(1).message_max(100_000);
    let server = builder.http(compression.around(app())).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

/// A client that has offered `extensions`, and what the server agreed on.
fn open(address: SocketAddr, path: &str, extensions: &str) -> (TcpStream, Option<String>) {
    let mut stream = dial(address);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: {extensions}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let agreed = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
    let agreed = agreed.map(str::to_owned);
    (stream, agreed)
}

/// Sends a frame that is masked with zeros.
fn send(stream: &mut TcpStream, first: u8, payload: &[u8]) {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    stream.write_all(&frame).unwrap();
}

fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut exactly = |n: usize| {
        let mut bytes = vec![0; n];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    };
    let head = exactly(2);
    let len = match head[1] {
        126 => u16::from_be_bytes(exactly(2).try_into().unwrap()).into(),
        127 => u64::from_be_bytes(exactly(8).try_into().unwrap()),
        len => len.into(),
    };
    (head[0], exactly(len as usize))
}

fn deflated(engine: &mut Compress, plain: &[u8]) -> Vec<u8> {
    let mut coded = Vec::with_capacity(plain.len() + 1000);
    engine.compress_vec(plain, &mut coded, FlushCompress::Sync).unwrap();
    assert!(coded.ends_with(&[0, 0, 0xff, 0xff]));
    coded.truncate(coded.len() - 4);
    coded
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    deflated(&mut Compress::new(Level::best(), false), plain)
}

fn inflated(engine: &mut Decompress, coded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(200_000);
    engine.decompress_vec(&[coded, &[0, 0, 0xff, 0xff]].concat(), &mut plain, FlushDecompress::Sync).unwrap();
    plain
}

fn closes_with(stream: &mut TcpStream, code: u16) {
    assert_eq!(receive(stream), (0x88, code.to_be_bytes().to_vec()));
    send(stream, 0x88, &code.to_be_bytes());
    ends(stream);
}

const TEXT: u8 = 0x81;
const COMPRESSED: u8 = 0x40;

#[test]
fn messages_are_compressed_both_ways_each_for_itself() {
    let (_server, address) = serve(DeflateOptions::new());
    let (mut stream, agreed) = open(address, "/", "permessage-deflate; client_max_window_bits");
    assert_eq!(
        agreed.as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    );
    let text = "the same again, ".repeat(500);
    for _ in 0..2 {
        send(&mut stream, TEXT | COMPRESSED, &compressed(text.as_bytes()));
        let (first, coded) = receive(&mut stream);
        assert_eq!(first, TEXT | COMPRESSED);
        assert!(coded.len() < text.len() / 10, "{}", coded.len());
        assert_eq!(inflated(&mut Decompress::new(false), &coded), text.as_bytes());
    }
    // What is short, or sent as it is, is no exception.
    send(&mut stream, TEXT | COMPRESSED, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(receive(&mut stream), (TEXT, b"Hello".to_vec()));
    send(&mut stream, TEXT, b"Hello");
    assert_eq!(receive(&mut stream), (TEXT, b"Hello".to_vec()));
    send(&mut stream, TEXT | COMPRESSED, b"\0");
    assert_eq!(receive(&mut stream), (TEXT, Vec::new()));
}

#[test]
fn a_compressed_message_comes_in_fragments_with_pings_between_them() {
    let (_server, address) = serve(DeflateOptions::new());
    let (mut stream, _) = open(address, "/", "permessage-deflate");
    let coded = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    send(&mut stream, 0x01 | COMPRESSED, &coded[..3]); // RFC 7692, 7.2.3.1
    send(&mut stream, 0x89, b"ping");
    send(&mut stream, 0x00, &coded[3..3]);
    send(&mut stream, 0x80, &coded[3..]);
    assert_eq!(receive(&mut stream), (0x8a, b"ping".to_vec()));
    assert_eq!(receive(&mut stream), (TEXT, b"Hello".to_vec()));
}

#[test]
fn where_the_context_is_taken_over_repetition_costs_nearly_nothing() {
    let (_server, address) = serve(DeflateOptions::new().context_takeover(true));
    let (mut stream, agreed) = open(address, "/", "permessage-deflate; server_max_window_bits=11");
    assert_eq!(agreed.as_deref(), Some("permessage-deflate; server_max_window_bits=11"));
    let text: String = (0..100).map(|n| format!("{} ", n * n)).collect();
    let (mut ours, mut theirs) = (Compress::new(Level::best(), false), Decompress::new(false));
    let mut sizes = Vec::new();
    for _ in 0..3 {
        send(&mut stream, TEXT | COMPRESSED, &deflated(&mut ours, text.as_bytes()));
        let (first, coded) = receive(&mut stream);
        assert_eq!(first, TEXT | COMPRESSED);
        assert_eq!(inflated(&mut theirs, &coded), text.as_bytes());
        sizes.push(coded.len());
    }
    assert!(sizes[0] > 100 && sizes[1] < 20 && sizes[2] < 20, "{sizes:?}");
}

#[test]
fn what_inflates_beyond_the_limit_ends_with_1009_and_what_does_not_inflate_with_1007() {
    let (_server, address) = serve(DeflateOptions::new());
    for (first, message, code) in [
        (TEXT, compressed(&[b' '; 100_001]), 1009),
        (TEXT, b"\xff\xff".to_vec(), 1007),
        (TEXT, compressed(b"\xff\xfe"), 1007), // not UTF-8
        (0x80, b"\0".to_vec(), 1002),          // a continuation of nothing
    ] {
        let (mut stream, _) = open(address, "/", "permessage-deflate");
        send(&mut stream, first | COMPRESSED, &message);
        closes_with(&mut stream, code);
    }
    let (mut stream, _) = open(address, "/", "permessage-deflate");
    send(&mut stream, 0x82 | COMPRESSED, &compressed(&[b' '; 100_000]));
    assert_eq!(receive(&mut stream).0, 0x82 | COMPRESSED);
    // RFC 7692, 6: only a message's first frame says that it is compressed.
    send(&mut stream, 0x01 | COMPRESSED, b"\xf2\x48");
    send(&mut stream, 0x80 | COMPRESSED, b"\xcd\xc9\xc9\x07\x00");
    closes_with(&mut stream, 1002);
}

#[test]
fn nothing_is_agreed_on_unless_both_want_it() {
    let (_server, address) = serve(DeflateOptions::new());
    let (_nothing, without) = serve(None);
    let bare = Server::builder().tcp("127.0.0.1:0").workers(1).http(app()).unwrap();
    for (address, path, extensions) in [
        (address, "/", ""),
        (address, "/", "permessage-deflate; server_max_window_bits=7"),
        (address, "/", "x-webkit-deflate-frame"),
        (address, "/plain", "permessage-deflate"),
        (without, "/", "permessage-deflate"),
        (bare.addresses()[0], "/", "permessage-deflate"),
    ] {
        let (mut stream, agreed) = open(address, path, extensions);
        assert_eq!(agreed, None, "{path} {extensions}");
        send(&mut stream, TEXT, &[b' '; 1000]);
        assert_eq!(receive(&mut stream), (TEXT, vec![b' '; 1000]));
        send(&mut stream, TEXT | COMPRESSED, b"\0");
        closes_with(&mut stream, 1002);
    }
}

#[tokio::test]
async fn a_client_of_ours_offers_it_and_keeps_to_what_the_server_says() {
    let text: String = (0..500).map(|n| format!("{} ", n * n)).collect();
    for (ours, theirs) in [
        (DeflateOptions::new(), DeflateOptions::new()),
        (DeflateOptions::new(), DeflateOptions::new().context_takeover(true)),
        (DeflateOptions::new().context_takeover(true), DeflateOptions::new()),
        (
            DeflateOptions::new().context_takeover(true).window_bits(10).peer_window_bits(9),
            DeflateOptions::new().context_takeover(true).window_bits(12).peer_window_bits(9),
        ),
    ] {
        let (_server, address) = serve(theirs);
        for (connector, is_compressed) in [(Connector::new().deflate(ours), true), (Connector::new(), false)]
        {
            let mut socket = connector.connect(&format!("ws://{address}/")).await.unwrap();
            for _ in 0..5 {
                socket.peer().send(&*text).await.unwrap();
                let (message, _) = socket.receive().await.unwrap().unwrap();
                assert_eq!(message, Message::Text(&text));
            }
            let stats = socket.peer().stats();
            assert_eq!(stats.received.bytes < 4 * text.len() as u64, is_compressed, "{stats:?}");
            assert_eq!(stats.sent.bytes < 4 * text.len() as u64, is_compressed, "{stats:?}");
        }
    }
    let (_server, address) = serve(None);
    let offering = Connector::new().deflate(DeflateOptions::new());
    let mut socket = offering.connect(&format!("ws://{address}/")).await.unwrap();
    socket.peer().send(&*text).await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text(&text));
}
