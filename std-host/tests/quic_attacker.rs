//! A client that breaks the protocol is told which rule it was, with the RFC's code; the application is told too, and others
//! are served all the same. The classes are h3spec's for QUIC's transport and TLS, and more.
//!
//! RFC 9000, 11, lets PROTOCOL_VIOLATION and INTERNAL_ERROR stand for any other code.

#[path = "common/quic_attacker/mod.rs"]
mod attacker;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use attacker::hello::with_extensions;
use attacker::victim::{Counted, Trust, Victim};
use attacker::{Attacker, Draft, ack, frame, honest, parameters, varints};
use netloom::protocols::quic::frame::types;
use netloom::protocols::quic::transport_parameters::{ids, write_integer, write_parameter};
use netloom::protocols::quic::{
    Direction, Extent, Frame, PacketType, PreferredAddress, Side, Stream, StreamId, TransportError,
    TransportParameters, Writer, varint,
};
use netloom::quic::{Reason, Settings};

/// Streams that the client opened,
const BOTH_WAYS: StreamId = StreamId::new(Side::Client, Direction::Bidirectional, 0);
const ONE_WAY: StreamId = StreamId::new(Side::Client, Direction::Unidirectional, 0);
/// and such as only the server could.
const SERVERS: StreamId = StreamId::new(Side::Server, Direction::Bidirectional, 0);
const SERVERS_ONE_WAY: StreamId = StreamId::new(Side::Server, Direction::Unidirectional, 0);
/// The first one that the client may not open at first.
const TOO_MANY: StreamId = StreamId::new(Side::Client, Direction::Bidirectional, 16);

fn stream(stream_id: StreamId, offset: u64, data: &[u8], fin: bool) -> Vec<u8> {
    frame(Frame::Stream(Stream { stream_id, offset, data, fin, extent: Extent::Delimited }))
}

/// A client whose handshake is done sends `payload`, which is `error`.
async fn refuses(payload: impl Into<Vec<u8>>, error: TransportError) {
    let (mut victim, mut attacker) = established().await;
    attacker.send(PacketType::OneRtt, payload).await;
    ends(&mut victim, &mut attacker, error).await;
}

/// A client whose handshake is done sends `payload`, which is nothing.
async fn bears(payload: impl Into<Vec<u8>>) {
    let (victim, mut attacker) = established().await;
    attacker.send(PacketType::OneRtt, payload).await;
    attacker.lives().await;
    victim.serves().await;
}

async fn established() -> (Victim, Attacker) {
    let victim = Victim::new();
    let attacker = Attacker::established(victim.address, victim.trust.attackers()).await;
    (victim, attacker)
}

async fn ends(victim: &mut Victim, attacker: &mut Attacker, error: TransportError) {
    assert_eq!(attacker.closed().await.error, error);
    let lost = victim.lost().await;
    assert_eq!(lost.reason(), Reason::Violation(error.code()));
    assert_eq!(u64::from(lost.error().wire()), error.code());
    victim.serves().await;
}

/// A client that says of itself what `say` makes of its connection ID does not come through the handshake.
async fn refuses_to_hear(say: impl FnOnce(&[u8]) -> Vec<u8>) {
    let victim = Counted::new();
    let config = Arc::new(victim.trust.attackers());
    let from = Ipv4Addr::LOCALHOST.into();
    let mut attacker = Attacker::with(victim.address, config, from, b"attacker", say);
    let first = attacker.first();
    attacker.send_bytes(&first).await;
    fails(&victim, &mut attacker, TransportError::TransportParameterError).await;
}

