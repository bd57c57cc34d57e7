//! Ranges: which bytes of a representation a request asks for (RFC 9110, 14).
//!
//! [`select`] turns the value of `Range` into what is to be sent. Invariant: a [`Range`] lies within the
//! representation and has at least one byte; the ranges of one answer do not overlap or touch, so they are
//! never more bytes together than the whole.

use core::fmt;
use core::ops::Deref;

use netloom_core::{Outbox, Result};

use super::to_fields::put_decimal;

/// The most ranges of one answer: what they take in memory, and how often a file is sought in, is bounded.
/// A request for more, after those that overlap were put together, is answered with the whole
/// representation; RFC 9110, 14.2 lets a server ignore many small ranges.
pub const MAX: usize = 8;

/// Bytes `first` to `last`, both included, counted from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Range {
    first: u64,
    last: u64,
}

impl Range {
    /// The offset of the first byte.
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The offset of the last byte.
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes: the `Content-Length` of a response with only this range. At least one.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether there is no byte between the two that is in neither.
    fn touches(self, other: Self) -> bool {
        // No overflow: offsets are below the length of the representation.
        self.first <= other.last + 1 && other.first <= self.last + 1
    }

    fn join(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// At most [`MAX`] ranges, in the order they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    ranges: [Range; MAX],
    len: u8,
}

impl Ranges {
    /// Adds a range; nothing if there are too many.
    ///
    /// RFC 9110, 15.3.7.2: ranges that overlap or touch become one, in the place of the first of them.
    fn add(&mut self, range: Range) -> Option<()> {
        let Some(place) = self.iter().position(|other| other.touches(range)) else { return self.push(range) };
        // Those that the range touches do not touch each other, so nothing else can touch their union.
        let touched = self.iter().filter(|other| other.touches(range));
        let union = touched.fold(range, |union, other| union.join(*other));
        let before = core::mem::take(self);
        for (at, other) in before.iter().enumerate() {
            match other.touches(range) {
                true if at == place => self.push(union)?,
                true => {}
                false => self.push(*other)?,
            }
        }
        Some(())
    }

    fn push(&mut self, range: Range) -> Option<()> {
        *self.ranges.get_mut(usize::from(self.len))? = range;
        self.len += 1;
        Some(())
    }
}

impl Deref for Ranges {
    type Target = [Range];

    fn deref(&self) -> &[Range] {
        // `len` counts what was pushed.
        self.ranges.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What of a representation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All of it, with 200: the field is to be ignored, or names no part.
    Whole,
    /// One part, with 206 and [`ContentRange::Part`].
    Single(Range),
    /// Several parts, with 206 and a body of [`ByteRanges`](super::byteranges::ByteRanges).
    Multiple(Ranges),
    /// Nothing, with 416 and [`ContentRange::Unsatisfied`]: no range begins within the representation.
    Unsatisfiable,
}

impl Selected {
    /// The status of the response.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Whole => 200,
            Self::Single(_) | Self::Multiple(_) => 206,
            Self::Unsatisfiable => 416,
        }
    }
}

/// Selects what `field`, the value of `Range`, asks for of a representation of `complete_length` bytes.
///
/// A malformed value and one in another unit than bytes are ignored, as are more than [`MAX`] ranges. A
/// range that goes beyond the end is cut there. Whether the field is to be obeyed at all is for
/// [`conditional::range`](super::conditional::range) to say.
///
/// ```
/// use netloom_protocols::http1::range::{ContentRange, Selected, select};
///
/// let Selected::Single(range) = select(b"bytes=-500", 10_000) else { panic!() };
/// let part = ContentRange::Part { range, complete_length: 10_000 };
/// assert_eq!(part.to_string(), "bytes 9500-9999/10000");
/// ```
pub fn select(field: &[u8], complete_length: u64) -> Selected {
    parse(field, complete_length).unwrap_or(Selected::Whole)
}

