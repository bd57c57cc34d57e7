//! The boards' TLS client against servers that are not ours: rustls, in this process and byte by byte, and OpenSSL.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::pin::pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use netloom_core::{Code, Error, Fault, Result, Transport};
use netloom_embedded::tls::{
    self, Authorities, ClientKey, Pin, Pins, ServerName, Time, Tls, TlsConfig, TlsMemory,
};
use rand_core::OsRng;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{AlertDescription, RootCertStore, ServerConfig, ServerConnection};
use sha2::{Digest, Sha256};

/// 2026-11-23.
const NOW: u64 = 1_795_392_000;

const NAME: &str = "reports.example";

type Memory = TlsMemory<{ tls::record(16_384) }, 2048>;

// Certificates

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn p256() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn authority(name: &str) -> Authority {
    let (params, key) = (authority_params(name), p256());
    let certificate = params.self_signed(&key).unwrap().der().clone();
    Authority { certificate, issuer: Issuer::new(params, key) }
}

/// A certificate chain, the own one first, and its key.
struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        self.sign_for(p256(), change)
    }

    fn sign_for(&self, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        let mut params = CertificateParams::new([NAME.to_string(), "192.0.2.7".to_string()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2026, 11, 1), date_time_ymd(2026, 12, 31));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Credentials { chain: vec![certificate], key }
    }

    fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let (mut params, key) = (authority_params("between"), p256());
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }
}

impl Credentials {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    fn pin(&self) -> Pin {
        Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&self.key)).into()
    }
}

// rustls, in a pipe

fn server(credentials: &Credentials) -> ServerConfig {
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(credentials.chain.clone(), credentials.key())
        .unwrap()
}

/// A server that sends back what it gets, at the other end of a pipe.
struct Pipe {
    server: ServerConnection,
    to_client: VecDeque<u8>,
    /// What the server's TLS found wrong.
    error: Option<rustls::Error>,
    /// Bytes that are handed on in one read or write.
    step: usize,
    /// Bytes after which the way to the client ends.
    cut: usize,
    /// Bytes that have been handed to the client.
    delivered: usize,
    /// Every other poll has nothing yet.
    hesitates: bool,
    hesitated: bool,
    finished: bool,
}

impl Pipe {
    fn new(config: ServerConfig) -> Self {
        Self {
            server: ServerConnection::new(Arc::new(config)).unwrap(),
            to_client: VecDeque::new(),
            error: None,
            step: usize::MAX,
            cut: usize::MAX,
            delivered: 0,
            hesitates: false,
            hesitated: false,
            finished: false,
        }
    }

    fn pump(&mut self) {
        while self.server.wants_write() {
            let mut sent = Vec::new();
            self.server.write_tls(&mut sent).unwrap();
            self.to_client.extend(sent);
        }
    }

    fn hesitate(&mut self, cx: &mut Context<'_>) -> bool {
        self.hesitated = self.hesitates && !self.hesitated;
        if self.hesitated {
            cx.waker().wake_by_ref();
        }
        self.hesitated
    }

    /// The alert that the client has sent.
    fn alert(&self) -> Option<AlertDescription> {
        match self.error {
            Some(rustls::Error::AlertReceived(alert)) => Some(alert),
            _ => None,
        }
    }
}

impl Transport for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if self.hesitate(cx) {
            return Poll::Pending;
        }
        self.pump();
        let n = buf.len().min(self.step).min(self.to_client.len()).min(self.cut - self.delivered);
        if n == 0 && self.error.is_none() && !self.finished && self.delivered < self.cut {
            return Poll::Pending;
        }
        self.to_client.read_exact(&mut buf[..n]).unwrap();
        self.delivered += n;
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if self.hesitate(cx) {
            return Poll::Pending;
        }
        let mut bytes = &buf[..buf.len().min(self.step)];
        let n = bytes.len();
        while !bytes.is_empty() && self.error.is_none() {
            self.server.read_tls(&mut bytes).unwrap();
            if let Err(error) = self.server.process_new_packets() {
                self.error = Some(error);
            }
            let mut text = Vec::new();
            match self.server.reader().read_to_end(&mut text) {
                Ok(_) => self.finished = true, // close_notify
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            self.server.writer().write_all(&text).unwrap();
            if self.finished {
                self.server.send_close_notify();
            }
        }
        Poll::Ready(Ok(n))
    }

    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

// Driving a client

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..10_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("it waits for ever");
}

fn memory() -> &'static mut Memory {
    Box::leak(Box::default())
}

