//! `netloom serve`, `connect` and `bench` over HTTP, with each other, with curl, and with servers that are not ours.

mod program;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use program::{Folder, Serving, connect, json, netloom, one_line, refusing, run, server, text};

/// The URL of a server that reads one head and has `answer` written for it, again and again.
fn http(answer: fn(&TcpStream, &str) -> io::Result<()>) -> String {
    let url = server(move |stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            answer(&stream, &head)?;
        }
    });
    format!("{}/", url.replace("tcp://", "http://"))
}

mod serve {
    use super::*;

    #[test]
    fn both_services_are_told_and_curl_and_connect_get_the_same() {
        let serving = Serving::start(&[]);
        assert_eq!(serving.report["endpoints"].as_array().unwrap().len(), 5);
        assert_eq!(serving.endpoint("http")["application"], "demo");
        let url = serving.http("plaintext");
        assert_eq!(text(&connect(&[&url])), "Hello, World!");
        let page = text(&connect(&[&serving.http("")]));
        assert!(page.contains("<title>netloom</title>"), "{page}");
        let Ok(curl) = Command::new("curl").args(["-sS", &url]).output() else {
            return println!("skipped: there is no curl");
        };
        assert_eq!(text(&curl), "Hello, World!");
    }

    #[test]
    fn the_host_is_the_machine() {
        let serving = Serving::start(&[]);
        let status = json(&connect(&[&serving.http("status")]).stdout);
        assert_eq!(status["host"], format!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
        assert!(status["requests"].as_u64() >= Some(1) && status["sessions"] == 1, "{status}");
    }

    #[test]
    fn a_service_can_be_left_out_but_not_both() {
        let serving = Serving::start(&["--no-tcp", "--no-tls"]);
        assert_eq!(serving.report["endpoints"].as_array().unwrap().len(), 1);
        assert_eq!(text(&connect(&[&serving.http("plaintext")])), "Hello, World!");
        let serving = Serving::start(&["--no-http"]);
        assert_eq!(serving.report["endpoints"].as_array().unwrap().len(), 3);
        assert_eq!(text(&run(&["connect", serving.url()], "a\n")), "a\n");
        for args in [
            &["serve", "--no-tcp", "--no-http"][..],
            &["serve", "--no-http", "--http", "0"],
            &["serve", "--no-tcp", "--tcp", "0"],
            &["serve", "--no-http", "--files", "."],
            &["serve", "--http", "70000"],
            &["serve", "--no-tls", "--https", "0"],
            &["serve", "--no-tls", "--quic", "0"],
            &["serve", "--cert", "a.pem"],
            &["serve", "--tcp", "0", "--http", "0", "--cert", "/no/such/file", "--key", "/no/such/file"],
        ] {
            assert_eq!(netloom(args).output().unwrap().status.code(), Some(2), "{args:?}");
        }
    }

    #[test]
    fn a_port_in_use_is_named_with_the_option_that_chooses_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let args = ["serve", "--tcp", "0", "--http", &address.port().to_string()];
        let line = one_line(&netloom(&args).output().unwrap(), 4);
        for part in ["netloom: bind_failed (-662)", &address.to_string(), "os error", "--http 0"] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
    }

    #[test]
    fn files_are_served_with_the_demo_beside_them() {
        let folder = Folder::new("files");
        folder.file("a file.txt", "text");
        folder.file("status", "not this one");
        folder.file(".secret", "secret");
        let serving = Serving::start(&["--files", folder.path()]);
        assert_eq!(serving.endpoint("http")["application"], "files");
        assert_eq!(text(&connect(&[&serving.http("a%20file.txt")])), "text");
        assert_eq!(json(text(&connect(&[&serving.http("status")])).as_bytes())["sessions"], 1);
        assert!(text(&connect(&[&serving.http("")])).contains("<title>netloom</title>"));
        for path in [".secret", "missing", "../Cargo.toml", "%2e%2e/Cargo.toml"] {
            let output = connect(&[&serving.http(path), "--fail"]);
            let line = one_line(&output, 1);
            assert!(line.contains("404 Not Found") && output.stdout.is_empty(), "{path}: {line}");
        }
        folder.file("index.html", "mine");
        assert_eq!(text(&connect(&[&serving.http("")])), "mine");
    }

    #[test]
    fn files_are_compressed_for_who_takes_that() {
        let folder = Folder::new("compressed");
        let content = "many words ".repeat(1000);
        folder.file("a.txt", &content);
        let serving = Serving::start(&["--files", folder.path()]);
        let url = serving.http("a.txt");
        let plain = connect(&[&url, "-H", "accept-encoding: gzip"]).stdout;
        assert!(plain.starts_with(&[0x1f, 0x8b]) && plain.len() < content.len() / 10);
        assert!(text(&connect(&[&url, "--compressed"])) == content);
        assert!(text(&connect(&[&url])) == content);
    }

