//! Protection of headers and payloads (RFC 9001, 5), by keys that are brought.
//!
//! ```text
//! | 1 1 tt rr nn | ... | packet number, 1 to 4 bytes | payload | tag, 16 bytes |
//!        ^^^^^           ^^^^^^^^^^^^^                  sealed by the packet key, with all in front of it and the number
//!        masked by the header key, by a sample that begins 4 bytes behind the packet number's first
//! ```
//!
//! A packet is opened in two steps, because which packet key is needed may depend on what the header key shows:
//! [`unprotect`], then [`Unprotected::open`].

use netloom_core::{Code, Error, Result};

use super::error::{Discard, TransportError};
use super::invariant::LONG;
use super::packet_number::PacketNumber;

/// Bytes that sealing adds: the same for all ciphers (RFC 9001, 5.3).
pub const TAG_LEN: usize = 16;
/// Bytes of ciphertext that a mask is made of (RFC 9001, 5.4.2).
pub const SAMPLE_LEN: usize = 16;
/// The sample is taken as if the packet number had 4 bytes (RFC 9001, 5.4.2).
const SAMPLE_AT: usize = 4;

/// Packet number and payload have so many bytes at least, or there is no sample.
pub(super) const PAYLOAD_MIN: usize = SAMPLE_AT + SAMPLE_LEN - TAG_LEN;

/// 1-RTT packets: which keys they are protected by (RFC 9001, 6).
pub(super) const KEY_PHASE: u8 = 0x04;

/// What hides packet numbers (RFC 9001, 5.4).
pub trait HeaderKey {
    /// The mask that `sample` makes: for the first byte, and the packet number's four.
    fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5];
}

/// What seals and opens payloads (RFC 9001, 5.3): an AEAD with its key and IV.
pub trait PacketKey {
    /// Encrypts `payload` in place and authenticates it and `header`.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`] beyond what the cipher takes; no packet is that long.
    fn seal(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<[u8; TAG_LEN]>;

    /// Decrypts `payload` in place, whose last [`TAG_LEN`] bytes are the tag.
    ///
    /// # Errors
    /// [`Discard::Forged`] if it, the number or `header` is not what was sealed, or there is no tag.
    fn open(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<(), Discard>;
}

/// The nonce for a packet (RFC 9001, 5.3): the IV, its end xored with the packet number.
pub fn nonce(iv: &[u8; 12], packet_number: u64) -> [u8; 12] {
    let mut nonce = *iv;
    for (byte, number) in nonce.iter_mut().skip(4).zip(packet_number.to_be_bytes()) {
        *byte ^= number;
    }
    nonce
}

/// Which bits of the first byte are protected (RFC 9001, 5.4.1).
const fn protected_bits(first: u8) -> u8 {
    if first & LONG == 0 { 0x1f } else { 0x0f }
}

/// Which bits of the first byte are reserved (RFC 9000, 17.2 and 17.3.1).
const fn reserved_bits(first: u8) -> u8 {
    if first & LONG == 0 { 0x18 } else { 0x0c }
}

/// A packet whose header is plain, and whose payload is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unprotected {
    /// The first byte. Do not judge it before the packet is opened (RFC 9001, 9.5).
    pub first: u8,
    /// The packet number, all of it.
    pub packet_number: u64,
    /// Bytes of the header, packet number and all.
    pub header_len: usize,
}

/// Takes the protection off a packet's header, in place. `packet` is the packet and no more, and its packet number begins
/// at `packet_number_at`, both as [`Packet::read`](super::Packet::read) says. `expected` is the highest packet number that
/// was received in the same space plus one, or 0.
///
/// # Errors
/// [`Discard::TooShort`], and the packet is as it was.
pub fn unprotect(
    packet: &mut [u8],
    packet_number_at: usize,
    key: &impl HeaderKey,
    expected: u64,
) -> Result<Unprotected, Discard> {
    let mask = mask_of(packet, packet_number_at, key).ok_or(Discard::TooShort)?;
    let (first, number) = first_and_number(packet, packet_number_at).ok_or(Discard::TooShort)?;
    *first ^= mask[0] & protected_bits(*first);
    let len = usize::from(*first & 3) + 1;
    let mut truncated = 0;
    for (byte, mask) in number.iter_mut().zip(&mask[1..]).take(len) {
        *byte ^= mask;
        truncated = truncated << 8 | u32::from(*byte);
    }
    let packet_number = PacketNumber::decode(truncated, len, expected);
    Ok(Unprotected { first: *first, packet_number, header_len: packet_number_at + len })
}

impl Unprotected {
    /// The key phase bit of a 1-RTT packet (RFC 9001, 6).
    pub const fn key_phase(&self) -> bool {
        self.first & KEY_PHASE != 0
    }

