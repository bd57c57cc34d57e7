//! A stream of a connection: a `Transport`.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use netloom_core::{Code, Error, PathStats, Result, Secured, Transport};
use quinn_proto::{ReadError, StreamId, VarInt, WriteError};

use super::connection::{Connection, State, keep};
use super::fault::on_wire;

/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;

/// A stream (RFC 9000, 2). Dropped before it was finished it is reset, so that what was cut does not look whole.
///
/// ```no_run
/// # async fn example(connection: &netloom::quic::Connection) -> netloom::Result<()> {
/// let mut stream = connection.open().await?;
/// stream.write_all(b"GET /\r\n").await?;
/// stream.finish();
/// let page = stream.read_to_end(64 * 1024).await?;
/// # Ok(()) }
/// ```
pub struct Stream {
    connection: Connection,
    id: StreamId,
    /// Neither finished nor reset nor stopped.
    sending: bool,
    receiving: Receiving,
    /// Begun before the handshake was done (0-RTT): what a client sends so can be replayed.
    early: bool,
    /// Somebody waits for it, or has.
    waited: bool,
}

/// quinn-proto forgets a stream once it has told of its end, so it is remembered here.
#[derive(Clone, Copy, Debug)]
enum Receiving {
    Open,
    End,
    Failed(Error),
}

/// Who writes to a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OneWay {
    No,
    Ours,
    Theirs,
}

impl Stream {
    pub(super) fn new(connection: Connection, id: StreamId, one_way: OneWay, early: bool) -> Self {
        let receiving = if one_way == OneWay::Ours { Receiving::End } else { Receiving::Open };
        Self { connection, id, sending: one_way != OneWay::Theirs, receiving, early, waited: false }
    }

    /// Its number (RFC 9000, 2.1).
    pub fn id(&self) -> u64 {
        self.id.into()
    }

    /// The connection it is a part of.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether it was begun before the handshake was done. What came so may have been recorded and sent again by somebody else
    /// (RFC 8446, 8): only what does no harm twice may be done with it.
    pub fn is_early(&self) -> bool {
        self.early
    }

    /// Streams with a higher number are sent first; all begin with 0.
    pub fn set_priority(&mut self, priority: i32) {
        if self.sending {
            // It fails if the stream is over, which is no matter then.
            let id = self.id;
            self.act(|state| {
                let _ = state.proto.send_stream(id).set_priority(priority);
                false
            });
        }
    }

    /// Ends both directions with a code of the application's protocol: RESET_STREAM and STOP_SENDING.
    pub fn reset(&mut self, code: u32) {
        self.end(code.into());
    }

    /// The peer's bytes are not wanted any more: STOP_SENDING with a code of the application's protocol. Reading is at its end.
    pub fn stop(&mut self, code: u32) {
        if matches!(self.receiving, Receiving::Open) {
            self.receiving = Receiving::End;
            let id = self.id;
            self.act(|state| state.proto.recv_stream(id).stop(code.into()).is_ok());
        }
    }

    /// Reads some bytes; none are the end. Cancel-safe.
    ///
    /// # Errors
    /// [`Code::ReceiveFailed`] with the peer's code if it has reset the stream, or why the connection was lost.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// Reads what is left, to the end. If it is dropped, what it has read is lost.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`] if that is more than `max` bytes; else as for [`read`](Self::read).
    pub async fn read_to_end(&mut self, max: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let len = all.len();
            // One more than may be, to see that it is too many.
            let room = PIECE.min((max - len).saturating_add(1));
            all.resize(len + room, 0);
            let read = self.read(&mut all[len..]).await?;
            all.truncate(len + read);
            if read == 0 {
                return Ok(all);
            }
            if all.len() > max {
                return Err(Code::MessageTooLarge.into());
            }
        }
    }

    /// Writes all of `bytes`, as fast as the peer takes them. If it is dropped, some of them may be on their way.
    ///
    /// # Errors
    /// [`Code::SendFailed`] with the peer's code if it has stopped the stream, or why the connection was lost.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, bytes)).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Says that no more will be written. What was written is delivered even if the stream is dropped then.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.sending) {
            // A peer that stopped us does not want our end either.
            let id = self.id;
            self.act(|state| state.proto.send_stream(id).finish().is_ok());
        }
    }

    fn end(&mut self, code: VarInt) {
        let (sending, receiving) = (self.sending, matches!(self.receiving, Receiving::Open));
        if !sending && !receiving {
            return;
        }
        (self.sending, self.receiving) = (false, Receiving::End);
        let id = self.id;
        self.act(|state| {
            let reset = sending && state.proto.send_stream(id).reset(code).is_ok();
            let stop = receiving && state.proto.recv_stream(id).stop(code).is_ok();
            reset | stop
        });
    }

    /// With the connection's state, unless the stream of that number is not ours any more; says whether something is to be sent.
    fn act(&self, act: impl FnOnce(&mut State) -> bool) {
        self.connection.shared.with(|state| ((), !(self.early && state.is_rejected()) && act(state)));
    }
}

