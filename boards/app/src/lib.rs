//! The demo: the application that `netloom serve` runs on a desktop and every board in flash.
//!
//! It names no host. Whatever platform it is compiled for, this is all of it.
#![no_std]
#![forbid(unsafe_code)]

use netloom_core::{Codec, Platform, Result, Session};

/// The port the framed echo listens on unless told otherwise.
pub const TCP_PORT: u16 = 7000;

/// Sends every message back.
///
/// # Errors
/// What ended the session, if it did not end in order.
pub async fn echo<P: Platform, C>(session: &mut Session<P, C>) -> Result<()>
where
    C: for<'a> Codec<Event<'a> = <C as Codec>::Message<'a>>,
{
    while let Some((message, peer)) = session.receive().await? {
        peer.send(message).await?;
    }
    Ok(())
}
