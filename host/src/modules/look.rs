//! What bytes are that are no whole core module: other formats by their first bytes, other kinds and versions of
//! WebAssembly, and modules that end early. Nothing is validated here.

use super::error::Error;

/// Whether the bytes begin like a core module of version 1 and no section goes beyond their end.
pub fn look(bytes: &[u8]) -> Result<(), Error> {
    if !bytes.is_empty() && bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        let looks = "a file that is cut off in its first four bytes".into();
        return Err(Error::NotWasm { looks, advice: "ship the whole file" });
    }
    if bytes.len() < HEADER && bytes.starts_with(MAGIC) {
        return Err(Error::Truncated { has: bytes.len() as u64, needs: HEADER as u64, part: "its header".into() });
    }
    let Some(version) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<4>()) else {
        let (looks, advice) = guess(bytes);
        return Err(Error::NotWasm { looks, advice });
    };
    let [v0, v1, l0, l1] = *version;
    match (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([l0, l1])) {
        (1, 0) => whole(bytes),
        (_, 1) => Err(Error::Component),
        (version, layer) => Err(Error::UnknownVersion { version, layer }),
    }
}

/// Walks over the sections' sizes. A size that is no number is left to the validator.
fn whole(bytes: &[u8]) -> Result<(), Error> {
    let mut at = HEADER;
    while let Some(&id) = bytes.get(at) {
        let part = || {
            SECTIONS.get(usize::from(id)).map_or_else(|| format!("section {id}"), |name| format!("its {name} section"))
        };
        let has = bytes.len() as u64;
        let (size, start) = match number(bytes, at + 1) {
            Number::Is(size, start) => (size, start),
            Number::Ends => return Err(Error::Truncated { has, needs: has + 1, part: part() }),
            Number::Wrong => return Ok(()),
        };
        let needs = start as u64 + u64::from(size);
        if needs > has {
            return Err(Error::Truncated { has, needs, part: part() });
        }
        at = start + size as usize;
    }
    Ok(())
}

enum Number {
    /// With where it ends.
    Is(u32, usize),
    Ends,
    Wrong,
}

/// An unsigned LEB128 number of 32 bits.
fn number(bytes: &[u8], at: usize) -> Number {
    let mut value = 0_u64;
    for index in 0..5 {
        let Some(&byte) = bytes.get(at + index) else { return Number::Ends };
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_or(Number::Wrong, |value| Number::Is(value, at + index + 1));
        }
    }
    Number::Wrong
}

/// What they look like, and what to do about it.
fn guess(bytes: &[u8]) -> (String, &'static str) {
    const ASK: &str = "give the .wasm file that the toolchain built";
    if bytes.is_empty() {
        return ("an empty file".into(), "the build that should have written it may have failed");
    }
    let known = FORMATS.iter().find(|(magic, ..)| bytes.starts_with(magic));
    if let Some((_, looks, advice)) = known {
        return ((*looks).to_owned(), advice);
    }
    let start = &bytes[..bytes.len().min(LOOK)];
    // A cut character at the end does not make it binary.
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    if text.is_empty() || text.contains('\0') {
        let first: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        return (format!("unknown data that begins with {}", first.join(" ")), ASK);
    }
    let trimmed = after_comments(text.trim_start_matches('\u{feff}'));
    let lower = trimmed.get(..trimmed.len().min(16)).unwrap_or(trimmed).to_ascii_lowercase();
    if trimmed.starts_with("(module") || trimmed.starts_with("(component") {
        return (
            "WebAssembly text (WAT)".into(),
            "compile it with wat2wasm, or `wasm-tools parse FILE.wat -o FILE.wasm`",
        );
    }
    if lower.starts_with("<!doctype")
        || lower.starts_with("<html")
        || lower.starts_with("<?xml")
        || lower.starts_with('<')
    {
        return ("an HTML or XML page".into(), "a download may have failed and saved an error page");
    }
    if trimmed.starts_with("#!") {
        return ("a script".into(), ASK);
    }
    if trimmed.starts_with("version https://git-lfs") {
        return ("a Git LFS pointer".into(), "fetch the file itself with `git lfs pull`");
    }
    if trimmed.starts_with('{') || trimmed.starts_with('[') {
        return ("JSON".into(), ASK);
    }
    ("text (it does not begin with \\0asm)".into(), ASK)
}

/// What follows blanks and comments of WebAssembly text.
fn after_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let comment_end = match text {
            _ if text.starts_with(";;") => text.find('\n'),
            _ if text.starts_with("(;") => text.find(";)").map(|at| at + 2),
            _ => return text,
        };
        match comment_end.and_then(|end| text.get(end..)) {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

const MAGIC: &[u8] = b"\0asm";
const HEADER: usize = 8;
/// Enough to tell what a text is, behind a licence in a comment.
const LOOK: usize = 4 << 10;

const SECTIONS: &[&str] = &[
    "custom",
    "type",
    "import",
    "function",
    "table",
    "memory",
    "global",
    "export",
    "start",
    "element",
    "code",
    "data",
    "data count",
    "tag",
];

const BUILD: &str = "build it for WebAssembly (for Rust, target wasm32-wasip1)";
const UNPACK: &str = "unpack it first";

const FORMATS: &[(&[u8], &str, &str)] = &[
    (b"\x7fELF", "a native program (ELF)", BUILD),
    (b"MZ", "a native program for Windows (PE)", BUILD),
    (b"\xcf\xfa\xed\xfe", "a native program for macOS (Mach-O)", BUILD),
    (b"\xca\xfe\xba\xbe", "a native program for macOS, or a Java class", BUILD),
    (b"!<arch>", "a library archive (.a)", "link it into a module (for Rust, crate-type cdylib)"),
    (b"BC\xc0\xde", "LLVM bitcode", BUILD),
    (b"\x1f\x8b", "gzip data", UNPACK),
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd data", UNPACK),
    (b"\xfd7zXZ", "xz data", UNPACK),
    (b"BZh", "bzip2 data", UNPACK),
    (b"%PDF", "a PDF", "give the .wasm file that the toolchain built"),
];
