//! Which Rust compiles for a board.
//!
//! One that has the target's `core` compiled, as after `rustup target add`, if there is one. Otherwise Debian's, which
//! brings `core` as source: it is compiled once for each target, with `-Z build-std`. That option is not stable, so this
//! way sets `RUSTC_BOOTSTRAP=1`; what it compiles is the same stable Rust. Since `core` is compiled anyway, a firmware
//! that has nobody to tell of a panic gets one that stops where it panics: 3 % less flash. And the target is the
//! compiler's but for the frame pointer, which nobody reads on a board: 4 % less, and a register more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::firmware::Console;

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// LLVM's linker, and what makes its code smaller: inlining of only what costs next to nothing (more and less of it make an
/// image larger), nothing loaded or computed ahead of where it is needed, registers spilled where that is short, and
/// small constants beside the code that reads them. Together 5 % of an image.
const FLAGS: [&str; 3] = [
    "-Clinker=ld.lld",
    "-Clinker-flavor=ld.lld",
    "-Cllvm-args=-inline-threshold=15 -enable-load-pre=false -disable-machine-licm -split-spill-mode=size \
     -arm-promote-constant",
];

/// A panic is an instruction that does not exist, and the processor's fault handler has the rest.
const IMMEDIATE_ABORT: &str = "profile.release.panic=\"immediate-abort\"";

/// Set for the host by whoever calls us, and wrong for firmware.
const HOST_ONLY: [&str; 9] = [
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

/// A compiler that can make firmware for a target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The `cargo` in the path: its `rustc` has the target installed.
    Installed,
    /// Debian's: `core` is compiled from its source package, and LLVM's linker is called by its name.
    Debian,
}

/// What this machine has.
#[derive(Clone, Copy)]
struct Found {
    /// The target's `core`, beside the `rustc` in the path.
    target: bool,
    /// Debian's compiler with the source of `core`.
    debian: bool,
    /// LLVM's linker.
    linker: bool,
}

impl Toolchain {
    /// Looks for one.
    ///
    /// # Errors
    /// When there is none: the message says how to install one.
    pub(crate) fn find(target: &str) -> Result<Self> {
        let found = Found {
            target: sysroot("rustc")
                .is_some_and(|root| root_has(&root, &format!("lib/rustlib/{target}/lib"))),
            debian: Path::new(DEBIAN_CARGO).is_file()
                && sysroot(DEBIAN_RUSTC)
                    .is_some_and(|root| root_has(&root, "lib/rustlib/src/rust/library/core/Cargo.toml")),
            linker: output("ld.lld", "--version").is_some(),
        };
        Self::choose(target, found)
    }

    fn choose(target: &str, found: Found) -> Result<Self> {
        match found {
            Found { target: true, .. } => Ok(Self::Installed),
            Found { debian: true, linker: true, .. } => Ok(Self::Debian),
            Found { debian: true, .. } => bail!(
                "Debian's Rust needs a linker for {target}: apt-get install lld (or, with rustup: rustup target add \
                 {target})"
            ),
            Found { .. } => bail!(
                "no Rust for {target} on this machine. Install one:\n  \
                 rustup target add {target}\n  \
                 apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld   (Debian 12; later \
                 ones: rustc cargo rust-src lld)"
            ),
        }
    }

    /// The start of `cargo build` for the target, whose description is put into `folder` if it is not the compiler's own.
    ///
    /// # Errors
    /// When the compiler cannot describe the target, or the description cannot be written.
    pub(crate) fn cargo_build(&self, target: &str, folder: &Path, console: Console) -> Result<Command> {
        let mut command = match self {
            Self::Installed => Command::new("cargo"),
            Self::Debian => Command::new(DEBIAN_CARGO),
        };
        for variable in HOST_ONLY {
            command.env_remove(variable);
        }
        command.args(["build", "--release", "--target"]);
        if *self == Self::Installed {
            command.arg(target);
        } else {
            command
                .arg(describe(target, folder)?)
                .args(["-Z", "json-target-spec", "-Z", "build-std=core"])
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
            if console == Console::Silent {
                command.args(["-Z", "panic-immediate-abort", "--config", IMMEDIATE_ABORT]);
            }
        }
        Ok(command)
    }

    /// For people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Installed => "the installed Rust target",
            Self::Debian => "Debian's Rust with build-std",
        }
    }
}

/// Writes the compiler's description of `target`, without frame pointers, into `folder`, unless it is there already:
/// cargo compiles everything again when it changes.
fn describe(target: &str, folder: &Path) -> Result<PathBuf> {
    let description = Command::new(DEBIAN_RUSTC)
        .args(["-Z", "unstable-options", "--print=target-spec-json", "--target", target])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .context("cannot start the compiler")?;
    if !description.status.success() {
        bail!("{DEBIAN_RUSTC} does not describe {target}");
    }
    let description = without_frame_pointers(&String::from_utf8(description.stdout)?);
    let file = folder.join(format!("{target}.json"));
    if fs::read_to_string(&file).is_ok_and(|written| written == description) {
        return Ok(file);
    }
    fs::create_dir_all(folder)?;
    fs::write(&file, description).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn without_frame_pointers(description: &str) -> String {
    description.replace(r#""frame-pointer": "always""#, r#""frame-pointer": "may-omit""#)
}

fn sysroot(rustc: &str) -> Option<String> {
    output(rustc, "--print=sysroot").map(|text| text.trim().to_string())
}

fn root_has(root: &str, path: &str) -> bool {
    Path::new(root).join(path).exists()
}

/// What the program prints, if it is there and content.
fn output(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "thumbv7m-none-eabi";

    #[test]
    fn an_installed_target_comes_first() {
        let found = Found { target: true, debian: true, linker: true };
        assert_eq!(Toolchain::choose(TARGET, found).unwrap(), Toolchain::Installed);
    }

    #[test]
    fn debian_stands_in() {
        let found = Found { target: false, debian: true, linker: true };
        assert_eq!(Toolchain::choose(TARGET, found).unwrap(), Toolchain::Debian);
    }

    #[test]
    fn a_missing_linker_is_named() {
        let found = Found { target: false, debian: true, linker: false };
        let error = Toolchain::choose(TARGET, found).unwrap_err().to_string();
        assert!(error.contains("apt-get install lld"), "{error}");
    }

    #[test]
    fn without_any_both_ways_out_are_named() {
        let found = Found { target: false, debian: false, linker: true };
        let error = Toolchain::choose(TARGET, found).unwrap_err().to_string();
        assert!(error.contains("rustup target add thumbv7m-none-eabi"), "{error}");
        assert!(error.contains("apt-get install"), "{error}");
    }

    #[test]
    fn the_hosts_flags_do_not_reach_the_firmware() {
        let command = Toolchain::Installed.cargo_build(TARGET, Path::new(""), Console::Silent).unwrap();
        let rustflags = command.get_envs().find(|(name, _)| *name == "RUSTFLAGS");
        assert_eq!(rustflags.map(|(_, value)| value), Some(None));
    }

    #[test]
    fn a_target_is_described_without_frame_pointers() {
        let described =
            without_frame_pointers("{\n  \"abi\": \"eabihf\",\n  \"frame-pointer\": \"always\"\n}");
        assert_eq!(described, "{\n  \"abi\": \"eabihf\",\n  \"frame-pointer\": \"may-omit\"\n}");
    }
}
