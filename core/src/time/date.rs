//! The date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
//!
//! A [`Date`] is these 29 bytes, made once and copied into every response of its second. Seconds are counted
//! since 1970-01-01 00:00:00 UTC, without leap seconds, as Unix does.

use core::fmt;

const DAYS: &[u8; 21] = b"SunMonTueWedThuFriSat";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
/// 9999-12-31 23:59:59: the year has four digits.
const LAST: u64 = 253_402_300_799;
const DAY: u32 = 86_400;

/// An IMF-fixdate (RFC 9110, 5.6.7), the only form that is sent.
///
/// ```
/// use netloom_core::Date;
///
/// let date = Date::from_unix(784_111_777);
/// assert_eq!(date.as_str(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// assert_eq!(Date::parse(date.as_bytes()), Some(784_111_777));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date([u8; Date::LEN]);

impl Date {
    /// Bytes of a date.
    pub const LEN: usize = 29;

    /// The date `seconds` after the beginning of 1970. What lies behind the year 9999 is its last second.
    pub fn from_unix(seconds: u64) -> Self {
        let seconds = seconds.min(LAST);
        // 86,400 is 128 * 675; seconds / 128 fits 32 bits, and boards are spared a 64-bit division.
        let days = (seconds >> 7) as u32 / (DAY >> 7);
        let time = (seconds - u64::from(days) * u64::from(DAY)) as u32;
        let (year, month, day) = civil(days);

        let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        text[..3].copy_from_slice(&name(DAYS, (days + 4) % 7));
        text[5..7].copy_from_slice(&digits(day));
        text[8..11].copy_from_slice(&name(MONTHS, month - 1));
        text[12..14].copy_from_slice(&digits(year / 100));
        text[14..16].copy_from_slice(&digits(year % 100));
        text[17..19].copy_from_slice(&digits(time / 3600));
        text[20..22].copy_from_slice(&digits(time / 60 % 60));
        text[23..25].copy_from_slice(&digits(time % 60));
        Self(text)
    }

    /// The seconds since the beginning of 1970 that `text` says, in any of the three forms of RFC 9110,
    /// 5.6.7; nothing if it is not a date, or an earlier one.
    ///
    /// The name of the day must be one, but need not be the right one. The two-digit years of RFC 850 are
    /// 1970 to 2069: the rule with the moving fifty years needs a clock, and who still sends that form means
    /// the past. The leap second `23:59:60` is the first of the next day.
    pub fn parse(text: &[u8]) -> Option<u64> {
        match text.iter().position(|byte| *byte == b',') {
            Some(3) => imf_fixdate(text),
            Some(_) => rfc850(text),
            None => asctime(text),
        }
    }

