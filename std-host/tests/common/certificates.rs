//! Certificates of every kind, right and wrong, made on the spot.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use netloom::tls::{Identity, Pin};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

/// Somebody who vouches for others.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What makes a certificate wrong, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Expired,
    NotYetValid,
    /// It is good for clients only, or for servers only.
    ForClients,
    ForServers,
}

/// A certificate and its key, in PEM.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For these hosts.
    pub(crate) fn vouches_for(&self, hosts: &[&str], flaw: Flaw) -> Made {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        let now = SystemTime::now();
        let (from, until) = match flaw {
            Flaw::Expired => (now - 3 * DAY, now - DAY),
            Flaw::NotYetValid => (now + DAY, now + 3 * DAY),
            _ => (now - DAY, now + DAY),
        };
        (params.not_before, params.not_after) = (from.into(), until.into());
        params.extended_key_usages = match flaw {
            Flaw::ForClients => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Flaw::ForServers => vec![ExtendedKeyUsagePurpose::ServerAuth],
            _ => Vec::new(),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Made {
    pub(crate) fn identity(&self) -> Identity {
        Identity::new(&self.certificate, &self.key).unwrap()
    }

    pub(crate) fn pin(&self) -> Pin {
        self.identity().pin().unwrap()
    }
}

/// Files that other programs read, removed when dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of a file with that content.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// The options that name certificate and key, as openssl has them.
    pub(crate) fn shown(&self, name: &str, made: &Made) -> Vec<String> {
        vec![
            "-cert".into(),
            self.file(&format!("{name}.pem"), &made.certificate),
            "-key".into(),
            self.file(&format!("{name}.key"), &made.key),
        ]
    }
}
