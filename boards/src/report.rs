//! The board that reports over TLS: what it is told of its server when it is built, and servers that try it.
//!
//! Most are in this program. It takes the board's connections one after the other and is, each time, another one: the right
//! one, or one that the board has to refuse with the right alert. Others are openssl's and Python's (`foreign.rs`).

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{AlertDescription, ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};

use crate::acceptance::Tally;
use crate::client::Result as Found;
use crate::foreign::{Files, Foreign, Kind};

/// QEMU's name, on the board's network, for the machine it runs on.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// What the trying servers are called.
const NAME: &str = "reports.example";

/// A board that was refused comes back after 250 ms, then after twice that, and so on.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a board is told when it is built: variables of `report_settings.rs`.
pub(crate) struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Nothing: what is not in the environment stays unset.
    pub(crate) const NONE: Self = Self(Vec::new());

    /// What the user asks for: a URL like `tls://192.0.2.1:7443`, and how its server is known.
    ///
    /// # Errors
    /// When one of them is not right.
    pub(crate) fn new(
        url: &str,
        name: Option<&str>,
        authority: Option<&Path>,
        pin: Option<&str>,
        folder: &Path,
    ) -> Result<Self> {
        let target = url.strip_prefix("tls://").map(|rest| rest.trim_end_matches('/'));
        let (host, port) = target
            .and_then(|target| target.rsplit_once(':'))
            .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
            .with_context(|| format!("--report {url:?} should be like tls://192.0.2.1:7443"))?;
        let address = (host, port)
            .to_socket_addrs()
            .with_context(|| format!("cannot find {host}"))?
            .find_map(|address| match address {
                SocketAddr::V4(address) => Some(seen_by_board(address)),
                SocketAddr::V6(_) => None,
            })
            .with_context(|| format!("{host} has no IPv4 address"))?;
        let name = name.unwrap_or(host).to_string();
        let mut settings = vec![("NETLOOM_SERVER", address.to_string()), ("NETLOOM_SERVER_NAME", name)];
        if let Some(path) = authority {
            let der = read_certificate(path)?;
            settings.push(("NETLOOM_AUTHORITY", store(folder, "authority.der", &der)?));
        }
        if let Some(pin) = pin {
            settings.push(("NETLOOM_PIN", digits(pin)?));
        }
        if authority.is_none() && pin.is_none() {
            bail!(
                "how is the server known? Give --ca FILE, the certificate of its authority, or --pin SHA256"
            );
        }
        Ok(Self(settings))
    }

    /// Those for an image that is only weighed.
    ///
    /// # Errors
    /// When the authority's certificate cannot be written.
    pub(crate) fn sample(folder: &Path) -> Result<Self> {
        let (authority, _) = Authority::new("cargo board")?;
        Ok(Self(vec![
            ("NETLOOM_SERVER", SocketAddrV4::new(GATEWAY, 7443).to_string()),
            ("NETLOOM_SERVER_NAME", NAME.to_string()),
            ("NETLOOM_AUTHORITY", store(folder, "sample.der", &authority)?),
        ]))
    }

    /// The variables and their values.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(variable, value)| (*variable, value.as_str()))
    }
}