fn connect<T: Transport>(transport: T, config: &TlsConfig<'_>) -> Result<Tls<'static, T>> {
    block_on(Tls::connect(transport, config, &mut OsRng, memory()))
}

fn write(tls: &mut impl Transport, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let n = block_on(std::future::poll_fn(|cx| tls.poll_write(cx, bytes)))?;
        bytes = &bytes[n..];
    }
    block_on(std::future::poll_fn(|cx| tls.poll_flush(cx)))
}

fn read(tls: &mut impl Transport, buf: &mut [u8]) -> Result<usize> {
    block_on(std::future::poll_fn(|cx| tls.poll_read(cx, buf)))
}

fn read_exact(tls: &mut impl Transport, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut came = 0;
    while came < len {
        match read(tls, &mut bytes[came..])? {
            0 => return Err(Code::ReceiveFailed.into()),
            n => came += n,
        }
    }
    Ok(bytes)
}

fn echoes(tls: &mut impl Transport, len: usize) {
    let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
    write(tls, &bytes).unwrap();
    assert_eq!(read_exact(tls, len).unwrap(), bytes, "{len} bytes");
}

fn finish(tls: &mut impl Transport) -> Result<()> {
    block_on(std::future::poll_fn(|cx| tls.poll_finish(cx)))
}

/// A client that trusts `authority`, against a server with these credentials.
fn meet(authority: &Authority, credentials: &Credentials) -> (Result<()>, Option<AlertDescription>) {
    let roots = [&authority.certificate[..]];
    let trust = Authorities::new(&roots);
    meet_as(&TlsConfig::new(NAME, &trust, Time::Known(NOW)), server(credentials))
}

fn meet_as(config: &TlsConfig<'_>, server: ServerConfig) -> (Result<()>, Option<AlertDescription>) {
    let mut pipe = Pipe::new(server);
    let result = connect(&mut pipe, config).map(|mut tls| echoes(&mut tls, 100));
    (result, pipe.alert())
}

fn refused((result, alert): (Result<()>, Option<AlertDescription>), code: Code, expected: AlertDescription) {
    let error = result.unwrap_err();
    assert_eq!(error, code);
    assert_eq!(error.wire(), u16::from(u8::from(expected)), "{error:?}");
    assert_eq!(alert, Some(expected));
}

#[test]
fn a_server_that_the_authority_vouches_for_is_spoken_to() {
    let ca = authority("ours");
    let (result, alert) = meet(&ca, &ca.sign(|_| {}));
    assert_eq!((result, alert), (Ok(()), None));
}

#[test]
fn data_of_many_sizes_arrives_whole() {
    let ca = authority("ours");
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let pipe = Pipe::new(server(&ca.sign(|_| {})));
    let mut tls = connect(pipe, &TlsConfig::new(NAME, &trust, Time::Known(NOW))).unwrap();
    for len in (1..70).chain([1000, 1981, 1982, 1983, 2047, 2048, 16_383, 16_384, 16_385, 60_000]) {
        echoes(&mut tls, len);
    }
}

#[test]
fn an_intermediate_authority_may_stand_between() {
    let ca = authority("ours");
    let between = ca.intermediate(|_| {});
    let mut credentials = between.sign(|_| {});
    assert_eq!(meet(&ca, &credentials).0.unwrap_err(), Code::UnknownAuthority);
    credentials.chain.push(between.certificate.clone());
    assert_eq!(meet(&ca, &credentials).0, Ok(()));
}

#[test]
fn an_address_may_be_the_name() {
    let ca = authority("ours");
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let credentials = ca.sign(|_| {});
    let to = |address: Ipv4Addr| {
        let config = TlsConfig::new(IpAddr::V4(address), &trust, Time::Known(NOW));
        meet_as(&config, server(&credentials))
    };
    assert_eq!(to(Ipv4Addr::new(192, 0, 2, 7)).0, Ok(()));
    refused(to(Ipv4Addr::new(192, 0, 2, 8)), Code::WrongName, AlertDescription::BadCertificate);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let ca = authority("ours");
    let credentials = ca.sign(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("other.example".try_into().unwrap())];
        params.distinguished_name.push(rcgen::DnType::CommonName, NAME); // does not count
    });
    refused(meet(&ca, &credentials), Code::WrongName, AlertDescription::BadCertificate);
}

#[test]
fn an_expired_certificate_is_refused_by_a_known_time_and_by_a_floor() {
    let ca = authority("ours");
    let credentials = ca.sign(|params| params.not_after = date_time_ymd(2026, 11, 22));
    refused(meet(&ca, &credentials), Code::CertificateExpired, AlertDescription::CertificateExpired);
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let since = |floor| meet_as(&TlsConfig::new(NAME, &trust, Time::NotBefore(floor)), server(&credentials));
    refused(since(NOW), Code::CertificateExpired, AlertDescription::CertificateExpired);
    assert_eq!(since(NOW - 30 * 86_400).0, Ok(()));
}

