//! `netloom inspect`, as its users run it, with the packets of RFC 9001, Appendix A.

mod program;

use std::fs;
use std::path::Path;

use program::{json, one_line, run, text};
use serde_json::json;

/// RFC 9001, A.3 and A.4.
const SERVER_INITIAL: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";
const RETRY: &str = "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba";
/// RFC 9001, A.2: where the client's first packet went.
const TO: &str = "8394c8f03e515708";

/// RFC 9001, A.2, with a byte in front that is none of it.
fn client_initial() -> Vec<u8> {
    let corpus =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/quic_packet/client-initial");
    fs::read(corpus).unwrap()[1..].to_vec()
}

#[test]
fn a_clients_first_packet_is_opened() {
    let output = run(&["inspect"], client_initial());
    assert_eq!(
        text(&output),
        "Initial at=0 bytes=1200 version=0x00000001 destination_connection_id=8394c8f03e515708 \
         source_connection_id=- token=- sender=client packet_number=2\n  CRYPTO offset=0 length=241\n  \
         PADDING length=917\n"
    );
}

#[test]
fn a_servers_packet_is_opened_when_it_is_told_what_it_answers() {
    let output = run(&["inspect", SERVER_INITIAL, "--original-id", TO, "--json"], "");
    let document = json(text(&output).as_bytes());
    let packet = &document["packets"][0];
    assert_eq!(packet["sender"], "server");
    let ack = json!({ "type": "ACK", "ranges": [[0, 0]], "delay": 0 });
    assert_eq!(packet["frames"], json!([ack, { "type": "CRYPTO", "offset": 0, "length": 90 }]));
    let output = text(&run(&["inspect", SERVER_INITIAL], ""));
    assert!(output.ends_with(" protected=true\n"), "{output}");
}

#[test]
fn a_retry_is_authentic_or_not() {
    for (id, authentic) in [(TO, "true"), ("00", "false")] {
        let output = text(&run(&["inspect", RETRY, "--original-id", id], ""));
        assert!(
            output.starts_with("Retry at=0 bytes=36 ") && output.contains(" token=746f6b656e "),
            "{output}"
        );
        assert!(output.ends_with(&format!(" authentic={authentic}\n")), "{output}");
    }
}

#[test]
fn packets_side_by_side_and_what_cannot_be_opened_are_told() {
    let datagram = "e0 00000001 00 00 16 ".to_owned() + &"00".repeat(22) + "40 0102" + &"33".repeat(30);
    let output = text(&run(&["inspect", "--id-length", "2"], datagram));
    let lines: Vec<_> = output.lines().collect();
    assert!(
        lines[0].starts_with("Handshake at=0 bytes=30 ") && lines[0].ends_with(" protected=true"),
        "{output}"
    );
    assert!(lines[1].starts_with("1-RTT at=30 bytes=33 destination_connection_id=0102 "), "{output}");
    let output = text(&run(&["inspect", "80 00000000 00 00 00000001 1a2a3a4a"], ""));
    assert!(output.ends_with(" versions=[\"0x00000001\",\"0x1a2a3a4a\"]\n"), "{output}");
}

#[test]
fn what_is_wrong_is_one_line_and_a_failure() {
    for (datagram, wrong) in [
        ("c0000000", "at byte 0: the packet is cut short"),
        ("c0000000020000", "at byte 0: the version is not known"),
    ] {
        let line = one_line(&run(&["inspect", datagram], ""), 1);
        assert!(line.contains(wrong), "{line}");
    }
    assert!(one_line(&run(&["inspect"], ""), 1).contains("there is no datagram"));
    let output = run(&["inspect", "00".repeat(30).as_str()], "");
    assert!(one_line(&output, 1).contains("the fixed bit is 0"));
    assert_eq!(run(&["inspect", "hello"], "").status.code(), Some(2));
}
