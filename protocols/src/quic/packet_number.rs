//! Packet numbers, cut short (RFC 9000, 17.1): the last 1 to 4 bytes travel, the receiver knows the rest.

use super::varint;

/// A packet number and in how many bytes it is sent.
///
/// ```
/// use netloom_protocols::quic::PacketNumber;
///
/// let number = PacketNumber::after(0xac_5c02, Some(0xab_e8b3)).expect("not too many are unacknowledged");
/// assert_eq!((number.len(), number.truncated()), (2, 0x5c02));
/// assert_eq!(PacketNumber::decode(0x9b32, 2, 0xa82f_30eb), 0xa82f_9b32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketNumber {
    value: u64,
    len: u8,
}

impl PacketNumber {
    /// Most bytes on the wire.
    pub const LEN_MAX: usize = 4;

    /// `value`, which is to be sent in `len` bytes; `None` unless these are 1 to 4 and `value` is at most 2^62 - 1.
    pub const fn new(value: u64, len: usize) -> Option<Self> {
        match len {
            1..=4 if value <= varint::MAX => Some(Self { value, len: len as u8 }),
            _ => None,
        }
    }

    /// `value` in as few bytes as its receiver needs, who has acknowledged `largest_acknowledged`. `None` if no packet
    /// may be sent before more are acknowledged, or `value` was acknowledged itself.
    pub const fn after(value: u64, largest_acknowledged: Option<u64>) -> Option<Self> {
        let unacknowledged = match largest_acknowledged {
            None => value.checked_add(1),
            Some(largest) => value.checked_sub(largest),
        };
        // RFC 9000, 17.1: more than twice as large a range.
        let len = match unacknowledged {
            None | Some(0) => return None,
            Some(1..0x80) => 1,
            Some(0x80..0x8000) => 2,
            Some(0x8000..0x80_0000) => 3,
            Some(0x80_0000..0x8000_0000) => 4,
            Some(_) => return None,
        };
        Self::new(value, len)
    }

    /// The packet number of which the last `len` bytes, 1 to 4, are `truncated`: the one closest to `expected`, which
    /// is the highest that was received plus one, or 0 (RFC 9000, A.3).
    pub const fn decode(truncated: u32, len: usize, expected: u64) -> u64 {
        let len = if len > Self::LEN_MAX { Self::LEN_MAX } else { len };
        let window = 1 << (8 * len);
        let half = window / 2;
        let candidate = (expected & !(window - 1)) | (truncated as u64 & (window - 1));
        if candidate.saturating_add(half) <= expected && candidate < (1 << 62) - window {
            return candidate + window;
        }
        if candidate > expected.saturating_add(half) && candidate >= window {
            return candidate - window;
        }
        candidate
    }

    /// All of it.
    pub const fn value(self) -> u64 {
        self.value
    }

    /// Bytes on the wire: 1 to 4.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// What is on the wire, as a number.
    pub const fn truncated(self) -> u32 {
        let unused = 32 - 8 * self.len as u32;
        ((self.value as u32) << unused) >> unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_the_rfc() {
        // RFC 9000, A.2 and A.3.
        let len = |value, acknowledged| PacketNumber::after(value, acknowledged).map(PacketNumber::len);
        assert_eq!(len(0xac_5c02, Some(0xab_e8b3)), Some(2));
        assert_eq!(len(0xac_e8fe, Some(0xab_e8b3)), Some(3));
        assert_eq!(PacketNumber::decode(0x9b32, 2, 0xa82f_30ea + 1), 0xa82f_9b32);
    }

    #[test]
    fn as_many_bytes_are_sent_as_the_receiver_needs() {
        let len = |value, acknowledged| PacketNumber::after(value, acknowledged).map(PacketNumber::len);
        for (value, acknowledged, expected) in [
            (0, None, Some(1)),
            (126, None, Some(1)),
            (127, None, Some(2)),
            (1000, Some(999), Some(1)),
            (0x7fff, Some(0), Some(2)),
            (0x8000, Some(0), Some(3)),
            (0x80_0000, Some(0), Some(4)),
            (0x7fff_ffff, Some(0), Some(4)),
            (0x8000_0000, Some(0), None),
            (varint::MAX, Some(varint::MAX - 1), Some(1)),
            (varint::MAX + 1, Some(varint::MAX), None),
            (5, Some(5), None),
            (5, Some(6), None),
            (u64::MAX, None, None),
        ] {
            assert_eq!(len(value, acknowledged), expected, "{value} after {acknowledged:?}");
        }
    }

    #[test]
    fn whatever_the_receiver_has_seen_since_the_acknowledgement_it_decodes_the_number_sent() {
        for value in [0, 1, 200, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 1 << 40, varint::MAX] {
            for behind in [1, 2, 100, 127, 128, 0x7fff, 0x8000, 0x7f_ffff, 0x7fff_ffff] {
                let Some(acknowledged) = u64::checked_sub(value, behind) else { continue };
                let number = PacketNumber::after(value, Some(acknowledged)).unwrap();
                for expected in [acknowledged + 1, acknowledged + 1 + behind / 2, value] {
                    let decoded = PacketNumber::decode(number.truncated(), number.len(), expected);
                    assert_eq!(decoded, value, "{number:?}, expected {expected}");
                }
            }
        }
    }

    #[test]
    fn no_number_is_decoded_beyond_the_last_or_panics() {
        for expected in [0, 1, 0x7f, 0x80, varint::MAX - 1, varint::MAX, varint::MAX + 1, u64::MAX] {
            for truncated in [0, 1, 0x7f, 0x80, 0xff, 0xffff_ffff] {
                for len in 0..=5 {
                    let decoded = PacketNumber::decode(truncated, len, expected);
                    assert!(decoded <= varint::MAX || expected > varint::MAX, "{expected} {truncated} {len}");
                }
            }
        }
        assert_eq!(PacketNumber::new(0, 0), None);
        assert_eq!(PacketNumber::new(0, 5), None);
        assert_eq!(PacketNumber::new(varint::MAX + 1, 4), None);
    }
}