    /// Opens the packet, the same bytes as were [unprotected](unprotect), in place.
    ///
    /// # Errors
    /// [`Discard::Forged`]: it is not by who has the key, or for another. The packet is spoiled then.
    pub fn open<'a>(self, packet: &'a mut [u8], key: &impl PacketKey) -> Result<Opened<'a>, Discard> {
        let (header, sealed) = packet.split_at_mut_checked(self.header_len).ok_or(Discard::TooShort)?;
        key.open(self.packet_number, header, sealed)?;
        let (payload, _) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Discard::TooShort)?;
        Ok(Opened { first: self.first, packet_number: self.packet_number, payload })
    }
}

/// A packet that its sender has sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The first byte, plain.
    pub first: u8,
    /// The packet number, all of it.
    pub packet_number: u64,
    /// Frames.
    pub payload: &'a [u8],
}

impl Opened<'_> {
    /// The key phase bit of a 1-RTT packet (RFC 9001, 6).
    pub const fn key_phase(&self) -> bool {
        self.first & KEY_PHASE != 0
    }

    /// The reserved bits, where they stand; they must be 0.
    pub const fn reserved_bits(&self) -> u8 {
        self.first & reserved_bits(self.first)
    }

    /// Whether the reserved bits are 0.
    ///
    /// # Errors
    /// PROTOCOL_VIOLATION if not (RFC 9000, 17.2 and 17.3.1).
    pub const fn check(&self) -> Result<(), TransportError> {
        match self.reserved_bits() {
            0 => Ok(()),
            _ => Err(TransportError::ProtocolViolation),
        }
    }
}

