//! The client: against our server and against what else listens.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use common::echo_server;
use netloom::{Code, Connector, Framing, Server, connect};

fn server() -> Server {
    Server::builder().tcp("127.0.0.1:0").workers(1).start(Framing::new, echo_server).unwrap()
}

/// A client moves between the threads of a runtime while it waits.
#[test]
fn rule_10_clients_are_send_and_work_under_any_tokio_runtime() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    async fn talk(address: std::net::SocketAddr, n: u8) {
        let mut client = connect(address, Framing::new()).await.unwrap();
        for size in [0, 10, 100_000] {
            client.send(&vec![n; size]).await.unwrap();
            tokio::task::yield_now().await;
            let (answer, _) = client.receive().await.unwrap().unwrap();
            assert_eq!(answer, vec![n; size]);
        }
        client.close().await.unwrap();
    }
    let server = server();
    let address = server.addresses()[0];
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for runtime in [many, one] {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..20).map(|n| tokio::spawn(send(talk(address, n)))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_told_apart_and_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, code) in [
        (free.to_string(), Code::ConnectionRefused),
        ("no.such.host.invalid:1".into(), Code::NameNotResolved),
        ("no-port".into(), Code::InvalidAddress),
        ("127.0.0.1:notaport".into(), Code::InvalidAddress),
    ] {
        let error = connect(&address, Framing::new()).await.map(drop).unwrap_err();
        assert_eq!(error.error(), code, "{error}");
        assert!(error.to_string().contains(&address), "{error}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_times_out() {
    // A backlog that is full drops what comes, so the connection hangs.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let connector = Connector::new().timeout(Duration::from_millis(200));
    let mut kept = Vec::new();
    let error = loop {
        match connector.connect(address, Framing::new()).await {
            Ok(session) => kept.push(session),
            Err(error) => break error,
        }
    };
    assert_eq!(error.error(), Code::ConnectionTimeout);
}

#[tokio::test]
async fn a_foreign_server_that_ends_or_resets_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let foreign = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&common::frame(b"bye")).unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let mut client = connect(address, Framing::new()).await.unwrap();
    assert_eq!(client.receive().await.unwrap().unwrap().0, b"bye");
    assert!(client.receive().await.unwrap().is_none());
    let mut client = connect(address, Framing::new()).await.unwrap();
    client.send(b"x").await.unwrap();
    assert_eq!(client.receive().await.map(drop).unwrap_err(), Code::ConnectionClosed);
    foreign.join().unwrap();
}
