//! How to connect, and where redirects lead.

use ::http::header::{HOST, LOCATION, ORIGIN, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use netloom_core::{Code, Duration, Error, Fault, Timeouts, Transport};
#[cfg(feature = "compression")]
use netloom_protocols::http1::With;
use netloom_protocols::http1::{FieldWriter, Fields, Http1Client, Response, ToFields};
#[cfg(feature = "compression")]
use netloom_protocols::websocket::agreed_on;
use netloom_protocols::websocket::{Connect, Socket, agreed, key_of};
use tokio::time::timeout;

use super::connection::{Connected, Connection, masked};
#[cfg(feature = "compression")]
use super::deflate::{DeflateOptions, Deflation};
use super::error::{ConnectError, way_out};
use super::url::{Url, as_http};
use crate::client::ClientSession;
use crate::http::{Origin, host_of, redirect};
#[cfg(feature = "tls")]
use crate::tls::TlsClient;

/// Connects to `url`, `ws://HOST[:PORT][/PATH][?QUERY]`, with the default options of a [`Connector`].
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use netloom::websocket::{self, Message};
///
/// let mut socket = websocket::connect("ws://example.com/chat").await?;
/// socket.send("hello").await?;
/// while let Some((message, mut peer)) = socket.receive().await? {
///     if let Message::Text(text) = message {
///         println!("{text}");
///         peer.send("thanks").await?;
///     }
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// As for [`Connector::connect`].
pub async fn connect(url: &str) -> Result<Connected, ConnectError> {
    Connector::new().connect(url).await
}

/// How to connect. Every option has a default. (Boards, and hosts of their own, use [`Connect`].)
///
/// | option | default |
/// |---|---|
/// | [`timeout`](Self::timeout) | 10 s |
/// | [`handshake_timeout`](Self::handshake_timeout) | 10 s |
/// | [`message_max`](Self::message_max) | 1 MiB |
/// | [`timeouts`](Self::timeouts) | [`Timeouts::DEFAULT`] |
/// | [`protocols`](Self::protocols) | none |
/// | [`origin`](Self::origin), [`header`](Self::header) | User-Agent |
/// | [`redirects`](Self::redirects) | none are followed |
/// | `deflate`, with the feature `compression` | not offered |
/// | `tls`, with the feature `tls`, for `wss` | the system's authorities are trusted |
///
/// ```no_run
/// # async fn example() -> Result<(), netloom::websocket::ConnectError> {
/// let connector = netloom::websocket::Connector::new()
///     .header("authorization", "Bearer s3cret")
///     .protocols(&["graphql-transport-ws"])
///     .message_max(64 * 1024);
/// let socket = connector.connect("ws://example.com/graphql?v=2").await?;
/// assert_eq!(socket.protocol(), Some("graphql-transport-ws"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    connector: crate::Connector,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    handshake_timeout: Duration,
    protocols: &'static [&'static str],
    fields: HeaderMap,
    redirects: u32,
    #[cfg(feature = "compression")]
    deflate: Option<DeflateOptions>,
    /// What is wrong with a field: told by `connect`.
    mistake: Option<String>,
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl Connector {
    /// The defaults.
    pub fn new() -> Self {
        let name = HeaderValue::from_static(concat!("netloom/", env!("CARGO_PKG_VERSION")));
        Self {
            connector: crate::Connector::new(),
            #[cfg(feature = "tls")]
            tls: None,
            handshake_timeout: Duration::from_secs(10),
            protocols: &[],
            fields: HeaderMap::from_iter([(USER_AGENT, name)]),
            redirects: 0,
            #[cfg(feature = "compression")]
            deflate: None,
            mistake: None,
        }
    }

    /// For resolving the name and connecting, together; then [`Code::ConnectionTimeout`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.connector = self.connector.timeout(timeout);
        self
    }

    /// From the connection to the server's whole answer; then [`Code::MessageTimeout`].
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Whom `wss` trusts, and as whom it comes: the system's authorities and nobody, unless said.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Most bytes of one received message; a longer one ends the connection with 1009.
    #[must_use]
    pub fn message_max(mut self, bytes: usize) -> Self {
        self.connector = self.connector.message_max(bytes);
        self
    }

    /// How long the connection waits for what; in silence it pings.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.connector = self.connector.timeouts(timeouts);
        self
    }

    /// The subprotocols that the application speaks, the best first. [`Socket::protocol`] is what the server chose.
    #[must_use]
    pub fn protocols(mut self, protocols: &'static [&'static str]) -> Self {
        self.protocols = protocols;
        self
    }

    /// Whose page this is, as browsers say it, `https://example.com`: some servers want to know.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        match HeaderValue::from_str(origin) {
            Ok(origin) => _ = self.fields.insert(ORIGIN, origin),
            Err(error) => self.mistake = Some(format!("the origin is none: {error}")),
        }
        self
    }

    /// A header field of the request; several of one name are several fields. Those of the handshake are the client's. A
    /// mistake is told by [`connect`](Self::connect).
    #[must_use]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<::http::Error>>,
        V: TryInto<HeaderValue, Error: Into<::http::Error>>,
    {
        let field = name.try_into().map_err(Into::into).and_then(|name: HeaderName| {
            let value: HeaderValue = value.try_into().map_err(Into::into)?;
            Ok((name, value))
        });
        match field {
            Ok((name, _)) if is_the_handshakes(name.as_str()) => {
                self.mistake = Some(format!("the field {name} is the handshake's own"));
            }
            Ok((name, value)) if name == USER_AGENT => _ = self.fields.insert(name, value),
            Ok((name, value)) => _ = self.fields.append(name, value),
            Err(error) => self.mistake = Some(format!("a header field is none: {error}")),
        }
        self
    }

    /// Most redirects that are followed. By default none is: RFC 6455 leaves it open, and browsers do not. Credentials
    /// (Authorization, Cookie) go along to the same origin only.
    #[must_use]
    pub fn redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// Offers compression to the server (permessage-deflate, RFC 7692); `None` for not to.
    #[cfg(feature = "compression")]
    #[must_use]
    pub fn deflate(mut self, options: impl Into<Option<DeflateOptions>>) -> Self {
        self.deflate = options.into();
        self
    }

    /// Connects to `url`, `ws://HOST[:PORT][/PATH][?QUERY]`. Proxies are not asked for.
    ///
    /// # Errors
    /// [`Code::InvalidAddress`] for a URL that is none, [`Code::Unsupported`] for `wss` without the feature `tls`, [`Code::InvalidText`] for a
    /// field that is none; as for [`crate::Connector::connect`]; [`Code::MessageTimeout`]; [`Code::HandshakeFailed`] if
    /// the server refuses ([`ConnectError::status`]); what ended the session.
    pub async fn connect(&self, url: &str) -> Result<Connected, ConnectError> {
        let mut url = self.checked(url)?;
        let mut fields = self.fields.clone();
        let mut left = self.redirects;
        loop {
            let session = self.reach(&url).await?;
            let refusal = match self.shake_hands(session, &url, &fields).await? {
                Ok(socket) => return Ok(socket),
                Err(refusal) => refusal,
            };
            let Some(next) = refusal.leads_to(&url) else { return Err(refusal.error(&url)) };
            if left == 0 {
                return Err(refusal.redirected(&url, self.redirects));
            }
            left -= 1;
            let next = next?;
            redirect::strip(&mut fields, &url.0, &next);
            url = Url(next.url);
        }
    }

    /// Connects over a `transport` that is connected already, to a proxy or through TLS; also for `wss`. Redirects are
    /// refused.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn open<T: Transport>(&self, transport: T, url: &str) -> Result<Connected<T>, ConnectError> {
        let url = self.checked(url)?;
        let session = self.connector.open_on(transport, Http1Client::new());
        match self.shake_hands(session, &url, &self.fields).await? {
            Ok(socket) => Ok(socket),
            Err(refusal) => Err(refusal.error(&url)),
        }
    }

    /// The URL, unless a mistake was made.
    fn checked(&self, url: &str) -> Result<Url, ConnectError> {
        let url = Url::parse(url)?;
        match &self.mistake {
            None => Ok(url),
            Some(mistake) => Err(ConnectError::misuse(Code::InvalidText, url, mistake.clone())),
        }
    }

    /// A connection to the host of `url`. Here others than plain TCP join in.
    async fn reach(&self, url: &Url) -> Result<ClientSession<Http1Client>, ConnectError> {
        let Some(origin) = Origin::of(&url.0) else {
            return Err(ConnectError::misuse(
                Code::InvalidAddress,
                url,
                "that is not of the form ws://HOST/PATH",
            ));
        };
        let connector = if origin.is_secure { self.secured(url)? } else { self.connector.clone() };
        let connecting = connector.connect((origin.host.as_str(), origin.port), Http1Client::new());
        connecting.await.map_err(|error| {
            let unconnected = format!("no connection to {}", error.address());
            ConnectError::new(error.error(), url, unconnected).with_source(error.into_source())
        })
    }

    #[cfg(not(feature = "tls"))]
    fn secured(&self, url: &Url) -> Result<crate::Connector, ConnectError> {
        let text = "wss needs the feature tls; Connector::open takes a transport of your own";
        Err(ConnectError::misuse(Code::Unsupported, url, text))
    }

    #[cfg(feature = "tls")]
    fn secured(&self, url: &Url) -> Result<crate::Connector, ConnectError> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => TlsClient::system().map_err(|error| {
                ConnectError::new(Code::UnknownAuthority, url, "nobody is trusted").with_source(error)
            })?,
        };
        Ok(self.connector.clone().tls(tls.speaking(b"http/1.1")))
    }

    /// Queues the request.
    fn ask<T: Transport>(
        &self,
        session: &mut ClientSession<Http1Client, T>,
        url: &Url,
        fields: &HeaderMap,
        key: &[u8; 24],
    ) -> netloom_core::Result<()> {
        let host = match fields.get(HOST) {
            // What is no text is no host, and the codec says so.
            Some(host) => host.to_str().unwrap_or(" "),
            None => host_of(&url.0),
        };
        let fields = Headers(fields);
        #[cfg(feature = "compression")]
        let fields = With(
            fields,
            self.deflate.map(|options| ("sec-websocket-extensions", Deflation::new(options).offer())),
        );
        Connect::new(host, url.target()).protocols(self.protocols).fields(&fields).ask(session, key)
    }

    /// The handshake; what a server that did not agree has said is for the caller to judge.
    async fn shake_hands<T: Transport>(
        &self,
        mut session: ClientSession<Http1Client, T>,
        url: &Url,
        fields: &HeaderMap,
    ) -> Result<Result<Connected<T>, Refusal>, ConnectError> {
        let key = key_of(rand::random());
        let failed = |error| ConnectError::new(error, url, in_words(error));
        self.ask(&mut session, url, fields, &key).map_err(failed)?;
        let Ok(answer) = timeout(self.handshake_timeout, Response::wait(&mut session)).await else {
            let late = format!("no answer to the handshake within {:?}", self.handshake_timeout);
            return Err(ConnectError::new(Code::MessageTimeout, url, late));
        };
        let mut response = answer.map_err(failed)?;
        let status = response.status();
        let agreed = self.agreed(status, response.fields(), &key);
        Ok(match agreed {
            #[cfg(feature = "compression")]
            Ok((protocol, deflation)) => {
                Ok(Socket::new(Connection::new(session.switch(masked())).deflated(deflation), protocol))
            }
            #[cfg(not(feature = "compression"))]
            Ok(protocol) => Ok(Socket::new(Connection::new(session.switch(masked())), protocol)),
            Err(error) => {
                let location = response.fields().get(LOCATION.as_str()).map(<[u8]>::to_vec);
                Err(Refusal { error, status, location })
            }
        })
    }
}

