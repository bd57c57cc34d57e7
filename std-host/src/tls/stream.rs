//! A byte stream secured by TLS, over any other.

use std::fmt;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use netloom_core::buffer::{Queue, Room};
use netloom_core::{Code, Error, PathStats, Result, Secured, Storage, Transport};
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, ProtocolVersion, SupportedCipherSuite};

use super::error::{code_of, not_in_order};
use super::identity;

/// Bytes of the longest record, with its head (RFC 5246, 6.2.3: 2 KiB may be added; RFC 8446, 5.2, has 256 bytes).
const RECORD: usize = 5 + 16 * 1024 + 2048;

/// Most bytes of one read: what it brings is decrypted while the processor still has it at hand.
const READ: usize = 2 * RECORD;

/// Most bytes of a record's content.
const CONTENT: usize = 16 * 1024;

/// What a record adds to its content, at most: its head, a nonce, its type and a tag.
const ADDED: usize = 5 + 8 + 1 + 16;

/// Bytes of what may go before it: a change of keys (RFC 8446, 4.6.3), or an alert.
const BEFORE: usize = 5 + ADDED;

/// TLS over a byte stream `T` (RFC 8446; RFC 5246 with peers that are old), by rustls. It is a byte stream itself, so
/// sessions, codecs and applications do not change.
///
/// Records lie in `S`, which is lent while there are some: a connection that waits holds no buffer. A stream that ends
/// without the peer's `close_notify` was cut, perhaps by somebody else, and fails with [`Code::Truncated`].
pub struct Tls<T, S> {
    io: T,
    side: Side,
    /// What came and is not decrypted.
    incoming: Queue<S>,
    /// Records on their way out.
    outgoing: Queue<S>,
    /// Decrypted and not read, because there was no room: from this offset on.
    rest: (Vec<u8>, usize),
    /// There may be whole records in `incoming`.
    has_more: bool,
    /// The peer has said that it is done.
    is_over: bool,
    has_finished: bool,
    /// Nothing can be written any more.
    is_cut: bool,
    /// The host that the client asked for.
    server_name: Option<Box<str>>,
    /// Why nothing more can be said or heard.
    failed: Option<Error>,
    /// What rustls said of it.
    reason: Option<rustls::Error>,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

impl Side {
    fn common(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }
}

/// What is to be done next.
enum Turn {
    /// More of the same, whether or not more has come.
    Again,
    /// Content was decrypted; what is left to do is for what else has come.
    Content,
    /// Nothing without more from the peer.
    Read,
    /// The peer has closed its side.
    Over,
    /// Plaintext was encrypted, so many bytes.
    Wrote(usize),
    Failed(rustls::Error),
}

/// What is to be done where application data may be written.
enum Wish<'a> {
    Nothing,
    Encrypt(&'a [u8]),
    Close,
}

/// Where what was decrypted goes.
struct Sink<'a> {
    buf: &'a mut [u8],
    filled: usize,
    rest: &'a mut (Vec<u8>, usize),
}

impl Sink<'_> {
    fn put(&mut self, content: &[u8]) {
        let room = &mut self.buf[self.filled..];
        let n = room.len().min(content.len());
        room[..n].copy_from_slice(&content[..n]);
        self.filled += n;
        if n < content.len() {
            self.rest.0.extend_from_slice(&content[n..]);
        }
    }
}

impl<T, S> Tls<T, S> {
    /// The stream below.
    pub fn io(&self) -> &T {
        &self.io
    }

    /// The version that was agreed on.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.side.common().protocol_version()
    }

    /// The cipher suite that was agreed on.
    pub fn cipher_suite(&self) -> Option<SupportedCipherSuite> {
        self.side.common().negotiated_cipher_suite()
    }

    /// Whether the session went on from an earlier one, without certificates.
    pub fn is_resumed(&self) -> bool {
        self.side.common().handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// The peer's certificate and those that vouch for it, in DER; none if it has shown none.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.side.common().peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref)
    }
}

