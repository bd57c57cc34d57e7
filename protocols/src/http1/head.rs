//! The head of a request or response: octets to offsets and flags.
//!
//! ```text
//! | POST /path?query HTTP/1.1 CR LF | Host: example.com CR LF  Content-Length: 5 CR LF | CR LF | body
//!        target                       fields                                                  n
//! ```
//!
//! A head that is returned is legal as a whole: what this module accepts, everything behind it may rely on.
//! It is stricter than RFC 9112 lets a recipient be: a line that ends with LF alone, a folded line and white
//! space in front of a colon are refused, in responses too.

use core::ops::Range;

use netloom_core::{Code, Error, Result};

use super::fields::Fields;
use super::framing::{self, Framing, Meaning};
use super::method::Method;
use super::octets::{self, Values};
use super::target;

/// What the peer broke the protocol with, answered with 400.
pub(super) const MALFORMED: Error = Error::new(Code::ProtocolViolation).on_wire(400);
const TARGET_TOO_LONG: Error = Error::new(Code::MessageTooLarge).on_wire(414);
const HEAD_TOO_LARGE: Error = Error::new(Code::MessageTooLarge).on_wire(431);

/// Longest method. None that is registered is half as long, and RFC 9112, 3, answers longer ones with 501.
pub(super) const METHOD_MAX: usize = 32;
const CRLF: &[u8; 2] = b"\r\n";
/// Octets of `HTTP/1.1`.
const VERSION: usize = 8;

/// How much of a head is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the head with its empty line; at most 65,535 whatever is said here. Else 431.
    pub head: usize,
    /// Bytes of the request's target. Else 414.
    pub target: usize,
    /// Number of fields. Else 431.
    pub fields: usize,
}

impl Default for HeadLimits {
    /// 16 KiB, a target of 8,000 bytes (RFC 9112, 3, wants no less), 100 fields.
    fn default() -> Self {
        Self { head: 16 * 1024, target: 8000, fields: 100 }
    }
}

impl HeadLimits {
    /// What offsets of 16 bits can hold, at most.
    pub(super) fn head_max(&self) -> usize {
        self.head.min(u16::MAX.into())
    }
}

/// The HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1, or a later 1.x, which speaks it too. RFC 9110, 2.5.
    Http11,
}

/// The head of a request: where its parts lie and what it means. It borrows nothing; its parts are viewed in
/// the bytes it was parsed from, wherever they are by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Of the body, if it is known.
    length: u64,
    target_end: u16,
    fields_end: u16,
    target_start: u8,
    /// What is asked for.
    pub method: Method,
    /// The client's version.
    pub version: Version,
    flags: u8,
}

/// The head of a response: where its parts lie and what it means. As [`RequestHead`], it borrows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// How the body ends.
    pub framing: Framing,
    /// 100 to 999.
    pub status: u16,
    /// Where the reason phrase ends.
    reason_end: u16,
    fields_end: u16,
    /// The server's version.
    pub version: Version,
    flags: u8,
}

const _: () = assert!(size_of::<RequestHead>() <= 24);
const _: () = assert!(size_of::<ResponseHead>() <= 24);

const KEEP_ALIVE: u8 = 1;
const EXPECT_CONTINUE: u8 = 1 << 1;
const UPGRADE: u8 = 1 << 2;
/// How a request's body ends; without either there is none.
const HAS_LENGTH: u8 = 1 << 3;
const IS_CHUNKED: u8 = 1 << 4;
/// The target is a path and nothing else. Not noted on boards, where looking for it costs flash.
const IS_PATH: u8 = 1 << 5;

/// Parses the head of a request at the front of `input`.
///
/// Returns its length with the empty line at its end (and one in front of it, which is skipped: RFC 9112,
/// 2.2), or `None` if more must come. What can be refused at once is, however little came.
///
/// # Errors
/// [`Code::ProtocolViolation`], on the wire 400 for what is malformed, 417 for an expectation other than
/// `100-continue`, 501 for a transfer coding other than `chunked` or a method of more than 32 bytes, 505 for
/// an HTTP version other than 1.x; [`Code::MessageTooLarge`], on the wire 414 or 431, for what is beyond the
/// limits.
///
/// ```
/// use netloom_protocols::http1::{self, Framing, HeadLimits, Method};
///
/// let input = b"POST /a?b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello";
/// let (n, head) = http1::request(input, &HeadLimits::default())?.expect("it is complete");
/// assert_eq!((&input[n..], head.method, head.framing()), (&b"hello"[..], Method::Post, Framing::Length(5)));
/// assert_eq!((head.path(input), head.query(input)), ("/a", Some("b")));
/// assert_eq!(head.fields(input).get("host"), Some(&b"example.com"[..]));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[inline]
pub fn request(input: &[u8], limits: &HeadLimits) -> Result<Option<(usize, RequestHead)>> {
    let (part, is_cut) = within(input, limits);
    match parse_request(part, limits) {
        Ok(found) => Ok(Some(found)),
        Err(Stop::Refused(error)) => Err(error),
        Err(Stop::Incomplete) if is_cut => Err(too_large(part)),
        Err(Stop::Incomplete) => Ok(None),
    }
}

