//! Problem details: errors that programs can read (RFC 9457).

use core::fmt::{self, Write};

use super::status::reason;

/// The media type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong with a request, written as a JSON object.
///
/// ```
/// use netloom_protocols::http1::problem::Problem;
///
/// let problem = Problem { detail: Some("no \"a\" here"), ..Problem::new(404) };
/// let text = r#"{"title":"Not Found","status":404,"detail":"no \"a\" here"}"#;
/// assert_eq!(problem.to_string(), text);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Problem<'a> {
    /// The status of the response.
    pub status: u16,
    /// What kind of problem this is, for a person, always the same for one kind. Without it, the reason
    /// phrase of the status.
    pub title: Option<&'a str>,
    /// The member `type`, a URI that identifies the kind. Without it there is no more to it than the status
    /// says.
    pub kind: Option<&'a str>,
    /// What happened this time, for a person. Nothing of the server's insides.
    pub detail: Option<&'a str>,
    /// A URI that identifies what happened this time.
    pub instance: Option<&'a str>,
}

impl<'a> Problem<'a> {
    /// A problem that says no more than its status.
    pub const fn new(status: u16) -> Self {
        Self { status, title: None, kind: None, detail: None, instance: None }
    }

    fn title(&self) -> Option<&'a str> {
        self.title.or_else(|| Some(reason(self.status)).filter(|phrase| !phrase.is_empty()))
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (name, text) in [("type", self.kind), ("title", self.title())] {
            if let Some(text) = text {
                write!(f, "\"{name}\":{},", JsonString(text))?;
            }
        }
        write!(f, "\"status\":{}", self.status)?;
        for (name, text) in [("detail", self.detail), ("instance", self.instance)] {
            if let Some(text) = text {
                write!(f, ",\"{name}\":{}", JsonString(text))?;
            }
        }
        f.write_str("}")
    }
}

/// A text as a JSON string, quotes and all (RFC 8259, 7).
///
/// ```
/// use netloom_protocols::http1::problem::JsonString;
///
/// assert_eq!(JsonString("a\n\"b\"").to_string(), r#""a\n\"b\"""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonString<'a>(pub &'a str);

impl fmt::Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for piece in self.0.split_inclusive(must_be_escaped) {
            let mut plain = piece.chars();
            match plain.next_back() {
                Some(last) if must_be_escaped(last) => {
                    f.write_str(plain.as_str())?;
                    escape(f, last)?;
                }
                _ => f.write_str(piece)?,
            }
        }
        f.write_str("\"")
    }
}

fn must_be_escaped(char: char) -> bool {
    matches!(char, '"' | '\\' | '\0'..'\x20')
}

fn escape(f: &mut fmt::Formatter<'_>, char: char) -> fmt::Result {
    let short = match char {
        '"' | '\\' => char,
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        _ => return write!(f, "\\u{:04x}", u32::from(char)),
    };
    f.write_char('\\')?;
    f.write_char(short)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::format;
    use std::string::{String, ToString};

    #[test]
    fn all_members_are_written() {
        // RFC 9457, 3, without its extension members
        let problem = Problem {
            status: 403,
            title: Some("You do not have enough credit."),
            kind: Some("https://example.com/probs/out-of-credit"),
            detail: Some("Your current balance is 30, but that costs 50."),
            instance: Some("/account/12345/msgs/abc"),
        };
        assert_eq!(
            problem.to_string(),
            "{\"type\":\"https://example.com/probs/out-of-credit\",\
             \"title\":\"You do not have enough credit.\",\"status\":403,\
             \"detail\":\"Your current balance is 30, but that costs 50.\",\
             \"instance\":\"/account/12345/msgs/abc\"}"
        );
    }

    #[test]
    fn the_title_is_the_reason_phrase_unless_there_is_none() {
        assert_eq!(Problem::new(500).to_string(), "{\"title\":\"Internal Server Error\",\"status\":500}");
        assert_eq!(Problem::new(599).to_string(), "{\"status\":599}");
        let empty = Problem { title: Some(""), ..Problem::new(500) };
        assert_eq!(empty.to_string(), "{\"title\":\"\",\"status\":500}");
    }

    #[test]
    fn no_text_breaks_out_of_its_string() {
        let nasty = "\",\"status\":200}\\\n";
        let problem =
            Problem { title: Some(nasty), kind: Some(nasty), instance: Some(nasty), ..Problem::new(400) };
        let quoted = "\"\\\",\\\"status\\\":200}\\\\\\n\"";
        let expected =
            format!("{{\"type\":{quoted},\"title\":{quoted},\"status\":400,\"instance\":{quoted}}}");
        assert_eq!(problem.to_string(), expected);
    }

    #[test]
    fn strings_are_escaped_where_json_says_so_and_nowhere_else() {
        for (text, json) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("/<>&'", r#""/<>&'""#),
            ("\"", r#""\"""#),
            ("\\", r#""\\""#),
            ("a\\\"b", r#""a\\\"b""#),
            ("\r\n\t", r#""\r\n\t""#),
            ("\0\x08\x0c\x1f", r#""\u0000\u0008\u000c\u001f""#),
            ("\x7fgr\u{fc}n \u{1f600}", "\"\x7fgr\u{fc}n \u{1f600}\""),
        ] {
            assert_eq!(JsonString(text).to_string(), json);
        }
    }

    #[test]
    fn every_character_is_read_back_as_it_was() {
        for char in '\0'..=char::MAX {
            let json = JsonString(char.encode_utf8(&mut [0; 4])).to_string();
            let inner = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
            assert!(!inner.chars().any(char::is_control) || char >= '\x7f', "{char:?}");
            assert_eq!(unescape(inner), char, "{char:?}");
        }
    }

    fn unescape(text: &str) -> char {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some('\\'), Some('n')) => '\n',
            (Some('\\'), Some('r')) => '\r',
            (Some('\\'), Some('t')) => '\t',
            (Some('\\'), Some('u')) => {
                let digits: String = chars.collect();
                char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
            }
            (Some('\\'), Some(other @ ('"' | '\\'))) => other,
            (Some(plain), None) if plain != '"' && plain != '\\' => plain,
            other => panic!("{other:?}"),
        }
    }
}