/// One of its own parameters is wrong.
async fn refuses_parameters(change: impl FnOnce(&mut TransportParameters<'_>)) {
    refuses_to_hear(|id| {
        let mut ours = honest(id);
        change(&mut ours);
        parameters(&ours)
    })
    .await;
}

/// Such as would be right, and some bytes behind them.
async fn refuses_parameters_with(more: impl FnOnce(&mut Writer<'_>)) {
    refuses_to_hear(|id| {
        let mut room = [0; 64];
        let mut writer = Writer::new(&mut room);
        more(&mut writer);
        [&parameters(&honest(id))[..], writer.written()].concat()
    })
    .await;
}

/// A ClientHello that is wrong.
async fn refuses_hello(change: impl FnOnce(&[u8]) -> Vec<u8>, error: TransportError) {
    let victim = Counted::new();
    let mut attacker = Attacker::new(victim.address, victim.trust.attackers());
    attacker.hello = change(&attacker.hello);
    let first = attacker.first();
    attacker.send_bytes(&first).await;
    fails(&victim, &mut attacker, error).await;
}

/// In the place of its Finished, a client says something else.
async fn refuses_finished(change: impl FnOnce(&[u8]) -> Vec<u8>, error: TransportError) {
    let victim = Counted::new();
    let mut attacker = Attacker::new(victim.address, victim.trust.attackers());
    attacker.shake().await;
    let words = change(&attacker.finished);
    let payload = attacker.crypto(PacketType::Handshake, &words);
    attacker.send(PacketType::Handshake, payload).await;
    fails(&victim, &mut attacker, error).await;
}

/// In the middle of the handshake, a client sends a packet that is wrong.
async fn refuses_amid(draft: Draft, error: TransportError) {
    let victim = Counted::new();
    let mut attacker = Attacker::new(victim.address, victim.trust.attackers());
    attacker.shake().await;
    attacker.send_draft(&draft).await;
    fails(&victim, &mut attacker, error).await;
}

async fn fails(victim: &Counted, attacker: &mut Attacker, error: TransportError) {
    assert_eq!(attacker.closed().await.error, error);
    victim.serves().await;
    let stats = victim.server.stats();
    assert_eq!((stats.handshakes_failed, stats.accepted), (1, 1));
}

mod transport_parameters_of_clients {
    use super::*;

    #[tokio::test]
    async fn say_from_where_the_first_packet_came() {
        // RFC 9000, 7.3.
        refuses_parameters(|ours| ours.initial_source_connection_id = None).await;
        refuses_parameters(|ours| ours.initial_source_connection_id = Some(b"somebody")).await;
    }

    #[tokio::test]
    async fn say_nothing_that_is_a_servers_to_say() {
        // RFC 9000, 18.2.
        refuses_parameters(|ours| ours.original_destination_connection_id = Some(b"original")).await;
        refuses_parameters(|ours| ours.retry_source_connection_id = Some(b"retry")).await;
        refuses_parameters(|ours| ours.stateless_reset_token = Some(&[7; 16])).await;
        refuses_parameters(|ours| {
            ours.preferred_address = Some(PreferredAddress {
                ipv4: Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 443)),
                ipv6: None,
                connection_id: b"elsewhere",
                stateless_reset_token: &[7; 16],
            });
        })
        .await;
    }

    #[tokio::test]
    async fn are_within_their_limits() {
        // RFC 9000, 18.2.
        refuses_parameters(|ours| ours.max_udp_payload_size = 1199).await;
        refuses_parameters(|ours| ours.ack_delay_exponent = 21).await;
        refuses_parameters(|ours| ours.max_ack_delay = 1 << 14).await;
        refuses_parameters(|ours| ours.active_connection_id_limit = 1).await;
        // RFC 9000, 4.6.
        refuses_parameters(|ours| ours.initial_max_streams_bidi = StreamId::COUNT_MAX + 1).await;
        refuses_parameters(|ours| ours.initial_max_streams_uni = StreamId::COUNT_MAX + 1).await;
    }

    #[tokio::test]
    async fn are_well_formed_and_given_once() {
        // RFC 9000, 7.4.
        refuses_parameters_with(|more| write_integer(more, ids::INITIAL_MAX_DATA, 1).unwrap()).await;
        refuses_parameters_with(|more| write_parameter(more, ids::MAX_IDLE_TIMEOUT, b"\x01\x01").unwrap())
            .await;
        refuses_parameters_with(|more| {
            write_parameter(more, ids::DISABLE_ACTIVE_MIGRATION, b"\x01").unwrap();
        })
        .await;
        refuses_parameters_with(|more| more.bytes(b"\x01\x04\x01").unwrap()).await;
    }

    #[tokio::test]
    async fn may_be_unknown() {
        // RFC 9000, 7.4.2 and 18.1.
        let victim = Victim::new();
        let (config, from) = (Arc::new(victim.trust.attackers()), Ipv4Addr::LOCALHOST.into());
        let say = |id: &[u8]| [&parameters(&honest(id))[..], b"\x1b\x03abc\x7f\xff\0"].concat();
        let mut attacker = Attacker::with(victim.address, config, from, b"attacker", say);
        attacker.shake().await;
        attacker.finish().await;
    }
}

