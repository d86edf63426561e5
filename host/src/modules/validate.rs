//! Looks at a module before anything is done with it: what it is, whether it is valid, within limits, and asks for nothing
//! that is not there. Never compiles.

use super::Error;
use super::info::{FunctionInfo, INITIALIZE, ImportInfo, KnownImports, MemoryInfo, ModuleInfo, START, Signature};
use corovan_core::job::manifest;
use corovan_core::limits;
use wasmtime::wasmparser::{
    BinaryReaderError, Encoding, ExternalKind, FuncType, FuncValidatorAllocations, Parser, Payload, TypeRef,
    ValidPayload, Validator, WasmFeatures,
};

const MAGIC: &[u8] = b"\0asm";
const PAGE: u64 = 1 << 16;
const MANIFEST: &str = "corovan.manifest";

/// Everything at once; the first fault found is told.
pub fn validate(bytes: &[u8], known: &KnownImports) -> Result<ModuleInfo, Error> {
    check_kind(bytes)?;
    let info = read(bytes, true)?;
    let faults: Vec<String> = info.imports.iter().filter_map(|import| known.fault(import)).take(MAX_FAULTS).collect();
    if !faults.is_empty() {
        return Err(Error::Imports(faults));
    }
    if !info.command && info.runnable().is_empty() {
        // A function with parameters is told as such when it is asked for by name.
        if info.functions.is_empty() {
            return Err(Error::NothingToRun);
        }
    }
    Ok(info)
}

/// Reads what was validated before.
pub fn inspect(bytes: &[u8]) -> Result<ModuleInfo, Error> {
    read(bytes, false)
}

/// Unknown imports named in one error.
const MAX_FAULTS: usize = 20;

/// What the bytes are, in words, if they are not a core module.
fn check_kind(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > limits::MODULE_BYTES {
        return Err(Error::TooLarge { size: bytes.len() });
    }
    if !bytes.starts_with(MAGIC) {
        let text = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        return Err(Error::NotWasm(match bytes {
            [] => "it is empty",
            _ if MAGIC.starts_with(bytes) => "it is cut off in its first four bytes",
            [0x7f, b'E', b'L', b'F', ..] => "it is a native program (ELF); build it for wasm32-wasip1",
            [0x1f, 0x8b, ..] => "it is compressed (gzip); unpack it first",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is compressed (zstd); unpack it first",
            [b'P', b'K', 3, 4, ..] => "it is a zip archive",
            [b'#', b'!', ..] => "it is a script",
            [b'!', b'<', b'a', b'r', ..] => "it is a library archive; link it into a module",
            _ if text == Some(&b'(') || text == Some(&b';') => {
                "it is WebAssembly text (WAT); translate it with `wat2wasm` or `wasm-tools parse`"
            }
            _ if text == Some(&b'<') => "it is an HTML or XML page; was the download answered with an error?",
            _ => "it does not begin with \\0asm",
        }));
    }
    let Some(version) = bytes.get(4..8) else { return Err(Error::Truncated(bytes.len())) };
    match version {
        [1, 0, 0, 0] => Ok(()),
        // Components count versions of their own, with the layer in the upper half.
        [_, _, 1, 0] => Err(Error::Component),
        other => Err(Error::Version(u32::from_le_bytes([other[0], other[1], other[2], other[3]]))),
    }
}

/// The proposals the engine has on; see `runtime::engine`, which has the last word.
fn features() -> WasmFeatures {
    let off = WasmFeatures::THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::GC
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::EXCEPTIONS;
    WasmFeatures::default() - off
}

#[derive(Default)]
struct Reader {
    types: Vec<FuncType>,
    /// Type of each function, imported ones first.
    functions: Vec<u32>,
    info: Option<ModuleInfo>,
    manifest: Vec<u8>,
}

