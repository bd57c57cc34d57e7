//! An event that stays readable while later ones are received behind it.

use core::future::poll_fn;

use super::Sender;
use crate::buffer::Behind;
use crate::codec::Codec;
use crate::error::Result;
use crate::platform::Platform;

/// What follows an event that is still held; see
/// [`Session::receive_held`](super::Session::receive_held).
pub struct Held<'a, P: Platform, C> {
    behind: Behind<'a>,
    sender: &'a mut Sender<P, C>,
}

impl<'a, P: Platform, C: Codec> Held<'a, P, C> {
    pub(super) fn new(behind: Behind<'a>, sender: &'a mut Sender<P, C>) -> Self {
        Self { behind, sender }
    }

    /// The next event behind the held one, with the means to answer it. Cancel-safe; dropping a `Held`
    /// loses nothing: what was not received is received by the session.
    ///
    /// # Errors
    /// As for [`Session::receive`](super::Session::receive), which says so again.
    pub async fn receive(&mut self) -> Result<Option<(C::Event<'_>, &mut Sender<P, C>)>> {
        let (behind, sender) = (&mut self.behind, &mut *self.sender);
        let Some((n, found)) = poll_fn(|cx| sender.poll_event(behind, cx)).await? else { return Ok(None) };
        crate::buffer::Inbox::consume(behind, n);
        match C::view(found, behind.given_up(n)) {
            Ok(event) => Ok(Some((event, self.sender))),
            Err(error) => {
                self.sender.fail(error);
                Err(error)
            }
        }
    }

    /// The sending half.
    pub fn sender(&mut self) -> &mut Sender<P, C> {
        self.sender
    }

    /// The sending half alone, for as long as the event is held.
    pub fn into_sender(self) -> &'a mut Sender<P, C> {
        self.sender
    }
}
