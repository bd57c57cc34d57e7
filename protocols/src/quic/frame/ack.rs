//! ACK frames (RFC 9000, 19.3).
//!
//! ```text
//! | largest | delay | count | first range | gap, length | gap, length | ...        [ECT(0), ECT(1), ECN-CE]
//! |<--- 5, 6, 7, 8 acknowledged, 4 and 3 not, 2 acknowledged: 8, _, 1, 3, (1, 0)
//! ```

use core::ops::RangeInclusive;

use netloom_core::{Code, Error, Fault, Result};

use super::super::cursor::{Reader, Writer};
use super::types;

/// Acknowledged packets: ranges that were checked when they were read.
///
/// ```
/// use netloom_protocols::quic::{Ack, Frame, Frames, Writer};
///
/// let mut payload = [0; 16];
/// let mut writer = Writer::new(&mut payload);
/// Ack::write_ranges(&mut writer, 0, [5..=8, 2..=2], None)?;
/// let Some(Ok(Frame::Ack(ack))) = Frames::new(writer.written()).next() else { panic!() };
/// assert_eq!(ack.largest_acknowledged(), 8);
/// assert!(ack.ranges().eq([5..=8, 2..=2]));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    largest: u64,
    delay: u64,
    /// As it came, from the count of ranges to the end.
    behind: &'a [u8],
    /// Bytes at the end of `behind` that are ECN counts; 0 if there are none. With them beside it, an ACK would make all
    /// frames half as large again.
    ecn_len: u8,
}

/// How many packets came with which mark of the network (RFC 9000, 19.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcnCounts {
    /// With ECT(0).
    pub ect0: u64,
    /// With ECT(1).
    pub ect1: u64,
    /// With ECN-CE: there is congestion.
    pub ce: u64,
}

impl<'a> Ack<'a> {
    #[inline]
    pub(super) fn read(has_ecn: bool, reader: &mut Reader<'a>) -> Option<Self> {
        let largest = reader.varint()?;
        let delay = reader.varint()?;
        let behind = reader.rest();
        let count = reader.varint()?;
        let mut smallest = largest.checked_sub(reader.varint()?)?;
        // Each takes two bytes at least, so a count that is too large ends soon.
        for _ in 0..count {
            let (gap, len) = (reader.varint()?, reader.varint()?);
            // RFC 9000, 19.3.1: no packet number is negative.
            smallest = smallest.checked_sub(gap + 2)?.checked_sub(len)?;
        }
        let ranges_end = reader.len();
        if has_ecn {
            EcnCounts::read(reader)?;
        }
        let behind = behind.get(..behind.len().checked_sub(reader.len())?)?;
        // Three integers of at most eight bytes.
        let ecn_len = ranges_end.checked_sub(reader.len())? as u8;
        Some(Self { largest, delay, behind, ecn_len })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        for number in [self.frame_type(), self.largest, self.delay] {
            writer.varint(number)?;
        }
        writer.bytes(self.behind)
    }

    /// Writes an ACK frame of these ranges of packet numbers, the highest first; all of it or nothing. Who has less
    /// room than ranges takes the first ones.
    ///
    /// `delay` is as on the wire: microseconds shifted by the `ack_delay_exponent`.
    ///
    /// # Errors
    /// Those of [`Writer::varint`]; [`Code::Unsupported`], ours to blame, if there are no ranges, or they touch or do not
    /// fall.
    pub fn write_ranges<I>(
        writer: &mut Writer<'_>,
        delay: u64,
        ranges: I,
        ecn: Option<EcnCounts>,
    ) -> Result<()>
    where
        I: IntoIterator<Item = RangeInclusive<u64>, IntoIter: Clone>,
    {
        let ranges = ranges.into_iter();
        // The first range is not counted.
        let count = ranges.clone().skip(1).count() as u64;
        writer.all_or_nothing(|writer| {
            let mut above = None;
            for (start, end) in ranges.map(RangeInclusive::into_inner) {
                let len = end.checked_sub(start).ok_or(disordered())?;
                match above {
                    None => {
                        let frame_type = if ecn.is_some() { types::ACK_ECN } else { types::ACK };
                        for number in [frame_type, end, delay, count, len] {
                            writer.varint(number)?;
                        }
                    }
                    Some(smallest) => {
                        let gap = u64::checked_sub(smallest, end).and_then(|gap| gap.checked_sub(2));
                        writer.varint(gap.ok_or(disordered())?)?;
                        writer.varint(len)?;
                    }
                }
                above = Some(start);
            }
            above.ok_or(disordered())?;
            write_ecn(writer, ecn)
        })
    }

    /// The highest packet number that is acknowledged.
    pub const fn largest_acknowledged(&self) -> u64 {
        self.largest
    }

    /// How long the acknowledgement of that packet waited, as on the wire.
    pub const fn delay(&self) -> u64 {
        self.delay
    }

    /// The same in microseconds, by the peer's `ack_delay_exponent`; saturated.
    pub const fn delay_micros(&self, ack_delay_exponent: u32) -> u64 {
        match self.delay {
            0 => 0,
            delay if delay.leading_zeros() >= ack_delay_exponent => delay << ack_delay_exponent,
            _ => u64::MAX,
        }
    }

    /// The acknowledged packet numbers, the highest first.
    pub const fn ranges(&self) -> AckRanges<'a> {
        let mut rest = Reader::new(self.split().0);
        let first = match (rest.varint(), rest.varint()) {
            // At most the largest, as was checked.
            (Some(_count), Some(first)) => self.largest.saturating_sub(first),
            // What was read once is there.
            _ => self.largest,
        };
        AckRanges { next: Some((first, self.largest)), rest }
    }

    /// What the network marked, if the peer told.
    pub const fn ecn(&self) -> Option<EcnCounts> {
        EcnCounts::read(&mut Reader::new(self.split().1))
    }

    /// The ranges with their count, and the ECN counts.
    const fn split(&self) -> (&'a [u8], &'a [u8]) {
        self.behind.split_at(self.behind.len().saturating_sub(self.ecn_len as usize))
    }

    pub(super) const fn frame_type(&self) -> u64 {
        if self.ecn_len != 0 { types::ACK_ECN } else { types::ACK }
    }
}

impl EcnCounts {
    const fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match (reader.varint(), reader.varint(), reader.varint()) {
            (Some(ect0), Some(ect1), Some(ce)) => Some(Self { ect0, ect1, ce }),
            _ => None,
        }
    }
}

fn write_ecn(writer: &mut Writer<'_>, ecn: Option<EcnCounts>) -> Result<()> {
    let Some(EcnCounts { ect0, ect1, ce }) = ecn else { return Ok(()) };
    [ect0, ect1, ce].into_iter().try_for_each(|count| writer.varint(count))
}

fn disordered() -> Error {
    Error::new(Code::Unsupported).blame(Fault::Local)
}

/// Ranges of packet numbers, the highest first. They do not touch.
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    next: Option<(u64, u64)>,
    rest: Reader<'a>,
}

impl Iterator for AckRanges<'_> {
    type Item = RangeInclusive<u64>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (start, end) = self.next.take()?;
        // What was read once is there, and none is negative.
        self.next = (|| {
            let largest = start.checked_sub(self.rest.varint()? + 2)?;
            Some((largest.checked_sub(self.rest.varint()?)?, largest))
        })();
        Some(start..=end)
    }
}
