//! A room: what one says reaches all, and who comes late is told of the last messages.
//!
//! Each message is encoded once, into the [hub](netloom_core::hub); nobody waits for another. Who does not keep up is
//! closed with 1013.

use core::future::poll_fn;

use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use netloom_core::hub::{Hub, Shared};
use netloom_core::{Code, Error, Link, Platform, Result, Session};
use netloom_protocols::Framing;
use netloom_protocols::http1::{Request, Sent};
use netloom_protocols::websocket::{self, Message};

/// Most bytes of one message.
pub const MESSAGE_MAX: usize = 200;

/// How many messages a late joiner is told of, as far as the hub keeps them.
pub const HISTORY: u32 = 20;

/// After so many messages of one member the others have their turn: who says much at once would otherwise overtake, by the
/// whole of the hub's ring, those who keep up.
const TOGETHER: u8 = 16;

/// One member of the room, until it leaves.
///
/// # Errors
/// What the handshake is refused with, and what ended the session.
pub async fn chat<L: Shared>(hub: &Hub<L>, request: Request<'_>) -> Result<Sent> {
    let (mut socket, sent) = websocket::accept(request).await?;
    let Some(mut member) = hub.join(HISTORY) else {
        socket.peer().close(websocket::close::TRY_AGAIN_LATER, "the room is full").await?;
        return Ok(sent);
    };
    let mut together = 0;
    loop {
        // The member first: who is woken to be told does not look for input before.
        match select(member.ready(), socket.receive()).await {
            // Who has missed some is closed by `forward` too.
            Either::First(_) => socket.peer().forward(&mut member).await?,
            Either::Second(said) => match said? {
                Some((Message::Text(text), _)) if text.len() <= MESSAGE_MAX => {
                    websocket::publish(hub, text)?;
                    spoken(&mut together).await;
                }
                Some((Message::Text(_), mut peer)) => peer.close(1009, "too long").await?,
                Some((Message::Binary(_), mut peer)) => peer.close(1003, "only text is said here").await?,
                None => return Ok(sent),
            },
        }
    }
}

/// The same for who speaks framed messages instead of WebSocket: each is text. Who does not keep up is cut off.
///
/// # Errors
/// What ended the session, if it did not end in order: [`Code::InvalidText`], [`Code::MessageTooLarge`], [`Code::WriteStalled`],
/// [`Code::TooManySessions`] if the room is full.
pub async fn framed<P: Platform, L: Shared>(hub: &Hub<L>, session: &mut Session<P, Framing>) -> Result<()> {
    let mut member = hub.join(HISTORY).ok_or(Code::TooManySessions)?;
    let mut together = 0;
    loop {
        match select(member.ready(), session.receive()).await {
            Either::First(_) => {
                let told = poll_fn(|cx| {
                    member.poll_batches(0, |batch| {
                        Link::outlet(session).poll_send(&websocket::published(batch.bytes), &mut None, cx)
                    })
                });
                told.await.map_err(Error::from).and_then(|told| told)?;
            }
            Either::Second(said) => match said? {
                Some((text, _)) if text.len() > MESSAGE_MAX => return Err(Code::MessageTooLarge.into()),
                Some((text, _)) => {
                    let text = core::str::from_utf8(text).map_err(|_| Code::InvalidText)?;
                    websocket::publish(hub, text)?;
                    spoken(&mut together).await;
                }
                None => return Ok(()),
            },
        }
    }
}

/// Lets the others go on behind every [`TOGETHER`]th message.
async fn spoken(together: &mut u8) {
    *together = (*together + 1) % TOGETHER;
    if *together == 0 {
        yield_now().await;
    }
}
