//! The client: requests out, responses in, over connections that are kept.
//!
//! | file | its idea |
//! |---|---|
//! | `builder` | a request, put together |
//! | `payload`, `body` | what goes out, what comes in |
//! | `exchange` | one request and its response, both ways at once |
//! | `pool` | connections that wait for their next exchange |
//! | `redirect` | where a redirect leads, and with what |
//! | `cookies` | what servers want to be told again |
//! | `decode` | content codings |
//! | `error` | why there is no response |

mod body;
mod builder;
mod cookies;
mod error;
mod exchange;
mod payload;
mod pool;
pub(crate) mod redirect;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use ::http::header::{ACCEPT, COOKIE, EXPECT, LOCATION, SET_COOKIE, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use netloom_core::{Code, Duration, Error, Fault, Timeouts};
use netloom_protocols::http1::{Framing, Http1Client, ResponseHead, Version};
use tokio::time::{Sleep, sleep, timeout, timeout_at};

pub use body::Body;
pub use builder::RequestBuilder;
pub use error::ClientError;
pub use payload::RequestBody;

use cookies::Jar;
pub(crate) use exchange::host_of;
use exchange::{Ask, Exchange, Silence};
pub(crate) use pool::Origin;
use pool::{Connection, Limits, Pool};

use crate::client::Connector;
#[cfg(feature = "tls")]
use crate::tls::TlsClient;

/// Bytes of a redirect's body that are received and thrown away, so that its connection can be used again.
const DRAIN_MAX: usize = 64 * 1024;
/// How long they may take: a new connection is not dearer.
const DRAIN_WAIT: Duration = Duration::from_millis(250);

/// Fetches what is at `url`: one request with a client of its own. To ask more than once, keep a [`Client`].
///
/// ```no_run
/// # async fn example() -> Result<(), netloom::http::ClientError> {
/// let page = netloom::http::get("http://example.com/").await?.into_body().text().await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// As for [`Client::request`].
pub async fn get(url: &str) -> Result<Response<Body>, ClientError> {
    Client::new().get(url).send().await
}

/// A client of HTTP/1.1, for any tokio runtime. Cheap to clone: clones share connections and cookies.
///
/// ```no_run
/// use netloom::http::Client;
///
/// # async fn example() -> Result<(), netloom::http::ClientError> {
/// let client = Client::new();
/// let response = client.post("http://example.com/things").query(&[("dry", "yes")]).json(&[1, 2]).send().await?;
/// assert!(response.status().is_success());
/// let numbers: Vec<u32> = response.into_body().json().await?;
/// # Ok(()) }
/// ```
///
/// A body is a stream; so is a request's, and both may go on at once:
///
/// ```no_run
/// # async fn example(client: netloom::http::Client) -> Result<(), netloom::http::ClientError> {
/// let mut response = client.get("http://example.com/large").send().await?;
/// while let Some(piece) = response.body_mut().chunk().await? {
///     println!("{} bytes", piece.len());
/// }
/// # Ok(()) }
/// ```
///
/// A connection that turns out dead before anything of a response came is replaced by a new one and the request sent
/// again: only if it was a kept connection, the method is idempotent (RFC 9110, 9.2.2) and the body no stream.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Arc<Pool>,
    options: ClientBuilder,
    jar: Option<Jar>,
}

/// How a [`Client`] behaves. Every option has a default.
///
/// | option | default |
/// |---|---|
/// | [`connect_timeout`](Self::connect_timeout) | 10 s |
/// | `tls`, with the feature `tls`, for https | the system's authorities are trusted |
/// | [`head_timeout`](Self::head_timeout) | 30 s |
/// | [`body_timeout`](Self::body_timeout) | 30 s |
/// | [`timeout`](Self::timeout) | none |
/// | [`idle_per_host`](Self::idle_per_host) | 8 |
/// | [`idle_max`](Self::idle_max) | 100 |
/// | [`idle_timeout`](Self::idle_timeout) | 60 s |
/// | [`redirects`](Self::redirects) | 10 |
/// | [`body_max`](Self::body_max) | 64 MiB |
/// | [`decoded_max`](Self::decoded_max) | none |
/// | [`decode`](Self::decode) | yes |
/// | [`cookies`](Self::cookies) | no |
/// | [`user_agent`](Self::user_agent) | `netloom/VERSION` |
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    connect_timeout: Duration,
    silence: Silence,
    timeout: Option<Duration>,
    limits: Limits,
    redirects: u32,
    body_max: usize,
    decoded_max: u64,
    decode: bool,
    cookies: bool,
    user_agent: Option<HeaderValue>,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: None,
            connect_timeout: Duration::from_secs(10),
            silence: Silence { head: Duration::from_secs(30), body: Duration::from_secs(30) },
            timeout: None,
            limits: Limits { per_host: 8, total: 100, idle: Duration::from_secs(60) },
            redirects: 10,
            body_max: 64 * 1024 * 1024,
            decoded_max: u64::MAX,
            decode: true,
            cookies: false,
            user_agent: Some(HeaderValue::from_static(concat!("netloom/", env!("CARGO_PKG_VERSION")))),
        }
    }
}