mod handshakes {
    use super::*;

    /// TLS's alerts (RFC 8446, 6; RFC 9001, 4.8).
    const UNEXPECTED_MESSAGE: TransportError = TransportError::CryptoError(10);
    const DECODE_ERROR: TransportError = TransportError::CryptoError(50);
    const DECRYPT_ERROR: TransportError = TransportError::CryptoError(51);
    const MISSING_EXTENSION: TransportError = TransportError::CryptoError(109);
    const NO_APPLICATION_PROTOCOL: TransportError = TransportError::CryptoError(120);

    /// A KeyUpdate that asks for one in return (RFC 8446, 4.6.3),
    const KEY_UPDATE: &[u8] = b"\x18\0\0\x01\x01";
    /// EndOfEarlyData (RFC 8446, 4.5),
    const END_OF_EARLY_DATA: &[u8] = b"\x05\0\0\0";
    /// and EncryptedExtensions without extensions, which only a server sends (RFC 8446, 4.3.1).
    const ENCRYPTED_EXTENSIONS: &[u8] = b"\x08\0\0\x02\0\0";

    /// Types of extensions.
    const ALPN: u16 = 16;
    const QUIC: u16 = 0x39;

    #[tokio::test]
    async fn agree_on_an_application() {
        // RFC 9001, 8.1.
        let other = |hello: &[u8]| {
            with_extensions(hello, |kind, content| match kind {
                ALPN => Some((ALPN, b"\0\x06\x05dummy".to_vec())),
                _ => Some((kind, content.to_vec())),
            })
        };
        refuses_hello(other, NO_APPLICATION_PROTOCOL).await;
        let none = |hello: &[u8]| {
            with_extensions(hello, |kind, content| (kind != ALPN).then(|| (kind, content.to_vec())))
        };
        refuses_hello(none, NO_APPLICATION_PROTOCOL).await;
    }

    #[tokio::test]
    async fn have_transport_parameters() {
        // RFC 9001, 8.2.
        let none = |hello: &[u8]| {
            with_extensions(hello, |kind, content| (kind != QUIC).then(|| (kind, content.to_vec())))
        };
        refuses_hello(none, MISSING_EXTENSION).await;
    }

    #[tokio::test]
    async fn may_number_transport_parameters_as_the_drafts_did() {
        // RFC 9001, 8.2, knows one number and would have this be a missing extension; rustls takes either.
        let victim = Counted::new();
        let mut attacker = Attacker::new(victim.address, victim.trust.attackers());
        attacker.hello = with_extensions(&attacker.hello, |kind, content| {
            Some((if kind == QUIC { 0xffa5 } else { kind }, content.to_vec()))
        });
        let first = attacker.first();
        attacker.send_bytes(&first).await;
        while !attacker.seen.contains(&types::CRYPTO) {
            attacker.receive().await;
        }
        assert_eq!(attacker.close, None);
        victim.serves().await;
    }

