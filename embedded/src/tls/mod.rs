//! TLS 1.3 for boards (RFC 8446): a client, as a transport over any other.
//!
//! ```text
//! session -> Tls -> Tcp -> network
//! ```
//!
//! Cipher suite TLS_AES_128_GCM_SHA256, key exchange and signatures with P-256. The handshake is
//! [embedded-tls](https://docs.rs/embedded-tls)'s; records are our own, so that nothing is lost when a wait is dropped, nothing
//! a peer sends reaches a panic, and each byte is in memory once. What that leaves out: KeyUpdate and 0-RTT, resumption, ALPN.
//! A server that asks for a KeyUpdate ends the connection with [`Code::Unsupported`]; rustls and OpenSSL do so only if
//! their application says so, or after 2^24 records.
//!
//! Certificates are checked against authorities in flash ([`Authorities`]), pinned keys ([`Pins`]) or both. Instead of
//! certificates there can be a pre-shared key ([`TlsConfig::pre_shared`]). What is not used is not linked.
//!
//! ```
//! use netloom_core::Result;
//! use netloom_embedded::tls::{self, Authorities, Time, TlsConfig, TlsMemory};
//! use netloom_embedded::{ClientMemory, Connector, Stack};
//! use netloom_protocols::Framing;
//!
//! /// When the firmware was built: the least that is known of the time.
//! const BUILT: u64 = 1_795_392_000;
//!
//! type Memory = (ClientMemory<1024, 1024>, TlsMemory<{ tls::record(4096) }>);
//!
//! async fn report(
//!     stack: Stack<'static>,
//!     authority: &[u8], // include_bytes!("ca.der")
//!     rng: &mut dyn tls::CryptoRngCore,
//!     (memory, records): &'static mut Memory,
//! ) -> Result<()> {
//!     let roots = [authority];
//!     let trust = Authorities::new(&roots);
//!     let config = TlsConfig::new("reports.example", &trust, Time::NotBefore(BUILT));
//!     let server = core::net::SocketAddr::from(([192, 0, 2, 1], 7443));
//!     let mut session =
//!         Connector::DEFAULT.connect_tls(stack, server, Framing::new(), memory, &config, rng, records).await?;
//!     session.send(b"all is well").await?;
//!     session.close().await
//! }
//! ```
//!
//! Keys, and what else has passed through the connection's memory, are wiped when the connection ends, and those of the
//! handshake when that is done; what embedded-tls derives them from on the stack is not.
//!
//! On a Cortex-M4, `opt-level` z and s: 70 KB of flash with [`Authorities`], 20 KB less with [`Pins`] or a pre-shared key;
//! [`TlsMemory::TOTAL`] of RAM, 0.9 KB in the session for the keys, 4 KB more in the future that connects; 22 KB of stack while a
//! chain of certificates is verified.

mod alert;
mod config;
mod der;
mod handshake;
mod identity;
mod memory;
mod record;
mod suite;
mod trust;
mod wire;

use core::net::SocketAddr;
use core::ops::Range;
use core::task::{Context, Poll, ready};

use netloom_core::{Code, Error, Fault, Parts, Result, Session, Transport};

use crate::{BoardClock, Tcp};

pub use config::{ServerProof, TlsConfig};
pub use identity::{ClientKey, Identity, SIGNATURE_MAX};
pub use memory::TlsMemory;
pub use rand_core::CryptoRngCore;
pub use record::record;
pub use trust::{Authorities, CHAIN_MAX, Pin, Pins, ServerName, Time, Trust};

use memory::Wiped;
use record::{ALERT, CONTENT_MAX, DATA, HANDSHAKE, HEADER, Header, Keys, OVERHEAD};

/// RFC 8446, 4: the one message that is expected behind the handshake. We resume nothing and skip it.
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// An alert's level and number.
const ALERT_LEN: usize = 2;

/// A TLS connection over a transport, as a client.
///
/// Its end is an end only if the peer has said so: a connection that is cut gives [`Code::Truncated`]. After an error nothing
/// more is delivered.
pub struct Tls<'d, T> {
    transport: T,
    read: Keys,
    write: Keys,
    /// The record under way, encrypted or not any more; `came` bytes of it are here.
    rx: Wiped<'d>,
    came: usize,
    /// What of it is application data that was not read yet.
    data: Range<usize>,
    /// Sealed records; those in `queued` have not been written.
    tx: Wiped<'d>,
    queued: Range<usize>,
    skip: Skip,
    input: Input,
    /// `close_notify` or another alert is queued, or it is too late for that.
    finished: bool,
}

/// A board's session over TLS: [`Connector::connect_tls`](crate::Connector::connect_tls) makes it.
pub type TlsSession<'d, C> = Session<Parts<Tls<'d, Tcp<'d>>, &'d mut [u8], BoardClock<'d>>, C>;

