//! A reader of HTTP/1.1 responses that shares nothing with the library's, to judge it by: slow, plain, and unforgiving.
//!
//! It takes no liberty that RFC 9112 leaves to a recipient: what a server of ours sends has one spelling.

/// Names and values.
type Fields = Vec<(String, String)>;

/// One response, with the interim ones in front of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The statuses of the interim responses in front of it.
    pub interim: Vec<u16>,
    /// Its own status.
    pub status: u16,
    /// Its fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// Its body, as far as it came.
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailers: Vec<(String, String)>,
    /// How it ended.
    pub end: End,
    /// Bytes of all that.
    pub size: usize,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where its framing says.
    Framed,
    /// With the connection, which its framing says.
    Connection,
    /// With the connection, and before its framing says.
    Short,
}

impl Answer {
    /// The value of the only field with that name.
    ///
    /// # Panics
    /// If there are several.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        let value = values.next();
        assert!(values.next().is_none(), "several {name}: {:?}", self.fields);
        value.map(|(_, value)| value.as_str())
    }

    /// Whether it says that the connection ends behind it.
    pub fn says_close(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interim, status, fields, body, trailers, end, size } = self;
        let body = body.escape_ascii();
        write!(f, "{interim:?} {status} {fields:?} \"{body}\" {trailers:?} {end:?}, {size} bytes")
    }
}

/// The response at the front of `bytes`, to a request of that method, if all of it is there. `ended` is whether the
/// connection is at its end; what is cut off then is an answer too, if its head is there.
///
/// # Panics
/// If it is malformed.
pub fn answer(bytes: &[u8], method: &str, ended: bool) -> Option<Answer> {
    let (mut at, mut interim) = (0, Vec::new());
    loop {
        let (status, fields, size) = head(&bytes[at..])?;
        at += size;
        if (100..200).contains(&status) && status != 101 {
            assert!(fields.is_empty(), "an interim response with {fields:?}");
            interim.push(status);
            continue;
        }
        let answer = Answer {
            interim,
            status,
            fields,
            body: Vec::new(),
            trailers: Vec::new(),
            end: End::Framed,
            size: at,
        };
        return body(answer, &bytes[at..], method, ended);
    }
}

/// Status, fields and size of the head at the front.
fn head(bytes: &[u8]) -> Option<(u16, Fields, usize)> {
    let size = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..size - 4]).expect("a head in ASCII");
    let mut lines = text.split("\r\n");
    let line = lines.next().expect("a status line");
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no status line: {line:?}"));
    let (status, reason) = rest.split_at(3);
    assert!(reason.starts_with(' '), "no space behind the status: {line:?}");
    let fields = lines.map(field).collect();
    Some((status.parse().expect("a status"), fields, size))
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?}"));
    assert!(
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    assert!(value.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{line:?}");
    assert_eq!(value.trim(), value, "white space around a value");
    (name.to_ascii_lowercase(), value.to_owned())
}

fn body(mut answer: Answer, bytes: &[u8], method: &str, ended: bool) -> Option<Answer> {
    let length = answer.field("content-length").map(|length| {
        assert!(
            length.bytes().all(|digit| digit.is_ascii_digit())
                && !(length.len() > 1 && length.starts_with('0'))
        );
        length.parse::<usize>().expect("a length")
    });
    let chunked = answer.field("transfer-encoding").map(|coding| assert_eq!(coding, "chunked")).is_some();
    assert!(!(chunked && length.is_some()), "two framings: {answer:?}");
    if matches!(answer.status, 101 | 204) {
        // RFC 9110, 8.6, and RFC 9112, 6.1.
        assert!(!chunked && length.is_none(), "a framing for no content: {answer:?}");
    }
    if method == "HEAD" || matches!(answer.status, 101 | 204 | 304) {
        return Some(answer);
    }
    match (chunked, length) {
        (true, _) => chunks(answer, bytes, ended),
        (false, Some(length)) if bytes.len() >= length => {
            answer.body = bytes[..length].to_vec();
            answer.size += length;
            Some(answer)
        }
        (false, length) if ended => {
            answer.body = bytes.to_vec();
            answer.size += bytes.len();
            answer.end = if length.is_none() { End::Connection } else { End::Short };
            Some(answer)
        }
        _ => None,
    }
}

fn chunks(mut answer: Answer, bytes: &[u8], ended: bool) -> Option<Answer> {
    let mut rest = bytes;
    let short = |mut answer: Answer| {
        answer.end = End::Short;
        answer.size += bytes.len();
        ended.then_some(answer)
    };
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return short(answer) };
        let digits = std::str::from_utf8(&rest[..line]).expect("a chunk's size");
        assert!(!digits.starts_with('+'), "{digits:?}");
        let size = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("no size: {digits:?}"));
        rest = &rest[line + 2..];
        if size == 0 {
            break;
        }
        let here = size.min(rest.len());
        answer.body.extend_from_slice(&rest[..here]);
        rest = &rest[here..];
        if rest.len() < 2 {
            return short(answer);
        }
        assert_eq!(&rest[..2], b"\r\n", "a chunk is longer than it says");
        rest = &rest[2..];
    }
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return short(answer) };
        let (trailer, behind) = (&rest[..line], &rest[line + 2..]);
        rest = behind;
        if trailer.is_empty() {
            answer.size += bytes.len() - rest.len();
            return Some(answer);
        }
        answer.trailers.push(field(std::str::from_utf8(trailer).expect("a trailer")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_all_of_it_is_there() {
        let bytes: &[&[u8]] = &[
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\na: b\r\n\r\n",
        ];
        for bytes in bytes {
            let head = bytes.windows(4).rposition(|four| four == b"\r\n\r\n").unwrap();
            for cut in 0..bytes.len() {
                assert_eq!(answer(&bytes[..cut], "GET", false), None);
                let short = answer(&bytes[..cut], "GET", true);
                assert!(short.is_none_or(|answer| answer.end == End::Short && head > 20));
            }
            let whole = answer(&[bytes, &b"HTTP"[..]].concat(), "GET", false).expect("it is complete");
            assert_eq!((&whole.body[..], whole.end, whole.size), (&b"abc"[..], End::Framed, bytes.len()));
        }
    }

    #[test]
    fn a_body_without_framing_ends_with_the_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc";
        assert_eq!(answer(bytes, "GET", false), None);
        let whole = answer(bytes, "GET", true).expect("it is complete");
        assert!(whole.end == End::Connection && whole.body == b"abc" && whole.says_close());
        assert_eq!(answer(bytes, "HEAD", false).expect("it is complete").size, bytes.len() - 3);
    }

    #[test]
    #[should_panic(expected = "two framings")]
    fn two_framings_are_refused() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc";
        answer(bytes, "GET", true);
    }
}
