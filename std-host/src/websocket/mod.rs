//! WebSocket on desktops: what boards have too, and a client that knows URLs.
//!
//! ```
//! use netloom::http::{Request, Sent};
//! use netloom::websocket::{self, Message};
//! use netloom::{Result, Server, routes};
//!
//! async fn echo(request: Request<'_>) -> Result<Sent> {
//!     let (mut socket, sent) = websocket::accept(request).await?;
//!     while let Some((message, mut peer)) = socket.receive().await? {
//!         peer.send(message).await?;
//!     }
//!     Ok(sent)
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().tcp("127.0.0.1:0").http(routes! { GET "/echo" => echo })?;
//! let url = format!("ws://{}/echo", server.addresses()[0]);
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut socket = websocket::connect(&url).await?;
//! socket.send("hello").await?;
//! let (message, _) = socket.receive().await?.expect("an answer");
//! assert_eq!(message, Message::Text("hello"));
//! socket.close(websocket::close::NORMAL, "").await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # server.shutdown(std::time::Duration::from_secs(1));
//! # Ok(()) }
//! ```
//!
//! | file | its idea |
//! |---|---|
//! | `deflate` | compression, lent while a message is in hand |
//! | `connector` | how to connect, and where redirects lead |
//! | `connection` | what a client's socket is on |
//! | `error` | why there is no connection, and what to do |
//! | `url` | where a server is |

mod connection;
mod connector;
#[cfg(feature = "compression")]
mod deflate;
mod error;
mod url;

pub use netloom_protocols::websocket::*;

pub use connection::{Connected, Connection, Masked, masked};
pub use connector::{Connector, connect};
#[cfg(feature = "compression")]
pub use deflate::{DeflateOptions, Deflation};
pub use error::ConnectError;