#[test]
fn a_certificate_of_the_future_is_refused_unless_only_a_floor_is_known() {
    let ca = authority("ours");
    let between = ca.intermediate(|params| params.not_before = date_time_ymd(2026, 11, 28));
    let mut credentials = between.sign(|params| params.not_before = date_time_ymd(2026, 11, 30));
    credentials.chain.push(between.certificate.clone());
    refused(meet(&ca, &credentials), Code::CertificateNotYetValid, AlertDescription::CertificateExpired);
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(NAME, &trust, Time::NotBefore(NOW));
    assert_eq!(meet_as(&config, server(&credentials)).0, Ok(()));
}

#[test]
fn an_authority_that_is_not_trusted_is_refused_even_by_the_same_name() {
    let credentials = authority("ours").sign(|_| {});
    let (result, alert) = meet(&authority("theirs"), &credentials);
    refused((result, alert), Code::UnknownAuthority, AlertDescription::UnknownCA);
    let (result, _) = meet(&authority("ours"), &credentials); // another key
    assert_eq!(result.unwrap_err(), Code::BadCertificate);
}

#[test]
fn one_of_several_authorities_is_enough() {
    let (ca, other) = (authority("ours"), authority("theirs"));
    let credentials = ca.sign(|_| {});
    let roots = [&other.certificate[..], &ca.certificate[..], &other.certificate[..]];
    let trust = Authorities::new(&roots);
    assert_eq!(meet_as(&TlsConfig::new(NAME, &trust, Time::Known(NOW)), server(&credentials)).0, Ok(()));
}

#[test]
fn a_certificate_for_another_use_is_refused() {
    let ca = authority("ours");
    let credentials =
        ca.sign(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    refused(meet(&ca, &credentials), Code::WrongUsage, AlertDescription::UnsupportedCertificate);
    let credentials = ca.sign(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    refused(meet(&ca, &credentials), Code::WrongUsage, AlertDescription::UnsupportedCertificate);
}

#[test]
fn a_server_is_no_authority() {
    let ca = authority("ours");
    let honest = ca.sign(|_| {});
    let params = CertificateParams::new([NAME.to_string()]).unwrap();
    let greedy = Authority { certificate: honest.chain[0].clone(), issuer: Issuer::new(params, honest.key) };
    let mut credentials = greedy.sign(|_| {});
    credentials.chain.push(greedy.certificate.clone());
    let (result, _) = meet(&ca, &credentials);
    assert!(matches!(result.unwrap_err().code(), Code::BadCertificate | Code::UnknownAuthority));
}

#[test]
fn a_key_that_is_not_p256_is_unsupported() {
    let ca = authority("ours");
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    refused(
        meet(&ca, &ca.sign_for(key, |_| {})),
        Code::Unsupported,
        AlertDescription::UnsupportedCertificate,
    );
}

#[test]
fn a_pinned_key_needs_no_authority_and_another_is_refused() {
    let credentials = authority("ours").sign(|params| params.not_after = date_time_ymd(2026, 11, 2));
    let pins = [[0; 32], credentials.pin()];
    let by =
        |pins| meet_as(&TlsConfig::new("anything", &Pins(pins), Time::NotBefore(0)), server(&credentials));
    assert_eq!(by(&pins).0, Ok(()));
    refused(by(&pins[..1]), Code::WrongPin, AlertDescription::CertificateUnknown);
}

#[test]
fn a_pin_beside_an_authority_asks_for_both() {
    let ca = authority("ours");
    let credentials = ca.sign(|_| {});
    let roots = [&ca.certificate[..]];
    let pins = [credentials.pin()];
    let by = |pins, name| {
        let trust = Authorities::new(&roots).pinned(pins);
        meet_as(&TlsConfig::new(name, &trust, Time::Known(NOW)), server(&credentials))
    };
    assert_eq!(by(&pins, NAME).0, Ok(()));
    refused(by(&[[0; 32]], NAME), Code::WrongPin, AlertDescription::CertificateUnknown);
    refused(by(&pins, "other.example"), Code::WrongName, AlertDescription::BadCertificate);
}

#[test]
fn who_shows_a_certificate_without_its_key_is_refused() {
    let ca = authority("ours");
    let mut credentials = ca.sign(|_| {});
    let honest = server(&credentials);
    credentials.key = p256();
    #[derive(Debug)]
    struct Stolen(Arc<rustls::sign::CertifiedKey>);
    impl rustls::server::ResolvesServerCert for Stolen {
        fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(self.0.clone())
        }
    }
    let key = honest.crypto_provider().key_provider.load_private_key(credentials.key()).unwrap();
    let stolen = Stolen(Arc::new(rustls::sign::CertifiedKey::new(credentials.chain.clone(), key)));
    let thief = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(stolen));
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(NAME, &trust, Time::Known(NOW));
    refused(meet_as(&config, thief), Code::BadCertificate, AlertDescription::DecryptError);
}

