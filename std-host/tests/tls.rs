//! TLS by both of our ends, and by what others make of it.

use std::time::Duration;

use netloom::http::{Request, Sent};
use netloom::tls::{Identity, TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder};
use netloom::{ClientSession, Code, Connector, Framing, Result, Server, ServerSession, Transport, routes};

async fn echo(session: &mut ServerSession<Framing>) -> Result<()> {
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}

fn identity(hosts: &[&str]) -> Identity {
    Identity::self_signed(hosts.iter().copied()).unwrap()
}

fn serve(tls: TlsServerBuilder) -> Server {
    let tls = tls.build().unwrap();
    Server::builder().tls("127.0.0.1:0", tls).workers(1).start(Framing::new, echo).unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(server: &Server, tls: TlsClientBuilder) -> Result<ClientSession<Framing>> {
    let connector = Connector::new().tls(tls.build().unwrap());
    Ok(connector.connect(server.addresses()[0], Framing::new()).await?)
}

async fn echoes(session: &mut ClientSession<Framing>, message: &[u8]) {
    session.send(message).await.unwrap();
    let (answer, _) = session.receive().await.unwrap().unwrap();
    assert!(answer == message, "{} bytes", message.len());
}

#[test]
fn messages_of_all_sizes_come_back() {
    let identity = identity(&["localhost", "127.0.0.1"]);
    let server = serve(TlsServer::builder(identity.clone()));
    run(async {
        let tls = TlsClient::builder().authorities(identity.certificate());
        let mut session = connect(&server, tls).await.unwrap();
        for size in [0, 1, 64, 1000, 16_000, 16_384, 16_385, 65_536, 100_000, 1_000_000] {
            echoes(&mut session, &(0..size).map(|n| n as u8).collect::<Vec<_>>()).await;
        }
        for _ in 0..1000 {
            session.send(b"many at a time").await.unwrap();
        }
        for _ in 0..1000 {
            assert_eq!(session.receive().await.unwrap().unwrap().0, b"many at a time");
        }
        session.close().await.unwrap();
    });
    assert_eq!(server.shutdown(Duration::from_secs(5)).drained, 0, "it has ended before");
}

#[test]
fn who_is_not_trusted_is_not_spoken_to() {
    let shown = identity(&["127.0.0.1"]);
    let server = serve(TlsServer::builder(shown.clone()));
    run(async {
        let other = identity(&["127.0.0.1"]);
        let refused = async |tls| connect(&server, tls).await.err().map(|error| error.code());
        let builder = TlsClient::builder;
        assert_eq!(refused(builder().authorities(other.certificate())).await, Some(Code::UnknownAuthority));
        assert_eq!(refused(builder().pinned(other.pin().unwrap())).await, Some(Code::WrongPin));
        let trusting = || builder().authorities(shown.certificate());
        assert_eq!(refused(trusting().pin(other.pin().unwrap())).await, Some(Code::WrongPin));
        assert_eq!(refused(trusting().server_name("example.com")).await, Some(Code::WrongName));
        assert_eq!(
            refused(builder().pinned(shown.pin().unwrap()).server_name("a.b")).await,
            Some(Code::WrongName)
        );
        assert_eq!(refused(builder().pinned(shown.pin().unwrap())).await, None);
        assert_eq!(refused(trusting().pin(shown.pin().unwrap())).await, None);
        assert_eq!(refused(builder().dangerous_trust_anybody()).await, None);
        // A pin holds even so.
        let anybody = || builder().dangerous_trust_anybody();
        assert_eq!(refused(anybody().pin(shown.pin().unwrap())).await, None);
        assert_eq!(refused(anybody().pin(other.pin().unwrap())).await, Some(Code::WrongPin));
        // Of several authorities each counts, whatever it is written in.
        let pem = rcgen::generate_simple_self_signed(["a.b".to_owned()]).unwrap().cert.pem();
        let several = builder().authorities(other.certificate()).authorities(pem);
        assert_eq!(refused(several.clone()).await, Some(Code::UnknownAuthority));
        assert_eq!(refused(several.authorities(shown.certificate())).await, None);
    });
    assert!(server.stats().handshakes_failed >= 5, "{:?}", server.stats());
}

#[test]
fn who_speaks_no_tls_is_told_so_by_an_alert() {
    use std::io::{Read, Write};

    let server = serve(TlsServer::builder(identity(&["127.0.0.1"])));
    let mut stream = std::net::TcpStream::connect(server.addresses()[0]).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert_eq!(alert[..6], [21, 3, 3, 0, 2, 2], "a fatal alert");
    while server.stats().handshakes_failed == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn clients_that_must_show_who_they_are_are_seen_by_the_application() {
    async fn tell(session: &mut ServerSession<Framing>) -> Result<()> {
        let shown = session.transport().secured().and_then(|secured| secured.certificate.map(<[u8]>::to_vec));
        session.send(&shown.unwrap_or_default()).await
    }
    let (shown, client, stranger) = (identity(&["127.0.0.1"]), identity(&["client"]), identity(&["client"]));
    let start = |tls: TlsServerBuilder| {
        // Another beside it, which changes nothing.
        let other = identity(&["other"]);
        let tls = tls.client_authorities(client.certificate()).client_authorities(other.certificate());
        let tls = tls.build().unwrap();
        Server::builder().tls("127.0.0.1:0", tls).workers(1).start(Framing::new, tell).unwrap()
    };
    let (strict, lenient) = (
        start(TlsServer::builder(shown.clone())),
        start(TlsServer::builder(shown.clone()).clients_may_be_unknown()),
    );
    run(async {
        let trusting = || TlsClient::builder().authorities(shown.certificate());
        let told = async |server, tls| -> Result<Vec<u8>> {
            let mut session = connect(server, tls).await?;
            Ok(session.receive().await?.map(|(message, _)| message.to_vec()).unwrap_or_default())
        };
        for server in [&strict, &lenient] {
            assert_eq!(
                told(server, trusting().identity(client.clone())).await.unwrap(),
                client.certificate()
            );
            let error = told(server, trusting().identity(stranger.clone())).await.unwrap_err();
            assert_eq!(error.code(), Code::CertificateRefused);
        }
        assert_eq!(told(&strict, trusting()).await.unwrap_err().code(), Code::CertificateRequired);
        assert_eq!(told(&lenient, trusting()).await.unwrap(), b"");
    });
}

#[test]
fn a_client_is_shown_the_certificate_for_the_host_it_asks_for() {
    async fn tell(session: &mut ServerSession<Framing>) -> Result<()> {
        let name = session.transport().secured().and_then(|secured| secured.server_name.map(str::to_owned));
        session.send(name.unwrap_or_default().as_bytes()).await
    }
    let hosts = ["one.example", "two.example"];
    let identities = hosts.map(|host| identity(&[host]));
    let tls = TlsServer::builder(identities[0].clone()).and(identities[1].clone()).build().unwrap();
    let server = Server::builder().tls("127.0.0.1:0", tls).workers(1).start(Framing::new, tell).unwrap();
    run(async {
        for (host, identity) in hosts.iter().zip(&identities) {
            let tls = TlsClient::builder().authorities(identity.certificate()).server_name(host);
            let mut session = connect(&server, tls).await.unwrap();
            assert_eq!(session.receive().await.unwrap().unwrap().0, host.as_bytes());
        }
    });
}

#[test]
fn the_second_connection_goes_on_from_the_first() {
    let identity = identity(&["127.0.0.1"]);
    let server = serve(TlsServer::builder(identity.clone()));
    run(async {
        let connector =
            Connector::new().tls(TlsClient::builder().authorities(identity.certificate()).build().unwrap());
        for resumed in [false, true, true] {
            let mut session = connector.connect(server.addresses()[0], Framing::new()).await.unwrap();
            echoes(&mut session, b"hello").await;
            assert_eq!(session.transport().tls().unwrap().is_resumed(), resumed);
            session.close().await.unwrap();
        }
    });
}

#[test]
fn a_server_that_is_reloaded_shows_the_new_certificate_and_keeps_the_old_one_if_it_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
    let made = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let write = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    };
    let (old, new) = (made(), made());
    write(&old);
    let tls = TlsServer::new(Identity::from_files(&certificate, &key).unwrap()).unwrap();
    let server =
        Server::builder().tls("127.0.0.1:0", tls.clone()).workers(1).start(Framing::new, echo).unwrap();
    run(async {
        let trusting =
            |made: &rcgen::CertifiedKey<rcgen::KeyPair>| TlsClient::builder().authorities(made.cert.pem());
        let mut session = connect(&server, trusting(&old)).await.unwrap();
        write(&new);
        tls.reload().unwrap();
        echoes(&mut session, b"it goes on").await;
        assert!(connect(&server, trusting(&old)).await.is_err());
        connect(&server, trusting(&new)).await.unwrap();
        std::fs::write(&key, "no key").unwrap();
        let error = tls.reload().unwrap_err();
        assert_eq!(error.file(), Some(key.as_path()));
        connect(&server, trusting(&new)).await.unwrap();
    });
}

#[test]
fn pages_are_served_and_fetched_by_https() {
    async fn page(mut request: Request<'_>) -> Result<Sent> {
        let protocol = request.secured().and_then(|secured| secured.protocol.map(<[u8]>::to_vec));
        request.reply().bytes("text/plain", &protocol.unwrap_or_default()).await
    }
    let identity = identity(&["127.0.0.1"]);
    let tls = TlsServer::new(identity.clone()).unwrap();
    let server =
        Server::builder().tls("127.0.0.1:0", tls).workers(1).http(routes! { GET "/" => page }).unwrap();
    run(async {
        let tls = TlsClient::builder().authorities(identity.certificate()).build().unwrap();
        let client = netloom::http::Client::builder().tls(tls).build();
        for _ in 0..3 {
            let response = client.get(&format!("https://{}/", server.addresses()[0])).send().await.unwrap();
            assert_eq!(response.into_body().text().await.unwrap(), "http/1.1");
        }
        assert_eq!(server.stats().accepted, 1);
        let error =
            netloom::http::Client::new().get(&format!("https://{}/", server.addresses()[0])).send().await;
        assert_eq!(error.unwrap_err().error().code(), Code::UnknownAuthority);
    });
}
