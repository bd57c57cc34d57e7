//! Frames (RFC 9000, 19; RFC 9221, 4): what the payload of a packet consists of.
//!
//! A [`Frame`] that was read is well formed, and borrows from the payload. One to be written is written as it is: what
//! it may say, and when, is for who writes it (and tests want to say what may not be said). What of a frame depends on
//! a connection (which streams there are, how much may come) is not judged here.

mod ack;
mod frames;
#[cfg(test)]
mod tests;

use netloom_core::Result;

pub use self::ack::{Ack, AckRanges, EcnCounts};
pub use self::frames::Frames;

use super::connection_id::ConnectionId;
use super::cursor::{Reader, Writer};
use super::error::TransportError;
use super::stream_id::{Direction, Side, StreamId};
use super::varint;

/// The types of frames on the wire (RFC 9000, 12.4).
pub mod types {
    #![allow(missing_docs, reason = "they are named as in the RFC")]
    pub const PADDING: u64 = 0x00;
    pub const PING: u64 = 0x01;
    pub const ACK: u64 = 0x02;
    pub const ACK_ECN: u64 = 0x03;
    pub const RESET_STREAM: u64 = 0x04;
    pub const STOP_SENDING: u64 = 0x05;
    pub const CRYPTO: u64 = 0x06;
    pub const NEW_TOKEN: u64 = 0x07;
    /// To 0x0f, with [`STREAM_OFF`], [`STREAM_LEN`] and [`STREAM_FIN`].
    pub const STREAM: u64 = 0x08;
    pub const STREAM_OFF: u64 = 0x04;
    pub const STREAM_LEN: u64 = 0x02;
    pub const STREAM_FIN: u64 = 0x01;
    pub const MAX_DATA: u64 = 0x10;
    pub const MAX_STREAM_DATA: u64 = 0x11;
    pub const MAX_STREAMS_BIDI: u64 = 0x12;
    pub const MAX_STREAMS_UNI: u64 = 0x13;
    pub const DATA_BLOCKED: u64 = 0x14;
    pub const STREAM_DATA_BLOCKED: u64 = 0x15;
    pub const STREAMS_BLOCKED_BIDI: u64 = 0x16;
    pub const STREAMS_BLOCKED_UNI: u64 = 0x17;
    pub const NEW_CONNECTION_ID: u64 = 0x18;
    pub const RETIRE_CONNECTION_ID: u64 = 0x19;
    pub const PATH_CHALLENGE: u64 = 0x1a;
    pub const PATH_RESPONSE: u64 = 0x1b;
    pub const CONNECTION_CLOSE: u64 = 0x1c;
    pub const CONNECTION_CLOSE_APPLICATION: u64 = 0x1d;
    pub const HANDSHAKE_DONE: u64 = 0x1e;
    /// Or 0x31 (RFC 9221, 4).
    pub const DATAGRAM: u64 = 0x30;
    pub const DATAGRAM_LEN: u64 = 0x01;
}

/// The types of packets that carry frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// The first of a handshake (RFC 9000, 17.2.2).
    Initial,
    /// What a client says before the server has answered (RFC 9000, 17.2.3).
    ZeroRtt,
    /// The rest of a handshake (RFC 9000, 17.2.4).
    Handshake,
    /// All the others, with a short header (RFC 9000, 17.3.1).
    OneRtt,
}

/// How long data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// A length stands in front of it.
    Delimited,
    /// It reaches to the packet's end: the frame is the last.
    ToEnd,
}

/// Data of a stream (RFC 9000, 19.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream<'a> {
    /// Which stream.
    pub stream_id: StreamId,
    /// Where on it `data` begins. (0 is not written.)
    pub offset: u64,
    /// The bytes.
    pub data: &'a [u8],
    /// Whether the stream ends with them.
    pub fin: bool,
    /// How their length is said.
    pub extent: Extent,
}

