//! A request on the command line: its method, its fields, its data.

use std::io::{self, Read};

use clap::Args;

use crate::exit::Failure;

/// What is asked, of HTTP only.
#[derive(Args, Clone, Debug)]
pub(crate) struct RequestArgs {
    /// The method [default: GET, or POST with data]
    #[arg(short = 'X', long = "request", value_name = "METHOD", value_parser = method, help_heading = HTTP)]
    method: Option<String>,
    /// A header field, "Name: value"; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = field, help_heading = HTTP)]
    fields: Vec<Field>,
}

/// The heading of what is of HTTP only.
pub(crate) const HTTP: &str = "HTTP";
/// The heading of what is of WebSocket only.
pub(crate) const WEBSOCKET: &str = "WebSocket";

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The type of data whose type is not told, as with curl.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

impl RequestArgs {
    pub(crate) fn method<'a>(&'a self, default: &'a str) -> &'a str {
        self.method.as_deref().unwrap_or(default)
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether something is asked that only HTTP knows.
    pub(crate) fn is_given(&self) -> bool {
        self.method.is_some() || !self.fields.is_empty()
    }

    /// Whether more is asked than with fields.
    pub(crate) fn is_given_but_fields(&self) -> bool {
        self.method.is_some()
    }

    /// The value of the first field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(&field.value)
    }
}

/// RFC 9110, 9.1: a token.
fn method(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.bytes().all(is_token) {
        true => Ok(text.to_owned()),
        false => Err("a method is a word, like GET or PUT".to_owned()),
    }
}

/// RFC 9110, 5: `Name: value`.
fn field(text: &str) -> Result<Field, String> {
    let (name, value) = text.split_once(':').ok_or("a field is written \"Name: value\"")?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is no name of a field"));
    }
    let framing = ["content-length", "transfer-encoding", "expect", "upgrade"];
    if framing.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("{name} is netloom's own to say"));
    }
    let value = value.trim_matches([' ', '\t']);
    match value.chars().all(|c| c == '\t' || !c.is_control()) {
        true => Ok(Field { name: name.to_owned(), value: value.to_owned() }),
        false => Err(format!("a control character in {name}")),
    }
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What is sent along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Text(String),
    File(String),
    Stdin,
}

/// `text`, `@file`, or `@-` for standard input.
pub(crate) fn data(text: &str) -> Result<Data, String> {
    match text.strip_prefix('@') {
        Some("") => Err("behind @ is the name of a file, or - for standard input".to_owned()),
        Some("-") => Ok(Data::Stdin),
        Some(file) => Ok(Data::File(file.to_owned())),
        None => Ok(Data::Text(text.to_owned())),
    }
}

impl Data {
    /// All of it.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Failure> {
        let read = match self {
            Self::Text(text) => return Ok(text.clone().into_bytes()),
            Self::File(file) => std::fs::read(file),
            Self::Stdin => {
                let mut bytes = Vec::new();
                io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
            }
        };
        read.map_err(|error| self.unreadable(&error))
    }

    pub(crate) fn unreadable(&self, error: &io::Error) -> Failure {
        match self {
            Self::File(file) => Failure::usage(format!("cannot read {file}: {error}")),
            Self::Text(_) | Self::Stdin => Failure::new(format!("cannot read the input: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_name_and_a_value_and_nonsense_is_named() {
        let read = |text| field(text).map(|Field { name, value }| (name, value));
        assert_eq!(read("Accept:  a, b\t"), Ok(("Accept".to_owned(), "a, b".to_owned())));
        assert_eq!(read("x:y:z"), Ok(("x".to_owned(), "y:z".to_owned())));
        assert_eq!(read("x:"), Ok(("x".to_owned(), String::new())));
        for (text, named) in [
            ("x", "Name: value"),
            (": y", "\"\""),
            ("x y: z", "\"x y\""),
            ("x: y\r\nz: a", "control"),
            ("Content-Length: 3", "Content-Length"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_method_is_a_token() {
        assert_eq!(method("PATCH").as_deref(), Ok("PATCH"));
        for text in ["", "GET /", "G\u{e9}T", "A:"] {
            assert!(method(text).is_err(), "{text}");
        }
    }

    #[test]
    fn data_is_text_or_behind_an_at_sign_elsewhere() {
        assert_eq!(data("a=@b"), Ok(Data::Text("a=@b".to_owned())));
        assert_eq!(data("@a/b"), Ok(Data::File("a/b".to_owned())));
        assert_eq!(data("@-"), Ok(Data::Stdin));
        assert!(data("@").is_err());
    }
}