/// Parses the head of the response to a request with the method `to`, at the front of `input`.
///
/// Returns its length with the empty line at its end, or `None` if more must come.
///
/// # Errors
/// [`Code::ProtocolViolation`] for what is malformed or framed in a way that is not known,
/// [`Code::MessageTooLarge`] for what is beyond the limits; both 502 on the wire, for a gateway's own client.
///
/// ```
/// use netloom_protocols::http1::{self, Framing, HeadLimits, Method};
///
/// let input = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n";
/// let (_, head) = http1::response(input, Method::Get, &HeadLimits::default())?.expect("it is complete");
/// assert_eq!((head.status, head.reason(input)), (404, &b"Not Found"[..]));
/// assert_eq!((head.framing, head.keep_alive()), (Framing::Chunked, true));
/// # Ok::<(), netloom_core::Error>(())
/// ```
pub fn response(input: &[u8], to: Method, limits: &HeadLimits) -> Result<Option<(usize, ResponseHead)>> {
    let (part, is_cut) = within(input, limits);
    match parse_response(part, to, limits) {
        Ok(found) => Ok(Some(found)),
        Err(Stop::Refused(error)) => Err(error.on_wire(502)),
        Err(Stop::Incomplete) if is_cut => Err(HEAD_TOO_LARGE.on_wire(502)),
        Err(Stop::Incomplete) => Ok(None),
    }
}

impl RequestHead {
    /// Of no request.
    pub(super) const NONE: Self = Self {
        length: 0,
        target_end: 0,
        fields_end: 0,
        target_start: 0,
        method: Method::Get,
        version: Version::Http11,
        flags: 0,
    };

    /// How the body ends.
    pub const fn framing(&self) -> Framing {
        match self.flags & (HAS_LENGTH | IS_CHUNKED) {
            HAS_LENGTH => Framing::Length(self.length),
            0 => Framing::None,
            _ => Framing::Chunked,
        }
    }

    /// Bytes of the whole head, with its empty line.
    pub const fn size(&self) -> usize {
        self.fields_end as usize + CRLF.len()
    }

