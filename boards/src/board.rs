//! What a board is: its `board.toml`, read and checked. And what an image is: a board with one of its applications.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::table::{self, Align};

/// A board, as its `board.toml` describes it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Board {
    /// The folder's name.
    #[serde(skip_deserializing)]
    pub(crate) name: String,
    /// Where its crate is.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// The hardware in a line.
    pub(crate) summary: String,
    /// What we promise: "boots in QEMU, tested in CI".
    pub(crate) tier: String,
    /// The compiler's target.
    pub(crate) target: String,
    /// The TCP port on which its application sends frames back.
    pub(crate) port: u16,
    /// The TCP port on which it answers HTTP.
    pub(crate) http: Option<u16>,
    /// Connections of HTTP that it takes at once, those that wait counted.
    #[serde(default)]
    pub(crate) http_connections: usize,
    /// Connections it serves at once.
    pub(crate) sessions: usize,
    /// What it has.
    pub(crate) memory: Bytes,
    /// What our firmware may take of that.
    pub(crate) budget: Bytes,
    /// What it should come down to.
    pub(crate) goal: Option<Bytes>,
    /// Its further applications, by name.
    #[serde(default)]
    pub(crate) apps: BTreeMap<String, App>,
    /// How it is emulated.
    #[serde(skip_serializing)]
    pub(crate) qemu: Machine,
}

/// An application beside the board's own: its binary is called `netloom-BOARD-APP`, and built without the board's
/// default features.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct App {
    /// The TCP port on which it sends frames back, if it does.
    pub(crate) port: Option<u16>,
    /// The TCP port on which it answers HTTP, if it does.
    pub(crate) http: Option<u16>,
    /// Connections of HTTP that it takes at once, if it serves the demo's pages: then `cargo board test` tries them.
    #[serde(default)]
    pub(crate) http_connections: usize,
    /// Whether of the demo's routes it has only those that its page needs.
    #[serde(default)]
    pub(crate) page_alone: bool,
    /// Whether it reports to a server over TLS: then `cargo board test` is that server, and others.
    #[serde(default)]
    pub(crate) reports: bool,
    /// Features of the board's crate that it needs.
    #[serde(default, skip_serializing)]
    pub(crate) features: Vec<String>,
    /// What it may take of the board's memory.
    pub(crate) budget: Bytes,
    /// What it should come down to.
    pub(crate) goal: Option<Bytes>,
    /// Set when it is built, unless the caller has set it.
    #[serde(default, skip_serializing)]
    pub(crate) environment: BTreeMap<String, String>,
}

/// What is built, booted and weighed: a board with its own application, or with a further one.
#[derive(Clone, Copy)]
pub(crate) struct Image<'a> {
    pub(crate) board: &'a Board,
    pub(crate) app: Option<(&'a str, &'a App)>,
}

impl<'a> Image<'a> {
    /// For people: the board and, if it is not the board's own, the application.
    pub(crate) fn name(&self) -> String {
        self.app.map_or_else(|| self.board.name.clone(), |(app, _)| format!("{} {app}", self.board.name))
    }

    /// The binary in the board's crate.
    pub(crate) fn binary(&self) -> String {
        let package = format!("netloom-{}", self.board.name);
        self.app.map_or_else(|| package.clone(), |(app, _)| format!("{package}-{app}"))
    }

    /// The TCP port on which it sends frames back.
    pub(crate) fn port(&self) -> Option<u16> {
        self.app.map_or(Some(self.board.port), |(_, app)| app.port)
    }

    /// The TCP port on which it answers HTTP.
    pub(crate) fn http(&self) -> Option<u16> {
        self.app.map_or(self.board.http, |(_, app)| app.http)
    }

    /// Connections of HTTP that it takes at once, those that wait counted; zero if it serves no pages of the demo's.
    pub(crate) fn http_connections(&self) -> usize {
        self.app.map_or(self.board.http_connections, |(_, app)| app.http_connections)
    }

    /// Whether of the demo's routes it has only those that its page needs.
    pub(crate) fn page_alone(&self) -> bool {
        self.app.is_some_and(|(_, app)| app.page_alone)
    }

    /// Whether it reports to a server over TLS.
    pub(crate) fn reports(&self) -> bool {
        self.app.is_some_and(|(_, app)| app.reports)
    }

