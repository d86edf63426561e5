//! Which seeds a test runs, and saying which one failed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::LazyLock;

/// Whether one seed is replayed: what happens is printed then.
pub fn replays() -> bool {
    static REPLAYS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("COROVAN_SEED").is_some());
    *REPLAYS
}

/// Runs the scenario once for each seed: the one of `COROVAN_SEED`, or as many as `COROVAN_SEEDS` says, or `usual`, from
/// `COROVAN_SEEDS_FROM` on, or from 0.
pub fn each(usual: u64, mut scenario: impl FnMut(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("COROVAN_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("COROVAN_SEEDS_FROM").unwrap_or(0);
            first..first + number("COROVAN_SEEDS").unwrap_or(usual)
        }
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            eprintln!("failed with COROVAN_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
