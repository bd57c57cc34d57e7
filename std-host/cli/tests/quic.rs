//! `netloom serve`, `connect` and `bench` over QUIC, with each other.

mod program;

use std::process::Command;
use std::thread;
use std::time::Duration;

use program::{Folder, Serving, json, netloom, one_line, run, text};

#[test]
fn what_is_sent_comes_back_and_the_server_is_known_by_its_pin() {
    let serving = Serving::start(&[]);
    let quic = serving.url_of("quic", "");
    assert_eq!(text(&run(&["connect", &quic, "--pin", serving.pin()], "a\nbb\n")), "a\nbb\n");
    let long = format!("{}\n", "x".repeat(900_000));
    assert_eq!(text(&run(&["connect", &quic, "--insecure"], long.as_str())), long);
}

#[test]
fn the_way_to_the_server_is_measured_and_shown_to_who_asks() {
    let serving = Serving::start(&[]);
    let shown = |protocol: &str| {
        let url = serving.url_of(protocol, "");
        String::from_utf8(run(&["-v", "connect", &url, "--insecure"], "a\n").stderr).unwrap()
    };
    let (quic, tls) = (shown("quic"), shown("tls"));
    assert!(quic.contains("path: Some(PathStats { round_trip: "), "{quic}");
    assert!(tls.contains("round_trip: None, path: None"), "{tls}");
}

#[test]
fn who_is_not_trusted_or_speaks_something_else_is_told() {
    let serving = Serving::start(&[]);
    let quic = serving.url_of("quic", "");
    let line = one_line(&run(&["connect", &quic], ""), 3);
    assert!(line.contains("unknown_authority (-688)") && line.contains("--pin"), "{line}");
    let other = format!("sha256//{}=", "A".repeat(43));
    let line = one_line(&run(&["connect", &quic, "--pin", &other], ""), 3);
    assert!(line.contains("wrong_pin (-693)"), "{line}");
    let line = one_line(&run(&["connect", &format!("{quic}/nothing"), "--insecure"], ""), 3);
    assert!(line.contains("handshake_failed (-681)") && line.contains("0x178"), "{line}");
    // Nobody speaks QUIC there.
    let nobody = serving.url_of("http", "").replace("http://", "quic://").trim_end_matches('/').to_owned();
    let line = one_line(&run(&["connect", &nobody, "--insecure", "--timeout", "0.5"], ""), 3);
    assert!(line.contains("connection_timeout (-602)"), "{line}");
}

#[test]
fn who_chats_over_quic_chats_with_those_of_the_web() {
    let serving = Serving::start(&[]);
    let wss = serving.url_of("https", "chat").replace("https://", "wss://");
    let quic = serving.url_of("quic", "/chat");
    // Late joiners are told of what was said, so whoever comes second sees both.
    let web =
        thread::spawn(move || text(&run(&["connect", &wss, "--insecure", "--wait", "2"], "from the web\n")));
    thread::sleep(Duration::from_millis(500));
    let seen = text(&run(&["connect", &quic, "--insecure", "--until-quiet"], "from quic\n"));
    assert_eq!(seen, "from the web\nfrom quic\n");
    drop(web.join());
    let seen = text(&run(&["connect", &quic, "--insecure", "--until-quiet"], "later\n"));
    assert_eq!(seen, "from the web\nfrom quic\nlater\n");
}

#[test]
fn clients_show_certificates_where_they_must() {
    let folder = Folder::new("quic");
    let ([cert, key], [own, own_key]) = (folder.self_signed("127.0.0.1"), folder.self_signed("client"));
    let serving = Serving::start(&["--cert", &cert, "--key", &key, "--client-ca", &own]);
    let quic = serving.url_of("quic", "");
    let shown = run(&["connect", &quic, "--ca", &cert, "--cert", &own, "--key", &own_key], "a\n");
    assert_eq!(text(&shown), "a\n");
    // TLS 1.3 lets a client be done before the server has looked, so it is its session that fails.
    let line = one_line(&run(&["connect", &quic, "--ca", &cert], "a\n"), 1);
    assert!(line.contains("certificate_required (-694)"), "{line}");
}

#[test]
fn loads_are_measured_over_streams_and_datagrams() {
    let serving = Serving::start(&[]);
    let quic = serving.url_of("quic", "");
    let report = |more: &[&str]| {
        let common = ["bench", &quic, "--insecure", "-c", "3", "--messages", "50", "--json"];
        json(&run(&[&common, more].concat(), "").stdout)
    };
    let streams = report(&["--streams", "4"]);
    assert_eq!((&streams["mismatches"], &streams["connections"]), (&0.into(), &12.into()), "{streams}");
    assert_eq!(streams["messages"], 600);
    let datagrams = report(&["--datagrams"]);
    assert_eq!(datagrams["mismatches"], 0, "{datagrams}");
    let all = datagrams["messages"].as_u64().unwrap() + datagrams["lost"].as_u64().unwrap();
    assert_eq!(all, 150, "{datagrams}");
    for wrong in [&["--streams", "2"][..], &["--datagrams"]] {
        let tcp = serving.url_of("tcp", "");
        let line = one_line(&run(&[&["bench", &tcp], wrong].concat(), ""), 2);
        assert!(line.contains("quic://"), "{line}");
    }
}

#[test]
fn quic_can_be_left_out_and_has_a_port_of_its_own() {
    let serving = Serving::start(&["--no-quic"]);
    assert!(!serving.report.to_string().contains("quic://"), "{}", serving.report);
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut serve: Command = netloom(&["serve", "--tcp", "0", "--http", "0", "--quic", &port]);
    let line = one_line(&serve.output().unwrap(), 4);
    assert!(line.contains("bind_failed (-662)") && line.contains("--quic"), "{line}");
}