/// What reading came to; with `true` the peer is to be told that it may send more.
enum Read {
    Some(usize, bool),
    End(usize, bool),
    Failed(Error),
    Nothing,
}

fn take(proto: &mut quinn_proto::Connection, id: StreamId, is_ours: bool, buf: &mut [u8]) -> Read {
    let mut stream = proto.recv_stream(id);
    let chunks = if is_ours { stream.read(true).ok() } else { None };
    // Unknown: early data that was not accepted. Never an orderly end.
    let Some(mut chunks) = chunks else { return Read::Failed(Code::ReceiveFailed.into()) };
    let mut filled = 0;
    let end = loop {
        match chunks.next(buf.len() - filled) {
            Ok(Some(chunk)) => {
                buf[filled..][..chunk.bytes.len()].copy_from_slice(&chunk.bytes);
                filled += chunk.bytes.len();
                if filled == buf.len() {
                    break false;
                }
            }
            Ok(None) => break true,
            Err(ReadError::Reset(code)) => {
                return Read::Failed(Error::new(Code::ReceiveFailed).on_wire(on_wire(code.into_inner())));
            }
            Err(ReadError::Blocked) if filled > 0 => break false,
            Err(ReadError::Blocked) => return Read::Nothing,
        }
    };
    let credit = chunks.finalize().should_transmit();
    if end { Read::End(filled, credit) } else { Read::Some(filled, credit) }
}

impl Transport for Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        let (id, early, waited, receiving) = (self.id, self.early, &mut self.waited, &mut self.receiving);
        match *receiving {
            Receiving::Open => {}
            Receiving::End => return Poll::Ready(Ok(0)),
            Receiving::Failed(error) => return Poll::Ready(Err(error)),
        }
        self.connection.shared.with(|state| {
            let is_ours = !(early && state.is_rejected());
            match take(&mut state.proto, id, is_ours, buf) {
                Read::Some(filled, credit) => (Poll::Ready(Ok(filled)), credit),
                Read::End(filled, credit) => {
                    *receiving = Receiving::End;
                    (Poll::Ready(Ok(filled)), credit)
                }
                Read::Failed(error) => {
                    *receiving = Receiving::Failed(error);
                    (Poll::Ready(Err(error)), false)
                }
                Read::Nothing => match state.alive() {
                    Err(error) => (Poll::Ready(Err(error)), false),
                    Ok(()) => {
                        *waited = true;
                        keep(&mut state.streams.entry(id).or_default().reader, cx);
                        (Poll::Pending, false)
                    }
                },
            }
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(cx, [buf, &[]])
    }

    fn writes_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: [&[u8]; 2]) -> Poll<Result<usize>> {
        if !self.sending {
            return Poll::Ready(Err(Code::SendFailed.into()));
        }
        let (id, early, waited) = (self.id, self.early, &mut self.waited);
        self.connection.shared.with(|state| {
            if let Err(error) = state.alive() {
                return (Poll::Ready(Err(error)), false);
            }
            if early && state.is_rejected() {
                return (Poll::Ready(Err(Code::SendFailed.into())), false);
            }
            let mut stream = state.proto.send_stream(id);
            let mut written = 0;
            for buf in bufs.into_iter().filter(|buf| !buf.is_empty()) {
                match stream.write(buf) {
                    Ok(n) => {
                        written += n;
                        if n < buf.len() {
                            break;
                        }
                    }
                    Err(_) if written > 0 => break,
                    Err(WriteError::Blocked) => {
                        *waited = true;
                        keep(&mut state.streams.entry(id).or_default().writer, cx);
                        return (Poll::Pending, false);
                    }
                    Err(WriteError::Stopped(code)) => {
                        let error = Error::new(Code::SendFailed).on_wire(on_wire(code.into_inner()));
                        return (Poll::Ready(Err(error)), false);
                    }
                    Err(WriteError::ClosedStream) => {
                        return (Poll::Ready(Err(Code::SendFailed.into())), false);
                    }
                }
            }
            (Poll::Ready(Ok(written)), true)
        })
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // With nothing to fill it only asks.
        self.poll_read(cx, &mut []).map_ok(|_| ())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self, why: Error) {
        self.end(u32::from(why.wire()).into());
    }

    fn peer(&self) -> Option<SocketAddr> {
        Some(self.connection.peer())
    }

    fn secured(&self) -> Option<Secured<'_>> {
        Some(self.connection.secured())
    }

    fn path(&self) -> Option<PathStats> {
        self.connection.path()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end(VarInt::from_u32(0));
        if self.waited {
            self.connection.shared.state().streams.remove(&self.id);
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id()).finish_non_exhaustive()
    }
}
