//! Our TLS and other people's: openssl's, curl's, Python's, in both roles.
//!
//! What is not installed is passed over by name, on stderr.

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/program.rs"]
mod program;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

use certificates::{Authority, Flaw, Folder, Made};
use common::{PATIENCE, echo_server, eventually};
use netloom::http::{Request, Sent};
use netloom::tls::{Identity, Revoked, TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder, pin_of};
use netloom::{
    ClientSession, Code, Codec, Connector, Error, Framing, Lines, Result, Server, ServerSession, Transport,
    routes, websocket,
};
use program::Program;

const VERSIONS: [(&str, &str); 2] = [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")];

/// Answers questions about the connection, and sends other lines back.
async fn answer(session: &mut ServerSession<Lines>) -> Result<()> {
    while let Some((line, _)) = session.receive().await? {
        let line = line.to_owned();
        let secured = session.transport().secured().unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"none")).into_owned();
        let said = match line.as_str() {
            "who" => {
                secured.certificate.map_or("none".into(), |known| format!("{:?}", pin_of(known).unwrap()))
            }
            "name" => text(secured.server_name.map(str::as_bytes)),
            "protocol" => text(secured.protocol),
            "go" => return Ok(()),
            _ => line,
        };
        session.send(&said).await?;
    }
    Ok(())
}

/// A server, and how each of its sessions ended.
struct Ours {
    server: Server,
    ends: Receiver<Result<()>>,
}

impl Ours {
    fn start(tls: TlsServerBuilder) -> Self {
        let (sender, ends): (Sender<Result<()>>, _) = channel();
        let app = async move |session: &mut ServerSession<Lines>| {
            let end = answer(session).await;
            sender.send(end).unwrap();
            end
        };
        let tls = tls.build().unwrap();
        let server = Server::builder().tls("127.0.0.1:0", tls).workers(1).start(Lines::new, app).unwrap();
        Self { server, ends }
    }

    fn address(&self) -> String {
        self.server.addresses()[0].to_string()
    }

    #[track_caller]
    fn session_ends(&self) -> Result<()> {
        self.ends.recv_timeout(PATIENCE).unwrap()
    }
}

/// An authority, a server's certificate, and a folder to show them in.
struct Scene {
    authority: Authority,
    shown: Made,
    folder: Folder,
    authority_file: String,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new("netloom tests");
        let shown = authority.vouches_for(&["localhost", "127.0.0.1"], Flaw::None);
        let folder = Folder::new();
        let authority_file = folder.file("authority.pem", authority.pem());
        Self { authority, shown, folder, authority_file }
    }

    fn server(&self) -> TlsServerBuilder {
        TlsServer::builder(self.shown.identity())
    }

    /// `openssl s_client`, which checks all that it can.
    fn s_client(&self, ours: &Ours, args: &[&str]) -> Option<Program> {
        let address = ours.address();
        let checks =
            ["s_client", "-connect", &address, "-CAfile", &self.authority_file, "-verify_return_error"];
        Program::start("openssl", &[&checks, args].concat())
    }

    /// `openssl s_server`, which sends lines back reversed, and its address.
    fn s_server(&self, shown: &Made, args: &[&str]) -> Option<(Program, SocketAddr)> {
        let files = self.folder.shown("server", shown);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let mut program = Program::start(
            "openssl",
            &[&["s_server", "-accept", "127.0.0.1:0", "-rev"], &files[..], args].concat(),
        )?;
        let line = program.shows("ACCEPT");
        let address = line.trim_start_matches("ACCEPT ").trim().parse().unwrap();
        Some((program, address))
    }

    fn trusting(&self) -> TlsClientBuilder {
        TlsClient::builder().authorities(self.authority.pem())
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let limited = async { tokio::time::timeout(PATIENCE, future).await.expect("it takes too long") };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(limited)
}

/// It waits for longer than a test does: what ends by a time-out has failed.
fn connector(tls: TlsClientBuilder) -> Connector {
    Connector::new().timeout(PATIENCE * 2).tls(tls.build().unwrap())
}

async fn connect<C: Codec>(address: SocketAddr, tls: TlsClientBuilder, codec: C) -> Result<ClientSession<C>> {
    Ok(connector(tls).connect(address, codec).await?)
}

/// What it comes to: connecting, and hearing back what was said.
async fn attempt(address: SocketAddr, tls: TlsClientBuilder) -> Result<()> {
    let mut session = connect(address, tls, Lines::new()).await?;
    session.send("hello").await?;
    session.receive().await?.map(|_| ()).ok_or(Code::ConnectionClosed.into())
}

