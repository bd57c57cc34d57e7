//! `netloom connect` in pipes.

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use program::{Serving, netloom, one_line, refusing, run, server};

#[test]
fn a_refused_connection_is_one_line_and_an_exit_code_of_its_own() {
    let (_taken, url) = refusing();
    for command in ["connect", "bench"] {
        let line = one_line(&run(&[command, &url], ""), 3);
        let address = url.strip_prefix("tcp://").unwrap();
        assert!(line.starts_with(&format!("netloom: connection_refused (-601): {address}: ")), "{line}");
        assert!(line.contains("is a server listening there?"), "{line}");
    }
}

#[test]
fn ten_megabytes_go_through_an_echo_and_come_back_as_they_were() {
    let serving = Serving::start(&[]);
    let mut input = Vec::new();
    let mut length = 1;
    while input.len() < 10_000_000 {
        // From nothing to far more than any queue, in no order; also bytes that are not text.
        length = length * 48_271 % 2_147_483_647_u64;
        let short = if length % 64 == 0 { 300_000 } else { 200 };
        let line = (0..length % short).map(|at| (at % 256) as u8).map(|byte| byte.max(11));
        input.extend(line);
        input.push(b'\n');
    }
    let output = run(&["connect", serving.url()], input.clone());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == input, "{} of {} bytes came back", output.stdout.len(), input.len());
}

#[test]
fn an_answer_is_printed_before_the_input_ends() {
    let serving = Serving::start(&[]);
    let mut child = netloom(&["connect", serving.url()]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for message in ["one\n", "two\n"] {
        stdin.write_all(message.as_bytes()).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, message);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn lines_are_spoken_with_a_line_server() {
    let url = server(|stream| {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        while let Some(line) = lines.next().transpose()? {
            write!(&stream, "<{line}>\r\n")?;
        }
        Ok(())
    });
    let output = run(&["connect", &url, "--lines"], "one\nzwei ü\n\nlast");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "<one>\n<zwei ü>\n<>\n<last>\n");
    assert_eq!(output.status.code(), Some(0));
    let output = run(&["connect", &url, "--lines"], &b"one\n\xff\n"[..]);
    assert_eq!(output.stdout, b"<one>\n");
    let line = one_line(&output, 1);
    assert!(line.contains("invalid_text (-683): line 2 of the input"), "{line}");
}

#[test]
fn more_answers_than_messages_are_waited_for_if_asked() {
    // Three lines for one, the last when the client has said nothing for a while; then it ends.
    let url = server(|stream| {
        let mut line = String::new();
        BufReader::new(stream.try_clone()?).read_line(&mut line)?;
        for _ in 0..3 {
            (&stream).write_all(line.as_bytes())?;
        }
        stream.shutdown(Shutdown::Write)
    });
    let output = run(&["connect", &url, "--lines", "--until-quiet", "--wait", "60"], "x\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"x\nx\nx\n"[..]));
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_no_longer_than_asked() {
    let url = server(|mut stream| stream.read_to_end(&mut Vec::new()).map(drop));
    let begun = Instant::now();
    let output = run(&["connect", &url, "--wait", "0.2"], "x\n");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_message_the_server_does_not_take_is_reported() {
    let serving = Serving::start(&["--max-message", "1k"]);
    let input = [vec![b'x'; 1024], vec![b'\n'], vec![b'y'; 1025]].concat();
    let output = run(&["connect", serving.url()], input);
    assert_eq!(output.stdout.len(), 1025);
    let line = one_line(&output, 1);
    assert!(line.contains("connection_closed (-603)") && line.contains("1 answers to 2 messages"), "{line}");
}

#[test]
fn a_message_longer_than_our_own_limit_is_reported_both_ways() {
    let serving = Serving::start(&[]);
    let line = one_line(&run(&["connect", serving.url(), "--max-message", "4"], "1234\n12345\n"), 1);
    assert!(line.contains("message_too_large (-642): line 2 of the input"), "{line}");
    let url = server(|mut stream| stream.write_all(b"\0\0\0\x0512345"));
    let line = one_line(&run(&["connect", &url, "--max-message", "4"], "x\n"), 1);
    assert!(
        line.contains("message_too_large (-642): 127.0.0.1:") && line.contains("--max-message"),
        "{line}"
    );
}

#[test]
fn a_connection_that_is_cut_is_reported() {
    // Half an answer, then the end.
    let url = server(|mut stream| {
        stream.read_exact(&mut [0; 5])?;
        stream.write_all(b"\0\0\0\x05ab")
    });
    let line = one_line(&run(&["connect", &url], "x\n"), 1);
    assert!(line.contains("receive_failed (-641)"), "{line}");
}

#[test]
fn a_server_that_ends_while_there_is_input_is_reported() {
    let url = server(|mut stream| stream.read_exact(&mut [0; 5]));
    let mut child = netloom(&["connect", &url, "--wait", "0.1"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"x\n").unwrap();
    let line = one_line(&child.wait_with_output().unwrap(), 1);
    assert!(line.contains("before the input did"), "{line}");
    drop(stdin);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let serving = Serving::start(&[]);
    let mut child = netloom(&["connect", serving.url()]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let feeding = thread::spawn(move || while stdin.write_all(b"again\n").is_ok() {});
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &line[..]), (Some(0), "again\n"));
    assert!(output.stderr.is_empty());
    feeding.join().unwrap();
}
