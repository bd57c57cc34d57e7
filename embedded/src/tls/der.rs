//! As much of DER as it takes to find a certificate's key, and a key's number.

/// The outside of a P-256 SubjectPublicKeyInfo (RFC 5480, 2); an uncompressed point of 65 bytes follows.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// The certificate's SubjectPublicKeyInfo (RFC 5280, 4.1), tag and length included.
pub(super) fn key_info(certificate: &[u8]) -> Option<&[u8]> {
    let mut certificate = Reader(Reader(certificate).value(SEQUENCE)?);
    let mut tbs = Reader(certificate.value(SEQUENCE)?);
    // The version has a tag of its own and may be missing; then serial, signature, issuer, validity, subject.
    if tbs.0.first() == Some(&0xa0) {
        tbs.any()?;
    }
    for _ in 0..5 {
        tbs.any()?;
    }
    let (SEQUENCE, whole, _) = tbs.any()? else { return None };
    Some(whole)
}

/// The point of a P-256 SubjectPublicKeyInfo: 4, x, y.
pub(super) fn p256_point(key_info: &[u8]) -> Option<&[u8; 65]> {
    key_info.strip_prefix(&P256)?.try_into().ok()
}

/// The number in a P-256 private key, as SEC 1 (RFC 5915) or PKCS #8 (RFC 5958) has it.
pub(super) fn p256_secret(key: &[u8]) -> Option<&[u8; 32]> {
    let mut outer = Reader(Reader(key).value(SEQUENCE)?);
    outer.any()?;
    match outer.any()? {
        (OCTET_STRING, _, secret) => secret.try_into().ok(),
        // PKCS #8: the algorithm, and SEC 1's inside.
        (SEQUENCE, ..) => {
            let mut inner = Reader(Reader(outer.value(OCTET_STRING)?).value(SEQUENCE)?);
            inner.any()?;
            inner.value(OCTET_STRING)?.try_into().ok()
        }
        _ => None,
    }
}

/// Elements, one behind the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next one's value, if that is its tag.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, _, value) = self.any()?;
        (found == tag).then_some(value)
    }

    /// The next one: its tag, all of it, its value.
    fn any(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (head, len) = match *self.0 {
            [_, len @ ..=0x7f, ..] => (2, usize::from(len)),
            [_, 0x81, len, ..] => (3, usize::from(len)),
            [_, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
            _ => return None,
        };
        let (whole, rest) = self.0.split_at_checked(head + len)?;
        self.0 = rest;
        Some((whole[0], whole, &whole[head..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_found_in_both_of_its_forms() {
        let mut sec1 = [0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20].to_vec();
        sec1.extend([7; 32]);
        assert_eq!(p256_secret(&sec1), Some(&[7; 32]));
        let mut pkcs8 = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x00, 0x04, 0x27].to_vec();
        pkcs8.extend(&sec1);
        assert_eq!(p256_secret(&pkcs8), Some(&[7; 32]));
        for len in 0..pkcs8.len() {
            assert_eq!(p256_secret(&pkcs8[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn no_bytes_reach_past_their_end() {
        for len in 0..=255 {
            assert!(Reader(&[0x30, len]).any().is_none() || len == 0);
            assert!(Reader(&[0x30, 0x82, len, 0xff, 1, 2, 3]).any().is_none());
        }
        assert_eq!(key_info(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0]), None);
    }
}
