//! Queries, bodies and cookies as values, by serde; multipart content as parts.

use core::ops::Range;

use netloom_core::{Error, Result};
use serde::Deserialize;

use super::cookie::{SetCookie, cookies};
use super::form;
use super::multipart::{Multipart, PartLimits, PartStep, boundary_of};
use super::part::PartHead;
use super::reply::Reply;
use super::request::{Head, Request, Whole};
use super::status;
use super::to_fields::{ToFields, With};

impl<'a> Head<'a> {
    /// The query as a value, [read](form) like a form: `?name=Z%C3%BCrich&page=2`.
    ///
    /// Text is decoded into what owns it, as a `String`. A `&str` borrows from the receive queue, where the query lies as it was
    /// sent: for what never has escapes.
    ///
    /// ```
    /// use netloom_core::Result;
    /// use netloom_protocols::http1::{Request, Sent};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Search {
    ///     name: String,
    ///     page: Option<u32>,
    /// }
    ///
    /// async fn search(request: Request<'_>) -> Result<Sent> {
    ///     let (head, reply) = request.split();
    ///     let Search { name, page } = head.query()?;
    ///     reply.format(format_args!("{name}, page {}", page.unwrap_or(1))).await
    /// }
    /// ```
    ///
    /// # Errors
    /// 400 if it is not such a query, 413 for a string with escapes above 256 bytes, and 500 if what is to be a `&str` has escapes.
    pub fn query<T: Deserialize<'a>>(&self) -> Result<T> {
        form::from_str(self.query_text())
    }

    /// The cookies, in the order they were sent.
    pub fn cookies(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let fields = self.fields();
        fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
            .flat_map(|(_, value)| cookies(value))
    }

    /// The first cookie of that name.
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.cookies().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Whether the body is said to be of that type, whatever its parameters.
    fn is_of_type(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        let Some(content_type) = self.fields().get("content-type") else { return false };
        let essence = content_type.split(|octet| *octet == b';').next().unwrap_or_default();
        fits(essence.trim_ascii())
    }
}

impl<'a> Request<'a> {
    /// The whole body as JSON. Text is borrowed from where it was received; text with escapes needs a type that
    /// owns it.
    ///
    /// # Errors
    /// 415 if it is not said to be JSON, 400 if it is not such a value, and as for [`body`](Self::body).
    pub async fn json<T: Deserialize<'a>>(mut self) -> Result<(T, Reply<'a>)> {
        if !self.head().is_of_type(is_json) {
            return Err(status::error(415));
        }
        let Whole { body, reply, .. } = self.body().await?;
        let body: &'a [u8] = body;
        match serde_json_core::from_slice(body) {
            Ok((value, n)) if body[n..].iter().all(u8::is_ascii_whitespace) => Ok((value, reply)),
            _ => Err(status::error(400)),
        }
    }

    /// The whole body as a form (application/x-www-form-urlencoded), decoded in place.
    ///
    /// # Errors
    /// 415 if it is not said to be a form, 400 if it is not such a form, and as for [`body`](Self::body).
    pub async fn form<T: Deserialize<'a>>(mut self) -> Result<(T, Reply<'a>)> {
        let is_form = |essence: &[u8]| essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
        if !self.head().is_of_type(is_form) {
            return Err(status::error(415));
        }
        let Whole { body, reply, .. } = self.body().await?;
        Ok((form::from_bytes_in_place(body)?, reply))
    }

    /// The body as multipart/form-data, part by part. `WINDOW` bytes are kept to find where parts end; a part's head
    /// must fit.
    ///
    /// # Errors
    /// 415 if it is not said to be that.
    pub fn multipart<const WINDOW: usize>(mut self, limits: PartLimits) -> Result<Parts<'a, WINDOW>> {
        let boundary = self.head().fields().get("content-type").and_then(boundary_of);
        let parser = match boundary {
            Some(boundary) => Multipart::new(boundary, limits)?,
            None => return Err(status::error(415)),
        };
        Ok(Parts { request: self, parser, window: [0; WINDOW], filled: 0..0, piece: 0..0, taken: 0 })
    }
}

