//! Certificates that were withdrawn, and revocation lists that do not say so.

#[path = "common/certificates.rs"]
mod certificates;
mod common;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use certificates::{Authority, Flaw, Folder, Made};
use common::{PATIENCE, echo_server, eventually};
use netloom::tls::{Revoked, TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder};
use netloom::{Code, Connector, Error, Lines, Result, Server};

fn start(tls: TlsServer) -> (Server, SocketAddr) {
    let builder = Server::builder().tls("127.0.0.1:0", tls).workers(1);
    let server = builder.start(Lines::new, echo_server::<Lines>).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

/// Whether an echo comes back, and whether the session was resumed.
async fn echo(connector: &Connector, address: SocketAddr) -> Result<bool> {
    let asking = async {
        let mut session = connector.connect(address, Lines::new()).await?;
        session.send("hello").await?;
        session.receive().await?.ok_or(Code::ConnectionClosed)?;
        let resumed = session.transport().tls().unwrap().is_resumed();
        session.close().await?;
        Ok(resumed)
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it takes too long")
}

fn connector(tls: TlsClientBuilder) -> Connector {
    Connector::new().timeout(PATIENCE * 2).tls(tls.build().unwrap())
}

fn refusal(result: Result<bool>) -> (Code, u16) {
    let error: Error = result.unwrap_err();
    (error.code(), error.wire())
}

struct Scene {
    authority: Authority,
    shown: Made,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new("netloom tests");
        let shown = authority.vouches_for(&["127.0.0.1"], Flaw::None);
        Self { authority, shown }
    }

    fn trusting(&self) -> TlsClientBuilder {
        TlsClient::builder().authorities(self.authority.pem())
    }

    fn server(&self) -> TlsServerBuilder {
        TlsServer::builder(self.shown.identity())
    }
}

#[tokio::test]
async fn a_server_is_refused_if_its_certificate_is_on_the_list_or_on_none() {
    let scene = Scene::new();
    let (_server, address) = start(scene.server().build().unwrap());
    let other = scene.authority.vouches_for(&["other.example"], Flaw::None);
    let by = |list: &dyn AsRef<[u8]>| connector(scene.trusting().revoked(Revoked::new(list).unwrap()));

    let (good, bad) = (scene.authority.revokes(&[&other]), scene.authority.revokes(&[&other, &scene.shown]));
    assert_eq!(echo(&by(good.der()), address).await, Ok(false));
    assert_eq!(echo(&by(&good.pem().unwrap()), address).await, Ok(false));
    let revoked = (Code::CertificateRevoked, 44);
    assert_eq!(refusal(echo(&by(bad.der()), address).await), revoked);
    assert_eq!(refusal(echo(&by(&bad.pem().unwrap()), address).await), revoked);

    // Of whom nothing is known, nobody vouches for: another's list, one that is signed by another of the same name, and one
    // that is out of date.
    let unknown = (Code::UnknownAuthority, 48);
    let stranger = Authority::new("somebody else");
    assert_eq!(refusal(echo(&by(stranger.revokes(&[]).der()), address).await), unknown);
    let late = scene.authority.revokes_until(&[&other], SystemTime::now() - Duration::from_secs(3600));
    assert_eq!(refusal(echo(&by(late.der()), address).await), unknown);
    let twin = Authority::new("netloom tests").revokes(&[]);
    assert!(echo(&by(twin.der()), address).await.is_err());
    // Several lists, in one file or each for itself, are all asked.
    let both = stranger.revokes(&[]).pem().unwrap() + &good.pem().unwrap();
    assert_eq!(echo(&by(&both), address).await, Ok(false));
    let each = scene.trusting().revoked(Revoked::new(stranger.revokes(&[]).der()).unwrap());
    let each = each.revoked(Revoked::new(bad.der()).unwrap());
    assert_eq!(refusal(echo(&connector(each), address).await), revoked);
}

#[tokio::test]
async fn a_client_whose_certificate_is_revoked_does_not_come_back_by_its_ticket_either() {
    let scene = Scene::new();
    let (friends, folder) = (Authority::new("friends"), Folder::new());
    let friend = friends.vouches_for(&["client"], Flaw::ForClients);
    let foe = friends.vouches_for(&["client"], Flaw::ForClients);
    let file = folder.file("friends.crl", friends.revokes(&[&foe]).pem().unwrap());
    let tls = scene
        .server()
        .client_authorities(friends.pem())
        .revoked(Revoked::from_file(&file).unwrap())
        .build()
        .unwrap();
    let (server, address) = start(tls.clone());
    let as_foe = connector(scene.trusting().identity(foe.identity()));
    let as_friend = connector(scene.trusting().identity(friend.identity()));
    assert_eq!(refusal(echo(&as_foe, address).await), (Code::CertificateRefused, 44));
    assert_eq!(echo(&as_friend, address).await, Ok(false));
    assert_eq!(echo(&as_friend, address).await, Ok(true));
    tls.reload().unwrap();
    assert_eq!(echo(&as_friend, address).await, Ok(true), "the list is the same");
    folder.file("friends.crl", friends.revokes(&[&friend, &foe]).der());
    tls.reload().unwrap();
    assert_eq!(refusal(echo(&as_friend, address).await), (Code::CertificateRefused, 44));
    // A list that is none leaves all as it was.
    folder.file("friends.crl", "nothing");
    let error = tls.reload().unwrap_err();
    assert_eq!(error.file().and_then(|path| path.to_str()), Some(&*file), "{error}");
    assert_eq!(refusal(echo(&as_friend, address).await), (Code::CertificateRefused, 44));
    eventually("all refusals are counted", || server.stats().handshakes_failed == 3);
}

#[test]
fn a_list_that_is_none_or_that_nobody_asks_is_an_error_at_the_start() {
    let scene = Scene::new();
    let list = || Revoked::new(scene.authority.revokes(&[]).der()).unwrap();
    let malformed = || Revoked::new(b"\x30\x03abc").unwrap();
    for (error, words) in [
        (Revoked::new(&scene.shown.certificate).unwrap_err(), "no revocation list"),
        (Revoked::from_file("/nowhere/at.crl").unwrap_err(), "/nowhere/at.crl: it cannot be read"),
        (scene.trusting().revoked(malformed()).build().unwrap_err(), "a revocation list cannot be used"),
        (TlsClient::builder().pinned([7; 32]).revoked(list()).build().unwrap_err(), "none is trusted"),
        (
            TlsClient::builder().dangerous_trust_anybody().revoked(list()).build().unwrap_err(),
            "none is trusted",
        ),
        (scene.server().revoked(list()).build().unwrap_err(), "no authorities"),
        (
            scene
                .server()
                .client_authorities(scene.authority.pem())
                .revoked(malformed())
                .build()
                .unwrap_err(),
            "revocation lists cannot be used",
        ),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}
