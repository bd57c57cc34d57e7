//! Files of a folder.

use std::fs::{File, Metadata};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netloom_core::{Code, Error, Result};

use super::beneath::{self, Opened, Root};
use super::conditional::Validators;
use super::etag::ETag;
use super::negotiate::{Encoding, choose_encoding};
use super::{Allow, Escaped, Head, Method, Representation, Request, Sent, Source, mime, status};

/// Most bytes that are read at once. It is more than a send queue holds, so they leave from where they were read.
const PIECE_MAX: u64 = 64 * 1024;
/// A file that was changed so short a time ago may be changed again without another time of change.
const TICK: Duration = Duration::from_secs(1);

/// Serves the files beneath a folder.
///
/// ```no_run
/// use netloom::http::{Files, Request};
/// use netloom::{Server, routes};
///
/// let files = Files::new("public")?.cache_control("max-age=60");
/// let server = Server::builder().tcp("127.0.0.1:8080").http(async move |request: Request<'_>| {
///     let files = &files;
///     let app = routes! {
///         GET "/files/{*path}" => async |request: Request<'_>| files.serve(request).await,
///     };
///     app(request).await
/// })?;
/// # drop(server);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | option | default |
/// |---|---|
/// | [`index`](Self::index) | `index.html` |
/// | [`follow_symlinks`](Self::follow_symlinks) | no |
/// | [`dot_files`](Self::dot_files) | no |
/// | [`precompressed`](Self::precompressed) | yes |
/// | [`cache_control`](Self::cache_control) | none |
///
/// Nothing outside the folder can be had, nor be told from what is not there: both are 404. Conditions and ranges are
/// obeyed; a file's entity tag is made of its size and time of change. Files of any size are sent in pieces, and a
/// worker never waits for a disk. A folder is answered with its index, never with a list.
#[derive(Clone, Debug)]
pub struct Files {
    root: Arc<Root>,
    index: String,
    dot_files: bool,
    precompressed: bool,
    cache_control: String,
}

