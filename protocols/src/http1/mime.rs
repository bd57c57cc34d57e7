//! Media types: what a file is, by the extension of its name.

/// The type of what nothing is known of (RFC 9110, 8.3): a browser saves it instead of showing it.
pub const UNKNOWN: &str = "application/octet-stream";

/// By extension, in lower case. Texts are UTF-8: it is what tools write, and without being told a browser
/// guesses. XML and JSON say it themselves.
const TYPES: &[(&str, &str)] = &[
    // Pages
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    // Images
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("svg", "image/svg+xml"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("ico", "image/vnd.microsoft.icon"),
    ("apng", "image/apng"),
    ("bmp", "image/bmp"),
    ("heic", "image/heic"),
    ("jxl", "image/jxl"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    // Fonts
    ("woff2", "font/woff2"),
    ("woff", "font/woff"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    // Texts
    ("txt", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("ics", "text/calendar; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("toml", "application/toml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("jsonl", "application/jsonl"),
    ("jsonld", "application/ld+json"),
    ("geojson", "application/geo+json"),
    ("atom", "application/atom+xml"),
    ("rss", "application/rss+xml"),
    // Sound and film
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("flac", "audio/flac"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("ogv", "video/ogg"),
    ("mov", "video/quicktime"),
    ("mkv", "video/matroska"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("ts", "video/mp2t"),
    // Documents and archives
    ("pdf", "application/pdf"),
    ("epub", "application/epub+zip"),
    ("rtf", "application/rtf"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("zst", "application/zstd"),
    ("tar", "application/x-tar"),
    ("7z", "application/x-7z-compressed"),
];

/// The value of `Content-Type` for the file at `path`, or [`UNKNOWN`].
///
/// ```
/// use netloom_protocols::http1::mime::content_type;
///
/// assert_eq!(content_type("/app/index.HTML"), "text/html; charset=utf-8");
/// assert_eq!(content_type("/app/index"), "application/octet-stream");
/// ```
pub fn content_type(path: &str) -> &'static str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    match name.rsplit_once('.') {
        // A leading dot hides a file and begins no extension.
        Some((stem, extension)) if !stem.is_empty() => by_extension(extension).unwrap_or(UNKNOWN),
        _ => UNKNOWN,
    }
}

/// The value of `Content-Type` for a file with `extension`, which is without its dot and in any case.
pub fn by_extension(extension: &str) -> Option<&'static str> {
    TYPES.iter().find(|entry| entry.0.eq_ignore_ascii_case(extension)).map(|entry| entry.1)
}

/// Types that are neither text nor JSON or XML by name, but become shorter all the same.
const COMPRESSIBLE: &[&str] = &[
    "application/json",
    "application/javascript",
    "application/xml",
    "application/wasm",
    "application/yaml",
    "application/toml",
    "application/jsonl",
    "application/x-ndjson",
    "application/graphql",
    "application/sql",
    "application/rtf",
    "application/x-tar",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "font/ttf",
    "font/otf",
    "font/collection",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
];

/// Whether compressing a body of this `Content-Type` makes it shorter: texts and tables do, pictures, films
/// and archives are compressed already.
///
/// An event stream is not, although it is text: its events would wait in the compressor.
pub fn is_compressible(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim_ascii();
    let is = |name: &&str| essence.eq_ignore_ascii_case(name);
    let starts = |with: &str| essence.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let ends = |with: &str| {
        let at = essence.len().checked_sub(with.len());
        at.and_then(|at| essence.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(with))
    };
    if is(&"text/event-stream") {
        return false;
    }
    starts("text/") || ends("+json") || ends("+xml") || COMPRESSIBLE.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_by_the_extension_in_any_case() {
        for (path, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("/a/b/index.HTM", "text/html; charset=utf-8"),
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("app.js.map", "application/json"),
            ("pkg/app_bg.wasm", "application/wasm"),
            ("site.webmanifest", "application/manifest+json"),
            ("inter.woff2", "font/woff2"),
            ("photo.AVIF", "image/avif"),
            ("README.md", "text/markdown; charset=utf-8"),
            ("logo.svg", "image/svg+xml"),
            ("backup.tar.gz", "application/gzip"),
            ("C:\\site\\style.css", "text/css; charset=utf-8"),
            ("/.well-known/a.json", "application/json"),
            (".a.txt", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(content_type(path), expected, "{path}");
        }
    }

    #[test]
    fn what_has_no_known_extension_is_bytes() {
        for path in [
            "",
            "/",
            ".",
            "..",
            "html",
            "/html",
            ".html",
            "a/.css",
            "a.",
            "a.b",
            "dir.html/",
            "dir.html/file",
            "a.html ",
            "a.\u{e9}",
        ] {
            assert_eq!(content_type(path), UNKNOWN, "{path}");
        }
        assert_eq!(by_extension(""), None);
    }

    #[test]
    fn the_table_is_well_formed() {
        for (at, (extension, kind)) in TYPES.iter().enumerate() {
            assert!(TYPES[..at].iter().all(|other| other.0 != *extension), "{extension} twice");
            assert!(extension.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
            assert_eq!(kind.starts_with("text/"), kind.ends_with("; charset=utf-8"), "{kind}");
            assert_eq!(kind.matches('/').count(), 1, "{kind}");
        }
    }

    #[test]
    fn texts_and_tables_are_compressible() {
        for kind in [
            "text/html; charset=utf-8",
            "text/plain",
            "TEXT/CSS",
            "application/json",
            "application/json ;charset=utf-8",
            "application/problem+json",
            "application/manifest+json",
            "image/svg+xml",
            "application/xhtml+xml",
            "application/wasm",
            "font/ttf",
            "image/vnd.microsoft.icon",
            "Application/LD+JSON",
        ] {
            assert!(is_compressible(kind), "{kind}");
        }
    }

    #[test]
    fn what_is_compressed_already_or_must_not_wait_is_not() {
        for kind in [
            "",
            "text",
            "image/png",
            "image/jpeg",
            "video/mp4",
            "audio/ogg",
            "font/woff2",
            "application/zip",
            "application/gzip",
            "application/pdf",
            UNKNOWN,
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "application/jsonx",
            "json",
            "\u{e9}\u{e9}\u{e9}",
            "multipart/byteranges; boundary=+json",
        ] {
            assert!(!is_compressible(kind), "{kind}");
        }
    }
}