impl ClientBuilder {
    /// For resolving the name and connecting.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whom https trusts, and as whom it comes: the system's authorities and nobody, unless said.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// From the end of a request to the end of its response's head.
    #[must_use]
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.silence.head = timeout;
        self
    }

    /// From one piece of a response's body to the next; and how long a server may take nothing of a request.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.silence.body = timeout;
        self
    }

    /// For the whole exchange, redirects and all, to the last byte of the response.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Most connections to one host that wait for their next exchange; 0 keeps none.
    #[must_use]
    pub fn idle_per_host(mut self, connections: usize) -> Self {
        self.limits.per_host = connections;
        self
    }

    /// Most connections that wait, in all.
    #[must_use]
    pub fn idle_max(mut self, connections: usize) -> Self {
        self.limits.total = connections;
        self
    }

    /// How long a connection waits.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle = timeout;
        self
    }

    /// Most redirects that are followed for one request; with 0 a redirect is a response like another.
    #[must_use]
    pub fn redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// Most bytes that [`Body::bytes`] and its like gather.
    #[must_use]
    pub fn body_max(mut self, bytes: usize) -> Self {
        self.body_max = bytes;
        self
    }

    /// Most bytes that one response's body may become when it is decoded.
    #[must_use]
    pub fn decoded_max(mut self, bytes: u64) -> Self {
        self.decoded_max = bytes;
        self
    }

    /// Whether compressed responses are asked for and decoded. A request with its own Accept-Encoding or Range gets its
    /// response as it is. Without the feature `compression` it is always so.
    #[must_use]
    pub fn decode(mut self, yes: bool) -> Self {
        self.decode = yes;
        self
    }

    /// Whether cookies are kept, in memory, and sent (RFC 6265). A request with its own Cookie field is sent as it is.
    #[must_use]
    pub fn cookies(mut self, yes: bool) -> Self {
        self.cookies = yes;
        self
    }

    /// The User-Agent; empty, or not legal in a field, for none.
    #[must_use]
    pub fn user_agent(mut self, name: &str) -> Self {
        self.user_agent = HeaderValue::from_str(name).ok().filter(|name| !name.is_empty());
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        let pool = Pool::new(self.limits);
        let jar = self.cookies.then(Jar::default);
        Client { shared: Arc::new(Shared { pool, options: self, jar }) }
    }
}

impl Client {
    /// A client with the defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A client with options.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Begins a GET.
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.method(Method::GET, url)
    }

    /// Begins a HEAD.
    pub fn head(&self, url: &str) -> RequestBuilder {
        self.method(Method::HEAD, url)
    }

    /// Begins a POST.
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.method(Method::POST, url)
    }

    /// Begins a PUT.
    pub fn put(&self, url: &str) -> RequestBuilder {
        self.method(Method::PUT, url)
    }

    /// Begins a PATCH.
    pub fn patch(&self, url: &str) -> RequestBuilder {
        self.method(Method::PATCH, url)
    }

    /// Begins a DELETE.
    pub fn delete(&self, url: &str) -> RequestBuilder {
        self.method(Method::DELETE, url)
    }

    /// Begins a request with any method.
    pub fn method(&self, method: Method, url: &str) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url)
    }

    /// Sends a request with an absolute URL, and waits for the head of its response, behind redirects if there are any.
    /// [`Body::url`] says where the response comes from.
    ///
    /// # Errors
    /// [`Code::InvalidAddress`] for a URL that is none, [`Code::Unsupported`] for https without the feature `tls`; as for
    /// [`Connector::connect`]; [`Code::MessageTimeout`]; what ended the session. A status is no error.
    pub async fn request<B: Into<RequestBody>>(
        &self,
        request: Request<B>,
    ) -> Result<Response<Body>, ClientError> {
        self.exchange(request.map(Into::into), None).await
    }

    /// How many connections wait for their next exchange.
    pub fn idle(&self) -> usize {
        self.shared.pool.len()
    }

    async fn exchange(
        &self,
        request: Request<RequestBody>,
        within: Option<Duration>,
    ) -> Result<Response<Body>, ClientError> {
        let Some(within) = within.or(self.shared.options.timeout) else {
            return self.shared.follow(request).await;
        };
        let timer: Pin<Box<Sleep>> = Box::pin(sleep(within));
        let url = request.uri().clone();
        match timeout_at(timer.deadline(), self.shared.follow(request)).await {
            Ok(response) => {
                let mut response = response?;
                response.body_mut().within(Some(timer));
                Ok(response)
            }
            Err(_) => Err(body::late(&url)),
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("idle", &self.idle()).field("options", &self.shared.options).finish()
    }
}

