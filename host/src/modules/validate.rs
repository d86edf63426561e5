//! Whether a module may run here, decided from its bytes before anything is stored or compiled. Pure, no I/O.

use super::error::Error;
use super::info::{ImportInfo, Item, Memory, ModuleInfo, Signature, Table};
use super::known::KnownImports;
use super::look::look;
use corovan_core::job::manifest::{self, Manifest};
use corovan_core::limits;
use wasmtime::wasmparser::types::{Types, TypesRef};
use wasmtime::wasmparser::{
    Encoding, ExternalKind, FuncValidatorAllocations, Parser, Payload, TypeRef, ValidPayload, Validator, WasmFeatures,
};

/// How much is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// All of it: bytes that a client has sent.
    Full,
    /// Everything but the code of functions: bytes that were validated before, as their hash shows.
    Declarations,
}

/// A readable module, with everything for which this node refuses it.
#[derive(Debug)]
pub struct Examined {
    pub info: ModuleInfo,
    pub problems: Vec<Error>,
}

/// What the module declares; an error if this node would not run it.
pub fn validate(bytes: &[u8], known: &KnownImports, depth: Depth) -> Result<ModuleInfo, Error> {
    let examined = examine(bytes, known, depth)?;
    examined.problems.into_iter().next().map_or(Ok(examined.info), Err)
}

/// The same for `corovan inspect`, which shows what it can of a module that is refused.
pub fn examine(bytes: &[u8], known: &KnownImports, depth: Depth) -> Result<Examined, Error> {
    if bytes.len() > limits::MODULE_BYTES {
        return Err(Error::TooLarge { size: bytes.len() as u64 });
    }
    look(bytes)?;
    let mut scan = Scan::default();
    let types = match scan.walk(bytes, ALLOWED, depth) {
        Ok(types) => types,
        Err(Stop::Refused(error)) => return Err(error),
        Err(Stop::Invalid { offset, message }) => return Err(explain(bytes, depth, offset, message)),
    };
    scan.finish(types.as_ref(), bytes, known)
}

/// What is collected on the way through the sections.
#[derive(Default)]
struct Scan {
    imports: Vec<(String, String, TypeRef)>,
    exports: Vec<(String, ExternalKind, u32)>,
    manifest: Vec<u8>,
    has_manifest: bool,
    start: bool,
    not_linked: bool,
}

/// Why a walk did not reach the end.
enum Stop {
    Refused(Error),
    Invalid { offset: usize, message: String },
}

impl From<wasmtime::wasmparser::BinaryReaderError> for Stop {
    fn from(error: wasmtime::wasmparser::BinaryReaderError) -> Stop {
        Stop::Invalid { offset: error.offset(), message: Error::said(error.message()) }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Refused(error)
    }
}

impl Scan {
    fn walk(&mut self, bytes: &[u8], features: WasmFeatures, depth: Depth) -> Result<Types, Stop> {
        let mut validator = Validator::new_with_features(features);
        let mut parser = Parser::new(0);
        parser.set_features(features);
        let mut allocations = FuncValidatorAllocations::default();
        let mut end = None;
        for payload in parser.parse_all(bytes) {
            let payload = payload?;
            check_counts(&payload)?;
            match validator.payload(&payload)? {
                ValidPayload::Func(function, body) if depth == Depth::Full => {
                    let mut function = function.into_validator(std::mem::take(&mut allocations));
                    function.validate(&body)?;
                    allocations = function.into_allocations();
                }
                ValidPayload::End(types) => end = Some(types),
                _ => {}
            }
            self.collect(payload)?;
        }
        end.ok_or_else(|| Stop::Invalid { offset: bytes.len(), message: "the module does not end".into() })
    }

