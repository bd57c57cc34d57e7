//! The program `compare`, run as a user does, with little to do.

use std::process::{Command, Output};

use serde_json::Value;

fn compare(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare")).args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = compare(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn all_peers_echo_and_are_measured() {
    let report = json(&[
        "tcp",
        "--json",
        "--quick",
        "--rounds",
        "1",
        "--sizes",
        "64,8192",
        "--in-flight",
        "128",
        "--idle",
        "64",
    ]);
    let rows = report["rows"].as_array().unwrap();
    let peers = report["idle_bytes"].as_object().unwrap();
    assert!(peers.len() >= 3);
    assert_eq!(rows.len(), 2 * peers.len());
    for row in rows {
        assert!(row["rate"].as_f64().unwrap() > 0.0 && row["cpu_ns"].as_f64().unwrap() > 0.0, "{row}");
        assert!(peers.contains_key(row["peer"].as_str().unwrap()));
        if row["peer"] == "raw" {
            assert_eq!(row["ratio_to_raw"], 1.0);
        }
    }
}

#[test]
fn one_peer_is_compared_with_raw() {
    let report = json(&[
        "tcp",
        "--json",
        "--quick",
        "--rounds",
        "1",
        "--sizes",
        "64",
        "--in-flight",
        "1",
        "--idle",
        "0",
        "--only",
        "send",
    ]);
    let peers = report["rows"].as_array().unwrap().iter().map(|row| row["peer"].as_str().unwrap());
    assert!(peers.eq(["raw", "send"]));
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    let report = json(&["churn", "--json", "--only", "raw", "--cycles", "200"]);
    assert_eq!(report["cycles"], 200);
}

#[test]
fn every_session_of_many_is_answered() {
    let report = json(&["many", "--json", "--only", "forward", "--sessions", "300", "--messages", "2"]);
    assert_eq!((&report["sessions"], &report["answered"]), (&Value::from(300), &Value::from(600)));
}