/// A frame.
///
/// ```
/// use netloom_protocols::quic::{Extent, Frame, Frames, Stream, StreamId, Writer};
///
/// let hello =
///     Stream { stream_id: StreamId(4), offset: 0, data: b"hello", fin: true, extent: Extent::ToEnd };
/// let mut payload = [0; 32];
/// let mut writer = Writer::new(&mut payload);
/// Frame::MaxData { maximum: 1000 }.write(&mut writer)?;
/// Frame::Stream(hello).write(&mut writer)?;
///
/// let mut frames = Frames::new(writer.written());
/// assert_eq!(frames.next(), Some(Ok(Frame::MaxData { maximum: 1000 })));
/// assert_eq!(frames.next(), Some(Ok(Frame::Stream(hello))));
/// assert_eq!(frames.next(), None);
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// PADDING, so many of them after each other (19.1).
    Padding(usize),
    /// PING: to be acknowledged (19.2).
    Ping,
    /// ACK (19.3).
    Ack(Ack<'a>),
    /// RESET_STREAM: no more of this stream comes (19.4).
    ResetStream {
        /// Which stream.
        stream_id: StreamId,
        /// The application's code.
        error_code: u64,
        /// Bytes that the stream has.
        final_size: u64,
    },
    /// STOP_SENDING: no more of this stream is wanted (19.5).
    StopSending {
        /// Which stream.
        stream_id: StreamId,
        /// The application's code.
        error_code: u64,
    },
    /// CRYPTO: messages of the handshake (19.6).
    Crypto {
        /// Where among them `data` begins.
        offset: u64,
        /// The bytes.
        data: &'a [u8],
    },
    /// NEW_TOKEN, for a later connection's Initial packet (19.7).
    NewToken {
        /// Not empty.
        token: &'a [u8],
    },
    /// STREAM (19.8).
    Stream(Stream<'a>),
    /// MAX_DATA: so many bytes may be sent on all streams together (19.9).
    MaxData {
        /// Bytes since the connection began.
        maximum: u64,
    },
    /// MAX_STREAM_DATA: so many bytes may be sent on this stream (19.10).
    MaxStreamData {
        /// Which stream.
        stream_id: StreamId,
        /// Bytes since the stream began.
        maximum: u64,
    },
    /// MAX_STREAMS: so many streams may be opened (19.11).
    MaxStreams {
        /// Of this kind.
        direction: Direction,
        /// Streams since the connection began, at most 2^60.
        maximum: u64,
    },
    /// DATA_BLOCKED: more would be sent, had it not come to that limit (19.12).
    DataBlocked {
        /// Bytes since the connection began.
        maximum: u64,
    },
    /// STREAM_DATA_BLOCKED: more would be sent on this stream (19.13).
    StreamDataBlocked {
        /// Which stream.
        stream_id: StreamId,
        /// Bytes since the stream began.
        maximum: u64,
    },
    /// STREAMS_BLOCKED: more streams would be opened (19.14).
    StreamsBlocked {
        /// Of this kind.
        direction: Direction,
        /// Streams since the connection began, at most 2^60.
        maximum: u64,
    },
    /// NEW_CONNECTION_ID: another name for the connection (19.15).
    NewConnectionId {
        /// Of the ID; they are counted.
        sequence_number: u64,
        /// IDs with lower numbers are to be used no more. Not above `sequence_number`.
        retire_prior_to: u64,
        /// 1 to 20 bytes.
        connection_id: &'a [u8],
        /// What a stateless reset for this ID ends with.
        stateless_reset_token: &'a [u8; 16],
    },
    /// RETIRE_CONNECTION_ID: that name is used no more (19.16).
    RetireConnectionId {
        /// Of the ID.
        sequence_number: u64,
    },
    /// PATH_CHALLENGE: to be echoed (19.17).
    PathChallenge(&'a [u8; 8]),
    /// PATH_RESPONSE: the echo (19.18).
    PathResponse(&'a [u8; 8]),
    /// CONNECTION_CLOSE by QUIC itself, type 0x1c (19.19).
    ConnectionClose {
        /// See [`TransportError`].
        error_code: u64,
        /// The type of the frame that was wrong; 0 if none was or it is not known.
        frame_type: u64,
        /// For a person; should be UTF-8.
        reason: &'a [u8],
    },
    /// CONNECTION_CLOSE by the application, type 0x1d (19.19).
    ApplicationClose {
        /// The application's code.
        error_code: u64,
        /// For a person; should be UTF-8.
        reason: &'a [u8],
    },
    /// HANDSHAKE_DONE: the server has confirmed the handshake (19.20).
    HandshakeDone,
    /// DATAGRAM: bytes that are not sent again (RFC 9221, 4).
    Datagram {
        /// The bytes.
        data: &'a [u8],
        /// How their length is said.
        extent: Extent,
    },
}

impl<'a> Frame<'a> {
    /// Reads a frame. PADDING is taken as long as there is more of it.
    ///
    /// # Errors
    /// What the peer is told if the frame is not well formed: FRAME_ENCODING_ERROR, or PROTOCOL_VIOLATION for a type
    /// that is not in its shortest encoding. Where `reader` then stands is not said.
    #[inline]
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, TransportError> {
        Self::read_item(reader).unwrap_or(Err(TransportError::FrameEncodingError))
    }

    /// The item of [`Frames`] at once, not to be moved into it: that would cost as much as reading does. `None` for no
    /// bytes. Behind an error nothing is left to read.
    #[inline(never)]
    fn read_item(reader: &mut Reader<'a>) -> Option<Result<Self, TransportError>> {
        let frame = reader.take_rest();
        let (frame_type, fields) = frame.split_first()?;
        let mut fields = Reader::new(fields);
        Some(match Self::read_fields(u64::from(*frame_type), &mut fields) {
            Some(frame) => {
                *reader = fields;
                Ok(frame)
            }
            None => Err(fault(frame)),
        })
    }

    /// `None` whatever is wrong. All types that are known here have one byte.
    #[inline(always)]
    fn read_fields(frame_type: u64, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match frame_type {
            types::PADDING => {
                let rest = reader.rest();
                let zeros = rest.iter().take_while(|byte| **byte == 0).count();
                reader.bytes(zeros as u64)?;
                Self::Padding(1 + zeros)
            }
            types::PING => Self::Ping,
            types::ACK | types::ACK_ECN => Self::Ack(Ack::read(frame_type == types::ACK_ECN, reader)?),
            0x08..=0x0f => Self::Stream(Stream::read(frame_type, reader, Reader::varint)?),
            types::RESET_STREAM => Self::ResetStream {
                stream_id: StreamId(reader.varint()?),
                error_code: reader.varint()?,
                final_size: reader.varint()?,
            },
            types::STOP_SENDING => {
                Self::StopSending { stream_id: StreamId(reader.varint()?), error_code: reader.varint()? }
            }
            types::CRYPTO => {
                let offset = reader.varint()?;
                Self::Crypto { offset, data: within(offset, reader.prefixed()?)? }
            }
            // RFC 9000, 19.7: a token MUST NOT be empty.
            types::NEW_TOKEN => {
                Self::NewToken { token: reader.prefixed().filter(|token| !token.is_empty())? }
            }
            types::MAX_DATA => Self::MaxData { maximum: reader.varint()? },
            types::MAX_STREAM_DATA => {
                Self::MaxStreamData { stream_id: StreamId(reader.varint()?), maximum: reader.varint()? }
            }
            types::MAX_STREAMS_BIDI | types::MAX_STREAMS_UNI => {
                Self::MaxStreams { direction: direction_of(frame_type), maximum: stream_count(reader)? }
            }
            types::DATA_BLOCKED => Self::DataBlocked { maximum: reader.varint()? },
            types::STREAM_DATA_BLOCKED => {
                Self::StreamDataBlocked { stream_id: StreamId(reader.varint()?), maximum: reader.varint()? }
            }
            types::STREAMS_BLOCKED_BIDI | types::STREAMS_BLOCKED_UNI => {
                Self::StreamsBlocked { direction: direction_of(frame_type), maximum: stream_count(reader)? }
            }
            types::NEW_CONNECTION_ID => new_connection_id(reader)?,
            types::RETIRE_CONNECTION_ID => Self::RetireConnectionId { sequence_number: reader.varint()? },
            types::PATH_CHALLENGE => Self::PathChallenge(reader.array()?),
            types::PATH_RESPONSE => Self::PathResponse(reader.array()?),
            types::CONNECTION_CLOSE => Self::ConnectionClose {
                error_code: reader.varint()?,
                frame_type: reader.varint()?,
                reason: reader.prefixed()?,
            },
            types::CONNECTION_CLOSE_APPLICATION => {
                Self::ApplicationClose { error_code: reader.varint()?, reason: reader.prefixed()? }
            }
            types::HANDSHAKE_DONE => Self::HandshakeDone,
            0x30 => Self::Datagram { data: reader.take_rest(), extent: Extent::ToEnd },
            0x31 => Self::Datagram { data: reader.prefixed()?, extent: Extent::Delimited },
            // RFC 9000, 12.4: unknown types are FRAME_ENCODING_ERROR.
            _ => return None,
        })
    }

    /// Writes the frame as it is, or nothing.
    ///
    /// # Errors
    /// Those of [`Writer::varint`]. A connection ID of more than 255 bytes is
    /// [`Code::MessageTooLarge`](netloom_core::Code::MessageTooLarge) too.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        writer.all_or_nothing(|writer| self.write_fields(writer))
    }

    fn write_fields(&self, writer: &mut Writer<'_>) -> Result<()> {
        let numbers = |writer: &mut Writer<'_>, numbers: &[u64]| {
            numbers.iter().try_for_each(|number| writer.varint(*number))
        };
        match *self {
            Self::Padding(count) => {
                writer.take(count)?.fill(0);
                Ok(())
            }
            Self::Ack(ref ack) => ack.write(writer),
            Self::Stream(ref stream) => stream.write(writer),
            _ => {
                writer.varint(self.frame_type())?;
                match *self {
                    Self::ResetStream { stream_id, error_code, final_size } => {
                        numbers(writer, &[stream_id.0, error_code, final_size])
                    }
                    Self::StopSending { stream_id, error_code } => {
                        numbers(writer, &[stream_id.0, error_code])
                    }
                    Self::Crypto { offset, data } => {
                        writer.varint(offset)?;
                        writer.prefixed(data)
                    }
                    Self::NewToken { token } => writer.prefixed(token),
                    Self::MaxStreamData { stream_id, maximum }
                    | Self::StreamDataBlocked { stream_id, maximum } => {
                        numbers(writer, &[stream_id.0, maximum])
                    }
                    Self::MaxData { maximum }
                    | Self::DataBlocked { maximum }
                    | Self::MaxStreams { maximum, .. }
                    | Self::StreamsBlocked { maximum, .. } => writer.varint(maximum),
                    Self::NewConnectionId {
                        sequence_number,
                        retire_prior_to,
                        connection_id,
                        stateless_reset_token,
                    } => {
                        numbers(writer, &[sequence_number, retire_prior_to])?;
                        super::invariant::write_connection_id(writer, connection_id)?;
                        writer.bytes(stateless_reset_token)
                    }
                    Self::RetireConnectionId { sequence_number } => writer.varint(sequence_number),
                    Self::PathChallenge(data) | Self::PathResponse(data) => writer.bytes(data),
                    Self::ConnectionClose { error_code, frame_type, reason } => {
                        numbers(writer, &[error_code, frame_type])?;
                        writer.prefixed(reason)
                    }
                    Self::ApplicationClose { error_code, reason } => {
                        writer.varint(error_code)?;
                        writer.prefixed(reason)
                    }
                    Self::Datagram { data, extent } => write_data(writer, data, extent),
                    Self::Ping | Self::HandshakeDone | Self::Padding(_) | Self::Ack(_) | Self::Stream(_) => {
                        Ok(())
                    }
                }
            }
        }
    }

    /// The type on the wire, flags and all: what a CONNECTION_CLOSE frame names.
    pub const fn frame_type(&self) -> u64 {
        match self {
            Self::Padding(_) => types::PADDING,
            Self::Ping => types::PING,
            Self::Ack(ack) => ack.frame_type(),
            Self::ResetStream { .. } => types::RESET_STREAM,
            Self::StopSending { .. } => types::STOP_SENDING,
            Self::Crypto { .. } => types::CRYPTO,
            Self::NewToken { .. } => types::NEW_TOKEN,
            Self::Stream(stream) => stream.frame_type(),
            Self::MaxData { .. } => types::MAX_DATA,
            Self::MaxStreamData { .. } => types::MAX_STREAM_DATA,
            Self::MaxStreams { direction, .. } => types::MAX_STREAMS_BIDI | *direction as u64,
            Self::DataBlocked { .. } => types::DATA_BLOCKED,
            Self::StreamDataBlocked { .. } => types::STREAM_DATA_BLOCKED,
            Self::StreamsBlocked { direction, .. } => types::STREAMS_BLOCKED_BIDI | *direction as u64,
            Self::NewConnectionId { .. } => types::NEW_CONNECTION_ID,
            Self::RetireConnectionId { .. } => types::RETIRE_CONNECTION_ID,
            Self::PathChallenge(_) => types::PATH_CHALLENGE,
            Self::PathResponse(_) => types::PATH_RESPONSE,
            Self::ConnectionClose { .. } => types::CONNECTION_CLOSE,
            Self::ApplicationClose { .. } => types::CONNECTION_CLOSE_APPLICATION,
            Self::HandshakeDone => types::HANDSHAKE_DONE,
            Self::Datagram { extent: Extent::ToEnd, .. } => types::DATAGRAM,
            Self::Datagram { extent: Extent::Delimited, .. } => types::DATAGRAM | types::DATAGRAM_LEN,
        }
    }

    /// Whether a packet of that type may carry it (RFC 9000, table 3 in 12.4, and 12.5; RFC 9221, 4).
    pub const fn is_allowed_in(&self, packet: PacketType) -> bool {
        match packet {
            PacketType::Initial | PacketType::Handshake => matches!(
                self,
                Self::Padding(_)
                    | Self::Ping
                    | Self::Ack(_)
                    | Self::Crypto { .. }
                    | Self::ConnectionClose { .. }
            ),
            PacketType::ZeroRtt => !matches!(
                self,
                Self::Ack(_)
                    | Self::Crypto { .. }
                    | Self::HandshakeDone
                    | Self::NewToken { .. }
                    | Self::PathResponse(_)
                    | Self::RetireConnectionId { .. }
            ),
            PacketType::OneRtt => true,
        }
    }

    /// Whether that end may send it: only servers send NEW_TOKEN and HANDSHAKE_DONE (RFC 9000, 19.7 and 19.20).
    pub const fn is_allowed_from(&self, sender: Side) -> bool {
        matches!(sender, Side::Server) || !matches!(self, Self::NewToken { .. } | Self::HandshakeDone)
    }

    /// Whether `sender` may send it in a packet of that type.
    ///
    /// # Errors
    /// PROTOCOL_VIOLATION if it may not.
    pub const fn check(&self, packet: PacketType, sender: Side) -> Result<(), TransportError> {
        match self.is_allowed_in(packet) && self.is_allowed_from(sender) {
            true => Ok(()),
            false => Err(TransportError::ProtocolViolation),
        }
    }

    /// Whether its packet is to be acknowledged (RFC 9002, 2).
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(
            self,
            Self::Padding(_) | Self::Ack(_) | Self::ConnectionClose { .. } | Self::ApplicationClose { .. }
        )
    }

    /// Whether a packet of only such frames probes a path and does not move the connection to it (RFC 9000, 9.1).
    pub const fn is_probing(&self) -> bool {
        matches!(
            self,
            Self::Padding(_) | Self::NewConnectionId { .. } | Self::PathChallenge(_) | Self::PathResponse(_)
        )
    }
}

