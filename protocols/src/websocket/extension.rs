//! The negotiation of permessage-deflate (RFC 7692, 5 and 7.1), in `Sec-WebSocket-Extensions`.
//!
//! ```text
//! permessage-deflate; server_no_context_takeover; client_max_window_bits="10", permessage-deflate
//! ```
//!
//! A server looks at [`offers`], best first, and answers with [`Parameters`]; a client makes an [`Offer`] of them, and
//! [`Offer::accepted`] judges the answer. An offer with anything in it that RFC 7692 does not know is no offer.

use core::fmt;

use netloom_core::{Code, Error, Result};

use super::compression::{Compression, Parameters};
use crate::http1::Request;
use crate::http1::text::is_tchar;

/// The extension's name.
const NAME: &[u8] = b"permessage-deflate";
/// The base-two logarithms that a window's size may have (RFC 7692, 7.1.2).
const WINDOW_BITS: core::ops::RangeInclusive<u8> = 8..=15;
/// What a client can do that says nothing else.
const WINDOW_BITS_MAX: u8 = 15;

/// The offers of permessage-deflate in these values of `Sec-WebSocket-Extensions`, in the client's order. What is
/// another extension, or not as RFC 7692, 7.1 has it, is not among them.
///
/// ```
/// use netloom_protocols::websocket::offers;
///
/// let lines = [&b"x-other, permessage-deflate; client_max_window_bits"[..], b"permessage-deflate"];
/// let offers: Vec<_> = offers(lines.into_iter()).map(|offer| offer.to_string()).collect();
/// assert_eq!(offers, ["permessage-deflate; client_max_window_bits=15", "permessage-deflate"]);
/// ```
pub fn offers<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = Parameters> {
    values.flat_map(Elements).filter_map(|element| parse(element, Said::Offered))
}

/// What is agreed on with the client of `request`, by the compression that middleware brings, if any does.
pub(super) fn agree<'a>(
    request: &mut Request<'a>,
    uncompressed: bool,
) -> (Option<&'a mut (dyn Compression + 'a)>, Option<Parameters>) {
    let Some(compression) = request.compression().filter(|_| !uncompressed) else { return (None, None) };
    let head = request.head();
    let agreed = compression.agree(&mut offers(head.fields().get_all("sec-websocket-extensions")));
    (Some(compression), agreed)
}

/// What a client offers: a `Sec-WebSocket-Extensions`.
///
/// ```
/// use netloom_protocols::websocket::{Offer, Parameters};
///
/// let offer = Offer(Parameters { client_max_window_bits: Some(15), ..Parameters::default() });
/// assert_eq!(offer.to_string(), "permessage-deflate; client_max_window_bits");
///
/// let answer = [&b"permessage-deflate; client_max_window_bits=10"[..]];
/// let agreed = offer.accepted(answer.into_iter())?.expect("it was accepted");
/// assert_eq!(agreed.client_max_window_bits, Some(10));
/// assert_eq!(offer.accepted([].into_iter())?, None); // without compression
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer(pub Parameters);