impl Files {
    /// The files beneath `root`, which stays the same folder even if it is renamed.
    ///
    /// # Errors
    /// The system's, if `root` is not a folder that can be read.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self {
            root: Arc::new(Root::new(root.as_ref())?),
            index: "index.html".into(),
            dot_files: false,
            precompressed: true,
            cache_control: String::new(),
        })
    }

    /// The file that a folder is answered with; empty for none.
    #[must_use]
    pub fn index(mut self, name: impl Into<String>) -> Self {
        self.index = name.into();
        self
    }

    /// Whether symbolic links beneath the folder are followed, wherever they lead. If not, they are not there.
    #[must_use]
    pub fn follow_symlinks(mut self, follow: bool) -> Self {
        match Arc::get_mut(&mut self.root) {
            Some(root) => root.follow_symlinks(follow),
            // It is set before the files are shared: a clone keeps what it was cloned with.
            None => debug_assert!(false, "set follow_symlinks before cloning"),
        }
        self
    }

    /// Whether files and folders whose name begins with a dot are there.
    #[must_use]
    pub fn dot_files(mut self, there: bool) -> Self {
        self.dot_files = there;
        self
    }

    /// Whether `app.js.br`, `app.js.zst` and `app.js.gz` are sent instead of `app.js` to clients that take them. They
    /// are taken for the same content: make them anew when it changes.
    #[must_use]
    pub fn precompressed(mut self, send: bool) -> Self {
        self.precompressed = send;
        self
    }

    /// The value of `Cache-Control`.
    #[must_use]
    pub fn cache_control(mut self, value: impl Into<String>) -> Self {
        self.cache_control = value.into();
        self
    }

    /// Answers a GET or HEAD with the file that the route's `{*path}` names, or if it has none, the path behind what
    /// was mounted.
    ///
    /// # Errors
    /// 404 for what is not there or not to be had, and what ended the session.
    pub async fn serve(&self, mut request: Request<'_>) -> Result<Sent> {
        let (path, method) = request.asked();
        if !matches!(method, Method::Get | Method::Head) {
            let mut allow = Allow::NONE;
            allow.add(Method::Get);
            return request.unrouted(allow).await;
        }
        let mounted = str::from_utf8(path).unwrap_or_default().to_owned();
        let head = request.head();
        let path = head.param_text("path").unwrap_or(&mounted);
        let wanted = self.wanted(path, &head).ok_or(status::error(404))?;
        match request.during(self.find(&wanted)).await {
            Ok(Found::File(file)) => file.send(request, &wanted, &self.cache_control).await,
            Ok(Found::Folder) => redirect(request).await,
            Err(error) if is_absent(&error) => Err(status::error(404)),
            Err(error) => {
                tracing::error!(%error, "a file cannot be opened");
                Err(status::error(500))
            }
        }
    }

    /// Nothing if there cannot be such a file.
    fn wanted(&self, path: &str, head: &Head<'_>) -> Option<Wanted> {
        let mut name = self.beneath(path)?;
        let is_folder = name.as_os_str().is_empty() || path.ends_with('/');
        // What is below a folder's name that does not end in a slash would be looked for beside it.
        let is_misnamed = is_folder && !head.path().ends_with('/');
        if is_folder {
            if self.index.is_empty() {
                return None;
            }
            name.push(&self.index);
        }
        let content_type = mime::content_type(name.to_str()?);
        let varies = self.precompressed && mime::is_compressible(content_type);
        let encodings = match varies {
            true => accepted(head.fields().get("accept-encoding")),
            false => [None; 3],
        };
        Some(Wanted { name, index: self.index.clone(), is_misnamed, content_type, varies, encodings })
    }

    /// Where beneath the folder `path` is, decoded; nothing if it may lead elsewhere or has what no file's name has.
    fn beneath(&self, path: &str) -> Option<PathBuf> {
        let mut name = PathBuf::new();
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.is_empty() {
            return Some(name);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut scratch = vec![0; path.len()];
        for segment in path.split('/') {
            // Decoded once and apart, so that no escaped slash or dot becomes one.
            let segment = Escaped::new(segment).decode_into(&mut scratch).ok()?;
            if !is_name(segment) || (!self.dot_files && segment.starts_with('.')) {
                return None;
            }
            name.push(segment);
        }
        Some(name)
    }

    async fn find(&self, wanted: &Wanted) -> io::Result<Found> {
        match look(wanted, &|name| self.root.open_cached(name)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            found => return found,
        }
        let (root, wanted) = (self.root.clone(), wanted.clone());
        tokio::task::spawn_blocking(move || look(&wanted, &|name| root.open(name))).await?
    }
}

/// What a request is for.
#[derive(Clone, Debug)]
struct Wanted {
    /// The file beneath the root; of a folder its index.
    name: PathBuf,
    index: String,
    /// It is the index of a folder whose name was asked for without a slash.
    is_misnamed: bool,
    content_type: &'static str,
    varies: bool,
    /// Accepted, the most welcome first.
    encodings: [Option<Encoding>; 3],
}

#[derive(Debug)]
enum Found {
    File(Content),
    /// With an index in it, and asked for without a slash.
    Folder,
}

/// A file that is open.
#[derive(Debug)]
struct Content {
    file: File,
    metadata: Metadata,
    encoding: Option<Encoding>,
}

