//! `netloom connect` and `netloom bench` over WebSocket: against our server, and against Python's `websockets`.

mod program;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use program::{Serving, json, netloom, one_line, run, server, text};
use tungstenite::Message;
use tungstenite::stream::MaybeTlsStream;

fn ws(serving: &Serving, path: &str) -> String {
    serving.http(path).replacen("http:", "ws:", 1)
}

#[test]
fn lines_become_messages_and_answers_lines() {
    let serving = Serving::start(&[]);
    let url = ws(&serving, "ws");
    assert_eq!(text(&run(&["connect", &url], "one\nzwei ü\n\nlast")), "one\nzwei ü\n\nlast\n");
    assert_eq!(text(&run(&["connect", &url], "")), "");
    let bytes = b"\xff\xfe\n\n\x00".to_vec();
    let output = run(&["connect", &url, "--binary"], bytes.clone());
    assert_eq!((output.status.code(), output.stdout), (Some(0), [bytes, b"\n".to_vec()].concat()));
    let line = one_line(&run(&["connect", &url], &b"one\n\xff\n"[..]), 1);
    assert!(line.contains("invalid_text (-683): line 2 of the input"), "{line}");
}

#[test]
fn more_than_all_queues_hold_goes_through_both_ways() {
    let serving = Serving::start(&[]);
    let input: String = (0..40_000).map(|n| format!("{n:0>400}\n")).collect();
    let output = run(&["connect", &ws(&serving, "ws")], &*input);
    assert!(output.status.success() && output.stdout == input.as_bytes());
    let long = "x".repeat(1024 * 1024);
    assert_eq!(text(&run(&["connect", &ws(&serving, "ws")], &*long)), long + "\n");
}

/// Hands one connection through to `to`; afterwards `count` tells the bytes of the client's and of the server's.
fn counted(to: SocketAddr) -> (String, mpsc::Receiver<(u64, u64)>) {
    let (counted, count) = mpsc::channel();
    let url = server(move |mut client| {
        let mut server = TcpStream::connect(to)?;
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        let asking = thread::spawn(move || {
            let n = io::copy(&mut from_client, &mut to_server);
            _ = to_server.shutdown(Shutdown::Write);
            n
        });
        let answered = io::copy(&mut server, &mut client)?;
        client.shutdown(Shutdown::Write)?;
        let asked = asking.join().map_err(|_| io::ErrorKind::Other)??;
        counted.send((asked, answered)).map_err(io::Error::other)
    });
    (url.replacen("tcp:", "ws:", 1) + "/ws", count)
}

#[test]
fn deflate_compresses_both_ways() {
    let serving = Serving::start(&[]);
    let to = serving.http("").strip_prefix("http://").and_then(|url| url.strip_suffix('/')?.parse().ok());
    let input = "the same again, ".repeat(1000) + "\n" + &"ü".repeat(9000) + "\nshort\n";
    for (more, few) in [(&[][..], false), (&["--deflate"], true)] {
        let (url, count) = counted(to.unwrap());
        assert_eq!(text(&run(&[&["connect", &url], more].concat(), &*input)), input);
        let (asked, answered) = count.recv().unwrap();
        assert_eq!((asked < 2000, answered < 2000), (few, few), "{asked} {answered}");
    }
}

#[test]
fn a_refusal_is_one_line_with_the_way_out() {
    let serving = Serving::start(&[]);
    let refused = |path, more: &[&str], code| {
        one_line(&run(&[&["connect", &ws(&serving, path)], more].concat(), ""), code)
    };
    for (path, more, named) in [
        ("nothing", &[][..], "handshake_failed (-681): ws://127.0.0.1:"),
        ("plaintext", &[], "the server answered 200 OK; is there a WebSocket at that path?"),
        ("ws", &["--origin", "https://elsewhere.example"], "the server answered 403"),
        ("ws", &["-H", "sec-websocket-key: x"], "the handshake's own"),
    ] {
        let line = refused(path, more, 3);
        assert!(line.contains(named), "{line}");
    }
    for more in [&["--lines"][..], &["-I"], &["-d", "x"], &["-X", "PUT"]] {
        refused("ws", more, 2);
    }
    for option in ["--binary", "--deflate"] {
        let line = one_line(&run(&["connect", serving.url(), option], ""), 2);
        assert!(line.contains("for ws://"), "{line}");
    }
}