#[test]
fn an_unknown_peer_is_named_in_the_error() {
    let output = compare(&["tcp", "--only", "nobody"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody"));
}

#[test]
fn http_servers_answer_and_are_measured_beside_hyper() {
    let report = json(&[
        "http", "--json", "--quick", "--rounds", "1", "--idle", "64", "--only", "raw", "--only", "hyper",
    ]);
    let rows = report["rows"].as_array().unwrap();
    let named = rows.iter().map(|row| (row["case"].as_str().unwrap(), row["peer"].as_str().unwrap()));
    assert!(named.eq([
        ("plaintext", "raw"),
        ("plaintext", "hyper"),
        ("pipelined", "raw"),
        ("pipelined", "hyper"),
    ]));
    for row in rows {
        assert!(row["rate"].as_f64().unwrap() > 0.0 && row["cpu_ns"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["ratio_to_hyper"].as_f64().unwrap() > 0.0 && row["instructions"].is_null(), "{row}");
        if row["peer"] == "hyper" {
            assert_eq!(row["ratio_to_hyper"], 1.0);
        }
    }
    assert!(report["idle_bytes"]["hyper"].as_u64().is_some());
}

#[test]
fn a_server_that_does_not_time_out_keeps_its_slow_clients() {
    let report = json(&["slow", "--json", "--only", "hyper", "--clients", "5", "--seconds", "1"]);
    assert_eq!((&report["clients"], &report["ended"]), (&Value::from(5), &Value::from(0)));
    // No round trip over loopback takes less than a microsecond.
    assert!(
        report["p99_before_us"].as_f64().unwrap() > 1.0 && report["p99_during_us"].as_f64().unwrap() > 1.0
    );
}

#[test]
fn websockets_echo_and_are_measured_plain_and_compressed() {
    let report = json(&[
        "ws",
        "--json",
        "--quick",
        "--rounds",
        "1",
        "--sizes",
        "64",
        "--deflate-sizes",
        "1024",
        "--in-flight",
        "1,16",
        "--idle",
        "64",
        "--only",
        "netloom",
        "--only",
        "netloom-deflate",
    ]);
    let rows = report["rows"].as_array().unwrap();
    let named = |peer: &'static str| rows.iter().filter(move |row| row["peer"] == peer);
    for (peer, cases) in [("netloom", ["64x1", "64x16"]), ("netloom-deflate", ["1024x1", "1024x16"])] {
        assert!(named(peer).map(|row| row["case"].as_str().unwrap()).eq(cases), "{peer}");
        assert!(report["idle_bytes"][peer].as_u64().is_some(), "{peer}");
    }
    for row in rows {
        assert!(row["rate"].as_f64().unwrap() > 0.0 && row["ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert!(named("tungstenite").count() == 2 && named("tungstenite").all(|row| row["ratio"] == 1.0));
}

#[test]
fn what_one_says_reaches_every_member() {
    let arguments = ["fanout", "--json", "--quick", "--rounds", "1", "--members", "20", "--sizes", "64"];
    let report = json(&[&arguments[..], &["--in-flight", "16", "--only", "netloom"]].concat());
    assert_eq!(report["members"], 20);
    let rows = report["rows"].as_array().unwrap();
    let peers = rows.iter().map(|row| row["peer"].as_str().unwrap());
    let mut peers = peers.collect::<Vec<_>>();
    peers.sort_unstable();
    assert_eq!(peers, ["bare", "netloom"]);
    assert!(rows.iter().all(|row| row["rate"].as_f64().unwrap() > 0.0 && row["case"] == "64x16"));
}

#[test]
fn tls_servers_shake_hands_echo_and_are_measured_beside_tokio_rustls() {
    let report = json(&["tls", "--json", "--quick", "--rounds", "1", "--idle", "32", "--only", "netloom"]);
    let rows = report["rows"].as_array().unwrap();
    let cases = ["received", "sent", "full", "full hybrid", "resumed", "resumed hybrid", "64x1", "64x16"];
    let expected = cases.iter().flat_map(|&case| [(case, "netloom"), (case, "tokio-rustls")]);
    let named = rows.iter().map(|row| (row["case"].as_str().unwrap(), row["peer"].as_str().unwrap()));
    assert!(named.eq(expected), "{rows:?}");
    for row in rows {
        assert!(row["rate"].as_f64().unwrap() > 0.0 && row["ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
    // Bulk and handshakes are also told in units of their own.
    assert_eq!(report["figures"].as_array().unwrap().len(), 2 * 6);
    assert!(report["idle_bytes"]["netloom"].as_u64().unwrap() > 0);
}

#[test]
fn quic_servers_answer_streams_and_are_measured_beside_quinn() {
    let arguments = ["quic", "--json", "--quick", "--rounds", "1", "--idle", "32"];
    let report = json(&[&arguments[..], &["--only", "netloom", "--only", "netloom-sessions"]].concat());
    let rows = report["rows"].as_array().unwrap();
    let cases = ["sent", "received", "1x64", "50x1", "256x1", "datagrams", "full", "resumed"];
    let peers = ["netloom", "netloom-sessions", "quinn"];
    let all = cases.iter().flat_map(|&case| peers.map(|peer| (case, peer)));
    // Sessions have no datagrams.
    let expected = all.filter(|&named| named != ("datagrams", "netloom-sessions"));
    let named = rows.iter().map(|row| (row["case"].as_str().unwrap(), row["peer"].as_str().unwrap()));
    assert!(named.eq(expected), "{rows:?}");
    for row in rows {
        assert!(row["rate"].as_f64().unwrap() > 0.0 && row["ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
    let figures = report["figures"].as_array().unwrap();
    // Of large streams also how large packets were.
    assert_eq!(figures.len(), rows.len() + 2 * peers.len());
    let full =
        |figure: &&Value| figure["unit"] == "bytes/datagram" && figure["figure"].as_f64() > Some(1_400.0);
    assert_eq!(figures.iter().filter(full).count(), 2 * peers.len());
    assert_eq!((&figures[0]["unit"], &figures[2]["ratio"]), (&Value::from("CPU s/GiB"), &Value::from(1.0)));
    assert!(report["idle_bytes"]["netloom-sessions"].as_u64().unwrap() > 0);
}
