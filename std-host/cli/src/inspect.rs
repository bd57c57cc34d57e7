//! `netloom inspect`: what is in a UDP datagram of QUIC, as far as its keys are no secret.

use std::io::{self, Write};

use netloom_protocols::quic::crypto::{initial, retry};
use netloom_protocols::quic::{
    Frame, Frames, Header, Long, Opened, Packet, Packets, Side, StreamId, TransportError, Version, unprotect,
};
use serde_json::{Map, Value, json};

use crate::exit::Failure;
use crate::request::Data;

/// Print the packets of a QUIC datagram, and the frames of its Initial packets.
#[derive(clap::Args)]
#[command(after_help = "\
Everybody can make the keys of Initial packets, from the destination connection ID of the client's first one. Packets of
clients have it; for a server's, give it by --original-id.

Examples:
  netloom inspect @datagram.bin
  tshark -r a.pcap -T fields -e udp.payload | head -n 1 | netloom inspect
  netloom inspect @answer.bin --original-id 8394c8f03e515708 --json | jq .packets[0].frames")]
pub(crate) struct Args {
    /// The datagram in hexadecimal, or @FILE, or @- for standard input; what is not hexadecimal there is taken as it is.
    #[arg(value_parser = datagram, default_value = "@-", hide_default_value = true)]
    datagram: Data,
    /// The destination connection ID of the client's first packet, in hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = connection_id)]
    original_id: Option<ConnectionId>,
    /// Bytes of the connection IDs in short headers.
    #[arg(long, value_name = "BYTES", default_value_t = 8, value_parser = clap::value_parser!(u8).range(0..=20))]
    id_length: u8,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Of the command line.
#[derive(Clone, Debug)]
struct ConnectionId(Vec<u8>);

/// Something that has a name, numbers, and perhaps parts.
struct Item {
    name: &'static str,
    fields: Vec<(&'static str, Value)>,
    frames: Vec<Item>,
}

impl Item {
    fn new(name: &'static str, fields: Vec<(&'static str, Value)>) -> Self {
        Self { name, fields, frames: Vec::new() }
    }

