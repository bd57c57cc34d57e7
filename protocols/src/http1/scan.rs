//! Heads that come piece by piece, at linear cost.
//!
//! What is incomplete is parsed again only when its end is there, or when it is twice as long as it was: all
//! parsing together costs at most three times the last, and the search for the end looks at each byte once.

use netloom_core::Result;

use super::head::{HeadLimits, METHOD_MAX, RequestHead, ResponseHead, request, response};
use super::method::Method;
use super::octets::line_feed;

/// How far a head was looked at that is not complete: one per connection.
///
/// ```
/// use netloom_protocols::http1::{HeadLimits, Scan};
///
/// let (mut scan, limits) = (Scan::new(), HeadLimits::default());
/// assert_eq!(scan.request(b"GET / HTTP/1.1\r\nHos", &limits)?, None);
/// assert!(scan.request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &limits)?.is_some());
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes in which there is no empty line.
    seen: u16,
    /// With that many bytes it is parsed again.
    again: u16,
}

const _: () = assert!(size_of::<Scan>() <= 4);

impl Scan {
    /// Of a head of which nothing was looked at.
    pub const fn new() -> Self {
        Self { seen: 0, again: 0 }
    }

    /// [`request`](super::request()) of an input that has grown since this was last asked.
    ///
    /// # Errors
    /// As there.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub fn request(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<(usize, RequestHead)>> {
        self.parse(input, limits, |input| request(input, limits))
    }

    /// [`response`](super::response()) of an input that has grown since this was last asked.
    ///
    /// # Errors
    /// As there.
    pub fn response(
        &mut self,
        input: &[u8],
        to: Method,
        limits: &HeadLimits,
    ) -> Result<Option<(usize, ResponseHead)>> {
        self.parse(input, limits, |input| response(input, to, limits))
    }

    #[inline]
    fn parse<H>(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        parse: impl FnOnce(&[u8]) -> Result<Option<(usize, H)>>,
    ) -> Result<Option<(usize, H)>> {
        if self.seen != 0 && !self.is_due(input, limits) {
            return Ok(None);
        }
        count(input.len());
        let found = parse(input);
        match found {
            Ok(None) => self.wait(input.len(), limits),
            _ => *self = Self::new(),
        }
        found
    }

    /// Whether there is something to be said about the input, now that there is more of it.
    #[cold]
    fn is_due(&mut self, input: &[u8], limits: &HeadLimits) -> bool {
        let seen = (self.seen as usize).min(input.len());
        count(input.len() - seen);
        if input.len() >= self.again as usize || input.len() > limits.head_max() {
            return true;
        }
        let (mut at, mut has_end) = (seen, false);
        while let Some(more) = input.get(at..).and_then(line_feed)
            && !has_end
        {
            at += more + 1;
            has_end = input.get(..at).is_some_and(|front| front.ends_with(b"\r\n\r\n"));
        }
        self.seen = short(input.len());
        has_end
    }

    #[cold]
    fn wait(&mut self, len: usize, limits: &HeadLimits) {
        // A target is refused where it becomes too long, and not at the next doubling.
        let target = limits.target.saturating_add("\r\n".len() + METHOD_MAX + "  ".len());
        let again = if len < target { target.min(len * 2) } else { len * 2 };
        *self = Self { seen: short(len), again: short(again) };
    }
}

/// No head is longer: its limits have 16 bits.
fn short(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// Tests count the bytes that are looked at.
#[cfg(not(test))]
fn count(_: usize) {}
#[cfg(test)]
use tests::count;

#[cfg(test)]
mod tests {
    extern crate std;

    use std::cell::Cell;
    use std::vec::Vec;

    use super::*;

    std::thread_local! {
        /// Bytes looked at.
        static WORK: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count(bytes: usize) {
        WORK.set(WORK.get() + bytes);
    }

    /// The first answer to bytes that come `step` at a time, with how many had come, and the bytes looked at.
    fn fed(input: &[u8], step: usize, limits: &HeadLimits) -> (usize, Result<Option<usize>>, usize) {
        WORK.set(0);
        let mut scan = Scan::new();
        for len in (1..=input.len()).filter(|len| len % step == 0 || *len == input.len()) {
            let answer = scan.request(&input[..len], limits).map(|found| found.map(|(n, _)| n));
            if answer != Ok(None) {
                assert_eq!(scan, Scan::new());
                return (len, answer, WORK.get());
            }
        }
        (input.len(), Ok(None), WORK.get())
    }

    fn long_head(fields: usize) -> Vec<u8> {
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        head.extend(b"Name: some value\r\n".repeat(fields));
        head.extend(b"\r\n");
        head
    }

    #[test]
    fn bytes_that_come_one_at_a_time_cost_linear_work() {
        let limits = HeadLimits { head: 65_535, target: 8000, fields: 10_000 };
        for fields in [0, 10, 100, 1000, 3000] {
            let head = long_head(fields);
            for step in [1, 2, 3, 7, 1000] {
                let (at, answer, work) = fed(&head, step, &limits);
                assert_eq!((at, answer), (head.len(), Ok(Some(head.len()))));
                assert!(work <= 5 * head.len(), "{work} for {}", head.len());
            }
        }
    }

    #[test]
    fn the_end_is_found_however_it_is_cut() {
        let mut input = long_head(3);
        let len = input.len();
        input.extend(b"GET / HTTP/1.1\r\n");
        for first in 1..len {
            let mut scan = Scan::new();
            assert_eq!(scan.request(&input[..first], &HeadLimits::default()), Ok(None));
            let (n, _) = scan.request(&input, &HeadLimits::default()).unwrap().unwrap();
            assert_eq!(n, len);
        }
    }

    #[test]
    fn a_limit_is_noticed_when_it_is_passed() {
        let limits = HeadLimits { head: 300, target: 70, fields: 100 };
        let (at, answer, _) = fed(&long_head(100), 1, &limits);
        assert_eq!((at, answer.unwrap_err().wire()), (301, 431));
        let mut long = b"GET /".to_vec();
        long.resize(1000, b'a');
        let (at, answer, _) = fed(&long, 1, &limits);
        assert_eq!(answer.unwrap_err().wire(), 414);
        assert!(at <= 70 + 40, "{at}");
    }

    #[test]
    fn what_is_malformed_is_refused_before_it_is_twice_as_long() {
        let mut input = b"GET / HTTP/1.1\r\nHost : a\r\n".to_vec();
        input.resize(200, b'a');
        let (at, answer, _) = fed(&input, 1, &HeadLimits::default());
        assert_eq!(answer.unwrap_err().wire(), 400);
        assert!(at <= 64, "{at}");
    }

    #[test]
    fn a_response_comes_piece_by_piece_too() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let mut scan = Scan::new();
        for len in 0..input.len() - 3 {
            assert_eq!(scan.response(&input[..len], Method::Get, &HeadLimits::default()), Ok(None));
        }
        let (n, _) = scan.response(input, Method::Get, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(n, input.len() - 3);
    }
}