/// What can still be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// The peer has said that it is done.
    Ended,
    Failed(Error),
}

/// A handshake message that is skipped, in whatever pieces it comes.
#[derive(Default)]
struct Skip {
    /// Its type and length.
    head: [u8; 4],
    came: usize,
    left: usize,
}

impl<'d, T: Transport> Tls<'d, T> {
    /// Shakes hands over `transport`. Takes as long as the peer likes: bound it with a time-out, as
    /// [`Connector::connect_tls`](crate::Connector::connect_tls) does. A future that is dropped leaves nothing behind.
    ///
    /// `rng` is the board's generator of true random numbers, or one that it has seeded; whoever can guess what it says can read
    /// everything.
    ///
    /// # Errors
    /// The peer is told by an alert, the same that is [on the wire](Error::wire).
    /// * [`Code::UnknownAuthority`], [`Code::CertificateExpired`], [`Code::CertificateNotYetValid`], [`Code::WrongName`],
    ///   [`Code::WrongUsage`], [`Code::WrongPin`], [`Code::BadCertificate`], [`Code::CertificateRequired`]: what is wrong with the
    ///   server's certificate. [`Code::Unsupported`]: its key or signature is no P-256.
    /// * [`Code::HandshakeFailed`]: the peer ended the handshake, as its alert on the wire says, or does not speak TLS 1.3.
    /// * [`Code::BadRecord`], [`Code::ProtocolViolation`]: it broke TLS, or does not speak it.
    /// * [`Code::MessageTooLarge`]: its certificates do not fit the memory. [`Code::BufferFull`]: ours do not.
    /// * [`Code::Truncated`]: it ended the connection without saying why.
    /// * The transport's own.
    pub async fn connect<const RECORD: usize, const SEND: usize>(
        mut transport: T,
        config: &TlsConfig<'_>,
        rng: &mut dyn CryptoRngCore,
        memory: &'d mut TlsMemory<RECORD, SEND>,
    ) -> Result<Self> {
        let (mut rx, mut tx) = memory.split();
        let (read, write) = handshake::shake(&mut transport, config, rng, &mut rx, &mut tx).await?;
        // Keys have passed through them.
        rx.wipe();
        tx.wipe();
        Ok(Self {
            transport,
            read,
            write,
            rx,
            came: 0,
            data: 0..0,
            tx,
            queued: 0..0,
            skip: Skip::default(),
            input: Input::Open,
            finished: false,
        })
    }

    /// The transport below, with whatever it still has to deliver.
    pub fn into_inner(self) -> T {
        self.transport
    }

    /// Receives until there is a whole record.
    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let want = match self.rx.first_chunk() {
                Some(header) if self.came >= HEADER => HEADER + self.body(*header)?,
                _ => HEADER,
            };
            if self.came == want && want > HEADER {
                return Poll::Ready(Ok(()));
            }
            let place = self.rx.get_mut(self.came..want).ok_or(Code::BadRecord)?;
            match ready!(self.transport.poll_read(cx, place))? {
                0 => return Poll::Ready(Err(Code::Truncated.into())),
                n => self.came += n,
            }
        }
    }

    /// How long the record's body is. RFC 8446, 5: behind the handshake all records are encrypted, so that one which is not is
    /// somebody else's.
    fn body(&self, header: [u8; HEADER]) -> Result<usize> {
        match Header::parse(header, self.rx.len() - HEADER)? {
            Header { content: DATA, len } => Ok(len),
            _ => Err(alert::telling(Code::ProtocolViolation, alert::UNEXPECTED_MESSAGE)),
        }
    }

    /// Decrypts the record that is here and does what it says.
    fn take_record(&mut self) -> Result<()> {
        let (content, len) = self.read.open(&mut self.rx[..self.came])?;
        self.came = 0;
        let text = &self.rx[HEADER..HEADER + len];
        match (content, text) {
            // RFC 8446, 4.6: no other message may come between the pieces of one.
            (DATA, _) if self.skip.came == 0 => self.data = HEADER..HEADER + len,
            (HANDSHAKE, [_, ..]) => self.skip.take(text)?,
            (ALERT, [_, alert::CLOSE_NOTIFY]) => self.input = Input::Ended,
            // RFC 8446, 6.1: close_notify should follow.
            (ALERT, [_, alert::USER_CANCELED]) => {}
            (ALERT, [_, number]) => {
                // RFC 8446, 6.2: nothing more is said to a peer that has failed.
                self.finished = true;
                return Err(alert::told(*number, Code::ConnectionClosed));
            }
            _ => return Err(alert::telling(Code::ProtocolViolation, alert::UNEXPECTED_MESSAGE)),
        }
        Ok(())
    }

    /// Fails for good, and queues the alert for it.
    fn fail(&mut self, error: Error) {
        self.input = Input::Failed(error);
        match error.wire() {
            0 => self.finished = true,
            number => self.say_goodbye([alert::FATAL, number as u8]),
        }
    }

    /// Queues an alert behind what is queued, unless there was one. There is always room: see `poll_write`.
    fn say_goodbye(&mut self, alert: [u8; ALERT_LEN]) {
        if core::mem::replace(&mut self.finished, true) {
            return;
        }
        if self.queued.is_empty() {
            self.queued = 0..0;
        }
        let place = &mut self.tx[self.queued.end..];
        place[HEADER..HEADER + ALERT_LEN].copy_from_slice(&alert);
        // A key that is used up has nothing to say any more.
        self.queued.end += self.write.seal(place, ALERT_LEN, ALERT).unwrap_or(0);
    }

    /// Writes what is queued.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.queued.is_empty() {
            match ready!(self.transport.poll_write(cx, &self.tx[self.queued.clone()]))? {
                0 => return Poll::Ready(Err(Code::SendFailed.into())),
                n => self.queued.start += n.min(self.queued.len()),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The error, once the alert for it has left: whoever hears of it cuts the connection. Otherwise goes on.
    fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Input::Failed(error) = self.input else { return Poll::Ready(Ok(())) };
        // What the transport now says of itself changes nothing.
        if let Ok(()) = ready!(self.poll_drain(cx)) {
            let _ = ready!(self.transport.poll_finish(cx));
        }
        self.queued = 0..0;
        Poll::Ready(Err(error))
    }
}

