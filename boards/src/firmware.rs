//! Compiling an image: a binary of a board's crate.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::board::{Board, Image};
use crate::report::Settings;
use crate::toolchain::Toolchain;

/// Where the firmware's words go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Console {
    /// Nowhere: what goes on a device.
    Silent,
    /// To QEMU, or to a debugger.
    Semihosting,
}

/// Builds the image, with these settings where the environment has none, and tells where the ELF file is. cargo's own progress
/// goes to the terminal.
///
/// # Errors
/// When no compiler is installed for the board's target, or cargo fails.
pub(crate) fn build(image: &Image<'_>, console: Console, settings: &Settings) -> Result<PathBuf> {
    let board = image.board;
    let toolchain = Toolchain::find(&board.target)?;
    eprintln!("{}: building for {} with {}", image.name(), board.target, toolchain.name());
    let binary = image.binary();
    let target_folder = target_folder(board)?;
    let mut cargo = toolchain.cargo_build(&board.target, &target_folder, console)?;
    cargo.current_dir(&board.folder).arg("--target-dir").arg(&target_folder).args(["--bin", &binary]);
    if let Some((_, app)) = image.app {
        cargo.arg("--no-default-features");
        cargo.envs(app.environment.iter().filter(|(variable, _)| env::var_os(variable).is_none()));
        cargo.args(app.features.iter().flat_map(|feature| ["--features", feature]));
    }
    cargo.envs(settings.variables());
    if console == Console::Semihosting {
        cargo.args(["--features", "semihosting"]);
    }
    let status = cargo.status().with_context(|| format!("cannot start {}", cargo.get_program().display()))?;
    if !status.success() {
        bail!("{binary} does not build: cargo says above why");
    }
    Ok(target_folder.join(&board.target).join("release").join(binary))
}

/// One folder for all boards, so that `core` and the dependencies are compiled once for each target, apart from the
/// workspace's own, so that neither waits for the other.
pub(crate) fn target_folder(board: &Board) -> Result<PathBuf> {
    let workspace =
        board.folder.parent().and_then(Path::parent).context("a board is in the workspace's boards")?;
    Ok(workspace.join("target").join("firmware"))
}