    #[tokio::test]
    async fn may_have_a_session_id() {
        // RFC 9001, 8.4: it should be a violation, and is none.
        let victim = Counted::new();
        let mut attacker = Attacker::new(victim.address, victim.trust.attackers());
        let (front, behind) = attacker.hello.split_at(4 + 2 + 32);
        let hello = [front, &[32], &[7; 32], &behind[1..]].concat();
        attacker.hello = with_extensions(&hello, |kind, content| Some((kind, content.to_vec())));
        let first = attacker.first();
        attacker.send_bytes(&first).await;
        attacker.receive().await;
        assert_eq!(attacker.close, None);
        victim.serves().await;
    }

    #[tokio::test]
    async fn begin_with_a_client_hello() {
        refuses_hello(|_| b"\x01\0\0\x04abcd".to_vec(), DECODE_ERROR).await;
        refuses_hello(|_| END_OF_EARLY_DATA.to_vec(), UNEXPECTED_MESSAGE).await;
    }

    #[tokio::test]
    async fn update_no_keys() {
        // RFC 9001, 6.
        refuses_finished(|finished| [finished, KEY_UPDATE].concat(), UNEXPECTED_MESSAGE).await;
        refuses_finished(|_| KEY_UPDATE.to_vec(), UNEXPECTED_MESSAGE).await;
        let (mut victim, mut attacker) = established().await;
        let payload = attacker.crypto(PacketType::OneRtt, KEY_UPDATE);
        attacker.send(PacketType::OneRtt, payload).await;
        ends(&mut victim, &mut attacker, UNEXPECTED_MESSAGE).await;
    }

    #[tokio::test]
    async fn do_not_tell_the_end_of_early_data() {
        // RFC 9001, 8.3.
        refuses_finished(|finished| [END_OF_EARLY_DATA, finished].concat(), UNEXPECTED_MESSAGE).await;
    }

    #[tokio::test]
    async fn end_with_a_finished_that_is_right() {
        let wrong = |finished: &[u8]| {
            let mut finished = finished.to_vec();
            *finished.last_mut().unwrap() ^= 1;
            finished
        };
        refuses_finished(wrong, DECRYPT_ERROR).await;
    }

    #[tokio::test]
    async fn are_not_in_early_data() {
        // RFC 9001, 8.3.
        let victim = Counted::with(Trust::new(), |server| server.early_data());
        let mut config = victim.trust.attackers();
        config.enable_early_data = true;
        let config = Arc::new(config);
        let client = || {
            let from = Ipv4Addr::LOCALHOST.into();
            Attacker::with(victim.address, config.clone(), from, b"attacker", |id| parameters(&honest(id)))
        };
        // It is given a ticket.
        let mut before = client();
        before.shake().await;
        before.finish().await;
        before.lives().await;
        let mut attacker = client();
        let hello = attacker.first();
        attacker.send_bytes(&hello).await;
        let payload = attacker.crypto(PacketType::ZeroRtt, ENCRYPTED_EXTENSIONS);
        attacker.send(PacketType::ZeroRtt, payload).await;
        fails(&victim, &mut attacker, TransportError::ProtocolViolation).await;
    }

    #[tokio::test]
    async fn are_not_longer_than_is_kept() {
        // RFC 9000, 7.5.
        let beyond = frame(Frame::Crypto { offset: 1 << 20, data: b"x" });
        refuses_amid(Draft::new(PacketType::Handshake, beyond.clone()), TransportError::CryptoBufferExceeded)
            .await;
        refuses(beyond, TransportError::CryptoBufferExceeded).await;
        // RFC 9000, 19.6, FRAME_ENCODING_ERROR or this.
        let last = frame(Frame::Crypto { offset: varint::MAX, data: b"x" });
        refuses(last, TransportError::CryptoBufferExceeded).await;
    }

    #[tokio::test]
    async fn do_not_go_back_to_the_first_keys() {
        // RFC 9001, 4.1.3.
        let more = frame(Frame::Crypto { offset: 1000, data: b"more" });
        refuses_amid(Draft::new(PacketType::Initial, more), TransportError::ProtocolViolation).await;
    }
}

mod packets {
    use super::*;

    const LONG_RESERVED: u8 = 0x0c;
    const SHORT_RESERVED: u8 = 0x18;

