//! What the fields of a head say about the body and the connection.
//!
//! Every rule that request smuggling lives on is here: whoever reads a length another way than the next hop
//! does reads another request. So what the RFC leaves open is refused (RFC 9112, 11.2).

use netloom_core::{Code, Error, Result};

use super::head::{MALFORMED, Version};
use super::method::Method;
use super::octets::{self, TOKEN, is_name, trim};
use super::target;

/// Where a body ends. RFC 9112, 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// After that many bytes; there may be none.
    Length(u64),
    /// After the last chunk and the trailers. RFC 9112, 7.1.
    Chunked,
    /// With the connection. Responses only.
    UntilClose,
}

const HOST: u16 = 1;
/// More than one Host, or one that is none.
const BAD_HOST: u16 = 1 << 1;
const CLOSE: u16 = 1 << 2;
const KEEP_ALIVE: u16 = 1 << 3;
/// The connection option, and the field with the protocols.
const UPGRADE_OPTION: u16 = 1 << 4;
const UPGRADE: u16 = 1 << 5;
const CONTINUE: u16 = 1 << 6;
const UNKNOWN_EXPECTATION: u16 = 1 << 7;
const LENGTH: u16 = 1 << 8;
const CHUNKED: u16 = 1 << 9;

/// What was learnt from the fields so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meaning {
    flags: u16,
    length: u64,
}

impl Meaning {
    /// Learns from one field, its value not trimmed.
    #[inline]
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        match name.len() {
            4 if is_name(name, b"host") => self.host(trim(value)),
            6 if is_name(name, b"expect") => self.expectation(trim(value)),
            7 if is_name(name, b"upgrade") => self.flags |= UPGRADE,
            10 if is_name(name, b"connection") => self.options(value),
            14 if is_name(name, b"content-length") => return self.lengths(value),
            17 if is_name(name, b"transfer-encoding") => return self.codings(value),
            _ => {}
        }
        Ok(())
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn host(&mut self, value: &[u8]) {
        if self.flags & HOST != 0 || !target::is_host(value) {
            self.flags |= BAD_HOST;
        }
        self.flags |= HOST;
    }

    #[inline(never)]
    fn expectation(&mut self, value: &[u8]) {
        self.flags |= if is_name(value, b"100-continue") { CONTINUE } else { UNKNOWN_EXPECTATION };
    }

    /// Connection options; those that are not ours name fields of this hop.
    #[inline(never)]
    fn options(&mut self, value: &[u8]) {
        let value = trim(value);
        let flag = option(value);
        // Nearly always there is only one, and with a comma in it none is ours.
        self.flags |= flag;
        if flag == 0 {
            self.flags |= octets::items(value).fold(0, |flags, item| flags | option(item));
        }
    }

    /// RFC 9110, 8.6: a list of one length, however often, is that length; anything else is refused.
    #[inline(never)]
    fn lengths(&mut self, value: &[u8]) -> Result<()> {
        for length in octets::items(value) {
            let length = decimal(length).ok_or(MALFORMED)?;
            if self.flags & LENGTH != 0 && self.length != length {
                return Err(MALFORMED);
            }
            self.flags |= LENGTH;
            self.length = length;
        }
        Ok(())
    }

    /// The only coding known is `chunked`, once, and it has no parameters (RFC 9112, 7.1).
    #[inline(never)]
    fn codings(&mut self, value: &[u8]) -> Result<()> {
        for coding in octets::items(value) {
            let len = coding.iter().position(|octet| !octets::is(*octet, TOKEN)).unwrap_or(coding.len());
            let (name, parameters) = coding.split_at(len);
            // RFC 9112, 6.1: nothing may come after `chunked`, not even itself.
            if name.is_empty() || self.flags & CHUNKED != 0 {
                return Err(MALFORMED);
            }
            match (is_name(name, b"chunked"), parameters) {
                (true, []) => self.flags |= CHUNKED,
                (true, _) => return Err(MALFORMED),
                (false, _) => return Err(Error::new(Code::ProtocolViolation).on_wire(501)),
            }
        }
        Ok(())
    }

    /// Refuses a request whose fields are each legal, but not all together.
    #[inline]
    pub(super) fn check_request(&self, version: Version) -> Result<()> {
        let is_new = version == Version::Http11;
        // RFC 9112, 3.2: one Host, and no request without one since HTTP/1.1.
        if self.flags & BAD_HOST != 0 || is_new && self.flags & HOST == 0 {
            return Err(MALFORMED);
        }
        // RFC 9110, 10.1.1.
        if self.flags & UNKNOWN_EXPECTATION != 0 {
            return Err(Error::new(Code::ProtocolViolation).on_wire(417));
        }
        Ok(())
    }

    /// How the content ends that the fields announce, if they do.
    #[inline]
    pub(super) fn framing(&self, version: Version) -> Result<Option<Framing>> {
        match self.flags & (CHUNKED | LENGTH) {
            0 => Ok(None),
            LENGTH => Ok(Some(Framing::Length(self.length))),
            // RFC 9112, 6.1: HTTP/1.0 has no codings, and what has both framings is an attack.
            CHUNKED if version == Version::Http11 => Ok(Some(Framing::Chunked)),
            _ => Err(MALFORMED),
        }
    }

    /// Whether the connection may be used again. RFC 9112, 9.3.
    #[inline]
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        match self.flags & (CLOSE | KEEP_ALIVE) {
            0 => version == Version::Http11,
            KEEP_ALIVE => true,
            _ => false,
        }
    }

    /// Whether the client waits for leave to send the content. RFC 9110, 10.1.1: not in HTTP/1.0.
    #[inline]
    pub(super) fn expect_continue(&self, version: Version) -> bool {
        self.flags & CONTINUE != 0 && version == Version::Http11
    }

    /// Whether another protocol is offered or agreed on. RFC 9110, 7.8: not in HTTP/1.0.
    #[inline]
    pub(super) fn upgrade(&self, version: Version) -> bool {
        const BOTH: u16 = UPGRADE | UPGRADE_OPTION;
        self.flags & BOTH == BOTH && version == Version::Http11
    }
}

/// How a response's body ends. RFC 9112, 6.3.
pub(super) fn of_response(announced: Option<Framing>, status: u16, to: Method) -> Framing {
    match (to, status) {
        (Method::Head, _) | (_, 100..=199 | 204 | 304) | (Method::Connect, 200..=299) => Framing::None,
        _ => announced.unwrap_or(Framing::UntilClose),
    }
}

/// The flag of a connection option.
#[cfg_attr(target_pointer_width = "64", inline(always))]
fn option(name: &[u8]) -> u16 {
    match name.len() {
        5 if is_name(name, b"close") => CLOSE,
        10 if is_name(name, b"keep-alive") => KEEP_ALIVE,
        7 if is_name(name, b"upgrade") => UPGRADE_OPTION,
        _ => 0,
    }
}

/// `1*DIGIT` that fits.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(digit.into())
    })
}