    #[cfg(unix)]
    #[test]
    fn each_request_is_a_line_on_stderr_if_that_is_asked_for() {
        use rustix::process::{Pid, Signal, kill_process};

        let serving = Serving::start(&["-v"]);
        for path in ["plaintext", "missing?secret"] {
            connect(&[&serving.http(path)]);
        }
        kill_process(Pid::from_child(&serving.child), Signal::INT).unwrap();
        let said = String::from_utf8(serving.wait().stderr).unwrap();
        let line = |path| said.lines().find(|line| line.contains(path)).unwrap_or_else(|| panic!("{said}"));
        assert!(
            line("/plaintext").contains("status=200") && line("/missing").contains("status=404"),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let line = one_line(
            &netloom(&["serve", "--tcp", "0", "--http", "0", "--files", "/no/such"]).output().unwrap(),
            2,
        );
        assert!(line.contains("--files /no/such: "), "{line}");
    }

    #[cfg(unix)]
    #[test]
    fn an_interrupt_drains_both_services() {
        use rustix::process::{Pid, Signal, kill_process};

        let serving = Serving::start(&[]);
        let mut echo = TcpStream::connect(serving.address()).unwrap();
        echo.write_all(b"\0\0\0\x01a").unwrap();
        echo.read_exact(&mut [0; 5]).unwrap();
        let url = serving.http("");
        let mut http = TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).unwrap();
        http.write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut reader = BufReader::new(http.try_clone().unwrap());
        let mut line = String::new();
        while !line.contains("uptime") {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0);
        }
        kill_process(Pid::from_child(&serving.child), Signal::INT).unwrap();
        // Both end in order: the stream of events with its last chunk.
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
        assert_eq!(echo.read(&mut [0; 1]).unwrap(), 0);
        drop((echo, http, reader));
        let output = serving.wait();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "draining 2 sessions\ndrained 2, aborted 0\n");
    }
}

mod request {
    use super::*;

    #[test]
    fn a_head_is_printed_if_it_is_asked_for() {
        let serving = Serving::start(&[]);
        let url = serving.http("plaintext");
        let with = text(&connect(&[&url, "-i"]));
        let (head, body) = with.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 13"), "{head}");
        assert_eq!(body, "Hello, World!");
        let only = text(&connect(&[&url, "-I"]));
        assert!(only.starts_with("HTTP/1.1 200 OK\r\n") && only.ends_with("\r\n\r\n"), "{only}");
        assert!(only.contains("content-length: 13"), "{only}");
    }

    #[test]
    fn data_is_posted_as_text_from_a_file_and_from_the_input() {
        let serving = Serving::start(&[]);
        let url = serving.http("echo");
        assert_eq!(text(&connect(&[&url, "-d", "a=1", "-d", "b=2"])), "a=1&b=2");
        let folder = Folder::new("data");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        let file = folder.file("data", &bytes);
        let output = connect(&[&url, "-d", &format!("@{file}")]);
        assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
        let output = run(&["connect", &url, "-d", "@-"], bytes.clone());
        assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
        let to = folder.0.join("out");
        assert_eq!(text(&run(&["connect", &url, "-d", "@-", "-o", to.to_str().unwrap()], "x")), "");
        assert_eq!(fs::read(to).unwrap(), b"x");
    }

    #[test]
    fn an_answer_is_printed_before_the_input_ends() {
        let serving = Serving::start(&[]);
        let url = serving.http("echo");
        let mut child = netloom(&["connect", &url, "-d", "@-"]).stdin(Stdio::piped()).spawn().unwrap();
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
    fn method_fields_and_content_type_are_as_given() {
        let url = http(|mut stream, head| {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len())
        });
        let head = text(&connect(&[&url, "-X", "PROPFIND", "-H", "Depth: 1", "-H", "x-a:b"]));
        assert!(head.starts_with("PROPFIND / HTTP/1.1\r\n"), "{head}");
        for field in ["depth: 1\r\n", "x-a: b\r\n"] {
            assert!(head.to_lowercase().contains(field), "{head}");
        }
        let head = text(&connect(&[&url, "-d", ""])).to_lowercase();
        assert!(head.starts_with("post / ") && head.contains("application/x-www-form-urlencoded"), "{head}");
        let head = text(&connect(&[&url, "-d", "", "-H", "content-type: a/b"])).to_lowercase();
        assert!(head.contains("a/b") && !head.contains("urlencoded"), "{head}");
    }

