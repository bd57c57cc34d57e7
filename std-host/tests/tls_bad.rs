//! What is no TLS, what is broken, cut or late: it is ended, counted, and leaves nothing behind.

#[path = "common/certificates.rs"]
mod certificates;
mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use certificates::{Authority, Flaw, Made};
use common::{PATIENCE, dial, ends, eventually, frame};
use netloom::tls::{TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder};
use netloom::{Code, Connector, Framing, Result, Server, ServerSession};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned, SupportedProtocolVersion,
};

const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// An authority, and who it vouches for.
struct Scene {
    authority: Authority,
    shown: Made,
}

/// What a session's application received, and how it ended.
type Heard = (Vec<Vec<u8>>, Result<()>);

/// A server that echoes, and tells what it heard once a session has ended.
struct Ours {
    server: Server,
    heard: Receiver<Heard>,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new("netloom tests");
        let shown = authority.vouches_for(&HOSTS, Flaw::None);
        Self { authority, shown }
    }

    fn start(&self, change: impl FnOnce(TlsServerBuilder) -> TlsServerBuilder) -> Ours {
        let tls = change(TlsServer::builder(self.shown.identity())).build().unwrap();
        let (sender, heard) = channel();
        let app = async move |session: &mut ServerSession<Framing>| {
            let mut messages = Vec::new();
            let end = loop {
                match session.receive().await {
                    Ok(Some((message, peer))) => {
                        messages.push(message.to_vec());
                        if let Err(error) = peer.send(message).await {
                            break Err(error);
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            sender.send((messages, end)).unwrap();
            end
        };
        let server = Server::builder().tls("127.0.0.1:0", tls).workers(1).buffers_max(1);
        Ours { server: server.start(Framing::new, app).unwrap(), heard }
    }

    fn foreign_config(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// rustls's own server, and each of its connections in turn for `serve`.
    fn foreign_server(
        &self,
        version: &'static SupportedProtocolVersion,
        serve: impl Fn(ServerConnection, TcpStream) + Send + 'static,
    ) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let certificate = CertificateDer::from_pem_slice(self.shown.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.shown.key.as_bytes()).unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
        raw_server(move |stream| serve(ServerConnection::new(config.clone()).unwrap(), stream))
    }

    fn trusting(&self) -> TlsClientBuilder {
        TlsClient::builder().authorities(self.authority.pem())
    }
}

impl Ours {
    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    #[track_caller]
    fn hears(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }

    fn failed(&self) -> u64 {
        self.server.stats().handshakes_failed
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        eventually("no session is left", || self.server.stats().active == 0);
    }
}

/// Each connection in turn for `serve`, for as long as the test lasts.
fn raw_server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    address
}

/// rustls's own client, whose bytes can be had before they are sent.
struct Foreign {
    tls: ClientConnection,
    tcp: TcpStream,
}

impl Foreign {
    fn new(config: &Arc<ClientConfig>, ours: &Ours) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        Self { tls: ClientConnection::new(config.clone(), name).unwrap(), tcp: dial(ours.address()) }
    }

    /// Through the handshake.
    fn secured(config: &Arc<ClientConfig>, ours: &Ours) -> Self {
        let mut foreign = Self::new(config, ours);
        while foreign.tls.is_handshaking() {
            foreign.tls.complete_io(&mut foreign.tcp).unwrap();
        }
        foreign
    }

    /// What it would send now.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn encrypted(&mut self, content: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(content).unwrap();
        self.bytes()
    }

    /// Reads until that much was said, and checks it.
    #[track_caller]
    fn hears(&mut self, expected: &[u8]) {
        let mut heard = vec![0; expected.len()];
        rustls::Stream::new(&mut self.tls, &mut self.tcp).read_exact(&mut heard).unwrap();
        assert!(heard == expected);
    }

    /// Reads until the end; the fatal alert, if one comes.
    fn end(&mut self) -> Option<AlertDescription> {
        loop {
            match self.tls.read_tls(&mut self.tcp) {
                Ok(0) | Err(_) => return None,
                Ok(_) => match self.tls.process_new_packets() {
                    Ok(_) => {}
                    Err(rustls::Error::AlertReceived(alert)) => return Some(alert),
                    Err(error) => panic!("{error}"),
                },
            }
        }
    }
}

