//! The server from outside: foreign clients on real sockets.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use common::{dial, echo, echo_server, ends, eventually, frame};
use netloom::core::Timeouts;
use netloom::{Code, Framing, Lines, Server, ServerSession, Spread};

fn builder() -> netloom::Builder {
    Server::builder().tcp("127.0.0.1:0").workers(2)
}

#[test]
fn several_addresses_of_both_families_are_served_and_read_back() {
    let server = builder().tcp(("::1", 0)).start(Framing::new, echo_server).unwrap();
    let addresses = server.addresses().to_vec();
    assert!(addresses[0].is_ipv4() && addresses[1].is_ipv6());
    for address in addresses {
        assert_ne!(address.port(), 0);
        echo(&mut dial(address), b"hello");
    }
}

#[test]
fn frames_are_echoed_however_they_are_cut() {
    let server = builder().start(Framing::new, echo_server).unwrap();
    let mut stream = dial(server.addresses()[0]);
    for size in [0, 1, 3, 16_380, 16_384, 65_536, 1 << 20] {
        let body: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
        // A megabyte does not fit the sockets: it must be written and read at once.
        std::thread::scope(|scope| {
            let mut writer = stream.try_clone().unwrap();
            let frame = frame(&body);
            let sent = frame.clone();
            scope.spawn(move || {
                for piece in sent.chunks(1 + size / 3) {
                    writer.write_all(piece).unwrap();
                }
            });
            let mut answer = vec![0; frame.len()];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer == frame, "{size} bytes");
        });
    }
}

#[test]
fn tokio_utils_length_delimited_codec_speaks_the_same() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_util::codec::{Framed, LengthDelimitedCodec};

    let server = builder().start(Framing::new, echo_server).unwrap();
    let address = server.addresses()[0];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut framed = Framed::new(stream, LengthDelimitedCodec::new());
        for n in 0..100u32 {
            let body = bytes::Bytes::from(vec![n as u8; n as usize * 7]);
            framed.send(body.clone()).await.unwrap();
            assert_eq!(framed.next().await.unwrap().unwrap(), body);
        }
    });
}

#[test]
fn lines_are_served_as_frames_are() {
    let server = builder().start(Lines::new, echo_server).unwrap();
    let mut stream = dial(server.addresses()[0]);
    stream.write_all(b"one\r\ntwo\n").unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"one\ntwo\n");
}

#[test]
fn one_listener_in_turn_serves_as_well_as_one_per_worker() {
    for spread in [Spread::InTurn, Spread::Kernel] {
        let (sender, threads) = mpsc::channel();
        let server = builder()
            .spread(spread)
            .workers(3)
            .start(Framing::new, async move |session: &mut ServerSession<Framing>| {
                sender.send(std::thread::current().id()).unwrap();
                echo_server(session).await
            })
            .unwrap();
        let mut streams: Vec<_> = (0..30).map(|_| dial(server.addresses()[0])).collect();
        streams.iter_mut().for_each(|stream| echo(stream, b"x"));
        let used: std::collections::HashSet<_> = (0..30).map(|_| threads.recv().unwrap()).collect();
        match spread {
            Spread::InTurn => assert_eq!(used.len(), 3),
            _ => assert!(used.len() > 1, "30 connections fell to one worker"),
        }
    }
}

#[test]
fn a_frame_longer_than_the_maximum_closes_its_session_at_the_header_and_no_other() {
    let server = builder().message_max(1000).start(Framing::new, echo_server).unwrap();
    let mut other = dial(server.addresses()[0]);
    echo(&mut other, b"before");
    let mut stream = dial(server.addresses()[0]);
    stream.write_all(&1001u32.to_be_bytes()).unwrap();
    ends(&mut stream);
    echo(&mut other, &[7; 1000]);
}