#[test]
fn openssl_speaks_with_our_server_and_comes_back() {
    let scene = Scene::new();
    let ours = Ours::start(scene.server());
    for (version, name) in VERSIONS {
        let ticket = scene.folder.path(name);
        for (file, how) in [("-sess_out", "New"), ("-sess_in", "Reused")] {
            let args = [version, "-verify_hostname", "localhost", file, &ticket];
            let Some(mut client) = scene.s_client(&ours, &args) else { return };
            client.says("hello");
            client.shows("hello");
            let said = client.ends();
            assert!(said.contains(&format!("{how}, {name}")), "{said}");
            assert!(said.contains("Verification: OK"), "{said}");
            ours.session_ends().expect("an end in order");
        }
    }
    assert_eq!(ours.server.stats().handshakes_failed, 0);
}

#[test]
fn our_close_notify_is_seen_and_so_is_theirs() {
    let scene = Scene::new();
    let ours = Ours::start(scene.server());
    for (version, _) in VERSIONS {
        let Some(mut client) = scene.s_client(&ours, &[version, "-msg"]) else { return };
        client.says("go");
        while !client.shows("warning close_notify").starts_with("<<<") {}
        let said = client.ends();
        assert!(said.contains("\nclosed") && !said.contains("unexpected eof"), "{said}");
        ours.session_ends().unwrap();
    }
}

#[test]
fn keys_are_changed_in_the_middle() {
    let scene = Scene::new();
    let ours = Ours::start(scene.server());
    let Some(mut client) = scene.s_client(&ours, &["-tls1_3", "-msg"]) else { return };
    for (line, update) in [("before", "K"), ("between", "k"), ("after", "K"), ("again", "K")] {
        client.says(line);
        client.shows(line);
        client.says(update);
        client.shows("KEYUPDATE");
    }
    client.says("at last");
    client.shows("at last");
    client.ends();
    ours.session_ends().unwrap();
}

#[test]
fn renegotiation_is_refused() {
    let scene = Scene::new();
    let ours = Ours::start(scene.server());
    let Some(mut client) = scene.s_client(&ours, &["-tls1_2"]) else { return };
    client.says("hello");
    client.shows("hello");
    client.says("R");
    client.shows("RENEGOTIATING");
    let said = client.ends();
    assert!(said.contains("no renegotiation"), "{said}");
    let _ = ours.session_ends();
    eventually("no session is left", || ours.server.stats().active == 0);
}

#[test]
fn the_protocol_and_the_certificate_are_those_that_are_asked_for() {
    let scene = Scene::new();
    let hosts = ["one.example", "two.example"];
    let identities = hosts.map(|host| scene.authority.vouches_for(&[host], Flaw::None).identity());
    let tls =
        TlsServer::builder(identities[0].clone()).and(identities[1].clone()).protocols(["chat/2", "chat/1"]);
    let ours = Ours::start(tls);
    for (version, _) in VERSIONS {
        for host in hosts {
            let args = [version, "-servername", host, "-verify_hostname", host, "-alpn", "chat/1,other"];
            let Some(mut client) = scene.s_client(&ours, &args) else { return };
            client.says("name");
            client.shows(host);
            client.says("protocol");
            client.shows("chat/1");
            let said = client.ends();
            assert!(said.contains("ALPN protocol: chat/1") && said.contains("Verification: OK"), "{said}");
        }
        let other = ["-servername", "three.example", "-verify_hostname", "one.example", version];
        let said = scene.s_client(&ours, &other).unwrap().ends();
        assert!(said.contains("Verification: OK"), "others are shown the first: {said}");
        let failed = ours.server.stats().handshakes_failed;
        let said = scene.s_client(&ours, &[version, "-alpn", "h2"]).unwrap().ends();
        assert!(said.contains("no application protocol"), "{said}");
        eventually("it is counted", || ours.server.stats().handshakes_failed > failed);
    }
}

