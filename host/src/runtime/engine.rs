//! The wasmtime engine: which WebAssembly is allowed, how instances are pooled, how the CPU is taken back.

use corovan_core::limits;
use std::num::NonZeroUsize;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

/// How a guest that does not yield loses the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preemption {
    /// By the epoch ticker, which follows real time.
    Epoch,
    /// By fuel: the same instruction every time, for schedulers driven by hand.
    Fuel,
}

/// How many coroutines fit, and what sets the limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slots {
    pub count: u32,
    pub why: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "this machine allows a process only {maps} memory mappings (vm.max_map_count), which is room for {count} coroutines; \
         at least {min} are needed: run `sysctl -w vm.max_map_count=65530`, or more"
    )]
    TooFewMaps { maps: u64, count: u64, min: u32 },
    #[error("the WebAssembly engine does not start with {slots} slots: {source:#} (try fewer with --slots)")]
    Engine { slots: u32, source: wasmtime::Error },
}

/// Mappings one coroutine needs: stack and guard, memory image, memory, its guard, and one to spare (measured: 5 to 6).
const MAPS_PER_SLOT: u64 = 6;
/// Mappings left for the rest of the process.
const MAPS_RESERVED: u64 = 5_000;
/// A suspended coroutine's resident memory, with room for a little data of its own.
const BYTES_PER_SLOT: u64 = 64 << 10;
/// Address space for so many 4 GiB reservations, whatever the other limits say (measured: 21,700).
const MAX_SLOTS: u64 = 20_000;
/// Fewer than this is not a node.
pub const MIN_SLOTS: u32 = 16;

impl Slots {
    /// From `vm.max_map_count` and the machine's memory in bytes.
    pub fn plan(max_map_count: u64, memory: u64) -> Result<Slots, Error> {
        let by_maps = max_map_count.saturating_sub(MAPS_RESERVED) / MAPS_PER_SLOT;
        let by_memory = memory / BYTES_PER_SLOT;
        let count = by_maps.min(by_memory).min(MAX_SLOTS);
        if count < u64::from(MIN_SLOTS) {
            return Err(Error::TooFewMaps { maps: max_map_count, count, min: MIN_SLOTS });
        }
        let why = if count == by_maps {
            format!("vm.max_map_count = {max_map_count}")
        } else if count == by_memory {
            format!("{} MiB of memory", memory >> 20)
        } else {
            "the address space".to_owned()
        };
        Ok(Slots { count: u32::try_from(count).unwrap_or(u32::MAX), why })
    }

    /// Reads both from `/proc`; where it cannot be read, Linux's defaults and 1 GiB are assumed.
    pub fn of_this_machine() -> Result<Slots, Error> {
        let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
        Slots::plan(maps.unwrap_or(65_530), machine_memory().unwrap_or(1 << 30))
    }
}

/// Bytes of memory this machine has, if it says so.
pub fn machine_memory() -> Option<u64> {
    std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text))
}

/// Builds the engine. `slots`: coroutines that can exist at a time.
pub fn build(preemption: Preemption, slots: u32) -> Result<Engine, Error> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots)
        .total_stacks(slots)
        .total_component_instances(0)
        .max_memory_size(usize::try_from(limits::MEMORY_MAX).unwrap_or(usize::MAX))
        .table_elements(limits::TABLE_ELEMENTS)
        .max_core_instance_size(1 << 20)
        .max_unused_warm_slots(slots.min(256))
        .linear_memory_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .gc_support(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .shared_memory(false)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(limits::WASM_STACK)
        .async_stack_size(limits::FIBER_STACK)
        .memory_init_cow(true)
        // Registering unwind tables is quadratic in the number of modules; wasmtime's own backtraces do not need them.
        .native_unwind_info(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(limits::BACKTRACE_FRAMES))
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    match preemption {
        Preemption::Epoch => config.epoch_interruption(true),
        Preemption::Fuel => config.consume_fuel(true).cranelift_nan_canonicalization(true),
    };
    Engine::new(&config).map_err(|source| Error::Engine { slots, source })
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Module;

    #[test]
    fn the_pool_is_sized_from_mappings_and_memory() {
        let gib = 1 << 30;
        assert_eq!(Slots::plan(65_530, 24 * gib).unwrap().count, 10_088);
        assert_eq!(Slots::plan(1_048_576, 24 * gib).unwrap().count, 20_000);
        assert_eq!(Slots::plan(65_530, gib / 4).unwrap().count, 4_096);
        let error = Slots::plan(5_010, 24 * gib).unwrap_err().to_string();
        assert!(error.contains("sysctl -w vm.max_map_count"), "{error}");
        assert_eq!(mem_total("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn proposals_that_are_not_allowed_do_not_compile() {
        let forbidden = [
            ("threads", "(module (memory 1 1 shared))"),
            ("memory64", "(module (memory i64 1))"),
            ("multi-memory", "(module (memory 1) (memory 1))"),
            ("gc", "(module (type (struct (field i32))))"),
            ("function-references", "(module (type $f (func)) (func (param (ref $f))))"),
            ("exceptions", "(module (tag))"),
        ];
        for preemption in [Preemption::Epoch, Preemption::Fuel] {
            let engine = build(preemption, MIN_SLOTS).unwrap();
            for (proposal, wat) in forbidden {
                let wasm = wat::parse_str(wat).unwrap();
                assert!(Module::from_binary(&engine, &wasm).is_err(), "{proposal} is not switched off");
            }
            Module::from_binary(&engine, &wat::parse_str("(module (func (export \"f\")))").unwrap()).unwrap();
        }
    }
}
