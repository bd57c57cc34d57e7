//! The keys of Initial packets (RFC 9001, 5.2): whoever sees the client's first packet can make them.

use hkdf::Hkdf;
use sha2::Sha256;

use super::super::stream_id::Side;
use super::super::version::Version;
use super::{Aes128GcmSha256, Keys, Secret};

/// RFC 9001, 5.2.
const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];

/// What `sender` protects its Initial packets with, if the client's first one, or the first after a Retry, was sent to
/// that connection ID. `None` for a version that is not known.
pub fn keys(
    version: Version,
    destination_connection_id: &[u8],
    sender: Side,
) -> Option<Keys<Aes128GcmSha256>> {
    secret(version, destination_connection_id, sender).map(|secret| secret.keys())
}

/// The secret of those keys.
pub fn secret(
    version: Version,
    destination_connection_id: &[u8],
    sender: Side,
) -> Option<Secret<Aes128GcmSha256>> {
    let salt = match version {
        Version::V1 => &SALT_V1,
        _ => return None,
    };
    let (common, _) = Hkdf::<Sha256>::extract(Some(salt), destination_connection_id);
    let label: &[u8] = match sender {
        Side::Client => b"client in",
        Side::Server => b"server in",
    };
    Some(Secret::new(&common)?.derive(label))
}