impl Offer {
    /// What the server's values of `Sec-WebSocket-Extensions` agree on; `None` if it declines.
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`] for an answer that does not go with the offer: the client must fail the connection
    /// (RFC 6455, 9.1; RFC 7692, 7.1).
    pub fn accepted<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Parameters>> {
        let mut elements = values.flat_map(Elements);
        let Some(element) = elements.next() else { return Ok(None) };
        let answer = parse(element, Said::Accepted).filter(|answer| self.allows(answer));
        match (answer, elements.next()) {
            (Some(answer), None) => Ok(Some(answer)),
            _ => Err(Error::new(Code::HandshakeFailed)),
        }
    }

    fn allows(&self, answer: &Parameters) -> bool {
        let offer = &self.0;
        // RFC 7692, 7.1.1.1 and 7.1.2.1: what the client asks of the server, an answer that accepts it repeats. More
        // than it asks for it may get.
        (answer.server_no_context_takeover || !offer.server_no_context_takeover)
            && offer.server_max_window_bits.is_none_or(|most| {
                answer.server_max_window_bits.is_some_and(|bits| bits <= most)
            })
            // 7.1.2.2: the client is told no window unless it has offered to be.
            && answer.client_max_window_bits.is_none_or(|bits| {
                offer.client_max_window_bits.is_some_and(|most| bits <= most)
            })
    }
}

/// The text of an offer: like that of an answer, but that no window of the client's is as good as the largest.
impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.0.client_max_window_bits;
        Parameters { client_max_window_bits: client.filter(|bits| *bits < WINDOW_BITS_MAX), ..self.0 }
            .fmt(f)?;
        match client {
            Some(WINDOW_BITS_MAX) => f.write_str("; client_max_window_bits"),
            _ => Ok(()),
        }
    }
}

/// The text of an answer.
impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        if let Some(bits) = self.client_max_window_bits {
            write!(f, "; client_max_window_bits={bits}")?;
        }
        Ok(())
    }
}

/// Who says it: an offer may leave a value to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Offered,
    Accepted,
}

/// `name; parameter; parameter=value` as permessage-deflate, if it is that and nothing is wrong with it.
fn parse(element: &[u8], said: Said) -> Option<Parameters> {
    let mut rest = Rest(element);
    if rest.token()? != NAME {
        return None;
    }
    let mut found = Parameters::default();
    while rest.eats(b';') {
        let name = rest.token()?;
        let value = if rest.eats(b'=') { Some(rest.bits()?) } else { None };
        // RFC 7692, 7.1: no parameter twice, none that is not known, no value that is not legal.
        let is_new = match (name, value) {
            (b"server_no_context_takeover", None) => {
                !core::mem::replace(&mut found.server_no_context_takeover, true)
            }
            (b"client_no_context_takeover", None) => {
                !core::mem::replace(&mut found.client_no_context_takeover, true)
            }
            (b"server_max_window_bits", Some(bits)) => found.server_max_window_bits.replace(bits).is_none(),
            (b"client_max_window_bits", Some(bits)) => found.client_max_window_bits.replace(bits).is_none(),
            (b"client_max_window_bits", None) if said == Said::Offered => {
                found.client_max_window_bits.replace(WINDOW_BITS_MAX).is_none()
            }
            _ => false,
        };
        if !is_new {
            return None;
        }
    }
    rest.0.is_empty().then_some(found)
}

/// What is left of an element. White space is skipped before and behind whatever is taken (RFC 2616, 2.1: implied
/// `LWS`, by which RFC 6455, 9.1 is written).
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn eats(&mut self, octet: u8) -> bool {
        let rest = self.0.strip_prefix(&[octet]);
        self.0 = rest.unwrap_or(self.0).trim_ascii();
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        let size = self.0.iter().position(|octet| !is_tchar(*octet)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at_checked(size).filter(|_| size > 0)?;
        self.0 = rest.trim_ascii();
        Some(token)
    }

    /// A window's size: decimal without leading zeros, bare or in quotes.
    fn bits(&mut self) -> Option<u8> {
        match self.0.split_first() {
            Some((b'"', quoted)) => {
                let end = quoted_end(quoted);
                let (text, rest) = quoted.split_at_checked(end)?;
                self.0 = rest.strip_prefix(b"\"")?.trim_ascii();
                number(unescaped(text))
            }
            _ => number(self.token()?.iter().copied()),
        }
    }
}

fn number(mut digits: impl Iterator<Item = u8>) -> Option<u8> {
    let digit = |octet: u8| octet.is_ascii_digit().then_some(octet & 15);
    let first = digits.next().and_then(digit).filter(|first| *first != 0)?;
    let number = match digits.next() {
        Some(second) => first * 10 + digit(second)?,
        None => first,
    };
    (digits.next().is_none() && WINDOW_BITS.contains(&number)).then_some(number)
}

/// Where the quote is that ends what was quoted, or the end if none does.
fn quoted_end(text: &[u8]) -> usize {
    let mut octets = text.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return at,
            b'\\' => _ = octets.next(),
            _ => {}
        }
    }
    text.len()
}

/// What was quoted, without the backslashes that escape.
fn unescaped(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut octets = text.iter().copied();
    core::iter::from_fn(move || match octets.next()? {
        b'\\' => octets.next(),
        octet => Some(octet),
    })
}

/// The elements of a list, in which commas may be quoted. Empty ones are none (RFC 9110, 5.6.1.2).
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let (element, rest) = self.0.split_at_checked(element_end(self.0))?;
            self.0 = rest.get(1..).unwrap_or_default();
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

/// Where the first comma is that is not quoted, or the end if there is none.
fn element_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(octet) = text.get(at) {
        match octet {
            b',' => return at,
            b'"' => at += 1 + quoted_end(text.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use super::*;

    fn offered(lines: &[&str]) -> Vec<String> {
        offers(lines.iter().map(|line| line.as_bytes())).map(|offer| offer.to_string()).collect()
    }

    #[test]
    fn offers_come_in_the_clients_order_over_all_lines() {
        for (lines, found) in [
            (&["permessage-deflate"][..], &["permessage-deflate"][..]),
            (&[], &[]),
            (&["", " , ,\t"], &[]),
            (
                &["permessage-deflate; client_max_window_bits"],
                &["permessage-deflate; client_max_window_bits=15"],
            ),
            (
                &["permessage-deflate;server_max_window_bits=10 ;\tclient_no_context_takeover"],
                &["permessage-deflate; client_no_context_takeover; server_max_window_bits=10"],
            ),
            (
                &[
                    "x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover,permessage-deflate",
                ],
                &["permessage-deflate; server_no_context_takeover", "permessage-deflate"],
            ),
            (
                &["mux; max=\"a,b; \\\", permessage-deflate", "permessage-deflate; server_max_window_bits=8"],
                &["permessage-deflate; server_max_window_bits=8"],
            ),
            (
                &["permessage-deflate; client_max_window_bits=\"1\\0\"; server_max_window_bits = \"9\""],
                &["permessage-deflate; server_max_window_bits=9; client_max_window_bits=10"],
            ),
        ] {
            assert_eq!(offered(lines), found, "{lines:?}");
        }
    }

    #[test]
    fn an_offer_with_anything_wrong_in_it_is_none_and_the_next_one_is_looked_at() {
        for wrong in [
            "; unknown",
            "; unknown=1",
            "; server_no_context_takeover; server_no_context_takeover",
            "; client_no_context_takeover; client_no_context_takeover",
            "; server_max_window_bits=10; server_max_window_bits=10",
            "; client_max_window_bits; client_max_window_bits=10",
            "; server_no_context_takeover=1",
            "; client_no_context_takeover=\"\"",
            "; client_no_context_takeover=8",
            "; server_max_window_bits",
            "; server_max_window_bits=",
            "; server_max_window_bits=7",
            "; server_max_window_bits=16",
            "; server_max_window_bits=010",
            "; server_max_window_bits=08",
            "; server_max_window_bits=100",
            "; server_max_window_bits=266",
            "; server_max_window_bits=+9",
            "; server_max_window_bits=-9",
            "; server_max_window_bits=1a",
            "; server_max_window_bits=\"10",
            "; server_max_window_bits=\"10\"1",
            "; server_max_window_bits=\"1 0\"",
            "; client_max_window_bits=",
            "; client_max_window_bits=0",
            "; client_max_window_bits=\"\"",
            "; client_max_window_bits=15 15",
            "; Client_Max_Window_Bits=15",
            ";",
            "; ;client_max_window_bits",
            "; client_max_window_bits;",
            " client_max_window_bits",
            "=1",
            "-frame",
        ] {
            let line = std::format!("permessage-deflate{wrong}");
            assert_eq!(offered(&[&line]), [""; 0], "{line}");
            if !wrong.ends_with("\"10") {
                let line = std::format!("{line}, permessage-deflate");
                assert_eq!(offered(&[&line]), ["permessage-deflate"], "{line}");
            }
        }
        assert_eq!(
            offered(&["Permessage-Deflate", "=permessage-deflate", "\"permessage-deflate\""]),
            [""; 0]
        );
    }

    fn accepted(offer: &Parameters, lines: &[&str]) -> Result<Option<Parameters>> {
        Offer(*offer).accepted(lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn a_client_takes_what_goes_with_its_offer() {
        let bare = Parameters::default();
        let asks = Parameters {
            server_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: Some(12),
            ..bare
        };
        let open = Parameters { client_max_window_bits: Some(15), ..bare };
        for (offer, answer, fits) in [
            (bare, "", true),
            (bare, "; server_no_context_takeover; client_no_context_takeover", true),
            (bare, "; server_max_window_bits=9", true),
            (bare, "; client_max_window_bits=15", false),
            (asks, "", false),
            (asks, "; server_no_context_takeover", false),
            (asks, "; server_max_window_bits=10", false),
            (asks, "; server_no_context_takeover; server_max_window_bits=10", true),
            (asks, "; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=12", true),
            (asks, "; server_no_context_takeover; server_max_window_bits=11", false),
            (
                asks,
                "; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=13",
                false,
            ),
            (open, "", true),
            (open, "; client_max_window_bits=8", true),
            (open, "; client_max_window_bits=\"15\"", true),
            (open, "; client_max_window_bits", false),
            (open, "; unknown", false),
            (open, "; client_max_window_bits=8; client_max_window_bits=8", false),
        ] {
            let line = std::format!("permessage-deflate{answer}");
            let taken = accepted(&offer, &[&line]);
            match fits {
                true => assert!(matches!(taken, Ok(Some(_))), "{line} to {offer}"),
                false => assert_eq!(taken, Err(Code::HandshakeFailed.into()), "{line} to {offer}"),
            }
        }
    }

    #[test]
    fn a_client_takes_no_extension_but_the_one_it_offered_and_that_once() {
        let offer = Parameters::default();
        assert_eq!(accepted(&offer, &[]), Ok(None));
        assert_eq!(accepted(&offer, &["", ","]), Ok(None));
        for lines in [
            &["x-other"][..],
            &["permessage-deflate, x-other"],
            &["permessage-deflate, permessage-deflate"],
            &["permessage-deflate", "permessage-deflate"],
            &["permessage-deflate; \""],
        ] {
            assert_eq!(accepted(&offer, lines), Err(Code::HandshakeFailed.into()), "{lines:?}");
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        for bits in [None, Some(8), Some(15)] {
            for flags in 0..4 {
                let parameters = Parameters {
                    server_no_context_takeover: flags & 1 != 0,
                    client_no_context_takeover: flags & 2 != 0,
                    server_max_window_bits: bits,
                    client_max_window_bits: bits.map(|bits| 23 - bits),
                };
                let (answer, offer) = (parameters.to_string(), Offer(parameters).to_string());
                assert_eq!(parse(answer.as_bytes(), Said::Accepted), Some(parameters), "{answer}");
                assert_eq!(parse(offer.as_bytes(), Said::Offered), Some(parameters), "{offer}");
            }
        }
    }
}