    fn line(&self) -> String {
        self.fields.iter().fold(self.name.to_owned(), |line, (name, value)| match value {
            Value::String(text) if text.is_empty() => format!("{line} {name}=-"),
            Value::String(text) => format!("{line} {name}={text}"),
            value => format!("{line} {name}={value}"),
        })
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("type".to_owned(), self.name.into());
        object.extend(self.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        if !self.frames.is_empty() {
            object.insert("frames".to_owned(), self.frames.iter().map(Self::json).collect());
        }
        object.into()
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let datagram = match &args.datagram {
        Data::Text(text) => hex(text).unwrap_or_default(),
        data => {
            let bytes = data.read()?;
            str::from_utf8(&bytes).ok().and_then(hex).unwrap_or(bytes)
        }
    };
    let original_id = args.original_id.as_ref().map(|id| &id.0[..]);
    let (packets, fault) = inspect(&datagram, original_id, usize::from(args.id_length));
    print(&packets, args.json).map_err(|error| Failure::new(format!("cannot print: {error}")))?;
    fault.map_or(Ok(()), |fault| Err(Failure::new(fault)))
}

fn print(packets: &[Item], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let packets: Vec<_> = packets.iter().map(Item::json).collect();
        return writeln!(out, "{}", json!({ "packets": packets }));
    }
    for packet in packets {
        writeln!(out, "{}", packet.line())?;
        for frame in &packet.frames {
            writeln!(out, "  {}", frame.line())?;
        }
    }
    Ok(())
}

/// The packets, and the first thing that is wrong.
fn inspect(datagram: &[u8], original_id: Option<&[u8]>, id_len: usize) -> (Vec<Item>, Option<String>) {
    let (mut items, mut fault) = (Vec::new(), None);
    if datagram.is_empty() {
        fault =
            Some("there is no datagram: give it in hexadecimal, as @FILE, or on standard input".to_owned());
    }
    let mut at = 0;
    for read in Packets::new(datagram, id_len) {
        match read {
            Ok((packet, bytes)) => {
                let (item, wrong) = packet_item(&packet, bytes, at, original_id);
                items.push(item);
                fault = fault.or(wrong);
                at += packet.len;
            }
            Err(discard) => {
                fault = fault.or_else(|| Some(format!("at byte {at}: {}", discard.text())));
            }
        }
    }
    (items, fault)
}

fn packet_item(
    packet: &Packet<'_>,
    bytes: &[u8],
    at: usize,
    original_id: Option<&[u8]>,
) -> (Item, Option<String>) {
    let (name, mut fields) = header(&packet.header);
    fields.splice(0..0, [("at", json!(at)), ("bytes", json!(packet.len))]);
    let mut fault = None;
    if !packet.has_fixed_bit() {
        fields.push(("fixed_bit", json!(0)));
        fault = Some(format!("at byte {at}: the fixed bit is 0"));
    }
    let mut item = Item::new(name, fields);
    match packet.header {
        Header::Initial { long, .. } => match opened(packet, bytes, long.version, original_id) {
            Some((sender, first, packet_number, payload)) => {
                let sealed = Opened { first, packet_number, payload: &payload };
                let sender_name = if sender == Side::Client { "client" } else { "server" };
                item.fields.push(("sender", json!(sender_name)));
                item.fields.push(("packet_number", json!(packet_number)));
                if sealed.check().is_err() {
                    item.fields.push(("reserved_bits", json!(sealed.reserved_bits())));
                    fault = fault.or(Some(format!("at byte {at}: reserved bits are not 0")));
                }
                let wrong = frames(&sealed, sender, &mut item.frames);
                fault = fault.or(wrong.map(|wrong| format!("at byte {at}: {wrong}")));
            }
            None => item.fields.push(("protected", json!(true))),
        },
        Header::Retry { .. } => {
            if let Some(original_id) = original_id {
                item.fields.push(("authentic", json!(retry::is_authentic(bytes, original_id))));
            }
        }
        Header::VersionNegotiation { .. } => {}
        _ => item.fields.push(("protected", json!(true))),
    }
    (item, fault)
}

/// Who has sealed the packet, its first byte, its number, and its payload.
fn opened(
    packet: &Packet<'_>,
    bytes: &[u8],
    version: Version,
    original_id: Option<&[u8]>,
) -> Option<(Side, u8, u64, Vec<u8>)> {
    let ids = [Some(packet.header.destination_connection_id()), original_id];
    let tries = ids.into_iter().flatten().flat_map(|id| [(id, Side::Client), (id, Side::Server)]);
    tries.into_iter().find_map(|(id, side)| {
        let keys = initial::keys(version, id, side)?;
        let mut bytes = bytes.to_vec();
        let plain = unprotect(&mut bytes, packet.packet_number_at, &keys.header, 0).ok()?;
        let opened = plain.open(&mut bytes, &keys.packet).ok()?;
        Some((side, opened.first, opened.packet_number, opened.payload.to_vec()))
    })
}

fn header(header: &Header<'_>) -> (&'static str, Vec<(&'static str, Value)>) {
    let ids = |long: &Long<'_>| {
        vec![
            ("version", version(long.version)),
            ("destination_connection_id", bytes(long.destination_connection_id)),
            ("source_connection_id", bytes(long.source_connection_id)),
        ]
    };
    match header {
        Header::Initial { long, token } => {
            let mut fields = ids(long);
            fields.push(("token", bytes(token)));
            ("Initial", fields)
        }
        Header::ZeroRtt(long) => ("0-RTT", ids(long)),
        Header::Handshake(long) => ("Handshake", ids(long)),
        Header::Retry { long, token, integrity_tag } => {
            let mut fields = ids(long);
            fields.extend([("token", bytes(token)), ("integrity_tag", bytes(*integrity_tag))]);
            ("Retry", fields)
        }
        Header::VersionNegotiation { destination_connection_id, source_connection_id, versions } => (
            "Version Negotiation",
            vec![
                ("destination_connection_id", bytes(destination_connection_id)),
                ("source_connection_id", bytes(source_connection_id)),
                ("versions", versions.iter().map(version).collect()),
            ],
        ),
        Header::OneRtt { destination_connection_id, spin } => (
            "1-RTT",
            vec![("destination_connection_id", bytes(destination_connection_id)), ("spin", json!(spin))],
        ),
    }
}

/// Appends the frames of an Initial packet, and says what is wrong.
fn frames(packet: &Opened<'_>, sender: Side, items: &mut Vec<Item>) -> Option<String> {
    let mut frames = Frames::new(packet.payload);
    let mut fault = None;
    while let Some(read) = frames.next() {
        let frame_type = frames.frame_type();
        let wrong = |error: TransportError| format!("frame of type {frame_type:#04x}: {}", error.name());
        match read {
            Ok(frame) => {
                let allowed = frame.check(netloom_protocols::quic::PacketType::Initial, sender);
                fault = fault.or(allowed.err().map(wrong));
                items.push(frame_item(&frame));
            }
            Err(error) => fault = fault.or(Some(wrong(error))),
        }
    }
    fault
}

fn frame_item(frame: &Frame<'_>) -> Item {
    let stream = |id: StreamId| ("stream_id", json!(id.0));
    let (name, fields) = match *frame {
        Frame::Padding(count) => ("PADDING", vec![("length", json!(count))]),
        Frame::Ping => ("PING", vec![]),
        Frame::Ack(ack) => {
            let ranges: Vec<_> = ack.ranges().map(|range| json!([range.start(), range.end()])).collect();
            let mut fields = vec![("ranges", json!(ranges)), ("delay", json!(ack.delay()))];
            fields.extend(ack.ecn().map(|ecn| ("ecn", json!([ecn.ect0, ecn.ect1, ecn.ce]))));
            ("ACK", fields)
        }
        Frame::ResetStream { stream_id, error_code, final_size } => (
            "RESET_STREAM",
            vec![stream(stream_id), ("error_code", json!(error_code)), ("final_size", json!(final_size))],
        ),
        Frame::StopSending { stream_id, error_code } => {
            ("STOP_SENDING", vec![stream(stream_id), ("error_code", json!(error_code))])
        }
        Frame::Crypto { offset, data } => {
            ("CRYPTO", vec![("offset", json!(offset)), ("length", json!(data.len()))])
        }
        Frame::NewToken { token } => ("NEW_TOKEN", vec![("token", bytes(token))]),
        Frame::Stream(frame) => (
            "STREAM",
            vec![
                stream(frame.stream_id),
                ("offset", json!(frame.offset)),
                ("length", json!(frame.data.len())),
                ("fin", json!(frame.fin)),
            ],
        ),
        Frame::MaxData { maximum } => ("MAX_DATA", vec![("maximum", json!(maximum))]),
        Frame::MaxStreamData { stream_id, maximum } => {
            ("MAX_STREAM_DATA", vec![stream(stream_id), ("maximum", json!(maximum))])
        }
        Frame::MaxStreams { maximum, .. } => ("MAX_STREAMS", vec![("maximum", json!(maximum))]),
        Frame::DataBlocked { maximum } => ("DATA_BLOCKED", vec![("maximum", json!(maximum))]),
        Frame::StreamDataBlocked { stream_id, maximum } => {
            ("STREAM_DATA_BLOCKED", vec![stream(stream_id), ("maximum", json!(maximum))])
        }
        Frame::StreamsBlocked { maximum, .. } => ("STREAMS_BLOCKED", vec![("maximum", json!(maximum))]),
        Frame::NewConnectionId { sequence_number, retire_prior_to, connection_id, .. } => (
            "NEW_CONNECTION_ID",
            vec![
                ("sequence_number", json!(sequence_number)),
                ("retire_prior_to", json!(retire_prior_to)),
                ("connection_id", bytes(connection_id)),
            ],
        ),
        Frame::RetireConnectionId { sequence_number } => {
            ("RETIRE_CONNECTION_ID", vec![("sequence_number", json!(sequence_number))])
        }
        Frame::PathChallenge(data) => ("PATH_CHALLENGE", vec![("data", bytes(data))]),
        Frame::PathResponse(data) => ("PATH_RESPONSE", vec![("data", bytes(data))]),
        Frame::ConnectionClose { error_code, frame_type, reason } => {
            let name = TransportError::from_code(error_code).map_or("unknown", TransportError::name);
            let fields = vec![
                ("error_code", json!(error_code)),
                ("error", json!(name)),
                ("frame_type", json!(frame_type)),
                ("reason", text(reason)),
            ];
            ("CONNECTION_CLOSE", fields)
        }
        Frame::ApplicationClose { error_code, reason } => (
            "CONNECTION_CLOSE by the application",
            vec![("error_code", json!(error_code)), ("reason", text(reason))],
        ),
        Frame::HandshakeDone => ("HANDSHAKE_DONE", vec![]),
        Frame::Datagram { data, .. } => ("DATAGRAM", vec![("length", json!(data.len()))]),
    };
    Item::new(name, fields)
}

fn version(version: Version) -> Value {
    format!("{:#010x}", version.0).into()
}

fn bytes(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// A stranger's words, on one line.
fn text(text: &[u8]) -> Value {
    String::from_utf8_lossy(text).escape_debug().to_string().into()
}

/// Bytes in hexadecimal, with white space or colons between them.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace() && *c != ':')
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks();
    (rest.is_empty() && !pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn datagram(text: &str) -> Result<Data, String> {
    match crate::request::data(text)? {
        Data::Text(text) if hex(&text).is_none() => {
            Err("a datagram is hexadecimal, or @FILE, or @- for standard input".to_owned())
        }
        data => Ok(data),
    }
}

fn connection_id(text: &str) -> Result<ConnectionId, String> {
    hex(text)
        .filter(|id| id.len() <= 20)
        .map(ConnectionId)
        .ok_or_else(|| "a connection ID is up to 20 bytes in hexadecimal".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_bytes_with_or_without_what_stands_between() {
        assert_eq!(hex("c0ff\nEE 01:02"), Some(vec![0xc0, 0xff, 0xee, 1, 2]));
        for wrong in ["", " ", "c", "c0f", "cg", "0xc0"] {
            assert_eq!(hex(wrong), None, "{wrong:?}");
        }
        assert!(
            datagram("hello").is_err() && datagram("@a").is_ok() && connection_id(&"00".repeat(21)).is_err()
        );
    }
}
