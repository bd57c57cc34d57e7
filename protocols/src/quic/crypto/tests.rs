//! RFC 9001, Appendix A, byte for byte.

extern crate std;

use std::vec;
use std::vec::Vec;

use netloom_core::Code;

use super::super::builder::PacketBuilder;
use super::super::cursor::Writer;
use super::super::error::Discard;
use super::super::frame::{Ack, Frame, Frames};
use super::super::header::{Header, Long, Packet};
use super::super::packet_number::PacketNumber;
use super::super::protection::{HeaderKey, Opened, PacketKey, protect, unprotect};
use super::super::stream_id::Side;
use super::super::transport_parameters::TransportParameters;
use super::super::version::Version;
use super::*;
use crate::tests::Noise;

/// A.2: the CRYPTO frame.
pub(super) const CLIENT_HELLO: &str = "\
    060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c000004130113\
    02010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d00170018001000070005\
    04616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce1\
    5d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c0002400100\
    3900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806\
    048000ffff";
/// A.2: the packet.
pub(super) const CLIENT_INITIAL: &str = "\
    c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c\
    0bab7df5976d27cd449f63300099f3991c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad67500cadb8e7378c\
    8eb7539ec4d4905fed1bee1fc8aafba17c750e2c7ace01e6005f80fcb7df621230c83711b39343fa028cea7f7fb5ff89\
    eac2308249a02252155e2347b63d58c5457afd84d05dfffdb20392844ae812154682e9cf012f9021a6f0be17ddd0c208\
    4dce25ff9b06cde535d0f920a2db1bf362c23e596d11a4f5a6cf3948838a3aec4e15daf8500a6ef69ec4e3feb6b1d98e\
    610ac8b7ec3faf6ad760b7bad1db4ba3485e8a94dc250ae3fdb41ed15fb6a8e5eba0fc3dd60bc8e30c5c4287e53805db\
    059ae0648db2f64264ed5e39be2e20d82df566da8dd5998ccabdae053060ae6c7b4378e846d29f37ed7b4ea9ec5d82e7\
    961b7f25a9323851f681d582363aa5f89937f5a67258bf63ad6f1a0b1d96dbd4faddfcefc5266ba6611722395c906556\
    be52afe3f565636ad1b17d508b73d8743eeb524be22b3dcbc2c7468d54119c7468449a13d8e3b95811a198f3491de3e7\
    fe942b330407abf82a4ed7c1b311663ac69890f4157015853d91e923037c227a33cdd5ec281ca3f79c44546b9d90ca00\
    f064c99e3dd97911d39fe9c5d0b23a229a234cb36186c4819e8b9c5927726632291d6a418211cc2962e20fe47feb3edf\
    330f2c603a9d48c0fcb5699dbfe5896425c5bac4aee82e57a85aaf4e2513e4f05796b07ba2ee47d80506f8d2c25e50fd\
    14de71e6c418559302f939b0e1abd576f279c4b2e0feb85c1f28ff18f58891ffef132eef2fa09346aee33c28eb130ff2\
    8f5b766953334113211996d20011a198e3fc433f9f2541010ae17c1bf202580f6047472fb36857fe843b19f5984009dd\
    c324044e847a4f4a0ab34f719595de37252d6235365e9b84392b061085349d73203a4a13e96f5432ec0fd4a1ee65accd\
    d5e3904df54c1da510b0ff20dcc0c77fcb2c0e0eb605cb0504db87632cf3d8b4dae6e705769d1de354270123cb11450e\
    fc60ac47683d7b8d0f811365565fd98c4c8eb936bcab8d069fc33bd801b03adea2e1fbc5aa463d08ca19896d2bf59a07\
    1b851e6c239052172f296bfb5e72404790a2181014f3b94a4e97d117b438130368cc39dbb2d198065ae3986547926cd2\
    162f40a29f0c3c8745c0f50fba3852e566d44575c29d39a03f0cda721984b6f440591f355e12d439ff150aab7613499d\
    bd49adabc8676eef023b15b65bfc5ca06948109f23f350db82123535eb8a7433bdabcb909271a6ecbcb58b936a88cd4e\
    8f2e6ff5800175f113253d8fa9ca8885c2f552e657dc603f252e1a8e308f76f0be79e2fb8f5d5fbbe2e30ecadd220723\
    c8c0aea8078cdfcb3868263ff8f0940054da48781893a7e49ad5aff4af300cd804a6b6279ab3ff3afb64491c85194aab\
    760d58a606654f9f4400e8b38591356fbf6425aca26dc85244259ff2b19c41b9f96f3ca9ec1dde434da7d2d392b905dd\
    f3d1f9af93d1af5950bd493f5aa731b4056df31bd267b6b90a079831aaf579be0a39013137aac6d404f518cfd4684064\
    7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44860018ab0856972e194cd934";