/// A head of a record that says how long it is.
fn record(kind: u8, length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    vec![kind, 3, 3, high, low]
}

#[test]
fn what_is_no_tls_is_answered_by_an_alert() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    let oversized = [record(22, 0xffff), vec![1; 20_000]].concat();
    let cases: [(&str, Vec<u8>); 8] = [
        ("plain HTTP", b"GET / HTTP/1.1\r\nhost: here\r\n\r\n".to_vec()),
        ("a frame", frame(b"hello, who is there, and how are you?")),
        ("zeros", vec![0; 100]),
        ("noise", (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect()),
        ("a record too long", oversized),
        ("data before the handshake", [record(23, 5), b"hello".to_vec()].concat()),
        ("a hello that is none", [record(22, 8), vec![1, 0, 0, 4, 3, 3, 0, 0]].concat()),
        ("a server's hello", [record(22, 8), vec![2, 0, 0, 4, 3, 3, 0, 0]].concat()),
    ];
    for (n, (what, bytes)) in cases.iter().enumerate() {
        let mut stream = dial(ours.address());
        // It may be gone before all is written.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!((answer.len(), answer[0], answer[5]), (7, 21, 2), "{what}: a fatal alert, not {answer:?}");
        eventually("it is counted", || ours.failed() == n as u64 + 1);
    }
    ours.nothing_is_left();
    assert!(ours.heard.try_recv().is_err(), "none became a session");
}

#[test]
fn an_alert_is_not_overtaken_by_a_reset() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    // More than is looked at before it is clear what it is.
    let mut stream = dial(ours.address());
    stream.write_all(&[b'x'; 50_000]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end in order, not a reset");
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 50]);
    drop(stream);
    ours.nothing_is_left();
}

#[test]
fn who_talks_on_behind_a_failed_handshake_is_not_heard_for_long_and_counts_meanwhile() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls.handshakes_max(1));
    let mut stream = dial(ours.address());
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    eventually("it is counted", || ours.failed() == 1);
    // It says no more and does not go: for a second it takes the place of a handshake.
    ends(&mut dial(ours.address()));
    assert_eq!(ours.server.stats().refused, 1);
    ours.nothing_is_left();
    // One that says more is cut when that is too much.
    let mut stream = dial(ours.address());
    let begun = Instant::now();
    while stream.write_all(&[b'x'; 10_000]).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it is heard for ever");
    }
    ours.nothing_is_left();
    assert_eq!(ours.failed(), 2);
}

#[test]
fn a_hello_that_ends_at_any_byte_is_counted() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    let config = scene.foreign_config(&rustls::version::TLS13);
    let hello = Foreign::new(&config, &ours).bytes();
    eventually("the first has gone", || ours.failed() == 1);
    let cuts: Vec<usize> = (0..12).chain((12..hello.len()).step_by(97)).collect();
    for cut in &cuts {
        let mut stream = dial(ours.address());
        stream.write_all(&hello[..*cut]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.is_empty(), "{answer:?} for {cut} bytes");
    }
    eventually("all are counted", || ours.failed() == 1 + cuts.len() as u64);
    ours.nothing_is_left();
}

#[test]
fn a_handshake_that_stalls_is_ended() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls.handshake_timeout(Duration::from_millis(100)));
    let config = scene.foreign_config(&rustls::version::TLS13);
    let hello = Foreign::new(&config, &ours).bytes();
    eventually("the first has gone", || ours.failed() == 1);
    let mut streams: Vec<TcpStream> = [0, 1, 5, hello.len() / 2]
        .iter()
        .map(|n| {
            let mut stream = dial(ours.address());
            stream.write_all(&hello[..*n]).unwrap();
            stream
        })
        .collect();
    streams.iter_mut().for_each(ends);
    // One that has said hello has its answer first.
    let mut stream = dial(ours.address());
    stream.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&22));
    eventually("all are counted", || ours.failed() == 6);
    ours.nothing_is_left();
}

