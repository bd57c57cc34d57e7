//! Compressed WebSocket messages, as a foreign client sees them.

mod common;
#[path = "common/program.rs"]
mod program;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use common::{dial, ends, eventually};
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress};
use netloom::http::{Compression, Request, Sent};
use netloom::websocket::{self, Accept, Connector, DeflateOptions, Message};
use netloom::{Result, Server, routes};
use program::Program;

/// Sends every message back, and tells how many bytes came and went.
async fn echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        match message {
            Message::Text("how much?") => {
                let stats = peer.stats();
                peer.send(&*format!("{} {}", stats.received.bytes, stats.sent.bytes)).await?;
            }
            message => peer.send(message).await?,
        }
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

/// Which sides look back into messages before, and how far.
#[derive(Clone, Copy, Debug)]
struct Agreement {
    client_looks_back: bool,
    server_looks_back: bool,
    /// In both directions.
    window_bits: Option<u32>,
}

/// As many as there are kinds. In a window of 512 bytes nothing of what is said is found again.
const AGREEMENTS: [Agreement; 5] = [
    Agreement { client_looks_back: true, server_looks_back: true, window_bits: None },
    Agreement { client_looks_back: true, server_looks_back: false, window_bits: None },
    Agreement { client_looks_back: false, server_looks_back: true, window_bits: Some(13) },
    Agreement { client_looks_back: false, server_looks_back: false, window_bits: None },
    Agreement { client_looks_back: true, server_looks_back: true, window_bits: Some(9) },
];

impl Agreement {
    fn python(self) -> String {
        let no = |looks_back| if looks_back { "False" } else { "True" };
        let bits = self.window_bits.map_or("None".into(), |bits| bits.to_string());
        let (client, server) = (no(self.client_looks_back), no(self.server_looks_back));
        format!(
            "server_no_context_takeover={server}, client_no_context_takeover={client}, \
             server_max_window_bits={bits}, client_max_window_bits={bits}"
        )
    }

    /// Whether so many bytes of one direction are those of messages that look back.
    fn check(self, client: usize, server: usize) {
        let is_wide = self.window_bits != Some(9);
        for (looks_back, bytes) in [(self.client_looks_back, client), (self.server_looks_back, server)] {
            // One message of these comes to some 800 bytes, and five without a look back to five times that.
            assert!(bytes > 500, "{self:?}: {client} {server}");
            assert_eq!(bytes < 2500, looks_back && is_wide, "{self:?}: {client} {server}");
        }
    }
}

/// What is said five times: 2,000 digits without a pattern.
fn digits() -> String {
    let mut seed = 1_u32;
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'0' + (seed >> 24) as u8 % 10)
    })
    .take(2000)
    .collect()
}

const PYTHON_CLIENT: &str = r#"
import asyncio, sys
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
url, digits = sys.argv[1:3]
async def main():
    offer = ClientPerMessageDeflateFactory(PARAMETERS)
    async with connect(url, extensions=[offer], compression=None, proxy=None) as socket:
        for _ in range(5):
            await socket.send(digits)
            assert await socket.recv() == digits
        await socket.send("how much?")
        print("bytes", await socket.recv(), flush=True)
    print("closed with", socket.close_code, flush=True)
asyncio.run(main())
"#;

#[test]
fn a_client_in_python_and_our_server_take_the_context_over_as_agreed() {
    let (server, address) = serve(DeflateOptions::new().context_takeover(true));
    for agreement in AGREEMENTS {
        let program = PYTHON_CLIENT.replace("PARAMETERS", &agreement.python());
        let url = format!("ws://{address}/");
        let Some(mut client) = Program::websockets(&program, &[&url, &digits()]) else { return };
        let line = client.shows("bytes ");
        let mut bytes = line.split(' ').skip(1).map(|number| number.parse::<usize>().unwrap());
        agreement.check(bytes.next().unwrap(), bytes.next().unwrap());
        client.shows("closed with 1000");
    }
    eventually("all have ended", || server.stats().active == 0);
}

const PYTHON_SERVER: &str = r#"
import asyncio
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
async def main():
    done = asyncio.Event()
    async def echo(socket):
        async for message in socket:
            await socket.send(message)
        print("closed with", socket.close_code, flush=True)
        done.set()
    agreed = ServerPerMessageDeflateFactory(PARAMETERS)
    async with serve(echo, "127.0.0.1", 0, extensions=[agreed], compression=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await done.wait()
asyncio.run(main())
"#;

#[tokio::test]
async fn our_client_and_a_server_in_python_take_the_context_over_as_agreed() {
    let digits = digits();
    for agreement in AGREEMENTS {
        let program = PYTHON_SERVER.replace("PARAMETERS", &agreement.python());
        let Some(mut server) = Program::websockets(&program, &[]) else { return };
        let port = server.shows("port ");
        let url = format!("ws://127.0.0.1:{}/", port.trim_start_matches("port ").trim());
        let ours = DeflateOptions::new().context_takeover(true);
        let mut socket = Connector::new().deflate(ours).connect(&url).await.unwrap();
        for _ in 0..5 {
            socket.peer().send(&*digits).await.unwrap();
            assert_eq!(socket.receive().await.unwrap().unwrap().0, Message::Text(&digits));
        }
        let stats = socket.peer().stats();
        agreement.check(stats.sent.bytes as usize, stats.received.bytes as usize);
        socket.close(1000, "").await.unwrap();
        server.shows("closed with 1000");
    }
}
