//! The fuzz targets on their corpora and on seeded mutations of them: what of fuzzing needs no nightly compiler.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use netloom_lab::Random;

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "they are a crate of their own for cargo-fuzz")]
mod targets;

/// Mutations of each target's corpus.
const MUTATIONS: u64 = 3000;

/// What protocols are written in: where one of these comes or goes, meaning changes.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x7f",
    b"\xff",
    b"\xc3\xa9",
    b":",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"%",
    b"%2",
    b"%41",
    b"%c3%a9",
    b"+",
    b"-",
    b"--",
    b"/",
    b"?",
    b"#",
    b"*",
    b"0",
    b"1",
    b"9",
    b"f",
    b"18446744073709551615",
    b"ffffffffffffffff",
    b"chunked",
    b"close",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"HTTP/1.0",
    b"\r\n--xyz",
    b"\r\n--xyz--",
    b"\x81\x80\x00\x00\x00\x00",
    b"\x00\x80\x00\x00\x00\x00",
    b"\x89\x00",
    b"\xfe\x00\x7e",
    b"Sec-WebSocket-Version: 8\r\n",
    b"websocket",
    b"\x40\x00",
    b"\x80\0\0\x01",
    b"\xbf\xff\xff\xff",
    b"\xc0\0\0\0\0\0\0\x02",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    // Folders have no order.
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| corpus[random.below(corpus.len() as u64) as usize].clone();
    let mut data = any(random);
    for _ in 0..random.length(6) {
        let at = random.below(data.len() as u64 + 1) as usize;
        let end = (at + random.below(8) as usize).min(data.len());
        match random.below(6) {
            0 => _ = data.splice(at..end, []),
            1 => data.splice(at..at, data[at..end].to_vec()).for_each(drop),
            2 | 3 => {
                let word = WORDS[random.below(WORDS.len() as u64) as usize];
                data.splice(at..if random.chance(50) { at } else { end }, word.iter().copied());
            }
            4 if at < data.len() => data[at] ^= 1 << random.below(8),
            _ => {
                let other = any(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                data.splice(at.., other[from..].iter().copied());
            }
        }
    }
    data
}

#[test]
fn what_fuzzing_looks_for_is_not_found_in_mutations_either() {
    for (name, target) in targets::TARGETS {
        let corpus = corpus(name);
        let mut random = Random::new(1);
        let mutations = (0..MUTATIONS).map(|_| mutated(&corpus, &mut random));
        for data in corpus.iter().cloned().chain(mutations) {
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&data)));
            assert!(outcome.is_ok(), "{name} of b\"{}\"", data.escape_ascii());
        }
    }
}

#[test]
fn every_target_has_its_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    for (name, _) in targets::TARGETS {
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).expect("a program");
        assert!(program.contains(&format!("netloom_fuzz::{name}(data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
