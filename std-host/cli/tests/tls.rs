//! `netloom serve`, `connect` and `bench` over TLS, with each other and with curl.

mod program;

use std::process::Command;

use program::{Folder, Serving, connect, json, netloom, one_line, run, text};

#[test]
fn what_is_served_is_served_over_tls_too_and_known_by_its_pin() {
    let serving = Serving::start(&[]);
    let pin = serving.pin();
    assert_eq!(text(&run(&["connect", &serving.url_of("tls", ""), "--pin", pin], "a\nb\n")), "a\nb\n");
    let https = serving.url_of("https", "plaintext");
    assert_eq!(text(&connect(&[&https, "--pin", pin])), "Hello, World!");
    assert_eq!(text(&connect(&[&https, "--insecure"])), "Hello, World!");
    let wss = serving.url_of("https", "ws").replace("https://", "wss://");
    assert_eq!(text(&run(&["connect", &wss, "--pin", pin], "a\nb\n")), "a\nb\n");
    let Ok(curl) = Command::new("curl").args(["-ksS", "--pinnedpubkey", pin, &https]).output() else {
        return println!("skipped: there is no curl");
    };
    assert_eq!(text(&curl), "Hello, World!");
}

#[test]
fn who_is_not_trusted_is_told_with_the_way_out() {
    let serving = Serving::start(&[]);
    let (tls, https) = (serving.url_of("tls", ""), serving.url_of("https", ""));
    for url in [&tls, &https, &https.replace("https://", "wss://")] {
        let line = one_line(&run(&["connect", url], ""), 3);
        assert!(line.contains("unknown_authority (-688)") && line.contains("--pin"), "{line}");
    }
    let other = format!("sha256//{}=", "A".repeat(43));
    let line = one_line(&run(&["connect", &tls, "--pin", &other], ""), 3);
    assert!(line.contains("wrong_pin (-693)"), "{line}");
    // What is not secured does not speak TLS.
    let plain = serving.url_of("tcp", "").replace("tcp://", "tls://");
    assert_eq!(run(&["connect", &plain, "--insecure"], "").status.code(), Some(3));
}

#[test]
fn a_certificate_of_ones_own_is_shown_and_a_client_must_show_one_if_it_is_told_so() {
    let folder = Folder::new("tls");
    let ([cert, key], [own, own_key]) = (folder.self_signed("127.0.0.1"), folder.self_signed("client"));
    let serving = Serving::start(&["--cert", &cert, "--key", &key, "--client-ca", &own]);
    assert!(serving.report.get("pin").is_none());
    let https = serving.url_of("https", "plaintext");
    let shown = connect(&[&https, "--ca", &cert, "--cert", &own, "--key", &own_key]);
    assert_eq!(text(&shown), "Hello, World!");
    let line = one_line(&connect(&[&https, "--ca", &cert]), 3);
    assert!(line.contains("certificate_required (-694)") && line.contains("--cert"), "{line}");
    let bad = folder.file("bad.pem", "-----BEGIN CERTIFICATE-----\nMIIB!\n-----END CERTIFICATE-----\n");
    let line = one_line(
        &netloom(&["serve", "--tcp", "0", "--http", "0", "--cert", &bad, "--key", &key]).output().unwrap(),
        2,
    );
    assert!(line.contains("bad.pem:1: "), "{line}");
}

#[test]
fn who_is_on_a_revocation_list_is_refused_until_the_list_is_another() {
    let folder = Folder::new("crl");
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let ca = folder.file("ca.pem", authority.pem());
    let made = |name: &str, number: u64| {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.serial_number = Some(number.into());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let files = [("pem", certificate.pem()), ("key", key.serialize_pem())];
        files.map(|(what, text)| folder.file(&format!("{number}.{what}"), text))
    };
    let list = |name: &str, numbers: &[u64]| {
        let (from, until) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2099, 1, 1));
        let revoked = |number: &u64| rcgen::RevokedCertParams {
            serial_number: (*number).into(),
            revocation_time: from,
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: from,
            next_update: until,
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        folder.file(name, list.signed_by(&authority).unwrap().pem().unwrap())
    };
    let ([cert, key], [own, own_key]) = (made("127.0.0.1", 1), made("client", 2));
    let (nobody, server) = (list("nobody.crl", &[]), list("server.crl", &[1]));
    let crl = list("clients.crl", &[2]);
    let options = ["--cert", &cert, "--key", &key, "--client-ca", &ca, "--crl", &crl];
    let serving = Serving::start(&options);
    let https = serving.url_of("https", "plaintext");
    let asking = [&*https, "--ca", &ca, "--cert", &own, "--key", &own_key];
    let line = one_line(&connect(&[&asking[..], &["--crl", &server]].concat()), 3);
    assert!(line.contains("certificate_revoked (-698)"), "{line}");
    let line = one_line(&connect(&asking), 3);
    assert!(line.contains("certificate_refused (-695)"), "{line}");
    #[cfg(unix)]
    {
        list("clients.crl", &[3]);
        let pid = rustix::process::Pid::from_child(&serving.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        let asking = [&asking[..], &["--crl", &nobody]].concat();
        let begun = std::time::Instant::now();
        while connect(&asking).status.code() != Some(0) {
            assert!(begun.elapsed() < std::time::Duration::from_secs(20), "the list is not read again");
        }
        assert_eq!(text(&connect(&asking)), "Hello, World!");
    }
    let line = one_line(&connect(&[&https, "--ca", &ca, "--crl", &ca]), 2);
    assert!(line.contains("ca.pem: there is no revocation list in it"), "{line}");
}

#[test]
fn loads_are_measured_over_tls() {
    let serving = Serving::start(&[]);
    let wss = serving.url_of("https", "ws").replace("https://", "wss://");
    for url in [serving.url_of("tls", ""), serving.url_of("https", "plaintext"), wss] {
        let report =
            json(&run(&["bench", &url, "--insecure", "-c", "3", "--messages", "100", "--json"], "").stdout);
        assert_eq!(report["mismatches"], 0, "{report}");
    }
}
