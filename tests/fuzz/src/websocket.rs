//! WebSocket: frames to either side, and whatever asks to become one.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use netloom_core::{
    Clock, Codec, Error, Instant, Limits, Options, Outbox, Parts, Result, Session, Step, Transport,
};
use netloom_protocols::http1::{self, Http1, Request, Sent};
use netloom_protocols::websocket::{self, Client, Event, Frames, Kind, Role, Server};

use super::Cuts;

/// What frames say, messages in one piece each.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    messages: Vec<(Kind, bool, Vec<u8>)>,
    /// Payloads of pings and pongs, each with how many messages were before.
    controls: Vec<(usize, bool, Vec<u8>)>,
    closed_with: Option<u16>,
    refused: Option<Error>,
}

fn hear<R: Role>(role: R, flags: u8, pieces: impl Iterator<Item = Vec<u8>>) -> Heard {
    let mut codec = Frames::new(role);
    codec.limit(Limits { message: 300, unit: 1000, queue: 1000 });
    codec.may_deflate(flags & 1 != 0);
    if flags & 2 != 0 {
        codec.unbounded();
    }
    let (mut heard, mut input, mut message) = (Heard::default(), Vec::new(), None::<Vec<u8>>);
    for piece in pieces {
        input.extend_from_slice(&piece);
        loop {
            let (n, found) = match Codec::decode(&mut codec, &mut input, &mut Outbox::new(&mut [], &mut 0)) {
                Ok(Step::NeedInput) => break,
                Ok(Step::Quiet(n)) => (n, None),
                Ok(Step::Event(n, found)) => (n, Some(found)),
                Ok(Step::Alive(..)) => panic!("an answer to a ping that was not sent"),
                Ok(Step::Goodbye(n)) => {
                    assert!(n > 0 && n <= input.len());
                    heard.closed_with = codec.closed_with();
                    assert!(heard.closed_with.is_some());
                    return heard;
                }
                Err(error) => {
                    heard.refused = Some(error);
                    return heard;
                }
            };
            assert!(n > 0 && n <= input.len());
            match found
                .map(|found| Frames::<R>::view(found, &input[..n]).expect("what was found can be viewed"))
            {
                Some(Event::Piece(piece)) => {
                    assert_eq!(piece.first, message.is_none());
                    message.get_or_insert_default().extend_from_slice(piece.bytes);
                    assert!(flags & 2 != 0 || message.as_ref().is_some_and(|message| message.len() <= 300));
                    assert!(flags & 1 != 0 || !piece.compressed);
                    if piece.last {
                        let whole = message.take().unwrap_or_default();
                        // What came whole in one frame is checked by who takes it.
                        if piece.kind == Kind::Text
                            && !piece.compressed
                            && std::str::from_utf8(&whole).is_err()
                        {
                            assert!(piece.first, "text in pieces is checked");
                            heard.refused = Some(Error::new(netloom_core::Code::InvalidText).on_wire(1007));
                            return heard;
                        }
                        heard.messages.push((piece.kind, piece.compressed, whole));
                    }
                }
                Some(Event::Ping(payload)) => {
                    heard.controls.push((heard.messages.len(), true, payload.to_vec()));
                }
                Some(Event::Pong(payload)) => {
                    heard.controls.push((heard.messages.len(), false, payload.to_vec()));
                }
                None => {}
            }
            input.drain(..n);
        }
    }
    heard
}

fn same_however_cut<R: Role>(data: &[u8], flags: u8, role: impl Fn() -> R) {
    let whole = hear(role(), flags, std::iter::once(data.to_vec()));
    assert_eq!(hear(role(), flags, data.chunks(1).map(<[u8]>::to_vec)), whole);
    let mut cuts = Cuts::of(data);
    let mut rest = data;
    let pieces = std::iter::from_fn(|| {
        let (piece, behind) = rest.split_at(cuts.next().min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then(|| piece.to_vec())
    });
    assert_eq!(hear(role(), flags, pieces), whole);
}

/// Frames, whole and in pieces, to a server and to a client: the same messages, or the same refusal. The first byte says
/// whether messages may be compressed, and of any length.
pub fn frames(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    same_however_cut(data, *flags, || Server);
    same_however_cut(data, *flags, || Client(|| [1, 2, 3, 4]));
}

/// A peer that says something, so many bytes at a time, and ends.
struct Peer {
    left: Vec<u8>,
    cuts: Option<Cuts>,
    heard: Rc<RefCell<Vec<u8>>>,
}

impl Transport for Peer {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        let cut = self.cuts.as_mut().map_or(usize::MAX, Cuts::next);
        let n = cut.min(buf.len()).min(self.left.len());
        buf[..n].copy_from_slice(&self.left[..n]);
        self.left.drain(..n);
        Poll::Ready(Ok(n))
    }
    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.heard.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Time that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::default()
    }
    fn poll_until(&mut self, _: Instant, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

async fn echo(request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    while let Some((message, mut peer)) = socket.receive().await? {
        peer.send(message).await?;
    }
    Ok(sent)
}

fn answer(data: &[u8], cuts: Option<Cuts>) -> Vec<u8> {
    let heard = Rc::default();
    let peer = Peer { left: data.to_vec(), cuts, heard: Rc::clone(&heard) };
    let queues = ([0; 2048], [0; 2048]);
    let mut session: Session<Parts<Peer, [u8; 2048], Still>, _> =
        Session::open(peer, Http1::new(), queues, Still, Options::DEFAULT);
    {
        let mut served = pin!(async {
            _ = http1::serve(&mut session, &echo).await;
            _ = session.close().await;
        });
        let done = served.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(done.is_ready(), "it waits although nothing more comes");
    }
    heard.take()
}

/// What asks to become a WebSocket, and what is behind it: the same answers however it is cut, and 101 only to what
/// asks for it.
pub fn handshake(data: &[u8]) {
    let data = [data, b"\r\n\r\n"].concat();
    let whole = answer(&data, None);
    assert_eq!(answer(&data, Some(Cuts::of(&data))), whole);
    if whole.starts_with(b"HTTP/1.1 101") {
        let text = String::from_utf8_lossy(&data).to_ascii_lowercase();
        // RFC 9110, 2.5: a later minor version is taken for the one that is known.
        for word in ["get ", " http/1.", "host:", "upgrade", "websocket", "sec-websocket-key:", "13"] {
            assert!(text.contains(word), "101 without {word:?}");
        }
        let text = String::from_utf8_lossy(&whole).into_owned();
        for line in
            ["\r\nupgrade: websocket\r\n", "\r\nconnection: upgrade\r\n", "\r\nsec-websocket-accept: "]
        {
            assert!(text.contains(line), "{text:?}");
        }
    }
}
