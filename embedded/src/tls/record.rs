//! The record layer (RFC 8446, 5): headers, and records sealed and opened in place with AES-128-GCM.
//!
//! ```text
//! | type 23 | 3 | 3 | length, 2 bytes | content ... | its type | zeros | tag, 16 bytes |
//! |<------------- header ------------>|<------------- encrypted ------------------->|
//! ```

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes128Gcm, Nonce, Tag};
use netloom_core::{Code, Fault, Result};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::alert;

/// A record's header.
pub(super) const HEADER: usize = 5;

/// AES-GCM's tag.
pub(super) const TAG: usize = 16;

/// What sealing adds to content: header, content type, tag.
pub(super) const OVERHEAD: usize = HEADER + 1 + TAG;

/// RFC 8446, 5.1: the longest content of a record.
pub(super) const CONTENT_MAX: usize = 1 << 14;

/// RFC 8446, 5.2: how much longer an encrypted record may be than its content, padding and all.
const EXPANSION_MAX: usize = 256;

/// RFC 8446, 5.5: 2^24.5 records of 2^14 bytes may be sealed with one key, a bit less than this many AES blocks; the
/// next key would come by KeyUpdate, which embedded-tls lacks.
const BLOCKS_MAX: u64 = 1 << 34;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

/// Bytes of a record whose content is at most `fragment` bytes, however it is padded: the buffer that
/// [`TlsMemory`](super::TlsMemory) needs to receive it.
pub const fn record(fragment: usize) -> usize {
    HEADER + fragment + EXPANSION_MAX
}

/// A record's type, and how many bytes follow its header.
pub(super) struct Header {
    pub(super) content: u8,
    pub(super) len: usize,
}

impl Header {
    /// Reads a header, for a buffer with `room` behind it.
    pub(super) fn parse(bytes: [u8; HEADER], room: usize) -> Result<Self> {
        let [content, major, _, high, low] = bytes;
        let len = usize::from(u16::from_be_bytes([high, low]));
        // Whoever answers with something else entirely is told so here: HTTP's first letter is no type.
        if !(CHANGE_CIPHER_SPEC..=DATA).contains(&content) || major != 3 || len == 0 {
            return Err(alert::telling(Code::BadRecord, alert::DECODE_ERROR));
        }
        let max = if content == DATA { CONTENT_MAX + EXPANSION_MAX } else { CONTENT_MAX };
        if len > max {
            return Err(alert::telling(Code::BadRecord, alert::RECORD_OVERFLOW));
        }
        if len > room {
            return Err(alert::telling(Code::MessageTooLarge, alert::RECORD_OVERFLOW).blame(Fault::Local));
        }
        // RFC 8446, 5.2: there is a content type at least, and a tag.
        if content == DATA && len <= TAG {
            return Err(alert::telling(Code::BadRecord, alert::DECODE_ERROR));
        }
        Ok(Self { content, len })
    }
}

/// One direction's key, and the number of its next record.
pub(super) struct Keys {
    cipher: Aes128Gcm,
    iv: [u8; 12],
    sequence: u64,
    blocks: u64,
}

impl Keys {
    pub(super) fn new(key: &[u8; 16], iv: [u8; 12]) -> Self {
        Self { cipher: Aes128Gcm::new(key.into()), iv, sequence: 0, blocks: 0 }
    }

    /// Leaves no key behind. The cipher sees to itself.
    fn wipe(&mut self) {
        self.iv.zeroize();
    }

