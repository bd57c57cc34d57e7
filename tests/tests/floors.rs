//! The house rules that a compiler does not check: what may depend on what, and what a floor may use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Packages by floor. A package may depend on lower floors only: not up, and not sideways.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["netloom-core"]),
    (1, &["netloom-protocols"]),
    (2, &["netloom", "netloom-embedded", "netloom-demo", "netloom-board-drivers"]),
    (3, &["netloom-boards", "netloom-lab", "netloom-benches", "netloom-cli"]),
];

/// Firmware and fuzz targets are at the top without being listed.
const TOP: u8 = 3;

/// Folders whose sources forbid `unsafe`.
const SAFE: &[&str] = &["core", "protocols", "std-host", "embedded", "boards/app"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// Every file below `folder` that `wanted` chooses, but for what was built.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, wanted, found);
        } else if path.is_file() && wanted(&path) {
            found.push(path);
        }
    }
}

fn manifests() -> Vec<(PathBuf, toml::Table)> {
    let mut found = Vec::new();
    files(&root(), &|path| path.ends_with("Cargo.toml"), &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a manifest");
            (path, text.parse().expect("TOML"))
        })
        .collect()
}

fn floors() -> BTreeMap<&'static str, u8> {
    FLOORS.iter().flat_map(|(floor, names)| names.iter().map(|name| (*name, *floor))).collect()
}

/// The packages of every dependency table of `manifest`, for whatever use and target.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let tables = |table: &toml::Table| -> Vec<String> {
        ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|kind| table.get(*kind)?.as_table())
            .flatten()
            .map(|(name, value)| value.get("package").and_then(|p| p.as_str()).unwrap_or(name).to_owned())
            .collect()
    };
    let targets = manifest.get("target").and_then(|target| target.as_table());
    let targets = targets.into_iter().flat_map(|targets| targets.values());
    targets.filter_map(|target| target.as_table()).chain([manifest]).flat_map(tables).collect()
}

/// What of `manifest` breaks the order of the floors.
fn violations(manifest: &toml::Table) -> Vec<String> {
    let floors = floors();
    let Some(name) = manifest.get("package").and_then(|package| package.get("name")?.as_str()) else {
        return Vec::new();
    };
    let floor = floors.get(name).copied().unwrap_or(TOP);
    dependencies(manifest)
        .into_iter()
        .filter(|dependency| floors.get(dependency.as_str()).is_some_and(|of| *of >= floor))
        .map(|dependency| format!("{name} on floor {floor} depends on {dependency}"))
        .collect()
}

#[test]
fn no_package_depends_up_or_sideways() {
    let found: Vec<_> = manifests().iter().flat_map(|(_, manifest)| violations(manifest)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_dependency_up_or_sideways_is_seen_in_every_kind_of_table() {
    for manifest in [
        "[package]\nname = 'netloom-core'\n[dependencies]\nnetloom-protocols = '1'",
        "[package]\nname = 'netloom'\n[dev-dependencies]\nnetloom-embedded.workspace = true",
        "[package]\nname = 'netloom-demo'\n[target.'cfg(unix)'.dependencies]\nhost = { package = 'netloom', path = '' }",
        "[package]\nname = 'netloom-benches'\n[build-dependencies]\nnetloom-lab = '1'",
    ] {
        assert_eq!(violations(&manifest.parse().expect("TOML")).len(), 1, "{manifest}");
    }
    let fine = "[package]\nname = 'netloom'\n[dependencies]\nnetloom-core = '1'\ntokio = '1'";
    assert_eq!(violations(&fine.parse().expect("TOML")), [""; 0]);
}

#[test]
fn every_package_of_the_workspace_has_a_floor() {
    let floors = floors();
    let manifests = manifests();
    let name = |manifest: &toml::Table| Some(manifest.get("package")?.get("name")?.as_str()?.to_owned());
    let known: Vec<_> = manifests.iter().filter_map(|(_, manifest)| name(manifest)).collect();
    for package in floors.keys() {
        assert!(known.iter().any(|name| name == package), "{package} is on a floor and nowhere else");
    }
    for (path, manifest) in &manifests {
        let is_member = manifest.get("lints").is_some_and(|lints| lints.get("workspace").is_some());
        if let Some(name) = name(manifest).filter(|_| is_member) {
            assert!(floors.contains_key(name.as_str()), "{name} in {} has no floor", path.display());
        }
    }
}

/// The code of a source file: without comments, and without tests, which stand last.
fn code(path: &Path) -> String {
    if path.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(path).expect("a source file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn core_and_protocols_use_neither_std_nor_an_allocator() {
    let mut sources = Vec::new();
    for folder in ["core/src", "protocols/src", "boards/app/src"] {
        files(&root().join(folder), &|path| path.extension().is_some_and(|e| e == "rs"), &mut sources);
    }
    assert!(sources.len() > 10);
    for path in sources {
        let code = code(&path);
        for word in ["std::", "alloc::", "extern crate"] {
            let mut rest = code.as_str();
            while let Some(at) = rest.find(word) {
                let before = rest[..at].chars().next_back();
                assert!(
                    before.is_some_and(|c| c.is_alphanumeric() || c == '_'),
                    "{}: {word}",
                    path.display()
                );
                rest = &rest[at + word.len()..];
            }
        }
    }
}

#[test]
fn the_lower_floors_forbid_unsafe_and_the_lowest_need_no_std() {
    for folder in SAFE {
        let code = code(&root().join(folder).join("src/lib.rs"));
        assert!(code.contains("#![forbid(unsafe_code)]"), "{folder}");
        assert!(*folder == "std-host" || code.contains("#![no_std]"), "{folder}");
    }
}