#[test]
fn a_handshake_too_many_is_dropped_and_the_others_go_on() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls.handshakes_max(2).handshake_timeout(PATIENCE));
    let config = scene.foreign_config(&rustls::version::TLS13);
    let slow = Foreign::new(&config, &ours);
    let mut first = Foreign::new(&config, &ours);
    eventually("two are under way", || ours.server.stats().active == 2);
    ends(&mut dial(ours.address()));
    assert_eq!(ours.server.stats().refused, 1);
    first.tls.complete_io(&mut first.tcp).unwrap();
    // It is a session now, and makes place for another.
    first.tls.writer().write_all(&frame(b"hello")).unwrap();
    first.hears(&frame(b"hello"));
    let mut second = Foreign::secured(&config, &ours);
    second.tls.writer().write_all(&frame(b"hello")).unwrap();
    second.hears(&frame(b"hello"));
    drop(slow);
    eventually("it is counted", || ours.failed() == 1);
}

#[test]
fn a_server_that_stops_does_not_wait_for_handshakes() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls.handshake_timeout(PATIENCE * 3));
    let mut stalled = dial(ours.address());
    stalled.write_all(&[22]).unwrap();
    eventually("it is under way", || ours.server.stats().active == 1);
    let (sender, ended) = channel();
    let server = ours.server;
    thread::spawn(move || sender.send(server.shutdown(PATIENCE * 3)));
    ended.recv_timeout(PATIENCE).unwrap();
    let _ = stalled.read_to_end(&mut Vec::new());
}

#[test]
fn bytes_may_come_one_by_one_and_all_at_once() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    for version in VERSIONS {
        let config = scene.foreign_config(version);
        for resumed in [false, true] {
            let mut foreign = Foreign::new(&config, &ours);
            while foreign.tls.is_handshaking() {
                for byte in foreign.bytes() {
                    foreign.tcp.write_all(&[byte]).unwrap();
                }
                if foreign.tls.is_handshaking() {
                    foreign.tls.read_tls(&mut foreign.tcp).unwrap();
                    foreign.tls.process_new_packets().unwrap();
                }
            }
            // Where the client has the last word, what it has to say is right behind it, and its goodbye too.
            foreign.tls.writer().write_all(&frame(b"first")).unwrap();
            foreign.tls.writer().write_all(&frame(b"second")).unwrap();
            foreign.tls.send_close_notify();
            let bytes = foreign.bytes();
            foreign.tcp.write_all(&bytes).unwrap();
            foreign.hears(&[frame(b"first"), frame(b"second")].concat());
            assert_eq!(foreign.end(), None);
            assert_eq!(
                ours.hears(),
                (vec![b"first".to_vec(), b"second".to_vec()], Ok(())),
                "{version:?} {resumed}"
            );
        }
    }
    ours.nothing_is_left();
    assert_eq!(ours.failed(), 0);
}

#[test]
fn a_client_that_says_goodbye_at_once_ends_in_order() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    for version in VERSIONS {
        let config = scene.foreign_config(version);
        for resumed in [false, true] {
            let mut foreign = Foreign::new(&config, &ours);
            while foreign.tls.is_handshaking() {
                let bytes = foreign.bytes();
                foreign.tcp.write_all(&bytes).unwrap();
                foreign.tls.read_tls(&mut foreign.tcp).unwrap();
                foreign.tls.process_new_packets().unwrap();
            }
            foreign.tls.send_close_notify();
            let bytes = foreign.bytes();
            foreign.tcp.write_all(&bytes).unwrap();
            foreign.tcp.shutdown(Shutdown::Write).unwrap();
            assert_eq!(foreign.end(), None);
            assert_eq!(ours.hears(), (Vec::new(), Ok(())), "{version:?} {resumed}");
        }
    }
    ours.nothing_is_left();
}

#[test]
fn a_changed_byte_ends_the_session() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    for version in VERSIONS {
        let config = scene.foreign_config(version);
        let length = Foreign::secured(&config, &ours).encrypted(&frame(b"hello")).len();
        ours.hears().1.unwrap_err();
        for at in 0..length {
            // A version that is to be ignored (RFC 8446, 5.1); and more may be said to come than does: then it waits.
            if (2..5).contains(&at) {
                continue;
            }
            let mut foreign = Foreign::secured(&config, &ours);
            let whole = foreign.encrypted(&frame(b"whole"));
            let mut changed = foreign.encrypted(&frame(b"hello"));
            changed[at] ^= 0x11;
            foreign.tcp.write_all(&[whole, changed].concat()).unwrap();
            let (messages, end) = ours.hears();
            assert_eq!(messages, [b"whole"], "byte {at}");
            let error = end.unwrap_err();
            assert_eq!(error.code(), Code::BadRecord, "byte {at}: {error:?}");
            let alert = foreign.end().expect("an alert");
            assert_eq!(u16::from(u8::from(alert)), error.wire(), "byte {at}: {alert:?}");
        }
    }
    ours.nothing_is_left();
}

