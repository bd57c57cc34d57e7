//! Certificates and keys as files have them: PEM or DER.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// What is wrong with a certificate or key, and where.
#[derive(Debug)]
pub struct ConfigError {
    file: Option<PathBuf>,
    line: Option<usize>,
    text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ConfigError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { file: None, line: None, text: text.into(), source: None }
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn of(mut self, file: Option<&Path>) -> Self {
        self.file = file.map(Path::to_path_buf);
        self
    }

    /// The file that it is about, if it was a file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The line of PEM where the section begins that it is about, from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        } else if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for netloom_core::Error {
    fn from(_: ConfigError) -> Self {
        netloom_core::Code::BadCertificate.into()
    }
}

/// The certificates in PEM, or the one in DER.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    if !is_pem(bytes) {
        if bytes.first() != Some(&0x30) {
            return Err(ConfigError::new("there is no certificate in it, neither PEM nor DER"));
        }
        return Ok(vec![CertificateDer::from(bytes.to_vec())]);
    }
    let mut found = Vec::new();
    for (line, section) in sections(bytes) {
        if label(section) == b"CERTIFICATE" {
            let certificate = CertificateDer::from_pem_slice(section).map_err(|error| {
                ConfigError::new("the certificate cannot be read").because(error).at(line)
            })?;
            found.push(certificate);
        }
    }
    match found.is_empty() {
        true => Err(ConfigError::new("there is no certificate in it")),
        false => Ok(found),
    }
}

/// The revocation lists in PEM, or the one in DER.
pub(super) fn revocation_lists(
    bytes: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, ConfigError> {
    if !is_pem(bytes) {
        if bytes.first() != Some(&0x30) {
            return Err(ConfigError::new("there is no revocation list in it, neither PEM nor DER"));
        }
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let mut found = Vec::new();
    for (line, section) in sections(bytes) {
        if label(section) == b"X509 CRL" {
            let list = CertificateRevocationListDer::from_pem_slice(section).map_err(|error| {
                ConfigError::new("the revocation list cannot be read").because(error).at(line)
            })?;
            found.push(list);
        }
    }
    match found.is_empty() {
        true => Err(ConfigError::new("there is no revocation list in it")),
        false => Ok(found),
    }
}

/// The first private key in PEM, or the one in DER.
pub(super) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, ConfigError> {
    if !is_pem(bytes) {
        return PrivateKeyDer::try_from(bytes.to_vec())
            .map_err(|error| ConfigError::new("there is no private key in it").because(error));
    }
    let is_key = |section: &&[u8]| label(section).ends_with(b"PRIVATE KEY");
    let Some((line, section)) = sections(bytes).find(|(_, section)| is_key(section)) else {
        return Err(ConfigError::new("there is no private key in it"));
    };
    if label(section).starts_with(b"ENCRYPTED") {
        return Err(ConfigError::new("the private key is encrypted; decrypt it first").at(line));
    }
    PrivateKeyDer::from_pem_slice(section)
        .map_err(|error| ConfigError::new("the private key cannot be read").because(error).at(line))
}

const BEGIN: &[u8] = b"-----BEGIN ";

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// The sections, each from its first line to the next section's, with the number of that line.
fn sections(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut starts = Vec::new();
    let mut at = 0;
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if line.starts_with(BEGIN) {
            starts.push((number + 1, at));
        }
        at += line.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|(_, start)| *start).chain([bytes.len()]).collect();
    starts.into_iter().zip(ends).map(|((line, start), end)| (line, &bytes[start..end]))
}

/// What a section holds.
fn label(section: &[u8]) -> &[u8] {
    let rest = section.strip_prefix(BEGIN).unwrap_or_default();
    let end = rest.windows(5).position(|window| window == b"-----").unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: &[u8] = b"# a comment\n\n-----BEGIN CERTIFICATE-----\nMIIB!!!\n-----END CERTIFICATE-----\n";

    #[test]
    fn an_error_names_the_line_where_its_section_begins() {
        let error = certificates(CUT).unwrap_err().of(Some(Path::new("a.pem")));
        assert_eq!((error.line(), error.file()), (Some(3), Some(Path::new("a.pem"))));
        assert!(error.to_string().starts_with("a.pem:3: the certificate cannot be read"), "{error}");
        let error = private_key(b"\n-----BEGIN PRIVATE KEY-----\nx").unwrap_err();
        assert_eq!(error.line(), Some(2));
        let error =
            revocation_lists(b"\n\n-----BEGIN X509 CRL-----\n!!!\n-----END X509 CRL-----\n").unwrap_err();
        assert_eq!(error.line(), Some(3));
        let error = private_key(
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        assert!(error.unwrap_err().to_string().contains("decrypt it first"));
    }

    #[test]
    fn what_holds_nothing_is_told_so() {
        for nothing in
            [&b""[..], b"hello", b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"]
        {
            assert!(certificates(nothing).unwrap_err().to_string().contains("no certificate"));
            assert!(private_key(nothing).unwrap_err().to_string().contains("no private key"));
            assert!(revocation_lists(nothing).unwrap_err().to_string().contains("no revocation list"));
        }
    }
}
