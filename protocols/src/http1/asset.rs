//! Content that is part of the program: in flash on a board.

use netloom_core::Result;

use super::conditional::Validators;
use super::etag::{ETag, Tags};
use super::method::Method;
use super::negotiate::{Encoding, choose_encoding};
use super::reply::Sent;
use super::representation::Representation;
use super::request::{Head, Request};
use super::to_fields::{FieldWriter, ToFields};

/// A file that was built into the program.
///
/// ```
/// use netloom_core::Result;
/// use netloom_protocols::http1::{Asset, Request, Sent};
///
/// static STYLE: Asset = Asset::new("text/css; charset=utf-8", b"body { margin: 0 }", "1");
///
/// async fn style(request: Request<'_>) -> Result<Sent> {
///     request.asset(&STYLE).await
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Asset<'a> {
    /// `Content-Type`.
    pub content_type: &'a str,
    /// All of it.
    pub body: &'a [u8],
    /// What is between the quotes of its strong entity tag: a hash of the body, say. Empty for no tag, as is what no
    /// tag may have.
    pub etag: &'a str,
    /// When it last changed, in seconds since the beginning of 1970.
    pub last_modified: Option<u64>,
    /// The same compressed, for clients that take it.
    pub gzip: Option<Gzipped<'a>>,
    /// `Cache-Control`; empty for none.
    pub cache_control: &'a str,
}

/// A body in the coding `gzip`.
#[derive(Clone, Copy, Debug)]
pub struct Gzipped<'a> {
    /// All of it.
    pub body: &'a [u8],
    /// As [`Asset::etag`], and another one: these are other bytes (RFC 9110, 8.8.3.3).
    pub etag: &'a str,
}

impl<'a> Asset<'a> {
    /// With a type, a body and a tag.
    pub const fn new(content_type: &'a str, body: &'a [u8], etag: &'a str) -> Self {
        Self { content_type, body, etag, last_modified: None, gzip: None, cache_control: "" }
    }

    /// The representation for a client that sent `head`, and its bytes.
    pub fn representation(&self, head: &Head<'_>) -> (Representation<'a>, &'a [u8]) {
        self.of(head.fields().get("accept-encoding"))
    }

    fn of(&self, accept_encoding: Option<&[u8]>) -> (Representation<'a>, &'a [u8]) {
        let gzip = self.gzip.filter(|_| choose_encoding(accept_encoding, &[Encoding::Gzip]).is_some());
        let (body, etag) = gzip.map_or((self.body, self.etag), |gzip| (gzip.body, gzip.etag));
        let etag = if etag.is_empty() { None } else { ETag::strong(etag) };
        let representation = Representation {
            content_type: self.content_type,
            complete_length: body.len() as u64,
            validators: Validators { etag, last_modified: self.last_modified, exists: true },
            encoding: gzip.map(|_| Encoding::Gzip),
            varies: self.gzip.is_some(),
            cache_control: self.cache_control,
            boundary: boundary(body),
        };
        (representation, body)
    }
}

/// Who built the program chose the bytes, and has no use for a boundary that occurs in them: a number that differs
/// from asset to asset will do.
fn boundary(body: &[u8]) -> u64 {
    let sample = body.iter().rev().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (sample ^ body.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Whether `If-None-Match` names the tag (RFC 9110, 13.1.2).
fn matches(seen: &[u8], etag: &ETag<'_>) -> bool {
    match Tags::parse(seen) {
        Some(Tags::Any) => true,
        Some(Tags::List(mut list)) => list.any(|seen| seen.weak_eq(etag)),
        None => false,
    }
}

/// The fields of a [page](Request::page).
struct Page<'a> {
    asset: &'a Asset<'a>,
    etag: Option<ETag<'a>>,
    is_gzip: bool,
}

impl ToFields for Page<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        if let Some(etag) = &self.etag {
            out.parts("etag", &[b"\"", etag.opaque(), b"\""])?;
        }
        if self.is_gzip {
            out.field("content-encoding", b"gzip")?;
        }
        if self.asset.gzip.is_some() {
            out.field("vary", b"accept-encoding")?;
        }
        match self.asset.cache_control {
            "" => Ok(()),
            control => out.field("cache-control", control.as_bytes()),
        }
    }
}

impl Request<'_> {
    /// Answers with all of `asset`, compressed or not, or that the client has it already. A server may leave ranges
    /// aside (RFC 9110, 14.2); without them this is a small part of [`asset`](Self::asset) in flash and memory, and for an
    /// asset that is not compressed nothing is linked that negotiates.
    ///
    /// # Errors
    /// What ended the session.
    #[inline]
    pub fn page(mut self, asset: &Asset<'_>) -> impl Future<Output = Result<Sent>> {
        // Chosen before the future begins: there the compiler still knows which asset it is.
        let head = self.head();
        let (fields, seen) = (head.fields(), head.fields().get("if-none-match"));
        let gzip = asset
            .gzip
            .filter(|_| choose_encoding(fields.get("accept-encoding"), &[Encoding::Gzip]).is_some());
        let (body, etag) = gzip.map_or((asset.body, asset.etag), |gzip| (gzip.body, gzip.etag));
        let etag = if etag.is_empty() { None } else { ETag::strong(etag) };
        let is_seen = etag.zip(seen).is_some_and(|(etag, seen)| matches(seen, &etag));
        let is_get = matches!(head.method(), Method::Get | Method::Head);
        let page = Page { asset, etag, is_gzip: gzip.is_some() };
        async move {
            if !is_get {
                return Err(super::status::error(405));
            }
            let reply = self.reply().uncoded().fields(page);
            match is_seen {
                true => reply.status(304).empty().await,
                false => reply.bytes(asset.content_type, body).await,
            }
        }
    }

    /// Answers with `asset`, whole or the ranges asked for, compressed or not, or that the client has it already:
    /// see [`represent`](Self::represent).
    ///
    /// # Errors
    /// What ended the session.
    pub async fn asset(mut self, asset: &Asset<'_>) -> Result<Sent> {
        let (representation, body) = asset.representation(&self.head());
        self.represent(&representation, body).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Asset<'_> = Asset {
        gzip: Some(Gzipped { body: b"gz", etag: "1z" }),
        ..Asset::new("text/html", b"<html></html>", "1")
    };

    #[test]
    fn the_coding_is_negotiated_and_has_a_tag_of_its_own() {
        let (plain, body) = PAGE.of(None);
        assert_eq!((plain.encoding, plain.varies, body), (None, true, PAGE.body));
        let (coded, body) = PAGE.of(Some(b"br, gzip;q=0.5"));
        assert_eq!((coded.encoding, coded.varies, body), (Some(Encoding::Gzip), true, &b"gz"[..]));
        assert_eq!((plain.complete_length, coded.complete_length), (13, 2));
        assert_ne!(plain.validators.etag, coded.validators.etag);
        let (refused, _) = PAGE.of(Some(b"gzip;q=0"));
        assert_eq!(refused, plain);
    }

    #[test]
    fn without_a_compressed_body_or_a_tag_none_is_told() {
        let (only, _) = Asset::new("text/html", b"x", "").of(Some(b"gzip"));
        assert_eq!((only.encoding, only.varies, only.validators.etag), (None, false, None));
        let (bad, _) = Asset::new("text/html", b"x", "a\"b").of(None);
        assert_eq!(bad.validators.etag, None);
    }

    #[test]
    fn boundaries_differ() {
        let all = [&b""[..], b"a", b"b", b"ab", b"<p>1</p>\n", b"<p>2</p>\n"].map(boundary);
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
    }
}
