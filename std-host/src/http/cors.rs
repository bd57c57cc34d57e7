//! Which other origins' pages may read answers: CORS (Fetch Standard, 3.3).
//!
//! A browser asks before a request that a form could not have sent (a *preflight*), and looks at each answer whether
//! the page may read it. This layer answers preflights by itself, and marks all other answers, also those that errors
//! become: a page may know what went wrong.

use std::fmt;
use std::sync::Arc;

use netloom_core::{Duration, Result};

use super::{FieldWriter, Head, Method, Request, Sent, ToFields};

/// Who may read what. Nothing is allowed that was not said, but for what every page may send: GET, HEAD and POST.
#[derive(Clone)]
#[must_use = "it is to be given to `cors`"]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: String,
    headers: Headers,
    expose: String,
    max_age: Option<Duration>,
}

#[derive(Clone)]
enum Origins {
    Any,
    List(Arc<[String]>),
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

#[derive(Clone)]
enum Headers {
    Any,
    List(String),
}

impl Cors {
    /// Every origin.
    pub fn any() -> Self {
        Self::new(Origins::Any)
    }

    /// These origins, as browsers write them: `https://example.com`, with the port if it is not the usual one, and
    /// nothing behind it.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self::new(Origins::List(origins.into_iter().map(Into::into).collect()))
    }

    /// The origins for which `allowed` is true. Compare whole origins or whole labels of them: `https://example.com` is
    /// also the beginning of `https://example.com.evil.net`.
    pub fn matching(allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::new(Origins::Matching(Arc::new(allowed)))
    }

    fn new(origins: Origins) -> Self {
        Self {
            origins,
            credentials: false,
            methods: String::new(),
            headers: Headers::List(String::new()),
            expose: String::new(),
            max_age: None,
        }
    }

    /// Methods that pages may use beside GET, HEAD and POST.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = list(methods.into_iter().map(Method::as_str));
        self
    }

    /// Fields that pages may set in requests, beside those that every page may.
    pub fn headers<'s>(mut self, names: impl IntoIterator<Item = &'s str>) -> Self {
        self.headers = Headers::List(list(names));
        self
    }

    /// Pages may set whatever fields they ask for.
    pub fn any_headers(mut self) -> Self {
        self.headers = Headers::Any;
        self
    }

    /// Fields of answers that pages may read, beside those that every page may.
    pub fn expose<'s>(mut self, names: impl IntoIterator<Item = &'s str>) -> Self {
        self.expose = list(names);
        self
    }

    /// Requests may carry cookies and certificates. With [`any`](Self::any) that trusts every page of the web.
    pub fn credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    /// For how long browsers may remember the answer to a preflight: whole seconds. They say 5 s if nothing is said.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether an answer is the same whoever asks.
    fn is_for_all(&self) -> bool {
        matches!(self.origins, Origins::Any) && !self.credentials
    }

    fn grant(&self, origin: Option<&str>) -> Grant<'_> {
        let origin = match (origin, &self.origins) {
            // A cache may give the answer to another page, so it is marked whoever asks.
            _ if self.is_for_all() => Some(Granted::Known("*")),
            (Some(origin), Origins::Any) => Some(Granted::Copied(origin.into())),
            (Some(origin), Origins::List(list)) => {
                list.iter().find(|known| *known == origin).map(|known| Granted::Known(known))
            }
            (Some(origin), Origins::Matching(allowed)) if allowed(origin) => {
                Some(Granted::Copied(origin.into()))
            }
            (None, _) | (_, Origins::Matching(_)) => None,
        };
        Grant { cors: self, origin }
    }
}

fn list<'s>(names: impl IntoIterator<Item = &'s str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins: &dyn fmt::Debug = match &self.origins {
            Origins::Any => &"any",
            Origins::List(list) => list,
            Origins::Matching(_) => &"matching",
        };
        f.debug_struct("Cors").field("origins", origins).finish_non_exhaustive()
    }
}

/// Lets pages of other origins use `app`, as far as `rules` say.
pub fn cors(
    rules: Cors,
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    async move |mut request: Request<'_>| {
        let head = request.head();
        let grant = rules.grant(head.field("origin"));
        if is_preflight(head) {
            return preflight(request, &grant).await;
        }
        let fields = request.and(&grant);
        match app(request.with(&fields)).await {
            Err(error) => request.with(&fields).refuse(error).await,
            sent => sent,
        }
    }
}

/// Fetch Standard, 3.3.2: an OPTIONS with these two fields.
fn is_preflight(head: Head<'_>) -> bool {
    head.method() == Method::Options
        && head.fields().get("origin").is_some()
        && head.fields().get("access-control-request-method").is_some()
}

async fn preflight(mut request: Request<'_>, grant: &Grant<'_>) -> Result<Sent> {
    let asked = match &grant.cors.headers {
        Headers::Any => request.head().field("access-control-request-headers").map(str::to_owned),
        Headers::List(_) => None,
    };
    request.reply().status(204).fields(Preflight { grant, asked }).empty().await
}

/// What an answer says of who may read it.
struct Grant<'a> {
    cors: &'a Cors,
    origin: Option<Granted<'a>>,
}

enum Granted<'a> {
    Known(&'a str),
    Copied(Box<str>),
}

impl Grant<'_> {
    fn put_origin(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        let origin = match &self.origin {
            Some(Granted::Known(origin)) => *origin,
            Some(Granted::Copied(origin)) => origin,
            None => return Ok(()),
        };
        out.field("access-control-allow-origin", origin.as_bytes())?;
        match self.cors.credentials {
            true => out.field("access-control-allow-credentials", b"true"),
            false => Ok(()),
        }
    }
}

impl ToFields for Grant<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        self.put_origin(out)?;
        if self.origin.is_some() && !self.cors.expose.is_empty() {
            out.field("access-control-expose-headers", self.cors.expose.as_bytes())?;
        }
        // Also where nothing was granted: the next one who asks may be.
        match self.cors.is_for_all() {
            true => Ok(()),
            false => out.field("vary", b"origin"),
        }
    }
}

struct Preflight<'a> {
    grant: &'a Grant<'a>,
    asked: Option<String>,
}

impl ToFields for Preflight<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        let cors = self.grant.cors;
        self.grant.put_origin(out)?;
        if self.grant.origin.is_some() {
            let headers = match &cors.headers {
                Headers::Any => self.asked.as_deref().unwrap_or_default(),
                Headers::List(names) => names,
            };
            for (name, value) in
                [("access-control-allow-methods", &*cors.methods), ("access-control-allow-headers", headers)]
            {
                if !value.is_empty() {
                    out.field(name, value.as_bytes())?;
                }
            }
            if let Some(age) = cors.max_age {
                out.display("access-control-max-age", &age.as_secs())?;
            }
        }
        let varies: &[u8] = match (cors.is_for_all(), &cors.headers) {
            (true, Headers::List(_)) => return Ok(()),
            (true, Headers::Any) => b"access-control-request-headers",
            (false, Headers::List(_)) => b"origin",
            (false, Headers::Any) => b"origin, access-control-request-headers",
        };
        out.field("vary", varies)
    }
}