#[test]
fn openssl_is_told_what_is_wrong_with_its_certificate() {
    let scene = Scene::new();
    let (friends, strangers) = (Authority::new("friends"), Authority::new("strangers"));
    let foe = friends.vouches_for(&["client"], Flaw::None);
    let list = Revoked::new(friends.revokes(&[&foe]).der()).unwrap();
    let ours = Ours::start(scene.server().client_authorities(friends.pem()).revoked(list));
    let friend = friends.vouches_for(&["client"], Flaw::ForClients);
    for (version, _) in VERSIONS {
        let files = scene.folder.shown("client", &friend);
        let args: Vec<&str> = files.iter().map(String::as_str).chain([version]).collect();
        let Some(mut client) = scene.s_client(&ours, &args) else { return };
        client.says("who");
        client.shows(&format!("{:?}", friend.pin()));
        client.ends();
        ours.session_ends().unwrap();

        let wrong = [
            (Some(strangers.vouches_for(&["client"], Flaw::None)), "alert unknown ca"),
            (Some(friends.vouches_for(&["client"], Flaw::Expired)), "alert certificate expired"),
            (Some(friends.vouches_for(&["client"], Flaw::NotYetValid)), "alert certificate expired"),
            (Some(friends.vouches_for(&["client"], Flaw::ForServers)), "alert unsupported certificate"),
            (None, "alert certificate required"),
        ];
        let foe = scene.folder.shown("foe", &foe);
        let args: Vec<&str> = foe.iter().map(String::as_str).chain([version]).collect();
        let failed = ours.server.stats().handshakes_failed;
        scene.s_client(&ours, &args).unwrap().shows("alert certificate revoked");
        eventually("it is counted", || ours.server.stats().handshakes_failed == failed + 1);
        for (n, (shown, alert)) in wrong.into_iter().enumerate() {
            let failed = ours.server.stats().handshakes_failed;
            let files = shown.map(|made| scene.folder.shown(&format!("wrong{n}"), &made)).unwrap_or_default();
            let args: Vec<&str> = files.iter().map(String::as_str).chain([version]).collect();
            let mut client = scene.s_client(&ours, &args).unwrap();
            // Over 1.3 a client believes in the connection until it is told.
            let line = client.shows("alert");
            let alert = match (version, alert) {
                ("-tls1_2", "alert certificate required") => "alert",
                _ => alert,
            };
            assert!(line.contains(alert), "{version}: {line} instead of {alert}");
            eventually("it is counted", || ours.server.stats().handshakes_failed == failed + 1);
        }
    }
    assert!(ours.ends.try_recv().is_err(), "none of them became a session");
}

#[test]
fn curl_fetches_a_page() {
    async fn page(request: Request<'_>) -> Result<Sent> {
        request.reply().text("hello by TLS").await
    }
    let scene = Scene::new();
    let tls = scene.server().build().unwrap();
    let server =
        Server::builder().tls("127.0.0.1:0", tls).workers(1).http(routes! { GET "/" => page }).unwrap();
    let url = format!("https://localhost:{}/", server.addresses()[0].port());
    let curl = |args: &[&str]| {
        let about = "\n%{http_version} %{ssl_verify_result} %{exitcode} %{num_connects}\n";
        let all = [&["-sS", "-4", "-w", about, &url], args].concat();
        Some(Program::start("curl", &all)?.ends())
    };
    let pin = format!("sha256//{}", base64(&scene.shown.pin()));
    let other = format!("sha256//{}", base64(&[7; 32]));
    let trust = ["--cacert", &scene.authority_file];
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let Some(said) = curl(&[&trust[..], version].concat()) else { return };
        assert_eq!(said, "hello by TLS\n1.1 0 0 1\n");
        // HTTP/2 is offered by the client, and not by us.
        let said = curl(&[&trust[..], version, &["--http2", &url]].concat()).unwrap();
        assert_eq!(said, "hello by TLS\n1.1 0 0 1\nhello by TLS\n1.1 0 0 0\n", "the connection is kept");
        let said = curl(&[version, &["-k", "--pinnedpubkey", &pin]].concat()).unwrap();
        assert!(said.starts_with("hello by TLS\n1.1 "), "{said}");
        let said = curl(&[version, &["-k", "--pinnedpubkey", &other]].concat()).unwrap();
        assert!(said.contains(" 90 "), "{said}");
    }
    let failed = server.stats().handshakes_failed;
    let said = curl(&[]).unwrap();
    assert!(said.contains(" 60 "), "{said}");
    eventually("it is counted", || server.stats().handshakes_failed == failed + 1);
    // Plain HTTP to the secure port gets no page.
    let plain = Program::start("curl", &["-sS", &url.replace("https", "http")]).unwrap().ends();
    assert!(!plain.contains("hello"), "{plain}");
}

/// RFC 4648, 4, of bytes that are no multiple of three: one `=`.
fn base64(bytes: &[u8; 32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for shift in [18, 12, 6, 0].iter().take(chunk.len() + 1) {
            text.push(char::from(LETTERS[(word >> shift & 63) as usize]));
        }
    }
    text + "="
}

