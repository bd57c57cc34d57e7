//! `netloom serve`, `connect` and `bench` over TLS, with each other and with curl.

mod program;

use std::process::Command;

use program::{Folder, Serving, connect, json, netloom, one_line, run, text};

fn pin(serving: &Serving) -> String {
    serving.report["pin"].as_str().unwrap().to_owned()
}

fn url(serving: &Serving, protocol: &str, path: &str) -> String {
    format!("{}{path}", serving.endpoint(protocol)["url"].as_str().unwrap())
}

#[test]
fn what_is_served_is_served_over_tls_too_and_known_by_its_pin() {
    let serving = Serving::start(&[]);
    let pin = pin(&serving);
    assert_eq!(text(&run(&["connect", &url(&serving, "tls", ""), "--pin", &pin], "a\nb\n")), "a\nb\n");
    let https = url(&serving, "https", "plaintext");
    assert_eq!(text(&connect(&[&https, "--pin", &pin])), "Hello, World!");
    assert_eq!(text(&connect(&[&https, "--insecure"])), "Hello, World!");
    let wss = url(&serving, "https", "ws").replace("https://", "wss://");
    assert_eq!(text(&run(&["connect", &wss, "--pin", &pin], "a\nb\n")), "a\nb\n");
    let Ok(curl) = Command::new("curl").args(["-ksS", "--pinnedpubkey", &pin, &https]).output() else {
        return println!("skipped: there is no curl");
    };
    assert_eq!(text(&curl), "Hello, World!");
}

#[test]
fn who_is_not_trusted_is_told_with_the_way_out() {
    let serving = Serving::start(&[]);
    let (tls, https) = (url(&serving, "tls", ""), url(&serving, "https", ""));
    for url in [&tls, &https, &https.replace("https://", "wss://")] {
        let line = one_line(&run(&["connect", url], ""), 3);
        assert!(line.contains("unknown_authority (-688)") && line.contains("--pin"), "{line}");
    }
    let other = format!("sha256//{}=", "A".repeat(43));
    let line = one_line(&run(&["connect", &tls, "--pin", &other], ""), 3);
    assert!(line.contains("wrong_pin (-693)"), "{line}");
    // What is not secured does not speak TLS.
    let plain = url(&serving, "tcp", "").replace("tcp://", "tls://");
    assert_eq!(run(&["connect", &plain, "--insecure"], "").status.code(), Some(3));
}

#[test]
fn a_certificate_of_ones_own_is_shown_and_a_client_must_show_one_if_it_is_told_so() {
    let folder = Folder::new("tls");
    let made = |host: &str| rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let (server, client) = (made("127.0.0.1"), made("client"));
    let file = |name: &str, content: String| {
        folder.file(name, &content);
        format!("{}/{name}", folder.path())
    };
    let (cert, key) = (file("s.pem", server.cert.pem()), file("s.key", server.signing_key.serialize_pem()));
    let (own, own_key) =
        (file("c.pem", client.cert.pem()), file("c.key", client.signing_key.serialize_pem()));
    let serving = Serving::start(&["--cert", &cert, "--key", &key, "--client-ca", &own]);
    assert!(serving.report.get("pin").is_none());
    let https = url(&serving, "https", "plaintext");
    let shown = connect(&[&https, "--ca", &cert, "--cert", &own, "--key", &own_key]);
    assert_eq!(text(&shown), "Hello, World!");
    let line = one_line(&connect(&[&https, "--ca", &cert]), 3);
    assert!(line.contains("certificate_required (-694)") && line.contains("--cert"), "{line}");
    let bad = file("bad.pem", "-----BEGIN CERTIFICATE-----\nMIIB!\n-----END CERTIFICATE-----\n".to_owned());
    let line = one_line(
        &netloom(&["serve", "--tcp", "0", "--http", "0", "--cert", &bad, "--key", &key]).output().unwrap(),
        2,
    );
    assert!(line.contains("bad.pem:1: "), "{line}");
}

#[test]
fn loads_are_measured_over_tls() {
    let serving = Serving::start(&[]);
    let wss = url(&serving, "https", "ws").replace("https://", "wss://");
    for url in [url(&serving, "tls", ""), url(&serving, "https", "plaintext"), wss] {
        let report =
            json(&run(&["bench", &url, "--insecure", "-c", "3", "--messages", "100", "--json"], "").stdout);
        assert_eq!(report["mismatches"], 0, "{report}");
    }
}
