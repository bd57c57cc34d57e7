//! Servers of TLS that are other people's, openssl's and Python's, for a board to meet.
//!
//! They listen on ports of their own. What the board sends is handed on to them, and what they say on their outputs tells
//! what they think of it.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Says its port, reads frames and prints them, ends in order after the second; or prints why not.
const PYTHON: &str = r#"
import socket, ssl, struct, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print("port %d." % listener.getsockname()[1], flush=True)
plain, _ = listener.accept()
plain.settimeout(30)
try:
    with context.wrap_socket(plain, server_side=True) as secure:
        reader = secure.makefile("rb")
        for _ in range(2):
            length, = struct.unpack(">I", reader.read(4))
            print(reader.read(length).decode(), flush=True)
        secure.unwrap()
        print("ended in order", flush=True)
except OSError as error:
    print(getattr(error, "reason", None) or repr(error), flush=True)
"#;

/// Whose server it is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    OpenSsl,
    Python,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::OpenSsl => "openssl",
            Self::Python => "python3",
        }
    }

    fn arguments(self, certificate: &Path, key: &Path) -> Command {
        let mut command = Command::new(self.program());
        match self {
            Self::OpenSsl => command
                .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-tls1_3", "-cert"])
                .arg(certificate)
                .arg("-key")
                .arg(key),
            Self::Python => command.args(["-c", PYTHON]).arg(certificate).arg(key),
        };
        command
    }

    /// What its port stands behind in what it says, and before.
    fn announces(self) -> (&'static str, char) {
        match self {
            Self::OpenSsl => ("ACCEPT 127.0.0.1:", '\n'),
            Self::Python => ("port ", '.'),
        }
    }
}

/// A certificate and its key, in files.
pub(crate) struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn new(folder: &Path, name: &str, certificate: &str, key: &str) -> Result<Self> {
        let folder = folder.join("report");
        let files =
            Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (path, text) in [(&files.certificate, certificate), (&files.key, key)] {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(files)
    }
}

/// A server that runs; ended when dropped.
pub(crate) struct Foreign {
    process: Child,
    /// Open as long as it is to serve: openssl ends with it.
    _input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    said: String,
    port: u16,
}

impl Foreign {
    /// `None` if it is not installed.
    ///
    /// # Errors
    /// When it does not start to listen.
    pub(crate) fn start(kind: Kind, files: &Files, patience: Duration) -> Result<Option<Self>> {
        let mut command = kind.arguments(&files.certificate, &files.key);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot start {}", kind.program())),
        };
        let (sender, output) = channel();
        forward(process.stdout.take(), &sender);
        forward(process.stderr.take(), &sender);
        let input = process.stdin.take();
        let mut server = Self { process, _input: input, output, said: String::new(), port: 0 };
        let (before, behind) = kind.announces();
        let port = |said: &str| Some(said.split_once(before)?.1.split_once(behind)?.0.parse::<u16>().ok());
        match server.says(patience, port) {
            Some(Some(port)) => server.port = port,
            _ => bail!("{} does not listen: {}", kind.program(), server.said),
        }
        Ok(Some(server))
    }

    /// Hands the board's connection on to it, until one of them ends it.
    ///
    /// # Errors
    /// When it cannot be connected to.
    pub(crate) fn take(&self, board: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        relay(board.try_clone()?, server.try_clone()?);
        relay(server, board);
        Ok(())
    }

    /// Waits until it has said that, so many times.
    ///
    /// # Errors
    /// When it does not: with all that it has said.
    pub(crate) fn expect(&mut self, what: &str, times: usize, patience: Duration) -> Result<(), String> {
        let enough = |said: &str| (said.matches(what).count() >= times).then_some(());
        self.says(patience, enough)
            .ok_or_else(|| format!("{what:?} was not heard {times} times, but: {}", self.said.escape_debug()))
    }

    fn says<T>(&mut self, patience: Duration, found: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = found(&self.said) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.said += &String::from_utf8_lossy(&self.output.recv_timeout(left).ok()?);
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends what is said on, from a thread of its own, until it ends.
fn forward(stream: Option<impl Read + Send + 'static>, output: &Sender<Vec<u8>>) {
    let Some(mut stream) = stream else { return };
    let output = output.clone();
    thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(n @ 1..) = stream.read(&mut bytes) {
            if output.send(bytes[..n].to_vec()).is_err() {
                return;
            }
        }
    });
}

/// One direction of a connection, on a thread of its own.
fn relay(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        // How it ends is for the two to tell.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_server_that_cannot_read_its_certificate_is_an_error_that_says_why() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = Files { certificate: folder.join("none.pem"), key: folder.join("none.key") };
        let Err(error) = Foreign::start(Kind::Python, &files, Duration::from_secs(20)) else {
            panic!("it listens")
        };
        let error = error.to_string();
        assert!(error.contains("does not listen") && error.contains("FileNotFoundError"), "{error}");
    }

    #[test]
    fn what_it_thinks_of_who_connects_is_heard() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        let folder = std::env::temp_dir().join(format!("netloom-foreign-{}", std::process::id()));
        let files = Files::new(&folder, "own", &certificate.pem(), &key.serialize_pem()).unwrap();
        let patience = Duration::from_secs(20);
        for (kind, words) in [(Kind::Python, "HTTP_REQUEST"), (Kind::OpenSsl, "http request")] {
            let mut server = Foreign::start(kind, &files, patience).unwrap().unwrap();
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            server.take(listener.accept().unwrap().0).unwrap();
            server.expect(words, 1, patience).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