#[test]
fn a_stream_that_is_cut_is_no_end() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    for version in VERSIONS {
        let config = scene.foreign_config(version);
        let length = Foreign::secured(&config, &ours).encrypted(&frame(b"cut")).len();
        ours.hears().1.unwrap_err();
        for cut in 0..=length {
            let mut foreign = Foreign::secured(&config, &ours);
            let whole = foreign.encrypted(&frame(b"whole"));
            let next = foreign.encrypted(&frame(b"cut"));
            foreign.tcp.write_all(&[&whole, &next[..cut]].concat()).unwrap();
            foreign.tcp.shutdown(Shutdown::Write).unwrap();
            let (messages, end) = ours.hears();
            let expected: &[&[u8]] = if cut == length { &[b"whole", b"cut"] } else { &[b"whole"] };
            assert_eq!(messages, expected, "{cut} bytes");
            assert_eq!(end.unwrap_err().code(), Code::Truncated, "{cut} bytes");
        }
    }
    ours.nothing_is_left();
}

#[test]
fn what_comes_behind_a_goodbye_is_not_heard() {
    let scene = Scene::new();
    let ours = scene.start(|tls| tls);
    for version in VERSIONS {
        let config = scene.foreign_config(version);
        let mut foreign = Foreign::secured(&config, &ours);
        let mut bytes = foreign.encrypted(&frame(b"hello"));
        foreign.tls.send_close_notify();
        bytes.extend(foreign.bytes());
        let noise = [record(23, 40), vec![7; 40]].concat();
        bytes.extend(noise.iter().cycle().take(100_000));
        // The server may be gone before all is written.
        let _ = foreign.tcp.write_all(&bytes);
        assert_eq!(ours.hears(), (vec![b"hello".to_vec()], Ok(())));
    }
    ours.nothing_is_left();
}

#[test]
fn a_thousand_failures_leave_nothing_behind() {
    let scene = Scene::new();
    let friends = Authority::new("friends");
    let friend = friends.vouches_for(&["client"], Flaw::None);
    let ours = scene.start(|tls| tls.client_authorities(friends.pem()));
    let config = scene.foreign_config(&rustls::version::TLS13);
    let hello = Foreign::new(&config, &ours).bytes();
    eventually("the first has gone", || ours.failed() == 1);
    for n in 0..1000 {
        let mut stream = dial(ours.address());
        match n % 4 {
            0 => stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
            1 => stream.write_all(&hello[..hello.len() - 1]).unwrap(),
            2 => {
                stream.write_all(&hello).unwrap();
                stream.read_exact(&mut [0]).unwrap();
            }
            // Without a certificate.
            _ => drop(Foreign::secured(&config, &ours).end()),
        }
    }
    eventually("all are counted", || ours.failed() == 1 + 1000 + 250);
    ours.nothing_is_left();
    // The pool has room for four long messages: what a failure kept would be missing now.
    let long = vec![7; 1_000_000];
    run(async {
        let tls = scene.trusting().identity(friend.identity()).build().unwrap();
        let mut session = Connector::new().tls(tls).connect(ours.address(), Framing::new()).await.unwrap();
        session.send(&long).await.unwrap();
        assert!(session.receive().await.unwrap().unwrap().0 == long);
    });
}

fn run<F: Future>(future: F) -> F::Output {
    let limited = async { tokio::time::timeout(PATIENCE, future).await.expect("it takes too long") };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(limited)
}

/// It waits for longer than a test does: what ends by a time-out has failed.
fn connector(tls: TlsClientBuilder) -> Connector {
    Connector::new().timeout(PATIENCE * 2).tls(tls.build().unwrap())
}

