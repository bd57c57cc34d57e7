//! `netloom bench` against servers that are right, wrong, silent and gone.

mod program;

use std::io::Read;
use std::net::Shutdown;
use std::process::Output;

use program::{Serving, echo, run, server};

fn json(output: &Output) -> serde_json::Value {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

fn short<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["bench", url, "--json", "--duration", "0.3", "--warmup", "0"], more].concat()
}

#[test]
fn a_right_server_gets_a_report_whose_figures_agree() {
    let serving = Serving::start(&[]);
    let output = run(&short(serving.url(), &["--connections", "5", "--in-flight", "3"]), "");
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(output.stderr.is_empty());
    for (name, value) in [
        ("connections", 5),
        ("in_flight", 3),
        ("size", 64),
        ("mismatches", 0),
        ("failed_connections", 0),
        ("errors", 0),
    ] {
        assert_eq!(report[name], value, "{report}");
    }
    assert_eq!((&report["url"], &report["seconds"]), (&serving.url().into(), &0.3.into()));
    let [messages, rate] = ["messages", "rate"].map(|name| report[name].as_f64().unwrap());
    assert!(messages > 0.0 && (rate * 0.3 - messages).abs() < 1.0, "{report}");
    let latency =
        ["p50", "p90", "p99", "p99_9", "max"].map(|name| report["latency_us"][name].as_f64().unwrap());
    assert!(latency[0] > 0.0 && latency.is_sorted(), "{report}");
}

#[test]
fn a_number_of_messages_on_each_connection_is_kept_to() {
    let serving = Serving::start(&[]);
    // Empty; shorter than a name; a little longer; longer than any queue, with more in flight than the
    // system's buffers hold.
    for (size, messages, in_flight) in [("0", 100, "7"), ("5", 100, "7"), ("13", 100, "7"), ("1M", 40, "20")]
    {
        let count = messages.to_string();
        let args = ["bench", serving.url(), "--json", "-c", "3", "-m", &count, "-s", size, "-n", in_flight];
        let output = run(&args, "");
        let report = json(&output);
        assert_eq!(
            (output.status.code(), &report["messages"]),
            (Some(0), &(3 * messages).into()),
            "{report}"
        );
    }
}

#[test]
fn one_wrong_byte_is_found() {
    let url = server(|stream| {
        echo(stream, |before, bytes| {
            let at = 5_000_u64.checked_sub(before).and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1;
            }
        })
    });
    // Byte 5,000 lies in a message of 64 bytes, not in its length: 73 messages of 68, then 36.
    let output = run(&["bench", &url, "--json", "-c", "2", "-m", "200"], "");
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    assert_eq!((&report["mismatches"], &report["errors"]), (&2.into(), &0.into()), "{report}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("netloom: {url}: 2 wrong answers\n"));
}

#[test]
fn a_silent_server_is_given_up() {
    let silent = server(|mut stream| stream.read_to_end(&mut Vec::new()).map(drop));
    let output = run(&short(&silent, &["--connections", "3", "--patience", "0.3"]), "");
    let report = json(&output);
    assert_eq!(
        (output.status.code(), &report["errors"], &report["messages"]),
        (Some(1), &3.into(), &0.into())
    );
    assert!(report["first_error"].as_str().unwrap().contains("missing"), "{report}");
    // And in the other mode, which has no time of its own.
    let output = run(&["bench", &silent, "--json", "-c", "1", "-m", "1", "--patience", "0.3"], "");
    assert_eq!((output.status.code(), &json(&output)["errors"]), (Some(1), &1.into()));
}

#[test]
fn a_server_that_hangs_up_is_an_error() {
    let url = server(|stream| stream.shutdown(Shutdown::Both));
    let output = run(&short(&url, &["--connections", "2"]), "");
    let report = json(&output);
    assert_eq!((output.status.code(), &report["errors"]), (Some(1), &2.into()), "{report}");
}

#[test]
fn people_get_a_table() {
    let serving = Serving::start(&[]);
    let output = run(&["bench", serving.url(), "--connections", "1", "--messages", "10"], "");
    let table = String::from_utf8(output.stdout).unwrap();
    for part in [serving.url(), "10 in ", "p99.9", "wrong answers"] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
}
