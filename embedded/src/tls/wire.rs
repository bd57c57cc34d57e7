//! What embedded-tls reads from and writes to while it shakes hands: records, screened on their way.

use core::cell::Cell;
use core::future::poll_fn;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::KeyInit;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use netloom_core::{Code, Error, Result, Transport};
use zeroize::Zeroize;

use super::alert;
use super::record::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, HEADER, Header, Keys, seal};
use super::suite::{QUESTION, SECRET};

/// Records of a server's side of the handshake: seven messages and a ChangeCipherSpec are usual.
const RECORDS_MAX: u8 = 32;

/// How far the server has come in proving who it is.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    /// It has shown nothing.
    Nothing,
    /// It has shown certificates, and they are right.
    Shown,
    /// It has signed with the certificate's key.
    Given,
    /// It has failed, or we have.
    Failed(Error),
}

/// What the server has to prove before it is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// That it has a certificate's key.
    Signature,
    /// That it knows the pre-shared key, and its Finished does.
    PreSharedKey,
}

/// A key and a nonce.
type Secret = ([u8; 16], [u8; 12]);

/// Why the handshake cannot go on.
#[derive(Clone, Copy)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether the peer does not know yet.
    pub(super) tell: bool,
}

/// The handshake's transport, for embedded-tls.
pub(super) struct Wire<'a, T> {
    transport: &'a mut T,
    /// Where records are sealed.
    out: &'a mut [u8],
    /// The longest record that embedded-tls has room for.
    room: usize,
    wanted: Wanted,
    proof: &'a Cell<Proof>,
    /// The handshake is done and embedded-tls is asked for its keys: nothing is sent or received.
    asking: &'a Cell<bool>,
    /// Bytes of the question that it has.
    asked: usize,
    /// The header of the record under way, how many bytes of it have come, and how many embedded-tls has.
    header: [u8; HEADER],
    came: usize,
    given: usize,
    /// What is still to come of the record's body.
    left: usize,
    records: u8,
    /// The ServerHello has passed: what follows is encrypted.
    encrypted: bool,
    /// Key and nonce of a record that embedded-tls has made and that was not sent.
    secret: Option<Secret>,
    failure: Option<Failure>,
}

impl<'a, T: Transport> Wire<'a, T> {
    pub(super) fn new(
        transport: &'a mut T,
        out: &'a mut [u8],
        room: usize,
        wanted: Wanted,
        proof: &'a Cell<Proof>,
        asking: &'a Cell<bool>,
    ) -> Self {
        Self {
            transport,
            out,
            room,
            wanted,
            proof,
            asking,
            asked: 0,
            header: [0; HEADER],
            came: 0,
            given: 0,
            left: 0,
            records: 0,
            encrypted: false,
            secret: None,
            failure: None,
        }
    }

    /// The key that was told.
    pub(super) fn told(&self) -> Option<Keys> {
        self.secret.map(|(key, iv)| Keys::new(&key, iv))
    }

    /// Why it failed, if it did so here or in proving who the server is; `otherwise` is embedded-tls's own view.
    pub(super) fn failure(&self, otherwise: impl FnOnce(bool) -> Error) -> Failure {
        match (self.failure, self.proof.get()) {
            (Some(failure), _) => failure,
            (None, Proof::Failed(error)) => Failure { error, tell: true },
            (None, _) => Failure { error: otherwise(self.encrypted), tell: true },
        }
    }

    /// Sends the alert that goes with `error`, as well as that can be, and no more.
    pub(super) async fn tell(&mut self, error: Error) -> Result<()> {
        let number = match error.wire() {
            0 => alert::INTERNAL_ERROR,
            number => number as u8,
        };
        let record = [ALERT, 3, 3, 0, 2, alert::FATAL, number];
        match self.secret {
            // In the place of the record that is not sent.
            Some(secret) => self.send(&[alert::FATAL, number, ALERT], secret).await?,
            // RFC 8446, 6 wants it encrypted once there are keys, and embedded-tls does not tell them before the end. Servers
            // take it like this too, because until our first encrypted record they cannot know better.
            None => self.send_all(None, &record).await?,
        }
        poll_fn(|cx| self.transport.poll_flush(cx)).await
    }

    fn fail(&mut self, error: Error, tell: bool) -> ErrorKind {
        self.failure.get_or_insert(Failure { error, tell });
        ErrorKind::Other
    }

    /// Receives into the header or, if there is one, `body`.
    async fn receive(&mut self, body: Option<&mut [u8]>) -> Result<usize, ErrorKind> {
        let buf = match body {
            Some(body) => body,
            None => &mut self.header[self.came..],
        };
        match poll_fn(|cx| self.transport.poll_read(cx, buf)).await {
            Ok(0) => Err(self.fail(Code::Truncated.into(), false)),
            Ok(n) => Ok(n),
            Err(error) => Err(self.fail(error, false)),
        }
    }

