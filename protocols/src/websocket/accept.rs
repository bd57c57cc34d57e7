//! The server's side of the handshake (RFC 6455, 4.2).

use core::borrow::Borrow;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, ready};

use netloom_core::Result;

use super::carrier::Upgraded;
use super::handshake::{accept_for, elements, is_key};
use super::socket::{Socket, WebSocket};
use crate::http1::{FieldWriter, Handshaking, Head, Method, Request, Sent, ToFields, Version, status};

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
pub fn accept<'a>(request: Request<'a>) -> impl Future<Output = Result<(WebSocket<'a>, Sent)>> + use<'a> {
    handshake(request, &const { Accept::new() })
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
    pub fn accept<'a>(
        self,
        request: Request<'a>,
    ) -> impl Future<Output = Result<(WebSocket<'a>, Sent)>> + use<'a, 'o> {
        handshake(request, self)
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

/// Answers a request as `accept` says, which is a reference where that is known beforehand.
fn handshake<'a, 'o, A: Borrow<Accept<'o>>>(
    request: Request<'a>,
    accept: A,
) -> impl Future<Output = Result<(WebSocket<'a>, Sent)>> + use<'a, 'o, A> {
    // By hand: a connection keeps as much room for as long as it lasts as its handshake takes.
    let mut handshake = Some(Handshake::new(request, accept.borrow()));
    poll_fn(move |cx| {
        let under_way = handshake.as_mut().expect("it is not asked again once it is over");
        let protocol = ready!(under_way.poll(accept.borrow(), cx))?;
        match handshake.take() {
            Some(over) => Poll::Ready(Ok(over.into_socket(protocol))),
            None => Poll::Pending,
        }
    })
}

/// A request that is being answered.
struct Handshake<'a> {
    request: Handshaking<'a>,
    #[cfg(feature = "deflate")]
    compression: Option<&'a mut (dyn super::Compression + 'a)>,
    agreed: Option<Agreed>,
}

/// What was agreed on besides.
#[cfg(feature = "deflate")]
type Agreed = super::Parameters;
#[cfg(not(feature = "deflate"))]
type Agreed = ();

impl<'a> Handshake<'a> {
    #[cfg(feature = "deflate")]
    fn new(mut request: Request<'a>, accept: &Accept<'_>) -> Self {
        let (compression, agreed) = super::extension::agree(&mut request, accept.uncompressed);
        let compression = compression.filter(|_| agreed.is_some());
        Self { request: request.begin_handshake(), compression, agreed }
    }

    #[cfg(not(feature = "deflate"))]
    fn new(request: Request<'a>, _: &Accept<'_>) -> Self {
        Self { request: request.begin_handshake(), agreed: None }
    }

    /// Answers; which subprotocol was agreed on. What the answer says is found again for each poll, of which there is
    /// hardly ever a second.
    fn poll(&mut self, accept: &Accept<'_>, cx: &mut Context<'_>) -> Poll<Result<Option<&'static str>>> {
        let mut request = self.request.request();
        let head = request.head();
        let (key, protocol) = (accept.check(&head)?, accept.choose(&head));
        let answer = Answer { key, protocol, deflate: self.agreed, fields: accept.fields };
        ready!(request.poll_become_frames(&answer, self.agreed.is_some(), cx))?;
        Poll::Ready(Ok(protocol))
    }

    fn into_socket(self, protocol: Option<&'static str>) -> (WebSocket<'a>, Sent) {
        let (link, sent) = self.request.into_link();
        let upgraded = Upgraded {
            link,
            #[cfg(feature = "deflate")]
            compression: self.compression,
        };
        (Socket::new(upgraded, protocol), sent)
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

/// How that is said.
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
