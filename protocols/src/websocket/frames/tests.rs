extern crate std;

use std::vec::Vec;

use super::*;

const LIMITS: Limits = Limits { message: 1000, unit: 2000, queue: 500 };

fn client() -> Frames<Client<impl FnMut() -> [u8; 4]>> {
    let mut next = 0u8;
    let mut frames = Frames::new(Client(move || {
        next += 1;
        [next, 0x80, 0xff, 7]
    }));
    frames.limit(LIMITS);
    frames
}

fn server() -> Frames<Server> {
    let mut frames = Frames::new(Server);
    frames.limit(LIMITS);
    frames
}

/// Encodes and accepts.
fn said<R: Role>(by: &mut Frames<R>, frame: Frame<'_>) -> Result<Vec<u8>> {
    let (mut bytes, mut tail) = ([0; 1200], 0);
    let rest = by.encode(&frame, &mut Outbox::new(&mut bytes, &mut tail))?;
    by.accepted(&frame);
    Ok([&bytes[..tail], rest].concat())
}

/// The event in all of `bytes`.
fn heard<'a, R: Role>(by: &mut Frames<R>, bytes: &'a mut [u8]) -> Event<'a> {
    let Ok(Step::Event(n, found)) = by.next(bytes) else { panic!("no event") };
    assert_eq!(n, bytes.len());
    found.view(bytes)
}

#[test]
fn what_one_side_says_the_other_hears() {
    let (mut client, mut server) = (client(), server());
    for len in [0, 1, 125, 126, 400] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let message = Frame::message(Kind::Binary, &payload);
        let whole = Piece { kind: Kind::Binary, compressed: false, first: true, last: true, bytes: &payload };
        let mut bytes = said(&mut client, message).unwrap();
        assert_eq!(heard(&mut server, &mut bytes), Event::Piece(whole));
        let mut bytes = said(&mut server, message).unwrap();
        assert!(bytes.ends_with(&payload), "a server does not mask");
        assert_eq!(heard(&mut client, &mut bytes), Event::Piece(whole));
    }
    let mut bytes = said(&mut client, Frame::Ping(b"are you there")).unwrap();
    assert_eq!(heard(&mut server, &mut bytes), Event::Ping(b"are you there"));
}

#[test]
fn every_frame_of_a_client_is_masked_with_a_key_of_its_own() {
    let mut client = client();
    let frames = [Frame::Ping(b"same"), Frame::Ping(b"same"), Frame::Pong(b"same"), Frame::Close(1000, "")];
    let keys = frames.map(|frame| said(&mut client, frame).unwrap()[2..6].to_vec());
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(key[..], [i as u8 + 1, 0x80, 0xff, 7]);
    }
}

#[test]
fn masks_are_for_clients_alone() {
    for frame in [Frame::message(Kind::Text, b"hello"), Frame::Ping(b""), Frame::Close(1000, "")] {
        let mut of_server = said(&mut server(), frame).unwrap();
        assert_eq!(server().next(&mut of_server), Err(violation()));
        let mut of_client = said(&mut client(), frame).unwrap();
        assert_eq!(client().next(&mut of_client), Err(violation()));
    }
}

#[test]
fn fragments_are_said_in_order_and_control_frames_between_them() {
    let mut server = server();
    let fragment =
        |first, last| Frame::Data { kind: Kind::Text, first, last, compressed: false, payload: b"x" };
    let misuse = Err(Code::InvalidSession.into());
    assert_eq!(said(&mut server, fragment(false, true)), misuse);
    assert_eq!(said(&mut server, fragment(true, false)).unwrap(), b"\x01\x01x");
    assert_eq!(said(&mut server, Frame::message(Kind::Text, b"x")), misuse);
    assert_eq!(said(&mut server, Frame::Encoded(b"\x81\x01y", 1)), misuse);
    assert_eq!(said(&mut server, Frame::Pong(b"")).unwrap(), b"\x8a\x00");
    assert_eq!(said(&mut server, fragment(false, true)).unwrap(), b"\x80\x01x");
    assert_eq!(said(&mut server, Frame::message(Kind::Text, b"x")).unwrap(), b"\x81\x01x");
    assert_eq!(said(&mut server, Frame::Encoded(b"\x81\x01y", 1)).unwrap(), b"\x81\x01y");
}

#[test]
fn nothing_is_said_behind_a_close() {
    let mut server = server();
    assert_eq!(said(&mut server, Frame::Close(1001, "bye")).unwrap(), b"\x88\x05\x03\xe9bye");
    for frame in [Frame::Close(1000, ""), Frame::Pong(b""), Frame::message(Kind::Text, b"")] {
        assert_eq!(said(&mut server, frame), Err(Code::ConnectionClosed.into()));
    }
    let mut tail = 0;
    server.close(CloseReason::Local, &mut Outbox::new(&mut [0; 14], &mut tail));
    assert_eq!(tail, 0, "a second Close");
    assert!(!server.keeps_alive());
}

