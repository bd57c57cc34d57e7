//! The files in `assets`, part of the program: `build.rs` makes them.

use netloom_protocols::http1::Asset;
#[allow(unused_imports, reason = "where nothing is compressed, or becomes shorter")]
use netloom_protocols::http1::Gzipped;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_with_its_type() {
        assert_eq!(INDEX_HTML.content_type, "text/html; charset=utf-8");
        assert_eq!(INDEX_HTML.body, include_bytes!("../assets/index.html"));
        assert!(!INDEX_HTML.etag.is_empty());
        assert_eq!(INDEX_HTML.gzip.is_some(), cfg!(feature = "gzip"));
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn the_page_is_shorter_when_compressed() {
        let gzip = INDEX_HTML.gzip.expect("text becomes shorter");
        assert!(gzip.body.len() < INDEX_HTML.body.len() && gzip.body.starts_with(&[0x1f, 0x8b]));
        assert_ne!(gzip.etag, INDEX_HTML.etag);
    }
}