#[test]
fn a_client_that_is_refused_learns_why_even_if_it_talks() {
    let scene = Scene::new();
    let friends = Authority::new("friends");
    let ours = scene.start(|tls| tls.client_authorities(friends.pem()));
    run(async {
        let connector = connector(scene.trusting());
        for _ in 0..100 {
            let mut session = connector.connect(ours.address(), Framing::new()).await.unwrap();
            let message = vec![7; 100_000];
            let error = loop {
                if let Err(error) = session.send(&message).await {
                    break error;
                }
            };
            assert_eq!(error.code(), Code::CertificateRequired);
        }
    });
    ours.nothing_is_left();
}

#[test]
fn a_server_that_speaks_something_else_is_no_server() {
    let scene = Scene::new();
    let cases: [(&[u8], Code); 7] = [
        // A Finished before anything else; and what was said by the server of TLS 1.2 that is done.
        (b"\x16\x03\x03\x00\x24\x14\x00\x00\x20the hash of what was never there", Code::ProtocolViolation),
        (b"\x17\x03\x03\x00\x01a", Code::ProtocolViolation),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Code::BadRecord),
        (b"\x16\x03\x03\xff\xffoversized", Code::BadRecord),
        (b"\x15\x03\x03\x00\x02\x02\x28", Code::HandshakeFailed),
        (b"\x16\x03\x03\x00\x40half a hello", Code::Truncated),
        (b"", Code::Truncated),
    ];
    for (bytes, code) in cases {
        let address = raw_server(move |mut stream| {
            // Without the hello read a close would be a reset.
            stream.read_exact(&mut [0; 5]).unwrap();
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = run(connector(scene.trusting()).connect(address, Framing::new())).err().unwrap();
        assert_eq!(error.error().code(), code, "{error}");
    }
    let silent = raw_server(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let impatient = connector(scene.trusting()).timeout(Duration::from_millis(100));
    let error = run(impatient.connect(silent, Framing::new())).err().unwrap();
    assert_eq!(error.error().code(), Code::ConnectionTimeout);
}

#[test]
fn a_server_that_is_cut_off_has_not_said_goodbye() {
    let scene = Scene::new();
    for version in VERSIONS {
        for goodbye in [false, true] {
            let address = scene.foreign_server(version, move |tls, tcp| {
                let mut stream = StreamOwned::new(tls, tcp);
                stream.read_exact(&mut [0; 9]).unwrap();
                stream.write_all(&frame(b"hello")).unwrap();
                if goodbye {
                    stream.conn.send_close_notify();
                }
                stream.flush().unwrap();
                stream.sock.shutdown(Shutdown::Write).unwrap();
                let _ = stream.sock.read_to_end(&mut Vec::new());
            });
            run(async {
                let connector = connector(scene.trusting());
                let mut session = connector.connect(address, Framing::new()).await.unwrap();
                session.send(b"hello").await.unwrap();
                assert_eq!(session.receive().await.unwrap().unwrap().0, b"hello");
                let end = session.receive().await.map(|message| message.is_none());
                match goodbye {
                    true => assert!(end.unwrap()),
                    false => assert_eq!(end.unwrap_err().code(), Code::Truncated),
                }
            });
        }
    }
}

#[test]
fn a_page_that_is_cut_is_no_page_unless_it_said_how_long_it_is() {
    let scene = Scene::new();
    let cases: [(&str, bool, Option<&str>); 5] = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole", false, Some("whole")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", false, None),
        ("HTTP/1.1 200 OK\r\n\r\nto the end", true, Some("to the end")),
        ("HTTP/1.1 200 OK\r\n\r\nto the e", false, None),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhal\r\n", false, None),
    ];
    for version in VERSIONS {
        for (answer, goodbye, expected) in cases {
            let address = scene.foreign_server(version, move |tls, tcp| {
                let mut stream = StreamOwned::new(tls, tcp);
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
                if goodbye {
                    stream.conn.send_close_notify();
                }
                stream.flush().unwrap();
                stream.sock.shutdown(Shutdown::Write).unwrap();
                let _ = stream.sock.read_to_end(&mut Vec::new());
            });
            run(async {
                let client = netloom::http::Client::builder().tls(scene.trusting().build().unwrap()).build();
                let response = client.get(&format!("https://{address}/")).send().await.unwrap();
                let body = response.into_body().text().await;
                assert_eq!(body.ok().as_deref(), expected, "{answer:?}");
            });
        }
    }
}