#[test]
fn a_message_the_server_does_not_take_is_reported_with_its_close_code() {
    let serving = Serving::start(&["--max-message", "1k"]);
    let input = [vec![b'x'; 1024], vec![b'\n'], vec![b'y'; 1025]].concat();
    let output = run(&["connect", &ws(&serving, "ws")], input);
    assert_eq!(output.stdout.len(), 1025);
    let line = one_line(&output, 1);
    assert!(line.contains("connection_closed (-603)") && line.contains("closed with 1009"), "{line}");
}

#[test]
fn a_bench_compares_every_answer() {
    let serving = Serving::start(&[]);
    let url = ws(&serving, "ws");
    for (size, messages, in_flight) in [("0", 100, "7"), ("5", 100, "7"), ("13", 100, "7"), ("200k", 5, "3")]
    {
        let count = messages.to_string();
        let output = run(
            &[
                "bench",
                &url,
                "--json",
                "-c",
                "3",
                "--patience",
                "20",
                "-m",
                &count,
                "-s",
                size,
                "-n",
                in_flight,
            ],
            "",
        );
        let report = json(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{report}");
        assert_eq!((&report["messages"], &report["mismatches"]), (&(3 * messages).into(), &0.into()));
    }
    let line = one_line(&run(&["bench", &ws(&serving, "nothing"), "--json"], ""), 3);
    assert!(line.contains("404"), "{line}");
}

#[test]
fn a_bench_of_compressed_messages_compares_every_answer() {
    let serving = Serving::start(&[]);
    let to = serving.http("").strip_prefix("http://").and_then(|url| url.strip_suffix('/')?.parse().ok());
    let bench = |url: &str, more: &[&str]| {
        let size = ["-s", "100k", "-m", "20", "-n", "7", "--json", "--patience", "20"];
        run(&[&["bench", url], &size[..], more].concat(), "")
    };
    for (more, few) in [(&[][..], false), (&["--deflate"], true)] {
        let (url, count) = counted(to.unwrap());
        let output = bench(&url, &[&["-c", "3"], more].concat());
        let report = json(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{report}");
        assert_eq!((&report["messages"], &report["mismatches"]), (&60.into(), &0.into()), "{report}");
        // The first, which finds the address, says nothing but the handshake.
        let load = std::iter::repeat_with(|| count.recv_timeout(Duration::from_secs(20)).unwrap());
        for (asked, answered) in load.filter(|(asked, _)| *asked > 1000).take(3) {
            assert_eq!((asked < 100_000, answered < 100_000), (few, few), "{asked} {answered}");
        }
    }
    let line = one_line(&run(&["bench", serving.url(), "--deflate"], ""), 2);
    assert!(line.contains("--deflate is for ws://"), "{line}");
}

#[test]
fn a_bench_of_compressed_messages_is_none_where_the_server_does_not_compress() {
    let url = server(|client| {
        let mut socket = tungstenite::accept(client).map_err(io::Error::other)?;
        while socket.read().is_ok() {}
        Ok(())
    });
    let url = url.replacen("tcp:", "ws:", 1) + "/ws";
    let line = one_line(&run(&["bench", &url, "--deflate"], ""), 1);
    assert!(line.contains("handshake_failed (-681)") && line.contains("permessage-deflate"), "{line}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_closes_with_1000() {
    let Some(python) = Python::serving("async for message in socket:\n  await socket.send(message)") else {
        return;
    };
    let mut child = netloom(&["connect", &python.url]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"here\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "here\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(python.closed_with(), "1000");
}

/// A program of Python's with `websockets`; `None`, said by name, where that is not there.
fn python(program: &str, url: Option<&str>) -> Option<Child> {
    let python = std::env::var("NETLOOM_PYTHON").unwrap_or_else(|_| "python3".into());
    let there =
        Command::new(&python).args(["-c", "import websockets.asyncio.server"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("NETLOOM_PYTHON").is_none(), "{python} has no websockets");
        eprintln!("skipped: {python} has no module websockets (pip install websockets)");
        return None;
    }
    let child = Command::new(python).args(["-c", program]).args(url).stdout(Stdio::piped()).spawn();
    Some(child.unwrap())
}

/// A server of `websockets`; ended when dropped.
struct Python {
    child: Child,
    stdout: Box<dyn BufRead>,
    url: String,
}

impl Python {
    /// For one connection at a time, which it serves with `body`; then prints how that was closed.
    fn serving(body: &str) -> Option<Self> {
        let body = body.replace('\n', "\n    ");
        let mut child = python(
            &format!(
                r#"
import asyncio
from websockets.asyncio.server import serve
async def handler(socket):
    {body}
    print(socket.close_code, flush=True)
async def main():
    last = lambda connection, offered: offered[-1] if offered else None
    async with serve(handler, "127.0.0.1", 0, max_size=2**22, select_subprotocol=last) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()
asyncio.run(main())
"#
            ),
            None,
        )?;
        let mut stdout: Box<dyn BufRead> = Box::new(BufReader::new(child.stdout.take().unwrap()));
        let mut port = String::new();
        stdout.read_line(&mut port).unwrap();
        Some(Self { child, stdout, url: format!("ws://127.0.0.1:{}/a?b=c", port.trim()) })
    }

    fn closed_with(mut self) -> String {
        let mut code = String::new();
        self.stdout.read_line(&mut code).unwrap();
        code.trim().to_owned()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn our_client_talks_with_a_server_in_python() {
    let echo = "async for message in socket:\n  await socket.send([message[:2], message[2:]])";
    let Some(python) = Python::serving(echo) else { return };
    let long = "ü".repeat(500_000);
    let output = run(&["connect", &python.url], format!("hello\n\n{long}"));
    assert_eq!(text(&output), format!("hello\n\n{long}\n"));
    assert_eq!(python.closed_with(), "1000");
    let named = "async for message in socket:\n  \
                 await socket.send(message + ' ' + socket.protocol.extensions[0].name)";
    let Some(python) = Python::serving(named) else { return };
    let output = run(&["connect", &python.url, "--deflate"], &*long);
    assert_eq!(text(&output), long + " permessage-deflate\n");
    let closing = "await socket.send('bye')\nawait socket.close(4001, 'enough')";
    let Some(python) = Python::serving(closing) else { return };
    let output = run(&["connect", &python.url, "--until-quiet", "--wait", "60"], "");
    assert_eq!(output.stdout, b"bye\n");
    let line = one_line(&output, 1);
    assert!(line.contains("connection_closed (-603)") && line.contains("closed with 4001"), "{line}");
}

#[test]
fn what_the_handshake_is_to_say_arrives() {
    let asked = "said = socket.request\n\
                 await socket.send(f'{said.path} {socket.subprotocol} {said.headers[\"origin\"]} {said.headers[\"x-a\"]}')";
    let Some(python) = Python::serving(asked) else { return };
    let options = ["--subprotocol", "chat.v1", "--subprotocol", "chat.v2", "--origin", "https://a.example"];
    let more = ["-H", "X-A: b c", "--until-quiet", "--wait", "60"];
    let output = run(&[&["connect", &python.url], &options[..], &more].concat(), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/a?b=c chat.v2 https://a.example b c\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_server_that_closes_in_order_is_no_failure() {
    let Some(python) = Python::serving("await socket.send('bye')") else { return };
    let begun = Instant::now();
    let output = run(&["connect", &python.url, "--until-quiet", "--wait", "60"], "");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"bye\n"[..]));
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("the server has closed with 1000\n"));
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_client_in_python_talks_with_our_server() {
    let serving = Serving::start(&[]);
    let program = r#"
import asyncio, sys
from websockets.asyncio.client import connect
async def main(compression):
    async with connect(sys.argv[1], max_size=2**22, compression=compression) as socket:
        for length in [0, 1, 125, 126, 65535, 65536, 1 << 20]:
            for message in ["x" * length, bytes(i * 31 % 256 for i in range(length))]:
                await socket.send(message)
                assert await socket.recv() == message, length
        await socket.send(iter(["in ", "", "fragments"]))
        await (await socket.ping())
        assert await socket.recv() == "in fragments"
    names = [extension.name for extension in socket.protocol.extensions]
    print(socket.close_code, socket.latency >= 0, names)
for compression in [None, "deflate"]:
    asyncio.run(main(compression))
"#;
    let Some(mut child) = python(program, Some(&ws(&serving, "ws"))) else { return };
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, "1000 True []\n1000 True ['permessage-deflate']\n");
}

#[cfg(unix)]
#[test]
fn a_client_in_python_is_told_that_the_server_ends() {
    let serving = Serving::start(&[]);
    let program = r#"
import asyncio, sys
from websockets.asyncio.client import connect
async def main():
    async with connect(sys.argv[1]) as socket:
        await socket.send("here")
        print(await socket.recv(), flush=True)
        await socket.wait_closed()
        print(socket.close_code)
asyncio.run(main())
"#;
    let Some(mut child) = python(program, Some(&ws(&serving, "ws"))) else { return };
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "here");
    let pid = rustix::process::Pid::from_child(&serving.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "1001");
    assert!(child.wait().unwrap().success() && serving.wait().status.success());
}

/// A foreign member of the demo's room.
struct Member(tungstenite::WebSocket<MaybeTlsStream<TcpStream>>);

impl Member {
    fn join(serving: &Serving) -> Self {
        let (socket, _) = tungstenite::connect(ws(serving, "chat")).unwrap();
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        }
        Self(socket)
    }

    fn says(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).unwrap();
    }

    fn hears(&mut self) -> String {
        self.0.read().unwrap().into_text().unwrap().to_string()
    }

    /// The code that the room closes with.
    fn closed_with(mut self) -> u16 {
        loop {
            match self.0.read().unwrap() {
                Message::Close(frame) => return frame.unwrap().code.into(),
                _ => continue,
            }
        }
    }
}

#[test]
fn foreign_members_chat_with_each_other_and_with_ours() {
    let serving = Serving::start(&[]);
    let mut members: Vec<Member> = (0..3).map(|_| Member::join(&serving)).collect();
    // All hear everything in one order, who has said it too.
    for round in 0..10 {
        for speaker in 0..3 {
            let said = format!("{speaker} says \u{fc} {round}");
            members[speaker].says(&*said);
            assert!(members.iter_mut().all(|member| member.hears() == said));
        }
    }
    // Who comes late is told of the last twenty, and so is a client of ours.
    let mut late = Member::join(&serving);
    let last: Vec<String> = (10..30).map(|n| format!("{} says \u{fc} {}", n % 3, n / 3)).collect();
    assert!(last.iter().all(|said| late.hears() == *said));
    let output = run(&["connect", &ws(&serving, "chat"), "--until-quiet"], "");
    assert_eq!(text(&output), last.join("\n") + "\n");
    // What is not said in the room closes who says it, and nobody hears of it.
    let mut long = Member::join(&serving);
    long.says("x".repeat(201));
    assert_eq!(long.closed_with(), 1009);
    let mut bytes = Member::join(&serving);
    bytes.says(vec![1, 2, 3]);
    assert_eq!(bytes.closed_with(), 1003);
    // One that is gone without a word holds up nobody.
    drop(members.pop());
    late.says("still there?");
    members.push(late);
    assert!(members.iter_mut().all(|member| member.hears() == "still there?"));
}
