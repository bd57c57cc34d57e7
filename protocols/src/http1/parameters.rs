//! `; name=value` behind a field's value (RFC 9110, 5.6.6), as in Content-Type and Content-Disposition.

use netloom_core::Result;

use super::escaped::{Coding, Escaped, malformed};
use super::text::{cut, is_space, is_token};

/// The parameters in `text`, which begins with the first semicolon, in order. Names are compared without
/// regard to case. A value without quotes may have delimiters that should have been quoted: many senders do
/// not quote a boundary. After an error there is nothing more.
///
/// ```
/// use netloom_protocols::http1::parameters::parameters;
///
/// let mut found = parameters("; charset=utf-8; title=\"a \\\"b\\\"\"");
/// assert!(found.next().is_some_and(|p| p.is_ok_and(|(name, value)| name == "charset" && value == "utf-8")));
/// assert!(found.next().is_some_and(|p| p.is_ok_and(|(name, value)| name == "title" && value == "a \"b\"")));
/// assert!(found.next().is_none());
/// ```
///
/// # Errors
/// [`Code::ProtocolViolation`](netloom_core::Code::ProtocolViolation) with status 400.
pub fn parameters(text: &str) -> impl Iterator<Item = Result<(&str, Escaped<'_>)>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let found = first(rest);
        rest = found.as_ref().map_or("", |(_, rest)| rest);
        found.map(|(parameter, _)| parameter).transpose()
    })
}

type Found<'a> = (Option<(&'a str, Escaped<'a>)>, &'a str);

/// The first parameter, if there is one, and what follows it.
fn first(text: &str) -> Result<Found<'_>> {
    // There may be semicolons with nothing between them.
    let (mut begins, mut separated) = (trim_start(text), false);
    while let Some(rest) = begins.strip_prefix(';') {
        (begins, separated) = (trim_start(rest), true);
    }
    if begins.is_empty() {
        return Ok((None, ""));
    }
    if !separated {
        return Err(malformed());
    }
    let (name, value) = cut(begins, b'=').ok_or(malformed())?;
    if !is_token(name.as_bytes()) {
        return Err(malformed());
    }
    let (value, rest) = match value.strip_prefix('"') {
        Some(quoted) => {
            let end = closing_quote(quoted).ok_or(malformed())?;
            (Escaped::coded(&quoted[..end], Coding::Quoted), &quoted[end + 1..])
        }
        None => {
            let end = value.bytes().position(|octet| octet == b';' || is_space(octet)).unwrap_or(value.len());
            let (bare, rest) = value.split_at(end);
            if bare.is_empty() || bare.bytes().any(|octet| matches!(octet, b'"' | b'\\')) {
                return Err(malformed());
            }
            (Escaped::coded(bare, Coding::Plain), rest)
        }
    };
    Ok((Some((name, value)), rest))
}

fn trim_start(text: &str) -> &str {
    let spaces = text.bytes().take_while(|octet| is_space(*octet)).count();
    text.get(spaces..).unwrap_or_default()
}

/// Where the first quote is that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut octets = text.bytes().enumerate().peekable();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Some(at),
            b'\\' => _ = octets.next_if(|(_, next)| matches!(next, b'"' | b'\\')),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use super::*;

    fn read(text: &str) -> Result<Vec<(&str, String)>> {
        parameters(text).map(|parameter| parameter.map(|(name, value)| (name, value.to_string()))).collect()
    }

    #[test]
    fn parameters_come_in_order_quoted_or_not() {
        let read = read(" ;a=b;;\tc=\"d;e=f\" ; g=\"\\\"\\\\\\x\"; h=x/y:=z; i=\"\";").unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(read, [("a", "b"), ("c", "d;e=f"), ("g", "\"\\\\x"), ("h", "x/y:=z"), ("i", "")]);
        assert!(parameters("").next().is_none() && parameters(" ; ; ").next().is_none());
    }

    #[test]
    fn what_is_malformed_is_refused_once() {
        for bad in [
            "a=b",
            "; a",
            "; a=",
            "; a= b",
            "; a =b",
            "; =b",
            "; a=\"",
            "; a=\"\\\"",
            "; a=\"b\"c",
            "; a=b\"",
            "; a=\\",
            "; a=b c=d",
            "; \u{e9}=b",
            "x; a=b",
        ] {
            let all: Vec<_> = parameters(bad).collect();
            let errors = all.iter().filter(|parameter| parameter.is_err()).count();
            assert!(errors == 1 && all.last().is_some_and(Result::is_err), "{bad}");
        }
    }
}