/// Says frames of many sizes, and checks what comes back.
const PYTHON_CLIENT: &str = r#"
import socket, ssl, struct, sys
port, authority, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=authority)
context.maximum_version = context.minimum_version = getattr(ssl.TLSVersion, version)
with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
    secure = context.wrap_socket(plain, server_hostname="localhost")
    reader = secure.makefile("rb")
    for size in [0, 1, 100, 16384, 16385, 70000, 500000]:
        body = bytes(n % 251 for n in range(size))
        secure.sendall(struct.pack(">I", size) + body)
        length, = struct.unpack(">I", reader.read(4))
        assert length == size and reader.read(length) == body, size
    for n in range(200):
        secure.sendall(struct.pack(">I", 5) + b"many!")
    for n in range(200):
        assert reader.read(9) == struct.pack(">I", 5) + b"many!", n
    version = secure.version()
    secure.unwrap()  # fails without a close_notify in answer
    print("all well by", version)
"#;

#[test]
fn python_chats_by_frames() {
    let scene = Scene::new();
    let tls = scene.server().build().unwrap();
    let server = Server::builder()
        .tls("127.0.0.1:0", tls)
        .workers(1)
        .start(Framing::new, echo_server::<Framing>)
        .unwrap();
    let port = server.addresses()[0].port().to_string();
    for (version, name) in [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")] {
        let args = ["-c", PYTHON_CLIENT, &port, &scene.authority_file, version];
        let Some(client) = Program::start("python3", &args) else { return };
        assert_eq!(client.ends(), format!("all well by {name}\n"));
    }
    eventually("both have ended", || server.stats().active == 0);
}

#[test]
fn our_client_speaks_with_openssl_and_comes_back() {
    let scene = Scene::new();
    for (version, _) in VERSIONS {
        let Some((_program, address)) = scene.s_server(&scene.shown, &[version, "-alpn", "one,two"]) else {
            return;
        };
        run(async {
            let connector = connector(scene.trusting().protocols(["two", "three"]));
            for resumed in [false, true, true] {
                let mut session = connector.connect(address, Lines::new()).await.unwrap();
                session.send("hello").await.unwrap();
                assert_eq!(session.receive().await.unwrap().unwrap().0, "olleh");
                let secured = session.transport().secured().unwrap();
                assert_eq!(secured.protocol, Some(&b"two"[..]));
                assert_eq!(secured.certificate, Some(scene.shown.identity().certificate()));
                assert_eq!(session.transport().tls().unwrap().is_resumed(), resumed, "{version}");
                // It says goodbye by close_notify when it is told to.
                session.send("CLOSE").await.unwrap();
                assert!(session.receive().await.unwrap().is_none());
                session.close().await.unwrap();
            }
        });
    }
}

#[test]
fn our_client_shows_openssl_who_it_is() {
    let scene = Scene::new();
    let (friends, strangers) = (Authority::new("friends"), Authority::new("strangers"));
    let file = scene.folder.file("friends.pem", friends.pem());
    for (version, _) in VERSIONS {
        let args = [version, "-Verify", "2", "-verify_return_error", "-CAfile", &file];
        let Some((mut program, address)) = scene.s_server(&scene.shown, &args) else { return };
        let friend = friends.vouches_for(&["client"], Flaw::None).identity();
        let stranger = strangers.vouches_for(&["client"], Flaw::None).identity();
        run(async {
            attempt(address, scene.trusting().identity(friend)).await.unwrap();
            let error = attempt(address, scene.trusting().identity(stranger)).await.unwrap_err();
            assert_eq!((error.code(), error.wire()), (Code::CertificateRefused, 48), "{version}");
            let error = attempt(address, scene.trusting()).await.unwrap_err();
            let expected = match version {
                "-tls1_3" => (Code::CertificateRequired, 116),
                // Before there was an alert of its own.
                _ => (Code::HandshakeFailed, 40),
            };
            assert_eq!((error.code(), error.wire()), expected);
        });
        program.shows("peer did not return a certificate");
    }
}

