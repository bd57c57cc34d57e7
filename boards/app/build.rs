//! Makes an [`Asset`](netloom_protocols::http1::Asset) of each file in `assets`, so that firmware carries it in flash:
//! with its type and a tag that is a hash of its bytes; with the feature `gzip` also compressed where that makes it shorter.
//!
//! To copy: it needs `netloom-protocols` as a build dependency, `flate2` for what is compressed, and in the program
//! `include!(concat!(env!("OUT_DIR"), "/assets.rs"))`.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use netloom_protocols::http1::mime;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("assets");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", folder.display());

    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.sort();
    let mut source = String::new();
    for file in files.iter().filter(|file| file.is_file()) {
        println!("cargo::rerun-if-changed={}", file.display());
        source += &asset(file, &out)?;
    }
    fs::write(out.join("assets.rs"), source)?;
    Ok(())
}

/// The source of one asset, whose compressed bytes are put into `out`.
fn asset(file: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let name = file.file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?;
    let body = fs::read(file)?;
    let tag = tag(&body);
    let mut source = String::new();
    writeln!(source, "/// `{name}`: {} bytes.", body.len())?;
    writeln!(source, "pub static {}: Asset<'static> = Asset {{", constant(name))?;
    if let Some(compressed) = gzip(&body)?.filter(|compressed| compressed.len() < body.len()) {
        let path = out.join(format!("{name}.gz"));
        fs::write(&path, &compressed)?;
        writeln!(
            source,
            "    gzip: Some(Gzipped {{ body: include_bytes!({path:?}), etag: \"{tag}-gzip\" }}),"
        )?;
    }
    let content_type = mime::content_type(name);
    writeln!(source, "    ..Asset::new({content_type:?}, include_bytes!({file:?}), {tag:?})\n}};\n")?;
    Ok(source)
}

/// `index.html` becomes `INDEX_HTML`.
fn constant(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// The same on every machine: no time, no name.
#[cfg(feature = "gzip")]
fn gzip(body: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::Write as _;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body)?;
    encoder.finish().map(Some)
}

#[cfg(not(feature = "gzip"))]
fn gzip(_: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    Ok(None)
}

/// FNV-1a: it only has to differ when the file was edited.
fn tag(body: &[u8]) -> String {
    let hash = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}
