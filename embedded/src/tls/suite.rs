//! TLS_AES_128_GCM_SHA256 as embedded-tls is handed it: it decrypts and screens, and lets the keys out.
//!
//! embedded-tls 0.19 keeps its record layer to itself, and that cannot be had on a board that is on the Internet: it panics
//! on a record without content and on handshake messages behind the handshake, believes alerts that are not encrypted, loses
//! bytes when a read is dropped, and needs each record in memory twice. But the suite's cipher is a type that its user may
//! choose. So embedded-tls makes the handshake and derives the keys, and our [`record`](super::record) layer does the rest:
//!
//! * What embedded-tls *sends* encrypted comes out in the clear, with key and nonce behind it; [`Wire`](super::wire::Wire) seals it.
//! * What it *receives* in the handshake is decrypted here, and refused where embedded-tls would panic.
//! * A record that `Wire` makes itself, marked by a version that no peer can send past it, is answered with key and nonce.

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::consts::{U0, U12, U16};
use aes_gcm::aead::{AeadCore, AeadInPlace, Buffer, Error, Key, KeyInit, KeySizeUser, Nonce, Result, Tag};
use embedded_tls::{Aes128GcmSha256, Sha256, TlsCipherSuite};
use zeroize::Zeroize;

use super::record::{DATA, HEADER};

/// A key and a nonce of 12 bytes.
pub(super) const SECRET: usize = 16 + 12;

/// A record of ours that asks for the key: no peer's, whose major version has to be 3.
pub(super) const QUESTION: [u8; HEADER + SECRET + 1] = {
    let mut record = [0; HEADER + SECRET + 1];
    record[0] = DATA;
    record[4] = (SECRET + 1) as u8;
    record
};

/// TLS_AES_128_GCM_SHA256 (RFC 8446, B.4).
pub(super) struct Suite;

impl TlsCipherSuite for Suite {
    const CODE_POINT: u16 = Aes128GcmSha256::CODE_POINT;
    type Cipher = Glass;
    type KeyLen = U16;
    type IvLen = U12;
    type Hash = Sha256;
    type LabelBufferSize = <Aes128GcmSha256 as TlsCipherSuite>::LabelBufferSize;
}

/// AES-128-GCM that can be seen through.
pub(super) struct Glass([u8; 16]);

impl Drop for Glass {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl KeySizeUser for Glass {
    type KeySize = U16;
}

impl KeyInit for Glass {
    fn new(key: &Key<Self>) -> Self {
        Self((*key).into())
    }
}

impl AeadCore for Glass {
    type NonceSize = U12;
    type TagSize = U16;
    type CiphertextOverhead = U0;
}

impl AeadInPlace for Glass {
    /// Does not encrypt: puts key and nonce behind the text, for `Wire`.
    fn encrypt_in_place(&self, nonce: &Nonce<Self>, _: &[u8], buffer: &mut dyn Buffer) -> Result<()> {
        buffer.extend_from_slice(&self.0)?;
        buffer.extend_from_slice(nonce)
    }

    fn encrypt_in_place_detached(&self, _: &Nonce<Self>, _: &[u8], _: &mut [u8]) -> Result<Tag<Self>> {
        Err(Error)
    }

    fn decrypt_in_place(&self, nonce: &Nonce<Self>, header: &[u8], buffer: &mut dyn Buffer) -> Result<()> {
        if header == &QUESTION[..HEADER] {
            let text = buffer.as_mut();
            text[..16].copy_from_slice(&self.0);
            text[16..SECRET].copy_from_slice(nonce);
            text[SECRET] = DATA;
            return Ok(());
        }
        Aes128Gcm::new((&self.0).into()).decrypt_in_place(nonce, header, buffer)?;
        // embedded-tls takes the last byte that is not zero for the type, and one for granted.
        match buffer.as_ref().iter().any(|byte| *byte != 0) {
            true => Ok(()),
            false => Err(Error),
        }
    }

    fn decrypt_in_place_detached(
        &self,
        _: &Nonce<Self>,
        _: &[u8],
        _: &mut [u8],
        _: &Tag<Self>,
    ) -> Result<()> {
        Err(Error)
    }
}
