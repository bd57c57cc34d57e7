//! Requests whose body is encoded.
//!
//! A handler asks for the decoded body, as it asks for the body: [`decoded`] whole, [`Decoded`] in pieces. It is not
//! done behind its back, because only the handler knows how much it wants: that is the cap, and a bomb costs no more
//! memory than a piece.

use bytes::Bytes;
use netloom_core::{Code, Result};

use super::decode::{self, ACCEPTED, Decoder};
use super::negotiate::Encoding;
use super::{Head, Reply, Request, Sent, status};

/// A request whose body is decoded as it comes.
///
/// ```
/// use netloom::Result;
/// use netloom::http::{Decoded, Request, Sent};
///
/// async fn count(request: Request<'_>) -> Result<Sent> {
///     let mut body = Decoded::new(request, 1 << 30)?;
///     let mut zeros = 0;
///     while let Some(piece) = body.receive().await? {
///         zeros += piece.iter().filter(|byte| **byte == 0).count();
///     }
///     body.split().1.format(format_args!("{zeros}")).await
/// }
/// ```
pub struct Decoded<'a> {
    request: Request<'a>,
    /// Nothing if the body is not encoded.
    decoder: Option<Decoder>,
    /// Decoded bytes that may still come.
    left: u64,
    piece: Bytes,
    is_over: bool,
}

impl<'a> Decoded<'a> {
    /// Decodes the body, by `Content-Encoding`, to at most `max` bytes: `gzip`, `deflate`, `br`, `zstd`, or as it is.
    ///
    /// # Errors
    /// 415 for another coding, or several; [`decompress`] says then what is taken.
    pub fn new(mut request: Request<'a>, max: u64) -> Result<Self> {
        let decoder = coding(&request.head())?.map(|encoding| Decoder::new(encoding, max));
        Ok(Self { request, decoder, left: max, piece: Bytes::new(), is_over: false })
    }

    /// The next decoded piece; `None` at the end.
    ///
    /// # Errors
    /// 413 beyond the cap, 400 for what is not of its coding or not all of it, and what ended the session.
    pub async fn receive(&mut self) -> Result<Option<&[u8]>> {
        let Some(decoder) = &mut self.decoder else {
            let Some(piece) = self.request.receive().await? else { return Ok(None) };
            let left = self.left.checked_sub(piece.len() as u64);
            self.left = left.ok_or(netloom_core::Error::new(Code::MessageTooLarge).on_wire(413))?;
            return Ok(Some(piece));
        };
        if self.is_over {
            return Ok(None);
        }
        loop {
            match decoder.next() {
                Ok(decode::Decoded::Piece(piece)) => {
                    self.piece = piece;
                    return Ok(Some(&self.piece));
                }
                Ok(decode::Decoded::End) => {
                    self.is_over = true;
                    return Ok(None);
                }
                Ok(decode::Decoded::NeedInput) => match self.request.receive().await? {
                    Some(piece) => decoder.feed(Bytes::copy_from_slice(piece)),
                    None => decoder.end(),
                },
                Err((error, _)) if error == Code::MessageTooLarge => return Err(error.on_wire(413)),
                Err((error, _)) => return Err(error.on_wire(400)),
            }
        }
    }

    /// The head and the answer.
    pub fn split(self) -> (Head<'a>, Reply<'a>) {
        self.request.split()
    }

    /// The head, to look at.
    pub fn head(&mut self) -> Head<'_> {
        self.request.head()
    }
}

/// The whole body, decoded to at most `max` bytes, and what is left of the request.
///
/// ```
/// use netloom::Result;
/// use netloom::http::{Request, Sent, decoded};
///
/// async fn count(request: Request<'_>) -> Result<Sent> {
///     let (body, _, reply) = decoded(request, 1 << 20).await?;
///     reply.format(format_args!("{} bytes", body.len())).await
/// }
/// ```
///
/// # Errors
/// As for [`Decoded`].
pub async fn decoded(request: Request<'_>, max: u64) -> Result<(Vec<u8>, Head<'_>, Reply<'_>)> {
    let mut decoded = Decoded::new(request, max)?;
    let mut body = Vec::new();
    while let Some(piece) = decoded.receive().await? {
        body.extend_from_slice(piece);
    }
    let (head, reply) = decoded.split();
    Ok((body, head, reply))
}

/// `app`, around which a request in a coding that cannot be [decoded] is refused, with 415 and what can be (RFC 9110,
/// 12.5.3 and 15.5.16).
///
/// Without it such a request is refused only where the body is asked for, and without saying what would do.
pub fn decompress<A>(app: A) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone
where
    A: AsyncFn(Request<'_>) -> Result<Sent> + Clone,
{
    async move |mut request: Request<'_>| match coding(&request.head()) {
        Ok(_) => app(request).await,
        Err(error) => {
            let fields = request.and([("accept-encoding", ACCEPTED)]);
            request.lend().with(&fields).refuse(error).await
        }
    }
}

/// What a body is encoded in.
fn coding(head: &Head<'_>) -> Result<Option<Encoding>> {
    let fields = head.fields();
    let mut names = fields
        .get_all("content-encoding")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
    match (names.next(), names.next()) {
        (None, _) => Ok(None),
        (Some(name), None) => Encoding::parse(name).map(Some).ok_or(status::error(415)),
        _ => Err(status::error(415)),
    }
}
