//! Opening what lies beneath a folder, and nothing else.
//!
//! Invariant: unless symbolic links may be followed, what is opened was reached from the folder without one. On Unix
//! nobody can change that between check and use: the system resolves (Linux, `openat2`), or each name is opened in the
//! folder before it. Elsewhere the name of what was opened is compared with the name that was asked for.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A folder.
#[derive(Debug)]
pub(super) struct Root {
    /// Without symbolic links in it.
    #[cfg_attr(unix, expect(dead_code, reason = "shown by Debug"))]
    path: PathBuf,
    follow_symlinks: bool,
    #[cfg(unix)]
    folder: File,
}

/// What was opened.
#[derive(Debug)]
pub(super) enum Opened {
    File(File, Metadata),
    Folder,
}

impl Root {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if !path.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            #[cfg(unix)]
            folder: File::open(&path)?,
            path,
            follow_symlinks: false,
        })
    }

    pub(super) fn follow_symlinks(&mut self, follow: bool) {
        self.follow_symlinks = follow;
    }

    /// Opens the file or folder `relative`, which has normal components only, as far as that needs no disk.
    ///
    /// # Errors
    /// `WouldBlock` if it might; otherwise as for [`open`](Self::open).
    pub(super) fn open_cached(&self, relative: &Path) -> io::Result<Opened> {
        opened(self.cached(relative)?)
    }

    /// Opens the file or folder `relative`, which has normal components only.
    ///
    /// # Errors
    /// The system's; `NotFound` for what is neither a file nor a folder: a socket, a device.
    #[cfg(unix)]
    pub(super) fn open(&self, relative: &Path) -> io::Result<Opened> {
        opened(self.blocking(relative)?)
    }
}

fn opened(file: File) -> io::Result<Opened> {
    let metadata = file.metadata()?;
    match metadata.file_type() {
        kind if kind.is_dir() => Ok(Opened::Folder),
        kind if kind.is_file() => Ok(Opened::File(file, metadata)),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags, openat};
    use rustix::io::Errno;

    use super::Root;

    /// A pipe without a writer is not waited for, and a terminal does not become ours.
    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
    /// A folder on the way need not be readable.
    #[cfg(target_os = "linux")]
    const STEP: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
    #[cfg(not(target_os = "linux"))]
    const STEP: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

    impl Root {
        #[cfg(target_os = "linux")]
        pub(super) fn cached(&self, relative: &Path) -> io::Result<File> {
            // An older kernel does not know CACHED, a sandbox may not let openat2 through.
            self.resolve(relative, rustix::fs::ResolveFlags::CACHED).map_err(|error| match error {
                Errno::AGAIN | Errno::NOSYS | Errno::PERM | Errno::INVAL => io::ErrorKind::WouldBlock.into(),
                error => error.into(),
            })
        }

        #[cfg(not(target_os = "linux"))]
        pub(super) fn cached(&self, _: &Path) -> io::Result<File> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        #[cfg(target_os = "linux")]
        pub(super) fn blocking(&self, relative: &Path) -> io::Result<File> {
            match self.resolve(relative, rustix::fs::ResolveFlags::empty()) {
                Err(Errno::NOSYS | Errno::PERM) => self.walk(relative),
                // A name on the way was changed meanwhile.
                Err(Errno::AGAIN) => self.walk(relative),
                other => Ok(other?),
            }
        }

        #[cfg(not(target_os = "linux"))]
        pub(super) fn blocking(&self, relative: &Path) -> io::Result<File> {
            self.walk(relative)
        }

        #[cfg(target_os = "linux")]
        pub(super) fn resolve(&self, relative: &Path, how: rustix::fs::ResolveFlags) -> Result<File, Errno> {
            use rustix::fs::{ResolveFlags, openat2};
            let links = match self.follow_symlinks {
                true => ResolveFlags::NO_MAGICLINKS,
                false => ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH,
            };
            openat2(&self.folder, relative, FLAGS, Mode::empty(), links | how).map(File::from)
        }

        /// Opens one name after the other, each in the folder before it.
        pub(super) fn walk(&self, relative: &Path) -> io::Result<File> {
            if self.follow_symlinks {
                return Ok(openat(&self.folder, relative, FLAGS, Mode::empty())?.into());
            }
            let mut names = relative.iter().peekable();
            let mut folder: Option<File> = None;
            while let Some(name) = names.next() {
                let flags = match names.peek() {
                    Some(_) => STEP | OFlags::DIRECTORY,
                    None => FLAGS,
                };
                let at = folder.as_ref().unwrap_or(&self.folder);
                folder = Some(openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty())?.into());
            }
            folder.ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }
}

