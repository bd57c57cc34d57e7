//! The files in `assets`, part of the program: `build.rs` makes them.

use netloom_protocols::http1::Asset;
#[allow(unused_imports, reason = "where nothing becomes shorter")]
use netloom_protocols::http1::Gzipped;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_with_its_type_and_shorter_when_compressed() {
        assert_eq!(INDEX_HTML.content_type, "text/html; charset=utf-8");
        assert_eq!(INDEX_HTML.body, include_bytes!("../assets/index.html"));
        let gzip = INDEX_HTML.gzip.expect("text becomes shorter");
        assert!(gzip.body.len() < INDEX_HTML.body.len() && gzip.body.starts_with(&[0x1f, 0x8b]));
        assert!(gzip.etag != INDEX_HTML.etag && !INDEX_HTML.etag.is_empty());
    }
}