/// Seals a packet in place, then hides its packet number: `packet` is the whole packet, the first byte and the packet
/// number plain, and [`TAG_LEN`] bytes of any content at its end.
///
/// # Errors
/// [`Code::BufferFull`] if there is no room for the tag or a sample; those of the key.
pub fn protect(
    packet: &mut [u8],
    packet_number_at: usize,
    packet_number: u64,
    header_key: &impl HeaderKey,
    packet_key: &impl PacketKey,
) -> Result<()> {
    let full = Error::new(Code::BufferFull);
    let len = packet.first().map_or(0, |first| usize::from(first & 3) + 1);
    let (header, sealed) = packet.split_at_mut_checked(packet_number_at.saturating_add(len)).ok_or(full)?;
    let (payload, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(full)?;
    if len + payload.len() < PAYLOAD_MIN {
        return Err(full);
    }
    *tag = packet_key.seal(packet_number, header, payload)?;
    let mask = mask_of(packet, packet_number_at, header_key).ok_or(full)?;
    let (first, number) = first_and_number(packet, packet_number_at).ok_or(full)?;
    *first ^= mask[0] & protected_bits(*first);
    for (byte, mask) in number.iter_mut().zip(&mask[1..]).take(len) {
        *byte ^= mask;
    }
    Ok(())
}

fn mask_of(packet: &[u8], packet_number_at: usize, key: &impl HeaderKey) -> Option<[u8; 5]> {
    let sample = packet.get(packet_number_at.checked_add(SAMPLE_AT)?..)?.first_chunk()?;
    Some(key.mask(sample))
}

fn first_and_number(packet: &mut [u8], packet_number_at: usize) -> Option<(&mut u8, &mut [u8; 4])> {
    let (first, rest) = packet.split_first_mut()?;
    Some((first, rest.get_mut(packet_number_at.checked_sub(1)?..)?.first_chunk_mut()?))
}

#[cfg(test)]
pub(super) mod tests {
    extern crate std;

    use super::*;
    use crate::tests::Noise;

    /// Not a cipher: what it does can be seen.
    pub(in super::super) struct Plain;

    impl HeaderKey for Plain {
        fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
            [0xff, sample[0], sample[1], sample[2], sample[3]]
        }
    }

    impl PacketKey for Plain {
        fn seal(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<[u8; TAG_LEN]> {
            payload.iter_mut().for_each(|byte| *byte = !*byte);
            Ok(tag(packet_number, header, payload))
        }

        fn open(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<(), Discard> {
            let (payload, end) = payload.split_last_chunk_mut::<TAG_LEN>().ok_or(Discard::Forged)?;
            if *end != tag(packet_number, header, payload) {
                return Err(Discard::Forged);
            }
            payload.iter_mut().for_each(|byte| *byte = !*byte);
            Ok(())
        }
    }

    fn tag(packet_number: u64, header: &[u8], payload: &[u8]) -> [u8; TAG_LEN] {
        let parts = [&packet_number.to_be_bytes()[..], header, payload].concat();
        let sum = parts
            .iter()
            .fold(7u128, |sum, byte| sum.rotate_left(5) ^ u128::from(*byte).wrapping_mul(0x1_0001));
        sum.to_be_bytes()
    }

    /// A 1-RTT packet with a packet number of 2 bytes.
    fn packet() -> [u8; 30] {
        let mut packet = *b"\x45id\x12\x34frames...................";
        packet[14..].fill(0);
        packet
    }

    #[test]
    fn a_packet_that_was_protected_is_opened() {
        let mut bytes = packet();
        protect(&mut bytes, 3, 0x77_1234, &Plain, &Plain).unwrap();
        assert_eq!(bytes[0], 0x45 ^ 0x1f);
        assert_eq!(&bytes[1..3], b"id");
        assert_ne!(bytes[3..5], packet()[3..5]);
        let plain = unprotect(&mut bytes, 3, &Plain, 0x77_1200).unwrap();
        assert_eq!(plain, Unprotected { first: 0x45, packet_number: 0x77_1234, header_len: 5 });
        let opened = plain.open(&mut bytes, &Plain).unwrap();
        assert_eq!(opened.payload, &packet()[5..14]);
        assert!(opened.key_phase() && plain.key_phase());
        assert_eq!(opened.check(), Ok(()));
    }

    #[test]
    fn another_packet_number_or_header_is_a_forgery() {
        for fault in [0, 1, 3, 4, 5, 29] {
            let mut bytes = packet();
            protect(&mut bytes, 3, 0x77_1234, &Plain, &Plain).unwrap();
            bytes[fault] ^= 1;
            let opened = unprotect(&mut bytes, 3, &Plain, 0x77_1200)
                .and_then(|plain| plain.open(&mut bytes, &Plain).map(|_| ()));
            assert_eq!(opened, Err(Discard::Forged), "at {fault}");
        }
        let mut bytes = packet();
        protect(&mut bytes, 3, 0x77_1234, &Plain, &Plain).unwrap();
        let plain = unprotect(&mut bytes, 3, &Plain, 0x80_1200).unwrap();
        assert_eq!(plain.open(&mut bytes, &Plain), Err(Discard::Forged));
    }

    #[test]
    fn reserved_bits_are_a_violation_once_the_packet_is_opened() {
        for (first, reserved) in
            [(0x4d, 0x08), (0x55, 0x10), (0xc5, 0x04), (0xc9, 0x08), (0xc1, 0), (0x45, 0)]
        {
            let mut bytes = packet();
            bytes[0] = first;
            protect(&mut bytes, 3, 0x1234, &Plain, &Plain).unwrap();
            let plain = unprotect(&mut bytes, 3, &Plain, 0x1234).unwrap();
            let opened = plain.open(&mut bytes, &Plain).unwrap();
            assert_eq!((opened.first, opened.reserved_bits()), (first, reserved));
            let expected = if reserved == 0 { Ok(()) } else { Err(TransportError::ProtocolViolation) };
            assert_eq!(opened.check(), expected);
        }
    }

    #[test]
    fn what_has_no_sample_is_too_short_and_untouched() {
        let mut bytes = packet();
        for len in 0..23 {
            assert_eq!(unprotect(&mut bytes[..len], 3, &Plain, 0), Err(Discard::TooShort));
        }
        for at in [0, 11, 30, 31, usize::MAX] {
            assert_eq!(unprotect(&mut bytes, at, &Plain, 0), Err(Discard::TooShort));
        }
        assert_eq!(bytes, packet());
        assert!(unprotect(&mut bytes[..23], 3, &Plain, 0).is_ok());
        let plain = Unprotected { first: 0x40, packet_number: 0, header_len: 31 };
        assert_eq!(plain.open(&mut bytes, &Plain), Err(Discard::TooShort));
    }

    #[test]
    fn what_has_no_room_is_not_protected() {
        let mut bytes = packet();
        for len in 0..23 {
            assert_eq!(protect(&mut bytes[..len], 3, 0, &Plain, &Plain), Err(Code::BufferFull.into()));
        }
        for at in [0, 29, usize::MAX] {
            assert_eq!(protect(&mut bytes, at, 0, &Plain, &Plain), Err(Code::BufferFull.into()));
        }
    }

    #[test]
    fn a_nonce_is_the_iv_and_the_packet_number() {
        let iv = [0xff; 12];
        assert_eq!(
            nonce(&iv, 0x0102_0304_0506_0708)[..],
            *b"\xff\xff\xff\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7"
        );
        assert_eq!(nonce(&iv, 0), iv);
    }

    #[test]
    fn whatever_is_changed_nothing_else_is_opened() {
        let mut sealed = packet();
        protect(&mut sealed, 3, 0x1234, &Plain, &Plain).unwrap();
        let mut noise = Noise::new(3);
        for round in 0..20_000 {
            let mut bytes = noise.mutated(&sealed);
            let is_same = bytes == sealed;
            let at = if is_same { 3 } else { noise.below(32) };
            let Ok(plain) = unprotect(&mut bytes, at, &Plain, 0x1234) else { continue };
            let is_opened = plain.open(&mut bytes, &Plain).is_ok();
            assert_eq!(is_opened, is_same, "round {round}");
        }
    }
}
