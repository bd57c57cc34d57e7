//! SHA-1 (RFC 3174) of a message of two blocks, as the handshake needs it and nothing else here does: in a sixth of the
//! flash that libraries take, which unroll its eighty rounds. It protects nothing (RFC 6455, 10.8).

/// Most bytes of the message: two blocks, but for the padding.
pub(super) const MESSAGE_MAX: usize = 2 * BLOCK - 9;

const BLOCK: usize = 64;

/// The digest of `parts`, one behind the other, which have at most [`MESSAGE_MAX`] bytes.
pub(super) fn sha1(parts: [&[u8]; 2]) -> [u8; 20] {
    let mut message = [0; 2 * BLOCK];
    let mut len = 0;
    for byte in parts.into_iter().flatten().take(MESSAGE_MAX) {
        message[len] = *byte;
        len += 1;
    }
    message[len] = 0x80;
    let end = if len + 9 <= BLOCK { BLOCK } else { 2 * BLOCK };
    message[end - 2..end].copy_from_slice(&(len as u16 * 8).to_be_bytes());

    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in message[..end].as_chunks::<BLOCK>().0 {
        compress(&mut state, block);
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

fn compress(state: &mut [u32; 5], block: &[u8; BLOCK]) {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for round in 0..80 {
        let (mix, constant) = match round / 20 {
            0 => (d ^ (b & (c ^ d)), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (d & (b | c)), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        // The sixteen words go round: each is made anew when it was used.
        let at = |i: usize| words[(round + i) % 16];
        let (word, later) = (at(0), (at(13) ^ at(8) ^ at(2) ^ at(0)).rotate_left(1));
        words[round % 16] = later;
        let next =
            a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_a_library_whatever_the_length() {
        let bytes: [u8; MESSAGE_MAX] = core::array::from_fn(|i| (i * 37) as u8);
        for len in 0..=MESSAGE_MAX {
            let (first, second) = bytes[..len].split_at(len / 3);
            let expected = sha1_smol::Sha1::from(&bytes[..len]).digest().bytes();
            assert_eq!(sha1([first, second]), expected, "{len}");
        }
    }
}