    fn collect(&mut self, payload: Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => return Err(Error::Component.into()),
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.imports.push((import.module.to_owned(), import.name.to_owned(), import.ty));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.push((export.name.to_owned(), export.kind, export.index));
                }
            }
            Payload::StartSection { .. } => self.start = true,
            Payload::CustomSection(section) => match section.name() {
                "corovan.manifest" => {
                    let size = self.manifest.len() + section.data().len();
                    if size > limits::MANIFEST_BYTES {
                        return Err(Error::Manifest(manifest::Error::TooLarge(size)).into());
                    }
                    self.manifest.extend_from_slice(section.data());
                    self.has_manifest = true;
                }
                "linking" => self.not_linked = true,
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn finish(self, types: TypesRef<'_>, bytes: &[u8], known: &KnownImports) -> Result<Examined, Error> {
        let mut info = ModuleInfo { size: bytes.len() as u64, start: self.start, ..ModuleInfo::default() };
        let mut problems = Vec::new();
        let mut bad_imports = Vec::new();
        for (module, name, ty) in self.imports {
            let item = match ty {
                TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                    Item::Function(Signature::parsed(types[types.core_type_at_in_module(index)].unwrap_func()))
                }
                TypeRef::Table(_) => Item::Other("table"),
                TypeRef::Memory(_) => Item::Other("memory"),
                TypeRef::Global(_) => Item::Other("global"),
                TypeRef::Tag(_) => Item::Other("tag"),
            };
            let import = ImportInfo { module, name, item };
            bad_imports.extend(known.problem(&import));
            info.imports.push(import);
        }
        let mut names = Vec::with_capacity(self.exports.len());
        for (name, kind, index) in self.exports {
            let export = match kind {
                ExternalKind::Func | ExternalKind::FuncExact => {
                    Item::Function(Signature::parsed(types[types.core_function_at(index)].unwrap_func()))
                }
                ExternalKind::Table => Item::Other("table"),
                ExternalKind::Memory => Item::Other("memory"),
                ExternalKind::Global => Item::Other("global"),
                ExternalKind::Tag => Item::Other("tag"),
            };
            names.push(name.clone());
            info.exports.insert(name, export);
        }
        if types.memory_count() > 0 {
            let memory = types.memory_at(0);
            let page = 1_u64 << memory.page_size_log2.unwrap_or(16);
            let bytes = |pages: u64| pages.saturating_mul(page);
            info.memory = Some(Memory { min: bytes(memory.initial), max: memory.maximum.map(bytes) });
        }
        if types.table_count() > 0 {
            let table = types.table_at(0);
            info.table = Some(Table { min: table.initial, max: table.maximum });
        }
        if self.has_manifest {
            match Manifest::decode(&self.manifest) {
                Ok(manifest) => info.manifest = Some(manifest),
                Err(error) => problems.push(Error::Manifest(error)),
            }
        }
        info.find_functions(&names);
        if self.not_linked {
            problems.push(Error::NotLinked);
        }
        if !bad_imports.is_empty() {
            problems.push(Error::Imports(bad_imports));
        }
        problems.extend(refusals(&info, types));
        Ok(Examined { info, problems })
    }
}

/// The limits on what the module declares.
fn refusals(info: &ModuleInfo, types: TypesRef<'_>) -> Vec<Error> {
    let mut problems = Vec::new();
    if types.table_count() > limits::MODULE_TABLES {
        let (count, limit) = (u64::from(types.table_count()), u64::from(limits::MODULE_TABLES));
        problems.push(Error::TooMany { what: "tables", count, limit });
    }
    if let Some(memory) = info.memory.filter(|memory| memory.min > limits::MEMORY_MAX) {
        problems.push(Error::Memory { min: memory.min });
    }
    if let Some(table) = info.table.filter(|table| table.min > limits::TABLE_ELEMENTS as u64) {
        problems.push(Error::Table { min: table.min });
    }
    let abi = info.manifest.as_ref().and_then(|manifest| manifest.abi);
    if let Some(wants) = abi.filter(|abi| *abi > limits::ABI_VERSION) {
        problems.push(Error::Abi { wants });
    }
    problems.extend(info.check_runnable().err());
    problems
}