    fn ping(kind: PacketType) -> Draft {
        Draft::new(kind, frame(Frame::Ping))
    }

    #[tokio::test]
    async fn have_zeros_for_reserved_bits() {
        // RFC 9000, 17.2 and 17.3.1.
        for bits in [0x04, 0x08, LONG_RESERVED] {
            for kind in [PacketType::Initial, PacketType::Handshake] {
                refuses_amid(ping(kind).flip(bits), TransportError::ProtocolViolation).await;
            }
        }
        for bits in [0x08, 0x10, SHORT_RESERVED] {
            let (mut victim, mut attacker) = established().await;
            attacker.send_draft(&ping(PacketType::OneRtt).flip(bits)).await;
            ends(&mut victim, &mut attacker, TransportError::ProtocolViolation).await;
        }
    }

    #[tokio::test]
    async fn have_frames() {
        // RFC 9000, 12.4.
        refuses(b"", TransportError::ProtocolViolation).await;
        refuses_amid(Draft::new(PacketType::Handshake, b""), TransportError::ProtocolViolation).await;
    }

    #[tokio::test]
    async fn of_handshakes_have_few_types_of_frames() {
        // RFC 9000, 12.4 and 17.2.4.
        for payload in [
            frame(Frame::PathChallenge(b"01234567")),
            stream(BOTH_WAYS, 0, b"early", false),
            frame(Frame::MaxData { maximum: 1 << 20 }),
            frame(Frame::HandshakeDone),
            frame(Frame::NewToken { token: b"token" }),
            frame(Frame::Datagram { data: b"early", extent: Extent::Delimited }),
        ] {
            for kind in [PacketType::Initial, PacketType::Handshake] {
                refuses_amid(Draft::new(kind, payload.clone()), TransportError::ProtocolViolation).await;
            }
        }
    }

    #[tokio::test]
    async fn of_handshakes_may_end_an_application() {
        // RFC 9000, 12.5, would have this be a violation; the connection ends without a word of the server's instead.
        let victim = Counted::new();
        let mut attacker = Attacker::new(victim.address, victim.trust.attackers());
        attacker.shake().await;
        let close = frame(Frame::ApplicationClose { error_code: 7, reason: b"" });
        attacker.send(PacketType::Handshake, close).await;
        attacker.hears().await;
        victim.serves().await;
        assert_eq!(victim.server.stats().handshakes_failed, 1);
    }

    #[tokio::test]
    async fn that_were_never_sent_are_not_acknowledged() {
        // RFC 9000, 13.1.
        refuses(ack(1_000_000..=1_000_000), TransportError::ProtocolViolation).await;
        let draft = Draft::new(PacketType::Handshake, ack(1_000..=1_000));
        refuses_amid(draft, TransportError::ProtocolViolation).await;
    }

    #[tokio::test]
    async fn with_new_keys_come_behind_those_with_old_ones() {
        // RFC 9001, 6.4.
        let (mut victim, mut attacker) = established().await;
        attacker.send_draft(&ping(PacketType::OneRtt).number(100)).await;
        attacker.update_keys();
        attacker.send_draft(&ping(PacketType::OneRtt).number(99).phase(true)).await;
        ends(&mut victim, &mut attacker, TransportError::KeyUpdateError).await;
    }

    #[tokio::test]
    async fn have_new_keys_twice_only_if_the_first_were_acknowledged() {
        // RFC 9001, 6.2. Nobody acknowledges padding.
        let (mut victim, mut attacker) = established().await;
        for phase in [true, false] {
            attacker.update_keys();
            attacker.send_draft(&Draft::new(PacketType::OneRtt, [0; 20]).phase(phase)).await;
        }
        ends(&mut victim, &mut attacker, TransportError::KeyUpdateError).await;
    }

    #[tokio::test]
    async fn may_have_new_keys_once_the_first_were_acknowledged() {
        let (victim, mut attacker) = established().await;
        attacker.lives().await;
        attacker.update_keys();
        attacker.send_draft(&ping(PacketType::OneRtt).phase(true)).await;
        victim.serves().await;
        assert_eq!(attacker.close, None);
    }
}

