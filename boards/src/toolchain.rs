//! Which Rust compiles for a board.
//!
//! One that has the target's `core` compiled, as after `rustup target add`, if there is one. Otherwise Debian's, which
//! brings `core` as source: it is compiled once for each target, with `-Z build-std`. That option is not stable, so this
//! way sets `RUSTC_BOOTSTRAP=1`; what it compiles is the same stable Rust. Since `core` is compiled anyway, a firmware
//! that has nobody to tell of a panic gets one that stops where it panics: 3 % less flash.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::firmware::Console;

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// LLVM's linker, and no more inlining than what makes an image smaller or costs next to nothing: both more and less of it
/// make one larger.
const FLAGS: [&str; 3] = ["-Clinker=ld.lld", "-Clinker-flavor=ld.lld", "-Cllvm-args=-inline-threshold=15"];

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

    /// The start of `cargo build` for the target.
    pub(crate) fn cargo_build(&self, target: &str, console: Console) -> Command {
        let mut command = match self {
            Self::Installed => Command::new("cargo"),
            Self::Debian => Command::new(DEBIAN_CARGO),
        };
        for variable in HOST_ONLY {
            command.env_remove(variable);
        }
        command.args(["build", "--release", "--target", target]);
        if *self == Self::Debian {
            command
                .args(["-Z", "build-std=core"])
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
            if console == Console::Silent {
                command.args(["-Z", "panic-immediate-abort", "--config", IMMEDIATE_ABORT]);
            }
        }
        command
    }

    /// For people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Installed => "the installed Rust target",
            Self::Debian => "Debian's Rust with build-std",
        }
    }
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
        let command = Toolchain::Debian.cargo_build(TARGET, Console::Silent);
        let rustflags = command.get_envs().find(|(name, _)| *name == "RUSTFLAGS");
        assert_eq!(rustflags.map(|(_, value)| value), Some(None));
    }
}