#[cfg(feature = "compression")]
impl Connector {
    /// The subprotocol and the compression that the server agrees on.
    fn agreed(
        &self,
        status: u16,
        fields: Fields<'_>,
        key: &[u8; 24],
    ) -> netloom_core::Result<(Option<&'static str>, Option<Deflation>)> {
        let Some(options) = self.deflate else {
            return Ok((agreed(status, fields, key, self.protocols)?, None));
        };
        let mut deflation = Deflation::new(options);
        let (protocol, parameters) = agreed_on(status, fields, key, self.protocols, &deflation.offer())?;
        Ok((
            protocol,
            parameters.map(|parameters| {
                deflation.connected(&parameters);
                deflation
            }),
        ))
    }
}

#[cfg(not(feature = "compression"))]
impl Connector {
    /// The subprotocol that the server agrees on.
    fn agreed(
        &self,
        status: u16,
        fields: Fields<'_>,
        key: &[u8; 24],
    ) -> netloom_core::Result<Option<&'static str>> {
        agreed(status, fields, key, self.protocols)
    }
}

/// What ended the session before there was an answer.
fn in_words(error: Error) -> &'static str {
    match error.code() {
        Code::InvalidText => "a field, the host or the path cannot be written",
        Code::ProtocolViolation => "what answers there does not speak HTTP/1.1",
        Code::ReceiveFailed | Code::ConnectionClosed => {
            "the connection ended before the handshake was answered"
        }
        code => code.text(),
    }
}

