//! What the tests share: the program run as its users run it, and servers that are not ours.
#![allow(dead_code)] // each file of tests uses a part

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;

/// The program with these arguments.
pub(crate) fn netloom(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netloom"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end with `input`, fed while its output is read.
pub(crate) fn run(args: &[&str], input: impl Into<Vec<u8>>) -> Output {
    let input = input.into();
    let mut child = netloom(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = thread::spawn(move || {
        // It may end before it has read all.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

/// `netloom connect` with these arguments and without input.
pub(crate) fn connect(args: &[&str]) -> Output {
    run(&[&["connect"], args].concat(), "")
}

/// Asserts that it ended well and said nothing on stderr; returns its stdout.
pub(crate) fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

/// Asserts that it ended with `code` and said one line on stderr, which is returned.
pub(crate) fn one_line(output: &Output, code: i32) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line}");
    line
}

/// A running `netloom serve` on free ports of 127.0.0.1; killed when dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    pub(crate) report: serde_json::Value,
}

impl Serving {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = netloom(&["serve", "--workers", "2", "--json"]);
        for (port, without) in [("--tcp", "--no-tcp"), ("--http", "--no-http")] {
            if !args.contains(&without) {
                command.args([port, "0"]);
            }
        }
        let mut child = command.args(args).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, stdout, report }
    }

    /// Of the framed echo.
    pub(crate) fn url(&self) -> &str {
        self.endpoint("tcp")["url"].as_str().unwrap()
    }

    /// What is behind the slash at the end of the demo's URL.
    pub(crate) fn http(&self, path: &str) -> String {
        self.url_of("http", path)
    }

    /// The same over any protocol.
    pub(crate) fn url_of(&self, protocol: &str, path: &str) -> String {
        format!("{}{path}", self.endpoint(protocol)["url"].as_str().unwrap())
    }

    /// What it is known by where nobody vouches for it.
    pub(crate) fn pin(&self) -> &str {
        self.report["pin"].as_str().unwrap()
    }

    pub(crate) fn endpoint(&self, protocol: &str) -> &serde_json::Value {
        let mut endpoints = self.report["endpoints"].as_array().unwrap().iter();
        endpoints.find(|endpoint| endpoint["protocol"] == protocol).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url().strip_prefix("tcp://").unwrap().parse().unwrap()
    }

    pub(crate) fn wait(mut self) -> Output {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.stdout.read_to_end(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status: self.child.wait().unwrap(), stdout, stderr }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of our own on threads of its own: `serve` has each connection. Returns its URL.
pub(crate) fn server(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), serve.clone());
            thread::spawn(move || serve(stream));
        }
    });
    url
}

/// The URL of a port nobody listens on, and nobody else gets as long as the stream lives.
pub(crate) fn refusing() -> (TcpStream, String) {
    // A connected socket's own port takes no connections and is given to nobody else.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("tcp://{}", stream.local_addr().unwrap());
    (stream, url)
}

/// Sends back what comes after `change`, which is told how many bytes came before.
pub(crate) fn echo(mut stream: TcpStream, change: fn(u64, &mut [u8])) -> io::Result<()> {
    let (mut buffer, mut before) = ([0; 16 * 1024], 0);
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        change(before, &mut buffer[..n]);
        before += n as u64;
        stream.write_all(&buffer[..n])?;
    }
}

/// A folder of a test's own, gone with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The files of a certificate for `host` that nobody else vouches for, and of its key.
    pub(crate) fn self_signed(&self, host: &str) -> [String; 2] {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        [("pem", made.cert.pem()), ("key", made.signing_key.serialize_pem())]
            .map(|(what, text)| self.file(&format!("{host}.{what}"), text))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is under the target folder anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}