// Clients with certificates

fn asking(ca: &Authority, clients: &Authority) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(clients.certificate.clone()).unwrap();
    let credentials = ca.sign(|_| {});
    ServerConfig::builder()
        .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        .with_single_cert(credentials.chain.clone(), credentials.key())
        .unwrap()
}

fn client(ca: &Authority) -> Credentials {
    ca.sign(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1); // rustls asks the system for the time
        params.not_after = date_time_ymd(2099, 1, 1);
    })
}

#[test]
fn a_server_that_asks_who_we_are_is_told() {
    let (ca, clients) = (authority("ours"), authority("clients"));
    let us = client(&clients);
    let identity = ClientKey::new(&us.chain[0], &us.key.serialize_der()).unwrap();
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(NAME, &trust, Time::Known(NOW)).identity(&identity);
    let mut pipe = Pipe::new(asking(&ca, &clients));
    let mut tls = connect(&mut pipe, &config).unwrap();
    echoes(&mut tls, 100);
    drop(tls);
    assert_eq!(pipe.server.peer_certificates().unwrap(), &us.chain);
    // And one that does not ask is content.
    assert_eq!(meet_as(&config, server(&ca.sign(|_| {}))).0, Ok(()));
}

#[test]
fn a_server_that_needs_a_certificate_and_gets_none_says_so() {
    let (ca, clients) = (authority("ours"), authority("clients"));
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(NAME, &trust, Time::Known(NOW));
    // A TLS 1.3 client is done before the server has seen its certificate: the answer comes with the first read.
    let mut tls = connect(Pipe::new(asking(&ca, &clients)), &config).unwrap();
    let error = read(&mut tls, &mut [0; 9]).unwrap_err();
    assert_eq!((error.code(), error.fault(), error.wire()), (Code::CertificateRequired, Fault::Local, 116));
}

#[test]
fn a_certificate_that_the_server_does_not_like_is_refused_by_it() {
    let (ca, clients) = (authority("ours"), authority("clients"));
    let us = client(&authority("strangers"));
    let identity = ClientKey::new(&us.chain[0], &us.key.serialize_der()).unwrap();
    let roots = [&ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(NAME, &trust, Time::Known(NOW)).identity(&identity);
    let mut tls = connect(Pipe::new(asking(&ca, &clients)), &config).unwrap();
    let error = read(&mut tls, &mut [0; 9]).unwrap_err();
    assert_eq!((error.code(), error.fault(), error.wire()), (Code::CertificateRefused, Fault::Local, 48));
}

// The way of the bytes

struct Fixture {
    ca: Authority,
    credentials: Credentials,
}

impl Fixture {
    fn new() -> Self {
        let ca = authority("ours");
        let credentials = ca.sign(|_| {});
        Self { ca, credentials }
    }

    fn pipe(&self) -> Pipe {
        Pipe::new(server(&self.credentials))
    }

    fn connect<T: Transport>(&self, transport: T) -> Result<Tls<'static, T>> {
        let roots = [&self.ca.certificate[..]];
        let trust = Authorities::new(&roots);
        connect(transport, &TlsConfig::new(NAME, &trust, Time::Known(NOW)))
    }
}

#[test]
fn bytes_may_come_and_go_one_at_a_time_and_hesitatingly() {
    let fixture = Fixture::new();
    let mut tls = fixture.connect(Pipe { step: 1, hesitates: true, ..fixture.pipe() }).unwrap();
    for len in [1, 100, 3000] {
        echoes(&mut tls, len);
    }
    finish(&mut tls).unwrap();
    assert_eq!(read(&mut tls, &mut [0; 9]), Ok(0));
}

#[test]
fn a_record_that_has_begun_is_known_to_be_midway() {
    let fixture = Fixture::new();
    let mut tls = fixture.connect(Pipe { step: 1, hesitates: true, ..fixture.pipe() }).unwrap();
    assert_eq!(tls.is_midway(), Some(false));
    write(&mut tls, b"hello").unwrap();
    let (mut buf, mut cx) = ([0; 5], Context::from_waker(Waker::noop()));
    let mut midway = 0;
    while tls.poll_read(&mut cx, &mut buf).is_pending() {
        midway += usize::from(tls.is_midway() == Some(true));
    }
    // Its header, its content with its type, and its tag; and the server's tickets.
    assert!(midway >= 5 + 6 + 16 - 1, "{midway}");
    assert_eq!((tls.is_midway(), &buf), (Some(false), b"hello"));
}