fn look(wanted: &Wanted, open: &dyn Fn(&Path) -> io::Result<Opened>) -> io::Result<Found> {
    let (file, metadata) = match open(&wanted.name)? {
        Opened::File(..) if wanted.is_misnamed => return Ok(Found::Folder),
        Opened::File(file, metadata) => (file, metadata),
        // Of a folder without an index nobody learns that it is there.
        Opened::Folder if wanted.index.is_empty() => return Err(io::ErrorKind::NotFound.into()),
        Opened::Folder => {
            return match open(&wanted.name.join(&wanted.index))? {
                Opened::File(..) => Ok(Found::Folder),
                Opened::Folder => Err(io::ErrorKind::NotFound.into()),
            };
        }
    };
    for encoding in wanted.encodings.into_iter().flatten() {
        let mut sibling = wanted.name.clone().into_os_string();
        sibling.push(suffix(encoding));
        match open(Path::new(&sibling)) {
            Ok(Opened::File(file, metadata)) => {
                return Ok(Found::File(Content { file, metadata, encoding: Some(encoding) }));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Ok(Opened::Folder) | Err(_) => {}
        }
    }
    Ok(Found::File(Content { file, metadata, encoding: None }))
}

const fn suffix(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Brotli => ".br",
        Encoding::Zstd => ".zst",
        Encoding::Gzip => ".gz",
        Encoding::Deflate => ".zz",
    }
}

/// The codings that siblings are looked for in.
fn accepted(field: Option<&[u8]>) -> [Option<Encoding>; 3] {
    let mut offered = vec![Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];
    std::array::from_fn(|_| {
        let chosen = choose_encoding(field, &offered)?;
        offered.retain(|encoding| *encoding != chosen);
        Some(chosen)
    })
}

/// Whether a file's name can be that: one component that leads down, on any system.
fn is_name(segment: &str) -> bool {
    let is_plain = |octet: u8| octet >= b' ' && octet != 0x7f && octet != b'/' && octet != b'\\';
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && segment.bytes().all(is_plain)
        && is_portable(segment)
}

#[cfg(not(windows))]
const fn is_portable(_: &str) -> bool {
    true
}

/// Not a stream of a file (`a:b`), not another name of one (`a.` and `a `), not a device.
#[cfg(windows)]
fn is_portable(segment: &str) -> bool {
    const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    let stem = segment.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let is_port =
        stem.strip_prefix("com").or(stem.strip_prefix("lpt")).is_some_and(|n| n.chars().count() == 1);
    !segment.contains([':', '*', '?', '"', '<', '>', '|', '~'])
        && !segment.ends_with(['.', ' '])
        && !is_port
        && !DEVICES.contains(&stem.as_str())
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{
        InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
    };
    #[cfg(unix)]
    let is_link = {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(error);
        // MLINK is what some systems say of a link that is not to be followed.
        matches!(errno, Some(Errno::LOOP | Errno::XDEV | Errno::MLINK | Errno::NXIO))
    };
    #[cfg(not(unix))]
    let is_link = false;
    is_link
        || matches!(
            error.kind(),
            NotFound | PermissionDenied | NotADirectory | IsADirectory | InvalidFilename | InvalidInput
        )
}

/// To the folder's name with a slash: relative, so that whatever stands before it in the path stays what it is.
async fn redirect(request: Request<'_>) -> Result<Sent> {
    let (head, reply) = request.split();
    let name = head.path().rsplit('/').next().unwrap_or_default();
    let query = match head.query_text() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    // The dot keeps a colon in the name from making a scheme of it (RFC 3986, 4.2).
    reply.status(308).redirect(&format!("./{name}/{query}")).await
}

impl Content {
    async fn send(self, request: Request<'_>, wanted: &Wanted, cache_control: &str) -> Result<Sent> {
        let now = SystemTime::now();
        let tag = self.tag();
        let changed = self.metadata.modified().ok();
        let is_settled = changed.is_some_and(|at| now.duration_since(at).is_ok_and(|age| age > TICK));
        let etag = tag.as_deref().and_then(if is_settled { ETag::strong } else { ETag::weak });
        let representation = Representation {
            content_type: wanted.content_type,
            complete_length: self.metadata.len(),
            // RFC 9110, 8.8.2.1: never later than the answer.
            validators: Validators {
                etag,
                last_modified: changed.and_then(|at| seconds(at.min(now))),
                exists: true,
            },
            encoding: self.encoding,
            varies: wanted.varies,
            cache_control,
            boundary: RandomState::new().build_hasher().finish(),
        };
        request.represent(&representation, Pieces { file: Arc::new(self.file), piece: Vec::new() }).await
    }