fn read(bytes: &[u8], check: bool) -> Result<ModuleInfo, Error> {
    let fault = |error: BinaryReaderError| fault(&error, bytes.len());
    let mut validator = Validator::new_with_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut reader = Reader { info: Some(empty(bytes.len())), ..Reader::default() };
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(fault)?;
        if let Payload::Version { encoding: Encoding::Component, .. } = payload {
            return Err(Error::Component);
        }
        reader.count(&payload)?;
        if check && let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(fault)? {
            let mut function = function.into_validator(allocations);
            function.validate(&body).map_err(fault)?;
            allocations = function.into_allocations();
        }
        reader.take(payload).map_err(fault)??;
    }
    let mut info = reader.info.take().unwrap_or_else(|| empty(bytes.len()));
    if !reader.manifest.is_empty() {
        info.manifest = Some(manifest::decode(&reader.manifest)?);
    }
    Ok(info)
}

impl Reader {
    /// Counts before anything is decoded.
    fn count(&self, payload: &Payload<'_>) -> Result<(), Error> {
        let (what, found, max) = match payload {
            Payload::ImportSection(section) => ("imports", section.count(), limits::MODULE_IMPORTS),
            Payload::ExportSection(section) => ("exports", section.count(), limits::MODULE_EXPORTS),
            Payload::FunctionSection(section) => ("functions", section.count(), limits::MODULE_FUNCTIONS),
            Payload::TypeSection(section) => ("types", section.count(), limits::MODULE_FUNCTIONS),
            Payload::MemorySection(section) => ("memories", section.count(), 1),
            Payload::TableSection(section) => ("tables", section.count(), 1),
            _ => return Ok(()),
        };
        if u64::from(found) > max as u64 {
            return Err(Error::Limit { what, found: u64::from(found), max: max as u64 });
        }
        Ok(())
    }

    fn take(&mut self, payload: Payload<'_>) -> Result<Result<(), Error>, BinaryReaderError> {
        let Some(info) = &mut self.info else { return Ok(Ok(())) };
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    self.types.push(ty?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let signature = match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            self.functions.push(ty);
                            Some(signature(&self.types, ty))
                        }
                        _ => None,
                    };
                    let (module, name) = (import.module.to_owned(), import.name.to_owned());
                    info.imports.push(ImportInfo { module, name, signature });
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    let bytes = |pages: u64| pages.saturating_mul(PAGE);
                    let (min, max) = (bytes(memory.initial), memory.maximum.map(bytes));
                    if min > limits::MEMORY_MAX {
                        let max = limits::MEMORY_MAX;
                        return Ok(Err(Error::Limit { what: "bytes of memory at its start", found: min, max }));
                    }
                    info.memory = Some(MemoryInfo { min, max });
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let initial = table?.ty.initial;
                    if initial > limits::TABLE_ELEMENTS as u64 {
                        let max = limits::TABLE_ELEMENTS as u64;
                        return Ok(Err(Error::Limit { what: "elements in its table", found: initial, max }));
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let name = export.name.to_owned();
                    match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => {
                            info.command |= name == START;
                            info.reactor |= name == INITIALIZE;
                            let ty = self.functions.get(export.index as usize).copied().unwrap_or(u32::MAX);
                            info.functions.push(FunctionInfo { name, signature: signature(&self.types, ty) });
                        }
                        ExternalKind::Memory => info.other_exports.push((name, "memory")),
                        ExternalKind::Table => info.other_exports.push((name, "table")),
                        ExternalKind::Global => info.other_exports.push((name, "global")),
                        ExternalKind::Tag => info.other_exports.push((name, "tag")),
                    }
                }
            }
            Payload::CustomSection(section) if section.name() == MANIFEST => {
                self.manifest.extend_from_slice(section.data());
            }
            _ => {}
        }
        Ok(Ok(()))
    }
}

fn signature(types: &[FuncType], index: u32) -> Signature {
    match types.get(index as usize) {
        Some(ty) => Signature::new(ty.params().iter(), ty.results().iter()),
        _ => Signature::new(["?"].iter(), [""; 0].iter()),
    }
}

fn empty(size: usize) -> ModuleInfo {
    ModuleInfo {
        size: size as u64,
        functions: Vec::new(),
        other_exports: Vec::new(),
        command: false,
        reactor: false,
        memory: None,
        imports: Vec::new(),
        manifest: None,
    }
}

fn fault(error: &BinaryReaderError, size: usize) -> Error {
    let message = error.message();
    if error.offset() >= size || message.contains("unexpected end") {
        return Error::Truncated(size);
    }
    Error::Invalid { offset: error.offset(), message: message.to_owned() }
}
