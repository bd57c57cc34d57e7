//! Seconds, bytes and counts as people write them: `0.5`, `64k`, `1M`.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Seconds, also parts of one.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "seconds are a number, like 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "seconds are positive, and not too many".to_owned())
}

/// How many: at least one.
pub(crate) fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "how many is a number from 1 on".to_owned())
}

/// Bytes of a message: at most what a length of 4 bytes can say. `k`, `M` and `G` are powers of 1024.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'M')) => (&text[..at], 1 << 20),
        Some((at, 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u32 = digits.parse().map_err(|_| "bytes are a number, like 64, 16k or 1M".to_owned())?;
    let bytes = number.checked_mul(unit).ok_or("a message is shorter than 4 GiB")?;
    usize::try_from(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_nonsense_is_refused() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for text in ["-1", "inf", "NaN", "1s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(count("3").map(NonZeroUsize::get), Ok(3));
        for text in ["0", "-1", "x", ""] {
            assert!(count(text).is_err(), "{text}");
        }
        let sizes = ["0", "64", "16k", "2M", "1G"].map(bytes);
        assert_eq!(sizes, [Ok(0), Ok(64), Ok(16 << 10), Ok(2 << 20), Ok(1 << 30)]);
        for text in ["", "k", "-1", "1.5M", "4G", "1é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
