//! Transport parameters (RFC 9000, 18; RFC 9221, 3): what each end says of itself in the handshake.
//!
//! ```text
//! | id | length | value | id | length | value | ...      ids and lengths are variable-length integers
//! ```

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use netloom_core::Result;

use super::connection_id::ConnectionId;
use super::cursor::{Reader, Writer};
use super::error::TransportError;
use super::stream_id::{Side, StreamId};
use super::varint;

/// Identifiers (RFC 9000, 18.2).
pub mod ids {
    #![allow(missing_docs, reason = "they are named as in the RFC")]
    pub const ORIGINAL_DESTINATION_CONNECTION_ID: u64 = 0x00;
    pub const MAX_IDLE_TIMEOUT: u64 = 0x01;
    pub const STATELESS_RESET_TOKEN: u64 = 0x02;
    pub const MAX_UDP_PAYLOAD_SIZE: u64 = 0x03;
    pub const INITIAL_MAX_DATA: u64 = 0x04;
    pub const INITIAL_MAX_STREAM_DATA_BIDI_LOCAL: u64 = 0x05;
    pub const INITIAL_MAX_STREAM_DATA_BIDI_REMOTE: u64 = 0x06;
    pub const INITIAL_MAX_STREAM_DATA_UNI: u64 = 0x07;
    pub const INITIAL_MAX_STREAMS_BIDI: u64 = 0x08;
    pub const INITIAL_MAX_STREAMS_UNI: u64 = 0x09;
    pub const ACK_DELAY_EXPONENT: u64 = 0x0a;
    pub const MAX_ACK_DELAY: u64 = 0x0b;
    pub const DISABLE_ACTIVE_MIGRATION: u64 = 0x0c;
    pub const PREFERRED_ADDRESS: u64 = 0x0d;
    pub const ACTIVE_CONNECTION_ID_LIMIT: u64 = 0x0e;
    pub const INITIAL_SOURCE_CONNECTION_ID: u64 = 0x0f;
    pub const RETRY_SOURCE_CONNECTION_ID: u64 = 0x10;
    /// RFC 9221, 3.
    pub const MAX_DATAGRAM_FRAME_SIZE: u64 = 0x20;
}

/// The smallest `max_udp_payload_size` (RFC 9000, 18.2).
const UDP_PAYLOAD_MIN: u64 = 1200;
/// The largest `ack_delay_exponent` (RFC 9000, 18.2).
const ACK_DELAY_EXPONENT_MAX: u64 = 20;
/// `max_ack_delay` is below it, in milliseconds (RFC 9000, 18.2).
const ACK_DELAY_END: u64 = 1 << 14;
/// The smallest `active_connection_id_limit` (RFC 9000, 18.2).
const CONNECTION_IDS_MIN: u64 = 2;

/// What an end says of itself; what it does not say has the RFC's default.
///
/// ```
/// use netloom_protocols::quic::{Side, TransportParameters, Writer};
///
/// let ours = TransportParameters {
///     max_idle_timeout: 30_000,
///     initial_max_data: 4096,
///     initial_source_connection_id: Some(b"me"),
///     ..TransportParameters::default()
/// };
/// let mut extension = [0; 32];
/// let mut writer = Writer::new(&mut extension);
/// ours.write(&mut writer)?;
/// assert_eq!(writer.written(), b"\x01\x04\x80\0\x75\x30\x04\x02\x50\0\x0f\x02me");
/// assert_eq!(TransportParameters::read(writer.written(), Side::Client), Ok(ours));
/// # Ok::<(), netloom_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportParameters<'a> {
    /// By servers: where the client's first Initial packet went.
    pub original_destination_connection_id: Option<&'a [u8]>,
    /// Milliseconds of silence that end the connection; 0 for none.
    pub max_idle_timeout: u64,
    /// By servers: what a stateless reset for the handshake's connection ID ends with.
    pub stateless_reset_token: Option<&'a [u8; 16]>,
    /// Bytes of a datagram's payload that will be taken, at least 1,200.
    pub max_udp_payload_size: u64,
    /// Bytes that may be sent on all streams together, at first.
    pub initial_max_data: u64,
    /// The same on a bidirectional stream that this end opens.
    pub initial_max_stream_data_bidi_local: u64,
    /// The same on a bidirectional stream that the other end opens.
    pub initial_max_stream_data_bidi_remote: u64,
    /// The same on a unidirectional stream that the other end opens.
    pub initial_max_stream_data_uni: u64,
    /// Bidirectional streams that the other end may open, at first; at most 2^60.
    pub initial_max_streams_bidi: u64,
    /// Unidirectional streams that the other end may open, at first; at most 2^60.
    pub initial_max_streams_uni: u64,
    /// By how many bits the delays in ACK frames are shifted; at most 20.
    pub ack_delay_exponent: u64,
    /// Milliseconds that an acknowledgement waits at most; below 2^14.
    pub max_ack_delay: u64,
    /// Whether the other end should stay at its address.
    pub disable_active_migration: bool,
    /// By servers: where they would rather be talked to.
    pub preferred_address: Option<PreferredAddress<'a>>,
    /// Connection IDs that will be kept, at least 2.
    pub active_connection_id_limit: u64,
    /// From where the first Initial packet came.
    pub initial_source_connection_id: Option<&'a [u8]>,
    /// By servers: from where the Retry packet came.
    pub retry_source_connection_id: Option<&'a [u8]>,
    /// Bytes of a DATAGRAM frame that will be taken, type and all; 0 for no such frames (RFC 9221, 3).
    pub max_datagram_frame_size: u64,
}

