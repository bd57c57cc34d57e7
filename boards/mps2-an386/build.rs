//! Hands the linker the memory map and cortex-m-rt's script, and the report its settings.

#[path = "../report_settings.rs"]
mod report_settings;

fn main() {
    if std::env::var_os("CARGO_FEATURE_REPORT").is_some() {
        report_settings::write();
    }
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    // Functions that came out the same are one.
    println!("cargo::rustc-link-arg-bins=--icf=all");
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-changed=device.x");
}
