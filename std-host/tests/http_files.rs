//! Files and content codings over real sockets; curl is the judge where it knows better.
#![cfg(all(unix, feature = "compression"))]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::process::Command;

use common::dial;
use netloom::http::{Decoded, Files, Request, Sent, compress, decoded, decompress};
use netloom::{Result, Server, routes};

const CAP: u64 = 100_000;

struct Site {
    server: Option<Server>,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown(common::PATIENCE);
        }
    }
}

async fn count(request: Request<'_>) -> Result<Sent> {
    let (body, _, reply) = decoded(request, CAP).await?;
    reply.format(format_args!("{}", body.len())).await
}

async fn count_pieces(request: Request<'_>) -> Result<Sent> {
    let (mut body, mut length) = (Decoded::new(request, CAP)?, 0);
    while let Some(piece) = body.receive().await? {
        length += piece.len();
    }
    body.split().1.format(format_args!("{length}")).await
}

async fn stream(request: Request<'_>) -> Result<Sent> {
    let mut stream = request.reply().stream("text/plain").await?;
    for _ in 0..100 {
        stream.send(b"the same line again and again\n").await?;
        stream.flush().await?;
    }
    stream.end().await
}

/// What the files are, beside a secret.
fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("sub/empty")).unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    fs::create_dir(root.join("a:b")).unwrap();
    fs::write(folder.path().join("secret"), "CANARY").unwrap();
    fs::write(root.join(".git/config"), "CANARY").unwrap();
    fs::write(root.join(".env"), "CANARY").unwrap();
    fs::write(root.join("sub/index.html"), "<p>sub</p>").unwrap();
    fs::write(root.join("a:b/index.html"), "<p>colon</p>").unwrap();
    fs::write(root.join("index.html"), "<p>root</p>").unwrap();
    fs::write(root.join("digits.bin"), "0123456789").unwrap();
    fs::write(root.join("empty.txt"), "").unwrap();
    fs::write(root.join("with space.txt"), "spaced").unwrap();
    fs::write(root.join("long.txt"), "a long text, ".repeat(20_000)).unwrap();
    fs::write(root.join("app.js"), "plain();").unwrap();
    fs::write(root.join("app.js.gz"), "gz").unwrap();
    fs::write(root.join("app.js.br"), "br").unwrap();
    symlink("../secret", root.join("link")).unwrap();
    symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("digits.bin", root.join("within")).unwrap();

    let files = Files::new(&root).unwrap().cache_control("max-age=60");
    let loose =
        Files::new(&root).unwrap().follow_symlinks(true).dot_files(true).precompressed(false).index("");
    let app = async move |request: Request<'_>| {
        let (files, loose) = (&files, &loose);
        let app = routes! {
            GET "/f/{*path}" => async |request: Request<'_>| files.serve(request).await,
            MOUNT "/m" => async |request: Request<'_>| files.serve(request).await,
            MOUNT "/loose" => async |request: Request<'_>| loose.serve(request).await,
            POST "/count" => count,
            POST "/pieces" => count_pieces,
            GET "/stream" => stream,
        };
        app(request).await
    };
    let server = Server::builder().tcp("127.0.0.1:0").workers(1).http(compress(decompress(app))).unwrap();
    Site { address: server.addresses()[0], server: Some(server), folder }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1)
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

impl Site {
    fn ask(&self, request: &str, body: &[u8]) -> Answer {
        let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
        let fields: String = fields.lines().map(|field| format!("{field}\r\n")).collect();
        let mut stream = dial(self.address);
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        Answer { status, head, body: answer[end..].to_vec() }
    }