/// What an end says that says nothing.
impl Default for TransportParameters<'_> {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl<'a> TransportParameters<'a> {
    /// What an end says that says nothing (RFC 9000, 18.2).
    pub const DEFAULT: Self = Self {
        original_destination_connection_id: None,
        max_idle_timeout: 0,
        stateless_reset_token: None,
        max_udp_payload_size: 65_527,
        initial_max_data: 0,
        initial_max_stream_data_bidi_local: 0,
        initial_max_stream_data_bidi_remote: 0,
        initial_max_stream_data_uni: 0,
        initial_max_streams_bidi: 0,
        initial_max_streams_uni: 0,
        ack_delay_exponent: 3,
        max_ack_delay: 25,
        disable_active_migration: false,
        preferred_address: None,
        active_connection_id_limit: CONNECTION_IDS_MIN,
        initial_source_connection_id: None,
        retry_source_connection_id: None,
        max_datagram_frame_size: 0,
    };

    /// Reads what `sender` says. What is not known is ignored.
    ///
    /// # Errors
    /// TRANSPORT_PARAMETER_ERROR for what is badly formed, given twice, out of range, or not the sender's to say.
    pub fn read(extension: &'a [u8], sender: Side) -> Result<Self, TransportError> {
        let mut read = Self::DEFAULT;
        let mut given = 0_u64;
        for parameter in Parameters::new(extension) {
            let (id, value) = parameter?;
            // RFC 9000, 7.4.2: what is not known MUST be ignored.
            if id > ids::RETRY_SOURCE_CONNECTION_ID && id != ids::MAX_DATAGRAM_FRAME_SIZE {
                continue;
            }
            // RFC 9000, 7.4: none is given twice.
            if given & 1 << id != 0 || !read.take(id, value, sender) {
                return Err(TransportError::TransportParameterError);
            }
            given |= 1 << id;
        }
        Ok(read)
    }

    /// Takes a parameter, unless something is wrong with it.
    fn take(&mut self, id: u64, value: &'a [u8], sender: Side) -> bool {
        // RFC 9000, 18.2: these are not a client's.
        let is_servers = matches!(
            id,
            ids::ORIGINAL_DESTINATION_CONNECTION_ID
                | ids::STATELESS_RESET_TOKEN
                | ids::PREFERRED_ADDRESS
                | ids::RETRY_SOURCE_CONNECTION_ID
        );
        if is_servers && sender == Side::Client {
            return false;
        }
        match id {
            ids::ORIGINAL_DESTINATION_CONNECTION_ID => self.original_destination_connection_id = Some(value),
            ids::INITIAL_SOURCE_CONNECTION_ID => self.initial_source_connection_id = Some(value),
            ids::RETRY_SOURCE_CONNECTION_ID => self.retry_source_connection_id = Some(value),
            ids::STATELESS_RESET_TOKEN => {
                self.stateless_reset_token = value.as_array();
                return self.stateless_reset_token.is_some();
            }
            ids::PREFERRED_ADDRESS => {
                self.preferred_address = PreferredAddress::read(value);
                return self.preferred_address.is_some();
            }
            ids::DISABLE_ACTIVE_MIGRATION => {
                self.disable_active_migration = true;
                return value.is_empty();
            }
            _ => {
                // What was not named above is an integer.
                let Some((number, [])) = varint::split_first(value) else { return false };
                let Some((place, range)) = self.integer(id) else { return false };
                *place = number;
                return range.contains(&number);
            }
        }
        // They are connection IDs.
        value.len() <= ConnectionId::MAX
    }

    /// Where the integer with that id is kept, and what it may be.
    fn integer(&mut self, id: u64) -> Option<(&mut u64, core::ops::RangeInclusive<u64>)> {
        const ANY: core::ops::RangeInclusive<u64> = 0..=varint::MAX;
        // RFC 9000, 4.6.
        const STREAMS: core::ops::RangeInclusive<u64> = 0..=StreamId::COUNT_MAX;
        Some(match id {
            ids::MAX_IDLE_TIMEOUT => (&mut self.max_idle_timeout, ANY),
            ids::MAX_UDP_PAYLOAD_SIZE => (&mut self.max_udp_payload_size, UDP_PAYLOAD_MIN..=varint::MAX),
            ids::INITIAL_MAX_DATA => (&mut self.initial_max_data, ANY),
            ids::INITIAL_MAX_STREAM_DATA_BIDI_LOCAL => (&mut self.initial_max_stream_data_bidi_local, ANY),
            ids::INITIAL_MAX_STREAM_DATA_BIDI_REMOTE => (&mut self.initial_max_stream_data_bidi_remote, ANY),
            ids::INITIAL_MAX_STREAM_DATA_UNI => (&mut self.initial_max_stream_data_uni, ANY),
            ids::INITIAL_MAX_STREAMS_BIDI => (&mut self.initial_max_streams_bidi, STREAMS),
            ids::INITIAL_MAX_STREAMS_UNI => (&mut self.initial_max_streams_uni, STREAMS),
            ids::ACK_DELAY_EXPONENT => (&mut self.ack_delay_exponent, 0..=ACK_DELAY_EXPONENT_MAX),
            ids::MAX_ACK_DELAY => (&mut self.max_ack_delay, 0..=ACK_DELAY_END - 1),
            ids::ACTIVE_CONNECTION_ID_LIMIT => {
                (&mut self.active_connection_id_limit, CONNECTION_IDS_MIN..=varint::MAX)
            }
            ids::MAX_DATAGRAM_FRAME_SIZE => (&mut self.max_datagram_frame_size, ANY),
            _ => return None,
        })
    }

    /// Writes what differs from the defaults, by rising id; all of it or nothing. It is not judged.
    ///
    /// # Errors
    /// Those of [`Writer::varint`].
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        let bytes = |writer: &mut Writer<'_>, id, value: Option<&[u8]>| {
            value.map_or(Ok(()), |value| write_parameter(writer, id, value))
        };
        let (mut ours, mut default) = (*self, Self::DEFAULT);
        writer.all_or_nothing(|writer| {
            for id in 0..=ids::MAX_DATAGRAM_FRAME_SIZE {
                match id {
                    ids::ORIGINAL_DESTINATION_CONNECTION_ID => {
                        bytes(writer, id, self.original_destination_connection_id)?;
                    }
                    ids::INITIAL_SOURCE_CONNECTION_ID => {
                        bytes(writer, id, self.initial_source_connection_id)?;
                    }
                    ids::RETRY_SOURCE_CONNECTION_ID => bytes(writer, id, self.retry_source_connection_id)?,
                    ids::STATELESS_RESET_TOKEN => {
                        bytes(writer, id, self.stateless_reset_token.map(|token| &token[..]))?;
                    }
                    ids::DISABLE_ACTIVE_MIGRATION => {
                        bytes(writer, id, self.disable_active_migration.then_some(&[]))?;
                    }
                    ids::PREFERRED_ADDRESS => {
                        let Some(address) = &self.preferred_address else { continue };
                        writer.varint(id)?;
                        writer.varint(address.size() as u64)?;
                        address.write(writer)?;
                    }
                    _ => {
                        let (Some((ours, _)), Some((default, _))) = (ours.integer(id), default.integer(id))
                        else {
                            continue;
                        };
                        if ours != default {
                            write_integer(writer, id, *ours)?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether the connection IDs are those that the packets had (RFC 9000, 7.3): the source of the other end's first
    /// Initial packet; if it is a server, the destination of our first one, and the source of its Retry packet if there was
    /// one.
    ///
    /// # Errors
    /// TRANSPORT_PARAMETER_ERROR if one is missing, too many or another.
    pub fn check_connection_ids(
        &self,
        initial_source: &[u8],
        original_destination: Option<&[u8]>,
        retry_source: Option<&[u8]>,
    ) -> Result<(), TransportError> {
        let are_same = self.initial_source_connection_id == Some(initial_source)
            && self.original_destination_connection_id == original_destination
            && self.retry_source_connection_id == retry_source;
        if are_same { Ok(()) } else { Err(TransportError::TransportParameterError) }
    }
}

/// A server's preferred address (RFC 9000, 9.6 and 18.2), with a connection ID for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreferredAddress<'a> {
    /// If it has one.
    pub ipv4: Option<SocketAddrV4>,
    /// If it has one.
    pub ipv6: Option<SocketAddrV6>,
    /// 1 to 20 bytes; its sequence number is 1.
    pub connection_id: &'a [u8],
    /// What a stateless reset for that ID ends with.
    pub stateless_reset_token: &'a [u8; 16],
}

impl<'a> PreferredAddress<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let ipv4 = SocketAddrV4::new(Ipv4Addr::from(*reader.array()?), reader.u16()?);
        let ipv6 = SocketAddrV6::new(Ipv6Addr::from(*reader.array::<16>()?), reader.u16()?, 0, 0);
        // RFC 9000, 18.2: no ID without bytes.
        let len = reader.u8().filter(|len| (1..=ConnectionId::MAX as u8).contains(len))?;
        let connection_id = reader.bytes(len.into())?;
        let stateless_reset_token = reader.array()?;
        // RFC 9000, 18.2: zeros for a family that it has no address of.
        let ipv4 = Some(ipv4).filter(|address| !address.ip().is_unspecified() || address.port() != 0);
        let ipv6 = Some(ipv6).filter(|address| !address.ip().is_unspecified() || address.port() != 0);
        reader.is_empty().then_some(Self { ipv4, ipv6, connection_id, stateless_reset_token })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        let ipv4 = self.ipv4.unwrap_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        let ipv6 = self.ipv6.unwrap_or(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0));
        writer.bytes(&ipv4.ip().octets())?;
        writer.u16(ipv4.port())?;
        writer.bytes(&ipv6.ip().octets())?;
        writer.u16(ipv6.port())?;
        super::invariant::write_connection_id(writer, self.connection_id)?;
        writer.bytes(self.stateless_reset_token)
    }

    const fn size(&self) -> usize {
        4 + 2 + 16 + 2 + 1 + self.connection_id.len() + 16
    }
}

/// Parameters as they come, each its id and its value; what is not complete is a TRANSPORT_PARAMETER_ERROR, and the last.
#[derive(Clone, Debug)]
pub struct Parameters<'a>(Reader<'a>);