    /// The target as it was sent, in visible ASCII. `unit` is what the head was parsed from.
    pub fn target<'a>(&self, unit: &'a [u8]) -> &'a str {
        text(self.target_octets(unit))
    }

    fn target_octets<'a>(&self, unit: &'a [u8]) -> &'a [u8] {
        slice(unit, self.target_start.into()..self.target_end)
    }

    /// The method's name as it was sent.
    pub fn method_name<'a>(&self, unit: &'a [u8]) -> &'a str {
        let line = unit.strip_prefix(CRLF).unwrap_or(unit);
        text(line.get(..octets::token(line)).unwrap_or_default())
    }

    /// The target's path, still percent-encoded: `/` if an absolute-form has none, `*` in the asterisk-form,
    /// empty in the authority-form.
    pub fn path<'a>(&self, unit: &'a [u8]) -> &'a str {
        let all = self.path_and_query(unit);
        match text(all.get(..octets::path(all)).unwrap_or_default()) {
            "" if self.method == Method::Connect => "",
            // RFC 9112, 3.2.4: so is the asterisk-form written for a proxy.
            "" if self.method == Method::Options && all.is_empty() => "*",
            "" => "/",
            path => path,
        }
    }

    /// From where to where in `unit` the path lies.
    #[inline]
    pub(super) fn path_range(&self, unit: &[u8]) -> (u16, u16) {
        if self.flags & IS_PATH != 0 {
            return (self.target_start.into(), self.target_end);
        }
        self.path_range_within(unit)
    }

    #[cfg_attr(target_pointer_width = "64", inline(never))]
    fn path_range_within(&self, unit: &[u8]) -> (u16, u16) {
        let start = match self.target_octets(unit) {
            [b'/', ..] => self.target_start.into(),
            uri => self.target_end - target::split_absolute(uri).map_or(uri, |(_, path)| path).len() as u16,
        };
        // Behind the target there is a space, which no path has either.
        let len = octets::path(slice(unit, start..self.fields_end));
        (start, start + len as u16)
    }

    /// Whether OPTIONS with that path is about the server as a whole (RFC 9112, 3.2.4).
    pub(super) fn is_for_server(&self, unit: &[u8]) -> bool {
        let (start, end) = self.path_range(unit);
        end == self.target_end && matches!(slice(unit, start..end), b"" | b"*")
    }

    /// What is behind the first `?` of the target, still percent-encoded.
    pub fn query<'a>(&self, unit: &'a [u8]) -> Option<&'a str> {
        let all = self.path_and_query(unit);
        match all.get(octets::path(all)..) {
            Some([b'?', query @ ..]) => Some(text(query)),
            _ => None,
        }
    }

    fn path_and_query<'a>(&self, unit: &'a [u8]) -> &'a [u8] {
        match self.target_octets(unit) {
            _ if self.method == Method::Connect => b"",
            origin @ [b'/' | b'*', ..] => origin,
            uri => target::split_absolute(uri).map_or(b"", |(_, path)| path),
        }
    }

    /// Host and port that are asked: the target's own, which wins (RFC 9112, 3.2.2), or the Host field's.
    /// Empty if the field is, or if it is missing in HTTP/1.0.
    pub fn host<'a>(&self, unit: &'a [u8]) -> &'a str {
        let target = self.target_octets(unit);
        text(match target {
            authority if self.method == Method::Connect => authority,
            [b'/' | b'*', ..] => self.fields(unit).get("host").unwrap_or_default(),
            uri => target::split_absolute(uri).map_or(b"", |(authority, _)| authority),
        })
    }

    /// The fields.
    pub fn fields<'a>(&self, unit: &'a [u8]) -> Fields<'a> {
        // Behind the target there is always ` HTTP/1.1` and the end of the line.
        let start = self.target_end.saturating_add((" ".len() + VERSION + CRLF.len()) as u16);
        Fields::new(slice(unit, start..self.fields_end))
    }

    /// Whether the client lets the connection be used again.
    pub const fn keep_alive(&self) -> bool {
        self.flags & KEEP_ALIVE != 0
    }

    /// Whether the client may wait for a 100 (Continue) before it sends the body.
    pub const fn expect_continue(&self) -> bool {
        self.flags & EXPECT_CONTINUE != 0
    }

    /// Whether the client offers the protocols in the Upgrade field.
    pub const fn upgrade(&self) -> bool {
        self.flags & UPGRADE != 0
    }
}

impl ResponseHead {
    /// The reason phrase; empty if there is none. It may hold any octet above 0x7f.
    pub fn reason<'a>(&self, unit: &'a [u8]) -> &'a [u8] {
        slice(unit, (VERSION + " 200 ".len()) as u16..self.reason_end)
    }

    /// The fields.
    pub fn fields<'a>(&self, unit: &'a [u8]) -> Fields<'a> {
        Fields::new(slice(unit, self.reason_end.saturating_add(CRLF.len() as u16)..self.fields_end))
    }

    /// Whether the connection can be used again after the body.
    pub const fn keep_alive(&self) -> bool {
        self.flags & KEEP_ALIVE != 0
    }

    /// Whether the Upgrade field names the protocol that is spoken behind a 101.
    pub const fn upgrade(&self) -> bool {
        self.flags & UPGRADE != 0
    }
}

/// Nothing, if the bytes are not those that were parsed.
#[inline]
fn slice(unit: &[u8], range: Range<u16>) -> &[u8] {
    unit.get(range.start.into()..range.end.into()).unwrap_or_default()
}

#[inline]
fn text(ascii: &[u8]) -> &str {
    core::str::from_utf8(ascii).unwrap_or_default()
}

/// Why there is no head.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    Incomplete,
    Refused(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

type Parsed<T> = Result<T, Stop>;

/// What may be the head, and whether there is more than that. Offsets into it fit 16 bits.
#[inline]
fn within<'a>(input: &'a [u8], limits: &HeadLimits) -> (&'a [u8], bool) {
    input
        .get(..limits.head_max())
        .filter(|part| part.len() < input.len())
        .map_or((input, false), |part| (part, true))
}

/// A head that does not end within the limit: is it the request line, or the fields?
#[cold]
fn too_large(part: &[u8]) -> Error {
    let line = part.strip_prefix(CRLF).unwrap_or(part);
    if octets::line_feed(line).is_some() { HEAD_TOO_LARGE } else { TARGET_TOO_LONG }
}