mod streams {
    use super::*;

    #[tokio::test]
    async fn have_no_more_data_than_was_permitted() {
        // RFC 9000, 4.1.
        let error = TransportError::FlowControlError;
        refuses(stream(BOTH_WAYS, 100_000_000, b"GET /\r\n", true), error).await;
        let window = u64::from(Settings::DEFAULT.stream_window);
        refuses(stream(ONE_WAY, window, b"x", false), error).await;
        bears(stream(ONE_WAY, window - 1, b"x", false)).await;
        // RFC 9000, 4.5: a stream that is reset counts as if all of it had come.
        let reset = Frame::ResetStream { stream_id: ONE_WAY, error_code: 0, final_size: window + 1 };
        refuses(frame(reset), error).await;
        // RFC 9000, 19.8: FRAME_ENCODING_ERROR or this.
        refuses(stream(BOTH_WAYS, varint::MAX, b"x", false), error).await;
    }

    #[tokio::test]
    async fn together_have_no_more_data_than_was_permitted() {
        // RFC 9000, 4.1.
        let window = u64::from(Settings::DEFAULT.stream_window);
        let all = u64::from(Settings::DEFAULT.receive_window);
        let full = |index| StreamId::new(Side::Client, Direction::Unidirectional, index);
        let payload: Vec<u8> =
            (0..=all / window).flat_map(|index| stream(full(index), window - 1, b"x", false)).collect();
        refuses(payload, TransportError::FlowControlError).await;
    }

    #[tokio::test]
    async fn are_as_many_as_was_permitted() {
        // RFC 9000, 4.6.
        let error = TransportError::StreamLimitError;
        refuses(stream(TOO_MANY, 0, b"GET /\r\n", true), error).await;
        refuses(stream(StreamId(1_000_000_000), 0, b"GET /\r\n", true), error).await;
        refuses(frame(Frame::MaxStreamData { stream_id: TOO_MANY, maximum: 1 }), error).await;
        let reset = Frame::ResetStream { stream_id: TOO_MANY, error_code: 0, final_size: 0 };
        refuses(frame(reset), error).await;
        bears(stream(StreamId(TOO_MANY.0 - 4), 0, b"GET /\r\n", false)).await;
    }

    #[tokio::test]
    async fn of_the_servers_are_opened_by_it() {
        // RFC 9000, 19.4, 19.5, 19.8 and 19.10.
        let error = TransportError::StreamStateError;
        for stream_id in [SERVERS, StreamId(101)] {
            refuses(stream(stream_id, 0, b"", false), error).await;
            refuses(frame(Frame::StopSending { stream_id, error_code: 0 }), error).await;
            refuses(frame(Frame::MaxStreamData { stream_id, maximum: 1_000_000 }), error).await;
            refuses(frame(Frame::ResetStream { stream_id, error_code: 0, final_size: 0 }), error).await;
        }
    }

    #[tokio::test]
    async fn that_only_the_server_sends_on_have_nothing_of_ours() {
        // RFC 9000, 19.4, 19.8 and 19.13.
        let (stream_id, error) = (SERVERS_ONE_WAY, TransportError::StreamStateError);
        refuses(stream(stream_id, 0, b"", false), error).await;
        refuses(frame(Frame::ResetStream { stream_id, error_code: 0, final_size: 0 }), error).await;
        refuses(frame(Frame::StreamDataBlocked { stream_id, maximum: 0 }), error).await;
    }

    #[tokio::test]
    async fn that_only_we_send_on_ask_the_server_for_nothing() {
        // RFC 9000, 19.5 and 19.10.
        let (stream_id, error) = (ONE_WAY, TransportError::StreamStateError);
        refuses(frame(Frame::StopSending { stream_id, error_code: 0 }), error).await;
        refuses(frame(Frame::MaxStreamData { stream_id, maximum: 1_000_000 }), error).await;
    }

