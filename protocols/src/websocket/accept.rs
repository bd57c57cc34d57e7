//! The server's side of the handshake (RFC 6455, 4.2).

use netloom_core::Result;

use super::carrier::Upgraded;
use super::handshake::{accept_for, elements, is_key};
use super::socket::{Socket, WebSocket};
use crate::http1::{FieldWriter, Head, Method, Request, Sent, ToFields, Version, status};

/// Makes a WebSocket of a request, with the defaults of [`Accept`].
///
/// ```
/// use netloom_core::Result;
/// use netloom_protocols::http1::{Request, Sent};
/// use netloom_protocols::websocket;
///
/// async fn echo(request: Request<'_>) -> Result<Sent> {
///     let (mut socket, sent) = websocket::accept(request).await?;
///     while let Some((message, mut peer)) = socket.receive().await? {
///         peer.send(message).await?;
///     }
///     Ok(sent)
/// }
/// ```
///
/// # Errors
/// As for [`Accept::accept`].
pub async fn accept(request: Request<'_>) -> Result<(WebSocket<'_>, Sent)> {
    Accept::new().accept(request).await
}

/// What a server takes of a handshake.
#[derive(Clone, Copy)]
pub struct Accept<'o> {
    origins: &'o [&'o str],
    any_origin: bool,
    protocols: &'static [&'static str],
    fields: &'o dyn ToFields,
    uncompressed: bool,
}

impl<'o> Accept<'o> {
    /// Pages of the same host, and whatever is not a browser; no subprotocol.
    pub const fn new() -> Self {
        Self { origins: &[], any_origin: false, protocols: &[], fields: &(), uncompressed: false }
    }

    /// Pages of these origins too, as browsers write them: `https://example.com`.
    #[must_use]
    pub const fn origins(mut self, origins: &'o [&'o str]) -> Self {
        self.origins = origins;
        self
    }

    /// Pages of any origin: whoever has a browser visit a page may then speak to this server as that browser's user.
    #[must_use]
    pub const fn any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    /// The subprotocols that the application speaks, the best first. If the client offers none of them the connection
    /// goes on without.
    #[must_use]
    pub const fn protocols(mut self, protocols: &'static [&'static str]) -> Self {
        self.protocols = protocols;
        self
    }

    /// Further fields of the answer.
    #[must_use]
    pub const fn fields(mut self, fields: &'o dyn ToFields) -> Self {
        self.fields = fields;
        self
    }

    /// Does not agree on compression, whatever the host brings.
    #[must_use]
    pub const fn uncompressed(mut self) -> Self {
        self.uncompressed = true;
        self
    }

    /// Makes a WebSocket of a request: answers 101, and what follows are messages. The handler returns the
    /// [`Sent`] at its end; then the connection closes.
    ///
    /// # Errors
    /// 426 to what asks for no WebSocket or another version of it, 400 to what asks wrongly, 403 to pages of other
    /// origins; what ended the session.
    pub async fn accept(self, mut request: Request<'_>) -> Result<(WebSocket<'_>, Sent)> {
        let head = request.head();
        let key = self.check(&head)?;
        let protocol = self.choose(&head);
        #[cfg(feature = "deflate")]
        let (compression, agreed) = super::extension::agree(&mut request, self.uncompressed);
        #[cfg(not(feature = "deflate"))]
        let agreed = None::<()>;
        let answer = Answer { key, protocol, deflate: agreed, fields: self.fields };
        let (link, sent) = request.become_frames(&answer, agreed.is_some()).await?;
        #[cfg(feature = "deflate")]
        let compression = compression.filter(|_| agreed.is_some());
        let upgraded = Upgraded {
            link,
            #[cfg(feature = "deflate")]
            compression,
        };
        Ok((Socket::new(upgraded, protocol), sent))
    }

    /// What the key is answered with, if everything is in order.
    fn check(&self, head: &Head<'_>) -> Result<[u8; 28]> {
        let fields = head.fields();
        let asks = elements(fields.get_all("upgrade")).any(|name| name.eq_ignore_ascii_case(b"websocket"));
        if !asks || head.method() != Method::Get {
            return Err(status::error(426));
        }
        let mut keys = fields.get_all("sec-websocket-key");
        let (Some(key), None, Version::Http11) = (keys.next(), keys.next(), head.version()) else {
            return Err(status::error(400));
        };
        if fields.get("sec-websocket-version").is_some_and(|version| version != b"13") {
            return Err(status::error(426));
        }
        if fields.get_all("sec-websocket-version").count() != 1 || !is_key(key) {
            return Err(status::error(400));
        }
        match self.admits(fields.get("origin"), head.host()) {
            true => Ok(accept_for(key)),
            false => Err(status::error(403)),
        }
    }

    /// RFC 6455, 10.2: which pages may speak to us.
    fn admits(&self, origin: Option<&[u8]>, host: &str) -> bool {
        let Some(origin) = origin.filter(|_| !self.any_origin) else { return true };
        let listed = self.origins.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin));
        let of_host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
        listed || of_host.is_some_and(|of_host| of_host.eq_ignore_ascii_case(host.as_bytes()))
    }

    fn choose(&self, head: &Head<'_>) -> Option<&'static str> {
        let offers = |name: &str| {
            elements(head.fields().get_all("sec-websocket-protocol")).any(|offer| offer == name.as_bytes())
        };
        self.protocols.iter().copied().find(|name| offers(name))
    }
}

impl Default for Accept<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The fields of the answer.
struct Answer<'a, D> {
    key: [u8; 28],
    protocol: Option<&'static str>,
    deflate: Option<D>,
    fields: &'a dyn ToFields,
}

impl<D: Extension> ToFields for Answer<'_, D> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        out.field("upgrade", b"websocket")?;
        out.field("sec-websocket-accept", &self.key)?;
        if let Some(protocol) = self.protocol {
            out.field("sec-websocket-protocol", protocol.as_bytes())?;
        }
        if let Some(deflate) = &self.deflate {
            deflate.put(out)?;
        }
        self.fields.put(out)
    }
}

/// What was agreed on besides.
trait Extension {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()>;
}

impl Extension for () {
    fn put(&self, _: &mut FieldWriter<'_, '_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(feature = "deflate")]
impl Extension for super::Parameters {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        out.display("sec-websocket-extensions", self)
    }
}
