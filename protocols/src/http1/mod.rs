//! HTTP/1.1 (RFC 9110, RFC 9112): two codecs, and what handlers are made of. No allocation, no `std`.
//!
//! ```text
//! rx: | head, held, lent to the handler | body, piece by piece or gathered whole | next request |
//! tx: | answers before | head and body, in one piece |
//! ```
//!
//! A handler is an async function over a [`Request`], and names no platform:
//!
//! ```
//! use netloom_core::Result;
//! use netloom_protocols::http1::{Escaped, Request, Sent};
//!
//! async fn greet(request: Request<'_>) -> Result<Sent> {
//!     let (head, reply) = request.split();
//!     let name = Escaped::new(head.param_text("name").unwrap_or("nobody"));
//!     reply.format(format_args!("Hello, {name}!")).await
//! }
//! ```
//!
//! `reply`, `split`, `body` and their like take the request by value and give back one [`Reply`], which is consumed by
//! sending it, and only that makes a [`Sent`]: an answer that is forgotten or given twice does not compile.
//!
//! | file | what |
//! |---|---|
//! | `state` | every state of a connection, and what leads where |
//! | `head`, `scan`, `framing`, `fields`, `target`, `method`, `octets` | heads: parsed strictly, viewed lazily |
//! | `body` | bodies by length, in chunks, until the end |
//! | `server`, `client` | the codecs |
//! | `to_fields`, `write` | fields and bodies on their way out |
//! | `request`, `reply`, `events`, `serve`, `router` | what an application is written with |
//! | `extract` | bodies, queries and cookies as values |
//! | `escaped`, `form`, `cookie`, `set_cookie`, `multipart` | what requests carry |
//! | `etag`, `conditional`, `range`, `byteranges`, `negotiate`, `mime` | what content is chosen by |
//! | `asset`, `representation` | content that is there: files, assets in flash |
//! | `status`, `problem` | what is told about it |

mod ask;
mod asset;
mod body;
pub mod byteranges;
mod client;
pub mod conditional;
pub mod cookie;
pub mod escaped;
pub mod etag;
mod events;
mod extract;
mod fields;
pub mod form;
mod framing;
mod head;
mod method;
pub mod mime;
pub mod multipart;
pub mod negotiate;
mod octets;
pub mod parameters;
pub mod part;
pub mod problem;
pub mod range;
mod reply;
mod representation;
mod request;
mod router;
mod scan;
mod serve;
mod server;
pub mod set_cookie;
mod span;
mod state;
pub mod status;
mod target;
pub(crate) mod text;
mod to_fields;
mod write;

pub use ask::{Asking, Response, ask, ask_streaming};
pub use asset::{Asset, Gzipped};
pub use client::{
    Event as ClientEvent, Found as ClientFound, Http1Client, Message as ClientMessage, RequestOut,
};
pub use cookie::{SameSite, SetCookie};
pub use escaped::Escaped;
pub use events::{Events, ServerEvent};
pub use extract::{PartEvent, Parts};
pub use fields::{AllValues, FieldIter, Fields};
pub use framing::Framing;
pub use head::{HeadLimits, RequestHead, ResponseHead, Version, request, response};
pub use method::Method;
pub use multipart::PartLimits;
pub use part::PartHead;
pub use problem::Problem;
pub use reply::{Coder, Coding, Exchange, Reply, Sent, Stream};
pub use representation::{Representation, Selection, Source};
pub(crate) use request::Handshaking;
pub use request::{BODY_GRACE, BODY_RATE_MIN, Head, Request, Watch, Whole};
pub use router::Allow;
#[doc(hidden)]
pub use router::{is_below, is_literal, matches, mount};
pub use scan::Scan;
pub use serve::{answer, answer_at_hand, finish, finish_already, next, next_already, serve};
pub use server::{Event, Found, Http1, Message, ResponseHead as Answer};
pub use span::Span;
pub use to_fields::{FieldLines, FieldWriter, ToFields, With};
pub use write::{Content, Fill};