/// A.3: an ACK and a CRYPTO frame.
pub(super) const SERVER_PAYLOAD: &str = "\
    02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200\
    130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00\
    020304";
/// A.3: the packet.
pub(super) const SERVER_INITIAL: &str = "\
    cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb3\
    8cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84\
    022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";
/// A.4: the packet.
const RETRY: &str = "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba";
/// A.5: the secret.
const CHACHA_SECRET: &str = "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b";
/// A.5: the packet.
const CHACHA_PACKET: &str = "4cfe4189655e5cd55c41f69080575d7999c25a5bfb";

/// Where the client sent its first packet.
const TO: &[u8] = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";
/// What the server calls itself.
const SERVER: &[u8] = b"\xf0\x67\xa5\x50\x2a\x42\x62\xb5";

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn initial_keys(sender: Side) -> Keys<Aes128GcmSha256> {
    initial::keys(Version::V1, TO, sender).unwrap()
}

fn labelled<S: Suite>(secret: &[u8], label: &[u8], len: usize) -> Vec<u8> {
    let mut padded = [0; SECRET_MAX];
    padded[..secret.len()].copy_from_slice(secret);
    let mut out = vec![0; len];
    S::expand_label(&padded, label, &mut out);
    out
}

fn opened<'a, S: Suite>(packet: &'a mut [u8], keys: &Keys<S>, expected: u64) -> Result<Opened<'a>, Discard> {
    let at = Packet::read(packet, 0)?.packet_number_at;
    unprotect(packet, at, &keys.header, expected)?.open(packet, &keys.packet)
}

#[test]
fn a_1_the_keys_of_initial_packets() {
    for (side, secret, key, iv, hp) in [
        (
            Side::Client,
            "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
            "1f369613dd76d5467730efcbe3b1a22d",
            "fa044b2f42a3fd3b46fb255c",
            "9f50449e04a0e810283a1e9933adedd2",
        ),
        (
            Side::Server,
            "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
            "cf3a5331653c364c88f0f379b6067e37",
            "0ac1493ca1905853b0bba03e",
            "c206b8d9b9f0f37644430b490eeaa314",
        ),
    ] {
        let found = initial::secret(Version::V1, TO, side).unwrap();
        assert_eq!(found.as_bytes(), hex(secret));
        for (label, value) in [(&b"quic key"[..], key), (b"quic iv", iv), (b"quic hp", hp)] {
            let value = hex(value);
            assert_eq!(labelled::<Aes128GcmSha256>(found.as_bytes(), label, value.len()), value);
        }
    }
    assert!(initial::keys(Version(2), TO, Side::Client).is_none());
}

#[test]
fn a_2_the_clients_initial_packet() {
    let keys = initial_keys(Side::Client);
    let long = Long { version: Version::V1, destination_connection_id: TO, source_connection_id: b"" };
    let header = Header::Initial { long, token: b"" };
    let mut room = [0; 1500];
    let mut packet = PacketBuilder::new(&mut room, &header, PacketNumber::new(2, 4).unwrap()).unwrap();
    assert_eq!(*packet.first_byte(), 0xc3);
    packet.payload().bytes(&hex(CLIENT_HELLO)).unwrap();
    packet.pad_to(1200).unwrap();
    let len = packet.seal(&keys.header, &keys.packet).unwrap();
    assert_eq!(room[..len], hex(CLIENT_INITIAL));

    let packet = Packet::read(&room[..len], 0).unwrap();
    assert_eq!((packet.header, packet.packet_number_at, packet.len), (header, 18, 1200));
    let opened = opened(&mut room[..len], &keys, 0).unwrap();
    assert_eq!((opened.packet_number, opened.first, opened.check()), (2, 0xc3, Ok(())));
    let mut frames = Frames::new(opened.payload);
    let Some(Ok(Frame::Crypto { offset: 0, data })) = frames.next() else { panic!() };
    assert_eq!((data.len(), frames.next(), frames.next()), (241, Some(Ok(Frame::Padding(1162 - 245))), None));

    // The ClientHello ends with the transport parameters.
    let parameters = TransportParameters::read(&data[data.len() - 50..], Side::Client).unwrap();
    let expected = TransportParameters {
        initial_max_data: u64::MAX >> 2,
        initial_max_stream_data_bidi_local: 0xffff,
        initial_max_stream_data_uni: 0xffff,
        initial_max_streams_bidi: 16,
        initial_max_streams_uni: 16,
        max_idle_timeout: 30_000,
        initial_source_connection_id: Some(TO),
        initial_max_stream_data_bidi_remote: 0xffff,
        ..TransportParameters::DEFAULT
    };
    assert_eq!(parameters, expected);
}

