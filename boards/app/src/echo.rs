//! Sends messages back.

use netloom_core::{Codec, Platform, Result, Session};

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