/// A pin in hexadecimal digits: it is given so, as openssl prints it, or as curl and `netloom serve` have it.
fn digits(pin: &str) -> Result<String> {
    let Some(encoded) = pin.strip_prefix("sha256//") else { return Ok(pin.replace(':', "")) };
    let pin =
        STANDARD.decode(encoded).with_context(|| format!("--pin {pin:?} should be like sha256//BASE64"))?;
    Ok(pin.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The board is behind QEMU's network, where this machine's loopback has another address.
fn seen_by_board(address: SocketAddrV4) -> SocketAddrV4 {
    let ip = if address.ip().is_loopback() { GATEWAY } else { *address.ip() };
    SocketAddrV4::new(ip, address.port())
}

fn read_certificate(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !bytes.starts_with(b"-----BEGIN") {
        return Ok(bytes);
    }
    let certificate = CertificateDer::from_pem_slice(&bytes);
    Ok(certificate.with_context(|| format!("{} has no certificate in it", path.display()))?.to_vec())
}

/// Writes the file. Answers its path.
fn store(folder: &Path, name: &str, bytes: &[u8]) -> Result<String> {
    let folder = folder.join("report");
    let path = folder.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.display().to_string())
}

/// An authority of our own.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Makes one of that name, and its certificate.
    fn new(name: &str) -> Result<(Vec<u8>, Self)> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?.der().to_vec();
        Ok((certificate, Self(Issuer::new(params, key))))
    }

    /// A certificate for a server with this key, right but for `change`.
    fn certificate(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Result<Certificate> {
        let mut params = CertificateParams::new([NAME.to_string()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        Ok(params.signed_by(key, &self.0)?)
    }

    /// A server with such a certificate.
    fn server(
        &self,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Arc<ServerConfig>> {
        let chain = vec![self.certificate(key, change)?.der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key.into())?))
    }
}

/// What the board has to do with a server.
#[derive(Clone, Copy)]
enum Expected {
    /// Report, twice; then the server ends the session in order.
    Reports { sessions: u32 },
    /// The same, but the connection is cut.
    ReportsUntilCut { sessions: u32 },
    /// Refuse it, with this alert.
    Refusal(AlertDescription),
}

/// A meeting's name, which tells what is observed, the server, and what has to come of it.
type Meeting = (&'static str, Arc<ServerConfig>, Expected);

/// The same with a server that is not ours: whose, with which certificate, and what it has to say, how often.
type ForeignMeeting = (&'static str, Kind, Files, Vec<(&'static str, usize)>);

/// Servers for a board to meet, one after the other.
pub(crate) struct Meetings {
    listener: TcpListener,
    authority: Vec<u8>,
    pin: String,
    meetings: Vec<Meeting>,
    foreign: Vec<ForeignMeeting>,
}

impl Meetings {
    /// Keeps its files in `folder`.
    ///
    /// # Errors
    /// When no port is free, or a file cannot be written.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let (authority, ours) = Authority::new("cargo board")?;
        let (_, theirs) = Authority::new("somebody else")?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let pin = Sha256::digest(key.subject_public_key_info());
        let pin = pin.iter().map(|byte| format!("{byte:02x}")).collect();
        let meetings = meetings(&ours, &theirs, &key)?;
        let foreign = foreign_meetings(&ours, &theirs, &key, folder)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, authority, pin, meetings, foreign })
    }

    /// What a board that is to meet them is told.
    ///
    /// # Errors
    /// When the authority's certificate cannot be written.
    pub(crate) fn settings(&self, folder: &Path) -> Result<Settings> {
        let address = SocketAddrV4::new(GATEWAY, self.listener.local_addr()?.port());
        Ok(Settings(vec![
            ("NETLOOM_SERVER", address.to_string()),
            ("NETLOOM_SERVER_NAME", NAME.to_string()),
            ("NETLOOM_AUTHORITY", store(folder, "test.der", &self.authority)?),
            ("NETLOOM_PIN", self.pin.clone()),
        ]))
    }

    /// Has the board meet them, and prints a line for each.
    pub(crate) fn run(&self, tally: &mut Tally) {
        for (name, server, expected) in &self.meetings {
            let met = self.accept().and_then(|stream| meet(stream, server, *expected));
            tell(name, met, tally);
        }
        for (name, kind, files, expected) in &self.foreign {
            match Foreign::start(*kind, files, PATIENCE) {
                Ok(Some(mut server)) => tell(name, self.introduce(&mut server, expected), tally),
                Ok(None) => println!("skipped  {name}: it is not installed"),
                Err(error) => tell(name, Err(error.to_string()), tally),
            }
        }
    }

    /// Has the board meet that server.
    fn introduce(&self, server: &mut Foreign, expected: &[(&str, usize)]) -> Found<()> {
        server.take(self.accept()?).map_err(|error| format!("connecting: {error}"))?;
        expected.iter().try_for_each(|(words, times)| server.expect(words, *times, PATIENCE))?;
        Ok(())
    }

    fn accept(&self) -> Found<TcpStream> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let words = |error| format!("accepting: {error}");
                    stream.set_nonblocking(false).map_err(words)?;
                    stream.set_read_timeout(Some(PATIENCE)).map_err(words)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(format!("accepting: {error}"));
                }
                Err(_) if Instant::now() >= deadline => return Err("it does not connect".to_string()),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

fn tell(name: &str, met: Found<()>, tally: &mut Tally) {
    match met {
        Ok(()) => {
            tally.passed += 1;
            println!("ok       {name}");
        }
        Err(reason) => {
            tally.failed += 1;
            println!("FAILED   {name}: {reason}");
        }
    }
}

fn meetings(ours: &Authority, theirs: &Authority, key: &KeyPair) -> Result<Vec<Meeting>> {
    let right = ours.server(key, |_| {})?;
    let other = SanType::DnsName("other.example".try_into()?);
    let renamed = ours.server(key, |params| params.subject_alt_names = vec![other])?;
    let expired = ours.server(key, |params| params.not_after = date_time_ymd(2020, 1, 1))?;
    let stranger = theirs.server(key, |_| {})?;
    let usage = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let misused = ours.server(key, |params| params.extended_key_usages = usage)?;
    let rekeyed = ours.server(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, |_| {})?;
    let refusal = Expected::Refusal;
    Ok(vec![
        ("it reports", right.clone(), Expected::Reports { sessions: 1 }),
        ("it refuses a server of another name", renamed, refusal(AlertDescription::BadCertificate)),
        ("it refuses an expired certificate", expired, refusal(AlertDescription::CertificateExpired)),
        ("it refuses an authority it does not know", stranger, refusal(AlertDescription::UnknownCA)),
        (
            "it refuses a certificate for another use",
            misused,
            refusal(AlertDescription::UnsupportedCertificate),
        ),
        ("it refuses a key that is not pinned", rekeyed, refusal(AlertDescription::CertificateUnknown)),
        ("it comes back", right.clone(), Expected::ReportsUntilCut { sessions: 2 }),
        ("it comes back after a cut", right, Expected::Reports { sessions: 3 }),
    ])
}

