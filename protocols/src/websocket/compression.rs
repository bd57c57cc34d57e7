//! permessage-deflate (RFC 7692) as a host brings it: what it must do. The memory it takes is its own, lent to a
//! connection while it has a message in hand.

use netloom_core::Result;

/// Compression for one connection.
pub trait Compression {
    /// Chooses from the client's offers, which come in its order: what was agreed on, if anything.
    fn agree(&mut self, offers: &mut dyn Iterator<Item = Parameters>) -> Option<Parameters>;

    /// What takes compression off, and what compresses.
    fn halves(&mut self) -> (&mut dyn Inflate, &mut dyn Deflate);
}

/// Takes compression off.
pub trait Inflate {
    /// Inflates a whole message, of at most `max` bytes then.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`](netloom_core::Code) (1009) if it becomes longer, and
    /// [`Code::ProtocolViolation`](netloom_core::Code) (1007) if it is not what deflate makes.
    fn inflate(&mut self, message: &[u8], max: usize) -> Result<()>;

    /// What `inflate` has made.
    fn inflated(&self) -> &[u8];

    /// It was read.
    fn release(&mut self);
}

/// Compresses.
pub trait Deflate {
    /// Compresses a whole message, if that pays: whether it did.
    ///
    /// # Errors
    /// What the compressor fails with.
    fn deflate(&mut self, message: &[u8]) -> Result<bool>;

    /// What `deflate` has made.
    fn deflated(&self) -> &[u8];

    /// It was sent. What was not by the next call of `deflate` never will be, and the peer knows nothing of it.
    fn release(&mut self);
}

/// Compression that is never there.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

impl Deflate for Never {
    fn deflate(&mut self, _: &[u8]) -> Result<bool> {
        match *self {}
    }
    fn deflated(&self) -> &[u8] {
        match *self {}
    }
    fn release(&mut self) {
        match *self {}
    }
}

/// The parameters of permessage-deflate (RFC 7692, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The server forgets each message once it is compressed.
    pub server_no_context_takeover: bool,
    /// The client does.
    pub client_no_context_takeover: bool,
    /// The server looks back no more than 2 to the power of this, in bytes: 8 to 15. `None` if it was not said.
    pub server_max_window_bits: Option<u8>,
    /// The client does. `Some(15)` in an offer without a value: it can be told less.
    pub client_max_window_bits: Option<u8>,
}