    /// Receives headers until there is one that embedded-tls should see.
    async fn next_record(&mut self) -> Result<(), ErrorKind> {
        loop {
            (self.came, self.given) = (0, 0);
            while self.came < HEADER {
                self.came += self.receive(None).await?;
            }
            let header = Header::parse(self.header, self.room);
            let Header { content, len } = header.map_err(|error| self.fail(error, true))?;
            self.records += 1;
            match (content, len) {
                _ if self.records > RECORDS_MAX => {}
                (HANDSHAKE, _) if !self.encrypted => {
                    (self.left, self.encrypted) = (len, true);
                    return Ok(());
                }
                (DATA, _) if self.encrypted => {
                    self.left = len;
                    return Ok(());
                }
                // RFC 8446, 5: one of these may come at any time before Finished and says nothing.
                (CHANGE_CIPHER_SPEC, 1) => {
                    let mut specification = [0];
                    self.receive(Some(&mut specification)).await?;
                    if specification == [1] {
                        continue;
                    }
                }
                (ALERT, 2) => {
                    let mut alert = [0; 2];
                    let mut came = 0;
                    while came < 2 {
                        came += self.receive(Some(&mut alert[came..])).await?;
                    }
                    return Err(self.fail(alert::told(alert[1], Code::HandshakeFailed), false));
                }
                _ => {}
            }
            let error = alert::telling(Code::ProtocolViolation, alert::UNEXPECTED_MESSAGE);
            return Err(self.fail(error, true));
        }
    }

    /// Whether the server has proved what it must before it hears more from us.
    fn prove(&mut self) -> Result<(), ErrorKind> {
        let error = match (self.wanted, self.proof.get()) {
            (Wanted::Signature, Proof::Given) | (Wanted::PreSharedKey, Proof::Nothing) => return Ok(()),
            (_, Proof::Failed(error)) => error,
            // embedded-tls does not mind a Finished before, or instead of, the certificate.
            _ => alert::telling(Code::CertificateRequired, alert::UNEXPECTED_MESSAGE),
        };
        Err(self.fail(error, true))
    }

    /// Seals `text`, whose last byte is its type, and sends it.
    async fn send(&mut self, text: &[u8], (key, nonce): Secret) -> Result<()> {
        let place = self.out.get_mut(HEADER..HEADER + text.len()).ok_or(Code::BufferFull)?;
        place.copy_from_slice(text);
        let len = seal(&Aes128Gcm::new((&key).into()), nonce, self.out, text.len())?;
        self.send_all(Some(len), &[]).await
    }

    /// Sends so much of what is sealed, or `bytes`.
    async fn send_all(&mut self, sealed: Option<usize>, bytes: &[u8]) -> Result<()> {
        let mut rest = match sealed {
            Some(len) => &self.out[..len],
            None => bytes,
        };
        while !rest.is_empty() {
            match poll_fn(|cx| self.transport.poll_write(cx, rest)).await? {
                0 => return Err(Code::SendFailed.into()),
                n => rest = rest.get(n..).unwrap_or_default(),
            }
        }
        Ok(())
    }
}

impl<T> Drop for Wire<'_, T> {
    fn drop(&mut self) {
        if let Some((key, nonce)) = &mut self.secret {
            key.zeroize();
            nonce.zeroize();
        }
    }
}

impl<T> ErrorType for Wire<'_, T> {
    type Error = ErrorKind;
}

impl<T: Transport> Read for Wire<'_, T> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.asking.get() {
            let n = hand_on(&QUESTION, self.asked, buf);
            self.asked += n;
            return Ok(n);
        }
        if self.left == 0 {
            self.next_record().await?;
        }
        if self.given < HEADER {
            let n = hand_on(&self.header, self.given, buf);
            self.given += n;
            return Ok(n);
        }
        let most = self.left.min(buf.len());
        let n = self.receive(Some(&mut buf[..most])).await?;
        self.left -= n;
        Ok(n)
    }
}

impl<T: Transport> Write for Wire<'_, T> {
    /// Takes a whole record: embedded-tls writes one at a time.
    async fn write(&mut self, record: &[u8]) -> Result<usize, ErrorKind> {
        let sent = match record {
            [HANDSHAKE, ..] => self.send_all(None, record).await,
            [DATA, ..] => {
                let body = record.get(HEADER..).and_then(|body| body.split_last_chunk::<SECRET>());
                let Some((text, told)) = body else {
                    return Err(self.fail(Error::new(Code::Unsupported), false));
                };
                let (key, nonce) = told.split_at(16);
                let (Ok(key), Ok(nonce)) = (key.try_into(), nonce.try_into()) else {
                    unreachable!("16 and 12 bytes")
                };
                self.secret = Some((key, nonce));
                if self.asking.get() {
                    return Ok(record.len());
                }
                self.prove()?;
                let sent = self.send(text, (key, nonce)).await;
                self.secret = None;
                sent
            }
            // embedded-tls labels its alerts so that nobody understands them; ours says the same.
            _ => Ok(()),
        };
        match sent {
            Ok(()) => Ok(record.len()),
            Err(error) => Err(self.fail(error, false)),
        }
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        match self.asking.get() {
            true => Ok(()),
            false => {
                let flushed = poll_fn(|cx| self.transport.poll_flush(cx)).await;
                flushed.map_err(|error| self.fail(error, false))
            }
        }
    }
}

/// Copies what fits of `bytes`, without those that were `given` before.
fn hand_on(bytes: &[u8], given: usize, buf: &mut [u8]) -> usize {
    let rest = bytes.get(given..).unwrap_or_default();
    let n = rest.len().min(buf.len());
    buf[..n].copy_from_slice(&rest[..n]);
    n
}