#[test]
fn a_cut_at_any_byte_is_an_error_and_delivers_nothing_false() {
    let fixture = Fixture::new();
    let mut whole = fixture.connect(fixture.pipe()).unwrap();
    echoes(&mut whole, 64);
    let length = whole.into_inner().delivered;
    let mut handshakes = 0;
    for cut in 0..length {
        match fixture.connect(Pipe { cut, ..fixture.pipe() }) {
            Err(error) => assert_eq!(error, Code::Truncated, "cut at {cut}"),
            Ok(mut tls) => {
                handshakes += 1;
                write(&mut tls, &[7; 64]).unwrap();
                let mut buf = [0; 100];
                match read(&mut tls, &mut buf) {
                    Err(error) => {
                        assert_eq!(error, Code::Truncated, "cut at {cut}");
                        assert_eq!(read(&mut tls, &mut buf).unwrap_err(), Code::Truncated, "still");
                    }
                    // Signatures differ in length by some bytes: this handshake was shorter than that measured, and all has
                    // come before the cut.
                    Ok(n) => assert!(buf[..n] == [7; 64] && length - cut < 16, "cut at {cut}: {n}"),
                }
            }
        }
    }
    assert!(handshakes > 64, "{handshakes}");
}

#[test]
fn a_changed_bit_at_any_byte_ends_the_connection() {
    let fixture = Fixture::new();
    let mut whole = fixture.connect(fixture.pipe()).unwrap();
    echoes(&mut whole, 16);
    let length = whole.into_inner().delivered;
    struct Flip(Pipe, usize);
    impl Transport for Flip {
        fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
            let from = self.0.delivered;
            let read = self.0.poll_read(cx, buf);
            if let (Poll::Ready(Ok(n)), Some(place)) = (&read, self.1.checked_sub(from))
                && place < *n
            {
                buf[place] ^= 1;
            }
            // A length that has grown is waited for until the peer loses patience.
            if read.is_pending() { Poll::Ready(Ok(0)) } else { read }
        }
        fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
            self.0.poll_write(cx, buf)
        }
        fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
            self.0.poll_readable(cx)
        }
        fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
            self.0.poll_finish(cx)
        }
    }
    let mut tolerated = 0;
    for place in 0..length {
        let echoed = fixture.connect(Flip(fixture.pipe(), place)).and_then(|mut tls| {
            write(&mut tls, &[7; 16])?;
            let text = read_exact(&mut tls, 16)?;
            Ok((text, tls.into_inner().0.delivered))
        });
        match echoed {
            Ok((text, delivered)) => {
                // Signatures differ in length: the last bytes may not have come to pass.
                tolerated += usize::from(place < delivered);
                assert_eq!(text, [7; 16], "byte {place}");
            }
            Err(error) => assert_ne!(error, Code::ReceiveFailed, "byte {place}"),
        }
    }
    // RFC 8446, 5.1: the version in the header of a record that is not encrypted means nothing. There are two: ServerHello and
    // ChangeCipherSpec.
    assert_eq!(tolerated, 2);
}

#[test]
fn close_notify_ends_each_direction() {
    let fixture = Fixture::new();
    let mut tls = fixture.connect(fixture.pipe()).unwrap();
    write(&mut tls, b"last words").unwrap();
    finish(&mut tls).unwrap();
    finish(&mut tls).unwrap();
    assert_eq!(write(&mut tls, b"more").unwrap_err(), Code::ConnectionClosed);
    assert_eq!(read_exact(&mut tls, 10).unwrap(), b"last words");
    assert_eq!(read(&mut tls, &mut [0; 9]), Ok(0));
    assert_eq!(read(&mut tls, &mut [0; 9]), Ok(0));
    assert!(tls.into_inner().finished);
}

#[test]
fn a_key_update_ends_the_connection_with_an_error() {
    let fixture = Fixture::new();
    let mut tls = fixture.connect(RefreshingPipe::new(fixture.pipe())).unwrap();
    write(&mut tls, b"go on").unwrap();
    let error = read(&mut tls, &mut [0; 9]).unwrap_err();
    assert_eq!((error.code(), error.wire()), (Code::Unsupported, 80));
    let pipe = tls.into_inner().0;
    assert_eq!(pipe.alert(), Some(AlertDescription::InternalError));
}