impl<'a> Parameters<'a> {
    /// The parameters of the extension `quic_transport_parameters` (RFC 9001, 8.2).
    pub const fn new(extension: &'a [u8]) -> Self {
        Self(Reader::new(extension))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(u64, &'a [u8]), TransportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let parameter = self.0.varint().and_then(|id| Some((id, self.0.prefixed()?)));
        if parameter.is_none() {
            self.0.take_rest();
        }
        Some(parameter.ok_or(TransportError::TransportParameterError))
    }
}

/// Writes a parameter of any id and value: an extension's, a reserved one (31 * N + 27; RFC 9000, 18.1), a wrong one.
///
/// # Errors
/// Those of [`Writer::varint`].
pub fn write_parameter(writer: &mut Writer<'_>, id: u64, value: &[u8]) -> Result<()> {
    writer.all_or_nothing(|writer| {
        writer.varint(id)?;
        writer.prefixed(value)
    })
}

/// Writes a parameter that is an integer.
///
/// # Errors
/// Those of [`Writer::varint`].
pub fn write_integer(writer: &mut Writer<'_>, id: u64, value: u64) -> Result<()> {
    let mut bytes = [0; 8];
    let mut integer = Writer::new(&mut bytes);
    integer.varint(value)?;
    write_parameter(writer, id, integer.written())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use netloom_core::Code;

    use super::*;
    use crate::tests::Noise;

    const WRONG: Result<TransportParameters<'static>, TransportError> =
        Err(TransportError::TransportParameterError);

    /// Everything there is, nothing as by default.
    fn all() -> TransportParameters<'static> {
        TransportParameters {
            original_destination_connection_id: Some(b"first"),
            max_idle_timeout: 30_000,
            stateless_reset_token: Some(&[7; 16]),
            max_udp_payload_size: 1200,
            initial_max_data: 1,
            initial_max_stream_data_bidi_local: 2,
            initial_max_stream_data_bidi_remote: 3,
            initial_max_stream_data_uni: 4,
            initial_max_streams_bidi: 5,
            initial_max_streams_uni: StreamId::COUNT_MAX,
            ack_delay_exponent: 20,
            max_ack_delay: (1 << 14) - 1,
            disable_active_migration: true,
            preferred_address: Some(PreferredAddress {
                ipv4: Some(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 443)),
                ipv6: None,
                connection_id: b"there",
                stateless_reset_token: &[8; 16],
            }),
            active_connection_id_limit: varint::MAX,
            initial_source_connection_id: Some(&[9; 20]),
            retry_source_connection_id: Some(b""),
            max_datagram_frame_size: 65_535,
        }
    }

    fn written(parameters: &TransportParameters<'_>) -> Vec<u8> {
        let mut room = [0; 300];
        let mut writer = Writer::new(&mut room);
        parameters.write(&mut writer).unwrap();
        writer.written().to_vec()
    }

    fn one(id: u64, value: &[u8]) -> Vec<u8> {
        let mut room = [0; 300];
        let mut writer = Writer::new(&mut room);
        write_parameter(&mut writer, id, value).unwrap();
        writer.written().to_vec()
    }

    fn number(id: u64, value: u64) -> Vec<u8> {
        let mut room = [0; 40];
        let mut writer = Writer::new(&mut room);
        write_integer(&mut writer, id, value).unwrap();
        writer.written().to_vec()
    }

    fn server(bytes: &[u8]) -> Result<TransportParameters<'_>, TransportError> {
        TransportParameters::read(bytes, Side::Server)
    }

    #[test]
    fn everything_is_written_and_read_back_and_nothing_is_the_default() {
        let bytes = written(&all());
        assert_eq!(server(&bytes), Ok(all()));
        assert_eq!(Parameters::new(&bytes).count(), 18);
        assert_eq!(written(&TransportParameters::default()), b"");
        assert_eq!(server(b""), Ok(TransportParameters::default()));
    }

    #[test]
    fn what_is_cut_is_refused_but_between_two_parameters_and_what_has_no_room_is_not_written() {
        let bytes = written(&all());
        let mut ends = vec![0];
        let mut rest = Parameters::new(&bytes);
        while rest.next().is_some() {
            ends.push(bytes.len() - rest.0.len());
        }
        for cut in 0..bytes.len() {
            assert_eq!(server(&bytes[..cut]).is_ok(), ends.contains(&cut), "at {cut}");
            let mut room = vec![0; cut];
            let mut writer = Writer::new(&mut room);
            assert_eq!(all().write(&mut writer), Err(Code::BufferFull.into()));
            assert_eq!(writer.len(), 0);
        }
    }

    #[test]
    fn a_parameter_is_given_once_but_one_that_is_not_known_is_ignored() {
        for parameter in Parameters::new(&written(&all())) {
            let (id, value) = parameter.unwrap();
            let once = one(id, value);
            assert!(server(&once).is_ok());
            assert_eq!(server(&once.repeat(2)), WRONG, "{id}");
        }
        let reserved = one(31 * 5 + 27, b"anything").repeat(2);
        assert_eq!(server(&reserved), Ok(TransportParameters::default()));
        assert_eq!(server(&one(varint::MAX, b"")), Ok(TransportParameters::default()));
        assert_eq!(server(&one(0x11, b"")), Ok(TransportParameters::default()));
    }

    #[test]
    fn a_client_says_nothing_that_is_the_servers_to_say() {
        for parameter in Parameters::new(&written(&all())) {
            let (id, value) = parameter.unwrap();
            let is_servers = [0x00, 0x02, 0x0d, 0x10].contains(&id);
            let bytes = one(id, value);
            assert_eq!(TransportParameters::read(&bytes, Side::Client) == WRONG, is_servers, "{id}");
        }
    }

    #[test]
    fn values_are_within_their_ranges() {
        let streams = StreamId::COUNT_MAX;
        for (id, right, wrong) in [
            (ids::MAX_UDP_PAYLOAD_SIZE, 1200, 1199),
            (ids::MAX_UDP_PAYLOAD_SIZE, varint::MAX, 0),
            (ids::INITIAL_MAX_STREAMS_BIDI, streams, streams + 1),
            (ids::INITIAL_MAX_STREAMS_UNI, streams, varint::MAX),
            (ids::ACK_DELAY_EXPONENT, 20, 21),
            (ids::MAX_ACK_DELAY, (1 << 14) - 1, 1 << 14),
            (ids::ACTIVE_CONNECTION_ID_LIMIT, 2, 1),
            (ids::ACTIVE_CONNECTION_ID_LIMIT, varint::MAX, 0),
        ] {
            assert!(server(&number(id, right)).is_ok(), "{id}");
            assert_eq!(server(&number(id, wrong)), WRONG, "{id}");
        }
    }

    #[test]
    fn values_are_as_long_as_they_should_be() {
        for id in [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 0x20] {
            assert_eq!(server(&one(id, b"")), WRONG, "{id}");
            assert_eq!(server(&one(id, b"\x44")), WRONG, "{id}");
            assert_eq!(server(&one(id, b"\x05\x05")), WRONG, "{id}");
        }
        // Not the shortest encoding, which is allowed (RFC 9000, 16).
        assert_eq!(server(&one(4, b"\x40\x05")).map(|read| read.initial_max_data), Ok(5));
        for id in [0, 15, 16] {
            assert!(server(&one(id, &[1; 20])).is_ok() && server(&one(id, b"")).is_ok(), "{id}");
            assert_eq!(server(&one(id, &[1; 21])), WRONG, "{id}");
        }
        for token in [&[1; 15][..], &[1; 17], b""] {
            assert_eq!(server(&one(ids::STATELESS_RESET_TOKEN, token)), WRONG);
        }
        assert_eq!(server(&one(ids::DISABLE_ACTIVE_MIGRATION, b"\x01")), WRONG);
    }

    #[test]
    fn a_preferred_address_has_a_connection_id_and_one_family_or_two() {
        let with = |id: &[u8]| [&[0; 24][..], &[id.len() as u8], id, &[3; 16]].concat();
        let read = |value: &[u8]| {
            let bytes = one(ids::PREFERRED_ADDRESS, value);
            server(&bytes).map(|read| read.preferred_address.map(|address| (address.ipv4, address.ipv6)))
        };
        assert_eq!(read(&with(b"x")), Ok(Some((None, None))));
        assert!(read(&with(&[1; 20])).is_ok());
        for wrong in [&with(b"")[..], &with(&[1; 21]), &with(b"x")[1..], &[with(b"x"), vec![0]].concat()] {
            assert_eq!(read(wrong), Err(TransportError::TransportParameterError));
        }
        let mut both = with(b"x");
        (both[5], both[21]) = (1, 1);
        let ipv4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 1);
        let ipv6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
        assert_eq!(read(&both), Ok(Some((Some(ipv4), Some(ipv6)))));
    }

    #[test]
    fn connection_ids_are_those_of_the_packets() {
        let wrong = Err(TransportError::TransportParameterError);
        let server = all();
        assert_eq!(server.check_connection_ids(&[9; 20], Some(b"first"), Some(b"")), Ok(()));
        assert_eq!(server.check_connection_ids(&[9; 19], Some(b"first"), Some(b"")), wrong);
        assert_eq!(server.check_connection_ids(&[9; 20], Some(b"second"), Some(b"")), wrong);
        assert_eq!(server.check_connection_ids(&[9; 20], Some(b"first"), None), wrong);
        let client =
            TransportParameters { initial_source_connection_id: Some(b"me"), ..TransportParameters::DEFAULT };
        assert_eq!(client.check_connection_ids(b"me", None, None), Ok(()));
        assert_eq!(TransportParameters::DEFAULT.check_connection_ids(b"", None, None), wrong);
    }

    #[test]
    fn what_has_no_encoding_is_not_written() {
        let parameters = TransportParameters { initial_max_data: u64::MAX, ..all() };
        let mut room = [0; 300];
        let mut writer = Writer::new(&mut room);
        assert_eq!(parameters.write(&mut writer).unwrap_err().code(), Code::MessageTooLarge);
        assert_eq!(writer.len(), 0);
    }

    #[test]
    fn whatever_is_changed_what_is_read_is_written_and_read_again() {
        let bytes = written(&all());
        let mut noise = Noise::new(4);
        for round in 0..20_000 {
            let bytes = noise.mutated(&bytes);
            let Ok(read) = server(&bytes) else { continue };
            assert_eq!(server(&written(&read)), Ok(read), "round {round}");
        }
    }
}
