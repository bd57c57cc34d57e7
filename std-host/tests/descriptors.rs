//! File descriptors run out. A process of its own, because it limits itself.

mod common;

use common::{dial, echo, echo_server, eventually};
use netloom::{Code, Framing, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn accepting_backs_off_while_descriptors_are_exhausted_and_resumes_when_they_return() {
    let server = Server::builder().tcp("127.0.0.1:0").workers(1).start(Framing::new, echo_server).unwrap();
    let address = server.addresses()[0];
    let mut first = dial(address);
    echo(&mut first, b"before");

    // The client is made first; then nothing is left for the server's side of it.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(1024), ..limit }).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    socket.connect(&address.into()).unwrap();
    eventually("accepting fails", || server.stats().accept_errors > 1);
    echo(&mut first, b"sessions that are there go on");

    // With one descriptor a server can listen, but not make its runtime: it says so instead of running without.
    taken.pop();
    let error = Server::builder().tcp("127.0.0.1:0").workers(1).start(Framing::new, echo_server);
    assert_eq!(error.map(drop).unwrap_err().error(), Code::ServerNotStarted);

    drop(taken);
    let mut second = socket.into();
    echo(&mut second, b"after");
    assert_eq!(server.stats().active, 2);
    setrlimit(Resource::Nofile, limit).unwrap();
}