/// Changes its keys before it echoes.
struct RefreshingPipe(Pipe, bool);

impl RefreshingPipe {
    fn new(pipe: Pipe) -> Self {
        Self(pipe, false)
    }
}

impl Transport for RefreshingPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        self.0.poll_read(cx, buf)
    }
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if !self.0.server.is_handshaking() && !self.1 {
            self.1 = true;
            self.0.server.refresh_traffic_keys().unwrap();
        }
        self.0.poll_write(cx, buf)
    }
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_readable(cx)
    }
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_finish(cx)
    }
}

// Peers that are none

/// Answers with these bytes, whatever it is told, and ends.
struct Parrot {
    answer: VecDeque<u8>,
    heard: Vec<u8>,
}

impl Parrot {
    fn new(answer: &[u8]) -> Self {
        Self { answer: answer.iter().copied().collect(), heard: Vec::new() }
    }
}

impl Transport for Parrot {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        Poll::Ready(Ok(self.answer.read(buf).unwrap()))
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

fn parrot(answer: &[u8]) -> (Error, Vec<u8>) {
    let mut parrot = Parrot::new(answer);
    let error = Fixture::new().connect(&mut parrot).map(|_| ()).unwrap_err();
    let hello = usize::from(u16::from_be_bytes([parrot.heard[3], parrot.heard[4]]));
    (error, parrot.heard.split_off(5 + hello))
}

#[test]
fn what_is_not_tls_is_refused_with_an_alert() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"220 mail.example ESMTP\r\n",
        &[0; 100],
        &[0xff; 100],
        &[22, 3, 3, 0, 0],
        &[23, 3, 3, 0, 17],
        &[20, 3, 3, 0, 1, 2],
        &[20, 3, 3, 0, 2, 1, 1],
        &[22, 3, 3, 0xff, 0xff],
    ] {
        let (error, told) = parrot(answer);
        assert!(matches!(error.code(), Code::BadRecord | Code::ProtocolViolation), "{error:?}");
        assert_eq!(told, [21, 3, 3, 0, 2, 2, error.wire() as u8], "{answer:?}");
    }
}

#[test]
fn what_is_well_made_and_out_of_turn_breaks_the_protocol() {
    // A Finished before anything else, as a desktop sees it too; and content.
    let finished = [&b"\x16\x03\x03\x00\x24\x14\x00\x00\x20"[..], &[7; 32]].concat();
    for answer in [&finished[..], b"\x17\x03\x03\x00\x11aaaaaaaaaaaaaaaaa"] {
        let (error, _) = parrot(answer);
        assert_eq!((error.code(), error.wire()), (Code::ProtocolViolation, 10), "{answer:?}");
    }
}

#[test]
fn an_alert_in_answer_to_the_hello_says_why() {
    let (error, told) = parrot(&[21, 3, 3, 0, 2, 2, 70]);
    assert_eq!((error.code(), error.wire(), error.fault()), (Code::HandshakeFailed, 70, Fault::Peer));
    assert_eq!(told, [], "nothing is said to a peer that has failed");
    // One that embedded-tls does not know.
    assert_eq!(parrot(&[21, 3, 3, 0, 2, 2, 99]).0.wire(), 99);
}

#[test]
fn changes_of_cipher_specifications_without_end_are_refused() {
    let (error, _) = parrot(&[20, 3, 3, 0, 1, 1].repeat(1000));
    assert_eq!((error.code(), error.wire()), (Code::ProtocolViolation, 10));
}

#[test]
fn a_server_of_tls_1_2_is_refused() {
    let fixture = Fixture::new();
    let old = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
        .with_no_client_auth()
        .with_single_cert(fixture.credentials.chain.clone(), fixture.credentials.key())
        .unwrap();
    let error = fixture.connect(Pipe::new(old)).map(|_| ()).unwrap_err();
    assert_eq!((error.code(), error.wire()), (Code::HandshakeFailed, 70));
}

#[test]
fn a_record_longer_than_the_memory_is_our_fault_and_says_so() {
    let fixture = Fixture::new();
    let small: &'static mut TlsMemory<{ tls::record(1024) }> = Box::leak(Box::default());
    let roots = [&fixture.ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(NAME, &trust, Time::Known(NOW));
    let mut tls = block_on(Tls::connect(fixture.pipe(), &config, &mut OsRng, small)).unwrap();
    echoes(&mut tls, 1000);
    let small: &'static mut TlsMemory<{ tls::record(1024) }> = Box::leak(Box::default());
    let mut tls = block_on(Tls::connect(Chatty(fixture.pipe()), &config, &mut OsRng, small)).unwrap();
    write(&mut tls, b"hello").unwrap();
    let error = read(&mut tls, &mut [0; 9]).unwrap_err();
    assert_eq!((error.code(), error.fault(), error.wire()), (Code::MessageTooLarge, Fault::Local, 22));
}

/// Says more than the memory holds, at once.
struct Chatty(Pipe);

impl Transport for Chatty {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        self.0.poll_read(cx, buf)
    }
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if !self.0.server.is_handshaking() {
            self.0.server.writer().write_all(&[1; 4000]).unwrap();
        }
        self.0.poll_write(cx, buf)
    }
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_readable(cx)
    }
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_finish(cx)
    }
}