    /// What it should come down to, if that is less than its budget.
    pub(crate) fn goal(&self) -> Option<Bytes> {
        self.app.map_or(self.board.goal, |(_, app)| app.goal)
    }

    /// What it may take of the board's memory.
    pub(crate) fn budget(&self) -> Bytes {
        self.app.map_or(self.board.budget, |(_, app)| app.budget)
    }
}

/// Flash and RAM, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bytes {
    pub(crate) flash: u64,
    pub(crate) ram: u64,
}

/// How QEMU is started for a board.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machine {
    /// The program: `qemu-system-arm`.
    pub(crate) program: String,
    /// Its `-M`.
    pub(crate) machine: String,
    /// What else the machine needs.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
}

impl Board {
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("board.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        Self::parse(&name, folder, &text).with_context(|| format!("{} is not right", path.display()))
    }

    fn parse(name: &str, folder: &Path, text: &str) -> Result<Self> {
        let mut board: Self = toml::from_str(text)?;
        board.name = name.to_string();
        board.folder = folder.to_path_buf();
        let memory = board.memory;
        if board.images().any(|image| image.budget().flash > memory.flash || image.budget().ram > memory.ram)
        {
            bail!("its budget is more than the board has");
        }
        if board.sessions == 0 {
            bail!("a board without sessions serves nobody");
        }
        Ok(board)
    }

    /// The image with the board's own application, or with the one of that name.
    pub(crate) fn image<'a>(&'a self, app: Option<&str>) -> Result<Image<'a>> {
        let Some(wanted) = app else { return Ok(Image { board: self, app: None }) };
        let Some((name, app)) = self.apps.get_key_value(wanted) else {
            let known: Vec<&str> = self.apps.keys().map(String::as_str).collect();
            bail!("{} has no application {wanted:?}; there are: {}", self.name, known.join(", "));
        };
        Ok(Image { board: self, app: Some((name, app)) })
    }

    /// Those that `cargo board test` tries: its own application, and those that serve the demo's pages or report.
    pub(crate) fn tested(&self) -> impl Iterator<Item = Image<'_>> {
        self.images().filter(|image| image.app.is_none() || image.http_connections() > 0 || image.reports())
    }

    /// All its images, the one with its own application first.
    pub(crate) fn images(&self) -> impl Iterator<Item = Image<'_>> {
        let further = self.apps.iter().map(|(name, app)| Some((name.as_str(), app)));
        std::iter::once(None).chain(further).map(|app| Image { board: self, app })
    }
}

/// All boards, by name.
pub(crate) fn all() -> Result<Vec<Board>> {
    let folder = boards_folder()?;
    let mut boards = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.join("board.toml").is_file() {
            boards.push(Board::read(&path)?);
        }
    }
    boards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(boards)
}

/// The board of that name, or all of them.
pub(crate) fn chosen(name: Option<&str>) -> Result<Vec<Board>> {
    let mut boards = all()?;
    let Some(name) = name else { return Ok(boards) };
    let Some(index) = boards.iter().position(|board| board.name == name) else {
        let known: Vec<&str> = boards.iter().map(|board| board.name.as_str()).collect();
        bail!("no board is called {name:?}; there are: {}", known.join(", "));
    };
    Ok(vec![boards.swap_remove(index)])
}

/// The workspace's `boards` folder: this package's own under cargo, otherwise the nearest one up from here.
fn boards_folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
        return Ok(PathBuf::from(folder));
    }
    let here = env::current_dir().context("cannot tell the current folder")?;
    here.ancestors()
        .map(|folder| folder.join("boards"))
        .find(|folder| folder.join("drivers/Cargo.toml").is_file())
        .context("no boards folder here or above: run this inside netloom's repository")
}

/// For people.
pub(crate) fn to_table(boards: &[Board]) -> String {
    let columns = [
        ("board", Align::Left),
        ("target", Align::Left),
        ("tier", Align::Left),
        ("flash", Align::Right),
        ("RAM", Align::Right),
        ("flash budget", Align::Right),
        ("RAM budget", Align::Right),
    ];
    let rows = boards.iter().map(|board| {
        let Board { memory, budget, .. } = board;
        vec![
            board.name.clone(),
            board.target.clone(),
            board.tier.clone(),
            kilobytes(memory.flash),
            kilobytes(memory.ram),
            kilobytes(budget.flash),
            kilobytes(budget.ram),
        ]
    });
    table::render(&columns, rows)
}