impl Shared {
    /// Sends a request, and what redirects make of it, until there is a response that is none.
    async fn follow(&self, request: Request<RequestBody>) -> Result<Response<Body>, ClientError> {
        let (mut parts, mut body) = request.into_parts();
        let mut left = self.options.redirects;
        loop {
            let again = body.again();
            let response = self.one(&parts.method, &parts.uri, &parts.headers, body).await?;
            if self.options.redirects == 0 {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
            let Some(next) = redirect::next(response.status(), &parts.method, &parts.uri, location) else {
                return Ok(response);
            };
            let refused = |code: Code, text| {
                Err(ClientError::new(Error::new(code).blame(Fault::Peer), &parts.uri, text))
            };
            let next = match next {
                Err(redirect::Refused::Malformed) => {
                    return refused(Code::ProtocolViolation, "it redirects to what is no URL");
                }
                Err(redirect::Refused::Downgrade) => {
                    return refused(Code::Rejected, "it redirects from https to http");
                }
                Ok(_) if left == 0 => return refused(Code::Rejected, "it redirects too often"),
                Ok(next) => next,
            };
            left -= 1;
            body = match again {
                Some(body) if next.keeps_content => body,
                None if next.keeps_content => {
                    let text = "it redirects, and a body that was streamed cannot be sent again";
                    return Err(ClientError::misuse(Code::Unsupported, &parts.uri, text));
                }
                _ => RequestBody::default(),
            };
            let _ = timeout(DRAIN_WAIT, response.into_body().drain(DRAIN_MAX)).await;
            redirect::strip(&mut parts.headers, &parts.uri, &next);
            (parts.method, parts.uri) = (next.method, next.url);
        }
    }

    /// One request, one response.
    async fn one(
        &self,
        method: &Method,
        url: &Uri,
        headers: &HeaderMap,
        body: RequestBody,
    ) -> Result<Response<Body>, ClientError> {
        let origin = Origin::of(url).ok_or_else(|| no_url(url))?;
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let text = "a URL does not carry credentials: use a field";
            return Err(ClientError::misuse(Code::InvalidAddress, url, text));
        }
        let mut headers = headers.clone();
        let decodes = self.complete(&mut headers, &origin, url);
        let expect_continue = headers.get(EXPECT).is_some_and(|expect| expect == "100-continue");
        let ask = Ask { method: method.as_str(), url, headers: &headers, expect_continue };
        let (mut exchange, head) = self.answered(&origin, &ask, method.is_idempotent(), body).await?;
        exchange.head_came(head.status);
        let response = response_of(head, exchange.unit());
        let left = match head.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        if let Some(jar) = &self.jar {
            let set = response.headers().get_all(SET_COOKIE).into_iter().map(HeaderValue::as_bytes);
            jar.store(&origin, url.path(), set, now());
        }
        let home = (Arc::clone(&self.pool), origin);
        let body = Body::new(exchange, left, self.options.body_max, home);
        Ok(self.decoded(response.map(|()| body), decodes))
    }

    /// The fields that the caller has left to the client. Whether the response may be decoded.
    fn complete(&self, headers: &mut HeaderMap, origin: &Origin, url: &Uri) -> bool {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(name) = &self.options.user_agent {
            headers.entry(USER_AGENT).or_insert_with(|| name.clone());
        }
        if let Some(jar) = &self.jar
            && !headers.contains_key(COOKIE)
            && let Some(cookies) = jar.cookies(origin, url.path(), now())
        {
            headers.insert(COOKIE, cookies);
        }
        self.accept_encoding(headers)
    }