    #[tokio::test]
    async fn end_once() {
        // RFC 9000, 4.5.
        let error = TransportError::FinalSizeError;
        let end = stream(ONE_WAY, 0, b"1234", true);
        let reset = |final_size| frame(Frame::ResetStream { stream_id: ONE_WAY, error_code: 0, final_size });
        refuses([&end[..], &stream(ONE_WAY, 4, b"5", false)].concat(), error).await;
        refuses([&end[..], &stream(ONE_WAY, 0, b"123", true)].concat(), error).await;
        refuses([&end[..], &reset(5)].concat(), error).await;
        refuses([&stream(ONE_WAY, 0, b"1234", false)[..], &reset(3)].concat(), error).await;
        refuses([&reset(4)[..], &reset(5)].concat(), error).await;
        // Not so what comes when all has come or does not matter any more, which the RFC leaves open.
        bears([&reset(4)[..], &stream(ONE_WAY, 4, b"5", false)].concat()).await;
    }

    #[tokio::test]
    async fn in_crumbs_are_more_than_is_kept() {
        // Each takes more room than the bytes in it: INTERNAL_ERROR (RFC 9000, 11).
        let (mut victim, mut attacker) = established().await;
        let crumbs: Vec<u64> = (1..10_000).step_by(2).collect();
        for some in crumbs.chunks(100) {
            let payload: Vec<u8> = some.iter().flat_map(|at| stream(ONE_WAY, *at, b"x", false)).collect();
            attacker.send(PacketType::OneRtt, payload).await;
            attacker.listens().await;
            if attacker.close.is_some() {
                break;
            }
        }
        ends(&mut victim, &mut attacker, TransportError::InternalError).await;
    }

    #[tokio::test]
    async fn beyond_what_is_permitted_are_overlooked_in_two_types_of_frames() {
        // RFC 9000, 4.6, has STREAM_LIMIT_ERROR for these too; they change nothing, and quinn-proto looks no further.
        bears(frame(Frame::StopSending { stream_id: TOO_MANY, error_code: 0 })).await;
        bears(frame(Frame::StreamDataBlocked { stream_id: TOO_MANY, maximum: 0 })).await;
    }
}

mod frames {
    use super::*;

    const MALFORMED: TransportError = TransportError::FrameEncodingError;

    fn new_connection_id(sequence_number: u64, retire_prior_to: u64, connection_id: &[u8]) -> Vec<u8> {
        frame(Frame::NewConnectionId {
            sequence_number,
            retire_prior_to,
            connection_id,
            stateless_reset_token: &[sequence_number as u8; 16],
        })
    }

    #[tokio::test]
    async fn are_of_known_types() {
        // RFC 9000, 12.4.
        for unknown in [0x20, 0x21, 0x2f, 0x32, 0xbaba_baba] {
            refuses(varints(&[unknown]), MALFORMED).await;
        }
        let draft = Draft::new(PacketType::Handshake, varints(&[0x20]));
        refuses_amid(draft, MALFORMED).await;
    }

    #[tokio::test]
    async fn are_whole() {
        // RFC 9000, 12.4: a frame ends within its packet.
        for cut in [
            varints(&[types::RESET_STREAM, 0, 0]),
            varints(&[types::STOP_SENDING, 0]),
            varints(&[types::CRYPTO, 0, 5]),
            varints(&[types::STREAM | types::STREAM_LEN, 0, 60]),
            varints(&[types::MAX_DATA]),
            varints(&[types::MAX_STREAM_DATA, 0]),
            varints(&[types::NEW_CONNECTION_ID, 1, 0]),
            varints(&[types::PATH_CHALLENGE, 1, 2, 3]),
            varints(&[types::CONNECTION_CLOSE, 0, 0, 9]),
            varints(&[types::DATAGRAM | types::DATAGRAM_LEN, 60]),
            varints(&[types::ACK, 0, 0, 200, 0]),
        ] {
            refuses(cut, MALFORMED).await;
        }
    }

