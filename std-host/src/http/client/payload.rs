//! What a request brings along.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

type Failure = Box<dyn StdError + Send + Sync>;
pub(super) type Stream = Pin<Box<dyn Body<Data = Bytes, Error = Failure> + Send>>;

/// The body of a request: bytes, or a stream of them.
///
/// Bytes can be sent again, when a redirect or a dead connection asks for it; a stream cannot.
pub enum RequestBody {
    /// Bytes.
    Bytes(Bytes),
    /// A stream, sent as it comes. In chunks, unless it knows its length.
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = Box<dyn StdError + Send + Sync>> + Send>>),
}

impl RequestBody {
    /// A body that comes piece by piece.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::Stream(Box::pin(Erased(Box::pin(body))))
    }

    /// The length, if it is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream(body) => body.size_hint().exact(),
        }
    }

    /// The same once more, if that can be had.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(_) => None,
        }
    }

    pub(super) fn nothing() -> Stream {
        Box::pin(Nothing)
    }
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "RequestBody({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("RequestBody(a stream)"),
        }
    }
}

macro_rules! from_bytes {
    ($($bytes:ty),*) => {$(
        impl From<$bytes> for RequestBody {
            fn from(bytes: $bytes) -> Self {
                Self::Bytes(Bytes::from(bytes))
            }
        }
    )*};
}
from_bytes!(Bytes, Vec<u8>, String, &'static str, &'static [u8], Box<[u8]>);

impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Self::default()
    }
}

/// Any body, with its types erased.
struct Erased<B>(Pin<Box<B>>);

impl<B: Body> Body for Erased<B>
where
    B::Error: Into<Failure>,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.0.as_mut().poll_frame(cx).map(|frame| {
            frame.map(|frame| match frame {
                Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
                Err(error) => Err(error.into()),
            })
        })
    }
    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Poll::Ready(None)
    }
}