impl<'a> Stream<'a> {
    /// Behind its type; `varint` reads integers.
    #[inline(always)]
    fn read(
        frame_type: u64,
        reader: &mut Reader<'a>,
        varint: impl Fn(&mut Reader<'a>) -> Option<u64>,
    ) -> Option<Self> {
        let stream_id = StreamId(varint(reader)?);
        let offset = if frame_type & types::STREAM_OFF != 0 { varint(reader)? } else { 0 };
        let (data, extent) = match frame_type & types::STREAM_LEN {
            0 => (reader.take_rest(), Extent::ToEnd),
            _ => {
                let len = varint(reader)?;
                (reader.bytes(len)?, Extent::Delimited)
            }
        };
        let data = within(offset, data)?;
        Some(Self { stream_id, offset, data, fin: frame_type & types::STREAM_FIN != 0, extent })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        writer.varint(self.frame_type())?;
        writer.varint(self.stream_id.0)?;
        if self.offset != 0 {
            writer.varint(self.offset)?;
        }
        write_data(writer, self.data, self.extent)
    }

    const fn frame_type(&self) -> u64 {
        let off = if self.offset == 0 { 0 } else { types::STREAM_OFF };
        let len = if matches!(self.extent, Extent::ToEnd) { 0 } else { types::STREAM_LEN };
        types::STREAM | off | len | self.fin as u64
    }

    /// Bytes that the frame takes beside its data, if `room` bytes are left for all of it; so many bytes of data fit
    /// then: `room - head`.
    pub const fn head_size(&self, room: usize) -> usize {
        let offset = if self.offset == 0 { 0 } else { varint::size(self.offset) };
        let len = match self.extent {
            Extent::ToEnd => 0,
            Extent::Delimited => varint::size(room as u64),
        };
        1 + varint::size(self.stream_id.0) + offset + len
    }
}

/// What is wrong with a frame: its type is not in the shortest possible encoding (RFC 9000, 12.4), or something else.
#[cold]
fn fault(frame: &[u8]) -> TransportError {
    match varint::split_first(frame) {
        Some((frame_type, fields)) if frame.len() - fields.len() != varint::size(frame_type) => {
            TransportError::ProtocolViolation
        }
        _ => TransportError::FrameEncodingError,
    }
}

/// `data` if it ends at an offset that can be said (RFC 9000, 19.6 and 19.8).
#[inline]
fn within(offset: u64, data: &[u8]) -> Option<&[u8]> {
    // Both are far below 2^63.
    (offset + data.len() as u64 <= varint::MAX).then_some(data)
}

/// RFC 9000, 19.11 and 19.14: at most 2^60.
fn stream_count(reader: &mut Reader<'_>) -> Option<u64> {
    reader.varint().filter(|count| *count <= StreamId::COUNT_MAX)
}

const fn direction_of(frame_type: u64) -> Direction {
    if frame_type & 1 == 0 { Direction::Bidirectional } else { Direction::Unidirectional }
}

fn new_connection_id<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    let sequence_number = reader.varint()?;
    // RFC 9000, 19.15: not greater than the sequence number; 1 to 20 bytes.
    let retire_prior_to = reader.varint().filter(|prior| *prior <= sequence_number)?;
    let len = reader.u8().filter(|len| (1..=ConnectionId::MAX as u8).contains(len))?;
    let connection_id = reader.bytes(len.into())?;
    let stateless_reset_token = reader.array()?;
    Some(Frame::NewConnectionId { sequence_number, retire_prior_to, connection_id, stateless_reset_token })
}

fn write_data(writer: &mut Writer<'_>, data: &[u8], extent: Extent) -> Result<()> {
    match extent {
        Extent::Delimited => writer.prefixed(data),
        Extent::ToEnd => writer.bytes(data),
    }
}