#[cfg_attr(target_pointer_width = "64", inline(always))]
fn parse_request(input: &[u8], limits: &HeadLimits) -> Parsed<(usize, RequestHead)> {
    let start = empty_line(input)?;
    let line = &input[start..];
    let (method, method_len) = method(line)?;
    let rest = &line[method_len + 1..];
    let (target_len, has_query) = target_len(rest);
    if target_len > limits.target {
        return Err(TARGET_TOO_LONG.into());
    }
    let (target, rest) = rest.split_at(target_len);
    let version = match rest.starts_with(b" HTTP/1.1\r\n") {
        true => Version::Http11,
        false => line_end(target, rest)?,
    };
    target::check(method, target)?;

    let target_start = start + method_len + 1;
    let target_end = target_start + target_len;
    let fields = target_end + (" ".len() + VERSION + CRLF.len());
    let mut meaning = Meaning::default();
    let fields_end = field_lines(input, fields, limits.fields, &mut meaning)?;
    meaning.check_request(version)?;
    let (length, framing) = match meaning.framing(version)? {
        Some(Framing::Length(length)) => (length, HAS_LENGTH),
        Some(Framing::Chunked | Framing::UntilClose) => (0, IS_CHUNKED),
        Some(Framing::None) | None => (0, 0),
    };
    let is_path = cfg!(target_pointer_width = "64") && !has_query && target.first() == Some(&b'/');
    let head = RequestHead {
        length,
        target_start: target_start as u8,
        target_end: target_end as u16,
        fields_end: fields_end as u16,
        method,
        version,
        flags: flags(&meaning, version) | framing | if is_path { IS_PATH } else { 0 },
    };
    Ok((fields_end + CRLF.len(), head))
}

/// Octets of the target at the front, and whether there is a query in it.
#[inline]
fn target_len(octets: &[u8]) -> (usize, bool) {
    if cfg!(target_pointer_width = "32") {
        return (octets::target(octets), true);
    }
    let path = octets::path(octets);
    match octets.get(path) {
        Some(b'?') => (with_query(octets, path), true),
        _ => (path, false),
    }
}

#[inline(never)]
fn with_query(octets: &[u8], path: usize) -> usize {
    path + octets::target(octets.get(path..).unwrap_or_default())
}

const _: () = assert!(CRLF.len() + METHOD_MAX + " ".len() <= u8::MAX as usize);

fn parse_response(input: &[u8], to: Method, limits: &HeadLimits) -> Parsed<(usize, ResponseHead)> {
    let version = version(input)?;
    let (status, reason_end) = status(input)?;
    expect(input.get(reason_end..).unwrap_or_default(), CRLF)?;
    let mut meaning = Meaning::default();
    let fields_end = field_lines(input, reason_end + CRLF.len(), limits.fields, &mut meaning)?;
    let framing = framing::of_response(meaning.framing(version)?, status, to);
    let mut flags = flags(&meaning, version);
    if framing == Framing::UntilClose {
        flags &= !KEEP_ALIVE;
    }
    let (reason_end, fields_end) = (reason_end as u16, fields_end as u16);
    let head = ResponseHead { framing, status, reason_end, fields_end, version, flags };
    Ok((usize::from(fields_end) + CRLF.len(), head))
}

#[cfg_attr(target_pointer_width = "64", inline(always))]
fn flags(meaning: &Meaning, version: Version) -> u8 {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    flag(meaning.keep_alive(version), KEEP_ALIVE)
        | flag(meaning.expect_continue(version), EXPECT_CONTINUE)
        | flag(meaning.upgrade(version), UPGRADE)
}

/// Bytes of the one empty line that may stand in front of a request line.
#[inline]
fn empty_line(input: &[u8]) -> Parsed<usize> {
    match input {
        [b'\r', rest @ ..] => expect(rest, b"\n").map(|()| CRLF.len()),
        [_, ..] => Ok(0),
        [] => Err(Stop::Incomplete),
    }
}

/// The method in front of its space, and its length.
#[inline]
fn method(line: &[u8]) -> Parsed<(Method, usize)> {
    if line.starts_with(b"GET ") {
        return Ok((Method::Get, 3));
    }
    let len = octets::token(line.get(..=METHOD_MAX).unwrap_or(line));
    match line.get(len) {
        _ if len > METHOD_MAX => Err(Error::new(Code::ProtocolViolation).on_wire(501).into()),
        Some(b' ') if len > 0 => Ok((Method::of_token(&line[..len]), len)),
        Some(_) => Err(MALFORMED.into()),
        None => Err(Stop::Incomplete),
    }
}