/// Serves as many connections as it is told to: sends back what comes, or says why not.
const PYTHON_SERVER: &str = r#"
import socket, ssl, sys
certificate, key, version, connections = sys.argv[1:5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.maximum_version = context.minimum_version = getattr(ssl.TLSVersion, version)
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
for n in range(int(connections)):
    plain, _ = listener.accept()
    plain.settimeout(20)
    try:
        with context.wrap_socket(plain, server_side=True) as secure:
            while data := secure.recv(100000):
                secure.sendall(data)
            secure.unwrap()
        print("in order", flush=True)
    except (ssl.SSLError, OSError) as error:
        print(getattr(error, "reason", None) or repr(error), flush=True)
"#;

impl Scene {
    fn python(&self, shown: &Made, version: &str, connections: usize) -> Option<(Program, SocketAddr)> {
        let certificate = self.folder.file("python.pem", &shown.certificate);
        let key = self.folder.file("python.key", &shown.key);
        let args = ["-c", PYTHON_SERVER, &certificate, &key, version, &connections.to_string()];
        let mut program = Program::start("python3", &args)?;
        let port = program.shows("port ");
        let address = format!("127.0.0.1:{}", port.trim_start_matches("port ").trim());
        Some((program, address.parse().unwrap()))
    }
}

#[test]
fn our_client_chats_with_python() {
    let scene = Scene::new();
    for version in ["TLSv1_2", "TLSv1_3"] {
        let Some((mut program, address)) = scene.python(&scene.shown, version, 1) else { return };
        run(async {
            let mut session = connect(address, scene.trusting(), Framing::new()).await.unwrap();
            for size in [0, 1, 100, 16_384, 16_385, 70_000, 500_000] {
                let message: Vec<u8> = (0..size).map(|n| n as u8).collect();
                session.send(&message).await.unwrap();
                assert!(session.receive().await.unwrap().unwrap().0 == message, "{size} bytes");
            }
            session.close().await.unwrap();
        });
        assert_eq!(program.shows("in order"), "in order");
    }
}

#[test]
fn a_server_that_is_not_who_it_should_be_is_told_so() {
    let scene = Scene::new();
    let hosts = ["localhost", "127.0.0.1"];
    let made = |flaw| scene.authority.vouches_for(&hosts, flaw);
    let elsewhere = scene.authority.vouches_for(&["elsewhere.example", "10.1.2.3"], Flaw::None);
    let stranger = Authority::new("nobody").vouches_for(&hosts, Flaw::None);
    let cases = [
        (elsewhere, Code::WrongName, 42, "BAD_CERTIFICATE"),
        (made(Flaw::Expired), Code::CertificateExpired, 45, "CERTIFICATE_EXPIRED"),
        (made(Flaw::NotYetValid), Code::CertificateNotYetValid, 45, "CERTIFICATE_EXPIRED"),
        (made(Flaw::ForClients), Code::WrongUsage, 43, "UNSUPPORTED_CERTIFICATE"),
        (stranger, Code::UnknownAuthority, 48, "UNKNOWN_CA"),
        (made(Flaw::None), Code::WrongPin, 46, "CERTIFICATE_UNKNOWN"),
        (made(Flaw::None), Code::CertificateRevoked, 44, "CERTIFICATE_REVOKED"),
    ];
    for version in ["TLSv1_2", "TLSv1_3"] {
        for (shown, code, alert, told) in &cases {
            let Some((mut program, address)) = scene.python(shown, version, 1) else { return };
            let tls = match code {
                Code::WrongPin => scene.trusting().pin([7; 32]),
                Code::CertificateRevoked => {
                    let list = scene.authority.revokes(&[shown]).pem().unwrap();
                    scene.trusting().revoked(Revoked::new(list).unwrap())
                }
                _ => scene.trusting(),
            };
            let error: Error = run(attempt(address, tls)).unwrap_err();
            assert_eq!((error.code(), error.wire()), (*code, *alert), "{version}");
            program.shows(told);
        }
    }
}

#[test]
fn nothing_is_taken_for_a_certificate_but_what_a_trusted_authority_signed() {
    // Somebody else by the name of the authority: the signature tells them apart.
    let scene = Scene::new();
    let twin = Authority::new("netloom tests").vouches_for(&["localhost", "127.0.0.1"], Flaw::None);
    let Some((_program, address)) = scene.s_server(&twin, &[]) else { return };
    let error = run(attempt(address, scene.trusting())).unwrap_err();
    assert!(matches!(error.code(), Code::BadCertificate | Code::UnknownAuthority), "{error}");
    // And a certificate that is an authority itself does not vouch for others by that.
    let own = Identity::new(&scene.shown.certificate, &scene.shown.key).unwrap();
    let error = run(attempt(address, TlsClient::builder().authorities(own.certificate()))).unwrap_err();
    assert_eq!(error.code(), Code::UnknownAuthority);
}

/// Serves one connection: sends messages back, and says how it was closed.
const PYTHON_WSS_SERVER: &str = r#"
import asyncio, ssl, sys
from websockets.asyncio.server import serve
certificate, key = sys.argv[1:3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.set_alpn_protocols(["http/1.1"])
async def main():
    done = asyncio.Event()
    async def echo(socket):
        async for message in socket:
            await socket.send(message)
        protocol = socket.transport.get_extra_info("ssl_object").selected_alpn_protocol()
        print("closed with", socket.close_code, "over", protocol, flush=True)
        done.set()
    async with serve(echo, "127.0.0.1", 0, ssl=context, max_size=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await done.wait()
asyncio.run(main())
"#;

const PYTHON_WSS_CLIENT: &str = r#"
import asyncio, ssl, sys
from websockets.asyncio.client import connect
port, authority = sys.argv[1:3]
async def main():
    context = ssl.create_default_context(cafile=authority)
    async with connect(f"wss://localhost:{port}/chat", ssl=context, max_size=None, proxy=None) as socket:
        for length in [0, 125, 126, 65536, 300000]:
            for message in ["x" * length, b"y" * length]:
                await socket.send(message)
                assert await socket.recv() == message, length
    print("all well, closed with", socket.close_code, flush=True)
asyncio.run(main())
"#;

async fn chat(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}

fn chatting(scene: &Scene) -> Server {
    let tls = scene.server().build().unwrap();
    Server::builder().tls("127.0.0.1:0", tls).workers(1).http(routes! { GET "/chat" => chat }).unwrap()
}

/// Says messages of many lengths to who sends them back.
async fn talk(connector: &websocket::Connector, url: &str) {
    let mut socket = connector.connect(url).await.unwrap();
    for length in [0, 125, 126, 65_536, 300_000] {
        let (text, bytes) = ("x".repeat(length), vec![7; length]);
        socket.peer().send(&*text).await.unwrap();
        assert!(socket.receive().await.unwrap().unwrap().0 == websocket::Message::Text(&text), "{length}");
        socket.peer().send(&*bytes).await.unwrap();
        assert!(socket.receive().await.unwrap().unwrap().0 == websocket::Message::Binary(&bytes), "{length}");
    }
    socket.close(1000, "").await.unwrap();
}

#[test]
fn websockets_chat_by_wss() {
    let scene = Scene::new();
    let server = chatting(&scene);
    let url = format!("wss://localhost:{}/chat", server.addresses()[0].port());
    let connector = |tls: TlsClientBuilder| websocket::Connector::new().tls(tls.build().unwrap());
    run(async {
        talk(&connector(scene.trusting()), &url).await;
        let strangers = TlsClient::builder().authorities(Authority::new("strangers").pem());
        let error = connector(strangers).connect(&url).await.err().unwrap();
        assert_eq!(error.error().code(), Code::UnknownAuthority);
        let wrong =
            connector(scene.trusting().server_name("elsewhere.example")).connect(&url).await.err().unwrap();
        assert_eq!(wrong.error().code(), Code::WrongName);
        // Plain words to a secure port are no handshake.
        let plain = websocket::connect(&url.replace("wss", "ws")).await.err().unwrap();
        assert_eq!(plain.status(), None, "{plain}");
    });
    eventually("all have ended", || server.stats().active == 0);
}

#[test]
fn python_chats_with_our_server_by_wss() {
    let scene = Scene::new();
    let server = chatting(&scene);
    let port = server.addresses()[0].port().to_string();
    let Some(client) = Program::websockets(PYTHON_WSS_CLIENT, &[&port, &scene.authority_file]) else {
        return;
    };
    assert_eq!(client.ends(), "all well, closed with 1000\n");
    eventually("it has ended", || server.stats().active == 0);
}

#[test]
fn our_client_chats_with_python_by_wss() {
    let scene = Scene::new();
    let certificate = scene.folder.file("python.pem", &scene.shown.certificate);
    let key = scene.folder.file("python.key", &scene.shown.key);
    let Some(mut program) = Program::websockets(PYTHON_WSS_SERVER, &[&certificate, &key]) else { return };
    let port = program.shows("port ");
    let url = format!("wss://localhost:{}/", port.trim_start_matches("port ").trim());
    run(talk(&websocket::Connector::new().tls(scene.trusting().build().unwrap()), &url));
    assert_eq!(program.shows("closed with"), "closed with 1000 over http/1.1");
}