#[test]
fn a_record_that_is_not_encrypted_is_not_believed() {
    let fixture = Fixture::new();
    for plain in [
        &[21, 3, 3, 0, 2, 1, 0][..],   // close_notify
        &[22, 3, 3, 0, 4, 8, 0, 0, 0], // a handshake message
        &[20, 3, 3, 0, 1, 1],          // too late
        &[22, 3, 3, 0, 4, 20, 0, 0, 0],
    ] {
        let mut tls = fixture.connect(Injecting(fixture.pipe(), plain)).unwrap();
        write(&mut tls, b"hello").unwrap();
        let error = read(&mut tls, &mut [0; 9]).unwrap_err();
        assert_eq!((error.code(), error.wire()), (Code::ProtocolViolation, 10), "{plain:?}");
        assert_eq!(tls.into_inner().0.alert(), Some(AlertDescription::UnexpectedMessage));
    }
}

/// Puts a record before what the server answers.
struct Injecting(Pipe, &'static [u8]);

impl Transport for Injecting {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        self.0.poll_read(cx, buf)
    }
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if !self.0.server.is_handshaking() {
            self.0.pump();
            let bytes = std::mem::take(&mut self.1);
            self.0.to_client.extend(bytes);
        }
        self.0.poll_write(cx, buf)
    }
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_readable(cx)
    }
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_finish(cx)
    }
}

#[test]
fn a_connection_is_two_keys_and_the_future_that_makes_it_is_not_large() {
    // On 64 bits; a Cortex-M4 has about two thirds.
    assert!(size_of::<Tls<'_, Parrot>>() <= 1700, "{}", size_of::<Tls<'_, Parrot>>());
    let trust = Authorities::new(&[]);
    let config = TlsConfig::new(NAME, &trust, Time::Known(NOW));
    let connecting = size_of_val(&Tls::connect(Parrot::new(&[]), &config, &mut OsRng, memory()));
    assert!(connecting <= 8000, "{connecting}");
}

// OpenSSL

/// `openssl s_server`, on a port of its own.
struct OpenSsl {
    process: Child,
    stdin: ChildStdin,
    address: SocketAddr,
}

impl OpenSsl {
    fn start(name: &str, credentials: Option<&Credentials>, arguments: &[&str]) -> Self {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-naccept", "1"]).args(arguments);
        match credentials {
            Some(credentials) => {
                std::fs::write(folder.join("cert.der"), &credentials.chain[0]).unwrap();
                std::fs::write(folder.join("key.pem"), credentials.key.serialize_pem()).unwrap();
                command.args(["-certform", "DER", "-cert"]).arg(folder.join("cert.der"));
                command.arg("-key").arg(folder.join("key.pem"));
            }
            None => {
                command.arg("-nocert");
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("openssl is installed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(|line| line.ok())
            .find_map(|line| line.strip_prefix("ACCEPT ").and_then(|address| address.parse().ok()))
            .expect("s_server says where it listens");
        // What else it says is read, or it would stop.
        std::thread::spawn(move || lines.map_while(|line| line.ok()).for_each(drop));
        Self { stdin: process.stdin.take().unwrap(), process, address }
    }

    fn stream(&self) -> Stream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Stream(stream)
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A socket that waits.
struct Stream(TcpStream);

fn of_io(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::ConnectionReset => Code::ConnectionClosed.into(),
        _ => panic!("{error}"),
    }
}

impl Transport for Stream {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        Poll::Ready(self.0.read(buf).map_err(of_io))
    }
    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Poll::Ready(self.0.write(buf).map_err(of_io))
    }
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.0.shutdown(std::net::Shutdown::Write).map_err(of_io))
    }
}

/// `s_server -rev` sends each line back, reversed.
fn reverses(tls: &mut impl Transport, len: usize) {
    let mut line: Vec<u8> = (0..len).map(|index| b'a' + (index % 26) as u8).collect();
    line.push(b'\n');
    write(tls, &line).unwrap();
    let mut answer = read_exact(tls, len + 1).unwrap();
    assert_eq!(answer.pop(), Some(b'\n'));
    answer.reverse();
    assert_eq!(answer, line[..len], "{len} bytes");
}

