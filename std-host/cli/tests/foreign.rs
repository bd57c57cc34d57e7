//! The program against clients and servers that are not ours: curl, wrk and h2load ask `netloom serve`; nginx answers
//! `netloom connect` and `bench`, and stands between `bench` and `serve` as a proxy.
//!
//! What is not installed is passed over by name, on stderr.

mod program;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread;

use program::{Folder, Serving, connect, json, netloom, one_line, run, text};

/// Longer than every queue and pipe between the two.
const LONG: usize = 8_000_000;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// What is there is run; what is not is told past the harness, which shows nothing of a test that passes.
fn found<T>(program: &str, run: io::Result<T>) -> Option<T> {
    match run {
        Ok(done) => Some(done),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let test = thread::current().name().unwrap_or_default().to_owned();
            let mut past = io::stderr();
            writeln!(past, "skipped: {test}: there is no {program}").unwrap();
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn foreign(program: &str, args: &[&str]) -> Option<Output> {
    found(program, Command::new(program).args(args).stdin(Stdio::null()).output())
}

/// nginx with a configuration, in the foreground and in one process; killed when dropped.
struct Nginx {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Nginx {
    /// Its `root` is the folder. `http` and `server` are what the blocks of that name hold besides.
    fn start(folder: Folder, http: &str, server: &str) -> Option<Self> {
        // It cannot choose a port, and somebody else may be given ours before it has it.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|what| format!("{what}_temp_path {what};"))
                .collect();
            let config = format!(
                "daemon off; master_process off; pid nginx.pid; error_log stderr notice; events {{}}
                http {{ access_log off; default_type text/plain; {temporary} {http}
                server {{ listen 127.0.0.1:{port}; root .; {server} }} }}"
            );
            let config = folder.file("nginx.conf", config);
            let run = |program| {
                Command::new(program)
                    .args(["-p", folder.path(), "-c", &config])
                    .stdin(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
            };
            // Debian has it where only the administrator looks.
            let mut child = found("nginx", run("nginx").or_else(|_| run("/usr/sbin/nginx")))?;
            if listens(child.stderr.take().unwrap()) {
                return Some(Self { child, folder, port });
            }
            child.wait().unwrap();
        }
        panic!("nginx does not start");
    }

    /// In front of `netloom serve`, which it asks over kept connections.
    fn proxy(name: &str, serving: &Serving, server: &str) -> Option<Self> {
        let url = serving.http("");
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let http = format!("upstream netloom {{ server {address}; keepalive 8; }} client_max_body_size 0;");
        let server = format!(
            "location / {{ proxy_pass http://netloom; proxy_http_version 1.1; proxy_set_header Connection ''; {server} }}"
        );
        Self::start(Folder::new(name), &http, &server)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

/// Whether it comes to say its version, which it does behind listening.
fn listens(stderr: ChildStderr) -> bool {
    let mut said = BufReader::new(stderr);
    let mut line = String::new();
    while said.read_line(&mut line).unwrap() > 0 {
        if line.contains("[notice]") && line.contains(" nginx/") {
            thread::spawn(move || io::copy(&mut said, &mut io::sink()));
            return true;
        }
        assert!(!line.contains("[emerg]") || line.contains("bind() to"), "{line}");
        line.clear();
    }
    false
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A report of `bench` without anything wrong in it: so many answers, each as the first.
fn loaded(url: &str, connections: u64, each: u64, more: &[&str]) -> serde_json::Value {
    let (connections_text, each_text) = (connections.to_string(), each.to_string());
    let args = ["bench", url, "--json", "-c", &connections_text, "-m", &each_text];
    let output = run(&[&args, more].concat(), "");
    let report = json(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");
    for (name, value) in [("messages", connections * each), ("mismatches", 0), ("non_2xx", 0), ("errors", 0)]
    {
        assert_eq!(report[name], value, "{name}: {report}");
    }
    report
}

mod curl {
    use super::*;

    fn curl(args: &[&str]) -> Option<Output> {
        // Without its user's configuration.
        foreign("curl", &[&["-q", "-sS", "--max-time", "60"], args].concat())
    }

    #[test]
    fn one_connection_is_enough_for_many_requests() {
        let serving = Serving::start(&["--no-tcp"]);
        let paths =
            ["plaintext", "stream/100000", "missing", "json", "status"].map(|path| serving.http(path));
        let mut args = vec!["-w", "%{num_connects} %{http_code} %{size_download}\n"];
        args.extend(paths.iter().flat_map(|url| [url.as_str(), "-o", "/dev/null"]));
        let Some(output) = curl(&args) else { return };
        let told = text(&output);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..2], ["1 200 13", "0 200 100000"], "{told}");
        assert!(lines[2].starts_with("0 404 "), "{told}");
        assert!(lines[3..].iter().all(|line| line.starts_with("0 200 ")) && lines.len() == 5, "{told}");
    }

    #[test]
    fn a_body_comes_back_whatever_its_framing() {
        let serving = Serving::start(&["--no-tcp"]);
        let (url, folder) = (serving.http("echo"), Folder::new("curl-echo"));
        let sent = bytes(LONG);
        let from = format!("@{}", folder.file("sent", &sent));
        // Of such a length curl asks for permission first.
        let by_length = ["--data-binary", &from, &url];
        let chunked = ["--data-binary", &from, "-H", "transfer-encoding: chunked", &url];
        let old = ["--data-binary", &from, "-0", &url];
        let impatient = ["--data-binary", &from, "-H", "expect:", &url];
        for args in [&by_length[..], &chunked, &old, &impatient] {
            let Some(output) = curl(args) else { return };
            assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{args:?}");
            assert!(output.stdout == sent, "{} bytes for {args:?}", output.stdout.len());
        }
    }

    #[test]
    fn permission_is_given_before_the_body_comes() {
        let serving = Serving::start(&["--no-tcp"]);
        let url = serving.http("echo");
        let Some(output) = curl(&["-i", "-H", "expect: 100-continue", "-d", "abc", &url]) else { return };
        let told = text(&output);
        assert!(told.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{told}");
        assert!(told.ends_with("\r\n\r\nabc"), "{told}");
    }

    #[test]
    fn the_old_version_ends_with_the_connection_unless_it_asks() {
        let serving = Serving::start(&["--no-tcp"]);
        let url = serving.http("stream/100000");
        let Some(output) = curl(&["-0", "-i", &url]) else { return };
        let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
        let (head, body) = head.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("transfer-encoding") && head.contains("connection: close"), "{head}");
        assert_eq!((output.status.code(), body.len()), (Some(0), 100_000));
        let url = serving.http("plaintext");
        let told = ["-w", " %{num_connects}\n", "-0", "-H", "connection: keep-alive", &url, &url];
        assert_eq!(text(&curl(&told).unwrap()), "Hello, World! 1\nHello, World! 0\n");
    }

    #[test]
    fn files_come_in_parts_compressed_and_only_if_they_changed() {
        let (folder, content) = (Folder::new("curl-files"), "many words ".repeat(10_000));
        folder.file("a.txt", &content);
        let serving = Serving::start(&["--no-tcp", "--files", folder.path()]);
        let url = serving.http("a.txt");
        let Some(output) = curl(&["-r", "5-9", "-w", " %{http_code}", &url]) else { return };
        assert_eq!(text(&output), "words 206");
        let output = curl(&["-r", "900000-", "-w", "%{http_code}", "-o", "/dev/null", &url]).unwrap();
        assert_eq!(text(&output), "416");
        let output = curl(&["--compressed", "-w", " %{size_download}", &url]).unwrap();
        let told = text(&output);
        let (body, received) = told.rsplit_once(' ').unwrap();
        assert!(body == content && received.parse::<usize>().unwrap() < content.len() / 10, "{received}");
        let etag = folder.0.join("etag");
        let etag = etag.to_str().unwrap();
        curl(&["--etag-save", etag, "-o", "/dev/null", &url]).unwrap();
        let output = curl(&["--etag-compare", etag, "-w", "%{http_code}", &url]).unwrap();
        assert_eq!(text(&output), "304");
        let head = text(&curl(&["-I", &url]).unwrap()).to_lowercase();
        assert!(head.contains(&format!("content-length: {}\r\n", content.len())), "{head}");
        let output =
            curl(&["--path-as-is", "-w", "%{http_code}", "-o", "/dev/null", &serving.http("../a.txt")]);
        assert_eq!(text(&output.unwrap()), "404");
    }

    #[test]
    fn events_come_while_they_happen() {
        let serving = Serving::start(&["--no-tcp"]);
        let url = serving.http("events");
        let mut command = Command::new("curl");
        command.args(["-q", "-sSN", &url]).stdin(Stdio::null()).stdout(Stdio::piped());
        let Some(mut child) = found("curl", command.spawn()) else { return };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let events = lines.map(io::Result::unwrap).filter(|line| line.starts_with("data:")).take(2);
        assert_eq!(events.filter(|event| event.contains("uptime")).count(), 2);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

mod load {
    use super::*;

    /// What wrk counted; it says something of errors and of answers other than 2xx only where there are some.
    fn wrk(args: &[&str]) -> Option<u64> {
        let output = foreign("wrk", &[&["-t", "1", "-c", "8", "-d", "1s"], args].concat())?;
        let told = text(&output);
        assert!(!told.contains("Socket errors") && !told.contains("Non-2xx"), "{told}");
        let counted = told.lines().find_map(|line| line.trim().split_once(" requests in "));
        Some(counted.unwrap_or_else(|| panic!("{told}")).0.parse().unwrap())
    }

    #[test]
    fn wrk_sees_nothing_but_answers() {
        let serving = Serving::start(&["--no-tcp"]);
        let folder = Folder::new("wrk");
        let pipeline = folder.file(
            "pipeline.lua",
            "init = function() all = string.rep(wrk.format(nil, wrk.path), 16) end request = function() return all end",
        );
        let post = folder.file(
            "post.lua",
            "wrk.method = 'POST' wrk.body = string.rep('x', 10000) wrk.headers['content-type'] = 'text/plain'",
        );
        for (path, more) in [
            ("plaintext", &[][..]),
            ("plaintext", &["-s", &pipeline]),
            ("stream/100000", &[]),
            ("echo", &["-s", &post]),
        ] {
            let Some(answers) = wrk(&[more, &[&serving.http(path)]].concat()) else { return };
            assert!(answers > 0, "{path} {more:?}");
        }
    }

    #[test]
    fn h2load_sees_nothing_but_answers() {
        let serving = Serving::start(&["--no-tcp"]);
        let folder = Folder::new("h2load");
        let data = folder.file("data", bytes(100_000));
        let plain = [serving.http("plaintext"), serving.http("json"), serving.http("stream/30000")];
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        let echo = serving.http("echo");
        for more in [
            &[&["-m", "1"], &plain[..]].concat()[..],
            &[&["-m", "8"], &plain[..]].concat(),
            &["-d", &data, &echo],
        ] {
            let args = [&["--h1", "-n", "1000", "-c", "8"], more].concat();
            let Some(output) = foreign("h2load", &args) else { return };
            let told = String::from_utf8_lossy(&output.stdout);
            for part in [
                "1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout",
                "1000 2xx, 0 3xx, 0 4xx, 0 5xx",
            ] {
                assert!(told.contains(part), "{more:?}: {told}");
            }
        }
    }
}

mod nginx {
    use super::*;

    #[test]
    fn its_files_come_whole_in_parts_or_not_at_all() {
        let (folder, content) = (Folder::new("nginx-files"), bytes(LONG));
        folder.file("long", &content);
        fs::create_dir(folder.0.join("sub")).unwrap();
        folder.file("sub/index.html", "index");
        let Some(nginx) = Nginx::start(folder, "", "") else { return };
        let url = nginx.url("long");
        let output = connect(&[&url]);
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
        assert!(output.stdout == content, "{} bytes", output.stdout.len());
        let head = text(&connect(&[&url, "-I"])).to_lowercase();
        assert!(head.contains(&format!("content-length: {LONG}\r\n")), "{head}");
        let etag = head.lines().find(|line| line.starts_with("etag: ")).unwrap();
        let changed = text(&connect(&[&url, "-i", "-H", &etag.replace("etag", "if-none-match")]));
        assert!(changed.starts_with("HTTP/1.1 304 ") && changed.ends_with("\r\n\r\n"), "{changed}");

        let output = connect(&[&url, "-H", "range: bytes=1000000-1000099", "--fail"]);
        assert_eq!(output.stdout, content[1_000_000..1_000_100]);
        let parts = connect(&[&url, "-i", "-H", "range: bytes=0-1,7-8"]);
        let parts = String::from_utf8_lossy(&parts.stdout).into_owned();
        assert!(parts.starts_with("HTTP/1.1 206 ") && parts.contains("multipart/byteranges"), "{parts}");
        let output = connect(&[&url, "-H", "range: bytes=9000000-", "--fail"]);
        assert!(one_line(&output, 1).contains("416 "));

        let missing = nginx.url("missing");
        assert!(text(&connect(&[&missing])).contains("404 Not Found"));
        assert_eq!(
            one_line(&connect(&[&missing, "--fail"]), 1),
            format!("netloom: {missing}: 404 Not Found\n")
        );
        assert_eq!(text(&connect(&[&nginx.url("sub"), "-L"])), "index");
    }

    #[test]
    fn bodies_of_unknown_length_come_whole() {
        let (folder, content) = (Folder::new("nginx-gzip"), "many words ".repeat(100_000));
        folder.file("a.txt", &content);
        let zip = "gzip on; gzip_types text/plain; gzip_http_version 1.0;";
        let server = "location /close/ { alias ./; chunked_transfer_encoding off; }";
        let Some(nginx) = Nginx::start(folder, zip, server) else { return };
        for (path, framing) in [("a.txt", "transfer-encoding: chunked"), ("close/a.txt", "connection: close")]
        {
            let url = nginx.url(path);
            let output = connect(&[&url, "-i", "-H", "accept-encoding: gzip"]);
            let head = String::from_utf8_lossy(&output.stdout[..400]).to_lowercase();
            assert!(head.contains(framing) && head.contains("content-encoding: gzip"), "{path}: {head}");
            assert!(text(&connect(&[&url, "--compressed"])) == content, "{path}");
        }
    }

    #[test]
    fn its_connections_are_kept_as_long_as_it_keeps_them() {
        let folder = Folder::new("nginx-kept");
        folder.file("a.txt", "text");
        let few = "location /few/ { alias ./; keepalive_requests 10; }";
        let Some(nginx) = Nginx::start(folder, "", few) else { return };
        for depth in ["1", "8"] {
            let report = loaded(&nginx.url("a.txt"), 3, 200, &["-n", depth]);
            assert_eq!(report["reconnects"], 0, "{report}");
            let report = loaded(&nginx.url("few/a.txt"), 3, 50, &["-n", depth]);
            assert_eq!(report["reconnects"], 3 * 4, "{report}");
        }
    }

    #[test]
    fn a_body_it_does_not_want_does_not_hide_its_answer() {
        let folder = Folder::new("nginx-refuses");
        let data = folder.file("data", bytes(LONG));
        folder.file("a.txt", "text");
        let Some(nginx) = Nginx::start(folder, "client_max_body_size 1k;", "") else { return };
        for (url, data, status) in [
            (nginx.url("a.txt"), format!("@{data}"), "413 "),
            (nginx.url("a.txt"), "short".to_owned(), "405 "),
        ] {
            assert!(one_line(&connect(&[&url, "-d", &data, "--fail"]), 1).contains(status), "{status}");
        }
    }
}

mod proxy {
    use std::time::Duration;

    use netloom::http::{Request, Sent};
    use netloom::{Result, Server, routes};

    use super::*;

    #[test]
    fn its_connections_to_us_are_kept() {
        let serving = Serving::start(&["--no-tcp", "-v"]);
        let Some(nginx) = Nginx::proxy("proxy-kept", &serving, "") else { return };
        for path in ["plaintext", "stream/100000", "missing", "plaintext"] {
            assert_eq!(connect(&[&nginx.url(path)]).status.code(), Some(0));
        }
        assert_eq!(text(&connect(&[&nginx.url("echo"), "-d", "abc"])), "abc");
        let output = connect(&[&nginx.url("plaintext"), "-I"]);
        assert!(text(&output).starts_with("HTTP/1.1 200 "));
        drop(nginx);
        let mut serving = serving;
        serving.child.kill().unwrap();
        let said = String::from_utf8(serving.wait().stderr).unwrap();
        let peers: Vec<&str> = said
            .lines()
            .filter_map(|line| line.split_once("peer="))
            .map(|(_, peer)| peer.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(peers.len(), 6, "{said}");
        assert!(peers.iter().all(|peer| *peer == peers[0]), "{said}");
    }

    #[test]
    fn many_clients_get_their_answers_through_it() {
        let serving = Serving::start(&["--no-tcp"]);
        let Some(nginx) = Nginx::proxy("proxy-many", &serving, "") else { return };
        for (path, depth, more, size) in [
            ("plaintext", "1", &[][..], 13),
            ("plaintext", "8", &[], 13),
            ("stream/100000", "2", &[], 100_000),
            ("echo", "4", &["--data", "abc"], 3),
        ] {
            let report = loaded(&nginx.url(path), 4, 50, &[&["-n", depth], more].concat());
            assert_eq!(report["size"], size, "{report}");
        }
    }

    /// Answers with the body when all of it is there: nginx sends no more of a body once an answer has begun.
    async fn echo(request: Request<'_>) -> Result<Sent> {
        let whole = request.body().await?;
        whole.reply.bytes("", whole.body).await
    }

    #[test]
    fn a_body_comes_back_through_it_however_it_is_passed_on() {
        let app = routes! { POST "/echo" => echo };
        let builder = Server::builder().tcp("127.0.0.1:0").workers(1).message_max(2 * LONG);
        let server = builder.http(app).unwrap();
        let (address, sent) = (server.addresses()[0], bytes(LONG));
        for (name, how) in [
            ("buffered", "proxy_http_version 1.1;"),
            ("unbuffered", "proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;"),
            ("old", ""),
        ] {
            let location = format!("location / {{ proxy_pass http://{address}; {how} }}");
            let folder = Folder::new(&format!("proxy-{name}"));
            let file = format!("@{}", folder.file("sent", &sent));
            let Some(nginx) = Nginx::start(folder, "client_max_body_size 0;", &location) else { return };
            let url = nginx.url("echo");
            // By its length, and in chunks.
            for output in [connect(&[&url, "-d", &file]), run(&["connect", &url, "-d", "@-"], sent.clone())] {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.stdout == sent, "{name}: {} bytes, {said}", output.stdout.len());
            }
        }
        server.shutdown(Duration::ZERO);
    }

    #[test]
    fn an_answer_before_the_end_of_the_body_comes_through_it() {
        let serving = Serving::start(&["--no-tcp"]);
        let Some(nginx) = Nginx::proxy("proxy-early", &serving, "proxy_request_buffering off;") else {
            return;
        };
        // The first is read to its end; behind the second the connection ends, with no more coming than is waited for:
        // nginx may look at answers only when it has nothing to send.
        for length in [50_000, 500_000] {
            let file = nginx.folder.file("sent", bytes(length));
            let output = connect(&[&nginx.url("missing"), "-d", &format!("@{file}"), "--fail"]);
            let line = one_line(&output, 1);
            assert!(line.contains("404 Not Found"), "{line}");
            assert_eq!(text(&connect(&[&nginx.url("plaintext")])), "Hello, World!");
        }
    }

    #[test]
    fn what_is_streamed_comes_through_it_at_once() {
        let serving = Serving::start(&["--no-tcp"]);
        // A stream of events says itself that it is not to be gathered.
        let Some(nginx) = Nginx::proxy("proxy-events", &serving, "proxy_request_buffering off;") else {
            return;
        };
        let mut child = netloom(&["connect", &nginx.url("events")]).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let events = lines.map(io::Result::unwrap).filter(|line| line.starts_with("data:")).take(2);
        assert_eq!(events.filter(|event| event.contains("uptime")).count(), 2);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn pipelined_requests_are_answered_in_their_order() {
        let serving = Serving::start(&["--no-tcp"]);
        let Some(nginx) = Nginx::proxy("proxy-pipelined", &serving, "") else { return };
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.port)).unwrap();
        let mut requests = String::new();
        for n in 1..=20 {
            let close = if n == 20 { "connection: close\r\n" } else { "" };
            requests += &format!("GET /stream/{n} HTTP/1.1\r\nhost: a\r\n\r\n");
            requests +=
                &format!("POST /echo HTTP/1.1\r\nhost: a\r\n{close}content-length: 4\r\n\r\n<{n:02}>");
        }
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 40, "{answers}");
        let mut rest = answers.as_str();
        for n in 1..=20 {
            // Streamed, so in chunks; and the echo.
            for part in [format!("\r\n\r\n{n:x}\r\n"), format!("<{n:02}>")] {
                rest = rest.split_once(&part).unwrap_or_else(|| panic!("{part:?} is missing in {answers}")).1;
            }
        }
    }
}
