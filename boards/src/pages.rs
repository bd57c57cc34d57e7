//! The acceptance of a board's pages: what a browser and a script see, through plain TCP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tungstenite::Message;

use crate::acceptance::Tally;
use crate::client::Result;

/// How long a board may take for one thing.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a board may take until a socket that was left listens again.
const LEFT: Duration = Duration::from_secs(1);

/// What a check found: a remark, or what went wrong.
type Outcome = Result<Option<String>>;

/// A check's name, which tells what is observed, and the check.
type Check = (&'static str, fn(SocketAddr) -> Outcome);

/// Of the routes beside the page's, in the order in which they run.
const FURTHER: [Check; 4] = [
    ("plain text and JSON say hello", says_hello),
    ("a body of 20,000 bytes comes back while it is sent", echoes),
    ("10,000 bytes are streamed in chunks", streams),
    ("pipelined requests are answered in order", pipelines),
];

/// Of the page and what it needs.
const PAGE: [Check; 5] = [
    ("the page is there", |board| contains(&get(board, "/")?, "<title>netloom</title>")),
    ("the status counts sessions and requests", |board| contains(&get(board, "/status")?, "\"requests\":")),
    ("a WebSocket sends messages back, pongs and says goodbye", sends_back),
    ("what one says in the room reaches the other, and who comes late", chats),
    ("what is malformed gets its status and the end of the connection", refuses),
];

/// Runs every check, or with `page_alone` those of the page, and prints a line for each. `connections` is how many the
/// board takes at once.
pub(crate) fn run(board: SocketAddr, connections: usize, page_alone: bool, tally: &mut Tally) {
    let further = FURTHER.into_iter().filter(|_| !page_alone);
    let checks = further.chain(PAGE).map(|(name, check)| (name, check(board)));
    // Last: it leaves no socket that listens for a moment.
    let crowd = "as many connections as there is room for are all answered, none is reset";
    let crowd = std::iter::once_with(|| (crowd, serves(board, connections)));
    for (name, outcome) in checks.chain(crowd) {
        match outcome {
            Ok(remark) => {
                tally.passed += 1;
                println!("ok       {name}{}", remark.map(|text| format!(" ({text})")).unwrap_or_default());
            }
            Err(reason) => {
                tally.failed += 1;
                println!("FAILED   {name}: {reason}");
            }
        }
    }
}

fn connect(board: SocketAddr) -> Result<TcpStream> {
    let words = |error| format!("connecting: {error}");
    let stream = TcpStream::connect_timeout(&board, PATIENCE).map_err(words)?;
    stream.set_nodelay(true).map_err(words)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(words)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(words)?;
    Ok(stream)
}

/// Sends `request` and reads all that comes until the board ends the connection.
fn ask(board: SocketAddr, request: &[u8]) -> Result<String> {
    let mut stream = connect(board)?;
    stream.write_all(request).map_err(|error| format!("sending: {error}"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|error| format!("receiving: {error}"))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn get(board: SocketAddr, path: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: board\r\nConnection: close\r\n\r\n");
    let answer = ask(board, request.as_bytes())?;
    match answer.starts_with("HTTP/1.1 200 OK\r\n") {
        true => Ok(answer),
        false => Err(format!("GET {path}: {}", answer.lines().next().unwrap_or("nothing"))),
    }
}

fn contains(answer: &str, text: &str) -> Outcome {
    if answer.contains(text) { Ok(None) } else { Err(format!("no {text:?} in {answer:?}")) }
}

fn says_hello(board: SocketAddr) -> Outcome {
    contains(&get(board, "/plaintext")?, "\r\n\r\nHello, World!")?;
    contains(&get(board, "/json")?, "\r\n\r\n{\"message\":\"Hello, World!\"}")
}

fn echoes(board: SocketAddr) -> Outcome {
    let body: String = (0..20_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let head = "POST /echo HTTP/1.1\r\nHost: board\r\nConnection: close\r\nContent-Length: 20000\r\n\r\n";
    let mut stream = connect(board)?;
    let mut sender = stream.try_clone().map_err(|error| error.to_string())?;
    let sent = body.clone();
    // What it sends back must be taken while more is sent.
    let sending = std::thread::spawn(move || sender.write_all(format!("{head}{sent}").as_bytes()));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|error| format!("receiving: {error}"))?;
    let sent = sending.join().map_err(|_| "the sender panicked".to_string())?;
    sent.map_err(|error| format!("sending: {error}"))?;
    let back = unchunked(&String::from_utf8_lossy(&answer))?;
    if back == body { Ok(None) } else { Err(format!("{} bytes came back, not the same", back.len())) }
}

fn streams(board: SocketAddr) -> Outcome {
    let body = unchunked(&get(board, "/stream/10000")?)?;
    if body.len() == 10_000 { Ok(None) } else { Err(format!("{} bytes came", body.len())) }
}

/// The body of a chunked answer.
fn unchunked(answer: &str) -> Result<String> {
    let (_, mut rest) =
        answer.split_once("\r\n\r\n").ok_or_else(|| format!("no end of the head in {answer:?}"))?;
    let mut body = String::new();
    loop {
        let (size, data) = rest.split_once("\r\n").ok_or("a chunk without a size")?;
        let size = usize::from_str_radix(size, 16).map_err(|error| format!("{size:?}: {error}"))?;
        let chunk = data.get(..size).ok_or("half a chunk")?;
        if size == 0 {
            return Ok(body);
        }
        body.push_str(chunk);
        rest = data[size..].strip_prefix("\r\n").ok_or("a chunk without an end")?;
    }
}

fn pipelines(board: SocketAddr) -> Outcome {
    let paths = ["/plaintext", "/json", "/status", "/plaintext", "/nowhere"];
    let mut request: String =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: board\r\n\r\n")).collect();
    request.push_str("GET /json HTTP/1.1\r\nHost: board\r\nConnection: close\r\n\r\n");
    let answer = ask(board, request.as_bytes())?;
    let statuses: Vec<&str> =
        answer.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    match statuses[..] {
        ["200", "200", "200", "200", "404", "200"] => Ok(None),
        _ => Err(format!("{statuses:?}")),
    }
}

/// All connect, each asks, and each is answered although they keep their connections: by 200, or by 503 if it had to
/// wait for too long.
fn serves(board: SocketAddr, connections: usize) -> Outcome {
    // The sockets of those who were served last must listen again: there are no more than connections.
    std::thread::sleep(LEFT);
    let start = Instant::now();
    let mut streams = Vec::new();
    for _ in 0..connections {
        // At once, as browsers do: a connection that asks for nothing makes room for others.
        let mut stream = connect(board)?;
        let request = b"GET /status HTTP/1.1\r\nHost: board\r\n\r\n";
        stream.write_all(request).map_err(|error| format!("sending: {error}"))?;
        streams.push(stream);
    }
    let mut served = 0;
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut answer = [0; 512];
        let n = stream.read(&mut answer).map_err(|error| format!("connection {}: {error}", number + 1))?;
        match &answer[..n.min(12)] {
            b"HTTP/1.1 200" => served += 1,
            b"HTTP/1.1 503" => {}
            other => return Err(format!("connection {}: {:?}", number + 1, String::from_utf8_lossy(other))),
        }
    }
    Ok(Some(format!("{served} of {connections} served within {:.1} s", start.elapsed().as_secs_f32())))
}

type Socket = tungstenite::WebSocket<TcpStream>;

fn upgraded(board: SocketAddr, path: &str) -> Result<Socket> {
    let (socket, _) = tungstenite::client(format!("ws://{board}{path}"), connect(board)?)
        .map_err(|error| format!("{path}: {error}"))?;
    Ok(socket)
}

fn say(socket: &mut Socket, message: Message) -> Result<()> {
    socket.send(message).map_err(|error| format!("sending: {error}"))
}

fn hears(socket: &mut Socket, expected: &Message) -> Result<()> {
    match socket.read() {
        Ok(message) if message == *expected => Ok(()),
        Ok(message) => Err(format!("{message:?} came, and not {expected:?}")),
        Err(error) => Err(format!("receiving: {error}")),
    }
}

fn sends_back(board: SocketAddr) -> Outcome {
    let mut socket = upgraded(board, "/ws")?;
    for length in [0, 1, 125, 126, 500, 900] {
        for message in [Message::text("x".repeat(length)), Message::binary(vec![7; length])] {
            say(&mut socket, message.clone())?;
            hears(&mut socket, &message)?;
        }
    }
    say(&mut socket, Message::Ping("are you there?".into()))?;
    hears(&mut socket, &Message::Pong("are you there?".into()))?;
    leave(socket)?;
    Ok(None)
}

/// Says goodbye, and waits for the board's and for the end.
fn leave(mut socket: Socket) -> Result<()> {
    socket.close(None).map_err(|error| format!("closing: {error}"))?;
    let mut said_goodbye = false;
    loop {
        match socket.read() {
            Ok(Message::Close(_)) => said_goodbye = true,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) if said_goodbye => return Ok(()),
            Err(error) => return Err(format!("no goodbye, but {error}")),
        }
    }
}

fn chats(board: SocketAddr) -> Outcome {
    // Of this run alone: the room may remember another.
    let run = std::process::id();
    let lines = [format!("one {run}"), format!("two {run}")].map(Message::text);
    let mut members = [upgraded(board, "/chat")?, upgraded(board, "/chat")?];
    for said_by in 0..2 {
        say(&mut members[said_by], lines[said_by].clone())?;
        for member in &mut members {
            skip_to(member, &lines[said_by])?;
        }
    }
    let [first, second] = members;
    leave(second)?;
    let mut late = upgraded(board, "/chat")?;
    skip_to(&mut late, &lines[0])?;
    hears(&mut late, &lines[1])?;
    leave(first)?;
    leave(late)?;
    Ok(None)
}

/// Reads until `line` comes, past what was said before.
fn skip_to(socket: &mut Socket, line: &Message) -> Result<()> {
    for _ in 0..40 {
        match socket.read() {
            Ok(message) if message == *line => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(format!("waiting for {line}: {error}")),
        }
    }
    Err(format!("{line} never came"))
}

fn refuses(board: SocketAddr) -> Outcome {
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
    ] {
        let answer = ask(board, request.as_bytes())?;
        if answer.get(9..12) != Some(status) {
            return Err(format!("{request:?}: {answer:?}"));
        }
    }
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(3000));
    contains(&ask(board, long.as_bytes())?, "HTTP/1.1 431 ")
}