    #[cfg(feature = "compression")]
    fn accept_encoding(&self, headers: &mut HeaderMap) -> bool {
        use ::http::header::{ACCEPT_ENCODING, RANGE};
        let may =
            self.options.decode && !headers.contains_key(ACCEPT_ENCODING) && !headers.contains_key(RANGE);
        if may {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(super::decode::ACCEPTED));
        }
        may
    }

    #[cfg(not(feature = "compression"))]
    fn accept_encoding(&self, _: &mut HeaderMap) -> bool {
        false
    }

    #[cfg(feature = "compression")]
    fn decoded(&self, mut response: Response<Body>, may: bool) -> Response<Body> {
        use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
        let mut codings = response.headers().get_all(CONTENT_ENCODING).into_iter();
        let (coding, other) = (codings.next(), codings.next());
        let coding =
            coding.and_then(|coding| super::negotiate::Encoding::parse(coding.as_bytes().trim_ascii()));
        if let (true, Some(coding), None) = (may, coding, other)
            && !response.body_mut().is_over()
        {
            response.headers_mut().remove(CONTENT_ENCODING);
            response.headers_mut().remove(CONTENT_LENGTH);
            response.body_mut().decoded_by(super::decode::Decoder::new(coding, self.options.decoded_max));
        }
        response
    }

    #[cfg(not(feature = "compression"))]
    fn decoded(&self, response: Response<Body>, _: bool) -> Response<Body> {
        response
    }

    /// Sends the request on a connection that is kept or new, and receives the head of the response.
    async fn answered(
        &self,
        origin: &Origin,
        ask: &Ask<'_>,
        is_idempotent: bool,
        mut body: RequestBody,
    ) -> Result<(Exchange, ResponseHead), ClientError> {
        if let Some(connection) = self.pool.take(origin) {
            let again = if is_idempotent { body.again() } else { None };
            let mut exchange = Exchange::begin(connection, ask, body, self.options.silence)?;
            match (exchange.head().await, again) {
                (Ok(head), _) => return Ok((exchange, head)),
                // It was dead all along: a new one tells more than another old one.
                (Err(error), Some(again)) if exchange.is_unheard() && is_dead(&error) => body = again,
                (Err(error), _) => return Err(error),
            }
        }
        let connection = self.connect(origin, ask.url).await?;
        let mut exchange = Exchange::begin(connection, ask, body, self.options.silence)?;
        let head = exchange.head().await?;
        Ok((exchange, head))
    }

    #[cfg(not(feature = "tls"))]
    fn secured(&self, _: Connector, url: &Uri) -> Result<Connector, ClientError> {
        Err(ClientError::misuse(Code::Unsupported, url, "https needs the feature tls"))
    }

    #[cfg(feature = "tls")]
    fn secured(&self, connector: Connector, url: &Uri) -> Result<Connector, ClientError> {
        let tls = match &self.options.tls {
            Some(tls) => tls.clone(),
            None => TlsClient::system().map_err(|error| {
                ClientError::new(Code::UnknownAuthority, url, "nobody is trusted").with_source(error)
            })?,
        };
        Ok(connector.tls(tls.speaking(b"http/1.1")))
    }

    /// A new connection.
    async fn connect(&self, origin: &Origin, url: &Uri) -> Result<Connection, ClientError> {
        // The exchange has time-outs of its own, and between two the pool has.
        let timeouts = Timeouts {
            idle: Duration::MAX,
            keep_alive: Duration::MAX,
            message: Duration::MAX,
            write_stall: self.options.silence.body,
            ..Timeouts::DEFAULT
        };
        let mut connector = Connector::new().timeout(self.options.connect_timeout).timeouts(timeouts);
        if origin.is_secure {
            connector = self.secured(connector, url)?;
        }
        match connector.connect((origin.host.as_str(), origin.port), Http1Client::new()).await {
            Ok(session) => Ok(Box::new(session)),
            Err(error) => {
                let unconnected = format!("no connection to {}", error.address());
                Err(ClientError::new(error.error(), url, unconnected).with_source(error.into_source()))
            }
        }
    }
}

/// Whether the connection was at fault, and not the time or the server's words.
fn is_dead(error: &ClientError) -> bool {
    matches!(error.error().code(), Code::ConnectionClosed | Code::ReceiveFailed | Code::SendFailed)
}

fn response_of(head: ResponseHead, unit: &[u8]) -> Response<()> {
    let mut response = Response::new(());
    // Three digits, 100 to 999, are a status to both.
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.version_mut() = match head.version {
        Version::Http10 => ::http::Version::HTTP_10,
        Version::Http11 => ::http::Version::HTTP_11,
    };
    let headers = response.headers_mut();
    for (name, value) in head.fields(unit) {
        // What our parser takes, this crate takes.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    response
}

fn url_of(url: &str) -> Result<Uri, ClientError> {
    let parsed: Uri = url.parse().map_err(|error: ::http::uri::InvalidUri| {
        ClientError::misuse(Code::InvalidAddress, url, "that is no URL").with_source(error)
    })?;
    match Origin::of(&parsed) {
        Some(_) => Ok(parsed),
        None => Err(no_url(&parsed)),
    }
}

fn no_url(url: &Uri) -> ClientError {
    ClientError::misuse(Code::InvalidAddress, url, "that is not of the form http://HOST/PATH")
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