impl<T: Transport> Transport for Tls<'_, T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        loop {
            if !self.data.is_empty() {
                let n = self.data.len().min(buf.len());
                buf[..n].copy_from_slice(&self.rx[self.data.start..self.data.start + n]);
                self.data.start += n;
                return Poll::Ready(Ok(n));
            }
            ready!(self.poll_failed(cx))?;
            if self.input == Input::Ended {
                return Poll::Ready(Ok(0));
            }
            let taken = match self.poll_record(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(came) => came.and_then(|()| self.take_record()),
            };
            if let Err(error) = taken {
                self.fail(error);
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_failed(cx))?;
        if self.finished {
            return Poll::Ready(Err(Error::new(Code::ConnectionClosed).blame(Fault::Local)));
        }
        ready!(self.poll_drain(cx))?;
        // An alert must find room behind it.
        let most = self.tx.len() - OVERHEAD - (OVERHEAD + ALERT_LEN);
        let n = buf.len().min(most).min(CONTENT_MAX);
        self.tx[HEADER..HEADER + n].copy_from_slice(&buf[..n]);
        let len = self.write.seal(&mut self.tx, n, DATA)?;
        self.queued = 0..len;
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(n)),
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.input {
            Input::Open if self.data.is_empty() => self.transport.poll_readable(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn is_midway(&self) -> Option<bool> {
        Some(self.came > 0)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_failed(cx))?;
        ready!(self.poll_drain(cx))?;
        self.transport.poll_flush(cx)
    }

    /// Says `close_notify` (RFC 8446, 6.1). The peer can still be read from.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_failed(cx))?;
        self.say_goodbye([alert::WARNING, alert::CLOSE_NOTIFY]);
        ready!(self.poll_drain(cx))?;
        self.transport.poll_finish(cx)
    }

    fn abort(&mut self, why: Error) {
        self.transport.abort(why);
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.transport.peer()
    }
}

impl Skip {
    /// Takes messages, or pieces of them, that are not for us.
    fn take(&mut self, mut text: &[u8]) -> Result<()> {
        while let [first, rest @ ..] = text {
            if self.came < self.head.len() {
                self.head[self.came] = *first;
                self.came += 1;
                text = rest;
                if self.came == self.head.len() {
                    self.left = self.checked()?;
                }
            } else {
                let n = self.left.min(text.len());
                self.left -= n;
                text = &text[n..];
            }
            if self.came == self.head.len() && self.left == 0 {
                self.came = 0;
            }
        }
        Ok(())
    }

    /// The message's length, if it may be skipped.
    fn checked(&self) -> Result<usize> {
        let [message, length @ ..] = self.head;
        let [high, middle, low] = length.map(usize::from);
        match message {
            NEW_SESSION_TICKET => Ok(high << 16 | middle << 8 | low),
            // RFC 8446, 4.6.3: embedded-tls does not tell what the next key is made of.
            KEY_UPDATE => Err(alert::telling(Code::Unsupported, alert::INTERNAL_ERROR)),
            _ => Err(alert::telling(Code::ProtocolViolation, alert::UNEXPECTED_MESSAGE)),
        }
    }
}