#[test]
fn codes_that_tell_of_a_connection_are_not_said_on_one() {
    for code in [0, 999, 1004, 1006, 1015, 2999, 5000] {
        assert_eq!(said(&mut server(), Frame::Close(code, "")), Err(Code::Unsupported.into()), "{code}");
    }
    assert_eq!(said(&mut server(), Frame::Close(1005, "")).unwrap(), b"\x88\x00");
}

#[test]
fn control_frames_are_short() {
    let long = [b'x'; 126];
    let text = core::str::from_utf8(&long).unwrap();
    for frame in [Frame::Ping(&long), Frame::Pong(&long), Frame::Close(1000, &text[..124])] {
        let error = said(&mut server(), frame).unwrap_err();
        assert_eq!((error.code(), error.fault()), (Code::MessageTooLarge, Fault::Local));
    }
    assert!(said(&mut server(), Frame::Close(1000, &text[..123])).is_ok());
    assert!(said(&mut server(), Frame::Ping(&long[..125])).is_ok());
}

#[test]
fn a_close_is_answered_with_its_code() {
    for (close, code) in [(Frame::Close(4000, "why"), 4000), (Frame::Close(close::NONE, ""), 1005)] {
        let mut server = server();
        let mut bytes = said(&mut client(), close).unwrap();
        assert_eq!(server.next(&mut bytes), Ok(Step::Goodbye(bytes.len())));
        assert_eq!(server.closed_with(), Some(code));
        let (mut out, mut tail) = ([0; 14], 0);
        server.close(CloseReason::Peer, &mut Outbox::new(&mut out, &mut tail));
        let expected: &[u8] = if code == 1005 { b"\x88\x00" } else { b"\x88\x02\x0f\xa0" };
        assert_eq!(&out[..tail], expected);
    }
}

#[test]
fn a_message_that_becomes_too_long_is_refused_at_a_header() {
    let too_large = Err(Error::new(Code::MessageTooLarge).on_wire(1009));
    assert_eq!(server().next(&mut b"\x82\xfe\x03\xe9abcd".to_vec()), too_large);
    let mut server = server();
    for _ in 0..2 {
        let mut fragment = [&b"\x02\xfe\x01\xf4abcd"[..], &[0; 500]].concat();
        fragment[0] = if server.is_midway() { 0 } else { 2 };
        assert!(matches!(server.next(&mut fragment), Ok(Step::Event(508, _))));
    }
    assert!(server.goes_on());
    assert_eq!(server.next(&mut b"\x80\x81abcd".to_vec()), too_large);
}

#[test]
fn an_answered_ping_of_ours_is_known_and_only_once() {
    let (mut server, mut client) = (server(), client());
    let (mut out, mut tail) = ([0; 14], 0);
    server.keep_alive(Instant::from_micros(77), &mut Outbox::new(&mut out, &mut tail));
    let Event::Ping(payload) = heard(&mut client, &mut out[..tail]) else { panic!("no ping") };
    let pong = said(&mut client, Frame::Pong(payload)).unwrap();
    let mut other = said(&mut client, Frame::Pong(b"another")).unwrap();
    assert_eq!(heard(&mut server, &mut other), Event::Pong(b"another"));
    assert_eq!(server.next(&mut pong.clone()), Ok(Step::Alive(pong.len(), 77)));
    assert_eq!(heard(&mut server, &mut pong.clone()), Event::Pong(payload));
}

#[test]
fn a_frame_longer_than_memory_is_told_piece_by_piece() {
    let header = |len: u64| [&b"\x82\xff"[..], &len.to_be_bytes(), &[0; 4]].concat();
    let mut server = server();
    server.unbounded();
    let mut input = [&header(u32::MAX.into())[..], b"begun"].concat();
    let piece = Piece { kind: Kind::Binary, compressed: false, first: true, last: false, bytes: b"begun" };
    assert_eq!(heard(&mut server, &mut input), Event::Piece(piece));
    let piece = Piece { first: false, bytes: b"more", ..piece };
    assert_eq!(heard(&mut server, &mut b"more".to_vec()), Event::Piece(piece));
    let mut server = Frames::new(Server);
    server.unbounded();
    let too_large = Err(Error::new(Code::MessageTooLarge).on_wire(1009));
    assert_eq!(server.next(&mut header(1 << 32)), too_large);
}
