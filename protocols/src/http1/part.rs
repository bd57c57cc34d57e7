//! The head of one part of multipart content: what the part is called and what it is.

use memchr::memchr;
use netloom_core::Result;

use super::escaped::{Escaped, malformed, not_utf8};
use super::parameters::parameters;
use super::text::{cut, is_field_octet, is_token, trim};

/// The fields before a part's data (RFC 2046, 5.1; for forms RFC 7578, 4.2).
///
/// ```
/// use netloom_protocols::http1::part::PartHead;
///
/// let head = PartHead::parse(
///     b"Content-Disposition: form-data; name=\"photo\"; filename=\"a \\\"b\\\".png\"\r\n\
///       Content-Type: image/png\r\n\r\n",
/// )?;
/// assert!(head.name().is_some_and(|name| name == "photo"));
/// assert!(head.filename().is_some_and(|name| name == "a \"b\".png"));
/// assert_eq!(head.content_type(), Some("image/png"));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PartHead<'a> {
    /// Lines, each with its CR LF.
    fields: &'a [u8],
    name: Option<Escaped<'a>>,
    filename: Option<Escaped<'a>>,
    content_type: Option<&'a str>,
}

impl<'a> PartHead<'a> {
    /// Reads a head: the bytes of a [`PartStep::Head`](super::multipart::PartStep::Head).
    ///
    /// # Errors
    /// With status 400: [`Code::ProtocolViolation`](netloom_core::Code::ProtocolViolation) if a line is no
    /// field, or the disposition is malformed or there twice;
    /// [`Code::InvalidText`](netloom_core::Code::InvalidText) if it or the type is not UTF-8.
    pub fn parse(head: &'a [u8]) -> Result<Self> {
        let fields = head.strip_suffix(b"\r\n").ok_or(malformed())?;
        let mut part = Self { fields, name: None, filename: None, content_type: None };
        let mut disposition = None;
        for field in read_fields(fields) {
            let (name, value) = field?;
            if name.eq_ignore_ascii_case("Content-Disposition") {
                once(&mut disposition, text(value)?)?;
            } else if name.eq_ignore_ascii_case("Content-Type") {
                once(&mut part.content_type, text(value)?)?;
            }
        }
        part.read_disposition(disposition.unwrap_or_default())?;
        Ok(part)
    }

    fn read_disposition(&mut self, disposition: &'a str) -> Result<()> {
        let rest = disposition.bytes().position(|octet| octet == b';').and_then(|at| disposition.get(at..));
        let mut extended = None;
        for parameter in parameters(rest.unwrap_or_default()) {
            let (name, value) = parameter?;
            if name.eq_ignore_ascii_case("name") {
                once(&mut self.name, value)?;
            } else if name.eq_ignore_ascii_case("filename") {
                once(&mut self.filename, value)?;
            } else if name.eq_ignore_ascii_case("filename*") {
                once(&mut extended, value.raw())?;
            }
        }
        // RFC 8187, 3.2.1: charset'language'text. RFC 6266, 4.3: it comes before the plain one.
        if let Some(extended) = extended {
            let (charset, rest) = cut(extended, b'\'').ok_or(malformed())?;
            let (_, text) = cut(rest, b'\'').ok_or(malformed())?;
            if charset.eq_ignore_ascii_case("UTF-8") {
                self.filename = Some(Escaped::new(text));
            }
        }
        Ok(())
    }

    /// The name of the form's field.
    pub const fn name(self) -> Option<Escaped<'a>> {
        self.name
    }

    /// The name of the file that was sent: what its sender says, good for showing. It may have `/`, `..` or
    /// anything else in it and is not to be used as a path. Browsers write a quote in it as `%22`, which
    /// stays so, because they do not escape the `%`.
    pub const fn filename(self) -> Option<Escaped<'a>> {
        self.filename
    }

    /// The media type, with its parameters. Without it: `text/plain`.
    pub const fn content_type(self) -> Option<&'a str> {
        self.content_type
    }

    /// All fields, in order: name and value.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        read_fields(self.fields).filter_map(Result::ok)
    }

    /// The value of the first field of that name, compared without regard to case.
    pub fn field(self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sets what may be set once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed()),
    }
}

fn text(value: &[u8]) -> Result<&str> {
    str::from_utf8(value).map_err(|_| not_utf8())
}