#[test]
fn half_a_frame_then_the_end_delivers_nothing() {
    let (sender, errors) = mpsc::channel();
    let server = builder()
        .start(Framing::new, async move |session: &mut ServerSession<Framing>| {
            let error = session.receive().await.err();
            sender.send(error).unwrap();
            Ok(())
        })
        .unwrap();
    let mut stream = dial(server.addresses()[0]);
    stream.write_all(&frame(b"half")[..6]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    ends(&mut stream);
    assert_eq!(errors.recv().unwrap().unwrap(), Code::ReceiveFailed);
}

#[test]
fn a_peer_that_never_reads_stops_its_own_session_until_the_write_stall_ends_it() {
    let (sender, errors) = mpsc::channel();
    let timeouts = Timeouts { write_stall: Duration::from_millis(300), ..Timeouts::DEFAULT };
    let server = builder()
        .timeouts(timeouts)
        .start(Framing::new, async move |session: &mut ServerSession<Framing>| {
            let result = echo_server(session).await;
            sender.send(result.err()).unwrap();
            result
        })
        .unwrap();
    let mut greedy = dial(server.addresses()[0]);
    let mut other = dial(server.addresses()[0]);
    let message = frame(&[1; 100_000]);
    // Writes until the server stops reading, and then is cut.
    greedy.set_write_timeout(Some(common::PATIENCE)).unwrap();
    while greedy.write_all(&message).is_ok() {
        echo(&mut other, b"not held up");
    }
    assert_eq!(errors.recv().unwrap().unwrap(), Code::WriteStalled);
}

#[test]
fn sessions_beyond_the_limit_are_refused_politely_and_counted() {
    let server = builder().sessions_max(2).start(Framing::new, echo_server).unwrap();
    let mut first = dial(server.addresses()[0]);
    let mut second = dial(server.addresses()[0]);
    echo(&mut first, b"1");
    echo(&mut second, b"2");
    let mut third = dial(server.addresses()[0]);
    third.write_all(&frame(b"a question that is already on its way")).unwrap();
    ends(&mut third);
    assert_eq!((server.stats().refused, server.stats().active), (1, 2));
    drop(first);
    eventually("a session becomes free", || server.stats().active == 1);
    echo(&mut dial(server.addresses()[0]), b"4");
}

#[test]
fn sessions_beyond_the_limit_of_an_address_are_refused_and_other_addresses_are_not() {
    let server = builder().sessions_per_address_max(1).start(Framing::new, echo_server).unwrap();
    let address = server.addresses()[0];
    let mut first = dial(address);
    echo(&mut first, b"1");
    ends(&mut dial(address));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    echo(&mut socket.into(), b"from elsewhere");
    assert_eq!(server.stats().refused_from_address, 1);
}

#[test]
fn shutting_down_lets_busy_sessions_finish_and_cuts_those_that_do_not() {
    let (sender, begun) = mpsc::channel();
    let server = builder()
        .start(Framing::new, async move |session: &mut ServerSession<Framing>| {
            while let Some((message, peer)) = session.receive().await? {
                let slow = Duration::from_millis(u64::from(message[0]) * 300);
                peer.send(b"begun").await?;
                sender.send(()).unwrap();
                peer.during(tokio::time::sleep(slow)).await;
                peer.send(b"done").await?;
            }
            Ok(())
        })
        .unwrap();
    // One is idle, one is busy for 300 ms, one for over a minute.
    let mut streams: Vec<_> = [0u8, 1, 255].iter().map(|slow| (*slow, dial(server.addresses()[0]))).collect();
    for (slow, stream) in &mut streams {
        stream.write_all(&frame(&[*slow])).unwrap();
        begun.recv().unwrap();
    }
    streams[0].1.read_exact(&mut [0; 9 + 8]).unwrap();
    let ended = server.shutdown(Duration::from_secs(3));
    assert_eq!((ended.drained, ended.aborted), (2, 1));
    let mut answer = Vec::new();
    streams[1].1.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [frame(b"begun"), frame(b"done")].concat());
    let mut cut = Vec::new();
    assert!(streams[2].1.read_to_end(&mut cut).is_err(), "a session that is cut must not look ended");
}

#[test]
fn a_server_is_stopped_from_any_thread_and_its_port_is_free_again() {
    let server = builder().start(Framing::new, echo_server).unwrap();
    let address = server.addresses()[0];
    let mut stream = dial(address);
    echo(&mut stream, b"x");
    let stopper = server.stopper();
    std::thread::spawn(move || stopper.stop(Duration::from_secs(60)));
    let ended = server.wait();
    assert_eq!((ended.drained, ended.aborted), (1, 0));
    ends(&mut stream);
    builder().tcp(address).start(Framing::new, echo_server).unwrap();
}