/// Behind those of [`meetings`], and so with as many sessions before them.
fn foreign_meetings(
    ours: &Authority,
    theirs: &Authority,
    key: &KeyPair,
    folder: &Path,
) -> Result<Vec<ForeignMeeting>> {
    let files =
        |name, certificate: Certificate| Files::new(folder, name, &certificate.pem(), &key.serialize_pem());
    let right = || files("right", ours.certificate(key, |_| {})?);
    let stranger = || files("stranger", theirs.certificate(key, |_| {})?);
    let other = SanType::DnsName("other.example".try_into()?);
    let renamed =
        || files("renamed", ours.certificate(key, |params| params.subject_alt_names = vec![other])?);
    Ok(vec![
        (
            "it reports to Python's",
            Kind::Python,
            right()?,
            vec![("\"sessions\":4}", 2), ("ended in order", 1)],
        ),
        ("it reports to openssl's", Kind::OpenSsl, right()?, vec![("\"sessions\":5}", 2)]),
        ("it refuses Python's by another name", Kind::Python, renamed()?, vec![("ALERT_BAD_CERTIFICATE", 1)]),
        (
            "it refuses Python's of an authority it does not know",
            Kind::Python,
            stranger()?,
            vec![("ALERT_UNKNOWN_CA", 1)],
        ),
        (
            "it refuses openssl's of an authority it does not know",
            Kind::OpenSsl,
            stranger()?,
            vec![("alert unknown ca", 1)],
        ),
    ])
}

fn meet(stream: TcpStream, server: &Arc<ServerConfig>, expected: Expected) -> Found<()> {
    let connection = ServerConnection::new(server.clone()).map_err(|error| error.to_string())?;
    let mut tls = StreamOwned::new(connection, stream);
    match expected {
        Expected::Reports { sessions } => {
            reports(&mut tls, sessions)?;
            end(&mut tls).map_err(|error| format!("it does not end in order: {error}"))
        }
        Expected::ReportsUntilCut { sessions } => reports(&mut tls, sessions),
        Expected::Refusal(alert) => match tls.read(&mut [0]) {
            Ok(_) => Err("it does not refuse it".to_string()),
            Err(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(rustls::Error::AlertReceived(told)) if *told == alert => Ok(()),
                _ => Err(error.to_string()),
            },
        },
    }
}

fn reports(tls: &mut impl Read, sessions: u32) -> Found<()> {
    for _ in 0..2 {
        let report = read_frame(tls).map_err(|error| format!("no report: {error}"))?;
        let wanted = format!("\"sessions\":{sessions}}}");
        if !report.starts_with("{\"host\":\"") || !report.ends_with(&wanted) {
            return Err(format!("it reports {report}"));
        }
    }
    Ok(())
}

fn read_frame(tls: &mut impl Read) -> io::Result<String> {
    let mut length = [0; 4];
    tls.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length).min(4096) as usize];
    tls.read_exact(&mut frame)?;
    Ok(String::from_utf8_lossy(&frame).into_owned())
}

/// Says goodbye and waits until the board does.
fn end(tls: &mut StreamOwned<ServerConnection, TcpStream>) -> io::Result<()> {
    tls.conn.send_close_notify();
    while tls.conn.wants_write() {
        tls.conn.write_tls(&mut tls.sock)?;
    }
    io::copy(tls, &mut io::sink())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, pin: Option<&str>) -> Result<Vec<(&'static str, String)>> {
        Settings::new(url, None, None, pin, Path::new("unused")).map(|settings| settings.0)
    }

    #[test]
    fn this_machines_loopback_is_qemus_gateway() {
        let found = settings("tls://127.0.0.1:7443/", Some("AB:cd")).unwrap();
        assert_eq!(
            found,
            [
                ("NETLOOM_SERVER", "10.0.2.2:7443".to_string()),
                ("NETLOOM_SERVER_NAME", "127.0.0.1".to_string()),
                ("NETLOOM_PIN", "ABcd".to_string()),
            ]
        );
    }

    #[test]
    fn a_pin_may_be_in_digits_or_as_curl_has_it() {
        assert_eq!(digits("AB:cd").unwrap(), "ABcd");
        assert_eq!(digits("sha256//q80=").unwrap(), "abcd");
        assert!(digits("sha256//?").is_err());
    }

    #[test]
    fn a_server_that_nothing_is_known_of_is_an_error_that_says_what_to_give() {
        let error = settings("tls://192.0.2.1:7443", None).unwrap_err().to_string();
        assert!(error.contains("--ca") && error.contains("--pin"), "{error}");
    }

    #[test]
    fn another_scheme_or_no_port_is_an_error_with_an_example() {
        for url in ["tcp://127.0.0.1:7443", "tls://127.0.0.1", "tls://127.0.0.1:99999"] {
            let error = settings(url, Some("ab")).unwrap_err().to_string();
            assert!(error.contains("tls://192.0.2.1:7443"), "{error}");
        }
    }
}
