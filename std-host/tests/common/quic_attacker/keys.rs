//! Keys for packets, from rustls or from our own codecs, behind the codecs' traits.

use netloom::protocols::quic::crypto::initial;
use netloom::protocols::quic::{Discard, HeaderKey, PacketKey, SAMPLE_LEN, Side, TAG_LEN, Version};
use netloom::{Code, Result};
use rustls::quic::{DirectionalKeys, HeaderProtectionKey};

/// What one side protects its packets of one type with.
pub(crate) struct Half {
    pub(crate) header: Box<dyn HeaderKey + Send>,
    pub(crate) packet: Box<dyn PacketKey + Send>,
}

/// What both do.
pub(crate) struct Keys {
    pub(crate) ours: Half,
    pub(crate) theirs: Half,
}

impl Keys {
    /// Of Initial packets whose first one went to `id`.
    pub(crate) fn initial(id: &[u8]) -> Self {
        let half = |side| {
            let keys = initial::keys(Version::V1, id, side).unwrap();
            Half { header: Box::new(keys.header), packet: Box::new(keys.packet) }
        };
        Self { ours: half(Side::Client), theirs: half(Side::Server) }
    }

    pub(crate) fn of_tls(keys: rustls::quic::Keys) -> Self {
        Self { ours: Half::of_tls(keys.local), theirs: Half::of_tls(keys.remote) }
    }
}

impl Half {
    pub(crate) fn of_tls(keys: DirectionalKeys) -> Self {
        Self { header: Box::new(TlsHeader(keys.header)), packet: Box::new(TlsPacket(keys.packet)) }
    }
}

impl HeaderKey for Half {
    fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.header.mask(sample)
    }
}

impl PacketKey for Half {
    fn seal(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        self.packet.seal(packet_number, header, payload)
    }

    fn open(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<(), Discard> {
        self.packet.open(packet_number, header, payload)
    }
}

struct TlsHeader(Box<dyn HeaderProtectionKey>);

impl HeaderKey for TlsHeader {
    /// rustls shows no mask, so it is taken from what it does to a short header with a packet number of four zeros.
    fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        let (mut first, mut number) = (3, [0; 4]);
        self.0.encrypt_in_place(sample, &mut first, &mut number).unwrap();
        let [a, b, c, d] = number;
        [first ^ 3, a, b, c, d]
    }
}

pub(crate) struct TlsPacket(pub(crate) Box<dyn rustls::quic::PacketKey>);

impl PacketKey for TlsPacket {
    fn seal(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        let tag = self.0.encrypt_in_place(packet_number, header, payload);
        let tag = tag.map_err(|_| Code::MessageTooLarge)?;
        Ok(tag.as_ref().try_into().expect("all tags are as long"))
    }

    fn open(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<(), Discard> {
        self.0.decrypt_in_place(packet_number, header, payload).map(|_| ()).map_err(|_| Discard::Forged)
    }
}
