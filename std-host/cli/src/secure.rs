//! TLS and QUIC on the command line: whom to trust, and who we are.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use netloom::Connector;
use netloom::quic::QuicClient;
use netloom::tls::{ConfigError, Identity, Pin, Revoked, TlsClient};

use crate::exit::Failure;
use crate::identity;
use crate::url::{By, Url};

/// The heading of what is for TLS.
const TLS: &str = "TLS (tls://, wss://, https://, quic://)";

/// How a client goes about TLS.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TlsArgs {
    /// Trust the authorities in this file, PEM or DER, instead of the system's; may be given several times.
    #[arg(long, value_name = "FILE", help_heading = TLS)]
    ca: Vec<PathBuf>,
    /// Trust a server by its key: the SHA-256 of it, as `sha256//BASE64` or in hexadecimal. With --ca, require it too.
    #[arg(long, value_name = "HASH", value_parser = pin, help_heading = TLS)]
    pin: Vec<Pin>,
    /// Refuse servers whose certificates are on this revocation list, PEM or DER, or on none; may be given several times,
    /// for each authority.
    #[arg(long, value_name = "FILE", help_heading = TLS)]
    crl: Vec<PathBuf>,
    /// The certificate to show to servers that want one, PEM or DER, with those that vouch for it.
    #[arg(long, value_name = "FILE", requires = "key", help_heading = TLS)]
    cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    key: Option<PathBuf>,
    /// Trust anybody: whoever sits between reads and writes everything.
    #[arg(long, conflicts_with_all = ["ca", "pin", "crl"], help_heading = TLS)]
    insecure: bool,
}

impl TlsArgs {
    fn is_given(&self) -> bool {
        !self.ca.is_empty()
            || !self.pin.is_empty()
            || !self.crl.is_empty()
            || self.cert.is_some()
            || self.insecure
    }

    /// How to secure connections to `url`; nothing if they are not to be.
    pub(crate) fn client(&self, url: &Url) -> Result<Option<TlsClient>, Failure> {
        match url.is_secure() {
            true => self.build().map(Some),
            false if self.is_given() => Err(Failure::usage(format!(
                "--ca, --pin, --crl, --cert, --key and --insecure are for {}://",
                url.scheme().secured()
            ))),
            false => Ok(None),
        }
    }

    /// The connector, which secures connections to `url` if they are to be, and goes by QUIC if it says so.
    pub(crate) fn carry(&self, connector: Connector, url: &Url) -> Result<Connector, Failure> {
        let tls = self.client(url)?;
        match url.by() {
            By::Quic => self.quic(url).map(|quic| connector.quic(quic)),
            By::Plain | By::Tls => Ok(connector.tls(tls)),
        }
    }

    /// How to connect to `url` by QUIC.
    pub(crate) fn quic(&self, url: &Url) -> Result<QuicClient, Failure> {
        let builder = QuicClient::builder(self.build()?).protocols([protocol(url)]);
        builder.build().map_err(|error| Failure::usage(error.to_string()))
    }

    fn build(&self) -> Result<TlsClient, Failure> {
        let wrong = |error: ConfigError| Failure::usage(error.to_string());
        let mut builder = TlsClient::builder();
        for file in &self.ca {
            builder = builder.authorities(identity::read(file)?);
        }
        for pin in &self.pin {
            builder = if self.ca.is_empty() { builder.pinned(*pin) } else { builder.pin(*pin) };
        }
        for file in &self.crl {
            builder = builder.revoked(Revoked::from_file(file).map_err(wrong)?);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            builder = builder.identity(Identity::from_files(cert, key).map_err(wrong)?);
        }
        if self.insecure {
            builder = builder.dangerous_trust_anybody();
        }
        builder.key_log().build().map_err(wrong)
    }
}

/// What is asked for over QUIC (ALPN): an application by its name.
fn protocol(url: &Url) -> String {
    match url.target().strip_prefix('/') {
        Some(name) => format!("netloom-{name}"),
        None => "netloom".to_owned(),
    }
}

/// As curl's `--pinnedpubkey` has it.
pub(crate) fn pin_in_words(pin: &Pin) -> String {
    format!("sha256//{}", STANDARD.encode(pin))
}

fn pin(text: &str) -> Result<Pin, String> {
    let bytes = match text.strip_prefix("sha256//") {
        Some(text) => STANDARD.decode(text).ok(),
        None => hexadecimal(text),
    };
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "a pin is sha256// and 44 characters of Base64, or 64 hexadecimal digits".to_owned())
}

/// Pairs of digits, with colons between them or not.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let pairs = digits.chunks(2).map(|pair| {
        let pair =
            std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_base64_or_hexadecimal() {
        let bytes: Pin = std::array::from_fn(|n| n as u8);
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        for text in [pin_in_words(&bytes), hex.concat(), hex.join(":")] {
            assert_eq!(pin(&text), Ok(bytes), "{text}");
        }
        for text in ["", "sha256//", "sha256//AAAA", "abc", "+1", &"zz".repeat(32), &"00".repeat(33)] {
            assert!(pin(text).is_err(), "{text}");
        }
    }
}