    /// Of the time of change and the size: other content has another, unless it was changed twice in a tick of the
    /// system's clock and has the same size.
    fn tag(&self) -> Option<String> {
        let at = self.metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let coding = self.encoding.map_or("", Encoding::name);
        Some(format!("{:x}-{:x}-{:x}{coding}", at.as_secs(), at.subsec_nanos(), self.metadata.len()))
    }
}

fn seconds(at: SystemTime) -> Option<u64> {
    at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// A file's bytes, a piece at a time.
struct Pieces {
    file: Arc<File>,
    piece: Vec<u8>,
}

impl Source for Pieces {
    async fn read(&mut self, at: u64, most: u64) -> Result<&[u8]> {
        self.piece.resize(most.min(PIECE_MAX) as usize, 0);
        let read = match beneath::read_cached(&self.file, at, &mut self.piece) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.read_from_disk(at).await,
            read => read,
        };
        match read {
            // It has become shorter than was said.
            Ok(0) => Err(cut()),
            Ok(n) => Ok(&self.piece[..n]),
            Err(error) => {
                tracing::error!(%error, "a file cannot be read");
                Err(cut())
            }
        }
    }
}

impl Pieces {
    async fn read_from_disk(&mut self, at: u64) -> io::Result<usize> {
        let (file, mut piece) = (self.file.clone(), std::mem::take(&mut self.piece));
        let read = move || {
            let read = beneath::read(&file, at, &mut piece);
            (piece, read)
        };
        let (piece, read) = tokio::task::spawn_blocking(read).await?;
        self.piece = piece;
        read
    }
}

/// The answer cannot be completed.
fn cut() -> Error {
    Error::new(Code::InvalidSession)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files::new(env!("CARGO_MANIFEST_DIR")).unwrap()
    }

    #[test]
    fn paths_are_decoded_once_and_lead_down() {
        let files = files();
        for (path, name) in [
            ("", Some("")),
            ("/", Some("")),
            ("a", Some("a")),
            ("/a/b.c", Some("a/b.c")),
            ("a/b/", Some("a/b")),
            ("a%20b", Some("a b")),
            ("%C3%A9", Some("é")),
            ("a%25b", Some("a%b")),
            ("%252e%252e", Some("%2e%2e")),
            ("a..b", Some("a..b")),
            ("a:b", Some("a:b")),
            ("~", Some("~")),
            ("..", None),
            ("a//b", None),
            ("//", None),
            ("//etc", None),
            ("a/./b", None),
            (".", None),
            (".a", None),
            ("a/.b", None),
            ("%2ea", None),
            ("%2e%2e", None),
            (".%2E/a", None),
            ("a%2fb", None),
            ("%2fetc", None),
            ("a%5cb", None),
            ("a\\b", None),
            ("a%00", None),
            ("a%0a", None),
            ("%7f", None),
            ("%ff", None),
            ("%c0%ae%c0%ae", None),
            ("%zz", None),
            ("%2", None),
        ] {
            assert_eq!(files.beneath(path), name.map(PathBuf::from), "{path}");
        }
        let files = files.dot_files(true);
        assert_eq!(files.beneath("a/.b"), Some(PathBuf::from("a/.b")));
        assert_eq!(files.beneath("a/../b"), None);
    }

    #[test]
    fn siblings_are_looked_for_in_the_order_of_welcome() {
        use Encoding::{Brotli, Gzip, Zstd};
        assert_eq!(accepted(None), [None; 3]);
        assert_eq!(accepted(Some(b"gzip, br")), [Some(Brotli), Some(Gzip), None]);
        assert_eq!(accepted(Some(b"gzip, br;q=0.5, zstd;q=0.7")), [Some(Gzip), Some(Zstd), Some(Brotli)]);
        assert_eq!(accepted(Some(b"*")), [Some(Brotli), Some(Zstd), Some(Gzip)]);
    }
}