/// A server that did not agree.
struct Refusal {
    error: Error,
    status: u16,
    location: Option<Vec<u8>>,
}

impl Refusal {
    /// Where it redirects to, if it does.
    fn leads_to(&self, url: &Url) -> Option<Result<redirect::Next, ConnectError>> {
        let location = self.location.as_deref().map(String::from_utf8_lossy)?;
        let (_, location) = as_http(location.trim());
        let status = StatusCode::from_u16(self.status).ok()?;
        let next = redirect::next(status, &Method::GET, &url.0, Some(location.as_bytes()))?;
        Some(next.map_err(|refused| {
            let (code, text) = match refused {
                redirect::Refused::Malformed => (Code::ProtocolViolation, "it redirects to what is no URL"),
                redirect::Refused::Downgrade => (Code::Rejected, "it redirects from wss to ws"),
            };
            ConnectError::new(Error::new(code).blame(Fault::Peer), url, text)
        }))
    }

    fn error(self, url: &Url) -> ConnectError {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let text = format!(
            "the server answered {}{}{}{}",
            self.status,
            if reason.is_some() { " " } else { "" },
            reason.unwrap_or_default(),
            way_out(self.status)
        );
        ConnectError::new(self.error, url, text)
    }

    /// A redirect that is one too many.
    fn redirected(self, url: &Url, followed: u32) -> ConnectError {
        let location = self.location.as_deref().unwrap_or_default().escape_ascii();
        let text = match followed {
            0 => format!("the server redirects to {location}; Connector::redirects follows"),
            _ => format!("the server redirects to {location}, and {followed} redirects were followed"),
        };
        ConnectError::new(self.error, url, text)
    }
}

/// Whether the handshake or HTTP says it, not the caller.
fn is_the_handshakes(name: &str) -> bool {
    name.starts_with("sec-websocket-")
        || matches!(
            name,
            "connection" | "upgrade" | "content-length" | "transfer-encoding" | "expect" | "te" | "trailer"
        )
}

/// Header fields, but for Host.
struct Headers<'a>(&'a HeaderMap);

impl ToFields for Headers<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> netloom_core::Result<()> {
        let mut fields = self.0.iter().filter(|(name, _)| *name != HOST);
        fields.try_for_each(|(name, value)| out.field(name.as_str(), value.as_bytes()))
    }
}
