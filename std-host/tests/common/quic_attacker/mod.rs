//! A client that shakes hands with rustls and makes every packet by hand, from our codecs: so anything can be wrong with it.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod hello;
mod keys;
pub(crate) mod victim;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use netloom::protocols::quic::crypto::retry;
use netloom::protocols::quic::{
    Ack, Discard, Frame, Frames, Header, Long, PacketBuilder, PacketNumber, PacketType, Packets,
    TransportError, TransportParameters, Version, Writer, unprotect,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, KeyChange, Secrets};
use tokio::net::UdpSocket;

use keys::{Half, Keys, TlsPacket};

/// Longer than anything here takes: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// RFC 9000, 14.1.
pub(crate) const INITIAL_MIN: usize = 1200;

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes")
}

/// A frame's bytes.
pub(crate) fn frame(frame: Frame<'_>) -> Vec<u8> {
    let mut room = [0; 1400];
    let mut writer = Writer::new(&mut room);
    frame.write(&mut writer).unwrap();
    writer.written().to_vec()
}

/// Bytes of integers, each as short as may be.
pub(crate) fn varints(values: &[u64]) -> Vec<u8> {
    let mut room = [0; 64];
    let mut writer = Writer::new(&mut room);
    values.iter().for_each(|value| writer.varint(*value).unwrap());
    writer.written().to_vec()
}

/// Transport parameters as an extension has them.
pub(crate) fn parameters(parameters: &TransportParameters<'_>) -> Vec<u8> {
    let mut room = [0; 512];
    let mut writer = Writer::new(&mut room);
    parameters.write(&mut writer).unwrap();
    writer.written().to_vec()
}

/// A packet to be sealed.
#[derive(Clone)]
pub(crate) struct Draft {
    kind: PacketType,
    payload: Vec<u8>,
    number: Option<u64>,
    flipped: u8,
    phase: bool,
    size: usize,
}

impl Draft {
    pub(crate) fn new(kind: PacketType, payload: impl Into<Vec<u8>>) -> Self {
        let size = if kind == PacketType::Initial { INITIAL_MIN } else { 0 };
        Self { kind, payload: payload.into(), number: None, flipped: 0, phase: false, size }
    }

    /// With that packet number; the next ones go on from it, if it is higher.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// With these bits of the first byte wrong.
    pub(crate) fn flip(mut self, bits: u8) -> Self {
        self.flipped = bits;
        self
    }

    /// With that key phase.
    pub(crate) fn phase(mut self, phase: bool) -> Self {
        self.phase = phase;
        self
    }

    /// Padded to so many bytes.
    pub(crate) fn size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }
}

/// Packets of one space.
#[derive(Default)]
struct Space {
    keys: Option<Keys>,
    /// The next packet's number.
    next: u64,
    /// One more than the highest that came.
    expected: u64,
    /// What was sent in CRYPTO frames.
    written: u64,
    /// What came in them and was not read yet, by offset.
    crypto: BTreeMap<u64, Vec<u8>>,
    read: u64,
}

/// A CONNECTION_CLOSE frame of type 0x1c.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) error: TransportError,
    pub(crate) frame_type: u64,
}

/// See the module.
pub(crate) struct Attacker {
    socket: UdpSocket,
    /// The same, without a reactor.
    raw: std::net::UdpSocket,
    tls: ClientConnection,
    /// Our connection ID,
    pub(crate) id: Vec<u8>,
    /// and where our packets go.
    pub(crate) peer: Vec<u8>,
    token: Vec<u8>,
    spaces: [Space; 3],
    early: Option<Half>,
    next: Option<Secrets>,
    /// TLS's words, for who wants to say others.
    pub(crate) hello: Vec<u8>,
    pub(crate) finished: Vec<u8>,
    pub(crate) done: bool,
    pub(crate) close: Option<Close>,
    /// Versions that a Version Negotiation packet named.
    pub(crate) versions: Option<Vec<Version>>,
    pub(crate) retried: bool,
    /// Types of the frames that came.
    pub(crate) seen: Vec<u64>,
    /// DATAGRAM frames that came.
    pub(crate) datagrams: Vec<Vec<u8>>,
    /// 1-RTT packets that do not open.
    pub(crate) opaque: Vec<Vec<u8>>,
    pub(crate) bytes_sent: usize,
    pub(crate) bytes_received: usize,
}