impl<T: Transport, S: Storage> Tls<T, S> {
    pub(super) fn client(io: T, connection: UnbufferedClientConnection, storage: (S, S)) -> Self {
        Self::new(io, Side::Client(connection), storage)
    }

    pub(super) fn server(io: T, connection: UnbufferedServerConnection, storage: (S, S)) -> Self {
        Self::new(io, Side::Server(connection), storage)
    }

    fn new(io: T, side: Side, (incoming, outgoing): (S, S)) -> Self {
        Self {
            io,
            side,
            incoming: Queue::new(incoming),
            outgoing: Queue::new(outgoing),
            rest: (Vec::new(), 0),
            has_more: false,
            is_over: false,
            has_finished: false,
            is_cut: false,
            server_name: None,
            failed: None,
            reason: None,
        }
    }

    /// The stream below, whatever is still to be said by TLS.
    pub(super) fn into_io(self) -> T {
        self.io
    }

    /// Why the handshake failed, in rustls's words.
    pub(super) fn reason(&mut self) -> Option<rustls::Error> {
        self.reason.take()
    }

    /// Goes on with the handshake; ready once both sides have finished it.
    ///
    /// # Errors
    /// One of [`Code::HandshakeFailed`] and the codes behind it; what the stream below failed with.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.is_shaking() {
            ready!(self.poll_space(RECORD, cx))?;
            let (_, turn) = self.turn(&mut [], Wish::Nothing, cx)?;
            if let Side::Server(_) = self.side
                && let Some(name) = identity::asked()
            {
                self.server_name = Some(name);
            }
            match turn {
                Turn::Again | Turn::Content | Turn::Wrote(_) => {}
                // TLS 1.2's client hears the last word, and has none to say.
                Turn::Read if !self.is_shaking() => {}
                Turn::Read => {
                    let flushed = self.poll_out(cx)?;
                    if flushed.is_ready() {
                        self.outgoing.release_if_empty();
                    }
                    if ready!(self.poll_in(cx))? == 0 {
                        return Poll::Ready(Err(self.fail(Code::Truncated.into())));
                    }
                }
                // Its goodbye came right behind its last word.
                Turn::Over if !self.is_shaking() => self.over(),
                Turn::Over => return Poll::Ready(Err(self.fail(not_in_order()))),
                Turn::Failed(error) => return Poll::Ready(Err(ready!(self.poll_fail(error, cx)))),
            }
        }
        ready!(self.poll_out(cx))?;
        self.outgoing.release_if_empty();
        self.incoming.release_if_empty();
        self.has_more = !self.incoming.is_empty();
        Poll::Ready(Ok(()))
    }

    /// TLS 1.2's server has last words to say when it needs to hear no more.
    fn is_shaking(&self) -> bool {
        let common = self.side.common();
        common.is_handshaking() || common.wants_write()
    }

    /// One turn of rustls, and how many bytes of `buf` it has filled.
    fn turn(&mut self, buf: &mut [u8], wish: Wish<'_>, cx: &mut Context<'_>) -> Result<(usize, Turn)> {
        let mut sink = Sink { buf, filled: 0, rest: &mut self.rest };
        let incoming = self.incoming.filled();
        let (discard, turn) = match &mut self.side {
            Side::Client(connection) => {
                taken(connection.process_tls_records(incoming), &mut sink, &mut self.outgoing, wish)
            }
            Side::Server(connection) => {
                taken(connection.process_tls_records(incoming), &mut sink, &mut self.outgoing, wish)
            }
        };
        let filled = sink.filled;
        self.incoming.consume(discard);
        match turn {
            Some(turn) => Ok((filled, turn)),
            None => {
                // No room for what must be said: the pool is exhausted, and who waits for it is woken.
                self.outgoing.wait(cx);
                Err(self.fail(Code::BuffersExhausted.into()))
            }
        }
    }

    /// Nothing more can be said or heard, but for the alert that says why.
    fn poll_fail(&mut self, error: rustls::Error, cx: &mut Context<'_>) -> Poll<Error> {
        let told = self.failed.is_some();
        let failed = self.fail(code_of(&error));
        if !told {
            // The alert comes before all that is still to be read, which is not to be looked at again: rustls would panic.
            while self.side.common().wants_write() {
                let Ok((_, Turn::Again | Turn::Content)) = self.turn(&mut [], Wish::Nothing, cx) else {
                    break;
                };
            }
            self.reason = Some(error);
        }
        // Whether it leaves is for the stream to tell; the error stands.
        let _ = self.poll_out(cx);
        Poll::Ready(failed)
    }

    fn fail(&mut self, error: Error) -> Error {
        *self.failed.get_or_insert(error)
    }

    /// Reads what there is. Zero bytes are the end.
    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        if self.incoming.make_room(RECORD) == Room::Short && self.incoming.grow(RECORD) != Room::Made {
            return Poll::Ready(Err(self.fail(Code::BadRecord.into())));
        }
        let room = match self.incoming.room() {
            [] => {
                self.incoming.wait(cx);
                return Poll::Pending;
            }
            room => room,
        };
        let most = room.len().min(READ);
        match self.io.poll_read(cx, &mut room[..most]) {
            Poll::Ready(Ok(n)) => {
                self.incoming.fill(n);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.fail(error))),
            Poll::Pending => {
                self.incoming.release_if_empty();
                Poll::Pending
            }
        }
    }

    /// Writes the records that are queued.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.outgoing.is_empty() {
            if self.is_cut {
                return self.poll_last_words(cx).map(Err);
            }
            match ready!(self.io.poll_write(cx, self.outgoing.filled())) {
                Ok(0) => return Poll::Ready(Err(self.fail(Code::SendFailed.into()))),
                Ok(n) => self.outgoing.consume(n),
                Err(error) if error == Code::ConnectionClosed => self.is_cut = true,
                Err(error) => return Poll::Ready(Err(self.fail(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when nothing is on its way out.
    fn poll_ready_to_seal(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.failed {
            Some(error) => Poll::Ready(Err(error)),
            None if self.has_finished => Poll::Ready(Err(Code::ConnectionClosed.into())),
            None => self.poll_out(cx),
        }
    }

    /// Encrypts some of `content`, as many records as there is room for, and queues them.
    fn poll_seal(&mut self, content: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize>> {
        loop {
            ready!(self.poll_space(BEFORE + content.len().min(CONTENT) + ADDED, cx))?;
            let room = self.outgoing.room().len().saturating_sub(BEFORE);
            let most = match room / (CONTENT + ADDED) {
                0 => room.saturating_sub(ADDED).clamp(1, CONTENT),
                records => records * CONTENT,
            };
            let batch = &content[..content.len().min(most)];
            match self.turn(&mut [], Wish::Encrypt(batch), cx)?.1 {
                Turn::Again | Turn::Content => {}
                Turn::Wrote(n) => return Poll::Ready(Ok(n)),
                // It reads on.
                Turn::Over => self.over(),
                Turn::Read => return Poll::Ready(Err(self.fail(not_in_order()))),
                Turn::Failed(error) => return Poll::Ready(Err(ready!(self.poll_fail(error, cx)))),
            }
        }
    }

    /// Room for so many bytes to say, or as many as there can be; what is queued leaves first if it must.
    fn poll_space(&mut self, least: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let least = least.min(self.outgoing.limit());
        while !make_room(&mut self.outgoing, least) {
            if self.outgoing.is_empty() {
                self.outgoing.wait(cx);
                return Poll::Pending;
            }
            ready!(self.poll_out(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// The peer is gone. Why may be the last it has said, so what it has sent is read, to the end of the stream.
    fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        while self.failed.is_none() && !self.is_over && self.rest.0.len() < RECORD {
            match self.turn(&mut [], Wish::Nothing, cx) {
                Ok((_, Turn::Again | Turn::Content | Turn::Wrote(_))) => {}
                Ok((_, Turn::Read)) => match ready!(self.poll_in(cx)) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                },
                Ok((_, Turn::Failed(said))) => {
                    self.fail(code_of(&said));
                    self.reason = Some(said);
                }
                Ok((_, Turn::Over)) => self.over(),
                Err(_) => break,
            }
        }
        Poll::Ready(self.fail(Code::ConnectionClosed.into()))
    }

    /// The peer has closed its side. What comes behind is not for us (RFC 8446, 6.1).
    fn over(&mut self) {
        self.is_over = true;
        self.incoming.consume(self.incoming.len());
        self.incoming.release_if_empty();
    }

    /// What was decrypted before.
    fn take_rest(&mut self, buf: &mut [u8]) -> usize {
        let (rest, at) = &mut self.rest;
        let n = (rest.len() - *at).min(buf.len());
        buf[..n].copy_from_slice(&rest[*at..*at + n]);
        *at += n;
        if *at == rest.len() {
            self.rest = (Vec::new(), 0);
        }
        n
    }
}

/// Does what a status asks for. How many bytes that came are dealt with, and what is next; `None` if there is no room for
/// what must be said.
fn taken<Data, S: Storage>(
    status: UnbufferedStatus<'_, '_, Data>,
    sink: &mut Sink<'_>,
    outgoing: &mut Queue<S>,
    wish: Wish<'_>,
) -> (usize, Option<Turn>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (discard, Some(Turn::Failed(error))),
    };
    let turn = match state {
        ConnectionState::ReadTraffic(mut traffic) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    sink.put(record.payload);
                }
                Some(Err(error)) => break Turn::Failed(error),
                None => break Turn::Content,
            }
        },
        ConnectionState::EncodeTlsData(mut data) => loop {
            match data.encode(outgoing.room()) {
                Ok(n) => {
                    outgoing.fill(n);
                    break Turn::Again;
                }
                Err(EncodeError::InsufficientSize(size)) => {
                    if !make_room(outgoing, size.required_size) {
                        return (discard, None);
                    }
                }
                Err(EncodeError::AlreadyEncoded) => break Turn::Again,
            }
        },
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Turn::Again
        }
        ConnectionState::WriteTraffic(mut traffic) => match wish {
            Wish::Nothing => Turn::Read,
            Wish::Encrypt(content) => loop {
                match traffic.encrypt(content, outgoing.room()) {
                    Ok(n) => {
                        outgoing.fill(n);
                        break Turn::Wrote(content.len());
                    }
                    Err(EncryptError::InsufficientSize(size)) => {
                        if !make_room(outgoing, size.required_size) {
                            return (discard, None);
                        }
                    }
                    Err(EncryptError::EncryptExhausted) => {
                        break Turn::Failed(rustls::Error::EncryptError);
                    }
                }
            },
            Wish::Close => loop {
                match traffic.queue_close_notify(outgoing.room()) {
                    Ok(n) => {
                        outgoing.fill(n);
                        break Turn::Wrote(0);
                    }
                    Err(EncryptError::InsufficientSize(size)) => {
                        if !make_room(outgoing, size.required_size) {
                            return (discard, None);
                        }
                    }
                    Err(EncryptError::EncryptExhausted) => break Turn::Wrote(0),
                }
            },
        },
        ConnectionState::BlockedHandshake => Turn::Read,
        ConnectionState::PeerClosed | ConnectionState::Closed => Turn::Over,
        // Early data is not taken: servers do not offer it. What a later rustls may think of cannot be gone on from.
        _ => Turn::Failed(rustls::Error::General("a state that is not known".into())),
    };
    (discard, Some(turn))
}

/// Room for so many bytes more.
fn make_room<S: Storage>(queue: &mut Queue<S>, least: usize) -> bool {
    let needed = queue.len() + least;
    match queue.make_room(least) {
        Room::Made => true,
        Room::Short => {
            queue.compact();
            queue.grow(needed) == Room::Made
        }
        Room::Exhausted => false,
    }
}

impl<T: Transport, S: Storage> Transport for Tls<T, S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        let mut filled = self.take_rest(buf);
        // What came behind the handshake's last word may wait for that to be sent, with nothing left in `incoming`.
        let mut again = self.has_more;
        loop {
            if self.is_over {
                return Poll::Ready(Ok(filled));
            }
            if let Some(error) = self.failed {
                return Poll::Ready(if filled > 0 { Ok(filled) } else { Err(error) });
            }
            // Without room for a whole record it would have to be kept.
            if filled > 0 && buf.len() - filled < CONTENT {
                self.has_more = again || !self.incoming.is_empty();
                return Poll::Ready(Ok(filled));
            }
            if again || !self.incoming.is_empty() {
                let (n, turn) = self.turn(&mut buf[filled..], Wish::Nothing, cx)?;
                filled += n;
                match turn {
                    Turn::Again => {
                        again = true;
                        continue;
                    }
                    Turn::Content | Turn::Wrote(_) => {
                        again = false;
                        continue;
                    }
                    Turn::Read => again = false,
                    Turn::Over => {
                        self.over();
                        continue;
                    }
                    Turn::Failed(error) => {
                        let _ = self.poll_fail(error, cx);
                        continue;
                    }
                }
            }
            self.has_more = false;
            if filled > 0 {
                self.incoming.release_if_empty();
                return Poll::Ready(Ok(filled));
            }
            // What was asked of us, such as new keys, is answered by the way.
            let _ = self.poll_out(cx);
            if ready!(self.poll_in(cx))? == 0 {
                // RFC 8446, 6.1: without a close_notify it may have been cut by anybody.
                return Poll::Ready(Err(self.fail(Code::Truncated.into())));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_ready_to_seal(cx))?;
        let n = ready!(self.poll_seal(buf, cx))?;
        // What does not leave now leaves when it is flushed.
        match self.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(n)),
        }
    }

    /// Saves whoever has much to say a copy to what is queued in front of it.
    fn writes_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: [&[u8]; 2]) -> Poll<Result<usize>> {
        ready!(self.poll_ready_to_seal(cx))?;
        let mut n = ready!(self.poll_seal(bufs[0], cx))?;
        if n == bufs[0].len() && self.outgoing.room().len() >= CONTENT + ADDED {
            n += match self.poll_seal(bufs[1], cx) {
                Poll::Ready(n) => n?,
                Poll::Pending => 0,
            };
        }
        match self.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(n)),
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.has_more || self.is_over || self.failed.is_some() || !self.rest.0.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.io.poll_readable(cx)
    }

    /// In the middle of a record: all whole ones have been decrypted.
    fn is_midway(&self) -> Option<bool> {
        Some(!self.incoming.is_empty())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_out(cx))?;
        self.outgoing.release_if_empty();
        self.io.poll_flush(cx)
    }

    /// Says that no more will be written: `close_notify`, then the end of the stream below.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.has_finished && self.failed.is_none() {
            ready!(self.poll_out(cx))?;
            ready!(self.poll_space(BEFORE + ADDED, cx))?;
            match self.turn(&mut [], Wish::Close, cx)?.1 {
                Turn::Again | Turn::Content => {}
                Turn::Over => self.over(),
                Turn::Wrote(_) | Turn::Read => self.has_finished = true,
                Turn::Failed(error) => return Poll::Ready(Err(ready!(self.poll_fail(error, cx)))),
            }
        }
        ready!(self.poll_flush(cx))?;
        self.io.poll_finish(cx)
    }

    fn abort(&mut self, why: Error) {
        // An alert that is on its way says more than a reset, which might overtake it.
        if self.failed.is_none() || !self.outgoing.is_empty() {
            self.io.abort(why);
        }
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.io.peer()
    }

    fn secured(&self) -> Option<Secured<'_>> {
        let common = self.side.common();
        let certificate = common.peer_certificates().and_then(|chain| chain.first()).map(AsRef::as_ref);
        Some(
            Secured::new()
                .certificate(certificate)
                .protocol(common.alpn_protocol())
                .server_name(self.server_name.as_deref()),
        )
    }

    fn path(&self) -> Option<PathStats> {
        self.io.path()
    }
}

impl<T: fmt::Debug, S> fmt::Debug for Tls<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let common = self.side.common();
        f.debug_struct("Tls")
            .field("io", &self.io)
            .field("version", &common.protocol_version())
            .finish_non_exhaustive()
    }
}