/// Nothing if the field is to be ignored.
fn parse(field: &[u8], complete_length: u64) -> Option<Selected> {
    const UNIT: usize = b"bytes".len();
    let (unit, set) = field.split_at_checked(UNIT)?;
    let set = set.strip_prefix(b"=").filter(|_| unit.eq_ignore_ascii_case(b"bytes"))?;

    let mut ranges = Ranges::default();
    let mut asked = false;
    for spec in set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        // RFC 9110, 5.6.1.2: empty elements are passed over.
        if spec.is_empty() {
            continue;
        }
        asked = true;
        match Spec::parse(spec)?.of(complete_length) {
            Part::Range(range) => ranges.add(range)?,
            Part::Empty => return None,
            Part::Outside => {}
        }
    }
    Some(match *ranges {
        [] if asked => Selected::Unsatisfiable,
        [] => Selected::Whole,
        [range] => Selected::Single(range),
        _ => Selected::Multiple(ranges),
    })
}

/// A `range-spec` (RFC 9110, 14.1.1). Numbers too large to count with are as good as the largest.
enum Spec {
    /// `first-last`, or `first-`.
    Int { first: u64, last: u64 },
    /// `-length`: the last bytes.
    Suffix(u64),
}

/// What a `range-spec` is of one representation.
enum Part {
    Range(Range),
    /// All of nothing: satisfiable, but no `Content-Range` can say so.
    Empty,
    /// Unsatisfiable.
    Outside,
}

impl Spec {
    fn parse(spec: &[u8]) -> Option<Self> {
        let (first, last) = spec.split_at_checked(spec.iter().position(|byte| *byte == b'-')?)?;
        let last = last.get(1..)?;
        Some(match (first, last) {
            ([], last) => Self::Suffix(number(last)?),
            (first, []) => Self::Int { first: number(first)?, last: u64::MAX },
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                // RFC 9110, 14.1.1: invalid, and so is the whole field.
                (first <= last).then_some(Self::Int { first, last })?
            }
        })
    }

    fn of(self, complete_length: u64) -> Part {
        match (self, complete_length.checked_sub(1)) {
            (Self::Suffix(0), _) | (Self::Int { .. }, None) => Part::Outside,
            (Self::Suffix(_), None) => Part::Empty,
            (Self::Suffix(length), Some(last)) => {
                Part::Range(Range { first: complete_length.saturating_sub(length), last })
            }
            (Self::Int { first, .. }, Some(end)) if first > end => Part::Outside,
            (Self::Int { first, last }, Some(end)) => Part::Range(Range { first, last: last.min(end) }),
        }
    }
}

/// One or more digits; saturates.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |n: u64, digit: &u8| {
        digit.is_ascii_digit().then(|| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    };
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0, add)
}

/// The value of `Content-Range` (RFC 9110, 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentRange {
    /// `bytes 0-499/1234`, in a 206 with one range, and in each part of one with more.
    Part {
        /// What is sent.
        range: Range,
        /// Bytes of the whole representation.
        complete_length: u64,
    },
    /// `bytes */1234`, in a 416.
    Unsatisfied {
        /// Bytes of the whole representation.
        complete_length: u64,
    },
}

impl ContentRange {
    /// Most bytes of the value: three numbers of 20 digits.
    pub(super) const LENGTH_MAX: usize = 6 + 3 * 20 + 2;