/// Refuses a section by the count at its head, before its items are read.
fn check_counts(payload: &Payload<'_>) -> Result<(), Error> {
    let (what, count, limit) = match payload {
        Payload::ImportSection(section) => ("imports", section.count(), limits::MODULE_IMPORTS),
        Payload::FunctionSection(section) => ("functions", section.count(), limits::MODULE_FUNCTIONS),
        Payload::ExportSection(section) => ("exports", section.count(), limits::MODULE_EXPORTS),
        _ => return Ok(()),
    };
    if count as usize > limit {
        return Err(Error::TooMany { what, count: count.into(), limit: limit as u64 });
    }
    Ok(())
}

/// Names the proposal without which the module is not valid, if it would get further with it.
fn explain(bytes: &[u8], depth: Depth, offset: usize, message: String) -> Error {
    let helps = |features: WasmFeatures| match Scan::default().walk(bytes, ALLOWED | features, depth) {
        Ok(_) | Err(Stop::Refused(_)) => true,
        Err(Stop::Invalid { offset: further, .. }) => further > offset,
    };
    let all = PROPOSALS.iter().fold(WasmFeatures::empty(), |all, (features, ..)| all | *features);
    // One more walk tells apart what is broken from what needs a proposal; only the latter costs more.
    if helps(all) {
        if let Some((_, proposal, advice)) = PROPOSALS.iter().find(|(features, ..)| helps(*features)) {
            return Error::Proposal { proposal, advice, offset, message };
        }
        let (proposal, advice) = ("several proposals together", "build without them");
        return Error::Proposal { proposal, advice, offset, message };
    }
    Error::Invalid { offset, message }
}

/// Exactly what the engine allows; a test holds the two together.
const ALLOWED: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::RELAXED_SIMD)
    .difference(WasmFeatures::GC_TYPES);

const REFERENCES: WasmFeatures = WasmFeatures::GC_TYPES;

/// What is switched off: the features, their name, and how to do without. Those that need fewer others come first.
const PROPOSALS: &[(WasmFeatures, &str, &str)] = &[
    (
        WasmFeatures::THREADS,
        "threads (shared memory, atomics)",
        "build without threads (no -pthread, no +atomics) and use several coroutines",
    ),
    (WasmFeatures::MEMORY64, "memory64", "build for wasm32"),
    (WasmFeatures::MULTI_MEMORY, "multi-memory (more than one memory)", "build with one memory"),
    (REFERENCES, "externref (host references)", "build without reference types other than funcref"),
    (
        REFERENCES.union(WasmFeatures::EXCEPTIONS),
        "exceptions",
        "build without them (-fno-exceptions, or panic = \"abort\")",
    ),
    (REFERENCES.union(WasmFeatures::LEGACY_EXCEPTIONS), "legacy exceptions", "build without them (-fno-exceptions)"),
    (
        REFERENCES.union(WasmFeatures::FUNCTION_REFERENCES),
        "typed function references",
        "build for plain WebAssembly 2.0",
    ),
    (
        REFERENCES.union(WasmFeatures::FUNCTION_REFERENCES).union(WasmFeatures::GC),
        "garbage collection (GC)",
        "use a toolchain that brings its own collector in linear memory",
    ),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes", "build with pages of 64 KiB"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic", "build without -mwide-arithmetic"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS.union(WasmFeatures::THREADS),
        "shared-everything threads",
        "build without threads",
    ),
    (
        WasmFeatures::STACK_SWITCHING
            .union(REFERENCES)
            .union(WasmFeatures::FUNCTION_REFERENCES)
            .union(WasmFeatures::EXCEPTIONS),
        "stack switching",
        "build without it: a coroutine's host calls already give the CPU to others",
    ),
    (WasmFeatures::COMPACT_IMPORTS, "compact imports", "build without them"),
];
