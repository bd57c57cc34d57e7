//! Certificates of every kind, right and wrong, made on the spot.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use netloom::tls::{Identity, Pin};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationList, CertificateRevocationListParams,
    CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, RevokedCertParams,
    SerialNumber,
};
use tempfile::TempDir;

/// The next certificate's number.
static SERIALS: AtomicU64 = AtomicU64::new(1000);

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
    serial: u64,
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
        let serial = SERIALS.fetch_add(1, Relaxed);
        params.serial_number = Some(serial.into());
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { certificate: certificate.pem(), key: key.serialize_pem(), serial }
    }

    /// The list of these, which holds for a day.
    pub(crate) fn revokes(&self, made: &[&Made]) -> CertificateRevocationList {
        self.revokes_until(made, SystemTime::now() + DAY)
    }

    pub(crate) fn revokes_until(&self, made: &[&Made], until: SystemTime) -> CertificateRevocationList {
        let before = SystemTime::now() - 3 * DAY;
        let revoked = |made: &&Made| RevokedCertParams {
            serial_number: made.serial.into(),
            revocation_time: before.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: before.into(),
            next_update: until.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: made.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap()
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
