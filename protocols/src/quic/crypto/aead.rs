//! RustCrypto's ciphers as keys of packets.

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadCore, AeadInPlace};
use aes_gcm::aes::cipher::{BlockEncrypt, BlockSizeUser, KeyInit};
use chacha20::cipher::{Iv, KeyIvInit, StreamCipherCore, StreamCipherSeekCore};
use chacha20::{ChaChaCore, Key};
use netloom_core::{Code, Result};

use super::super::error::Discard;
use super::super::protection::{HeaderKey, PacketKey, SAMPLE_LEN, TAG_LEN, nonce};

/// ChaCha has 20 rounds, in pairs.
type Core = ChaChaCore<aes_gcm::aead::consts::U10>;

/// An AEAD and its IV.
#[derive(Clone)]
pub struct AeadKey<A> {
    aead: A,
    iv: [u8; 12],
}

impl<A> AeadKey<A> {
    /// With a key, and the IV that packet numbers are added to.
    pub const fn new(aead: A, iv: [u8; 12]) -> Self {
        Self { aead, iv }
    }
}

impl<A: AeadInPlace + AeadCore<NonceSize = U12, TagSize = U16>> PacketKey for AeadKey<A> {
    fn seal(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        let nonce = nonce(&self.iv, packet_number).into();
        let sealed = self.aead.encrypt_in_place_detached(&nonce, header, payload);
        sealed.map(Into::into).map_err(|_| Code::MessageTooLarge.into())
    }

    fn open(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<(), Discard> {
        let nonce = nonce(&self.iv, packet_number).into();
        let (payload, tag) = payload.split_last_chunk_mut::<TAG_LEN>().ok_or(Discard::Forged)?;
        let tag = (&*tag).into();
        self.aead.decrypt_in_place_detached(&nonce, header, payload, tag).map_err(|_| Discard::Forged)
    }
}

/// AES on one block (RFC 9001, 5.4.3).
#[derive(Clone)]
pub struct AesHeaderKey<C>(C);

impl<C: KeyInit> AesHeaderKey<C> {
    /// With a key of the cipher's length.
    pub fn new<const N: usize>(key: &[u8; N]) -> Self
    where
        for<'a> &'a aes_gcm::Key<C>: From<&'a [u8; N]>,
    {
        Self(C::new(key.into()))
    }
}

impl<C: BlockEncrypt + BlockSizeUser<BlockSize = U16>> HeaderKey for AesHeaderKey<C> {
    fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        let mut block = (*sample).into();
        self.0.encrypt_block(&mut block);
        let block: [u8; SAMPLE_LEN] = block.into();
        let [a, b, c, d, e, ..] = block;
        [a, b, c, d, e]
    }
}

/// ChaCha20, of which the sample chooses block and nonce (RFC 9001, 5.4.4).
#[derive(Clone)]
pub struct ChaChaHeaderKey(Key);

impl ChaChaHeaderKey {
    /// With a key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self((*key).into())
    }
}

impl HeaderKey for ChaChaHeaderKey {
    fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        let [a, b, c, d, nonce @ ..] = *sample;
        let mut core = Core::new(&self.0, &Iv::<Core>::from(nonce));
        core.set_block_pos(u32::from_le_bytes([a, b, c, d]));
        // The stream above would refuse the last block, and panic: whoever sends a packet chooses which.
        let mut block = Default::default();
        core.write_keystream_block(&mut block);
        let block: [u8; 64] = block.into();
        let [a, b, c, d, e, ..] = block;
        [a, b, c, d, e]
    }
}