#[test]
fn a_3_the_servers_initial_packet() {
    let keys = initial_keys(Side::Server);
    let long = Long { version: Version::V1, destination_connection_id: b"", source_connection_id: SERVER };
    let header = Header::Initial { long, token: b"" };
    let payload = hex(SERVER_PAYLOAD);
    let mut room = [0; 1500];
    let mut packet = PacketBuilder::new(&mut room, &header, PacketNumber::new(1, 2).unwrap()).unwrap();
    Ack::write_ranges(packet.payload(), 0, [0..=0], None).unwrap();
    Frame::Crypto { offset: 0, data: &payload[9..] }.write(packet.payload()).unwrap();
    let len = packet.seal(&keys.header, &keys.packet).unwrap();
    assert_eq!(room[..len], hex(SERVER_INITIAL));
    let opened = opened(&mut room[..len], &keys, 0).unwrap();
    assert_eq!((opened.packet_number, opened.payload), (1, &payload[..]));
}

#[test]
fn a_4_a_retry_packet() {
    let bytes = hex(RETRY);
    let packet = Packet::read(&bytes, 0).unwrap();
    let long = Long { version: Version::V1, destination_connection_id: b"", source_connection_id: SERVER };
    let Header::Retry { long: read, token: b"token", integrity_tag } = packet.header else { panic!() };
    assert_eq!((read, packet.len), (long, bytes.len()));
    let tag = retry::integrity_tag(Version::V1, TO, &bytes[..bytes.len() - 16]);
    assert_eq!(tag.as_ref(), Some(integrity_tag));
    assert!(retry::is_authentic(&bytes, TO));
}

#[test]
fn a_5_a_short_header_by_chacha20() {
    let secret = Secret::<ChaCha20Poly1305Sha256>::new(&hex(CHACHA_SECRET)).unwrap();
    for (label, value) in [
        (&b"quic key"[..], "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8"),
        (b"quic iv", "e0459b3474bdd0e44a41c144"),
        (b"quic hp", "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4"),
    ] {
        let value = hex(value);
        assert_eq!(labelled::<ChaCha20Poly1305Sha256>(secret.as_bytes(), label, value.len()), value);
    }
    let ku = "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9";
    assert_eq!(secret.next().as_bytes(), hex(ku));

    let keys = secret.keys();
    let header = Header::OneRtt { destination_connection_id: b"", spin: false };
    let mut room = [0; 100];
    let number = PacketNumber::new(654_360_564, 3).unwrap();
    let mut packet = PacketBuilder::new(&mut room, &header, number).unwrap();
    Frame::Ping.write(packet.payload()).unwrap();
    let len = packet.seal(&keys.header, &keys.packet).unwrap();
    assert_eq!(room[..len], hex(CHACHA_PACKET));
    let opened = opened(&mut room[..len], &keys, 654_360_500).unwrap();
    assert_eq!((opened.packet_number, opened.first, opened.payload), (654_360_564, 0x42, &b"\x01"[..]));
}

#[test]
fn masks_are_those_of_the_rfc_and_the_last_block_has_one_too() {
    let mask = |key: &dyn HeaderKey, sample: &str| key.mask(hex(sample).as_slice().try_into().unwrap());
    let (client, server) = (initial_keys(Side::Client), initial_keys(Side::Server));
    assert_eq!(mask(&client.header, "d1b1c98dd7689fb8ec11d242b123dc9b")[..], hex("437b9aec36"));
    assert_eq!(mask(&server.header, "2cd0991cd25b0aac406a5816b6394100")[..], hex("2ec0d8356a"));
    let chacha = Secret::<ChaCha20Poly1305Sha256>::new(&hex(CHACHA_SECRET)).unwrap().keys().header;
    assert_eq!(mask(&chacha, "5e5cd55c41f69080575d7999c25a5bfb")[..], hex("aefefe7d03"));
    // The peer chooses the counter: also the one behind which there is no block.
    assert_ne!(chacha.mask(&[0xff; 16]), chacha.mask(&[0xfe; 16]));
}

fn with_every_suite(test: impl Fn(&dyn Fn(&mut [u8]), &dyn Fn(&mut [u8]) -> Result<u64, Discard>)) {
    fn one<S: Suite>(test: &impl Fn(&dyn Fn(&mut [u8]), &dyn Fn(&mut [u8]) -> Result<u64, Discard>)) {
        let keys = Secret::<S>::new(&[5; 48][..S::SECRET_LEN]).unwrap().keys();
        test(&|packet| protect(packet, 1, 77, &keys.header, &keys.packet).unwrap(), &|packet| {
            opened(packet, &keys, 70).map(|opened| opened.packet_number)
        });
    }
    one::<Aes128GcmSha256>(&test);
    one::<Aes256GcmSha384>(&test);
    one::<ChaCha20Poly1305Sha256>(&test);
}

