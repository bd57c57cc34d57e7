//! The tag of Retry packets (RFC 9001, 5.8): proof that their sender has seen the Initial packet that they answer.
//!
//! It is AES-128-GCM of nothing, with the packet as associated data behind the connection ID that the client had sent to:
//! GHASH alone, so that the parts need not lie in one piece.

use aes_gcm::aes::Aes128;
use aes_gcm::aes::cipher::{BlockEncrypt, KeyInit};
use ghash::universal_hash::UniversalHash;
use ghash::{Block, GHash};
use netloom_core::{Code, Result};

use super::super::cursor::Writer;
use super::super::header::{Header, Long, Packet};
use super::super::protection::TAG_LEN;
use super::super::version::Version;

/// RFC 9001, 5.8.
const KEY_V1: [u8; 16] =
    [0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e];
/// RFC 9001, 5.8.
const NONCE_V1: [u8; 12] = [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb];

/// Writes a Retry packet in answer to an Initial packet that was sent to `original_destination_connection_id`.
///
/// # Errors
/// Those of [`Header::write`]; [`Code::Unsupported`] for a version that is not known.
pub fn write(
    writer: &mut Writer<'_>,
    long: Long<'_>,
    token: &[u8],
    original_destination_connection_id: &[u8],
) -> Result<()> {
    let start = writer.len();
    writer.all_or_nothing(|writer| {
        Header::Retry { long, token, integrity_tag: &[0; TAG_LEN] }.write(writer)?;
        let packet = writer.written_mut().get_mut(start..).unwrap_or_default();
        let (packet, tag) = packet.split_last_chunk_mut::<TAG_LEN>().ok_or(Code::BufferFull)?;
        *tag = integrity_tag(long.version, original_destination_connection_id, packet)
            .ok_or(Code::Unsupported)?;
        Ok(())
    })
}

/// Whether `packet` is a Retry packet in answer to an Initial packet that was sent to
/// `original_destination_connection_id`. If it is not, it is to be discarded.
pub fn is_authentic(packet: &[u8], original_destination_connection_id: &[u8]) -> bool {
    let Ok(Packet { header: Header::Retry { long, integrity_tag: tag, .. }, .. }) = Packet::read(packet, 0)
    else {
        return false;
    };
    let Some((packet, _)) = packet.split_last_chunk::<TAG_LEN>() else { return false };
    // Everyone knows the key: there is nothing that the time it takes could tell.
    integrity_tag(long.version, original_destination_connection_id, packet).is_some_and(|right| right == *tag)
}

/// The tag for `packet`, a Retry packet but for its tag. `None` for a version that is not known.
pub fn integrity_tag(
    version: Version,
    original_destination_connection_id: &[u8],
    packet: &[u8],
) -> Option<[u8; TAG_LEN]> {
    let (key, nonce) = match version {
        Version::V1 => (KEY_V1, NONCE_V1),
        _ => return None,
    };
    let len = u8::try_from(original_destination_connection_id.len()).ok()?;
    let parts = [&[len][..], original_destination_connection_id, packet];
    let aes = Aes128::new(&key.into());
    let mut hash_key = Block::default();
    aes.encrypt_block(&mut hash_key);
    let mut hash = GHash::new(&hash_key);
    let (mut block, mut bits) = ([0; TAG_LEN], 0_u64);
    for byte in parts.into_iter().flatten() {
        let at = (bits / 8 % 16) as usize;
        block[at] = *byte;
        bits += 8;
        if at == TAG_LEN - 1 {
            hash.update(&[block.into()]);
            block = [0; TAG_LEN];
        }
    }
    if bits % 128 != 0 {
        hash.update(&[block.into()]);
    }
    // NIST SP 800-38D, 7.1: then the lengths, of the data and of what was encrypted; and the first block of the counter.
    hash.update(&[(u128::from(bits) << 64).to_be_bytes().into()]);
    let mut counter = [0; TAG_LEN];
    counter[..12].copy_from_slice(&nonce);
    counter[15] = 1;
    let mut mask = counter.into();
    aes.encrypt_block(&mut mask);
    let mut tag: [u8; TAG_LEN] = hash.finalize().into();
    tag.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    Some(tag)
}
