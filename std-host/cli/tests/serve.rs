//! `netloom serve`, from its first line to its end.

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use program::{Serving, netloom, one_line, run};

#[test]
fn the_one_line_of_json_tells_where_to_connect_and_a_pipe_gets_its_answers() {
    let serving = Serving::start(&[]);
    assert_eq!(serving.report["workers"], 2);
    assert_eq!(serving.report["pid"], serving.child.id());
    let endpoint = serving.endpoint("tcp");
    assert_eq!((&endpoint["protocol"], &endpoint["application"]), (&"tcp".into(), &"echo".into()));
    let output = run(&["connect", serving.url()], "a\nb\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"a\nb\n"[..]));
    assert!(output.stderr.is_empty());
}

#[test]
fn each_address_is_a_row_and_the_lines_to_try_work_as_they_are() {
    let mut command =
        netloom(&["serve", "--tcp", "0", "--http", "0", "--bind", "127.0.0.1", "--bind", "0.0.0.0"]);
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
        let mut line = String::new();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "{lines:?}");
        lines.push(line);
    }
    let rows = lines.iter().filter(|line| line.starts_with('│') && line.contains("://"));
    assert_eq!(rows.clone().count(), 10, "{lines:?}");
    for row in rows {
        assert!(row.trim_end().chars().count() < 80, "{row}");
    }
    let tried: Vec<_> = lines.iter().filter_map(|line| line.split_once("netloom connect ")).collect();
    assert_eq!(tried.len(), 3, "{lines:?}");
    for (before, arguments) in tried {
        let arguments: Vec<_> = ["connect"].into_iter().chain(arguments.split_whitespace()).collect();
        let output = run(&arguments, "hello\n");
        let expected = if before.contains("echo hello") { "hello\n" } else { "<!doctype html>" };
        assert!(output.stdout.starts_with(expected.as_bytes()), "{arguments:?}: {output:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for json in [&[][..], &["--json"]] {
        let mut command = netloom(&["serve", "--no-http", "--tcp", &address.port().to_string()]);
        let output = command.args(json).output().unwrap();
        let line = one_line(&output, 4);
        for part in ["netloom: bind_failed (-662)", &address.to_string(), "os error", "--tcp 0"] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_wrong_command_line_is_not_begun_with() {
    for args in [
        &["serve", "--tcp", "70000"][..],
        &["serve", "--bind", "localhost"],
        &["serve", "--workers", "0"],
        &["connect", "127.0.0.1:7000"],
        &["bench", "tcp://127.0.0.1:7000", "--duration", "-1"],
        &[],
    ] {
        assert_eq!(netloom(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn one_session_too_many_is_ended_in_order() {
    let serving = Serving::start(&["--max-sessions", "1"]);
    let mut first = TcpStream::connect(serving.address()).unwrap();
    first.write_all(b"\0\0\0\x01a").unwrap();
    let mut answer = [0; 5];
    first.read_exact(&mut answer).unwrap();
    let mut second = TcpStream::connect(serving.address()).unwrap();
    assert_eq!(second.read(&mut [0; 1]).unwrap(), 0);
}

#[cfg(unix)]
mod signals {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};

    fn signal(serving: &Serving, signal: Signal) {
        kill_process(Pid::from_child(&serving.child), signal).unwrap();
    }

    /// A session that has been served already.
    fn session(serving: &Serving) -> TcpStream {
        let mut stream = TcpStream::connect(serving.address()).unwrap();
        stream.write_all(b"\0\0\0\x01a").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        stream
    }

    #[test]
    fn an_interrupt_drains_the_sessions() {
        for how in [Signal::INT, Signal::TERM] {
            let serving = Serving::start(&[]);
            let mut stream = session(&serving);
            signal(&serving, how);
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
            stream.shutdown(Shutdown::Both).unwrap();
            let output = serving.wait();
            assert_eq!(output.status.code(), Some(0));
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said, "draining 1 sessions\ndrained 1, aborted 0\n");
            assert!(output.stdout.is_empty());
        }
    }

    #[test]
    fn a_second_interrupt_does_not_wait_for_a_session_that_does_not_end() {
        let mut serving = Serving::start(&["--grace", "1000"]);
        let mut stream = session(&serving);
        // Half a message: the session is not between two.
        stream.write_all(b"\0\0\0\x02a").unwrap();
        signal(&serving, Signal::INT);
        let mut stderr = BufReader::new(serving.child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_eq!(line, "draining 1 sessions\n");
        let begun = Instant::now();
        signal(&serving, Signal::INT);
        line.clear();
        stderr.read_line(&mut line).unwrap();
        // Which of the two is counted varies with the moment. Without the cut it would take 5 seconds or more.
        assert!(["drained 0, aborted 1\n", "drained 1, aborted 0\n"].contains(&line.as_str()), "{line}");
        assert!(begun.elapsed() < Duration::from_secs(4));
        assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    }
}
