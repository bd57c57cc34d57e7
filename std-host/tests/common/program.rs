//! Other people's programs, talked to by lines.
//!
//! What is not installed is passed over by name, on stderr.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

use super::common::PATIENCE;

/// One that runs; killed when dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    said: String,
}

impl Program {
    /// `None`, and a line that says so, if it is not installed.
    pub(crate) fn start<A: AsRef<std::ffi::OsStr>>(name: &str, args: &[A]) -> Option<Self> {
        let piped = Command::new(name)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match piped {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let test = thread::current().name().unwrap_or_default().to_owned();
                // Past the harness, which shows nothing of a test that passes.
                let mut past = io::stderr();
                writeln!(past, "skipped: {test}: there is no {name}").unwrap();
                return None;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let (sender, lines) = channel();
        let stdin = child.stdin.take();
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        Some(Self { name: name.into(), child, stdin, lines, said: String::new() })
    }

    /// Python with `websockets` runs `program`; `None`, said by name, where that is not there.
    pub(crate) fn websockets(program: &str, args: &[&str]) -> Option<Self> {
        let python = std::env::var("NETLOOM_PYTHON").unwrap_or_else(|_| "python3".into());
        if Self::start(&python, &["-c", "import websockets.asyncio.server"])?.ends().contains("Error") {
            assert!(std::env::var_os("NETLOOM_PYTHON").is_none(), "{python} has no websockets");
            eprintln!("skipped: {python} has no module websockets (pip install websockets)");
            return None;
        }
        Self::start(&python, &[&["-c", program], args].concat())
    }

    pub(crate) fn says(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The next line with that in it.
    #[track_caller]
    pub(crate) fn shows(&mut self, what: &str) -> String {
        loop {
            match self.next() {
                Some(line) if line.contains(what) => return line,
                Some(_) => {}
                None => panic!("{} never said {what:?}:\n{}", self.name, self.said),
            }
        }
    }

    /// Waits for its end; all that it has said.
    #[track_caller]
    pub(crate) fn ends(mut self) -> String {
        drop(self.stdin.take());
        while self.next().is_some() {}
        std::mem::take(&mut self.said)
    }

    /// The next line; `None` at the end.
    #[track_caller]
    fn next(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.said += &line;
                self.said.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing more:\n{}", self.name, self.said),
        }
    }
}

fn forward(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