    /// RFC 8446, 5.3: the IV, with the record's number in it.
    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        self.sequence += 1; // a record takes microseconds: 2^64 of them do not happen
        nonce
    }

    /// Makes a record of the `len` bytes behind the header's place in `record`. Answers how long it is.
    ///
    /// # Errors
    /// [`Code::Unsupported`] when the key may not be used any more.
    pub(super) fn seal(&mut self, record: &mut [u8], len: usize, content: u8) -> Result<usize> {
        self.blocks += (len / 16 + 2) as u64;
        if self.blocks > BLOCKS_MAX {
            return Err(Code::Unsupported.into());
        }
        record[HEADER + len] = content;
        let nonce = self.nonce();
        seal(&self.cipher, nonce, record, len + 1)
    }

    /// Decrypts a whole record in place. Answers the content's type and length; it lies behind the header.
    pub(super) fn open(&mut self, record: &mut [u8]) -> Result<(u8, usize)> {
        let bad = || alert::telling(Code::BadRecord, alert::BAD_RECORD_MAC);
        let nonce = self.nonce();
        let (header, body) = record.split_at_mut_checked(HEADER).ok_or_else(bad)?;
        let tag = body.len().checked_sub(TAG).ok_or_else(bad)?;
        let (text, tag) = body.split_at_mut(tag);
        self.cipher
            .decrypt_in_place_detached(Nonce::from_slice(&nonce), header, text, Tag::from_slice(tag))
            .map_err(|_| bad())?;
        // RFC 8446, 5.4: the type is the last byte that is not padding.
        let last = text.iter().rposition(|byte| *byte != 0);
        let last = last.ok_or(alert::telling(Code::BadRecord, alert::UNEXPECTED_MESSAGE))?;
        if last > CONTENT_MAX {
            return Err(alert::telling(Code::BadRecord, alert::RECORD_OVERFLOW));
        }
        Ok((text[last], last))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// A build without the features that have ciphers wipe their keys fails here.
const _: () = {
    const fn is_wiped<T: ZeroizeOnDrop>() {}
    is_wiped::<aes::Aes128>();
};

/// Writes the header, and encrypts the `len` bytes behind it, type included. Answers the record's length.
///
/// # Errors
/// [`Code::BufferFull`] when there is no room for the tag.
pub(super) fn seal(cipher: &Aes128Gcm, nonce: [u8; 12], record: &mut [u8], len: usize) -> Result<usize> {
    let end = HEADER + len + TAG;
    let record = record.get_mut(..end).ok_or(Code::BufferFull)?;
    let [high, low] = ((len + TAG) as u16).to_be_bytes();
    let (header, body) = record.split_at_mut(HEADER);
    header.copy_from_slice(&[DATA, 3, 3, high, low]);
    let (text, tag) = body.split_at_mut(len);
    let sealed = cipher
        .encrypt_in_place_detached(Nonce::from_slice(&nonce), header, text)
        .map_err(|_| Code::MessageTooLarge)?;
    tag.copy_from_slice(&sealed);
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&[7; 16], [9; 12])
    }

    #[test]
    fn a_key_that_goes_is_wiped() {
        let mut keys = keys();
        keys.wipe();
        assert_eq!(keys.iv, [0; 12]);
    }

    fn sealed(content: u8, text: &[u8]) -> ([u8; 128], usize) {
        let mut record = [0; 128];
        record[HEADER..HEADER + text.len()].copy_from_slice(text);
        let len = keys().seal(&mut record, text.len(), content).unwrap();
        (record, len)
    }

    #[test]
    fn what_is_sealed_opens_to_the_same_content_and_type() {
        let (mut record, len) = sealed(DATA, b"hello");
        assert_eq!(len, OVERHEAD + 5);
        assert_eq!(keys().open(&mut record[..len]).unwrap(), (DATA, 5));
        assert_eq!(&record[HEADER..HEADER + 5], b"hello");
    }

    #[test]
    fn a_changed_bit_anywhere_is_a_bad_record() {
        let (record, len) = sealed(ALERT, &[1, 0]);
        for bit in 0..len * 8 {
            let mut changed = record;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys().open(&mut changed[..len]).unwrap_err(), Code::BadRecord, "bit {bit}");
        }
    }

    #[test]
    fn records_have_numbers() {
        let (mut record, len) = sealed(DATA, b"first");
        let mut other = keys();
        let mut copy = record;
        other.open(&mut record[..len]).unwrap();
        assert_eq!(other.open(&mut copy[..len]).unwrap_err(), Code::BadRecord);
    }

    #[test]
    fn padding_is_taken_off_and_a_record_of_padding_alone_is_refused() {
        let (mut record, len) = sealed(0, &[b'x', DATA, 0, 0]);
        assert_eq!(keys().open(&mut record[..len]).unwrap(), (DATA, 1));
        let (mut record, len) = sealed(0, &[0; 8]);
        let error = keys().open(&mut record[..len]).unwrap_err();
        assert_eq!((error.code(), error.wire()), (Code::BadRecord, 10));
    }

    #[test]
    fn headers_that_are_none_of_tls_or_too_long_are_refused() {
        let refusal = |bytes, room| Header::parse(bytes, room).map(|_| ()).unwrap_err();
        assert_eq!(refusal(*b"HTTP/", 512), Code::BadRecord);
        assert_eq!(refusal([22, 2, 0, 0, 9], 512), Code::BadRecord);
        assert_eq!(refusal([22, 3, 3, 0, 0], 512), Code::BadRecord);
        assert_eq!(refusal([DATA, 3, 3, 0, 16], 512), Code::BadRecord);
        assert_eq!(refusal([22, 3, 3, 0x40, 1], 20_000).wire(), 22);
        assert_eq!(refusal([DATA, 3, 3, 0x41, 1], 20_000).wire(), 22);
        let ours = refusal([DATA, 3, 3, 2, 1], 512);
        assert_eq!((ours.code(), ours.fault()), (Code::MessageTooLarge, Fault::Local));
        assert!(Header::parse([DATA, 3, 3, 2, 0], 512).is_ok());
    }

    #[test]
    fn a_key_is_not_used_for_ever() {
        let mut keys = keys();
        keys.blocks = BLOCKS_MAX;
        assert_eq!(keys.seal(&mut [0; 64], 1, DATA).unwrap_err(), Code::Unsupported);
    }
}