/// For programs.
pub(crate) fn to_json(boards: &[Board]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&serde_json::json!({ "boards": boards }))?)
}

/// Memories come in multiples of 1,024 bytes.
fn kilobytes(bytes: u64) -> String {
    format!("{} KB", bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        summary = "a board"
        tier = "boots in QEMU"
        target = "thumbv7m-none-eabi"
        port = 7000
        sessions = 3
        memory = { flash = 262_144, ram = 65_536 }
        budget = { flash = 65_536, ram = 49_152 }
        qemu = { program = "qemu-system-arm", machine = "lm3s6965evb" }
    "#;

    fn parse(text: &str) -> Result<Board> {
        Board::parse("evb", Path::new("boards/evb"), text)
    }

    #[test]
    fn a_board_is_called_like_its_folder() {
        let board = parse(TEXT).unwrap();
        assert_eq!(board.name, "evb");
        assert_eq!(board.budget, Bytes { flash: 65_536, ram: 49_152 });
        assert!(board.qemu.arguments.is_empty());
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let error = parse(&TEXT.replace("sessions", "session")).unwrap_err();
        assert!(error.to_string().contains("session"), "{error}");
    }

    #[test]
    fn a_budget_past_the_memory_is_an_error() {
        let error = parse(&TEXT.replace("ram = 49_152", "ram = 65_537")).unwrap_err();
        assert!(error.to_string().contains("budget"), "{error}");
    }

    #[test]
    fn an_application_has_its_own_binary_budget_and_port() {
        let hello = "apps.hello = { port = 80, budget = { flash = 40_960, ram = 30_720 } }";
        let board = parse(&format!("{TEXT}\n{hello}")).unwrap();
        let [own, hello] = board.images().collect::<Vec<_>>()[..] else { panic!("two images") };
        assert_eq!((own.name(), own.binary(), own.port()), ("evb".into(), "netloom-evb".into(), Some(7000)));
        assert_eq!(
            (hello.name(), hello.binary(), hello.port()),
            ("evb hello".into(), "netloom-evb-hello".into(), Some(80))
        );
        assert_eq!(hello.budget(), Bytes { flash: 40_960, ram: 30_720 });
    }

    #[test]
    fn applications_that_serve_the_demos_pages_are_tested_too() {
        let apps = "apps.hello.budget = { flash = 1, ram = 1 }\n\
                    apps.web = { http = 80, http_connections = 9, budget = { flash = 1, ram = 1 } }";
        let board = parse(&format!("{TEXT}\n{apps}")).unwrap();
        let tested: Vec<_> = board.tested().map(|image| (image.name(), image.http_connections())).collect();
        assert_eq!(tested, [("evb".into(), 0), ("evb web".into(), 9)]);
    }

    #[test]
    fn an_applications_budget_past_the_memory_is_an_error() {
        let greedy = "apps.greedy.budget = { flash = 262_145, ram = 1 }";
        let error = parse(&format!("{TEXT}\n{greedy}")).unwrap_err();
        assert!(error.to_string().contains("budget"), "{error}");
    }

    #[test]
    fn an_unknown_application_is_answered_with_the_known_ones() {
        let board = parse(&format!("{TEXT}\napps.hello.budget = {{ flash = 1, ram = 1 }}")).unwrap();
        let error = board.image(Some("helo")).map(|image| image.name()).unwrap_err().to_string();
        assert!(error.contains("helo") && error.contains("there are: hello"), "{error}");
    }

    #[test]
    fn the_boards_of_this_repository_are_right() {
        let names: Vec<String> = all().unwrap().into_iter().map(|board| board.name).collect();
        assert_eq!(names, ["lm3s6965evb", "mps2-an386"]);
    }

    #[test]
    fn an_unknown_board_is_answered_with_the_known_ones() {
        let error = chosen(Some("toaster")).unwrap_err().to_string();
        assert!(error.contains("toaster") && error.contains("mps2-an386"), "{error}");
    }
}