#[test]
fn every_suite_opens_what_it_sealed_and_nothing_else() {
    let plain = [&b"\x40\x4dframes"[..], &[0; 16]].concat();
    with_every_suite(|seal, open| {
        let mut sealed = plain.clone();
        seal(&mut sealed);
        assert_eq!(open(&mut sealed.clone()), Ok(77));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            // Not the bit that makes it a long header.
            damaged[at] ^= 1;
            assert_eq!(open(&mut damaged), Err(Discard::Forged), "at {at}");
            let cut = open(&mut sealed[..at].to_vec());
            assert!(matches!(cut, Err(Discard::Forged | Discard::TooShort | Discard::Truncated)));
        }
    });
}

#[test]
fn a_payload_shorter_than_a_tag_is_a_forgery() {
    let keys = initial_keys(Side::Client);
    assert_eq!(keys.packet.open(0, b"", &mut [0; 15]), Err(Discard::Forged));
    let chacha = Secret::<ChaCha20Poly1305Sha256>::new(&[1; 32]).unwrap();
    assert_eq!(chacha.packet_key().open(0, b"", &mut []), Err(Discard::Forged));
}

#[test]
fn a_key_update_changes_the_payloads_key_and_not_the_length_of_secrets() {
    let secret = Secret::<Aes256GcmSha384>::new(&[1; 48]).unwrap();
    let next = secret.next();
    assert_eq!(next.as_bytes().len(), 48);
    assert_ne!(next.as_bytes(), secret.as_bytes());
    let mut sealed = *b"frames................";
    let (payload, tag) = sealed.split_last_chunk_mut().unwrap();
    *tag = secret.packet_key().seal(1, b"header", payload).unwrap();
    assert_eq!(next.packet_key().open(1, b"header", &mut sealed.clone()), Err(Discard::Forged));
    assert_eq!(secret.packet_key().open(1, b"header", &mut sealed), Ok(()));
    assert_eq!(sealed[..6], *b"frames");
}

#[test]
fn a_secret_of_another_length_is_none() {
    for len in [0, 31, 33, 48, 49] {
        assert!(Secret::<Aes128GcmSha256>::new(&[0; 49][..len]).is_none());
    }
    for len in [0, 32, 47, 49] {
        assert!(Secret::<Aes256GcmSha384>::new(&[0; 49][..len]).is_none());
    }
}

#[test]
fn a_retry_is_for_whom_it_answers_and_in_one_piece() {
    let long = Long { version: Version::V1, destination_connection_id: b"me", source_connection_id: b"new" };
    // Tokens of every length relative to a block.
    for token in 1..40 {
        let mut room = [7; 100];
        let mut writer = Writer::new(&mut room);
        writer.u8(9).unwrap();
        retry::write(&mut writer, long, &[3; 40][..token], TO).unwrap();
        let packet = &mut writer.written_mut()[1..];
        assert!(retry::is_authentic(packet, TO));
        assert!(!retry::is_authentic(packet, &TO[1..]));
        assert!(!retry::is_authentic(packet, &[0; 300]));
        assert!(!retry::is_authentic(&packet[..packet.len() - 1], TO));
        for at in [0, 10, packet.len() - 17, packet.len() - 1] {
            packet[at] ^= 1;
            assert!(!retry::is_authentic(packet, TO), "at {at}");
            packet[at] ^= 1;
        }
    }
}

#[test]
fn a_retry_without_room_or_of_another_version_is_not_written() {
    let long = Long { version: Version::V1, destination_connection_id: b"me", source_connection_id: b"new" };
    let mut room = [0; 33];
    for len in 0..33 {
        let mut writer = Writer::new(&mut room[..len]);
        assert_eq!(retry::write(&mut writer, long, b"token", TO), Err(Code::BufferFull.into()), "{len}");
        assert_eq!(writer.len(), 0);
    }
    let other = Long { version: Version(9), ..long };
    let mut writer = Writer::new(&mut room);
    assert_eq!(retry::write(&mut writer, other, b"token", TO), Err(Code::Unsupported.into()));
    assert_eq!(writer.len(), 0);
    assert!(!retry::is_authentic(&hex(CLIENT_INITIAL), TO));
}

#[test]
fn whatever_is_changed_in_a_packet_it_is_not_opened() {
    let keys = initial_keys(Side::Client);
    let packet = hex(CLIENT_INITIAL);
    let mut noise = Noise::new(5);
    for round in 0..2000 {
        let mut bytes = noise.mutated(&packet);
        // What is behind Length is not of the packet.
        let Ok(len) = Packet::read(&bytes, 0).map(|packet| packet.len) else { continue };
        let is_same = bytes[..len] == packet;
        assert_eq!(opened(&mut bytes[..len], &keys, 0).is_ok(), is_same, "round {round}");
    }
}
