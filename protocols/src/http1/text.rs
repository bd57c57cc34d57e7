//! Small pieces that values are parsed with.

use super::octets::{TOKEN, VALUE, is};

pub(super) use super::octets::trim;

/// A `tchar` of RFC 9110, 5.6.2.
pub(crate) fn is_tchar(octet: u8) -> bool {
    is(octet, TOKEN)
}

/// A `token`: at least one `tchar` and nothing else.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_tchar)
}

/// Whether a field's value may hold it (RFC 9110, 5.5): no control but the tab.
pub(crate) fn is_field_octet(octet: u8) -> bool {
    is(octet, VALUE)
}

/// `OWS` of RFC 9110, 5.6.3.
pub(crate) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// `text` before and behind the first such octet, which is ASCII. On a board, a fraction of the code of
/// `str::split_once`.
pub(crate) fn cut(text: &str, ascii: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|octet| octet == ascii)?;
    text.get(..at).zip(text.get(at + 1..))
}

/// `text` without the `OWS` around it.
pub(crate) fn trim_text(text: &str) -> &str {
    // What is trimmed is ASCII, so the rest is still a text.
    str::from_utf8(trim(text.as_bytes())).unwrap_or_default()
}

/// What a hexadecimal digit stands for.
pub(crate) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_delimiters_and_is_not_empty() {
        assert!(is_token(b"X-Forwarded_For!"));
        for delimiter in b"\"(),/:;<=>?@[\\]{} \t\r\n\0\x7f\x80\xff" {
            assert!(!is_token(&[b'a', *delimiter]), "{delimiter:#x}");
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn only_optional_white_space_is_trimmed() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b"\r\na"), b"\r\na");
        assert_eq!(trim(b" \t"), b"");
    }

    #[test]
    fn digits_are_read_in_both_cases() {
        let read = b"09afAFgG/:@`".map(hex);
        let expected = [0, 9, 10, 15, 10, 15].map(Some);
        assert_eq!(read[..6], expected);
        assert_eq!(read[6..], [None; 6]);
    }
}