#[cfg(not(unix))]
impl Root {
    fn cached(&self, _: &Path) -> io::Result<File> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(super) fn open(&self, relative: &Path) -> io::Result<Opened> {
        let path = self.path.join(relative);
        if !self.follow_symlinks && path.canonicalize()? != path {
            return Err(io::ErrorKind::NotFound.into());
        }
        // A folder cannot be opened as a file everywhere.
        if path.is_dir() {
            return Ok(Opened::Folder);
        }
        let file = opened(File::open(&path)?)?;
        match self.follow_symlinks || path.canonicalize()? == path {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Reads from offset `at` what needs no disk: `WouldBlock` if that is nothing. Zero bytes are the end.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(file: &File, at: u64, room: &mut [u8]) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    match preadv2(file, &mut [io::IoSliceMut::new(room)], at, ReadWriteFlags::NOWAIT) {
        Ok(n) => Ok(n),
        // Some file systems do not know NOWAIT, and some kernels not the call.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// There is no such call.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_: &File, _: u64, _: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Reads from offset `at`. Zero bytes are the end.
pub(super) fn read(file: &File, at: u64, room: &mut [u8]) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, room, at);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, room, at);
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with a file in a folder, links, a pipe, and a file beside it.
    fn tree() -> (tempfile::TempDir, Root) {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "inside").unwrap();
        fs::write(temporary.path().join("secret"), "outside").unwrap();
        symlink("../secret", root.join("up")).unwrap();
        symlink(temporary.path().join("secret"), root.join("absolute")).unwrap();
        symlink("a/b/file", root.join("within")).unwrap();
        symlink("a", root.join("folder")).unwrap();
        symlink("..", root.join("a/out")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let root = Root::new(&root).unwrap();
        (temporary, root)
    }

    fn all_ways(root: &Root, path: &str) -> Vec<io::Result<File>> {
        let path = Path::new(path);
        let cached = root.cached(path);
        let blocks = cached.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        let mut ways = vec![root.blocking(path), root.walk(path)];
        ways.extend((!blocks).then_some(cached));
        ways
    }

    #[test]
    fn files_and_folders_beneath_are_opened_every_way() {
        let (_temporary, root) = tree();
        for way in all_ways(&root, "a/b/file") {
            let Opened::File(file, metadata) = opened(way.unwrap()).unwrap() else { panic!("no file") };
            let mut room = [0; 10];
            assert_eq!((metadata.len(), read(&file, 2, &mut room).unwrap()), (6, 4));
            assert_eq!(read(&file, 6, &mut room).unwrap(), 0);
            if let Ok(n) = read_cached(&file, 2, &mut room) {
                assert_eq!(&room[..n], b"side");
            }
        }
        for way in all_ways(&root, "a/b") {
            assert!(matches!(opened(way.unwrap()), Ok(Opened::Folder)));
        }
    }

    #[test]
    fn links_are_not_followed_unless_they_may_be() {
        let (_temporary, mut root) = tree();
        let paths = ["up", "absolute", "within", "folder/b/file", "a/out/a/b/file", "a/out/up", "loop"];
        for path in paths {
            for way in all_ways(&root, path) {
                assert!(way.is_err(), "{path}");
            }
        }
        root.follow_symlinks(true);
        for path in &paths[..6] {
            for way in all_ways(&root, path) {
                assert!(way.is_ok(), "{path}");
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_leads_out_is_not_opened_even_if_it_came_this_far() {
        let (_temporary, root) = tree();
        for path in ["../secret", "a/../../secret"] {
            assert!(root.resolve(Path::new(path), rustix::fs::ResolveFlags::empty()).is_err(), "{path}");
        }
    }

    #[test]
    fn a_pipe_is_not_a_file_and_is_not_waited_for() {
        let (temporary, root) = tree();
        let pipe = temporary.path().join("root/pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(root.open(Path::new("pipe")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_root_must_be_a_folder_that_is_there() {
        let (temporary, _) = tree();
        assert!(Root::new(&temporary.path().join("secret")).is_err());
        assert!(Root::new(&temporary.path().join("nowhere")).is_err());
    }
}
