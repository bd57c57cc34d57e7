//! Every state of a connection's two directions, and what leads where. Nothing else changes them.
//!
//! A server reads a request and writes a response; a client does the same the other way round. Both keep one
//! [`Exchange`], which is *here* for what we write and *there* for what we read.
//!
//! | reading | what may come | next |
//! |---|---|---|
//! | `Head` | a head | `Body`, or `Over` if there is none |
//! | `Body` | a piece, the end of the body | `Body`; `Over` at its end |
//! | `Over` | nothing that belongs to this exchange | `Head`, when both directions are over and the connection persists |
//!
//! | writing (server) | what may be said | next |
//! |---|---|---|
//! | `Idle` | nothing: there is no request | `Owed` when its head was read |
//! | `Owed` | interim responses; a response, whole or its head; an upgrade | `Over`, `Streaming`, `Upgraded` |
//! | `Streaming` | pieces, and an end when the framing allows it | `Over` |
//! | `Over` | nothing | `Idle`, with the next exchange |
//! | `Upgraded` | nothing: the bytes are another protocol's | |
//!
//! | writing (client) | what may be said | next |
//! |---|---|---|
//! | `Idle` | a request, whole or its head; nothing may come | `Over`, `Streaming` |
//! | `Streaming` | pieces, and an end | `Over` |
//! | `Over` | nothing | `Idle`, when the response is over too and the connection persists |
//! | `Upgraded` | nothing: 101, or 2xx to CONNECT, has made the bytes another protocol's | |

use netloom_core::{Code, Error, Result};

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Head,
    Body,
    Over,
}

/// What is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    Idle,
    Owed,
    /// A body, framed so.
    Streaming(Outgoing),
    Over,
    Upgraded,
}

/// How a streamed body is framed on its way out (RFC 9112, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// So many bytes are still owed.
    Length(Owed),
    Chunked,
    /// The end of the connection is the end of the body.
    UntilClose,
    /// Whatever is said is not sent: an answer to HEAD.
    Nothing,
}

/// A number of bytes. It need not be aligned: connections keep it while they are idle, and what lies around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed([u8; 8]);

impl Owed {
    pub(super) const fn new(bytes: u64) -> Self {
        Self(bytes.to_ne_bytes())
    }

    const fn bytes(self) -> u64 {
        u64::from_ne_bytes(self.0)
    }
}

/// One direction's state beside the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    /// Whether another exchange may follow on the connection (RFC 9112, 9.3).
    pub(super) persistent: bool,
}

impl Exchange {
    pub(super) const START: Self = Self { reading: Reading::Head, writing: Writing::Idle, persistent: true };

    /// A request's head was read: an answer is owed.
    pub(super) fn asked(&mut self, has_body: bool, persistent: bool) {
        self.read_head(has_body);
        self.writing = Writing::Owed;
        self.persistent &= persistent;
    }

    /// A request, or its head, was written: a response is owed to us.
    pub(super) fn ask(&mut self, streaming: Option<Outgoing>, persistent: bool) {
        self.persistent &= persistent;
        self.wrote(streaming);
    }

    /// Whether a request may be written now.
    pub(super) fn may_ask(&self) -> Result<()> {
        if self.writing == Writing::Idle { Ok(()) } else { Err(misuse()) }
    }

    /// A response's final head was read.
    pub(super) fn answered(&mut self, has_body: bool, persistent: bool) {
        self.persistent &= persistent;
        self.read_head(has_body);
        self.next();
    }

    /// A final head was read.
    pub(super) fn read_head(&mut self, has_body: bool) {
        self.reading = if has_body { Reading::Body } else { Reading::Over };
    }

    /// The body that was being read is complete.
    pub(super) fn read_all(&mut self) {
        self.reading = Reading::Over;
        self.next();
    }

    /// A whole message was written, or the head of one.
    pub(super) fn wrote(&mut self, streaming: Option<Outgoing>) {
        self.writing = streaming.map_or(Writing::Over, Writing::Streaming);
        self.next();
    }

    /// Some bytes of a streamed body were written.
    pub(super) fn wrote_piece(&mut self, n: usize) {
        if let Writing::Streaming(Outgoing::Length(left)) = &mut self.writing {
            *left = Owed::new(left.bytes().saturating_sub(n as u64));
        }
    }

    /// Another protocol from here on.
    pub(super) fn upgraded(&mut self) {
        self.writing = Writing::Upgraded;
    }

    /// Nothing is under way, and a request may begin.
    pub(super) fn is_idle(&self) -> bool {
        self.writing == Writing::Idle && self.persistent
    }

    /// Whether a piece of `n` bytes may be written now.
    pub(super) fn may_write(&self, n: usize) -> Result<Outgoing> {
        match self.writing {
            Writing::Streaming(Outgoing::Length(left)) if (n as u64) > left.bytes() => Err(misuse()),
            Writing::Streaming(outgoing) => Ok(outgoing),
            _ => Err(misuse()),
        }
    }

    /// Whether a streamed body may end now.
    pub(super) fn may_end(&self) -> Result<Outgoing> {
        match self.may_write(0)? {
            Outgoing::Length(left) if left.bytes() > 0 => Err(misuse()),
            outgoing => Ok(outgoing),
        }
    }

    /// Both directions are over: the next exchange may begin.
    fn next(&mut self) {
        if self.reading == Reading::Over && self.writing == Writing::Over && self.persistent {
            (self.reading, self.writing) = (Reading::Head, Writing::Idle);
        }
    }
}

/// The application said what cannot be said now.
pub(super) fn misuse() -> Error {
    Code::InvalidSession.into()
}
