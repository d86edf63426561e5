//! Tells the code which wasmtime it is built with: native code in the cache depends on the exact version.

fn main() {
    let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let lock = std::path::Path::new(&manifest).join("../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(&lock).unwrap_or_default();
    let version = text
        .split("[[package]]")
        .find(|package| package.contains("name = \"wasmtime\"\n"))
        .and_then(|package| package.split("version = \"").nth(1)?.split('"').next().map(str::to_owned));
    match version {
        Some(version) => println!("cargo::rustc-env=COROVAN_WASMTIME_VERSION={version}"),
        None => println!("cargo::error=no wasmtime in {}", lock.display()),
    }
}