    #[test]
    fn redirects_are_followed_if_that_is_asked_for() {
        let url = http(|mut stream, head| match head.starts_with("GET /there ") {
            true => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere"),
            false => {
                stream.write_all(b"HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 4\r\n\r\nhere")
            }
        });
        assert_eq!(text(&connect(&[&url])), "here");
        assert_eq!(text(&connect(&[&url, "-L"])), "there");
    }

    #[test]
    fn a_status_is_a_failure_only_if_it_is_to_be() {
        let serving = Serving::start(&[]);
        let url = serving.http("missing");
        assert!(text(&connect(&[&url])).contains("404"));
        let output = connect(&[&url, "--fail"]);
        assert_eq!(one_line(&output, 1), format!("netloom: {url}: 404 Not Found\n"));
        assert!(output.stdout.is_empty());
    }

    #[test]
    fn bodies_are_whole_however_they_are_framed() {
        let chunked = http(|mut stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nt: u\r\n\r\n")
        });
        let until_close = http(|mut stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nabcd")?;
            stream.shutdown(Shutdown::Both)
        });
        for url in [&chunked, &until_close] {
            assert_eq!(text(&connect(&[url])), "abcd");
        }
    }

    #[test]
    fn what_a_server_does_wrong_is_told() {
        let cut = http(|mut stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcd")?;
            stream.shutdown(Shutdown::Both)
        });
        let output = connect(&[&cut]);
        assert_eq!(output.stdout, b"abcd");
        let line = one_line(&output, 1);
        assert!(line.contains(&cut), "{line}");
        let closes = http(|stream, _| stream.shutdown(Shutdown::Both));
        let line = one_line(&connect(&[&closes]), 1);
        assert!(line.contains(&closes) && line.contains("ended before there was an answer"), "{line}");
        let rubbish = http(|mut stream, _| stream.write_all(b"220 mail.example ESMTP\r\n\r\n"));
        let line = one_line(&connect(&[&rubbish]), 1);
        assert!(line.contains("protocol_violation") && line.contains("speak HTTP/1.1 there?"), "{line}");
    }

    #[test]
    fn a_server_that_is_slow_is_waited_for_as_long_as_asked() {
        let silent = http(|mut stream, _| stream.read_to_end(&mut Vec::new()).map(drop));
        let line = one_line(&connect(&[&silent, "--max-time", "0.2"]), 1);
        assert!(line.contains(&silent), "{line}");
    }

    #[test]
    fn nobody_there_is_an_exit_code_of_its_own() {
        let (_taken, url) = refusing();
        let url = format!("{}/", url.replace("tcp://", "http://"));
        for command in ["connect", "bench"] {
            let line = one_line(&run(&[command, &url], ""), 3);
            assert_eq!(line.matches("connection_refused (-601)").count(), 1, "{line}");
            assert!(line.contains("is a server listening there?"), "{line}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_not_begun_with() {
        for args in [
            &["connect", "http://a/", "--insecure"][..],
            &["connect", "http://a/", "--lines"],
            &["connect", "tcp://a:1", "-d", "x"],
            &["connect", "tcp://a:1", "-H", "a: b"],
            &["connect", "http://a/", "-H", "ab"],
            &["connect", "http://a/", "-X", "A B"],
            &["connect", "http://a/", "-I", "-d", "x"],
            &["connect", "http://127.0.0.1:1/", "-d", "@/no/such/file"],
            &["bench", "tcp://a:1", "-X", "PUT"],
            &["bench", "http://a/", "--size", "3"],
            &["bench", "http://a/", "-n", "0"],
        ] {
            let output = run(args, "");
            assert_eq!(output.status.code(), Some(2), "{args:?} {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout.is_empty());
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let serving = Serving::start(&[]);
        let url = serving.http("stream/100000000");
        let mut child = netloom(&["connect", &url]).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 100]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    }
}

mod bench {
    use super::*;

    /// Three connections, forty answers each.
    fn load<'a>(url: &'a str, more: &[&'a str]) -> Output {
        run(&[&["bench", url, "--json", "-c", "3", "-m", "40", "--patience", "5"], more].concat(), "")
    }

    #[test]
    fn every_answer_is_compared_and_the_figures_agree() {
        let serving = Serving::start(&[]);
        for (path, depth, more, size) in [
            ("plaintext", 1, &[][..], 13),
            ("plaintext", 16, &[], 13),
            ("stream/100000", 2, &[], 100_000),
            ("echo", 4, &["--data", "abc"], 3),
            ("plaintext", 3, &["-X", "HEAD"], 0),
        ] {
            let (url, depth_text) = (serving.http(path), depth.to_string());
            let output = load(&url, &[&["-n", &depth_text], more].concat());
            let report = json(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{report}");
            for (name, value) in [
                ("connections", 3),
                ("in_flight", depth),
                ("messages", 120),
                ("size", size),
                ("bytes", 120 * size),
                ("status", 200),
                ("mismatches", 0),
                ("non_2xx", 0),
                ("errors", 0),
                ("reconnects", 0),
            ] {
                assert_eq!(report[name], value, "{name}: {report}");
            }
            assert_eq!((&report["compared"], &report["url"]), (&"bytes".into(), &(&*url).into()));
        }
    }

    #[test]
    fn answers_that_differ_each_time_are_compared_by_status() {
        let serving = Serving::start(&[]);
        let output = load(&serving.http("status"), &[]);
        let report = json(&output.stdout);
        assert_eq!((output.status.code(), &report["compared"]), (Some(0), &"status".into()), "{report}");
        assert_eq!((&report["mismatches"], &report["messages"]), (&0.into(), &120.into()));
    }

    #[test]
    fn answers_that_are_none_are_counted() {
        let serving = Serving::start(&[]);
        let report = json(&load(&serving.http("missing"), &[]).stdout);
        assert_eq!((&report["status"], &report["non_2xx"]), (&404.into(), &120.into()), "{report}");
    }

    #[test]
    fn one_wrong_answer_is_found() {
        use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

        static ANSWERS: AtomicU32 = AtomicU32::new(0);
        let url = http(|mut stream, _| {
            let body = if ANSWERS.fetch_add(1, Relaxed) == 50 { "abd" } else { "abc" };
            write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{body}\r\n0\r\n\r\n")
        });
        let output = load(&url, &["-n", "5"]);
        assert_eq!(json(&output.stdout)["mismatches"], 1);
        assert_eq!(one_line(&output, 1), format!("netloom: {url}: 1 wrong answers\n"));
    }

    #[test]
    fn connections_that_the_server_ends_in_order_are_made_again() {
        for answer in [
            |mut stream: &TcpStream, _: &str| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na")?;
                stream.shutdown(Shutdown::Write)
            },
            |mut stream: &TcpStream, _: &str| {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\na")?;
                stream.shutdown(Shutdown::Write)
            },
        ] {
            let output = load(&http(answer), &[]);
            let report = json(&output.stdout);
            assert_eq!((output.status.code(), &report["messages"]), (Some(0), &120.into()), "{report}");
            assert_eq!((&report["reconnects"], &report["errors"]), (&(3 * 39).into(), &0.into()), "{report}");
        }
    }

    #[test]
    fn a_server_without_answers_is_a_failure() {
        let closes = http(|stream, _| stream.shutdown(Shutdown::Both));
        assert!(one_line(&load(&closes, &[]), 1).contains("connection_closed"));
        let rubbish = http(|mut stream, _| stream.write_all(b"abc\r\n\r\n"));
        assert!(one_line(&load(&rubbish, &[]), 1).contains("protocol_violation"));
        let serving = Serving::start(&[]);
        let line = one_line(&load(&serving.http("events"), &["--timeout", "0.3"]), 1);
        assert!(line.contains("no whole answer"), "{line}");
    }

    #[test]
    fn people_get_a_table() {
        let serving = Serving::start(&[]);
        let url = serving.http("missing");
        let table = text(&run(&["bench", &url, "-c", "1", "-m", "10"], ""));
        for part in [&*url, "10 in ", "404 to GET", "compared by bytes", "not 2xx"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
    }
}

/// Python's server: HTTP/1.0, a connection for each answer.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_foreign_server_is_understood() {
    let folder = Folder::new("python");
    folder.file("a.txt", "text");
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder.path()]);
    let Ok(child) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        return println!("skipped: there is no python3");
    };
    let mut python = Python(child);
    let mut line = String::new();
    BufReader::new(python.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split_whitespace().skip_while(|word| *word != "port").nth(1).unwrap();
    let url = format!("http://127.0.0.1:{port}/a.txt");
    assert_eq!(text(&connect(&[&url])), "text");
    assert!(text(&connect(&[&url, "-I"])).starts_with("HTTP/1.0 200 OK\r\n"));
    let output = run(&["bench", &url, "--json", "-c", "2", "-m", "5"], "");
    let report = json(&output.stdout);
    assert_eq!((output.status.code(), &report["messages"]), (Some(0), &10.into()), "{report}");
    assert_eq!(report["reconnects"], 8, "{report}");
}