    /// The date as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written, so this is never the default.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The date as the bytes of a field value.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Year, month (1 to 12) and day of the month (1 to 31) of a day counted from 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last, and in cycles of 400, which all have the
/// same number of days.
fn civil(days: u32) -> (u32, u32, u32) {
    let days = days + DAYS_BEFORE_1970;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    match month < 10 {
        true => (cycle * 400 + year, month + 3, day),
        false => (cycle * 400 + year + 1, month - 9, day),
    }
}

/// Days of 400 years.
const CYCLE: u32 = 146_097;
/// Days from the first of March of the year 0.
const DAYS_BEFORE_1970: u32 = 719_468;

/// The day counted from 1970-01-01, the inverse of [`civil`]; nothing if there is none or it is earlier.
fn day_of(year: u32, month: u32, day: u32) -> Option<u32> {
    let (year_of_march, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        3..=12 => (year, month - 3),
        _ => return None,
    };
    let (cycle, rest) = (year_of_march / 400, year_of_march % 400);
    let of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    let days = cycle * CYCLE + rest * 365 + rest / 4 - rest / 100 + of_year;
    let days = days.checked_sub(DAYS_BEFORE_1970)?;
    // The 30th of February would be a day of March.
    (civil(days).2 == day).then_some(days)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<u64> {
    let mut rest = text;
    index(DAYS, &mut rest)?;
    literal(b", ", &mut rest)?;
    let day = number(2, &mut rest)?;
    literal(b" ", &mut rest)?;
    let month = index(MONTHS, &mut rest)? + 1;
    literal(b" ", &mut rest)?;
    let year = number(4, &mut rest)?;
    literal(b" ", &mut rest)?;
    let time = time_of_day(&mut rest)?;
    (rest == b" GMT").then_some(())?;
    moment(year, month, day, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8]) -> Option<u64> {
    const REST_OF_DAYS: [&[u8]; 7] = [b"day", b"day", b"sday", b"nesday", b"rsday", b"day", b"urday"];
    let mut rest = text;
    let name = index(DAYS, &mut rest)?;
    literal(REST_OF_DAYS.get(name as usize)?, &mut rest)?;
    literal(b", ", &mut rest)?;
    let day = number(2, &mut rest)?;
    literal(b"-", &mut rest)?;
    let month = index(MONTHS, &mut rest)? + 1;
    literal(b"-", &mut rest)?;
    let year = number(2, &mut rest)?;
    let year = if year < 70 { year + 2000 } else { year + 1900 };
    literal(b" ", &mut rest)?;
    let time = time_of_day(&mut rest)?;
    (rest == b" GMT").then_some(())?;
    moment(year, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<u64> {
    let mut rest = text;
    index(DAYS, &mut rest)?;
    literal(b" ", &mut rest)?;
    let month = index(MONTHS, &mut rest)? + 1;
    literal(b" ", &mut rest)?;
    let day = match literal(b" ", &mut rest) {
        Some(()) => number(1, &mut rest)?,
        None => number(2, &mut rest)?,
    };
    literal(b" ", &mut rest)?;
    let time = time_of_day(&mut rest)?;
    literal(b" ", &mut rest)?;
    let year = number(4, &mut rest)?;
    rest.is_empty().then_some(())?;
    moment(year, month, day, time)
}

fn moment(year: u32, month: u32, day: u32, time: u32) -> Option<u64> {
    Some(u64::from(day_of(year, month, day)?) * u64::from(DAY) + u64::from(time))
}

/// `08:49:37`, as seconds since midnight.
fn time_of_day(rest: &mut &[u8]) -> Option<u32> {
    let hour = number(2, rest)?;
    literal(b":", rest)?;
    let minute = number(2, rest)?;
    literal(b":", rest)?;
    let second = number(2, rest)?;
    let regular = hour < 24 && minute < 60 && second < 60;
    (regular || (hour, minute, second) == (23, 59, 60)).then_some(hour * 3600 + minute * 60 + second)
}

/// Takes `expected` off the front.
fn literal(expected: &[u8], rest: &mut &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

/// Takes a number of exactly `len` digits off the front.
fn number(len: usize, rest: &mut &[u8]) -> Option<u32> {
    let (text, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    text.iter().try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u32::from(byte - b'0')))
}

/// Takes one of the three-letter `names` off the front, and tells which.
fn index(names: &[u8], rest: &mut &[u8]) -> Option<u32> {
    let (text, tail) = rest.split_first_chunk::<3>()?;
    *rest = tail;
    names.chunks_exact(3).position(|name| name == text).map(|at| at as u32)
}

fn name(names: &[u8], at: u32) -> [u8; 3] {
    *names.as_chunks::<3>().0.get(at as usize).unwrap_or(b"???")
}

fn digits(n: u32) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    #[test]
    fn dates_are_written_as_imf_fixdates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (68_169_599, "Mon, 28 Feb 1972 23:59:59 GMT"),
            (68_169_600, "Tue, 29 Feb 1972 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (946_684_799, "Fri, 31 Dec 1999 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (4_294_967_296, "Sun, 07 Feb 2106 06:28:16 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (LAST + 1, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let date = Date::from_unix(seconds);
            assert_eq!(date.as_str(), text);
            assert_eq!(date.to_string().as_bytes(), date.as_bytes());
            assert_eq!(Date::parse(text.as_bytes()), Some(seconds.min(LAST)));
        }
    }

    #[test]
    fn dates_to_the_year_9999_are_read_as_they_were_written() {
        // Days of the week, of months and times together.
        for seconds in (0..=LAST).step_by(11 * DAY as usize + 37) {
            assert_eq!(Date::parse(Date::from_unix(seconds).as_bytes()), Some(seconds));
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=(LAST / u64::from(DAY)) as u32 {
            assert_eq!(civil(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn obsolete_forms_are_read() {
        // RFC 9110, 5.6.7
        for text in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(Date::parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        for (text, same) in [
            ("Wednesday, 01-Jan-69 00:00:00 GMT", "Tue, 01 Jan 2069 00:00:00 GMT"),
            ("Thursday, 01-Jan-70 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("Saturday, 31-Dec-99 00:00:00 GMT", "Fri, 31 Dec 1999 00:00:00 GMT"),
            ("Tuesday, 29-Feb-00 00:00:00 GMT", "Tue, 29 Feb 2000 00:00:00 GMT"),
            ("Wed Nov 16 08:49:37 1994", "Wed, 16 Nov 1994 08:49:37 GMT"),
            ("Fri, 31 Dec 1999 23:59:60 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ] {
            let seconds = Date::parse(text.as_bytes()).unwrap();
            assert_eq!(Date::from_unix(seconds).as_str(), same);
        }
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in [
            "",
            ",",
            "0",
            "Sun",
            "Sun,",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            " Sun, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 99 Dec 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Tue, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1994 08:49:+7 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sat, 01 Jan 0000 00:00:00 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sundae, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov 06 08:49:37 94",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 GMT",
        ] {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_date_with_any_byte_changed_is_another_or_none() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            for at in 0..text.len() {
                for byte in 0..=255 {
                    let mut bytes = [0; 32];
                    bytes[..text.len()].copy_from_slice(text.as_bytes());
                    bytes[at] = byte;
                    let again = Date::parse(&bytes[..text.len()]).map(Date::from_unix);
                    assert!(again.is_none_or(|date| Date::parse(date.as_bytes()).is_some()));
                }
                assert_eq!(Date::parse(&text.as_bytes()[..at]), None);
            }
        }
    }
}