    #[tokio::test]
    async fn of_acknowledgements_go_down_to_zero_at_most() {
        // RFC 9000, 19.3.1.
        refuses(varints(&[types::ACK, 0, 0, 0, 1]), MALFORMED).await;
        refuses(varints(&[types::ACK, 5, 0, 1, 0, 4, 0]), MALFORMED).await;
    }

    #[tokio::test]
    async fn of_servers_are_not_sent_by_clients() {
        // RFC 9000, 19.7 and 19.20.
        refuses(frame(Frame::HandshakeDone), TransportError::ProtocolViolation).await;
        refuses(frame(Frame::NewToken { token: b"DUMMY" }), TransportError::ProtocolViolation).await;
    }

    #[tokio::test]
    async fn about_numbers_of_streams_say_what_there_can_be() {
        // RFC 9000, 19.11 and 19.14.
        let maximum = StreamId::COUNT_MAX + 1;
        for direction in [Direction::Bidirectional, Direction::Unidirectional] {
            refuses(frame(Frame::MaxStreams { direction, maximum }), MALFORMED).await;
            refuses(frame(Frame::StreamsBlocked { direction, maximum }), MALFORMED).await;
            bears(frame(Frame::MaxStreams { direction, maximum: maximum - 1 })).await;
        }
    }

    #[tokio::test]
    async fn with_connection_ids_are_well_formed() {
        // RFC 9000, 19.15.
        refuses(new_connection_id(1, 2, b"another"), MALFORMED).await;
        refuses(new_connection_id(1, 0, b""), MALFORMED).await;
        refuses(new_connection_id(1, 0, &[1; 21]), MALFORMED).await;
        bears(new_connection_id(1, 0, b"another!")).await;
    }

    #[tokio::test]
    async fn bring_no_more_connection_ids_than_wanted() {
        // RFC 9000, 5.1.1.
        let many: Vec<u8> = (1..30).flat_map(|n| new_connection_id(n, 0, &[b'a' + n as u8; 8])).collect();
        refuses(many, TransportError::ConnectionIdLimitError).await;
    }

    #[tokio::test]
    async fn bring_no_connection_ids_where_there_are_none() {
        // RFC 9000, 19.15.
        let mut victim = Victim::new();
        let (config, from) = (Arc::new(victim.trust.attackers()), Ipv4Addr::LOCALHOST.into());
        let mut attacker = Attacker::with(victim.address, config, from, b"", |id| parameters(&honest(id)));
        attacker.shake().await;
        attacker.finish().await;
        attacker.send(PacketType::OneRtt, new_connection_id(1, 0, b"another")).await;
        ends(&mut victim, &mut attacker, TransportError::ProtocolViolation).await;
    }

    #[tokio::test]
    async fn retire_connection_ids_that_were_issued() {
        // RFC 9000, 19.16.
        refuses(
            frame(Frame::RetireConnectionId { sequence_number: 1_000 }),
            TransportError::ProtocolViolation,
        )
        .await;
    }

    #[tokio::test]
    async fn with_datagrams_are_as_long_as_was_permitted() {
        // RFC 9221, 3.
        for datagram_buffer in [0, 100] {
            let settings = Settings { datagram_buffer, ..Settings::DEFAULT };
            let mut victim = Victim::with(|server| server.settings(settings));
            let mut attacker = Attacker::established(victim.address, victim.trust.attackers()).await;
            let datagram = Frame::Datagram { data: &[1; 200], extent: Extent::ToEnd };
            attacker.send(PacketType::OneRtt, frame(datagram)).await;
            ends(&mut victim, &mut attacker, TransportError::ProtocolViolation).await;
        }
    }

    #[tokio::test]
    async fn may_answer_a_challenge_that_was_not_made() {
        // RFC 9000, 19.18: it may be a violation, and is none.
        bears(frame(Frame::PathResponse(b"01234567"))).await;
    }

    #[tokio::test]
    async fn may_be_longer_than_need_be_in_their_type() {
        // RFC 9000, 12.4: it may be a violation, and is none.
        bears(b"\x40\x01").await;
    }
}
