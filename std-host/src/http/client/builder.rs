//! A request, put together.

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT};
use ::http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use netloom_core::{Code, Duration};
use serde::Serialize;

use super::body::Body;
use super::error::{ClientError, Source};
use super::payload::RequestBody;
use super::{Client, url_of};

/// A request that is being put together. A mistake in it is told by [`send`](Self::send).
#[derive(Debug)]
#[must_use = "a request is sent by `send`"]
pub struct RequestBuilder {
    client: Client,
    request: Request<RequestBody>,
    timeout: Option<Duration>,
    error: Option<ClientError>,
}

impl RequestBuilder {
    pub(super) fn new(client: Client, method: Method, url: &str) -> Self {
        let mut request = Request::new(RequestBody::default());
        *request.method_mut() = method;
        let error = url_of(url).map(|url| *request.uri_mut() = url).err();
        Self { client, request, timeout: None, error }
    }

    /// A header field; several of one name are several fields. Framing (Content-Length, Transfer-Encoding) is the
    /// client's.
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
            Ok((name, value)) => _ = self.request.headers_mut().append(name, value),
            Err(error) => self.fail(Code::InvalidText, "a header field is none", error),
        }
        self
    }

    /// `Authorization: Bearer`. Goes along with redirects to the same origin only.
    pub fn bearer(mut self, token: &str) -> Self {
        match HeaderValue::try_from(format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.request.headers_mut().insert(AUTHORIZATION, value);
            }
            Err(error) => self.fail(Code::InvalidText, "the token is none", error),
        }
        self
    }

    /// Query parameters, behind those that the URL has: pairs, or a struct.
    pub fn query(mut self, parameters: &(impl Serialize + ?Sized)) -> Self {
        match serde_urlencoded::to_string(parameters) {
            Ok(more) if !more.is_empty() => match with_query(self.request.uri(), &more) {
                Ok(url) => *self.request.uri_mut() = url,
                Err(error) => self.fail(Code::InvalidAddress, "the query is too long", error),
            },
            Ok(_) => {}
            Err(error) => self.fail(Code::InvalidText, "the query cannot be written", error),
        }
        self
    }

    /// A JSON body, with its content type.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.content("application/json", serde_json::to_vec(value))
    }

    /// The body of a form, as a browser sends it, with its content type.
    pub fn form(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.content("application/x-www-form-urlencoded", serde_urlencoded::to_string(value))
    }

    /// A body.
    pub fn body(mut self, body: impl Into<RequestBody>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// A body that comes piece by piece. It is sent once: a redirect that wants it again is an error.
    pub fn stream<B>(self, body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.body(RequestBody::stream(body))
    }

    /// The body waits until the server says that it wants it, at most a second (RFC 9110, 10.1.1).
    pub fn expect_continue(mut self) -> Self {
        self.request.headers_mut().insert(EXPECT, HeaderValue::from_static("100-continue"));
        self
    }

    /// How long this exchange may take in all, to the last byte of the response.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it, and waits for the head of the response, behind redirects if there are any.
    ///
    /// # Errors
    /// As for [`Client::request`], and mistakes made in building.
    pub async fn send(self) -> Result<Response<Body>, ClientError> {
        match self.error {
            Some(error) => Err(error),
            None => self.client.exchange(self.request, self.timeout).await,
        }
    }

    fn content<T, E>(mut self, content_type: &'static str, body: Result<T, E>) -> Self
    where
        RequestBody: From<T>,
        E: Into<Source>,
    {
        match body {
            Ok(body) => {
                let headers = self.request.headers_mut();
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
                self.body(body)
            }
            Err(error) => {
                self.fail(Code::InvalidText, "the body cannot be written", error);
                self
            }
        }
    }

    fn fail(&mut self, code: Code, text: &'static str, source: impl Into<Source>) {
        let error = || ClientError::misuse(code, self.request.uri(), text).with_source(source);
        if self.error.is_none() {
            self.error = Some(error());
        }
    }
}

fn with_query(url: &Uri, more: &str) -> Result<Uri, ::http::Error> {
    let query = match url.query() {
        None | Some("") => more.to_owned(),
        Some(query) => format!("{query}&{more}"),
    };
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}", url.path()).try_into()?);
    Ok(Uri::from_parts(parts)?)
}
