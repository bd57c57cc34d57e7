//! A server of TLS 1.3 that does what no server may, against the boards' client: it has the keys, and so comes past what looks
//! at records from outside.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::Read;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use netloom_core::{Code, Error, Result, Transport};
use netloom_embedded::tls::{self, ServerName, Time, Tls, TlsConfig, TlsMemory, Trust};
use p256::ecdh::EphemeralSecret;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::{EncodedPoint, PublicKey};
use rand_core::OsRng;
use sha2::{Digest, Sha256};

/// A message of the server's, or something else it sends.
#[derive(Clone, Debug)]
enum Say {
    /// A handshake message of this type.
    Message(u8, Vec<u8>),
    /// CertificateVerify, by the right key.
    Signature,
    /// The right Finished.
    Finished,
    /// What was said so far leaves as one record.
    Send,
    /// A record with this inside, type and all.
    Sealed(Vec<u8>),
    /// A record that is not encrypted.
    Plain(Vec<u8>),
    /// What follows is sealed with the keys of application data.
    Data,
}

const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_VERIFY: u8 = 15;
const FINISHED: u8 = 20;

/// A certificate as far as the client looks at it: it is trusted whatever it says.
fn certificate(key: &SigningKey) -> Vec<u8> {
    let point = EncodedPoint::from(key.verifying_key());
    let mut key_info = vec![
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    key_info.extend(point.as_bytes());
    // Serial, signature, issuer, validity, subject; nobody looks at them.
    let tbs: Vec<u8> = [&[0x02, 0x01, 1, 0x30, 0, 0x30, 0, 0x30, 0, 0x30, 0][..], &key_info].concat();
    let tbs = [&[0x30, tbs.len() as u8][..], &tbs].concat();
    let der = [&[0x30, tbs.len() as u8][..], &tbs].concat();
    let entry = [&u24(der.len())[..], &der, &[0, 0]].concat();
    [&[0][..], &u24(entry.len()), &entry].concat()
}

fn u24(len: usize) -> [u8; 3] {
    [0, (len >> 8) as u8, len as u8]
}

struct Anyone;

impl Trust for Anyone {
    fn judge(&self, _: &[&[u8]], _: ServerName<'_>, _: Time) -> Result<()> {
        Ok(())
    }
}

fn expand(secret: &[u8], label: &str, context: &[u8], len: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let mut info = (len as u16).to_be_bytes().to_vec();
    info.push(label.len() as u8);
    info.extend(label.as_bytes());
    info.push(context.len() as u8);
    info.extend(context);
    let mut out = vec![0; len];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn extract(salt: &[u8], input: &[u8]) -> Vec<u8> {
    Hkdf::<Sha256>::extract(Some(salt), input).0.to_vec()
}

struct Sealer {
    cipher: Aes128Gcm,
    iv: Vec<u8>,
    number: u8,
}

impl Sealer {
    fn new(secret: &[u8]) -> Self {
        let key = expand(secret, "key", &[], 16);
        Self {
            cipher: Aes128Gcm::new_from_slice(&key).unwrap(),
            iv: expand(secret, "iv", &[], 12),
            number: 0,
        }
    }

    fn seal(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv.clone();
        nonce[11] ^= self.number;
        self.number += 1;
        let length = (inner.len() + 16) as u16;
        let header = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
        let payload = Payload { msg: inner, aad: &header };
        let sealed = self.cipher.encrypt(Nonce::from_slice(&nonce), payload).unwrap();
        [header, sealed].concat()
    }
}

/// Answers a ClientHello with everything it has to say, and ends.
struct Hostile {
    script: Vec<Say>,
    key: SigningKey,
    heard: Vec<u8>,
    answer: Option<VecDeque<u8>>,
}

impl Hostile {
    fn new(script: impl FnOnce(Vec<u8>) -> Vec<Say>) -> Self {
        let key = SigningKey::random(&mut OsRng);
        Self { script: script(certificate(&key)), key, heard: Vec::new(), answer: None }
    }

    fn answer(&self) -> Vec<u8> {
        let hello = &self.heard[5..];
        let share = hello.windows(4).position(|bytes| bytes == [0, 23, 0, 65]).unwrap() + 4;
        let client = PublicKey::from_sec1_bytes(&hello[share..share + 65]).unwrap();
        let secret = EphemeralSecret::random(&mut OsRng);
        let point = EncodedPoint::from(secret.public_key());
        let mut body = vec![3, 3];
        body.extend([0x55; 32]);
        body.extend([0, 0x13, 0x01, 0, 0, 79, 0, 43, 0, 2, 3, 4, 0, 51, 0, 69, 0, 23, 0, 65]);
        body.extend(point.as_bytes());
        let mut transcript = hello.to_vec();
        let hash = |transcript: &[u8]| Sha256::digest(transcript).to_vec();
        let server_hello = [&[2][..], &u24(body.len()), &body].concat();
        transcript.extend(&server_hello);
        let mut out = [&[22, 3, 3][..], &(server_hello.len() as u16).to_be_bytes(), &server_hello].concat();

        let empty = hash(&[]);
        let early = extract(&[0; 32], &[0; 32]);
        let shared = secret.diffie_hellman(&client);
        let handshake = extract(&expand(&early, "derived", &empty, 32), shared.raw_secret_bytes());
        let traffic = expand(&handshake, "s hs traffic", &hash(&transcript), 32);
        let master = extract(&expand(&handshake, "derived", &empty, 32), &[0; 32]);
        let mut sealer = Sealer::new(&traffic);
        let mut record = Vec::new();
        for say in &self.script {
            let (message, body) = match say {
                Say::Message(message, body) => (*message, body.clone()),
                Say::Signature => {
                    let blanks = [b' '; 64];
                    let signed =
                        [&blanks[..], b"TLS 1.3, server CertificateVerify\0", &hash(&transcript)].concat();
                    let signature: DerSignature = self.key.sign(&signed);
                    let bytes = signature.as_bytes();
                    (CERTIFICATE_VERIFY, [&[4, 3, 0, bytes.len() as u8][..], bytes].concat())
                }
                Say::Finished => {
                    let key = expand(&traffic, "finished", &[], 32);
                    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).unwrap();
                    mac.update(&hash(&transcript));
                    (FINISHED, mac.finalize().into_bytes().to_vec())
                }
                Say::Send => {
                    record.push(22);
                    out.extend(sealer.seal(&record));
                    record.clear();
                    continue;
                }
                Say::Sealed(inner) => {
                    out.extend(sealer.seal(inner));
                    continue;
                }
                Say::Plain(bytes) => {
                    out.extend(bytes);
                    continue;
                }
                Say::Data => {
                    sealer = Sealer::new(&expand(&master, "s ap traffic", &hash(&transcript), 32));
                    continue;
                }
            };
            let message = [&[message][..], &u24(body.len()), &body].concat();
            transcript.extend(&message);
            record.extend(message);
        }
        out
    }
}

impl Transport for Hostile {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if self.answer.is_none() {
            self.answer = Some(self.answer().into());
        }
        Poll::Ready(Ok(self.answer.as_mut().unwrap().read(buf).unwrap()))
    }
    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.heard.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// What a client hears of this server: the first bytes, or the error; and whether that came with the handshake.
fn hear(script: impl FnOnce(Vec<u8>) -> Vec<Say>) -> (Result<Vec<u8>>, bool) {
    let memory: &'static mut TlsMemory<{ tls::record(4096) }> = Box::leak(Box::default());
    let config = TlsConfig::new("anything", &Anyone, Time::NotBefore(0));
    let mut hostile = Hostile::new(script);
    match now(Tls::connect(&mut hostile, &config, &mut OsRng, memory)) {
        Ok(mut tls) => {
            let mut buf = [0; 64];
            let read = now(poll_fn(|cx| tls.poll_read(cx, &mut buf)));
            (read.map(|n| buf[..n].to_vec()), false)
        }
        Err(error) => (Err(error), true),
    }
}

fn refused(script: impl FnOnce(Vec<u8>) -> Vec<Say>) -> Error {
    match hear(script) {
        (Err(error), true) => error,
        other => panic!("the handshake went well: {other:?}"),
    }
}

/// What an honest server says, and then this with the keys of application data.
fn honestly(then: Vec<Say>) -> impl FnOnce(Vec<u8>) -> Vec<Say> {
    use Say::*;
    |certificate| {
        let mut script = vec![
            Message(ENCRYPTED_EXTENSIONS, vec![0, 0]),
            Message(CERTIFICATE, certificate),
            Signature,
            Finished,
            Send,
            Data,
        ];
        script.extend(then);
        script
    }
}

#[test]
fn an_honest_server_of_this_kind_is_heard() {
    let (heard, _) = hear(honestly(vec![Say::Sealed(b"hello\x17\0\0".to_vec())]));
    assert_eq!(heard, Ok(b"hello".to_vec()));
}

#[test]
fn who_does_not_prove_anything_is_not_answered() {
    use Say::*;
    let extensions = || Message(ENCRYPTED_EXTENSIONS, vec![0, 0]);
    assert_eq!(refused(|_| vec![extensions(), Finished, Send]), Code::CertificateRequired);
    assert_eq!(refused(|_| vec![Finished, Send]), Code::CertificateRequired);
    let shown = |certificate| vec![extensions(), Message(CERTIFICATE, certificate), Finished, Send];
    assert_eq!(refused(shown), Code::CertificateRequired);
    let empty = |_| vec![extensions(), Message(CERTIFICATE, vec![0, 0, 0, 0]), Signature, Finished, Send];
    assert_eq!(refused(empty), Code::CertificateRequired);
}

#[test]
fn a_proof_in_the_wrong_order_is_none() {
    use Say::*;
    assert_eq!(
        refused(|certificate| vec![Signature, Message(CERTIFICATE, certificate), Finished, Send]),
        Code::ProtocolViolation
    );
    // Another certificate after the signature.
    assert_eq!(
        refused(|certificate| {
            let again = certificate.clone();
            vec![Message(CERTIFICATE, certificate), Signature, Message(CERTIFICATE, again), Finished, Send]
        }),
        Code::ProtocolViolation
    );
    // And behind Finished, in the same record.
    assert_eq!(
        refused(|certificate| {
            let again = certificate.clone();
            vec![Message(CERTIFICATE, certificate), Signature, Finished, Message(CERTIFICATE, again), Send]
        }),
        Code::ProtocolViolation
    );
}

#[test]
fn handshake_messages_that_are_not_encrypted_are_refused() {
    use Say::*;
    let error = refused(|certificate| {
        let message = [&[CERTIFICATE][..], &u24(certificate.len()), &certificate].concat();
        let record = [&[22, 3, 3][..], &(message.len() as u16).to_be_bytes(), &message].concat();
        vec![Plain(record), Signature, Finished, Send]
    });
    assert_eq!((error.code(), error.wire()), (Code::ProtocolViolation, 10));
}

#[test]
fn records_that_embedded_tls_would_panic_at_are_refused() {
    use Say::*;
    // Nothing, not even a type; nothing but zeros; types that there are none of.
    for inner in [vec![], vec![0], vec![0; 100], vec![1, 2, 3, 99], vec![0, 21], vec![1, 0, 21], vec![9, 23]]
    {
        let shown = inner.clone();
        let error = refused(|_| vec![Sealed(inner), Finished, Send]);
        assert!(
            matches!(error.code(), Code::BadRecord | Code::ProtocolViolation | Code::HandshakeFailed),
            "{shown:?}: {error:?}"
        );
        let error = hear(honestly(vec![Sealed(shown.clone())]));
        match shown[..] {
            [9, 23] => assert_eq!(error.0, Ok(vec![9])),
            [1, 0, 21] => assert_eq!(error.0, Ok(vec![])),
            _ => {
                let error = error.0.unwrap_err();
                assert!(
                    matches!(error.code(), Code::BadRecord | Code::ProtocolViolation),
                    "{shown:?}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn no_handshake_message_but_tickets_comes_behind_the_handshake() {
    use Say::*;
    for message in (0..=255).filter(|message| *message != 4) {
        let (heard, early) = hear(honestly(vec![Sealed(vec![message, 0, 0, 1, 0, 22])]));
        let expected = if message == 24 { Code::Unsupported } else { Code::ProtocolViolation };
        assert_eq!(heard.unwrap_err(), expected, "message {message}");
        assert!(!early);
    }
    // In the handshake.
    for message in 0..=255 {
        refused(|_| vec![Message(message, vec![0, 0, 0]), Send, Finished, Send]);
    }
}

#[test]
fn tickets_are_passed_over_whole_and_in_pieces() {
    use Say::*;
    let ticket = [&[4, 0, 0, 30][..], &[7; 30]].concat();
    for cut in 1..ticket.len() {
        let (first, second) = ticket.split_at(cut);
        let pieces = [first, second].map(|piece| Sealed([piece, &[22]].concat()));
        let then = [&pieces[..], &[Sealed(b"hello\x17".to_vec())]].concat();
        assert_eq!(hear(honestly(then)).0, Ok(b"hello".to_vec()), "cut at {cut}");
        // RFC 8446, 5.1: nothing may come between the pieces.
        let then = vec![pieces[0].clone(), Sealed(b"hello\x17".to_vec())];
        assert_eq!(hear(honestly(then)).0.unwrap_err(), Code::ProtocolViolation);
    }
}

#[test]
fn an_alert_behind_the_handshake_is_told_by_its_number() {
    let (heard, _) = hear(honestly(vec![Say::Sealed(vec![2, 80, 21])]));
    let error = heard.unwrap_err();
    assert_eq!((error.code(), error.wire()), (Code::ConnectionClosed, 80));
    // user_canceled is followed by the end.
    let (heard, _) = hear(honestly(vec![Say::Sealed(vec![1, 90, 21]), Say::Sealed(vec![1, 0, 21])]));
    assert_eq!(heard, Ok(vec![]));
}