/// The version and the end of a request line that does not end as most do.
#[cold]
fn line_end(target: &[u8], rest: &[u8]) -> Parsed<Version> {
    expect(rest, b" ")?;
    if target.is_empty() {
        return Err(MALFORMED.into());
    }
    let rest = &rest[1..];
    let version = version(rest)?;
    expect(&rest[VERSION..], CRLF)?;
    Ok(version)
}

/// The version at the front, all of it.
fn version(octets: &[u8]) -> Parsed<Version> {
    for (octet, like) in octets.iter().zip(b"HTTP/0.0") {
        let is_like = if *like == b'0' { octet.is_ascii_digit() } else { octet == like };
        if !is_like {
            return Err(MALFORMED.into());
        }
    }
    match octets.first_chunk::<VERSION>() {
        None => Err(Stop::Incomplete),
        Some([.., b'1', b'.', b'0']) => Ok(Version::Http10),
        Some([.., b'1', b'.', _]) => Ok(Version::Http11),
        Some(_) => Err(Error::new(Code::ProtocolViolation).on_wire(505).into()),
    }
}

/// The status behind the version, and where the reason phrase ends, which may be missing, and its space too.
fn status(input: &[u8]) -> Parsed<(u16, usize)> {
    const START: usize = VERSION + " ".len();
    expect(input.get(VERSION..).unwrap_or_default(), b" ")?;
    let digits = input.get(START..).unwrap_or_default();
    let digits = digits.get(..3).unwrap_or(digits);
    let status = digits.iter().try_fold(0, |status, digit| {
        digit.is_ascii_digit().then(|| status * 10 + u16::from(digit - b'0')).ok_or(MALFORMED)
    })?;
    let end = START + 3;
    match input.get(end) {
        None => Err(Stop::Incomplete),
        // RFC 9112, 4: nothing is below 100.
        Some(_) if status < 100 => Err(MALFORMED.into()),
        Some(b' ') => Ok((status, Values::new(input, end).end(end))),
        Some(_) => Ok((status, end)),
    }
}

/// Refuses what does not begin like this.
#[inline]
fn expect<const N: usize>(octets: &[u8], front: &[u8; N]) -> Parsed<()> {
    match octets.first_chunk() {
        Some(chunk) if chunk == front => Ok(()),
        None if front.starts_with(octets) => Err(Stop::Incomplete),
        _ => Err(MALFORMED.into()),
    }
}

/// Learns what the field lines from `start` on mean, and returns where the empty line behind them begins.
#[inline]
pub(super) fn field_lines(input: &[u8], start: usize, max: usize, meaning: &mut Meaning) -> Parsed<usize> {
    let mut ends = Values::new(input, start);
    let (mut at, mut left) = (start, max);
    loop {
        let line = input.get(at..).ok_or(Stop::Incomplete)?;
        if line.first_chunk() == Some(CRLF) {
            return Ok(at);
        }
        let name_len = octets::token(line);
        let Some((name, [b':', value @ ..])) = line.split_at_checked(name_len) else {
            return Err(no_field(line, name_len));
        };
        let start = at + name_len + 1;
        let end = ends.end(start);
        let Some((value, rest)) = value.split_at_checked(end - start) else {
            return Err(Stop::Incomplete);
        };
        if rest.first_chunk() != Some(CRLF) {
            return Err(no_end(rest));
        }
        if name.is_empty() {
            return Err(MALFORMED.into());
        }
        left = left.checked_sub(1).ok_or(HEAD_TOO_LARGE)?;
        meaning.field(name, value)?;
        at = end + CRLF.len();
    }
}

/// What is wrong with a line that is not empty and has no name and colon.
#[cold]
fn no_field(line: &[u8], name_len: usize) -> Stop {
    match line.len() > name_len {
        // RFC 9112, 5.1: nothing between name and colon. What begins with white space would be a folded
        // line: RFC 9112, 5.2.
        true if name_len > 0 => MALFORMED.into(),
        false if name_len > 0 => Stop::Incomplete,
        _ => expect(line, CRLF).err().unwrap_or(Stop::Incomplete),
    }
}

/// A value that ends with neither CR LF nor the input.
#[cold]
fn no_end(rest: &[u8]) -> Stop {
    expect(rest, CRLF).err().unwrap_or(Stop::Incomplete)
}

#[cfg(test)]
mod tests;