#[test]
fn openssl_is_spoken_to() {
    let fixture = Fixture::new();
    let openssl = OpenSsl::start("plain", Some(&fixture.credentials), &["-rev"]);
    let mut tls = fixture.connect(openssl.stream()).unwrap();
    for len in [1, 10, 100, 1000, 1982] {
        reverses(&mut tls, len);
    }
    finish(&mut tls).unwrap();
    assert_eq!(read(&mut tls, &mut [0; 9]), Ok(0));
}

#[test]
fn openssl_heeds_a_small_memory_and_its_tickets_come_in_pieces() {
    let fixture = Fixture::new();
    let openssl = OpenSsl::start("small", Some(&fixture.credentials), &[]);
    let small: &'static mut TlsMemory<{ tls::record(1024) }> = Box::leak(Box::default());
    let roots = [&fixture.ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(NAME, &trust, Time::Known(NOW));
    let mut tls = block_on(Tls::connect(openssl.stream(), &config, &mut OsRng, small)).unwrap();
    let line = format!("{}\n", "x".repeat(3000));
    (&openssl.stdin).write_all(line.as_bytes()).unwrap();
    assert_eq!(read_exact(&mut tls, line.len()).unwrap(), line.as_bytes());
}

#[test]
fn openssl_with_a_wrong_name_is_refused() {
    let fixture = Fixture::new();
    let openssl = OpenSsl::start("name", Some(&fixture.credentials), &[]);
    let roots = [&fixture.ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new("other.example", &trust, Time::Known(NOW));
    let error = connect(openssl.stream(), &config).map(|_| ()).unwrap_err();
    assert_eq!(error, Code::WrongName);
}

#[test]
fn openssls_key_update_ends_the_connection_with_an_error() {
    let fixture = Fixture::new();
    for command in ["k\n", "K\n"] {
        let openssl = OpenSsl::start("update", Some(&fixture.credentials), &[]);
        let mut tls = fixture.connect(openssl.stream()).unwrap();
        (&openssl.stdin).write_all(command.as_bytes()).unwrap();
        let error = read(&mut tls, &mut [0; 9]).unwrap_err();
        assert_eq!((error.code(), error.wire()), (Code::Unsupported, 80));
    }
}

#[test]
fn openssl_with_the_same_key_is_spoken_to_and_with_another_it_is_not() {
    const KEY: [u8; 32] = [0x5a; 32];
    let openssl =
        |name, key: &str| OpenSsl::start(name, None, &["-psk", key, "-psk_identity", "board 7", "-rev"]);
    let hex = "5a".repeat(32);
    let config = TlsConfig::pre_shared(NAME, b"board 7", &KEY);
    let right = openssl("psk", &hex);
    let mut tls = connect(right.stream(), &config).unwrap();
    reverses(&mut tls, 100);
    let wrong = openssl("psk-wrong", &hex.replace("5a", "5b"));
    let error = connect(wrong.stream(), &config).map(|_| ()).unwrap_err();
    assert_eq!(error, Code::HandshakeFailed);
}

#[test]
fn a_certificate_does_not_make_up_for_the_pre_shared_key() {
    let fixture = Fixture::new();
    let config = TlsConfig::pre_shared(NAME, b"board 7", &[0x5a; 32]);
    let mut pipe = fixture.pipe();
    let error = connect(&mut pipe, &config).map(|_| ()).unwrap_err();
    assert_eq!(error, Code::BadRecord); // the keys are others
}

#[test]
fn openssl_asks_who_we_are_and_is_told() {
    let fixture = Fixture::new();
    let us = client(&fixture.ca);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls-clients");
    std::fs::create_dir_all(&folder).unwrap();
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, pem(&fixture.ca.certificate)).unwrap();
    let arguments = ["-rev", "-Verify", "1", "-verify_return_error", "-CAfile", ca.to_str().unwrap()];
    let openssl = OpenSsl::start("mutual", Some(&fixture.credentials), &arguments);
    let identity = ClientKey::new(&us.chain[0], &us.key.serialize_der()).unwrap();
    let roots = [&fixture.ca.certificate[..]];
    let trust = Authorities::new(&roots);
    let config = TlsConfig::new(ServerName::Dns(NAME), &trust, Time::Known(NOW)).identity(&identity);
    let mut tls = connect(openssl.stream(), &config).unwrap();
    reverses(&mut tls, 100);
}

fn pem(der: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["x509", "-inform", "DER"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(der).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