/// What an attacker says of itself that is right.
pub(crate) fn honest(id: &[u8]) -> TransportParameters<'_> {
    TransportParameters {
        initial_max_data: 1 << 20,
        initial_max_stream_data_bidi_local: 1 << 20,
        initial_max_streams_uni: 8,
        max_datagram_frame_size: 1400,
        initial_source_connection_id: Some(id),
        ..TransportParameters::DEFAULT
    }
}

impl Attacker {
    /// One that has not sent anything yet.
    pub(crate) fn new(to: SocketAddr, config: ClientConfig) -> Self {
        Self::with(to, Arc::new(config), Ipv4Addr::LOCALHOST.into(), b"attacker", |id| {
            parameters(&honest(id))
        })
    }

    /// One at that address, which says of itself what `parameters` makes of its connection ID.
    pub(crate) fn with(
        to: SocketAddr,
        config: Arc<ClientConfig>,
        from: IpAddr,
        id: &[u8],
        parameters: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Self {
        let raw = std::net::UdpSocket::bind((from, 0)).unwrap();
        raw.connect(to).unwrap();
        raw.set_nonblocking(true).unwrap();
        let socket = UdpSocket::from_std(raw.try_clone().unwrap()).unwrap();
        let peer = rand::random::<[u8; 8]>().to_vec();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(config, rustls::quic::Version::V1, name, parameters(id)).unwrap();
        let mut attacker = Self {
            socket,
            raw,
            tls,
            id: id.to_vec(),
            peer,
            token: Vec::new(),
            spaces: Default::default(),
            early: None,
            next: None,
            hello: Vec::new(),
            finished: Vec::new(),
            done: false,
            close: None,
            versions: None,
            retried: false,
            seen: Vec::new(),
            datagrams: Vec::new(),
            opaque: Vec::new(),
            bytes_sent: 0,
            bytes_received: 0,
        };
        attacker.spaces[0].keys = Some(Keys::initial(&attacker.peer));
        assert!(attacker.tls.write_hs(&mut attacker.hello).is_none());
        attacker.early = attacker.tls.zero_rtt_keys().map(Half::of_tls);
        attacker
    }

    /// One whose handshake is done.
    pub(crate) async fn established(to: SocketAddr, config: ClientConfig) -> Self {
        let mut attacker = Self::new(to, config);
        attacker.shake().await;
        attacker.finish().await;
        attacker
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The server's transport parameters.
    pub(crate) fn servers_parameters(&self) -> Vec<u8> {
        self.tls.quic_transport_parameters().unwrap().to_vec()
    }

    /// From here on packets go to that connection ID, as the first ones of a client do.
    pub(crate) fn restart(&mut self, peer: &[u8]) {
        self.peer = peer.to_vec();
        self.spaces[0] = Space { keys: Some(Keys::initial(peer)), ..Space::default() };
    }

    /// Sends the same token in all Initial packets.
    pub(crate) fn set_token(&mut self, token: &[u8]) {
        self.token = token.to_vec();
    }

    pub(crate) fn token(&self) -> &[u8] {
        &self.token
    }

    /// A CRYPTO frame that goes on where the last one of that space ended.
    pub(crate) fn crypto(&mut self, kind: PacketType, data: &[u8]) -> Vec<u8> {
        let space = &mut self.spaces[space_of(kind)];
        let offset = space.written;
        space.written += data.len() as u64;
        frame(Frame::Crypto { offset, data })
    }

    /// A datagram with the ClientHello.
    pub(crate) fn first(&mut self) -> Vec<u8> {
        let hello = self.hello.clone();
        let payload = self.crypto(PacketType::Initial, &hello);
        self.seal(&Draft::new(PacketType::Initial, payload))
    }

    /// Makes a packet.
    pub(crate) fn seal(&mut self, draft: &Draft) -> Vec<u8> {
        let space = &mut self.spaces[space_of(draft.kind)];
        let number = draft.number.unwrap_or(space.next);
        space.next = space.next.max(number + 1);
        let version = Version::V1;
        let long = Long { version, destination_connection_id: &self.peer, source_connection_id: &self.id };
        let header = match draft.kind {
            PacketType::Initial => Header::Initial { long, token: &self.token },
            PacketType::ZeroRtt => Header::ZeroRtt(long),
            PacketType::Handshake => Header::Handshake(long),
            PacketType::OneRtt => Header::OneRtt { destination_connection_id: &self.peer, spin: false },
        };
        let half = match draft.kind {
            PacketType::ZeroRtt => self.early.as_ref().expect("there was a ticket"),
            _ => &space.keys.as_ref().expect("the handshake is so far").ours,
        };
        let mut room = [0; 1500];
        // With four bytes a packet without payload needs no padding.
        let mut packet =
            PacketBuilder::new(&mut room, &header, PacketNumber::new(number, 4).unwrap()).unwrap();
        packet.payload().bytes(&draft.payload).unwrap();
        packet.pad_to(draft.size).unwrap();
        if draft.kind == PacketType::OneRtt {
            packet.set_key_phase(draft.phase);
        }
        *packet.first_byte() ^= draft.flipped;
        let len = packet.seal(half, half).unwrap();
        room[..len].to_vec()
    }

    /// Sends a datagram as it is.
    pub(crate) async fn send_bytes(&mut self, datagram: &[u8]) {
        self.bytes_sent += datagram.len();
        self.socket.send(datagram).await.unwrap();
    }

    pub(crate) async fn send_draft(&mut self, draft: &Draft) {
        let datagram = self.seal(draft);
        self.send_bytes(&datagram).await;
    }

    /// Sends frames in a packet of that type.
    pub(crate) async fn send(&mut self, kind: PacketType, payload: impl Into<Vec<u8>>) {
        self.send_draft(&Draft::new(kind, payload)).await;
    }

    /// Shakes hands until only our Finished is missing.
    pub(crate) async fn shake(&mut self) {
        let first = self.first();
        self.send_bytes(&first).await;
        while self.finished.is_empty() {
            let retried = self.retried;
            self.receive().await;
            if self.retried != retried {
                let first = self.first();
                self.send_bytes(&first).await;
            }
        }
    }

    /// Sends our Finished and waits until the server says that it is done.
    pub(crate) async fn finish(&mut self) {
        let finished = self.finished.clone();
        let payload = self.crypto(PacketType::Handshake, &finished);
        self.send(PacketType::Handshake, payload).await;
        while !self.done {
            self.receive().await;
        }
    }

    /// New keys for our 1-RTT packets (RFC 9001, 6). Theirs stay.
    pub(crate) fn update_keys(&mut self) {
        let next = self.next.as_mut().expect("the handshake is done").next_packet_keys();
        self.spaces[2].keys.as_mut().unwrap().ours.packet = Box::new(TlsPacket(next.local));
    }

    /// Waits for a CONNECTION_CLOSE.
    pub(crate) async fn closed(&mut self) -> Close {
        while self.close.is_none() {
            self.receive().await;
        }
        self.close.clone().unwrap()
    }

    /// Waits for an acknowledgement of a PING: the connection lives.
    pub(crate) async fn lives(&mut self) {
        let number = self.spaces[2].next;
        self.send(PacketType::OneRtt, frame(Frame::Ping)).await;
        while !self.seen.contains(&(ACKNOWLEDGED | number)) {
            self.receive().await;
        }
        assert_eq!(self.close, None);
    }

    /// Sends what has a Version Negotiation packet for an answer, twice, and counts the bytes that come beside it. A server
    /// answers in order, and connections speak behind the first answer.
    pub(crate) async fn hears(&mut self) -> usize {
        let before = self.bytes_received;
        let mut negotiation = 0;
        for _ in 0..2 {
            self.versions = None;
            self.socket.send(&unknown_version(INITIAL_MIN)).await.unwrap();
            while self.versions.is_none() {
                let last = self.receive().await;
                negotiation += if self.versions.is_some() { last.len() } else { 0 };
            }
        }
        self.bytes_received -= negotiation;
        self.bytes_received - before
    }

    pub(crate) async fn hears_nothing(&mut self) {
        assert_eq!(self.hears().await, 0);
    }

    /// Takes in the next datagram.
    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let mut datagram = vec![0; 2000];
        let len = within(self.socket.recv(&mut datagram)).await.unwrap();
        datagram.truncate(len);
        self.bytes_received += len;
        self.take_in(&datagram);
        datagram
    }

    /// Takes in the next datagram, if there is to be one.
    pub(crate) async fn listens(&mut self) {
        let _ = tokio::time::timeout(Duration::from_millis(5), self.receive()).await;
    }

    /// Takes in what has come, without waiting.
    pub(crate) fn receive_all(&mut self) {
        let mut datagram = vec![0; 2000];
        while let Ok(len) = self.raw.recv(&mut datagram) {
            self.bytes_received += len;
            self.take_in(&datagram[..len]);
        }
    }

    fn take_in(&mut self, datagram: &[u8]) {
        for packet in Packets::new(datagram, self.id.len()) {
            let (packet, bytes) = packet.expect("the server's packets are right");
            let kind = match packet.header {
                Header::VersionNegotiation { versions, .. } => {
                    self.versions = Some(versions.iter().collect());
                    return;
                }
                Header::Retry { long, token, .. } => {
                    assert!(!self.retried && retry::is_authentic(bytes, &self.peer));
                    self.token = token.to_vec();
                    self.restart(long.source_connection_id);
                    self.retried = true;
                    return;
                }
                header => header.packet_type().unwrap(),
            };
            let space = &mut self.spaces[space_of(kind)];
            let Some(keys) = &space.keys else {
                if kind == PacketType::OneRtt {
                    self.opaque.push(bytes.to_vec());
                }
                continue;
            };
            let mut bytes = bytes.to_vec();
            let raw = bytes.clone();
            let opened = unprotect(&mut bytes, packet.packet_number_at, &keys.theirs, space.expected)
                .and_then(|plain| plain.open(&mut bytes, &keys.theirs));
            let opened = match opened {
                Ok(opened) => opened,
                Err(Discard::Forged | Discard::TooShort) => {
                    self.opaque.push(raw);
                    continue;
                }
                Err(discard) => panic!("{discard:?}"),
            };
            opened.check().unwrap();
            space.expected = space.expected.max(opened.packet_number + 1);
            if let Some(long) = packet.header.long() {
                self.peer = long.source_connection_id.to_vec();
            }
            let payload = opened.payload.to_vec();
            for frame in Frames::new(&payload) {
                self.take(kind, &frame.expect("the server's frames are right"));
            }
            self.advance(kind);
        }
    }

    fn take(&mut self, kind: PacketType, frame: &Frame<'_>) {
        self.seen.push(frame.frame_type());
        match *frame {
            Frame::Crypto { offset, data } => {
                self.spaces[space_of(kind)].crypto.insert(offset, data.to_vec());
            }
            Frame::Ack(ack) if kind == PacketType::OneRtt => {
                self.seen.extend(ack.ranges().flatten().map(|number| ACKNOWLEDGED | number));
            }
            Frame::ConnectionClose { error_code, frame_type, .. } => {
                let error = TransportError::from_code(error_code).expect("a code of the RFC");
                self.close = Some(Close { error, frame_type });
            }
            Frame::HandshakeDone => self.done = true,
            Frame::Datagram { data, .. } => self.datagrams.push(data.to_vec()),
            _ => {}
        }
    }

    /// Gives TLS what came for it, and takes keys and words from it.
    fn advance(&mut self, kind: PacketType) {
        let space = &mut self.spaces[space_of(kind)];
        while let Some((offset, data)) = space.crypto.pop_first() {
            if offset > space.read {
                space.crypto.insert(offset, data);
                break;
            }
            let known = (space.read - offset) as usize;
            if let Some(new) = data.get(known..).filter(|new| !new.is_empty()) {
                space.read += new.len() as u64;
                self.tls.read_hs(new).expect("the server's handshake is right");
            }
        }
        loop {
            let mut words = Vec::new();
            let change = self.tls.write_hs(&mut words);
            if change.is_none() && words.is_empty() {
                return;
            }
            self.finished.extend(words);
            match change {
                Some(KeyChange::Handshake { keys }) => self.spaces[1].keys = Some(Keys::of_tls(keys)),
                Some(KeyChange::OneRtt { keys, next }) => {
                    self.spaces[2].keys = Some(Keys::of_tls(keys));
                    self.next = Some(next);
                }
                None => {}
            }
        }
    }
}

/// Marks packet numbers among the types that were seen.
const ACKNOWLEDGED: u64 = 1 << 63;

fn space_of(kind: PacketType) -> usize {
    match kind {
        PacketType::Initial => 0,
        PacketType::Handshake => 1,
        PacketType::ZeroRtt | PacketType::OneRtt => 2,
    }
}

/// An ACK frame of one range.
pub(crate) fn ack(range: std::ops::RangeInclusive<u64>) -> Vec<u8> {
    let mut room = [0; 64];
    let mut writer = Writer::new(&mut room);
    Ack::write_ranges(&mut writer, 0, [range], None).unwrap();
    writer.written().to_vec()
}

/// A datagram of a version that nobody speaks.
pub(crate) fn unknown_version(len: usize) -> Vec<u8> {
    let mut datagram = b"\xc0\xba\xba\xba\xba\x08unknown!\x08attacker".to_vec();
    datagram.resize(len, 0);
    datagram
}