    fn get(&self, path: &str, fields: &str) -> Answer {
        self.ask(&format!("GET {path}\n{fields}"), b"")
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    /// What curl prints; nothing where there is no curl.
    fn curl(&self, arguments: &[&str], path: &str) -> Option<String> {
        let url = format!("http://{}{path}", self.address);
        let mut command = Command::new("curl");
        let output = command.args(["-sS", "--max-time", "20"]).args(arguments).arg(url).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[test]
fn nothing_outside_the_root_is_served_or_told_of() {
    let site = site();
    let absolute = site.folder.path().join("secret");
    let absolute = absolute.to_str().unwrap();
    let paths = [
        "/../secret",
        "/..",
        "/../",
        "/../../../../../../etc/passwd",
        "/sub/../../secret",
        "/./../secret",
        "/sub/../../root/digits.bin",
        "/..;/secret",
        "/.../secret",
        "/%2e%2e/secret",
        "/%2E%2E/secret",
        "/.%2e/secret",
        "/%2e./secret",
        "/..%2fsecret",
        "/..%2Fsecret",
        "/%2e%2e%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/..%5csecret",
        "/%2e%2e%5csecret",
        "/..\\secret",
        "/..%c0%afsecret",
        "/%c0%ae%c0%ae/secret",
        "/%e0%80%ae%e0%80%ae/secret",
        "/%252e%252e/secret",
        "/%252e%252e%252fsecret",
        "/..%252fsecret",
        "/%25252e%25252e/secret",
        "/%u002e%u002e/secret",
        "/..%00/secret",
        "/digits.bin%00",
        "/digits.bin%00.html",
        "/%00",
        "/digits.bin%0a",
        "/digits.bin%20",
        "/%2fetc%2fpasswd",
        "//etc/passwd",
        "/%2F%2Fetc/passwd",
        "/digits.bin/",
        "/digits.bin/..",
        "/sub/empty",
        "/sub/empty/",
        "/nowhere",
        "/link",
        "/link/",
        "/absolute",
        "/up/secret",
        "/up/root/digits.bin",
        "/within",
        "/up",
        "/up/",
        "/.env",
        "/.git/config",
        "/%2eenv",
        "/%2e%67it/config",
        "/.git",
        "/.git/",
        "/.",
        "/./",
        "/./digits.bin",
        "//digits.bin/..//",
        "/sub//index.html",
        "/%zz",
        "/%",
        "/%2",
        "/C:%5cWindows%5cwin.ini",
        "/file:%2f%2f%2fetc%2fpasswd",
        "/digits.bin::$DATA",
    ];
    assert!(paths.len() >= 40);
    for mount in ["/f", "/m"] {
        for path in paths.into_iter().chain([absolute]) {
            let answer = site.get(&format!("{mount}{path}"), "");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(matches!(answer.status, 400 | 404), "{mount}{path}: {}", answer.status);
            for leak in ["CANARY", "root", "0123", "os error", absolute] {
                assert!(!text.contains(leak) && !answer.head.contains(leak), "{mount}{path}: {text}");
            }
        }
    }
    let long = format!("/f/{}", "a".repeat(3000));
    assert_eq!(site.get(&long, "").status, 404);
    let deep = format!("/f/{}x", "sub/".repeat(1500));
    assert_eq!(site.get(&deep, "").status, 404);
}

#[test]
fn links_and_dot_files_are_served_where_they_are_allowed() {
    let site = site();
    for (path, text) in [
        ("/loose/link", "CANARY"),
        ("/loose/up/secret", "CANARY"),
        ("/loose/.env", "CANARY"),
        ("/loose/within", "0123456789"),
        ("/loose/digits.bin", "0123456789"),
    ] {
        let answer = site.get(path, "");
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
    for path in
        ["/loose/../secret", "/loose/sub/..", "/loose/%2e%2e/secret", "/loose/", "/loose/sub", "/loose/sub/"]
    {
        assert_eq!(site.get(path, "").status, 404, "{path}");
    }
}

#[test]
fn a_file_is_served_with_what_describes_it() {
    let site = site();
    for path in ["/f/digits.bin", "/m/digits.bin", "/f/digits%2Ebin"] {
        let answer = site.get(path, "");
        assert_eq!((answer.status, answer.text()), (200, "0123456789"), "{path}");
        assert_eq!(answer.field("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.field("content-length"), Some("10"));
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert_eq!(answer.field("cache-control"), Some("max-age=60"));
        assert!(answer.field("etag").is_some() && answer.field("last-modified").is_some());
    }
    assert_eq!(site.get("/f/with%20space.txt", "").text(), "spaced");
    let empty = site.get("/f/empty.txt", "range: bytes=0-");
    assert_eq!((empty.status, empty.field("content-range")), (416, Some("bytes */0")));
    assert_eq!(site.get("/f/empty.txt", "").field("content-length"), Some("0"));
    let head = site.ask("HEAD /f/digits.bin\nrange: bytes=0-1", b"");
    assert_eq!((head.status, head.text(), head.field("content-length")), (200, "", Some("10")));
}

#[test]
fn a_folder_is_its_index_behind_a_slash() {
    let site = site();
    for path in ["/f/", "/m/"] {
        assert_eq!(site.get(path, "").text(), "<p>root</p>", "{path}");
    }
    assert_eq!(site.get("/f/sub/", "").text(), "<p>sub</p>");
    for (path, location) in [
        ("/m", "./m/"),
        ("/f/sub", "./sub/"),
        ("/m/sub?a=b", "./sub/?a=b"),
        ("/f/a:b", "./a:b/"),
        ("/f/s%75b", "./s%75b/"),
    ] {
        let answer = site.get(path, "");
        assert_eq!((answer.status, answer.field("location")), (308, Some(location)), "{path}");
    }
    if let Some(text) = site.curl(&["-L"], "/m/sub") {
        assert_eq!(text, "<p>sub</p>");
    }
}

#[test]
fn other_methods_are_told_which() {
    let site = site();
    let post = site.ask("POST /m/digits.bin\ncontent-length: 1", b"x");
    assert_eq!((post.status, post.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(site.ask("OPTIONS /m/digits.bin", b"").status, 204);
    assert_eq!(site.ask("BREW /m/digits.bin", b"").status, 501);
}

#[test]
fn conditions_are_obeyed() {
    let site = site();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    fs::File::options().write(true).open(site.root().join("digits.bin")).unwrap().set_modified(old).unwrap();
    let first = site.get("/f/digits.bin", "");
    let (etag, modified) = (first.field("etag").unwrap(), first.field("last-modified").unwrap());
    assert!(etag.starts_with('"'), "settled, so strong: {etag}");
    for (fields, status) in [
        (format!("if-none-match: {etag}"), 304),
        (format!("if-none-match: W/{etag}"), 304),
        ("if-none-match: \"other\"".into(), 200),
        (format!("if-modified-since: {modified}"), 304),
        ("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT".into(), 200),
        (format!("if-match: {etag}"), 200),
        ("if-match: \"other\"".into(), 412),
        ("if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT".into(), 412),
        (format!("range: bytes=0-1\nif-range: {etag}"), 206),
        (format!("range: bytes=0-1\nif-range: {modified}"), 206),
        ("range: bytes=0-1\nif-range: \"other\"".into(), 200),
    ] {
        let answer = site.get("/f/digits.bin", &fields);
        assert_eq!(answer.status, status, "{fields}");
        if status == 304 {
            assert_eq!((answer.text(), answer.field("etag")), ("", Some(etag)));
        }
    }
    fs::write(site.root().join("digits.bin"), "9876543210").unwrap();
    let changed = site.get("/f/digits.bin", &format!("if-none-match: {etag}"));
    assert_eq!((changed.status, changed.text()), (200, "9876543210"));
    assert!(changed.field("etag").is_some_and(|etag| etag.starts_with("W/")), "it may change again");
    if let Some(status) = site.curl(
        &["-o", "/dev/null", "-w", "%{http_code}", "-z", "Thu, 01 Jan 2037 00:00:00 GMT"],
        "/f/digits.bin",
    ) {
        assert_eq!(status, "304");
    }
}

#[test]
fn ranges_are_cut_out() {
    let site = site();
    for (range, status, text, content_range) in [
        ("0-1", 206, "01", Some("bytes 0-1/10")),
        ("-3", 206, "789", Some("bytes 7-9/10")),
        ("8-99", 206, "89", Some("bytes 8-9/10")),
        ("0-", 206, "0123456789", Some("bytes 0-9/10")),
        ("0-3,2-5", 206, "012345", Some("bytes 0-5/10")),
        ("5-2", 200, "0123456789", None),
        ("x", 200, "0123456789", None),
    ] {
        let answer = site.get("/f/digits.bin", &format!("range: bytes={range}"));
        assert_eq!((answer.status, answer.text()), (status, text), "{range}");
        assert_eq!(answer.field("content-range"), content_range, "{range}");
    }
    let outside = site.get("/f/digits.bin", "range: bytes=10-");
    assert_eq!((outside.status, outside.field("content-range")), (416, Some("bytes */10")));

    let several = site.get("/f/digits.bin", "range: bytes=0-1,-1");
    let boundary = several.field("content-type").and_then(|kind| kind.split_once("boundary=")).unwrap().1;
    let part = |range: &str, text: &str| {
        let kind = "Content-Type: application/octet-stream\r\n";
        format!("\r\n--{boundary}\r\n{kind}Content-Range: bytes {range}/10\r\n\r\n{text}")
    };
    let expected = part("0-1", "01") + &part("9-9", "9") + &format!("\r\n--{boundary}--\r\n");
    assert_eq!((several.status, several.text()), (206, &expected[..]));
    assert_eq!(several.field("content-length"), Some(&*expected.len().to_string()));

    // In the middle of a file of many pieces.
    let text = "a long text, ".repeat(20_000);
    let part = site.get("/f/long.txt", "range: bytes=1000-200999");
    assert!(part.status == 206 && part.text() == &text[1000..201_000]);
    if let Some(part) = site.curl(&["-r", "13-259999"], "/f/long.txt") {
        assert!(part == text[13..]);
    }
}

#[test]
fn precompressed_siblings_are_sent_to_who_takes_them() {
    let site = site();
    let tag = |fields: &str, text: &str, encoding| {
        let answer = site.get("/f/app.js", fields);
        assert_eq!((answer.text(), answer.field("content-encoding")), (text, encoding), "{fields}");
        assert_eq!(answer.field("vary"), Some("accept-encoding"));
        assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"));
        answer.field("etag").unwrap().to_owned()
    };
    let tags = [
        tag("", "plain();", None),
        tag("accept-encoding: gzip", "gz", Some("gzip")),
        tag("accept-encoding: gzip, deflate, br, zstd", "br", Some("br")),
    ];
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    assert_eq!(tag("accept-encoding: zstd, gzip;q=0.1", "gz", Some("gzip")), tags[1]);
    let same = site.get("/f/app.js", &format!("accept-encoding: gzip\nif-none-match: {}", tags[1]));
    assert_eq!(same.status, 304);
    assert_eq!(site.get("/loose/app.js", "accept-encoding: gzip").text(), "plain();");
    // What is no text has no siblings.
    assert_eq!(site.get("/f/digits.bin", "accept-encoding: gzip").field("vary"), None);
}

#[test]
fn texts_are_compressed_on_the_way() {
    let site = site();
    let text = "a long text, ".repeat(20_000);
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let answer = site.get("/f/long.txt", &format!("accept-encoding: {encoding}"));
        assert_eq!(answer.field("content-encoding"), Some(encoding));
        assert!(answer.body.len() < text.len() / 20, "{encoding}: {}", answer.body.len());
        assert!(answer.field("etag").is_some_and(|etag| etag.starts_with("W/")));
        assert_eq!((answer.field("accept-ranges"), answer.field("content-length")), (None, None));
        let part = site.get("/f/long.txt", &format!("accept-encoding: {encoding}\nrange: bytes=0-5"));
        assert_eq!((part.status, part.text(), part.field("content-encoding")), (206, "a long", None));
    }
    let plain = site.get("/f/long.txt", "");
    assert!(plain.text() == text && plain.field("vary") == Some("accept-encoding"));
    for path in ["/f/long.txt", "/f/sub/", "/stream"] {
        let (Some(coded), Some(plain)) = (site.curl(&["--compressed"], path), site.curl(&[], path)) else {
            return;
        };
        assert!(coded == plain, "{path}");
    }
    let head = site.ask("HEAD /f/long.txt\naccept-encoding: gzip", b"");
    assert_eq!((head.text(), head.field("content-encoding")), ("", Some("gzip")));
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_as_cut() {
    let site = site();
    let path = site.root().join("large.bin");
    for fields in ["", "accept-encoding: gzip\r\n"] {
        // Text, so that it would be encoded; with noise in it, so that it stays long.
        let path = if fields.is_empty() { path.clone() } else { path.with_extension("txt") };
        let mut n = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (n >> 24) as u8
        })
        .take(1_000_000)
        .collect();
        let noise = noise.repeat(24);
        fs::write(&path, noise).unwrap();
        let mut stream = dial(site.address);
        let name = path.file_name().unwrap().to_str().unwrap();
        let head = format!("GET /f/{name} HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = vec![0; 1000];
        stream.read_exact(&mut answer).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 24_000_000, "{}", answer.len());
        assert!(!answer.ends_with(b"\r\n0\r\n\r\n"), "the end of a body that is not complete");
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn requests_are_decoded_within_the_cap() {
    let site = site();
    let post = |path: &str, coding: &str, body: &[u8]| {
        let length = body.len();
        site.ask(&format!("POST {path}\ncontent-length: {length}\ncontent-encoding: {coding}"), body)
    };
    for path in ["/count", "/pieces"] {
        let (fits, too_large) = (vec![b'x'; CAP as usize], vec![b'x'; CAP as usize + 1]);
        for (coding, body, expected) in [
            ("gzip", gzip(&fits), (200, "100000")),
            ("X-GZip", gzip(b"abc"), (200, "3")),
            ("zstd", zstd::encode_all(&fits[..], 1).unwrap(), (200, "100000")),
            ("identity", fits.clone(), (200, "100000")),
            ("", fits.clone(), (200, "100000")),
            ("gzip", Vec::new(), (200, "0")),
        ] {
            let answer = post(path, coding, &body);
            assert_eq!((answer.status, answer.text()), expected, "{path} {coding}");
        }
        for (coding, body, status) in [
            ("gzip", gzip(&too_large), 413),
            ("identity", too_large.clone(), 413),
            ("gzip", gzip(&fits)[..60].to_vec(), 400),
            ("gzip", b"not gzip".to_vec(), 400),
            ("zstd", b"not zstd".to_vec(), 400),
            ("compress", b"x".to_vec(), 415),
            ("gzip, gzip", gzip(&gzip(b"abc")), 415),
        ] {
            assert_eq!(post(path, coding, &body).status, status, "{path} {coding}");
        }
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 60_000);
        assert_eq!(post(path, "gzip", &bomb).status, 413, "{path}");
    }
    let unknown = post("/count", "lzma", b"x");
    assert_eq!((unknown.status, unknown.field("accept-encoding")), (415, Some("gzip, deflate, br, zstd")));
}
