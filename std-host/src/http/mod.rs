//! HTTP/1.1 on desktops: what boards have too, and middleware.
//!
//! | to | use |
//! |---|---|
//! | route | [`routes!`](crate::routes), started by [`Builder::http`](crate::Builder::http) |
//! | share state | what a route's closure names of its surroundings: an `Arc` |
//! | read the path, the query, a cookie | [`Head::param`], [`Head::query`], [`Head::cookie`] |
//! | read a body | [`Request::json`], [`Request::form`], [`Request::multipart`], [`Request::body`], [`Request::receive`] |
//! | answer | [`Reply`] |
//! | fail | [`status::error`]; [`internal`] for errors that are not the client's business |
//! | serve files | [`Files`], or [`Asset`] for what is part of the program |
//! | ask a server | [`Client`] |
//!
//! A layer is a function that takes an application and returns one, and so are all of these. Layers share a few
//! habits: an error of the inner application is answered by the layer if it has fields to add to it; what they return
//! is `Clone` and, if the inner application is, `Send`, so each worker of a server has its own.
//!
//! ```
//! use netloom::http::{self, Cors, Request};
//! use netloom::{Duration, routes};
//!
//! let app = routes! {
//!     GET "/" => async |request: Request<'_>| request.reply().text("Hello, World!").await,
//! };
//! let app = http::timeout(Duration::from_secs(10), app);
//! let app = http::cors(Cors::origins(["https://example.com"]), app);
//! let app = http::request_id(http::TrustId::No, http::log(app));
//! # let _ = app;
//! ```
//!
//! | layer | what |
//! |---|---|
//! | [`log`] | one event per answer, through `tracing` |
//! | [`request_id`] | a name for each request, in answer and log |
//! | [`cors`] | which other origins' pages may read answers |
//! | [`timeout`] | a handler that takes too long is given up |
//! | [`concurrency`], [`body_limit`] | most handlers at a time; longest body |
//! | [`with_fields`] | the same fields in every answer |
//! | [`boxed`] | a connection that waits for a request does not keep room for answering it |
#![cfg_attr(
    feature = "tower",
    doc = "| [`tower`] | a `tower::Service` as an application: an axum `Router` |"
)]

mod beneath;
mod boxed;
mod client;
#[cfg(feature = "compression")]
mod compress;
mod cors;
mod date;
#[cfg(feature = "compression")]
mod decode;
#[cfg(feature = "compression")]
mod decompress;
mod fields;
mod files;
mod internal;
mod limits;
mod log;
mod request_id;
mod server;
mod timeout;
#[cfg(feature = "tower")]
mod tower;

pub use netloom_protocols::http1::*;

pub use boxed::boxed;
pub use client::{Body, Client, ClientBuilder, ClientError, RequestBody, RequestBuilder, get};
pub(crate) use client::{Origin, host_of, redirect};
#[cfg(feature = "compression")]
pub use compress::{Compression, compress};
pub use cors::{Cors, cors};
pub use date::now as date;
#[cfg(feature = "compression")]
pub use decompress::{Decoded, decoded, decompress};
pub use fields::with_fields;
pub use files::Files;
pub use internal::internal;
pub use limits::{body_limit, concurrency};
pub use log::log;
pub use request_id::{RequestId, TrustId, request_id};
pub use timeout::timeout;
#[cfg(feature = "tower")]
pub use tower::{RequestName, ServiceBody, tower};