    /// Writes the value, as its `Display` does but without what formatting costs a board.
    pub(super) fn put(self, out: &mut Outbox<'_>) -> Result<()> {
        out.put(b"bytes ")?;
        let complete_length = match self {
            Self::Part { range, complete_length } => {
                put_decimal(range.first, out)?;
                out.put(b"-")?;
                put_decimal(range.last, out)?;
                complete_length
            }
            Self::Unsatisfied { complete_length } => {
                out.put(b"*")?;
                complete_length
            }
        };
        out.put(b"/")?;
        put_decimal(complete_length, out)
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part { range, complete_length } => {
                write!(f, "bytes {}-{}/{complete_length}", range.first, range.last)
            }
            Self::Unsatisfied { complete_length } => write!(f, "bytes */{complete_length}"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::tests::Noise;
    use std::format;
    use std::string::ToString;
    use std::vec::Vec;

    fn pairs(field: &str, complete_length: u64) -> Vec<(u64, u64)> {
        match select(field.as_bytes(), complete_length) {
            Selected::Single(range) => [(range.first(), range.last())].to_vec(),
            Selected::Multiple(ranges) => ranges.iter().map(|range| (range.first(), range.last())).collect(),
            other => panic!("{field}: {other:?}"),
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_selected() {
        // RFC 9110, 14.1.2
        for (field, expected) in [
            ("bytes=0-499", &[(0, 499)][..]),
            ("bytes=500-999", &[(500, 999)]),
            ("bytes=-500", &[(9500, 9999)]),
            ("bytes=9500-", &[(9500, 9999)]),
            ("bytes=0-0,-1", &[(0, 0), (9999, 9999)]),
            ("bytes= 0-999, 4500-5499, -1000", &[(0, 999), (4500, 5499), (9000, 9999)]),
            ("bytes=500-600,601-999", &[(500, 999)]),
            ("bytes=500-700,601-999", &[(500, 999)]),
        ] {
            assert_eq!(pairs(field, 10_000), expected, "{field}");
        }
    }

    #[test]
    fn ranges_are_cut_at_the_end() {
        for (field, expected) in [
            ("bytes=0-", (0, 9)),
            ("bytes=3-99", (3, 9)),
            ("bytes=9-9", (9, 9)),
            ("bytes=-10", (0, 9)),
            ("bytes=-11", (0, 9)),
            ("bytes=0-99999999999999999999999", (0, 9)),
            ("bytes=-99999999999999999999999", (0, 9)),
            ("BYTES=2-3", (2, 3)),
            ("bytes=,, 2-3 ,\t,", (2, 3)),
            ("bytes=2-3,10-", (2, 3)),
            ("bytes=007-8", (7, 8)),
        ] {
            assert_eq!(pairs(field, 10), [expected], "{field}");
        }
        let all = [(0, u64::MAX - 1)];
        assert_eq!(pairs("bytes=0-", u64::MAX), all);
        assert_eq!(pairs("bytes=18446744073709551614-,0-18446744073709551613", u64::MAX), all);
    }

    #[test]
    fn what_begins_behind_the_end_is_unsatisfiable() {
        for field in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-", "bytes=10-,-0"] {
            assert_eq!(select(field.as_bytes(), 10), Selected::Unsatisfiable, "{field}");
        }
        assert_eq!(select(b"bytes=0-", 0), Selected::Unsatisfiable);
        assert_eq!(select(b"bytes=0-0,-0", 0), Selected::Unsatisfiable);
        // RFC 9110, 14.1.3: a suffix is satisfiable, but there are no bytes to speak of.
        assert_eq!(select(b"bytes=-5", 0), Selected::Whole);
        assert_eq!(select(b"bytes=0-,-5", 0), Selected::Whole);
    }

    #[test]
    fn a_malformed_field_is_ignored() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=1",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=5-2",
            "bytes=0-1,5-2",
            "bytes=0-1,x",
            "bytes=0-1-2",
            "bytes= 0 - 1",
            "bytes=+0-1",
            "bytes=0-+1",
            "bytes =0-1",
            " bytes=0-1",
            "bytes:0-1",
            "bytes 0-1",
            "items=0-1",
            "byte=0-1",
            "bytess=0-1",
            "0-1",
            "bytes=0-1;2-3",
            "bytes=0x0-1",
            "bytes=0-1\0",
            "bytes=\u{661}-2",
            "bytes=10-,5-2",
        ] {
            assert_eq!(select(field.as_bytes(), 10), Selected::Whole, "{field}");
        }
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one_in_the_place_of_the_first() {
        for (field, expected) in [
            ("bytes=50-59,0-9,55-69", &[(50, 69), (0, 9)][..]),
            ("bytes=50-59,0-9,10-19", &[(50, 59), (0, 19)]),
            ("bytes=50-59,0-9,20-29,5-25", &[(50, 59), (0, 29)]),
            ("bytes=0-9,20-29,40-49,60-69,15-45", &[(0, 9), (15, 49), (60, 69)]),
            ("bytes=0-9,20-29,0-", &[(0, 99)]),
            ("bytes=5-9,5-9,5-9", &[(5, 9)]),
            ("bytes=0-0,2-2", &[(0, 0), (2, 2)]),
        ] {
            assert_eq!(pairs(field, 100), expected, "{field}");
        }
    }

    #[test]
    fn more_ranges_than_the_maximum_are_ignored() {
        let field = |n: usize| {
            let specs: Vec<_> = (0..n).map(|n| format!("{0}-{0}", n * 2)).collect();
            format!("bytes={}", specs.join(","))
        };
        assert_eq!(pairs(&field(MAX), 100).len(), MAX);
        assert_eq!(select(field(MAX + 1).as_bytes(), 100), Selected::Whole);
        // Those outside and those put together do not count.
        assert_eq!(pairs(&(field(MAX) + ",100-,0-0,3-4"), 100).len(), MAX - 1);
        assert_eq!(pairs(&("bytes=".to_string() + &"0-,".repeat(1000)), 100), [(0, 99)]);
    }

    #[test]
    fn content_ranges_are_written() {
        // RFC 9110, 14.4
        let part = ContentRange::Part { range: Range { first: 734, last: 1233 }, complete_length: 1234 };
        assert_eq!(part.to_string(), "bytes 734-1233/1234");
        assert_eq!(ContentRange::Unsatisfied { complete_length: 47_022 }.to_string(), "bytes */47022");
    }

    #[test]
    fn each_selection_has_its_status() {
        let status = |field: &str| select(field.as_bytes(), 10).status();
        assert_eq!(["", "bytes=0-", "bytes=0-0,2-2", "bytes=10-"].map(status), [200, 206, 206, 416]);
    }

    #[test]
    fn any_selection_lies_within_and_covers_what_each_range_alone_does() {
        let mut several = 0;
        for seed in 0..20_000 {
            let mut noise = Noise::new(seed);
            let complete_length = noise.below(40) as u64;
            let mut storage = [0; 64];
            let text = noise.text(
                &["36-,", "3-5,", "-3,", "12-14,", "8-9,", "4-8,", "20-25,", "24-31,", ", ", "-"],
                &mut storage,
            );
            let field = [b"bytes=", text].concat();
            let ranges = match select(&field, complete_length) {
                Selected::Single(range) => [range].to_vec(),
                Selected::Multiple(ranges) => ranges.to_vec(),
                _ => continue,
            };
            several += usize::from(ranges.len() > 1);
            let sent =
                |offset| ranges.iter().filter(|range| range.first <= offset && offset <= range.last).count();
            let total: u64 = ranges.iter().map(|range| range.length()).sum();
            assert!(total <= complete_length, "seed {seed}");
            assert_eq!((0..complete_length).map(sent).sum::<usize>() as u64, total, "seed {seed}");
            for offset in 0..complete_length {
                let alone = text.split(|byte| *byte == b',').any(|spec| {
                    let one = select(&[b"bytes=", spec].concat(), complete_length);
                    matches!(one, Selected::Single(range) if range.first <= offset && offset <= range.last)
                });
                assert_eq!(sent(offset), usize::from(alone), "seed {seed}");
            }
        }
        assert!(several > 500, "{several} with several ranges");
    }
}