/// RFC 8259, 11, and the suffix of RFC 6839, 3.1.
fn is_json(essence: &[u8]) -> bool {
    let suffix = essence.len().checked_sub(5).and_then(|at| essence.get(at..));
    essence.eq_ignore_ascii_case(b"application/json")
        || suffix.is_some_and(|s| s.eq_ignore_ascii_case(b"+json"))
}

impl<'a, F: ToFields> Reply<'a, F> {
    /// One more cookie.
    #[must_use]
    pub fn cookie<'c>(self, cookie: SetCookie<'c>) -> Reply<'a, With<F, (&'static str, SetCookie<'c>)>> {
        self.field("set-cookie", cookie)
    }
}

/// The parts of a multipart body as they come.
pub struct Parts<'a, const WINDOW: usize> {
    request: Request<'a>,
    parser: Multipart,
    window: [u8; WINDOW],
    /// Bytes in the window that are not dealt with.
    filled: Range<usize>,
    /// Bytes of the piece last received that are not in the window yet.
    piece: Range<usize>,
    /// Bytes at the front of the window that were lent out.
    taken: usize,
}

/// What comes of a multipart body.
#[derive(Clone, Copy, Debug)]
pub enum PartEvent<'a> {
    /// A part begins.
    Begin(PartHead<'a>),
    /// Some of its data.
    Data(&'a [u8]),
    /// It has ended.
    End,
}

impl<'a, const WINDOW: usize> Parts<'a, WINDOW> {
    /// What comes next; `None` behind the last part. Cancel-safe.
    ///
    /// # Errors
    /// 400, 413 or 431 for a body that is malformed or beyond the limits, and as for [`Request::receive`].
    pub async fn next(&mut self) -> Result<Option<PartEvent<'_>>> {
        self.filled.start += core::mem::take(&mut self.taken);
        loop {
            let (n, is_event) = match self.parser.feed(&self.window[self.filled.clone()])? {
                PartStep::NeedInput => match self.fill().await? {
                    true => continue,
                    false => {
                        self.parser.finish()?;
                        return Ok(None);
                    }
                },
                PartStep::Quiet(n) | PartStep::End(n) => (n, None),
                PartStep::Head(n) => (n, Some(PartStep::Head(n))),
                PartStep::Data(n) => (n, Some(PartStep::Data(n))),
                PartStep::PartEnd(n) => (n, Some(PartStep::PartEnd(n))),
            };
            let Some(step) = is_event else {
                self.filled.start += n;
                continue;
            };
            self.taken = n;
            let bytes = &self.window[self.filled.start..self.filled.start + n];
            return Ok(Some(match step {
                PartStep::Head(_) => PartEvent::Begin(PartHead::parse(bytes)?),
                PartStep::Data(_) => PartEvent::Data(bytes),
                _ => PartEvent::End,
            }));
        }
    }

    /// The answer.
    pub fn reply(self) -> Reply<'a> {
        self.request.reply()
    }

    /// Brings more into the window. `false` at the end of the body.
    async fn fill(&mut self) -> Result<bool> {
        if self.piece.is_empty() {
            match self.request.next_piece().await? {
                Some(piece) => self.piece = piece,
                None => return Ok(false),
            }
        }
        self.window.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
        let n = self.piece.len().min(WINDOW - self.filled.end);
        if n == 0 {
            // What must be seen at once does not fit.
            return Err(Error::from(netloom_core::Code::MessageTooLarge).on_wire(431));
        }
        let (start, end) = (self.piece.start, self.filled.end);
        self.window[end..end + n].copy_from_slice(&self.request.link().parts().unit[start..start + n]);
        self.filled.end += n;
        self.piece.start += n;
        Ok(true)
    }
}