#[test]
fn an_application_that_panics_ends_its_own_session_only() {
    let server = builder()
        .workers(1)
        .start(Framing::new, async |session: &mut ServerSession<Framing>| {
            while let Some((message, peer)) = session.receive().await? {
                assert_ne!(message, b"panic", "as the test wants it");
                peer.send(message).await?;
            }
            Ok(())
        })
        .unwrap();
    let (mut one, mut other) = (dial(server.addresses()[0]), dial(server.addresses()[0]));
    echo(&mut other, b"x");
    one.write_all(&frame(b"panic")).unwrap();
    let mut rest = Vec::new();
    let _ = one.read_to_end(&mut rest);
    assert!(rest.is_empty());
    echo(&mut other, b"still here");
    eventually("the ticket comes back", || server.stats().active == 1);
}

#[test]
fn a_port_in_use_is_bind_failed_with_the_address_in_the_text() {
    let server = builder().start(Framing::new, echo_server).unwrap();
    let taken = server.addresses()[0];
    for workers in [1, 2] {
        let error = Server::builder().tcp(taken).workers(workers).start(Framing::new, echo_server);
        let error = error.map(drop).unwrap_err();
        assert_eq!(error.error().number(), -662);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    }
    for address in ["192.0.2.1:1", "nonsense", "127.0.0.1:99999"] {
        let error = Server::builder().tcp(address).start(Framing::new, echo_server).map(drop).unwrap_err();
        assert!(error.to_string().contains(address), "{error}");
    }
    let error = Server::builder().start(Framing::new, echo_server).map(drop).unwrap_err();
    assert_eq!(error.error(), Code::ServerNotStarted);
}

#[test]
fn a_codec_that_cannot_be_made_does_not_end_accepting() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let healthy = Arc::new(AtomicBool::new(false));
    let switch = healthy.clone();
    let make = move || {
        assert!(switch.load(Relaxed), "as the test wants it");
        Framing::new()
    };
    let server = builder().workers(1).start(make, echo_server).unwrap();
    let mut lost = Vec::new();
    let _ = dial(server.addresses()[0]).read_to_end(&mut lost);
    eventually("its place is free again", || server.stats().active == 0 && server.stats().accepted == 1);
    healthy.store(true, Relaxed);
    echo(&mut dial(server.addresses()[0]), b"still accepting");
}

#[test]
fn who_waits_in_the_backlog_of_a_server_that_stops_is_not_reset() {
    let server = builder().workers(1).start(Framing::new, async |session: &mut ServerSession<Framing>| {
        // Holds the worker up, so that the others are still in the backlog when it stops.
        std::thread::sleep(Duration::from_millis(300));
        echo_server(session).await
    });
    let server = server.unwrap();
    let mut first = dial(server.addresses()[0]);
    first.write_all(&frame(b"x")).unwrap();
    let mut streams: Vec<_> = (0..20).map(|_| dial(server.addresses()[0])).collect();
    let stopping = std::thread::spawn(move || server.shutdown(Duration::from_secs(10)));
    streams.iter_mut().for_each(ends);
    drop((first, streams));
    assert_eq!(stopping.join().unwrap().aborted, 0);
}

/// Rule 10: applications stay on their worker's thread, so they may share by `Rc`.
#[test]
fn rule_10_a_worker_is_a_microcontroller_and_applications_need_not_be_send() {
    use std::cell::Cell;
    use std::rc::Rc;
    thread_local!(static COUNT: Rc<Cell<u32>> = Rc::default());

    let server = builder()
        .workers(1)
        .start(Framing::new, async |session: &mut ServerSession<Framing>| {
            let count = COUNT.with(Rc::clone);
            while let Some((_, peer)) = session.receive().await? {
                count.set(count.get() + 1); // `count` is not Send and lives across the await
                peer.send(&count.get().to_be_bytes()).await?;
            }
            Ok(())
        })
        .unwrap();
    let (mut one, mut other) = (dial(server.addresses()[0]), dial(server.addresses()[0]));
    for n in 1..=4u32 {
        let stream = if n % 2 == 0 { &mut one } else { &mut other };
        stream.write_all(&frame(b"")).unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4..], n.to_be_bytes());
    }
}