/// RFC 9112, 5: `name: value`, each on one line.
fn read_fields(mut lines: &[u8]) -> impl Iterator<Item = Result<(&str, &[u8])>> {
    core::iter::from_fn(move || {
        let end = memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
        let (line, rest) = lines.split_at(end);
        lines = rest;
        (!line.is_empty()).then(|| read_field(line))
    })
}

fn read_field(line: &[u8]) -> Result<(&str, &[u8])> {
    let line = line.strip_suffix(b"\r\n").ok_or(malformed())?;
    let colon = memchr(b':', line).ok_or(malformed())?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    match is_token(name) && value.iter().copied().all(is_field_octet) {
        true => Ok((text(name)?, value)),
        false => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::ToString as _;
    use std::vec::Vec;

    use super::*;

    fn filename(parameters: &str) -> Result<Option<std::string::String>> {
        let head = format!("Content-Disposition: form-data; {parameters}\r\n\r\n");
        PartHead::parse(head.as_bytes()).map(|head| head.filename().map(|name| name.to_string()))
    }

    #[test]
    fn a_head_has_its_fields_in_any_case_and_order() {
        let head = b"X-a:\r\ncontent-TYPE:text/plain; charset=x \r\nContent-Disposition:\tform-data; NAME=a\r\nx-A: \xff\r\n\r\n";
        let head = PartHead::parse(head).unwrap();
        assert!(head.name().is_some_and(|name| name == "a") && head.filename().is_none());
        assert_eq!(head.content_type(), Some("text/plain; charset=x"));
        assert_eq!(head.field("x-a"), Some(&b""[..]));
        assert_eq!(head.field("x-b"), None);
        let names: Vec<_> = head.fields().map(|(name, _)| name).collect();
        assert_eq!(names, ["X-a", "content-TYPE", "Content-Disposition", "x-A"]);
        assert_eq!(head.fields().last(), Some(("x-A", &b"\xff"[..])));
    }

    #[test]
    fn an_empty_head_has_nothing() {
        let head = PartHead::parse(b"\r\n").unwrap();
        assert!(head.name().is_none() && head.content_type().is_none() && head.fields().next().is_none());
    }

    #[test]
    fn a_file_name_comes_in_many_forms() {
        for (parameters, name) in [
            ("name=a", None),
            ("filename=a.txt", Some("a.txt")),
            (r#"filename="a \"b\" \\ c\d""#, Some(r#"a "b" \ c\d"#)),
            ("filename=\"f%22 ü.txt\"", Some("f%22 ü.txt")),
            ("filename=\"\"", Some("")),
            // RFC 8187, 3.2.3.
            ("filename*=UTF-8''%c2%a3%20and%20%e2%82%ac%20rates", Some("£ and € rates")),
            ("filename*=utf-8'en'b; filename=a", Some("b")),
            ("filename=a; filename*=iso-8859-1'en'%A3", Some("a")),
        ] {
            assert_eq!(filename(parameters), Ok(name.map(Into::into)), "{parameters}");
        }
    }

    #[test]
    fn a_malformed_head_is_refused() {
        for bad in [
            "",
            "a: b\r\n",
            "a: b",
            "a\r\n\r\n",
            ": b\r\n\r\n",
            "a : b\r\n\r\n",
            "a: b\r\n c\r\n\r\n",
            "a: b\nc: d\r\n\r\n",
            "a: \rb\r\n\r\n",
            "a: \0\r\n\r\n",
            "--b\r\n\r\n",
            "\r\n\r\n",
            "Content-Disposition: form-data\r\ncontent-disposition: form-data\r\n\r\n",
            "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n",
        ] {
            assert_eq!(PartHead::parse(bad.as_bytes()).unwrap_err(), malformed(), "{bad:?}");
        }
        for bad in [
            "name=a; name=a",
            "filename=a; filename=b",
            "name",
            "name=\"a",
            "filename*=x",
            "filename*=UTF-8'x",
            "filename*=UTF-8''a; filename*=UTF-8''a",
        ] {
            assert_eq!(filename(bad), Err(malformed()), "{bad:?}");
        }
        for bad in [&b"Content-Disposition: \xff\r\n\r\n"[..], b"Content-Type: \xff\r\n\r\n"] {
            assert_eq!(PartHead::parse(bad).unwrap_err(), not_utf8());
        }
    }
}
